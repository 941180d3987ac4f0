/* Ids of both tokenizers against transformers and sentencepiece (text/ of the golden folder): single strings, and whole
 * reports where the data folder with their CSV is at hand. The vocabulary is text/vocab.txt of the set, or the
 * project's.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/str.h"
#include "tests/support/golden.h"
#include "tokenizer/tokenizer.h"

/* cts_golden_need_json() takes no U+0000 in a string, and one string here has it. */
static json_t *need_json(const char *file)
{
    char *path = cts_golden_need_path(file);
    json_error_t error;
    json_t *j = json_load_file(path, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);

    if (!j)
        fail_msg("%s: line %d: %s", path, error.line, error.text);
    free(path);
    return j;
}

static const char *need_string(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));

    if (!s)
        fail_msg("golden: no text field \"%s\"", key);
    return s;
}

static cts_tokenizer *need_tokenizer(const char *path)
{
    cts_tokenizer *t = NULL;

    if (cts_tokenizer_open(&t, path))
        fail_msg("%s", cts_error());
    return t;
}

static cts_tokenizer *need_vocabulary(void)
{
    char *path = cts_path_join(cts_golden_dir(), "text/vocab.txt");
    cts_tokenizer *t;

    t = need_tokenizer(cts_file_exists(path) ? path : CTS_SOURCE_DIR "/tests/golden/text/bert-base-uncased-vocab.txt");
    free(path);
    return t;
}

/* True when the array holds exactly these ids; else the first difference is printed. */
static bool same_ids(const json_t *want, const int32_t *got, size_t n, const char *what, bool print)
{
    size_t m = json_array_size(want), i = 0;

    while (i < m && i < n && json_integer_value(json_array_get(want, i)) == got[i])
        i++;
    if (json_is_array(want) && i == m && i == n)
        return true;
    if (print)
        print_message("%s: id %zu is %d, expected %d (%zu ids, expected %zu)\n", what, i, i < n ? (int)got[i] : -1,
                      i < m ? (int)json_integer_value(json_array_get(want, i)) : -1, n, m);
    return false;
}

/* ---- reports ---- */

enum { VOLUME, FINDINGS, IMPRESSIONS, N_COLUMNS };

typedef struct {
    cts_str *cells; /* [n][N_COLUMNS] */
    size_t n;
} report_table;

/* One cell from *at on; returns the character that ended it: ',' or '\n', or 0 at the end of the file. */
static char read_cell(cts_str *cell, const char **at, const char *end)
{
    const char *p = *at;
    bool quoted = false;

    cts_str_clear(cell);
    for (; p < end; p++) {
        if (*p == '"' && quoted && p + 1 < end && p[1] == '"')
            cts_str_append_n(cell, ++p, 1);
        else if (*p == '"')
            quoted = !quoted;
        else if (!quoted && (*p == ',' || *p == '\n'))
            break;
        else if (quoted || *p != '\r')
            cts_str_append_n(cell, p, 1);
    }
    *at = p < end ? p + 1 : p;
    return p < end ? *p : 0;
}

static void table_free(report_table *t)
{
    for (size_t i = 0; i < t->n * N_COLUMNS; i++)
        cts_str_free(&t->cells[i]);
    free(t->cells);
}

/* Quoted cells, doubled quotes and line ends in quotes, as every CSV writer makes them. */
static report_table need_reports(const char *csv)
{
    static const char *const names[N_COLUMNS] = {"VolumeName", "Findings_EN", "Impressions_EN"};
    char *path = cts_golden_need_data_path(csv), *text = NULL;
    int column[64];
    report_table t = {0};
    cts_str cell = {0};
    const char *p, *end;
    size_t n = 0, col = 0;
    char stop;

    if (cts_file_read(&text, &n, path, (size_t)1 << 30))
        fail_msg("%s", cts_error());
    p = text + (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0);
    end = text + n;
    do {
        stop = read_cell(&cell, &p, end);
        column[col] = -1;
        for (int k = 0; k < N_COLUMNS; k++)
            if (strcmp(cts_str_text(&cell), names[k]) == 0)
                column[col] = k;
    } while (++col < CTS_COUNT(column) && stop == ',');
    while (p < end) {
        t.cells = realloc(t.cells, (t.n + 1) * N_COLUMNS * sizeof *t.cells);
        assert_non_null(t.cells);
        memset(t.cells + t.n * N_COLUMNS, 0, N_COLUMNS * sizeof *t.cells);
        for (size_t i = 0; i < col; i++) {
            stop = read_cell(&cell, &p, end);
            if (column[i] >= 0)
                cts_str_append_n(&t.cells[t.n * N_COLUMNS + (size_t)column[i]], cts_str_text(&cell), cell.n);
            if (stop != ',')
                break;
        }
        t.n++;
    }
    cts_str_free(&cell);
    free(text);
    free(path);
    return t;
}

