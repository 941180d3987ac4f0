/* The definitions that registry.c lists, one line a model file, and what the model files share.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_MODELS_INTERNAL_H
#define CTS_ENCODERS_MODELS_INTERNAL_H

#include "encoders/encoder.h"

extern const cts_encoder_def cts_encoder_dcformer;
extern const cts_encoder_def cts_encoder_ctvit;
extern const cts_encoder_def cts_encoder_bert;
extern const cts_encoder_def cts_encoder_ct_scroll;

/* The end of a parse(): *config gets a copy of the n bytes of c. CTS_E_NOMEM names the file. */
int cts_config_keep(void **config, const void *c, size_t n, const char *file);

#endif
