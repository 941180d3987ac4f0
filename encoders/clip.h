/* The CLIP pair: an image tower and a text tower into one space of unit vectors, and the contrastive loss between them.
 *
 * image: volume -> encoder -> vector -> to_visual_latent.weight (no bias) -> L2 norm -> [N, d]
 * text:  tokens -> encoder -> vector -> to_text_latent.weight (no bias) -> L2 norm -> [N, d]
 * Parameter names are those of the published CTCLIP classes: visual_transformer.*, text_transformer.*,
 * to_visual_latent.weight, to_text_latent.weight, temperature [1] (the logarithm of the scale: 1 gives the scale e of
 * DCFormer).
 *
 * "projection_norm": "batch" puts a batch norm (visual_norm.*, text_norm.*) between vector and projection. The
 * published models have none. Training from scratch is helped by it: the pooled features of a new encoder are one
 * large common mean and small differences, noisy steps move the projection along that mean until all embeddings point
 * one way, and there the gradient is small or gone (docs/BENCHMARK.md has figures). The norm takes the common part out
 * of every batch.
 *
 * The towers and the loss are separate graphs: a tower's backward starts from given gradients of its embeddings, the
 * loss graph takes the embeddings of the whole batch. So gradient caching, several devices and frozen towers differ
 * only in who fills the loss graph.
 *
 * One side may be absent (null): a model of images alone or of texts alone. It has no temperature and no loss.
 *
 * config.json:
 *   {"format": "ctsearch-clip", "version": 1,
 *    "image": {"encoder": "dcformer", "config": {..}} | null, "text": {"encoder": "bert", "config": {..}} | null,
 *    "latent_dim": 512, "projection_norm": "none" | "batch",
 *    "projection": {"image": "linear" | "none" | "affine", "text": ..},
 *    "temperature": {"kind": "constant" | "learned", "value": 1.0, "bias": -10.0},
 *    "report_text": "clean", "prompts": "ctclip", "max_length": 512, "classifier": {..}}
 * The bias is there for the sigmoid loss only. A side without projection gives its encoder's vector, normalised; its
 * width is then latent_dim. An affine projection has a bias (to_visual_latent.bias), as Med3DVLM's have. report_text
 * and prompts are names that the floors above look up: how the cells of a report become a text, which bank of prompts
 * suits the model. max_length: texts are cut to so many tokens; default: the encoder's longest. classifier: the head of
 * a supervised model (classifier.h); its linear layer is classifier.weight, classifier.bias. Fields from
 * "projection" on (temperature apart) are written only where they differ from the
 * default, so that a model written before they existed keeps its bytes and its digest. Reading, {"preset":
 * "dcformer-nano", "config": {..}} may stand for an encoder: the fields of config then replace the preset's.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_CLIP_H
#define CTS_ENCODERS_CLIP_H

#include "encoders/classifier.h"
#include "encoders/encoder.h"

typedef enum { CTS_SIDE_IMAGE, CTS_SIDE_TEXT, CTS_SIDE_COUNT } cts_side;

typedef enum { CTS_PROJECTION_LINEAR, CTS_PROJECTION_NONE, CTS_PROJECTION_AFFINE } cts_projection;

#define CTS_CLIP_NAME_BYTES 32 /* of report_text and prompts: letters, digits, _ - . and the 0 */

typedef struct {
    const cts_encoder_def *encoder[CTS_SIDE_COUNT]; /* NULL = the model has no such side */
    void *config[CTS_SIDE_COUNT];                   /* owned */
    cts_projection projection[CTS_SIDE_COUNT];
    int64_t latent_dim;
    bool learned_temperature; /* temperature is a parameter, not a state */
    bool projection_norm;     /* a batch norm over the encoder's vector before the projection; ours, see below */
    double temperature;       /* its initial value: log of the scale */
    bool has_bias;            /* parameter logit_bias [1], for the sigmoid loss */
    double bias;
    char report_text[CTS_CLIP_NAME_BYTES]; /* "clean" */
    char prompts[CTS_CLIP_NAME_BYTES];     /* "ctclip" */
    int64_t max_length;                    /* tokens; 0 = the text encoder's */
    cts_classifier classifier;             /* head NONE = the model is not a supervised one */
} cts_clip_config;

