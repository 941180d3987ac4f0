/* `ctsearch index`: create, add, remove, build, verify, stat. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kernels/base/file.h"
#include "kernels/base/log.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"
#include "query/cli.h"
#include "query/dataset_options.h"
#include "query/ingest.h"
#include "query/orientation.h"
#include "query/session.h"

typedef struct {
    const char *index, *model, *factory, *space;
    cts_overrides over;
    int64_t effort;
    bool update, text_only;
    cts_dataset_paths data;
    char **names; /* [n_names] further arguments, borrowed from argv; owned array */
    size_t n_names;
    bool takes_names;
    const char *csv; /* a further argument that names a CSV */
    bool takes_csv;
} options;

enum { KEY_MODEL = 'm', KEY_FACTORY = 'f', KEY_UPDATE = 'u', KEY_SPACE = 's', KEY_EFFORT = 'e', KEY_TEXT_ONLY = 'T' };

#define OPTION_MODEL "Model folder or run folder (default: the one the index remembers)"
#define OPTION_FACTORY "FAISS factory string, for example HNSW32, IVF256,SQ8; Flat = exact search"

static const struct argp_option create_options[] = {
    {"model", KEY_MODEL, "DIR", 0, "Model folder or run folder whose vectors the index holds (needed)", 0},
    {"factory", KEY_FACTORY, "STRING", 0, "Also build an approximate index: " OPTION_FACTORY, 0},
    {"text-only", KEY_TEXT_ONLY, NULL, 0,
     "Reports alone, no volumes: a report search. The CSV of the reports may then stand beside INDEX", 0},
    CTS_OPTION_RECIPE,
    CTS_OPTION_REPORT_TEXT,
    {0}};
static const struct argp_option add_options[] = {
    {"model", KEY_MODEL, "DIR", 0, OPTION_MODEL, 0},
    {"update", KEY_UPDATE, NULL, 0, "Embed volumes that are in the index again and replace them", 0},
    CTS_OPTION_RECIPE,
    CTS_OPTION_REPORT_TEXT,
    {0}};
static const struct argp_option build_options[] = {
    {"model", KEY_MODEL, "DIR", 0, "Refuse when the index was made with another model", 0},
    {"factory", KEY_FACTORY, "STRING", 0, OPTION_FACTORY " (default HNSW32)", 0},
    {"space", KEY_SPACE, "NAME", 0, "image, text or both (default both)", 0},
    {"effort", KEY_EFFORT, "N", 0, "nprobe or efSearch of later searches (default: by the kind of index)", 0},
    {0}};
static const struct argp_option check_options[] = {
    {"model", KEY_MODEL, "DIR", 0, "Refuse when the index was made with another model", 0}, {0}};

static bool is_csv(const char *arg)
{
    size_t n = strlen(arg);

    return n > 4 && !strcasecmp(arg + n - 4, ".csv");
}

