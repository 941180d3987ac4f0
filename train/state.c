/* SPDX-License-Identifier: MIT */
#include "train/state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "encoders/checkpoint.h"
#include "kernels/base/file.h"
#include "kernels/base/json.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

#define LOG_MAX_BYTES ((size_t)1 << 30)

/* m.<name>, v.<name> for every trained entry; n receives how many arrays. */
static cts_checkpoint_array *moment_arrays(const cts_params *p, const cts_adamw *a, int *n)
{
    cts_checkpoint_array *arr = calloc((size_t)(2 * a->n + 1), sizeof *arr);

    *n = 0;
    for (int i = 0; arr && i < a->n; i++) {
        const cts_param *e = cts_params_get(p, i);

        if (!a->m[i])
            continue;
        arr[(*n)++] = (cts_checkpoint_array){cts_asprintf("m.%s", e->name), e->count, a->m[i]};
        arr[(*n)++] = (cts_checkpoint_array){cts_asprintf("v.%s", e->name), e->count, a->v[i]};
    }
    return arr;
}

static void free_arrays(cts_checkpoint_array *arr, int n)
{
    for (int i = 0; arr && i < n; i++)
        free((char *)arr[i].name);
    free(arr);
}

static json_t *describe(const cts_loop_config *c, const cts_loop_task *t, const cts_adamw *a, int64_t step)
{
    return json_pack("{s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:s, s:s, s:f}", "step", (json_int_t)step, "steps",
                     (json_int_t)c->schedule.steps, "adamw_t", (json_int_t)a->t, "seed", "", "batch",
                     (json_int_t)c->batch, "accumulate", (json_int_t)c->accumulate, "pairs", (json_int_t)t->n, "data",
                     c->data_digest ? c->data_digest : "", "loss", t->kind, "lr", c->schedule.lr);
}

int cts_train_state_save(const cts_loop_config *c, const cts_loop_task *t, const cts_adamw *a, int64_t step)
{
    char *dir = cts_path_join(c->dir, "checkpoints"), seed[32];
    cts_checkpoint_array *arr = NULL;
    json_t *info = NULL;
    int n = 0, rc = CTS_E_NOMEM;

    snprintf(seed, sizeof seed, "%llu", (unsigned long long)c->seed); /* 64 bits do not fit a JSON number everywhere */
    arr = moment_arrays(t->params, a, &n);
    info = describe(c, t, a, step);
    if (dir && arr && info && !json_object_set_new(info, "seed", json_string(seed)))
        rc = cts_checkpoint_save(NULL, dir, step, t->params, arr, n, info, c->keep);
    else
        cts_fail(rc, "out of memory for a checkpoint");
    free_arrays(arr, n);
    json_decref(info);
    free(dir);
    return rc;
}

static int refuse(const char *path, const char *field, const char *got, const char *wanted)
{
    return cts_fail(
        CTS_E_MISMATCH,
        "%s: %s of the run is %s, the checkpoint was made with %s; resume with the same options or start a new run",
        path, field, wanted, got);
}

static int check_number(const json_t *info, const char *key, int64_t wanted, const char *path)
{
    char a[32], b[32];
    int64_t got = 0;
    int rc = cts_json_int(&got, info, key, true, INT64_MIN, INT64_MAX, path);

    if (rc || got == wanted)
        return rc;
    snprintf(a, sizeof a, "%lld", (long long)got);
    snprintf(b, sizeof b, "%lld", (long long)wanted);
    return refuse(path, key, a, b);
}

static int check_text(const json_t *info, const char *key, const char *wanted, const char *path)
{
    const char *got = "";
    int rc = cts_json_string(&got, info, key, true, path);

    return rc || !strcmp(got, wanted) ? rc : refuse(path, key, got, wanted);
}

static int check_run(const cts_loop_config *c, const cts_loop_task *t, const json_t *info, const char *path)
{
    char seed[32];
    int rc;

    snprintf(seed, sizeof seed, "%llu", (unsigned long long)c->seed);
    if ((rc = check_number(info, "batch", c->batch, path)) ||
        (rc = check_number(info, "accumulate", c->accumulate, path)) ||
        (rc = check_number(info, "pairs", t->n, path)) || (rc = check_text(info, "seed", seed, path)) ||
        (rc = check_text(info, "loss", t->kind, path)) ||
        (rc = check_text(info, "data", c->data_digest ? c->data_digest : "", path)))
        return rc;
    return CTS_OK;
}

