/* Pictures: sides, proportions, captions; and the facts of inspect.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/inspect.h"
#include "data/nifti.h"
#include "data/render.h"
#include "kernels/base/file.h"
#include "kernels/base/status.h"

/* Brightness grows towards one world direction: 0 = left, 1 = posterior, 2 = superior. */
static cts_volume *ramp(int direction)
{
    cts_volume *v = NULL;
    size_t at = 0;

    assert_int_equal(cts_volume_create(&v, (int64_t[]){40, 30, 20}, (double[]){1, 1, 3}, CTS_VOXEL_I16), CTS_OK);
    v->has_affine = true;
    for (int64_t k = 0; k < 20; k++)
        for (int64_t j = 0; j < 30; j++)
            for (int64_t i = 0; i < 40; i++) /* stored as RAS */
                ((int16_t *)v->voxels)[at++] = (int16_t)(direction == 0   ? 1000 - 25 * i
                                                         : direction == 1 ? 1000 - 33 * j
                                                                          : 50 * k);
    return v;
}

static int side(const cts_picture *p, bool horizontal)
{
    size_t mid = horizontal ? p->h / 2 * p->w : p->w / 2;
    int first = p->px[mid], last = p->px[horizontal ? mid + p->w - 1 : mid + (p->h - 1) * p->w];

    return last > first ? 1 : last < first ? -1 : 0;
}

static void sides(void **state)
{
    /* where brightness must grow on each view: right, down */
    static const int want[3][3][2] = {
        {{1, 0}, {1, 0}, {0, 0}},   /* left: to the right of axial and coronal pictures */
        {{0, 1}, {0, 0}, {1, 0}},   /* posterior: down on axial, right on sagittal */
        {{0, 0}, {0, -1}, {0, -1}}, /* superior: up */
    };

    (void)state;
    for (int direction = 0; direction < 3; direction++) {
        cts_volume *v = ramp(direction);
        char codes[3][4] = {"RAS", "LPS", "SPR"};

        for (int o = 0; o < 3; o++) {
            assert_int_equal(cts_volume_reorient(v, codes[o], NULL), CTS_OK);
            for (int plane = 0; plane < 3; plane++) {
                cts_picture *p = NULL;

                assert_int_equal(cts_render_slice(&p, v, (cts_plane)plane, 0.5, 0, 1000, 0.5), CTS_OK);
                assert_int_equal(side(p, true), want[direction][plane][0]);
                assert_int_equal(side(p, false), want[direction][plane][1]);
                assert_int_equal(p->w, plane == 2 ? 60 : 80);  /* 30 or 40 mm at half a millimetre */
                assert_int_equal(p->h, plane == 0 ? 60 : 120); /* 30 or 60 mm */
                cts_picture_destroy(p);
            }
        }
        cts_volume_destroy(v);
    }
}

static void position_and_window(void **state)
{
    cts_volume *v = ramp(2);
    cts_picture *p = NULL;

    (void)state;
    assert_int_equal(cts_render_slice(&p, v, CTS_PLANE_AXIAL, 0, 100, 800, 1), CTS_OK);
    assert_int_equal(p->px[0], 0); /* feet: 0 HU, below the window */
    cts_picture_destroy(p);
    assert_int_equal(cts_render_slice(&p, v, CTS_PLANE_AXIAL, 1, 100, 800, 1), CTS_OK);
    assert_int_equal(p->px[0], 255);
    cts_picture_destroy(p);
    v->slope = 2;
    assert_int_equal(cts_render_slice(&p, v, CTS_PLANE_AXIAL, 5.0 / 19, 0, 1000, 1), CTS_OK);
    assert_int_equal(p->px[0], 128); /* voxel 250, twice: half the window */
    cts_picture_destroy(p);
    p = NULL;
    assert_int_equal(cts_render_slice(&p, v, CTS_PLANE_AXIAL, 0, 0, 1, 1e-5), CTS_E_LIMIT);
    assert_null(p);
    cts_volume_destroy(v);
}

static size_t bright(const cts_picture *p)
{
    size_t n = 0;

    for (size_t i = 0; i < p->w * p->h; i++)
        n += p->px[i] == 255;
    return n;
}

