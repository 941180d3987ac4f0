/* SPDX-License-Identifier: MIT */
#include "kernels/base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 2048
#define TERMINAL_SECONDS 0.1 /* between two drawings on a terminal */
#define PLAIN_SECONDS 5.0    /* between two lines in a file or pipe */
#define BAR_CELLS 24

static atomic_int log_level = CTS_LOG_INFO;
static atomic_bool log_quiet;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER; /* one line at a time, and the bar's state */
static bool bar_drawn;                                       /* a bar is on the terminal's current line */
static void (*log_fn)(void *ctx, cts_log_level level, const char *line);
static void *log_ctx;

void cts_log_set_level(cts_log_level level)
{
    atomic_store(&log_level, level);
}

void cts_log_set_quiet(bool quiet)
{
    atomic_store(&log_quiet, quiet);
}

void cts_log_set_callback(void (*fn)(void *ctx, cts_log_level level, const char *line), void *ctx)
{
    log_fn = fn;
    log_ctx = ctx;
}

void cts_log(cts_log_level level, const char *fmt, ...)
{
    static const char *const prefix[] = {"error: ", "warning: ", "", "debug: "};
    char line[LINE_BYTES];
    va_list ap;

    if ((int)level > atomic_load(&log_level) || (level >= CTS_LOG_INFO && atomic_load(&log_quiet)))
        return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&log_lock);
    if (log_fn) {
        log_fn(log_ctx, level, line);
    } else {
        fprintf(stderr, "%s%s%s\n", bar_drawn ? "\r\033[K" : "", prefix[level], line);
        bar_drawn = false;
    }
    pthread_mutex_unlock(&log_lock);
}

double cts_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* "1:05" or "1:02:03" */
static void format_seconds(char *out, size_t n, double seconds)
{
    unsigned long s = seconds > 0 && seconds < 1e9 ? (unsigned long)(seconds + 0.5) : 0;

    if (s >= 3600)
        snprintf(out, n, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, n, "%lu:%02lu", s / 60, s % 60);
}

static void progress_draw(cts_progress *p, const char *note, bool last)
{
    char bar[BAR_CELLS + 1], spent[32], left[32];
    double now = cts_now(), part = p->total ? (double)p->done / (double)p->total : 1.0;
    int cells;

    part = part > 1.0 ? 1.0 : part;
    cells = (int)(part * BAR_CELLS);
    memset(bar, '.', BAR_CELLS);
    memset(bar, '#', (size_t)cells);
    bar[BAR_CELLS] = '\0';
    format_seconds(spent, sizeof(spent), now - p->started);
    format_seconds(left, sizeof(left), part > 0 ? (now - p->started) * (1.0 - part) / part : 0);
    p->drawn = now;
    if (!p->terminal || log_fn) {
        cts_log(CTS_LOG_INFO, "%s: %llu/%llu (%.0f %%), %s spent%s%s%s%s%s", p->what, (unsigned long long)p->done,
                (unsigned long long)p->total, 100.0 * part, spent, last ? "" : ", ", last ? "" : left,
                last ? "" : " left", note && note[0] ? ", " : "", note ? note : "");
        return;
    }
    pthread_mutex_lock(&log_lock);
    fprintf(stderr, "\r%s [%s] %llu/%llu %s%s%s%s%s\033[K", p->what, bar, (unsigned long long)p->done,
            (unsigned long long)p->total, spent, last ? "" : " +", last ? "" : left, note && note[0] ? "  " : "",
            note ? note : "");
    if (last)
        fputc('\n', stderr);
    fflush(stderr);
    bar_drawn = !last;
    pthread_mutex_unlock(&log_lock);
}

void cts_progress_start(cts_progress *p, const char *what, uint64_t total)
{
    memset(p, 0, sizeof(*p));
    p->what = what;
    p->total = total;
    p->started = p->drawn = cts_now();
    p->terminal = isatty(STDERR_FILENO);
    p->quiet = atomic_load(&log_quiet);
}

void cts_progress_set(cts_progress *p, uint64_t done, const char *note)
{
    p->done = done;
    if (p->quiet || cts_now() - p->drawn < (p->terminal ? TERMINAL_SECONDS : PLAIN_SECONDS))
        return;
    progress_draw(p, note, false);
}

void cts_progress_end(cts_progress *p)
{
    if (!p->quiet)
        progress_draw(p, NULL, true);
    p->quiet = true; /* ending twice is harmless */
}