static int read_moments(const cts_checkpoint *k, const cts_params *p, cts_adamw *a)
{
    cts_checkpoint_array *arr;
    int n = 0, rc = CTS_OK;

    if (!(arr = moment_arrays(p, a, &n)))
        return cts_fail(CTS_E_NOMEM, "out of memory for a checkpoint");
    for (int i = 0; !rc && i < n; i++)
        rc = cts_checkpoint_read(k, arr[i].name, (float *)arr[i].data,
                                 arr[i].count); /* our own arrays, const only in the struct */
    free_arrays(arr, n);
    return rc;
}

int cts_train_state_load(const cts_loop_config *c, const cts_loop_task *t, cts_adamw *a, int64_t *step, int64_t *steps)
{
    char *dir = cts_path_join(c->dir, "checkpoints"), *path = NULL;
    cts_checkpoint *k = NULL;
    int64_t taken = 0, total = 0;
    int rc;

    if (!dir)
        return cts_fail(CTS_E_NOMEM, "out of memory");
    if ((rc = cts_checkpoint_latest(&path, dir)) || (rc = cts_checkpoint_open(&k, path)) ||
        (rc = check_run(c, t, cts_checkpoint_info(k), path)) ||
        (rc = cts_json_int(&taken, cts_checkpoint_info(k), "adamw_t", true, 0, INT64_MAX, path)) ||
        (rc = cts_json_int(&total, cts_checkpoint_info(k), "steps", true, 1, INT64_MAX, path)) ||
        (rc = cts_checkpoint_params(k, t->params)) || (rc = read_moments(k, t->params, a)))
        goto out;
    a->t = taken;
    *step = cts_checkpoint_step(k);
    *steps = total;
out:
    cts_checkpoint_close(k);
    free(path);
    free(dir);
    return rc;
}

/* Keep the lines of the log whose "step" is at most `step`. */
static int trim_log(const char *path, int64_t step)
{
    char *text = NULL, *line, *end;
    cts_str kept = {0};
    size_t n;
    int rc;

    if ((rc = cts_file_read(&text, &n, path, LOG_MAX_BYTES)))
        return rc;
    for (line = text; line < text + n; line = end + 1) {
        const char *at;

        if (!(end = memchr(line, '\n', (size_t)(text + n - line))))
            break; /* a torn last line is not kept */
        *end = '\0';
        at = strstr(line, "\"step\":");
        if (at && atoll(at + 7) <= step) {
            cts_str_append(&kept, line);
            cts_str_append(&kept, "\n");
        }
    }
    rc = kept.failed ? cts_fail(CTS_E_NOMEM, "out of memory for %s", path)
                     : cts_file_write_atomic(path, cts_str_text(&kept), kept.n);
    cts_str_free(&kept);
    free(text);
    return rc;
}

int cts_train_log_open(FILE **out, const char *dir, int64_t step)
{
    char *path = cts_path_join(dir, "log.jsonl");
    FILE *f;
    int rc = path ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory");

    if (!rc && step > 0 && cts_file_exists(path))
        rc = trim_log(path, step);
    if (!rc && !(f = fopen(path, step > 0 ? "a" : "w")))
        rc = cts_fail(CTS_E_IO, "%s: cannot be opened for writing", path);
    if (!rc)
        *out = f;
    free(path);
    return rc;
}

int cts_train_log_max(double *out, const char *dir, const char *key)
{
    char *path = cts_path_join(dir, "log.jsonl"), *quoted = cts_asprintf("\"%s\":", key), *text = NULL;
    double best = NAN;
    size_t n;
    int rc = path && quoted ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory");

    if (!rc && cts_file_exists(path) && !(rc = cts_file_read(&text, &n, path, LOG_MAX_BYTES)))
        for (const char *at = text; (at = strstr(at, quoted)); at += strlen(quoted)) {
            char *end;
            double v = strtod(at + strlen(quoted), &end);

            if (end != at + strlen(quoted) && !(v <= best))
                best = v;
        }
    if (!rc)
        *out = best;
    free(text);
    free(quoted);
    free(path);
    return rc;
}

int cts_train_log_line(FILE *f, const json_t *line)
{
    char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(17));
    int rc = CTS_OK;

    if (!text)
        return cts_fail(CTS_E_NOMEM, "out of memory for a log line");
    if (fprintf(f, "%s\n", text) < 0 || fflush(f))
        rc = cts_fail(CTS_E_IO, "log.jsonl: cannot be written (disk full?)");
    free(text);
    return rc;
}
