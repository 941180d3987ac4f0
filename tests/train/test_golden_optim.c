/* AdamW against PyTorch: parameters and norms after each step, moments at the end, for every case of optim.safetensors.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/golden.h"
#include "train/adamw.h"

#define MAX_PARAMS 64

typedef struct {
    cts_golden *g;
    const char *name[MAX_PARAMS]; /* behind "start." */
    int n;
    cts_params *params;
} fixture;

static void declare(fixture *f)
{
    assert_int_equal(cts_params_create(&f->params), CTS_OK);
    for (size_t i = 0; i < cts_golden_count(f->g); i++) {
        const cts_golden_tensor *t = cts_golden_at(f->g, i);

        if (strncmp(t->name, "start.", 6))
            continue;
        assert_true(f->n < MAX_PARAMS);
        f->name[f->n++] = t->name + 6;
        assert_true(cts_params_declare(f->params, t->name + 6, false, t->n_dims >= 2, cts_init_const(0), t->n_dims,
                                       t->shape) >= 0);
    }
    assert_true(f->n > 0);
    assert_int_equal(cts_params_alloc(f->params), CTS_OK);
}

static void fill(fixture *f, float **dst, const char *prefix)
{
    for (int i = 0; i < f->n; i++) {
        float *v = cts_golden_need_floats(f->g, "%s.%s", prefix, f->name[i]);

        memcpy(dst ? dst[i] : cts_params_at(f->params, i)->data, v,
               (size_t)cts_params_get(f->params, i)->count * sizeof *v);
        free(v);
    }
}

static void compare(fixture *f, float **got, const char *prefix)
{
    for (int i = 0; i < f->n; i++) {
        char name[600];
        const cts_param *p = cts_params_get(f->params, i);

        snprintf(name, sizeof name, "%s.%s", prefix, f->name[i]);
        assert_true(cts_golden_near(f->g, name, got ? got[i] : p->data, (size_t)p->count, -1.0, 1e-12));
    }
}

static cts_adamw_config config_of(fixture *f, const char *name, double *lr)
{
    json_t *j = cts_golden_need_meta_json(f->g, name), *betas = json_object_get(j, "betas");
    cts_adamw_config c = {json_number_value(json_array_get(betas, 0)), json_number_value(json_array_get(betas, 1)),
                          json_number_value(json_object_get(j, "eps")),
                          json_number_value(json_object_get(j, "weight_decay")),
                          json_number_value(json_object_get(j, "clip"))};

    *lr = json_number_value(json_object_get(j, "lr"));
    json_decref(j);
    return c;
}

static void run_case(fixture *f, const char *name)
{
    char at[300];
    double lr, norm;
    cts_adamw_config c = config_of(f, name, &lr);
    cts_adamw *a = NULL;
    cts_grads *grads = NULL;
    int step = 1;

    fill(f, NULL, "start");
    assert_int_equal(cts_adamw_create(&a, f->params, &c), CTS_OK);
    assert_int_equal(cts_grads_create(&grads, f->params), CTS_OK);
    for (; cts_golden_has(f->g, "%s.step%d.%s", name, step, f->name[0]); step++) {
        snprintf(at, sizeof at, "grad%d", step);
        fill(f, grads->data, at);
        assert_int_equal(cts_adamw_step(a, f->params, grads, lr, 1.0, NULL, &norm), CTS_OK);
        snprintf(at, sizeof at, "%s.step%d", name, step);
        compare(f, NULL, at);
        if (cts_golden_has(f->g, "%s.norm", at)) {
            float *want = cts_golden_need_floats(f->g, "%s.norm", at);

            assert_true(norm >= *want * (1 - 1e-5) && norm <= *want * (1 + 1e-5));
            free(want);
        }
    }
    assert_true(step > 1);
    snprintf(at, sizeof at, "%s.exp_avg", name);
    compare(f, a->m, at);
    snprintf(at, sizeof at, "%s.exp_avg_sq", name);
    compare(f, a->v, at);
    printf("%s: %d steps\n", name, step - 1);
    cts_adamw_destroy(a);
    cts_grads_destroy(grads);
}

static void test_cases(void **state)
{
    static const char *const cases[] = {"adamw", "adamw_clip", "adamw_published"};
    fixture f = {.g = cts_golden_need("optim.safetensors")};

    (void)state;
    declare(&f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        run_case(&f, cases[i]);
    cts_params_destroy(f.params);
    cts_golden_close(f.g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
