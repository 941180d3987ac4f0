/* `ctsearch query`: from a sentence, a report, a scan or an item of the index to ranked items.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/findings.h"
#include "kernels/base/file.h"
#include "kernels/base/log.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"
#include "query/cli.h"
#include "query/orientation.h"
#include "query/present.h"
#include "query/scan_options.h"
#include "query/session.h"

#define K_MAX 100000

typedef enum { FROM_NOTHING, FROM_TEXT, FROM_IMAGE, FROM_REPORT, FROM_LIKE } query_kind;
static const char *const kind_names[] = {"", "text", "image", "report", "like"};

typedef struct {
    const char *index, *model, *value;
    cts_overrides over;
    cts_scan_options scan;
    query_kind kind;
    bool has_target, approx;
    cts_space target;
    cts_index_group group;
    uint32_t label_mask, label_value;
    int64_t k;
} options;

static const struct argp_option argp_options[] = {
    {"index", 'i', "INDEX", 0, "Index to search (needed)", 0},
    {"model", 'm', "DIR", 0, "Model folder (default: the one the index remembers)", 0},
    {NULL, 0, NULL, 0, "What to look for (one of):", 1},
    {"text", 't', "SENTENCE", 0, "A sentence, for example \"pleural effusion\"", 1},
    {"image", 'I', "FILE", 0, "A scan, .nii or .nii.gz", 1},
    {"report", 'r', "FILE|TEXT", 0, "A report: a file, or the text itself", 1},
    {"like", 'l', "ID", 0, "An item of the index: scans that look like it", 1},
    {NULL, 0, NULL, 0, "Where and how:", 2},
    {"k", 'k', "N", 0, "Hits (default 10)", 2},
    {"target", 'T', "SPACE", 0,
     "Rank by image or text vectors (default: image, or text for --image; the other where the index has none)", 2},
    {"filter", 'f', "FILTER", 0, "label=NAME or label!=NAME, may be repeated; unlabelled items are left out", 2},
    {"group", 'g', "BY", 0, "none, scan or patient: only the best hit of each (default none)", 2},
    CTS_OPTION_RECIPE,
    {"approx", 'a', NULL, 0, "Use the approximate index of `index build` where there is one", 2},
    {0}};

static void set_query(struct argp_state *state, options *o, query_kind kind, const char *value)
{
    if (o->kind)
        argp_error(state, "--%s: got it beside --%s, allowed: one of --text, --image, --report, --like",
                   kind_names[kind], kind_names[o->kind]);
    o->kind = kind;
    o->value = value;
}

static void add_filter(struct argp_state *state, options *o, const char *text)
{
    size_t n = strcspn(text, "!=");
    bool not = text[n] == '!';
    const char *name = text + n + 1 + not ;
    uint32_t bit, value;
    int finding;

    if (n != 5 || strncmp(text, "label", n) || !text[n] || (not &&text[n + 1] != '='))
        argp_error(state, "--filter: got %s, allowed: label=NAME, label!=NAME", text);
    if ((finding = cts_finding_find(name)) < 0) {
        cts_str names = {0};

        for (int i = 0; i < CTS_FINDINGS; i++)
            cts_str_printf(&names, "%s%s", i ? ", " : "", cts_findings[i].slug);
        argp_error(state, "--filter: got finding %s, allowed: %s", name, cts_str_text(&names));
        cts_str_free(&names);
        return;
    }
    bit = 1u << finding;
    value = not ? 0 : bit;
    if ((o->label_mask & bit) && (o->label_value & bit) != value)
        argp_error(state, "--filter: got %s both wanted and excluded", cts_findings[finding].name);
    o->label_mask |= bit;
    o->label_value |= value;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    options *o = state->input;

    switch (key) {
    case 'i':
        o->index = arg;
        return 0;
    case 'm':
        o->model = arg;
        return 0;
    case 't':
        set_query(state, o, FROM_TEXT, arg);
        return 0;
    case 'I':
        set_query(state, o, FROM_IMAGE, arg);
        return 0;
    case 'r':
        set_query(state, o, FROM_REPORT, arg);
        return 0;
    case 'l':
        set_query(state, o, FROM_LIKE, arg);
        return 0;
    case 'k':
        o->k = cts_cli_int(state, "-k", arg, 1, K_MAX);
        return 0;
    case 'T':
        if (strcmp(arg, "image") && strcmp(arg, "text"))
            argp_error(state, "--target: got %s, allowed: image, text", arg);
        o->has_target = true;
        o->target = strcmp(arg, "image") ? CTS_SPACE_TEXT : CTS_SPACE_IMAGE;
        return 0;
    case 'f':
        add_filter(state, o, arg);
        return 0;
    case 'g':
        if (strcmp(arg, "none") && strcmp(arg, "scan") && strcmp(arg, "patient"))
            argp_error(state, "--group: got %s, allowed: none, scan, patient", arg);
        o->group = !strcmp(arg, "none") ? CTS_GROUP_NONE : !strcmp(arg, "scan") ? CTS_GROUP_SCAN : CTS_GROUP_PATIENT;
        return 0;
    case 'a':
        o->approx = true;
        return 0;
    case CTS_KEY_RECIPE:
        o->over.recipe = arg;
        return 0;
    case ARGP_KEY_END:
        if (!o->index || !o->kind)
            argp_error(state, !o->index ? "--index is needed" : "one of --text, --image, --report, --like is needed");
        if (o->over.recipe && o->kind != FROM_IMAGE)
            argp_error(state, "--recipe: got it beside --%s, allowed: with --image", kind_names[o->kind]);
        if (cts_scan_options_given(&o->scan) && o->kind != FROM_IMAGE)
            argp_error(state, "--metadata, --spacing, --rescale: got one beside --%s, allowed: with --image",
                       kind_names[o->kind]);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* A value that names a file is read; one with a space in it is a report; a single word that is no file is a mistyped
 * path. */
