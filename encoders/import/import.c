/* The plan: names of the file on one side, what the encoders declare on the other. SPDX-License-Identifier: MIT */
#include "encoders/import/import.h"

#include <stdlib.h>
#include <string.h>

#include "encoders/import/import_internal.h"
#include "kernels/base/check.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

#define MAX_LISTED 20        /* names in one sentence ... */
#define MAX_LISTED_BYTES 800 /* ... which holds 1,023 bytes */

/* Rows of a word embedding that published code adds: up to a multiple of 128, or a few hundred names of its own. */
#define MAX_SPARE(rows) (128 + (rows) / 16)

/* ---- rows ------------------------------------------------------------------------------------------------------ */

/* Names for a sentence: some of them and how many there are. */
typedef struct {
    cts_str s;
    int n;
} name_list;

static void list_name(name_list *l, const char *name)
{
    if (l->n++ < MAX_LISTED && l->s.n + strlen(name) < MAX_LISTED_BYTES)
        cts_str_printf(&l->s, "%s%s", l->s.n ? ", " : "", name);
    else if (l->s.n && l->s.p[l->s.n - 1] != '.')
        cts_str_append(&l->s, ", ...");
}

/* Index of the declared entry of this name, -1 = none. */
static int declared(const cts_import_plan *p, const char *target)
{
    return target ? cts_params_find(p->model->params, target) : -1;
}

static bool all_zero(const cts_weight *t)
{
    float *v = malloc((size_t)t->count * sizeof *v);
    bool zero = v != NULL;

    if (v)
        cts_weight_to_f32(v, t);
    for (int64_t i = 0; zero && i < t->count; i++)
        zero = v[i] == 0.0f;
    free(v);
    return zero;
}

static bool same_shape(const cts_weight *a, const cts_weight *b)
{
    return a->ndim == b->ndim && !memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof *a->shape);
}

/* CTS_OK when both names hold the same values, bit for bit as floats. */
static int check_alias(const cts_weight *a, const cts_weight *b)
{
    size_t n = (size_t)a->count * sizeof(float);
    float *x = NULL, *y = NULL;
    int rc = CTS_OK;

    if (same_shape(a, b)) {
        if (a->data == b->data && a->dtype == b->dtype &&
            !memcmp(a->stride, b->stride, (size_t)a->ndim * sizeof *a->stride))
            return CTS_OK;
        if (!(x = malloc(n ? n : 1)) || !(y = malloc(n ? n : 1))) {
            rc = cts_fail(CTS_E_NOMEM, "out of memory to compare %s with %s", a->name, b->name);
            goto out;
        }
        cts_weight_to_f32(x, a);
        cts_weight_to_f32(y, b);
        if (!memcmp(x, y, n))
            goto out;
    }
    rc = cts_fail(CTS_E_MISMATCH, "tensors %s and %s are two names of one tensor and have different %s", a->name,
                  b->name, x ? "values" : "shapes");
out:
    free(x);
    free(y);
    return rc;
}

/* A second name for a target that has a source already. */
static int add_twin(cts_import_plan *p, plan_row *r, plan_row *first, bool alias)
{
    int rc;

    if (!alias && !first->alias)
        return cts_fail(CTS_E_MISMATCH, "tensors %s and %s would both become %s", first->w->name, r->w->name,
                        cts_params_get(p->model->params, first->param)->name);
    if ((rc = check_alias(first->w, r->w)) != CTS_OK)
        return rc;
    r->param = -1;
    r->own_note = cts_asprintf("the same values as %s", first->w->name);
    return r->own_note ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for a plan");
}

/* A name that no rule decides: the first section that gives one the model has. */
static int find_plain(int *param, const cts_import_plan *p, const char *name)
{
    *param = -1;
    for (int i = 0; *param < 0 && i < p->draft.n_sections; i++) {
        char *target = NULL;
        int rc = cts_import_keep(&target, &p->draft.section[i], name);

        if (rc != CTS_OK)
            return rc;
        *param = declared(p, target);
        free(target);
    }
    return CTS_OK;
}

/* What becomes of one key. r->param stays -1 and r->note NULL for one nobody knows. */
static int decide(cts_import_plan *p, plan_row *r, const char *name)
{
    const cts_import_rule *rule = NULL;
    char *target = NULL;
    int rc = cts_import_apply(&target, &rule, p->draft.section, p->draft.n_sections, name);

    if (rc != CTS_OK)
        return rc;
    r->param = declared(p, target);
    free(target);
    if (!rule)
        return find_plain(&r->param, p, name);
    r->alias = (rule->flags & CTS_RULE_ALIAS) != 0;
    if (r->param >= 0 || (rule->target && !(rule->flags & CTS_RULE_IF_DECLARED)))
        return CTS_OK;
    if ((rule->flags & CTS_RULE_ZERO) && !all_zero(r->w))
        return cts_fail(CTS_E_MISMATCH, "tensor %s is not zero throughout, as it is in every published model",
                        r->w->name);
    r->note = rule->reason;
    return CTS_OK;
}

