/* SPDX-License-Identifier: MIT */
#include "kernels/base/npy.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/bytes.h"
#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/half.h"
#include "kernels/base/status.h"

#define NPY_MAX_BYTES ((size_t)1 << 40)
#define NPY_MAX_HEADER 65536
#define NPY_ALIGN 64 /* the data starts at a multiple of it, so that a map can be read in place */

static const uint8_t npy_magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

int cts_npy_save_f32(const char *path, const float *rows, size_t n, size_t d)
{
    char header[256];
    uint8_t lead[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
    size_t text, padded, bytes;
    cts_writer *w = NULL;
    int rc;

    if (!cts_mul_size(&bytes, n, d) || !cts_mul_size(&bytes, bytes, sizeof(float)))
        return cts_fail(CTS_E_LIMIT, "%s: an array of %zu x %zu floats is too large", path, n, d);
    text = (size_t)snprintf(header, sizeof(header), "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }",
                            n, d);
    padded = (sizeof(lead) + text + 1 + NPY_ALIGN - 1) / NPY_ALIGN * NPY_ALIGN - sizeof(lead);
    memset(header + text, ' ', padded - text);
    header[padded - 1] = '\n';
    lead[8] = (uint8_t)(padded & 255);
    lead[9] = (uint8_t)(padded >> 8);
    if ((rc = cts_writer_open(&w, path)) != CTS_OK)
        return rc;
    if ((rc = cts_writer_write(w, lead, sizeof(lead))) != CTS_OK)
        goto out;
    if ((rc = cts_writer_write(w, header, padded)) != CTS_OK)
        goto out;
    if ((rc = cts_writer_write(w, rows, bytes)) != CTS_OK)
        goto out;
    rc = cts_writer_commit(w);
out:
    cts_writer_destroy(w);
    return rc;
}

/* The text after "'key':" of the header's dictionary, blanks skipped; NULL when the key is absent. */
static const char *header_value(const char *header, const char *key)
{
    char quoted[32];
    const char *p;

    snprintf(quoted, sizeof(quoted), "'%s':", key);
    p = strstr(header, quoted);
    if (!p)
        return NULL;
    p += strlen(quoted);
    while (*p == ' ')
        p++;
    return p;
}

static bool read_size(size_t *out, const char **p)
{
    size_t v = 0;

    while (**p == ' ')
        (*p)++;
    if (!isdigit((unsigned char)**p))
        return false;
    for (; isdigit((unsigned char)**p); (*p)++)
        if (!cts_mul_size(&v, v, 10) || !cts_add_size(&v, v, (size_t)(**p - '0')))
            return false;
    *out = v;
    return true;
}

/* "(n, d)" with any blanks and nothing else inside */
static bool read_shape(size_t *n, size_t *d, const char *p)
{
    if (*p++ != '(' || !read_size(n, &p))
        return false;
    while (*p == ' ')
        p++;
    if (*p++ != ',' || !read_size(d, &p))
        return false;
    while (*p == ' ' || *p == ',')
        p++;
    return *p == ')';
}

/* What the header says of the data. */
typedef struct {
    size_t n, d;  /* rows, columns */
    size_t item;  /* bytes: 2, 4 or 8 of a float */
    bool swap;    /* big endian */
    bool columns; /* Fortran order: a column lies together */
} npy_layout;

/* Length of a value of the dictionary for a message: up to the comma or brace that ends it. */
static int value_length(const char *p)
{
    size_t n = *p == '(' ? strcspn(p, ")") + 1 : strcspn(p, ",}");

    return (int)(n < 40 ? n : 40);
}

static int read_type(npy_layout *a, const char *descr, const char *path)
{
    bool quoted = descr[0] == '\'' && strchr("<>=", descr[1]) && descr[2] == 'f';

    a->item = quoted && descr[4] == '\'' && strchr("248", descr[3]) ? (size_t)(descr[3] - '0') : 0;
    a->swap = quoted && descr[1] == '>';
    if (!a->item)
        return cts_fail(CTS_E_UNSUPPORTED,
                        "%s: npy descr is %.*s, allowed are floats of 2, 4 and 8 bytes: np.save(file, "
                        "x.astype(np.float32))",
                        path, value_length(descr), descr);
    return CTS_OK;
}

/* Cursor b stands behind the magic; afterwards at the data. */
static int parse_header(cts_bytes *b, npy_layout *a, const char *path)
{
    char header[NPY_MAX_HEADER + 1];
    const uint8_t *text;
    const char *descr, *order, *shape;
    unsigned major;
    size_t bytes;

    major = cts_bytes_u8(b);
    cts_bytes_skip(b, 1);
    bytes = major == 1 ? cts_bytes_u16(b) : cts_bytes_u32(b);
    if (b->bad || major < 1 || major > 3)
        return cts_fail(CTS_E_FORMAT, "%s: npy version %u, allowed 1 to 3", path, major);
    if (bytes > NPY_MAX_HEADER)
        return cts_fail(CTS_E_LIMIT, "%s: npy header is %zu bytes, allowed at most %d", path, bytes, NPY_MAX_HEADER);
    text = cts_bytes_take(b, bytes);
    if (!text)
        return cts_fail(CTS_E_FORMAT, "%s: file ends inside the npy header", path);
    memcpy(header, text, bytes);
    header[bytes] = '\0';
    descr = header_value(header, "descr");
    order = header_value(header, "fortran_order");
    shape = header_value(header, "shape");
    if (!descr || !order || !shape)
        return cts_fail(CTS_E_FORMAT, "%s: npy header lacks descr, fortran_order or shape", path);
    if (read_type(a, descr, path) != CTS_OK)
        return CTS_E_UNSUPPORTED;
    if (strncmp(order, "False", 5) && strncmp(order, "True", 4))
        return cts_fail(CTS_E_FORMAT, "%s: npy fortran_order is %.*s, allowed True and False", path,
                        value_length(order), order);
    a->columns = *order == 'T';
    if (!read_shape(&a->n, &a->d, shape))
        return cts_fail(CTS_E_FORMAT, "%s: npy shape is %.*s, allowed two dimensions", path, value_length(shape),
                        shape);
    return CTS_OK;
}

static float read_float(cts_bytes *b, size_t item)
{
    return item == 2 ? cts_f16_to_f32(cts_bytes_u16(b)) : item == 4 ? cts_bytes_f32(b) : (float)cts_bytes_f64(b);
}

int cts_npy_load_f32(float **rows, size_t *n, size_t *d, const char *path)
{
    size_t count, bytes;
    npy_layout a = {0};
    const uint8_t *magic;
    float *values = NULL;
    cts_map map = {0};
    cts_bytes b;
    int rc;

    if ((rc = cts_map_open(&map, path, NPY_MAX_BYTES)) != CTS_OK)
        return rc;
    b = cts_bytes_of(map.p, map.n);
    magic = cts_bytes_take(&b, sizeof(npy_magic));
    if (!magic || memcmp(magic, npy_magic, sizeof(npy_magic)) != 0) {
        rc = cts_fail(CTS_E_FORMAT, "%s: does not start with the npy magic", path);
        goto out;
    }
    if ((rc = parse_header(&b, &a, path)) != CTS_OK)
        goto out;
    if (!cts_mul_size(&count, a.n, a.d) || !cts_mul_size(&bytes, count, a.item) || bytes != cts_bytes_left(&b)) {
        rc = cts_fail(CTS_E_FORMAT, "%s: npy shape (%zu, %zu) of %zu-byte items does not match %zu bytes of data", path,
                      a.n, a.d, a.item, cts_bytes_left(&b));
        goto out;
    }
    values = malloc(count ? count * sizeof(*values) : 1);
    if (!values) {
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory for %zu floats", path, count);
        goto out;
    }
    b.swap = a.swap;
    for (size_t i = 0; i < count; i++)
        values[a.columns ? i % a.n * a.d + i / a.n : i] = read_float(&b, a.item);
    *rows = values;
    *n = a.n;
    *d = a.d;
    values = NULL; /* the caller's now */
out:
    free(values);
    cts_map_close(&map);
    return rc;
}
