/* SPDX-License-Identifier: MIT */
#include "encoders/tower.h"

#include <stdlib.h>
#include <string.h>

#include "encoders/blocks.h"
#include "kernels/autodiff.h"
#include "kernels/base/check.h"
#include "kernels/base/status.h"

struct cts_tower {
    cts_tower_spec spec;
    cts_tower_options o;
    cts_encoder_info info;
    int64_t macs;
    cts_graph *graph;
    cts_plan *plan;
    cts_exec *exec;
    cts_encoder_inputs in;
    cts_tensor *result, *d_result; /* d_result NULL without training */
    /* text: host side of the inputs */
    int32_t *positions, *types; /* [max_tokens] */
    int32_t *offsets, *first;   /* [max_batch + 1], [max_batch] */
    int32_t *packed;            /* [max_tokens], for cts_tower_encode_texts() */
};

cts_tower_spec cts_clip_tower_spec(const cts_clip *m, cts_side side)
{
    cts_tower_spec s = {
        .params = m->params,
        .encoder = m->config.encoder[side],
        .config = m->config.config[side],
        .prefix = cts_clip_prefix(side),
        .projection = cts_clip_projection(&m->config, side),
        .projection_bias = cts_clip_projection_bias(&m->config, side),
        .norm = cts_clip_norm(&m->config, side),
        .latent_dim = m->config.latent_dim,
        .max_length = m->config.max_length,
        .result = CTS_RESULT_EMBEDDING,
    };

    return s;
}

cts_tower_spec cts_clip_logits_spec(const cts_clip *m)
{
    cts_tower_spec s = cts_clip_tower_spec(m, CTS_SIDE_IMAGE);

    s.classifier = m->config.classifier.head == CTS_HEAD_NONE ? NULL : &m->config.classifier;
    s.result = CTS_RESULT_LOGITS;
    return s;
}

static bool linear_head(const cts_tower_spec *s)
{
    return s->result == CTS_RESULT_LOGITS && s->classifier && s->classifier->head == CTS_HEAD_LINEAR;
}

static bool is_text(const cts_tower *t)
{
    return t->spec.encoder->kind == CTS_KIND_TEXT;
}

static int check_volume(const cts_tower_spec *s, const cts_encoder_info *info, int64_t volume[3])
{
    if (!volume[0] && !volume[1] && !volume[2])
        memcpy(volume, info->volume, 3 * sizeof *volume);
    if (volume[0] < 1 || volume[1] < 1 || volume[2] < 1)
        return cts_fail(CTS_E_INPUT, "a tower for volumes of %lld x %lld x %lld voxels", (long long)volume[0],
                        (long long)volume[1], (long long)volume[2]);
    if (!info->any_volume && memcmp(volume, info->volume, 3 * sizeof *volume) != 0)
        return cts_fail(CTS_E_MISMATCH,
                        "%s: volumes are %lld x %lld x %lld (z, x, y), this configuration wants %lld x %lld x %lld",
                        s->encoder->name, (long long)volume[0], (long long)volume[1], (long long)volume[2],
                        (long long)info->volume[0], (long long)info->volume[1], (long long)info->volume[2]);
    if (info->view.slab && volume[0] % info->view.slab != 0)
        return cts_fail(CTS_E_MISMATCH, "%s: volumes have %lld slices, allowed: multiples of %lld", s->encoder->name,
                        (long long)volume[0], (long long)info->view.slab);
    return CTS_OK;
}

static int check_result(const cts_tower_spec *s, const cts_encoder_info *info)
{
    bool logits = s->result == CTS_RESULT_LOGITS && !linear_head(s);

    if ((logits ? info->n_logits : info->vector_dim) == 0)
        return cts_fail(CTS_E_INPUT, "%s: the encoder gives no %s", s->encoder->name, logits ? "logits" : "vector");
    return CTS_OK;
}

int cts_tower_check(const cts_tower_spec *s, int64_t volume[3])
{
    cts_encoder_info info;
    int rc;

    s->encoder->info(s->config, &info);
    rc = check_volume(s, &info, volume);
    return rc ? rc : check_result(s, &info);
}

