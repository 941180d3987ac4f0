/* `ctsearch tokenizer train | encode`: learn a tokenizer from texts, and see what a text becomes.
 * SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/ct_rate.h"
#include "data/report_text.h"
#include "kernels/base/file.h"
#include "kernels/base/log.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"
#include "query/cli.h"
#include "tokenizer/tokenizer.h"

#define TEXT_MAX_BYTES ((size_t)1 << 30)

/* ---- train ------------------------------------------------------------------------------------------------------ */

typedef struct {
    const char *reports, *text, *out, *kind;
    int32_t vocab;
} train_options;

static const struct argp_option train_argp[] = {
    {"reports", 'r', "CSV", 0, "Learn from the reports of a CT-RATE-style CSV", 0},
    {"text", 't', "FILE", 0, "Learn from the lines of a text file", 0},
    {"out", 'o', "FILE", 0, "Where to write: vocab.txt or tokenizer.model", 0},
    {"kind", 'k', "KIND", 0, "wordpiece, unigram or bpe (default: wordpiece, unigram for *.model)", 0},
    {"vocab", 'n', "N", 0, "Largest number of ids (default 4000)", 0},
    {0}};

static error_t parse_train(int key, char *arg, struct argp_state *state)
{
    train_options *o = state->input;

    switch (key) {
    case 'r':
        o->reports = arg;
        return 0;
    case 't':
        o->text = arg;
        return 0;
    case 'o':
        o->out = arg;
        return 0;
    case 'k':
        if (strcmp(arg, "wordpiece") && strcmp(arg, "unigram") && strcmp(arg, "bpe"))
            argp_error(state, "--kind: got %s, allowed: wordpiece, unigram, bpe", arg);
        o->kind = arg;
        return 0;
    case 'n':
        o->vocab = (int32_t)cts_cli_int(state, "--vocab", arg, 8, 1 << 20);
        return 0;
    case ARGP_KEY_ARG:
        return ARGP_ERR_UNKNOWN;
    case ARGP_KEY_END:
        if (!o->out || !o->reports == !o->text)
            argp_error(state, "needed: --out and either --reports or --text");
        return 0;
    default:
        return 0;
    }
}

/* Texts to learn from, each malloc'd. */
typedef struct {
    char **p;
    size_t n, cap;
} texts;

static int push_text(texts *t, const char *s, size_t n)
{
    if (t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 256;
        char **p = realloc(t->p, cap * sizeof *p);

        if (!p)
            return cts_fail(CTS_E_NOMEM, "out of memory for %zu texts", cap);
        t->p = p;
        t->cap = cap;
    }
    if (!(t->p[t->n] = strndup(s, n)))
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu texts", t->n);
    t->n++;
    return CTS_OK;
}

static int read_reports(texts *t, const char *csv)
{
    cts_dataset_paths paths = {.reports = csv};
    cts_dataset *d = NULL;
    cts_str s = {0};
    int rc = cts_dataset_load(&d, &paths);

    for (size_t i = 0; !rc && i < d->n; i++)
        if (!(rc = cts_report_text(&s, CTS_TEXT_CLEAN, d->records[i].findings, d->records[i].impressions)) && s.n)
            rc = push_text(t, s.p, s.n);
    cts_str_free(&s);
    cts_dataset_destroy(d);
    return rc;
}

static int read_lines(texts *t, const char *path)
{
    char *data = NULL;
    size_t n = 0;
    int rc = cts_file_read(&data, &n, path, TEXT_MAX_BYTES);

    for (size_t at = 0; !rc && at < n;) {
        const char *end = memchr(data + at, '\n', n - at);
        size_t len = end ? (size_t)(end - data) - at : n - at;

        if (len)
            rc = push_text(t, data + at, len);
        at += len + 1;
    }
    free(data);
    return rc;
}

static int report_trained(const train_options *o, size_t n_texts, bool json)
{
    cts_tokenizer *t = NULL;
    int rc = cts_tokenizer_open(&t, o->out);

    if (rc)
        return rc;
    if (json)
        rc = cts_print_json(json_pack("{s:s, s:s, s:i, s:I, s:s}", "out", o->out, "kind", o->kind, "size",
                                      (int)cts_tokenizer_size(t), "texts", (json_int_t)n_texts, "digest",
                                      cts_tokenizer_digest(t)));
    else
        printf("%s: %s, %d ids learned from %zu texts, sha256 %.12s\n", o->out, o->kind, (int)cts_tokenizer_size(t),
               n_texts, cts_tokenizer_digest(t));
    cts_tokenizer_close(t);
    return rc;
}

