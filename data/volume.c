/* SPDX-License-Identifier: MIT */
#include "data/volume.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/arena.h"
#include "kernels/base/check.h"
#include "kernels/base/status.h"

static size_t voxel_bytes(cts_voxel_type type)
{
    return type == CTS_VOXEL_I16 ? sizeof(int16_t) : sizeof(float);
}

int cts_volume_create(cts_volume **out, const int64_t dim[3], const double spacing[3], cts_voxel_type type)
{
    cts_volume *v = NULL;
    size_t n = voxel_bytes(type);
    int rc = CTS_OK;

    for (int a = 0; a < 3; a++) {
        if (dim[a] < 1)
            return cts_fail(CTS_E_INPUT, "volume: dimension %d is %lld, allowed 1 or more", a, (long long)dim[a]);
        if (!(spacing[a] > 0) || !isfinite(spacing[a]))
            return cts_fail(CTS_E_INPUT, "volume: spacing %d is %g mm, allowed above 0", a, spacing[a]);
        if (!cts_mul_size(&n, n, (size_t)dim[a]) || n > PTRDIFF_MAX)
            return cts_fail(CTS_E_LIMIT, "volume: %lld x %lld x %lld voxels do not fit in memory", (long long)dim[0],
                            (long long)dim[1], (long long)dim[2]);
    }
    if (!(v = calloc(1, sizeof *v)) || !(v->voxels = cts_aligned_alloc(n))) {
        rc = cts_fail(CTS_E_NOMEM, "volume: out of memory for %zu bytes", n);
        goto out;
    }
    for (int a = 0; a < 3; a++) {
        v->dim[a] = dim[a];
        v->spacing[a] = v->affine[a][a] = spacing[a];
    }
    v->type = type;
    v->slope = 1;
    snprintf(v->datatype, sizeof v->datatype, "%s", type == CTS_VOXEL_I16 ? "int16" : "float32");
    *out = v;
    v = NULL; /* the caller owns it now */
out:
    cts_volume_destroy(v);
    return rc;
}

void cts_volume_destroy(cts_volume *v)
{
    if (!v)
        return;
    cts_aligned_free(v->voxels);
    free(v);
}

size_t cts_volume_count(const cts_volume *v)
{
    return (size_t)v->dim[0] * (size_t)v->dim[1] * (size_t)v->dim[2];
}

void cts_volume_hu(const cts_volume *v, size_t at, size_t n, float *out)
{
    CTS_ASSERT(v->voxels && at <= cts_volume_count(v) && n <= cts_volume_count(v) - at, "%zu + %zu of %zu voxels", at,
               n, cts_volume_count(v));
    if (v->type == CTS_VOXEL_I16) {
        const int16_t *p = (const int16_t *)v->voxels + at;

        for (size_t i = 0; i < n; i++)
            out[i] = (float)(v->slope * p[i] + v->inter);
    } else {
        const float *p = (const float *)v->voxels + at;

        for (size_t i = 0; i < n; i++)
            out[i] = (float)(v->slope * (double)p[i] + v->inter);
    }
}

static const char axis_plus[3] = {'R', 'A', 'S'}, axis_minus[3] = {'L', 'P', 'I'};

/* World axis of each stored axis, and whether it runs backwards: of the six assignments the one with the largest sum of
 * |cosine|, which for every affine within 45 degrees of the axes is the obvious one. */
