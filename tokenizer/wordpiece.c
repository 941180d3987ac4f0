/* WordPiece with BERT's rules (Wu et al. 2016, section 4.1, as the 2018 BERT code reads it): each word of normalize.h
 * is cut greedily into the longest entries of the vocabulary, continuations written "##piece". A word that cannot be
 * cut to its end, or is longer than 100 characters, is one [UNK].
 *
 * The names [PAD] [UNK] [CLS] [SEP] [MASK] that the vocabulary holds are found in the raw text, case and brackets
 * exact, before any clean-up, and become their ids: what both Hugging Face tokenizers do.
 *
 * Entries hang in an open hash table under FNV-1a, whose running value gives the hashes of all prefixes of a word in
 * one pass: one probe a prefix, longest first.
 *
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/status.h"
#include "tokenizer/normalize.h"
#include "tokenizer/tokenizer_internal.h"

#define FNV_OFFSET 0xcbf29ce484222325u
#define FNV_PRIME 0x100000001b3u

enum { PAD, UNK, CLS, SEP, MASK, N_SPECIAL };
static const char *const special_name[N_SPECIAL] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};

typedef struct {
    const char *text; /* into wordpiece.bytes, not terminated */
    uint32_t n_bytes;
} entry;

typedef struct {
    char *bytes;
    entry *entries; /* [n], by id */
    int32_t n;
    int32_t *table;             /* [mask + 1] id or -1 */
    uint64_t *hash;             /* [n] */
    size_t mask;                /* a power of two less one */
    size_t longest;             /* bytes of the longest entry */
    uint64_t continues;         /* FNV-1a of "##" */
    int32_t special[N_SPECIAL]; /* -1 = not in the vocabulary */
} wordpiece;

/* Bytes of a piece that stand for text: "##" of a continuation is not part of it. */
static bool is_continuation(const entry *e)
{
    return e->n_bytes > 2 && e->text[0] == '#' && e->text[1] == '#';
}

static uint64_t fnv_more(uint64_t h, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint8_t)p[i]) * FNV_PRIME;
    return h;
}

static size_t slot_of(uint64_t hash)
{
    return (size_t)(hash ^ (hash >> 32)); /* the low bits of FNV alone are weak */
}

/* Id of the entry that is prefix + text ("##" or nothing), or -1. hash is that of the whole. */
static int32_t find(const wordpiece *w, uint64_t hash, bool continuation, const char *text, size_t n)
{
    size_t skip = continuation ? 2 : 0;

    for (size_t i = slot_of(hash) & w->mask; w->table[i] >= 0; i = (i + 1) & w->mask) {
        const entry *e = &w->entries[w->table[i]];

        if (w->hash[w->table[i]] == hash && e->n_bytes == n + skip && memcmp(e->text, "##", skip) == 0 &&
            memcmp(e->text + skip, text, n) == 0)
            return w->table[i];
    }
    return -1;
}

static int32_t find_name(const wordpiece *w, const char *name)
{
    size_t n = strlen(name);

    return find(w, fnv_more(FNV_OFFSET, name, n), false, name, n);
}

/* The file of `path` is checked line by line; a CR before the LF does not count. */
static int read_line(entry *e, const char *p, size_t n, size_t line, const char *path)
{
    if (n && p[n - 1] == '\r')
        n--;
    if (!n)
        return cts_fail(CTS_E_FORMAT, "%s: line %zu is empty, a vocabulary has one piece a line", path, line);
    if (n > UINT16_MAX)
        return cts_fail(CTS_E_LIMIT, "%s: line %zu has %zu bytes, a piece has at most %d", path, line, n, UINT16_MAX);
    for (size_t at = 0; at < n;) {
        uint32_t cp;
        size_t used = cts_utf8_decode(&cp, p + at, n - at);

        if (cp == 0 || (cp == 0xfffd && used == 1)) /* a real U+FFFD has three bytes */
            return cts_fail(CTS_E_FORMAT, "%s: line %zu is not UTF-8 text (byte 0x%02x at column %zu)", path, line,
                            (unsigned)(uint8_t)p[at], at + 1);
        at += used;
    }
    e->text = p;
    e->n_bytes = (uint32_t)n;
    return CTS_OK;
}

