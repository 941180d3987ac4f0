/* SPDX-License-Identifier: MIT */
#include "data/render.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/render_internal.h"
#include "kernels/base/check.h"
#include "kernels/base/png_image.h"
#include "kernels/base/status.h"

#define MAX_PIXELS ((size_t)64 << 20)
#define GAP 4           /* pixels between tiles */
#define CAPTION_SCALE 1 /* of the font under a tile */

int cts_picture_create(cts_picture **out, size_t w, size_t h)
{
    cts_picture *p;
    size_t n;

    if (w == 0 || h == 0 || !cts_mul_size(&n, w, h) || n > MAX_PIXELS)
        return cts_fail(CTS_E_LIMIT, "picture: %zu x %zu pixels, allowed 1 to %zu in all", w, h, MAX_PIXELS);
    if (!(p = calloc(1, sizeof *p)) || !(p->px = calloc(n, 1))) {
        free(p);
        return cts_fail(CTS_E_NOMEM, "picture: out of memory for %zu x %zu pixels", w, h);
    }
    p->w = w;
    p->h = h;
    *out = p;
    return CTS_OK;
}

void cts_picture_destroy(cts_picture *p)
{
    if (!p)
        return;
    free(p->px);
    free(p);
}

int cts_picture_save(const cts_picture *p, const char *path)
{
    return cts_png_save(path, p->px, p->w, p->h, 1);
}

static double hu_at(const cts_volume *v, int64_t at)
{
    double raw = v->type == CTS_VOXEL_I16 ? ((const int16_t *)v->voxels)[at] : (double)((const float *)v->voxels)[at];

    return v->slope * raw + v->inter;
}

/* A screen axis: where voxel coordinates go along it. */
typedef struct {
    int64_t n, step; /* voxels, distance in the array (signed) */
    double mm;
} screen_axis;

/* Position of pixel p (its centre) of `pixels` along the axis: lower neighbour, upper neighbour, weight of the upper.
 * */
static double sample_axis(const screen_axis *a, size_t p, size_t pixels, int64_t *lo, int64_t *hi)
{
    double at = ((double)p + 0.5) * (double)a->n / (double)pixels - 0.5;

    at = at < 0 ? 0 : at;
    *lo = cts_min_i64((int64_t)at, a->n - 1);
    *hi = cts_min_i64(*lo + 1, a->n - 1);
    return *hi > *lo ? at - (double)*lo : 0;
}

int cts_render_slice(cts_picture **out, const cts_volume *v, cts_plane plane, double position, double lo, double hi,
                     double mm_per_pixel)
{
    /* right, down and depth of the screen as axes of LPS order: x runs to the left of the patient, y to the back, z
     * up */
    static const struct {
        int right, down, depth;
        bool down_flipped; /* head on top */
    } views[] = {{0, 1, 2, false}, {0, 2, 1, true}, {1, 2, 0, true}};
    const int64_t step[3] = {1, v->dim[0], v->dim[0] * v->dim[1]};
    screen_axis lps[3], right, down;
    int64_t base = 0, slice;
    cts_picture *p = NULL;
    int axis[3], rc;
    bool flip[3];

    CTS_ASSERT(v->voxels && lo < hi && mm_per_pixel > 0, "slice of window %g..%g at %g mm", lo, hi, mm_per_pixel);
    if ((rc = cts_volume_orientation(v, "LPS", axis, flip)))
        return rc;
    for (int a = 0; a < 3; a++) {
        lps[a] = (screen_axis){v->dim[axis[a]], flip[a] ? -step[axis[a]] : step[axis[a]], v->spacing[axis[a]]};
        if (flip[a])
            base += step[axis[a]] * (v->dim[axis[a]] - 1);
    }
    /* depth 0 is the right (sagittal), the front (coronal), the feet (axial): the low end of L, P and S */
    slice = (int64_t)lrint((position < 0 ? 0 : position > 1 ? 1 : position) * (double)(lps[views[plane].depth].n - 1));
    base += slice * lps[views[plane].depth].step;
    right = lps[views[plane].right];
    down = lps[views[plane].down];
    if (views[plane].down_flipped) {
        base += (down.n - 1) * down.step;
        down.step = -down.step;
    }
    if ((rc = cts_picture_create(&p, (size_t)cts_max_i64(1, llrint((double)right.n * right.mm / mm_per_pixel)),
                                 (size_t)cts_max_i64(1, llrint((double)down.n * down.mm / mm_per_pixel)))))
        return rc;
    for (size_t y = 0; y < p->h; y++) {
        int64_t y0, y1, x0, x1;
        double wy = sample_axis(&down, y, p->h, &y0, &y1);

        for (size_t x = 0; x < p->w; x++) {
            double wx = sample_axis(&right, x, p->w, &x0, &x1), a, b, g;

            a = hu_at(v, base + y0 * down.step + x0 * right.step) * (1 - wx) +
                hu_at(v, base + y0 * down.step + x1 * right.step) * wx;
            b = hu_at(v, base + y1 * down.step + x0 * right.step) * (1 - wx) +
                hu_at(v, base + y1 * down.step + x1 * right.step) * wx;
            g = (a * (1 - wy) + b * wy - lo) / (hi - lo) * 255;
            p->px[y * p->w + x] = g > 0 ? (uint8_t)(g < 255 ? lrint(g) : 255) : 0;
        }
    }
    *out = p;
    return CTS_OK;
}

