/* SPDX-License-Identifier: MIT */
#include "query/explain/explainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "data/nifti.h"
#include "kernels/base/arena.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"
#include "query/zeroshot.h"

struct cts_explainer {
    const cts_session *s;
    const cts_classifier *classifier; /* NULL: zero-shot */
    cts_zeroshot z;
    cts_cam *cam;
    float *tensor; /* the prepared scan */
    float *result; /* [dim] of the tower */
    float *ask;    /* [dim] gradient of the answer */
    float *grid;   /* [cells] */
    cts_volume *scan;
    cts_geometry geometry;
    cts_preprocess_info info;
};

static int need_findings(const cts_explainer *x)
{
    const cts_engine *e = x->s->engine;
    int rc = cts_engine_need(e, CTS_SIDE_IMAGE);

    if (rc || x->classifier || cts_engine_clip(e)->config.encoder[CTS_SIDE_TEXT])
        return rc;
    return cts_fail(CTS_E_MISMATCH,
                    "%s: the model answers for no finding; allowed: a model with a classifier, or with a text side for "
                    "prompts",
                    cts_engine_path(e));
}

static int make_room(cts_explainer *x)
{
    const cts_cam_info *i = cts_cam_describe(x->cam);
    size_t dim = (size_t)i->dim * sizeof(float), cells = (size_t)(i->grid[0] * i->grid[1] * i->grid[2]);

    x->tensor = cts_aligned_alloc(cts_recipe_elements(cts_engine_recipe(x->s->engine)) * sizeof *x->tensor);
    x->result = malloc(dim);
    x->ask = malloc(dim);
    x->grid = malloc(cells * sizeof *x->grid);
    return x->tensor && x->result && x->ask && x->grid ? CTS_OK
                                                       : cts_fail(CTS_E_NOMEM, "out of memory for a prepared scan");
}

int cts_explainer_open(cts_explainer **out, const cts_session *s, const cts_explain_options *o)
{
    const cts_clip *m = cts_engine_clip(s->engine);
    cts_cam_options c = {.layer = o->layer, .weights = o->weights};
    cts_tower_spec spec;
    cts_explainer *x = calloc(1, sizeof *x);
    int rc;

    if (!x)
        return cts_fail(CTS_E_NOMEM, "out of memory for a model");
    x->s = s;
    if (m->config.classifier.head != CTS_HEAD_NONE && !(o->prompts && m->config.encoder[CTS_SIDE_TEXT]))
        x->classifier = &m->config.classifier;
    if ((rc = need_findings(x)))
        goto out;
    memcpy(c.volume, cts_engine_recipe(s->engine)->size_zxy, sizeof c.volume);
    spec = x->classifier ? cts_clip_logits_spec(m) : cts_clip_tower_spec(m, CTS_SIDE_IMAGE);
    if ((rc = cts_cam_create(&x->cam, &spec, &c, s->runtime.backend)) || (rc = make_room(x)) ||
        (!x->classifier && (rc = cts_zeroshot_open(&x->z, s->engine, o->prompts))))
        goto out;
    *out = x;
    x = NULL; /* the caller owns it now */
out:
    cts_explainer_close(x);
    return rc;
}

void cts_explainer_close(cts_explainer *x)
{
    if (!x)
        return;
    cts_zeroshot_clear(&x->z);
    cts_cam_destroy(x->cam);
    cts_aligned_free(x->tensor);
    free(x->result);
    free(x->ask);
    free(x->grid);
    cts_volume_destroy(x->scan);
    free(x);
}

const cts_cam_info *cts_explainer_cam(const cts_explainer *x)
{
    return cts_cam_describe(x->cam);
}

bool cts_explainer_supervised(const cts_explainer *x)
{
    return x->classifier != NULL;
}

const char *cts_explainer_prompts(const cts_explainer *x)
{
    return x->z.bank;
}

size_t cts_explainer_count(const cts_explainer *x)
{
    return x->classifier ? (size_t)x->classifier->n : CTS_FINDINGS;
}

const char *cts_explainer_name(const cts_explainer *x, size_t label)
{
    return x->classifier ? x->classifier->labels[label] : cts_findings[label].name;
}

