/* Words are numbered by a hash table of their bytes; postings (text, count) lie word after word.
 * SPDX-License-Identifier: MIT */
#include "query/eval/bm25.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/arena.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

#define WORD_MAX 64 /* bytes of a word that tell it from others; longer ones are cut */

typedef struct {
    int32_t text, count;
} posting;

struct cts_bm25 {
    size_t n;
    double k1, b, mean;
    cts_arena *names;
    const char **word; /* [n_words] */
    size_t n_words, cap;
    int32_t *slot; /* [n_slot], -1 = empty */
    size_t n_slot;
    posting *posting; /* by word, then by text */
    size_t *at;       /* [n_words + 1] */
    int32_t *length;  /* [n] words of each text */
};

static bool is_word(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
}

/* The next word from *p on, in lower case; false at the end. */
static bool next_word(const char **p, char word[WORD_MAX + 1])
{
    size_t n = 0;

    while (**p && !is_word((unsigned char)**p))
        (*p)++;
    for (; is_word((unsigned char)**p); (*p)++)
        if (n < WORD_MAX)
            word[n++] = (char)(**p >= 'A' && **p <= 'Z' ? **p - 'A' + 'a' : **p);
    word[n] = '\0';
    return n > 0;
}

static size_t find_slot(const cts_bm25 *m, const char *word)
{
    size_t at = (size_t)cts_fnv1a64(word, strlen(word)) & (m->n_slot - 1);

    while (m->slot[at] >= 0 && strcmp(m->word[m->slot[at]], word) != 0)
        at = (at + 1) & (m->n_slot - 1);
    return at;
}

static int grow(cts_bm25 *m)
{
    size_t cap = m->cap ? 2 * m->cap : 1024;
    const char **word = realloc(m->word, cap * sizeof *word);
    int32_t *slot;

    if (word)
        m->word = word;
    if (!word || !(slot = malloc(2 * cap * sizeof *slot)))
        return cts_fail(CTS_E_NOMEM, "out of memory for the words of %zu texts", m->n);
    free(m->slot);
    m->slot = slot;
    m->cap = cap;
    m->n_slot = 2 * cap;
    memset(slot, 0xff, m->n_slot * sizeof *slot);
    for (size_t i = 0; i < m->n_words; i++)
        slot[find_slot(m, m->word[i])] = (int32_t)i;
    return CTS_OK;
}

static int number_of(cts_bm25 *m, const char *word, int32_t *out)
{
    size_t at;
    int rc;

    if (m->n_words == m->cap && (rc = grow(m)))
        return rc;
    at = find_slot(m, word);
    if (m->slot[at] < 0) {
        if (!(m->word[m->n_words] = cts_arena_strdup(m->names, word)))
            return cts_fail(CTS_E_NOMEM, "out of memory for the words of %zu texts", m->n);
        m->slot[at] = (int32_t)m->n_words++;
    }
    *out = m->slot[at];
    return CTS_OK;
}

/* All words of all texts in order, as numbers; m->length says where a text ends. */
static int number_words(cts_bm25 *m, const char *const *texts, int32_t **out, size_t *n_out)
{
    int32_t *ids = NULL;
    size_t n = 0, cap = 0;
    char word[WORD_MAX + 1];
    int rc = CTS_OK;

    for (size_t i = 0; !rc && i < m->n; i++) {
        size_t before = n;

        for (const char *p = texts[i]; !rc && next_word(&p, word);) {
            if (n == cap) {
                size_t wanted = cap ? 2 * cap : 4096;
                int32_t *more = realloc(ids, wanted * sizeof *ids);

                if (!more) {
                    rc = cts_fail(CTS_E_NOMEM, "out of memory for the words of %zu texts", m->n);
                    break;
                }
                ids = more;
                cap = wanted;
            }
            rc = n < INT32_MAX ? number_of(m, word, &ids[n++]) : cts_fail(CTS_E_LIMIT, "more than 2^31 - 1 words");
        }
        m->length[i] = (int32_t)(n - before);
    }
    if (rc) {
        free(ids);
        return rc;
    }
    *out = ids;
    *n_out = n;
    return CTS_OK;
}