static int check_options(cts_tower *t)
{
    cts_tower_options *o = &t->o;
    int rc = CTS_OK;

    if (o->max_batch == 0)
        o->max_batch = 1;
    if (o->max_batch < 0 || o->max_tokens < 0)
        return cts_fail(CTS_E_INPUT, "a tower for %lld samples and %lld tokens", (long long)o->max_batch,
                        (long long)o->max_tokens);
    if (o->max_tokens == 0)
        o->max_tokens = is_text(t) ? o->max_batch * t->info.max_tokens : 1;
    if (!is_text(t))
        rc = check_volume(&t->spec, &t->info, o->volume);
    return rc ? rc : check_result(&t->spec, &t->info);
}

static cts_tensor *result_of(cts_build *b, const cts_tower_spec *s, const cts_encoder_outputs *o)
{
    cts_tensor *x = o->vector;
    bool embedding =
        s->result == CTS_RESULT_EMBEDDING || (linear_head(s) && s->classifier->input == CTS_HEAD_EMBEDDING);

    if (s->result == CTS_RESULT_LOGITS && !linear_head(s))
        return o->logits;
    if (embedding)
        x = cts_clip_project(b, x, s->norm, s->projection, s->projection_bias, s->latent_dim);
    return linear_head(s) ? cts_classifier_build(b, s->classifier, x) : x;
}

cts_tensor *cts_tower_build(cts_build *b, const cts_tower_spec *s, const cts_encoder_inputs *in, cts_encoder_outputs *o)
{
    size_t mark = cts_build_push(b, "%s", s->prefix);

    s->encoder->build(b, s->config, in, o);
    cts_build_pop(b, mark);
    return result_of(b, s, o);
}

static int build_graph(cts_tower *t)
{
    cts_encoder_outputs o = {0};
    cts_build b;
    int rc;

    if ((rc = cts_graph_create(&t->graph, t->spec.params)) != CTS_OK)
        return rc;
    t->in = is_text(t) ? cts_encoder_text_inputs(t->graph, t->o.max_batch, t->o.max_tokens, false)
                       : cts_encoder_image_inputs(t->graph, t->o.max_batch, t->o.volume);
    b = cts_build_make(t->graph, t->o.train);
    b.recompute = t->o.recompute;
    t->result = cts_tower_build(&b, &t->spec, &t->in, &o);
    cts_graph_output(t->graph, t->result, "result");
    if (t->o.train && (rc = cts_backward(t->graph, 1, &t->result, &t->d_result)) != CTS_OK)
        return rc;
    return cts_graph_status(t->graph);
}

static int alloc_text(cts_tower *t)
{
    size_t tokens = (size_t)t->o.max_tokens, n = (size_t)t->o.max_batch;

    t->positions = calloc(tokens, sizeof *t->positions);
    t->types = calloc(tokens, sizeof *t->types);
    t->packed = calloc(tokens, sizeof *t->packed);
    t->offsets = calloc(n + 1, sizeof *t->offsets);
    t->first = calloc(n, sizeof *t->first);
    if (!t->positions || !t->types || !t->packed || !t->offsets || !t->first)
        return cts_fail(CTS_E_NOMEM, "out of memory for the inputs of a text tower");
    return CTS_OK;
}

