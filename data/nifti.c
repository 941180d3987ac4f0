/* Reading goes in one pass over slabs of the (inflating) file, straight into the volume: integers that fit stay
 * int16, and the first one that does not turns what was read so far into floats.
 * SPDX-License-Identifier: MIT */
#include "data/nifti.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/inflate.h"
#include "data/nifti_internal.h"
#include "kernels/base/arena.h"
#include "kernels/base/file.h"
#include "kernels/base/status.h"

#define SLAB_BYTES ((size_t)256 * 1024) /* a multiple of every voxel size; half an L2 cache */
#define TAIL_BYTES ((size_t)1 << 20)    /* what a file may hold behind its voxels */

/* The bytes of the file, inflated when it is gzip. */
typedef struct {
    cts_map map;
    cts_inflate *gz; /* NULL = plain */
    size_t at;       /* plain only */
    const char *path;
} source;

static int source_open(source *s, const char *path, size_t max_bytes)
{
    int rc;

    s->path = path;
    if ((rc = cts_map_open(&s->map, path, max_bytes)))
        return rc;
    if (s->map.n == 0)
        return cts_fail(CTS_E_FORMAT, "%s: the file is empty, allowed a NIfTI volume", path);
    if (cts_is_gzip(s->map.p, s->map.n))
        return cts_inflate_open(&s->gz, s->map.p, s->map.n, path);
    return CTS_OK;
}

static void source_close(source *s)
{
    cts_inflate_destroy(s->gz);
    cts_map_close(&s->map);
}

static int source_read(source *s, void *buf, size_t n, size_t *got)
{
    if (s->gz)
        return cts_inflate_read(s->gz, buf, n, got);
    *got = n < s->map.n - s->at ? n : s->map.n - s->at;
    memcpy(buf, s->map.p + s->at, *got);
    s->at += *got;
    return CTS_OK;
}

static int source_need(source *s, void *buf, size_t n, const char *what)
{
    size_t got;
    int rc = source_read(s, buf, n, &got);

    if (!rc && got < n)
        rc = cts_fail(CTS_E_FORMAT, "%s: the file ends inside %s, %zu bytes early", s->path, what, n - got);
    return rc;
}

/* Refuse before any allocation what cannot hold the voxels its header promises. */
static int check_promise(const source *s, const cts_nifti_header *h)
{
    size_t need = h->offset + h->data_bytes;

    if (!s->gz && s->map.n < need)
        return cts_fail(
            CTS_E_FORMAT,
            "%s: the header promises %zu bytes (%lld x %lld x %lld of %s behind vox_offset %zu), the file holds %zu",
            s->path, need, (long long)h->dim[0], (long long)h->dim[1], (long long)h->dim[2], h->type, h->offset,
            s->map.n);
    if (s->gz && need / CTS_INFLATE_MAX_RATIO > s->map.n)
        return cts_fail(CTS_E_FORMAT,
                        "%s: the header promises %zu bytes, which the file's %zu compressed bytes cannot inflate to",
                        s->path, need, s->map.n);
    return CTS_OK;
}

/* Bytes of one slab in machine order. */
static void swap_bytes(uint8_t *p, size_t n, size_t width)
{
    for (size_t i = 0; i < n; i++, p += width)
        for (size_t b = 0; b < width / 2; b++) {
            uint8_t t = p[b];

            p[b] = p[width - 1 - b];
            p[width - 1 - b] = t;
        }
}

/* Convert n voxels to int16; returns how many fitted before the first that did not. */
#define TO_I16(T, FITS)                                                                                                \
    {                                                                                                                  \
        const T *p = (const void *)slab;                                                                               \
        for (i = 0; i < n && (FITS); i++)                                                                              \
            out[i] = (int16_t)p[i];                                                                                    \
        return i;                                                                                                      \
    }

static size_t slab_to_i16(int16_t *out, const uint8_t *slab, size_t n, int datatype)
{
    size_t i;

    switch (datatype) {
    case 2:
        TO_I16(uint8_t, true)
    case 256:
        TO_I16(int8_t, true)
    case 4:
        memcpy(out, slab, n * sizeof *out);
        return n;
    case 512:
        TO_I16(uint16_t, p[i] <= INT16_MAX)
    case 8:
        TO_I16(int32_t, p[i] >= INT16_MIN && p[i] <= INT16_MAX)
    case 768:
        TO_I16(uint32_t, p[i] <= INT16_MAX)
    case 1024:
        TO_I16(int64_t, p[i] >= INT16_MIN && p[i] <= INT16_MAX)
    default:
        TO_I16(uint64_t, p[i] <= INT16_MAX)
    }
}

#define TO_F32(T)                                                                                                      \
    {                                                                                                                  \
        const T *p = (const void *)slab;                                                                               \
        for (size_t i = 0; i < n; i++)                                                                                 \
            out[i] = (float)p[i];                                                                                      \
        break;                                                                                                         \
    }

static void slab_to_f32(float *out, const uint8_t *slab, size_t n, int datatype)
{
    switch (datatype) {
    case 512:
        TO_F32(uint16_t)
    case 8:
        TO_F32(int32_t)
    case 768:
        TO_F32(uint32_t)
    case 1024:
        TO_F32(int64_t)
    case 1280:
        TO_F32(uint64_t)
    case 64:
        TO_F32(double)
    default:
        memcpy(out, slab, n * sizeof *out);
    }
}

/* The first `done` voxels as floats, the rest zero. */
static int promote(cts_volume *v, size_t done, const char *path)
{
    float *f = cts_aligned_alloc(cts_volume_count(v) * sizeof *f);
    const int16_t *p = v->voxels;

    if (!f)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for %zu voxels", path, cts_volume_count(v));
    for (size_t i = 0; i < done; i++)
        f[i] = p[i];
    cts_aligned_free(v->voxels);
    v->voxels = f;
    v->type = CTS_VOXEL_F32;
    return CTS_OK;
}