static error_t check_arguments(struct argp_state *state, const options *o)
{
    if (!o->index || (o->takes_names && !o->n_names))
        argp_error(state, o->takes_names ? "INDEX and NAME are needed" : "INDEX is needed");
    if (o->csv && !o->text_only)
        argp_error(state, "%s: a second argument is for --text-only; otherwise it is --reports %s", o->csv, o->csv);
    if (o->text_only && o->csv && o->data.reports)
        argp_error(state, "--reports: got %s beside %s, allowed: one CSV of reports", o->data.reports, o->csv);
    if (o->text_only && !o->csv && !o->data.reports)
        argp_error(state, "--text-only: the CSV of the reports is needed");
    if (o->text_only && o->data.volumes)
        argp_error(state, "--text-only: got --volumes beside it, allowed: reports, labels, metadata");
    return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    options *o = state->input;

    switch (key) {
    case KEY_TEXT_ONLY:
        o->text_only = true;
        return 0;
    case KEY_MODEL:
        o->model = arg;
        return 0;
    case KEY_FACTORY:
        o->factory = arg;
        return 0;
    case CTS_KEY_RECIPE:
        o->over.recipe = arg;
        return 0;
    case CTS_KEY_REPORT_TEXT:
        o->over.report_text = arg;
        return 0;
    case KEY_UPDATE:
        o->update = true;
        return 0;
    case KEY_SPACE:
        if (strcmp(arg, "image") && strcmp(arg, "text") && strcmp(arg, "both"))
            argp_error(state, "--space: got %s, allowed: image, text, both", arg);
        o->space = arg;
        return 0;
    case KEY_EFFORT:
        o->effort = cts_cli_int(state, "--effort", arg, 1, 1 << 20);
        return 0;
    case ARGP_KEY_ARG:
        if (o->takes_csv && !o->csv && is_csv(arg))
            o->csv = arg;
        else if (!o->index)
            o->index = arg;
        else if (o->takes_names)
            o->names[o->n_names++] = arg;
        else
            return ARGP_ERR_UNKNOWN;
        return 0;
    case ARGP_KEY_END:
        return check_arguments(state, o);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- create, add ----- */

static json_t *ingest_json(const options *o, const cts_ingest_result *r, uint64_t items)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "index", o->index, "added", (json_int_t)r->added,
                     "updated", (json_int_t)r->updated, "present", (json_int_t)r->present, "skipped",
                     (json_int_t)r->skipped, "without_report", (json_int_t)r->without_report, "cut", (json_int_t)r->cut,
                     "items", (json_int_t)items);
}

static void print_ingest(const options *o, const cts_ingest_result *r, uint64_t items)
{
    printf("%s: %zu added, %zu updated, %zu already there, %zu skipped; %llu in the index\n", o->index, r->added,
           r->updated, r->present, r->skipped, (unsigned long long)items);
    if (r->without_report)
        printf("%zu of them have no report and are found by their image only\n", r->without_report);
    if (r->cut)
        printf("%zu of their reports are longer than the model reads: the ends have no part in the vectors\n", r->cut);
}

static int partial(const cts_ingest_result *r)
{
    if (!r->skipped)
        return CTS_OK;
    return cts_fail(CTS_E_PARTIAL, "%zu of %zu studies were skipped, each for the reason given above", r->skipped,
                    r->added + r->updated + r->present + r->skipped);
}

static const char *space_name(cts_space s)
{
    return s == CTS_SPACE_IMAGE ? "image" : "text";
}

/* Build the spaces of `which` that hold vectors; one JSON object each is appended to built. */
static int build_spaces(cts_session *s, const char *factory, const char *which, int effort, json_t *built)
{
    cts_index_stat stat;
    int rc = cts_index_stats(s->index, &stat);

    for (int i = 0; !rc && i < CTS_SPACES; i++) {
        const char *name = space_name((cts_space)i);
        cts_index_build_options o = {.factory = factory, .effort = effort, .pool = s->runtime.pool};
        cts_index_build_result r;
        json_t *j;

        if (strcmp(which, "both") ? strcmp(which, name) : !stat.store.n_vectors[i])
            continue;
        cts_log(CTS_LOG_INFO, "building %s for %llu %s vectors", factory, (unsigned long long)stat.store.n_vectors[i],
                name);
        if ((rc = cts_index_build(s->index, (cts_space)i, &o, &r)))
            break;
        j = json_pack("{s:s, s:s, s:b, s:I, s:f}", "space", name, "factory", r.ann.factory, "exact", r.exact, "vectors",
                      (json_int_t)r.ann.n, "seconds", r.seconds);
        if (!r.exact)
            json_object_update_new(j, json_pack("{s:I, s:i, s:f, s:i, s:i}", "bytes", (json_int_t)r.ann.bytes, "effort",
                                                r.ann.effort, "recall", r.ann.recall, "recall_k", r.ann.recall_k,
                                                "recall_queries", r.ann.recall_queries));
        json_array_append_new(built, j);
    }
    return rc;
}

