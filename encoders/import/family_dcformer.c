/* DCFormer: checkpoints of its CTCLIP training, their bare state dicts, and the encoder alone.
 *
 * The published module registers every batch norm of a decomposed convolution twice, as norm.{i} and as c{i+1}.1:
 * checkpoints hold both names, Med3DVLM (family_med3dvlm.c) the second only. Ours is norm.{i}.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "encoders/import/families_internal.h"
#include "kernels/base/check.h"
#include "kernels/base/json.h"
#include "kernels/base/status.h"

#define IMAGE "visual_transformer."
#define STAGES 4 /* after the stem */
#define MAX_BLOCKS 256

static const cts_import_rule encoder_rules[] = {
    {"*.num_batches_tracked", NULL, "a counter that nothing reads", 0},
    {"encoder.*c1.1.*", "encoder.$1norm.0.$2", NULL, CTS_RULE_ALIAS},
    {"encoder.*c2.1.*", "encoder.$1norm.1.$2", NULL, CTS_RULE_ALIAS},
    {"encoder.*c3.1.*", "encoder.$1norm.2.$2", NULL, CTS_RULE_ALIAS},
    {"encoder.*.scale", "encoder.$1.gamma", NULL, 0},
    {"vq._codebook.embed_avg", NULL, "a running sum of the quantiser's training", 0},
    {"vq._codebook.initted", "vq._codebook.initted", "a flag of the quantiser's training", CTS_RULE_IF_DECLARED},
    {"vq._codebook.cluster_size", "vq._codebook.cluster_size", "counts of the quantiser's training",
     CTS_RULE_IF_DECLARED},
};

static const cts_import_rule pair_rules[] = {
    {"to_*_latent_extra.weight", NULL, "a copy that nothing reads", 0},
};

bool cts_import_has_dcformer(const cts_import_keys *k, const char *prefix)
{
    return cts_import_find(k, "%sencoder.s0.0.0.c1.0.weight", prefix) &&
           cts_import_find(k, "%sencoder.s1.0.dwconv.c1.0.weight", prefix);
}

/* ---- configuration --------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t blocks[STAGES + 1], channels[STAGES + 1], kernels[STAGES], volume[3];
    const char *reduction;
    int64_t codes; /* 0 = no quantiser */
} sizes;

static int read_stage(sizes *s, int i, const cts_import_keys *k, const char *prefix)
{
    const cts_weight *proj, *conv;
    int rc;

    if ((rc = cts_import_need(&proj, k, 5, "%sencoder.s%d.0.proj.weight", prefix, i)) != CTS_OK ||
        (rc = cts_import_need(&conv, k, 5, "%sencoder.s%d.0.dwconv.c1.0.weight", prefix, i)) != CTS_OK)
        return rc;
    s->channels[i] = proj->shape[0];
    s->kernels[i - 1] = conv->shape[2];
    while (s->blocks[i] < MAX_BLOCKS &&
           cts_import_find(k, "%sencoder.s%d.%lld.dwconv.c1.0.weight", prefix, i, (long long)s->blocks[i]))
        s->blocks[i]++;
    return CTS_OK;
}

static int read_sizes(sizes *s, const cts_import_keys *k, const char *prefix)
{
    const cts_weight *stem, *codes;
    int rc;

    if ((rc = cts_import_need(&stem, k, 5, "%sencoder.s0.0.0.c1.0.weight", prefix)) != CTS_OK)
        return rc;
    s->blocks[0] = 1;
    s->channels[0] = stem->shape[0];
    for (int i = 1; i <= STAGES; i++)
        if ((rc = read_stage(s, i, k, prefix)) != CTS_OK)
            return rc;
    if (cts_import_find(k, "%sencoder.s%d.0.proj.weight", prefix, STAGES + 1) ||
        cts_import_find(k, "%sencoder.s0.1.0.c1.0.weight", prefix))
        return cts_fail(CTS_E_UNSUPPORTED, "a DCFormer with more than a stem and %d stages", STAGES);
    if (!(codes = cts_import_find(k, "%svq._codebook.embed", prefix)))
        return CTS_OK;
    if (codes->ndim < 2 || codes->count == 0)
        return cts_fail(CTS_E_MISMATCH, "tensor %s is no table of codes", codes->name);
    s->codes = codes->shape[codes->ndim - 2];
    return CTS_OK;
}

