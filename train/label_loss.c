/* SPDX-License-Identifier: MIT */
#include "train/label_loss.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/autodiff.h"
#include "kernels/base/check.h"
#include "kernels/base/status.h"
#include "kernels/ops.h"

struct cts_label_loss {
    int64_t max_batch, n_labels;
    cts_params *params; /* none; a graph has a list */
    cts_grads *grads;
    cts_graph *graph;
    cts_plan *plan;
    cts_exec *exec;
    cts_tensor *logits, *labels, *weight, *loss, *d_loss, *d_logits;
    float *pos_weight; /* [n_labels] */
};

static int build_graph(cts_label_loss *l)
{
    const int64_t shape[2] = {l->max_batch, l->n_labels};
    int rc;

    if ((rc = cts_params_create(&l->params)) != CTS_OK || (rc = cts_graph_create(&l->graph, l->params)) != CTS_OK)
        return rc;
    l->logits = cts_graph_input(l->graph, "logits", CTS_F32, 2, shape, CTS_SYM_BATCH);
    l->labels = cts_graph_input(l->graph, "labels", CTS_F32, 2, shape, CTS_SYM_BATCH);
    l->weight = cts_graph_input(l->graph, "pos_weight", CTS_F32, 1, shape + 1, CTS_SYM_NONE);
    l->logits->want_grad = true;
    l->loss = cts_op_sigmoid_bce(l->graph, l->logits, l->labels, l->weight);
    cts_graph_output(l->graph, l->loss, "loss");
    if ((rc = cts_backward(l->graph, 1, &l->loss, &l->d_loss)) != CTS_OK)
        return rc;
    l->d_logits = cts_graph_find(l->graph, "d.logits");
    CTS_ASSERT(l->d_logits, "the loss gives no gradient to its logits");
    return cts_graph_status(l->graph);
}

int cts_label_loss_create(cts_label_loss **out, int64_t max_batch, int64_t n_labels, const float *pos_weight,
                          cts_backend *b)
{
    cts_label_loss *l = calloc(1, sizeof *l);
    int rc;

    if (!l || !(l->pos_weight = malloc((size_t)n_labels * sizeof *l->pos_weight))) {
        rc = cts_fail(CTS_E_NOMEM, "out of memory for a loss");
        goto out;
    }
    l->max_batch = max_batch;
    l->n_labels = n_labels;
    for (int64_t i = 0; i < n_labels; i++)
        l->pos_weight[i] = pos_weight ? pos_weight[i] : 1.0f;
    if ((rc = build_graph(l)) != CTS_OK || (rc = cts_grads_create(&l->grads, l->params)) != CTS_OK ||
        (rc = cts_plan_create(&l->plan, l->graph, b)) != CTS_OK ||
        (rc = cts_exec_create(&l->exec, l->plan, b, l->grads)) != CTS_OK)
        goto out;
    *out = l;
    l = NULL;
out:
    cts_label_loss_destroy(l);
    return rc;
}

void cts_label_loss_destroy(cts_label_loss *l)
{
    if (!l)
        return;
    cts_exec_destroy(l->exec);
    cts_plan_destroy(l->plan);
    cts_graph_destroy(l->graph);
    cts_grads_destroy(l->grads);
    cts_params_destroy(l->params);
    free(l->pos_weight);
    free(l);
}

int cts_label_loss_run(cts_label_loss *l, int64_t n, const float *logits, const float *labels, double *loss,
                       float *d_logits)
{
    const float one = 1.0f;
    cts_exec *e = l->exec;
    float value;
    int rc;

    CTS_ASSERT(n >= 1 && n <= l->max_batch, "a loss over %lld rows of %lld", (long long)n, (long long)l->max_batch);
    cts_exec_set_extent(e, CTS_SYM_BATCH, n);
    if ((rc = cts_exec_write(e, l->logits, logits)) != CTS_OK ||
        (rc = cts_exec_write(e, l->labels, labels)) != CTS_OK ||
        (rc = cts_exec_write(e, l->weight, l->pos_weight)) != CTS_OK || (rc = cts_exec_forward(e, 0)) != CTS_OK ||
        (rc = cts_exec_read(e, l->loss, &value)) != CTS_OK)
        return rc;
    if (d_logits && ((rc = cts_exec_write(e, l->d_loss, &one)) != CTS_OK || (rc = cts_exec_backward(e)) != CTS_OK ||
                     (rc = cts_exec_read(e, l->d_logits, d_logits)) != CTS_OK))
        return rc;
    *loss = value;
    return CTS_OK;
}
