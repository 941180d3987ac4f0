/* One pool of worker threads and a blocking parallel_for. No globals: who needs threads is handed a pool.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_BASE_THREAD_H
#define CTS_KERNELS_BASE_THREAD_H

#include <stddef.h>
#include <stdint.h>

typedef struct cts_pool cts_pool;

/* n_threads 0 = the CPUs this process may use. The calling thread counts as worker 0, so n-1 threads are started. */
int cts_pool_create(cts_pool **out, int n_threads);
void cts_pool_destroy(cts_pool *p);   /* NULL allowed */
int cts_pool_size(const cts_pool *p); /* NULL gives 1 */

/* Run fn(ctx, ith, nth) once on each of the nth = cts_pool_size(p) workers and wait for all. Returns CTS_OK or the
 * status of the lowest ith that failed, whose sentence becomes the caller's. p NULL runs fn(ctx, 0, 1) here. Not
 * reentrant: fn must not use the same pool. One caller at a time per pool (a second caller blocks until the first is
 * done). */
typedef int (*cts_task_fn)(void *ctx, int ith, int nth);
int cts_parallel_for(cts_pool *p, cts_task_fn fn, void *ctx);

/* The usual split of n items: worker ith of nth does [*lo, *hi). Contiguous, sizes differ by at most one unit of
 * `align`. */
void cts_split(int64_t n, int64_t align, int ith, int nth, int64_t *lo, int64_t *hi);

/* CPUs this process may run on (affinity mask). */
int cts_cpu_count(void);

#endif