int cts_tower_create(cts_tower **out, const cts_tower_spec *spec, const cts_tower_options *o, cts_backend *b,
                     cts_grads *grads)
{
    cts_tower *t;
    int rc;

    if (!spec->encoder)
        return cts_fail(CTS_E_MISMATCH, "the model has no encoder of this side (%s*)", spec->prefix);
    if (!(t = calloc(1, sizeof *t)))
        return cts_fail(CTS_E_NOMEM, "out of memory for a tower");
    t->spec = *spec;
    t->o = *o;
    CTS_ASSERT(!o->train || grads, "a training tower of %s needs gradients", spec->encoder->name);
    spec->encoder->info(spec->config, &t->info);
    if (spec->max_length)
        t->info.max_tokens = cts_min_i64(t->info.max_tokens, spec->max_length);
    if ((rc = check_options(t)) != CTS_OK || (rc = build_graph(t)) != CTS_OK)
        goto out;
    if (is_text(t) && (rc = alloc_text(t)) != CTS_OK)
        goto out;
    if ((rc = cts_plan_create(&t->plan, t->graph, b)) != CTS_OK)
        goto out;
    t->macs = cts_graph_macs(t->graph);
    if ((rc = cts_exec_create(&t->exec, t->plan, b, o->train ? grads : NULL)) != CTS_OK)
        goto out;
    *out = t;
    t = NULL;
out:
    cts_tower_destroy(t);
    return rc;
}

void cts_tower_destroy(cts_tower *t)
{
    if (!t)
        return;
    cts_exec_destroy(t->exec);
    cts_plan_destroy(t->plan);
    cts_graph_destroy(t->graph);
    free(t->positions);
    free(t->types);
    free(t->packed);
    free(t->offsets);
    free(t->first);
    free(t);
}

cts_plan_info cts_tower_plan_info(const cts_tower *t)
{
    return cts_plan_get_info(t->plan);
}

int64_t cts_tower_macs(const cts_tower *t)
{
    return t->macs;
}

int64_t cts_tower_dim(const cts_tower *t)
{
    return cts_tensor_channels(t->result);
}

int64_t cts_tower_max_batch(const cts_tower *t)
{
    return t->o.max_batch;
}

int64_t cts_tower_max_tokens(const cts_tower *t)
{
    return t->o.max_tokens;
}

int64_t cts_tower_max_length(const cts_tower *t)
{
    return cts_min_i64(t->info.max_tokens, t->o.max_tokens);
}

void cts_tower_volume_dim(const cts_tower *t, int64_t dim[3])
{
    memcpy(dim, t->o.volume, 3 * sizeof *dim);
}

cts_exec *cts_tower_exec(cts_tower *t)
{
    return t->exec;
}

void cts_tower_set_step(cts_tower *t, uint64_t seed, uint64_t step)
{
    cts_exec_set_step(t->exec, seed, step);
}

int cts_tower_params_changed(cts_tower *t)
{
    return cts_exec_params_changed(t->exec);
}

static int run_forward(cts_tower *t, int flags, float *out)
{
    int rc = cts_exec_forward(t->exec, flags);

    if (rc == CTS_OK && out)
        rc = cts_exec_read(t->exec, t->result, out);
    return rc;
}

int cts_tower_volumes(cts_tower *t, int64_t n, const float *volumes, int flags, float *out)
{
    int rc;

    CTS_ASSERT(!is_text(t), "volumes for a text tower");
    if (n < 1 || n > t->o.max_batch)
        return cts_fail(CTS_E_INPUT, "a run of %lld volumes, allowed 1 to %lld", (long long)n,
                        (long long)t->o.max_batch);
    cts_exec_set_extent(t->exec, CTS_SYM_BATCH, n);
    if ((rc = cts_exec_write(t->exec, t->in.volume, volumes)) != CTS_OK)
        return rc;
    return run_forward(t, flags, out);
}

