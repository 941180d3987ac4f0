/* SPDX-License-Identifier: MIT */
#include "tests/support/nifti_bytes.h"

#include <stdlib.h>
#include <string.h>

cts_nifti_spec cts_nifti_spec_make(int64_t nx, int64_t ny, int64_t nz)
{
    cts_nifti_spec s = {.version = 1, .dim = {3, nx, ny, nz, 1, 1, 1, 1}, .datatype = 4, .slope = 1, .sform = 1};
    const double mm[8] = {1, 0.75, 0.875, 1.5, 1, 1, 1, 1};

    memcpy(s.pixdim, mm, sizeof mm);
    for (int a = 0; a < 3; a++)
        s.srow[a][a] = mm[a + 1];
    return s;
}

static void put(uint8_t *at, const void *value, size_t width, bool big)
{
    const uint8_t *v = value; /* the tests run on little-endian machines */

    for (size_t i = 0; i < width; i++)
        at[i] = v[big ? width - 1 - i : i];
}

#define PUT(T, at, value)                                                                                              \
    do {                                                                                                               \
        T put_v = (T)(value);                                                                                          \
        put((at), &put_v, sizeof put_v, s->big_endian);                                                                \
    } while (0)

static void header1(uint8_t *h, const cts_nifti_spec *s, double offset)
{
    PUT(int32_t, h, 348);
    for (int a = 0; a < 8; a++)
        PUT(int16_t, h + 40 + 2 * a, s->dim[a]);
    PUT(int16_t, h + 70, s->datatype);
    for (int a = 0; a < 8; a++)
        PUT(float, h + 76 + 4 * a, s->pixdim[a]);
    PUT(float, h + 108, offset);
    PUT(float, h + 112, s->slope);
    PUT(float, h + 116, s->inter);
    h[123] = (uint8_t)s->units;
    PUT(int16_t, h + 252, s->qform);
    PUT(int16_t, h + 254, s->sform);
    for (int a = 0; a < 3; a++) {
        PUT(float, h + 256 + 4 * a, s->quatern[a]);
        PUT(float, h + 268 + 4 * a, s->qoffset[a]);
        for (int b = 0; b < 4; b++)
            PUT(float, h + 280 + 16 * a + 4 * b, s->srow[a][b]);
    }
    memcpy(h + 344, s->magic ? s->magic : "n+1", 4);
}

static void header2(uint8_t *h, const cts_nifti_spec *s, double offset)
{
    PUT(int32_t, h, 540);
    memcpy(h + 4, s->magic ? s->magic : "n+2\0\r\n\032\n", s->magic ? 4 : 8);
    PUT(int16_t, h + 12, s->datatype);
    for (int a = 0; a < 8; a++)
        PUT(int64_t, h + 16 + 8 * a, s->dim[a]);
    for (int a = 0; a < 8; a++)
        PUT(double, h + 104 + 8 * a, s->pixdim[a]);
    PUT(int64_t, h + 168, offset);
    PUT(double, h + 176, s->slope);
    PUT(double, h + 184, s->inter);
    PUT(int32_t, h + 344, s->qform);
    PUT(int32_t, h + 348, s->sform);
    for (int a = 0; a < 3; a++) {
        PUT(double, h + 352 + 8 * a, s->quatern[a]);
        PUT(double, h + 376 + 8 * a, s->qoffset[a]);
        for (int b = 0; b < 4; b++)
            PUT(double, h + 400 + 32 * a + 8 * b, s->srow[a][b]);
    }
    PUT(int32_t, h + 500, s->units);
}

static size_t width_of(int datatype)
{
    switch (datatype) {
    case 2:
    case 256:
        return 1;
    case 4:
    case 512:
        return 2;
    case 8:
    case 768:
    case 16:
        return 4;
    default:
        return 8;
    }
}

uint8_t *cts_nifti_bytes(const cts_nifti_spec *s, const double *values, size_t count, size_t *n)
{
    size_t start = s->version == 1 ? 352 : 544, width = width_of(s->datatype);
    size_t offset = s->offset > 0 && s->offset < 1e6 ? (size_t)s->offset : start,
           from = offset < start ? start : offset;
    uint8_t *h = calloc(1, from + count * width + 1), *p = h + from;

    if (!h)
        abort();
    if (s->version == 1)
        header1(h, s, s->offset != 0 ? s->offset : (double)start);
    else
        header2(h, s, s->offset != 0 ? s->offset : (double)start);
    for (size_t i = 0; i < count; i++, p += width)
        switch (s->datatype) {
        case 2:
            PUT(uint8_t, p, values[i]);
            break;
        case 256:
            PUT(int8_t, p, values[i]);
            break;
        case 4:
            PUT(int16_t, p, values[i]);
            break;
        case 512:
            PUT(uint16_t, p, values[i]);
            break;
        case 8:
            PUT(int32_t, p, values[i]);
            break;
        case 768:
            PUT(uint32_t, p, values[i]);
            break;
        case 1024:
            PUT(int64_t, p, values[i]);
            break;
        case 1280:
            PUT(uint64_t, p, values[i]);
            break;
        case 16:
            PUT(float, p, values[i]);
            break;
        default:
            PUT(double, p, values[i]);
        }
    *n = from + count * width;
    return h;
}

static uint32_t crc32_of(const uint8_t *p, size_t n)
{
    uint32_t c = 0xffffffffu;

    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int b = 0; b < 8; b++)
            c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
    }
    return ~c;
}

uint8_t *cts_gzip_stored(const uint8_t *p, size_t n, size_t *n_out)
{
    static const uint8_t head[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
    uint8_t *g = malloc(10 + n + 5 * (n / 65535 + 1) + 8), *q = g + 10;
    uint32_t crc = crc32_of(p, n), size = (uint32_t)n;

    if (!g)
        abort();
    memcpy(g, head, 10);
    do {
        size_t k = n > 65535 ? 65535 : n;

        q[0] = n == k;
        q[1] = (uint8_t)k;
        q[2] = (uint8_t)(k >> 8);
        q[3] = (uint8_t)~q[1];
        q[4] = (uint8_t)~q[2];
        memcpy(q + 5, p, k);
        q += 5 + k;
        p += k;
        n -= k;
    } while (n);
    put(q, &crc, 4, false);
    put(q + 4, &size, 4, false);
    *n_out = (size_t)(q + 8 - g);
    return g;
}
