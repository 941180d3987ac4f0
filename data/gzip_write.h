/* Streaming gzip writer into an atomic file writer, by ISA-L. The output depends on input and level only (no time
 * stamp).
 * SPDX-License-Identifier: MIT */
#ifndef CTS_DATA_GZIP_WRITE_H
#define CTS_DATA_GZIP_WRITE_H

#include <stddef.h>

#include "kernels/base/file.h"

typedef struct cts_gzip cts_gzip;

/* level 1..9 as gzip names them (0 = 1); ISA-L knows three, so 1, 2..5 and 6..9 are the same. w is borrowed. */
int cts_gzip_open(cts_gzip **out, cts_writer *w, int level);
int cts_gzip_write(cts_gzip *g, const void *p, size_t n);
/* Flush the last block and the trailer; afterwards only destroy. The caller commits w. */
int cts_gzip_finish(cts_gzip *g);
void cts_gzip_destroy(cts_gzip *g); /* NULL allowed */

#endif