static void world_axes(const cts_volume *v, int world[3], bool minus[3])
{
    static const int perms[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    double best = -1, c[3][3];
    int pick = 0;

    for (int a = 0; a < 3; a++) {
        double norm = sqrt(v->affine[0][a] * v->affine[0][a] + v->affine[1][a] * v->affine[1][a] +
                           v->affine[2][a] * v->affine[2][a]);

        for (int w = 0; w < 3; w++)
            c[w][a] = norm > 0 ? v->affine[w][a] / norm : 0;
    }
    for (int p = 0; p < 6; p++) {
        double sum = 0;

        for (int a = 0; a < 3; a++)
            sum += fabs(c[perms[p][a]][a]);
        if (sum > best + 1e-9) {
            best = sum;
            pick = p;
        }
    }
    for (int a = 0; a < 3; a++) {
        world[a] = perms[pick][a];
        minus[a] = c[world[a]][a] < 0;
    }
}

void cts_volume_axis_codes(const cts_volume *v, char codes[4])
{
    int world[3];
    bool minus[3];

    world_axes(v, world, minus);
    for (int a = 0; a < 3; a++)
        codes[a] = minus[a] ? axis_minus[world[a]] : axis_plus[world[a]];
    codes[3] = '\0';
}

double cts_volume_oblique(const cts_volume *v)
{
    double worst = 0;

    for (int a = 0; a < 3; a++) {
        double norm = 0, best = 0;

        for (int w = 0; w < 3; w++) {
            norm += v->affine[w][a] * v->affine[w][a];
            best = fmax(best, fabs(v->affine[w][a]));
        }
        worst = fmax(worst, acos(fmin(1, best / sqrt(norm))));
    }
    return worst * 180 / acos(-1);
}

int cts_volume_orientation(const cts_volume *v, const char *codes, int axis[3], bool flip[3])
{
    int world[3], want[3];
    bool minus[3], want_minus[3], seen[3] = {false};

    for (int a = 0; a < 3; a++) {
        int w = -1;

        for (int k = 0; k < 3 && codes[a]; k++)
            if (codes[a] == axis_plus[k] || codes[a] == axis_minus[k])
                w = k;
        if (w < 0 || seen[w] || (a == 2 && codes[3]))
            return cts_fail(
                CTS_E_INPUT,
                "orientation: axis codes are \"%.8s\", allowed one each of R/L, A/P and S/I, for example LPS", codes);
        seen[w] = true;
        want[a] = w;
        want_minus[a] = codes[a] == axis_minus[w];
    }
    world_axes(v, world, minus);
    for (int a = 0; a < 3; a++)
        for (int s = 0; s < 3; s++)
            if (world[s] == want[a]) {
                axis[a] = s;
                flip[a] = minus[s] != want_minus[a];
            }
    return CTS_OK;
}

void cts_volume_orientation_text(const int axis[3], const bool flip[3], char did[64])
{
    static const char name[] = "ijk";
    int n = 0;

    did[0] = '\0';
    if (axis[0] != 0 || axis[1] != 1)
        n += snprintf(did, 64, "permuted %c,%c,%c", name[axis[0]], name[axis[1]], name[axis[2]]);
    for (int a = 0, first = 1; a < 3; a++)
        if (flip[a]) {
            n +=
                snprintf(did + n, 64 - (size_t)n, "%s%c", first ? (n ? "; flipped " : "flipped ") : ",", name[axis[a]]);
            first = 0;
        }
    if (!n)
        snprintf(did, 64, "as stored");
}

/* dst [d2][d1][d0] contiguous from src with the given strides (in elements, may be negative). */
#define GATHER(T)                                                                                                      \
    do {                                                                                                               \
        const T *src = (const T *)v->voxels + base;                                                                    \
        T *dst = to;                                                                                                   \
        for (int64_t k = 0; k < dim[2]; k++)                                                                           \
            for (int64_t j = 0; j < dim[1]; j++) {                                                                     \
                const T *row = src + k * stride[2] + j * stride[1];                                                    \
                for (int64_t i = 0; i < dim[0]; i++)                                                                   \
                    *dst++ = row[i * stride[0]];                                                                       \
            }                                                                                                          \
    } while (0)

int cts_volume_reorient(cts_volume *v, const char *codes, char did[64])
{
    int axis[3], rc;
    bool flip[3];
    int64_t dim[3], stride[3], base = 0;
    double spacing[3], pixdim[3], affine[3][4];
    void *to;

    if ((rc = cts_volume_orientation(v, codes, axis, flip)))
        return rc;
    if (axis[0] == 0 && axis[1] == 1 && !flip[0] && !flip[1] && !flip[2]) {
        if (did)
            cts_volume_orientation_text(axis, flip, did);
        return CTS_OK;
    }
    memcpy(affine, v->affine, sizeof affine);
    for (int a = 0; a < 3; a++) {
        int s = axis[a];
        int64_t step = s == 0 ? 1 : s == 1 ? v->dim[0] : v->dim[0] * v->dim[1];

        dim[a] = v->dim[s];
        spacing[a] = v->spacing[s];
        pixdim[a] = v->pixdim[s];
        stride[a] = flip[a] ? -step : step;
        if (flip[a])
            base += step * (v->dim[s] - 1);
        for (int w = 0; w < 3; w++) {
            affine[w][a] = flip[a] ? -v->affine[w][s] : v->affine[w][s];
            if (flip[a]) /* the new origin is the old last voxel */
                affine[w][3] += v->affine[w][s] * (double)(v->dim[s] - 1);
        }
    }
    if (v->voxels) {
        if (!(to = cts_aligned_alloc(cts_volume_count(v) * voxel_bytes(v->type))))
            return cts_fail(CTS_E_NOMEM, "volume: out of memory while reorienting %zu voxels", cts_volume_count(v));
        if (v->type == CTS_VOXEL_I16)
            GATHER(int16_t);
        else
            GATHER(float);
        cts_aligned_free(v->voxels);
        v->voxels = to;
    }
    memcpy(v->dim, dim, sizeof dim);
    memcpy(v->spacing, spacing, sizeof spacing);
    memcpy(v->pixdim, pixdim, sizeof pixdim);
    memcpy(v->affine, affine, sizeof affine);
    if (did)
        cts_volume_orientation_text(axis, flip, did);
    return CTS_OK;
}
