/* SPDX-License-Identifier: MIT */
#include "data/gzip_write.h"

#include <isa-l/igzip_lib.h>
#include <stdint.h>
#include <stdlib.h>

#include "kernels/base/status.h"

#define OUT_BYTES (256 * 1024)

struct cts_gzip {
    struct isal_zstream stream;
    cts_writer *w;
    uint8_t *level_buf;
    uint8_t out[OUT_BYTES];
};

int cts_gzip_open(cts_gzip **out, cts_writer *w, int level)
{
    static const uint32_t work[4] = {0, ISAL_DEF_LVL1_DEFAULT, ISAL_DEF_LVL2_DEFAULT, ISAL_DEF_LVL3_DEFAULT};
    int isal_level = level <= 1 ? 1 : level <= 5 ? 2 : 3, rc = CTS_OK;
    cts_gzip *g = NULL;

    if (level < 0 || level > 9)
        return cts_fail(CTS_E_USAGE, "gzip: level is %d, allowed 1 to 9", level);
    if (!(g = calloc(1, sizeof *g)) || !(g->level_buf = malloc(work[isal_level]))) {
        rc = cts_fail(CTS_E_NOMEM, "gzip: out of memory for the compressor");
        goto out;
    }
    isal_deflate_init(&g->stream);
    g->stream.gzip_flag = IGZIP_GZIP;
    g->stream.level = (uint32_t)isal_level;
    g->stream.level_buf = g->level_buf;
    g->stream.level_buf_size = work[isal_level];
    g->w = w;
    *out = g;
    g = NULL;
out:
    cts_gzip_destroy(g);
    return rc;
}

void cts_gzip_destroy(cts_gzip *g)
{
    if (!g)
        return;
    free(g->level_buf);
    free(g);
}

static int push(cts_gzip *g, const uint8_t *p, uint32_t n, bool last)
{
    int rc;

    g->stream.next_in = (uint8_t *)(uintptr_t)p; /* not written by the library */
    g->stream.avail_in = n;
    g->stream.end_of_stream = last;
    do {
        g->stream.next_out = g->out;
        g->stream.avail_out = OUT_BYTES;
        if ((rc = isal_deflate(&g->stream)) != COMP_OK)
            return cts_fail(CTS_E_IO, "gzip: the compressor failed with code %d", rc);
        if ((rc = cts_writer_write(g->w, g->out, OUT_BYTES - g->stream.avail_out)))
            return rc;
    } while (g->stream.avail_out == 0 || g->stream.avail_in > 0);
    return CTS_OK;
}

int cts_gzip_write(cts_gzip *g, const void *p, size_t n)
{
    const uint8_t *b = p;
    int rc;

    while (n) {
        size_t k = n < (1u << 30) ? n : 1u << 30;

        if ((rc = push(g, b, (uint32_t)k, false)))
            return rc;
        b += k;
        n -= k;
    }
    return CTS_OK;
}

int cts_gzip_finish(cts_gzip *g)
{
    return push(g, NULL, 0, true);
}
