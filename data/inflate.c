/* SPDX-License-Identifier: MIT */
#include "data/inflate.h"

#include <isa-l/igzip_lib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/status.h"

struct cts_inflate {
    struct inflate_state state;
    const uint8_t *end; /* one beyond the input */
    size_t n;           /* input bytes */
    const char *name;
    bool ended;
};

/* ISA-L counts in uint32_t. */
#define CHUNK ((size_t)1 << 30)

bool cts_is_gzip(const void *p, size_t n)
{
    const uint8_t *b = p;

    return n >= 2 && b[0] == 0x1f && b[1] == 0x8b;
}

static void member_start(cts_inflate *s, const uint8_t *at)
{
    isal_inflate_init(&s->state);
    s->state.crc_flag = ISAL_GZIP;
    s->state.next_in = (uint8_t *)(uintptr_t)at; /* the library's field lacks const, it does not write there */
    s->state.avail_in = 0;
}

int cts_inflate_open(cts_inflate **out, const void *p, size_t n, const char *name)
{
    cts_inflate *s;

    if (!cts_is_gzip(p, n))
        return cts_fail(CTS_E_FORMAT, "%s: the first bytes are not those of gzip (1f 8b)", name);
    if (!(s = malloc(sizeof *s)))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for the gzip reader", name);
    s->end = (const uint8_t *)p + n;
    s->n = n;
    s->name = name;
    s->ended = false;
    member_start(s, p);
    *out = s;
    return CTS_OK;
}

void cts_inflate_destroy(cts_inflate *s)
{
    free(s);
}

/* After a member: another one, padding, or rubbish. */
static int member_end(cts_inflate *s)
{
    const uint8_t *at = s->state.next_in;
    size_t left = (size_t)(s->end - at);

    if (cts_is_gzip(at, left)) {
        member_start(s, at);
        return CTS_OK;
    }
    for (size_t i = 0; i < left; i++)
        if (at[i])
            return cts_fail(CTS_E_FORMAT,
                            "%s: %zu bytes behind the gzip data at offset %zu are neither another member nor zeros",
                            s->name, left, s->n - left);
    s->ended = true;
    return CTS_OK;
}

static const char *fault(int rc)
{
    switch (rc) {
    case ISAL_INCORRECT_CHECKSUM:
        return "the CRC or the length at its end does not match";
    case ISAL_INVALID_WRAPPER:
    case ISAL_UNSUPPORTED_METHOD:
        return "its member header is damaged";
    case ISAL_INVALID_BLOCK:
    case ISAL_INVALID_SYMBOL:
    case ISAL_INVALID_LOOKBACK:
        return "its deflate data are damaged";
    default:
        return "it cannot be decoded";
    }
}

int cts_inflate_read(cts_inflate *s, void *buf, size_t n, size_t *got)
{
    size_t done = 0;
    int rc;

    while (done < n && !s->ended) {
        size_t in_left = (size_t)(s->end - s->state.next_in);
        uint32_t in_given = (uint32_t)(in_left < CHUNK ? in_left : CHUNK), out_given;

        s->state.avail_in = in_given;
        out_given = s->state.avail_out = (uint32_t)(n - done < CHUNK ? n - done : CHUNK);
        s->state.next_out = (uint8_t *)buf + done;
        rc = isal_inflate(&s->state);
        done += out_given - s->state.avail_out;
        if (rc != ISAL_DECOMP_OK && rc != ISAL_END_INPUT)
            return cts_fail(CTS_E_FORMAT, "%s: gzip data damaged near offset %zu of %zu: %s", s->name,
                            s->n - (size_t)(s->end - s->state.next_in), s->n, fault(rc));
        if (s->state.block_state == ISAL_BLOCK_FINISH) {
            if ((rc = member_end(s)))
                return rc;
        } else if (s->state.avail_in == in_given && s->state.avail_out == out_given) {
            return cts_fail(CTS_E_FORMAT, "%s: gzip data truncated: it ends at offset %zu in the middle of a member",
                            s->name, s->n);
        }
    }
    *got = done;
    return CTS_OK;
}

int cts_inflate_all(char **data, size_t *n_out, const void *p, size_t n, size_t max_bytes, const char *name)
{
    cts_inflate *s = NULL;
    char *buf = NULL, *grown;
    size_t cap = 1 << 16, used = 0, got = 0;
    int rc;

    if ((rc = cts_inflate_open(&s, p, n, name)))
        goto out;
    for (;;) {
        if (!(grown = realloc(buf, cap + 1))) {
            rc = cts_fail(CTS_E_NOMEM, "%s: out of memory for %zu inflated bytes", name, cap);
            goto out;
        }
        buf = grown;
        if ((rc = cts_inflate_read(s, buf + used, cap - used, &got)))
            goto out;
        used += got;
        if (used > max_bytes) {
            rc = cts_fail(CTS_E_LIMIT, "%s: inflates to more than %zu bytes, the limit", name, max_bytes);
            goto out;
        }
        if (used < cap)
            break;
        cap = cap > max_bytes / 2 ? max_bytes + 1 : cap * 2;
    }
    buf[used] = '\0';
    *data = buf;
    *n_out = used;
    buf = NULL;
out:
    cts_inflate_destroy(s);
    free(buf);
    return rc;
}
