/* What this CPU offers, what the operating system has switched on, and what the user allows.
 *
 * A level counts as usable when cpuid reports every instruction set it needs, XCR0 says the registers are saved, for
 * AMX the kernel granted tile data to this process (asked once), and neither it nor a level below it is named in
 * CTS_DISABLE_CPU_FEATURES (comma list of level names). Any thread. SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_CPU_FEATURES_H
#define CTS_KERNELS_CPU_FEATURES_H

#include <stdbool.h>
#include <stdint.h>

typedef enum {
    CTS_CPU_GENERIC,     /* baseline of the build */
    CTS_CPU_AVX2,        /* avx2, fma, f16c */
    CTS_CPU_AVX512,      /* avx512 f, bw, dq, vl */
    CTS_CPU_AVX512_BF16, /* and avx512_bf16 */
    CTS_CPU_AMX_BF16,    /* and amx_tile, amx_bf16 */
    CTS_CPU_LEVEL_COUNT
} cts_cpu_level;

typedef struct {
    uint32_t present; /* bit per level: hardware and operating system */
    uint32_t enabled; /* and not disabled */
} cts_cpu_features;

const char *cts_cpu_level_name(cts_cpu_level l);

/* Detect with the disable list of the environment. CTS_E_USAGE naming the unknown word. */
int cts_cpu_features_get(cts_cpu_features *out);
/* The same with an explicit list; NULL or "" disables nothing. */
int cts_cpu_features_with(cts_cpu_features *out, const char *disabled);
static inline bool cts_cpu_has(const cts_cpu_features *f, cts_cpu_level l)
{
    return (f->enabled >> l) & 1;
}

/* "generic avx2 avx512 avx512_bf16 (disabled: amx_bf16)" or the sentence of the error; the thread's own buffer,
 * valid until its next call. */
const char *cts_cpu_features_text(void);

#endif
