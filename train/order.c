/* SPDX-License-Identifier: MIT */
#include "train/order.h"

#include <stdlib.h>

#include "kernels/base/rng.h"
#include "kernels/base/status.h"

int cts_order_init(cts_order *o, int64_t n, int64_t batch, bool shuffle, uint64_t seed)
{
    if (n < batch)
        return cts_fail(CTS_E_INPUT,
                        "training set: got %lld pairs, allowed: at least one batch of %lld (lower --batch)",
                        (long long)n, (long long)batch);
    *o = (cts_order){.n = n, .used = n / batch * batch, .seed = seed, .shuffle = shuffle};
    if (!(o->perm = malloc((size_t)n * sizeof *o->perm)))
        return cts_fail(CTS_E_NOMEM, "out of memory for an order of %lld pairs", (long long)n);
    return CTS_OK;
}

void cts_order_clear(cts_order *o)
{
    free(o->perm);
    o->perm = NULL;
}

/* Fisher and Yates from the epoch's own stream. */
static void permute(cts_order *o, uint64_t epoch)
{
    cts_rng r = cts_rng_make(cts_rng_split(cts_rng_split(o->seed, 0x6f72646572), epoch));

    for (int64_t i = 0; i < o->n; i++)
        o->perm[i] = i;
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
