/* SPDX-License-Identifier: MIT */
#include "data/augment.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/rng.h"
#include "kernels/base/status.h"

#define RADIANS 0.017453292519943295
#define NOISE_STREAM 0x6e6f697365u /* "noise" */

static const cts_augment defaults = {.shift = 0.05, .rotate = 6, .noise = 0.02, .jitter = 0.05};

/* ---- settings -------------------------------------------------------------------------------------------------- */

static int parse_part(cts_augment *a, const char *part, size_t n)
{
    static const struct {
        const char *name;
        size_t at;
        double most;
    } keys[] = {{"shift=", offsetof(cts_augment, shift), 0.5},
                {"rotate=", offsetof(cts_augment, rotate), 45},
                {"noise=", offsetof(cts_augment, noise), 0.5},
                {"jitter=", offsetof(cts_augment, jitter), 0.5}};

    if (n == 4 && !memcmp(part, "flip", 4)) {
        a->flip = true;
        return CTS_OK;
    }
    for (size_t i = 0; i < CTS_COUNT(keys); i++) {
        size_t len = strlen(keys[i].name);
        char *end;
        double v;

        if (n <= len || memcmp(part, keys[i].name, len) != 0)
            continue;
        v = strtod(part + len, &end);
        if (end != part + n || !(v >= 0 && v <= keys[i].most))
            return cts_fail(CTS_E_USAGE, "--augment: got \"%.*s\", allowed: %s0 to %g", (int)n, part, keys[i].name,
                            keys[i].most);
        *(double *)((char *)a + keys[i].at) = v;
        return CTS_OK;
    }
    return cts_fail(CTS_E_USAGE,
                    "--augment: got \"%.*s\", allowed: none, default, or a list of shift=X, rotate=X, noise=X, "
                    "jitter=X, flip",
                    (int)cts_min_i64((int64_t)n, 60), part);
}

int cts_augment_parse(cts_augment *out, const char *text)
{
    cts_augment a = {0};
    int rc = CTS_OK;

    if (!strcmp(text, "default")) {
        *out = defaults;
        return CTS_OK;
    }
    if (strcmp(text, "none") != 0)
        for (const char *p = text;;) {
            size_t n = strcspn(p, ",");

            if ((rc = parse_part(&a, p, n)) != CTS_OK)
                return rc;
            if (!p[n])
                break;
            p += n + 1;
        }
    *out = a;
    return CTS_OK;
}

bool cts_augment_any(const cts_augment *a)
{
    return a->shift > 0 || a->rotate > 0 || a->noise > 0 || a->jitter > 0 || a->flip;
}

void cts_augment_text(char *out, size_t n, const cts_augment *a)
{
    if (cts_augment_any(a))
        snprintf(out, n, "shift=%g,rotate=%g,noise=%g,jitter=%g%s", a->shift, a->rotate, a->noise, a->jitter,
                 a->flip ? ",flip" : "");
    else
        snprintf(out, n, "none");
}

/* ---- one volume ------------------------------------------------------------------------------------------------ */

/* What was drawn for a volume, and the arrays of the pass. */
typedef struct {
    const cts_augment_space *s;
    const float *from;
    float *to;
    int64_t dz;
    double dx, dy, c, sn; /* of the plane: shift in voxels, cosine and sine */
    bool flip[3];
    float scale, offset, sigma;
    uint64_t noise;
} variant;

static float at(const variant *v, const float *plane, int64_t x, int64_t y)
{
    const int64_t *d = v->s->dim;

    return x < 0 || y < 0 || x >= d[1] || y >= d[2] ? v->s->pad : plane[x * d[2] + y];
}

/* The plane at the turned and shifted place, bilinear. */
static float sample(const variant *v, const float *plane, int64_t x, int64_t y)
{
    const int64_t *d = v->s->dim;
    double cx = 0.5 * (double)(d[1] - 1), cy = 0.5 * (double)(d[2] - 1);
    double rx = (double)(v->flip[1] ? d[1] - 1 - x : x) - cx - v->dx;
    double ry = (double)(v->flip[2] ? d[2] - 1 - y : y) - cy - v->dy;
    double sx = v->c * rx + v->sn * ry + cx, sy = v->c * ry - v->sn * rx + cy;
    int64_t ix = (int64_t)floor(sx), iy = (int64_t)floor(sy);
    float fx = (float)(sx - (double)ix), fy = (float)(sy - (double)iy);
    float a = at(v, plane, ix, iy), b = at(v, plane, ix, iy + 1), e = at(v, plane, ix + 1, iy),
          f = at(v, plane, ix + 1, iy + 1);

    a += fy * (b - a);
    e += fy * (f - e);
    return a + fx * (e - a);
}

