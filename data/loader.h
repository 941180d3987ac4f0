/* Items loaded ahead by worker threads, handed out strictly in sequence: the order depends on the caller's order
 * function alone, never on thread timing. A bounded ring holds at most `depth` items in flight. Items that failed are
 * handed out with their status and sentence, so that the caller reports, counts and skips them. Optionally keeps loaded
 * items in memory.
 * One consumer thread. SPDX-License-Identifier: MIT */
#ifndef CTS_DATA_LOADER_H
#define CTS_DATA_LOADER_H

#include <stddef.h>
#include <stdint.h>

typedef struct cts_loader cts_loader;

typedef struct {
    int64_t n_items;    /* records 0 .. n_items - 1 exist */
    size_t item_floats; /* floats of one loaded item */
    int threads;        /* worker threads, >= 1 */
    int depth;          /* items in flight, >= 1 */
    size_t cache_bytes; /* keep loaded items up to this many bytes; 0 = none */
    /* Record of sequence number seq (0, 1, 2, ...); -1 ends the sequence. Called under a lock, in order. */
    int64_t (*order)(void *ctx, uint64_t seq);
    /* Load one record into out [item_floats]; called from several threads at once. */
    int (*load)(void *ctx, int64_t record, float *out);
    void *ctx; /* borrowed, outlives the loader */
} cts_loader_options;

typedef struct {
    uint64_t seq;
    int64_t record;      /* -1: the sequence ended */
    int status;          /* CTS_OK, or why the record could not be loaded */
    const char *error;   /* its sentence; valid until the next call of cts_loader_next() */
    const float *floats; /* [item_floats]; valid until the next call of cts_loader_next(); NULL when status != CTS_OK */
} cts_loaded;

/* Starts loading from sequence number `first`. */
int cts_loader_create(cts_loader **out, const cts_loader_options *options, uint64_t first);
/* Waits for workers and frees; NULL allowed. */
void cts_loader_destroy(cts_loader *l);
/* The next item in sequence; the one handed out before it is released. */
void cts_loader_next(cts_loader *l, cts_loaded *item);
/* Seconds the consumer has waited in all. */
double cts_loader_waited(const cts_loader *l);

#endif