static void print_built(const json_t *built)
{
    size_t i;
    json_t *j;

    json_array_foreach(built, i, j)
    {
        printf("%-5s %s: %lld vectors in %.2f s", json_string_value(json_object_get(j, "space")),
               json_string_value(json_object_get(j, "factory")),
               (long long)json_integer_value(json_object_get(j, "vectors")),
               json_real_value(json_object_get(j, "seconds")));
        if (json_is_true(json_object_get(j, "exact")))
            printf(", searched exactly\n");
        else
            printf(", %.1f MB, measured recall@%lld %.4f over %lld queries\n",
                   (double)json_integer_value(json_object_get(j, "bytes")) * 1e-6,
                   (long long)json_integer_value(json_object_get(j, "recall_k")),
                   json_real_value(json_object_get(j, "recall")),
                   (long long)json_integer_value(json_object_get(j, "recall_queries")));
    }
    if (!json_array_size(built))
        printf("nothing to build: the index holds no vectors\n");
}

/* Data set into s->index, then the approximate index when one is asked for, then the report. */
static int fill(cts_session *s, const options *o, const cts_dataset *d, bool json)
{
    cts_ingest_result r = {0};
    cts_index_stat stat;
    json_t *built = json_array(), *j;
    int rc = d ? cts_ingest(s, d, o->data.volumes != NULL, o->update, &r) : CTS_OK;

    if (!rc && o->factory)
        rc = build_spaces(s, o->factory, "both", 0, built);
    if (!rc && !(rc = cts_index_stats(s->index, &stat))) {
        if (json) {
            j = ingest_json(o, &r, stat.store.n_items);
            json_object_set(j, "built", built);
            json_object_set_new(j, "orientations", cts_orientations_json(cts_engine_orientations(s->engine)));
            json_object_set_new(j, "warnings", cts_session_warnings(s));
            rc = cts_print_json(j);
        } else {
            print_ingest(o, &r, stat.store.n_items);
            if (o->factory)
                print_built(built);
        }
    }
    json_decref(built);
    return rc ? rc : partial(&r);
}

/* Whether the model has the sides that the data asks for, and a tokenizer for its reports. */
static int check_sides(const cts_engine *e, const cts_dataset_paths *p)
{
    bool reads = cts_engine_need(e, CTS_SIDE_TEXT) == CTS_OK;
    int rc = p->volumes ? cts_engine_need(e, CTS_SIDE_IMAGE) : CTS_OK;

    if (!rc && p->reports && reads && !cts_engine_tokenizer(e))
        rc = cts_fail(CTS_E_FORMAT, "%s: no tokenizer; allowed: a model folder with vocab.txt or tokenizer.model%s",
                      cts_engine_path(e), p->volumes ? ", or no --reports" : "");
    return rc || reads || p->volumes || !cts_dataset_given(p) ? rc : cts_engine_need(e, CTS_SIDE_TEXT);
}

/* After a failure that left nothing in the index there shall be no folder in the way of the next attempt. */
static void remove_empty(cts_session *s, const char *path)
{
    char *why = cts_strdup(cts_error()); /* the sentence that counts: what follows may leave others */
    cts_index_stat stat;

    if (why && s->index && !cts_index_stats(s->index, &stat) && !stat.store.n_items) {
        cts_index_close(s->index);
        s->index = NULL;
        if (cts_remove_tree(path))
            cts_log(CTS_LOG_WARN, "%s", cts_error());
    }
    if (why)
        cts_fail(CTS_E_IO, "%s", why);
    free(why);
}