static int embed_report(cts_engine *e, const char *value, float *vector)
{
    char *text = NULL;
    const char *given = value;
    size_t n, cut = 0;
    int rc = CTS_OK;

    if (cts_file_exists(value)) {
        if ((rc = cts_file_read(&text, &n, value, CTS_INDEX_TEXT_MAX)))
            return rc;
        given = text;
    } else if (!strpbrk(value, " \t\n")) {
        return cts_fail(CTS_E_IO, "--report: got %s, which is no file, allowed: a file or a report of several words",
                        value);
    }
    if ((rc = cts_engine_texts(e, &given, 1, vector, &cut)))
        rc = cts_fail_in(rc, "--report %s", value);
    else if (cut)
        cts_log(CTS_LOG_INFO, "the report is longer than the model reads: its end is not searched for");
    free(text);
    return rc;
}

static int embed_image(cts_engine *e, const options *o, float *vector, cts_preprocess_info *info)
{
    cts_volume_source source;
    int rc = cts_scan_source(&source, &o->scan, o->value);

    if (!rc && !(rc = cts_engine_volume(e, &source, vector, info)))
        cts_say_volume(o->value, info);
    return rc;
}

/* The query vector; *self = the item that is not to be its own answer, 0 = none; *info of a volume. */
static int embed_query(cts_session *s, const options *o, float *vector, uint64_t *self, cts_preprocess_info *info)
{
    int rc;

    switch (o->kind) {
    case FROM_TEXT:
        return cts_engine_texts(s->engine, &o->value, 1, vector, NULL);
    case FROM_REPORT:
        return embed_report(s->engine, o->value, vector);
    case FROM_IMAGE:
        return embed_image(s->engine, o, vector, info);
    default:
        if ((rc = cts_index_find_volume(s->index, o->value, self)))
            return rc;
        if ((rc = cts_index_vector(s->index, *self, CTS_SPACE_IMAGE, vector)) == CTS_E_NOTFOUND)
            rc = cts_index_vector(s->index, *self, CTS_SPACE_TEXT, vector); /* an item that is a report alone */
        return rc;
    }
}

/* ---- answers ----- */

static json_t *hit_json(const cts_index_record *r, size_t rank, float score)
{
    json_t *extra = *r->extra ? json_loads(r->extra, 0, NULL) : NULL;
    const char *path = json_string_value(json_object_get(extra, "path"));
    json_t *j = json_pack("{s:I, s:s, s:f, s:s, s:s, s:o, s:b, s:s, s:s, s:s}", "rank", (json_int_t)rank, "id", r->name,
                          "score", (double)score, "volume", r->volume, "report", r->report, "labels",
                          cts_labels_json(r->labels), "labelled", r->labels_known != 0, "patient", r->patient, "scan",
                          r->scan, "path", path ? path : "");

    json_decref(extra);
    return j;
}

static int print_hit(const cts_index_record *r, size_t rank, float score, int id_columns)
{
    char *labels = cts_labels_text(r->labels, r->labels_known);
    int columns = cts_columns(), left = 4 + 2 + 7 + 2 + 16 + 2;

    if (!labels)
        return cts_fail(CTS_E_NOMEM, "out of memory for the result");
    printf("%4zu  %7.4f  ", rank, (double)score);
    cts_print_bar(stdout, score, 16);
    printf("  %-*s  ", id_columns, r->name);
    cts_print_clipped(stdout, labels, columns - left - id_columns - 2 > 10 ? columns - left - id_columns - 2 : 10);
    if (*r->report) {
        printf("\n%*s", left, "");
        cts_print_clipped(stdout, r->report, columns - left);
    }
    putchar('\n');
    free(labels);
    return CTS_OK;
}

static json_t *answer_json(const cts_session *s, const options *o, const char *target,
                           const cts_index_search_info *info, const cts_preprocess_info *volume, json_t *hits)
{
    json_t *warnings = cts_session_warnings(s);
    json_t *j = json_pack("{s:{s:s, s:s}, s:s, s:b, s:I, s:O, s:o}", "query", "kind", kind_names[o->kind], "value",
                          o->value, "target", target, "exact", info->exact, "searched", (json_int_t)info->searched,
                          "hits", hits, "warnings", warnings);

    if (j && o->kind == FROM_IMAGE) {
        json_t *own = cts_volume_warnings_json(volume);

        json_array_extend(warnings, own);
        json_decref(own);
        json_object_set_new(json_object_get(j, "query"), "orientation", cts_orientation_json(volume));
    }
    return j;
}

