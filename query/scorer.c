/* SPDX-License-Identifier: MIT */
#include "query/scorer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kernels/base/file.h"
#include "kernels/base/log.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

#define LISTED 40 /* labels named in a sentence */

typedef struct {
    cts_engine *e;
    bool by_prompts;
    cts_zeroshot z;     /* by prompts */
    cts_thresholds own; /* of its folder; n_labels 0 = none, or of something else */
    size_t n;           /* labels it gives */
    size_t *at;         /* [labels of the scorer] place among its own */
    float *out;         /* [n] of one volume */
    float *vector;      /* by prompts: [dim] */
} member;

struct cts_scorer {
    member *m;
    size_t n_members, n;
    const char **label; /* [n], of the models */
    cts_thresholds thresholds;
    bool uncalibrated;
    char digest[CTS_DIGEST_HEX];
};

static const char *label_of(const member *m, size_t i)
{
    return m->by_prompts ? cts_findings[i].name : cts_engine_clip(m->e)->config.classifier.labels[i];
}

static int64_t find_label(const member *m, const char *label)
{
    for (size_t i = 0; i < m->n; i++)
        if (!strcasecmp(label_of(m, i), label))
            return (int64_t)i;
    return -1;
}

/* ---- making ---- */

/* What decides the scores of one member, as text. */
static void describe(const member *m, cts_str *s)
{
    const cts_model_digests *d = cts_engine_digests(m->e);

    cts_str_printf(s, "%s %s %s", m->by_prompts ? "prompts" : "classifier", d->model, d->recipe);
    if (m->by_prompts) /* texts, not their vectors, which differ in the last bits from machine to machine */
        cts_str_printf(s, " %s %s %.9g", d->tokenizer, m->z.digest, m->z.scale);
    cts_str_append(s, "\n");
}

static int digest_of(char out[CTS_DIGEST_HEX], const member *m, size_t n, bool uncalibrated)
{
    cts_str s = {0};
    int rc;

    for (size_t i = 0; i < n; i++) {
        describe(&m[i], &s);
        if (n > 1 && !uncalibrated)
            for (size_t l = 0; l < m[i].own.n_labels; l++)
                cts_str_printf(&s, "%s %.17g %.17g\n", m[i].own.label[l].name, m[i].own.label[l].a,
                               m[i].own.label[l].b);
    }
    if (n > 1)
        cts_str_append(&s, uncalibrated ? "mean of logits\n" : "mean of calibrated logits\n");
    rc = s.n ? cts_digest_bytes(out, cts_str_text(&s), s.n) : cts_fail(CTS_E_NOMEM, "out of memory for a digest");
    cts_str_free(&s);
    return rc;
}

/* Thresholds of the model's folder, when they are of these scores. */
static int load_own(member *m)
{
    const cts_classifier *c = &cts_engine_clip(m->e)->config.classifier;
    const char *dir = cts_engine_path(m->e);
    char digest[CTS_DIGEST_HEX];
    int rc = *dir ? cts_thresholds_load(&m->own, dir) : CTS_E_NOTFOUND;

    if (rc == CTS_E_NOTFOUND)
        return CTS_OK;
    if (rc || (rc = digest_of(digest, m, 1, false)))
        return rc;
    /* training does not say for whom: for the classifier that it trained */
    if (*m->own.made_for ? strcmp(m->own.made_for, digest) != 0 : m->by_prompts && c->head != CTS_HEAD_NONE) {
        cts_log(CTS_LOG_WARN, "%s/%s: made for other weights, recipe or prompts than are used here; left alone", dir,
                CTS_THRESHOLDS_FILE);
        cts_thresholds_clear(&m->own);
    }
    return CTS_OK;
}

