/* The order in which records are drawn: a permutation an epoch, a pure function of (seed, epoch). The last,
 * incomplete batch of an epoch is left out. With weights a record is drawn so often as its share of their sum says, up
 * to rounding up or down, still n draws an epoch.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TRAIN_ORDER_H
#define CTS_TRAIN_ORDER_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int64_t n, used; /* records; drawn an epoch = n / batch * batch */
    uint64_t seed, epoch;
    bool shuffle, ready;
    int64_t *perm;
    const double *weight; /* [n] or NULL; borrowed */
} cts_order;

/* CTS_E_INPUT when n < batch. End with cts_order_clear(). */
int cts_order_init(cts_order *o, int64_t n, int64_t batch, bool shuffle, uint64_t seed);
/* Weights [n], finite and not negative, with a sum above 0 (CTS_E_INPUT); before the first draw. */
int cts_order_weigh(cts_order *o, const double *weight);
void cts_order_clear(cts_order *o);
/* Record of sequence number seq; calls in any order, cheap when epochs come in sequence. */
int64_t cts_order_at(cts_order *o, uint64_t seq);
static inline uint64_t cts_order_epoch(const cts_order *o, uint64_t seq)
{
    return seq / (uint64_t)o->used;
}

#endif
