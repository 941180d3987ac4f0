/* config.json of a model: reading, checking, writing. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "encoders/clip.h"
#include "kernels/base/check.h"
#include "kernels/base/json.h"
#include "kernels/base/status.h"

#define MIN_LENGTH 3                  /* a token between [CLS] and [SEP] */
#define MAX_LENGTH ((int64_t)1 << 20) /* the longest table of positions that an encoder may have */

static const char *const side_keys[CTS_SIDE_COUNT] = {"image", "text"};
static const char *const projection_kinds[] = {
    [CTS_PROJECTION_LINEAR] = "linear", [CTS_PROJECTION_NONE] = "none", [CTS_PROJECTION_AFFINE] = "affine"};
static const char default_report_text[] = "clean", default_prompts[] = "ctclip";

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

/* A name for the floors above: only its form is checked here. */
static int parse_name(char out[CTS_CLIP_NAME_BYTES], const json_t *j, const char *key, const char *file)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    const char *name = out;
    size_t n;
    int rc = cts_json_string(&name, j, key, false, file);

    if (rc != CTS_OK)
        return rc;
    n = strlen(name);
    if (n == 0 || n >= CTS_CLIP_NAME_BYTES || strspn(name, allowed) != n)
        return cts_fail(CTS_E_INPUT, "%s: field \"%s\" is \"%.40s\", allowed 1 to %d letters, digits, _, - and dots",
                        file, key, name, CTS_CLIP_NAME_BYTES - 1);
    if (name != out)
        memcpy(out, name, n + 1);
    return CTS_OK;
}

static int parse_text_fields(cts_clip_config *c, const json_t *j, const char *file)
{
    int rc;

    strcpy(c->report_text, default_report_text);
    strcpy(c->prompts, default_prompts);
    if ((rc = parse_name(c->report_text, j, "report_text", file)) != CTS_OK ||
        (rc = parse_name(c->prompts, j, "prompts", file)) != CTS_OK)
        return rc;
    return cts_json_int(&c->max_length, j, "max_length", false, MIN_LENGTH, MAX_LENGTH, file);
}

static int parse_side(cts_clip_config *c, int s, const json_t *j, const char *file)
{
    const json_t *side = json_object_get(j, side_keys[s]);
    cts_encoder_info info;
    int rc;

    if (!side || json_is_null(side))
        return CTS_OK;
    if ((rc = cts_encoder_from_json(&c->encoder[s], &c->config[s], side,
                                    s == CTS_SIDE_IMAGE ? CTS_KIND_IMAGE : CTS_KIND_TEXT, file)) != CTS_OK)
        return rc;
    c->encoder[s]->info(c->config[s], &info);
    if (info.vector_dim == 0)
        return cts_fail(CTS_E_INPUT, "%s: encoder \"%s\" gives no vector for the pair", file, c->encoder[s]->name);
    return CTS_OK;
}

/* After the sides and latent_dim. */
static int parse_projection(cts_clip_config *c, const json_t *j, const char *file)
{
    const json_t *p = json_object_get(j, "projection");
    int rc;

    if (!p)
        return CTS_OK;
    if (!json_is_object(p))
        return cts_fail(CTS_E_FORMAT, "%s: field \"projection\" is no object", file);
    for (int s = 0; s < CTS_SIDE_COUNT; s++) {
        const char *kind = "linear";
        cts_encoder_info info;
        size_t k = 0;

        if ((rc = cts_json_string(&kind, p, side_keys[s], false, file)) != CTS_OK)
            return rc;
        while (k < CTS_COUNT(projection_kinds) && strcmp(kind, projection_kinds[k]) != 0)
            k++;
        if (k == CTS_COUNT(projection_kinds))
            return cts_fail(CTS_E_INPUT, "%s: field \"projection.%s\" is \"%s\", allowed linear, none, affine", file,
                            side_keys[s], kind);
        if (!c->encoder[s])
            continue;
        c->projection[s] = (cts_projection)k;
        if (c->projection[s] != CTS_PROJECTION_NONE)
            continue;
        c->encoder[s]->info(c->config[s], &info);
        if (info.vector_dim != c->latent_dim)
            return cts_fail(CTS_E_MISMATCH,
                            "%s: field \"latent_dim\" is %lld, without a projection of the %s side it is the width of "
                            "its vector, %lld",
                            file, (long long)c->latent_dim, side_keys[s], (long long)info.vector_dim);
    }
    return CTS_OK;
}

int64_t cts_clip_config_head_width(const cts_clip_config *c, cts_head_input input)
{
    cts_encoder_info info;

    if (input == CTS_HEAD_EMBEDDING)
        return c->latent_dim;
    c->encoder[CTS_SIDE_IMAGE]->info(c->config[CTS_SIDE_IMAGE], &info);
    return info.vector_dim;
}

int cts_clip_config_classify(cts_clip_config *c, cts_classifier *classifier, const char *file)
{
    cts_encoder_info info;

    if (!c->encoder[CTS_SIDE_IMAGE])
        return cts_fail(CTS_E_MISMATCH, "%s: a classifier needs an image encoder, the model has none", file);
    c->encoder[CTS_SIDE_IMAGE]->info(c->config[CTS_SIDE_IMAGE], &info);
    if (classifier->head == CTS_HEAD_ENCODER && info.n_logits != classifier->n)
        return cts_fail(CTS_E_MISMATCH, "%s: field \"classifier.labels\" has %lld names, %s gives %lld logits", file,
                        (long long)classifier->n, c->encoder[CTS_SIDE_IMAGE]->name, (long long)info.n_logits);
    cts_classifier_clear(&c->classifier);
    c->classifier = *classifier;
    memset(classifier, 0, sizeof *classifier);
    return CTS_OK;
}