/* From a JSON object of file `file`. On success the caller ends it with cts_clip_config_clear(). */
int cts_clip_config_parse(cts_clip_config *out, const json_t *j, const char *file);
json_t *cts_clip_config_write(const cts_clip_config *c); /* NULL when out of memory */
void cts_clip_config_clear(cts_clip_config *c);          /* zeroed is fine */
/* CTS_E_MISMATCH with a sentence when the model has no such side. */
int cts_clip_config_need(const cts_clip_config *c, cts_side side);
/* Give the configuration this classifier (taken over on success), in place of what it has. CTS_E_MISMATCH when it does
 * not suit the image encoder: no such side, or another number of logits. file is for messages. */
int cts_clip_config_classify(cts_clip_config *c, cts_classifier *classifier, const char *file);
/* Width of what a linear head of this input reads. */
int64_t cts_clip_config_head_width(const cts_clip_config *c, cts_head_input input);
/* Longest token sequence: the smaller of max_length and the encoder's; 0 without a text side. */
int64_t cts_clip_config_max_length(const cts_clip_config *c);

/* A model: configuration and parameters. Readers may share it; who trains it is alone with it. */
typedef struct {
    cts_clip_config config;
    cts_params *params; /* every entry declared */
} cts_clip;

/* Takes the config over (*c is zeroed on success). Parameters are declared; they hold no memory before
 * cts_params_init() or a load. */
int cts_clip_create(cts_clip **out, cts_clip_config *c);
/* The same with initial values drawn from seed. */
int cts_clip_create_init(cts_clip **out, cts_clip_config *c, uint64_t seed);
void cts_clip_destroy(cts_clip *m); /* NULL allowed */

/* Prefix of a side's encoder ("visual_transformer."). */
const char *cts_clip_prefix(cts_side side);
/* Name of a side's projection ("to_visual_latent.weight"); NULL when it has none. */
const char *cts_clip_projection(const cts_clip_config *c, cts_side side);
/* Name of its bias ("to_visual_latent.bias"); NULL when it has none. */
const char *cts_clip_projection_bias(const cts_clip_config *c, cts_side side);
/* Name of the batch norm before a side's projection; NULL when the configuration has none. */
const char *cts_clip_norm(const cts_clip_config *c, cts_side side);

/* vector [N, C] -> batch norm under `norm` (NULL = none) -> linear `projection` [latent_dim, C] (NULL = none, then C is
 * latent_dim) plus `bias` [latent_dim] (NULL = none) -> L2 norm. */
cts_tensor *cts_clip_project(cts_build *b, cts_tensor *vector, const char *norm, const char *projection,
                             const char *bias, int64_t latent_dim);
/* Append one tower: encoder under its prefix, projection, L2 norm. Result [N, latent_dim]. The flags of b decide the
 * form. The encoder's own outputs go to *enc when it is not NULL. */
cts_tensor *cts_clip_build_tower(cts_build *b, const cts_clip_config *c, cts_side side, const cts_encoder_inputs *in,
                                 cts_encoder_outputs *enc);

typedef enum {
    CTS_LOSS_DCFORMER, /* symmetric InfoNCE with 1e-20 inside the logarithms, as published */
    CTS_LOSS_INFONCE,  /* the exact symmetric cross entropy */
    CTS_LOSS_SIGLIP    /* pairwise sigmoid; the config must have a bias */
} cts_loss_kind;

/* "dcformer", "infonce", "siglip" */
int cts_loss_kind_parse(cts_loss_kind *out, const char *name);
const char *cts_loss_kind_name(cts_loss_kind k);

/* image, text [n, d] -> loss [1]; temperature and bias come from the params of the graph. */
cts_tensor *cts_clip_build_loss(cts_build *b, const cts_clip_config *c, cts_loss_kind kind, cts_tensor *image,
                                cts_tensor *text);

#endif
