/* The table of ops: ops.def seen as an array. SPDX-License-Identifier: MIT */
#include "kernels/ops/ops_internal.h"

static const struct cts_op_def *const op_table[] = {
#define CTS_OP(id, symbol) [CTS_OP_##id] = &cts_opdef_##symbol,
#include "kernels/ops.def"
#undef CTS_OP
};

_Static_assert(CTS_COUNT(op_table) == CTS_OP_COUNT, "every row of ops.def has its definition");

const struct cts_op_def *cts_op_def_of(cts_op_kind op)
{
    CTS_ASSERT(op >= 0 && op < CTS_OP_COUNT, "op %d of %d", (int)op, (int)CTS_OP_COUNT);
    return op_table[op];
}