static int run_create(int argc, char **argv)
{
    options o = {.takes_csv = true};
    cts_common common;
    cts_session s = {0};
    cts_dataset *d = NULL;
    bool ours;
    int rc = cts_cli_parse_with(argc, argv, create_options, parse, "INDEX [REPORTS.csv]",
                                "Make an empty index for the vectors of a model and, when data is given, fill it. The "
                                "index remembers the model's "
                                "folder and the digests of its weights, tokenizer and recipe."
                                "\vExamples:\n  ctsearch index create lungs.index --model runs/nano --reports "
                                "reports.csv --labels labels.csv --volumes ct/\n"
                                "  ctsearch index create --text-only reports.csv --model models/minilm reports.index",
                                &o, &common, &cts_dataset_argp, &o.data);

    if (rc)
        return rc;
    if (!o.model)
        return cts_fail(CTS_E_USAGE, "%s: --model is needed", argv[0]);
    if (o.csv)
        o.data.reports = o.csv;
    ours = o.index && !cts_file_exists(o.index);
    /* Everything that can be wrong with the inputs is found before the folder is made. */
    if (!(cts_dataset_given(&o.data) && (rc = cts_dataset_open(&d, &o.data))) &&
        !(rc = cts_session_open_model(&s, o.model, &common)) && !(rc = check_sides(s.engine, &o.data)) &&
        !(rc = cts_session_override(&s, &o.over)) &&
        !(o.factory && (rc = cts_index_check_factory((size_t)cts_engine_dim(s.engine), o.factory))) &&
        !(rc = cts_index_create_for(&s.index, o.index, s.engine)))
        rc = fill(&s, &o, d, common.json);
    if (rc && rc != CTS_E_PARTIAL && ours)
        remove_empty(&s, o.index);
    cts_dataset_destroy(d);
    cts_session_close(&s);
    return rc;
}

static int run_add(int argc, char **argv)
{
    options o = {0};
    cts_common common;
    cts_session s = {0};
    cts_dataset *d = NULL;
    int rc = cts_cli_parse_with(argc, argv, add_options, parse, "INDEX",
                                "Add a data set. Volumes whose name is in the index already are left as they are, so a "
                                "run that was interrupted is "
                                "continued by the same command. Without --volumes only reports are added."
                                "\vExample:\n  ctsearch index add lungs.index --reports new.csv --volumes ct/",
                                &o, &common, &cts_dataset_argp, &o.data);

    if (!rc && !(rc = cts_dataset_open(&d, &o.data)) &&
        !(rc = cts_session_open_index(&s, o.index, true, o.model, true, &common)) &&
        !(rc = check_sides(s.engine, &o.data)) && !(rc = cts_session_override(&s, &o.over)) &&
        !(rc = cts_index_matches(s.index, s.engine))) /* one index, one recipe */
        rc = fill(&s, &o, d, common.json);
    cts_dataset_destroy(d);
    cts_session_close(&s);
    return rc;
}

/* ---- remove ----- */

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* All names or, when one is unknown, none. */
static int remove_names(cts_index *ix, const options *o, size_t *removed)
{
    uint64_t *ids = malloc(o->n_names * sizeof *ids);
    size_t n = 0;
    int rc = ids ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for %zu names", o->n_names);

    for (size_t i = 0; !rc && i < o->n_names; i++)
        rc = cts_index_find_volume(ix, o->names[i], &ids[i]);
    if (!rc)
        qsort(ids, o->n_names, sizeof *ids, by_id);
    for (size_t i = 0; !rc && i < o->n_names; i++)
        if (!i || ids[i] != ids[i - 1]) /* a name given twice is removed once */
            ids[n++] = ids[i];
    if (!rc && !(rc = cts_index_remove(ix, ids, n)))
        *removed = n;
    free(ids);
    return rc;
}

static int run_remove(int argc, char **argv)
{
    options o = {.takes_names = true, .names = calloc((size_t)argc + 1, sizeof *o.names)};
    cts_common common;
    cts_session s = {0};
    cts_index_stat stat;
    size_t n = 0;
    int rc = o.names ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for names");

    if (!rc)
        rc = cts_cli_parse(
            argc, argv, check_options, parse, "INDEX NAME...",
            "Remove volumes by name: all of them, or none when one is unknown. Their vectors are erased at "
            "once."
            "\vExample:\n  ctsearch index remove lungs.index valid_53_a_1 valid_53_a_2",
            &o, &common);
    if (!rc && !(rc = cts_session_open_index(&s, o.index, true, o.model, false, &common)) &&
        !(rc = remove_names(s.index, &o, &n)) && !(rc = cts_index_stats(s.index, &stat))) {
        if (common.json)
            rc = cts_print_json(json_pack("{s:s, s:I, s:I}", "index", o.index, "removed", (json_int_t)n, "items",
                                          (json_int_t)stat.store.n_items));
        else
            printf("%s: %zu removed; %llu in the index\n", o.index, n, (unsigned long long)stat.store.n_items);
    }
    free(o.names);
    cts_session_close(&s);
    return rc;
}

