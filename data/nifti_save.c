/* SPDX-License-Identifier: MIT */
#include "data/nifti.h"

#include <math.h>
#include <string.h>

#include "data/gzip_write.h"
#include "data/nifti_internal.h"
#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/status.h"

#define HEADER_BYTES 352 /* 348 and four zeros: no extension follows */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the header is written in machine order, which must be little endian");

static void put16(uint8_t *h, size_t at, int value)
{
    int16_t v = (int16_t)value;

    memcpy(h + at, &v, sizeof v);
}

static void put_f32(uint8_t *h, size_t at, double value)
{
    float v = (float)value;

    memcpy(h + at, &v, sizeof v);
}

/* Quaternion b, c, d and qfac of the affine; false when its axes are not at right angles, which a qform cannot say. */
static bool to_quaternion(const cts_volume *v, double q[3], double *qfac)
{
    double r[3][3], det, a, b, c, d;

    for (int s = 0; s < 3; s++) {
        double norm = 0;

        for (int w = 0; w < 3; w++)
            norm += v->affine[w][s] * v->affine[w][s];
        for (int w = 0; w < 3; w++)
            r[w][s] = v->affine[w][s] / sqrt(norm);
    }
    for (int s = 0; s < 3; s++)
        for (int t = 0; t < s; t++)
            if (!(fabs(r[0][s] * r[0][t] + r[1][s] * r[1][t] + r[2][s] * r[2][t]) < 1e-5))
                return false;
    det = r[0][0] * (r[1][1] * r[2][2] - r[1][2] * r[2][1]) - r[0][1] * (r[1][0] * r[2][2] - r[1][2] * r[2][0]) +
          r[0][2] * (r[1][0] * r[2][1] - r[1][1] * r[2][0]);
    *qfac = det < 0 ? -1 : 1;
    for (int w = 0; w < 3; w++)
        r[w][2] *= *qfac;
    a = 1 + r[0][0] + r[1][1] + r[2][2];
    if (a > 0.5) { /* the four branches keep the divisor away from 0 */
        a = 0.5 * sqrt(a);
        b = 0.25 * (r[2][1] - r[1][2]) / a;
        c = 0.25 * (r[0][2] - r[2][0]) / a;
        d = 0.25 * (r[1][0] - r[0][1]) / a;
    } else {
        double xd = 1 + r[0][0] - r[1][1] - r[2][2], yd = 1 + r[1][1] - r[0][0] - r[2][2],
               zd = 1 + r[2][2] - r[0][0] - r[1][1];

        if (xd >= yd && xd >= zd) {
            b = 0.5 * sqrt(xd);
            c = 0.25 * (r[0][1] + r[1][0]) / b;
            d = 0.25 * (r[0][2] + r[2][0]) / b;
            a = 0.25 * (r[2][1] - r[1][2]) / b;
        } else if (yd >= zd) {
            c = 0.5 * sqrt(yd);
            b = 0.25 * (r[0][1] + r[1][0]) / c;
            d = 0.25 * (r[1][2] + r[2][1]) / c;
            a = 0.25 * (r[0][2] - r[2][0]) / c;
        } else {
            d = 0.5 * sqrt(zd);
            b = 0.25 * (r[0][2] + r[2][0]) / d;
            c = 0.25 * (r[1][2] + r[2][1]) / d;
            a = 0.25 * (r[1][0] - r[0][1]) / d;
        }
    }
    q[0] = a < 0 ? -b : b; /* the implied a of the file is not negative */
    q[1] = a < 0 ? -c : c;
    q[2] = a < 0 ? -d : d;
    return true;
}

static void fill_header(uint8_t h[HEADER_BYTES], const cts_volume *v)
{
    uint32_t size = CTS_NIFTI1_BYTES;
    double q[3], qfac = 1;

    memset(h, 0, HEADER_BYTES);
    memcpy(h, &size, sizeof size);
    h[38] = 'r';
    put16(h, 40, 3);
    for (int a = 0; a < 7; a++)
        put16(h, (size_t)(42 + 2 * a), a < 3 ? (int)v->dim[a] : 1);
    put16(h, 70, v->type == CTS_VOXEL_I16 ? 4 : 16);
    put16(h, 72, v->type == CTS_VOXEL_I16 ? 16 : 32);
    for (int a = 0; a < 3; a++)
        put_f32(h, (size_t)(80 + 4 * a), v->spacing[a]);
    put_f32(h, 108, HEADER_BYTES);
    put_f32(h, 112, v->slope);
    put_f32(h, 116, v->inter);
    h[123] = 2; /* mm */
    if (v->has_affine) {
        if (to_quaternion(v, q, &qfac)) {
            put16(h, 252, 1);
            for (int a = 0; a < 3; a++)
                put_f32(h, (size_t)(256 + 4 * a), q[a]);
            for (int w = 0; w < 3; w++)
                put_f32(h, (size_t)(268 + 4 * w), v->affine[w][3]);
        }
        put16(h, 254, 1);
        for (int i = 0; i < 12; i++)
            put_f32(h, (size_t)(280 + 4 * i), v->affine[i / 4][i % 4]);
    }
    put_f32(h, 76, qfac);
    memcpy(h + 344, "n+1", 4);
}

static bool ends_gz(const char *path)
{
    size_t n = strlen(path);

    return n > 3 && !strcmp(path + n - 3, ".gz");
}

int cts_nifti_save(const cts_volume *v, const char *path, int gzip_level)
{
    uint8_t header[HEADER_BYTES];
    size_t bytes = cts_volume_count(v) * (v->type == CTS_VOXEL_I16 ? sizeof(int16_t) : sizeof(float));
    cts_writer *w = NULL;
    cts_gzip *g = NULL;
    int rc;

    CTS_ASSERT(v->voxels, "%s: a volume without voxels cannot be written", path);
    for (int a = 0; a < 3; a++)
        if (v->dim[a] > INT16_MAX)
            return cts_fail(CTS_E_LIMIT, "%s: dim[%d] is %lld, NIfTI-1 allows up to 32767", path, a + 1,
                            (long long)v->dim[a]);
    fill_header(header, v);
    if ((rc = cts_writer_open(&w, path)))
        goto out;
    if (ends_gz(path)) {
        if ((rc = cts_gzip_open(&g, w, gzip_level)) || (rc = cts_gzip_write(g, header, sizeof header)) ||
            (rc = cts_gzip_write(g, v->voxels, bytes)) || (rc = cts_gzip_finish(g)))
            goto out;
    } else if ((rc = cts_writer_write(w, header, sizeof header)) || (rc = cts_writer_write(w, v->voxels, bytes))) {
        goto out;
    }
    rc = cts_writer_commit(w);
out:
    cts_gzip_destroy(g);
    cts_writer_destroy(w);
    return rc;
}
