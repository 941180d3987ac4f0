/* SPDX-License-Identifier: MIT */
#include "train/clip_init.h"

#include <stdlib.h>

#include "kernels/base/check.h"
#include "kernels/base/status.h"

typedef struct {
    float *volumes;
    int32_t *ids, *offsets;
    int64_t n;
} sample;

static void sample_free(sample *s)
{
    free(s->volumes);
    free(s->ids);
    free(s->offsets);
}

static int sample_make(sample *s, const cts_pairs *p, int64_t n, int64_t max_tokens)
{
    size_t voxels = (size_t)(p->volume[0] * p->volume[1] * p->volume[2]);

    s->volumes = malloc((size_t)n * voxels * sizeof *s->volumes);
    s->ids = malloc((size_t)(n * max_tokens) * sizeof *s->ids);
    s->offsets = calloc((size_t)n + 1, sizeof *s->offsets);
    if (!s->volumes || !s->ids || !s->offsets)
        return cts_fail(CTS_E_NOMEM, "out of memory for %lld volumes", (long long)n);
    for (int64_t r = 0; r < p->n && s->n < n; r++) {
        if (p->load(p->ctx, r, s->volumes + (size_t)s->n * voxels))
            continue; /* the training loop reports it */
        s->offsets[s->n + 1] = s->offsets[s->n] + p->text(p->ctx, r, 0, s->ids + s->offsets[s->n], (int32_t)max_tokens);
        s->n++;
    }
    if (s->n < 2)
        return cts_fail(CTS_E_INPUT, "training data: got %lld volumes that can be read, allowed: at least 2",
                        (long long)s->n);
    return CTS_OK;
}

/* Encoder vectors of the sample: out [n, dim of the tower], malloc'd. */
static int vectors(float **out, int64_t *dim, cts_clip *m, cts_side side, const cts_pairs *p, const sample *s,
                   int64_t max_tokens, cts_backend *backend)
{
    cts_tower_spec spec = cts_clip_tower_spec(m, side);
    cts_tower_options o = {.train = true, .max_batch = s->n, .max_tokens = s->n * max_tokens};
    cts_token_batch text = {s->n, s->ids, s->offsets};
    cts_grads *grads = NULL;
    cts_tower *t = NULL;
    float *v = NULL;
    int rc;

    spec.result = CTS_RESULT_VECTOR;
    for (int d = 0; side == CTS_SIDE_IMAGE && d < 3; d++)
        o.volume[d] = p->volume[d];
    if ((rc = cts_grads_create(&grads, m->params)) || (rc = cts_tower_create(&t, &spec, &o, backend, grads)))
        goto out;
    *dim = cts_tower_dim(t);
    if (!(v = malloc((size_t)(s->n * *dim) * sizeof *v)))
        rc = cts_fail(CTS_E_NOMEM, "out of memory for %lld vectors", (long long)s->n);
    else
        rc = side == CTS_SIDE_IMAGE ? cts_tower_volumes(t, s->n, s->volumes, 0, v) : cts_tower_tokens(t, &text, 0, v);
    if (!rc) {
        *out = v;
        v = NULL;
    }
out:
    free(v);
    cts_tower_destroy(t);
    cts_grads_destroy(grads);
    return rc;
}

/* W [latent, dim] loses its component along the mean of v [n, dim]. */
static int center(float *w, int64_t latent, const float *v, int64_t n, int64_t dim)
{
    double *mean = calloc((size_t)dim, sizeof *mean), square = 0.0;

    if (!mean)
        return cts_fail(CTS_E_NOMEM, "out of memory for a mean of %lld values", (long long)dim);
    for (int64_t i = 0; i < n * dim; i++)
        mean[i % dim] += v[i] / (double)n;
    for (int64_t k = 0; k < dim; k++)
        square += mean[k] * mean[k];
    for (int64_t r = 0; square > 0 && r < latent; r++, w += dim) {
        double along = 0.0;

        for (int64_t k = 0; k < dim; k++)
            along += w[k] * mean[k];
        for (int64_t k = 0; k < dim; k++)
            w[k] = (float)(w[k] - along / square * mean[k]);
    }
    free(mean);
    return CTS_OK;
}

int cts_clip_center_projections(cts_clip *m, const cts_pairs *pairs, int64_t n, int64_t max_tokens,
                                cts_backend *backend)
{
    sample s = {0};
    int rc = sample_make(&s, pairs, cts_min_i64(n, pairs->n), max_tokens);

    for (int side = 0; !rc && side < CTS_SIDE_COUNT; side++) {
        int i = cts_params_find(m->params, cts_clip_projection((cts_side)side));
        cts_param *w = cts_params_at(m->params, i);
        int64_t dim = 0;
        float *v = NULL;

        if (!(rc = vectors(&v, &dim, m, (cts_side)side, pairs, &s, max_tokens, backend))) {
            CTS_ASSERT(w->count == w->shape[0] * dim, "%s is not [latent, %lld]", w->name, (long long)dim);
            rc = center(w->data, w->shape[0], v, s.n, dim);
        }
        free(v);
    }
    sample_free(&s);
    return rc;
}
