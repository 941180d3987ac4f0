/* SPDX-License-Identifier: MIT */
#include "train/report_tokens.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/rng.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

#define MAX_SENTENCES 256

/* Bytes of the sentence at text: up to and with a full stop, question or exclamation mark that is followed by a
 * blank or the end, or a line end. "3.5 mm" does not end a sentence. */
static size_t sentence_bytes(const char *text)
{
    size_t n = 0;

    while (text[n]) {
        char c = text[n++];

        if (c == '\n' || ((c == '.' || c == '?' || c == '!') && (!text[n] || isspace((unsigned char)text[n]))))
            break;
    }
    return n;
}

static int add_sentence(cts_report_ids *r, const cts_tokenizer *t, const char *text, size_t n_bytes)
{
    uint32_t have = r->at[r->n_sentences];
    int32_t *ids = NULL, *grown;
    size_t n = 0;
    int rc = cts_tokenizer_encode(t, text, n_bytes, &ids, &n);

    if (!rc && n) {
        if (!(grown = realloc(r->ids, (have + n) * sizeof *grown))) {
            rc = cts_fail(CTS_E_NOMEM, "out of memory for token ids");
        } else {
            r->ids = grown;
            memcpy(r->ids + have, ids, n * sizeof *ids);
            if (r->n_sentences == MAX_SENTENCES) /* what lies beyond joins the last one */
                r->at[r->n_sentences] = have + (uint32_t)n;
            else
                r->at[++r->n_sentences] = have + (uint32_t)n;
        }
    }
    free(ids);
    return rc;
}

static int add_section(cts_report_ids *r, const cts_tokenizer *t, const char *text, bool whole)
{
    int rc = CTS_OK;

    for (size_t n; !rc && *text; text += n) {
        n = whole ? strlen(text) : sentence_bytes(text);
        rc = add_sentence(r, t, text, n);
    }
    return rc;
}

/* whole: sections are not cut, so that a SentencePiece model sees them as the published loaders show them. */
static int tokenise(cts_report_ids *r, const cts_tokenizer *t, const char *findings, const char *impression, bool whole)
{
    int rc;

    r->key = cts_rng_split(cts_fnv1a64(findings, strlen(findings)), cts_fnv1a64(impression, strlen(impression)));
    if (!(r->at = calloc(MAX_SENTENCES + 1, sizeof *r->at)))
        return cts_fail(CTS_E_NOMEM, "out of memory for token ids");
    if ((rc = add_section(r, t, findings, whole)))
        return rc;
    r->n_findings = r->n_sentences;
    if (!(rc = add_section(r, t, impression, whole)) && !r->n_sentences)
        rc = cts_fail(CTS_E_INPUT, "report: got one without a word, allowed: at least one token");
    return rc;
}

int cts_report_tokens_make(cts_report_tokens *out, const cts_tokenizer *t, const char *const *findings,
                           const char *const *impressions, size_t n, cts_draw_kind kind, uint64_t first_draws,
                           uint64_t seed)
{
    cts_report_tokens r = {
        .report = calloc(n + 1, sizeof *r.report), .n = n, .seed = seed, .kind = kind, .impressions = first_draws};
    int32_t ends[2];
    size_t n_ends = 0;
    int rc = r.report ? cts_tokenizer_encode_sequence(t, "", 0, 2, ends, &n_ends)
                      : cts_fail(CTS_E_NOMEM, "out of memory for token ids");

    CTS_ASSERT(rc || n_ends == 2, "an empty sequence is its two end tokens");
    for (size_t i = 0; !rc && i < n; i++)
        if ((rc = tokenise(&r.report[i], t, findings[i], impressions[i], kind == CTS_DRAW_REPORT)))
            rc = cts_fail_in(rc, "report %zu", i + 1);
    if (rc) {
        cts_report_tokens_free(&r);
        return rc;
    }
    r.first = ends[0];
    r.last = ends[1];
    *out = r;
    return CTS_OK;
}

void cts_report_tokens_free(cts_report_tokens *r)
{
    for (size_t i = 0; r->report && i < r->n; i++) {
        free(r->report[i].ids);
        free(r->report[i].at);
    }
    free(r->report);
    r->report = NULL;
}

/* Which sentences, in which order: order[0 .. returned). */
static size_t choose(const cts_report_tokens *r, size_t i, uint64_t draw, uint16_t order[MAX_SENTENCES])
{
    const cts_report_ids *rep = &r->report[i];
    cts_rng g = cts_rng_make(cts_rng_split(cts_rng_split(r->seed, 0x73656e74 + i), draw));
    size_t from = 0, n = rep->n_sentences, keep;
    bool both = rep->n_findings > 0 && rep->n_findings < n,
         impression = both && (draw < r->impressions || cts_rng_below(&g, 2));

    if (r->kind == CTS_DRAW_SENTENCES && impression) {
        from = rep->n_findings;
        n -= from;
    } else if (r->kind == CTS_DRAW_SENTENCES && both) {
        n = rep->n_findings;
    }
    for (size_t k = 0; k < n; k++)
        order[k] = (uint16_t)(from + k);
    if (r->kind == CTS_DRAW_REPORT)
        return n;
    keep = impression ? n : 1 + (size_t)cts_rng_below(&g, n);
    for (size_t k = 0; k < keep; k++) {
        size_t j = k + (size_t)cts_rng_below(&g, n - k);
        uint16_t t = order[k];

        order[k] = order[j];
        order[j] = t;
    }
    return keep;
}

int32_t cts_report_tokens_draw(const cts_report_tokens *r, size_t i, uint64_t draw, int32_t *ids, int32_t max_tokens)
{
    const cts_report_ids *rep = &r->report[i];
    uint16_t order[MAX_SENTENCES];
    size_t keep = choose(r, i, draw, order);
    int32_t n = 0;

    CTS_ASSERT(max_tokens >= 3, "room for %d tokens", max_tokens);
    ids[n++] = r->first;
    for (size_t k = 0; k < keep; k++)
        for (uint32_t at = rep->at[order[k]]; at < rep->at[order[k] + 1] && n < max_tokens - 1; at++)
            ids[n++] = rep->ids[at];
    ids[n++] = r->last;
    return n;
}

int cts_draw_kind_parse(cts_draw_kind *out, const char *name)
{
    if (strcmp(name, "report") && strcmp(name, "sentences"))
        return cts_fail(CTS_E_USAGE, "--text-draw: got %s, allowed: report, sentences", name);
    *out = strcmp(name, "report") ? CTS_DRAW_SENTENCES : CTS_DRAW_REPORT;
    return CTS_OK;
}
