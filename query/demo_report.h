/* What `ctsearch demo` prints: sections, and the answers of its commands with the truth beside them.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_DEMO_REPORT_H
#define CTS_QUERY_DEMO_REPORT_H

#include <jansson.h>

/* All to stdout; each takes the JSON object that the command of its section printed (docs/JSON.md). */
void cts_demo_heading(int number, const char *text);
void cts_demo_command_line(const char *line);
void cts_demo_phantom(const json_t *phantom);
void cts_demo_train(const json_t *train);
void cts_demo_index(const json_t *add);
/* Hits with a field "truth" (the finding is there), the query's finding, and how common it is in the index. */
void cts_demo_text_query(const json_t *query, const char *finding, double prevalence);
/* Hits with a field "own" (the report of the scan that asked), what is true of the scan, how many reports there are. */
void cts_demo_image_query(const json_t *query, const char *truth, size_t n);
/* Findings with a field "truth". */
void cts_demo_score(const json_t *score);
void cts_demo_recall(const json_t *recall);
void cts_demo_zeroshot(const json_t *zeroshot);

#endif
