/* The inner loops of preprocess.c, included once with REAL float and once with REAL double. Parameters: REAL, NAME(x).
 *
 * One output slice comes from two source slices, which are turned into HU once each and kept. Per output column y,
 * one row along x is interpolated in y and z over contiguous memory, then gathered along x; sixteen such rows are
 * transposed into the tensor, whose fastest axis is y, so that every cache line of it is written once.
 * SPDX-License-Identifier: MIT */

/* HU of source slice k, only the rows and columns that the content needs. */
static void NAME(read_slice)(REAL *plane, const job *t, int64_t k)
{
    const REAL *lut = t->lut;
    const double lo = t->clip[0], hi = t->clip[1];
    const axis_plan *x = &t->axis[1], *y = &t->axis[2];

    for (int64_t j = y->src_lo; j < y->src_hi; j++) {
        int64_t at = t->base + k * t->stride[0] + j * t->stride[2] + x->src_lo * t->stride[1], step = t->stride[1];
        int64_t n = x->src_hi - x->src_lo;

        if (t->v->type == CTS_VOXEL_I16) {
            const int16_t *p = (const int16_t *)t->v->voxels + at;

            for (int64_t i = 0; i < n; i++, p += step)
                *plane++ = lut[(uint16_t)*p];
        } else {
            const float *p = (const float *)t->v->voxels + at;

            for (int64_t i = 0; i < n; i++, p += step) {
                double hu = t->slope * (double)*p + t->inter;

                hu = hu < lo ? lo : hu;
                *plane++ = (REAL)(hu > hi ? hi : hu);
            }
        }
    }
}

/* Rows y0 .. y0 + n - 1 of the content of one slice into tile [n][width], windowed. */
static void NAME(fill_tile)(float *tile, REAL *row, REAL *const plane[2], const job *t, int64_t z, int64_t y0,
                            int64_t n, float range[2])
{
    const axis_plan *x = &t->axis[1], *y = &t->axis[2];
    const int64_t width = x->n, source = x->src_hi - x->src_lo;
    const REAL wz = (REAL)t->axis[0].w[z], lo = (REAL)t->window[0], hi = (REAL)t->window[1], scale = (REAL)t->scale,
               out0 = (REAL)t->out[0];
    const float least = t->out[0] < t->out[1] ? (float)t->out[0] : (float)t->out[1];
    const float most = t->out[0] < t->out[1] ? (float)t->out[1] : (float)t->out[0];
    float min = range[0], max = range[1];

    for (int64_t r = 0; r < n; r++, tile += width) {
        const REAL wy = (REAL)y->w[y0 + r];
        const int64_t j0 = y->lo[y0 + r] - y->src_lo, j1 = y->hi[y0 + r] - y->src_lo;
        const REAL *a0 = plane[0] + j0 * source, *a1 = plane[0] + j1 * source;
        const REAL *b0 = plane[1] + j0 * source, *b1 = plane[1] + j1 * source;

        for (int64_t i = 0; i < source; i++) {
            REAL a = a0[i] + (a1[i] - a0[i]) * wy, b = b0[i] + (b1[i] - b0[i]) * wy;

            row[i] = a + (b - a) * wz;
        }
        for (int64_t i = 0; i < width; i++) {
            REAL p = row[x->lo[i] - x->src_lo], q = row[x->hi[i] - x->src_lo], hu = p + (q - p) * (REAL)x->w[i];
            float f;

            hu = hu < lo ? lo : hu;
            hu = hu > hi ? hi : hu;
            f = (float)(out0 + (hu - lo) * scale);
            f = f < least ? least : f; /* the scale is rounded, the ends of the window are not */
            tile[i] = f > most ? most : f;
        }
        for (int64_t i = 0; i < width; i++) {
            min = tile[i] < min ? tile[i] : min;
            max = tile[i] > max ? tile[i] : max;
        }
    }
    range[0] = min;
    range[1] = max;
}

/* Content slices [from, to) of the tensor. */
static int NAME(slices)(const job *t, int64_t from, int64_t to, float range[2])
{
    const axis_plan *ax = t->axis;
    const size_t source = (size_t)(ax[1].src_hi - ax[1].src_lo), area = source * (size_t)(ax[2].src_hi - ax[2].src_lo);
    REAL *planes = cts_aligned_alloc((2 * area + source) * sizeof *planes), *kept[2], *pick[2];
    float *tile = cts_aligned_alloc(TILE * (size_t)ax[1].n * sizeof *tile);
    int64_t have[2] = {-1, -1};
    int rc = CTS_OK;

    if (!planes || !tile) {
        rc = cts_fail(CTS_E_NOMEM, "preprocess: out of memory for two slices of %zu voxels", area);
        goto out;
    }
    kept[0] = planes;
    kept[1] = planes + area;
    for (int64_t z = from; z < to; z++) {
        const int64_t need[2] = {ax[0].lo[z], ax[0].hi[z]};
        float *slice = t->to + (size_t)(ax[0].start + z) * (size_t)ax[1].size * (size_t)ax[2].size;

        for (int s = 0; s < 2; s++) { /* neighbours differ in their last bit, so each has its own place */
            pick[s] = kept[need[s] & 1];
            if (have[need[s] & 1] != need[s]) {
                NAME(read_slice)(pick[s], t, need[s]);
                have[need[s] & 1] = need[s];
            }
        }
        for (int64_t y0 = 0; y0 < ax[2].n; y0 += TILE) {
            int64_t n = cts_min_i64(TILE, ax[2].n - y0);

            NAME(fill_tile)(tile, planes + 2 * area, pick, t, z, y0, n, range);
            for (int64_t x = 0; x < ax[1].n; x++) {
                float *to_row = slice + (ax[1].start + x) * ax[2].size + ax[2].start + y0;

                for (int64_t r = 0; r < n; r++)
                    to_row[r] = tile[r * ax[1].n + x];
            }
        }
    }
out:
    cts_aligned_free(planes);
    cts_aligned_free(tile);
    return rc;
}
