/* SPDX-License-Identifier: MIT */
#include "kernels/cpu/cpu_features.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/status.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

static const char *const level_names[CTS_CPU_LEVEL_COUNT] = {"generic", "avx2", "avx512", "avx512_bf16", "amx_bf16"};

const char *cts_cpu_level_name(cts_cpu_level l)
{
    return l >= 0 && l < CTS_CPU_LEVEL_COUNT ? level_names[l] : "?";
}

#if defined(__x86_64__)

static uint64_t read_xcr0(void)
{
    uint32_t lo, hi;

    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

/* Linux gives tile data only on request, to the whole process; every failure means "no AMX". */
static bool ask_tile_data(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };

    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

static uint32_t detect(void)
{
    enum { XCR0_AVX = 0x6, XCR0_AVX512 = 0xe6, XCR0_TILE = 0x60000 };
    uint32_t a, b, c, d, c1, b7, d7, a71 = 0, levels = 1u << CTS_CPU_GENERIC;
    uint64_t xcr0;

    if (!__get_cpuid(1, &a, &b, &c1, &d) || !(c1 & bit_OSXSAVE) || !__get_cpuid_count(7, 0, &a, &b7, &c, &d7))
        return levels;
    if (a >= 1 && !__get_cpuid_count(7, 1, &a71, &b, &c, &d))
        a71 = 0;
    xcr0 = read_xcr0();
    if ((xcr0 & XCR0_AVX) != XCR0_AVX || !(c1 & bit_FMA) || !(c1 & bit_F16C) || !(b7 & bit_AVX2))
        return levels;
    levels |= 1u << CTS_CPU_AVX2;
    if ((xcr0 & XCR0_AVX512) != XCR0_AVX512 || !(b7 & bit_AVX512F) || !(b7 & bit_AVX512BW) || !(b7 & bit_AVX512DQ) ||
        !(b7 & bit_AVX512VL))
        return levels;
    levels |= 1u << CTS_CPU_AVX512;
    if (!(a71 & (1u << 5)))
        return levels;
    levels |= 1u << CTS_CPU_AVX512_BF16;
    if ((xcr0 & XCR0_TILE) == XCR0_TILE && (d7 & (1u << 24)) && (d7 & (1u << 22)) && ask_tile_data())
        levels |= 1u << CTS_CPU_AMX_BF16;
    return levels;
}

#else

static uint32_t detect(void)
{
    return 1u << CTS_CPU_GENERIC;
}

#endif

static pthread_once_t detect_once = PTHREAD_ONCE_INIT;
static uint32_t detected; /* written once: hardware does not change, and the tile request counts for the process */

static void detect_first(void)
{
    detected = detect();
}

/* Bits of the levels named in list. */
static int parse_disabled(uint32_t *out, const char *list)
{
    uint32_t bits = 0;

    while (list && *list) {
        size_t n = strcspn(list, ",");
        int l = CTS_CPU_AVX2;

        while (l < CTS_CPU_LEVEL_COUNT && (strlen(level_names[l]) != n || memcmp(level_names[l], list, n) != 0))
            l++;
        if (n && l == CTS_CPU_LEVEL_COUNT)
            return cts_fail(CTS_E_USAGE,
                            "CTS_DISABLE_CPU_FEATURES: unknown feature \"%.*s\"; allowed are avx2, avx512, avx512_bf16 "
                            "and amx_bf16, separated by commas",
                            (int)(n < 64 ? n : 64), list);
        if (n)
            bits |= 1u << l;
        list += n + (list[n] == ',');
    }
    *out = bits;
    return CTS_OK;
}

int cts_cpu_features_with(cts_cpu_features *out, const char *disabled)
{
    uint32_t off = 0;
    int rc = parse_disabled(&off, disabled);

    if (rc)
        return rc;
    pthread_once(&detect_once, detect_first);
    out->present = detected;
    out->enabled = detected & ~off;
    for (int l = 1; l < CTS_CPU_LEVEL_COUNT; l++)
        if (!((out->enabled >> l) & 1)) {
            out->enabled &= (1u << l) - 1; /* each level builds on the one below */
            break;
        }
    return CTS_OK;
}

int cts_cpu_features_get(cts_cpu_features *out)
{
    return cts_cpu_features_with(out, getenv("CTS_DISABLE_CPU_FEATURES"));
}

const char *cts_cpu_features_text(void)
{
    static _Thread_local char buf[256];
    cts_cpu_features f;
    size_t n = 0;
    bool open = false;

    if (cts_cpu_features_get(&f)) {
        snprintf(buf, sizeof buf, "%s", cts_error());
        return buf;
    }
    for (int l = 0; l < CTS_CPU_LEVEL_COUNT; l++)
        if (cts_cpu_has(&f, (cts_cpu_level)l))
            n += (size_t)snprintf(buf + n, sizeof buf - n, "%s%s", n ? " " : "", level_names[l]);
    for (int l = 0; l < CTS_CPU_LEVEL_COUNT; l++)
        if (((f.present & ~f.enabled) >> l) & 1) {
            n += (size_t)snprintf(buf + n, sizeof buf - n, "%s%s", open ? " " : " (disabled: ", level_names[l]);
            open = true;
        }
    if (open)
        snprintf(buf + n, sizeof buf - n, ")");
    return buf;
}
