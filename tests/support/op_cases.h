/* The one table of op cases: shapes with 1, odd and non-multiple sizes, five dimensions, run-time extents below the
 * planned ones. Test (cpu against ref), gradient check and bench all walk it. To add an op: a build function here and
 * its rows. SPDX-License-Identifier: MIT */
#ifndef CTS_TESTS_SUPPORT_OP_CASES_H
#define CTS_TESTS_SUPPORT_OP_CASES_H

#include "tests/support/op_run.h"

extern const cts_op_case cts_op_cases[];
extern const int cts_n_op_cases;
const cts_op_case *cts_op_case_find(const char *name); /* asserts that it exists */

#endif
