/* SPDX-License-Identifier: MIT */
#include "query/eval/input.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/log.h"
#include "kernels/base/status.h"
#include "query/dataset_options.h"
#include "query/eval/labels.h"
#include "query/eval/npy.h"
#include "query/evaluate.h"

typedef struct {
    cts_eval_set *s;
    const cts_eval_input *in;
    const cts_eval_needs *needs;
    cts_session *session;
    cts_zeroshot *z;
    cts_model_set *models;
    const cts_common *common;
    const cts_label_map *map; /* of the input, or the own labels of the models or scores */
    cts_dataset *dataset;     /* of --volumes, until its rows are embedded */
} job;

static bool wants_engine_prompts(const job *j)
{
    return j->needs->scores && !j->in->scores && !j->in->prompts && !j->z->prompt;
}

/* ---- pool ---- */

static int choose_pool(job *j)
{
    cts_eval_pool_count count = {0};
    cts_eval_exclude x = {0};
    bool *kept = malloc((j->s->n + 1) * sizeof *kept);
    int rc = kept ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for %zu rows", j->s->n);

    if (!rc && j->in->exclude && !(rc = cts_eval_exclude_load(&x, j->in->exclude)))
        rc = cts_eval_set_add_file(j->s, "exclude", j->in->exclude);
    if (!rc && !(rc = cts_eval_pool_choose(j->in->pool, j->s->rows, j->s->n, &x, kept, &count))) {
        cts_eval_pool_remarks(j->in->pool, &count, j->in->exclude != NULL, &j->s->remarks);
        cts_eval_set_keep(j->s, kept);
    }
    cts_eval_exclude_free(&x);
    free(kept);
    return rc;
}

/* What the CSVs add to rows that have names. The labels of a data set of scans are joined here too, so that a map
 * applies. */
static int join_csvs(job *j)
{
    const cts_dataset_paths *p = &j->in->data;
    int rc = CTS_OK;

    if (p->reports)
        rc = cts_eval_reports_load(j->s, p->reports);
    if (!rc && p->metadata)
        rc = cts_eval_metadata_load(j->s, p->metadata);
    if (!rc && p->labels)
        rc = cts_eval_labels_load(j->s, p->labels, j->map);
    return rc;
}

/* ---- an index ---- */

static int index_rows(job *j, const cts_store_rows *image)
{
    cts_eval_set *s = j->s;
    const uint32_t all = (1u << CTS_FINDINGS) - 1;
    const char **names = calloc(image->n + 1, sizeof *names);
    cts_index_record *r = calloc(image->n + 1, sizeof *r);
    bool *known = calloc(image->n + 1, sizeof *known);
    int rc = names && r && known ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for %zu items", image->n);

    for (size_t i = 0; !rc && i < image->n; i++) {
        rc = cts_index_get(j->session->index, image->ids[i], &r[i]);
        names[i] = r[i].name;
        known[i] = (image->known[i] & all) == all;
    }
    if (!rc)
        rc = cts_eval_set_name_rows(s, names, image->n, j->in->index);
    for (size_t i = 0; !rc && i < image->n; i++) {
        if (*r[i].scan)
            s->rows[i].scan = cts_eval_set_string(s, r[i].scan);
        if (*r[i].patient)
            s->rows[i].patient = cts_eval_set_string(s, r[i].patient);
        if (*r[i].report)
            s->rows[i].findings_text = cts_eval_set_string(s, r[i].report);
        if (!s->rows[i].scan || !s->rows[i].patient || (*r[i].report && !s->rows[i].findings_text))
            rc = cts_fail(CTS_E_NOMEM, "out of memory for %zu items", image->n);
    }
    if (!rc)
        rc = cts_eval_labels_set(s, image->labels, known, j->map);
    for (size_t i = 0; r && i < image->n; i++)
        cts_index_record_free(&r[i]);
    free(r);
    free(names);
    free(known);
    return rc;
}

/* Text vectors of the rows; a row without one is marked. */
static int index_texts(job *j, const cts_store_rows *image)
{
    cts_eval_set *s = j->s;
    size_t d = image->dim, t = 0;
    cts_store_rows text = {0};
    int rc = cts_index_matrix(j->session->index, CTS_SPACE_TEXT, &text);

    if (rc)
        return rc;
    if (!(s->text = calloc(s->n * d + 1, sizeof *s->text)))
        rc = cts_fail(CTS_E_NOMEM, "out of memory for %zu text vectors", s->n);
    for (size_t i = 0; !rc && i < s->n; i++) {
        while (t < text.n && text.ids[t] < image->ids[i])
            t++;
        s->rows[i].whole = t < text.n && text.ids[t] == image->ids[i];
        if (s->rows[i].whole)
            memcpy(s->text + i * d, text.vectors + t * d, d * sizeof *s->text);
    }
    if (!rc)
        rc = cts_eval_set_add_floats(s, "text vectors", j->in->index, s->text, s->n * d);
    cts_store_rows_free(&text);
    return rc;
}

