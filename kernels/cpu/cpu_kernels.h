/* The cpu back end's kernels: one function an op, over a table of inner loops for the ISA in use.
 *
 * Rules every kernel keeps: views are dense (the back end sends other views to the reference); work is split over
 * the pool by position, so that sums have one order for a given thread count; memory comes from call->scratch, whose
 * size the scratch function states for the node's largest shape; below CTS_CPU_SMALL values of work nothing leaves
 * the calling thread. SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_CPU_KERNELS_H
#define CTS_KERNELS_CPU_KERNELS_H

#include "kernels/base/check.h"
#include "kernels/base/rng.h"
#include "kernels/base/status.h"
#include "kernels/cpu/cpu_isa.h"
#include "kernels/ops.h"

enum { CTS_CPU_SMALL = 16384 };

typedef struct {
    const cts_isa *isa;
    int n_threads;
} cts_cpu;

typedef int (*cts_cpu_kernel_fn)(const cts_cpu *cpu, const cts_call *c);
typedef size_t (*cts_cpu_scratch_fn)(const cts_cpu *cpu, const cts_node *n);

#define CTS_CPU_KERNEL(name) int cts_cpu_##name(const cts_cpu *cpu, const cts_call *c);
#define CTS_CPU_KERNEL_SCRATCH(name)                                                                                   \
    int cts_cpu_##name(const cts_cpu *cpu, const cts_call *c);                                                         \
    size_t cts_cpu_##name##_scratch(const cts_cpu *cpu, const cts_node *n);

CTS_CPU_KERNEL_SCRATCH(tap_gemm)
CTS_CPU_KERNEL_SCRATCH(tap_dgrad)
CTS_CPU_KERNEL_SCRATCH(tap_wgrad)
CTS_CPU_KERNEL_SCRATCH(dwconv)
CTS_CPU_KERNEL_SCRATCH(dwconv_wgrad)
CTS_CPU_KERNEL_SCRATCH(dwconv3d)
CTS_CPU_KERNEL_SCRATCH(dwconv3d_wgrad)
CTS_CPU_KERNEL_SCRATCH(batch_norm)
CTS_CPU_KERNEL_SCRATCH(batch_norm_grad)
CTS_CPU_KERNEL_SCRATCH(batch_norm_eval)
CTS_CPU_KERNEL_SCRATCH(batch_norm_eval_grad)
CTS_CPU_KERNEL(layer_norm)
CTS_CPU_KERNEL_SCRATCH(layer_norm_grad)
CTS_CPU_KERNEL(l2_norm)
CTS_CPU_KERNEL(l2_norm_grad)
CTS_CPU_KERNEL(act)
CTS_CPU_KERNEL(act_grad)
CTS_CPU_KERNEL(add)
CTS_CPU_KERNEL(scale)
CTS_CPU_KERNEL(accumulate)
CTS_CPU_KERNEL(dropout)
CTS_CPU_KERNEL(cast)
CTS_CPU_KERNEL(channel_scale)
CTS_CPU_KERNEL_SCRATCH(channel_dot)
CTS_CPU_KERNEL(permute)
CTS_CPU_KERNEL(slice)
CTS_CPU_KERNEL(slice_grad)
CTS_CPU_KERNEL(max_pool)
CTS_CPU_KERNEL(max_pool_grad)
CTS_CPU_KERNEL_SCRATCH(mean)
CTS_CPU_KERNEL(mean_grad)
CTS_CPU_KERNEL(embedding)
CTS_CPU_KERNEL(embedding_grad)
CTS_CPU_KERNEL(gather_rows)
CTS_CPU_KERNEL(scatter_rows)
CTS_CPU_KERNEL(geglu)
CTS_CPU_KERNEL(geglu_grad)
CTS_CPU_KERNEL(rel_bias)
CTS_CPU_KERNEL(rel_bias_grad)
CTS_CPU_KERNEL_SCRATCH(attention)
CTS_CPU_KERNEL_SCRATCH(attention_grad)
CTS_CPU_KERNEL_SCRATCH(vq)
CTS_CPU_KERNEL_SCRATCH(vq_update)
CTS_CPU_KERNEL_SCRATCH(infonce)
CTS_CPU_KERNEL_SCRATCH(infonce_grad)
CTS_CPU_KERNEL_SCRATCH(siglip)
CTS_CPU_KERNEL_SCRATCH(siglip_grad)

/* fn on every worker, or here alone when `work` (values touched) is small. */
static inline int cts_cpu_for(const cts_call *c, int64_t work, cts_task_fn fn, void *ctx)
{
    return work < CTS_CPU_SMALL ? fn(ctx, 0, 1) : cts_parallel_for(c->pool, fn, ctx);
}

/* Floats rounded up to whole cache lines, so that parts of scratch start aligned and threads share no line. */
static inline int64_t cts_cpu_pad(int64_t n)
{
    return (n + 15) / 16 * 16;
}

static inline float *cts_cpu_f32(const cts_view *v)
{
    return (float *)v->data;
}

/* Rows of a C-channel block that stay in the first-level cache; sums over it are fp32. */
static inline int64_t cts_cpu_tile_rows(int64_t C)
{
    return cts_max_i64(8, cts_min_i64(256, 4096 / cts_max_i64(C, 1)));
}

/* An element survives dropout when the 53 bits of its random number are at least this: exactly cts_rng_unit_at() >=
 * p, without floats. */
static inline uint64_t cts_cpu_threshold(float p)
{
    double t = (double)p * 0x1p53;
    uint64_t whole = (uint64_t)t;

    return whole + ((double)whole < t);
}

#endif
