/* SPDX-License-Identifier: MIT */
#include "data/csv.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/base/file.h"
#include "kernels/base/status.h"

#define CSV_MAX_BYTES ((size_t)2 << 30)

struct cts_csv {
    char *name, *text;                                 /* cells are unquoted in place in text */
    char **cells;                                      /* [rows + 1][cols], the header first */
    size_t *lines;                                     /* [rows + 1] */
    size_t n_cells, cap_cells, n_rows, cap_rows, cols; /* n_rows counts the header */
};

void cts_csv_destroy(cts_csv *c)
{
    if (!c)
        return;
    free(c->name);
    free(c->text);
    free(c->cells);
    free(c->lines);
    free(c);
}

static int add_cell(cts_csv *c, char *cell)
{
    if (c->n_cells == c->cap_cells) {
        size_t cap = c->cap_cells ? c->cap_cells * 2 : 256;
        char **p = realloc(c->cells, cap * sizeof *p);

        if (!p)
            return cts_fail(CTS_E_NOMEM, "%s: out of memory for %zu cells", c->name, cap);
        c->cells = p;
        c->cap_cells = cap;
    }
    c->cells[c->n_cells++] = cell;
    return CTS_OK;
}

static int add_row(cts_csv *c, size_t line)
{
    if (c->n_rows == c->cap_rows) {
        size_t cap = c->cap_rows ? c->cap_rows * 2 : 64;
        size_t *p = realloc(c->lines, cap * sizeof *p);

        if (!p)
            return cts_fail(CTS_E_NOMEM, "%s: out of memory for %zu rows", c->name, cap);
        c->lines = p;
        c->cap_rows = cap;
    }
    c->lines[c->n_rows++] = line;
    return CTS_OK;
}

/* A row has ended: its width must be the header's. */
static int end_row(cts_csv *c, size_t first_cell, size_t line)
{
    size_t width = c->n_cells - first_cell;

    if (c->n_rows == 0)
        c->cols = width;
    if (width != c->cols)
        return cts_fail(CTS_E_FORMAT, "%s line %zu: the row has %zu cells, the header %zu", c->name, line, width,
                        c->cols);
    return add_row(c, line);
}

/* Unquote the cell that starts at p (behind its quote); *end is what follows the closing quote. */
static int quoted(const cts_csv *c, char *p, const char *limit, char **end, size_t *line)
{
    char *to = p;
    size_t opened = *line;

    for (; p < limit; p++) {
        if (*p == '\n')
            ++*line;
        if (*p != '"') {
            *to++ = *p;
        } else if (p + 1 < limit && p[1] == '"') {
            *to++ = *p++;
        } else {
            *end = p + 1;
            *to = '\0';
            if (*end < limit && **end != ',' && **end != '\n' && **end != '\r')
                return cts_fail(CTS_E_FORMAT,
                                "%s line %zu: '%c' follows a closing quote, allowed a comma or the end of the line",
                                c->name, *line, **end);
            return CTS_OK;
        }
    }
    return cts_fail(CTS_E_FORMAT, "%s line %zu: the quote that opens here is never closed", c->name, opened);
}

static int parse_cells(cts_csv *c, char *p, char *limit)
{
    size_t line = 1, row_line = 1, first = 0;
    bool row_open = false;
    int rc;

    while (p < limit || row_open) {
        char *cell = p, *end = p, sep;

        if (!row_open && (*p == '\n' || *p == '\r')) { /* an empty line is no row */
            line += *p++ == '\n';
            continue;
        }
        if (!row_open) {
            row_open = true;
            row_line = line;
            first = c->n_cells;
        }
        if (p < limit && *p == '"') {
            cell = p + 1;
            if ((rc = quoted(c, cell, limit, &end, &line)))
                return rc;
        } else {
            for (end = p; end < limit && *end != ',' && *end != '\n' && *end != '\r'; end++)
                ;
        }
        sep = end < limit ? *end : '\n';
        *end = '\0'; /* limit itself is a byte of the buffer */
        if ((rc = add_cell(c, cell)))
            return rc;
        p = end + 1;
        if (sep == ',')
            continue;
        if (sep == '\r' && p < limit && *p == '\n')
            p++;
        if ((rc = end_row(c, first, row_line)))
            return rc;
        line++;
        row_open = false;
    }
    return CTS_OK;
}

