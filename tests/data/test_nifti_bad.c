/* What the NIfTI reader must refuse, with which status and which words.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "data/gzip_write.h"
#include "data/inflate.h"
#include "data/nifti.h"
#include "data/nifti_internal.h"
#include "kernels/base/file.h"
#include "kernels/base/rng.h"
#include "kernels/base/status.h"
#include "tests/support/nifti_bytes.h"

static char dir[40], path[64];

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/cts_nifti_bad_XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/x.nii", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return cts_remove_tree(dir);
}

static void expect_bytes(const uint8_t *p, size_t n, size_t max_bytes, int rc, const char *says)
{
    cts_volume *v = NULL;
    int got;

    assert_int_equal(cts_file_write_atomic(path, p, n), CTS_OK);
    got = cts_nifti_load(&v, path, max_bytes);
    if (got != rc || !strstr(cts_error(), says) || !strstr(cts_error(), "x.nii"))
        fail_msg("status %s, expected %s and \"%s\": %s", cts_status_name(got), cts_status_name(rc), says, cts_error());
    assert_null(v);
}

static void expect(const cts_nifti_spec *s, int rc, const char *says)
{
    static const double values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    size_t n;

    for (int variant = 0; variant < 4; variant++) {
        cts_nifti_spec t = *s;
        uint8_t *p;

        t.version = variant & 1 ? 2 : 1;
        t.big_endian = variant & 2;
        p = cts_nifti_bytes(&t, values, 8, &n);
        expect_bytes(p, n, 0, rc, says);
        free(p);
    }
}

static void headers(void **state)
{
    const cts_nifti_spec good = cts_nifti_spec_make(2, 2, 2);
    cts_nifti_spec s;

    (void)state;
#define BAD(change, rc, says)                                                                                          \
    do {                                                                                                               \
        s = good;                                                                                                      \
        change;                                                                                                        \
        expect(&s, rc, says);                                                                                          \
    } while (0)
    BAD(s.dim[0] = 2, CTS_E_INPUT, "dim[0] is 2");
    BAD(s.dim[0] = 0, CTS_E_INPUT, "dim[0] is 0");
    BAD(s.dim[0] = 8, CTS_E_INPUT, "dim[0] is 8");
    BAD((s.dim[0] = 4, s.dim[4] = 2), CTS_E_INPUT, "dim[4] is 2: not a 3-D volume");
    BAD(s.dim[2] = 0, CTS_E_INPUT, "dim[2] is 0");
    BAD(s.dim[3] = -1, CTS_E_INPUT, "dim[3] is -1");
    BAD((s.dim[1] = 32767, s.dim[2] = 32767, s.dim[3] = 32767), CTS_E_LIMIT, "32767 x 32767 x 32767");
    BAD((s.dim[1] = 2000, s.dim[2] = 2000, s.dim[3] = 100), CTS_E_FORMAT, "the file holds");
    BAD(s.datatype = 128, CTS_E_UNSUPPORTED, "RGB24");
    BAD(s.datatype = 32, CTS_E_UNSUPPORTED, "complex64");
    BAD(s.datatype = 1536, CTS_E_UNSUPPORTED, "float128");
    BAD(s.datatype = 77, CTS_E_FORMAT, "datatype is 77");
    BAD(s.magic = "abc", CTS_E_FORMAT, "magic");
    BAD(s.magic = "\0\0\0", CTS_E_FORMAT, "magic");
    BAD(s.offset = 20, CTS_E_FORMAT, "vox_offset is 20");
    BAD(s.offset = -5, CTS_E_FORMAT, "vox_offset");
    BAD(s.srow[1][1] = NAN, CTS_E_INPUT, "affine of sform");
    BAD(s.srow[1][1] = 0, CTS_E_INPUT, "column 2 of sform has length 0");
    BAD((s.srow[1][1] = 0, s.srow[0][1] = 1), CTS_E_INPUT, "singular");
    BAD((s.sform = 0, s.pixdim[2] = 0), CTS_E_INPUT, "pixdim[2] is 0");
    BAD((s.sform = 0, s.qform = 1, s.pixdim[3] = -1.5), CTS_E_INPUT, "pixdim[3] is -1.5");
    BAD((s.sform = 0, s.pixdim[1] = NAN), CTS_E_INPUT, "pixdim[1]");
    BAD((s.sform = 0, s.qform = 1, s.quatern[0] = INFINITY), CTS_E_INPUT, "affine of qform");
    BAD(s.inter = NAN, CTS_E_INPUT, "scl_inter");
#undef BAD
    s = good;
    s.magic = "ni1";
    s.version = 1;
    {
        size_t n;
        uint8_t *p = cts_nifti_bytes(&s, NULL, 0, &n);

        expect_bytes(p, n, 0, CTS_E_UNSUPPORTED, ".img");
        free(p);
    }
    s = good;
    s.version = 2;
    s.dim[1] = s.dim[2] = s.dim[3] = INT64_MAX;
    {
        size_t n;
        uint8_t *p = cts_nifti_bytes(&s, NULL, 0, &n);

        expect_bytes(p, n, 0, CTS_E_LIMIT, "dim is");
        free(p);
    }
    expect_bytes((const uint8_t *)"", 0, 0, CTS_E_FORMAT, "empty");
    expect_bytes((const uint8_t *)"hello, this is no volume at all", 31, 0, CTS_E_FORMAT, "sizeof_hdr");
}

static void voxels(void **state)
{
    static const double specials[] = {NAN, INFINITY, -INFINITY, 1e300};
    cts_nifti_spec s = cts_nifti_spec_make(2, 2, 2);
    size_t n;

    (void)state;
    for (int width = 0; width < 2; width++)
        for (int i = 0; i < 4; i++) {
            double values[8] = {0, 1, 2, 3, 4, specials[i], 6, 7};
            uint8_t *p;

            s.datatype = width ? 64 : 16;
            p = cts_nifti_bytes(&s, values, 8, &n);
            expect_bytes(p, n, 0, CTS_E_INPUT, "voxel (1, 0, 1) is");
            free(p);
        }
}

/* Every prefix of a plain and of a gzip file. */
static void truncation(void **state)
{
    static const double values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    cts_nifti_spec s = cts_nifti_spec_make(2, 2, 2);

    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        size_t n;
        uint8_t *p;
        cts_volume *v = NULL;

        s.version = variant & 1 ? 2 : 1;
        p = cts_nifti_bytes(&s, values, 8, &n);
        if (variant & 2) {
            uint8_t *g = cts_gzip_stored(p, n, &n);

            free(p);
            p = g;
        }
        for (size_t cut = 0; cut < n; cut++)
            expect_bytes(p, cut, 0, CTS_E_FORMAT, "");
        assert_int_equal(cts_file_write_atomic(path, p, n), CTS_OK);
        assert_int_equal(cts_nifti_load(&v, path, 0), CTS_OK);
        cts_volume_destroy(v);
        free(p);
    }
}