/* Shapes that differ by axes of length 1 in front are equal. */
static bool fits(const cts_weight *t, const cts_param *e)
{
    int a = 0, b = 0;

    while (a < t->ndim && t->shape[a] == 1)
        a++;
    while (b < e->ndim && e->shape[b] == 1)
        b++;
    return t->ndim - a == e->ndim - b && !memcmp(t->shape + a, e->shape + b, (size_t)(t->ndim - a) * sizeof *t->shape);
}

static int check_fit(const cts_import_plan *p, const plan_row *r)
{
    const cts_param *e = cts_params_get(p->model->params, r->param);
    char got[96], want[96];

    if (r->w->dtype >= CTS_ST_I64 && r->w->count > 1)
        return cts_fail(CTS_E_UNSUPPORTED,
                        "tensor %s holds %s, allowed are floats for %s: weights quantised to integers mean nothing "
                        "without their scales",
                        r->w->name, cts_st_dtype_name(r->w->dtype), e->name);
    if (fits(r->w, e))
        return CTS_OK;
    return cts_fail(CTS_E_MISMATCH, "tensor %s has shape %s, the model's %s wants %s", r->w->name,
                    cts_shape_text(got, r->w->ndim, r->w->shape), e->name, cts_shape_text(want, e->ndim, e->shape));
}

static int add_sources(cts_import_plan *p, name_list *unknown)
{
    for (int i = 0; i < p->keys.n; i++) {
        plan_row *r = &p->row[p->n_rows++];
        int rc;

        r->w = p->keys.key[i].w;
        r->param = -1;
        if ((rc = decide(p, r, p->keys.key[i].name)) != CTS_OK)
            return rc;
        if (r->param < 0) {
            if (!r->note)
                list_name(unknown, r->w->name);
            continue;
        }
        if (p->source[r->param]) {
            if ((rc = add_twin(p, r, p->source[r->param], r->alias)) != CTS_OK)
                return rc;
            continue;
        }
        if ((rc = check_fit(p, r)) != CTS_OK)
            return rc;
        p->source[r->param] = r;
    }
    return CTS_OK;
}

/* Entries without a source: those with one value throughout are made, the others are missing. */
static void add_made(cts_import_plan *p, name_list *missing)
{
    for (int i = 0; i < cts_params_n(p->model->params); i++) {
        const cts_param *e = cts_params_get(p->model->params, i);
        const cts_import_fill *f = &p->draft.fill;
        plan_row *r = &p->row[p->n_rows];

        if (p->source[i])
            continue;
        if (f->target && !strcmp(f->target, e->name)) {
            r->note = f->reason;
            r->value = f->value;
        } else if (!strcmp(e->name, "temperature") && !p->model->config.learned_temperature) {
            r->note = "the constant of config.json";
            r->value = (float)p->model->config.temperature;
        } else {
            list_name(missing, e->name);
            continue;
        }
        r->param = i;
        p->source[i] = r;
        p->n_rows++;
    }
}

static int complain(const cts_import_plan *p, const name_list *unknown, const name_list *missing)
{
    if (unknown->n && missing->n)
        return cts_fail(CTS_E_MISMATCH,
                        "%d tensors are neither used by %s nor known to be droppable (%.380s), and %d it needs are "
                        "missing (%.380s)",
                        unknown->n, p->family->name, cts_str_text(&unknown->s), missing->n, cts_str_text(&missing->s));
    if (unknown->n)
        return cts_fail(CTS_E_MISMATCH, "%d tensor%s neither used by %s nor known to be droppable: %s", unknown->n,
                        unknown->n > 1 ? "s are" : " is", p->family->name, cts_str_text(&unknown->s));
    if (missing->n)
        return cts_fail(CTS_E_MISMATCH, "%d tensor%s missing that %s needs: %s", missing->n,
                        missing->n > 1 ? "s are" : " is", p->family->name, cts_str_text(&missing->s));
    return CTS_OK;
}

static int match_names(cts_import_plan *p)
{
    size_t n_params = (size_t)cts_params_n(p->model->params);
    name_list unknown = {{0}, 0}, missing = {{0}, 0};
    int rc;

    p->row = calloc((size_t)p->keys.n + n_params + 1, sizeof *p->row);
    p->source = calloc(n_params + 1, sizeof *p->source);
    if (!p->row || !p->source)
        return cts_fail(CTS_E_NOMEM, "out of memory for a plan of %d tensors", p->keys.n);
    if ((rc = add_sources(p, &unknown)) == CTS_OK) {
        add_made(p, &missing);
        rc = complain(p, &unknown, &missing);
    }
    cts_str_free(&unknown.s);
    cts_str_free(&missing.s);
    return rc;
}

/* ---- the plan -------------------------------------------------------------------------------------------------- */

