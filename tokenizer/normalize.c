/* The word under construction lives in a fixed buffer of CTS_BERT_MAX_CHARS characters: longer words are
 * [UNK] whatever they hold. Canonical reordering of what NFD leaves is not done: after the Mn marks are gone only a few
 * musical symbols (U+1D165 to U+1D172, category Mc) have a combining class at all.
 * SPDX-License-Identifier: MIT */
#include "tokenizer/normalize.h"

#include <string.h>
#include <utf8proc.h>

#include "kernels/base/str.h"

typedef struct {
    char text[CTS_BERT_MAX_CHARS * 4];
    size_t n_bytes, n_chars;
    bool too_long;
    cts_bert_word_fn fn;
    void *ctx;
} splitter;

static bool is_cjk(uint32_t cp)
{
    return (cp >= 0x4e00 && cp <= 0x9fff) || (cp >= 0x3400 && cp <= 0x4dbf) || (cp >= 0x20000 && cp <= 0x2a6df) ||
           (cp >= 0x2a700 && cp <= 0x2b73f) || (cp >= 0x2b740 && cp <= 0x2b81f) || (cp >= 0x2b820 && cp <= 0x2ceaf) ||
           (cp >= 0xf900 && cp <= 0xfaff) || (cp >= 0x2f800 && cp <= 0x2fa1f);
}

static bool is_punctuation(uint32_t cp)
{
    utf8proc_category_t c;

    /* BERT counts all ASCII symbols, "$" and "^" too, which Unicode files under S */
    if (cp < 128)
        return (cp >= 33 && cp <= 47) || (cp >= 58 && cp <= 64) || (cp >= 91 && cp <= 96) || (cp >= 123 && cp <= 126);
    c = utf8proc_category((utf8proc_int32_t)cp);
    return c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_PO;
}

bool cts_bert_stands_alone(uint32_t cp)
{
    return is_cjk(cp) || is_punctuation(cp);
}

static int flush(splitter *s)
{
    cts_bert_word w = {s->text, s->n_bytes, s->n_chars, s->too_long};

    if (!s->n_chars)
        return 0;
    s->n_bytes = s->n_chars = 0;
    s->too_long = false;
    return s->fn(s->ctx, &w);
}

static void put(splitter *s, uint32_t cp)
{
    if (s->n_chars == CTS_BERT_MAX_CHARS) {
        s->too_long = true;
        return;
    }
    s->n_bytes += cts_utf8_encode(s->text + s->n_bytes, cp);
    s->n_chars++;
}

/* A character that is already decomposed and lower-cased. */
static int put_split(splitter *s, uint32_t cp)
{
    int rc;

    if (!is_punctuation(cp)) {
        put(s, cp);
        return 0;
    }
    if ((rc = flush(s)))
        return rc;
    put(s, cp);
    return flush(s);
}

/* Rules 4 and 5 for a character outside ASCII. */
static int put_wide(splitter *s, uint32_t cp)
{
    utf8proc_int32_t part[8]; /* the longest canonical decomposition has 4 */
    utf8proc_ssize_t n;
    bool alone = is_cjk(cp);
    int rc;

    if (alone && (rc = flush(s)))
        return rc;
    n = utf8proc_decompose_char((utf8proc_int32_t)cp, part, (utf8proc_ssize_t)(sizeof part / sizeof part[0]),
                                UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, NULL);
    if (n < 0 || n > (utf8proc_ssize_t)(sizeof part / sizeof part[0])) {
        part[0] = (utf8proc_int32_t)cp;
        n = 1;
    }
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        if (utf8proc_category(part[i]) == UTF8PROC_CATEGORY_MN)
            continue;
        if ((rc = put_split(s, (uint32_t)utf8proc_tolower(part[i]))))
            return rc;
    }
    return alone ? flush(s) : 0;
}

/* What one code point does: the five rules of normalize.h. */
static int take(splitter *s, uint32_t cp)
{
    if (cp < 128) {
        if (cp == ' ' || cp == '\t' || cp == '\n' || cp == '\r')
            return flush(s);
        if (cp < 32 || cp == 127)
            return 0;
        return put_split(s, cp >= 'A' && cp <= 'Z' ? cp + 32 : cp);
    }
    if (cp == 0xfffd)
        return 0;
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
        return 0;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return flush(s);
    default:
        return put_wide(s, cp);
    }
}

int cts_bert_words(const char *text, size_t n, cts_bert_word_fn fn, void *ctx)
{
    splitter s = {.fn = fn, .ctx = ctx};
    size_t at = 0;
    int rc;

    while (at < n) {
        uint32_t cp;

        at += cts_utf8_decode(&cp, text + at, n - at);
        if ((rc = take(&s, cp)))
            return rc;
    }
    return flush(&s);
}
