/* Named tensors of a weight file that somebody else's program wrote, whatever its format.
 *
 *   FILE.safetensors                     one file, or a shard named by ...
 *   FILE.safetensors.index.json          ... the index of a sharded set
 *   FILE.pt .pth .bin                    torch.save in the zip format, read by a restricted reader: no code runs
 *   FILE.bin.index.json                  the index of such shards
 *   FOLDER                               the one of the above inside it: model.safetensors, its index,
 *                                        pytorch_model.bin, its index
 * The content decides, not the file name's ending. A state dict may lie at the top of a PyTorch file or under one of
 * the keys that training scripts use ("model", "state_dict", "model_state_dict", "module"); what lies beside it
 * (optimiser, epoch, arguments) is skipped.
 *
 * Files are mapped: a tensor's bytes are paged in when it is read and may be dropped again. Names keep the file's
 * spelling. Aliases (two names, one storage) are two tensors of the same data.
 * Readers may share an open set; open and close are one thread's.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_IMPORT_WEIGHTS_H
#define CTS_ENCODERS_IMPORT_WEIGHTS_H

#include "encoders/safetensors.h"

typedef struct {
    const char *name;
    cts_st_dtype dtype;
    int ndim; /* 0 for scalars, count 1 */
    int64_t shape[CTS_MAX_DIMS];
    int64_t stride[CTS_MAX_DIMS]; /* elements, >= 0; 0 = broadcast */
    int64_t count;                /* product of shape; may be 0 */
    const uint8_t *data;          /* element at index 0; little endian unless `swapped`, any alignment */
    bool swapped;                 /* big endian file */
} cts_weight;

typedef struct cts_weights cts_weights;

/* CTS_E_FORMAT, CTS_E_LIMIT, CTS_E_IO, CTS_E_UNSUPPORTED (a legacy pickle: the sentence says how to convert it),
 * CTS_E_INPUT (tensors under two of the keys), CTS_E_NOTFOUND (a folder without weights), always naming the file and
 * what was wrong in it. */
int cts_weights_open(cts_weights **out, const char *path);
void cts_weights_close(cts_weights *w); /* NULL allowed; tensors end with it */

const char *cts_weights_path(const cts_weights *w);
/* The files that were opened: the one, or the index and its shards in the order they are named. */
int cts_weights_n_files(const cts_weights *w);
const char *cts_weights_file(const cts_weights *w, int i);
/* "safetensors", "sharded safetensors", "pytorch", "sharded pytorch" */
const char *cts_weights_format(const cts_weights *w);
/* Key under which the state dict lay ("model"); "" = at the top. */
const char *cts_weights_key(const cts_weights *w);
int cts_weights_n(const cts_weights *w);
const cts_weight *cts_weights_at(const cts_weights *w, int i);              /* order of the file(s) */
const cts_weight *cts_weights_find(const cts_weights *w, const char *name); /* NULL = none */

/* All t->count values in row-major order as floats; any dtype. 64-bit integers are rounded to the nearest float. */
void cts_weight_to_f32(float *dst, const cts_weight *t);
/* The same as integers: integer and boolean dtypes only (asserts otherwise). */
void cts_weight_to_i64(int64_t *dst, const cts_weight *t);
/* The pages behind t may be dropped: it has been used. Only a hint. */
void cts_weight_release(const cts_weight *t);

#endif
