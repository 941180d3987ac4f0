/* Running encoders: graph, plan and exec of one tower, or of the loss, on one back end, made once for a largest batch.
 *
 *     cts_tower_options o = {.train = true, .max_batch = 8};
 *     cts_tower_create(&image, &spec, &o, backend, grads);      spec by cts_clip_tower_spec()
 *     cts_tower_volumes(image, n, volumes, CTS_RUN_UPDATE_STATE, emb);     forward, [n, d] to host
 *     cts_clip_loss_run(loss, n, emb_i, emb_t, &value, d_i, d_t);          gradients of the embeddings
 *     cts_tower_backward(image, d_i);                                       adds to grads
 *
 * Running allocates nothing. One thread per tower; towers that share parameters may run side by side while nobody
 * changes them.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_TOWER_H
#define CTS_ENCODERS_TOWER_H

#include "encoders/clip.h"
#include "kernels/exec.h"

typedef enum { CTS_RESULT_EMBEDDING, CTS_RESULT_VECTOR, CTS_RESULT_LOGITS } cts_result_kind;

/* What to run: an encoder under a prefix of a parameter set, and which result. All borrowed; must outlive the tower. */
typedef struct {
    cts_params *params;             /* with data */
    const cts_encoder_def *encoder; /* NULL = the model has no such side: no tower can be made */
    const void *config;
    const char *prefix;          /* "" = none */
    const char *projection;      /* EMBEDDING: name of the weight [latent_dim, vector_dim]; NULL = none */
    const char *projection_bias; /* name of its bias [latent_dim]; NULL = none */
    const char *norm;            /* EMBEDDING: batch norm before it; NULL = none */
    int64_t latent_dim;          /* EMBEDDING */
    int64_t max_length;          /* text: longest sequence; 0, or more than the encoder's = the encoder's */
    /* LOGITS: whose linear head they come from; NULL, or head ENCODER = the encoder's own */
    const cts_classifier *classifier;
    cts_result_kind result;
} cts_tower_spec;

/* One tower of a CLIP model, result EMBEDDING. */
cts_tower_spec cts_clip_tower_spec(const cts_clip *m, cts_side side);
/* The image tower of a supervised model, result LOGITS [N, m->config.classifier.n]. Of a model without a classifier it
 * gives the encoder's own logits, and making the tower fails where that has none. */
cts_tower_spec cts_clip_logits_spec(const cts_clip *m);

/* Append the tower to a graph: the encoder under its prefix, then what spec->result asks for, which is returned. The
 * encoder's own outputs go to *o. */
cts_tensor *cts_tower_build(cts_build *b, const cts_tower_spec *s, const cts_encoder_inputs *in,
                            cts_encoder_outputs *o);
/* An image tower's volume (z, x, y; zeros become the config's) and result suit its encoder: CTS_E_MISMATCH, CTS_E_INPUT
 * otherwise. */
int cts_tower_check(const cts_tower_spec *s, int64_t volume[3]);

/* Zero = the default. */
typedef struct {
    bool train;         /* batch statistics, dropout, backward; false = inference with fused ops */
    bool recompute;     /* keep less for backward, compute more */
    int64_t max_batch;  /* volumes or sequences a run; default 1 */
    int64_t max_tokens; /* text: tokens a run; default max_batch * longest sequence */
    int64_t volume[3];  /* image: z, x, y; default the config's */
} cts_tower_options;

typedef struct cts_tower cts_tower;

/* grads: made from spec->params, needed for train. CTS_E_MISMATCH when the model has no such side or the volume size
 * does not suit the encoder. */
int cts_tower_create(cts_tower **out, const cts_tower_spec *spec, const cts_tower_options *o, cts_backend *b,
                     cts_grads *grads);
void cts_tower_destroy(cts_tower *t); /* NULL allowed */

/* What was planned (peak bytes: arena_bytes + scratch_bytes), the forward multiply-adds of a full batch, and the
 * result's width d. */
cts_plan_info cts_tower_plan_info(const cts_tower *t);
int64_t cts_tower_macs(const cts_tower *t);
int64_t cts_tower_dim(const cts_tower *t);
int64_t cts_tower_max_batch(const cts_tower *t);
int64_t cts_tower_max_tokens(const cts_tower *t);
int64_t cts_tower_max_length(const cts_tower *t);              /* text: longest sequence */
void cts_tower_volume_dim(const cts_tower *t, int64_t dim[3]); /* image: z, x, y */
cts_exec *cts_tower_exec(cts_tower *t);                        /* borrowed: profile, params_changed */

/* Random streams (dropout) of the next runs; recomputing a micro-batch with the same pair repeats its masks. */
void cts_tower_set_step(cts_tower *t, uint64_t seed, uint64_t step);
/* Parameters were changed by somebody (optimiser, load). */
int cts_tower_params_changed(cts_tower *t);

/* Forward of 0 < n <= max_batch volumes: volumes [n, z, x, y] dense, out [n, d] (NULL = leave it on the back end).
 * flags: CTS_RUN_UPDATE_STATE. */
int cts_tower_volumes(cts_tower *t, int64_t n, const float *volumes, int flags, float *out);

/* Packed token sequences: ids [offsets[n_seq]], offsets [n_seq + 1] from 0. */
typedef struct {
    int64_t n_seq;
    const int32_t *ids;
    const int32_t *offsets;
} cts_token_batch;
/* Forward of one packed batch that fits max_batch and max_tokens: positions count from 0 in every sequence, segment 0,
 * first token gives the vector. CTS_E_INPUT for an empty sequence, one that is too long, or an id outside the
 * vocabulary. out [n_seq, d]. */
int cts_tower_tokens(cts_tower *t, const cts_token_batch *batch, int flags, float *out);

/* Inference over any number of sequences: ids[i] has n_ids[i] ids; split into as many runs as needed; out [n, d] in
 * order. */
int cts_tower_encode_texts(cts_tower *t, int64_t n, const int32_t *const *ids, const int32_t *n_ids, float *out);

/* After a forward of n samples in a training tower: d_out [n, d] is the gradient of the result; parameter gradients are
 * added to grads. */
int cts_tower_backward(cts_tower *t, const float *d_out);

/* The loss of a CLIP model over up to max_batch pairs. */
typedef struct cts_clip_loss cts_clip_loss;
/* grads: for a learned temperature or bias; NULL when evaluation only (then d_image and d_text of run must be NULL).
 * CTS_E_INPUT when kind does not suit the model (SIGLIP without bias). */
int cts_clip_loss_create(cts_clip_loss **out, const cts_clip *m, cts_loss_kind kind, int64_t max_batch, cts_backend *b,
                         cts_grads *grads);
void cts_clip_loss_destroy(cts_clip_loss *l);
int cts_clip_loss_params_changed(cts_clip_loss *l);
/* image, text [n, d] unit rows, pair i with pair i -> *loss. With d_image, d_text [n, d]: their gradients times weight,
 * and the temperature's gradient times weight added to grads. Both NULL = value only. */
int cts_clip_loss_run(cts_clip_loss *l, int64_t n, const float *image, const float *text, double weight, double *loss,
                      float *d_image, float *d_text);

#endif
