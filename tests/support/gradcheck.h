/* Gradients against finite differences. SPDX-License-Identifier: MIT */
#ifndef CTS_TESTS_SUPPORT_GRADCHECK_H
#define CTS_TESTS_SUPPORT_GRADCHECK_H

#include "tests/support/op_run.h"

/* Compare every gradient of the case with four-point central differences of sum(weight * output) on back end b, at no
 * more than max_points elements a leaf, spread evenly. A miss is one line on stderr (leaf, place, both values, limit);
 * returns how many. *used, when asked: the largest part of a limit that was used, in percent. */
int cts_gradcheck(const cts_op_case *def, cts_backend *b, int max_points, double *used);

#endif
