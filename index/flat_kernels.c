/* One instance of index/flat_template.h for each instruction set, and the choice between them.
 * SPDX-License-Identifier: MIT */
#include "index/flat_internal.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#define FLAT_NAME(x) x##_avx512
#define FLAT_TARGET __attribute__((target("avx512f,fma,avx2")))
#define FLAT_LANES 16
#include "index/flat_template.h"

#define FLAT_NAME(x) x##_avx2
#define FLAT_TARGET __attribute__((target("avx2,fma")))
#define FLAT_LANES 8
#include "index/flat_template.h"
#endif

#define FLAT_NAME(x) x##_generic
#define FLAT_TARGET
#define FLAT_LANES 4
#include "index/flat_template.h"

/* Is `feature` in the comma-separated list? */
static bool disabled(const char *list, const char *feature)
{
    size_t n = strlen(feature);

    while (list && *list) {
        size_t part = strcspn(list, ",");

        if (part == n && memcmp(list, feature, n) == 0)
            return true;
        list += part + (list[part] == ',');
    }
    return false;
}

const flat_kernels *cts_flat_pick_kernels(void)
{
    static const flat_kernels generic = {"generic", scores_generic, dot_generic};
#if defined(__x86_64__)
    static const flat_kernels avx2 = {"avx2", scores_avx2, dot_avx2}, avx512 = {"avx512f", scores_avx512, dot_avx512};
    const char *off = getenv("CTS_DISABLE_CPU_FEATURES");

    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("fma") && !disabled(off, "avx512f"))
        return &avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && !disabled(off, "avx2"))
        return &avx2;
#endif
    return &generic;
}
