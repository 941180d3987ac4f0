/* SPDX-License-Identifier: MIT */
#include "query/explain/pointing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/status.h"

#define SKIN_HU (-300.0f) /* between air and lung on one side, fat on the other */
#define PLACE_MM 0.1      /* mask and volume may differ by so much: float affines */

bool cts_pointing_focal(int finding)
{
    static const char *const focal[] = {"medical_material", "coronary_artery_wall_calcification",
                                        "hiatal_hernia",    "lymphadenopathy",
                                        "atelectasis",      "lung_nodule",
                                        "pleural_effusion", "consolidation"};

    for (size_t i = 0; i < CTS_COUNT(focal); i++)
        if (!strcmp(cts_findings[finding].slug, focal[i]))
            return true;
    return false;
}

static int check_mask(const cts_volume *scan, const cts_volume *mask)
{
    double far = 0;

    if (memcmp(scan->dim, mask->dim, sizeof scan->dim) != 0)
        return cts_fail(CTS_E_MISMATCH,
                        "mask: got %lld x %lld x %lld voxels, allowed: the %lld x %lld x %lld of its volume",
                        (long long)mask->dim[0], (long long)mask->dim[1], (long long)mask->dim[2],
                        (long long)scan->dim[0], (long long)scan->dim[1], (long long)scan->dim[2]);
    for (int corner = 0; corner < 8; corner++) {
        double ijk[3], a[3], b[3];

        for (int k = 0; k < 3; k++)
            ijk[k] = corner >> k & 1 ? (double)(scan->dim[k] - 1) : 0;
        cts_volume_world(scan, ijk, a);
        cts_volume_world(mask, ijk, b);
        for (int k = 0; k < 3; k++)
            far = fmax(far, fabs(a[k] - b[k]));
    }
    if (scan->has_affine && mask->has_affine && far > PLACE_MM)
        return cts_fail(CTS_E_MISMATCH, "mask: lies %.1f mm from its volume, allowed: %.1f mm", far, PLACE_MM);
    return CTS_OK;
}

/* body [voxels] = 1 between the outermost dense voxels of every row along stored axis a. */
static int find_body(uint8_t *body, const cts_volume *v, int a)
{
    const int64_t *d = v->dim, step[3] = {1, d[0], d[0] * d[1]};
    const int b = (a + 1) % 3, c = (a + 2) % 3;
    size_t n = cts_volume_count(v);
    float *hu = malloc(n * sizeof *hu);

    if (!hu)
        return cts_fail(CTS_E_NOMEM, "out of memory for the body");
    cts_volume_hu(v, 0, n, hu);
    memset(body, 0, n);
    for (int64_t y = 0; y < d[b]; y++)
        for (int64_t z = 0; z < d[c]; z++) {
            const int64_t at = y * step[b] + z * step[c];
            int64_t first = 0, last = d[a] - 1;

            while (first < d[a] && hu[at + first * step[a]] <= SKIN_HU)
                first++;
            while (last > first && hu[at + last * step[a]] <= SKIN_HU)
                last--;
            for (int64_t x = first; x <= last && x < d[a]; x++)
                body[at + x * step[a]] = 1;
        }
    free(hu);
    return CTS_OK;
}

/* m becomes 1 within `reach` voxels of a 1 along one axis of n voxels, `step` apart; last [n] is scratch. */
static void widen_line(uint8_t *m, int64_t n, int64_t step, int64_t reach, uint8_t *line)
{
    int64_t seen = INT64_MIN / 2;

    for (int64_t x = 0; x < n; x++) {
        if (m[x * step])
            seen = x;
        line[x] = x - seen <= reach;
    }
    seen = INT64_MAX / 2;
    for (int64_t x = n - 1; x >= 0; x--) {
        if (m[x * step])
            seen = x;
        line[x] |= seen - x <= reach;
    }
    for (int64_t x = 0; x < n; x++)
        m[x * step] = line[x];
}

static int widen(uint8_t *m, const int64_t dim[3], const int64_t reach[3])
{
    const int64_t step[3] = {1, dim[0], dim[0] * dim[1]};
    uint8_t *line = malloc((size_t)cts_max_i64(dim[0], cts_max_i64(dim[1], dim[2])));

    if (!line)
        return cts_fail(CTS_E_NOMEM, "out of memory for a mask");
    for (int a = 0; a < 3; a++) {
        const int b = (a + 1) % 3, c = (a + 2) % 3;

        for (int64_t y = 0; y < dim[b]; y++)
            for (int64_t z = 0; z < dim[c]; z++)
                widen_line(m + y * step[b] + z * step[c], dim[a], step[a], reach[a], line);
    }
    free(line);
    return CTS_OK;
}

/* Share of the body that m covers, and of the slices along `axis` that hold body those that hold m. */
static void shares(const uint8_t *m, const uint8_t *body, const int64_t dim[3], int axis, uint8_t *slices,
                   double *voxel, double *slice)
{
    int64_t n_body = 0, n_both = 0, at[3], with_body = 0, with_both = 0;
    const int64_t n = dim[axis];

    memset(slices, 0, (size_t)n);
    for (at[2] = 0; at[2] < dim[2]; at[2]++)
        for (at[1] = 0; at[1] < dim[1]; at[1]++)
            for (at[0] = 0; at[0] < dim[0]; at[0]++, m++, body++) {
                n_body += *body;
                n_both += *body && *m;
                slices[at[axis]] |= (uint8_t)((*m ? 1 : 0) | (*body ? 2 : 0));
            }
    for (int64_t s = 0; s < n; s++) {
        with_body += slices[s] >> 1;
        with_both += slices[s] == 3;
    }
    *voxel = n_body ? (double)n_both / (double)n_body : 0;
    *slice = with_body ? (double)with_both / (double)with_body : 0;
}

