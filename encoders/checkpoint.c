/* SPDX-License-Identifier: MIT */
#include "encoders/checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "encoders/model_dir.h"
#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/json.h"
#include "kernels/base/log.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

#define FORMAT "ctsearch-checkpoint"
#define PARAMS "model."
#define ARRAYS "train."

struct cts_checkpoint {
    cts_safetensors *s;
    json_t *info;
    int64_t step;
};

/* Step of a file name "checkpoint-<step>.safetensors"; -1 = another name. */
static int64_t step_of(const char *name)
{
    int64_t step = 0;
    const char *p = name;

    if (strncmp(p, "checkpoint-", 11) != 0)
        return -1;
    for (p += 11; *p >= '0' && *p <= '9'; p++) {
        if (step > INT64_MAX / 10 - 10)
            return -1;
        step = 10 * step + (*p - '0');
    }
    return p > name + 11 && !strcmp(p, ".safetensors") ? step : -1;
}

/* Left by a run that was killed while writing. */
static bool is_leftover(const char *name)
{
    return !strncmp(name, "checkpoint-", 11) && strstr(name, ".safetensors.tmp.");
}

static int by_step_down(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? 1 : x > y ? -1 : 0;
}

/* Steps of the checkpoints in dir, highest first. */
static int list_steps(int64_t **steps, size_t *n, const char *dir, bool clean)
{
    char **names = NULL;
    size_t n_names = 0;
    int rc = cts_dir_list(&names, &n_names, dir);

    if (rc != CTS_OK)
        return rc;
    *n = 0;
    if (!(*steps = malloc((n_names + 1) * sizeof **steps)))
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory for %zu names", dir, n_names);
    for (size_t i = 0; rc == CTS_OK && i < n_names; i++) {
        int64_t s = step_of(names[i]);

        if (s >= 0)
            (*steps)[(*n)++] = s;
        if (clean && is_leftover(names[i])) {
            char *path = cts_path_join(dir, names[i]);

            if (path)
                remove(path);
            free(path);
        }
    }
    if (rc == CTS_OK)
        qsort(*steps, *n, sizeof **steps, by_step_down);
    cts_list_free(names, n_names);
    return rc;
}

static char *path_of(const char *dir, int64_t step)
{
    return cts_asprintf("%s/checkpoint-%lld.safetensors", dir, (long long)step);
}

static int remove_older(const char *dir, int64_t step, int keep)
{
    int64_t *steps = NULL;
    size_t n = 0;
    int rc = list_steps(&steps, &n, dir, true);

    for (size_t i = 0; rc == CTS_OK && i < n; i++) {
        char *path;

        if (steps[i] >= step || keep-- > 1)
            continue;
        if (!(path = path_of(dir, steps[i])))
            rc = cts_fail(CTS_E_NOMEM, "%s: out of memory", dir);
        else if (remove(path) != 0)
            rc = cts_fail(CTS_E_IO, "%s: remove: %s", path, strerror(errno));
        free(path);
    }
    free(steps);
    return rc;
}

static json_t *metadata(int64_t step, const json_t *info)
{
    char number[24], *text = json_dumps(info, JSON_COMPACT);
    json_t *j = NULL;

    snprintf(number, sizeof number, "%lld", (long long)step);
    if (text)
        j = json_pack("{s:s, s:s, s:s}", "format", FORMAT, "step", number, "info", text);
    free(text);
    return j;
}

/* Parameters and arrays as tensors to write. */
static int collect(cts_st_tensor **t, char ***names, const cts_params *p, const cts_checkpoint_array *arrays, int n)
{
    int at = cts_params_n(p), rc = cts_params_tensors(t, names, p, PARAMS, n);

    for (int i = 0; rc == CTS_OK && i < n; i++, at++) {
        char *name = (*names)[at] = cts_asprintf(ARRAYS "%s", arrays[i].name);

        if (!name)
            return cts_fail(CTS_E_NOMEM, "out of memory for a checkpoint");
        (*t)[at] =
            (cts_st_tensor){name, CTS_ST_F32, 1, {arrays[i].count}, arrays[i].count, (const uint8_t *)arrays[i].data};
    }
    return rc;
}

int cts_checkpoint_save(char **path, const char *dir, int64_t step, const cts_params *p,
                        const cts_checkpoint_array *arrays, int n, const json_t *info, int keep)
{
    int total = cts_params_n(p) + n, rc;
    cts_st_tensor *t = NULL;
    char **names = NULL, *file = path_of(dir, step);
    json_t *meta = metadata(step, info);

    CTS_ASSERT(step >= 0 && json_is_object(info), "checkpoint of step %lld", (long long)step);
    if (!file || !meta) {
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory for a checkpoint", dir);
        goto out;
    }
    if ((rc = collect(&t, &names, p, arrays, n)) != CTS_OK || (rc = cts_mkdir_p(dir)) != CTS_OK ||
        (rc = cts_safetensors_write(file, total, t, meta)) != CTS_OK)
        goto out;
    if (keep > 0 && (rc = remove_older(dir, step, keep)) != CTS_OK)
        goto out;
    if (path) {
        *path = file;
        file = NULL;
    }
out:
    cts_st_names_free(names, total);
    free(t);
    free(file);
    json_decref(meta);
    return rc;
}

