/* SPDX-License-Identifier: MIT */
#include "encoders/cam.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "encoders/blocks.h"
#include "kernels/autodiff.h"
#include "kernels/base/check.h"
#include "kernels/base/str.h"

/* One of the two graphs. */
typedef struct {
    cts_graph *g;
    cts_plan *plan;
    cts_exec *e;
    cts_tensor *volume, *layer, *result, *d_result, *d_layer;
} half;

struct cts_cam {
    cts_tower_spec spec;
    cts_cam_info info;
    half see, judge;
    float *features, *gradient; /* [cells][channels] */
    bool judged;                /* backward has used up the memory of the forward pass */
};

static const char *const weights_names[CTS_CAM_COUNT] = {"auto", "all", "slab", "cell"};

const char *cts_cam_weights_name(cts_cam_weights w)
{
    return weights_names[w];
}

int cts_cam_weights_parse(cts_cam_weights *out, const char *name)
{
    for (int w = 0; w < CTS_CAM_COUNT; w++)
        if (!strcmp(name, weights_names[w])) {
            *out = (cts_cam_weights)w;
            return CTS_OK;
        }
    return cts_fail(CTS_E_INPUT, "weights: got %s, allowed auto, all, slab, cell", name);
}

/* A grid over the volume: traces inside repeated layers ("temporal.0.attn") may have their axes permuted, and carry a
 * dot. */
static bool is_grid(const cts_tensor *t)
{
    return t && t->dtype == CTS_F32 && t->sym == CTS_SYM_BATCH && (t->ndim == 5 || t->ndim == 3) &&
           !strchr(t->name, '.');
}

static int unknown_layer(const cts_cam *c, const cts_graph *g, bool tokens)
{
    cts_str names = {0};
    int rc;

    for (int i = 0; i < cts_graph_n_tensors(g); i++) {
        const cts_tensor *t = cts_graph_tensor_at(g, i);

        if (t->pinned && is_grid(t))
            cts_str_printf(&names, "%s%s", names.n ? ", " : "", t->name);
    }
    if (tokens)
        cts_str_printf(&names, "%stokens", names.n ? ", " : "");
    rc = cts_fail(CTS_E_NOTFOUND, "layer: got %s, allowed for %s: %s", c->info.layer, c->spec.encoder->name,
                  cts_str_text(&names));
    cts_str_free(&names);
    return rc;
}

/* The tower in h->g with h->layer found in it; all: every layer is traced. */
static int build(cts_cam *c, half *h, bool judge, bool all)
{
    cts_encoder_outputs o = {0};
    cts_encoder_inputs in;
    cts_build b;
    int rc = cts_graph_create(&h->g, c->spec.params);

    if (rc)
        return rc;
    in = cts_encoder_image_inputs(h->g, 1, c->info.volume);
    b = cts_build_make(h->g, false);
    b.grad = b.straight_through = judge;
    b.trace = true;
    b.trace_only = all ? NULL : c->info.layer;
    h->volume = in.volume;
    h->result = cts_tower_build(&b, &c->spec, &in, &o);
    if (!strcmp(c->info.layer, "tokens") && !cts_graph_find(h->g, "tokens") && o.tokens) {
        h->layer = o.tokens;
        if (!o.tokens->pinned)
            cts_graph_output(h->g, o.tokens, "tokens");
    } else {
        h->layer = cts_graph_find(h->g, c->info.layer);
    }
    if (!is_grid(h->layer))
        return all ? unknown_layer(c, h->g, is_grid(o.tokens)) : CTS_E_NOTFOUND;
    return cts_graph_status(h->g);
}

static void end(half *h)
{
    cts_exec_destroy(h->e);
    cts_plan_destroy(h->plan);
    cts_graph_destroy(h->g);
    *h = (half){0};
}

static int run_of(half *h, cts_backend *b, size_t *peak)
{
    cts_plan_info info;
    int rc = cts_plan_create(&h->plan, h->g, b);

    if (rc || (rc = cts_exec_create(&h->e, h->plan, b, NULL)))
        return rc;
    info = cts_plan_get_info(h->plan);
    *peak += info.arena_bytes + info.scratch_bytes;
    return CTS_OK;
}

/* Strides of strided layers are powers of two, and with more than one cell only one such number suits: n / stride lies
 * in (cells - 1, cells]. A single cell is the whole axis. */
static void lay_cells(cts_cam_info *i, const cts_encoder_view *view)
{
    for (int a = 0; a < 3; a++) {
        i->step[a] = (double)i->volume[a] / (double)i->grid[a];
        i->origin[a] = (i->step[a] - 1) / 2;
        if (view->strided[a] && i->grid[a] > 1) {
            double stride = 1;

            while (stride < i->step[a])
                stride *= 2;
            i->step[a] = stride;
            i->origin[a] = 0;
        }
    }
}

static void describe(cts_cam *c, const cts_encoder_view *view)
{
    const cts_tensor *t = c->see.layer;
    cts_cam_info *i = &c->info;

    for (int a = 0; a < 3; a++)
        i->grid[a] = t->ndim == 5 || a == 0 ? t->shape[1 + a] : 1;
    i->channels = cts_tensor_channels(t);
    i->dim = cts_tensor_channels(c->see.result);
    i->slab = view->slab;
    if (i->weights == CTS_CAM_AUTO)
        i->weights = view->slab ? CTS_CAM_SLAB : CTS_CAM_CELL;
    lay_cells(i, view);
}

