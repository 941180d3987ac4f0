/* Backward by ordinary nodes. Walks the forward nodes from last to first; a tensor's gradient is complete when its
 * producer is reached, because all readers come later in the list. Parameter gradients are accumulated the moment they
 * appear, so their memory is free again at once.
 * SPDX-License-Identifier: MIT */
#include "kernels/autodiff.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/str.h"
#include "kernels/ops.h"

typedef struct {
    cts_graph *g;
    int n;              /* tensors of the forward graph */
    bool inputs_only;   /* parameters are constants */
    bool *need;         /* [n] a gradient is wanted */
    cts_tensor **grad;  /* [n] gradient so far */
    cts_tensor **again; /* [n] the tensor as backward sees it: itself or its recomputed clone */
} diff;

static void mark_needs(diff *d, int n_nodes)
{
    for (int i = 0; i < d->n; i++) {
        const cts_tensor *t = cts_graph_tensor_at(d->g, i);

        d->need[i] = (t->role == CTS_ROLE_PARAM && !d->inputs_only &&
                      !cts_params_get(cts_graph_params(d->g), t->param)->frozen) ||
                     (t->role == CTS_ROLE_INPUT && t->want_grad);
    }
    for (int i = 0; i < n_nodes; i++) {
        const cts_node *n = cts_graph_node_at(d->g, i);
        bool any = false;

        for (int k = 0; k < n->n_in; k++)
            any |= n->in[k] && d->need[n->in[k]->id];
        for (int k = 0; any && cts_op_def_of(n->op)->grad && k < n->n_out; k++)
            d->need[n->out[k]->id] = true;
    }
}

static bool is_recomputed(const cts_tensor *t)
{
    return t->recompute || (t->base && t->base->recompute);
}

/* t as backward shall read it. A marked tensor is cloned with its producer once; its inputs follow by the same rule. */
static cts_tensor *seen_by_backward(diff *d, cts_tensor *t)
{
    const cts_node *n;
    cts_node *c;
    cts_tensor *in[CTS_MAX_IN];

    if (!t || t->id >= d->n)
        return t;
    if (d->again[t->id])
        return d->again[t->id];
    if (!t->producer || !is_recomputed(t))
        return d->again[t->id] = t;
    n = t->producer;
    for (int k = 0; k < n->n_in; k++)
        in[k] = seen_by_backward(d, n->in[k]);
    c = cts_graph_node(d->g, n->op, n->n_in, in, NULL, 0);
    c->attr = n->attr;
    for (int k = 0; k < n->n_out; k++) {
        const cts_tensor *o = n->out[k];

        d->again[o->id] = o->base ? cts_node_out_view(d->g, c, o->name, in[0], o->ndim, o->shape, o->sym)
                                  : cts_node_out_like(d->g, c, o->name, o);
        d->again[o->id]->recompute_clone = true;
    }
    return d->again[t->id];
}

static void add_grad(diff *d, cts_tensor *t, cts_tensor *g)
{
    char a[96], b[96];

    CTS_ASSERT(cts_tensor_count(t) == cts_tensor_count(g), "gradient of %s is %s, not %s", t->name,
               cts_shape_text(a, g->ndim, g->shape), cts_shape_text(b, t->ndim, t->shape));
    if (t->role == CTS_ROLE_PARAM)
        cts_op_accumulate(d->g, cts_graph_grad(d->g, t->param), g);
    else
        d->grad[t->id] = d->grad[t->id] ? cts_op_add(d->g, d->grad[t->id], g) : g;
}

static void backward_node(diff *d, const cts_node *n)
{
    const struct cts_op_def *def = cts_op_def_of(n->op);
    cts_tensor *dout[CTS_MAX_OUT] = {NULL}, *din[CTS_MAX_IN] = {NULL};
    bool need[CTS_MAX_IN] = {false}, any_in = false, any_out = false;
    cts_node seen = *n;

    for (int k = 0; k < n->n_out; k++)
        any_out |= (dout[k] = d->grad[n->out[k]->id]) != NULL;
    for (int k = 0; k < n->n_in; k++)
        any_in |= need[k] = n->in[k] && d->need[n->in[k]->id];
    if (!any_in || !any_out)
        return;
    CTS_ASSERT(def->grad, "%s has no gradient", def->name);
    for (int k = 0; k < n->n_in; k++)
        seen.in[k] = seen_by_backward(d, n->in[k]);
    for (int k = 0; k < n->n_out; k++)
        seen.out[k] = seen_by_backward(d, n->out[k]);
    def->grad(d->g, &seen, dout, need, din);
    for (int k = 0; k < n->n_in; k++)
        if (need[k] && din[k])
            add_grad(d, n->in[k], din[k]);
}

/* Outputs "d.<name>" for the inputs that asked. */
static void publish_input_grads(diff *d)
{
    for (int i = 0; i < d->n; i++) {
        const cts_tensor *t = cts_graph_tensor_at(d->g, i);
        char *name;

        if (t->role != CTS_ROLE_INPUT || !t->want_grad || !d->grad[i])
            continue;
        name = cts_asprintf("d.%s", t->name);
        CTS_ASSERT(name, "out of memory");
        /* A gradient that is an input itself, or that another input publishes already, gets a copy of its own. */
        if (d->grad[i]->role != CTS_ROLE_ACT || d->grad[i]->pinned)
            d->grad[i] = cts_op_scale(d->g, d->grad[i], 1.0f);
        cts_graph_output(d->g, d->grad[i], name);
        free(name);
    }
}

static int backward(cts_graph *g, int n, cts_tensor *const *out, cts_tensor **dout, bool inputs_only)
{
    int n_nodes = cts_graph_n_nodes(g);
    diff d = {.g = g, .n = cts_graph_n_tensors(g), .inputs_only = inputs_only};
    bool reached = false;

    d.need = cts_graph_alloc(g, (size_t)d.n * sizeof *d.need);
    d.grad = cts_graph_alloc(g, (size_t)d.n * sizeof *d.grad);
    d.again = cts_graph_alloc(g, (size_t)d.n * sizeof *d.again);
    mark_needs(&d, n_nodes);
    for (int i = 0; i < n; i++)
        reached |= d.need[out[i]->id];
    if (!reached)
        return cts_fail(CTS_E_INPUT,
                        "backward: output %s depends on no trainable parameter and no input with a wanted gradient "
                        "(are all parameters frozen?)",
                        n ? out[0]->name : "(none)");
    cts_graph_set_forward(g, n_nodes);
    for (int i = 0; i < n; i++) {
        char *name = cts_asprintf("d.%s", out[i]->name);

        CTS_ASSERT(name, "out of memory");
        if (!dout[i])
            dout[i] = cts_graph_input(g, name, out[i]->dtype, out[i]->ndim, out[i]->shape, out[i]->sym);
        add_grad(&d, out[i], dout[i]);
        free(name);
    }
    for (int i = n_nodes - 1; i >= 0; i--)
        backward_node(&d, cts_graph_node_at(g, i));
    publish_input_grads(&d);
    return cts_graph_status(g);
}

int cts_backward(cts_graph *g, int n, cts_tensor *const *out, cts_tensor **dout)
{
    return backward(g, n, out, dout, false);
}

int cts_backward_inputs(cts_graph *g, int n, cts_tensor *const *out, cts_tensor **dout)
{
    return backward(g, n, out, dout, true);
}
