/* The text of a report: how the sections of a CT-RATE row become the one string that a tokenizer sees.
 *
 * "clean" is ours: the sections that say something, joined by one space. The four published modes reproduce what the
 * loaders of DCFormer and CT-CLIP feed their models, quirks included: no separator, the characters " ' ( ) removed,
 * and a cell that pandas takes for missing (empty, NA, N/A, null, None, nan, ...) becomes the text "nan".
 * SPDX-License-Identifier: MIT */
#ifndef CTS_DATA_REPORT_TEXT_H
#define CTS_DATA_REPORT_TEXT_H

#include "kernels/base/str.h"

typedef enum {
    CTS_TEXT_CLEAN,          /* trimmed sections joined by a space; missing cells and "Not given." dropped; may be "" */
    CTS_TEXT_DCFORMER_TRAIN, /* findings + impressions */
    CTS_TEXT_DCFORMER_INFER, /* the same; a section that is exactly "Not given." dropped */
    CTS_TEXT_CTCLIP_TRAIN,   /* findings only */
    CTS_TEXT_CTCLIP_INFER,   /* as CTS_TEXT_DCFORMER_INFER */
    CTS_TEXT_MODES
} cts_text_mode;

/* "clean", "dcformer_train", "dcformer_infer", "ctclip_train", "ctclip_infer". */
const char *cts_text_mode_name(cts_text_mode mode);
/* CTS_E_INPUT names the modes. */
int cts_text_mode_find(cts_text_mode *out, const char *name);
/* Replace *out by the text of the two cells; NULL = an empty cell. CTS_E_NOMEM. */
int cts_report_text(cts_str *out, cts_text_mode mode, const char *findings, const char *impressions);

#endif
