/* SPDX-License-Identifier: MIT */
#include "query/scan_picture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/findings.h"
#include "kernels/base/check.h"
#include "kernels/base/status.h"

#define FRAME_MARGIN 5 /* pixels between a finding and its frame */

static const cts_hu_window windows[] = {
    {"lung", -1350, 150}, {"mediastinal", -160, 240}, {"bone", -450, 1350}, {"wide", -1000, 1000}};

const cts_hu_window *cts_hu_window_find(const char *name)
{
    for (size_t i = 0; i < CTS_COUNT(windows); i++)
        if (!strcmp(windows[i].name, name))
            return &windows[i];
    return NULL;
}

/* World size of the volume along left-right, front-back, feet-head. */
static void extent(const cts_volume *v, double mm[3])
{
    int axis[3];
    bool flip[3];

    if (cts_volume_orientation(v, "LPS", axis, flip)) /* never for these codes */
        axis[0] = 0, axis[1] = 1, axis[2] = 2;
    for (int a = 0; a < 3; a++)
        mm[a] = (double)v->dim[axis[a]] * v->spacing[axis[a]];
}

/* mm a pixel so that the longer side of the plane has `pixels`. */
static double plane_scale(const cts_volume *v, cts_plane plane, int pixels)
{
    static const int sides[][2] = {
        [CTS_PLANE_AXIAL] = {0, 1}, [CTS_PLANE_CORONAL] = {0, 2}, [CTS_PLANE_SAGITTAL] = {1, 2}};
    double mm[3];

    extent(v, mm);
    return fmax(mm[sides[plane][0]], mm[sides[plane][1]]) / pixels;
}

int cts_scan_six_views(cts_picture **out, const cts_volume *v, int pixels)
{
    static const char *const planes[] = {"axial", "coronal", "sagittal"};
    cts_picture *tile[6] = {0};
    char caption[6][48];
    const char *captions[6];
    double mm[3], scale;
    int rc = CTS_OK;

    extent(v, mm);
    scale = fmax(fmax(mm[0], mm[1]), mm[2]) / pixels; /* one scale, so that the views compare */
    for (int i = 0; !rc && i < 6; i++) {
        const cts_hu_window *w = &windows[i / 3];

        snprintf(caption[i], sizeof caption[i], "%s, %s window", planes[i % 3], w->name);
        captions[i] = caption[i];
        rc = cts_render_slice(&tile[i], v, (cts_plane)(i % 3), 0.5, w->lo, w->hi, scale);
    }
    if (!rc)
        rc = cts_render_montage(out, (const cts_picture *const *)tile, captions, 6, 3);
    for (int i = 0; i < 6; i++)
        cts_picture_destroy(tile[i]);
    return rc;
}

static uint32_t mask_bits(const cts_volume *m, size_t at)
{
    return m->type == CTS_VOXEL_F32 ? (uint32_t)((const float *)m->voxels)[at]
                                    : (uint32_t)((const int16_t *)m->voxels)[at];
}

uint32_t cts_mask_findings(const cts_volume *mask)
{
    uint32_t bits = 0;

    for (size_t i = 0, n = cts_volume_count(mask); i < n; i++)
        bits |= mask_bits(mask, i);
    return bits & ((1u << CTS_FINDINGS) - 1);
}

double cts_mask_position(const cts_volume *mask, cts_plane plane, int finding)
{
    static const int across[] = {[CTS_PLANE_AXIAL] = 2, [CTS_PLANE_CORONAL] = 1, [CTS_PLANE_SAGITTAL] = 0};
    int axis[3], a;
    bool flip[3];
    int64_t at[3], best = 0, best_slice = -1;

    if (cts_volume_orientation(mask, "LPS", axis, flip))
        return 0.5;
    a = axis[across[plane]];
    for (int64_t s = 0; s < mask->dim[a]; s++) {
        int b = (a + 1) % 3, c = (a + 2) % 3;
        int64_t n = 0;

        at[a] = s;
        for (at[b] = 0; at[b] < mask->dim[b]; at[b]++)
            for (at[c] = 0; at[c] < mask->dim[c]; at[c]++)
                n += mask_bits(mask, (size_t)(at[0] + mask->dim[0] * (at[1] + mask->dim[1] * at[2]))) >> finding & 1;
        if (n > best) {
            best = n;
            best_slice = s;
        }
    }
    if (best_slice < 0)
        return 0.5;
    if (flip[across[plane]])
        best_slice = mask->dim[a] - 1 - best_slice;
    return mask->dim[a] > 1 ? (double)best_slice / (double)(mask->dim[a] - 1) : 0.5; /* as cts_render_slice() counts */
}