static int from_index(job *j)
{
    cts_eval_set *s = j->s;
    cts_store_rows image = {0};
    int rc;

    if ((rc = cts_session_open_index(j->session, j->in->index, false, j->in->model, wants_engine_prompts(j),
                                     j->common)) ||
        (rc = cts_index_matrix(j->session->index, CTS_SPACE_IMAGE, &image)) || (rc = index_rows(j, &image)))
        goto out;
    s->dim = (int64_t)image.dim;
    if (!(s->image = malloc((s->n * image.dim + 1) * sizeof *s->image))) {
        rc = cts_fail(CTS_E_NOMEM, "out of memory for %zu vectors", s->n);
        goto out;
    }
    if (s->n)
        memcpy(s->image, image.vectors, s->n * image.dim * sizeof *s->image);
    if ((rc = cts_eval_set_add_digest(s, "model", cts_index_describe(j->session->index)->model,
                                      cts_index_describe(j->session->index)->model_digest)) ||
        (rc = cts_eval_set_add_floats(s, "image vectors", j->in->index, s->image, s->n * image.dim)))
        goto out;
    if (j->needs->texts)
        rc = index_texts(j, &image);
out:
    cts_store_rows_free(&image);
    return rc;
}

/* ---- files of numbers ---- */

static const char *fallback_names(const cts_eval_input *in)
{
    return in->data.labels ? in->data.labels : in->data.reports;
}

/* Texts whose rows have names of their own go to the images of those names; an image without one is marked. rows [n][d]
 * of the texts; `named` has their names. */
static int place_texts(cts_eval_set *s, const cts_eval_set *named, const float *rows)
{
    size_t d = (size_t)s->dim, missing = 0;
    cts_eval_names names = {0};
    int rc = cts_eval_names_make(&names, named);

    if (!rc && !(s->text = calloc(s->n * d + 1, sizeof *s->text)))
        rc = cts_fail(CTS_E_NOMEM, "out of memory for %zu text vectors", s->n);
    for (size_t i = 0; !rc && i < s->n; i++) {
        int64_t row = cts_eval_names_find(&names, s->rows[i].name);

        s->rows[i].whole = row >= 0;
        missing += row < 0;
        if (row >= 0)
            memcpy(s->text + i * d, rows + (size_t)row * d, d * sizeof *s->text);
    }
    if (!rc && missing)
        cts_str_printf(&s->remarks, "texts: none for %zu of %zu images\n", missing, s->n);
    free(names.key);
    return rc;
}

static int npy_texts(job *j)
{
    cts_eval_set *s = j->s, named = {0};
    const cts_eval_input *in = j->in;
    bool own_names = !in->names && cts_eval_npy_has_names(in->texts);
    float *rows = NULL;
    size_t n, d;
    int rc;

    if ((rc = cts_eval_npy_load(&rows, &n, &d, s, "texts", in->texts)))
        return rc;
    if ((!own_names && n != s->n) || d != (size_t)s->dim)
        rc = cts_fail(CTS_E_MISMATCH, "%s: got %zu x %zu, allowed: %zu x %lld as %s, a text for each image", in->texts,
                      n, d, s->n, (long long)s->dim, in->images);
    if (!rc && own_names)
        rc = cts_eval_npy_names(&named, in->texts, n, NULL, NULL);
    if (!rc && !(rc = cts_eval_unit_rows(rows, n, d, own_names ? &named : s, in->texts)) && own_names) {
        cts_str_append(&s->remarks, cts_str_text(&named.remarks));
        rc = place_texts(s, &named, rows);
    } else if (!rc) {
        s->text = rows;
        rows = NULL; /* the set's now */
    }
    free(rows);
    cts_eval_set_free(&named);
    return rc;
}

static int from_npy(job *j)
{
    cts_eval_set *s = j->s;
    const cts_eval_input *in = j->in;
    size_t n, d;
    int rc;

    if (!in->images)
        return cts_fail(CTS_E_USAGE,
                        "--texts: got no --images, allowed: both, row i of one belongs to row i of the other");
    if ((rc = cts_eval_npy_load(&s->image, &n, &d, s, "images", in->images)) ||
        (rc = cts_eval_npy_names(s, in->images, n, in->names, fallback_names(in))) ||
        (rc = cts_eval_unit_rows(s->image, n, d, s, in->images)))
        return rc;
    s->dim = (int64_t)d;
    return in->texts && j->needs->texts ? npy_texts(j) : CTS_OK;
}

