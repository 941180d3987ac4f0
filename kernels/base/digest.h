/* SHA-256 by OpenSSL's libcrypto: what identifies a model, a tokenizer, a recipe and a FAISS blob. Target cts_formats.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_BASE_DIGEST_H
#define CTS_KERNELS_BASE_DIGEST_H

#include <stddef.h>

#define CTS_DIGEST_HEX 65 /* 64 lower-case hex digits and NUL */

int cts_digest_bytes(char out[CTS_DIGEST_HEX], const void *p, size_t n);
int cts_digest_file(char out[CTS_DIGEST_HEX], const char *path);
/* Incremental form. */
typedef struct cts_digest cts_digest;
int cts_digest_create(cts_digest **out);
void cts_digest_update(cts_digest *d, const void *p, size_t n);
int cts_digest_finish(cts_digest *d, char out[CTS_DIGEST_HEX]); /* destroy afterwards */
void cts_digest_destroy(cts_digest *d);

#endif
