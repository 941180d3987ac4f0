/* Where voxels of a prepared tensor lie in the scan: a field that is linear over the scan comes out of cts_preprocess()
 * with the value it has at the place the geometry states, for the 48 orientations, the three grids, crop and pad; there
 * and back is the same place; a scan stored another way round has the same millimetres.
 * SPDX-License-Identifier: MIT */
#include "data/geometry.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/preprocess.h"
#include "kernels/base/status.h"

static void all_codes(char codes[48][4])
{
    static const char pairs[3][2] = {{'R', 'L'}, {'A', 'P'}, {'S', 'I'}};
    int n = 0;

    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++)
            for (int f = 0; a != b && f < 8; f++, n++) {
                codes[n][0] = pairs[a][f & 1];
                codes[n][1] = pairs[b][f >> 1 & 1];
                codes[n][2] = pairs[3 - a - b][f >> 2];
                codes[n][3] = '\0';
            }
    assert_int_equal(n, 48);
}

static double field(const double ijk[3])
{
    return 11.0 * ijk[0] - 7.0 * ijk[1] + 5.0 * ijk[2] + 20.0;
}

/* LPS at first, then stored as codes say; the field is linear in the voxels as stored. */
static cts_volume *make(const char *codes)
{
    static const int64_t dim[3] = {19, 14, 23};
    static const double mm[3] = {0.8, 1.7, 2.9};
    cts_volume *v = NULL;
    float *p;

    assert_int_equal(cts_volume_create(&v, dim, mm, CTS_VOXEL_F32), CTS_OK);
    v->has_affine = true;
    v->affine[0][0] = -mm[0];
    v->affine[1][1] = -mm[1];
    v->affine[0][3] = 31;
    v->affine[1][3] = -12;
    v->affine[2][3] = 400;
    assert_int_equal(cts_volume_reorient(v, codes, NULL), CTS_OK);
    p = v->voxels;
    for (int64_t k = 0; k < v->dim[2]; k++)
        for (int64_t j = 0; j < v->dim[1]; j++)
            for (int64_t i = 0; i < v->dim[0]; i++)
                *p++ = (float)field((double[3]){(double)i, (double)j, (double)k});
    return v;
}

/* Crop along z, pad along x, either along y; the window is linear. */
static cts_recipe recipe(cts_grid grid, const char *orientation)
{
    static const double mm[3] = {2.0, 1.1, 1.3}, window[2] = {-1000, 1000};
    static const int64_t size[3] = {21, 24, 17};
    cts_recipe r;

    assert_int_equal(cts_recipe_free(&r, "test", mm, size, window), CTS_OK);
    r.grid = grid;
    r.f64 = true;
    r.hu = CTS_HU_POLICY_HEADER;
    snprintf(r.orientation, sizeof r.orientation, "%.7s", orientation);
    return r;
}

/* Every voxel of the tensor: the field where the geometry says it lies, padding where it says so. */
static double compare(const cts_volume *v, const cts_recipe *r, const double *spacing_xyz)
{
    float *out = malloc(cts_recipe_elements(r) * sizeof *out);
    cts_preprocess_info info;
    cts_geometry g;
    double worst = 0;

    assert_int_equal(cts_preprocess(v, r, spacing_xyz, NULL, NULL, out, &info), CTS_OK);
    assert_int_equal(cts_geometry_make(&g, v, r, spacing_xyz), CTS_OK);
    for (int64_t z = 0; z < r->size_zxy[0]; z++)
        for (int64_t x = 0; x < r->size_zxy[1]; x++)
            for (int64_t y = 0; y < r->size_zxy[2]; y++) {
                const double zxy[3] = {(double)z, (double)x, (double)y};
                double got = (double)out[(z * r->size_zxy[1] + x) * r->size_zxy[2] + y] * 1000, ijk[3], back[3];
                bool content = true;

                for (int a = 0; a < 3; a++)
                    content &= zxy[a] >= (double)g.axis[a].start && zxy[a] < (double)(g.axis[a].start + g.axis[a].n);
                cts_geometry_to_scan(&g, zxy, ijk);
                cts_geometry_to_tensor(&g, ijk, back);
                for (int a = 0; a < 3; a++) {
                    assert_true(fabs(back[a] - zxy[a]) <= 1e-9);
                    ijk[a] = fmin(fmax(ijk[a], 0), (double)(v->dim[a] - 1)); /* beyond the last voxel its value */
                }
                worst = fmax(worst, fabs(got - (content ? field(ijk) : -1000)));
                if (isnan(got))
                    worst = NAN;
            }
    free(out);
    return worst;
}

