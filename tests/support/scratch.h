/* A scratch folder a test program makes and removes, and a small pair to save. SPDX-License-Identifier: MIT */
#ifndef CTS_TESTS_SUPPORT_SCRATCH_H
#define CTS_TESTS_SUPPORT_SCRATCH_H

#include "encoders/clip.h"
#include "kernels/base/file.h"
#include "tests/support/model_run.h"

/* cmocka group set-up and tear-down: make the folder, remove it with all it holds. */
int cts_scratch_make(void **state);
int cts_scratch_remove(void **state);

/* Path of a name in the scratch folder; valid until the 32nd call after it. */
const char *cts_scratch(const char *name);

void cts_scratch_write(const char *path, const void *p, size_t n);
/* A text file in the scratch folder; its path, as of cts_scratch(). */
const char *cts_scratch_text(const char *name, const char *text);

/* The call failed with this status and its sentence holds word. */
void cts_assert_refused(int rc, int want, const char *word);

/* Few channels, two layers of text. learned: temperature and bias are parameters. hidden: width of the text encoder. */
cts_clip *cts_scratch_pair(uint64_t seed, bool learned, int hidden);

/* Same names, shapes and bits. */
bool cts_same_params(const cts_params *a, const cts_params *b);

#endif
