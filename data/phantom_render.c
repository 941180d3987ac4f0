/* From the patient to voxels: slabs of slices, each painted whole by one thread, noise by voxel number.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>

#include "data/phantom_internal.h"

#define SLAB 8 /* slices worked on at once: the floats of 8 slices of 96 x 96 stay in the second cache */

typedef struct {
    cts_ph_grid grid;
    int16_t *hu;
    float *mask; /* may be NULL */
    float noise;
    uint64_t noise_key;
} job;

/* Nearly normal, mean 0 and variance 1: four 16-bit uniforms of one draw, exact in any order of evaluation. */
static float noise_at(uint64_t key, uint64_t i)
{
    uint64_t b = cts_rng_at(key, i);
    int64_t sum =
        (int64_t)(b & 0xffff) + (int64_t)(b >> 16 & 0xffff) + (int64_t)(b >> 32 & 0xffff) + (int64_t)(b >> 48);

    return ((float)sum * 0x1p-16f - 2.0f) * 1.7320508f;
}

static void store(const job *w, int64_t first, int64_t n, const float *hu, const uint32_t *mask)
{
    for (int64_t i = 0; i < n; i++) {
        float v = roundf(hu[i] + w->noise * noise_at(w->noise_key, (uint64_t)(first + i)));

        w->hu[first + i] = (int16_t)(v < -1024 ? -1024 : v > 3071 ? 3071 : v);
        if (w->mask)
            w->mask[first + i] = (float)mask[i];
    }
}

static int render_slabs(void *ctx, int ith, int nth)
{
    const job *w = ctx;
    int64_t plane = w->grid.nx * w->grid.ny, nz = w->grid.nz;
    float *hu = malloc((size_t)(plane * SLAB) * sizeof *hu), *lung = malloc((size_t)(plane * SLAB) * sizeof *lung);
    uint32_t *mask = malloc((size_t)(plane * SLAB) * sizeof *mask);
    int rc = CTS_OK;

    if (!hu || !lung || !mask) {
        rc = cts_fail(CTS_E_NOMEM, "phantom: out of memory");
        goto out;
    }
    for (int64_t k0 = (int64_t)ith * SLAB; k0 < nz; k0 += (int64_t)nth * SLAB) {
        int64_t k1 = k0 + SLAB < nz ? k0 + SLAB : nz;

        for (int64_t k = k0; k < k1; k++)
            cts_ph_base_slice(&w->grid, k, hu + plane * (k - k0), lung + plane * (k - k0), mask + plane * (k - k0));
        cts_ph_paint(&w->grid, k0, k1, hu, lung, mask);
        store(w, plane * k0, plane * (k1 - k0), hu, mask);
    }
out:
    free(hu);
    free(lung);
    free(mask);
    return rc;
}

static int new_volume(cts_volume **out, const cts_phantom *p, cts_voxel_type type)
{
    cts_volume *v = NULL;
    int rc = cts_volume_create(&v, p->spec.dim, p->spec.spacing, type);

    if (rc != CTS_OK)
        return rc;
    v->has_affine = true;
    for (int k = 0; k < 3; k++) {
        double step = k < 2 ? -p->spec.spacing[k] : p->spec.spacing[k];

        for (int c = 0; c < 3; c++)
            v->affine[k][c] = k == c ? step : 0;
        v->affine[k][3] = -0.5 * step * (double)(p->spec.dim[k] - 1);
    }
    *out = v;
    return CTS_OK;
}

int cts_phantom_render(const cts_phantom *p, cts_pool *pool, cts_volume **hu, cts_volume **mask)
{
    cts_volume *v = NULL, *m = NULL;
    job w = {.grid = {.p = p, .nx = p->spec.dim[0], .ny = p->spec.dim[1], .nz = p->spec.dim[2]}};
    int rc;

    if ((rc = new_volume(&v, p, CTS_VOXEL_I16)) != CTS_OK ||
        (mask && (rc = new_volume(&m, p, CTS_VOXEL_F32)) != CTS_OK))
        goto out;
    for (int k = 0; k < 3; k++)
        w.grid.sp[k] = p->spec.spacing[k];
    w.grid.h = (float)cbrt(w.grid.sp[0] * w.grid.sp[1] * w.grid.sp[2]);
    w.grid.ct = (float)cos(p->an.turn);
    w.grid.st = (float)sin(p->an.turn);
    w.hu = v->voxels;
    w.mask = m ? m->voxels : NULL;
    w.noise = (float)p->info.noise_hu;
    w.noise_key = cts_rng_split(cts_rng_split(p->spec.seed, SALT_NOISE), p->spec.noise_salt);
    if ((rc = cts_parallel_for(pool, render_slabs, &w)) != CTS_OK)
        goto out;
    *hu = v;
    v = NULL;
    if (mask) {
        *mask = m;
        m = NULL;
    }
out:
    cts_volume_destroy(v);
    cts_volume_destroy(m);
    return rc;
}
