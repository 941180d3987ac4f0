/* SPDX-License-Identifier: MIT */
#include "data/nifti_internal.h"

#include <math.h>
#include <string.h>

#include "kernels/base/bytes.h"
#include "kernels/base/check.h"
#include "kernels/base/status.h"

/* What is only needed until the affine stands. */
typedef struct {
    int64_t dim[8];
    double pixdim[8], offset, quatern[3], qoffset[3], srow[3][4];
    int qform, sform, units;
    const char *name;
} raw_header;

static const struct {
    int code;
    size_t bytes; /* 0 = known, but not a scalar that can be a CT */
    const char *name;
} types[] = {
    {2, 1, "uint8"},       {256, 1, "int8"},        {4, 2, "int16"},     {512, 2, "uint16"},   {8, 4, "int32"},
    {768, 4, "uint32"},    {1024, 8, "int64"},      {1280, 8, "uint64"}, {16, 4, "float32"},   {64, 8, "float64"},
    {1, 0, "binary"},      {128, 0, "RGB24"},       {2304, 0, "RGBA32"}, {32, 0, "complex64"}, {1792, 0, "complex128"},
    {1536, 0, "float128"}, {2048, 0, "complex256"},
};

static void read_nifti1(raw_header *r, cts_nifti_header *h, cts_bytes *b)
{
    cts_bytes_seek(b, 40);
    for (int a = 0; a < 8; a++)
        r->dim[a] = cts_bytes_i16(b);
    cts_bytes_seek(b, 70);
    h->datatype = cts_bytes_i16(b);
    cts_bytes_seek(b, 76);
    for (int a = 0; a < 8; a++)
        r->pixdim[a] = cts_bytes_f32(b);
    r->offset = cts_bytes_f32(b);
    h->slope = cts_bytes_f32(b);
    h->inter = cts_bytes_f32(b);
    cts_bytes_seek(b, 123);
    r->units = cts_bytes_u8(b);
    cts_bytes_seek(b, 252);
    r->qform = cts_bytes_i16(b);
    r->sform = cts_bytes_i16(b);
    for (int a = 0; a < 3; a++)
        r->quatern[a] = cts_bytes_f32(b);
    for (int a = 0; a < 3; a++)
        r->qoffset[a] = cts_bytes_f32(b);
    for (int a = 0; a < 12; a++)
        r->srow[a / 4][a % 4] = cts_bytes_f32(b);
}

static void read_nifti2(raw_header *r, cts_nifti_header *h, cts_bytes *b)
{
    cts_bytes_seek(b, 12);
    h->datatype = cts_bytes_i16(b);
    cts_bytes_seek(b, 16);
    for (int a = 0; a < 8; a++)
        r->dim[a] = cts_bytes_i64(b);
    cts_bytes_seek(b, 104);
    for (int a = 0; a < 8; a++)
        r->pixdim[a] = cts_bytes_f64(b);
    r->offset = (double)cts_bytes_i64(b);
    h->slope = cts_bytes_f64(b);
    h->inter = cts_bytes_f64(b);
    cts_bytes_seek(b, 344);
    r->qform = cts_bytes_i32(b);
    r->sform = cts_bytes_i32(b);
    for (int a = 0; a < 3; a++)
        r->quatern[a] = cts_bytes_f64(b);
    for (int a = 0; a < 3; a++)
        r->qoffset[a] = cts_bytes_f64(b);
    for (int a = 0; a < 12; a++)
        r->srow[a / 4][a % 4] = cts_bytes_f64(b);
    cts_bytes_seek(b, 500);
    r->units = cts_bytes_i32(b);
}

/* Version and byte order from sizeof_hdr, then the magic. */
static int read_fields(raw_header *r, cts_nifti_header *h, const uint8_t *p, size_t n)
{
    static const char magic2[8] = {'n', '+', '2', 0, '\r', '\n', 032, '\n'};
    cts_bytes b = cts_bytes_of(p, n);
    uint32_t size, swapped;
    const char *magic;

    if (n < 4)
        return cts_fail(CTS_E_FORMAT, "%s: file holds %zu bytes, a NIfTI header needs at least %d", r->name, n,
                        CTS_NIFTI1_BYTES);
    size = cts_bytes_u32(&b);
    b.swap = true;
    cts_bytes_seek(&b, 0);
    swapped = cts_bytes_u32(&b);
    h->swap = swapped == CTS_NIFTI1_BYTES || swapped == CTS_NIFTI2_BYTES;
    b.swap = h->swap;
    if (h->swap)
        size = swapped;
    if (size != CTS_NIFTI1_BYTES && size != CTS_NIFTI2_BYTES)
        return cts_fail(CTS_E_FORMAT, "%s: sizeof_hdr is %u, allowed 348 (NIfTI-1) or 540 (NIfTI-2): not a NIfTI file",
                        r->name, size);
    h->version = size == CTS_NIFTI1_BYTES ? 1 : 2;
    if (n < size)
        return cts_fail(CTS_E_FORMAT, "%s: file ends after %zu bytes inside the %u-byte header", r->name, n, size);
    magic = (const char *)p + (h->version == 1 ? 344 : 4);
    if (!memcmp(magic, h->version == 1 ? "ni1" : "ni2", 4))
        return cts_fail(
            CTS_E_UNSUPPORTED,
            "%s: magic is \"%.3s\", a header whose voxels lie in a separate .img file; allowed one file, n+%d", r->name,
            magic, h->version);
    if (h->version == 1 ? memcmp(magic, "n+1", 4) : memcmp(magic, magic2, 8))
        return cts_fail(CTS_E_FORMAT, "%s: magic is %02x %02x %02x %02x, allowed \"n+%d\"", r->name, (uint8_t)magic[0],
                        (uint8_t)magic[1], (uint8_t)magic[2], (uint8_t)magic[3], h->version);
    if (h->version == 1)
        read_nifti1(r, h, &b);
    else
        read_nifti2(r, h, &b);
    return CTS_OK;
}

