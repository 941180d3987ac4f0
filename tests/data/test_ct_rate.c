/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/ct_rate.h"
#include "kernels/base/file.h"
#include "kernels/base/str.h"

static char dir[32];

static const char *at(const char *name)
{
    static char buf[4][256];
    static int turn;

    turn = (turn + 1) % 4;
    snprintf(buf[turn], sizeof buf[turn], "%s/%s", dir, name);
    return buf[turn];
}

static const char *put(const char *name, const char *text)
{
    assert_int_equal(cts_file_write_atomic(at(name), text, strlen(text)), CTS_OK);
    return at(name);
}

static void touch(const char *folder, const char *name)
{
    char path[300];

    assert_int_equal(cts_mkdir_p(at(folder)), CTS_OK);
    snprintf(path, sizeof path, "%s/%s/%s", dir, folder, name);
    assert_int_equal(cts_file_write_atomic(path, "x", 1), CTS_OK);
}

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/cts_ctrate_XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return cts_remove_tree(dir);
}

/* A label CSV whose row `bad` (or none: -1) has `cell` as its fourth label. */
static void label_csv(cts_str *s, const char *const *names, size_t n, int bad, const char *cell)
{
    cts_str_clear(s);
    cts_str_append(s, "VolumeName");
    for (int f = CTS_FINDINGS - 1; f >= 0; f--) /* the order of the columns is the file's own */
        cts_str_printf(s, ",%s", cts_findings[f].name);
    for (size_t i = 0; i < n; i++) {
        cts_str_printf(s, "\n%s", names[i]);
        for (int f = CTS_FINDINGS - 1; f >= 0; f--)
            cts_str_printf(s, ",%s",
                           (int)i == bad && f == 3 ? cell
                           : f == (int)i           ? (i ? "1.0" : "1")
                           : i                     ? "0.0"
                                                   : "0");
    }
    cts_str_append(s, "\n");
}

static const char reports_text[] = "VolumeName,Findings_EN,Impressions_EN,Extra\n"
                                   "valid_53_a_1.nii.gz,\"One, two.\",Done.,x\n"
                                   "valid_53_a_2.nii.gz,Three.,,x\n"
                                   "valid_7_b_1,Four.,Not given.,x\n"
                                   "my scan.nii,Five.,Six.,x\n";

static void everything(void **state)
{
    static const char *const names[] = {"valid_53_a_2", "my scan.nii", "stranger_1.nii.gz", "valid_53_a_1.nii.gz"};
    cts_dataset_paths p = {0};
    cts_dataset *d = NULL;
    cts_str labels = {0};
    const cts_record *r;

    (void)state;
    p.reports = strdup(put("reports.csv", reports_text));
    label_csv(&labels, names, 4, -1, "");
    p.labels = strdup(put("labels.csv", cts_str_text(&labels)));
    p.metadata = strdup(put("meta.csv", "RescaleIntercept,VolumeName,XYSpacing,ZSpacing,RescaleSlope\n"
                                        "-1024,valid_53_a_1.nii.gz,\"[0.7, 0.7]\",1.5,1\n"
                                        "-8192.0,valid_7_b_1.nii.gz,\"[0.5, 0.5]\",3,2\n"
                                        ",my scan.nii,\"[0.5, 0.5]\",3,1\n"));
    touch("vol/valid/valid_53/valid_53_a", "valid_53_a_1.nii.gz");
    touch("vol/valid/valid_7/valid_7_b", "valid_7_b_1.nii");
    touch("vol", "my scan.nii.gz");
    touch("vol", "nobody.nii.gz");
    touch("vol", "notes.txt");
    p.volumes = strdup(at("vol"));
    if (cts_dataset_load(&d, &p))
        fail_msg("%s", cts_error());
    assert_int_equal(d->n, 4);
    assert_int_equal(d->n_missing, 1);
    assert_string_equal(d->missing[0], "valid_53_a_2.nii.gz");
    assert_int_equal(d->n_unlabelled, 1);
    assert_int_equal(d->n_unused, 1);
    assert_int_equal(d->n_unlisted, 1);
    r = &d->records[0];
    assert_string_equal(r->name, "valid_53_a_1.nii.gz");
    assert_string_equal(r->stem, "valid_53_a_1");
    assert_string_equal(r->patient, "valid_53");
    assert_string_equal(r->scan, "valid_53_a");
    assert_int_equal(r->reconstruction, 1);
    assert_string_equal(r->findings, "One, two.");
    assert_string_equal(r->path, at("vol/valid/valid_53/valid_53_a/valid_53_a_1.nii.gz"));
    assert_true(r->has_labels && r->labels[3] == 1 && r->labels[0] == 0);
    assert_true(r->has_metadata && r->spacing_xyz[0] == 0.7 && r->spacing_xyz[1] == 0.7 && r->spacing_xyz[2] == 1.5);
    assert_true(r->rescale[0] == 1 && r->rescale[1] == -1024);
    r = &d->records[1];
    assert_null(r->path);
    assert_true(r->has_labels && r->labels[0] == 1 && !r->has_metadata);
    assert_string_equal(r->impressions, "");
    r = &d->records[2];
    assert_false(r->has_labels);
    assert_string_equal(r->path, at("vol/valid/valid_7/valid_7_b/valid_7_b_1.nii"));
    assert_true(r->rescale[0] == 2 && r->rescale[1] == -8192);
    r = &d->records[3];
    assert_string_equal(r->patient, "my scan");
    assert_string_equal(r->scan, "my scan");
    assert_int_equal(r->reconstruction, 0);
    assert_false(r->has_metadata);
    assert_string_equal(r->path, at("vol/my scan.nii.gz"));
    assert_int_equal(cts_dataset_find(d, "valid_7_b_1.nii.gz"), 2);
    assert_int_equal(cts_dataset_find(d, "valid_7_b"), -1);
    cts_dataset_destroy(d);

    /* without reports the labels list the records, without CSVs the folder does */
    free((char *)(uintptr_t)p.reports);
    p.reports = NULL;
    assert_int_equal(cts_dataset_load(&d, &p), CTS_OK);
    assert_int_equal(d->n, 4);
    assert_string_equal(d->records[0].name, "valid_53_a_2");
    assert_false(d->records[0].has_report);
    cts_dataset_destroy(d);
    free((char *)(uintptr_t)p.labels);
    p.labels = NULL;
    assert_int_equal(cts_dataset_load(&d, &p), CTS_OK);
    assert_int_equal(d->n, 4);
    assert_string_equal(d->records[0].name, "my scan.nii.gz");
    assert_int_equal(d->n_missing, 0);
    cts_dataset_destroy(d);
    free((char *)(uintptr_t)p.metadata);
    free((char *)(uintptr_t)p.volumes);
    cts_str_free(&labels);
}