static void append(uint8_t **p, size_t *n, const void *more, size_t k)
{
    uint8_t *q = realloc(*p, *n + k);

    assert_non_null(q);
    memcpy(q + *n, more, k);
    *p = q;
    *n += k;
}

static void gzip_members(void **state)
{
    static const double values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    cts_nifti_spec s = cts_nifti_spec_make(2, 2, 2);
    size_t n, a, b, base;
    uint8_t *p = cts_nifti_bytes(&s, values, 8, &n), *g = cts_gzip_stored(p, 100, &a),
            *second = cts_gzip_stored(p + 100, n - 100, &b);
    cts_volume *v = NULL;

    (void)state;
    append(&g, &a, second, b); /* two members are one stream */
    append(&g, &a, "\0\0\0\0\0", 5);
    assert_int_equal(cts_file_write_atomic(path, g, a), CTS_OK);
    if (cts_nifti_load(&v, path, 0))
        fail_msg("%s", cts_error());
    assert_int_equal(((int16_t *)v->voxels)[7], 8);
    cts_volume_destroy(v);
    append(&g, &a, "rubbish", 7);
    expect_bytes(g, a, 0, CTS_E_FORMAT, "neither another member nor zeros");
    free(g);
    g = cts_gzip_stored(p, n, &base);
    g[base - 5] ^= 1;
    expect_bytes(g, base, 0, CTS_E_FORMAT, "CRC");
    g[base - 5] ^= 1;
    g[base - 1] ^= 1;
    expect_bytes(g, base, 0, CTS_E_FORMAT, "CRC");
    free(g);
    free(second);
    free(p);
}

