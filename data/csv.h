/* CSV as RFC 4180 writes it: quoted fields, doubled quotes, newlines inside quotes, CRLF or LF, UTF-8 with or without
 * BOM. The whole file is held in memory; cells are borrowed from it.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_DATA_CSV_H
#define CTS_DATA_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/base/str.h"

typedef struct cts_csv cts_csv;

/* First row = header. CTS_E_FORMAT for an unclosed quote, a row with another number of cells (line number given), no
 * header, NUL bytes. */
int cts_csv_load(cts_csv **out, const char *path);
int cts_csv_parse(cts_csv **out, const char *text, size_t n, const char *name);
void cts_csv_destroy(cts_csv *c);
const char *cts_csv_name(const cts_csv *c); /* the path, for messages */
size_t cts_csv_rows(const cts_csv *c);      /* data rows, header not counted */
size_t cts_csv_cols(const cts_csv *c);
const char *cts_csv_header(const cts_csv *c, size_t col);
/* Column by exact name: its index, or -1. */
int cts_csv_find(const cts_csv *c, const char *column);
/* Same, but a missing column is CTS_E_FORMAT with a sentence naming file, the column and the columns that exist. */
int cts_csv_require(int *col, const cts_csv *c, const char *column);
const char *cts_csv_cell(const cts_csv *c, size_t row, size_t col);
size_t cts_csv_line(const cts_csv *c, size_t row); /* 1-based line in the file where the row starts */

/* Append one cell to a row being written, quoted when needed; `first` = no comma before it. */
void cts_csv_put(cts_str *out, const char *cell, bool first);

#endif