static int check_finite(const cts_volume *v, size_t from, size_t n, const char *path)
{
    const float *f = (const float *)v->voxels + from;
    float worst = 0;

    for (size_t i = 0; i < n; i++) /* finite * 0 is 0, anything else NaN; no branch, so it vectorises */
        worst += f[i] * 0.0f;
    if (worst == 0)
        return CTS_OK;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(f[i])) {
            size_t at = from + i, dx = (size_t)v->dim[0], dy = (size_t)v->dim[1];

            return cts_fail(CTS_E_INPUT, "%s: voxel (%zu, %zu, %zu) is %g, allowed finite numbers", path, at % dx,
                            at / dx % dy, at / dx / dy, (double)f[i]);
        }
    return CTS_OK;
}

static int read_voxels(cts_volume *v, source *s, const cts_nifti_header *h)
{
    uint8_t *slab = cts_aligned_alloc(SLAB_BYTES);
    size_t total = cts_volume_count(v), per = SLAB_BYTES / h->voxel_bytes;
    int rc = CTS_OK;

    if (!slab)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for a slab", s->path);
    for (size_t done = 0; done < total;) {
        size_t n = total - done < per ? total - done : per, fitted = 0;

        if ((rc = source_need(s, slab, n * h->voxel_bytes, "the voxels")))
            goto out;
        if (h->swap)
            swap_bytes(slab, n, h->voxel_bytes);
        if (v->type == CTS_VOXEL_I16) {
            fitted = slab_to_i16((int16_t *)v->voxels + done, slab, n, h->datatype);
            if (fitted < n && (rc = promote(v, done, s->path)))
                goto out;
        }
        if (v->type == CTS_VOXEL_F32) {
            slab_to_f32((float *)v->voxels + done, slab, n, h->datatype);
            if ((rc = check_finite(v, done, n, s->path)))
                goto out;
        }
        done += n;
    }
    if (s->gz) { /* to the end, because the CRC stands there */
        for (size_t tail = 0, got = SLAB_BYTES; got == SLAB_BYTES; tail += got) {
            if ((rc = cts_inflate_read(s->gz, slab, SLAB_BYTES, &got)))
                goto out;
            if (tail + got > TAIL_BYTES) {
                rc =
                    cts_fail(CTS_E_LIMIT, "%s: inflates to more than %zu bytes behind the %zu of its header and voxels",
                             s->path, TAIL_BYTES, h->offset + h->data_bytes);
                goto out;
            }
        }
    }
out:
    cts_aligned_free(slab);
    return rc;
}

static int skip(source *s, size_t n)
{
    uint8_t buf[4096];
    int rc = CTS_OK;

    while (n && !rc) {
        size_t k = n < sizeof buf ? n : sizeof buf;

        rc = source_need(s, buf, k, "the header extensions");
        n -= k;
    }
    return rc;
}

static int load(cts_volume **out, const char *path, size_t max_bytes, bool voxels)
{
    static const double unit[3] = {1, 1, 1};
    static const int64_t one[3] = {1, 1, 1};
    source s = {0};
    cts_nifti_header h;
    cts_volume *v = NULL;
    uint8_t head[CTS_NIFTI2_BYTES];
    size_t got, header;
    int rc;

    if (!max_bytes)
        max_bytes = CTS_VOLUME_MAX_BYTES;
    /* Only as many bytes as a NIfTI-1 header: a tiny NIfTI-1 file may end before NIfTI-2's 540. */
    if ((rc = source_open(&s, path, max_bytes)) || (rc = source_read(&s, head, CTS_NIFTI1_BYTES, &got)))
        goto out;
    header = got;
    if (got == CTS_NIFTI1_BYTES && (head[0] == 0x1c || head[3] == 0x1c)) { /* 540 = 0x21c: NIfTI-2 */
        size_t more;

        if (head[0] == 0x1c ? head[1] == 2 : head[2] == 2) {
            if ((rc = source_read(&s, head + got, CTS_NIFTI2_BYTES - got, &more)))
                goto out;
            header += more;
        }
    }
    if ((rc = cts_nifti_header_parse(&h, head, header, max_bytes, path)) || (rc = check_promise(&s, &h)))
        goto out;
    if ((rc = cts_volume_create(&v, voxels ? h.dim : one, voxels ? h.spacing : unit,
                                h.datatype == 16 || h.datatype == 64 ? CTS_VOXEL_F32 : CTS_VOXEL_I16))) {
        rc = cts_fail_in(rc, "%s", path);
        goto out;
    }
    for (int a = 0; a < 3; a++) {
        v->dim[a] = h.dim[a];
        v->spacing[a] = h.spacing[a];
        v->pixdim[a] = h.pixdim[a];
    }
    memcpy(v->affine, h.affine, sizeof v->affine);
    v->has_affine = h.has_affine;
    v->forms_deg = h.forms_deg;
    v->slope = h.slope;
    v->inter = h.inter;
    snprintf(v->datatype, sizeof v->datatype, "%s", h.type);
    if (voxels) {
        if ((rc = skip(&s, h.offset - header)) || (rc = read_voxels(v, &s, &h)))
            goto out;
    } else {
        cts_aligned_free(v->voxels);
        v->voxels = NULL;
    }
    *out = v;
    v = NULL; /* the caller owns it now */
out:
    cts_volume_destroy(v);
    source_close(&s);
    return rc;
}

int cts_nifti_load(cts_volume **out, const char *path, size_t max_bytes)
{
    return load(out, path, max_bytes, true);
}

int cts_nifti_peek(cts_volume **out, const char *path)
{
    return load(out, path, 0, false);
}
