/* One tensor of a PyTorch archive: from the pickled description to checked sizes, strides and mapped data.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_IMPORT_TORCH_TENSOR_H
#define CTS_ENCODERS_IMPORT_TORCH_TENSOR_H

#include "encoders/import/pickle.h"
#include "encoders/import/weights.h"
#include "encoders/import/zip.h"

/* A tensor of stride 0 may have more elements than its storage; this many at most, so that the memory a consumer needs
 * stays within a bound of the file. */
#define CTS_TORCH_MAX_BROADCAST ((int64_t)1 << 24)

typedef struct {
    const char *path;   /* for messages */
    const char *prefix; /* folder inside the archive, without '/' */
    const cts_zip *zip;
    bool swapped; /* the file is big endian */
} cts_torch_archive;

/* The value describes a tensor or a parameter. */
bool cts_torch_is_tensor(const cts_pickle_value *v);

/* Fill *t from v, for which cts_torch_is_tensor() holds; t->name is set before, for messages. Storage id, record and
 * its size, element type, offset, sizes and strides (no negative ones, every index inside the storage, no overflow) are
 * checked. CTS_E_FORMAT, CTS_E_LIMIT, CTS_E_UNSUPPORTED; *t is then of no use. */
int cts_torch_tensor(cts_weight *t, const cts_pickle_value *v, const cts_torch_archive *a);

#endif
