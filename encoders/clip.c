/* SPDX-License-Identifier: MIT */
#include "encoders/clip.h"

#include <stdlib.h>
#include <string.h>

#include "encoders/blocks.h"
#include "kernels/base/check.h"
#include "kernels/base/json.h"

static const char *const prefixes[CTS_SIDE_COUNT] = {"visual_transformer.", "text_transformer."};
static const char *const projections[CTS_SIDE_COUNT] = {"to_visual_latent.weight", "to_text_latent.weight"};
static const char *const norms[CTS_SIDE_COUNT] = {"visual_norm", "text_norm"};
static const char *const side_keys[CTS_SIDE_COUNT] = {"image", "text"};
static const char *const loss_names[] = {"dcformer", "infonce", "siglip"};

const char *cts_clip_prefix(cts_side side)
{
    return prefixes[side];
}

const char *cts_clip_projection(cts_side side)
{
    return projections[side];
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

static int parse_norm(cts_clip_config *c, const json_t *j, const char *file)
{
    const char *norm = "none";
    int rc = cts_json_string(&norm, j, "projection_norm", false, file);

    if (rc == CTS_OK && strcmp(norm, "none") != 0 && strcmp(norm, "batch") != 0)
        rc = cts_fail(CTS_E_INPUT, "%s: field \"projection_norm\" is \"%s\", allowed none, batch", file, norm);
    c->projection_norm = !strcmp(norm, "batch");
    return rc;
}

static int parse_temperature(cts_clip_config *c, const json_t *j, const char *file)
{
    const char *kind = "constant";
    const json_t *t = json_object_get(j, "temperature");
    int rc;

    c->temperature = 1.0;
    c->bias = -10.0;
    if (!t)
        return CTS_OK;
    if (!json_is_object(t))
        return cts_fail(CTS_E_FORMAT, "%s: field \"temperature\" is no object", file);
    if ((rc = cts_json_string(&kind, t, "kind", true, file)) != CTS_OK ||
        (rc = cts_json_double(&c->temperature, t, "value", false, file)) != CTS_OK ||
        (rc = cts_json_double(&c->bias, t, "bias", false, file)) != CTS_OK)
        return rc;
    c->learned_temperature = !strcmp(kind, "learned");
    c->has_bias = json_object_get(t, "bias") && !json_is_null(json_object_get(t, "bias"));
    if (!c->learned_temperature && strcmp(kind, "constant") != 0)
        return cts_fail(CTS_E_INPUT, "%s: field \"temperature.kind\" is \"%s\", allowed constant, learned", file, kind);
    return CTS_OK;
}

int cts_clip_config_parse(cts_clip_config *out, const json_t *j, const char *file)
{
    cts_clip_config c = {.latent_dim = 512};
    const char *format = NULL;
    int64_t version = 1;
    int rc;

    if (!json_is_object(j))
        return cts_fail(CTS_E_FORMAT, "%s: not a JSON object", file);
    if ((rc = cts_json_string(&format, j, "format", false, file)) != CTS_OK ||
        (rc = cts_json_int(&version, j, "version", false, 1, 1, file)) != CTS_OK)
        return rc;
    if (format && strcmp(format, "ctsearch-clip") != 0)
        return cts_fail(CTS_E_FORMAT, "%s: field \"format\" is \"%s\", wanted ctsearch-clip", file, format);
    for (int s = 0; s < CTS_SIDE_COUNT; s++) {
        const json_t *side = json_object_get(j, side_keys[s]);
        cts_encoder_info info;

        if (!side) {
            rc = cts_fail(CTS_E_FORMAT, "%s: field \"%s\" is missing", file, side_keys[s]);
            goto out;
        }
        if ((rc = cts_encoder_from_json(&c.encoder[s], &c.config[s], side,
                                        s == CTS_SIDE_IMAGE ? CTS_KIND_IMAGE : CTS_KIND_TEXT, file)) != CTS_OK)
            goto out;
        c.encoder[s]->info(c.config[s], &info);
        if (info.vector_dim == 0) {
            rc = cts_fail(CTS_E_INPUT, "%s: encoder \"%s\" gives no vector for the pair", file, c.encoder[s]->name);
            goto out;
        }
    }
    if ((rc = cts_json_int(&c.latent_dim, j, "latent_dim", false, 1, 65536, file)) != CTS_OK ||
        (rc = parse_norm(&c, j, file)) != CTS_OK || (rc = parse_temperature(&c, j, file)) != CTS_OK)
        goto out;
    *out = c;
    memset(&c, 0, sizeof c);
out:
    cts_clip_config_clear(&c);
    return rc;
}

json_t *cts_clip_config_write(const cts_clip_config *c)
{
    json_t *t =
        json_pack("{s:s, s:f}", "kind", c->learned_temperature ? "learned" : "constant", "value", c->temperature);

    if (t && c->has_bias && json_object_set_new(t, "bias", json_real(c->bias)) != 0) {
        json_decref(t);
        return NULL;
    }
    return json_pack("{s:s, s:i, s:o, s:o, s:I, s:s, s:o}", "format", "ctsearch-clip", "version", 1, "image",
                     cts_encoder_to_json(c->encoder[CTS_SIDE_IMAGE], c->config[CTS_SIDE_IMAGE]), "text",
                     cts_encoder_to_json(c->encoder[CTS_SIDE_TEXT], c->config[CTS_SIDE_TEXT]), "latent_dim",
                     (json_int_t)c->latent_dim, "projection_norm", c->projection_norm ? "batch" : "none", "temperature",
                     t);
}

void cts_clip_config_clear(cts_clip_config *c)
{
    for (int s = 0; s < CTS_SIDE_COUNT; s++)
        free(c->config[s]);
    memset(c, 0, sizeof *c);
}

cts_tensor *cts_clip_project(cts_build *b, cts_tensor *vector, const char *norm, const char *projection,
                             int64_t latent_dim)
{
    int64_t width = cts_tensor_channels(vector);
    cts_tensor *x = norm ? cts_block_batch_norm(b, vector, norm) : vector;
    cts_tensor *w = cts_build_param(b, projection, cts_init_fan_in(width), 2, (int64_t[]){latent_dim, width});

    return cts_op_l2_norm(b->graph, cts_op_linear(b->graph, x, w, NULL), 1e-12f);
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
    return cts_clip_project(b, o.vector, cts_clip_norm(c, side), projections[side], c->latent_dim);
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

/* Every entry, by building both towers and naming what the loss reads; the graph is thrown away. */
static int declare(cts_params *params, const cts_clip_config *c)
{
    for (int s = 0; s < CTS_SIDE_COUNT; s++) {
        cts_encoder_inputs in;
        cts_encoder_info info;
        cts_graph *g = NULL;
        cts_build b;
        int rc;

        if ((rc = cts_graph_create(&g, params)) != CTS_OK)
            return rc;
        c->encoder[s]->info(c->config[s], &info);
        in =
            s == CTS_SIDE_IMAGE ? cts_encoder_image_inputs(g, 1, info.volume) : cts_encoder_text_inputs(g, 1, 1, false);
        b = cts_build_make(g, false);
        cts_clip_build_tower(&b, c, (cts_side)s, &in, NULL);
        if (s == CTS_SIDE_TEXT) {
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
