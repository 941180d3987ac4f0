/* SPDX-License-Identifier: MIT */
#include "tests/support/golden.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/base/bytes.h"
#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/half.h"
#include "kernels/base/json.h"
#include "kernels/base/str.h"

struct cts_golden {
    cts_map map;
    json_t *header; /* owns metadata texts */
    cts_golden_tensor *tensors;
    size_t n;
    char *file; /* base name without .safetensors: the key in tolerances.json */
};

/* ---- folders ---- */

const char *cts_golden_dir(void)
{
    const char *dir = getenv("CTS_GOLDEN_DIR");

    return dir && *dir ? dir : CTS_SOURCE_DIR "/tests/golden";
}

const char *cts_golden_data_dir(void)
{
    static char buf[4096];
    const char *dir = getenv("CTS_DATA_DIR");

    if (dir && *dir)
        return dir;
    snprintf(buf, sizeof buf, "%s/../data", cts_golden_dir());
    return buf;
}

static char *need_path(const char *dir, const char *file)
{
    char *path = cts_path_join(dir, file);
    const char *set = getenv("CTS_GOLDEN_DIR");

    if (path && cts_file_exists(path))
        return path;
    if (set && *set)
        fail_msg("golden: %s is missing and CTS_GOLDEN_DIR is set", path ? path : file);
    fprintf(stderr, "golden: skipped, %s is not in the project (set CTS_GOLDEN_DIR)\n", path ? path : file);
    free(path);
    skip();
    return NULL;
}

char *cts_golden_need_path(const char *file)
{
    return need_path(cts_golden_dir(), file);
}

char *cts_golden_need_data_path(const char *file)
{
    return need_path(cts_golden_data_dir(), file);
}

json_t *cts_golden_need_json(const char *file)
{
    char *path = cts_golden_need_path(file);
    json_t *j = NULL;

    if (cts_json_load(&j, path, (size_t)256 << 20))
        fail_msg("golden: %s", cts_error());
    free(path);
    return j;
}

/* ---- safetensors ---- */

