/* The record of an item: {u64 checksum of the rest, u32 bytes of the name, u32 zero, name, JSON object}. The name
 * stands outside the JSON so that a removal need not parse it.
 * SPDX-License-Identifier: MIT */
#include "index/store_internal.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/base/json.h"
#include "kernels/base/str.h"

#define HEAD 16u

void cts_index_record_free(cts_index_record *r)
{
    if (!r)
        return;
    free(r->name);
    free(r->volume);
    free(r->patient);
    free(r->scan);
    free(r->report);
    free(r->extra);
    memset(r, 0, sizeof(*r));
}

static int set_text(json_t *j, const char *key, const char *text, const cts_store *st, const char *item)
{
    json_t *v;

    if (!text)
        return CTS_OK;
    if (strlen(text) > CTS_INDEX_TEXT_MAX)
        return cts_fail(CTS_E_LIMIT, "%s: item '%.80s': %s has %zu bytes, allowed %d", st->path, item, key,
                        strlen(text), CTS_INDEX_TEXT_MAX);
    if (!(v = json_string(text)))
        return cts_fail(CTS_E_INPUT, "%s: item '%.80s': %s is not UTF-8", st->path, item, key);
    if (json_object_set_new(j, key, v) != 0)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", st->path);
    return CTS_OK;
}

static int set_extra(json_t *j, const char *extra, const cts_store *st, const char *item)
{
    json_t *v = NULL;
    int rc;

    if (!extra)
        return CTS_OK;
    if (strlen(extra) > CTS_INDEX_TEXT_MAX)
        return cts_fail(CTS_E_LIMIT, "%s: item '%.80s': extra has %zu bytes, allowed %d", st->path, item, strlen(extra),
                        CTS_INDEX_TEXT_MAX);
    if ((rc = cts_json_parse(&v, extra, strlen(extra), item)) != CTS_OK)
        return rc;
    if (!json_is_object(v)) {
        json_decref(v);
        return cts_fail(CTS_E_INPUT, "%s: item '%.80s': extra is not a JSON object", st->path, item);
    }
    return json_object_set_new(j, "extra", v) == 0 ? CTS_OK : cts_fail(CTS_E_NOMEM, "%s: out of memory", st->path);
}

int cts_store_record_encode(char **out, size_t *n, const cts_store *st, const cts_index_item *item)
{
    json_t *j = json_pack("{s:I, s:I, s:I}", "labels", (json_int_t)item->labels, "labels_known",
                          (json_int_t)item->labels_known, "flags", (json_int_t)item->flags);
    uint32_t name_n = (uint32_t)strlen(item->name);
    char *text = NULL, *value = NULL;
    size_t text_n;
    uint64_t sum;
    int rc;

    if (!j)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", st->path);
    if ((rc = set_text(j, "volume", item->volume, st, item->name)) != CTS_OK ||
        (rc = set_text(j, "patient", item->patient, st, item->name)) != CTS_OK ||
        (rc = set_text(j, "scan", item->scan, st, item->name)) != CTS_OK ||
        (rc = set_text(j, "report", item->report, st, item->name)) != CTS_OK ||
        (rc = set_extra(j, item->extra, st, item->name)) != CTS_OK)
        goto out;
    if (!(text = json_dumps(j, JSON_COMPACT)) || !(value = malloc(HEAD + name_n + (text_n = strlen(text))))) {
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory for the record of '%.80s'", st->path, item->name);
        goto out;
    }
    memcpy(value + 8, &name_n, 4);
    memset(value + 12, 0, 4);
    memcpy(value + HEAD, item->name, name_n);
    memcpy(value + HEAD + name_n, text, text_n);
    *n = HEAD + name_n + text_n;
    sum = cts_store_sum(value + 8, *n - 8);
    memcpy(value, &sum, 8);
    *out = value;
out:
    free(text);
    json_decref(j);
    return rc;
}

int cts_store_record_name(const cts_store *st, uint64_t id, const MDB_val *v, const char **name, size_t *name_n)
{
    const char *p = v->mv_data;
    uint64_t sum;
    uint32_t n;

    if (v->mv_size < HEAD)
        return cts_fail(CTS_E_FORMAT, "%s: the record of id %llu has %zu bytes, at least %u are needed", st->path,
                        (unsigned long long)id, v->mv_size, HEAD);
    memcpy(&sum, p, 8);
    memcpy(&n, p + 8, 4);
    if (sum != cts_store_sum(p + 8, v->mv_size - 8))
        return cts_fail(CTS_E_FORMAT, "%s: the record of id %llu fails its checksum", st->path, (unsigned long long)id);
    if (n < 1 || n > CTS_INDEX_NAME_MAX || n > v->mv_size - HEAD)
        return cts_fail(CTS_E_FORMAT, "%s: the record of id %llu has a name of %u bytes, allowed 1 to %d", st->path,
                        (unsigned long long)id, n, CTS_INDEX_NAME_MAX);
    *name = p + HEAD;
    *name_n = n;
    return CTS_OK;
}

/* malloc'd copy of a string field, "" when absent. */
static int get_text(char **out, const json_t *j, const char *key, const char *name)
{
    const char *text = "";
    int rc;

    if ((rc = cts_json_string(&text, j, key, false, name)) != CTS_OK)
        return rc;
    if (!(*out = cts_strdup(text)))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", name);
    return CTS_OK;
}

static int get_u32(uint32_t *out, const json_t *j, const char *key, const char *name)
{
    int64_t v = 0;
    int rc = cts_json_int(&v, j, key, true, 0, UINT32_MAX, name);

    *out = (uint32_t)v;
    return rc;
}

int cts_store_record_decode(cts_index_record *out, const cts_store *st, uint64_t id, const MDB_val *v)
{
    cts_index_record r = {.id = id};
    const json_t *extra;
    json_t *j = NULL;
    const char *name;
    size_t name_n;
    int rc;

    if ((rc = cts_store_record_name(st, id, v, &name, &name_n)) != CTS_OK)
        return rc;
    if (!(r.name = malloc(name_n + 1)))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", st->path);
    memcpy(r.name, name, name_n);
    r.name[name_n] = 0;
    if ((rc = cts_json_parse(&j, name + name_n, v->mv_size - HEAD - name_n, r.name)) != CTS_OK)
        goto out;
    if ((rc = get_u32(&r.labels, j, "labels", r.name)) != CTS_OK ||
        (rc = get_u32(&r.labels_known, j, "labels_known", r.name)) != CTS_OK ||
        (rc = get_u32(&r.flags, j, "flags", r.name)) != CTS_OK ||
        (rc = get_text(&r.volume, j, "volume", r.name)) != CTS_OK ||
        (rc = get_text(&r.patient, j, "patient", r.name)) != CTS_OK ||
        (rc = get_text(&r.scan, j, "scan", r.name)) != CTS_OK ||
        (rc = get_text(&r.report, j, "report", r.name)) != CTS_OK)
        goto out;
    extra = json_object_get(j, "extra");
    if (!(r.extra = extra ? json_dumps(extra, JSON_COMPACT) : cts_strdup(""))) {
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory", st->path);
        goto out;
    }
    *out = r;
    memset(&r, 0, sizeof(r));
out:
    cts_index_record_free(&r);
    json_decref(j);
    return rc;
}
