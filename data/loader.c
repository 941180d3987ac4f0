/* A ring of `depth` slots. Slot seq % depth goes EMPTY -> LOADING -> READY -> (handed out) -> EMPTY; workers claim
 * sequence numbers in order, the consumer waits for the slot of its next number.
 * SPDX-License-Identifier: MIT */
#include "data/loader.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/arena.h"
#include "kernels/base/log.h"
#include "kernels/base/status.h"

typedef enum { SLOT_EMPTY, SLOT_LOADING, SLOT_READY } slot_state;

typedef struct {
    slot_state state;
    int64_t record;
    int status;
    char error[1024];
    float *own;          /* [item_floats] */
    const float *floats; /* own or a cached item */
} slot;

struct cts_loader {
    cts_loader_options o;
    pthread_mutex_t lock;
    pthread_cond_t ready, room;
    pthread_t *thread;
    int n_threads;
    slot *ring;
    uint64_t next_claim, next_out; /* sequence numbers */
    bool ended, stop, handed_out;
    uint64_t end;  /* first number without a record, when ended */
    float **cache; /* [n_items] or NULL */
    size_t cached;
    double waited;
};

/* Claim the next number and its slot; false = stop. Called with the lock held. */
static bool claim(cts_loader *l, slot **s)
{
    for (;;) {
        if (l->stop || l->ended)
            return false;
        if (l->next_claim < l->next_out + (uint64_t)l->o.depth &&
            l->ring[l->next_claim % (uint64_t)l->o.depth].state == SLOT_EMPTY)
            break;
        pthread_cond_wait(&l->room, &l->lock);
    }
    *s = &l->ring[l->next_claim % (uint64_t)l->o.depth];
    (*s)->record = l->o.order(l->o.ctx, l->next_claim);
    if ((*s)->record < 0) {
        l->ended = true;
        l->end = l->next_claim;
        pthread_cond_broadcast(&l->ready);
        pthread_cond_broadcast(&l->room);
        return false;
    }
    (*s)->state = SLOT_LOADING;
    l->next_claim++;
    return true;
}

/* Keep a copy of a loaded item while the budget lasts. Called with the lock held. */
static void remember(cts_loader *l, const slot *s)
{
    size_t bytes = l->o.item_floats * sizeof(float);
    float *copy;

    if (!l->cache || l->cache[s->record] || l->cached + bytes > l->o.cache_bytes || !(copy = cts_aligned_alloc(bytes)))
        return;
    memcpy(copy, s->own, bytes);
    l->cache[s->record] = copy;
    l->cached += bytes;
}

static void *worker(void *arg)
{
    cts_loader *l = arg;
    slot *s;

    pthread_mutex_lock(&l->lock);
    while (claim(l, &s)) {
        const float *known = l->cache ? l->cache[s->record] : NULL;

        s->status = CTS_OK;
        s->floats = known ? known : s->own;
        if (!known) {
            pthread_mutex_unlock(&l->lock);
            s->status = l->o.load(l->o.ctx, s->record, s->own);
            if (s->status)
                snprintf(s->error, sizeof s->error, "%s", cts_error());
            pthread_mutex_lock(&l->lock);
            if (!s->status)
                remember(l, s);
        }
        s->state = SLOT_READY;
        pthread_cond_broadcast(&l->ready);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

int cts_loader_create(cts_loader **out, const cts_loader_options *options, uint64_t first)
{
    cts_loader *l = calloc(1, sizeof *l);
    bool ok;

    if (!l)
        return cts_fail(CTS_E_NOMEM, "out of memory for a loader");
    l->o = *options;
    l->next_claim = l->next_out = first;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->ready, NULL);
    pthread_cond_init(&l->room, NULL);
    l->ring = calloc((size_t)l->o.depth, sizeof *l->ring);
    l->thread = calloc((size_t)l->o.threads, sizeof *l->thread);
    ok = l->ring && l->thread;
    if (ok && l->o.cache_bytes)
        ok = (l->cache = calloc((size_t)l->o.n_items + 1, sizeof *l->cache)) != NULL;
    for (int i = 0; ok && i < l->o.depth; i++)
        ok = (l->ring[i].own = cts_aligned_alloc(l->o.item_floats * sizeof(float))) != NULL;
    if (!ok) {
        cts_loader_destroy(l);
        return cts_fail(CTS_E_NOMEM, "out of memory for a loader of %d items of %.1f MB; lower --prefetch",
                        options->depth, (double)options->item_floats * 4e-6);
    }
    for (; l->n_threads < l->o.threads; l->n_threads++)
        if (pthread_create(&l->thread[l->n_threads], NULL, worker, l)) {
            cts_loader_destroy(l);
            return cts_fail(CTS_E_IO, "cannot start a loader thread");
        }
    *out = l;
    return CTS_OK;
}

void cts_loader_destroy(cts_loader *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->room);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->n_threads; i++)
        pthread_join(l->thread[i], NULL);
    for (int i = 0; l->ring && i < l->o.depth; i++)
        cts_aligned_free(l->ring[i].own);
    for (int64_t i = 0; l->cache && i < l->o.n_items; i++)
        cts_aligned_free(l->cache[i]);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->ready);
    pthread_cond_destroy(&l->room);
    free(l->cache);
    free(l->ring);
    free(l->thread);
    free(l);
}

void cts_loader_next(cts_loader *l, cts_loaded *item)
{
    double t0 = cts_now();
    slot *s;

    pthread_mutex_lock(&l->lock);
    if (l->handed_out) {
        l->ring[l->next_out % (uint64_t)l->o.depth].state = SLOT_EMPTY;
        l->next_out++;
        l->handed_out = false;
        pthread_cond_broadcast(&l->room);
    }
    s = &l->ring[l->next_out % (uint64_t)l->o.depth];
    while (!(l->ended && l->next_out >= l->end) && !(s->state == SLOT_READY && l->next_out < l->next_claim))
        pthread_cond_wait(&l->ready, &l->lock);
    *item = (cts_loaded){.seq = l->next_out, .record = -1};
    if (!(l->ended && l->next_out >= l->end)) {
        item->record = s->record;
        item->status = s->status;
        item->error = s->error;
        item->floats = s->status ? NULL : s->floats;
        l->handed_out = true;
    }
    pthread_mutex_unlock(&l->lock);
    l->waited += cts_now() - t0;
}

double cts_loader_waited(const cts_loader *l)
{
    return l->waited;
}
