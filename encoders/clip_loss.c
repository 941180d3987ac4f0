/* The runner of the contrastive loss: embeddings in, loss and their gradients out. SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "encoders/tower.h"
#include "kernels/autodiff.h"
#include "kernels/base/check.h"
#include "kernels/base/status.h"

struct cts_clip_loss {
    int64_t max_batch;
    cts_graph *graph;
    cts_plan *plan;
    cts_exec *exec;
    cts_tensor *image, *text, *loss;
    cts_tensor *d_loss, *d_image, *d_text; /* NULL for evaluation only */
};

static int build_graph(cts_clip_loss *l, const cts_clip *m, cts_loss_kind kind, bool train)
{
    const int64_t shape[2] = {l->max_batch, m->config.latent_dim};
    cts_build b;
    int rc;

    if ((rc = cts_graph_create(&l->graph, m->params)) != CTS_OK)
        return rc;
    l->image = cts_graph_input(l->graph, "image", CTS_F32, 2, shape, CTS_SYM_BATCH);
    l->text = cts_graph_input(l->graph, "text", CTS_F32, 2, shape, CTS_SYM_BATCH);
    l->image->want_grad = l->text->want_grad = train;
    b = cts_build_make(l->graph, train);
    l->loss = cts_clip_build_loss(&b, &m->config, kind, l->image, l->text);
    cts_graph_output(l->graph, l->loss, "loss");
    if (train) {
        if ((rc = cts_backward(l->graph, 1, &l->loss, &l->d_loss)) != CTS_OK)
            return rc;
        l->d_image = cts_graph_find(l->graph, "d.image");
        l->d_text = cts_graph_find(l->graph, "d.text");
        CTS_ASSERT(l->d_image && l->d_text, "the loss gives no gradient to its embeddings");
    }
    return cts_graph_status(l->graph);
}

int cts_clip_loss_create(cts_clip_loss **out, const cts_clip *m, cts_loss_kind kind, int64_t max_batch, cts_backend *b,
                         cts_grads *grads)
{
    cts_clip_loss *l;
    int rc;

    for (int side = 0; side < CTS_SIDE_COUNT; side++)
        if ((rc = cts_clip_config_need(&m->config, (cts_side)side)) != CTS_OK)
            return rc;
    if (kind == CTS_LOSS_SIGLIP && !m->config.has_bias)
        return cts_fail(CTS_E_INPUT,
                        "loss siglip needs a bias: field \"temperature.bias\" of the configuration is absent");
    if (max_batch < 1)
        return cts_fail(CTS_E_INPUT, "a loss over %lld pairs, allowed 1 or more", (long long)max_batch);
    if (!(l = calloc(1, sizeof *l)))
        return cts_fail(CTS_E_NOMEM, "out of memory for a loss");
    l->max_batch = max_batch;
    if ((rc = build_graph(l, m, kind, grads != NULL)) != CTS_OK ||
        (rc = cts_plan_create(&l->plan, l->graph, b)) != CTS_OK ||
        (rc = cts_exec_create(&l->exec, l->plan, b, grads)) != CTS_OK)
        goto out;
    *out = l;
    l = NULL;
out:
    cts_clip_loss_destroy(l);
    return rc;
}

void cts_clip_loss_destroy(cts_clip_loss *l)
{
    if (!l)
        return;
    cts_exec_destroy(l->exec);
    cts_plan_destroy(l->plan);
    cts_graph_destroy(l->graph);
    free(l);
}

int cts_clip_loss_params_changed(cts_clip_loss *l)
{
    return cts_exec_params_changed(l->exec);
}

int cts_clip_loss_run(cts_clip_loss *l, int64_t n, const float *image, const float *text, double weight, double *loss,
                      float *d_image, float *d_text)
{
    cts_exec *e = l->exec;
    float value, w = (float)weight;
    int rc;

    CTS_ASSERT(!d_image == !d_text && (!d_image || l->d_loss), "loss gradients of a loss made for evaluation");
    if (n < 1 || n > l->max_batch)
        return cts_fail(CTS_E_INPUT, "a loss over %lld pairs, allowed 1 to %lld", (long long)n,
                        (long long)l->max_batch);
    cts_exec_set_extent(e, CTS_SYM_BATCH, n);
    if ((rc = cts_exec_write(e, l->image, image)) != CTS_OK || (rc = cts_exec_write(e, l->text, text)) != CTS_OK ||
        (rc = cts_exec_forward(e, 0)) != CTS_OK || (rc = cts_exec_read(e, l->loss, &value)) != CTS_OK)
        return rc;
    if (d_image) {
        if ((rc = cts_exec_write(e, l->d_loss, &w)) != CTS_OK || (rc = cts_exec_backward(e)) != CTS_OK ||
            (rc = cts_exec_read(e, l->d_image, d_image)) != CTS_OK ||
            (rc = cts_exec_read(e, l->d_text, d_text)) != CTS_OK)
            return rc;
    }
    *loss = value;
    return CTS_OK;
}