static int show(cts_session *s, const options *o, const cts_index_hit *hits, size_t n,
                const cts_index_search_info *info, const cts_preprocess_info *volume, bool json)
{
    const char *target = o->target == CTS_SPACE_IMAGE ? "image" : "text";
    cts_index_record *records = calloc(n + 1, sizeof *records);
    json_t *list = json_array();
    int rc = records ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for %zu hits", n), id_columns = 2;

    for (size_t i = 0; !rc && i < n; i++) {
        if (!(rc = cts_index_get(s->index, hits[i].id, &records[i])) && (int)strlen(records[i].name) > id_columns)
            id_columns = (int)strlen(records[i].name);
    }
    if (!rc && json) {
        for (size_t i = 0; i < n; i++)
            json_array_append_new(list, hit_json(&records[i], i + 1, hits[i].score));
        rc = cts_print_json(answer_json(s, o, target, info, volume, list));
    } else if (!rc) {
        printf("%s \"", kind_names[o->kind]);
        cts_print_clipped(stdout, o->value, 60);
        printf("\" against %zu %s vectors, %s\n", info->searched, o->target == CTS_SPACE_IMAGE ? "image" : "report",
               info->exact ? "exactly" : "approximately");
        for (size_t i = 0; !rc && i < n; i++)
            rc = print_hit(&records[i], i + 1, hits[i].score, id_columns > 40 ? 40 : id_columns);
        if (!n)
            printf("no item fits\n");
    }
    for (size_t i = 0; records && i < n; i++)
        cts_index_record_free(&records[i]);
    free(records);
    json_decref(list);
    return rc;
}

static int search(cts_session *s, const options *o, bool json)
{
    float *vector = malloc(cts_index_describe(s->index)->dim * sizeof *vector);
    cts_index_hit *hits = malloc((size_t)o->k * sizeof *hits);
    cts_index_search_info info = {0};
    cts_preprocess_info volume = {0};
    uint64_t self = 0;
    size_t n = 0;
    int rc = vector && hits ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for %lld hits", (long long)o->k);

    if (!rc && !(rc = embed_query(s, o, vector, &self, &volume))) {
        cts_index_query q = {.space = o->target,
                             .queries = vector,
                             .n_queries = 1,
                             .k = (size_t)o->k,
                             .label_mask = o->label_mask,
                             .label_value = o->label_value,
                             .exclude = &self,
                             .n_exclude = self != 0,
                             .group = o->group,
                             .exact = !o->approx,
                             .pool = s->runtime.pool};

        rc = cts_index_search(s->index, &q, hits, &n, &info);
    }
    if (!rc && *info.note)
        cts_log(CTS_LOG_INFO, "%s", info.note);
    if (!rc)
        rc = show(s, o, hits, n, &info, &volume, json);
    free(vector);
    free(hits);
    return rc;
}

/* Scans for a sentence, reports for a scan; and what there is, where the index has vectors of one kind only. */
static int default_target(cts_index *ix, options *o)
{
    cts_index_stat stat;
    cts_space other;
    int rc = cts_index_stats(ix, &stat);

    o->target = o->kind == FROM_IMAGE ? CTS_SPACE_TEXT : CTS_SPACE_IMAGE;
    other = o->target == CTS_SPACE_IMAGE ? CTS_SPACE_TEXT : CTS_SPACE_IMAGE;
    if (!rc && !stat.store.n_vectors[o->target] && stat.store.n_vectors[other])
        o->target = other;
    return rc;
}

static int run(int argc, char **argv)
{
    options o = {.k = 10};
    cts_common common;
    cts_session s = {0};
    int rc = cts_cli_parse_with(
        argc, argv, argp_options, parse, NULL,
        "Search an index. Scores are cosines of unit vectors. A sentence, a report and --like are ranked against "
        "scans, a scan against reports, unless --target says otherwise. An index of reports alone is searched by its "
        "reports."
        "\vExamples:\n"
        "  ctsearch query --index lungs.index --text \"pleural effusion\" -k 5\n"
        "  ctsearch query --index lungs.index --image scan.nii.gz --filter label=emphysema\n"
        "  ctsearch query --index lungs.index --like valid_53_a_1 --group patient",
        &o, &common, &cts_scan_argp, &o.scan);

    if (rc)
        return rc;
    if (!(rc = cts_scan_options_open(&o.scan)) &&
        !(rc = cts_session_open_index(&s, o.index, false, o.model, o.kind != FROM_LIKE, &common)) &&
        !(!o.has_target && (rc = default_target(s.index, &o))) &&
        !(o.over.recipe && (rc = cts_session_override(&s, &o.over))))
        rc = search(&s, &o, common.json);
    cts_scan_options_close(&o.scan);
    cts_session_close(&s);
    return rc;
}

const cts_command cts_cmd_query = {"query", "search by sentence, report, scan or example", run};
