/* SentencePiece: learning, round trips, odd text, and model files that are no models.
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
#include "kernels/base/rng.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"
#include "tokenizer/tokenizer.h"

#define SEED 20251124
#define N_TEXTS 600

static const char *const kinds[] = {"unigram", "bpe"};
static char folder[64];
static char paths[2][128]; /* a model of each kind, made once */
static char scratch[128];
static char *texts[N_TEXTS];

static int make_texts(void)
{
    static const char *const nouns[] = {"nodule",      "effusion",  "consolidation",
                                        "atelectasis", "emphysema", "calcification"};
    static const char *const sides[] = {"right", "left", "bilateral"};
    cts_rng r = cts_rng_make(SEED);

    for (size_t i = 0; i < N_TEXTS; i++) {
        texts[i] = cts_asprintf(
            "A %s %s of %d.%d mm is seen in study %06llx (%s).", sides[cts_rng_below(&r, CTS_COUNT(sides))],
            nouns[cts_rng_below(&r, CTS_COUNT(nouns))], (int)cts_rng_below(&r, 40), (int)cts_rng_below(&r, 10),
            (unsigned long long)cts_rng_below(&r, 1 << 24), nouns[cts_rng_below(&r, CTS_COUNT(nouns))]);
        if (!texts[i])
            return 1;
    }
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    print_message("seed %d\n", SEED);
    snprintf(folder, sizeof folder, "/tmp/cts-sentencepiece-XXXXXX");
    if (!mkdtemp(folder) || make_texts())
        return 1;
    snprintf(scratch, sizeof scratch, "%s/tokenizer.model", folder);
    for (int k = 0; k < 2; k++) {
        snprintf(paths[k], sizeof paths[k], "%s/%s.model", folder, kinds[k]);
        if (cts_sentencepiece_train(paths[k], (const char *const *)texts, N_TEXTS, 500, kinds[k])) {
            print_error("%s\n", cts_error());
            return 1;
        }
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_TEXTS; i++)
        free(texts[i]);
    return cts_remove_tree(folder);
}

static cts_tokenizer *need(int kind)
{
    cts_tokenizer *t = NULL;

    if (cts_tokenizer_open(&t, paths[kind]))
        fail_msg("%s", cts_error());
    return t;
}

static char *round_trip(const cts_tokenizer *t, const char *text, size_t n_bytes, size_t *n_ids)
{
    int32_t *ids = NULL;
    char *back = NULL;

    if (cts_tokenizer_encode(t, text, n_bytes, &ids, n_ids) || cts_tokenizer_decode(t, ids, *n_ids, &back))
        fail_msg("%s", cts_error());
    free(ids);
    return back;
}

static void deterministic(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        char first[CTS_DIGEST_HEX], again[CTS_DIGEST_HEX];

        assert_int_equal(cts_sentencepiece_train(scratch, (const char *const *)texts, N_TEXTS, 500, kinds[k]), CTS_OK);
        assert_int_equal(cts_digest_file(first, paths[k]), CTS_OK);
        assert_int_equal(cts_digest_file(again, scratch), CTS_OK);
        assert_string_equal(first, again);
    }
}

static void properties(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        cts_tokenizer *t = need(k), *by_folder = NULL;
        char digest[CTS_DIGEST_HEX];
        int32_t ids[4];
        size_t n = 0;

        assert_string_equal(cts_tokenizer_kind(t), "sentencepiece");
        assert_string_equal(cts_tokenizer_file_name(t), "tokenizer.model");
        assert_string_equal(cts_tokenizer_path(t), paths[k]);
        assert_in_range(cts_tokenizer_size(t), 100, 500);
        assert_int_equal(cts_digest_file(digest, paths[k]), CTS_OK);
        assert_string_equal(cts_tokenizer_digest(t), digest);
        assert_int_equal(cts_tokenizer_encode_sequence(t, "", 0, 2, ids, &n), CTS_OK);
        assert_true(n == 2 && ids[0] == 2 && ids[1] == 3); /* <s> </s> */
        assert_int_equal(cts_tokenizer_encode_sequence(t, "nodule nodule nodule nodule", 27, 4, ids, &n), CTS_OK);
        assert_true(n == 4 && ids[0] == 2 && ids[1] > 3 && ids[2] > 3 && ids[3] == 3);
        cts_tokenizer_close(t);
        assert_int_equal(cts_sentencepiece_train(scratch, (const char *const *)texts, N_TEXTS, 500, kinds[k]), CTS_OK);
        assert_int_equal(cts_tokenizer_open(&by_folder, folder), CTS_OK);
        assert_string_equal(cts_tokenizer_path(by_folder), scratch);
        cts_tokenizer_close(by_folder);
    }
}

