/* `ctsearch embed`: vectors of volumes or reports as a NumPy file. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/base/json.h"
#include "kernels/base/log.h"
#include "kernels/base/npy.h"
#include "kernels/base/signal.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"
#include "query/cli.h"
#include "query/dataset_options.h"
#include "query/evaluate.h"
#include "query/orientation.h"
#include "query/session.h"

#define TEXTS_AT_ONCE 32

typedef struct {
    const char *model, *out;
    cts_overrides over;
    bool text;
    cts_dataset_paths data;
} options;

static const struct argp_option argp_options[] = {
    {"model", 'm', "DIR", 0, "Model folder or run folder (needed)", 0},
    {"out", 'o', "FILE.npy", 0, "float32 [n, d], with FILE.json beside it (needed)", 0},
    {"text", 't', NULL, 0, "Embed reports instead of volumes", 0},
    CTS_OPTION_RECIPE,
    CTS_OPTION_REPORT_TEXT,
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    options *o = state->input;

    switch (key) {
    case 'm':
        o->model = arg;
        return 0;
    case 'o':
        if (strlen(arg) < 5 || strcmp(arg + strlen(arg) - 4, ".npy"))
            argp_error(state, "--out: got %s, allowed: a name that ends in .npy", arg);
        o->out = arg;
        return 0;
    case 't':
        o->text = true;
        return 0;
    case CTS_KEY_RECIPE:
        o->over.recipe = arg;
        return 0;
    case CTS_KEY_REPORT_TEXT:
        o->over.report_text = arg;
        return 0;
    case ARGP_KEY_END:
        if (!o->model || !o->out)
            argp_error(state, "--model and --out are needed");
        if (o->text ? !o->data.reports : !o->data.volumes)
            argp_error(state, o->text ? "--text needs --reports" : "--volumes is needed (or --text with --reports)");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

typedef struct {
    char **text;
    const cts_record **record;
    size_t n;
} report_batch;

static int flush(report_batch *b, cts_engine *e, float *vectors, cts_embeddings *x, size_t *cut)
{
    size_t dim = (size_t)cts_engine_dim(e);
    int rc = cts_engine_texts(e, (const char *const *)b->text, b->n, vectors, cut);

    for (size_t i = 0; i < b->n; i++) {
        if (!rc)
            rc = cts_embeddings_push(x, (int64_t)dim, b->record[i]->stem, NULL, vectors + i * dim, NULL);
        free(b->text[i]);
    }
    b->n = 0;
    return rc;
}

/* Reports of d through the text tower; those that say nothing are counted in *skipped. */
static int embed_reports(cts_engine *e, const cts_dataset *d, cts_embeddings *x, size_t *skipped)
{
    char *text[TEXTS_AT_ONCE];
    const cts_record *record[TEXTS_AT_ONCE];
    report_batch b = {text, record, 0};
    float *vectors = malloc(TEXTS_AT_ONCE * (size_t)cts_engine_dim(e) * sizeof *vectors);
    size_t cut = 0;
    cts_str s = {0};
    cts_progress bar;
    int rc = vectors ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for vectors"), last;

    cts_progress_start(&bar, "reports", d->n);
    for (size_t i = 0; !rc && i < d->n; i++) {
        const cts_record *r = &d->records[i];

        if (cts_interrupted())
            rc = cts_fail(CTS_E_INTERRUPTED, "reports: interrupted after %zu of %zu; nothing was written", i, d->n);
        else if (r->has_report && (rc = cts_report_text(&s, cts_engine_text_mode(e), r->findings, r->impressions)))
            break;
        else if (!r->has_report || !s.n) {
            cts_log(CTS_LOG_WARN, "skipped: %s: no report", r->name);
            (*skipped)++;
        } else if (!(text[b.n] = cts_strdup(cts_str_text(&s)))) {
            rc = cts_fail(CTS_E_NOMEM, "out of memory for reports");
        } else {
            record[b.n++] = r;
            if (b.n == TEXTS_AT_ONCE)
                rc = flush(&b, e, vectors, x, &cut);
        }
        cts_progress_set(&bar, i + 1, NULL);
    }
    last = rc ? CTS_OK : flush(&b, e, vectors, x, &cut);
    for (size_t i = 0; i < b.n; i++)
        free(text[i]);
    cts_progress_end(&bar);
    if (!rc && !last && cut)
        cts_log(CTS_LOG_INFO, "%zu reports are longer than the model reads and were cut", cut);
    cts_str_free(&s);
    free(vectors);
    return rc ? rc : last;
}