static int open_member(member *m, cts_engine *e, const cts_scorer_options *o)
{
    const cts_clip_config *c = &cts_engine_clip(e)->config;
    bool classifier = c->classifier.head != CTS_HEAD_NONE, text = c->encoder[CTS_SIDE_TEXT] != NULL;
    int rc;

    m->e = e;
    m->by_prompts = !classifier || (o->prompts && text);
    if ((rc = cts_engine_need(e, CTS_SIDE_IMAGE)))
        return rc;
    if (!classifier && !text)
        return cts_fail(CTS_E_MISMATCH,
                        "%s: the model has neither a classifier nor a text side, allowed: a model that can name "
                        "findings",
                        cts_engine_path(e));
    m->n = m->by_prompts ? CTS_FINDINGS : (size_t)c->classifier.n;
    m->vector = malloc((size_t)cts_engine_dim(e) * sizeof *m->vector);
    m->out = malloc(m->n * sizeof *m->out);
    if (!m->vector || !m->out)
        return cts_fail(CTS_E_NOMEM, "out of memory for scores");
    if ((rc = cts_engine_want_logits(e, !m->by_prompts)))
        return rc;
    if (m->by_prompts) {
        if ((rc = cts_zeroshot_open(&m->z, e, o->prompts)))
            return rc;
        if (o->scale > 0.0)
            m->z.scale = o->scale;
    }
    return load_own(m);
}

/* The labels that all members have, in the order of the first. */
static int common_labels(cts_scorer *s)
{
    const member *first = &s->m[0];
    cts_str left_out = {0};

    s->label = calloc(first->n, sizeof *s->label);
    for (size_t k = 0; s->label && k < s->n_members; k++)
        if (!(s->m[k].at = calloc(first->n, sizeof *s->m[k].at)))
            s->n_members = 0; /* said below */
    if (!s->label || !s->n_members)
        return cts_fail(CTS_E_NOMEM, "out of memory for labels");
    for (size_t i = 0; i < first->n; i++) {
        const char *label = label_of(first, i);
        size_t k = 0;

        for (; k < s->n_members; k++) {
            int64_t at = find_label(&s->m[k], label);

            if (at < 0)
                break;
            s->m[k].at[s->n] = (size_t)at;
        }
        if (k == s->n_members)
            s->label[s->n++] = label;
        else
            cts_str_printf(&left_out, "%s%s", left_out.n ? ", " : "", label);
    }
    if (left_out.n && s->n)
        cts_log(CTS_LOG_INFO, "left out, as not every model has it: %s", cts_str_text(&left_out));
    cts_str_free(&left_out);
    return s->n ? CTS_OK
                : cts_fail(CTS_E_MISMATCH, "%s and the other models have no finding in common, allowed: at least one",
                           cts_engine_path(first->e));
}

static int check_calibration(const cts_scorer *s)
{
    for (size_t k = 0; k < s->n_members; k++)
        for (size_t i = 0; i < s->n; i++)
            if (!cts_thresholds_find(&s->m[k].own, s->label[i]))
                return cts_fail(CTS_E_MISMATCH,
                                "%s: no calibration of %s, allowed: models with %s (made by training, or by eval "
                                "--save-thresholds), or --uncalibrated to average logits as they are",
                                cts_engine_path(s->m[k].e), s->label[i], CTS_THRESHOLDS_FILE);
    return CTS_OK;
}

/* "DIR", or "DIR/model" where that holds the file. */
static char *thresholds_folder(const char *dir)
{
    char *file = cts_path_join(dir, CTS_THRESHOLDS_FILE), *inner = cts_path_join(dir, "model");
    char *inner_file = inner ? cts_path_join(inner, CTS_THRESHOLDS_FILE) : NULL, *found = NULL;

    if (file && inner_file)
        found = !cts_file_exists(file) && cts_file_exists(inner_file) ? cts_strdup(inner) : cts_strdup(dir);
    free(file);
    free(inner);
    free(inner_file);
    return found;
}

static int load_thresholds(cts_scorer *s, const char *folder)
{
    char *dir = thresholds_folder(folder);
    int rc = dir ? cts_thresholds_load(&s->thresholds, dir) : cts_fail(CTS_E_NOMEM, "out of memory");

    if (!rc && *s->thresholds.made_for && strcmp(s->thresholds.made_for, s->digest) != 0)
        rc = cts_fail(CTS_E_MISMATCH,
                      "%s/%s: made for other weights, recipes, prompts or models than are used here, allowed: what it "
                      "was made for",
                      dir, CTS_THRESHOLDS_FILE);
    free(dir);
    return rc;
}

