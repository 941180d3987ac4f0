/* SPDX-License-Identifier: MIT */
#include "query/explain/picture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/png_image.h"
#include "kernels/base/status.h"
#include "query/explain/palette.h"

#define TILE 300
#define GAP 6
#define HEAD 26   /* height of the title */
#define LABEL 14  /* of a line of text */
#define LEGEND 14 /* height of the bar of colours */

/* Two grey canvases of one size: the scan with all writing, and the heat over it. Bars of colour come last, in RGB. */
typedef struct {
    cts_picture *grey, *heat;
    uint8_t *rgb;
    const cts_volume *scan;
    const cts_heat *h;
    const cts_explain_picture_spec *s;
    int order[3];            /* stored axes that run along left-right, front-back, feet-head */
    bool flip[3];            /* and whether they run towards the right, the front, the feet */
    double mm[3], scale;     /* extent along them; mm a pixel */
    size_t wide, high, tall; /* of an axial tile; height of a coronal one */
    size_t column;           /* distance of columns */
} canvas;

static size_t pixels_of(double mm, double scale)
{
    return (size_t)cts_max_i64(1, llrint(mm / scale)); /* as cts_render_slice() rounds */
}

static int measure(canvas *c)
{
    int tile = c->s->pixels ? c->s->pixels : TILE, rc = cts_volume_orientation(c->scan, "LPS", c->order, c->flip);

    if (rc)
        return rc;
    for (int a = 0; a < 3; a++)
        c->mm[a] = (double)c->scan->dim[c->order[a]] * c->scan->spacing[c->order[a]];
    c->scale = fmax(fmax(c->mm[0], c->mm[1]), c->mm[2]) / tile;
    c->wide = pixels_of(c->mm[0], c->scale);
    c->high = pixels_of(c->mm[1], c->scale);
    c->tall = pixels_of(c->mm[2], c->scale);
    c->column = (size_t)cts_max_i64((int64_t)c->wide, 220) + GAP;
    return CTS_OK;
}

static void paste(cts_picture *to, const cts_picture *p, size_t x, size_t y)
{
    for (size_t r = 0; r < p->h && y + r < to->h; r++)
        for (size_t k = 0; k < p->w && x + k < to->w; k++)
            to->px[(y + r) * to->w + x + k] = p->px[r * p->w + k];
}

static void write_text(canvas *c, size_t x, size_t y, const char *text)
{
    cts_render_text(c->grey, x, y, text, 1);
}

/* Letters at the edges of a tile: which side of the patient is where. A file without an affine does not say. */
static void sides(canvas *c, size_t x, size_t y, size_t w, size_t h, const char *letters)
{
    const size_t at[4][2] = {
        {x + 3, y + h / 2 - 4}, {x + w - 9, y + h / 2 - 4}, {x + w / 2 - 3, y + 3}, {x + w / 2 - 3, y + h - 11}};

    for (int i = 0; c->scan->has_affine && i < 4; i++) {
        const char one[2] = {letters[i], '\0'};

        write_text(c, at[i][0], at[i][1], one);
    }
}

static int slice(canvas *c, cts_plane plane, double position, size_t x, size_t y, bool hot)
{
    cts_picture *p = NULL, *heat = NULL;
    int rc = cts_render_slice(&p, c->scan, plane, position, c->s->window.lo, c->s->window.hi, c->scale);

    if (!rc && hot)
        rc = cts_render_slice(&heat, c->h->volume, plane, position, 0, 1, c->scale);
    if (!rc)
        paste(c->grey, p, x, y);
    if (!rc && hot)
        paste(c->heat, heat, x, y);
    if (!rc)
        sides(c, x, y, p->w, p->h, plane == CTS_PLANE_AXIAL ? "RLAP" : "RLHF");
    cts_picture_destroy(p);
    cts_picture_destroy(heat);
    return rc;
}

/* The hottest slices: bare above, under the heat below. */
static int axials(canvas *c, size_t top)
{
    int n = c->s->n_slices ? c->s->n_slices : 1, rc = CTS_OK;

    for (int i = 0; !rc && i < n; i++) {
        int64_t at = c->s->n_slices ? c->s->slice[i] : c->h->slices / 2;
        double position = cts_heat_position(c->h, at);
        size_t x = GAP + (size_t)i * c->column, y = top;
        char text[64];

        if (!(rc = slice(c, CTS_PLANE_AXIAL, position, x, y, false)))
            rc = slice(c, CTS_PLANE_AXIAL, position, x, y + c->high + GAP, true);
        snprintf(text, sizeof text, "%s %c = %lld, mean heat %.3f", c->s->n_slices ? "slice" : "no heat; slice",
                 "ijk"[c->h->body], (long long)at, c -> h -> mean[at]);
        write_text(c, x, y + 2 * (c->high + GAP), text);
    }
    return rc;
}

static void fill(canvas *c, size_t x, size_t y, size_t w, size_t h, const uint8_t rgb[3])
{
    for (size_t r = y; r < y + h && r < c->grey->h; r++)
        for (size_t k = x; k < x + w && k < c->grey->w; k++)
            memcpy(c->rgb + 3 * (r * c->grey->w + k), rgb, 3);
}

/* Row of the coronal tile on which a slice lies. */
static size_t row_of(const canvas *c, int64_t s)
{
    int64_t from_head = c->h->head_first ? s : c->h->slices - 1 - s;

    return (size_t)cts_min_i64((int64_t)c->tall - 1,
                               (int64_t)(((double)from_head + 0.5) * (double)c->tall / (double)c->h->slices));
}

