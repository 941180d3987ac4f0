/* WordPiece: clean-up, greedy cut, special names, bad vocabularies, learning, threads.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>
#include <cmocka.h>

#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/log.h"
#include "kernels/base/rng.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"
#include "tokenizer/normalize.h"
#include "tokenizer/tokenizer.h"

#define BERT_VOCAB CTS_SOURCE_DIR "/tests/golden/text/bert-base-uncased-vocab.txt"
#define SEED 20251123

static char folder[64];
static char path[128];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/cts-wordpiece-XXXXXX");
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/vocab.txt", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return cts_remove_tree(folder);
}

/* Status of opening a vocabulary of these bytes; the sentence must hold `word`. */
static int open_bytes(cts_tokenizer **t, const char *bytes, size_t n)
{
    assert_int_equal(cts_file_write_atomic(path, bytes, n), CTS_OK);
    return cts_tokenizer_open(t, path);
}

static cts_tokenizer *need_vocab(const char *text)
{
    cts_tokenizer *t = NULL;

    if (open_bytes(&t, text, strlen(text)))
        fail_msg("%s", cts_error());
    return t;
}

static void expect_refusal(const char *bytes, size_t n, int rc, const char *word)
{
    cts_tokenizer *t = (cts_tokenizer *)folder;

    assert_int_equal(open_bytes(&t, bytes, n), rc);
    assert_ptr_equal(t, folder); /* untouched */
    assert_non_null(strstr(cts_error(), path));
    if (!strstr(cts_error(), word))
        fail_msg("\"%s\" does not name %s", cts_error(), word);
}

/* ids of text, written "1 2 3" */
static const char *ids_of(const cts_tokenizer *t, const char *text, size_t n_bytes)
{
    static char out[4096];
    int32_t *ids = NULL;
    size_t n = 0, at = 0;

    if (cts_tokenizer_encode(t, text, n_bytes, &ids, &n))
        fail_msg("%s", cts_error());
    out[0] = '\0';
    for (size_t i = 0; i < n && at < sizeof out - 16; i++)
        at += (size_t)snprintf(out + at, sizeof out - at, "%s%d", i ? " " : "", (int)ids[i]);
    free(ids);
    return out;
}

#define EXPECT_IDS(t, text, want) assert_string_equal(ids_of(t, text, sizeof(text) - 1), want)

/* ---- normalize.h ---- */

static int append_word(void *ctx, const cts_bert_word *w)
{
    cts_str_append_n(ctx, "|", 1);
    cts_str_append_n(ctx, w->text, w->n_bytes);
    if (w->too_long)
        cts_str_append(ctx, "...");
    return CTS_OK;
}

static void words(void **state)
{
    static const struct {
        const char *text, *want;
        size_t n;
    } cases[] = {
#define CASE(text, want) {text, want, sizeof(text) - 1}
        CASE("", ""),
        CASE(" \t\r\n", ""),
        CASE("No Effusion.", "|no|effusion|."),
        CASE("5x3mm; -35", "|5x3mm|;|-|35"),
        CASE("a$b^c`d~e", "|a|$|b|^|c|`|d|~|e"),
        CASE("a\0b\x01"
             "c\x7f"
             "d",
             "|abcd"),
        CASE("caf\xc3\xa9 cafe\xcc\x81", "|cafe|cafe"),
        CASE("\xc4\xb0I\xc4\xb1", "|ii\xc4\xb1"),    /* dotted and dotless i */
        CASE("x\xe8\x82\xbay", "|x|\xe8\x82\xba|y"), /* CJK */
        CASE("a\xc2\xa0"
             "b\xe2\x80\x83"
             "c\xe2\x80\xa8"
             "d",
             "|a|b|c|d"), /* no-break, em and line separator */
        CASE("zero\xe2\x80\x8bwidth soft\xc2\xadhyphen", "|zerowidth|softhyphen"),
        CASE("\xe2\x80\x9cq\xe2\x80\x9d\xe2\x80\x94", "|\xe2\x80\x9c|q|\xe2\x80\x9d|\xe2\x80\x94"),
        CASE("bad\xff\xc3(\xed\xa0\x80"
             "end\xe2\x82",
             "|bad|(|end"),                      /* stray byte, cut sequence, surrogate, cut end */
        CASE("\xe2\x84\xab\xe2\x84\xaa", "|ak"), /* Angstrom and Kelvin signs */
        CASE("\xcd\xbe", "|;"),                  /* the Greek question mark decomposes to one */
        CASE("\xea\xb0\x81", "|\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8"),         /* Hangul into letters */
        CASE("\xc2\xb5\xc2\xb2\xe2\x91\xa0", "|\xc2\xb5\xc2\xb2\xe2\x91\xa0"), /* compatibility forms stay */
#undef CASE
    };

    (void)state;
    for (size_t i = 0; i < CTS_COUNT(cases); i++) {
        cts_str out = {0};

        assert_int_equal(cts_bert_words(cases[i].text, cases[i].n, append_word, &out), CTS_OK);
        assert_string_equal(cts_str_text(&out), cases[i].want);
        cts_str_free(&out);
    }
}