int cts_scorer_create(cts_scorer **out, cts_engine *const *engines, size_t n, const cts_scorer_options *o)
{
    cts_scorer *s = calloc(1, sizeof *s);
    bool prompts = false;
    int rc;

    if (!s || !(s->m = calloc(n, sizeof *s->m))) {
        rc = cts_fail(CTS_E_NOMEM, "out of memory for %zu models", n);
        goto out;
    }
    s->n_members = n;
    s->uncalibrated = o->uncalibrated;
    for (size_t k = 0; k < n; k++) {
        if ((rc = open_member(&s->m[k], engines[k], o)))
            goto out;
        prompts |= s->m[k].by_prompts;
    }
    if (o->prompts && !prompts) {
        rc = cts_fail(CTS_E_MISMATCH,
                      "--prompts: got %s, but no model has a text side, allowed: a pair of image and text", o->prompts);
        goto out;
    }
    if ((rc = common_labels(s)) || (n > 1 && !s->uncalibrated && (rc = check_calibration(s))) ||
        (rc = digest_of(s->digest, s->m, n, s->uncalibrated)))
        goto out;
    if (o->thresholds && (rc = load_thresholds(s, o->thresholds)))
        goto out;
    *out = s;
    s = NULL; /* the caller's now */
out:
    cts_scorer_destroy(s);
    return rc;
}

void cts_scorer_destroy(cts_scorer *s)
{
    if (!s)
        return;
    for (size_t k = 0; s->m && k < s->n_members; k++) {
        cts_zeroshot_clear(&s->m[k].z);
        cts_thresholds_clear(&s->m[k].own);
        free(s->m[k].at);
        free(s->m[k].out);
        free(s->m[k].vector);
    }
    cts_thresholds_clear(&s->thresholds);
    free(s->label);
    free(s->m);
    free(s);
}

/* ---- asking ---- */

size_t cts_scorer_n(const cts_scorer *s)
{
    return s->n;
}

size_t cts_scorer_models(const cts_scorer *s)
{
    return s->n_members;
}

const char *const *cts_scorer_labels(const cts_scorer *s)
{
    return s->label;
}

int cts_scorer_find(const cts_scorer *s, const char *label, size_t *at)
{
    int finding = cts_finding_find(label), rc;
    cts_str names = {0};

    for (size_t i = 0; i < s->n; i++)
        if (!strcasecmp(s->label[i], label) || (finding >= 0 && !strcasecmp(s->label[i], cts_findings[finding].name))) {
            *at = i;
            return CTS_OK;
        }
    for (size_t i = 0; i < s->n && i < LISTED; i++)
        cts_str_printf(&names, "%s%s", i ? ", " : "", s->label[i]);
    rc = cts_fail(CTS_E_MISMATCH, "%s: the model has no finding %s, allowed: %s%s", cts_engine_path(s->m[0].e), label,
                  cts_str_text(&names), s->n > LISTED ? ", ..." : "");
    cts_str_free(&names);
    return rc;
}

const cts_thresholds *cts_scorer_thresholds(const cts_scorer *s)
{
    const cts_thresholds *t = s->thresholds.n_labels || s->n_members > 1 ? &s->thresholds : &s->m[0].own;

    return t->n_labels ? t : NULL;
}

const cts_label_threshold *cts_scorer_threshold(const cts_scorer *s, size_t label)
{
    const cts_thresholds *t = cts_scorer_thresholds(s);

    return t ? cts_thresholds_find(t, s->label[label]) : NULL;
}

const char *cts_scorer_prompts(const cts_scorer *s)
{
    for (size_t k = 0; k < s->n_members; k++)
        if (s->m[k].by_prompts)
            return s->m[k].z.bank;
    return "";
}

const char *cts_scorer_digest(const cts_scorer *s)
{
    return s->digest;
}

json_t *cts_scorer_models_json(const cts_scorer *s)
{
    json_t *list = json_array();

    for (size_t k = 0; k < s->n_members; k++) {
        const member *m = &s->m[k];
        char digest[CTS_DIGEST_HEX] = "";

        if (m->own.n_labels && cts_thresholds_digest(digest, cts_engine_path(m->e)))
            *digest = '\0';
        json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:s, s:o}", "model", cts_engine_path(m->e), "kind",
                                              m->by_prompts ? "prompts" : "classifier", "prompts",
                                              m->by_prompts ? json_string(m->z.bank) : json_null(), "digest",
                                              cts_engine_digests(m->e)->model, "thresholds",
                                              *digest ? json_string(digest) : json_null()));
    }
    return list;
}

