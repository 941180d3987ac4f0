/* A back end around another: every output is written into memory of its own with sentinels before and behind it, filled
 * with NaN first, so that a write outside or a value left out is seen; scratch memory is fenced too. Optionally every
 * float input of rank 2 or more is handed over with padded rows (NaN between them), so that a kernel that ignores
 * strides or reads past a row is seen too. SPDX-License-Identifier: MIT */
#ifndef CTS_TESTS_SUPPORT_GUARD_BACKEND_H
#define CTS_TESTS_SUPPORT_GUARD_BACKEND_H

#include "kernels/backend.h"

/* inner is borrowed, must be a host back end, and outlives this one; end with cts_backend_destroy(). */
int cts_backend_guard(cts_backend **out, cts_backend *inner, bool strided);
/* Sentinels found broken so far. Each is also one line on stderr. */
int cts_backend_guard_broken(const cts_backend *b);

#endif
