/* Why a model says what it says of a scan: an image tower and the findings it can answer for, ready to be asked.
 *
 * As in `ctsearch score`, a supervised model answers by its logits; a pair, or a model with a text side that is asked
 * for a prompt bank, by the zero-shot margin of its prompts, scale * (<image, affirming> - <image, denying>). Either is
 * linear in what the tower gives, so its gradient starts there. The margin does not change when the vector before the
 * L2 norm gets longer, so where that vector is the mean of the cells the heat before its cut at 0 sums to nothing: the
 * map then tells places from the average place.
 * One thread an explainer. SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_EXPLAIN_EXPLAINER_H
#define CTS_QUERY_EXPLAIN_EXPLAINER_H

#include "query/explain/heat.h"
#include "query/session.h"

typedef struct {
    const char *layer;       /* NULL = the encoder's choice */
    cts_cam_weights weights; /* AUTO = the encoder's choice */
    const char *prompts;     /* bank or file; NULL = the classifier, of a pair its own bank */
} cts_explain_options;

typedef struct cts_explainer cts_explainer;

/* The session's model, which must outlive it. CTS_E_MISMATCH with a sentence: no image side, or neither classifier nor
 * text side; CTS_E_NOTFOUND: no such layer. */
int cts_explainer_open(cts_explainer **out, const cts_session *s, const cts_explain_options *o);
void cts_explainer_close(cts_explainer *x); /* NULL allowed */

const cts_cam_info *cts_explainer_cam(const cts_explainer *x);
bool cts_explainer_supervised(const cts_explainer *x);
const char *cts_explainer_prompts(const cts_explainer *x); /* name of the bank; "" when supervised */
size_t cts_explainer_count(const cts_explainer *x);
const char *cts_explainer_name(const cts_explainer *x, size_t label);
/* Label by name, upper and lower case alike, or by the slug of data/findings.h. CTS_E_MISMATCH lists what there is. */
int cts_explainer_find(const cts_explainer *x, const char *name, size_t *label);

/* Read, prepare and run one scan, which then is the one the calls below speak of. CTS_E_INPUT: fewer slices than the
 * encoder reads at once. */
int cts_explainer_see(cts_explainer *x, const cts_volume_source *source);
const cts_volume *cts_explainer_scan(const cts_explainer *x); /* slope and inter are the verdict's: HU */
const cts_geometry *cts_explainer_geometry(const cts_explainer *x);
const cts_preprocess_info *cts_explainer_info(const cts_explainer *x);
double cts_explainer_logit(const cts_explainer *x, size_t label); /* or margin; its sigmoid is the probability */
double cts_explainer_probability(const cts_explainer *x, size_t label);
/* On success end *out with cts_heat_clear(). */
int cts_explainer_map(cts_explainer *x, size_t label, cts_heat *out);

#endif
