/* One training step of an image encoder (forward, backward) on the cpu back end, by op kind.
 *
 *     bench_step [preset [batch [z x y [threads [repetitions]]]]]      default dcformer-nano 8 64 96 96, all CPUs, 9
 *
 * Before timing it checks that two steps on the same numbers agree to the bit and are finite. Prints the median step,
 * and the mean time of each op kind over as many further steps. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "encoders/encoder.h"
#include "kernels/autodiff.h"
#include "kernels/base/log.h"
#include "kernels/base/rng.h"
#include "kernels/cpu/cpu_features.h"
#include "kernels/exec.h"

typedef struct {
    cts_pool *pool;
    cts_backend *b;
    cts_params *params;
    cts_grads *grads;
    cts_graph *g;
    cts_plan *plan;
    cts_exec *e;
    cts_tensor *volume, *vector, *dvector;
    float *x, *dx, *out; /* numbers of volume and of dvector; the vector read back */
    void *config;
} step;

static void need(int rc)
{
    if (rc) {
        fprintf(stderr, "%s\n", cts_error());
        exit(1);
    }
}

static float *random_floats(int64_t n, uint64_t key)
{
    float *p = malloc((size_t)n * sizeof *p);

    for (int64_t i = 0; p && i < n; i++)
        p[i] = (float)(2.0 * cts_rng_unit_at(key, (uint64_t)i) - 1.0);
    return p;
}

static void build(step *s, const char *preset, int64_t n, const int64_t dim[3], int threads)
{
    const cts_encoder_def *def = NULL;
    cts_encoder_inputs in;
    cts_encoder_outputs out = {0};
    cts_build b;

    need(cts_pool_create(&s->pool, threads));
    need(cts_backend_create(&s->b, "cpu", s->pool));
    need(cts_encoder_preset_find(&def, &s->config, preset));
    need(cts_params_create(&s->params));
    need(cts_graph_create(&s->g, s->params));
    in = cts_encoder_image_inputs(s->g, n, dim);
    b = cts_build_make(s->g, true);
    def->build(&b, s->config, &in, &out);
    s->volume = in.volume;
    s->vector = out.vector;
    cts_graph_output(s->g, s->vector, "vector");
    need(cts_params_init(s->params, 1));
    need(cts_backward(s->g, 1, &s->vector, &s->dvector));
    need(cts_plan_create(&s->plan, s->g, s->b));
    need(cts_grads_create(&s->grads, s->params));
    need(cts_exec_create(&s->e, s->plan, s->b, s->grads));
    s->out = calloc((size_t)cts_tensor_count(s->vector), sizeof *s->out);
    s->x = random_floats(cts_tensor_count(s->volume), 2);
    s->dx = random_floats(cts_tensor_count(s->vector), 3);
}

/* Processor seconds of all threads: what the step costs also where others use the machine. */
static double processor(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double run(step *s, double *forward, double *cpu)
{
    double t0, t1, c0;

    need(cts_exec_write(s->e, s->volume, s->x)); /* a run may reuse the inputs' memory */
    need(cts_exec_write(s->e, s->dvector, s->dx));
    t0 = cts_now();
    c0 = processor();
    need(cts_exec_forward(s->e, 0));
    t1 = cts_now();
    need(cts_exec_backward(s->e));
    *forward = t1 - t0;
    *cpu = processor() - c0;
    return cts_now() - t0;
}

static uint64_t digest(step *s)
{
    uint64_t h = 0;

    need(cts_exec_read(s->e, s->vector, s->out));
    for (int64_t i = 0; i < cts_tensor_count(s->vector); i++) {
        uint32_t u;

        if (!isfinite(s->out[i]))
            return 0;
        memcpy(&u, &s->out[i], 4);
        h = cts_rng_at(h ^ u, 0);
    }
    for (int k = 0; k < s->grads->n; k++)
        for (int64_t i = 0; s->grads->data[k] && i < s->grads->count[k]; i++) {
            uint32_t u;

            if (!isfinite(s->grads->data[k][i]))
                return 0;
            memcpy(&u, &s->grads->data[k][i], 4);
            h = cts_rng_at(h ^ u, 0);
        }
    return h | 1;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void report(const step *s, int reps)
{
    const double *sec = cts_exec_seconds(s->e);
    double sum = 0.0;

    for (int k = 0; k < CTS_OP_COUNT; k++)
        sum += sec[k];
    for (int k = 0; k < CTS_OP_COUNT; k++)
        if (sec[k] > 0.002 * sum)
            printf("  %-22s %8.2f ms  %5.1f %%\n", cts_op_def_of((cts_op_kind)k)->name, 1e3 * sec[k] / reps,
                   100.0 * sec[k] / sum);
}

int main(int argc, char **argv)
{
    const char *preset = argc > 1 ? argv[1] : "dcformer-nano";
    int64_t n = argc > 2 ? atoll(argv[2]) : 8;
    int64_t dim[3] = {argc > 3 ? atoll(argv[3]) : 64, argc > 4 ? atoll(argv[4]) : 96, argc > 5 ? atoll(argv[5]) : 96};
    int threads = argc > 6 ? atoi(argv[6]) : 0, reps = argc > 7 ? atoi(argv[7]) : 9;
    double *t = calloc((size_t)reps, sizeof *t), *f = calloc((size_t)reps, sizeof *f),
           *p = calloc((size_t)reps, sizeof *p);
    uint64_t first;
    step s = {0};
    double unused;

    build(&s, preset, n, dim, threads);
    run(&s, &unused, &unused);
    first = digest(&s);
    cts_grads_zero(s.grads);
    run(&s, &unused, &unused);
    if (!first || digest(&s) != first) {
        fprintf(stderr, "bench_step: two equal steps differ, or a value is not finite\n");
        return 1;
    }
    for (int i = 0; i < reps; i++)
        t[i] = run(&s, &f[i], &p[i]);
    cts_exec_profile(s.e, true);
    for (int i = 0; i < reps; i++)
        run(&s, &unused, &unused);
    qsort(t, (size_t)reps, sizeof *t, ascending);
    qsort(f, (size_t)reps, sizeof *f, ascending);
    qsort(p, (size_t)reps, sizeof *p, ascending);
    printf("%s, %lld x %lldx%lldx%lld, %d threads, %s; arena %.0f MB\n", preset, (long long)n, (long long)dim[0],
           (long long)dim[1], (long long)dim[2], cts_pool_size(s.pool), cts_cpu_features_text(),
           (double)cts_plan_get_info(s.plan).arena_bytes / 1e6);
    printf("step: median %.1f ms, fastest %.1f ms; forward: median %.1f ms, fastest %.1f ms\n", 1e3 * t[reps / 2],
           1e3 * t[0], 1e3 * f[reps / 2], 1e3 * f[0]);
    printf("processor time of a step: median %.1f ms, least %.1f ms\n", 1e3 * p[reps / 2], 1e3 * p[0]);
    report(&s, reps);
    cts_exec_destroy(s.e);
    cts_plan_destroy(s.plan);
    cts_grads_destroy(s.grads);
    cts_graph_destroy(s.g);
    cts_params_destroy(s.params);
    cts_backend_destroy(s.b);
    cts_pool_destroy(s.pool);
    free(s.config);
    free(s.x);
    free(s.dx);
    free(s.out);
    free(t);
    free(f);
    free(p);
    return 0;
}