static int check_tokens(const cts_tower *t, const cts_token_batch *batch)
{
    if (batch->n_seq < 1 || batch->n_seq > t->o.max_batch)
        return cts_fail(CTS_E_INPUT, "a run of %lld texts, allowed 1 to %lld", (long long)batch->n_seq,
                        (long long)t->o.max_batch);
    if (batch->offsets[0] != 0 || batch->offsets[batch->n_seq] > t->o.max_tokens)
        return cts_fail(CTS_E_INPUT, "a run of tokens %d to %d, allowed 0 to %lld", batch->offsets[0],
                        batch->offsets[batch->n_seq], (long long)t->o.max_tokens);
    for (int64_t s = 0; s < batch->n_seq; s++) {
        int32_t n = batch->offsets[s + 1] - batch->offsets[s];

        if (n < 1 || n > t->info.max_tokens)
            return cts_fail(CTS_E_INPUT, "text %lld has %d tokens, allowed 1 to %lld", (long long)s, n,
                            (long long)t->info.max_tokens);
        for (int32_t i = batch->offsets[s]; i < batch->offsets[s + 1]; i++)
            if (batch->ids[i] < 0 || batch->ids[i] >= t->info.vocab)
                return cts_fail(CTS_E_INPUT, "text %lld, token %d: id %d, allowed 0 to %lld", (long long)s,
                                i - batch->offsets[s], batch->ids[i], (long long)t->info.vocab - 1);
    }
    return CTS_OK;
}

int cts_tower_tokens(cts_tower *t, const cts_token_batch *batch, int flags, float *out)
{
    cts_exec *e = t->exec;
    int64_t n = batch->n_seq;
    int rc;

    CTS_ASSERT(is_text(t), "tokens for an image tower");
    if ((rc = check_tokens(t, batch)) != CTS_OK)
        return rc;
    for (int64_t s = 0; s < n; s++) {
        t->first[s] = batch->offsets[s];
        for (int32_t i = batch->offsets[s]; i < batch->offsets[s + 1]; i++)
            t->positions[i] = i - batch->offsets[s];
    }
    for (int64_t s = 0; s <= t->o.max_batch; s++)
        t->offsets[s] = batch->offsets[cts_min_i64(s, n)];
    cts_exec_set_extent(e, CTS_SYM_BATCH, n);
    cts_exec_set_extent(e, CTS_SYM_TOKENS, batch->offsets[n]);
    if ((rc = cts_exec_write(e, t->in.ids, batch->ids)) != CTS_OK ||
        (rc = cts_exec_write(e, t->in.positions, t->positions)) != CTS_OK ||
        (rc = cts_exec_write(e, t->in.types, t->types)) != CTS_OK ||
        (rc = cts_exec_write(e, t->in.offsets, t->offsets)) != CTS_OK ||
        (rc = cts_exec_write(e, t->in.first, t->first)) != CTS_OK)
        return rc;
    return run_forward(t, flags, out);
}

int cts_tower_encode_texts(cts_tower *t, int64_t n, const int32_t *const *ids, const int32_t *n_ids, float *out)
{
    int32_t *offsets = malloc(((size_t)t->o.max_batch + 1) * sizeof *offsets);
    int64_t d = cts_tower_dim(t), done = 0;
    int rc = CTS_OK;

    if (!offsets)
        return cts_fail(CTS_E_NOMEM, "out of memory for %lld texts", (long long)n);
    while (done < n) {
        cts_token_batch b = {.ids = t->packed, .offsets = offsets};
        int32_t at = offsets[0] = 0;

        while (b.n_seq < t->o.max_batch && done + b.n_seq < n) {
            int32_t len = n_ids[done + b.n_seq];

            if (len < 1 || len > cts_tower_max_length(t)) {
                rc = cts_fail(CTS_E_INPUT, "text %lld has %d tokens, allowed 1 to %lld", (long long)(done + b.n_seq),
                              len, (long long)cts_tower_max_length(t));
                goto out;
            }
            if (at + len > t->o.max_tokens)
                break;
            memcpy(t->packed + at, ids[done + b.n_seq], (size_t)len * sizeof *t->packed);
            at += len;
            offsets[++b.n_seq] = at;
        }
        if ((rc = cts_tower_tokens(t, &b, 0, out + done * d)) != CTS_OK)
            goto out;
        done += b.n_seq;
    }
out:
    free(offsets);
    return rc;
}

int cts_tower_backward(cts_tower *t, const float *d_out)
{
    int rc;

    CTS_ASSERT(t->d_result, "backward of a tower made for inference");
    if ((rc = cts_exec_write(t->exec, t->d_result, d_out)) != CTS_OK)
        return rc;
    return cts_exec_backward(t->exec);
}