static void round_trips(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        cts_tokenizer *t = need(k);
        size_t n = 0, ids_in_all = 0, bytes = 0;

        for (size_t i = 0; i < N_TEXTS; i++) {
            char *back = round_trip(t, texts[i], strlen(texts[i]), &n), lower[256];

            snprintf(lower, sizeof lower, "%s", texts[i]);
            for (char *p = lower; *p; p++)
                *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
            assert_string_equal(back, lower); /* the rule nmt_nfkc_cf folds case */
            free(back);
            ids_in_all += n;
            bytes += strlen(texts[i]);
        }
        print_message("%s: %.2f bytes a token\n", kinds[k], (double)bytes / (double)ids_in_all);
        assert_true((double)bytes / (double)ids_in_all > 1.5);
        cts_tokenizer_close(t);
    }
}

static void odd_text(void **state)
{
    static const struct {
        const char *text;
        size_t n;
        const char *bpe; /* what comes back where bytes stand in for unknown characters */
    } cases[] = {
#define CASE(text, bpe) {text, sizeof(text) - 1, bpe}
        CASE("", ""),
        CASE(" \t\r\n ", ""),
        CASE("  Two\tblanks ", "two blanks"),
        CASE("\xef\xac\x81"
             "brosis",
             "fibrosis"),                                               /* the ligature fi */
        CASE("na\xc3\xafve \xe8\x82\xba", "na\xc3\xafve \xe8\x82\xba"), /* characters no text had */
        CASE("<s> </s> <unk>", "<s> </s> <unk>"),                       /* names are text, not ids */
        CASE("bad \xff end", "bad \xef\xbf\xbd end"),
        CASE("cut \xe2\x82", "cut \xef\xbf\xbd\xef\xbf\xbd"),
#undef CASE
    };

    (void)state;
    for (int k = 0; k < 2; k++) {
        cts_tokenizer *t = need(k);

        for (size_t i = 0; i < CTS_COUNT(cases); i++) {
            size_t n = 0;
            char *back = round_trip(t, cases[i].text, cases[i].n, &n);

            if (k == 1)
                assert_string_equal(back, cases[i].bpe);
            free(back);
        }
        cts_tokenizer_close(t);
    }
}

static void bad_ids(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        cts_tokenizer *t = need(k);
        int32_t ids[2] = {4, cts_tokenizer_size(t)};
        char *text = folder;

        assert_int_equal(cts_tokenizer_decode(t, ids, 2, &text), CTS_E_INPUT);
        ids[1] = -1;
        assert_int_equal(cts_tokenizer_decode(t, ids, 2, &text), CTS_E_INPUT);
        assert_ptr_equal(text, folder);
        cts_tokenizer_close(t);
    }
}

/* ---- files ---- */

/* Opens n bytes as a model; what opens must also encode and decode without falling over. */
static int try_bytes(const char *bytes, size_t n, bool *same)
{
    static const char text[] = "A Left nodule of 3.5 mm \xc3\xa9\xe8\x82\xba\xef\xac\x81 is seen.";
    cts_tokenizer *t = NULL, *whole = NULL;
    int32_t *ids = NULL, *want = NULL;
    size_t got = 0, wanted = 0;
    char *back = NULL;
    int rc;

    assert_int_equal(cts_file_write_atomic(scratch, bytes, n), CTS_OK);
    if ((rc = cts_tokenizer_open(&t, scratch)))
        return rc;
    if (cts_tokenizer_encode(t, text, sizeof text - 1, &ids, &got) == CTS_OK)
        (void)cts_tokenizer_decode(t, ids, got, &back);
    if (same) {
        assert_int_equal(cts_tokenizer_open(&whole, paths[*same ? 1 : 0]), CTS_OK);
        assert_int_equal(cts_tokenizer_encode(whole, text, sizeof text - 1, &want, &wanted), CTS_OK);
        *same = got == wanted && memcmp(ids, want, got * sizeof *ids) == 0;
    }
    free(want);
    free(ids);
    free(back);
    cts_tokenizer_close(whole);
    cts_tokenizer_close(t);
    return CTS_OK;
}