static void expect(const cts_dataset_paths *p, int rc, const char *says)
{
    cts_dataset *d = NULL;

    assert_int_equal(cts_dataset_load(&d, p), rc);
    assert_null(d);
    if (!strstr(cts_error(), says))
        fail_msg("expected \"%s\" in: %s", says, cts_error());
}

static void refused(void **state)
{
    static const char *const names[] = {"a_1", "a_2"};
    static const char *const bad_cells[] = {"2", "", "-1", "yes", "0.5", "nan"};
    cts_dataset_paths none = {0}, r = {0}, l = {0}, m = {0}, v = {0};
    cts_str labels = {0};

    (void)state;
    expect(&none, CTS_E_INPUT, "neither");
    r.reports = put("r1.csv", "VolumeName,Findings_EN,Impressions_EN\na.nii.gz,x,y\nb,x,y\na,x,z\n");
    expect(&r, CTS_E_INPUT, "line 2 and again on line 4");
    r.reports = put("r2.csv", "VolumeName,Findings_EN\na,x\n");
    expect(&r, CTS_E_FORMAT, "Impressions_EN");
    r.reports = put("r3.csv", "VolumeName,Findings_EN,Impressions_EN\n,x,y\n");
    expect(&r, CTS_E_INPUT, "line 2: VolumeName is empty");
    r.reports = put("r4.csv", "VolumeName,Findings_EN,Impressions_EN\n");
    expect(&r, CTS_E_INPUT, "no rows");
    for (size_t i = 0; i < sizeof bad_cells / sizeof bad_cells[0]; i++) {
        char says[80];

        label_csv(&labels, names, 2, 1, bad_cells[i]);
        l.labels = put("l.csv", cts_str_text(&labels));
        snprintf(says, sizeof says, "line 3: %s is \"%s\"", cts_findings[3].name, bad_cells[i]);
        expect(&l, CTS_E_INPUT, says);
    }
    l.labels = put("l2.csv", "VolumeName,Emphysema\na,1\n");
    expect(&l, CTS_E_FORMAT, "Medical material");
    m.metadata = put("m.csv", "VolumeName,XYSpacing,ZSpacing,RescaleSlope,RescaleIntercept\na,\"[0, 0]\",1,1,0\n");
    expect(&m, CTS_E_INPUT, "XYSpacing");
    m.metadata = put("m2.csv", "VolumeName,XYSpacing,ZSpacing,RescaleSlope,RescaleIntercept\na,\"[1, 1]\",-1,1,0\n");
    expect(&m, CTS_E_INPUT, "ZSpacing is -1");
    m.metadata = put("m3.csv", "VolumeName,XYSpacing,ZSpacing,RescaleSlope,RescaleIntercept\na,\"[1, 1]\",1,one,0\n");
    expect(&m, CTS_E_INPUT, "RescaleSlope is \"one\"");
    v.volumes = at("nowhere");
    expect(&v, CTS_E_IO, "nowhere");
    assert_int_equal(cts_mkdir_p(at("empty")), CTS_OK);
    v.volumes = at("empty");
    expect(&v, CTS_E_INPUT, "no .nii");
    touch("twice/x", "a_1.nii.gz");
    touch("twice/y", "a_1.nii.gz");
    v.volumes = at("twice");
    expect(&v, CTS_E_INPUT, "twice");
    cts_str_free(&labels);
}

static void xy_spacing(void **state)
{
    static const char *const bad[] = {"", "[", "[]", "[a, b]", "[-1, -1]", "[nan, nan]", "[inf, inf]", "[1 2, 3]"};
    double mm = 5;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(cts_xy_spacing_parse(&mm, bad[i]), CTS_E_INPUT);
    assert_true(mm == 5);
    assert_int_equal(cts_xy_spacing_parse(&mm, "[0.34, 0.34]"), CTS_OK);
    assert_true(mm == 0.34);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everything, setup, teardown),
        cmocka_unit_test_setup_teardown(refused, setup, teardown),
        cmocka_unit_test(xy_spacing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