static int from_scores(job *j)
{
    const cts_eval_input *in = j->in;
    float *scores = NULL;
    size_t n, d;
    int rc;

    if ((rc = cts_eval_npy_load(&scores, &n, &d, j->s, "scores", in->scores)) ||
        (rc = cts_eval_npy_names(j->s, in->scores, n, in->names, fallback_names(in))) ||
        (rc = cts_eval_npy_scores(j->s, scores, d, in->map, in->logits, in->scores))) {
        free(scores);
        return rc;
    }
    if (j->s->own)
        j->map = j->s->own;
    return CTS_OK;
}

/* ---- scans through a model ---- */

/* Rows of the records that have a file: another reconstruction may stand for a scan whose first one has none. */
static int dataset_rows(job *j)
{
    cts_dataset_paths p = j->in->data;
    const char **names;
    size_t n = 0;
    int rc;

    if (j->map)
        p.labels = NULL; /* not in the shape of CT-RATE; joined by name */
    if ((rc = cts_dataset_open(&j->dataset, &p)))
        return rc;
    if (!(names = malloc((j->dataset->n + 1) * sizeof *names)))
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu records", j->dataset->n);
    for (size_t i = 0; i < j->dataset->n; i++) {
        if (j->dataset->records[i].path)
            names[n++] = j->dataset->records[i].stem;
        else
            j->s->skipped++;
    }
    rc = cts_eval_set_name_rows(j->s, names, n, "data");
    free(names);
    return rc;
}

/* Records of the rows that are left, in order. */
static cts_record *chosen_records(const job *j)
{
    cts_record *records = malloc((j->s->n + 1) * sizeof *records);
    size_t to = 0;

    for (size_t i = 0; records && i < j->dataset->n && to < j->s->n; i++)
        if (j->dataset->records[i].path && !strcmp(j->dataset->records[i].stem, j->s->rows[to].name))
            records[to++] = j->dataset->records[i];
    return records;
}

static int take_vectors(job *j, const cts_embeddings *x)
{
    cts_eval_set *s = j->s;
    size_t d = (size_t)x->dim, at = 0;

    s->dim = x->dim;
    s->image = calloc(s->n * d + 1, sizeof *s->image);
    s->text = j->needs->texts ? calloc(s->n * d + 1, sizeof *s->text) : NULL;
    if (!s->image || (j->needs->texts && !s->text))
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu vectors", s->n);
    for (size_t i = 0; i < s->n; i++) {
        s->rows[i].whole = at < x->n && !strcmp(x->id[at], s->rows[i].name);
        if (!s->rows[i].whole)
            continue;
        memcpy(s->image + i * d, x->image + at * d, d * sizeof *s->image);
        if (s->text)
            memcpy(s->text + i * d, x->text + at * d, d * sizeof *s->text);
        at++;
    }
    return CTS_OK;
}

static int embed_rows(job *j)
{
    cts_eval_set *s = j->s;
    cts_record *records = chosen_records(j);
    cts_dataset chosen = *j->dataset;
    cts_embeddings x = {.dim = 0};
    size_t skipped = 0;
    int rc = records ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for %zu records", s->n);

    chosen.records = records; /* the strings stay the data set's */
    chosen.n = s->n;
    if (!rc && !(rc = cts_embeddings_compute(&x, j->session->engine, &chosen, j->needs->texts,
                                             cts_session_threads(j->session), "volumes", &skipped)))
        rc = x.n ? take_vectors(j, &x)
                 : cts_fail(CTS_E_INPUT, "%s: got nothing to evaluate from %zu volumes, allowed: at least one",
                            j->in->data.volumes, s->n);
    if (!rc)
        rc = cts_eval_set_add_digest(s, "model", cts_engine_path(j->session->engine),
                                     cts_engine_digests(j->session->engine)->model);
    if (!rc)
        rc = cts_eval_set_add_floats(s, "image vectors", j->in->data.volumes, s->image, s->n * (size_t)s->dim);
    cts_embeddings_free(&x);
    free(records);
    return rc;
}

/* ---- scans scored by models ---- */

static bool scores_scans(const job *j)
{
    const cts_eval_input *in = j->in;

    return !in->index && !in->scores && !in->images && !in->texts && j->needs->scores && !j->needs->images &&
           !in->prompts;
}