static int count_words(void *ctx, const cts_bert_word *w)
{
    size_t *n = ctx;

    assert_in_range(w->n_chars, 1, CTS_BERT_MAX_CHARS);
    assert_in_range(w->n_bytes, w->n_chars, 4 * w->n_chars);
    return ++*n == 7 ? 42 : 0;
}

static void words_end_early(void **state)
{
    size_t n = 0;

    (void)state;
    assert_int_equal(cts_bert_words("a b c d e f g h i", 17, count_words, &n), 42);
    assert_int_equal(n, 7);
    assert_true(cts_bert_stands_alone('.') && cts_bert_stands_alone(0x80ba) && cts_bert_stands_alone('$'));
    assert_false(cts_bert_stands_alone('a') || cts_bert_stands_alone(0xe9) || cts_bert_stands_alone('7'));
}

/* ---- encoding ---- */

static const char small[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nab\n##b\n##bc\n##c\n.\n\xc3\xb8\n##\xc3\xb8\nlung\n";

static void greedy(void **state)
{
    cts_tokenizer *t = need_vocab(small);

    (void)state;
    assert_string_equal(cts_tokenizer_kind(t), "wordpiece");
    assert_int_equal(cts_tokenizer_size(t), 14);
    assert_int_equal(strlen(cts_tokenizer_digest(t)), 64);
    assert_string_equal(cts_tokenizer_file_name(t), "vocab.txt");
    assert_string_equal(cts_tokenizer_path(t), path);
    EXPECT_IDS(t, "", "");
    EXPECT_IDS(t, "abc", "6 9");  /* the longest first: ab ##c, not a ##bc */
    EXPECT_IDS(t, "abbc", "6 8"); /* ab ##bc */
    EXPECT_IDS(t, "abcd", "1");   /* the end cannot be cut: all of the word is unknown */
    EXPECT_IDS(t, "b", "1");      /* only a continuation */
    EXPECT_IDS(t, "A a. AB", "5 5 10 6");
    EXPECT_IDS(t, "a\xc3\xb8\xc3\x98", "5 12 12");
    EXPECT_IDS(t, "##b", "1 1 1");
    cts_tokenizer_close(t);
    cts_tokenizer_close(NULL);
}

static void special_names(void **state)
{
    cts_tokenizer *t = need_vocab(small), *bare;

    (void)state;
    EXPECT_IDS(t, "[CLS][SEP] [MASK]a[PAD]b[UNK]", "2 3 4 5 0 1 1");
    EXPECT_IDS(t, "ab[SEP]ab", "6 3 6");
    EXPECT_IDS(t, "[cls] [", "1 1 1 1");
    EXPECT_IDS(t, "[", "1");
    EXPECT_IDS(t, "a[", "5 1");
    EXPECT_IDS(t, "[[SEP]]", "1 3 1");
    EXPECT_IDS(t, "[SEP", "1 1");
    cts_tokenizer_close(t);
    bare = need_vocab("[UNK]\n[CLS]\n[SEP]\na"); /* no [PAD] and [MASK], no last line end */
    EXPECT_IDS(bare, "[MASK] a", "0 0 0 3");
    cts_tokenizer_close(bare);
}

static void word_length(void **state)
{
    cts_tokenizer *t = need_vocab("[UNK]\n[CLS]\n[SEP]\na\n##a\n\xc3\xb8\n##\xc3\xb8\n");
    char text[2 * (CTS_BERT_MAX_CHARS + 1)];
    int32_t *ids = NULL;
    size_t n = 0;

    (void)state;
    memset(text, 'a', sizeof text);
    assert_int_equal(cts_tokenizer_encode(t, text, CTS_BERT_MAX_CHARS, &ids, &n), CTS_OK);
    assert_int_equal(n, CTS_BERT_MAX_CHARS);
    free(ids);
    assert_string_equal(ids_of(t, text, CTS_BERT_MAX_CHARS + 1), "0");
    for (size_t i = 0; i < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xb8", 2); /* characters count, not bytes */
    assert_int_equal(cts_tokenizer_encode(t, text, sizeof text - 2, &ids, &n), CTS_OK);
    assert_int_equal(n, CTS_BERT_MAX_CHARS);
    free(ids);
    assert_string_equal(ids_of(t, text, sizeof text), "0");
    cts_tokenizer_close(t);
}

static void sequences(void **state)
{
    cts_tokenizer *t = need_vocab(small);
    int32_t ids[8];
    size_t n = 0;

    (void)state;
    assert_int_equal(cts_tokenizer_encode_sequence(t, NULL, 0, 2, ids, &n), CTS_OK);
    assert_true(n == 2 && ids[0] == 2 && ids[1] == 3);
    assert_int_equal(cts_tokenizer_encode_sequence(t, "lung a ab", 9, 8, ids, &n), CTS_OK);
    assert_true(n == 5 && ids[0] == 2 && ids[1] == 13 && ids[2] == 5 && ids[3] == 6 && ids[4] == 3);
    assert_int_equal(cts_tokenizer_encode_sequence(t, "lung a ab", 9, 5, ids, &n), CTS_OK);
    assert_true(n == 5 && ids[3] == 6 && ids[4] == 3);
    assert_int_equal(cts_tokenizer_encode_sequence(t, "lung abbc ab", 12, 4, ids, &n), CTS_OK);
    assert_true(n == 4 && ids[1] == 13 && ids[2] == 6 && ids[3] == 3); /* cut inside a word */
    assert_int_equal(cts_tokenizer_encode_sequence(t, "lung", 4, 2, ids, &n), CTS_OK);
    assert_true(n == 2 && ids[0] == 2 && ids[1] == 3);
    cts_tokenizer_close(t);
}

static void decoding(void **state)
{
    cts_tokenizer *t = need_vocab(small);
    const int32_t ids[] = {2, 13, 6, 9, 10, 1, 3, 0}, negative[] = {5, -1}, high[] = {14};
    char *text = NULL, *kept = folder;

    (void)state;
    assert_int_equal(cts_tokenizer_decode(t, ids, CTS_COUNT(ids), &text), CTS_OK);
    assert_string_equal(text, "lung abc . [UNK]");
    free(text);
    assert_int_equal(cts_tokenizer_decode(t, NULL, 0, &text), CTS_OK);
    assert_string_equal(text, "");
    free(text);
    assert_int_equal(cts_tokenizer_decode(t, negative, 2, &kept), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "-1"));
    assert_int_equal(cts_tokenizer_decode(t, high, 1, &kept), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "0 to 13"));
    assert_ptr_equal(kept, folder);
    cts_tokenizer_close(t);
}