/* ---- build, verify, stat ----- */

static int run_build(int argc, char **argv)
{
    options o = {.factory = "HNSW32", .space = "both"};
    cts_common common;
    cts_session s = {0};
    json_t *built = json_array();
    int rc = cts_cli_parse(
        argc, argv, build_options, parse, "INDEX",
        "Compact the index and build an approximate one beside it, for `query --approx`. What it misses is "
        "measured against exact search and printed."
        "\vExample:\n  ctsearch index build lungs.index --factory HNSW32 --space image",
        &o, &common);

    if (!rc && !(rc = cts_session_open_index(&s, o.index, true, o.model, false, &common)) &&
        !(rc = build_spaces(&s, o.factory, o.space, (int)o.effort, built))) {
        if (common.json)
            rc = cts_print_json(json_pack("{s:s, s:O}", "index", o.index, "built", built));
        else
            print_built(built);
    }
    json_decref(built);
    cts_session_close(&s);
    return rc;
}

static int run_verify(int argc, char **argv)
{
    options o = {0};
    cts_common common;
    cts_session s = {0};
    cts_store_report r = {0};
    int said,
        rc = cts_cli_parse(argc, argv, check_options, parse, "INDEX",
                           "Read everything in the index and check it: records, names, vectors, checksums, counters."
                           "\vExample:\n  ctsearch index verify lungs.index",
                           &o, &common);

    if (rc || (rc = cts_session_open_index(&s, o.index, false, o.model, false, &common)))
        goto out;
    rc = cts_index_verify(s.index, &r);
    if (rc && !r.problems) /* it could not be read at all */
        goto out;
    if (common.json) {
        said = cts_print_json(
            json_pack("{s:s, s:b, s:I, s:{s:I, s:I}, s:{s:I, s:I}, s:I, s:I, s:s}", "index", o.index, "ok", !r.problems,
                      "items", (json_int_t)r.items, "vectors", "image", (json_int_t)r.vectors[CTS_SPACE_IMAGE], "text",
                      (json_int_t)r.vectors[CTS_SPACE_TEXT], "holes", "image", (json_int_t)r.holes[CTS_SPACE_IMAGE],
                      "text", (json_int_t)r.holes[CTS_SPACE_TEXT], "blocks", (json_int_t)r.blocks, "problems",
                      (json_int_t)r.problems, "first_problem", r.first));
        rc = said ? said : rc;
    } else {
        printf("%s: %llu items, %llu image and %llu text vectors in %llu blocks: %s\n", o.index,
               (unsigned long long)r.items, (unsigned long long)r.vectors[CTS_SPACE_IMAGE],
               (unsigned long long)r.vectors[CTS_SPACE_TEXT], (unsigned long long)r.blocks,
               r.problems ? "damaged" : "all is well");
    }
out:
    cts_session_close(&s);
    return rc;
}

