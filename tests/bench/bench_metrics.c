/* The metrics at the size of CT-RATE's validation set and of its whole: ranks of all pairs both ways, neighbours for
 * MAP, resampled areas. A part is checked against plain loops before anything is timed.
 *   build/tests/bench_metrics [pairs] [dimension] [threads] [runs]        default 3039 512 2 5
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "kernels/base/check.h"
#include "kernels/base/log.h"
#include "kernels/base/rng.h"
#include "kernels/base/status.h"
#include "query/metrics/baseline.h"
#include "query/metrics/bootstrap.h"
#include "query/metrics/map.h"
#include "query/metrics/pairs.h"

#define LABELS 18
#define K 50
#define CHECKED 300

typedef struct {
    size_t n, d;
    int runs;
    float *text, *image, *scores;
    uint8_t *labels;
    int64_t *t2i, *i2t, *row;
    double *sample;
    cts_pool *pool;
} bench;

static void *need(size_t bytes)
{
    void *p = malloc(bytes);

    CTS_ASSERT(p, "out of memory for %zu bytes", bytes);
    return p;
}

static void must(int rc)
{
    if (rc) {
        fprintf(stderr, "bench_metrics: %s\n", cts_error());
        exit(cts_exit_code(rc));
    }
}

static double peak_mib(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_maxrss / 1024.0;
}

static void make(bench *b)
{
    b->text = need(b->n * b->d * sizeof(float));
    b->image = need(b->n * b->d * sizeof(float));
    cts_vectors_random(b->text, b->n, b->d, 1);
    cts_vectors_random(b->image, b->n, b->d, 2);
    for (size_t i = 0; i < b->n * b->d; i++) /* partners are alike, so that ranks are not all the same */
        b->image[i] = 0.95f * b->image[i] + 0.1f * b->text[i];
    b->scores = need(b->n * LABELS * sizeof(float));
    b->labels = need(b->n * LABELS);
    cts_scores_random(b->scores, b->n, LABELS, 3);
    for (size_t i = 0; i < b->n * LABELS; i++)
        b->labels[i] = cts_rng_at(4, i) % 5 == 0;
    b->t2i = need(b->n * sizeof(int64_t));
    b->i2t = need(b->n * sizeof(int64_t));
    b->row = need(b->n * K * sizeof(int64_t));
    b->sample = need((LABELS + 1) * CTS_BOOTSTRAP_RESAMPLES * sizeof(double));
}

/* Ranks by one plain loop with double sums; the two may differ where scores differ by rounding only. */
static size_t plain_rank(const bench *b, size_t n, size_t i)
{
    double own = 0.0;
    size_t rank = 0;

    for (size_t j = 0; j <= n; j++) { /* first the partner, then the others */
        size_t at = j == 0 ? i : j - 1;
        double s = 0.0;

        for (size_t k = 0; k < b->d; k++)
            s += (double)b->text[i * b->d + k] * b->image[at * b->d + k];
        if (j == 0)
            own = s;
        else
            rank += at != i && s > own;
    }
    return rank;
}

static void check(const bench *b)
{
    size_t n = b->n < CHECKED ? b->n : CHECKED, off = 0;

    must(cts_pair_ranks(b->text, b->image, n, b->d, NULL, b->pool, b->t2i, b->i2t));
    for (size_t i = 0; i < n; i++)
        off += (size_t)b->t2i[i] != plain_rank(b, n, i);
    if (off > n / 100) {
        fprintf(stderr, "bench_metrics: %zu of %zu ranks differ from the plain loop\n", off, n);
        exit(1);
    }
    printf("%zu ranks equal the plain loop's, but %zu that rounding decides\n", n - off, off);
}

static void ranks(bench *b)
{
    must(cts_pair_ranks(b->text, b->image, b->n, b->d, NULL, b->pool, b->t2i, b->i2t));
}

static void neighbours(bench *b)
{
    must(cts_map_neighbours(CTS_MAP_CTCLIP, b->image, b->n, b->d, b->labels, LABELS, K, b->pool, b->row));
}

static void bootstrap(bench *b)
{
    cts_bootstrap resamples;

    must(cts_bootstrap_init(&resamples, NULL, b->n, CTS_BOOTSTRAP_RESAMPLES, 5));
    must(cts_bootstrap_auroc(&resamples, b->scores, b->labels, LABELS, b->pool, b->sample));
    cts_bootstrap_free(&resamples);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* flop 0: none stated. */
static void timed(bench *b, const char *what, void (*work)(bench *), double flop)
{
    double *t = need((size_t)b->runs * sizeof *t), cpu;
    clock_t start = clock();

    for (int i = 0; i < b->runs; i++) {
        double t0 = cts_now();

        work(b);
        t[i] = cts_now() - t0;
    }
    cpu = (double)(clock() - start) / CLOCKS_PER_SEC / b->runs;
    qsort(t, (size_t)b->runs, sizeof *t, by_value);
    printf("%s: median %.3f s, least %.3f s, processor time %.3f s", what, t[b->runs / 2], t[0], cpu);
    if (flop > 0.0)
        printf(", %.0f GFLOP/s, %.0f per processor second", flop / t[b->runs / 2] * 1e-9, flop / cpu * 1e-9);
    printf(", peak memory so far %.0f MiB\n", peak_mib());
    free(t);
}

int main(int argc, char **argv)
{
    bench b = {.n = argc > 1 ? strtoull(argv[1], NULL, 10) : 3039, .d = argc > 2 ? strtoull(argv[2], NULL, 10) : 512};
    double flop;

    b.runs = argc > 4 ? atoi(argv[4]) : 5;
    must(cts_pool_create(&b.pool, argc > 3 ? atoi(argv[3]) : 2));
    make(&b);
    printf("%zu pairs of %zu dimensions, %d threads, %s; vectors alone are %.0f MiB\n", b.n, b.d, cts_pool_size(b.pool),
           cts_pair_isa(), (double)(2 * b.n * b.d) * 4.0 / 1048576.0);
    check(&b);
    flop = 2.0 * (double)b.n * (double)b.n * (double)b.d;
    timed(&b, "ranks, text to image and image to text", ranks, flop);
    timed(&b, "50 nearest neighbours of every volume", neighbours, flop);
    timed(&b, "1,000 resamples of 18 AUROCs", bootstrap, 0.0);
    cts_pool_destroy(b.pool);
    return 0;
}