static size_t dtype_bytes(const char *d)
{
    static const struct {
        const char *name;
        size_t bytes;
    } known[] = {{"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8}, {"I32", 4}, {"I16", 2},
                 {"I8", 1},  {"U64", 8}, {"U32", 4}, {"U16", 2},  {"U8", 1},  {"BOOL", 1}};

    for (size_t i = 0; i < CTS_COUNT(known); i++)
        if (!strcmp(d, known[i].name))
            return known[i].bytes;
    return 0;
}

static int read_tensor(cts_golden_tensor *t, const char *name, const json_t *j, const uint8_t *data, size_t n_data,
                       const char *path)
{
    const char *dtype = json_string_value(json_object_get(j, "dtype"));
    const json_t *shape = json_object_get(j, "shape"), *range = json_object_get(j, "data_offsets");
    int64_t from = json_integer_value(json_array_get(range, 0)), to = json_integer_value(json_array_get(range, 1));
    size_t bytes = dtype ? dtype_bytes(dtype) : 0;

    if (!bytes || !json_is_array(shape) || json_array_size(shape) > 8 || json_array_size(range) != 2)
        return cts_fail(CTS_E_FORMAT, "%s: entry of tensor %s is malformed", path, name);
    t->count = 1;
    t->n_dims = (int)json_array_size(shape);
    for (int a = 0; a < t->n_dims; a++) {
        t->shape[a] = json_integer_value(json_array_get(shape, (size_t)a));
        if (t->shape[a] < 0 || !cts_mul_size(&t->count, t->count, (size_t)t->shape[a]))
            return cts_fail(CTS_E_FORMAT, "%s: shape of tensor %s does not fit", path, name);
    }
    if (!cts_mul_size(&bytes, bytes, t->count) || from < 0 || to < from || (size_t)to > n_data ||
        (size_t)(to - from) != bytes)
        return cts_fail(
            CTS_E_FORMAT,
            "%s: data_offsets of tensor %s are %lld to %lld, the file holds %zu bytes and its shape needs %zu", path,
            name, (long long)from, (long long)to, n_data, bytes);
    snprintf(t->dtype, sizeof t->dtype, "%s", dtype);
    t->data = data + from;
    return (t->name = cts_strdup(name)) ? CTS_OK : cts_fail(CTS_E_NOMEM, "%s: out of memory", path);
}

int cts_golden_open_path(cts_golden **out, const char *path)
{
    cts_golden *g = calloc(1, sizeof *g);
    cts_bytes b;
    const uint8_t *text;
    const char *name;
    json_t *value;
    uint64_t n;
    int rc;

    if (!g)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", path);
    if ((rc = cts_map_open(&g->map, path, (size_t)4 << 30)))
        goto out;
    b = cts_bytes_of(g->map.p, g->map.n);
    n = cts_bytes_u64(&b);
    if (n > cts_bytes_left(&b) || !(text = cts_bytes_take(&b, (size_t)n))) {
        rc = cts_fail(CTS_E_FORMAT, "%s: header length is %llu, the file holds %zu bytes", path, (unsigned long long)n,
                      g->map.n);
        goto out;
    }
    if ((rc = cts_json_parse(&g->header, (const char *)text, (size_t)n, path)))
        goto out;
    if (!(g->tensors = calloc(json_object_size(g->header) + 1, sizeof *g->tensors)) ||
        !(g->file = cts_strdup(cts_path_base(path)))) {
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory", path);
        goto out;
    }
    if (strstr(g->file, ".safetensors"))
        *strstr(g->file, ".safetensors") = '\0';
    json_object_foreach(g->header, name, value)
    {
        if (!strcmp(name, "__metadata__"))
            continue;
        if ((rc = read_tensor(&g->tensors[g->n++], name, value, g->map.p + b.at, g->map.n - b.at, path)))
            goto out;
    }
    *out = g;
    g = NULL;
out:
    cts_golden_close(g);
    return rc;
}

cts_golden *cts_golden_need(const char *file)
{
    char *path = cts_golden_need_path(file);
    cts_golden *g = NULL;

    if (cts_golden_open_path(&g, path))
        fail_msg("golden: %s", cts_error());
    free(path);
    return g;
}

void cts_golden_close(cts_golden *g)
{
    if (!g)
        return;
    for (size_t i = 0; g->tensors && i < g->n; i++)
        free(g->tensors[i].name);
    free(g->tensors);
    free(g->file);
    json_decref(g->header);
    cts_map_close(&g->map);
    free(g);
}

size_t cts_golden_count(const cts_golden *g)
{
    return g->n;
}

const cts_golden_tensor *cts_golden_at(const cts_golden *g, size_t i)
{
    return &g->tensors[i];
}

/* ---- metadata ---- */

const char *cts_golden_meta(const cts_golden *g, const char *key)
{
    return json_string_value(json_object_get(json_object_get(g->header, "__metadata__"), key));
}

static const char *need_meta(const cts_golden *g, const char *key)
{
    const char *text = cts_golden_meta(g, key);

    if (!text)
        fail_msg("golden: %s has no metadata \"%s\"", g->file, key);
    return text;
}

json_t *cts_golden_need_meta_json(const cts_golden *g, const char *key)
{
    const char *text = need_meta(g, key);
    json_t *j = json_loads(text, JSON_DECODE_ANY, NULL);

    if (!j)
        fail_msg("golden: metadata \"%s\" of %s is not JSON: %s", key, g->file, text);
    return j;
}

int64_t cts_golden_need_meta_int(const cts_golden *g, const char *key)
{
    const char *text = need_meta(g, key);
    char *end;
    int64_t v = strtoll(text, &end, 10);

    if (end == text || *end)
        fail_msg("golden: metadata \"%s\" of %s is no integer: %s", key, g->file, text);
    return v;
}

int cts_golden_need_meta_ints(const cts_golden *g, const char *key, int64_t *out, int max)
{
    json_t *j = cts_golden_need_meta_json(g, key);
    int n = (int)json_array_size(j);

    if (!json_is_array(j) || n > max)
        fail_msg("golden: metadata \"%s\" of %s is no array of at most %d", key, g->file, max);
    for (int i = 0; i < n; i++)
        out[i] = json_integer_value(json_array_get(j, (size_t)i));
    json_decref(j);
    return n;
}

uint64_t cts_golden_seed(const cts_golden *g)
{
    return (uint64_t)cts_golden_need_meta_int(g, "set_seed");
}

/* ---- tensors ---- */

static const cts_golden_tensor *lookup(const cts_golden *g, const char *name)
{
    for (size_t i = 0; i < g->n; i++)
        if (!strcmp(g->tensors[i].name, name))
            return &g->tensors[i];
    return NULL;
}

#define FORMAT_NAME(name)                                                                                              \
    char name[512];                                                                                                    \
    va_list ap;                                                                                                        \
    va_start(ap, fmt);                                                                                                 \
    vsnprintf(name, sizeof name, fmt, ap);                                                                             \
    va_end(ap)

static const cts_golden_tensor *need_tensor(const cts_golden *g, const char *name)
{
    const cts_golden_tensor *t = lookup(g, name);

    if (!t)
        fail_msg("golden: %s holds no tensor %s", g->file, name);
    return t;
}

const cts_golden_tensor *cts_golden_find(const cts_golden *g, const char *fmt, ...)
{
    FORMAT_NAME(name);
    return lookup(g, name);
}

const cts_golden_tensor *cts_golden_need_tensor(const cts_golden *g, const char *fmt, ...)
{
    FORMAT_NAME(name);
    return need_tensor(g, name);
}

static const cts_golden_tensor *part(const cts_golden *g, const char *name, const char *tail)
{
    char full[600];

    snprintf(full, sizeof full, "%s%s", name, tail);
    return lookup(g, full);
}

bool cts_golden_has(const cts_golden *g, const char *fmt, ...)
{
    FORMAT_NAME(name);
    return lookup(g, name) || (part(g, name, ".idx") && part(g, name, ".val") && part(g, name, ".shape"));
}

static double element(const cts_golden_tensor *t, size_t i)
{
    size_t w = dtype_bytes(t->dtype);
    cts_bytes b = cts_bytes_of(t->data + i * w, w);
    const char *d = t->dtype;

    if (!strcmp(d, "F32"))
        return cts_bytes_f32(&b);
    if (!strcmp(d, "F64"))
        return cts_bytes_f64(&b);
    if (!strcmp(d, "F16"))
        return cts_f16_to_f32(cts_bytes_u16(&b));
    if (!strcmp(d, "BF16"))
        return cts_bf16_to_f32(cts_bytes_u16(&b));
    if (!strcmp(d, "I64"))
        return (double)cts_bytes_i64(&b);
    if (!strcmp(d, "I32"))
        return cts_bytes_i32(&b);
    if (!strcmp(d, "I16"))
        return cts_bytes_i16(&b);
    if (!strcmp(d, "I8"))
        return (int8_t)cts_bytes_u8(&b);
    if (!strcmp(d, "U64"))
        return (double)cts_bytes_u64(&b);
    if (!strcmp(d, "U32"))
        return cts_bytes_u32(&b);
    if (!strcmp(d, "U16"))
        return cts_bytes_u16(&b);
    return cts_bytes_u8(&b);
}

static void *need_memory(size_t n)
{
    void *p = malloc(n ? n : 1);

    if (!p)
        fail_msg("golden: out of memory for %zu bytes", n);
    return p;
}

float *cts_golden_need_floats(const cts_golden *g, const char *fmt, ...)
{
    FORMAT_NAME(name);
    const cts_golden_tensor *t = need_tensor(g, name);
    float *p = need_memory(t->count * sizeof *p);

    if (!strcmp(t->dtype, "F32") && t->count)
        memcpy(p, t->data, t->count * sizeof *p);
    else
        for (size_t i = 0; i < t->count; i++)
            p[i] = (float)element(t, i);
    return p;
}

double *cts_golden_need_doubles(const cts_golden *g, const char *fmt, ...)
{
    FORMAT_NAME(name);
    const cts_golden_tensor *t = need_tensor(g, name);
    double *p = need_memory(t->count * sizeof *p);

    for (size_t i = 0; i < t->count; i++)
        p[i] = element(t, i);
    return p;
}

int64_t *cts_golden_need_ints(const cts_golden *g, const char *fmt, ...)
{
    FORMAT_NAME(name);
    const cts_golden_tensor *t = need_tensor(g, name);
    int64_t *p = need_memory(t->count * sizeof *p);

    if (t->dtype[0] == 'F' || t->dtype[0] == 'B')
        if (strcmp(t->dtype, "BOOL"))
            fail_msg("golden: tensor %s of %s is %s, expected integers", name, g->file, t->dtype);
    if (!strcmp(t->dtype, "I64") && t->count)
        memcpy(p, t->data, t->count * sizeof *p);
    else
        for (size_t i = 0; i < t->count; i++)
            p[i] = (int64_t)element(t, i);
    return p;
}

int cts_golden_need_shape(const cts_golden *g, int64_t shape[8], const char *fmt, ...)
{
    FORMAT_NAME(name);
    const cts_golden_tensor *t = lookup(g, name);

    if (t) {
        memcpy(shape, t->shape, sizeof t->shape);
        return t->n_dims;
    }
    if (!(t = part(g, name, ".shape")) || t->count > 8)
        fail_msg("golden: %s holds neither tensor %s nor its samples", g->file, name);
    for (size_t a = 0; a < t->count; a++)
        shape[a] = (int64_t)element(t, a);
    return (int)t->count;
}

/* ---- comparison ---- */

double cts_golden_rms(const float *p, size_t n)
{
    double s = 0;

    for (size_t i = 0; i < n; i++)
        s += (double)p[i] * p[i];
    return n ? sqrt(s / (double)n) : 0;
}

double cts_golden_rms_diff(const float *a, const float *b, size_t n)
{
    double s = 0;

    for (size_t i = 0; i < n; i++)
        s += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return n ? sqrt(s / (double)n) : 0;
}

bool cts_golden_tolerance(const char *file, const char *name, double row[4])
{
    static json_t *all; /* one load a process */
    const json_t *values;

    if (!all)
        all = cts_golden_need_json("tolerances.json");
    values = json_object_get(json_object_get(json_object_get(all, "files"), file), name);
    if (json_array_size(values) != 4)
        return false;
    for (size_t i = 0; i < 4; i++)
        row[i] = json_number_value(json_array_get(values, i));
    return true;
}

/* mean, population deviation, min, max, norm, order checksum of all elements against T.stat. limit bounds the rms
 * error, which also bounds the errors of mean and deviation, and times sqrt(n) that of the norm; the checksum's
 * weights are random, so its error grows with sqrt(n) as well, with room for chance. */
static bool stat_near(const cts_golden *g, const char *name, const float *got, size_t n, double limit)
{
    static const char *const what[6] = {"mean", "deviation", "min", "max", "norm", "checksum"};
    const cts_golden_tensor *t = part(g, name, ".stat");
    double s = 0, q = 0, c = 0, have[6], root = sqrt((double)n);
    uint64_t seed = cts_formula_seed(cts_golden_seed(g), "checksum");
    bool near = true;

    if (!t)
        return true;
    for (size_t i = 0; i < n; i++) {
        s += got[i];
        c += got[i] * cts_formula_x(seed, i);
    }
    have[0] = s / (double)n;
    for (size_t i = 0; i < n; i++)
        q += (got[i] - have[0]) * (got[i] - have[0]);
    have[1] = sqrt(q / (double)n);
    have[2] = have[3] = 0;
    have[4] = sqrt(q + s * have[0]);
    have[5] = c;
    for (size_t k = 0; k < t->count && k < 6; k++) {
        double want = element(t, k), room = (k < 4    ? 2 * limit
                                             : k == 4 ? 2 * limit * root
                                                      : 8 * limit * root) +
                                            1e-9 * fabs(want);

        if (k == 2 || k == 3)
            continue; /* single elements: the samples speak for them */
        if (!(fabs(have[k] - want) <= room)) {
            fprintf(stderr, "golden: %s %s: %s of all elements %.9g, expected %.9g, limit %.3g\n", g->file, name,
                    what[k], have[k], want, room);
            near = false;
        }
    }
    return near;
}

bool cts_golden_near(const cts_golden *g, const char *name, const float *got, size_t n, double relative,
                     double absolute)
{
    const cts_golden_tensor *t = lookup(g, name), *idx = part(g, name, ".idx"), *val = part(g, name, ".val");
    int64_t shape[8];
    int n_dims = cts_golden_need_shape(g, shape, "%s", name);
    double err = 0, ref = 0, worst = 0, row[4], limit = 0;
    size_t total = 1, count = t ? t->count : val ? val->count : 0, at = 0;
    bool near;

    for (int a = 0; a < n_dims; a++)
        total *= (size_t)shape[a];
    if (total != n)
        fail_msg("golden: %s %s has %zu elements, %zu were computed", g->file, name, total, n);
    if (!t && (!idx || !val || idx->count != val->count))
        fail_msg("golden: samples of %s %s are incomplete", g->file, name);
    for (size_t i = 0; i < count; i++) {
        size_t k = t ? i : (size_t)element(idx, i);
        double want = element(t ? t : val, i), d;

        if (k >= n)
            fail_msg("golden: sample %zu of %s %s lies at %zu of %zu", i, g->file, name, k, n);
        d = fabs(got[k] - want);
        err += d * d;
        ref += want * want;
        if (!(d <= worst)) {
            worst = d;
            at = k;
        }
    }
    err = count ? sqrt(err / (double)count) : 0;
    ref = count ? sqrt(ref / (double)count) : 0;
    if (relative >= 0)
        limit = relative * ref + absolute;
    else if (cts_golden_tolerance(g->file, name, row))
        limit = 8 * row[1] + 1e-6 * ref + absolute;
    else
        fail_msg("golden: tolerances.json has no row for %s %s", g->file, name);
    near = err <= limit;
    if (!near)
        fprintf(stderr,
                "golden: %s %s: rms error %.3g, limit %.3g, rms of golden %.3g, largest error %.3g at flat index %zu\n",
                g->file, name, err, limit, ref, worst, at);
    return !t ? stat_near(g, name, got, n, limit) && near : near;
}
