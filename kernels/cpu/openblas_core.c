/* OpenBLAS 0.3.21 knows no CPU newer than itself and falls back to SSE3 kernels there, a fifth of the speed. It reads
 * OPENBLAS_CORETYPE in its own constructor, so ours must run earlier: priority 101 is the first a program may use.
 * Works with the static library only, whose constructor belongs to the same program. A value the user set stays.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>

/* The name the build refers to, so that the linker takes this object out of the static library. */
void cts_openblas_core(void);

__attribute__((constructor(101))) void cts_openblas_core(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init(); /* the compiler's own initialiser may not have run yet */
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        setenv("OPENBLAS_CORETYPE", "SkylakeX", 0);
    else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        setenv("OPENBLAS_CORETYPE", "Haswell", 0);
#endif
}