/* One section of a report under a text mode, without the characters that the published loaders take out. The names a
 * common CSV reader turns into "not a number" arrive as the text "nan". */
static void append_section(cts_str *out, const char *cell, bool inference)
{
    static const char *const missing[] = {"",     "#N/A",   "#N/A N/A", "#NA",  "-1.#IND", "-1.#QNAN", "-NaN",
                                          "-nan", "1.#IND", "1.#QNAN",  "<NA>", "N/A",     "NA",       "NULL",
                                          "NaN",  "None",   "n/a",      "nan",  "null"};

    for (size_t i = 0; i < CTS_COUNT(missing); i++)
        if (strcmp(cell, missing[i]) == 0)
            cell = "nan";
    if (inference && strcmp(cell, "Not given.") == 0)
        return;
    for (; *cell; cell++)
        if (!strchr("\"'()", *cell))
            cts_str_append_n(out, cell, 1);
}

static void need_report_text(cts_str *out, const report_table *t, const char *volume, const char *mode)
{
    bool inference = strstr(mode, "_infer") != NULL, findings_only = strcmp(mode, "ctclip_train") == 0;

    if (strcmp(mode, "dcformer_train") != 0 && !inference && !findings_only)
        fail_msg("golden: unknown text mode %s", mode);
    cts_str_clear(out);
    for (size_t i = 0; i < t->n; i++) {
        const cts_str *row = t->cells + i * N_COLUMNS;

        if (strcmp(cts_str_text(&row[VOLUME]), volume) != 0)
            continue;
        append_section(out, cts_str_text(&row[FINDINGS]), inference);
        if (!findings_only)
            append_section(out, cts_str_text(&row[IMPRESSIONS]), inference);
        return;
    }
    fail_msg("golden: the CSV has no volume %s", volume);
}

/* ---- WordPiece ---- */

/* Sequences are cut to the longest one of the file: the set's own limit if any text reached it. */
static int32_t longest_ids(const json_t *rows)
{
    size_t i, longest = 2;
    json_t *row;

    json_array_foreach(rows, i, row)
    {
        size_t n = json_array_size(json_object_get(row, "ids"));

        longest = n > longest ? n : longest;
    }
    return (int32_t)longest;
}

/* How many rows differ; each is printed. */
static int check_sequence(const cts_tokenizer *t, const json_t *row, const char *what, const char *text, size_t n_bytes,
                          int32_t limit)
{
    int32_t *ids = malloc((size_t)limit * sizeof *ids);
    const json_t *fast = json_object_get(row, "ids_fast");
    size_t n = 0;
    bool same;

    assert_non_null(ids);
    if (cts_tokenizer_encode_sequence(t, text, n_bytes, limit, ids, &n))
        fail_msg("%s: %s", what, cts_error());
    same = (fast && same_ids(fast, ids, n, what, false)) || same_ids(json_object_get(row, "ids"), ids, n, what, true);
    free(ids);
    return !same;
}

static void wordpiece_strings(void **state)
{
    json_t *j = need_json("text/wordpiece_strings.json"), *rows = json_object_get(j, "strings"), *row;
    cts_tokenizer *t = need_vocabulary();
    int32_t limit = longest_ids(rows);
    int bad = 0;
    size_t i;

    (void)state;
    assert_true(json_array_size(rows) > 0);
    json_array_foreach(rows, i, row)
    {
        const json_t *text = json_object_get(row, "text");
        char what[32];

        need_string(row, "text");
        snprintf(what, sizeof what, "string %zu", i);
        bad += check_sequence(t, row, what, json_string_value(text), json_string_length(text), limit);
    }
    print_message("%zu strings, at most %d ids\n", i, (int)limit);
    cts_tokenizer_close(t);
    json_decref(j);
    assert_int_equal(bad, 0);
}