const cts_hu_window *cts_finding_window(int finding)
{
    static const char *const soft[] = {
        "medical_material", "arterial_wall_calcification",        "cardiomegaly",    "pericardial_effusion",
        "hiatal_hernia",    "coronary_artery_wall_calcification", "lymphadenopathy", "pleural_effusion"};

    for (size_t i = 0; i < CTS_COUNT(soft); i++)
        if (!strcmp(cts_findings[finding].slug, soft[i]))
            return &windows[1];
    return &windows[0];
}

/* A volume that is 1 where the bit is set. */
static int one_bit(cts_volume **out, const cts_volume *mask, int finding)
{
    cts_volume *m = NULL;
    int rc = cts_volume_create(&m, mask->dim, mask->spacing, CTS_VOXEL_I16);

    if (rc)
        return rc;
    m->has_affine = mask->has_affine;
    memcpy(m->affine, mask->affine, sizeof m->affine);
    for (size_t i = 0, n = cts_volume_count(m); i < n; i++)
        ((int16_t *)m->voxels)[i] = (int16_t)(mask_bits(mask, i) >> finding & 1);
    *out = m;
    return CTS_OK;
}

static void put(cts_picture *p, int64_t x, int64_t y)
{
    if (x >= 0 && y >= 0 && x < (int64_t)p->w && y < (int64_t)p->h)
        p->px[(size_t)y * p->w + (size_t)x] = 255;
}

/* Corners of a rectangle; nothing when it takes most of the picture, where a frame says nothing. */
static void frame(cts_picture *p, int64_t x0, int64_t y0, int64_t x1, int64_t y1)
{
    int64_t w = x1 - x0, h = y1 - y0, arm = cts_min_i64(8, cts_min_i64(w, h) / 3);

    if (w * h > (int64_t)(p->w * p->h) / 3)
        return;
    for (int64_t i = 0; i <= arm; i++) {
        const int64_t xs[] = {x0, x1}, ys[] = {y0, y1};

        for (int c = 0; c < 4; c++) {
            put(p, c & 1 ? x1 - i : x0 + i, ys[c >> 1]);
            put(p, xs[c & 1], c >> 1 ? y1 - i : y0 + i);
        }
    }
}

static int frame_finding(cts_picture *p, const cts_tile *t, const cts_volume *mask, int finding, double scale)
{
    cts_volume *one = NULL;
    cts_picture *shape = NULL;
    int64_t x0 = INT64_MAX, y0 = INT64_MAX, x1 = -1, y1 = -1;
    int rc = one_bit(&one, mask, finding);

    if (!rc)
        rc = cts_render_slice(&shape, one, t->plane, t->position, 0, 1, scale);
    for (size_t i = 0; !rc && i < shape->w * shape->h; i++)
        if (shape->px[i] > 127) {
            int64_t x = (int64_t)(i % shape->w), y = (int64_t)(i / shape->w);

            x0 = cts_min_i64(x0, x), x1 = cts_max_i64(x1, x);
            y0 = cts_min_i64(y0, y), y1 = cts_max_i64(y1, y);
        }
    if (!rc && x1 >= 0)
        frame(p, x0 - FRAME_MARGIN, y0 - FRAME_MARGIN, x1 + FRAME_MARGIN, y1 + FRAME_MARGIN);
    cts_picture_destroy(shape);
    cts_volume_destroy(one);
    return rc;
}

int cts_scan_tile(cts_picture **out, const cts_volume *v, const cts_tile *t, const cts_volume *mask, int finding)
{
    cts_picture *p = NULL;
    double scale = plane_scale(v, t->plane, t->pixels);
    int rc;

    if (mask && memcmp(mask->dim, v->dim, sizeof v->dim))
        return cts_fail(CTS_E_MISMATCH,
                        "mask: got %lld x %lld x %lld voxels, allowed: the %lld x %lld x %lld of its volume",
                        (long long)mask->dim[0], (long long)mask->dim[1], (long long)mask->dim[2], (long long)v->dim[0],
                        (long long)v->dim[1], (long long)v->dim[2]);
    if ((rc = cts_render_slice(&p, v, t->plane, t->position, t->window.lo, t->window.hi, scale)))
        return rc;
    if (mask && (rc = frame_finding(p, t, mask, finding, scale))) {
        cts_picture_destroy(p);
        return rc;
    }
    *out = p;
    return CTS_OK;
}
