/* Streaming gzip reader over bytes in memory, with the output under the caller's control: it inflates only what is
 * asked for, so a bomb costs no more than the caller's own limit. One or several members; zero padding behind the
 * last one is allowed, anything else there is an error; CRC and length of each member are checked.
 * Source: RFC 1951 and 1952; the decoder is ISA-L's igzip.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_DATA_INFLATE_H
#define CTS_DATA_INFLATE_H

#include <stdbool.h>
#include <stddef.h>

/* A deflate stream cannot grow its input by more than this factor (RFC 1951: 258 bytes from two bits), so a header
 * that promises more than factor * compressed bytes lies and can be refused before anything is allocated. */
#define CTS_INFLATE_MAX_RATIO 1032

typedef struct cts_inflate cts_inflate;

/* Do the bytes begin as a gzip member? */
bool cts_is_gzip(const void *p, size_t n);
/* p and name are borrowed until destroy; name is for messages. CTS_E_FORMAT when it is not gzip, CTS_E_NOMEM. */
int cts_inflate_open(cts_inflate **out, const void *p, size_t n, const char *name);
/* The next n bytes into buf; *got < n only when the stream has ended. CTS_E_FORMAT for damaged or truncated input. */
int cts_inflate_read(cts_inflate *s, void *buf, size_t n, size_t *got);
void cts_inflate_destroy(cts_inflate *s); /* NULL allowed */
/* Everything at once into *data (free()), one NUL byte beyond *n_out; CTS_E_LIMIT when it is more than max_bytes. */
int cts_inflate_all(char **data, size_t *n_out, const void *p, size_t n, size_t max_bytes, const char *name);

#endif
