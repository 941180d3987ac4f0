/* JSON by jansson: load with a size limit, and typed fields whose absence or wrong type is one clear sentence.
 * Target cts_formats (needs jansson); json_t is jansson's and is released with json_decref().
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_BASE_JSON_H
#define CTS_KERNELS_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Parse strictly (duplicate keys refused, depth limited). name is used in messages. CTS_E_FORMAT names line and column.
 */
int cts_json_parse(json_t **out, const char *text, size_t n, const char *name);
int cts_json_load(json_t **out, const char *path, size_t max_bytes);
/* Write atomically, sorted keys kept in insertion order, 2 spaces, trailing newline. */
int cts_json_save(const json_t *j, const char *path);

/* Fields of the object j read from file `name`. `required` false leaves *out untouched when the key is absent or null.
 */
int cts_json_int(int64_t *out, const json_t *j, const char *key, bool required, int64_t min, int64_t max,
                 const char *name);
int cts_json_double(double *out, const json_t *j, const char *key, bool required, const char *name);
int cts_json_bool(bool *out, const json_t *j, const char *key, bool required, const char *name);
/* Borrowed from j. */
int cts_json_string(const char **out, const json_t *j, const char *key, bool required, const char *name);
/* Exactly n numbers. */
int cts_json_doubles(double *out, size_t n, const json_t *j, const char *key, bool required, const char *name);
int cts_json_ints(int64_t *out, size_t n, const json_t *j, const char *key, bool required, const char *name);

/* An array of n numbers, the caller's; NULL when out of memory, which json_pack() takes for its own failure. */
json_t *cts_json_from_ints(const int64_t *v, size_t n);

#endif
