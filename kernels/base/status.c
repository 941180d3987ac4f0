/* SPDX-License-Identifier: MIT */
#include "kernels/base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kernels/base/check.h"

#define SENTENCE_BYTES 1024

static _Thread_local char sentence[SENTENCE_BYTES];

/* Indexed by status. */
static const struct {
    const char *name;
    int exit_code;
} codes[] = {
    [CTS_OK] = {"ok", 0},
    [CTS_E_USAGE] = {"usage", 1},
    [CTS_E_FORMAT] = {"format", 2},
    [CTS_E_INPUT] = {"input", 2},
    [CTS_E_LIMIT] = {"limit", 2},
    [CTS_E_NOTFOUND] = {"notfound", 2},
    [CTS_E_IO] = {"io", 3},
    [CTS_E_NOMEM] = {"nomem", 3},
    [CTS_E_BUSY] = {"busy", 3},
    [CTS_E_FULL] = {"full", 3},
    [CTS_E_MISMATCH] = {"mismatch", 4},
    [CTS_E_INTERRUPTED] = {"interrupted", 130},
    [CTS_E_UNSUPPORTED] = {"unsupported", 2},
    [CTS_E_PARTIAL] = {"partial", 5},
};

/* A cut in the middle of a UTF-8 sequence would make the whole line unprintable for some readers: drop the torn end. */
static void drop_torn_utf8(char *s, size_t n)
{
    size_t back = 0, need;
    unsigned char lead;

    while (back < n && back < 3 && ((unsigned char)s[n - 1 - back] & 0xc0) == 0x80)
        back++;
    if (back == n)
        return;
    lead = (unsigned char)s[n - 1 - back];
    need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (need > back + 1)
        s[n - 1 - back] = '\0';
}

/* The arguments may point into the old sentence, so the new one is built aside. */
static void record(const char *tail, const char *fmt, va_list ap)
{
    char fresh[SENTENCE_BYTES];
    int n = vsnprintf(fresh, sizeof(fresh), fmt, ap);
    size_t used = n < 0 ? 0 : (size_t)n;

    if (n < 0)
        fresh[0] = '\0';
    if (used < sizeof(fresh) && tail)
        used += (size_t)snprintf(fresh + used, sizeof(fresh) - used, ": %s", tail);
    if (used >= sizeof(fresh))
        drop_torn_utf8(fresh, sizeof(fresh) - 1);
    memcpy(sentence, fresh, sizeof(sentence));
}

int cts_fail(int rc, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    record(NULL, fmt, ap);
    va_end(ap);
    return rc;
}

int cts_fail_in(int rc, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    record(sentence, fmt, ap);
    va_end(ap);
    return rc;
}

const char *cts_error(void)
{
    return sentence;
}

const char *cts_status_name(int rc)
{
    return rc >= 0 && (size_t)rc < CTS_COUNT(codes) ? codes[rc].name : "unknown";
}

int cts_exit_code(int rc)
{
    return rc >= 0 && (size_t)rc < CTS_COUNT(codes) ? codes[rc].exit_code : 3;
}