static void zeros_gz(const uint8_t *head, size_t n, size_t zeros)
{
    static const uint8_t block[1 << 16];
    cts_writer *w = NULL;
    cts_gzip *g = NULL;

    assert_int_equal(cts_writer_open(&w, path), CTS_OK);
    assert_int_equal(cts_gzip_open(&g, w, 9), CTS_OK);
    assert_int_equal(cts_gzip_write(g, head, n), CTS_OK);
    for (size_t k = 0; k < zeros; k += sizeof block)
        assert_int_equal(cts_gzip_write(g, block, sizeof block), CTS_OK);
    assert_int_equal(cts_gzip_finish(g), CTS_OK);
    assert_int_equal(cts_writer_commit(w), CTS_OK);
    cts_gzip_destroy(g);
    cts_writer_destroy(w);
}

/* A header that promises little before much, one that promises much before little, and one that is honest but too
 * big. */
static void gzip_bombs(void **state)
{
    cts_nifti_spec s = cts_nifti_spec_make(2, 2, 2);
    size_t n;
    uint8_t *p = cts_nifti_bytes(&s, NULL, 0, &n);
    cts_volume *v = NULL;
    char *data, *all = NULL;

    (void)state;
    zeros_gz(p, n, 16 << 20);
    assert_int_equal(cts_nifti_load(&v, path, 0), CTS_E_LIMIT);
    assert_non_null(strstr(cts_error(), "inflates to more than"));
    free(p);
    s.dim[1] = s.dim[2] = s.dim[3] = 1200;
    p = cts_nifti_bytes(&s, NULL, 0, &n);
    zeros_gz(p, n, 1 << 16);
    assert_int_equal(cts_nifti_load(&v, path, 0), CTS_E_FORMAT);
    assert_non_null(strstr(cts_error(), "cannot inflate to"));
    free(p);
    s.dim[1] = s.dim[2] = s.dim[3] = 128;
    p = cts_nifti_bytes(&s, NULL, 0, &n);
    zeros_gz(p, n, 4 << 20);
    assert_int_equal(cts_nifti_load(&v, path, 1 << 20), CTS_E_LIMIT);
    assert_non_null(strstr(cts_error(), "1048576"));
    free(p);
    assert_null(v);
    assert_int_equal(cts_file_read(&data, &n, path, 1 << 20), CTS_OK);
    assert_int_equal(cts_inflate_all(&all, &n, data, n, 1 << 20, path), CTS_E_LIMIT);
    assert_null(all);
    free(data);
}

/* ISA-L keeps what did not fit in its own buffer: every size of read must give the same bytes. */
static void inflate_in_pieces(void **state)
{
    enum { N = 100000 };
    uint8_t *p = malloc(N), *q = malloc(N);
    cts_rng r = cts_rng_make(5);
    cts_writer *w = NULL;
    cts_gzip *g = NULL;
    char *data, *whole = NULL;
    size_t n, m;

    (void)state;
    assert_true(p && q);
    for (int i = 0; i < N; i++)
        p[i] = (uint8_t)(cts_rng_next(&r) & (i & 1024 ? 3 : 255));
    assert_int_equal(cts_writer_open(&w, path), CTS_OK);
    assert_int_equal(cts_gzip_open(&g, w, 6), CTS_OK);
    assert_int_equal(cts_gzip_write(g, p, N), CTS_OK);
    assert_int_equal(cts_gzip_finish(g), CTS_OK);
    assert_int_equal(cts_writer_commit(w), CTS_OK);
    cts_gzip_destroy(g);
    cts_writer_destroy(w);
    assert_int_equal(cts_file_read(&data, &n, path, 1 << 20), CTS_OK);
    for (size_t piece = 1; piece <= 4 * N; piece = piece * 3 + 1) {
        cts_inflate *s = NULL;
        size_t at = 0, got = piece;

        assert_int_equal(cts_inflate_open(&s, data, n, "pieces"), CTS_OK);
        while (got == piece) {
            uint8_t *buf = malloc(piece);

            assert_non_null(buf);
            assert_int_equal(cts_inflate_read(s, buf, piece, &got), CTS_OK);
            assert_true(at + got <= N);
            memcpy(q + at, buf, got);
            at += got;
            free(buf);
        }
        assert_int_equal(at, N);
        assert_memory_equal(p, q, N);
        cts_inflate_destroy(s);
    }
    assert_int_equal(cts_inflate_all(&whole, &m, data, n, N, "whole"), CTS_OK);
    assert_int_equal(m, N);
    assert_memory_equal(whole, p, N);
    free(whole);
    free(data);
    free(p);
    free(q);
}

