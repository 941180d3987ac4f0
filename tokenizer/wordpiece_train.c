/* Learn a WordPiece vocabulary from texts.
 *
 * The model behind WordPiece (Schuster and Nakajima 2012) is a unigram language model over pieces. With n_p uses of
 * piece p among N pieces in all, joining every "a b" that follow one another, n_ab times, adds to the log likelihood
 * about
 *     gain(a, b) = n_ab * (log n_ab + log N - log n_a - log n_b).
 * So: cut all words into characters, then join the pair of largest gain again and again, until the vocabulary is full
 * or no pair that occurs twice gains anything. (The quotient n_ab / (n_a n_b) that is often printed instead is the gain
 * of ONE use and picks the rarest pairs first.)
 *
 * Order of the file: [PAD] [UNK] [CLS] [SEP] [MASK]; every character c, then every "##c" unless c always stands
 * alone, both by code point; then the joined pieces in the order found. All characters are kept, so no word of these
 * characters is ever [UNK].
 *
 * Work: words are counted once and sorted, so the order of the texts does not matter. Each pair knows the words it has
 * been seen in; a join touches those words only and corrects the counts of their pairs. The best pair is found by a
 * scan over all pairs: they are few (some 10^4 for reports), and every gain changes with each join because N does.
 * 4,000 reports and 2,000 pieces take well under a second.
 *
 * Deterministic on every machine: gains are integers (logarithms in steps of 2^-16, taken by squaring), equal gains go
 * to the larger count, then to the smaller ids.
 *
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/status.h"
#include "tokenizer/lexicon.h"
#include "tokenizer/normalize.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_internal.h"

static const char *const special_name[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};

typedef struct {
    int32_t *symbols; /* [n], the present cut, piece numbers */
    int32_t n;
    int64_t count; /* uses in the texts */
} word;

typedef struct {
    int32_t left, right;
    int64_t count;
    int64_t log;   /* of count, -1 = to be taken again */
    cts_ids words; /* where it was seen; may name a word twice, or one that has lost it */
} pair;

typedef struct {
    cts_lexicon pieces; /* in the order of the file; count = uses */
    int64_t *logs;      /* [vocab_size] of the uses of each piece */
    word *words;
    size_t n_words;
    int32_t *symbols; /* all words' symbols, one block */
    pair *pairs;
    size_t n_pairs, cap_pairs;
    int32_t *slots; /* [cap_pairs * 2] number of a pair or -1 */
    int64_t total;  /* pieces in use, N of the gain */
} learner;

/* log2(v) in steps of 2^-16, rounded down; 0 for v = 0. Squaring a number in [1, 2) doubles its logarithm: one bit a
 * turn. */
static int64_t log2_q16(int64_t v)
{
    int msb;
    int64_t log;
    uint64_t m;

    if (v <= 0)
        return 0;
    msb = 63 - __builtin_clzll((unsigned long long)v);
    log = (int64_t)msb << 16;
    m = ((uint64_t)v << (63 - msb)) >> 32; /* [1, 2) with 31 bits after the point */
    for (int bit = 15; bit >= 0; bit--) {
        m = (m * m) >> 31;
        if (m >> 32) {
            log |= (int64_t)1 << bit;
            m >>= 1;
        }
    }
    return log;
}

static uint64_t pair_hash(int32_t left, int32_t right)
{
    uint64_t z = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9e3779b97f4a7c15u;

    return z ^ (z >> 29);
}

static size_t pair_probe(const learner *l, int32_t left, int32_t right)
{
    size_t mask = l->cap_pairs * 2 - 1, i = (size_t)pair_hash(left, right) & mask;

    while (l->slots[i] >= 0 && (l->pairs[l->slots[i]].left != left || l->pairs[l->slots[i]].right != right))
        i = (i + 1) & mask;
    return i;
}