static void test_orientations(void **state)
{
    char codes[48][4];
    double worst = 0;
    int n = 0;

    (void)state;
    all_codes(codes);
    for (int grid = CTS_GRID_EXTENT; grid <= CTS_GRID_FIRST_VOXEL; grid++)
        for (int from = 0; from < 48; from++)
            for (int to = 0; to < 48; to += grid == CTS_GRID_EXTENT ? 1 : 7, n++) {
                cts_recipe r = recipe((cts_grid)grid, codes[to]);
                cts_volume *v = make(codes[from]);

                worst = fmax(worst, compare(v, &r, NULL));
                cts_volume_destroy(v);
            }
    printf("%d pairs of orientations, largest difference %.2g HU\n", n, worst);
    assert_true(worst <= 1e-3);
}

static void test_ways(void **state)
{
    static const double other[3] = {1.2, 0.9, 3.5}, fit[3] = {0, 0, 0}, window[2] = {-1000, 1000};
    static const int64_t size[3] = {30, 16, 40};
    cts_volume *v = make("PIR");
    cts_recipe r = recipe(CTS_GRID_EXTENT, "stored");

    (void)state;
    assert_true(compare(v, &r, NULL) <= 1e-3);
    assert_true(compare(v, &r, other) <= 1e-3); /* spacing of a CSV */
    assert_int_equal(cts_recipe_free(&r, "fit", fit, size, window), CTS_OK);
    r.f64 = true;
    r.hu = CTS_HU_POLICY_HEADER;
    assert_true(compare(v, &r, NULL) <= 1e-3); /* the whole field of view, whatever its spacing */
    v->has_affine = false;
    assert_true(compare(v, &r, NULL) <= 1e-3);
    cts_volume_destroy(v);
}

/* One patient, stored 48 ways: every tensor voxel has the same millimetres. */
static void test_world(void **state)
{
    cts_recipe r = recipe(CTS_GRID_EXTENT, "LPS");
    cts_volume *first = make("LPS");
    char codes[48][4];
    cts_geometry g, h;

    (void)state;
    all_codes(codes);
    assert_int_equal(cts_geometry_make(&g, first, &r, NULL), CTS_OK);
    for (int n = 0; n < 48; n++) {
        cts_volume *v = make(codes[n]);

        assert_int_equal(cts_geometry_make(&h, v, &r, NULL), CTS_OK);
        for (int k = 0; k < 27; k++) {
            const double zxy[3] = {10.0 * (k % 3), 11.5 * (k / 3 % 3), 8.0 * (k / 9)};
            double ijk[3], a[3], b[3];

            cts_geometry_to_scan(&g, zxy, ijk);
            cts_volume_world(first, ijk, a);
            cts_geometry_to_scan(&h, zxy, ijk);
            cts_volume_world(v, ijk, b);
            for (int w = 0; w < 3; w++)
                assert_true(fabs(a[w] - b[w]) <= 1e-9);
        }
        cts_volume_destroy(v);
    }
    cts_volume_destroy(first);
}

static void test_refused(void **state)
{
    static const double bad[3] = {1, -1, 1};
    cts_recipe r = recipe(CTS_GRID_EXTENT, "LPS");
    cts_volume *v = make("LPS");
    cts_geometry g = {.axis[0].n = 42};

    (void)state;
    assert_int_equal(cts_geometry_make(&g, v, &r, bad), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "stored axis j is -1 mm"));
    r.spacing_zxy[1] = 100;
    assert_int_equal(cts_geometry_make(&g, v, &r, NULL), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "axis x"));
    r.spacing_zxy[1] = 1e-7;
    assert_int_equal(cts_geometry_make(&g, v, &r, NULL), CTS_E_LIMIT);
    assert_int_equal(g.axis[0].n, 42); /* untouched */
    cts_volume_destroy(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_orientations), cmocka_unit_test(test_ways),
                                       cmocka_unit_test(test_world), cmocka_unit_test(test_refused)};

    return cmocka_run_group_tests_name("geometry", tests, NULL, NULL);
}