static void text_and_montage(void **state)
{
    cts_picture *tiles[5] = {0}, *sheet = NULL, *p = NULL;
    const char *captions[5] = {"Lung nodule", NULL, "", "a caption that is far too long for its tile", "\xC3\xA9"};
    char dir[] = "/tmp/cts_render_XXXXXX", path[64], *data;
    size_t n;

    (void)state;
    assert_int_equal(cts_picture_create(&p, 200, 20), CTS_OK);
    cts_render_text(p, 0, 0, "I", 1);
    assert_int_equal(bright(p), 11); /* 3 + 5 + 3 */
    cts_render_text(p, 20, 2, "I", 2);
    assert_int_equal(bright(p), 11 + 44);
    cts_render_text(p, 198, 18, "clipped at the corner", 3);
    cts_render_text(p, 5000, 5000, "outside", 1);
    cts_picture_destroy(p);
    for (int i = 0; i < 5; i++)
        assert_int_equal(cts_picture_create(&tiles[i], (size_t)(70 + i), (size_t)(50 - i)), CTS_OK);
    assert_int_equal(cts_render_montage(&sheet, (const cts_picture *const *)tiles, captions, 5, 3), CTS_OK);
    assert_int_equal(sheet->w, 3 * 74 + 4 * 4);
    assert_true(sheet->h > 2 * 50 && bright(sheet) > 100);
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/m.png", dir);
    assert_int_equal(cts_picture_save(sheet, path), CTS_OK);
    assert_int_equal(cts_file_read(&data, &n, path, 1 << 20), CTS_OK);
    assert_memory_equal(data, "\x89PNG", 4);
    free(data);
    assert_int_equal(cts_remove_tree(dir), CTS_OK);
    for (int i = 0; i < 5; i++)
        cts_picture_destroy(tiles[i]);
    cts_picture_destroy(sheet);
    sheet = NULL;
    assert_int_equal(cts_picture_create(&sheet, 0, 5), CTS_E_LIMIT);
    assert_int_equal(cts_picture_create(&sheet, SIZE_MAX, 5), CTS_E_LIMIT);
}

static bool warned(const cts_scan_facts *f, const char *what)
{
    for (int i = 0; i < f->n_warnings; i++)
        if (strstr(f->warning[i], what))
            return true;
    return false;
}

static void facts(void **state)
{
    cts_volume *v = ramp(2);
    char dir[] = "/tmp/cts_inspect_XXXXXX", path[64];
    cts_scan_facts f;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/s.nii", dir);
    assert_int_equal(cts_nifti_save(v, path, 0), CTS_OK);
    assert_int_equal(cts_inspect_volume(&f, v, path, NULL), CTS_OK);
    assert_int_equal(f.file_bytes, 352 + 2 * 24000);
    assert_string_equal(f.codes, "RAS");
    assert_true(f.oblique_deg < 1e-3 && f.raw_min == 0 && f.raw_max == 950 && f.extent[2] == 60);
    assert_true(f.hu_percentile[0] == 0 && f.hu_percentile[6] == 950 && fabs(f.hu_percentile[3] - 450) <= 50);
    assert_true(fabs(f.hu_mean - 475) < 1e-9);
    assert_true(warned(&f, "extent along i is 40 mm") && warned(&f, "no chest") && !warned(&f, "affine"));
    v->slope = -1; /* a falling map turns the order round */
    assert_int_equal(cts_inspect_volume(&f, v, path, (double[]){1, 0}), CTS_OK);
    assert_true(f.hu_min == -950 && f.hu_max == 0 && f.hu_percentile[0] == -950 && f.hu_percentile[6] == 0);
    v->slope = 1;
    v->has_affine = false;
    memset(v->voxels, 0, cts_volume_count(v) * 2);
    assert_int_equal(cts_inspect_volume(&f, v, path, NULL), CTS_OK);
    assert_true(f.constant && warned(&f, "no affine") && warned(&f, "every voxel is 0"));
    v->has_affine = true;
    v->affine[0][1] = 0.2;
    v->pixdim[0] = 1.5;
    assert_int_equal(cts_inspect_volume(&f, v, path, NULL), CTS_OK);
    assert_true(fabs(f.oblique_deg - 11.3) < 0.1 && warned(&f, "oblique") && warned(&f, "pixdim along i"));
    assert_false(warned(&f, "qform"));
    v->forms_deg = 180;
    assert_int_equal(cts_inspect_volume(&f, v, path, NULL), CTS_OK);
    assert_true(warned(&f, "sform and qform lie 180 degrees apart"));
    assert_int_equal(cts_inspect_volume(&f, v, "/nonexistent", NULL), CTS_E_IO);
    cts_volume_destroy(v);
    assert_int_equal(cts_remove_tree(dir), CTS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sides),
        cmocka_unit_test(position_and_window),
        cmocka_unit_test(text_and_montage),
        cmocka_unit_test(facts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