/* Nearly normal, from the four 16-bit parts of one number: mean 0, standard deviation 1. */
static float noise(uint64_t key, uint64_t i)
{
    uint64_t r = cts_rng_at(key, i);
    int32_t sum =
        (int32_t)(r & 0xffff) + (int32_t)(r >> 16 & 0xffff) + (int32_t)(r >> 32 & 0xffff) + (int32_t)(r >> 48);

    return ((float)sum - 131070.0f) * (1.0f / 37837.2f); /* sqrt(4 (2^32 - 1) / 12) */
}

static int move_part(void *ctx, int ith, int nth)
{
    const variant *v = ctx;
    const int64_t *d = v->s->dim, plane = d[1] * d[2];
    int64_t lo, hi;

    cts_split(d[0], 1, ith, nth, &lo, &hi);
    for (int64_t z = lo; z < hi; z++) {
        int64_t from = (v->flip[0] ? d[0] - 1 - z : z) - v->dz;
        float *to = v->to + z * plane;

        for (int64_t x = 0; x < d[1]; x++)
            for (int64_t y = 0; y < d[2]; y++)
                *to++ = from < 0 || from >= d[0] ? v->s->pad : sample(v, v->from + from * plane, x, y);
    }
    return CTS_OK;
}

static int value_part(void *ctx, int ith, int nth)
{
    const variant *v = ctx;
    const cts_augment_space *s = v->s;
    int64_t lo, hi;

    cts_split(s->dim[0] * s->dim[1] * s->dim[2], 16, ith, nth, &lo, &hi);
    for (int64_t i = lo; i < hi; i++) {
        float x = v->to[i];

        if (x == s->pad)
            continue;
        x = s->lo + (x - s->lo) * v->scale + v->offset;
        if (v->sigma > 0)
            x += v->sigma * noise(v->noise, (uint64_t)i);
        v->to[i] = x < s->lo ? s->lo : x > s->hi ? s->hi : x;
    }
    return CTS_OK;
}

int cts_augment_apply(const cts_augment *a, const cts_augment_space *s, uint64_t key, float *volume, float *scratch,
                      cts_pool *pool)
{
    size_t n = (size_t)s->dim[0] * (size_t)s->dim[1] * (size_t)s->dim[2];
    cts_rng r = cts_rng_make(key);
    variant v = {.s = s, .from = scratch, .to = volume, .noise = cts_rng_split(key, NOISE_STREAM)};
    double angle, range = (double)s->hi - (double)s->lo;
    bool moves;

    /* always the same draws, so that one setting does not change what another one does */
    v.dz = (int64_t)llround(cts_rng_range(&r, -1, 1) * a->shift * (double)s->dim[0]);
    v.dx = cts_rng_range(&r, -1, 1) * a->shift * (double)s->dim[1];
    v.dy = cts_rng_range(&r, -1, 1) * a->shift * (double)s->dim[2];
    angle = cts_rng_range(&r, -1, 1) * a->rotate * RADIANS;
    v.scale = (float)(1 + cts_rng_range(&r, -1, 1) * a->jitter);
    v.offset = (float)(cts_rng_range(&r, -1, 1) * a->jitter * range);
    v.sigma = (float)(cts_rng_unit(&r) * a->noise * range);
    for (int k = 0; k < 3; k++)
        v.flip[k] = (cts_rng_next(&r) >> 63) && a->flip;
    v.c = cos(angle);
    v.sn = sin(angle);
    moves = v.dz || v.dx != 0 || v.dy != 0 || angle != 0 || v.flip[0] || v.flip[1] || v.flip[2];
    if (moves) {
        int rc;

        memcpy(scratch, volume, n * sizeof *volume);
        if ((rc = cts_parallel_for(pool, move_part, &v)) != CTS_OK)
            return rc;
    }
    return a->jitter > 0 || a->noise > 0 ? cts_parallel_for(pool, value_part, &v) : CTS_OK;
}
