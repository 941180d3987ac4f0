/* Statuses and the thread's error sentence.
 *
 * Every fallible function of the project returns int: CTS_OK (0) or one of the codes below. Results leave through
 * out-pointers, which stay untouched on failure. The function that first notices a fault calls cts_fail() with ONE
 * sentence that names file, field, got and allowed; callers only pass the code up (or prefix context with
 * cts_fail_in()). Library code never prints, exits or aborts on input; programming mistakes end in CTS_ASSERT
 * (check.h). The sentence is thread-local; cts_parallel_for() and the loader carry a worker's sentence to the caller's
 * thread.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_BASE_STATUS_H
#define CTS_KERNELS_BASE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    CTS_OK = 0,
    CTS_E_USAGE = 1,        /* the command line is wrong                               exit 1 */
    CTS_E_FORMAT = 2,       /* bytes of a file are not what the format allows          exit 2 */
    CTS_E_INPUT = 3,        /* well-formed input with a value that cannot be used      exit 2 */
    CTS_E_LIMIT = 4,        /* a size over a stated limit (bombs, huge dimensions)     exit 2 */
    CTS_E_NOTFOUND = 5,     /* an id, name or key that does not exist                  exit 2 */
    CTS_E_IO = 6,           /* the system refused: open, read, write, disk full        exit 3 */
    CTS_E_NOMEM = 7,        /* allocation failed                                       exit 3 */
    CTS_E_BUSY = 8,         /* another process holds the lock                          exit 3 */
    CTS_E_FULL = 9,         /* the LMDB map is full                                    exit 3 */
    CTS_E_MISMATCH = 10,    /* model, tokenizer, recipe or shape differ from required  exit 4 */
    CTS_E_INTERRUPTED = 11, /* Ctrl-C or SIGTERM; everything promised is on disk       exit 130 */
    CTS_E_UNSUPPORTED = 12, /* not built, or a feature this file uses is not supported exit 2 */
    CTS_E_PARTIAL = 13      /* work done, but some items were skipped and reported     exit 5 */
} cts_status;

#if defined(__GNUC__)
#define CTS_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define CTS_PRINTF(fmt, args)
#endif

/* Record the sentence of this thread and return rc. Long sentences are cut at 1,023 bytes. */
int cts_fail(int rc, const char *fmt, ...) CTS_PRINTF(2, 3);
/* Prefix the recorded sentence with "<context>: " and return rc. */
int cts_fail_in(int rc, const char *fmt, ...) CTS_PRINTF(2, 3);
/* The sentence of the last cts_fail() of this thread; "" when none. Valid until the next call on this thread. */
const char *cts_error(void);
/* Short name of a code, "input", "io", ... */
const char *cts_status_name(int rc);
/* Process exit code of a status: see the table above. */
int cts_exit_code(int rc);

#ifdef __cplusplus
}
#endif
#endif
