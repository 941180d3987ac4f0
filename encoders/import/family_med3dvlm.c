/* Med3DVLM's pair: a DCFormer of five outputs (stem and four stages) without quantiser, whose gamma is called scale and
 * whose batch norms have one name, a DistilBERT, projections with biases, and the sigmoid loss. Also its vision tower
 * alone. Its volumes are [z, y, x], where this program's recipes of CT-RATE give [z, x, y].
 * Source: github.com/mirthAI/Med3DVLM, src/model/CLIP.py and src/model/encoder/dcformer.py.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "encoders/import/families_internal.h"
#include "kernels/base/check.h"
#include "kernels/base/status.h"

static const cts_import_rule rules[] = {
    {"mm_vision_proj.weight", "to_visual_latent.weight", NULL, 0},
    {"mm_vision_proj.bias", "to_visual_latent.bias", NULL, 0},
    {"mm_language_proj.weight", "to_text_latent.weight", NULL, 0},
    {"mm_language_proj.bias", "to_text_latent.bias", NULL, 0},
    {"t_prime", "temperature", NULL, 0},
    {"bias", "logit_bias", NULL, 0},
    {"logit_scale", NULL, "a scale whose logarithm is in config.json", 0},
};

/* Beside a vision tower: the language model it feeds. */
static const cts_import_rule tower_rules[] = {
    {"mm_projector.*", NULL, "of the language model", 0}, {"embed_tokens.*", NULL, "of the language model", 0},
    {"layers.*", NULL, "of the language model", 0},       {"norm.weight", NULL, "of the language model", 0},
    {"lm_head.*", NULL, "of the language model", 0},
};

static const char *find_prefix(const cts_import_keys *k)
{
    static const char *const prefixes[] = {"vision_encoder.", "vision_tower.vision_tower.", "vision_tower.", ""};

    for (size_t i = 0; i < CTS_COUNT(prefixes); i++)
        if (cts_import_has_dcformer(k, prefixes[i]) && cts_import_find(k, "%sencoder.s1.0.scale", prefixes[i]))
            return prefixes[i];
    return NULL;
}

static int detect(const cts_import_keys *k, const cts_import_options *o)
{
    (void)o;
    return find_prefix(k) ? 60 : 0;
}

/* exp(t_prime) and a bias with the sigmoid loss; without it logit_scale multiplies the cosines as it is. */
static int read_temperature(cts_import_pair *p, const cts_import_keys *k)
{
    const cts_weight *t = cts_import_find(k, "t_prime"), *b = cts_import_find(k, "bias");
    const cts_weight *scale = cts_import_find(k, "logit_scale");
    double value = 1.0, bias = 0.0;
    int rc;

    if (t && b) {
        if ((rc = cts_import_scalar(&value, t)) != CTS_OK || (rc = cts_import_scalar(&bias, b)) != CTS_OK)
            return rc;
        p->temperature = json_pack("{s:s, s:f, s:f}", "kind", "learned", "value", value, "bias", bias);
    } else if (scale) {
        if ((rc = cts_import_scalar(&value, scale)) != CTS_OK)
            return rc;
        if (!(value > 0))
            return cts_fail(CTS_E_INPUT, "tensor %s is %g, allowed above 0", scale->name, value);
        p->temperature = json_pack("{s:s, s:f}", "kind", "constant", "value", log(value));
    } else {
        return CTS_OK;
    }
    return p->temperature ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for a configuration");
}

static int plan_pair(cts_import_draft *d, cts_import_pair *p, const cts_import_keys *k, const cts_import_options *o)
{
    const cts_weight *projection;
    int rc;

    if ((rc = cts_import_need(&projection, k, 2, "mm_vision_proj.weight")) != CTS_OK ||
        (rc = cts_import_bert_side(&p->text, d, k, "language_encoder.", o)) != CTS_OK ||
        (rc = read_temperature(p, k)) != CTS_OK)
        return rc;
    cts_import_section_add(d, "", "", rules, (int)CTS_COUNT(rules));
    p->image_projection = p->text_projection = "affine";
    p->latent_dim = projection->shape[0];
    d->tokenizer = "the vocabulary of medicalai/ClinicalBERT";
    return CTS_OK;
}

static int plan(cts_import_draft *d, const cts_import_keys *k, const cts_import_options *o)
{
    const char *prefix = find_prefix(k);
    cts_import_options own = *o;
    cts_import_pair p = {0};
    int rc;

    if (!prefix)
        return cts_fail(CTS_E_MISMATCH, "no DCFormer of Med3DVLM: tensor encoder.s1.0.scale is missing");
    if (own.input_size[0] == 0) {
        own.input_size[0] = 128;
        own.input_size[1] = own.input_size[2] = 256;
    }
    if ((rc = cts_import_dcformer_side(&p.image, &p.latent_dim, d, k, prefix, NULL, &own)) != CTS_OK ||
        (cts_import_has_bert(k, "language_encoder.") && (rc = plan_pair(d, &p, k, o)) != CTS_OK) ||
        (rc = cts_import_note(d, "Med3DVLM does not say which Hounsfield window its volumes had: no recipe is stored "
                                 "unless --recipe names one, and its axes are z, y, x (orientation PLS)")) != CTS_OK)
        goto out;
    if (!p.text)
        cts_import_section_add(d, "", "", tower_rules, (int)CTS_COUNT(tower_rules));
    return cts_import_pair_config(d, &p);
out:
    cts_import_pair_drop(&p);
    return rc;
}

const cts_import_family cts_import_med3dvlm = {
    .name = "med3dvlm",
    .about = "Med3DVLM: DCFormer and DistilBERT with biased projections, or its vision tower",
    .detect = detect,
    .plan = plan,
};
