/* What there is to choose from: every preset of the registry with its size and cost, computed by building it, never
 * written down.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_DESCRIBE_H
#define CTS_ENCODERS_DESCRIBE_H

#include "encoders/encoder.h"

typedef struct {
    const char *name;  /* preset */
    const char *about; /* of the encoder */
    cts_encoder_kind kind;
    cts_encoder_info info;
    int64_t params;           /* trained parameters of the encoder */
    int64_t params_projected; /* with the bias-free projection to latent_dim */
    int64_t macs;             /* multiply-adds of one input: a volume of info.volume, or info.max_tokens tokens */
    int n_input;              /* shape of that input: [1, z, x, y] or [tokens] */
    int64_t input[4];
} cts_description;

/* Presets in registry order: how many, and row i. latent_dim of the projection, e.g. 512. */
int cts_describe_count(void);
int cts_describe(cts_description *out, int i, int64_t latent_dim);
/* The same for any config. */
int cts_describe_encoder(cts_description *out, const cts_encoder_def *def, const void *config, int64_t latent_dim);

#endif