static int check_sizes(const raw_header *r, cts_nifti_header *h, size_t max_bytes)
{
    size_t header = h->version == 1 ? CTS_NIFTI1_BYTES : CTS_NIFTI2_BYTES, total, found = CTS_COUNT(types);

    if (r->dim[0] < 3 || r->dim[0] > 7)
        return cts_fail(CTS_E_INPUT, "%s: dim[0] is %lld axes, allowed 3 (or up to 7 when the further ones are 1)",
                        r->name, (long long)r->dim[0]);
    for (int a = 1; a <= r->dim[0]; a++) {
        if (a <= 3 && r->dim[a] < 1)
            return cts_fail(CTS_E_INPUT, "%s: dim[%d] is %lld, allowed 1 or more", r->name, a, (long long)r->dim[a]);
        if (a > 3 && r->dim[a] != 1)
            return cts_fail(CTS_E_INPUT, "%s: dim[%d] is %lld: not a 3-D volume, allowed 1", r->name, a,
                            (long long)r->dim[a]);
    }
    for (size_t t = 0; t < CTS_COUNT(types); t++)
        if (types[t].code == h->datatype)
            found = t;
    if (found == CTS_COUNT(types))
        return cts_fail(CTS_E_FORMAT, "%s: datatype is %d, not a NIfTI code", r->name, h->datatype);
    h->type = types[found].name;
    h->voxel_bytes = types[found].bytes;
    if (!h->voxel_bytes)
        return cts_fail(CTS_E_UNSUPPORTED, "%s: datatype is %s, allowed 8- to 64-bit integers, float32 and float64",
                        r->name, h->type);
    if (!(r->offset >= (double)header && r->offset < 0x1p52) || r->offset != floor(r->offset))
        return cts_fail(CTS_E_FORMAT, "%s: vox_offset is %g, allowed whole numbers from %zu", r->name, r->offset,
                        header);
    h->offset = (size_t)r->offset;
    h->data_bytes = h->voxel_bytes;
    for (int a = 0; a < 3; a++) {
        h->dim[a] = r->dim[a + 1];
        if (!cts_mul_size(&h->data_bytes, h->data_bytes, (size_t)h->dim[a]) || h->data_bytes > max_bytes)
            return cts_fail(
                CTS_E_LIMIT, "%s: dim is %lld x %lld x %lld of %s, more than the %zu bytes allowed for one volume",
                r->name, (long long)r->dim[1], (long long)r->dim[2], (long long)r->dim[3], h->type, max_bytes);
    }
    if (!cts_add_size(&total, h->offset, h->data_bytes) || total > max_bytes)
        return cts_fail(CTS_E_LIMIT,
                        "%s: vox_offset is %zu and %zu bytes of voxels follow, more than the %zu bytes allowed",
                        r->name, h->offset, h->data_bytes, max_bytes);
    return CTS_OK;
}

/* Rotation of a quaternion whose first component is implied (NIfTI-1.1, "method 2"). */
static void from_quaternion(double m[3][4], const raw_header *r, const double mm[3])
{
    double b = r->quatern[0], c = r->quatern[1], d = r->quatern[2], a = 1 - (b * b + c * c + d * d);
    double qfac = r->pixdim[0] < 0 ? -1 : 1;

    if (a < 1e-7) { /* a half turn: renormalise the three that are left */
        double s = 1 / sqrt(b * b + c * c + d * d);

        b *= s;
        c *= s;
        d *= s;
        a = 0;
    } else {
        a = sqrt(a);
    }
    m[0][0] = (a * a + b * b - c * c - d * d) * mm[0];
    m[0][1] = 2 * (b * c - a * d) * mm[1];
    m[0][2] = 2 * (b * d + a * c) * mm[2] * qfac;
    m[1][0] = 2 * (b * c + a * d) * mm[0];
    m[1][1] = (a * a + c * c - b * b - d * d) * mm[1];
    m[1][2] = 2 * (c * d - a * b) * mm[2] * qfac;
    m[2][0] = 2 * (b * d - a * c) * mm[0];
    m[2][1] = 2 * (c * d + a * b) * mm[1];
    m[2][2] = (a * a + d * d - c * c - b * b) * mm[2] * qfac;
    for (int w = 0; w < 3; w++)
        m[w][3] = r->qoffset[w];
}