static int grow_pairs(learner *l)
{
    size_t cap = l->cap_pairs ? l->cap_pairs * 2 : 4096; /* a power of two: pair_probe() masks */
    pair *pairs = realloc(l->pairs, cap * sizeof *pairs);
    int32_t *slots;

    if (pairs)
        l->pairs = pairs;
    if (!pairs || !(slots = malloc(cap * 2 * sizeof *slots)))
        return cts_fail(CTS_E_NOMEM, "no memory for %zu pairs of pieces", cap);
    memset(slots, 0xff, cap * 2 * sizeof *slots); /* all -1 */
    free(l->slots);
    l->slots = slots;
    l->cap_pairs = cap;
    for (size_t i = 0; i < l->n_pairs; i++)
        slots[pair_probe(l, pairs[i].left, pairs[i].right)] = (int32_t)i;
    return CTS_OK;
}

/* Add `by` to the uses of a pair, which is made when new. list = also note that it occurs in word w. */
static int count_pair(learner *l, int32_t left, int32_t right, int64_t by, int32_t w, bool list)
{
    size_t slot;
    pair *p;
    int rc;

    if (l->n_pairs == l->cap_pairs && (rc = grow_pairs(l)) != CTS_OK)
        return rc;
    slot = pair_probe(l, left, right);
    if (l->slots[slot] < 0) {
        l->pairs[l->n_pairs] = (pair){.left = left, .right = right};
        l->slots[slot] = (int32_t)l->n_pairs++;
    }
    p = &l->pairs[l->slots[slot]];
    p->count += by;
    p->log = -1;
    if (!list || (p->words.n && p->words.p[p->words.n - 1] == w))
        return CTS_OK;
    return cts_ids_push(&p->words, w);
}

/* Count a word's pieces and pairs in (sign 1) or out (sign -1). Only pairs with the piece `fresh` get the word listed,
 * as the others have it already; fresh < 0 lists all. */
static int count_word(learner *l, int32_t w, int sign, int32_t fresh)
{
    const word *v = &l->words[w];
    int64_t by = sign * v->count;
    int rc;

    for (int32_t i = 0; i < v->n; i++) {
        l->pieces.items[v->symbols[i]].count += by;
        if (i + 1 < v->n) {
            int32_t a = v->symbols[i], b = v->symbols[i + 1];
            bool list = sign > 0 && (fresh < 0 || a == fresh || b == fresh);

            if ((rc = count_pair(l, a, b, by, w, list)) != CTS_OK)
                return rc;
        }
    }
    l->total += by * v->n;
    return CTS_OK;
}

static bool has_pair(const word *v, int32_t left, int32_t right)
{
    for (int32_t i = 0; i + 1 < v->n; i++)
        if (v->symbols[i] == left && v->symbols[i + 1] == right)
            return true;
    return false;
}

static void join_in_word(word *v, int32_t left, int32_t right, int32_t joined)
{
    int32_t n = 0;

    for (int32_t i = 0; i < v->n; i++) {
        if (i + 1 < v->n && v->symbols[i] == left && v->symbols[i + 1] == right) {
            v->symbols[n++] = joined;
            i++;
        } else {
            v->symbols[n++] = v->symbols[i];
        }
    }
    v->n = n;
}

/* Number of the piece that left and right make; "##" of the right one falls away. Two pairs may make the same piece. */
static int joined_piece(learner *l, int32_t left, int32_t right, int32_t *number)
{
    char text[CTS_BERT_MAX_CHARS * 4 + 2];
    cts_lexeme a = l->pieces.items[left], b = l->pieces.items[right];

    CTS_ASSERT(b.n_bytes > 2 && a.n_bytes + b.n_bytes - 2 <= sizeof text, "pieces \"%s\" and \"%s\"", a.text, b.text);
    memcpy(text, a.text, a.n_bytes);
    memcpy(text + a.n_bytes, b.text + 2, b.n_bytes - 2);
    return cts_lexicon_add(&l->pieces, text, a.n_bytes + b.n_bytes - 2, number);
}