/* The models of an earlier call, or opened here; their labels are those of the set. */
static int open_models(job *j)
{
    const cts_eval_input *in = j->in;
    const cts_scorer_options o = {
        .prompts = in->bank, .scale = in->scale, .uncalibrated = in->uncalibrated, .thresholds = in->thresholds};
    const cts_scorer *scorer;
    int rc;

    if (!j->models->scorer && ((rc = cts_session_open_model(j->session, in->model, j->common)) ||
                               (rc = cts_session_override(j->session, &in->over)) ||
                               (rc = cts_model_set_open(j->models, j->session, in->further, in->n_further, &o))))
        return rc;
    scorer = j->models->scorer;
    if ((rc = cts_eval_set_own_labels(j->s, cts_scorer_labels(scorer), cts_scorer_n(scorer))))
        return rc;
    if (in->map && j->s->own)
        return cts_fail(CTS_E_MISMATCH,
                        "%s: the labels of the protocol are made of the %d findings, the model has %zu labels; "
                        "allowed: a model that has all of them",
                        in->model, CTS_FINDINGS, cts_scorer_n(scorer));
    j->map = in->map ? in->map : j->s->own;
    return CTS_OK;
}

/* logits [n][labels of the scorer] as the set's columns, and the probabilities of them. */
static int take_logits(job *j, const float *logits)
{
    const cts_scorer *scorer = j->models->scorer;
    cts_eval_set *s = j->s, ours = {.n_labels = 0};
    size_t n = cts_scorer_n(scorer), place[CTS_LABEL_MAP_MAX];
    float *row, *p;

    /* in the order of the set before the protocol's map, which is ours or the model's */
    cts_eval_set_name_labels(&ours, s->own);
    for (size_t i = 0; i < n; i++)
        place[i] = (size_t)cts_eval_set_label(&ours, cts_scorer_labels(scorer)[i]);
    row = malloc((s->n * n + 1) * sizeof *row);
    p = malloc((s->n * n + 1) * sizeof *p);
    if (!row || !p) {
        free(row);
        free(p);
        return cts_fail(CTS_E_NOMEM, "out of memory for the scores of %zu volumes", s->n);
    }
    for (size_t r = 0; r < s->n; r++)
        for (size_t i = 0; i < n; i++)
            row[r * n + place[i]] = logits[r * n + i];
    if (j->in->map) { /* the larger logit is the larger probability; the map never has more labels than ours */
        memcpy(p, row, s->n * n * sizeof *p);
        cts_label_map_scores(j->in->map, p, s->n, row);
    }
    cts_eval_set_name_labels(s, j->map);
    for (size_t i = 0; i < s->n * s->n_labels; i++)
        p[i] = (float)cts_probability((double)row[i]);
    s->logit = row;
    s->score = p;
    return CTS_OK;
}

static int name_models(job *j)
{
    int rc = CTS_OK;

    for (size_t i = 0; !rc && i < j->models->n; i++)
        rc = cts_eval_set_add_digest(j->s, "model", cts_engine_path(j->models->engine[i]),
                                     cts_engine_digests(j->models->engine[i])->model);
    return rc;
}

/* Labelled rows alone are scored: that is what takes long. */
static int score_scans(job *j)
{
    cts_eval_set *s = j->s;
    size_t n = cts_scorer_n(j->models->scorer), missing = 0;
    const cts_record **pointer = NULL;
    cts_record *records = NULL;
    float *logits = NULL;
    bool *whole = NULL;
    int rc = cts_eval_set_drop_unlabelled(s, &s->unlabelled);

    if (!rc && !s->n)
        rc = cts_fail(CTS_E_INPUT, "labels: got no labelled volume among %zu, allowed: at least one", s->unlabelled);
    if (rc)
        return rc;
    records = chosen_records(j);
    pointer = malloc((s->n + 1) * sizeof *pointer);
    logits = malloc((s->n * n + 1) * sizeof *logits);
    whole = calloc(s->n + 1, sizeof *whole);
    if (!records || !pointer || !logits || !whole) {
        rc = cts_fail(CTS_E_NOMEM, "out of memory for the scores of %zu volumes", s->n);
        goto out;
    }
    for (size_t i = 0; i < s->n; i++)
        pointer[i] = &records[i];
    if ((rc = cts_scorer_records(j->models->scorer, pointer, s->n, cts_pool_size(j->session->runtime.pool), logits,
                                 whole, &missing)) ||
        (rc = take_logits(j, logits)) || (rc = name_models(j)))
        goto out;
    for (size_t i = 0; i < s->n; i++)
        s->rows[i].whole = whole[i];
    if (missing == s->n)
        rc = cts_fail(CTS_E_INPUT, "%s: got nothing to evaluate from %zu volumes, allowed: at least one",
                      j->in->data.volumes, s->n);
out:
    free(records);
    free(pointer);
    free(logits);
    free(whole);
    return rc;
}

