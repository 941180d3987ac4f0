/* safetensors files: u64 header length, JSON header {name: {dtype, shape, data_offsets}}, then the data, back to back.
 *
 * The reader maps the file and checks everything before it hands anything out: header length against the file, strict
 * JSON without duplicate names, dtypes, shapes (non-negative, product without overflow, at most CTS_MAX_DIMS axes),
 * offsets inside the data, sizes that match the shapes, no overlap, no gap, the end of the file. Source: the format
 * description of huggingface/safetensors.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_SAFETENSORS_H
#define CTS_ENCODERS_SAFETENSORS_H

#include <jansson.h>

#include "kernels/tensor.h"

#define CTS_SAFETENSORS_MAX_HEADER (100u << 20)
#define CTS_SAFETENSORS_MAX_BYTES ((size_t)1 << 40)

typedef enum {
    CTS_ST_F64,
    CTS_ST_F32,
    CTS_ST_F16,
    CTS_ST_BF16,
    CTS_ST_I64,
    CTS_ST_I32,
    CTS_ST_I16,
    CTS_ST_I8,
    CTS_ST_U64,
    CTS_ST_U32,
    CTS_ST_U16,
    CTS_ST_U8,
    CTS_ST_BOOL,
    CTS_ST_COUNT
} cts_st_dtype;

size_t cts_st_dtype_bytes(cts_st_dtype t);
const char *cts_st_dtype_name(cts_st_dtype t); /* "F32" */

typedef struct {
    const char *name;
    cts_st_dtype dtype;
    int ndim; /* 0 for scalars, count 1 */
    int64_t shape[CTS_MAX_DIMS];
    int64_t count;
    const uint8_t *data; /* little endian, any alignment; reader: inside the map; writer: the caller's */
} cts_st_tensor;

typedef struct cts_safetensors cts_safetensors;

/* CTS_E_FORMAT, CTS_E_LIMIT, CTS_E_IO, CTS_E_UNSUPPORTED (dtype of another width), the sentence names file, tensor, got
 * and allowed. */
int cts_safetensors_open(cts_safetensors **out, const char *path);
/* The same, but the tensors' bytes may be written to: such pages become this process's own, the file never changes. */
int cts_safetensors_open_private(cts_safetensors **out, const char *path);
void cts_safetensors_close(cts_safetensors *s); /* NULL allowed; tensors end with it */
const char *cts_safetensors_path(const cts_safetensors *s);
int cts_safetensors_n(const cts_safetensors *s);
const cts_st_tensor *cts_safetensors_at(const cts_safetensors *s, int i);              /* sorted by name */
const cts_st_tensor *cts_safetensors_find(const cts_safetensors *s, const char *name); /* NULL = none */
/* Value of a key of __metadata__; NULL = none. */
const char *cts_safetensors_meta(const cts_safetensors *s, const char *key);

/* Convert all t->count values; any dtype. Values of 64-bit integers are rounded to the nearest float. */
void cts_st_to_f32(float *dst, const cts_st_tensor *t);

/* Write atomically; data in the order given, aligned to 64 bytes at the start. metadata: an object of strings or
 * NULL. */
int cts_safetensors_write(const char *path, int n, const cts_st_tensor *t, const json_t *metadata);

/* The same in pieces, for what does not fit in memory: open tells names, dtypes and shapes of all n tensors (data is
 * not read), add appends the next bytes of their data in that order, in pieces of any size, commit ends the file when
 * all are there. Destroying without commit leaves nothing. */
typedef struct cts_st_writer cts_st_writer;
int cts_st_writer_open(cts_st_writer **out, const char *path, int n, const cts_st_tensor *t, const json_t *metadata);
int cts_st_writer_add(cts_st_writer *w, const void *data, size_t n);
int cts_st_writer_commit(cts_st_writer *w);
void cts_st_writer_destroy(cts_st_writer *w); /* NULL allowed */

#endif
