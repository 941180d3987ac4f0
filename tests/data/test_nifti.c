/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/nifti.h"
#include "kernels/base/file.h"
#include "kernels/base/status.h"
#include "tests/support/nifti_bytes.h"

static char dir[32], path[64];

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/cts_nifti_XXXXXX");
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

static int load_bytes(cts_volume **v, const uint8_t *p, size_t n)
{
    assert_int_equal(cts_file_write_atomic(path, p, n), CTS_OK);
    return cts_nifti_load(v, path, 0);
}

static cts_volume *load_spec(const cts_nifti_spec *s, const double *values, size_t count, bool gz)
{
    size_t n;
    uint8_t *p = cts_nifti_bytes(s, values, count, &n);
    cts_volume *v = NULL;

    if (gz) {
        uint8_t *g = cts_gzip_stored(p, n, &n);

        free(p);
        p = g;
    }
    if (load_bytes(&v, p, n))
        fail_msg("%s", cts_error());
    free(p);
    return v;
}

/* NIfTI-1 and -2, both byte orders, plain and gzip, every scalar type, values at the ends of what each can hold. */
static void every_variant(void **state)
{
    static const struct {
        int code;
        const char *name;
        double low, high;
        cts_voxel_type as, as_small; /* with the ends of the range; with small values */
    } types[] = {
        {2, "uint8", 0, 255, CTS_VOXEL_I16, CTS_VOXEL_I16},
        {256, "int8", -128, 127, CTS_VOXEL_I16, CTS_VOXEL_I16},
        {4, "int16", -32768, 32767, CTS_VOXEL_I16, CTS_VOXEL_I16},
        {512, "uint16", 0, 65535, CTS_VOXEL_F32, CTS_VOXEL_I16},
        {8, "int32", -2147483648.0, 2147483520.0, CTS_VOXEL_F32, CTS_VOXEL_I16},
        {768, "uint32", 0, 4294967040.0, CTS_VOXEL_F32, CTS_VOXEL_I16},
        {1024, "int64", -0x1p40, 0x1p40, CTS_VOXEL_F32, CTS_VOXEL_I16},
        {1280, "uint64", 0, 0x1p60, CTS_VOXEL_F32, CTS_VOXEL_I16},
        {16, "float32", -1024.5, 3071.25, CTS_VOXEL_F32, CTS_VOXEL_F32},
        {64, "float64", -1024.5, 3071.25, CTS_VOXEL_F32, CTS_VOXEL_F32},
    };

    (void)state;
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++)
        for (int variant = 0; variant < 16; variant++) {
            cts_nifti_spec s = cts_nifti_spec_make(2, 3, 1);
            bool small = variant & 8;
            double values[6] = {0, small ? 100 : types[t].low, 17, 90, small ? 3 : types[t].high, 1};
            cts_volume *v;
            float hu[6];

            s.version = variant & 1 ? 2 : 1;
            s.big_endian = variant & 2;
            s.datatype = types[t].code;
            s.slope = 0.5;
            s.inter = 8;
            v = load_spec(&s, values, 6, variant & 4);
            assert_string_equal(v->datatype, types[t].name);
            assert_int_equal(v->type, small ? types[t].as_small : types[t].as);
            assert_true(v->dim[0] == 2 && v->dim[1] == 3 && v->dim[2] == 1);
            assert_true(v->spacing[0] == 0.75 && v->spacing[1] == 0.875 && v->spacing[2] == 1.5);
            cts_volume_hu(v, 0, 6, hu);
            for (int i = 0; i < 6; i++)
                assert_true(hu[i] == (float)(0.5 * values[i] + 8));
            cts_volume_destroy(v);
        }
}

/* More voxels than a slab, so that the change from int16 to float comes late. */
static void late_promotion(void **state)
{
    enum { N = 300 * 1000 };
    cts_nifti_spec s = cts_nifti_spec_make(300, 1000, 1);
    double *values = malloc(N * sizeof *values);
    cts_volume *v;

    (void)state;
    assert_non_null(values);
    for (int i = 0; i < N; i++)
        values[i] = i % 3000 - 1000;
    values[N - 5] = 123456;
    s.datatype = 8;
    v = load_spec(&s, values, N, true);
    assert_int_equal(v->type, CTS_VOXEL_F32);
    for (int i = 0; i < N; i++)
        assert_true(((float *)v->voxels)[i] == (float)values[i]);
    cts_volume_destroy(v);
    free(values);
}

