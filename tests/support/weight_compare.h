/* Foreign tensors against expected values. SPDX-License-Identifier: MIT */
#ifndef CTS_TESTS_SUPPORT_WEIGHT_COMPARE_H
#define CTS_TESTS_SUPPORT_WEIGHT_COMPARE_H

#include "encoders/import/weights.h"
#include "tests/support/model_run.h"

/* t holds the bits of e, which is stored as F32 or I64 (integers and booleans); fails the test with the name and the
 * place otherwise. exact_shape false: axes of length 1 may come and go. */
void cts_test_weight_equals(const cts_weight *t, const cts_st_tensor *e, bool exact_shape);

/* The set has exactly the tensors of a safetensors file. Where the file's metadata has "dtypes", PyTorch's names of the
 * types they were saved in, those too. */
void cts_test_weights_equal(const cts_weights *w, const char *expected_path);

#endif