int cts_explainer_find(const cts_explainer *x, const char *name, size_t *label)
{
    int known = cts_finding_find(name);
    const char *full = known < 0 ? name : cts_findings[known].name;
    cts_str names = {0};
    int rc;

    for (size_t i = 0; i < cts_explainer_count(x); i++)
        if (!strcasecmp(cts_explainer_name(x, i), name) || !strcasecmp(cts_explainer_name(x, i), full)) {
            *label = i;
            return CTS_OK;
        }
    for (size_t i = 0; i < cts_explainer_count(x); i++)
        cts_str_printf(&names, "%s%s", i ? ", " : "", cts_explainer_name(x, i));
    rc = cts_fail(CTS_E_MISMATCH, "finding: got \"%s\", allowed for this model: %s", name, cts_str_text(&names));
    cts_str_free(&names);
    return rc;
}

/* A slab that is all one repeated slice says nothing; padding or resampling must not hide it. */
static int check_slices(const cts_explainer *x, const cts_geometry *g, const char *path)
{
    int64_t slab = cts_explainer_cam(x)->slab;

    if (g->axis[0].source >= slab)
        return CTS_OK;
    return cts_fail(CTS_E_INPUT, "%s: the scan has %lld slices, allowed: at least %lld, which %s reads at once", path,
                    (long long)g->axis[0].source, (long long)slab,
                    cts_engine_clip(x->s->engine)->config.encoder[CTS_SIDE_IMAGE]->name);
}

int cts_explainer_see(cts_explainer *x, const cts_volume_source *source)
{
    const cts_recipe *r = cts_engine_recipe(x->s->engine);
    cts_volume *v = NULL;
    cts_preprocess_info info;
    cts_geometry g;
    int rc;

    if ((rc = cts_nifti_load(&v, source->path, 0)))
        return rc;
    if ((rc = cts_geometry_make(&g, v, r, source->spacing_xyz)) ||
        (rc = cts_preprocess(v, r, source->spacing_xyz, source->rescale, x->s->runtime.pool, x->tensor, &info))) {
        rc = cts_fail_in(rc, "%s", source->path);
        goto out;
    }
    if ((rc = check_slices(x, &g, source->path)) || (rc = cts_cam_see(x->cam, x->tensor, x->result)))
        goto out;
    for (int64_t i = 0; i < cts_explainer_cam(x)->dim; i++)
        if (!isfinite(x->result[i])) {
            rc = cts_fail(CTS_E_INPUT,
                          "%s: the model gives a value that is not finite; allowed: a model whose weights are sound",
                          source->path);
            goto out;
        }
    v->slope = info.hu.map[info.hu.chosen].slope; /* pictures show what the model saw */
    v->inter = info.hu.map[info.hu.chosen].inter;
    cts_volume_destroy(x->scan);
    x->scan = v;
    v = NULL;
    x->geometry = g;
    x->info = info;
out:
    cts_volume_destroy(v);
    return rc;
}

const cts_volume *cts_explainer_scan(const cts_explainer *x)
{
    return x->scan;
}

const cts_geometry *cts_explainer_geometry(const cts_explainer *x)
{
    return &x->geometry;
}

const cts_preprocess_info *cts_explainer_info(const cts_explainer *x)
{
    return &x->info;
}

/* The gradient of the answer in x->ask. */
static void question(cts_explainer *x, size_t label)
{
    int64_t dim = cts_explainer_cam(x)->dim;
    const float *pair = x->classifier ? NULL : x->z.prompt + 2 * (int64_t)label * dim;

    for (int64_t i = 0; i < dim; i++)
        x->ask[i] = pair ? (float)x->z.scale * (pair[i] - pair[dim + i]) : i == (int64_t)label ? 1.0f : 0.0f;
}

double cts_explainer_logit(const cts_explainer *x, size_t label)
{
    int64_t dim = cts_explainer_cam(x)->dim;
    const float *pair = x->classifier ? NULL : x->z.prompt + 2 * (int64_t)label * dim;
    double affirm = 0, deny = 0;

    if (!pair)
        return (double)x->result[label];
    for (int64_t i = 0; i < dim; i++) {
        affirm += (double)pair[i] * (double)x->result[i];
        deny += (double)pair[dim + i] * (double)x->result[i];
    }
    return x->z.scale * (affirm - deny);
}

double cts_explainer_probability(const cts_explainer *x, size_t label)
{
    return 1 / (1 + exp(-cts_explainer_logit(x, label)));
}

int cts_explainer_map(cts_explainer *x, size_t label, cts_heat *out)
{
    int rc;

    question(x, label);
    if ((rc = cts_cam_map(x->cam, x->ask, x->grid)))
        return rc;
    return cts_heat_make(out, x->scan, &x->geometry, cts_explainer_cam(x), x->grid, x->s->runtime.pool);
}