static void geometry(void **state)
{
    const double zero = 0, half = sqrt(0.5);
    cts_nifti_spec s = cts_nifti_spec_make(1, 1, 1);
    char codes[4];
    cts_volume *v;

    (void)state;
    /* sform wins over qform and over pixdim; its columns give the spacing */
    memset(s.srow, 0, sizeof s.srow);
    s.srow[0][1] = -2;
    s.srow[1][0] = -3;
    s.srow[2][2] = 4;
    s.srow[0][3] = 10;
    s.qform = 1;
    v = load_spec(&s, &zero, 1, false);
    cts_volume_axis_codes(v, codes);
    assert_string_equal(codes, "PLS");
    assert_true(v->has_affine && v->spacing[0] == 3 && v->spacing[1] == 2 && v->spacing[2] == 4 &&
                v->affine[0][3] == 10);
    assert_true(v->pixdim[0] == 0.75);
    assert_true(fabs(v->forms_deg - 90) < 1e-6); /* the qform leaves i and j in place */
    cts_volume_destroy(v);
    /* qform: a quarter turn about z, and a mirrored third axis */
    s.sform = 0;
    s.quatern[2] = half;
    s.pixdim[0] = -1;
    s.qoffset[1] = 7;
    v = load_spec(&s, &zero, 1, false);
    cts_volume_axis_codes(v, codes);
    assert_string_equal(codes, "ALI");
    assert_true(v->forms_deg == 0); /* one form alone contradicts nothing */
    assert_true(v->spacing[0] == 0.75 && fabs(v->affine[1][0] - 0.75) < 1e-6 && fabs(v->affine[0][1] + 0.875) < 1e-6);
    assert_true(fabs(v->affine[2][2] + 1.5) < 1e-6 && v->affine[1][3] == 7);
    cts_volume_destroy(v);
    /* half a turn: the implied first component is 0 */
    s.quatern[2] = 1;
    s.pixdim[0] = 1;
    v = load_spec(&s, &zero, 1, false);
    cts_volume_axis_codes(v, codes);
    assert_string_equal(codes, "LPS");
    cts_volume_destroy(v);
    /* neither: pixdim, and the caller is told */
    s.qform = 0;
    v = load_spec(&s, &zero, 1, false);
    assert_false(v->has_affine);
    assert_true(v->affine[0][0] == 0.75 && v->affine[2][2] == 1.5);
    cts_volume_destroy(v);
    /* metres and micrometres */
    s.units = 1;
    v = load_spec(&s, &zero, 1, false);
    assert_true(v->spacing[0] == 750);
    cts_volume_destroy(v);
    s.units = 3;
    v = load_spec(&s, &zero, 1, false);
    assert_true(fabs(v->spacing[2] - 0.0015) < 1e-12);
    cts_volume_destroy(v);
}

static void scaling(void **state)
{
    static const double slopes[] = {0, NAN, INFINITY};
    const double value = 5;
    cts_nifti_spec s = cts_nifti_spec_make(1, 1, 1);

    (void)state;
    s.inter = 3;
    for (int i = 0; i < 3; i++) { /* all mean "no scaling", and then inter means nothing either */
        cts_volume *v;

        s.slope = slopes[i];
        v = load_spec(&s, &value, 1, false);
        assert_true(v->slope == 1 && v->inter == 0);
        cts_volume_destroy(v);
    }
}

/* World position of a voxel of any volume here determines its value, so reorientation can be checked without a second
 * one. */
static int16_t value_at(const cts_volume *v, const int64_t ijk[3])
{
    double w[3];

    for (int a = 0; a < 3; a++)
        w[a] = v->affine[a][0] * (double)ijk[0] + v->affine[a][1] * (double)ijk[1] + v->affine[a][2] * (double)ijk[2] +
               v->affine[a][3];
    return (int16_t)lrint(w[0] + 20 * w[1] + 400 * w[2]);
}

