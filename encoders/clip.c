/* SPDX-License-Identifier: MIT */
#include "encoders/clip.h"

#include <stdlib.h>
#include <string.h>

#include "encoders/blocks.h"
#include "kernels/base/check.h"
#include "kernels/base/status.h"

static const char *const prefixes[CTS_SIDE_COUNT] = {"visual_transformer.", "text_transformer."};
static const char *const projections[CTS_SIDE_COUNT] = {"to_visual_latent.weight", "to_text_latent.weight"};
static const char *const biases[CTS_SIDE_COUNT] = {"to_visual_latent.bias", "to_text_latent.bias"};
static const char *const norms[CTS_SIDE_COUNT] = {"visual_norm", "text_norm"};
static const char *const loss_names[] = {"dcformer", "infonce", "siglip"};

const char *cts_clip_prefix(cts_side side)
{
    return prefixes[side];
}

const char *cts_clip_projection(const cts_clip_config *c, cts_side side)
{
    return c->projection[side] == CTS_PROJECTION_NONE ? NULL : projections[side];
}

const char *cts_clip_projection_bias(const cts_clip_config *c, cts_side side)
{
    return c->projection[side] == CTS_PROJECTION_AFFINE ? biases[side] : NULL;
}

const char *cts_clip_norm(const cts_clip_config *c, cts_side side)
{
    return c->projection_norm ? norms[side] : NULL;
}

int cts_loss_kind_parse(cts_loss_kind *out, const char *name)
{
    for (size_t i = 0; i < CTS_COUNT(loss_names); i++)
        if (!strcmp(name, loss_names[i])) {
            *out = (cts_loss_kind)i;
            return CTS_OK;
        }
    return cts_fail(CTS_E_INPUT, "loss is \"%s\", allowed dcformer, infonce, siglip", name);
}

const char *cts_loss_kind_name(cts_loss_kind k)
{
    return loss_names[k];
}

cts_tensor *cts_clip_project(cts_build *b, cts_tensor *vector, const char *norm, const char *projection,
                             const char *bias, int64_t latent_dim)
{
    int64_t width = cts_tensor_channels(vector);
    cts_tensor *x = norm ? cts_block_batch_norm(b, vector, norm) : vector;

    if (projection)
        x = cts_op_linear(b->graph, x,
                          cts_build_param(b, projection, cts_init_fan_in(width), 2, (int64_t[]){latent_dim, width}),
                          bias ? cts_build_vector(b, bias, cts_init_const(0), latent_dim) : NULL);
    else
        CTS_ASSERT(width == latent_dim, "a vector of %lld without projection", (long long)width);
    return cts_op_l2_norm(b->graph, x, 1e-12f);
}

cts_tensor *cts_clip_build_tower(cts_build *b, const cts_clip_config *c, cts_side side, const cts_encoder_inputs *in,
                                 cts_encoder_outputs *enc)
{
    cts_encoder_outputs o = {0};
    size_t mark = cts_build_push(b, "%s", prefixes[side]);

    c->encoder[side]->build(b, c->config[side], in, &o);
    cts_build_pop(b, mark);
    if (enc)
        *enc = o;
    return cts_clip_project(b, o.vector, cts_clip_norm(c, side), cts_clip_projection(c, side),
                            cts_clip_projection_bias(c, side), c->latent_dim);
}

static cts_tensor *temperature(cts_build *b, const cts_clip_config *c)
{
    cts_init init = cts_init_const(c->temperature);
    const int64_t one = 1;

    return c->learned_temperature ? cts_build_param(b, "temperature", init, 1, &one)
                                  : cts_build_state(b, "temperature", init, 1, &one);
}

cts_tensor *cts_clip_build_loss(cts_build *b, const cts_clip_config *c, cts_loss_kind kind, cts_tensor *image,
                                cts_tensor *text)
{
    cts_tensor *t = temperature(b, c);

    CTS_ASSERT(kind != CTS_LOSS_SIGLIP || c->has_bias, "the sigmoid loss needs a bias in the configuration");
    switch (kind) {
    case CTS_LOSS_SIGLIP:
        return cts_op_siglip(b->graph, image, text, t, cts_build_vector(b, "logit_bias", cts_init_const(c->bias), 1));
    case CTS_LOSS_INFONCE:
        return cts_op_infonce(b->graph, image, text, t, 0.0f);
    case CTS_LOSS_DCFORMER:
        break;
    }
    return cts_op_infonce(b->graph, image, text, t, 1e-20f);
}

/* Every entry, by building the towers and naming what the loss of a pair reads; the graphs are thrown away. */
static int declare(cts_params *params, const cts_clip_config *c)
{
    for (int s = 0; s < CTS_SIDE_COUNT; s++) {
        cts_encoder_inputs in;
        cts_encoder_outputs o = {0};
        cts_encoder_info info;
        cts_tensor *x;
        cts_graph *g = NULL;
        cts_build b;
        int rc;

        if (!c->encoder[s])
            continue;
        if ((rc = cts_graph_create(&g, params)) != CTS_OK)
            return rc;
        c->encoder[s]->info(c->config[s], &info);
        in =
            s == CTS_SIDE_IMAGE ? cts_encoder_image_inputs(g, 1, info.volume) : cts_encoder_text_inputs(g, 1, 1, false);
        b = cts_build_make(g, false);
        x = cts_clip_build_tower(&b, c, (cts_side)s, &in, &o);
        if (s == CTS_SIDE_IMAGE && c->classifier.head == CTS_HEAD_LINEAR)
            cts_classifier_build(&b, &c->classifier, c->classifier.input == CTS_HEAD_EMBEDDING ? x : o.vector);
        if (s == CTS_SIDE_TEXT && c->encoder[CTS_SIDE_IMAGE]) {
            temperature(&b, c);
            if (c->has_bias)
                cts_build_vector(&b, "logit_bias", cts_init_const(c->bias), 1);
        }
        rc = cts_graph_status(g);
        cts_graph_destroy(g);
        if (rc != CTS_OK)
            return rc;
    }
    return CTS_OK;
}

int cts_clip_create(cts_clip **out, cts_clip_config *c)
{
    cts_clip *m = calloc(1, sizeof *m);
    int rc;

    if (!m)
        return cts_fail(CTS_E_NOMEM, "out of memory for a model");
    if ((rc = cts_params_create(&m->params)) != CTS_OK || (rc = declare(m->params, c)) != CTS_OK)
        goto out;
    m->config = *c;
    memset(c, 0, sizeof *c);
    *out = m;
    m = NULL;
out:
    cts_clip_destroy(m);
    return rc;
}

int cts_clip_create_init(cts_clip **out, cts_clip_config *c, uint64_t seed)
{
    cts_clip *m = NULL;
    int rc = cts_clip_create(&m, c);

    if (rc != CTS_OK)
        return rc;
    if ((rc = cts_params_init(m->params, seed)) != CTS_OK) {
        *c = m->config; /* the caller keeps it on failure */
        memset(&m->config, 0, sizeof m->config);
        cts_clip_destroy(m);
        return rc;
    }
    *out = m;
    return CTS_OK;
}

void cts_clip_destroy(cts_clip *m)
{
    if (!m)
        return;
    cts_clip_config_clear(&m->config);
    cts_params_destroy(m->params);
    free(m);
}
