/* SPDX-License-Identifier: MIT */
#include "encoders/describe.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/status.h"

int cts_describe_count(void)
{
    int n = 0;

    for (int i = 0; i < cts_encoder_count(); i++)
        n += cts_encoder_at(i)->n_presets;
    return n;
}

int cts_describe_encoder(cts_description *out, const cts_encoder_def *def, const void *config, int64_t latent_dim)
{
    cts_description d = {.about = def->about, .kind = def->kind};
    cts_encoder_outputs o = {0};
    cts_encoder_inputs in;
    cts_params *params = NULL;
    cts_graph *g = NULL;
    cts_build b;
    int rc;

    if ((rc = cts_params_create(&params)) != CTS_OK || (rc = cts_graph_create(&g, params)) != CTS_OK)
        goto out;
    def->info(config, &d.info);
    if (def->kind == CTS_KIND_IMAGE) {
        in = cts_encoder_image_inputs(g, 1, d.info.volume);
        d.n_input = 4;
        d.input[0] = 1;
        memcpy(d.input + 1, d.info.volume, sizeof d.info.volume);
    } else {
        in = cts_encoder_text_inputs(g, 1, d.info.max_tokens, false);
        d.n_input = 1;
        d.input[0] = d.info.max_tokens;
    }
    b = cts_build_make(g, true); /* the plain graph: fvcore, which published counts come from, sees no fused layers */
    def->build(&b, config, &in, &o);
    if ((rc = cts_graph_status(g)) != CTS_OK)
        goto out;
    d.params = cts_params_count(params);
    d.params_projected = d.params + latent_dim * d.info.vector_dim;
    d.macs = cts_graph_macs(g);
    *out = d;
out:
    cts_graph_destroy(g);
    cts_params_destroy(params);
    return rc;
}

int cts_describe(cts_description *out, int i, int64_t latent_dim)
{
    CTS_ASSERT(i >= 0 && i < cts_describe_count(), "preset %d of %d", i, cts_describe_count());
    for (int e = 0; e < cts_encoder_count(); e++) {
        const cts_encoder_def *def = cts_encoder_at(e);

        if (i < def->n_presets) {
            const char *name = def->presets[i].name;
            cts_description d;
            void *config = NULL;
            int rc;

            if ((rc = cts_encoder_preset_find(&def, &config, name)) != CTS_OK)
                return rc;
            rc = cts_describe_encoder(&d, def, config, latent_dim);
            free(config);
            if (rc == CTS_OK) {
                d.name = name;
                *out = d;
            }
            return rc;
        }
        i -= def->n_presets;
    }
    return CTS_E_NOTFOUND;
}
