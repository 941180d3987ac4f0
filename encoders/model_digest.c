/* SPDX-License-Identifier: MIT */
#include "encoders/model_digest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/base/file.h"
#include "kernels/base/json.h"
#include "kernels/base/status.h"

#define WEIGHTS "model.safetensors"
#define RECORD "digest.json"
#define MAX_RECORD ((size_t)4096)

typedef struct {
    int64_t bytes, mtime_ns;
    char sha256[CTS_DIGEST_HEX]; /* "" = none */
} record;

static int stat_weights(record *out, const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return cts_fail(errno == ENOENT ? CTS_E_NOTFOUND : CTS_E_IO, "%s: %s", path, strerror(errno));
    out->bytes = (int64_t)st.st_size;
    out->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    return CTS_OK;
}

static bool is_digest(const char *s)
{
    return strlen(s) == CTS_DIGEST_HEX - 1 && strspn(s, "0123456789abcdef") == CTS_DIGEST_HEX - 1;
}

/* What digest.json says; a record that is absent or not understood says nothing. */
static record read_record(const char *path)
{
    record r = {0}, none = {0};
    const char *format = "", *file = "", *sha = "";
    int64_t version = 0;
    json_t *j = NULL;
    int rc;

    if (!cts_file_exists(path) || cts_json_load(&j, path, MAX_RECORD) != CTS_OK)
        return none;
    rc = cts_json_string(&format, j, "format", true, path);
    rc = rc ? rc : cts_json_string(&file, j, "file", true, path);
    rc = rc ? rc : cts_json_string(&sha, j, "sha256", true, path);
    rc = rc ? rc : cts_json_int(&version, j, "version", true, 1, 1, path);
    rc = rc ? rc : cts_json_int(&r.bytes, j, "bytes", true, 0, INT64_MAX, path);
    rc = rc ? rc : cts_json_int(&r.mtime_ns, j, "mtime_ns", true, INT64_MIN, INT64_MAX, path);
    if (!rc && !strcmp(format, "ctsearch-digest") && !strcmp(file, WEIGHTS) && is_digest(sha))
        memcpy(r.sha256, sha, CTS_DIGEST_HEX);
    json_decref(j);
    return r.sha256[0] ? r : none;
}

static int write_record(const char *path, const record *r)
{
    json_t *j = json_pack("{s:s, s:i, s:s, s:I, s:I, s:s}", "format", "ctsearch-digest", "version", 1, "file", WEIGHTS,
                          "bytes", (json_int_t)r->bytes, "mtime_ns", (json_int_t)r->mtime_ns, "sha256", r->sha256);
    int rc = j ? cts_json_save(j, path) : cts_fail(CTS_E_NOMEM, "%s: out of memory", path);

    json_decref(j);
    return rc;
}

static bool same_file(const record *a, const record *b)
{
    return a->bytes == b->bytes && a->mtime_ns == b->mtime_ns;
}

/* The digest of the file as it is, with the size and time it had before it was read: if it changes meanwhile, the
 * record is stale from the start. */
static int take(record *out, const char *weights)
{
    int rc = stat_weights(out, weights);

    return rc ? rc : cts_digest_file(out->sha256, weights);
}

static int paths_of(char **weights, char **rec, const char *dir)
{
    *weights = cts_path_join(dir, WEIGHTS);
    *rec = cts_path_join(dir, RECORD);
    return *weights && *rec ? CTS_OK : cts_fail(CTS_E_NOMEM, "%s: out of memory", dir);
}

int cts_model_weights_digest(char out[CTS_DIGEST_HEX], const char *dir)
{
    char *weights = NULL, *path = NULL;
    record now = {0}, kept;
    int rc;

    if ((rc = paths_of(&weights, &path, dir)) != CTS_OK || (rc = stat_weights(&now, weights)) != CTS_OK)
        goto out;
    kept = read_record(path);
    if (kept.sha256[0] && same_file(&kept, &now)) {
        memcpy(out, kept.sha256, CTS_DIGEST_HEX);
        goto out;
    }
    if ((rc = take(&now, weights)) != CTS_OK)
        goto out;
    memcpy(out, now.sha256, CTS_DIGEST_HEX);
    if (access(dir, W_OK) == 0)
        (void)write_record(path, &now); /* the next load is slower without it, nothing else */
out:
    free(weights);
    free(path);
    return rc;
}

int cts_model_digest_write(const char *dir)
{
    char *weights = NULL, *path = NULL;
    record now = {0};
    int rc;

    if ((rc = paths_of(&weights, &path, dir)) == CTS_OK && cts_file_exists(weights) &&
        (rc = take(&now, weights)) == CTS_OK)
        rc = write_record(path, &now);
    free(weights);
    free(path);
    return rc;
}

int cts_model_digest_verify(cts_model_digest_state *out, const char *dir)
{
    char *weights = NULL, *path = NULL;
    record now = {0}, kept;
    int rc;

    if ((rc = paths_of(&weights, &path, dir)) == CTS_OK && (rc = take(&now, weights)) == CTS_OK) {
        kept = read_record(path);
        *out = (cts_model_digest_state){.bytes = now.bytes, .fresh = kept.sha256[0] && same_file(&kept, &now)};
        memcpy(out->sha256, now.sha256, CTS_DIGEST_HEX);
        memcpy(out->recorded, kept.sha256, CTS_DIGEST_HEX);
    }
    free(weights);
    free(path);
    return rc;
}
