/* CT-CLIP: the released pair of CT-ViT and CXR-BERT, first (v1) and second release (v2, 2024-10), files of its own
 * training and of its linear probes.
 *
 * v1 projects all tokens (t, h, w, D), v2 their mean over t. Which it is, and the volume, follow from the width of the
 * projection and the patch; the patch from the two patch embeddings, of which the one for a single slice is not used.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "encoders/import/families_internal.h"
#include "kernels/base/check.h"
#include "kernels/base/status.h"

#define IMAGE "visual_transformer."
#define MAX_LAYERS 256

static const cts_import_rule image_rules[] = {
    {"to_patch_emb_first_frame.*", NULL, "for single slices, never used", 0},
    {"to_pixels*", NULL, "of a decoder that is not published", 0},
    {"*.context_norm.*", NULL, "never used", 0},
    {"*.null_kv", NULL, "has no elements", 0},
    {"*.beta", "$1.beta", "zeros that nothing trains", CTS_RULE_IF_DECLARED | CTS_RULE_ZERO},
    {"discr.*", NULL, "of the pre-training as a generator", 0},
    {"vgg.*", NULL, "of the pre-training as a generator", 0},
    {"vq._codebook.embed_avg", NULL, "a running sum of the quantiser's training", 0},
    {"vq._codebook.initted", "vq._codebook.initted", "a flag of the quantiser's training", CTS_RULE_IF_DECLARED},
    {"vq._codebook.cluster_size", "vq._codebook.cluster_size", "counts of the quantiser's training",
     CTS_RULE_IF_DECLARED},
};

static const cts_import_rule pair_rules[] = {
    {"to_*_latent_extra.weight", NULL, "a copy that nothing reads", 0},
    {"classifier.*", "classifier.$1", "a linear probe of labels that have no names", CTS_RULE_IF_DECLARED},
};

typedef struct {
    int64_t dim, codes, spatial, temporal, dim_head, heads;
    int64_t patch[3], volume[3]; /* z, x, y */
    bool v1;
} sizes;

static int count_layers(int64_t *out, const cts_import_keys *k, const char *which)
{
    for (*out = 0; *out < MAX_LAYERS; ++*out)
        if (!cts_import_find(k, IMAGE "enc_%s_transformer.layers.%lld.1.to_q.weight", which, (long long)*out))
            break;
    return *out ? CTS_OK : cts_fail(CTS_E_MISMATCH, "the %s transformer has no layers", which);
}

/* Voxels of a patch: from options, or from the sizes of the two patch embeddings when a slice of it is a square. */
static int read_patch(sizes *s, int64_t numel, const cts_import_keys *k, const cts_import_options *o)
{
    const cts_weight *slice = cts_import_find(k, IMAGE "to_patch_emb_first_frame.1.weight");
    int64_t area = slice && slice->ndim == 1 ? slice->shape[0] : numel == 4000 ? 400 : numel == 13500 ? 900 : 0;
    int64_t side = (int64_t)llround(sqrt((double)area));

    if (o->patch[0]) {
        memcpy(s->patch, o->patch, sizeof s->patch);
        if (numel != s->patch[0] * s->patch[1] * s->patch[2])
            return cts_fail(CTS_E_INPUT, "--patch %lld,%lld,%lld has %lld voxels, the patch embedding takes %lld",
                            (long long)s->patch[0], (long long)s->patch[1], (long long)s->patch[2],
                            (long long)(s->patch[0] * s->patch[1] * s->patch[2]), (long long)numel);
        return CTS_OK;
    }
    if (area == 0 || numel % area != 0 || side * side != area)
        return cts_fail(CTS_E_INPUT, "a patch has %lld voxels and no square slice: give its sides by --patch z,x,y",
                        (long long)numel);
    s->patch[0] = numel / area;
    s->patch[1] = s->patch[2] = side;
    return CTS_OK;
}

static int read_sizes(sizes *s, const cts_import_keys *k, const cts_import_options *o)
{
    const cts_weight *embed, *scale, *query, *codes;
    int rc;

    if ((rc = cts_import_need(&embed, k, 2, IMAGE "to_patch_emb.2.weight")) != CTS_OK ||
        (rc = cts_import_need(&scale, k, 1, IMAGE "enc_spatial_transformer.layers.0.1.q_scale")) != CTS_OK ||
        (rc = cts_import_need(&query, k, 2, IMAGE "enc_spatial_transformer.layers.0.1.to_q.weight")) != CTS_OK ||
        (rc = cts_import_need(&codes, k, 3, IMAGE "vq._codebook.embed")) != CTS_OK ||
        (rc = count_layers(&s->spatial, k, "spatial")) != CTS_OK ||
        (rc = count_layers(&s->temporal, k, "temporal")) != CTS_OK)
        return rc;
    s->dim = embed->shape[0];
    s->codes = codes->shape[1];
    s->dim_head = scale->shape[0];
    s->heads = query->shape[0] / s->dim_head;
    return read_patch(s, embed->shape[1], k, o);
}

/* Tokens a volume gives: of one z layer, and in all. */
static bool tokens(const sizes *s, int64_t *layer, int64_t *all)
{
    for (int i = 0; i < 3; i++)
        if (s->volume[i] % s->patch[i] != 0)
            return false;
    *layer = s->volume[1] / s->patch[1] * (s->volume[2] / s->patch[2]);
    *all = *layer * (s->volume[0] / s->patch[0]);
    return true;
}