static int parse_classifier(cts_clip_config *c, const json_t *j, const char *file)
{
    const json_t *given = json_object_get(j, "classifier");
    cts_classifier k = {0};
    int rc;

    if (!given || json_is_null(given))
        return CTS_OK;
    if ((rc = cts_classifier_parse(&k, given, file)) == CTS_OK)
        rc = cts_clip_config_classify(c, &k, file);
    cts_classifier_clear(&k);
    return rc;
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
    for (int s = 0; s < CTS_SIDE_COUNT; s++)
        if ((rc = parse_side(&c, s, j, file)) != CTS_OK)
            goto out;
    if (!c.encoder[CTS_SIDE_IMAGE] && !c.encoder[CTS_SIDE_TEXT]) {
        rc = cts_fail(CTS_E_FORMAT, "%s: fields \"image\" and \"text\" are missing or null; a model has one at least",
                      file);
        goto out;
    }
    if ((rc = cts_json_int(&c.latent_dim, j, "latent_dim", false, 1, 65536, file)) != CTS_OK ||
        (rc = parse_norm(&c, j, file)) != CTS_OK || (rc = parse_projection(&c, j, file)) != CTS_OK ||
        (rc = parse_temperature(&c, j, file)) != CTS_OK || (rc = parse_text_fields(&c, j, file)) != CTS_OK ||
        (rc = parse_classifier(&c, j, file)) != CTS_OK)
        goto out;
    *out = c;
    memset(&c, 0, sizeof c);
out:
    cts_clip_config_clear(&c);
    return rc;
}

/* The fields that are there only where they differ from the default. 0 = done. */
static int write_changed(json_t *j, const cts_clip_config *c)
{
    bool projection = c->projection[CTS_SIDE_IMAGE] || c->projection[CTS_SIDE_TEXT];

    if (projection &&
        json_object_set_new(j, "projection",
                            json_pack("{s:s, s:s}", "image", projection_kinds[c->projection[CTS_SIDE_IMAGE]], "text",
                                      projection_kinds[c->projection[CTS_SIDE_TEXT]])) != 0)
        return -1;
    if (strcmp(c->report_text, default_report_text) != 0 &&
        json_object_set_new(j, "report_text", json_string(c->report_text)) != 0)
        return -1;
    if (strcmp(c->prompts, default_prompts) != 0 && json_object_set_new(j, "prompts", json_string(c->prompts)) != 0)
        return -1;
    if (c->classifier.head != CTS_HEAD_NONE &&
        json_object_set_new(j, "classifier", cts_classifier_write(&c->classifier)) != 0)
        return -1;
    return c->max_length ? json_object_set_new(j, "max_length", json_integer(c->max_length)) : 0;
}

static json_t *write_side(const cts_clip_config *c, cts_side s)
{
    return c->encoder[s] ? cts_encoder_to_json(c->encoder[s], c->config[s]) : json_null();
}

json_t *cts_clip_config_write(const cts_clip_config *c)
{
    json_t *t =
        json_pack("{s:s, s:f}", "kind", c->learned_temperature ? "learned" : "constant", "value", c->temperature);
    json_t *j;

    if (t && c->has_bias && json_object_set_new(t, "bias", json_real(c->bias)) != 0) {
        json_decref(t);
        return NULL;
    }
    j = json_pack("{s:s, s:i, s:o, s:o, s:I, s:s, s:o}", "format", "ctsearch-clip", "version", 1, "image",
                  write_side(c, CTS_SIDE_IMAGE), "text", write_side(c, CTS_SIDE_TEXT), "latent_dim",
                  (json_int_t)c->latent_dim, "projection_norm", c->projection_norm ? "batch" : "none", "temperature",
                  t);
    if (j && write_changed(j, c) != 0) {
        json_decref(j);
        return NULL;
    }
    return j;
}

void cts_clip_config_clear(cts_clip_config *c)
{
    for (int s = 0; s < CTS_SIDE_COUNT; s++)
        free(c->config[s]);
    cts_classifier_clear(&c->classifier);
    memset(c, 0, sizeof *c);
}

int cts_clip_config_need(const cts_clip_config *c, cts_side side)
{
    if (c->encoder[side])
        return CTS_OK;
    return side == CTS_SIDE_IMAGE
               ? cts_fail(CTS_E_MISMATCH, "the model has a text encoder only: it knows texts, no volumes")
               : cts_fail(CTS_E_MISMATCH, "the model has an image encoder only: it knows volumes, no texts");
}

int64_t cts_clip_config_max_length(const cts_clip_config *c)
{
    cts_encoder_info info;

    if (!c->encoder[CTS_SIDE_TEXT])
        return 0;
    c->encoder[CTS_SIDE_TEXT]->info(c->config[CTS_SIDE_TEXT], &info);
    return c->max_length ? cts_min_i64(c->max_length, info.max_tokens) : info.max_tokens;
}
