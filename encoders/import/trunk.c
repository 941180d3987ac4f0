/* SPDX-License-Identifier: MIT */
#include "encoders/import/trunk.h"

#include <stdlib.h>
#include <string.h>

#include "encoders/import/mapping.h"
#include "kernels/base/check.h"
#include "kernels/base/status.h"

#define TRUNK "visual_transformer.features."

static const cts_import_rule rules[] = {
    {"fc.*", NULL, "the head for ImageNet's classes", 0},
    {"*.num_batches_tracked", NULL, "a counter that nothing reads", 0},
    {"conv1.*", "0.$1", NULL, 0},
    {"bn1.*", "1.$1", NULL, 0},
    {"layer1.*", "4.$1", NULL, 0},
    {"layer2.*", "5.$1", NULL, 0},
    {"layer3.*", "6.$1", NULL, 0},
    {"layer4.*", "7.$1", NULL, 0},
};
static const cts_import_section section = {"", TRUNK, rules, (int)CTS_COUNT(rules)};

/* Entry of m for tensor t by name and shape; NULL for a tensor that is dropped. */
static int entry_of(const cts_param **out, const cts_clip *m, const cts_import_key *key)
{
    const cts_import_rule *rule;
    const cts_weight *t = key->w;
    char *target = NULL, got[96], want[96];
    int i, rc = cts_import_apply(&target, &rule, &section, 1, key->name);

    *out = NULL;
    if (rc != CTS_OK || (rule && !rule->target))
        return rc;
    i = target ? cts_params_find(m->params, target) : -1;
    free(target);
    if (i < 0)
        return cts_fail(CTS_E_MISMATCH, "tensor %s belongs to no ResNet-18", t->name);
    *out = cts_params_get(m->params, i);
    if (t->ndim != (*out)->ndim || memcmp(t->shape, (*out)->shape, (size_t)t->ndim * sizeof *t->shape) != 0)
        return cts_fail(CTS_E_MISMATCH, "tensor %s has shape %s, the model's %s wants %s (another --width?)", t->name,
                        cts_shape_text(got, t->ndim, t->shape), (*out)->name,
                        cts_shape_text(want, (*out)->ndim, (*out)->shape));
    return CTS_OK;
}

/* Every entry of the trunk has a source. */
static int check_complete(const cts_clip *m, const bool *found)
{
    int n = 0;

    for (int i = 0; i < cts_params_n(m->params); i++) {
        const cts_param *e = cts_params_get(m->params, i);

        if (strncmp(e->name, TRUNK, strlen(TRUNK)) != 0)
            continue;
        n++;
        if (!found[i])
            return cts_fail(CTS_E_MISMATCH, "no tensor becomes %s", e->name);
    }
    return n ? CTS_OK : cts_fail(CTS_E_MISMATCH, "the model's image encoder has no ResNet-18 for it");
}

int cts_import_trunk(cts_clip *m, const char *path)
{
    bool *found = calloc((size_t)cts_params_n(m->params) + 1, sizeof *found);
    cts_import_keys keys = {0};
    cts_weights *w = NULL;
    int rc = found ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory");

    if (rc != CTS_OK || (rc = cts_weights_open(&w, path)) != CTS_OK || (rc = cts_import_keys_make(&keys, w)) != CTS_OK)
        goto out;
    for (int pass = 0; pass < 2; pass++) { /* first all is checked */
        for (int i = 0; i < keys.n; i++) {
            const cts_param *e;

            if ((rc = entry_of(&e, m, &keys.key[i])) != CTS_OK)
                goto named;
            if (e && pass)
                cts_weight_to_f32(e->data, keys.key[i].w);
            else if (e)
                found[cts_params_find(m->params, e->name)] = true;
        }
        if ((rc = check_complete(m, found)) != CTS_OK)
            goto named;
    }
named:
    if (rc != CTS_OK)
        rc = cts_fail_in(rc, "%s", path);
out:
    cts_import_keys_clear(&keys);
    cts_weights_close(w);
    free(found);
    return rc;
}
