/* What the FILEs of an import are: weights, a tokenizer, a config.json, or folders that hold them.
 *
 *   FOLDER                  with weights: these, its config.json and its tokenizer; with modules.json: a
 *                           sentence-transformers folder, whose pooling and longest text are read too;
 *                           without weights: its tokenizer
 *   *.txt, *.model          a tokenizer
 *   *.index.json            weights in shards
 *   *.json                  a config.json
 *   anything else           weights
 * A tokenizer or config.json given by its own name goes before the one of the weights' folder. Two of a kind are
 * refused.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_IMPORT_SOURCES_H
#define CTS_ENCODERS_IMPORT_SOURCES_H

#include "encoders/import/families.h"

typedef struct {
    char *weights;   /* for cts_weights_open() */
    char *tokenizer; /* file; NULL = none */
    char *config;    /* config.json; NULL = none */
    json_t *config_json;
    bool is_sentence;
    cts_import_sentence sentence;
} cts_import_sources;

/* CTS_E_USAGE: no weights, two of a kind, or a model folder of ours. CTS_E_UNSUPPORTED: a sentence-transformers folder
 * with modules this program does not run, a tokenizer that keeps capitals. CTS_E_FORMAT, CTS_E_NOTFOUND, CTS_E_IO name
 * the file. End with cts_import_sources_clear(). */
int cts_import_sources_find(cts_import_sources *out, const char *const *paths, int n);
void cts_import_sources_clear(cts_import_sources *s); /* zeroed is fine */

#endif
