/* SPDX-License-Identifier: MIT */
#include "encoders/import/mapping.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

#define MAX_NAME 1000 /* bytes; two wildcards, the most a rule has, take the square of it in the worst case */
#define MAX_CAPTURES 9

/* ---- keys ------------------------------------------------------------------------------------------------------ */

static const char *strip(const char *name)
{
    static const char *const wrappers[] = {"module.", "_orig_mod.", "trained_model.", "model."};

    for (size_t i = 0; i < CTS_COUNT(wrappers);) {
        size_t n = strlen(wrappers[i]);

        if (!strncmp(name, wrappers[i], n) && name[n]) {
            name += n;
            i = 0; /* they may be nested in any order */
        } else {
            i++;
        }
    }
    return name;
}

static int by_name(const void *pa, const void *pb)
{
    return strcmp(((const cts_import_key *)pa)->name, ((const cts_import_key *)pb)->name);
}

int cts_import_keys_make(cts_import_keys *out, const cts_weights *w)
{
    cts_import_keys k = {.n = cts_weights_n(w)};

    k.key = calloc((size_t)k.n + 1, sizeof *k.key);
    k.sorted = calloc((size_t)k.n + 1, sizeof *k.sorted);
    if (!k.key || !k.sorted) {
        cts_import_keys_clear(&k);
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for %d names", cts_weights_path(w), cts_weights_n(w));
    }
    for (int i = 0; i < k.n; i++) {
        const cts_weight *t = cts_weights_at(w, i);

        if (strlen(t->name) > MAX_NAME) {
            cts_import_keys_clear(&k);
            return cts_fail(CTS_E_LIMIT, "%s: tensor %.60s...: a name of %zu bytes, allowed at most %d",
                            cts_weights_path(w), t->name, strlen(t->name), MAX_NAME);
        }
        k.sorted[i] = k.key[i] = (cts_import_key){strip(t->name), t};
    }
    qsort(k.sorted, (size_t)k.n, sizeof *k.sorted, by_name);
    for (int i = 1; i < k.n; i++)
        if (!strcmp(k.sorted[i - 1].name, k.sorted[i].name)) {
            int rc = cts_fail(CTS_E_FORMAT, "%s: tensors %s and %s are both %s", cts_weights_path(w),
                              k.sorted[i - 1].w->name, k.sorted[i].w->name, k.sorted[i].name);

            cts_import_keys_clear(&k);
            return rc;
        }
    *out = k;
    return CTS_OK;
}

void cts_import_keys_clear(cts_import_keys *k)
{
    free(k->key);
    free(k->sorted);
    memset(k, 0, sizeof *k);
}

static const cts_weight *find(const cts_import_keys *k, const char *name)
{
    cts_import_key want = {.name = name};
    const cts_import_key *hit = k->n ? bsearch(&want, k->sorted, (size_t)k->n, sizeof want, by_name) : NULL;

    return hit ? hit->w : NULL;
}

const cts_weight *cts_import_find(const cts_import_keys *k, const char *fmt, ...)
{
    char name[MAX_NAME + 1];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    return find(k, name);
}

int cts_import_need(const cts_weight **out, const cts_import_keys *k, int ndim, const char *fmt, ...)
{
    char name[MAX_NAME + 1], got[96];
    const cts_weight *t;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    if (!(t = find(k, name)))
        return cts_fail(CTS_E_MISMATCH, "tensor %s is missing", name);
    if (t->ndim != ndim || t->count == 0)
        return cts_fail(CTS_E_MISMATCH, "tensor %s has shape %s, wanted %d axes, none of them empty", t->name,
                        cts_shape_text(got, t->ndim, t->shape), ndim);
    *out = t;
    return CTS_OK;
}

/* ---- patterns -------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *p;
    size_t n;
} span;

/* The shortest run for every wildcard that lets the rest match. */
static bool match(const char *pattern, const char *name, span *captures, int n_captures)
{
    bool digits;

    while (*pattern && *pattern != '*' && *pattern != '#')
        if (*pattern++ != *name++)
            return false;
    if (!*pattern)
        return !*name;
    CTS_ASSERT(n_captures < MAX_CAPTURES, "a pattern has more than %d wildcards", MAX_CAPTURES);
    digits = *pattern == '#';
    for (size_t n = 1; name[n - 1] && (!digits || (name[n - 1] >= '0' && name[n - 1] <= '9')); n++) {
        captures[n_captures] = (span){name, n};
        if (match(pattern + 1, name + n, captures, n_captures + 1))
            return true;
    }
    return false;
}

bool cts_import_match(const char *pattern, const char *name)
{
    span captures[MAX_CAPTURES];

    return match(pattern, name, captures, 0);
}

static char *substitute(const char *to, const char *target, const span *captures)
{
    cts_str s = {0};
    char *text;

    cts_str_append(&s, to);
    for (const char *p = target; *p; p++) {
        if (*p == '$' && p[1] >= '1' && p[1] <= '9') {
            const span *c = &captures[*++p - '1'];

            cts_str_append_n(&s, c->p, c->n);
        } else {
            cts_str_append_n(&s, p, 1);
        }
    }
    text = s.failed ? NULL : cts_strdup(cts_str_text(&s));
    cts_str_free(&s);
    return text;
}

int cts_import_apply(char **target, const cts_import_rule **rule, const cts_import_section *s, int n, const char *name)
{
    span captures[MAX_CAPTURES] = {{0}};

    *target = NULL;
    *rule = NULL;
    for (int i = 0; i < n; i++) {
        size_t skip = strlen(s[i].from);

        for (int r = 0; !strncmp(name, s[i].from, skip) && r < s[i].n_rules; r++) {
            if (!match(s[i].rules[r].pattern, name + skip, captures, 0))
                continue;
            *rule = &s[i].rules[r];
            if ((*rule)->target && !(*target = substitute(s[i].to, (*rule)->target, captures)))
                return cts_fail(CTS_E_NOMEM, "out of memory for the name %s", name);
            return CTS_OK;
        }
    }
    return CTS_OK;
}

int cts_import_keep(char **target, const cts_import_section *s, const char *name)
{
    size_t skip = strlen(s->from);

    *target = NULL;
    if (!strncmp(name, s->from, skip) && !(*target = cts_asprintf("%s%s", s->to, name + skip)))
        return cts_fail(CTS_E_NOMEM, "out of memory for the name %s", name);
    return CTS_OK;
}