static int split_lines(wordpiece *w, size_t n, const char *path)
{
    size_t lines = 0, at = 0;
    int rc;

    for (size_t i = 0; i < n; i++)
        lines += w->bytes[i] == '\n';
    if (n && w->bytes[n - 1] != '\n')
        lines++;
    if (!lines)
        return cts_fail(CTS_E_FORMAT, "%s: the vocabulary is empty", path);
    if (lines > CTS_TOKENIZER_MAX_IDS)
        return cts_fail(CTS_E_LIMIT, "%s: %zu lines, a vocabulary has at most %d", path, lines, CTS_TOKENIZER_MAX_IDS);
    if (!(w->entries = calloc(lines, sizeof *w->entries)) || !(w->hash = calloc(lines, sizeof *w->hash)))
        return cts_fail(CTS_E_NOMEM, "%s: no memory for %zu pieces", path, lines);
    for (size_t i = 0; i < lines; i++) {
        const char *p = w->bytes + at, *lf = memchr(p, '\n', n - at);
        size_t len = lf ? (size_t)(lf - p) : n - at;

        if ((rc = read_line(&w->entries[i], p, len, i + 1, path)) != CTS_OK)
            return rc;
        at += len + 1;
        if (w->longest < w->entries[i].n_bytes)
            w->longest = w->entries[i].n_bytes;
    }
    w->n = (int32_t)lines;
    return CTS_OK;
}

static int build_table(wordpiece *w, const char *path)
{
    size_t slots = 64;

    while (slots < 2 * (size_t)w->n)
        slots *= 2;
    if (!(w->table = malloc(slots * sizeof *w->table)))
        return cts_fail(CTS_E_NOMEM, "%s: no memory for a table of %zu pieces", path, slots);
    memset(w->table, 0xff, slots * sizeof *w->table); /* all -1 */
    w->mask = slots - 1;
    for (int32_t id = 0; id < w->n; id++) {
        const entry *e = &w->entries[id];
        uint64_t h = fnv_more(FNV_OFFSET, e->text, e->n_bytes);
        int32_t twin = find(w, h, false, e->text, e->n_bytes);
        size_t i = slot_of(h) & w->mask;

        if (twin >= 0) /* one of the two ids could never come out */
            return cts_fail(CTS_E_FORMAT, "%s: piece \"%.*s\" stands in line %d and again in line %d", path,
                            e->n_bytes > 60 ? 60 : (int)e->n_bytes, e->text, (int)twin + 1, (int)id + 1);
        while (w->table[i] >= 0)
            i = (i + 1) & w->mask;
        w->table[i] = id;
        w->hash[id] = h;
    }
    return CTS_OK;
}

static void wordpiece_close(void *state)
{
    wordpiece *w = state;

    if (!w)
        return;
    free(w->bytes);
    free(w->entries);
    free(w->hash);
    free(w->table);
    free(w);
}

static int wordpiece_open(void **state, const char *bytes, size_t n, const char *path)
{
    wordpiece *w = NULL;
    int rc;

    if (!(w = calloc(1, sizeof *w)) || !(w->bytes = malloc(n + 1))) {
        rc = cts_fail(CTS_E_NOMEM, "%s: no memory for a vocabulary of %zu bytes", path, n);
        goto out;
    }
    memcpy(w->bytes, bytes, n);
    w->continues = fnv_more(FNV_OFFSET, "##", 2);
    if ((rc = split_lines(w, n, path)) != CTS_OK)
        goto out;
    if ((rc = build_table(w, path)) != CTS_OK)
        goto out;
    for (int i = 0; i < N_SPECIAL; i++) {
        w->special[i] = find_name(w, special_name[i]);
        if (w->special[i] < 0 && (i == UNK || i == CLS || i == SEP)) {
            rc = cts_fail(CTS_E_FORMAT, "%s: the vocabulary of %d pieces has no %s", path, (int)w->n, special_name[i]);
            goto out;
        }
    }
    *state = w;
    w = NULL; /* the tokenizer owns it now */
out:
    wordpiece_close(w);
    return rc;
}

static int32_t wordpiece_size(const void *state)
{
    return ((const wordpiece *)state)->n;
}

static int wordpiece_ends(const void *state, int32_t *begin, int32_t *end)
{
    const wordpiece *w = state;

    *begin = w->special[CLS];
    *end = w->special[SEP];
    return CTS_OK;
}

