/* Sets of phantoms: files and CSVs read back through the real readers, sets for given CSVs, wrong options.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/csv.h"
#include "data/ct_rate.h"
#include "data/nifti.h"
#include "data/phantom_set.h"
#include "kernels/base/file.h"

static char folder[64];

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/cts_phantom_set_XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return cts_remove_tree(folder);
}

static const char *at(const char *file)
{
    static char paths[16][200];
    static int turn;

    turn = (turn + 1) & 15;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, file);
    return paths[turn];
}

static cts_volume *load(const char *path)
{
    cts_volume *v = NULL;

    if (cts_nifti_load(&v, path, 0))
        fail_msg("%s", cts_error());
    return v;
}

static int count_calls(void *ctx, int64_t done, int64_t total)
{
    int64_t *last = ctx;

    assert_true(done > *last && done <= total);
    *last = done;
    return CTS_OK;
}

static void drawn_then_given(void **state)
{
    int64_t last = 0, written = 0;
    cts_phantom_set set = {.folder = at("drawn"),
                           .seed = 11,
                           .prefix = "train",
                           .n = 5,
                           .dim = {40, 36, 24},
                           .masks = true,
                           .progress = count_calls,
                           .progress_ctx = &last};
    char reports[200], labels[200];
    cts_dataset *d = NULL;
    cts_pool *pool = NULL;
    cts_dataset_paths paths;

    (void)state;
    assert_int_equal(cts_pool_create(&pool, 2), 0);
    set.pool = pool;
    if (cts_phantom_set_write(&set, &written))
        fail_msg("%s", cts_error());
    assert_int_equal(written, 5);
    assert_int_equal(last, 5);
    snprintf(reports, sizeof reports, "%s", at("drawn/reports.csv"));
    snprintf(labels, sizeof labels, "%s", at("drawn/labels.csv"));
    paths = (cts_dataset_paths){
        .reports = reports, .labels = labels, .metadata = at("drawn/metadata.csv"), .volumes = at("drawn/volumes")};
    if (cts_dataset_load(&d, &paths))
        fail_msg("%s", cts_error());
    assert_int_equal(d->n, 5);
    assert_int_equal(d->n_missing, 0);
    for (size_t i = 0; i < d->n; i++) {
        const cts_record *r = &d->records[i];
        cts_phantom_spec spec = {
            .seed = cts_phantom_seed(11, r->name), .noise_salt = cts_phantom_noise_salt(r->name), .dim = {40, 36, 24}};
        cts_phantom *p = NULL;
        cts_str findings = {0}, impressions = {0};
        cts_volume *v = load(r->path), *w = NULL, *m = NULL, *mask;
        uint8_t truth[CTS_FINDINGS];
        char codes[4], name[100];

        assert_int_equal(cts_phantom_create(&p, &spec), 0);
        assert_int_equal(cts_phantom_report(p, &findings, &impressions), 0);
        assert_string_equal(r->findings, cts_str_text(&findings));
        assert_string_equal(r->impressions, cts_str_text(&impressions));
        cts_phantom_labels(p, truth);
        assert_true(r->has_labels && r->has_metadata);
        assert_memory_equal(r->labels, truth, sizeof truth);
        assert_true(r->spacing_xyz[2] == 12.5);
        assert_int_equal(cts_phantom_render(p, NULL, &w, &m), 0);
        assert_int_equal(v->type, CTS_VOXEL_I16);
        assert_memory_equal(v->voxels, w->voxels, cts_volume_count(v) * 2);
        cts_volume_axis_codes(v, codes);
        assert_string_equal(codes, "LPS");
        for (int k = 0; k < 3; k++)
            for (int c = 0; c < 4; c++)
                assert_true(v->affine[k][c] - w->affine[k][c] < 1e-4 && w->affine[k][c] - v->affine[k][c] < 1e-4);
        snprintf(name, sizeof name, "drawn/masks/%s", r->name);
        mask = load(at(name));
        assert_memory_equal(mask->voxels, m->voxels, cts_volume_count(m) * 4);
        cts_volume_destroy(v);
        cts_volume_destroy(w);
        cts_volume_destroy(m);
        cts_volume_destroy(mask);
        cts_phantom_destroy(p);
        cts_str_free(&findings);
        cts_str_free(&impressions);
    }
    /* the same labels given back: the same volumes */
    set = (cts_phantom_set){
        .folder = at("given"), .seed = 11, .reports = reports, .labels = labels, .n = 3, .dim = {40, 36, 24}};
    if (cts_phantom_set_write(&set, &written))
        fail_msg("%s", cts_error());
    assert_int_equal(written, 3);
    assert_false(cts_file_exists(at("given/reports.csv")));
    assert_true(cts_file_exists(at("given/metadata.csv")));
    for (size_t i = 0; i < 3; i++) {
        char name[100];
        cts_volume *v = load(d->records[i].path), *w;

        snprintf(name, sizeof name, "given/volumes/%s", d->records[i].name);
        w = load(at(name));
        assert_memory_equal(v->voxels, w->voxels, cts_volume_count(v) * 2);
        cts_volume_destroy(v);
        cts_volume_destroy(w);
    }
    cts_dataset_destroy(d);
    cts_pool_destroy(pool);
}

