/* One instance of query/metrics/pairs_template.h for each instruction set, and the choice between them.
 * SPDX-License-Identifier: MIT */
#include "kernels/base/status.h"
#include "kernels/cpu/cpu_features.h"
#include "query/metrics/pairs_internal.h"

#if defined(__x86_64__)
#define PAIR_NAME(x) x##_avx512
#define PAIR_TARGET __attribute__((target("avx512f,fma,avx2")))
#define PAIR_LANES 16
#define PAIR_ROWS 14
#define PAIR_LABEL "avx512"
#include "query/metrics/pairs_template.h"

#define PAIR_NAME(x) x##_avx2
#define PAIR_TARGET __attribute__((target("avx2,fma")))
#define PAIR_LANES 8
#define PAIR_ROWS 6
#define PAIR_LABEL "avx2"
#include "query/metrics/pairs_template.h"
#endif

#define PAIR_NAME(x) x##_generic
#define PAIR_TARGET
#define PAIR_LANES 4
#define PAIR_ROWS 4
#define PAIR_LABEL "generic"
#include "query/metrics/pairs_template.h"

int cts_pair_pick_kernels(const cts_pair_kernels **out)
{
    cts_cpu_features f;
    int rc = cts_cpu_features_get(&f);

    if (rc)
        return rc;
    *out = &kernels_generic;
#if defined(__x86_64__)
    if (cts_cpu_has(&f, CTS_CPU_AVX512))
        *out = &kernels_avx512;
    else if (cts_cpu_has(&f, CTS_CPU_AVX2))
        *out = &kernels_avx2;
#endif
    return CTS_OK;
}