/* ---- files ---- */

static void bad_vocabularies(void **state)
{
    static const char crlf[] = "[UNK]\r\n[CLS]\r\n[SEP]\r\na\r\n";
    cts_tokenizer *t = NULL;
    char *long_line;

    (void)state;
#define REFUSE(text, rc, word) expect_refusal(text, sizeof(text) - 1, rc, word)
    REFUSE("", CTS_E_FORMAT, "empty");
    REFUSE("\n", CTS_E_FORMAT, "line 1");
    REFUSE("[PAD]\n[CLS]\n[SEP]\na\n", CTS_E_FORMAT, "[UNK]");
    REFUSE("[PAD]\n[UNK]\n[SEP]\na\n", CTS_E_FORMAT, "[CLS]");
    REFUSE("[UNK]\n[CLS]\na\n", CTS_E_FORMAT, "[SEP]");
    REFUSE("[UNK]\n[CLS]\n[SEP]\na\nb\na\n", CTS_E_FORMAT, "line 4 and again in line 6");
    REFUSE("[UNK]\n[CLS]\n\n[SEP]\n", CTS_E_FORMAT, "line 3 is empty");
    REFUSE("[UNK]\n[CLS]\n[SEP]\na\xff\n", CTS_E_FORMAT, "line 4 is not UTF-8");
    REFUSE("[UNK]\n[CLS]\n[SEP]\na\0b\n", CTS_E_FORMAT, "line 4 is not UTF-8");
#undef REFUSE
    long_line = malloc(100000);
    assert_non_null(long_line);
    memset(long_line, 'a', 100000);
    expect_refusal(long_line, 100000, CTS_E_LIMIT, "100000 bytes");
    free(long_line);
    assert_int_equal(open_bytes(&t, crlf, sizeof crlf - 1), CTS_OK);
    EXPECT_IDS(t, "a", "3");
    cts_tokenizer_close(t);
}

