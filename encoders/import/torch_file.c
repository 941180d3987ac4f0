/* SPDX-License-Identifier: MIT */
#include "encoders/import/torch_file.h"

#include <stdlib.h>
#include <string.h>

#include "encoders/import/pickle.h"
#include "encoders/import/torch_names.h"
#include "encoders/import/torch_tensor.h"
#include "encoders/import/zip.h"
#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

#define MAX_NAME 1024
#define MAX_TENSORS (1 << 18) /* the largest models have some 10,000 */

typedef cts_pickle_value value;

/* Keys under which training scripts put the state dict. */
static const char *const wrappers[] = {"model", "state_dict", "model_state_dict", "module"};

struct cts_torch_file {
    char *path;
    cts_map map;
    cts_zip *zip;
    char *prefix;
    const char *key;
    cts_weight *t;
    int n;
};

bool cts_torch_is_legacy(const void *p, size_t n)
{
    const uint8_t *b = p;

    return (n >= 2 && b[0] == 0x80 && b[1] >= 2 && b[1] <= 5) || (n >= 262 && !memcmp(b + 257, "ustar", 5));
}

/* ---- the archive ----------------------------------------------------------------------------------------------- */

/* The one entry NAME/data.pkl; sets the prefix. */
static int find_pickle(cts_torch_file *f, const cts_zip_entry **out)
{
    const char *suffix = "/data.pkl";
    const cts_zip_entry *found = NULL;
    bool compiled = false;
    int rc;

    for (size_t i = 0; i < cts_zip_n(f->zip); i++) {
        const cts_zip_entry *e = cts_zip_at(f->zip, i);
        const char *slash = strchr(e->name, '/');

        if (!slash)
            continue;
        compiled = compiled || !strcmp(slash, "/constants.pkl");
        if (strcmp(slash, suffix) != 0)
            continue;
        if (found)
            return cts_fail(CTS_E_FORMAT, "%s: holds both %s and %s, a PyTorch file has one", f->path, found->name,
                            e->name);
        found = e;
    }
    if (compiled)
        return cts_fail(CTS_E_UNSUPPORTED,
                        "%s: a compiled TorchScript program, not weights: save its weights with "
                        "torch.save(torch.jit.load(FILE).state_dict(), NEW)",
                        f->path);
    if (!found)
        return cts_fail(CTS_E_FORMAT, "%s: a zip archive without NAME/data.pkl, so no PyTorch file", f->path);
    if ((rc = cts_zip_stored(f->zip, found)) != CTS_OK)
        return rc;
    if (!(f->prefix = cts_strdup(found->name)))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", f->path);
    f->prefix[strlen(f->prefix) - strlen(suffix)] = '\0';
    *out = found;
    return CTS_OK;
}

static int read_byteorder(bool *swapped, const cts_torch_file *f)
{
    char *name = cts_asprintf("%s/byteorder", f->prefix);
    const cts_zip_entry *e = name ? cts_zip_find(f->zip, name) : NULL;
    bool little = !e || (e->n == 6 && !memcmp(e->data, "little", 6));
    bool big = e && e->n == 3 && !memcmp(e->data, "big", 3);
    int rc;

    if (!name)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", f->path);
    free(name);
    if (e && (rc = cts_zip_stored(f->zip, e)) != CTS_OK)
        return rc;
    if (!little && !big)
        return cts_fail(CTS_E_FORMAT, "%s: byteorder is neither \"little\" nor \"big\"", f->path);
    *swapped = big;
    return CTS_OK;
}

/* ---- the state dict -------------------------------------------------------------------------------------------- */

static bool has_tensors(const value *v)
{
    if (v->kind != CTS_PICKLE_DICT)
        return false;
    for (size_t i = 0; i + 1 < v->u.items.n; i += 2)
        if (cts_torch_is_tensor(v->u.items.v[i + 1]))
            return true;
    return false;
}

