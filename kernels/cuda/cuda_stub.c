/* The place of the CUDA back end in a build without nvcc. SPDX-License-Identifier: MIT */
#include "kernels/backend.h"
#include "kernels/base/status.h"

int cts_backend_cuda(cts_backend **out, cts_pool *pool)
{
    (void)out;
    (void)pool;
    return cts_fail(CTS_E_UNSUPPORTED, "--device cuda: this binary was built without CUDA; use --device cpu");
}