static void paths(void **state)
{
    char other[160];
    cts_tokenizer *t = (cts_tokenizer *)folder;

    (void)state;
    assert_int_equal(cts_remove_tree(path), CTS_OK);
    assert_int_equal(cts_tokenizer_open(&t, folder), CTS_E_NOTFOUND);
    assert_non_null(strstr(cts_error(), "vocab.txt"));
    assert_int_equal(cts_tokenizer_open(&t, path), CTS_E_NOTFOUND);
    assert_ptr_equal(t, folder);
    snprintf(other, sizeof other, "%s/vocab.bin", folder);
    assert_int_equal(cts_file_write_atomic(other, small, sizeof small - 1), CTS_OK);
    assert_int_equal(cts_tokenizer_open(&t, other), CTS_E_FORMAT);
    cts_tokenizer_close(need_vocab(small));
    assert_int_equal(cts_tokenizer_open(&t, folder), CTS_OK); /* a model folder */
    assert_string_equal(cts_tokenizer_path(t), path);
    cts_tokenizer_close(t);
}

/* ---- hard input ---- */

static void random_bytes(void **state)
{
    cts_tokenizer *t = NULL;
    cts_rng r = cts_rng_make(SEED);
    char text[300];

    (void)state;
    print_message("seed %d\n", SEED);
    assert_int_equal(cts_tokenizer_open(&t, BERT_VOCAB), CTS_OK);
    for (int k = 0; k < 3000; k++) {
        size_t n = (size_t)cts_rng_below(&r, sizeof text), got = 0;
        char *copy = malloc(n + 1), *back = NULL; /* its own block, so that a sanitizer sees a read past the end */
        int32_t *ids = NULL, cut[16];

        for (size_t i = 0; i < n; i++)
            text[i] = (char)(cts_rng_below(&r, 4) ? cts_rng_below(&r, 256) : (uint64_t) "[CLS] \xe2\x80"[i % 8]);
        assert_non_null(copy);
        memcpy(copy, text, n);
        assert_int_equal(cts_tokenizer_encode(t, copy, n, &ids, &got), CTS_OK);
        assert_int_equal(cts_tokenizer_decode(t, ids, got, &back), CTS_OK);
        free(back);
        assert_int_equal(cts_tokenizer_encode_sequence(t, copy, n, 16, cut, &got), CTS_OK);
        assert_true(got == 2 || memcmp(cut + 1, ids, (got - 2) * sizeof *ids) == 0);
        free(ids);
        free(copy);
    }
    cts_tokenizer_close(t);
}

static void huge_text(void **state)
{
    size_t n = (size_t)8 << 20, got = 0;
    char *text = malloc(3 * n);
    int32_t *ids = NULL, cut[512];
    cts_tokenizer *t = NULL;
    double start;

    (void)state;
    assert_non_null(text);
    assert_int_equal(cts_tokenizer_open(&t, BERT_VOCAB), CTS_OK);
    for (size_t i = 0; i < n; i++)
        text[i] = "nodule [ "[i % 9];
    start = cts_now();
    assert_int_equal(cts_tokenizer_encode(t, text, n, &ids, &got), CTS_OK);
    print_message("%zu MB, %zu ids, %.2f s\n", n >> 20, got, cts_now() - start);
    assert_true(got > n / 9);
    free(ids);
    memset(text, 'a', n); /* one word */
    assert_string_equal(ids_of(t, text, n), "100");
    memset(text, '[', n);
    assert_int_equal(cts_tokenizer_encode_sequence(t, text, n, 512, cut, &got), CTS_OK);
    assert_int_equal(got, 512);
    assert_int_equal(cts_tokenizer_encode(t, text, 3 * n, &ids, &got), CTS_E_LIMIT);
    free(text);
    cts_tokenizer_close(t);
}