/* Dense where the pieces and the last fields are, wide in the rule table between them. */
static size_t next_cut(size_t cut, size_t n)
{
    size_t left = n - cut;

    if (cut < 12000)
        return cut + 29;
    if (left > 2000)
        return cut + (left - 1000 < 15013 ? left - 1000 : 15013);
    return cut + (left > 64 ? 13 : 1);
}

/* No cut of a model may pass as a model, unless it lost nothing that matters (the empty rules for decoding, at the
 * end). */
static void truncated(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        char *data = NULL;
        size_t n = 0, opened = 0;

        assert_int_equal(cts_file_read(&data, &n, paths[k], (size_t)1 << 30), CTS_OK);
        for (size_t cut = 0; cut < n; cut = next_cut(cut, n)) {
            bool same = k == 1;
            int rc = try_bytes(data, cut, &same);

            if (rc != CTS_OK) {
                assert_int_equal(rc, CTS_E_FORMAT);
                assert_non_null(strstr(cts_error(), scratch));
            } else {
                opened++;
                assert_true(same);
            }
        }
        assert_in_range(opened, 0, 8);
        free(data);
    }
}

static void garbage(void **state)
{
    cts_rng r = cts_rng_make(SEED);
    char bytes[2000];

    (void)state;
    assert_int_equal(try_bytes("", 0, NULL), CTS_E_FORMAT);
    for (int k = 0; k < 300; k++) {
        size_t n = 1 + (size_t)cts_rng_below(&r, sizeof bytes);

        for (size_t i = 0; i < n; i++)
            bytes[i] = (char)cts_rng_next(&r);
        assert_int_equal(try_bytes(bytes, n, NULL), CTS_E_FORMAT);
    }
}

/* Damaged models open or are refused; with the small golden models the damage meets the rule table often. */
static void damaged(void **state)
{
    static const char *const files[] = {CTS_SOURCE_DIR "/tests/golden/text/sp_unigram.model",
                                        CTS_SOURCE_DIR "/tests/golden/text/sp_bpe.model"};
    cts_rng r = cts_rng_make(SEED);

    (void)state;
    for (size_t f = 0; f < CTS_COUNT(files); f++) {
        char *data = NULL, *copy;
        size_t n = 0, opened = 0;

        assert_int_equal(cts_file_read(&data, &n, files[f], (size_t)1 << 20), CTS_OK);
        assert_non_null(copy = malloc(n));
        for (int k = 0; k < 1500; k++) {
            size_t flips = 1 + (size_t)cts_rng_below(&r, 4), from = k % 2 ? n - (n < 1500 ? n : 1500) : 0;

            memcpy(copy, data, n);
            while (flips--)
                copy[from + cts_rng_below(&r, n - from)] ^= (char)(1u << cts_rng_below(&r, 8));
            opened += try_bytes(copy, n, NULL) == CTS_OK;
        }
        print_message("%s: %zu of 1500 damaged models opened\n", cts_path_base(files[f]), opened);
        free(copy);
        free(data);
    }
}

/* ---- learning ---- */