/* Bars beside the coronal view, row by row: the mean, as a part of the largest mean, in colour; the largest heat of a
 * slice as a light mark; a line at each slice that is shown. */
static void profile(canvas *c, size_t x, size_t y, size_t room)
{
    static const uint8_t rule[3] = {90, 90, 90}, mark[3] = {190, 190, 190};
    double top = 0;

    for (int64_t s = 0; s < c->h->slices; s++)
        top = fmax(top, c->h->mean[s]);
    fill(c, x, y, 1, c->tall, rule);
    for (size_t r = 0; r < c->tall; r++) {
        int64_t up = (int64_t)(((double)r + 0.5) * (double)c->h->slices / (double)c->tall);
        int64_t s = c->h->head_first ? up : c->h->slices - 1 - up;
        double mean = top > 0 ? c->h->mean[s] / top : 0;
        uint8_t colour[3];

        cts_palette(mean, colour);
        fill(c, x + 1, y + r, (size_t)lrint(mean * (double)room), 1, colour);
        fill(c, x + (size_t)lrint(c->h->max[s] * (double)(room - 2)), y + r, 2, 1, mark);
    }
    for (int i = 0; i < c->s->n_slices; i++)
        for (size_t k = 0; k < room; k += 4)
            fill(c, x + 1 + k, y + row_of(c, c->s->slice[i]), 2, 1, mark);
}

static void legend(canvas *c, size_t x, size_t y, size_t w)
{
    for (size_t k = 0; k < w; k++) {
        uint8_t colour[3];

        cts_palette((double)k / (double)(w - 1), colour);
        fill(c, x + k, y, 1, LEGEND, colour);
    }
}

static void blend(canvas *c)
{
    for (size_t i = 0; i < c->grey->w * c->grey->h; i++) {
        double heat = c->heat->px[i] / 255.0, cover = cts_palette_cover(heat), grey = c->grey->px[i];
        uint8_t colour[3];

        cts_palette(heat, colour);
        for (int k = 0; k < 3; k++)
            c->rgb[3 * i + (size_t)k] = (uint8_t)lrint(grey + cover * (colour[k] - grey));
    }
}

/* A ring around the hottest voxel. */
static void ring(canvas *c, size_t x, size_t y)
{
    static const uint8_t white[3] = {255, 255, 255};

    for (int i = 0; i < 48; i++) {
        double t = i * acos(-1) / 24;

        fill(c, x + (size_t)(int64_t)lrint(7 * cos(t)), y + (size_t)(int64_t)lrint(7 * sin(t)), 1, 1, white);
    }
}

static int draw(canvas *c)
{
    const size_t top = HEAD, low = top + 2 * (c->high + GAP) + LABEL + GAP, x2 = GAP + c->column, x3 = x2 + c->column,
                 room = c->column - 2 * GAP, text = low + LEGEND + LABEL + GAP;
    const double front = (double)c->h->hottest[c->order[1]], left = (double)c->h->hottest[c->order[0]];
    const double deep = (double)(c->scan->dim[c->order[1]] - 1), broad = (double)c->scan->dim[c->order[0]];
    const double back = c->flip[1] ? deep - front : front, across = c->flip[0] ? broad - 1 - left : left;
    int rc = axials(c, top);

    if (!rc)
        rc = slice(c, CTS_PLANE_CORONAL, deep > 0 ? back / deep : 0.5, GAP, low, true);
    if (rc)
        return rc;
    cts_render_text(c->grey, GAP, 6, c->s->title, 2);
    write_text(c, GAP, low + c->tall + 3, "coronal, through the hottest voxel");
    write_text(c, x2, low + c->tall + 3, "mean heat of slices; grey: the largest");
    write_text(c, x3, low + LEGEND + 3, "0");
    write_text(c, x3 + room - 6, low + LEGEND + 3, "1");
    write_text(c, x3 + room / 2 - 12, low + LEGEND + 3, "heat");
    for (int i = 0; i < CTS_EXPLAIN_LINES && c->s->lines[i]; i++)
        write_text(c, x3, text + (size_t)i * LABEL, c->s->lines[i]);
    blend(c);
    profile(c, x2, low, room);
    legend(c, x3, low, room);
    if (c->h->peak > 0)
        ring(c, GAP + (size_t)((across + 0.5) * (double)c->wide / broad), low + row_of(c, c->h->hottest[c->h->body]));
    return CTS_OK;
}

int cts_explain_picture(const char *path, const cts_volume *scan, const cts_heat *h, const cts_explain_picture_spec *s)
{
    canvas c = {.scan = scan, .h = h, .s = s};
    size_t w, high;
    int rc = measure(&c);

    if (rc)
        return rc;
    w = GAP + CTS_EXPLAIN_SLICES * c.column;
    high = HEAD + 2 * (c.high + GAP) + LABEL + GAP +
           (size_t)cts_max_i64((int64_t)c.tall, LEGEND + LABEL * (CTS_EXPLAIN_LINES + 2)) + LABEL + GAP;
    if ((rc = cts_picture_create(&c.grey, w, high)) || (rc = cts_picture_create(&c.heat, w, high)))
        goto out;
    if (!(c.rgb = malloc(3 * w * high))) {
        rc = cts_fail(CTS_E_NOMEM, "picture: out of memory for %zu x %zu pixels", w, high);
        goto out;
    }
    if (!(rc = draw(&c)))
        rc = cts_png_save(path, c.rgb, w, high, 3);
out:
    cts_picture_destroy(c.grey);
    cts_picture_destroy(c.heat);
    free(c.rgb);
    return rc;
}
