/* SPDX-License-Identifier: MIT */
#include "kernels/base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"

void cts_str_free(cts_str *s)
{
    if (!s)
        return;
    free(s->p);
    memset(s, 0, sizeof(*s));
}

void cts_str_clear(cts_str *s)
{
    s->n = 0;
    if (s->p)
        s->p[0] = '\0';
}

/* Room for `more` bytes and the NUL behind them. */
static bool str_reserve(cts_str *s, size_t more)
{
    size_t need, cap;
    char *p;

    if (s->failed)
        return false;
    if (!cts_add_size(&need, s->n, more) || !cts_add_size(&need, need, 1)) {
        s->failed = true;
        return false;
    }
    if (need <= s->cap)
        return true;
    cap = s->cap < 64 ? 64 : s->cap;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    p = realloc(s->p, cap);
    if (!p) {
        s->failed = true;
        return false;
    }
    s->p = p;
    s->cap = cap;
    return true;
}

void cts_str_append_n(cts_str *s, const char *text, size_t n)
{
    if (!str_reserve(s, n))
        return;
    if (n)
        memcpy(s->p + s->n, text, n);
    s->n += n;
    s->p[s->n] = '\0';
}

void cts_str_append(cts_str *s, const char *text)
{
    cts_str_append_n(s, text, strlen(text));
}

void cts_str_printf(cts_str *s, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        s->failed = true;
    if (n < 0 || !str_reserve(s, (size_t)n))
        return;
    va_start(ap, fmt);
    vsnprintf(s->p + s->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    s->n += (size_t)n;
}

const char *cts_str_text(const cts_str *s)
{
    return s->p ? s->p : "";
}

size_t cts_utf8_decode(uint32_t *cp, const char *p, size_t n)
{
    /* smallest code point that may use a sequence of this length: anything below is an overlong form */
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char lead = (unsigned char)p[0];
    size_t len = lead < 0x80 ? 1 : lead < 0xc0 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf8 ? 4 : 0;
    uint32_t v;

    if (len == 1) {
        *cp = lead;
        return 1;
    }
    if (len == 0 || len > n)
        goto malformed;
    v = lead & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        unsigned char c = (unsigned char)p[i];

        if ((c & 0xc0) != 0x80)
            goto malformed;
        v = v << 6 | (c & 0x3fu);
    }
    if (v < least[len] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
        goto malformed;
    *cp = v;
    return len;
malformed:
    *cp = 0xfffd;
    return 1;
}

size_t cts_utf8_encode(char out[4], uint32_t cp)
{
    if (cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
        cp = 0xfffd;
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xc0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xe0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
        out[2] = (char)(0x80 | (cp & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
    out[3] = (char)(0x80 | (cp & 0x3f));
    return 4;
}

uint64_t cts_fnv1a64(const void *p, size_t n)
{
    const unsigned char *c = p;
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < n; i++)
        h = (h ^ c[i]) * 0x100000001b3u;
    return h;
}

char *cts_strdup(const char *s)
{
    size_t n;
    char *p;

    if (!s)
        return NULL;
    n = strlen(s) + 1;
    p = malloc(n);
    if (p)
        memcpy(p, s, n);
    return p;
}

char *cts_asprintf(const char *fmt, ...)
{
    va_list ap;
    char *p;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return NULL;
    p = malloc((size_t)n + 1);
    if (!p)
        return NULL;
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}