/* The pair of largest gain, NULL when none is worth joining. */
static pair *best_pair(learner *l)
{
    int64_t all = log2_q16(l->total), best_gain = 0;
    pair *best = NULL;

    for (size_t i = 0; i < l->n_pairs; i++) {
        pair *p = &l->pairs[i];
        int64_t gain;

        if (p->count < 2)
            continue;
        if (p->log < 0)
            p->log = log2_q16(p->count);
        gain = p->count * (p->log + all - l->logs[p->left] - l->logs[p->right]);
        if (gain < best_gain || gain <= 0)
            continue;
        if (gain == best_gain &&
            (p->count < best->count ||
             (p->count == best->count && (p->left > best->left || (p->left == best->left && p->right > best->right)))))
            continue;
        best = p;
        best_gain = gain;
    }
    return best;
}

static int join(learner *l, pair *p)
{
    int32_t left = p->left, right = p->right, joined;
    cts_ids where = p->words; /* p moves when pairs are added */
    int rc;

    memset(&p->words, 0, sizeof p->words);
    if ((rc = joined_piece(l, left, right, &joined)) != CTS_OK)
        goto out;
    for (size_t i = 0; i < where.n; i++) {
        word *v = &l->words[where.p[i]];

        if (!has_pair(v, left, right))
            continue;
        if ((rc = count_word(l, where.p[i], -1, joined)) != CTS_OK)
            goto out;
        join_in_word(v, left, right, joined);
        if ((rc = count_word(l, where.p[i], 1, joined)) != CTS_OK)
            goto out;
    }
    l->logs[left] = log2_q16(l->pieces.items[left].count);
    l->logs[right] = log2_q16(l->pieces.items[right].count);
    l->logs[joined] = log2_q16(l->pieces.items[joined].count);
out:
    free(where.p);
    return rc;
}

static int note_word(void *ctx, const cts_bert_word *w)
{
    cts_lexicon *seen = ctx;
    int32_t number;
    int rc;

    if (w->too_long)
        return CTS_OK; /* [UNK] for ever: nothing to learn */
    if ((rc = cts_lexicon_add(seen, w->text, w->n_bytes, &number)) != CTS_OK)
        return rc;
    seen->items[number].count++;
    return CTS_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const cts_lexeme *)a)->text, ((const cts_lexeme *)b)->text);
}

