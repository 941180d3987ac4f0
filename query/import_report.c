/* SPDX-License-Identifier: MIT */
#include "query/import_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kernels/base/digest.h"
#include "kernels/base/file.h"

#define WIDEST_NAME 90 /* columns of a name in the table */

typedef struct {
    int used, dropped, made;
    int64_t parameters, bytes; /* of the model; bytes of its values as F32 */
} counts;

static counts count(const cts_import_report *j)
{
    const cts_params *p = cts_import_plan_model(j->plan)->params;
    counts c = {0};

    for (int i = 0; i < cts_import_plan_rows(j->plan); i++) {
        cts_import_row r;

        cts_import_plan_row(&r, j->plan, i);
        c.used += r.source && r.target;
        c.dropped += r.source && !r.target;
        c.made += !r.source;
    }
    c.parameters = cts_params_count(p);
    for (int i = 0; i < cts_params_n(p); i++)
        c.bytes += cts_params_get(p, i)->count * 4;
    return c;
}

static json_t *file_json(const cts_import_report *j, const char *role, const char *path)
{
    char sha[CTS_DIGEST_HEX];
    json_t *f = json_pack("{s:s, s:s}", "role", role, "path", path);
    uint64_t bytes = 0;

    if (!f || cts_file_size(&bytes, path))
        return f;
    json_object_set_new(f, "bytes", json_integer((json_int_t)bytes));
    if (j->digest && !cts_digest_file(sha, path))
        json_object_set_new(f, "sha256", json_string(sha));
    return f;
}

static json_t *files_json(const cts_import_report *j)
{
    json_t *files = json_array();

    for (int i = 0; i < cts_weights_n_files(j->weights); i++)
        json_array_append_new(files, file_json(j, "weights", cts_weights_file(j->weights, i)));
    if (j->sources->tokenizer)
        json_array_append_new(files, file_json(j, "tokenizer", j->sources->tokenizer));
    if (j->sources->config)
        json_array_append_new(files, file_json(j, "config", j->sources->config));
    return files;
}

json_t *cts_import_report_json(const cts_import_report *j)
{
    const cts_import_draft *d = cts_import_plan_draft(j->plan);
    counts c = count(j);

    return json_pack("{s:s, s:s?, s:o, s:s, s:s, s:{s:i, s:i, s:i}, s:I, s:I, s:s?, s:s?, s:O}", "family",
                     cts_import_plan_family(j->plan)->name, "variant", d->variant, "files", files_json(j),
                     "weights_format", cts_weights_format(j->weights), "weights_key", cts_weights_key(j->weights),
                     "tensors", "used", c.used, "dropped", c.dropped, "made", c.made, "parameters",
                     (json_int_t)c.parameters, "bytes", (json_int_t)c.bytes, "recipe",
                     j->recipe ? j->recipe->name : NULL, "recipe_override_of",
                     j->recipe && *j->recipe->override_of ? j->recipe->override_of : NULL, "notes", j->notes);
}

json_t *cts_import_provenance(const cts_import_report *j)
{
    json_t *head = json_pack("{s:s, s:i}", "format", "ctsearch-provenance", "version", 1);
    json_t *dropped = json_array();

    for (int i = 0; i < cts_import_plan_rows(j->plan); i++) {
        cts_import_row r;

        cts_import_plan_row(&r, j->plan, i);
        if (!r.target)
            json_array_append_new(dropped, json_pack("{s:s, s:s}", "name", r.source, "reason", r.note));
    }
    if (json_object_update_new(head, cts_import_report_json(j)) || json_object_set_new(head, "dropped", dropped)) {
        json_decref(head);
        return NULL;
    }
    return head;
}

json_t *cts_import_rows_json(const cts_import_report *j)
{
    json_t *rows = json_array();

    for (int i = 0; i < cts_import_plan_rows(j->plan); i++) {
        json_t *shape = json_array();
        cts_import_row r;

        cts_import_plan_row(&r, j->plan, i);
        for (int d = 0; d < r.ndim; d++)
            json_array_append_new(shape, json_integer(r.shape[d]));
        json_array_append_new(rows, json_pack("{s:s?, s:s?, s:s, s:o, s:I, s:s?}", "source", r.source, "target",
                                              r.target, "dtype", cts_st_dtype_name(r.dtype), "shape", shape, "bytes",
                                              (json_int_t)r.bytes, "note", r.note));
    }
    return rows;
}

void cts_import_print_table(const cts_import_report *j)
{
    int wide = 6, n = cts_import_plan_rows(j->plan);
    cts_import_row r;

    for (int i = 0; i < n; i++) {
        cts_import_plan_row(&r, j->plan, i);
        if (r.source && (int)strlen(r.source) > wide)
            wide = (int)strlen(r.source);
    }
    if (wide > WIDEST_NAME)
        wide = WIDEST_NAME;
    printf("%-*s  %-5s %-20s %s\n", wide, "tensor", "dtype", "shape", "becomes");
    for (int i = 0; i < n; i++) {
        char shape[96];

        cts_import_plan_row(&r, j->plan, i);
        cts_shape_text(shape, r.ndim, r.shape);
        printf("%-*s  %-5s %-20s ", wide, r.source ? r.source : "-", cts_st_dtype_name(r.dtype), shape);
        if (!r.target)
            printf("dropped: %s\n", r.note);
        else
            printf("%s%s%s\n", r.source && !strcmp(r.source, r.target) ? "the same" : r.target, r.note ? ": " : "",
                   r.note ? r.note : "");
    }
    printf("\n");
}

void cts_import_print_summary(const cts_import_report *j)
{
    const cts_import_draft *d = cts_import_plan_draft(j->plan);
    const char *key = cts_weights_key(j->weights);
    counts c = count(j);
    const json_t *text;
    size_t i;

    printf("%s: %s%s%s, %s%s%s%s\n", j->sources->weights, cts_import_plan_family(j->plan)->name, d->variant ? " " : "",
           d->variant ? d->variant : "", cts_weights_format(j->weights), *key ? ", under \"" : "", key,
           *key ? "\"" : "");
    printf("%d tensors used, %d dropped, %d made: %" PRId64 " parameters\n", c.used, c.dropped, c.made, c.parameters);
    if (j->recipe)
        printf("recipe %s\n", j->recipe->name);
    if (j->tokenizer)
        printf("tokenizer %s, %" PRId32 " ids\n", cts_tokenizer_kind(j->tokenizer), cts_tokenizer_size(j->tokenizer));
    json_array_foreach(j->notes, i, text) printf("note: %s\n", json_string_value(text));
}
