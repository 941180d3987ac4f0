/* The one list of encoders, and finding them by name or from JSON. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "encoders/encoder.h"
#include "encoders/models_internal.h"
#include "kernels/base/check.h"
#include "kernels/base/json.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

static const cts_encoder_def *const encoders[] = {
    &cts_encoder_dcformer,
    &cts_encoder_ctvit,
    &cts_encoder_bert,
    &cts_encoder_ct_scroll,
};

int cts_encoder_count(void)
{
    return (int)CTS_COUNT(encoders);
}

const cts_encoder_def *cts_encoder_at(int i)
{
    CTS_ASSERT(i >= 0 && i < cts_encoder_count(), "encoder %d of %d", i, cts_encoder_count());
    return encoders[i];
}

const cts_encoder_def *cts_encoder_find(const char *name)
{
    for (size_t i = 0; i < CTS_COUNT(encoders); i++)
        if (!strcmp(encoders[i]->name, name))
            return encoders[i];
    return NULL;
}

int cts_config_keep(void **config, const void *c, size_t n, const char *file)
{
    void *own = malloc(n);

    if (!own)
        return cts_fail(CTS_E_NOMEM, "out of memory for the configuration of %s", file);
    memcpy(own, c, n);
    *config = own;
    return CTS_OK;
}

/* The preset's JSON object, a new reference. */
static int preset_json(const cts_encoder_def **def, json_t **out, const char *name)
{
    cts_str known = {0};
    int rc;

    for (size_t i = 0; i < CTS_COUNT(encoders); i++)
        for (int k = 0; k < encoders[i]->n_presets; k++) {
            const cts_encoder_preset *p = &encoders[i]->presets[k];

            if (!strcmp(p->name, name)) {
                cts_str_free(&known);
                if ((rc = cts_json_parse(out, p->json, strlen(p->json), p->name)) != CTS_OK)
                    return rc;
                *def = encoders[i];
                return CTS_OK;
            }
            cts_str_printf(&known, "%s%s", known.n ? ", " : "", p->name);
        }
    rc = cts_fail(CTS_E_NOTFOUND, "no model preset \"%s\"; known: %s", name, cts_str_text(&known));
    cts_str_free(&known);
    return rc;
}

int cts_encoder_preset_find(const cts_encoder_def **def, void **config, const char *preset)
{
    const cts_encoder_def *d = NULL;
    json_t *j = NULL;
    int rc;

    if ((rc = preset_json(&d, &j, preset)) != CTS_OK)
        return rc;
    rc = d->parse(config, j, preset);
    json_decref(j);
    if (rc == CTS_OK)
        *def = d;
    return rc;
}

static const char *kind_name(cts_encoder_kind k)
{
    return k == CTS_KIND_IMAGE ? "image" : "text";
}

int cts_encoder_from_json(const cts_encoder_def **def, void **config, const json_t *j, cts_encoder_kind kind,
                          const char *file)
{
    const cts_encoder_def *d = NULL;
    const char *name = NULL;
    json_t *merged = NULL;
    const json_t *own;
    int rc;

    if (!json_is_object(j))
        return cts_fail(CTS_E_FORMAT, "%s: the %s encoder is no object", file, kind_name(kind));
    own = json_object_get(j, "config");
    if (own && !json_is_object(own))
        return cts_fail(CTS_E_FORMAT, "%s: field \"config\" of the %s encoder is no object", file, kind_name(kind));
    if ((rc = cts_json_string(&name, j, "preset", false, file)) != CTS_OK)
        return rc;
    if (name) {
        if ((rc = preset_json(&d, &merged, name)) != CTS_OK)
            return cts_fail_in(rc, "%s", file);
    } else {
        if ((rc = cts_json_string(&name, j, "encoder", true, file)) != CTS_OK)
            return rc;
        if (!(d = cts_encoder_find(name)))
            return cts_fail(CTS_E_NOTFOUND, "%s: field \"encoder\" is \"%s\", which this build does not know", file,
                            name);
        if (!(merged = json_object()))
            return cts_fail(CTS_E_NOMEM, "out of memory for the configuration of %s", name);
    }
    if (own && json_object_update(merged, (json_t *)own) != 0) { /* own fields over the preset's */
        rc = cts_fail(CTS_E_NOMEM, "out of memory for the configuration of %s", name);
        goto out;
    }
    if (d->kind != kind) {
        rc = cts_fail(CTS_E_MISMATCH, "%s: \"%s\" is an encoder of kind %s, wanted %s", file, name, kind_name(d->kind),
                      kind_name(kind));
        goto out;
    }
    if ((rc = d->parse(config, merged, file)) == CTS_OK)
        *def = d;
out:
    json_decref(merged);
    return rc;
}

json_t *cts_encoder_to_json(const cts_encoder_def *def, const void *config)
{
    json_t *c = def->write(config);

    return c ? json_pack("{s:s, s:o}", "encoder", def->name, "config", c) : NULL;
}

cts_encoder_inputs cts_encoder_image_inputs(cts_graph *g, int64_t n, const int64_t dim[3])
{
    cts_encoder_inputs in = {0};

    in.volume = cts_graph_input(g, "volume", CTS_F32, 4, (int64_t[]){n, dim[0], dim[1], dim[2]}, CTS_SYM_BATCH);
    return in;
}

cts_encoder_inputs cts_encoder_text_inputs(cts_graph *g, int64_t n, int64_t n_tokens, bool key_mask)
{
    cts_encoder_inputs in = {0};

    in.ids = cts_graph_input(g, "ids", CTS_I32, 1, &n_tokens, CTS_SYM_TOKENS);
    in.positions = cts_graph_input(g, "positions", CTS_I32, 1, &n_tokens, CTS_SYM_TOKENS);
    in.types = cts_graph_input(g, "types", CTS_I32, 1, &n_tokens, CTS_SYM_TOKENS);
    in.offsets = cts_graph_input(g, "offsets", CTS_I32, 1, (int64_t[]){n + 1}, CTS_SYM_NONE);
    in.first = cts_graph_input(g, "first", CTS_I32, 1, &n, CTS_SYM_BATCH);
    if (key_mask)
        in.key_mask = cts_graph_input(g, "key_mask", CTS_I32, 1, &n_tokens, CTS_SYM_TOKENS);
    return in;
}