static void check_world(const cts_volume *v)
{
    size_t at = 0;

    for (int64_t k = 0; k < v->dim[2]; k++)
        for (int64_t j = 0; j < v->dim[1]; j++)
            for (int64_t i = 0; i < v->dim[0]; i++)
                assert_int_equal(((int16_t *)v->voxels)[at++], value_at(v, (int64_t[]){i, j, k}));
}

static void all_codes(char codes[48][4])
{
    static const char *const pairs[3] = {"RL", "AP", "SI"};
    int n = 0;

    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++)
            for (int f = 0; f < 8 && a != b; f++, n++) {
                codes[n][0] = pairs[a][f & 1];
                codes[n][1] = pairs[b][f >> 1 & 1];
                codes[n][2] = pairs[3 - a - b][f >> 2];
                codes[n][3] = '\0';
            }
    assert_int_equal(n, 48);
}

static void orientations(void **state)
{
    char codes[48][4], did[64], back[4];

    (void)state;
    all_codes(codes);
    for (int from = 0; from < 48; from++)
        for (int to = 0; to < 48; to++) {
            cts_volume *v = NULL;
            size_t at = 0;

            assert_int_equal(cts_volume_create(&v, (int64_t[]){2, 3, 4}, (double[]){1, 2, 3}, CTS_VOXEL_I16), CTS_OK);
            memset(v->affine, 0, sizeof v->affine);
            for (int a = 0; a < 3; a++) {
                int w = strchr("RL", codes[from][a]) ? 0 : strchr("AP", codes[from][a]) ? 1 : 2;

                v->affine[w][a] = (strchr("RAS", codes[from][a]) ? 1 : -1) * v->spacing[a];
                v->affine[w][3] = w + 1;
            }
            v->has_affine = true;
            for (int64_t k = 0; k < 4; k++)
                for (int64_t j = 0; j < 3; j++)
                    for (int64_t i = 0; i < 2; i++)
                        ((int16_t *)v->voxels)[at++] = value_at(v, (int64_t[]){i, j, k});
            cts_volume_axis_codes(v, back);
            assert_string_equal(back, codes[from]);
            assert_int_equal(cts_volume_reorient(v, codes[to], did), CTS_OK);
            cts_volume_axis_codes(v, back);
            assert_string_equal(back, codes[to]);
            assert_int_equal(!strcmp(did, "as stored"), from == to);
            check_world(v);
            for (int a = 0; a < 3; a++) {
                int w = strchr("RL", codes[to][a]) ? 0 : strchr("AP", codes[to][a]) ? 1 : 2;

                assert_true(v->spacing[a] == fabs(v->affine[w][a]) && v->dim[a] == (int64_t)v->spacing[a] + 1);
            }
            cts_volume_destroy(v);
        }
}

