/* SentencePiece models (Kudo and Richardson 2018) through the shim: unigram and BPE, with the file's own normalisation.
 *
 * The library checks the pieces it reads, but it accepts a file cut after any whole field, as a unigram model without
 * normalisation, and it follows the offsets of the compiled normalisation rules unchecked. A look at the file comes
 * first, therefore: sentencepiece_check.c.
 *
 * SPDX-License-Identifier: MIT */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/file.h"
#include "kernels/base/status.h"
#include "tokenizer/sentencepiece_check.h"
#include "tokenizer/sentencepiece_shim.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_internal.h"

static int sentencepiece_open(void **state, const char *bytes, size_t n, const char *path)
{
    cts_sp *sp = NULL;
    int rc;

    if ((rc = cts_sp_check_model(bytes, n, path)) != CTS_OK)
        return rc;
    if ((rc = cts_sp_open(&sp, bytes, n)) != CTS_OK)
        return cts_fail_in(rc, "%s", path);
    *state = sp;
    return CTS_OK;
}

static void sentencepiece_close(void *state)
{
    cts_sp_close(state);
}

static int32_t sentencepiece_size(const void *state)
{
    return cts_sp_size(state);
}

static int sentencepiece_ends(const void *state, int32_t *begin, int32_t *end)
{
    int32_t b, e;

    cts_sp_ends(state, &b, &e);
    if (b < 0 || e < 0)
        return cts_fail(CTS_E_MISMATCH, "the model has no %s, which a text tower's sequence needs",
                        b < 0 ? "<s>" : "</s>");
    *begin = b;
    *end = e;
    return CTS_OK;
}

static int put_id(void *ctx, int32_t id)
{
    return cts_ids_push(ctx, id);
}

static int sentencepiece_encode(const void *state, const char *text, size_t n_bytes, size_t enough, cts_ids *ids)
{
    (void)enough; /* a unigram segmentation is known only at the end of the text */
    return cts_sp_encode(state, text, n_bytes, put_id, ids);
}

static int put_text(void *ctx, const char *text, size_t n_bytes)
{
    cts_str_append_n(ctx, text, n_bytes);
    return CTS_OK;
}

static int sentencepiece_decode(const void *state, const int32_t *ids, size_t n, cts_str *text)
{
    return cts_sp_decode(state, ids, n, put_text, text);
}

static int put_file(void *ctx, const char *bytes, size_t n_bytes)
{
    return cts_file_write_atomic(ctx, bytes, n_bytes);
}

int cts_sentencepiece_train(const char *path, const char *const *texts, size_t n, int32_t vocab_size, const char *kind)
{
    cts_sp_training how = {.normalization = "nmt_nfkc_cf", .vocab_size = vocab_size};
    size_t letters = 0;
    char *name = NULL;
    int rc;

    if (strcmp(kind, "unigram") != 0 && strcmp(kind, "bpe") != 0)
        return cts_fail(CTS_E_USAGE, "SentencePiece kind \"%s\", allowed are unigram and bpe", kind);
    if (vocab_size < 8 || vocab_size > CTS_TOKENIZER_MAX_IDS)
        return cts_fail(CTS_E_INPUT, "%s: vocabulary of %d pieces, allowed are 8 to %d", path, (int)vocab_size,
                        CTS_TOKENIZER_MAX_IDS);
    how.model_type = kind;
    how.byte_fallback = strcmp(kind, "bpe") == 0;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(texts[i]);

        if (len > CTS_TOKENIZER_MAX_TEXT)
            return cts_fail(CTS_E_LIMIT, "%s: training text %zu has %zu bytes, at most %zu are allowed", path, i, len,
                            CTS_TOKENIZER_MAX_TEXT);
        if (how.longest < len)
            how.longest = len;
        letters += strspn(texts[i], " \t\r\n") < len;
    }
    if (!letters)
        return cts_fail(CTS_E_INPUT, "%s: none of the %zu training texts has a word", path, n);
    if (!(name = cts_strdup(path)))
        return cts_fail(CTS_E_NOMEM, "%s: no memory for a path", path);
    rc = cts_sp_train(&how, texts, n, put_file, name);
    free(name);
    return rc ? cts_fail_in(rc, "%s", path) : CTS_OK;
}

const cts_tokenizer_kind_def cts_sentencepiece_kind = {
    .kind = "sentencepiece",
    .file_name = "tokenizer.model",
    .suffix = ".model",
    .open = sentencepiece_open,
    .close = sentencepiece_close,
    .size = sentencepiece_size,
    .ends = sentencepiece_ends,
    .encode = sentencepiece_encode,
    .decode = sentencepiece_decode,
};
