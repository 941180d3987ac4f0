/* The loss over logits and labels on a back end: binary cross entropy, mean over cells. SPDX-License-Identifier: MIT */
#ifndef CTS_TRAIN_LABEL_LOSS_H
#define CTS_TRAIN_LABEL_LOSS_H

#include "kernels/exec.h"

typedef struct cts_label_loss cts_label_loss;

/* For up to max_batch rows of n_labels; pos_weight [n_labels] or NULL = 1, copied. */
int cts_label_loss_create(cts_label_loss **out, int64_t max_batch, int64_t n_labels, const float *pos_weight,
                          cts_backend *b);
void cts_label_loss_destroy(cts_label_loss *l); /* NULL allowed */
/* logits [n, n_labels], labels [n, n_labels] 0.0 or 1.0 -> *loss and, unless NULL, its gradient d_logits. */
int cts_label_loss_run(cts_label_loss *l, int64_t n, const float *logits, const float *labels, double *loss,
                       float *d_logits);

#endif