/* All before the layer; what follows is pruned, as only the layer is kept. */
static int make_see(cts_cam *c, const cts_encoder_view *view)
{
    int rc = build(c, &c->see, false, false);

    if (rc == CTS_E_NOTFOUND) { /* once more with every name, for the sentence */
        end(&c->see);
        rc = build(c, &c->see, false, true);
    }
    if (!rc)
        describe(c, view);
    return rc;
}

static int make_judge(cts_cam *c)
{
    half *h = &c->judge;
    int rc = build(c, h, true, false);

    if (rc)
        return rc;
    cts_graph_cut(h->g, h->layer, "layer");
    h->layer->want_grad = true;
    cts_graph_output(h->g, h->result, "result");
    if ((rc = cts_backward_inputs(h->g, 1, &h->result, &h->d_result)))
        return cts_fail_in(rc, "layer %s", c->info.layer);
    h->d_layer = cts_graph_find(h->g, "d.layer");
    return h->d_layer ? CTS_OK : cts_fail(CTS_E_INPUT, "layer %s does not reach the answer", c->info.layer);
}

int cts_cam_create(cts_cam **out, const cts_tower_spec *spec, const cts_cam_options *o, cts_backend *b)
{
    cts_encoder_info info;
    cts_cam *c;
    size_t n;
    int rc;

    if (!spec->encoder || spec->encoder->kind != CTS_KIND_IMAGE)
        return cts_fail(CTS_E_MISMATCH, "the model has no image encoder: there is no place to explain");
    if (!(c = calloc(1, sizeof *c)))
        return cts_fail(CTS_E_NOMEM, "out of memory for a heat map");
    c->spec = *spec;
    memcpy(c->info.volume, o->volume, sizeof c->info.volume);
    c->info.weights = o->weights;
    spec->encoder->info(spec->config, &info);
    snprintf(c->info.layer, sizeof c->info.layer, "%s",
             o->layer && *o->layer ? o->layer
             : info.view.layer     ? info.view.layer
                                   : "tokens");
    if ((rc = cts_tower_check(spec, c->info.volume)) || (rc = make_see(c, &info.view)) || (rc = make_judge(c)) ||
        (rc = run_of(&c->see, b, &c->info.peak_bytes)) || (rc = run_of(&c->judge, b, &c->info.peak_bytes)))
        goto out;
    n = (size_t)cts_tensor_count(c->see.layer);
    c->features = calloc(n, sizeof *c->features);
    c->gradient = calloc(n, sizeof *c->gradient);
    if (!c->features || !c->gradient) {
        rc = cts_fail(CTS_E_NOMEM, "out of memory for %zu features", n);
        goto out;
    }
    *out = c;
    c = NULL;
out:
    cts_cam_destroy(c);
    return rc;
}

void cts_cam_destroy(cts_cam *c)
{
    if (!c)
        return;
    end(&c->see);
    end(&c->judge);
    free(c->features);
    free(c->gradient);
    free(c);
}

const cts_cam_info *cts_cam_describe(const cts_cam *c)
{
    return &c->info;
}

static int judge_forward(cts_cam *c)
{
    int rc = cts_exec_write(c->judge.e, c->judge.layer, c->features);

    return rc ? rc : cts_exec_forward(c->judge.e, 0);
}

int cts_cam_see(cts_cam *c, const float *volume, float *result)
{
    int rc;

    if ((rc = cts_exec_write(c->see.e, c->see.volume, volume)) || (rc = cts_exec_forward(c->see.e, 0)) ||
        (rc = cts_exec_read(c->see.e, c->see.layer, c->features)) || (rc = judge_forward(c)))
        return rc;
    c->judged = false;
    return cts_exec_read(c->judge.e, c->judge.result, result);
}

/* Mean of the gradient over `cells` cells from `at` into w [channels]. */
static void mean_gradient(double *w, const cts_cam *c, int64_t at, int64_t cells)
{
    const int64_t C = c->info.channels;

    for (int64_t i = 0; i < C; i++)
        w[i] = 0;
    for (int64_t r = at; r < at + cells; r++)
        for (int64_t i = 0; i < C; i++)
            w[i] += (double)c->gradient[r * C + i] / (double)cells;
}

static int weigh(const cts_cam *c, float *heat)
{
    const int64_t C = c->info.channels, plane = c->info.grid[1] * c->info.grid[2], n = c->info.grid[0] * plane;
    const int64_t group = c->info.weights == CTS_CAM_ALL ? n : c->info.weights == CTS_CAM_SLAB ? plane : 1;
    double *w = malloc((size_t)C * sizeof *w);
    int rc = w ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for weights");

    for (int64_t r = 0; !rc && r < n; r++) {
        double sum = 0;

        if (r % group == 0)
            mean_gradient(w, c, r, group);
        for (int64_t i = 0; i < C; i++)
            sum += w[i] * (double)c->features[r * C + i];
        if (!isfinite(sum))
            rc = cts_fail(CTS_E_INPUT,
                          "the gradient at layer %s is not finite; allowed: a model whose weights are "
                          "sound",
                          c->info.layer);
        heat[r] = sum > 0 ? (float)sum : 0.0f;
    }
    free(w);
    return rc;
}

int cts_cam_map(cts_cam *c, const float *d_result, float *heat)
{
    int rc = c->judged ? judge_forward(c) : CTS_OK;

    c->judged = true;
    if (rc || (rc = cts_exec_write(c->judge.e, c->judge.d_result, d_result)) || (rc = cts_exec_backward(c->judge.e)) ||
        (rc = cts_exec_read(c->judge.e, c->judge.d_layer, c->gradient)))
        return rc;
    return weigh(c, heat);
}