/* FILE.json: what the rows are and what they were made with. */
static json_t *sidecar(const options *o, const cts_session *s, const cts_dataset *set, const cts_embeddings *x,
                       size_t skipped)
{
    const cts_engine *e = s->engine;
    const cts_model_digests *d = cts_engine_digests(e);
    json_t *ids = json_array(), *names = json_array();

    for (size_t i = 0, r = 0; i < x->n; i++, r++) {
        while (strcmp(set->records[r].stem, x->id[i])) /* rows are records in order, the skipped ones left out */
            r++;
        json_array_append_new(ids, json_string(x->id[i]));
        json_array_append_new(names, json_string(set->records[r].name));
    }
    return json_pack("{s:s, s:I, s:I, s:I, s:s, s:{s:s, s:s, s:s}, s:s, s:s, s:o, s:o, s:o, s:o}", "what",
                     o->text ? "text" : "image", "n", (json_int_t)x->n, "d", (json_int_t)cts_engine_dim(e), "skipped",
                     (json_int_t)skipped, "model", cts_engine_path(e), "digests", "model", d->model, "tokenizer",
                     d->tokenizer, "recipe", d->recipe, "recipe", cts_engine_recipe(e)->name, "report_text",
                     cts_text_mode_name(cts_engine_text_mode(e)), "warnings", cts_session_warnings(s), "orientations",
                     cts_orientations_json(cts_engine_orientations(e)), "ids", ids, "volumes", names);
}

static int save(const options *o, const cts_session *s, const cts_dataset *set, const cts_embeddings *x, size_t skipped,
                bool json)
{
    const cts_engine *e = s->engine;
    char *side = cts_asprintf("%.*s.json", (int)strlen(o->out) - 4, o->out);
    json_t *j = side ? sidecar(o, s, set, x, skipped) : NULL;
    int rc = j ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for the result");

    if (!rc && !(rc = cts_npy_save_f32(o->out, o->text ? x->text : x->image, x->n, (size_t)cts_engine_dim(e))) &&
        (rc = cts_json_save(j, side)))
        unlink(o->out); /* rows without their ids are worth nothing */
    if (!rc && json)
        rc = cts_print_json(json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:o}", "out", o->out, "json", side, "what",
                                      o->text ? "text" : "image", "n", (json_int_t)x->n, "d",
                                      (json_int_t)cts_engine_dim(e), "skipped", (json_int_t)skipped, "warnings",
                                      cts_session_warnings(s)));
    else if (!rc)
        printf("%s: float32 [%zu, %lld] of %s; ids in %s\n", o->out, x->n, (long long)cts_engine_dim(e),
               o->text ? "reports" : "volumes", side);
    json_decref(j);
    free(side);
    return rc;
}

static int run(int argc, char **argv)
{
    options o = {0};
    cts_common common;
    cts_session s = {0};
    cts_dataset *d = NULL;
    cts_embeddings x = {0};
    size_t skipped = 0;
    int rc = cts_cli_parse_with(
        argc, argv, argp_options, parse, NULL,
        "Vectors of the volumes of a folder, or of the reports of a CSV, one row each in the order of the "
        "CSV. What cannot be read is reported and left out; the ids of FILE.json say which rows there are."
        "\vExample:\n  ctsearch embed --model runs/nano --volumes ct/ --out ct.npy",
        &o, &common, &cts_dataset_argp, &o.data);

    if (!rc && !(rc = cts_dataset_open(&d, &o.data)) && !(rc = cts_session_open_model(&s, o.model, &common)) &&
        !(rc = cts_session_override(&s, &o.over)))
        rc = o.text ? embed_reports(s.engine, d, &x, &skipped)
                    : cts_embeddings_compute(&x, s.engine, d, false, cts_session_threads(&s), "volumes", &skipped);
    if (!rc && !x.n)
        rc = cts_fail(CTS_E_INPUT, "%s: got nothing to embed from %zu records, allowed: at least one", o.out, d->n);
    if (!rc)
        rc = save(&o, &s, d, &x, skipped, common.json);
    if (!rc && skipped)
        rc = cts_fail(CTS_E_PARTIAL, "%zu of %zu records were skipped, each for the reason given above", skipped, d->n);
    cts_embeddings_free(&x);
    cts_dataset_destroy(d);
    cts_session_close(&s);
    return rc;
}

const cts_command cts_cmd_embed = {"embed", "vectors of volumes or reports as .npy", run};
