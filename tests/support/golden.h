/* Expected values from independent implementations: safetensors files, their metadata and tolerances, and the formula
 * numbers.
 *
 * The folder is the environment's CTS_GOLDEN_DIR, or tests/golden of the project. A file that is missing FAILS the
 * test when CTS_GOLDEN_DIR is set; otherwise the test is skipped with a printed line. The functions named _need_ end
 * the running cmocka test when they cannot deliver; their results never are NULL. Everything else about a set
 * (shapes, names, seeds, depths, tolerances) is read from its files. Not for concurrent use.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TESTS_SUPPORT_GOLDEN_H
#define CTS_TESTS_SUPPORT_GOLDEN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/base/status.h"

typedef struct {
    char *name;
    char dtype[8]; /* "F32", "F64", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "U16", "U32", "U64", "BOOL" */
    int n_dims;
    int64_t shape[8];
    size_t count;        /* elements */
    const uint8_t *data; /* borrowed from the mapped file; may be unaligned, read it through the functions below */
} cts_golden_tensor;

typedef struct cts_golden cts_golden;

/* Folders; the texts are valid until the next call. The data folder (CT and report files that some goldens refer to) is
 * CTS_DATA_DIR, or "../data" beside the golden folder. */
const char *cts_golden_dir(void);
const char *cts_golden_data_dir(void);
/* malloc'd path of a file of the golden or the data folder; fails or skips the test as said above. */
char *cts_golden_need_path(const char *file);
char *cts_golden_need_data_path(const char *file);
/* A JSON file of the folder (json_decref()). */
json_t *cts_golden_need_json(const char *file);

/* Open any safetensors file, every count and offset checked against the file. Status and sentence as in the library. */
int cts_golden_open_path(cts_golden **out, const char *path);
cts_golden *cts_golden_need(const char *file); /* of the golden folder */
void cts_golden_close(cts_golden *g);          /* NULL allowed */
size_t cts_golden_count(const cts_golden *g);
const cts_golden_tensor *cts_golden_at(const cts_golden *g, size_t i); /* in the order of the file's header */

/* Metadata: NULL when absent, or a failed test. Integers may be written as text or as JSON numbers. */
const char *cts_golden_meta(const cts_golden *g, const char *key);
int64_t cts_golden_need_meta_int(const cts_golden *g, const char *key);
json_t *cts_golden_need_meta_json(const cts_golden *g, const char *key); /* json_decref() */
/* Integers of a JSON array in the metadata into out[max]; returns how many. */
int cts_golden_need_meta_ints(const cts_golden *g, const char *key, int64_t *out, int max);
uint64_t cts_golden_seed(const cts_golden *g); /* set_seed */

/* Tensors by printf-style name. has: in full or sampled. The arrays are malloc'd, row-major, and converted from any
 * dtype. */
const cts_golden_tensor *cts_golden_find(const cts_golden *g, const char *fmt, ...) CTS_PRINTF(2, 3);
const cts_golden_tensor *cts_golden_need_tensor(const cts_golden *g, const char *fmt, ...) CTS_PRINTF(2, 3);
bool cts_golden_has(const cts_golden *g, const char *fmt, ...) CTS_PRINTF(2, 3);
float *cts_golden_need_floats(const cts_golden *g, const char *fmt, ...) CTS_PRINTF(2, 3);
double *cts_golden_need_doubles(const cts_golden *g, const char *fmt, ...) CTS_PRINTF(2, 3);
int64_t *cts_golden_need_ints(const cts_golden *g, const char *fmt, ...) CTS_PRINTF(2, 3);
/* Shape of a tensor that is stored in full or sampled (T.shape); returns the number of axes. */
int cts_golden_need_shape(const cts_golden *g, int64_t shape[8], const char *fmt, ...) CTS_PRINTF(3, 4);

/* Root mean squares. A NaN anywhere gives NaN. */
double cts_golden_rms(const float *p, size_t n);
double cts_golden_rms_diff(const float *a, const float *b, size_t n);

/* How far `got` (all n elements, row-major) may be from tensor `name`, in full or sampled:
 *   rms(got - golden) <= relative * rms(golden) + absolute                     when relative >= 0
 *   rms(got - golden) <= 8 * rms deviation + 1e-6 * rms(golden) + absolute     when relative < 0, deviation from
 * tolerances.json A sampled tensor is compared at T.idx, and mean, deviation, norm and order checksum of all elements
 * with T.stat. On a miss, a line with the error, the limit and the worst place goes to stderr and false comes back: use
 * assert_true(cts_golden_near(...)). A wrong count or a name that is not in the file fails the test. */
bool cts_golden_near(const cts_golden *g, const char *name, const float *got, size_t n, double relative,
                     double absolute);
/* The row of tolerances.json (file = "dcformer_mini", no suffix): max deviation, its rms, max, rms; false when
 * absent. */
bool cts_golden_tolerance(const char *file, const char *name, double row[4]);

/* ---- formula numbers: computed from a name, not stored ---- */

/* FNV-1a of the name xor the set's seed. */
uint64_t cts_formula_seed(uint64_t set_seed, const char *name);
/* Element i of a stream: the 64 random bits, and the double in [-1, 1). */
uint64_t cts_formula_bits(uint64_t seed, uint64_t i);
double cts_formula_x(uint64_t seed, uint64_t i);
/* shift + scale * x with one rounding at the end. */
void cts_formula_fill(float *out, size_t n, uint64_t set_seed, const char *name, double shift, double scale);
/* The rule for a weight of this name and shape (names and aliases of DCFormer, BERT, CT-Scroll and the quantiser). */
void cts_formula_rule(double *shift, double *scale, const char *name, const int64_t *shape, int n_dims);
void cts_formula_weight(float *out, uint64_t set_seed, const char *name, const int64_t *shape, int n_dims);
/* Volume V(name) of shape (b, z, x, y): base + gain * v; CT-Scroll's has another v. */
void cts_formula_volume(float *out, uint64_t set_seed, const char *name, const int64_t shape[4], double base,
                        double gain);
void cts_formula_scroll_volume(float *out, uint64_t set_seed, const char *name, const int64_t shape[4]);

#endif
