/* OpenBLAS 0.3.21, which FAISS calls, does not know CPUs younger than itself and then takes its SSE3 kernels, five
 * times slower. The static library reads OPENBLAS_CORETYPE in its own constructor; this one runs before it. A value
 * the user has set stays. The linker is told to keep this object (tools/cmake/kernels.cmake).
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "kernels/cpu/cpu_features.h"

void cts_openblas_core(void);

__attribute__((constructor(101))) void cts_openblas_core(void)
{
    cts_cpu_features f;

    if (cts_cpu_features_get(&f))
        return; /* reported when a back end is created */
    if (cts_cpu_has(&f, CTS_CPU_AVX512))
        setenv("OPENBLAS_CORETYPE", "SkylakeX", 0);
    else if (cts_cpu_has(&f, CTS_CPU_AVX2))
        setenv("OPENBLAS_CORETYPE", "Haswell", 0);
}