/* The volume and the release, from the width of the projection. */
static int read_volume(sizes *s, const cts_weight *projection, const cts_import_options *o)
{
    const int64_t published[3] = {240, 480, 480};
    int64_t want = projection->shape[1] / s->dim, layer = 0, all = 0;
    bool given = o->input_size[0] != 0;

    memcpy(s->volume, given ? o->input_size : published, sizeof s->volume);
    if (projection->shape[1] % s->dim == 0 && tokens(s, &layer, &all) && (want == layer || want == all)) {
        s->v1 = want != layer;
        return CTS_OK;
    }
    return cts_fail(CTS_E_INPUT,
                    "tensor %s takes %lld values, %lld tokens of %lld; a volume of %lldx%lldx%lld voxels in patches of "
                    "%lldx%lldx%lld gives %lld (mean over z) or %lld: %s --input-size z,x,y",
                    projection->name, (long long)projection->shape[1], (long long)want, (long long)s->dim,
                    (long long)s->volume[0], (long long)s->volume[1], (long long)s->volume[2], (long long)s->patch[0],
                    (long long)s->patch[1], (long long)s->patch[2], (long long)layer, (long long)all,
                    given ? "check" : "give the right one by");
}

static json_t *image_json(const sizes *s)
{
    return json_pack("{s:s, s:{s:I, s:I, s:[I,I], s:I, s:[I,I], s:I, s:I, s:I, s:I, s:I, s:s, s:b}}", "encoder",
                     "ctvit", "config", "dim", (json_int_t)s->dim, "codebook_size", (json_int_t)s->codes, "image_size",
                     (json_int_t)s->volume[1], (json_int_t)s->volume[2], "depth_size", (json_int_t)s->volume[0],
                     "patch_size", (json_int_t)s->patch[1], (json_int_t)s->patch[2], "temporal_patch_size",
                     (json_int_t)s->patch[0], "spatial_depth", (json_int_t)s->spatial, "temporal_depth",
                     (json_int_t)s->temporal, "dim_head", (json_int_t)s->dim_head, "heads", (json_int_t)s->heads,
                     "reduction", s->v1 ? "none" : "depth", "quantize", 1);
}

/* A published linear probe: relu, dropout 0.3 and a layer on the embedding. *out stays NULL without one. */
static int read_probe(json_t **out, cts_import_draft *d, const cts_import_keys *k)
{
    const cts_weight *w;
    json_t *labels;
    int rc;

    if (!cts_import_find(k, "classifier.weight"))
        return CTS_OK;
    if ((rc = cts_import_need(&w, k, 2, "classifier.weight")) != CTS_OK)
        return rc;
    if (!(labels = cts_import_labels(w->shape[0])))
        return cts_import_note(d,
                               "the linear probe of this file (classifier.*) has %lld labels and is left out: only "
                               "one of CT-RATE's 18 findings has names",
                               (long long)w->shape[0]);
    *out = json_pack("{s:o, s:s, s:s, s:b, s:f}", "labels", labels, "head", "linear", "input", "embedding", "relu", 1,
                     "dropout", 0.3);
    return *out ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for a configuration");
}

static int detect(const cts_import_keys *k, const cts_import_options *o)
{
    (void)o;
    return cts_import_find(k, IMAGE "enc_spatial_transformer.layers.0.1.to_q.weight") ? 50 : 0;
}

static int plan(cts_import_draft *d, const cts_import_keys *k, const cts_import_options *o)
{
    cts_import_pair p = {.image_projection = "linear", .text_projection = "linear", .report_text = "ctclip_infer"};
    const cts_weight *projection;
    sizes s = {0};
    int rc;

    if ((rc = read_sizes(&s, k, o)) != CTS_OK ||
        (rc = cts_import_need(&projection, k, 2, "to_visual_latent.weight")) != CTS_OK ||
        (rc = read_volume(&s, projection, o)) != CTS_OK ||
        (rc = cts_import_bert_side(&p.text, d, k, "text_transformer.", o)) != CTS_OK ||
        (rc = cts_import_pair_temperature(&p, k, "temperature")) != CTS_OK ||
        (rc = read_probe(&p.classifier, d, k)) != CTS_OK)
        goto out;
    p.image = image_json(&s);
    p.latent_dim = projection->shape[0];
    cts_import_section_add(d, IMAGE, IMAGE, image_rules, (int)CTS_COUNT(image_rules));
    cts_import_section_add(d, "", "", pair_rules, (int)CTS_COUNT(pair_rules));
    d->variant = s.v1 ? "v1" : "v2";
    d->recipe = s.v1 ? "ctclip-v1" : "ctclip-v2-infer";
    d->tokenizer = "vocab.txt of microsoft/BiomedVLP-CXR-BERT-specialized";
    return cts_import_pair_config(d, &p);
out:
    cts_import_pair_drop(&p);
    return rc;
}

const cts_import_family cts_import_ctclip = {
    .name = "ctclip",
    .about = "CT-CLIP: releases v1 and v2, its own checkpoints and linear probes",
    .detect = detect,
    .plan = plan,
};
