/* Log lines (stderr by default, never stdout), a monotonic clock and a progress bar.
 * The bar draws over itself when stderr is a terminal and prints a plain line every few seconds when it is not.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_BASE_LOG_H
#define CTS_KERNELS_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/base/status.h"

typedef enum { CTS_LOG_ERROR, CTS_LOG_WARN, CTS_LOG_INFO, CTS_LOG_DEBUG } cts_log_level;

/* Any thread. Lines above the level set are dropped. */
void cts_log(cts_log_level level, const char *fmt, ...) CTS_PRINTF(2, 3);
void cts_log_set_level(cts_log_level level);
/* Replace stderr by a callback (NULL restores stderr). Call before threads start. */
void cts_log_set_callback(void (*fn)(void *ctx, cts_log_level level, const char *line), void *ctx);

/* Monotonic seconds. */
double cts_now(void);

/* One bar at a time per process; the calls may come from one thread only. */
typedef struct {
    const char *what; /* borrowed */
    uint64_t total, done;
    double started, drawn;
    bool terminal, quiet;
} cts_progress;
void cts_progress_start(cts_progress *p, const char *what, uint64_t total);
/* note: short text after the bar ("loss 1.23"), may be NULL. */
void cts_progress_set(cts_progress *p, uint64_t done, const char *note);
void cts_progress_end(cts_progress *p);
/* --quiet: bars and info lines are dropped. */
void cts_log_set_quiet(bool quiet);

#endif
