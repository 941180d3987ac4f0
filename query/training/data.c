/* SPDX-License-Identifier: MIT */
#include "query/training/data.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/base/log.h"
#include "kernels/base/status.h"
#include "query/engine.h"
#include "query/orientation.h"

static void free_texts(char **text, size_t n)
{
    for (size_t i = 0; text && i < n; i++)
        free(text[i]);
    free(text);
}

/* The text of a record and its two sections at place t->n. *empty: the report says nothing. */
static int keep_texts(cts_train_data *t, const cts_record *r, bool *empty)
{
    const char *parts[3][2] = {{r->findings, r->impressions}, {r->findings, NULL}, {NULL, r->impressions}};
    bool clean = t->mode == CTS_TEXT_CLEAN;
    char **into[3] = {&t->text[t->n], &t->section[0][t->n], &t->section[1][t->n]};
    cts_str s = {0};
    int rc = CTS_OK;

    for (int k = 0; !rc && k < 3; k++) {
        const char *const *cells = clean ? parts[k] : parts[0];

        rc = cts_report_text(&s, t->mode, cells[0], cells[1]);
        if (!clean && k == 2)
            cts_str_clear(&s);
        if (k == 0)
            *empty = s.n == 0;
        free(*into[k]);
        if (!rc && !(*into[k] = cts_strdup(cts_str_text(&s))))
            rc = cts_fail(CTS_E_NOMEM, "out of memory for reports");
    }
    cts_str_free(&s);
    return rc;
}

static int keep_record(cts_train_data *t, const cts_record *r)
{
    bool empty = true;
    int rc = r->has_report ? keep_texts(t, r, &empty) : CTS_OK;

    if (empty)
        t->without_report++;
    else if (!r->path)
        t->without_volume++;
    else
        t->record[t->n++] = r;
    return rc;
}

int cts_train_data_make(cts_train_data *out, const cts_dataset *d, const cts_recipe *recipe, cts_text_mode mode)
{
    cts_train_data t = {.record = malloc((d->n + 1) * sizeof *t.record),
                        .text = calloc(d->n + 1, sizeof *t.text),
                        .section = {calloc(d->n + 1, sizeof *t.text), calloc(d->n + 1, sizeof *t.text)},
                        .recipe = *recipe,
                        .mode = mode};
    int rc = CTS_OK;

    if (!t.record || !t.text || !t.section[0] || !t.section[1])
        rc = cts_fail(CTS_E_NOMEM, "out of memory for %zu records", d->n);
    for (size_t i = 0; !rc && i < d->n; i++)
        rc = keep_record(&t, &d->records[i]);
    if (!rc && !t.n)
        rc = cts_fail(CTS_E_INPUT,
                      "training data: got %zu records, %zu of them without a volume file and %zu without a report; "
                      "allowed: at least one with both",
                      d->n, t.without_volume, t.without_report);
    if (rc || (rc = cts_axes_create(&t.axes, t.n, "training volumes"))) {
        cts_train_data_free(&t);
        return rc;
    }
    *out = t;
    return CTS_OK;
}

void cts_train_data_free(cts_train_data *t)
{
    /* one place beyond the last kept record may hold the texts of one that was passed over */
    free_texts(t->text, t->n + 1);
    free_texts(t->section[0], t->n + 1);
    free_texts(t->section[1], t->n + 1);
    free(t->record);
    cts_axes_destroy(t->axes);
    if (t->has_tokens)
        cts_report_tokens_free(&t->tokens);
    *t = (cts_train_data){0};
}

int cts_train_data_tokenise(cts_train_data *t, const cts_tokenizer *tok, cts_draw_kind kind, int64_t impressions,
                            uint64_t seed)
{
    int rc = cts_report_tokens_make(&t->tokens, tok, (const char *const *)t->section[0],
                                    (const char *const *)t->section[1], t->n, kind, (uint64_t)impressions, seed);

    t->has_tokens = rc == CTS_OK;
    return rc;
}

static int load(void *ctx, int64_t record, float *volume)
{
    const cts_train_data *t = ctx;
    cts_volume_source s = cts_record_source(t->record[record]);
    cts_preprocess_info info;
    int rc = cts_load_volume(&s, &t->recipe, NULL, volume, &info);

    cts_axes_count(t->axes, record, rc ? NULL : &info);
    return rc;
}

static int32_t text(void *ctx, int64_t record, uint64_t draw, int32_t *ids, int32_t max_tokens)
{
    return cts_report_tokens_draw(&((const cts_train_data *)ctx)->tokens, (size_t)record, draw, ids, max_tokens);
}

static uint64_t text_key(void *ctx, int64_t record)
{
    return ((const cts_train_data *)ctx)->tokens.report[record].key;
}

cts_pairs cts_train_data_pairs(cts_train_data *t)
{
    cts_pairs p = {.n = (int64_t)t->n, .load = load, .text = text, .text_key = text_key, .ctx = t};

    memcpy(p.volume, t->recipe.size_zxy, sizeof p.volume);
    return p;
}

int cts_train_data_digest(const cts_train_data *t, const cts_tokenizer *tok, char digest[CTS_DIGEST_HEX])
{
    cts_digest *d = NULL;
    char recipe[CTS_DIGEST_HEX];
    int rc = cts_recipe_digest(&t->recipe, recipe);

    if (rc || (rc = cts_digest_create(&d)))
        return rc;
    cts_digest_update(d, recipe, strlen(recipe));
    cts_digest_update(d, cts_tokenizer_digest(tok), strlen(cts_tokenizer_digest(tok)));
    for (size_t i = 0; i < t->n; i++) {
        cts_digest_update(d, t->record[i]->name, strlen(t->record[i]->name) + 1);
        cts_digest_update(d, t->text[i], strlen(t->text[i]) + 1);
    }
    rc = cts_digest_finish(d, digest);
    cts_digest_destroy(d);
    return rc;
}