/* Id of the longest entry that begins the n bytes at text, and its bytes of text in *used; -1 when there is none. */
static int32_t longest_prefix(const wordpiece *w, bool continuation, const char *text, size_t n, size_t *used)
{
    uint64_t hash[CTS_BERT_MAX_CHARS];
    size_t end[CTS_BERT_MAX_CHARS], chars = 0, limit = w->longest - (continuation ? 2 : 0), at = 0;
    uint64_t h = continuation ? w->continues : FNV_OFFSET;

    if (continuation && w->longest < 2)
        return -1;
    while (at < n && chars < CTS_BERT_MAX_CHARS) {
        uint32_t cp;
        size_t len = cts_utf8_decode(&cp, text + at, n - at);

        if (at + len > limit)
            break;
        h = fnv_more(h, text + at, len);
        at += len;
        hash[chars] = h;
        end[chars++] = at;
    }
    while (chars-- > 0) {
        int32_t id = find(w, hash[chars], continuation, text, end[chars]);

        if (id >= 0) {
            *used = end[chars];
            return id;
        }
    }
    return -1;
}

typedef struct {
    const wordpiece *w;
    cts_ids *ids;
    size_t enough;
} encoding;

#define ENOUGH (-1) /* no status: ends the walk over the words early */

static int encode_word(void *ctx, const cts_bert_word *word)
{
    encoding *e = ctx;
    size_t start = e->ids->n, at = 0, used = 0;
    int rc;

    if (start >= e->enough)
        return ENOUGH;
    if (word->too_long)
        return cts_ids_push(e->ids, e->w->special[UNK]);
    while (at < word->n_bytes) {
        int32_t id = longest_prefix(e->w, at > 0, word->text + at, word->n_bytes - at, &used);

        if (id < 0) {
            e->ids->n = start; /* the whole word is unknown, not its rest */
            return cts_ids_push(e->ids, e->w->special[UNK]);
        }
        if ((rc = cts_ids_push(e->ids, id)) != CTS_OK)
            return rc;
        at += used;
    }
    return CTS_OK;
}

/* Which special name begins at p, or N_SPECIAL. */
static int special_at(const wordpiece *w, const char *p, size_t n)
{
    int i;

    for (i = 0; i < N_SPECIAL; i++) {
        size_t len = strlen(special_name[i]);

        if (w->special[i] >= 0 && n >= len && memcmp(p, special_name[i], len) == 0)
            break;
    }
    return i;
}

static int wordpiece_encode(const void *state, const char *text, size_t n_bytes, size_t enough, cts_ids *ids)
{
    encoding e = {state, ids, enough};
    size_t from = 0, at = 0;
    int rc;

    while (at < n_bytes && ids->n < enough) {
        const char *bracket = memchr(text + at, '[', n_bytes - at);
        int which;

        at = bracket ? (size_t)(bracket - text) : n_bytes;
        which = at < n_bytes ? special_at(e.w, bracket, n_bytes - at) : N_SPECIAL;
        if (at < n_bytes && which == N_SPECIAL) {
            at++; /* an ordinary bracket */
            if (at < n_bytes)
                continue;
        }
        rc = cts_bert_words(text + from, at - from, encode_word, &e);
        if (rc != CTS_OK)
            return rc == ENOUGH ? CTS_OK : rc;
        if (which < N_SPECIAL) {
            if ((rc = cts_ids_push(ids, e.w->special[which])) != CTS_OK)
                return rc;
            at += strlen(special_name[which]);
        }
        from = at;
    }
    return CTS_OK;
}

/* Words get one space between them, continuations none; [PAD], [CLS] and [SEP] are no text. */
static int wordpiece_decode(const void *state, const int32_t *ids, size_t n, cts_str *text)
{
    const wordpiece *w = state;

    for (size_t i = 0; i < n; i++) {
        const entry *e = &w->entries[ids[i]];

        if (ids[i] == w->special[PAD] || ids[i] == w->special[CLS] || ids[i] == w->special[SEP])
            continue;
        if (is_continuation(e) && text->n) {
            cts_str_append_n(text, e->text + 2, e->n_bytes - 2);
            continue;
        }
        if (text->n)
            cts_str_append(text, " ");
        cts_str_append_n(text, e->text, e->n_bytes);
    }
    return CTS_OK;
}

const cts_tokenizer_kind_def cts_wordpiece_kind = {
    .kind = "wordpiece",
    .file_name = "vocab.txt",
    .suffix = ".txt",
    .open = wordpiece_open,
    .close = wordpiece_close,
    .size = wordpiece_size,
    .ends = wordpiece_ends,
    .encode = wordpiece_encode,
    .decode = wordpiece_decode,
};
