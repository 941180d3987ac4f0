/* SPDX-License-Identifier: MIT */
#include "tests/support/ctclip_run.h"

#include <math.h>

json_t *cts_ctclip_config(const cts_golden *g, int64_t depth, const char *reduction)
{
    json_t *j = cts_golden_need_meta_json(g, "config");

    assert_int_equal(json_object_set_new(j, "depth_size", json_integer(depth)), 0);
    assert_int_equal(json_object_set_new(j, "reduction", json_string(reduction)), 0);
    return j;
}

static bool ends(const char *s, const char *tail)
{
    size_t n = strlen(s), t = strlen(tail);

    return n >= t && !strcmp(s + n - t, tail);
}

/* The two rules that differ from those of the other files: a gamma is a norm weight, a beta is zero. */
static void formula_weight(float *out, uint64_t seed, const char *name, const cts_param *e)
{
    if (ends(name, ".beta"))
        memset(out, 0, (size_t)e->count * sizeof *out);
    else if (ends(name, "gamma") || ends(name, "temperature"))
        cts_formula_fill(out, (size_t)e->count, seed, name, 1, 0.2);
    else
        cts_formula_weight(out, seed, name, e->shape, e->ndim);
}

void cts_ctclip_weights(cts_params *p, const cts_golden *g, uint64_t seed, const char *stored, const char *formula)
{
    char name[512];

    MUST(cts_params_alloc(p));
    for (int i = 0; i < cts_params_n(p); i++) {
        cts_param *e = cts_params_at(p, i);
        const cts_golden_tensor *t;

        snprintf(name, sizeof name, "%s%s", stored, e->name);
        t = g ? cts_golden_find(g, "%s", name) : NULL;
        if (t && t->count == (size_t)e->count) {
            float *v = cts_golden_need_floats(g, "%s", name);

            memcpy(e->data, v, (size_t)e->count * sizeof *v);
            free(v);
        } else { /* absent, or the projection of another reduction */
            assert_true(!t || !strcmp(e->name, "to_visual_latent.weight"));
            snprintf(name, sizeof name, "%s%s", formula, e->name);
            formula_weight(e->data, seed, name, e);
        }
    }
}

static int64_t cells(int64_t n, int64_t cell)
{
    return (n + cell - 1) / cell;
}

void cts_ctclip_volume(float *out, uint64_t seed, const char *name, const int64_t s[4])
{
    const int64_t c[3] = {cells(s[1], 8), cells(s[2], 16), cells(s[3], 12)};
    char coarse[64];
    uint64_t fine = cts_formula_seed(seed, name), rough;
    uint64_t at = 0;

    snprintf(coarse, sizeof coarse, "%s.coarse", name);
    rough = cts_formula_seed(seed, coarse);
    for (int64_t b = 0; b < s[0]; b++)
        for (int64_t t = 0; t < s[1]; t++)
            for (int64_t h = 0; h < s[2]; h++)
                for (int64_t w = 0; w < s[3]; w++, at++) {
                    int64_t cell = ((b * c[0] + t / 8) * c[1] + h / 16) * c[2] + w / 12;
                    volatile double big = 0.6 * cts_formula_x(rough, (uint64_t)cell);
                    volatile double small = 0.4 * cts_formula_x(fine, at);

                    out[at] = (float)(big + small);
                }
}

float *cts_ctclip_need_volume(const cts_golden *g, const char *name, int64_t shape[4])
{
    int64_t s[8];
    float *v;

    if (cts_golden_find(g, "%s", name)) {
        assert_int_equal(cts_golden_need_shape(g, s, "%s", name), 5);
        memcpy(shape, (int64_t[]){s[0], s[2], s[3], s[4]}, 4 * sizeof *shape);
        return cts_golden_need_floats(g, "%s", name);
    }
    v = cts_test_alloc((size_t)(shape[0] * shape[1] * shape[2] * shape[3]) * sizeof *v);
    cts_ctclip_volume(v, cts_golden_seed(g), name, shape);
    return v;
}

bool cts_ctclip_max_near(const cts_golden *g, const char *name, const float *got, size_t n, double relative,
                         double absolute)
{
    float *want = cts_golden_need_floats(g, "%s", name);
    double top = 0, worst = 0, limit;
    size_t at = 0;

    assert_int_equal(cts_golden_need_tensor(g, "%s", name)->count, n);
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - want[i]);

        top = fmax(top, fabs((double)want[i]));
        if (!(d <= worst)) {
            worst = d;
            at = i;
        }
    }
    limit = relative * top + absolute;
    if (!(worst <= limit))
        fprintf(stderr, "%s[%zu]: got %.9g, want %.9g, off by %.3g, limit %.3g\n", name, at, (double)got[at],
                (double)want[at], worst, limit);
    free(want);
    return worst <= limit;
}

static bool listed(const json_t *names, const char *name)
{
    const json_t *v;
    size_t i;

    json_array_foreach((json_t *)names, i, v) if (!strcmp(json_string_value(v), name)) return true;
    return false;
}

static void without_gradient(const cts_golden *g, const cts_params *p)
{
    json_t *names = cts_golden_need_meta_json(g, "without_gradient"), *v;
    size_t i;

    assert_true(json_array_size(names) > 0);
    json_array_foreach(names, i, v)
    {
        if (cts_params_find(p, json_string_value(v)) >= 0)
            fail_msg("%s is declared, and the published loss never reaches it", json_string_value(v));
    }
    json_decref(names);
}

bool cts_ctclip_grads_near(const cts_golden *g, const char *prefix, const cts_params *p, const cts_grads *grads,
                           double relative)
{
    json_t *zeros = cts_golden_need_meta_json(g, "zero_gradient");
    double zero = 1e-6 * fmax(1.0, cts_test_largest(g, prefix));
    char name[512];
    bool ok = true;
    int seen = 0, stored = 0;

    without_gradient(g, p);
    for (int i = 0; i < cts_params_n(p); i++) {
        const cts_param *e = cts_params_get(p, i);

        if (e->state)
            continue;
        snprintf(name, sizeof name, "%s%s", prefix, e->name);
        if (!cts_golden_find(g, "%s", name))
            fail_msg("the file has no %s", name);
        ok &=
            cts_ctclip_max_near(g, name, grads->data[i], (size_t)e->count, relative, listed(zeros, e->name) ? zero : 0);
        seen++;
    }
    for (size_t i = 0; i < cts_golden_count(g); i++) {
        const cts_golden_tensor *t = cts_golden_at(g, i);

        stored += t->count > 0 && !strncmp(t->name, prefix, strlen(prefix)) &&
                  strncmp(t->name + strlen(prefix), "input.", 6) != 0 && !ends(t->name, "image_tokens");
    }
    print_message("%d gradients\n", seen);
    assert_int_equal(seen, stored);
    json_decref(zeros);
    return ok;
}