/* What stands under a key; the last of several, as in Python. */
static const value *get(const value *dict, const char *key)
{
    for (size_t i = dict->u.items.n; i >= 2; i -= 2)
        if (cts_pickle_is_text(dict->u.items.v[i - 2], key))
            return dict->u.items.v[i - 1];
    return NULL;
}

static int fail_nothing(const cts_torch_file *f, const value *root)
{
    cts_str keys = {0};
    int rc;

    if (root->kind != CTS_PICKLE_DICT)
        return cts_fail(CTS_E_FORMAT, "%s: holds no mapping of names to tensors", f->path);
    for (size_t i = 0; i + 1 < root->u.items.n && i < 20; i += 2) {
        const value *k = root->u.items.v[i];

        cts_str_append(&keys, i ? ", " : "");
        if (k->kind != CTS_PICKLE_TEXT)
            cts_str_append(&keys, "(no string)");
        else
            for (size_t c = 0; c < k->u.text.n && c < 40; c++)
                cts_str_printf(&keys, "%c", k->u.text.p[c] >= ' ' && k->u.text.p[c] <= '~' ? k->u.text.p[c] : '?');
    }
    rc = cts_fail(CTS_E_FORMAT,
                  "%s: no tensors at its top or under model, state_dict, model_state_dict or module; its keys: %s",
                  f->path, keys.n ? cts_str_text(&keys) : "none");
    cts_str_free(&keys);
    return rc;
}

static int find_state(cts_torch_file *f, const value **state, const value *root)
{
    const value *found = NULL;

    f->key = "";
    for (size_t i = 0; i < CTS_COUNT(wrappers) && root->kind == CTS_PICKLE_DICT; i++) {
        const value *v = get(root, wrappers[i]);

        if (!v || !has_tensors(v) || v == found)
            continue;
        if (found)
            return cts_fail(CTS_E_INPUT,
                            "%s: holds tensors under both \"%s\" and \"%s\": save the one that is meant alone", f->path,
                            f->key, wrappers[i]);
        found = v;
        f->key = wrappers[i];
    }
    if (!found && !has_tensors(root))
        return fail_nothing(f, root);
    *state = found ? found : root;
    return CTS_OK;
}

static int take_name(const cts_torch_file *f, const char **out, const value *k)
{
    uint32_t cp;
    char *name;

    if (k->kind != CTS_PICKLE_TEXT)
        return cts_fail(CTS_E_FORMAT, "%s: a tensor's key is no string", f->path);
    if (!k->u.text.n || k->u.text.n > MAX_NAME)
        return cts_fail(CTS_E_LIMIT, "%s: a tensor's name of %zu bytes, allowed 1 to %d", f->path, k->u.text.n,
                        MAX_NAME);
    for (size_t i = 0; i < k->u.text.n;) {
        i += cts_utf8_decode(&cp, k->u.text.p + i, k->u.text.n - i);
        if (cp < ' ' || cp == 0x7f || cp == 0xfffd)
            return cts_fail(CTS_E_FORMAT, "%s: a tensor's name is not printable UTF-8", f->path);
    }
    if (!(name = malloc(k->u.text.n + 1)))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", f->path);
    memcpy(name, k->u.text.p, k->u.text.n);
    name[k->u.text.n] = '\0';
    *out = name;
    return CTS_OK;
}

static int by_name(const void *pa, const void *pb)
{
    return strcmp(*(const char *const *)pa, *(const char *const *)pb);
}

static int check_names(const cts_torch_file *f)
{
    const char **names = calloc((size_t)f->n + 1, sizeof *names);
    int rc = CTS_OK;

    if (!names)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for %d names", f->path, f->n);
    for (int i = 0; i < f->n; i++)
        names[i] = f->t[i].name;
    qsort(names, (size_t)f->n, sizeof *names, by_name);
    for (int i = 1; i < f->n && !rc; i++)
        if (!strcmp(names[i], names[i - 1]))
            rc = cts_fail(CTS_E_FORMAT, "%s: two tensors are named %s", f->path, names[i]);
    free(names);
    return rc;
}

