/* FAISS for C: the few calls that index/faiss_index.c needs. Compiles as C11; no FAISS or C++ type crosses, no
 * exception leaves. Inner product is the metric. Rows are numbered 0, 1, ... in the order of adding. Errors are
 * CTS_E_INPUT (a factory string or a training set FAISS refuses), CTS_E_FORMAT (bytes it cannot read), CTS_E_NOMEM.
 * Any number of threads may search one index; train and add need it alone.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_INDEX_FAISS_SHIM_H
#define CTS_INDEX_FAISS_SHIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cts_faiss cts_faiss;

int cts_faiss_create(cts_faiss **out, size_t dim, const char *factory);
void cts_faiss_destroy(cts_faiss *f); /* NULL allowed */
/* rows [n, dim] */
int cts_faiss_train(cts_faiss *f, size_t n, const float *rows, int n_threads);
int cts_faiss_add(cts_faiss *f, size_t n, const float *rows, int n_threads);
/* queries [n, dim] -> rows [n, k], -1 where fewer were found, and FAISS's own scores [n, k]. */
int cts_faiss_search(const cts_faiss *f, size_t n, const float *queries, size_t k, float *scores, int64_t *rows,
                     int n_threads);
/* nprobe of an inverted file or efSearch of a graph; *effort = what it is now, 0 for types that have neither. 0
 * leaves it. */
int cts_faiss_set_effort(cts_faiss *f, int effort, int *now);
size_t cts_faiss_count(const cts_faiss *f);
size_t cts_faiss_dim(const cts_faiss *f);
/* Serialised; *data is malloc'd. */
int cts_faiss_write(const cts_faiss *f, void **data, size_t *n);
/* Only for bytes whose checksum was verified: FAISS does not survive damaged ones. */
int cts_faiss_read(cts_faiss **out, const void *data, size_t n);

#ifdef __cplusplus
}
#endif
#endif