/* What the finding of one volume looks like. */
typedef struct {
    const cts_volume *scan, *mask;
    uint8_t *body, *m, *slices; /* [voxels], [voxels], [longest axis]: 1 = holds the finding, 2 = body */
} place;

/* Returns how many voxels are the finding's. */
static size_t pick(place *p, int finding)
{
    size_t n = cts_volume_count(p->mask), count = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t bits = p->mask->type == CTS_VOXEL_F32 ? (uint32_t)((const float *)p->mask->voxels)[i]
                                                       : (uint32_t)((const int16_t *)p->mask->voxels)[i];

        p->m[i] = bits >> finding & 1;
        count += p->m[i];
    }
    return count;
}

static int play(cts_pointing_row *r, cts_explainer *x, size_t label, place *p)
{
    const int64_t *dim = p->scan->dim;
    int64_t reach[3], best;
    cts_heat h;
    double voxel, slice;
    size_t at;
    int rc = cts_explainer_map(x, label, &h);

    if (rc)
        return rc;
    for (int a = 0; a < 3; a++)
        reach[a] = (int64_t)(h.half_cell[a] + 1e-6);
    at = (size_t)(h.hottest[0] + dim[0] * (h.hottest[1] + dim[1] * h.hottest[2]));
    shares(p->m, p->body, dim, h.body, p->slices, &voxel, &slice);
    r->asked++;
    r->point.chance += voxel;
    r->slice.chance += slice;
    if (!cts_heat_top(&h, 1, &best)) {
        r->cold++;
        best = -1;
    }
    if (best >= 0) {
        r->point.strict += p->m[at];
        r->slice.strict += p->slices[best] & 1;
    }
    if (!(rc = widen(p->m, dim, reach))) {
        shares(p->m, p->body, dim, h.body, p->slices, &voxel, &slice);
        r->point.tolerant_chance += voxel;
        r->slice.tolerant_chance += slice;
        if (best >= 0) {
            r->point.tolerant += p->m[at];
            r->slice.tolerant += p->slices[best] & 1;
        }
    }
    cts_heat_clear(&h);
    return rc;
}

int cts_pointing_add(cts_pointing *p, cts_explainer *x, const cts_volume *mask, const uint8_t labels[CTS_FINDINGS])
{
    const cts_volume *scan = cts_explainer_scan(x);
    const cts_cam_info *cam = cts_explainer_cam(x);
    place w = {.scan = scan, .mask = mask};
    size_t n = cts_volume_count(scan);
    int order[3], rc = check_mask(scan, mask);
    bool flip[3];

    if (rc || (rc = cts_volume_orientation(scan, "LPS", order, flip)))
        return rc;
    w.body = malloc(n);
    w.m = malloc(n);
    w.slices = malloc((size_t)cts_max_i64(scan->dim[0], cts_max_i64(scan->dim[1], scan->dim[2])));
    if (!w.body || !w.m || !w.slices)
        rc = cts_fail(CTS_E_NOMEM, "out of memory for a mask");
    else
        rc = find_body(w.body, scan, order[0]);
    for (int f = 0; !rc && f < CTS_FINDINGS; f++) {
        size_t label;

        if (cts_explainer_find(x, cts_findings[f].name, &label))
            continue;
        p->row[f].known = true;
        if (!labels[f])
            continue;
        if (pick(&w, f))
            rc = play(&p->row[f], x, label, &w);
        else
            p->row[f].unplaced++;
    }
    p->volumes += !rc;
    for (int a = 0; a < 3; a++) {
        const cts_geometry_axis *g = &cts_explainer_geometry(x)->axis[a];

        p->half_cell_mm[a] = cam->step[a] / 2 * g->ratio * g->mm;
    }
    free(w.body);
    free(w.m);
    free(w.slices);
    return rc;
}

static void divide(cts_pointing_rates *r, double n)
{
    r->strict /= n;
    r->tolerant /= n;
    r->chance /= n;
    r->tolerant_chance /= n;
}

static void add(cts_pointing_rates *to, const cts_pointing_rates *r)
{
    to->strict += r->strict;
    to->tolerant += r->tolerant;
    to->chance += r->chance;
    to->tolerant_chance += r->tolerant_chance;
}

void cts_pointing_finish(cts_pointing *p)
{
    size_t n[2] = {0};

    for (int f = 0; f < CTS_FINDINGS; f++) {
        cts_pointing_row *r = &p->row[f];

        divide(&r->point, r->asked ? (double)r->asked : 0.0); /* 0 / 0 is NaN: not defined */
        divide(&r->slice, r->asked ? (double)r->asked : 0.0);
        for (int k = 0; r->asked && k <= cts_pointing_focal(f); k++) {
            add(&p->point[k], &r->point);
            add(&p->slice[k], &r->slice);
            n[k]++;
        }
    }
    for (int k = 0; k < 2; k++) {
        divide(&p->point[k], (double)n[k]);
        divide(&p->slice[k], (double)n[k]);
    }
}