static int by_code_point(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Add "##"? + the character to the pieces. */
static int add_character(learner *l, uint32_t cp, bool continues, int32_t *number)
{
    char text[6] = "##";
    size_t n = continues ? 2 : 0;

    n += cts_utf8_encode(text + n, cp);
    return cts_lexicon_add(&l->pieces, text, n, number);
}

/* The special names, then the characters cps [n], which are sorted here. */
static int add_alphabet(learner *l, uint32_t *cps, size_t n, int32_t vocab_size)
{
    int32_t number;
    int rc;

    for (size_t i = 0; i < CTS_COUNT(special_name); i++)
        if ((rc = cts_lexicon_add(&l->pieces, special_name[i], strlen(special_name[i]), &number)) != CTS_OK)
            return rc;
    qsort(cps, n, sizeof *cps, by_code_point);
    for (int continues = 0; continues < 2; continues++)
        for (size_t i = 0; i < n; i++)
            if ((!i || cps[i] != cps[i - 1]) && !(continues && cts_bert_stands_alone(cps[i])) &&
                (rc = add_character(l, cps[i], continues, &number)) != CTS_OK)
                return rc;
    if (l->pieces.n > (size_t)vocab_size)
        return cts_fail(CTS_E_INPUT, "a vocabulary of %d pieces, the special names and single characters alone are %zu",
                        (int)vocab_size, l->pieces.n);
    if (!(l->logs = calloc((size_t)vocab_size, sizeof *l->logs)))
        return cts_fail(CTS_E_NOMEM, "no memory for %d pieces", (int)vocab_size);
    return CTS_OK;
}

/* Cut the words (sorted here) into characters and count everything. */
static int cut_words(learner *l, cts_lexicon *seen, int32_t vocab_size)
{
    size_t n_chars = 0, at = 0;
    uint32_t *cps = NULL;
    int rc;

    qsort(seen->items, seen->n, sizeof *seen->items, by_text); /* no look-up after this */
    for (size_t i = 0; i < seen->n; i++)
        n_chars += seen->items[i].n_bytes; /* at most */
    cps = malloc(n_chars * sizeof *cps);
    l->symbols = malloc(n_chars * sizeof *l->symbols);
    l->words = calloc(seen->n, sizeof *l->words);
    if (!cps || !l->symbols || !l->words) {
        rc = cts_fail(CTS_E_NOMEM, "no memory for %zu different words", seen->n);
        goto out;
    }
    for (size_t i = 0; i < seen->n; i++)
        for (size_t k = 0; k < seen->items[i].n_bytes;)
            k += cts_utf8_decode(&cps[at++], seen->items[i].text + k, seen->items[i].n_bytes - k);
    if ((rc = add_alphabet(l, cps, at, vocab_size)) != CTS_OK)
        goto out;
    at = 0;
    for (size_t i = 0; i < seen->n; i++) {
        word *v = &l->words[l->n_words++];

        v->symbols = l->symbols + at;
        v->count = seen->items[i].count;
        for (size_t k = 0; k < seen->items[i].n_bytes; at++) {
            uint32_t cp;
            size_t used = cts_utf8_decode(&cp, seen->items[i].text + k, seen->items[i].n_bytes - k);

            if ((rc = add_character(l, cp, k > 0, &v->symbols[v->n++])) != CTS_OK)
                goto out;
            k += used;
        }
        if ((rc = count_word(l, (int32_t)i, 1, -1)) != CTS_OK)
            goto out;
    }
    for (size_t i = 0; i < l->pieces.n; i++)
        l->logs[i] = log2_q16(l->pieces.items[i].count);
out:
    free(cps);
    return rc;
}

static int write_pieces(const learner *l, const char *path)
{
    cts_str s = {0};
    int rc;

    for (size_t i = 0; i < l->pieces.n; i++) {
        cts_str_append_n(&s, l->pieces.items[i].text, l->pieces.items[i].n_bytes);
        cts_str_append(&s, "\n");
    }
    rc = s.failed ? cts_fail(CTS_E_NOMEM, "no memory for %zu pieces", l->pieces.n)
                  : cts_file_write_atomic(path, s.p, s.n);
    cts_str_free(&s);
    return rc;
}

static void learner_free(learner *l)
{
    for (size_t i = 0; i < l->n_pairs; i++)
        free(l->pairs[i].words.p);
    cts_lexicon_free(&l->pieces);
    free(l->logs);
    free(l->words);
    free(l->symbols);
    free(l->pairs);
    free(l->slots);
}

int cts_wordpiece_train(const char *path, const char *const *texts, size_t n, int32_t vocab_size)
{
    cts_lexicon seen = {0};
    learner l = {0};
    pair *p;
    int rc = CTS_OK;

    if (vocab_size < 8 || vocab_size > CTS_TOKENIZER_MAX_IDS)
        return cts_fail(CTS_E_INPUT, "%s: vocabulary of %d pieces, allowed are 8 to %d", path, (int)vocab_size,
                        CTS_TOKENIZER_MAX_IDS);
    for (size_t i = 0; i < n && rc == CTS_OK; i++)
        rc = cts_bert_words(texts[i], strlen(texts[i]), note_word, &seen);
    if (rc == CTS_OK && !seen.n)
        rc = cts_fail(CTS_E_INPUT, "none of the %zu training texts has a word", n);
    if (rc != CTS_OK || (rc = cut_words(&l, &seen, vocab_size)) != CTS_OK)
        goto out;
    while (l.pieces.n < (size_t)vocab_size && (p = best_pair(&l)))
        if ((rc = join(&l, p)) != CTS_OK)
            goto out;
    rc = write_pieces(&l, path);
out:
    learner_free(&l);
    cts_lexicon_free(&seen);
    return rc ? cts_fail_in(rc, "%s", path) : CTS_OK;
}