static int read_state(cts_torch_file *f, const value *state, bool swapped)
{
    cts_torch_archive a = {.path = f->path, .prefix = f->prefix, .zip = f->zip, .swapped = swapped};
    int rc;

    if (state->u.items.n / 2 > MAX_TENSORS)
        return cts_fail(CTS_E_LIMIT, "%s: a state dict of %zu entries, allowed at most %d", f->path,
                        state->u.items.n / 2, MAX_TENSORS);
    if (!(f->t = calloc(state->u.items.n / 2 + 1, sizeof *f->t)))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for %zu tensors", f->path, state->u.items.n / 2);
    for (size_t i = 0; i + 1 < state->u.items.n; i += 2) {
        const value *v = state->u.items.v[i + 1];

        if (!cts_torch_is_tensor(v))
            continue;
        if ((rc = take_name(f, &f->t[f->n].name, state->u.items.v[i])) != CTS_OK)
            return rc;
        f->n++; /* the name is the file's now */
        if ((rc = cts_torch_tensor(&f->t[f->n - 1], v, &a)) != CTS_OK)
            return rc;
    }
    return check_names(f);
}

/* ---- public ---------------------------------------------------------------------------------------------------- */

int cts_torch_file_open(cts_torch_file **out, const char *path)
{
    cts_torch_file *f = calloc(1, sizeof *f);
    const cts_pickle_class *names;
    const cts_zip_entry *e = NULL;
    const value *state = NULL;
    cts_pickle *pickle = NULL;
    char *context = NULL;
    bool swapped = false;
    size_t n_names;
    int rc;

    if (!f || !(f->path = cts_strdup(path)) || !(context = cts_asprintf("%s: data.pkl", path))) {
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory", path);
        goto out;
    }
    if ((rc = cts_map_open(&f->map, path, CTS_SAFETENSORS_MAX_BYTES)) != CTS_OK ||
        (rc = cts_zip_open(&f->zip, f->map.p, f->map.n, path)) != CTS_OK || (rc = find_pickle(f, &e)) != CTS_OK ||
        (rc = read_byteorder(&swapped, f)) != CTS_OK)
        goto out;
    names = cts_torch_names(&n_names);
    if (e->n > CTS_PICKLE_MAX_BYTES) {
        rc = cts_fail(CTS_E_LIMIT, "%s: %zu bytes, allowed at most %zu", context, e->n, CTS_PICKLE_MAX_BYTES);
        goto out;
    }
    if ((rc = cts_zip_check(f->zip, e)) != CTS_OK ||
        (rc = cts_pickle_parse(&pickle, e->data, e->n, names, n_names, context)) != CTS_OK ||
        (rc = find_state(f, &state, cts_pickle_root(pickle))) != CTS_OK ||
        (rc = read_state(f, state, swapped)) != CTS_OK)
        goto out;
    *out = f;
    f = NULL;
out:
    cts_pickle_destroy(pickle);
    cts_torch_file_close(f);
    free(context);
    return rc;
}

void cts_torch_file_close(cts_torch_file *f)
{
    if (!f)
        return;
    for (int i = 0; i < f->n; i++)
        free((char *)f->t[i].name);
    free(f->t);
    free(f->prefix);
    cts_zip_close(f->zip);
    cts_map_close(&f->map);
    free(f->path);
    free(f);
}

const char *cts_torch_file_key(const cts_torch_file *f)
{
    return f->key;
}

int cts_torch_file_n(const cts_torch_file *f)
{
    return f->n;
}

const cts_weight *cts_torch_file_at(const cts_torch_file *f, int i)
{
    CTS_ASSERT(i >= 0 && i < f->n, "tensor %d of %d", i, f->n);
    return &f->t[i];
}