static double determinant(const cts_nifti_header *h)
{
    const double(*m)[4] = (const double(*)[4])h->affine;

    return m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
           m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
}

/* Largest angle between the axes of the two forms. Programs differ in which of them they follow, so that an axis that
 * points elsewhere in one is a mirrored scan for somebody. 0 for a qform that says nothing. */
static double angle_of_forms(const raw_header *r)
{
    const double one[3] = {1, 1, 1};
    double q[3][4], worst = 0;

    from_quaternion(q, r, one);
    for (int a = 0; a < 3; a++) {
        double dot = 0, s = 0, n = 0, deg;

        for (int w = 0; w < 3; w++) {
            dot += r->srow[w][a] * q[w][a];
            s += r->srow[w][a] * r->srow[w][a];
            n += q[w][a] * q[w][a];
        }
        deg = acos(fmax(-1, fmin(1, dot / sqrt(s * n)))) * (180 / acos(-1));
        worst = deg > worst ? deg : worst; /* NaN is not */
    }
    return worst;
}

/* sform before qform before pixdim; everything in mm. */
static int set_geometry(const raw_header *r, cts_nifti_header *h)
{
    int unit = r->units & 7;
    double mm = unit == 1 ? 1000 : unit == 3 ? 1e-3 : 1, volume = 1;
    const char *form = r->sform > 0 ? "sform" : r->qform > 0 ? "qform" : "pixdim";

    h->has_affine = r->sform > 0 || r->qform > 0;
    for (int a = 0; a < 3; a++) {
        h->pixdim[a] = r->pixdim[a + 1] * mm;
        if (r->sform <= 0 && (!(h->pixdim[a] > 0) || !isfinite(h->pixdim[a])))
            return cts_fail(CTS_E_INPUT, "%s: pixdim[%d] is %g mm, allowed above 0", r->name, a + 1, h->pixdim[a]);
    }
    if (r->sform > 0) {
        memcpy(h->affine, r->srow, sizeof h->affine);
    } else if (r->qform > 0) {
        from_quaternion(h->affine, r, r->pixdim + 1);
    } else {
        memset(h->affine, 0, sizeof h->affine);
        for (int a = 0; a < 3; a++)
            h->affine[a][a] = r->pixdim[a + 1];
    }
    for (int a = 0; a < 12; a++) {
        h->affine[a / 4][a % 4] *= mm;
        if (!isfinite(h->affine[a / 4][a % 4]))
            return cts_fail(CTS_E_INPUT, "%s: the affine of %s holds %g, allowed finite numbers", r->name, form,
                            h->affine[a / 4][a % 4]);
    }
    for (int a = 0; a < 3; a++) {
        double s = sqrt(h->affine[0][a] * h->affine[0][a] + h->affine[1][a] * h->affine[1][a] +
                        h->affine[2][a] * h->affine[2][a]);

        if (!(s > 0) || !isfinite(s))
            return cts_fail(CTS_E_INPUT, "%s: column %d of %s has length %g mm, allowed above 0", r->name, a + 1, form,
                            s);
        h->spacing[a] = s;
        volume *= s;
    }
    if (r->sform <= 0) /* exact, where the rotation would round */
        memcpy(h->spacing, h->pixdim, sizeof h->spacing);
    if (r->sform > 0 && r->qform > 0)
        h->forms_deg = angle_of_forms(r);
    if (!(fabs(determinant(h)) > 1e-6 * volume))
        return cts_fail(CTS_E_INPUT,
                        "%s: the affine of %s is singular (determinant %g), allowed three independent axes", r->name,
                        form, determinant(h));
    return CTS_OK;
}

int cts_nifti_header_parse(cts_nifti_header *h, const void *p, size_t n, size_t max_bytes, const char *name)
{
    raw_header r = {.name = name};
    int rc;

    memset(h, 0, sizeof *h);
    if ((rc = read_fields(&r, h, p, n)) || (rc = check_sizes(&r, h, max_bytes)) || (rc = set_geometry(&r, h)))
        return rc;
    if (h->slope == 0 || !isfinite(h->slope)) { /* "no scaling" of the standard; its inter is then void as well */
        h->slope = 1;
        h->inter = 0;
    }
    if (!isfinite(h->inter))
        return cts_fail(CTS_E_INPUT, "%s: scl_inter is %g beside a scl_slope of %g, allowed finite numbers", name,
                        h->inter, h->slope);
    return CTS_OK;
}
