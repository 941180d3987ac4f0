/* SPDX-License-Identifier: MIT */
#include "encoders/features.h"

#include <stdlib.h>
#include <string.h>

#include "encoders/blocks.h"
#include "kernels/base/status.h"

static const char *const names[] = {CTS_CLASSIFIER_WEIGHT, CTS_CLASSIFIER_BIAS};

static void info(const void *config, cts_encoder_info *out)
{
    const cts_features *f = config;

    memset(out, 0, sizeof *out);
    out->volume[0] = out->volume[1] = 1;
    out->volume[2] = out->vector_dim = f->width;
}

static void build(cts_build *b, const void *config, const cts_encoder_inputs *in, cts_encoder_outputs *out)
{
    const cts_features *f = config;

    out->vector = cts_op_reshape(b->graph, in->volume, 2, (int64_t[]){in->volume->shape[0], f->width});
}

/* In no registry: no model has it. */
static const cts_encoder_def features = {
    .name = "features", .about = "vectors computed before", .kind = CTS_KIND_IMAGE, .info = info, .build = build};

cts_tower_spec cts_features_spec(cts_features *f)
{
    return (cts_tower_spec){.params = f->params,
                            .encoder = &features,
                            .config = f,
                            .prefix = "",
                            .classifier = &f->head,
                            .result = CTS_RESULT_LOGITS};
}

static int declare(cts_features *f)
{
    const cts_tower_spec spec = cts_features_spec(f);
    cts_encoder_inputs in;
    cts_encoder_outputs o = {0};
    cts_graph *g = NULL;
    cts_build b;
    int rc = cts_graph_create(&g, f->params);

    if (rc != CTS_OK)
        return rc;
    in = cts_encoder_image_inputs(g, 1, (int64_t[]){1, 1, f->width});
    b = cts_build_make(g, false);
    cts_tower_build(&b, &spec, &in, &o);
    rc = cts_graph_status(g);
    cts_graph_destroy(g);
    return rc;
}

int cts_features_create(cts_features **out, const cts_classifier *head, int64_t width, uint64_t seed)
{
    cts_features *f = calloc(1, sizeof *f);
    int rc;

    if (!f)
        return cts_fail(CTS_E_NOMEM, "out of memory for a head");
    f->width = width;
    if ((rc = cts_classifier_copy(&f->head, head)) != CTS_OK || (rc = cts_params_create(&f->params)) != CTS_OK)
        goto out;
    f->head.input = CTS_HEAD_VECTOR;
    if ((rc = declare(f)) != CTS_OK || (rc = cts_params_init(f->params, seed)) != CTS_OK)
        goto out;
    *out = f;
    f = NULL;
out:
    cts_features_destroy(f);
    return rc;
}

void cts_features_destroy(cts_features *f)
{
    if (!f)
        return;
    cts_params_destroy(f->params);
    cts_classifier_clear(&f->head);
    free(f);
}

/* The two entries of both lists. */
static int find(cts_param *own[2], const cts_param *other[2], const cts_features *f, const cts_params *p)
{
    for (int i = 0; i < 2; i++) {
        int k = cts_params_find(p, names[i]);

        own[i] = cts_params_at(f->params, cts_params_find(f->params, names[i]));
        other[i] = k < 0 ? NULL : cts_params_get(p, k);
        if (!other[i] || other[i]->ndim != own[i]->ndim ||
            memcmp(other[i]->shape, own[i]->shape, (size_t)own[i]->ndim * sizeof *own[i]->shape) != 0)
            return cts_fail(CTS_E_MISMATCH, "%s: the model has no head of %lld labels on %lld values", names[i],
                            (long long)f->head.n, (long long)f->width);
    }
    return CTS_OK;
}

int cts_features_get(cts_features *f, const cts_params *p)
{
    const cts_param *from[2];
    cts_param *to[2];
    int rc = find(to, from, f, p);

    for (int i = 0; rc == CTS_OK && i < 2; i++)
        memcpy(to[i]->data, from[i]->data, (size_t)to[i]->count * sizeof(float));
    return rc;
}

int cts_features_put(const cts_features *f, cts_params *p)
{
    const cts_param *to[2];
    cts_param *from[2];
    int rc = find(from, to, f, p);

    for (int i = 0; rc == CTS_OK && i < 2; i++)
        memcpy(cts_params_at(p, cts_params_find(p, names[i]))->data, from[i]->data,
               (size_t)from[i]->count * sizeof(float));
    return rc;
}