/* ---- scores by prompts ---- */

static int prompts(job *j)
{
    int rc;

    if (j->z->prompt)
        return CTS_OK;
    if (j->in->prompts)
        return cts_eval_npy_prompts(j->z, j->s, j->in->prompts, (size_t)j->s->dim, j->in->scale);
    if (!j->session->engine)
        return cts_fail(CTS_E_USAGE,
                        "prompts: got none, allowed: --prompts-npy FILE.npy [36, d], or an index or --model");
    if ((rc = cts_zeroshot_open(j->z, j->session->engine, j->in->bank)))
        return rc;
    return cts_eval_set_add_floats(j->s, "prompts", j->z->bank, j->z->prompt,
                                   (size_t)(2 * CTS_FINDINGS) * (size_t)j->z->dim);
}

static int score_rows(job *j)
{
    cts_eval_set *s = j->s;
    size_t m = j->map ? j->map->n : CTS_FINDINGS;
    float p[CTS_FINDINGS];
    int rc = prompts(j);

    if (rc)
        return rc;
    if (j->z->dim != s->dim)
        return cts_fail(CTS_E_MISMATCH, "prompts: %lld components, allowed: %lld as the images", (long long)j->z->dim,
                        (long long)s->dim);
    if (j->in->scale > 0.0)
        j->z->scale = j->in->scale;
    s->score = malloc((s->n * m + 1) * sizeof *s->score);
    s->logit = malloc((s->n * m + 1) * sizeof *s->logit);
    if (!s->score || !s->logit)
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu scores", s->n * m);
    for (size_t i = 0; i < s->n; i++) {
        cts_zeroshot_logits(j->z, s->image + i * (size_t)s->dim, j->map ? p : s->logit + i * m);
        if (j->map)
            cts_label_map_scores(j->map, p, 1, s->logit + i * m);
        for (size_t f = 0; f < m; f++)
            s->score[i * m + f] = (float)cts_probability((double)s->logit[i * m + f]);
    }
    cts_eval_set_name_labels(s, j->map);
    return CTS_OK;
}

static int drop_partial(cts_eval_set *s)
{
    bool *kept = malloc((s->n + 1) * sizeof *kept);

    if (!kept)
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu rows", s->n);
    for (size_t i = 0; i < s->n; i++) {
        kept[i] = s->rows[i].whole;
        s->skipped += !kept[i];
    }
    cts_eval_set_keep(s, kept);
    free(kept);
    return CTS_OK;
}

static int complete(const job *j)
{
    if (j->needs->texts && !j->s->text)
        return cts_fail(CTS_E_USAGE,
                        "texts: got none, allowed: --texts FILE.npy, --reports CSV with --volumes, or an index");
    if (!j->s->n)
        return cts_fail(CTS_E_INPUT, "pool %s: got no volume, allowed: at least one", j->in->pool->name);
    return CTS_OK;
}

int cts_eval_input_open(cts_eval_set *s, const cts_eval_input *in, const cts_eval_needs *needs, cts_session *session,
                        cts_zeroshot *z, cts_model_set *models, const cts_common *common)
{
    job j = {.s = s,
             .in = in,
             .needs = needs,
             .session = session,
             .z = z,
             .models = models,
             .common = common,
             .map = in->map};
    bool scans = !in->index && !in->scores && !in->images && !in->texts, scored = scores_scans(&j);
    int rc = CTS_OK;

    cts_eval_set_name_labels(s, in->map);
    if (scored && (rc = open_models(&j)))
        return rc;
    if (in->index)
        rc = from_index(&j);
    else if (in->scores)
        rc = from_scores(&j);
    else if (!scans)
        rc = from_npy(&j);
    else
        rc = dataset_rows(&j);
    /* the model last of what can be wrong quickly, first of what takes long */
    if (!rc && !in->index && !scored && in->model && (scans || wants_engine_prompts(&j)) &&
        !(rc = cts_session_open_model(session, in->model, common)))
        rc = cts_session_override(session, &in->over);
    if (!rc && !session->runtime.pool)
        rc = cts_runtime_open(&session->runtime, common);
    if (!rc && !(rc = join_csvs(&j)) && !(rc = choose_pool(&j)) && scans && s->n)
        rc = scored ? score_scans(&j) : embed_rows(&j);
    if (!rc && !(rc = drop_partial(s)) && !(rc = complete(&j)) && needs->scores && !s->score)
        rc = score_rows(&j);
    cts_dataset_destroy(j.dataset);
    return rc;
}
