/* The definitions that registry.c lists: one line a model file. SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_MODELS_INTERNAL_H
#define CTS_ENCODERS_MODELS_INTERNAL_H

#include "encoders/encoder.h"

extern const cts_encoder_def cts_encoder_dcformer;
extern const cts_encoder_def cts_encoder_ctvit;
extern const cts_encoder_def cts_encoder_bert;
extern const cts_encoder_def cts_encoder_ct_scroll;

#endif