static void bad_codes(void **state)
{
    static const char *const bad[] = {"", "L", "LP", "LPX", "LRS", "LPSS", "lps", "LPP", "\xff\xff\xff"};
    cts_volume *v = NULL;

    (void)state;
    assert_int_equal(cts_volume_create(&v, (int64_t[]){2, 2, 2}, (double[]){1, 1, 1}, CTS_VOXEL_F32), CTS_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(cts_volume_reorient(v, bad[i], NULL), CTS_E_INPUT);
    cts_volume_destroy(v);
    v = NULL;
    assert_int_equal(cts_volume_create(&v, (int64_t[]){0, 2, 2}, (double[]){1, 1, 1}, CTS_VOXEL_F32), CTS_E_INPUT);
    assert_int_equal(cts_volume_create(&v, (int64_t[]){2, 2, 2}, (double[]){1, 0, 1}, CTS_VOXEL_F32), CTS_E_INPUT);
    assert_int_equal(cts_volume_create(&v, (int64_t[]){INT64_MAX, INT64_MAX, 2}, (double[]){1, 1, 1}, CTS_VOXEL_F32),
                     CTS_E_LIMIT);
    assert_null(v);
}

static void round_trip_one(const cts_volume *v, const char *file, bool has_qform)
{
    cts_volume *w = NULL;
    char *data;
    size_t n;

    snprintf(path, sizeof path, "%s/%s", dir, file);
    if (cts_nifti_save(v, path, 0) || cts_nifti_load(&w, path, 0))
        fail_msg("%s", cts_error());
    assert_int_equal(w->type, v->type);
    assert_memory_equal(w->voxels, v->voxels, cts_volume_count(v) * (v->type == CTS_VOXEL_I16 ? 2 : 4));
    assert_true(w->slope == v->slope && w->inter == v->inter && w->has_affine == v->has_affine);
    for (int i = 0; i < 12; i++)
        assert_true(fabs(w->affine[i / 4][i % 4] - v->affine[i / 4][i % 4]) < 1e-5);
    cts_volume_destroy(w);
    w = NULL;
    assert_int_equal(cts_nifti_peek(&w, path), CTS_OK);
    assert_null(w->voxels);
    assert_true(w->dim[0] == v->dim[0] && w->dim[2] == v->dim[2]);
    cts_volume_destroy(w);
    if (strstr(file, ".gz"))
        return;
    /* the qform must say the same when it is all there is */
    assert_int_equal(cts_file_read(&data, &n, path, 1 << 20), CTS_OK);
    assert_int_equal(data[252], has_qform);
    data[254] = 0;
    if (has_qform) {
        assert_int_equal(load_bytes(&w, (uint8_t *)data, n), CTS_OK);
        for (int i = 0; i < 12; i++)
            assert_true(fabs(w->affine[i / 4][i % 4] - v->affine[i / 4][i % 4]) < 1e-5);
        cts_volume_destroy(w);
    }
    free(data);
}

static void save_and_load(void **state)
{
    cts_volume *v = NULL;
    char codes[48][4];

    (void)state;
    all_codes(codes);
    for (int type = 0; type < 2; type++) {
        assert_int_equal(
            cts_volume_create(&v, (int64_t[]){3, 4, 5}, (double[]){1.5, 0.75, 2}, type ? CTS_VOXEL_F32 : CTS_VOXEL_I16),
            CTS_OK);
        for (int i = 0; i < 60; i++)
            if (type)
                ((float *)v->voxels)[i] = (float)i * 1.25f - 30;
            else
                ((int16_t *)v->voxels)[i] = (int16_t)(i * 1000 - 30000);
        v->slope = 0.5;
        v->inter = -1024;
        round_trip_one(v, "a.nii", false);
        round_trip_one(v, "a.nii.gz", false);
        v->has_affine = true;
        v->affine[2][3] = -77.5;
        for (int o = 0; o < 48; o++) { /* every quaternion branch */
            assert_int_equal(cts_volume_reorient(v, codes[o], NULL), CTS_OK);
            round_trip_one(v, "b.nii", true);
        }
        v->affine[0][1] += 0.3; /* sheared: a qform cannot say it */
        round_trip_one(v, "c.nii", false);
        round_trip_one(v, "c.nii.gz", false);
        cts_volume_destroy(v);
        v = NULL;
    }
    assert_int_equal(cts_volume_create(&v, (int64_t[]){32768, 1, 1}, (double[]){1, 1, 1}, CTS_VOXEL_I16), CTS_OK);
    assert_int_equal(cts_nifti_save(v, path, 0), CTS_E_LIMIT);
    v->dim[0] = 2;
    assert_int_equal(cts_nifti_save(v, "/nonexistent/x.nii", 0), CTS_E_IO);
    cts_volume_destroy(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_variant, setup, teardown),
        cmocka_unit_test_setup_teardown(late_promotion, setup, teardown),
        cmocka_unit_test_setup_teardown(geometry, setup, teardown),
        cmocka_unit_test_setup_teardown(scaling, setup, teardown),
        cmocka_unit_test(orientations),
        cmocka_unit_test(bad_codes),
        cmocka_unit_test_setup_teardown(save_and_load, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