/* ---- scoring ---- */

/* What an engine gave for a volume -> the member's logits. */
static void logits_of(const member *m, const float *result, float *logit)
{
    if (m->by_prompts)
        cts_zeroshot_logits(&m->z, result, logit);
    else if (logit != result)
        memcpy(logit, result, m->n * sizeof *logit);
}

/* Part of member m in the scorer's logit of label i, from the member's own logits. */
static double part(const cts_scorer *s, const member *m, size_t i, const float *logit)
{
    const cts_label_threshold *t =
        s->n_members > 1 && !s->uncalibrated ? cts_thresholds_find(&m->own, s->label[i]) : NULL;
    double z = (double)logit[m->at[i]];

    return (t ? t->a * z + t->b : z) / (double)s->n_members;
}

static void spread_of(const cts_scorer *s, const member *m, cts_prompt_spread *out)
{
    cts_prompt_spread all[CTS_FINDINGS];

    memset(out, 0, s->n * sizeof *out);
    if (!m->by_prompts || s->n_members > 1)
        return;
    cts_zeroshot_spread(&m->z, m->vector, all);
    for (size_t i = 0; i < s->n; i++)
        out[i] = all[m->at[i]];
}

int cts_scorer_volume(cts_scorer *s, const cts_volume_source *v, const cts_scorer_result *r, cts_preprocess_info *info)
{
    double *sum = calloc(s->n, sizeof *sum);
    int rc = sum ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for scores");

    for (size_t k = 0; !rc && k < s->n_members; k++) {
        member *m = &s->m[k];
        float *result = m->by_prompts ? m->vector : m->out;

        if ((rc = cts_engine_volume(m->e, v, result, info)))
            break;
        logits_of(m, result, m->out);
        for (size_t i = 0; i < s->n; i++) {
            sum[i] += part(s, m, i, m->out);
            if (r->member)
                r->member[k * s->n + i] = m->out[m->at[i]];
        }
        if (r->spread)
            spread_of(s, m, r->spread);
    }
    for (size_t i = 0; !rc && i < s->n; i++)
        r->logit[i] = (float)sum[i];
    free(sum);
    return rc;
}

/* One member's run over many volumes. */
typedef struct {
    const cts_scorer *s;
    const member *m;
    const cts_record *const *records;
    size_t at;   /* row of the last record; they come in order */
    double *sum; /* [n][labels] */
    int *seen;   /* [n] members that scored the row */
} collect;

static int keep(void *ctx, const cts_record *record, const float *result)
{
    collect *c = ctx;

    while (c->records[c->at] != record)
        c->at++;
    logits_of(c->m, result, c->m->out);
    for (size_t i = 0; i < c->s->n; i++)
        c->sum[c->at * c->s->n + i] += part(c->s, c->m, i, c->m->out);
    c->seen[c->at]++;
    return CTS_OK;
}

int cts_scorer_records(cts_scorer *s, const cts_record *const *records, size_t n, int threads, float *logits,
                       bool *whole, size_t *skipped)
{
    double *sum = calloc(n * s->n + 1, sizeof *sum);
    int *seen = calloc(n + 1, sizeof *seen);
    int rc = sum && seen ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for the scores of %zu volumes", n);

    for (size_t k = 0; !rc && k < s->n_members; k++) {
        collect c = {.s = s, .m = &s->m[k], .records = records, .sum = sum, .seen = seen};
        char label[80] = "volumes";
        size_t left = 0;

        if (s->n_members > 1)
            snprintf(label, sizeof label, "volumes, model %zu of %zu", k + 1, s->n_members);
        rc = cts_engine_records(s->m[k].e, records, n, threads, label, keep, &c, &left);
        if (s->n_members > 1)
            cts_engine_rest(s->m[k].e);
    }
    for (size_t r = 0; !rc && r < n; r++) {
        whole[r] = (size_t)seen[r] == s->n_members;
        *skipped += !whole[r];
        for (size_t i = 0; i < s->n; i++)
            logits[r * s->n + i] = (float)sum[r * s->n + i];
    }
    free(sum);
    free(seen);
    return rc;
}