/* Input that ends where the next page cannot be read: a single byte too many faults. */
static void guard_page(void **state)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n;
    uint8_t *two = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cts_nifti_spec s = cts_nifti_spec_make(2, 2, 2);

    (void)state;
    assert_true(two != MAP_FAILED);
    assert_int_equal(mprotect(two + page, page, PROT_NONE), 0);
    for (int variant = 0; variant < 4; variant++) {
        uint8_t *p, *g;
        size_t gz;

        s.version = variant & 1 ? 2 : 1;
        s.big_endian = variant & 2;
        p = cts_nifti_bytes(&s, (double[8]){0}, 8, &n);
        for (size_t cut = 0; cut <= 600 && cut <= n; cut++) {
            cts_nifti_header h;
            int rc;

            memcpy(two + page - cut, p, cut);
            rc = cts_nifti_header_parse(&h, two + page - cut, cut, 1 << 20, "guard");
            assert_int_equal(rc, cut < (variant & 1 ? CTS_NIFTI2_BYTES : CTS_NIFTI1_BYTES) ? CTS_E_FORMAT : CTS_OK);
        }
        g = cts_gzip_stored(p, n, &gz);
        for (size_t cut = 0; cut <= gz; cut++) {
            char *all = NULL;
            size_t m;
            int rc;

            memcpy(two + page - cut, g, cut);
            rc = cts_inflate_all(&all, &m, two + page - cut, cut, 1 << 20, "guard");
            assert_int_equal(rc, cut < gz ? CTS_E_FORMAT : CTS_OK);
            free(all);
        }
        free(g);
        free(p);
    }
    munmap(two, 2 * page);
}

/* Random damage must end in a status; the sanitizer build says whether anything else happened. */
static void damage(void **state)
{
    const uint64_t seed = 20251124;
    cts_nifti_spec s = cts_nifti_spec_make(4, 4, 4);
    double values[64];
    cts_rng r = cts_rng_make(seed);

    (void)state;
    printf("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < 64; i++)
        values[i] = i * 30 - 900;
    for (int round = 0; round < 600; round++) {
        size_t n;
        uint8_t *p;
        cts_volume *v = NULL;

        s.version = round & 1 ? 2 : 1;
        s.datatype = round & 4 ? 16 : 4;
        p = cts_nifti_bytes(&s, values, 64, &n);
        if (round & 2) {
            uint8_t *g = cts_gzip_stored(p, n, &n);

            free(p);
            p = g;
        }
        for (int k = 0; k < 1 + round % 3; k++)
            p[cts_rng_below(&r, n)] = (uint8_t)cts_rng_next(&r);
        assert_int_equal(cts_file_write_atomic(path, p, n), CTS_OK);
        if (cts_nifti_load(&v, path, 1 << 24))
            assert_true(*cts_error());
        cts_volume_destroy(v);
        free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(headers, setup, teardown),
        cmocka_unit_test_setup_teardown(voxels, setup, teardown),
        cmocka_unit_test_setup_teardown(truncation, setup, teardown),
        cmocka_unit_test_setup_teardown(gzip_members, setup, teardown),
        cmocka_unit_test_setup_teardown(gzip_bombs, setup, teardown),
        cmocka_unit_test_setup_teardown(inflate_in_pieces, setup, teardown),
        cmocka_unit_test(guard_page),
        cmocka_unit_test_setup_teardown(damage, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
