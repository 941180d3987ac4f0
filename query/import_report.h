/* What an import says about itself: for people, for scripts, and for provenance.json.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_IMPORT_REPORT_H
#define CTS_QUERY_IMPORT_REPORT_H

#include "data/recipe.h"
#include "encoders/import/import.h"
#include "encoders/import/sources.h"
#include "tokenizer/tokenizer.h"

/* All borrowed. */
typedef struct {
    const cts_import_plan *plan;
    const cts_weights *weights;
    const cts_import_sources *sources;
    const cts_tokenizer *tokenizer; /* NULL = none */
    const cts_recipe *recipe;       /* NULL = none */
    json_t *notes;                  /* list of sentences */
    bool digest;                    /* SHA-256 of the files, which reads them once more */
} cts_import_report;

/* The object of docs/JSON.md without rows, the list of rows, and the content of provenance.json; NULL when out of
 * memory. */
json_t *cts_import_report_json(const cts_import_report *r);
json_t *cts_import_rows_json(const cts_import_report *r);
json_t *cts_import_provenance(const cts_import_report *r);
/* To standard output. */
void cts_import_print_table(const cts_import_report *r);
void cts_import_print_summary(const cts_import_report *r);

#endif
