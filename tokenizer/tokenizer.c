/* The factory: which kind a file is, and what is the same for all kinds.
 * SPDX-License-Identifier: MIT */
#include "tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/status.h"
#include "tokenizer/tokenizer_internal.h"

struct cts_tokenizer {
    const cts_tokenizer_kind_def *def;
    void *state;
    char *path;
    char digest[CTS_DIGEST_HEX];
};

/* A folder is searched in this order. */
static const cts_tokenizer_kind_def *const kinds[] = {&cts_wordpiece_kind, &cts_sentencepiece_kind};

int cts_ids_push(cts_ids *ids, int32_t id)
{
    if (ids->n == ids->cap) {
        size_t cap = ids->cap ? ids->cap * 2 : 64;
        int32_t *p = realloc(ids->p, cap * sizeof *p);

        if (!p)
            return cts_fail(CTS_E_NOMEM, "no memory for %zu token ids", cap);
        ids->p = p;
        ids->cap = cap;
    }
    ids->p[ids->n++] = id;
    return CTS_OK;
}

static bool ends_with(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);

    return n >= m && strcmp(s + n - m, suffix) == 0;
}

/* The file and kind that path stands for; *file is malloc'd. */
static int find_file(char **file, const cts_tokenizer_kind_def **def, const char *path)
{
    bool folder = cts_is_dir(path);

    if (!cts_file_exists(path))
        return cts_fail(CTS_E_NOTFOUND, "%s: no such tokenizer file or model folder", path);
    for (size_t i = 0; i < CTS_COUNT(kinds); i++) {
        char *at;

        if (!folder && !ends_with(cts_path_base(path), kinds[i]->suffix))
            continue;
        if (!(at = folder ? cts_path_join(path, kinds[i]->file_name) : cts_strdup(path)))
            return cts_fail(CTS_E_NOMEM, "%s: no memory for a path", path);
        if (!folder || cts_file_exists(at)) {
            *file = at;
            *def = kinds[i];
            return CTS_OK;
        }
        free(at);
    }
    if (folder)
        return cts_fail(CTS_E_NOTFOUND, "%s: the folder has no tokenizer, neither %s nor %s", path, kinds[0]->file_name,
                        kinds[1]->file_name);
    return cts_fail(CTS_E_FORMAT, "%s: a tokenizer file ends in %s (WordPiece) or %s (SentencePiece)", path,
                    kinds[0]->suffix, kinds[1]->suffix);
}

int cts_tokenizer_open(cts_tokenizer **out, const char *path)
{
    cts_tokenizer *t = NULL;
    char *bytes = NULL;
    size_t n = 0;
    int rc;

    if (!(t = calloc(1, sizeof *t))) {
        rc = cts_fail(CTS_E_NOMEM, "%s: no memory for a tokenizer", path);
        goto out;
    }
    if ((rc = find_file(&t->path, &t->def, path)) != CTS_OK)
        goto out;
    if ((rc = cts_file_read(&bytes, &n, t->path, CTS_TOKENIZER_MAX_FILE)) != CTS_OK)
        goto out;
    if ((rc = cts_digest_bytes(t->digest, bytes, n)) != CTS_OK)
        goto out;
    if ((rc = t->def->open(&t->state, bytes, n, t->path)) != CTS_OK)
        goto out;
    *out = t;
    t = NULL; /* the caller owns it now */
out:
    cts_tokenizer_close(t);
    free(bytes);
    return rc;
}

void cts_tokenizer_close(cts_tokenizer *t)
{
    if (!t)
        return;
    if (t->def)
        t->def->close(t->state);
    free(t->path);
    free(t);
}

const char *cts_tokenizer_kind(const cts_tokenizer *t)
{
    return t->def->kind;
}

int32_t cts_tokenizer_size(const cts_tokenizer *t)
{
    return t->def->size(t->state);
}

const char *cts_tokenizer_digest(const cts_tokenizer *t)
{
    return t->digest;
}

const char *cts_tokenizer_path(const cts_tokenizer *t)
{
    return t->path;
}

const char *cts_tokenizer_file_name(const cts_tokenizer *t)
{
    return t->def->file_name;
}

static int encode(const cts_tokenizer *t, const char *text, size_t n_bytes, size_t enough, cts_ids *ids)
{
    if (n_bytes > CTS_TOKENIZER_MAX_TEXT)
        return cts_fail(CTS_E_LIMIT, "%s: a text of %zu bytes, at most %zu are tokenized", t->path, n_bytes,
                        CTS_TOKENIZER_MAX_TEXT);
    return n_bytes ? t->def->encode(t->state, text, n_bytes, enough, ids) : CTS_OK;
}

int cts_tokenizer_encode(const cts_tokenizer *t, const char *text, size_t n_bytes, int32_t **ids, size_t *n)
{
    cts_ids v = {0};
    int rc = encode(t, text, n_bytes, SIZE_MAX, &v);

    if (rc != CTS_OK) {
        free(v.p);
        return rc;
    }
    *ids = v.p; /* the caller owns it now */
    *n = v.n;
    return CTS_OK;
}

int cts_tokenizer_encode_sequence(const cts_tokenizer *t, const char *text, size_t n_bytes, int32_t max_tokens,
                                  int32_t *ids, size_t *n)
{
    cts_ids v = {0};
    int32_t begin, end;
    size_t keep;
    int rc;

    CTS_ASSERT(max_tokens >= 2, "a sequence of at most %d tokens has no room for its two ends", (int)max_tokens);
    if ((rc = t->def->ends(t->state, &begin, &end)) != CTS_OK) {
        rc = cts_fail_in(rc, "%s", t->path);
        goto out;
    }
    keep = (size_t)max_tokens - 2;
    if ((rc = encode(t, text, n_bytes, keep, &v)) != CTS_OK)
        goto out;
    if (keep > v.n)
        keep = v.n;
    ids[0] = begin;
    if (keep)
        memcpy(ids + 1, v.p, keep * sizeof *ids);
    ids[keep + 1] = end;
    *n = keep + 2;
out:
    free(v.p);
    return rc;
}

int cts_tokenizer_decode(const cts_tokenizer *t, const int32_t *ids, size_t n, char **text)
{
    cts_str s = {0};
    int32_t size = cts_tokenizer_size(t);
    char *p;
    int rc;

    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= size)
            return cts_fail(CTS_E_INPUT, "%s: token id %d at place %zu, allowed are 0 to %d", t->path, (int)ids[i], i,
                            (int)size - 1);
    rc = n ? t->def->decode(t->state, ids, n, &s) : CTS_OK;
    if (rc != CTS_OK) {
        cts_str_free(&s);
        return rc;
    }
    p = s.failed ? NULL : s.p ? s.p : cts_strdup("");
    if (!p) {
        cts_str_free(&s);
        return cts_fail(CTS_E_NOMEM, "%s: no memory for the text of %zu tokens", t->path, n);
    }
    *text = p; /* the caller owns it now */
    return CTS_OK;
}
