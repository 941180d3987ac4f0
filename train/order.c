/* SPDX-License-Identifier: MIT */
#include "train/order.h"

#include <math.h>
#include <stdlib.h>

#include "kernels/base/rng.h"
#include "kernels/base/status.h"

#define ORDER_STREAM 0x6f72646572u /* "order" */

int cts_order_init(cts_order *o, int64_t n, int64_t batch, bool shuffle, uint64_t seed)
{
    if (n < batch)
        return cts_fail(CTS_E_INPUT,
                        "training set: got %lld records, allowed: at least one batch of %lld (lower --batch)",
                        (long long)n, (long long)batch);
    *o = (cts_order){.n = n, .used = n / batch * batch, .seed = seed, .shuffle = shuffle};
    if (!(o->perm = malloc((size_t)n * sizeof *o->perm)))
        return cts_fail(CTS_E_NOMEM, "out of memory for an order of %lld records", (long long)n);
    return CTS_OK;
}

void cts_order_clear(cts_order *o)
{
    free(o->perm);
    o->perm = NULL;
}

int cts_order_weigh(cts_order *o, const double *weight)
{
    double sum = 0.0;

    for (int64_t i = 0; i < o->n; i++) {
        if (!(weight[i] >= 0.0))
            return cts_fail(CTS_E_INPUT, "training set: record %lld has weight %g, allowed 0 or more", (long long)i,
                            weight[i]);
        sum += weight[i];
    }
    if (!(sum > 0.0 && isfinite(sum)))
        return cts_fail(CTS_E_INPUT, "training set: the weights sum to %g, allowed above 0", sum);
    o->weight = weight;
    return CTS_OK;
}

/* Systematic sampling: n equal steps through the weights laid end to end, from a random start. */
static void draw(cts_order *o, cts_rng *r)
{
    double sum = 0.0, upto, at = cts_rng_unit(r);
    int64_t k = 0;

    for (int64_t i = 0; i < o->n; i++)
        sum += o->weight[i];
    upto = o->weight[0];
    for (int64_t i = 0; i < o->n; i++) {
        while (k < o->n - 1 && ((double)i + at) / (double)o->n * sum >= upto)
            upto += o->weight[++k];
        o->perm[i] = k;
    }
}

/* Fisher and Yates from the epoch's own stream. */
static void permute(cts_order *o, uint64_t epoch)
{
    cts_rng r = cts_rng_make(cts_rng_split(cts_rng_split(o->seed, ORDER_STREAM), epoch));

    for (int64_t i = 0; i < o->n; i++)
        o->perm[i] = i;
    if (o->weight)
        draw(o, &r);
    for (int64_t i = o->n - 1; o->shuffle && i > 0; i--) {
        int64_t k = (int64_t)cts_rng_below(&r, (uint64_t)i + 1), t = o->perm[i];

        o->perm[i] = o->perm[k];
        o->perm[k] = t;
    }
    o->epoch = epoch;
    o->ready = true;
}

int64_t cts_order_at(cts_order *o, uint64_t seq)
{
    uint64_t epoch = cts_order_epoch(o, seq);

    if (!o->ready || o->epoch != epoch)
        permute(o, epoch);
    return o->perm[seq % (uint64_t)o->used];
}