int cts_checkpoint_latest(char **path, const char *dir_or_file)
{
    int64_t *steps = NULL;
    size_t n = 0, bad = 0;
    char *found = NULL;
    int rc;

    if (cts_file_exists(dir_or_file) && !cts_is_dir(dir_or_file)) {
        *path = cts_strdup(dir_or_file);
        return *path ? CTS_OK : cts_fail(CTS_E_NOMEM, "%s: out of memory", dir_or_file);
    }
    if (!cts_is_dir(dir_or_file))
        return cts_fail(CTS_E_NOTFOUND, "%s: no such checkpoint file or folder", dir_or_file);
    if ((rc = list_steps(&steps, &n, dir_or_file, false)) != CTS_OK)
        goto out;
    for (size_t i = 0; i < n && !found; i++) {
        cts_checkpoint *c = NULL;

        if (!(found = path_of(dir_or_file, steps[i]))) {
            rc = cts_fail(CTS_E_NOMEM, "%s: out of memory", dir_or_file);
            goto out;
        }
        if (cts_checkpoint_open(&c, found) != CTS_OK) {
            cts_log(CTS_LOG_WARN, "passing over an unreadable checkpoint: %s", cts_error());
            free(found);
            found = NULL;
            bad++;
        }
        cts_checkpoint_close(c);
    }
    if (found)
        *path = found;
    else
        rc = cts_fail(CTS_E_NOTFOUND, "%s: no whole checkpoint-<step>.safetensors (%zu unreadable)", dir_or_file, bad);
out:
    free(steps);
    return rc;
}

/* The metadata of an open file. */
static int read_metadata(cts_checkpoint *c, const char *path)
{
    const char *format = cts_safetensors_meta(c->s, "format"), *step = cts_safetensors_meta(c->s, "step");
    const char *info = cts_safetensors_meta(c->s, "info");
    char *end = NULL;
    int rc;

    if (!format || strcmp(format, FORMAT) != 0)
        return cts_fail(CTS_E_FORMAT, "%s: metadata \"format\" is \"%.40s\", wanted " FORMAT, path,
                        format ? format : "absent");
    if (!step || !info)
        return cts_fail(CTS_E_FORMAT, "%s: metadata \"%s\" is missing", path, step ? "info" : "step");
    errno = 0;
    c->step = strtoll(step, &end, 10);
    if (errno || end == step || *end || c->step < 0)
        return cts_fail(CTS_E_FORMAT, "%s: metadata \"step\" is \"%.24s\", wanted a number of 0 or more", path, step);
    if ((rc = cts_json_parse(&c->info, info, strlen(info), path)) != CTS_OK)
        return rc;
    return json_is_object(c->info) ? CTS_OK : cts_fail(CTS_E_FORMAT, "%s: metadata \"info\" is no JSON object", path);
}

int cts_checkpoint_open(cts_checkpoint **out, const char *path)
{
    cts_checkpoint *c = calloc(1, sizeof *c);
    int rc;

    if (!c)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", path);
    if ((rc = cts_safetensors_open(&c->s, path)) != CTS_OK || (rc = read_metadata(c, path)) != CTS_OK)
        goto out;
    *out = c;
    c = NULL;
out:
    cts_checkpoint_close(c);
    return rc;
}

void cts_checkpoint_close(cts_checkpoint *c)
{
    if (!c)
        return;
    cts_safetensors_close(c->s);
    json_decref(c->info);
    free(c);
}

int64_t cts_checkpoint_step(const cts_checkpoint *c)
{
    return c->step;
}

const json_t *cts_checkpoint_info(const cts_checkpoint *c)
{
    return c->info;
}

int cts_checkpoint_params(const cts_checkpoint *c, cts_params *p)
{
    return cts_params_load(p, c->s, PARAMS);
}

static const cts_st_tensor *find_array(const cts_checkpoint *c, const char *name)
{
    char *full = cts_asprintf(ARRAYS "%s", name);
    const cts_st_tensor *t = full ? cts_safetensors_find(c->s, full) : NULL;

    free(full);
    return t;
}

bool cts_checkpoint_has(const cts_checkpoint *c, const char *name)
{
    return find_array(c, name) != NULL;
}

int cts_checkpoint_read(const cts_checkpoint *c, const char *name, float *dst, int64_t count)
{
    const cts_st_tensor *t = find_array(c, name);

    if (!t)
        return cts_fail(CTS_E_MISMATCH, "%s: array %s is missing", cts_safetensors_path(c->s), name);
    if (t->count != count)
        return cts_fail(CTS_E_MISMATCH, "%s: array %s has %lld values, wanted %lld", cts_safetensors_path(c->s), name,
                        (long long)t->count, (long long)count);
    cts_st_to_f32(dst, t);
    return CTS_OK;
}
