/* What `score` says of a scan: the same for supervised models, for prompts and for several models together.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_SCORE_REPORT_H
#define CTS_QUERY_SCORE_REPORT_H

#include "query/scorer.h"

typedef enum { CTS_VERDICT_NONE, CTS_VERDICT_ABSENT, CTS_VERDICT_PRESENT } cts_verdict;

/* "-", "absent", "present" */
const char *cts_verdict_name(cts_verdict v);
/* Of a label with this threshold (NULL = none). A label that no validation volume had has no verdict: nothing says from
 * where on it would be present. */
cts_verdict cts_verdict_of(const cts_label_threshold *t, double probability);

/* Lines by falling probability, of the labels at which[n]. */
void cts_score_print(const cts_scorer *s, const cts_scorer_result *r, const char *volume, const size_t *which,
                     size_t n);
/* {volume, models, prompts, validation, findings}; NULL when out of memory. */
json_t *cts_score_json(const cts_scorer *s, const cts_scorer_result *r, const char *volume, const size_t *which,
                       size_t n);

#endif