static void dot(cts_picture *p, size_t x, size_t y, int scale, uint8_t value)
{
    for (size_t v = y; v < y + (size_t)scale && v < p->h; v++)
        for (size_t u = x; u < x + (size_t)scale && u < p->w; u++)
            p->px[v * p->w + u] = value;
}

static bool lit(const uint8_t *rows, int x, int y)
{
    return x >= 0 && y >= 0 && x < CTS_GLYPH_W && y < CTS_GLYPH_H && rows[y] >> (CTS_GLYPH_W - 1 - x) & 1;
}

void cts_render_text(cts_picture *p, size_t x, size_t y, const char *text, int scale)
{
    CTS_ASSERT(scale > 0, "scale %d", scale);
    for (; *text; text++, x += (size_t)(6 * scale)) {
        const uint8_t *rows = cts_glyph(*text);

        /* an edge of black first, so that text stays readable on white */
        for (int v = -1; v <= CTS_GLYPH_H; v++)
            for (int u = -1; u <= CTS_GLYPH_W; u++) {
                bool near = false;

                for (int k = 0; k < 9; k++)
                    near = near || lit(rows, u + k % 3 - 1, v + k / 3 - 1);
                if (lit(rows, u, v))
                    dot(p, x + (size_t)(u * scale), y + (size_t)(v * scale), scale, 255);
                else if (near && (u >= 0 || x >= (size_t)scale) && (v >= 0 || y >= (size_t)scale))
                    dot(p, x + (size_t)(u * scale), y + (size_t)(v * scale), scale, 0);
            }
    }
}

int cts_render_montage(cts_picture **out, const cts_picture *const *tiles, const char *const *captions, size_t n,
                       size_t columns)
{
    size_t w = 0, h = 0, rows, caption = captions ? (CTS_GLYPH_H + 4) * CAPTION_SCALE : 0;
    cts_picture *p = NULL;
    int rc;

    CTS_ASSERT(n > 0 && columns > 0, "montage of %zu pictures in %zu columns", n, columns);
    if (columns > n)
        columns = n;
    rows = (n + columns - 1) / columns;
    for (size_t i = 0; i < n; i++) {
        w = tiles[i]->w > w ? tiles[i]->w : w;
        h = tiles[i]->h > h ? tiles[i]->h : h;
    }
    if ((rc = cts_picture_create(&p, columns * (w + GAP) + GAP, rows * (h + caption + GAP) + GAP)))
        return rc;
    for (size_t i = 0; i < n; i++) {
        const cts_picture *t = tiles[i];
        size_t x = GAP + i % columns * (w + GAP), y = GAP + i / columns * (h + caption + GAP), dx = (w - t->w) / 2,
               dy = (h - t->h) / 2;

        for (size_t r = 0; r < t->h; r++)
            memcpy(p->px + (y + dy + r) * p->w + x + dx, t->px + r * t->w, t->w);
        if (captions && captions[i]) {
            size_t room = w / (6 * CAPTION_SCALE), length = strlen(captions[i]);
            char line[256];

            if (room > sizeof line - 1)
                room = sizeof line - 1;
            if (length > room)
                length = room;
            memcpy(line, captions[i], length);
            line[length] = '\0';
            cts_render_text(p, x + (w - length * 6 * CAPTION_SCALE) / 2, y + h + 2, line, CAPTION_SCALE);
        }
    }
    *out = p;
    return CTS_OK;
}
