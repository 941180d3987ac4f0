/* The digest of a model directory's weights, remembered.
 *
 * SHA-256 of gigabytes takes seconds, and every query needs it to know that index and model belong together. So
 * digest.json keeps it beside the file:
 *   {"format": "ctsearch-digest", "version": 1, "file": "model.safetensors", "bytes": N, "mtime_ns": T, "sha256": HEX}
 * It is believed only while size and modification time of the file are those written down; a copy that did not keep the
 * time, or a damaged record, makes the digest be taken again and, where the folder may be written to, written again. It
 * is a memory, no proof: cts_model_digest_verify() always reads the weights.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_MODEL_DIGEST_H
#define CTS_ENCODERS_MODEL_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/base/digest.h"

/* Digest of model.safetensors in dir, from the record when it can be believed. */
int cts_model_weights_digest(char out[CTS_DIGEST_HEX], const char *dir);
/* Take the digest and write the record; nothing is done where there is no model.safetensors. */
int cts_model_digest_write(const char *dir);

typedef struct {
    char sha256[CTS_DIGEST_HEX];   /* of the file as it is */
    char recorded[CTS_DIGEST_HEX]; /* what digest.json says; "" = no record */
    int64_t bytes;
    bool fresh; /* size and time are the record's, so that it is what loading believes */
} cts_model_digest_state;
/* Read the weights of dir and compare with the record. A difference is no error here: see the fields. */
int cts_model_digest_verify(cts_model_digest_state *out, const char *dir);

#endif
