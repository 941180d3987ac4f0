/* Workers sleep on `start` until the generation changes and report on `done`; nobody spins, so an idle pool costs
 * nothing and a process with more pools than CPUs still makes progress.
 * SPDX-License-Identifier: MIT */
#include "kernels/base/thread.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/status.h"

#define SENTENCE_BYTES 1024
#define MAX_THREADS 1024

struct worker {
    struct cts_pool *pool;
    pthread_t thread;
    int ith;
    int rc;                        /* of the last run */
    char sentence[SENTENCE_BYTES]; /* of that rc */
};

struct cts_pool {
    int n;
    int started;             /* threads that exist: workers[1..started] */
    struct worker *workers;  /* [n]; 0 is the caller */
    pthread_mutex_t callers; /* held for a whole parallel_for: one caller at a time */
    pthread_mutex_t lock;    /* guards what follows */
    pthread_cond_t start, done;
    uint64_t generation; /* raised once a parallel_for */
    int running;
    bool stop;
    cts_task_fn fn;
    void *ctx;
};

static void run_one(struct worker *w, cts_task_fn fn, void *ctx, int nth)
{
    w->rc = fn(ctx, w->ith, nth);
    if (w->rc != CTS_OK)
        snprintf(w->sentence, sizeof(w->sentence), "%s", cts_error());
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct cts_pool *p = w->pool;
    uint64_t seen = 0;

    pthread_mutex_lock(&p->lock);
    for (;;) {
        cts_task_fn fn;
        void *ctx;

        while (!p->stop && p->generation == seen)
            pthread_cond_wait(&p->start, &p->lock);
        if (p->stop)
            break;
        seen = p->generation;
        fn = p->fn;
        ctx = p->ctx;
        pthread_mutex_unlock(&p->lock);
        run_one(w, fn, ctx, p->n);
        pthread_mutex_lock(&p->lock);
        if (--p->running == 0)
            pthread_cond_signal(&p->done);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Threads start with the program's signals blocked: SIGINT and SIGTERM belong to the thread that polls the flag. */
static int start_threads(struct cts_pool *p)
{
    sigset_t block, old;
    int rc = CTS_OK, err;

    sigfillset(&block);
    sigdelset(&block, SIGSEGV);
    sigdelset(&block, SIGBUS);
    sigdelset(&block, SIGFPE);
    sigdelset(&block, SIGILL);
    pthread_sigmask(SIG_SETMASK, &block, &old);
    for (int i = 1; i < p->n; i++) {
        err = pthread_create(&p->workers[i].thread, NULL, worker_main, &p->workers[i]);
        if (err) {
            rc = cts_fail(CTS_E_NOMEM, "cannot start thread %d of %d: %s", i + 1, p->n, strerror(err));
            break;
        }
        p->started = i;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

int cts_pool_create(cts_pool **out, int n_threads)
{
    cts_pool *p;
    int rc;

    if (n_threads < 0 || n_threads > MAX_THREADS)
        return cts_fail(CTS_E_USAGE, "threads: got %d, allowed 0 (all CPUs) to %d", n_threads, MAX_THREADS);
    if (n_threads == 0)
        n_threads = cts_cpu_count();
    p = calloc(1, sizeof(*p));
    if (!p)
        return cts_fail(CTS_E_NOMEM, "out of memory for a pool of %d threads", n_threads);
    pthread_mutex_init(&p->callers, NULL);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->start, NULL);
    pthread_cond_init(&p->done, NULL);
    p->n = n_threads;
    p->workers = calloc((size_t)n_threads, sizeof(*p->workers));
    if (!p->workers) {
        rc = cts_fail(CTS_E_NOMEM, "out of memory for a pool of %d threads", n_threads);
        goto out;
    }
    for (int i = 0; i < n_threads; i++) {
        p->workers[i].pool = p;
        p->workers[i].ith = i;
    }
    rc = start_threads(p);
    if (rc)
        goto out;
    *out = p;
    p = NULL;
out:
    cts_pool_destroy(p);
    return rc;
}

void cts_pool_destroy(cts_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->lock);
    for (int i = 1; i <= p->started; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->start);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->callers);
    free(p->workers);
    free(p);
}

int cts_pool_size(const cts_pool *p)
{
    return p ? p->n : 1;
}

int cts_parallel_for(cts_pool *p, cts_task_fn fn, void *ctx)
{
    int rc = CTS_OK;

    if (!p)
        return fn(ctx, 0, 1);
    pthread_mutex_lock(&p->callers);
    if (p->n > 1) {
        pthread_mutex_lock(&p->lock);
        p->fn = fn;
        p->ctx = ctx;
        p->running = p->n - 1;
        p->generation++;
        pthread_cond_broadcast(&p->start);
        pthread_mutex_unlock(&p->lock);
    }
    run_one(&p->workers[0], fn, ctx, p->n);
    if (p->n > 1) {
        pthread_mutex_lock(&p->lock);
        while (p->running)
            pthread_cond_wait(&p->done, &p->lock);
        pthread_mutex_unlock(&p->lock);
    }
    for (int i = 0; i < p->n && rc == CTS_OK; i++)
        if (p->workers[i].rc != CTS_OK)
            rc = cts_fail(p->workers[i].rc, "%s", p->workers[i].sentence);
    pthread_mutex_unlock(&p->callers);
    return rc;
}

void cts_split(int64_t n, int64_t align, int ith, int nth, int64_t *lo, int64_t *hi)
{
    int64_t units, each, extra, first;

    CTS_ASSERT(n >= 0 && align > 0 && nth > 0 && ith >= 0 && ith < nth, "n %lld align %lld worker %d of %d",
               (long long)n, (long long)align, ith, nth);
    units = n / align + (n % align != 0);
    each = units / nth;
    extra = units % nth; /* the first `extra` workers do one unit more */
    first = each * ith + cts_min_i64(ith, extra);
    *lo = cts_min_i64(first * align, n);
    *hi = cts_min_i64((first + each + (ith < extra)) * align, n);
}

int cts_cpu_count(void)
{
    cpu_set_t set;
    int n = 0;

    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        n = CPU_COUNT(&set);
    return n > 0 ? n : 1;
}