static int run_train(int argc, char **argv)
{
    train_options o = {.vocab = 4000};
    cts_common common;
    texts t = {0};
    size_t out_n;
    bool model_name;
    int rc = cts_cli_parse(argc, argv, train_argp, parse_train, NULL,
                           "Learn a WordPiece vocabulary or a SentencePiece model. The same texts give the same file."
                           "\vExample:\n  ctsearch tokenizer train --reports reports.csv --vocab 4000 --out vocab.txt",
                           &o, &common);

    if (rc)
        return rc;
    out_n = strlen(o.out);
    model_name = out_n >= 6 && !strcmp(o.out + out_n - 6, ".model");
    if (!o.kind)
        o.kind = model_name ? "unigram" : "wordpiece";
    if (model_name == !strcmp(o.kind, "wordpiece"))
        return cts_fail(CTS_E_USAGE, "--out: got %s for a tokenizer of kind %s, allowed: *%s", o.out, o.kind,
                        model_name ? ".txt" : ".model");
    if (!(rc = o.reports ? read_reports(&t, o.reports) : read_lines(&t, o.text))) {
        cts_log(CTS_LOG_INFO, "%s: learning from %zu texts", o.out, t.n);
        rc = strcmp(o.kind, "wordpiece")
                 ? cts_sentencepiece_train(o.out, (const char *const *)t.p, t.n, o.vocab, o.kind)
                 : cts_wordpiece_train(o.out, (const char *const *)t.p, t.n, o.vocab);
    }
    if (!rc)
        rc = report_trained(&o, t.n, common.json);
    cts_list_free(t.p, t.n);
    return rc;
}

/* ---- encode ----------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *tokenizer;
    char **text;
    int n;
} encode_options;

static const struct argp_option encode_argp[] = {
    {"tokenizer", 't', "PATH", 0, "vocab.txt, tokenizer.model or a model folder", 0}, {0}};

static error_t parse_encode(int key, char *arg, struct argp_state *state)
{
    encode_options *o = state->input;

    switch (key) {
    case 't':
        o->tokenizer = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (!o->n)
            o->text = &state->argv[state->next - 1];
        o->n++;
        return 0;
    case ARGP_KEY_END:
        if (!o->tokenizer || !o->n)
            argp_error(state, "needed: --tokenizer and a text");
        return 0;
    default:
        return 0;
    }
}

/* {text, ids, pieces} */
static int encode_one(json_t **out, const cts_tokenizer *t, const char *text)
{
    json_t *j_ids = json_array(), *j_pieces = json_array();
    int32_t *ids = NULL;
    size_t n = 0;
    int rc = cts_tokenizer_encode(t, text, strlen(text), &ids, &n);

    for (size_t i = 0; !rc && i < n; i++) {
        char *piece = NULL;

        if ((rc = cts_tokenizer_decode(t, &ids[i], 1, &piece)))
            break;
        json_array_append_new(j_ids, json_integer(ids[i]));
        json_array_append_new(j_pieces, json_string(piece));
        free(piece);
    }
    free(ids);
    if (!rc && !(*out = json_pack("{s:s, s:O, s:O}", "text", text, "ids", j_ids, "pieces", j_pieces)))
        rc = cts_fail(CTS_E_INPUT, "text: got bytes that are no UTF-8");
    json_decref(j_ids);
    json_decref(j_pieces);
    return rc;
}

static void print_encoded(const json_t *j)
{
    const json_t *ids = json_object_get(j, "ids"), *pieces = json_object_get(j, "pieces");

    printf("%s\n", json_string_value(json_object_get(j, "text")));
    for (size_t i = 0; i < json_array_size(ids); i++)
        printf("%8" JSON_INTEGER_FORMAT "  %s\n", json_integer_value(json_array_get(ids, i)),
               json_string_value(json_array_get(pieces, i)));
}

static int run_encode(int argc, char **argv)
{
    encode_options o = {0};
    cts_common common;
    cts_tokenizer *t = NULL;
    json_t *list = json_array();
    int rc = cts_cli_parse(argc, argv, encode_argp, parse_encode, "TEXT...",
                           "Ids and pieces of each text, without the two ends of a sequence."
                           "\vExample:\n  ctsearch tokenizer encode --tokenizer model/ \"No pleural effusion.\"",
                           &o, &common);

    if (!rc)
        rc = cts_tokenizer_open(&t, o.tokenizer);
    for (int i = 0; !rc && i < o.n; i++) {
        json_t *one = NULL;

        if ((rc = encode_one(&one, t, o.text[i])))
            break;
        if (!common.json)
            print_encoded(one);
        json_array_append_new(list, one);
    }
    if (!rc && common.json)
        rc = cts_print_json(json_pack("{s:s, s:s, s:s, s:O}", "tokenizer", cts_tokenizer_path(t), "kind",
                                      cts_tokenizer_kind(t), "digest", cts_tokenizer_digest(t), "texts", list));
    json_decref(list);
    cts_tokenizer_close(t);
    return rc;
}

static int run(int argc, char **argv)
{
    static const cts_command verbs[] = {
        {"train", "learn a vocabulary or SentencePiece model from reports", run_train},
        {"encode", "ids and pieces of a text", run_encode},
    };

    return cts_run_verb("ctsearch tokenizer", verbs, 2, argc, argv);
}

const cts_command cts_cmd_tokenizer = {"tokenizer", "learn a tokenizer, or see what a text becomes", run};