static json_t *stat_json(const cts_session *s, const options *o, const cts_index_info *info, const cts_index_stat *t)
{
    json_t *built = json_array();
    json_t *recipe = json_loads(info->recipe, 0, NULL), *name = json_object_get(recipe, "name"), *j;

    for (int i = 0; i < CTS_SPACES; i++)
        if (t->has_ann[i])
            json_array_append_new(built, json_pack("{s:s, s:s, s:I, s:I, s:i, s:f, s:i, s:i, s:I, s:I}", "space",
                                                   space_name((cts_space)i), "factory", t->ann[i].factory, "vectors",
                                                   (json_int_t)t->ann[i].n, "bytes", (json_int_t)t->ann[i].bytes,
                                                   "effort", t->ann[i].effort, "recall", t->ann[i].recall, "recall_k",
                                                   t->ann[i].recall_k, "recall_queries", t->ann[i].recall_queries,
                                                   "added_since", (json_int_t)t->added_since[i], "removed_since",
                                                   (json_int_t)t->removed_since[i]));
    j = json_pack("{s:s, s:i, s:I, s:{s:I, s:I}, s:I, s:s, s:{s:s, s:s, s:s}, s:o, s:I, s:I, s:I, s:o, s:s?}", "index",
                  o->index, "format", (int)info->format, "items", (json_int_t)t->store.n_items, "vectors", "image",
                  (json_int_t)t->store.n_vectors[CTS_SPACE_IMAGE], "text",
                  (json_int_t)t->store.n_vectors[CTS_SPACE_TEXT], "dim", (json_int_t)info->dim, "model", info->model,
                  "digests", "model", info->model_digest, "tokenizer", info->tokenizer_digest, "recipe",
                  info->recipe_digest, "built", built, "generation", (json_int_t)t->store.generation, "file_bytes",
                  (json_int_t)t->store.file_bytes, "map_bytes", (json_int_t)t->store.map_bytes, "warnings",
                  cts_session_warnings(s), "recipe", json_string_value(name));
    json_decref(recipe);
    return j;
}

static void print_stat(const cts_session *s, const options *o, const cts_index_info *info, const cts_index_stat *t)
{
    json_t *warnings = cts_session_warnings(s), *w;
    size_t at;

    printf("index       %s (format %u, %.1f MB)\n", o->index, info->format, (double)t->store.file_bytes * 1e-6);
    printf("items       %llu: %llu image and %llu text vectors of %zu numbers\n", (unsigned long long)t->store.n_items,
           (unsigned long long)t->store.n_vectors[CTS_SPACE_IMAGE],
           (unsigned long long)t->store.n_vectors[CTS_SPACE_TEXT], info->dim);
    printf("model       %s\n", info->model);
    printf("digests     model %.12s  tokenizer %.12s  recipe %.12s\n", info->model_digest, info->tokenizer_digest,
           info->recipe_digest);
    json_array_foreach(warnings, at, w)
    {
        printf("warning     %s\n", json_string_value(w));
    }
    json_decref(warnings);
    for (int i = 0; i < CTS_SPACES; i++) {
        if (!t->has_ann[i]) {
            printf("%-5s       searched exactly\n", space_name((cts_space)i));
            continue;
        }
        printf("%-5s       %s, measured recall@%d %.4f; since it was built %llu added, %llu removed\n",
               space_name((cts_space)i), t->ann[i].factory, t->ann[i].recall_k, t->ann[i].recall,
               (unsigned long long)t->added_since[i], (unsigned long long)t->removed_since[i]);
    }
}

static int run_stat(int argc, char **argv)
{
    options o = {0};
    cts_common common;
    cts_session s = {0};
    cts_index_stat t;
    int rc = cts_cli_parse(
        argc, argv, check_options, parse, "INDEX",
        "What an index holds and what it was made with.\vExample:\n  ctsearch index stat lungs.index --json", &o,
        &common);

    if (!rc && !(rc = cts_session_open_index(&s, o.index, false, o.model, false, &common)) &&
        !(rc = cts_index_stats(s.index, &t))) {
        if (common.json)
            rc = cts_print_json(stat_json(&s, &o, cts_index_describe(s.index), &t));
        else
            print_stat(&s, &o, cts_index_describe(s.index), &t);
    }
    cts_session_close(&s);
    return rc;
}

static int run(int argc, char **argv)
{
    static const cts_command verbs[] = {{"create", "make an index for a model, and fill it", run_create},
                                        {"add", "add volumes and reports", run_add},
                                        {"remove", "remove volumes by name", run_remove},
                                        {"build", "build an approximate index beside the exact one", run_build},
                                        {"verify", "check everything", run_verify},
                                        {"stat", "what an index holds", run_stat}};

    return cts_run_verb(argv[0], verbs, (int)(sizeof verbs / sizeof verbs[0]), argc, argv);
}

const cts_command cts_cmd_index = {"index", "create, add, remove, build, verify, stat", run};