/* The vector's width against the last grid: which of the three reductions the projection was trained on. */
static int read_reduction(sizes *s, int64_t *width, const cts_weight *projection, bool volume_given)
{
    int64_t c = s->channels[STAGES], grid[3];

    s->reduction = "channel";
    *width = c;
    if (!projection)
        return CTS_OK;
    if (projection->ndim != 2 || projection->count == 0)
        return cts_fail(CTS_E_MISMATCH, "tensor %s has %d axes, wanted 2", projection->name, projection->ndim);
    *width = projection->shape[1];
    for (int i = 0; i < 3; i++) {
        grid[i] = (s->volume[i] + 3) / 4;
        for (int j = 0; j < STAGES; j++)
            grid[i] = (grid[i] + 1) / 2;
    }
    if (*width == c)
        return CTS_OK;
    if (*width == c * grid[1] * grid[2])
        s->reduction = "depth";
    else if (*width == c * grid[0] * grid[1] * grid[2])
        s->reduction = "none";
    else
        return cts_fail(
            CTS_E_INPUT,
            "tensor %s takes %lld values; a volume of %lldx%lldx%lld voxels gives %lld (reduction channel), "
            "%lld (depth) or %lld (none): %s --input-size z,x,y",
            projection->name, (long long)*width, (long long)s->volume[0], (long long)s->volume[1],
            (long long)s->volume[2], (long long)c, (long long)(c * grid[1] * grid[2]),
            (long long)(c * grid[0] * grid[1] * grid[2]), volume_given ? "check" : "give the right one by");
    return CTS_OK;
}

int cts_import_dcformer_side(json_t **out, int64_t *width, cts_import_draft *d, const cts_import_keys *k,
                             const char *prefix, const cts_weight *projection, const cts_import_options *o)
{
    sizes s = {.volume = {256, 512, 512}};
    bool given = o->input_size[0] != 0;
    json_t *c;
    int rc;

    if (given)
        memcpy(s.volume, o->input_size, sizeof s.volume);
    if ((rc = read_sizes(&s, k, prefix)) != CTS_OK || (rc = read_reduction(&s, width, projection, given)) != CTS_OK)
        return rc;
    c = json_pack("{s:o, s:o, s:o, s:o, s:s, s:b}", "num_blocks", cts_json_from_ints(s.blocks, STAGES + 1), "channels",
                  cts_json_from_ints(s.channels, STAGES + 1), "kernel_sizes", cts_json_from_ints(s.kernels, STAGES),
                  "input_size", cts_json_from_ints(s.volume, 3), "reduction", s.reduction, "quantize", s.codes != 0);
    if (c && s.codes && json_object_set_new(c, "codebook_size", json_integer(s.codes)) != 0) {
        json_decref(c);
        c = NULL;
    }
    if (!c || !(*out = json_pack("{s:s, s:o}", "encoder", "dcformer", "config", c)))
        return cts_fail(CTS_E_NOMEM, "out of memory for a configuration");
    cts_import_section_add(d, prefix, IMAGE, encoder_rules, (int)CTS_COUNT(encoder_rules));
    return CTS_OK;
}

/* ---- DCFormer's own files -------------------------------------------------------------------------------------- */

static int detect(const cts_import_keys *k, const cts_import_options *o)
{
    (void)o;
    return cts_import_has_dcformer(k, IMAGE) || cts_import_has_dcformer(k, "") ? 50 : 0;
}

/* The whole pair, or the encoder alone. */
static int plan(cts_import_draft *d, const cts_import_keys *k, const cts_import_options *o)
{
    const char *prefix = cts_import_has_dcformer(k, IMAGE) ? IMAGE : "";
    const cts_weight *projection = cts_import_find(k, "to_visual_latent.weight");
    cts_import_pair p = {.image_projection = projection ? "linear" : NULL, .report_text = "dcformer_infer"};
    int64_t width;
    int rc;

    if ((rc = cts_import_dcformer_side(&p.image, &width, d, k, prefix, projection, o)) != CTS_OK)
        goto out;
    p.latent_dim = projection ? projection->shape[0] : width;
    if (cts_import_has_bert(k, "text_transformer.")) {
        if ((rc = cts_import_bert_side(&p.text, d, k, "text_transformer.", o)) != CTS_OK)
            goto out;
        p.text_projection = cts_import_find(k, "to_text_latent.weight") ? "linear" : NULL;
    }
    if ((rc = cts_import_pair_temperature(&p, k, "temperature")) != CTS_OK)
        goto out;
    if (!projection &&
        (rc = cts_import_note(d, "the file holds the encoder without a projection: its pooled vector is the "
                                 "embedding")) != CTS_OK)
        goto out;
    cts_import_section_add(d, "", "", pair_rules, (int)CTS_COUNT(pair_rules));
    d->recipe = "dcformer-512";
    d->tokenizer = "vocab.txt of microsoft/BiomedVLP-CXR-BERT-specialized";
    return cts_import_pair_config(d, &p);
out:
    cts_import_pair_drop(&p);
    return rc;
}

const cts_import_family cts_import_dcformer = {
    .name = "dcformer",
    .about = "DCFormer: training checkpoints, state dicts, the encoder alone",
    .detect = detect,
    .plan = plan,
};