typedef struct {
    const cts_tokenizer *t;
    const int32_t *want;
    size_t n;
    bool same;
} job;

static const char sentence[] = "Multiple millimetric nonspecific nodules, caf\xc3\xa9 \xe8\x82\xba [SEP] atelectasis!";

static void *encode_often(void *arg)
{
    job *j = arg;

    j->same = true;
    for (int k = 0; k < 300; k++) {
        int32_t *ids = NULL;
        size_t n = 0;

        j->same = j->same && cts_tokenizer_encode(j->t, sentence, sizeof sentence - 1, &ids, &n) == CTS_OK &&
                  n == j->n && memcmp(ids, j->want, n * sizeof *ids) == 0;
        free(ids);
    }
    return NULL;
}

static void threads(void **state)
{
    cts_tokenizer *t = NULL;
    pthread_t thread[4];
    job jobs[4];
    int32_t *want = NULL;
    size_t n = 0;

    (void)state;
    assert_int_equal(cts_tokenizer_open(&t, BERT_VOCAB), CTS_OK);
    assert_int_equal(cts_tokenizer_encode(t, sentence, sizeof sentence - 1, &want, &n), CTS_OK);
    for (int i = 0; i < 4; i++) {
        jobs[i] = (job){t, want, n, false};
        assert_int_equal(pthread_create(&thread[i], NULL, encode_often, &jobs[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        assert_true(jobs[i].same);
    }
    free(want);
    cts_tokenizer_close(t);
}

/* ---- learning ---- */

/* n made-up sentences, malloc'd */
static char **make_texts(size_t n)
{
    static const char *const nouns[] = {"nodule",      "effusion",  "consolidation",
                                        "atelectasis", "emphysema", "calcification"};
    static const char *const sides[] = {"right", "left", "bilateral"};
    char **texts = calloc(n, sizeof *texts);
    cts_rng r = cts_rng_make(SEED);

    assert_non_null(texts);
    for (size_t i = 0; i < n; i++) {
        const char *noun = nouns[cts_rng_below(&r, CTS_COUNT(nouns))],
                   *side = sides[cts_rng_below(&r, CTS_COUNT(sides))];

        texts[i] =
            cts_asprintf("%s %s, %d.%d mm, study X%010llx of the chest (%s).", side, noun, (int)cts_rng_below(&r, 40),
                         (int)cts_rng_below(&r, 10), (unsigned long long)cts_rng_below(&r, (uint64_t)1 << 40), noun);
        assert_non_null(texts[i]);
    }
    return texts;
}

static void free_texts(char **texts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(texts[i]);
    free(texts);
}

static void learn(void **state)
{
    const size_t n = 4000;
    char **texts = make_texts(n), **turned = calloc(n, sizeof *turned), digest[CTS_DIGEST_HEX];
    cts_tokenizer *t = NULL;
    int32_t *ids = NULL;
    size_t got = 0;
    double start = cts_now();

    (void)state;
    print_message("seed %d\n", SEED);
    assert_non_null(turned);
    assert_int_equal(cts_wordpiece_train(path, (const char *const *)texts, n, 2000), CTS_OK);
    print_message("%.3f s\n", cts_now() - start);
    assert_true(cts_now() - start < 20); /* two orders above what it takes */
    assert_int_equal(cts_tokenizer_open(&t, path), CTS_OK);
    assert_int_equal(cts_tokenizer_size(t), 2000);
    snprintf(digest, sizeof digest, "%s", cts_tokenizer_digest(t));
    EXPECT_IDS(t, "[PAD] [UNK] [CLS] [SEP] [MASK]", "0 1 2 3 4");
    for (size_t i = 0; i < n; i++) {
        char *text = NULL, *squeezed = texts[i], *p;

        assert_int_equal(cts_tokenizer_encode(t, texts[i], strlen(texts[i]), &ids, &got), CTS_OK);
        for (size_t k = 0; k < got; k++)
            assert_true(ids[k] > 4); /* every character is a piece */
        assert_int_equal(cts_tokenizer_decode(t, ids, got, &text), CTS_OK);
        p = text;
        for (; *squeezed; squeezed++) { /* the same but for spaces and capitals */
            while (*p == ' ')
                p++;
            if (*squeezed != ' ')
                assert_int_equal(*squeezed >= 'A' && *squeezed <= 'Z' ? *squeezed + 32 : *squeezed, *p++);
        }
        free(text);
        free(ids);
    }
    assert_int_equal(cts_tokenizer_encode(t, "nodule atelectasis", 18, &ids, &got), CTS_OK);
    assert_int_equal(got, 2); /* frequent words are one piece */
    free(ids);
    cts_tokenizer_close(t);
    for (size_t i = 0; i < n; i++)
        turned[i] = texts[n - 1 - i];
    assert_int_equal(cts_wordpiece_train(path, (const char *const *)turned, n, 2000), CTS_OK);
    assert_int_equal(cts_tokenizer_open(&t, path), CTS_OK);
    assert_string_equal(cts_tokenizer_digest(t), digest);
    cts_tokenizer_close(t);
    free(turned);
    free_texts(texts, n);
}

/* "ab" twice as often as all else: the join of largest gain comes first, and the learner stops when nothing recurs. */
static void learn_small(void **state)
{
    const char *const texts[] = {"ab ab ab ab", "cd CD", "e.", "\xe8\x82\xba"};
    char *data = NULL;
    size_t n = 0;

    (void)state;
    assert_int_equal(cts_wordpiece_train(path, texts, CTS_COUNT(texts), 100), CTS_OK);
    assert_int_equal(cts_file_read(&data, &n, path, 1000), CTS_OK);
    assert_string_equal(
        data, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n.\na\nb\nc\nd\ne\n\xe8\x82\xba\n##a\n##b\n##c\n##d\n##e\nab\ncd\n");
    free(data);
    assert_int_equal(cts_wordpiece_train(path, texts, CTS_COUNT(texts), 18), CTS_OK);
    assert_int_equal(cts_file_read(&data, &n, path, 1000), CTS_OK);
    assert_non_null(strstr(data, "##e\nab\n"));
    assert_null(strstr(data, "cd"));
    free(data);
}

static void learn_from_nothing(void **state)
{
    const char *const blank[] = {"", " \n\t", "\xff\xfe"}, *const some[] = {"abc def"};
    char *long_word = malloc(3000);
    const char *const one[] = {long_word};

    (void)state;
    assert_non_null(long_word);
    memset(long_word, 'x', 2999);
    long_word[2999] = '\0';
    assert_int_equal(cts_remove_tree(path), CTS_OK);
    assert_int_equal(cts_wordpiece_train(path, NULL, 0, 100), CTS_E_INPUT);
    assert_int_equal(cts_wordpiece_train(path, blank, 3, 100), CTS_E_INPUT);
    assert_int_equal(cts_wordpiece_train(path, one, 1, 100), CTS_E_INPUT); /* it would be [UNK] for ever */
    assert_int_equal(cts_wordpiece_train(path, some, 1, 3), CTS_E_INPUT);
    assert_int_equal(cts_wordpiece_train(path, some, 1, -1), CTS_E_INPUT);
    assert_int_equal(cts_wordpiece_train(path, some, 1, 16), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "17"));
    assert_false(cts_file_exists(path));
    assert_int_equal(cts_wordpiece_train(path, some, 1, 17), CTS_OK);
    assert_int_equal(cts_wordpiece_train("/nowhere/at/all/vocab.txt", some, 1, 100), CTS_E_IO);
    free(long_word);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),         cmocka_unit_test(words_end_early),  cmocka_unit_test(greedy),
        cmocka_unit_test(special_names), cmocka_unit_test(word_length),      cmocka_unit_test(sequences),
        cmocka_unit_test(decoding),      cmocka_unit_test(bad_vocabularies), cmocka_unit_test(paths),
        cmocka_unit_test(random_bytes),  cmocka_unit_test(huge_text),        cmocka_unit_test(threads),
        cmocka_unit_test(learn),         cmocka_unit_test(learn_small),      cmocka_unit_test(learn_from_nothing),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
