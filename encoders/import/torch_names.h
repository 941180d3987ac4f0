/* The global names that pickles of weight files may contain, and what they stand for. Nothing behind a name is run.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_IMPORT_TORCH_NAMES_H
#define CTS_ENCODERS_IMPORT_TORCH_NAMES_H

#include "encoders/import/pickle.h"
#include "encoders/safetensors.h"

/* cts_pickle_class.id = group + (dtype << 8), dtype only for the first two. */
typedef enum {
    CTS_TORCH_STORAGE,         /* class of a storage: its element type */
    CTS_TORCH_DTYPE,           /* torch.float32 */
    CTS_TORCH_UNTYPED,         /* class of a storage that counts bytes */
    CTS_TORCH_TENSOR,          /* (storage, offset, size, stride, ...) */
    CTS_TORCH_TENSOR_V3,       /* the same, dtype at index 6 */
    CTS_TORCH_PARAMETER,       /* (tensor, ...) */
    CTS_TORCH_TENSOR_AND_TYPE, /* (one of the above functions, class, its arguments, state) */
    CTS_TORCH_SIZE,            /* (tuple) */
    CTS_TORCH_OTHER
} cts_torch_group;

#define CTS_TORCH_NO_DTYPE CTS_ST_COUNT /* an element type that is not read */

const cts_pickle_class *cts_torch_names(size_t *n);
cts_torch_group cts_torch_group_of(const cts_pickle_class *c);
cts_st_dtype cts_torch_dtype_of(const cts_pickle_class *c); /* or CTS_TORCH_NO_DTYPE */

#endif
