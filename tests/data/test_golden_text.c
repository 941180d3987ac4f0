/* Report texts against the published loaders, made-up rows and (where the data folder is) real ones.
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
#include "data/report_text.h"
#include "tests/support/golden.h"

static void cleaning(void **state)
{
    json_t *j = cts_golden_need_json("text/cleaning.json"), *row;
    const char *text = json_string_value(json_object_get(j, "csv_text"));
    cts_csv *csv = NULL;
    cts_str out = {0};
    int name, findings, impressions;
    size_t i;

    (void)state;
    assert_non_null(text);
    assert_int_equal(cts_csv_parse(&csv, text, strlen(text), "cleaning.json"), CTS_OK);
    assert_int_equal(cts_csv_require(&name, csv, "VolumeName"), CTS_OK);
    assert_int_equal(cts_csv_require(&findings, csv, "Findings_EN"), CTS_OK);
    assert_int_equal(cts_csv_require(&impressions, csv, "Impressions_EN"), CTS_OK);
    assert_int_equal(cts_csv_rows(csv), json_array_size(json_object_get(j, "rows")));
    json_array_foreach(json_object_get(j, "rows"), i, row)
    {
        const char *f = cts_csv_cell(csv, i, (size_t)findings), *p = cts_csv_cell(csv, i, (size_t)impressions);

        assert_string_equal(cts_csv_cell(csv, i, (size_t)name), json_string_value(json_object_get(row, "volume")));
        assert_string_equal(f, json_string_value(json_object_get(row, "findings")));
        assert_string_equal(p, json_string_value(json_object_get(row, "impressions")));
        for (int m = 0; m < CTS_TEXT_MODES; m++) {
            const char *want = json_string_value(json_object_get(row, cts_text_mode_name((cts_text_mode)m)));

            assert_int_equal(cts_report_text(&out, (cts_text_mode)m, f, p), CTS_OK);
            if (want)
                assert_string_equal(cts_str_text(&out), want);
            else
                assert_int_equal(m, CTS_TEXT_CLEAN); /* ours, in no golden */
        }
    }
    assert_true(i > 0);
    cts_str_free(&out);
    cts_csv_destroy(csv);
    json_decref(j);
}

static void reports(void **state)
{
    json_t *j = cts_golden_need_json("text/report_texts.json"), *list, *row;
    char *path = cts_golden_need_data_path(json_string_value(json_object_get(j, "csv")));
    cts_csv *csv = NULL;
    cts_str out = {0};
    int name, findings, impressions;
    const char *mode_name;
    size_t done = 0;

    (void)state;
    assert_int_equal(cts_csv_load(&csv, path), CTS_OK);
    assert_int_equal(cts_csv_require(&name, csv, "VolumeName"), CTS_OK);
    assert_int_equal(cts_csv_require(&findings, csv, "Findings_EN"), CTS_OK);
    assert_int_equal(cts_csv_require(&impressions, csv, "Impressions_EN"), CTS_OK);
    json_object_foreach(json_object_get(j, "texts"), mode_name, list)
    {
        cts_text_mode mode;
        size_t i;

        assert_int_equal(cts_text_mode_find(&mode, mode_name), CTS_OK);
        json_array_foreach(list, i, row)
        {
            size_t r = 0;

            while (r < cts_csv_rows(csv) &&
                   strcmp(cts_csv_cell(csv, r, (size_t)name), json_string_value(json_object_get(row, "volume"))))
                r++;
            assert_true(r < cts_csv_rows(csv));
            assert_int_equal(cts_report_text(&out, mode, cts_csv_cell(csv, r, (size_t)findings),
                                             cts_csv_cell(csv, r, (size_t)impressions)),
                             CTS_OK);
            assert_int_equal(out.n, json_integer_value(json_object_get(row, "utf8_bytes")));
            assert_int_equal(cts_fnv1a64(cts_str_text(&out), out.n),
                             strtoull(json_string_value(json_object_get(row, "utf8_fnv1a64")), NULL, 16));
            done++;
        }
    }
    assert_true(done > 0);
    cts_str_free(&out);
    cts_csv_destroy(csv);
    free(path);
    json_decref(j);
}

static void clean_mode(void **state)
{
    static const char *const rows[][3] = {
        {"Lungs are clear.", "No finding.", "Lungs are clear. No finding."},
        {"  Lungs are clear.\r\n", "Not given.", "Lungs are clear."},
        {"not given", "\n", ""},
        {NULL, "NaN", ""},
        {"nan", "A (small) \"nodule\".", "A (small) \"nodule\"."},
    };
    cts_str out = {0};
    cts_text_mode mode;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(cts_report_text(&out, CTS_TEXT_CLEAN, rows[i][0], rows[i][1]), CTS_OK);
        assert_string_equal(cts_str_text(&out), rows[i][2]);
    }
    assert_int_equal(cts_text_mode_find(&mode, "verbatim"), CTS_E_INPUT);
    cts_str_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cleaning),
        cmocka_unit_test(reports),
        cmocka_unit_test(clean_mode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