static void foreign_csv(void **state)
{
    cts_str labels = {0};
    cts_phantom_set set = {.folder = at("foreign"), .seed = 1, .dim = {32, 32, 16}};
    const char *reports =
        "VolumeName,Findings_EN,Impressions_EN\nvalid_9_a_1.nii.gz,\"one, two\",x\nvalid_9_a_2.nii.gz,y,z\n";
    cts_volume *a, *b;

    (void)state;
    cts_str_append(&labels, "VolumeName");
    for (int f = 0; f < CTS_FINDINGS; f++)
        cts_csv_put(&labels, cts_findings[f].name, false);
    cts_str_append(&labels, "\nvalid_9_a_1.nii.gz,0,0,0,0,0,0,0,0,0,1,0,0,0,0,0,0,0,0\n");
    assert_int_equal(cts_file_write_atomic(at("r.csv"), reports, strlen(reports)), 0);
    assert_int_equal(cts_file_write_atomic(at("l.csv"), labels.p, labels.n), 0);
    set.reports = at("r.csv");
    set.labels = at("l.csv");
    assert_int_equal(cts_phantom_set_write(&set, NULL), CTS_E_INPUT); /* a volume without labels */
    assert_non_null(strstr(cts_error(), "valid_9_a_2"));
    cts_str_append(&labels, "valid_9_a_2.nii.gz,0,0,0,0,0,0,0,0,0,1,0,0,0,0,0,0,0,0\n");
    assert_int_equal(cts_file_write_atomic(at("l.csv"), labels.p, labels.n), 0);
    if (cts_phantom_set_write(&set, NULL))
        fail_msg("%s", cts_error());
    a = load(at("foreign/volumes/valid_9_a_1.nii.gz"));
    b = load(at("foreign/volumes/valid_9_a_2.nii.gz"));
    assert_memory_not_equal(a->voxels, b->voxels, cts_volume_count(a) * 2); /* two reconstructions: noise differs, */
    for (size_t i = 0; i < cts_volume_count(a); i++) {                      /* anatomy does not */
        int d = ((int16_t *)a->voxels)[i] - ((int16_t *)b->voxels)[i];

        assert_true(d < 200 && d > -200);
    }
    cts_volume_destroy(a);
    cts_volume_destroy(b);
    cts_str_free(&labels);
}

static int stop(void *ctx, int64_t done, int64_t total)
{
    (void)ctx, (void)done, (void)total;
    return cts_fail(CTS_E_INTERRUPTED, "stopped");
}

static void cut_short_or_wrong(void **state)
{
    cts_phantom_set set = {.folder = at("cut"), .n = 2, .dim = {32, 32, 16}, .progress = stop};

    (void)state;
    assert_int_equal(cts_phantom_set_write(&set, NULL), CTS_E_INTERRUPTED);
    assert_false(cts_file_exists(at("cut/labels.csv")));
    set = (cts_phantom_set){.folder = at("wrong"), .n = 0};
    assert_int_equal(cts_phantom_set_write(&set, NULL), CTS_E_INPUT);
    set = (cts_phantom_set){.folder = at("wrong"), .n = 1, .prefix = "a/b"};
    assert_int_equal(cts_phantom_set_write(&set, NULL), CTS_E_INPUT);
    set = (cts_phantom_set){.folder = at("wrong"), .n = 1, .dim = {1, 1, 1}};
    assert_int_equal(cts_phantom_set_write(&set, NULL), CTS_E_INPUT);
    set = (cts_phantom_set){.n = 1};
    assert_int_equal(cts_phantom_set_write(&set, NULL), CTS_E_INPUT);
    assert_false(cts_file_exists(at("wrong")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(drawn_then_given), cmocka_unit_test(foreign_csv),
                                       cmocka_unit_test(cut_short_or_wrong)};

    return cmocka_run_group_tests(tests, setup, teardown);
}