/* Ids of the tokenizer against rows of the word embedding. Published code grows the embedding to the tokenizer, so that
 * spare rows are no mistake; a row too few is. */
static int check_tokenizer(cts_import_plan *p, int64_t ids)
{
    const cts_clip_config *c = &p->model->config;
    cts_encoder_info info;
    cts_str text = {0};
    int rc = CTS_OK;

    if (!c->encoder[CTS_SIDE_TEXT])
        return CTS_OK;
    c->encoder[CTS_SIDE_TEXT]->info(c->config[CTS_SIDE_TEXT], &info);
    if (ids > info.vocab)
        return cts_fail(CTS_E_MISMATCH,
                        "the tokenizer has %lld ids, the word embedding %lld rows: they do not belong together",
                        (long long)ids, (long long)info.vocab);
    if (ids == 0)
        cts_str_printf(&text,
                       "no tokenizer is given: texts cannot be embedded before %s lies in the folder as vocab.txt or "
                       "tokenizer.model",
                       p->draft.tokenizer ? p->draft.tokenizer : "one");
    else if (ids < info.vocab)
        cts_str_printf(&text, "the tokenizer has %lld ids, the word embedding %lld rows: the last %lld are spare%s",
                       (long long)ids, (long long)info.vocab, (long long)(info.vocab - ids),
                       info.vocab - ids > MAX_SPARE(info.vocab) ? ", more than padding explains: is it this model's?"
                                                                : "");
    if (text.n && json_array_append_new(p->draft.notes, json_string(cts_str_text(&text))) != 0)
        rc = cts_fail(CTS_E_NOMEM, "out of memory for a note");
    cts_str_free(&text);
    return rc;
}

static int make_model(cts_import_plan *p)
{
    cts_clip_config c = {0};
    int rc = cts_clip_config_parse(&c, p->draft.config, p->family->name);

    if (rc == CTS_OK)
        rc = cts_clip_create(&p->model, &c);
    cts_clip_config_clear(&c);
    return rc;
}

int cts_import_plan_create(cts_import_plan **out, const cts_weights *w, const cts_import_options *o)
{
    cts_import_plan *p = calloc(1, sizeof *p);
    int rc;

    if (!p || !(p->draft.notes = json_array())) {
        rc = cts_fail(CTS_E_NOMEM, "out of memory for a plan");
        goto out;
    }
    p->weights = w;
    if ((rc = cts_import_keys_make(&p->keys, w)) != CTS_OK) {
        cts_import_plan_destroy(p);
        return rc; /* this sentence has the file already */
    }
    if ((rc = cts_import_family_find(&p->family, &p->keys, o)) != CTS_OK ||
        (rc = p->family->plan(&p->draft, &p->keys, o)) != CTS_OK || (rc = make_model(p)) != CTS_OK ||
        (rc = match_names(p)) != CTS_OK || (rc = check_tokenizer(p, o->tokenizer_size)) != CTS_OK)
        goto out;
    *out = p;
    p = NULL;
out:
    cts_import_plan_destroy(p);
    return rc == CTS_OK ? rc : cts_fail_in(rc, "%s", cts_weights_path(w));
}

void cts_import_plan_destroy(cts_import_plan *p)
{
    if (!p)
        return;
    for (int i = 0; p->row && i < p->n_rows; i++)
        free(p->row[i].own_note);
    free(p->row);
    free(p->source);
    json_decref(p->draft.config);
    json_decref(p->draft.notes);
    cts_import_keys_clear(&p->keys);
    cts_clip_destroy(p->model);
    free(p);
}

int cts_import_plan_rows(const cts_import_plan *p)
{
    return p->n_rows;
}

void cts_import_plan_row(cts_import_row *out, const cts_import_plan *p, int i)
{
    const plan_row *r;

    CTS_ASSERT(i >= 0 && i < p->n_rows, "row %d of %d", i, p->n_rows);
    r = &p->row[i];
    *out = (cts_import_row){.note = r->own_note ? r->own_note : r->note, .dtype = CTS_ST_F32};
    if (r->param >= 0) {
        const cts_param *e = cts_params_get(p->model->params, r->param);

        out->target = e->name;
        out->ndim = e->ndim;
        memcpy(out->shape, e->shape, sizeof out->shape);
    }
    if (r->w) {
        out->source = r->w->name;
        out->dtype = r->w->dtype;
        out->ndim = r->w->ndim;
        memcpy(out->shape, r->w->shape, sizeof out->shape);
        out->bytes = r->w->count * (int64_t)cts_st_dtype_bytes(r->w->dtype);
    }
}

const cts_import_family *cts_import_plan_family(const cts_import_plan *p)
{
    return p->family;
}

const cts_import_draft *cts_import_plan_draft(const cts_import_plan *p)
{
    return &p->draft;
}

const cts_weights *cts_import_plan_weights(const cts_import_plan *p)
{
    return p->weights;
}

const cts_clip *cts_import_plan_model(const cts_import_plan *p)
{
    return p->model;
}