static void learn_refusals(void **state)
{
    const char *const blank[] = {"", " \t\n"}, *const some[] = {"abc def ghi", "abc def"};

    (void)state;
    assert_int_equal(cts_remove_tree(scratch), CTS_OK);
    assert_int_equal(cts_sentencepiece_train(scratch, some, 2, 100, "words"), CTS_E_USAGE);
    for (int k = 0; k < 2; k++) {
        assert_int_equal(cts_sentencepiece_train(scratch, NULL, 0, 100, kinds[k]), CTS_E_INPUT);
        assert_int_equal(cts_sentencepiece_train(scratch, blank, 2, 100, kinds[k]), CTS_E_INPUT);
        assert_int_equal(cts_sentencepiece_train(scratch, some, 2, -5, kinds[k]), CTS_E_INPUT);
        assert_int_equal(cts_sentencepiece_train(scratch, some, 2, 8, kinds[k]), CTS_E_INPUT);
        assert_non_null(strstr(cts_error(), scratch));
        assert_false(cts_file_exists(scratch));
        assert_int_equal(cts_sentencepiece_train("/nowhere/at/all/x.model", some, 2, 300, kinds[k]), CTS_E_IO);
    }
}

/* Long texts are learnt from like short ones, not left out. */
static void learn_long(void **state)
{
    cts_str all = {0};
    const char *one[1];

    (void)state;
    for (size_t i = 0; i < N_TEXTS; i++) {
        cts_str_append(&all, texts[i]);
        cts_str_append(&all, "\n");
    }
    one[0] = cts_str_text(&all);
    for (int k = 0; k < 2; k++) {
        cts_tokenizer *t = NULL;
        int32_t *ids = NULL;
        size_t n = 0;

        assert_int_equal(cts_sentencepiece_train(scratch, one, 1, 500, kinds[k]), CTS_OK);
        assert_int_equal(cts_tokenizer_open(&t, scratch), CTS_OK);
        assert_int_equal(cts_tokenizer_encode(t, "consolidation", 13, &ids, &n), CTS_OK);
        assert_in_range(n, 1, 4);
        free(ids);
        cts_tokenizer_close(t);
    }
    cts_str_free(&all);
}

static void huge_text(void **state)
{
    size_t n = (size_t)1 << 20;
    char *text = malloc(n);

    (void)state;
    assert_non_null(text);
    for (int k = 0; k < 2; k++) {
        cts_tokenizer *t = need(k);

        for (int form = 0; form < 2; form++) {
            int32_t *ids = NULL, cut[64];
            size_t got = 0;

            for (size_t i = 0; i < n; i++)
                text[i] = form ? 'n' : "left nodule "[i % 12];
            assert_int_equal(cts_tokenizer_encode(t, text, n, &ids, &got), CTS_OK);
            assert_true(got > n / 64);
            free(ids);
            assert_int_equal(cts_tokenizer_encode_sequence(t, text, n, 64, cut, &got), CTS_OK);
            assert_true(got == 64 && cut[63] == 3);
        }
        cts_tokenizer_close(t);
    }
    free(text);
}

typedef struct {
    const cts_tokenizer *t;
    const int32_t *want;
    size_t n;
    bool same;
} job;

static void *encode_often(void *arg)
{
    job *j = arg;

    j->same = true;
    for (int k = 0; k < 300; k++) {
        int32_t *ids = NULL;
        size_t n = 0;

        j->same = j->same && cts_tokenizer_encode(j->t, texts[0], strlen(texts[0]), &ids, &n) == CTS_OK && n == j->n &&
                  memcmp(ids, j->want, n * sizeof *ids) == 0;
        free(ids);
    }
    return NULL;
}

static void threads(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        cts_tokenizer *t = need(k);
        pthread_t thread[4];
        job jobs[4];
        int32_t *want = NULL;
        size_t n = 0;

        assert_int_equal(cts_tokenizer_encode(t, texts[0], strlen(texts[0]), &want, &n), CTS_OK);
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
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deterministic), cmocka_unit_test(properties), cmocka_unit_test(round_trips),
        cmocka_unit_test(odd_text),      cmocka_unit_test(bad_ids),    cmocka_unit_test(truncated),
        cmocka_unit_test(garbage),       cmocka_unit_test(damaged),    cmocka_unit_test(learn_refusals),
        cmocka_unit_test(learn_long),    cmocka_unit_test(huge_text),  cmocka_unit_test(threads),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