static int check_text(const cts_csv *c, const char *p, size_t n)
{
    size_t line = 1;

    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t used = 1;

        if (!p[i])
            return cts_fail(CTS_E_FORMAT, "%s line %zu: holds a NUL byte, allowed UTF-8 text", c->name, line);
        if ((unsigned char)p[i] >= 0x80) {
            used = cts_utf8_decode(&cp, p + i, n - i);
            if (used == 1)
                return cts_fail(CTS_E_FORMAT,
                                "%s line %zu: byte %02x is not UTF-8; convert the file, for example with iconv",
                                c->name, line, (unsigned char)p[i]);
        }
        line += p[i] == '\n';
        i += used;
    }
    return CTS_OK;
}

/* Takes text (malloc'd, one byte beyond n writable) over, also on failure. */
static int parse_owned(cts_csv **out, char *text, size_t n, const char *name)
{
    cts_csv *c = calloc(1, sizeof *c);
    size_t skip = n >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3) ? 3 : 0;
    int rc;

    if (!c || !(c->name = cts_strdup(name))) {
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory", name);
        goto out;
    }
    c->text = text;
    text = NULL;
    if ((rc = check_text(c, c->text + skip, n - skip)) || (rc = parse_cells(c, c->text + skip, c->text + n)))
        goto out;
    if (!c->n_rows) {
        rc = cts_fail(CTS_E_FORMAT, "%s: the file holds no header line", name);
        goto out;
    }
    for (size_t a = 0; a < c->cols; a++)
        for (size_t b = 0; b < a; b++)
            if (*c->cells[a] && !strcmp(c->cells[a], c->cells[b])) {
                rc = cts_fail(CTS_E_FORMAT, "%s: the header names column \"%s\" twice (columns %zu and %zu)", name,
                              c->cells[a], b + 1, a + 1);
                goto out;
            }
    *out = c;
    c = NULL;
out:
    free(text);
    cts_csv_destroy(c);
    return rc;
}

int cts_csv_load(cts_csv **out, const char *path)
{
    char *text;
    size_t n;
    int rc = cts_file_read(&text, &n, path, CSV_MAX_BYTES);

    return rc ? rc : parse_owned(out, text, n, path);
}

int cts_csv_parse(cts_csv **out, const char *text, size_t n, const char *name)
{
    char *copy = malloc(n + 1);

    if (!copy)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for %zu bytes", name, n);
    if (n)
        memcpy(copy, text, n);
    copy[n] = '\0';
    return parse_owned(out, copy, n, name);
}

const char *cts_csv_name(const cts_csv *c)
{
    return c->name;
}

size_t cts_csv_rows(const cts_csv *c)
{
    return c->n_rows - 1;
}

size_t cts_csv_cols(const cts_csv *c)
{
    return c->cols;
}

const char *cts_csv_header(const cts_csv *c, size_t col)
{
    return c->cells[col];
}

int cts_csv_find(const cts_csv *c, const char *column)
{
    for (size_t i = 0; i < c->cols; i++)
        if (!strcmp(c->cells[i], column))
            return (int)i;
    return -1;
}

int cts_csv_require(int *col, const cts_csv *c, const char *column)
{
    cts_str have = {0};
    int at = cts_csv_find(c, column), rc;

    if (at >= 0) {
        *col = at;
        return CTS_OK;
    }
    for (size_t i = 0; i < c->cols; i++)
        cts_str_printf(&have, "%s%s", i ? ", " : "", c->cells[i]);
    rc = cts_fail(CTS_E_FORMAT, "%s: column \"%s\" is missing, the header has: %s", c->name, column,
                  cts_str_text(&have));
    cts_str_free(&have);
    return rc;
}

const char *cts_csv_cell(const cts_csv *c, size_t row, size_t col)
{
    return c->cells[(row + 1) * c->cols + col];
}

size_t cts_csv_line(const cts_csv *c, size_t row)
{
    return c->lines[row + 1];
}

void cts_csv_put(cts_str *out, const char *cell, bool first)
{
    if (!first)
        cts_str_append(out, ",");
    if (!cell[strcspn(cell, ",\"\r\n")]) {
        cts_str_append(out, cell);
        return;
    }
    cts_str_append(out, "\"");
    for (const char *q; (q = strchr(cell, '"')); cell = q + 1) {
        cts_str_append_n(out, cell, (size_t)(q - cell) + 1);
        cts_str_append(out, "\"");
    }
    cts_str_append(out, cell);
    cts_str_append(out, "\"");
}
