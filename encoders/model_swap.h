/* Replacing a model directory as a whole: the new one is built beside the target and takes its place in one step, so
 * that a reader or a crash sees the old or the new one.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_MODEL_SWAP_H
#define CTS_ENCODERS_MODEL_SWAP_H

typedef struct cts_model_swap cts_model_swap;

/* Make the empty folder that will become `dir`. CTS_E_INPUT when dir exists and is neither empty nor a model directory;
 * CTS_E_IO. */
int cts_model_swap_begin(cts_model_swap **out, const char *dir);
const char *cts_model_swap_dir(const cts_model_swap *s); /* where to write until commit */
/* Put it in place; the old one is removed. Only destroy is allowed after it. */
int cts_model_swap_commit(cts_model_swap *s);
/* Without a commit the new folder is removed and dir is as it was. NULL allowed. */
void cts_model_swap_destroy(cts_model_swap *s);

#endif