static void wordpiece_reports(void **state)
{
    json_t *j = need_json("text/wordpiece_reports.json"), *rows = json_object_get(j, "reports"), *row;
    report_table table = need_reports(need_string(j, "csv"));
    cts_tokenizer *t = need_vocabulary();
    int32_t limit = longest_ids(rows);
    cts_str text = {0};
    int bad = 0;
    size_t i;

    (void)state;
    assert_true(json_array_size(rows) > 0);
    json_array_foreach(rows, i, row)
    {
        const char *volume = need_string(row, "volume"), *mode = need_string(row, "mode");

        need_report_text(&text, &table, volume, mode);
        if ((int64_t)text.n != json_integer_value(json_object_get(row, "utf8_bytes")) ||
            cts_fnv1a64(text.p, text.n) != strtoull(need_string(row, "utf8_fnv1a64"), NULL, 16))
            fail_msg("%s %s: the text itself differs (%zu bytes)", volume, mode, text.n);
        bad += check_sequence(t, row, volume, cts_str_text(&text), text.n, limit);
    }
    print_message("%zu reports, at most %d ids\n", i, (int)limit);
    cts_str_free(&text);
    cts_tokenizer_close(t);
    table_free(&table);
    json_decref(j);
    assert_int_equal(bad, 0);
}

/* ---- SentencePiece ---- */

static int check_pieces(const cts_tokenizer *t, const json_t *row, const char *what, const char *text, size_t n_bytes)
{
    const json_t *want = json_object_get(row, "decoded");
    int32_t *ids = NULL;
    char *back = NULL;
    size_t n = 0;
    bool same;

    if (cts_tokenizer_encode(t, text, n_bytes, &ids, &n) || cts_tokenizer_decode(t, ids, n, &back))
        fail_msg("%s: %s", what, cts_error());
    same = same_ids(json_object_get(row, "ids"), ids, n, what, true);
    if (want && strcmp(json_string_value(want), back) != 0) {
        print_message("%s: decoded \"%s\", expected \"%s\"\n", what, back, json_string_value(want));
        same = false;
    }
    free(ids);
    free(back);
    return !same;
}

/* The special ids as far as they can be seen from outside: size, and the two ends of a sequence. */
static void check_model(const cts_tokenizer *t, const json_t *model)
{
    int32_t ids[2];
    size_t n = 0;

    assert_string_equal(cts_tokenizer_kind(t), "sentencepiece");
    assert_int_equal(cts_tokenizer_size(t), json_integer_value(json_object_get(model, "size")));
    assert_int_equal(cts_tokenizer_encode_sequence(t, "a", 1, 2, ids, &n), CTS_OK);
    assert_int_equal(n, 2);
    assert_int_equal(ids[0], json_integer_value(json_object_get(model, "bos")));
    assert_int_equal(ids[1], json_integer_value(json_object_get(model, "eos")));
}

static int check_sentencepiece(const json_t *all, const json_t *model, const char *name, bool reports)
{
    char *folder = cts_path_join(cts_golden_dir(), "text"), *path = cts_path_join(folder, need_string(model, "model")),
         what[64];
    cts_tokenizer *t = need_tokenizer(path);
    const json_t *rows = json_object_get(model, reports ? "reports" : "strings"), *csv = json_object_get(all, "csv");
    report_table table = {0};
    cts_str text = {0};
    json_t *row;
    int bad = 0;
    size_t i;

    if (reports && json_array_size(rows))
        table = need_reports(csv ? json_string_value(csv) : "reports/valid_reports.csv");
    check_model(t, model);
    json_array_foreach(rows, i, row)
    {
        if (reports) {
            need_report_text(&text, &table, need_string(row, "volume"), need_string(all, "report_text"));
        } else {
            const json_t *s = json_object_get(row, "text");

            cts_str_clear(&text);
            cts_str_append_n(&text, need_string(row, "text"), json_string_length(s));
        }
        snprintf(what, sizeof what, "%s %s %zu", name, reports ? "report" : "string", i);
        bad += check_pieces(t, row, what, cts_str_text(&text), text.n);
    }
    print_message("%s: %zu %s\n", name, i, reports ? "reports" : "strings");
    cts_str_free(&text);
    table_free(&table);
    cts_tokenizer_close(t);
    free(path);
    free(folder);
    return bad;
}

static void sentencepiece_all(bool reports)
{
    json_t *j = need_json("text/sentencepiece.json"), *model;
    int bad = 0, models = 0;
    const char *name;

    json_object_foreach(j, name, model)
    {
        if (!json_is_object(model) || !json_object_get(model, "model"))
            continue;
        models++;
        bad += check_sentencepiece(j, model, name, reports);
    }
    json_decref(j);
    assert_true(models > 0);
    assert_int_equal(bad, 0);
}

static void sentencepiece_strings(void **state)
{
    (void)state;
    sentencepiece_all(false);
}

static void sentencepiece_reports(void **state)
{
    (void)state;
    sentencepiece_all(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wordpiece_strings),
        cmocka_unit_test(wordpiece_reports),
        cmocka_unit_test(sentencepiece_strings),
        cmocka_unit_test(sentencepiece_reports),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
