/* The pictures of an evaluation's page, as SVG text. SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_EVAL_CHARTS_H
#define CTS_QUERY_EVAL_CHARTS_H

#include "query/eval/result.h"

/* The macro ROC curve, large. */
void cts_eval_chart_macro(const cts_eval_result *r, cts_str *out);
/* The ROC curve of one label, small. Nothing for a label of one class. */
void cts_eval_chart_roc(const cts_eval_result *r, int label, cts_str *out);
/* AUROC of every label as bars from 0.5 with intervals, the best first. */
void cts_eval_chart_bars(const cts_eval_result *r, cts_str *out);
/* Figures "<metric>@k" over k on a logarithmic axis: up to three metrics, with the random and oracle values of the
 * first. label[i]: how the line is called. */
void cts_eval_chart_at_k(const cts_eval_result *r, const char *const *metric, const char *const *label, size_t n,
                         const char *title, cts_str *out);

#endif