/* Count words into postings: a word's last posting is the text at hand or an earlier one. */
static int make_postings(cts_bm25 *m, const int32_t *ids, size_t n)
{
    size_t *end = calloc(m->n_words + 1, sizeof *end), total = 0;
    int32_t *last = malloc((m->n_words + 1) * sizeof *last);
    int rc = CTS_OK;

    m->at = calloc(m->n_words + 1, sizeof *m->at);
    if (!end || !last || !m->at) {
        rc = cts_fail(CTS_E_NOMEM, "out of memory for the words of %zu texts", m->n);
        goto out;
    }
    memset(last, 0xff, (m->n_words + 1) * sizeof *last);
    for (size_t i = 0, k = 0; i < m->n; i++)
        for (int32_t w = 0; w < m->length[i]; w++, k++)
            if (last[ids[k]] != (int32_t)i) {
                last[ids[k]] = (int32_t)i;
                m->at[ids[k] + 1]++;
                total++;
            }
    for (size_t w = 0; w < m->n_words; w++) {
        m->at[w + 1] += m->at[w];
        end[w] = m->at[w];
    }
    if (!(m->posting = malloc((total + 1) * sizeof *m->posting))) {
        rc = cts_fail(CTS_E_NOMEM, "out of memory for %zu postings", total);
        goto out;
    }
    for (size_t i = 0, k = 0; i < m->n; i++)
        for (int32_t j = 0; j < m->length[i] && k < n; j++, k++) {
            size_t w = (size_t)ids[k];

            if (end[w] == m->at[w] || m->posting[end[w] - 1].text != (int32_t)i)
                m->posting[end[w]++] = (posting){(int32_t)i, 0};
            m->posting[end[w] - 1].count++;
        }
out:
    free(end);
    free(last);
    return rc;
}

int cts_bm25_create(cts_bm25 **out, const char *const *texts, size_t n, double k1, double b)
{
    cts_bm25 *m = calloc(1, sizeof *m);
    int32_t *ids = NULL;
    size_t n_ids = 0;
    int rc;

    if (n > INT32_MAX) {
        free(m);
        return cts_fail(CTS_E_LIMIT, "%zu texts, allowed 2^31 - 1", n);
    }
    if (!m || !(m->names = cts_arena_create(0)) || !(m->length = calloc(n + 1, sizeof *m->length))) {
        rc = cts_fail(CTS_E_NOMEM, "out of memory for %zu texts", n);
        goto out;
    }
    m->n = n;
    m->k1 = k1;
    m->b = b;
    if ((rc = number_words(m, texts, &ids, &n_ids)) || (rc = make_postings(m, ids, n_ids)))
        goto out;
    m->mean = n_ids ? (double)n_ids / (double)n : 1.0;
    *out = m;
    m = NULL;
out:
    free(ids);
    cts_bm25_destroy(m);
    return rc;
}

void cts_bm25_destroy(cts_bm25 *m)
{
    if (!m)
        return;
    cts_arena_destroy(m->names);
    free(m->word);
    free(m->slot);
    free(m->posting);
    free(m->at);
    free(m->length);
    free(m);
}

size_t cts_bm25_words(const cts_bm25 *m)
{
    return m->n_words;
}

void cts_bm25_score(const cts_bm25 *m, const char *query, double *score)
{
    char word[WORD_MAX + 1];

    memset(score, 0, m->n * sizeof *score);
    while (m->n_slot && next_word(&query, word)) {
        int32_t w = m->slot[find_slot(m, word)];
        double df, idf;

        if (w < 0)
            continue;
        df = (double)(m->at[w + 1] - m->at[w]);
        idf = log(1.0 + ((double)m->n - df + 0.5) / (df + 0.5));
        for (size_t i = m->at[w]; i < m->at[w + 1]; i++) {
            const posting *p = &m->posting[i];
            double tf = p->count, norm = 1.0 - m->b + m->b * m->length[p->text] / m->mean;

            score[p->text] += idf * tf * (m->k1 + 1.0) / (tf + m->k1 * norm);
        }
    }
}
