/* SPDX-License-Identifier: MIT */
#include "encoders/import/torch_names.h"

#include "kernels/base/check.h"

#define CALL(module, name, group)                                                                                      \
    {                                                                                                                  \
        module, name, CTS_PICKLE_MAKES_CALL, CTS_TORCH_##group                                                         \
    }
#define DICT(module, name)                                                                                             \
    {                                                                                                                  \
        module, name, CTS_PICKLE_MAKES_DICT, CTS_TORCH_OTHER                                                           \
    }
#define SKIP(module, name)                                                                                             \
    {                                                                                                                  \
        module, name, CTS_PICKLE_MAKES_OPAQUE, CTS_TORCH_OTHER                                                         \
    }
#define STORAGE(name, dtype)                                                                                           \
    {                                                                                                                  \
        "torch", name "Storage", CTS_PICKLE_MAKES_OPAQUE, CTS_TORCH_STORAGE + ((dtype) << 8)                           \
    }
#define DTYPE(name, dtype)                                                                                             \
    {                                                                                                                  \
        "torch", name, CTS_PICKLE_MAKES_OPAQUE, CTS_TORCH_DTYPE + ((dtype) << 8)                                       \
    }

static const cts_pickle_class names[] = {
    /* what tensors are made of */
    CALL("torch._utils", "_rebuild_tensor", TENSOR),
    CALL("torch._utils", "_rebuild_tensor_v2", TENSOR),
    CALL("torch._utils", "_rebuild_tensor_v3", TENSOR_V3),
    CALL("torch._utils", "_rebuild_parameter", PARAMETER),
    CALL("torch._utils", "_rebuild_parameter_with_state", PARAMETER),
    CALL("torch._tensor", "_rebuild_from_type_v2", TENSOR_AND_TYPE),
    CALL("torch", "Size", SIZE),
    STORAGE("Double", CTS_ST_F64),
    STORAGE("Float", CTS_ST_F32),
    STORAGE("Half", CTS_ST_F16),
    STORAGE("BFloat16", CTS_ST_BF16),
    STORAGE("Long", CTS_ST_I64),
    STORAGE("Int", CTS_ST_I32),
    STORAGE("Short", CTS_ST_I16),
    STORAGE("Char", CTS_ST_I8),
    STORAGE("Byte", CTS_ST_U8),
    STORAGE("Bool", CTS_ST_BOOL),
    STORAGE("ComplexFloat", CTS_TORCH_NO_DTYPE),
    STORAGE("ComplexDouble", CTS_TORCH_NO_DTYPE),
    STORAGE("QUInt8", CTS_TORCH_NO_DTYPE),
    STORAGE("QInt8", CTS_TORCH_NO_DTYPE),
    STORAGE("QInt32", CTS_TORCH_NO_DTYPE),
    CALL("torch.storage", "UntypedStorage", UNTYPED),
    CALL("torch.storage", "_UntypedStorage", UNTYPED),
    SKIP("torch.storage", "TypedStorage"),
    SKIP("torch.storage", "_TypedStorage"),
    DTYPE("float64", CTS_ST_F64),
    DTYPE("float32", CTS_ST_F32),
    DTYPE("float16", CTS_ST_F16),
    DTYPE("bfloat16", CTS_ST_BF16),
    DTYPE("int64", CTS_ST_I64),
    DTYPE("int32", CTS_ST_I32),
    DTYPE("int16", CTS_ST_I16),
    DTYPE("int8", CTS_ST_I8),
    DTYPE("uint64", CTS_ST_U64),
    DTYPE("uint32", CTS_ST_U32),
    DTYPE("uint16", CTS_ST_U16),
    DTYPE("uint8", CTS_ST_U8),
    DTYPE("bool", CTS_ST_BOOL),
    DTYPE("complex64", CTS_TORCH_NO_DTYPE),
    DTYPE("complex128", CTS_TORCH_NO_DTYPE),
    DTYPE("float8_e4m3fn", CTS_TORCH_NO_DTYPE),
    DTYPE("float8_e5m2", CTS_TORCH_NO_DTYPE),
    SKIP("torch", "Tensor"),
    SKIP("torch", "device"),
    SKIP("torch.nn.parameter", "Parameter"),
    SKIP("torch.nn.parameter", "Buffer"),
    /* mappings */
    DICT("collections", "OrderedDict"),
    DICT("collections", "defaultdict"),
    DICT("collections", "Counter"),
    DICT("builtins", "dict"),
    DICT("__builtin__", "dict"),
    /* what training scripts leave beside the weights */
    SKIP("argparse", "Namespace"),
    SKIP("pathlib", "PosixPath"),
    SKIP("pathlib", "WindowsPath"),
    SKIP("numpy", "dtype"),
    SKIP("numpy", "ndarray"),
    SKIP("numpy.core.multiarray", "scalar"),
    SKIP("numpy.core.multiarray", "_reconstruct"),
    SKIP("numpy._core.multiarray", "scalar"),
    SKIP("numpy._core.multiarray", "_reconstruct"),
    SKIP("_codecs", "encode"), /* how protocol 2 writes bytes */
    SKIP("builtins", "set"),
    SKIP("builtins", "frozenset"),
    SKIP("builtins", "slice"),
    SKIP("builtins", "list"),
    SKIP("builtins", "bytearray"),
    SKIP("builtins", "complex"),
    SKIP("__builtin__", "set"),
    SKIP("__builtin__", "frozenset"),
    SKIP("__builtin__", "slice"),
    SKIP("__builtin__", "list"),
    SKIP("__builtin__", "bytearray"),
    SKIP("__builtin__", "complex"),
};

const cts_pickle_class *cts_torch_names(size_t *n)
{
    *n = CTS_COUNT(names);
    return names;
}

cts_torch_group cts_torch_group_of(const cts_pickle_class *c)
{
    return (cts_torch_group)(c->id & 0xff);
}

cts_st_dtype cts_torch_dtype_of(const cts_pickle_class *c)
{
    return (cts_st_dtype)(c->id >> 8);
}
