/* SPDX-License-Identifier: MIT */
#include "tests/support/gradcheck.h"

#include <math.h>
#include <stdio.h>

#include "kernels/base/status.h"

#define STEP 0x1p-6   /* a power of two: x + STEP is exact, see op_run.h */
#define RELATIVE 3e-4 /* truncation of the differences, of the value and of the leaf's rms */
#define ROUNDING 1e-7 /* fp32 outputs, of the root of the summed squares of the loss's terms */

/* f'(x) up to O(h^4) */
static double difference(cts_case_run *r, float *x)
{
    static const double at[4] = {1.0, -1.0, 2.0, -2.0}, factor[4] = {8.0, -8.0, -1.0, 1.0};
    float kept = *x;
    double sum = 0.0;

    for (int k = 0; k < 4; k++) {
        *x = kept + (float)(at[k] * STEP);
        sum += factor[k] * cts_case_loss(r, NULL);
    }
    *x = kept;
    return sum / (12.0 * STEP);
}

static double rms_of(const cts_case_value *v)
{
    double sum = 0.0;

    for (int64_t i = 0; i < v->n; i++)
        sum += (double)v->v[i] * v->v[i];
    return sqrt(sum / (double)v->n);
}

static int check_leaf(cts_case_run *r, const cts_case_value *v, int max_points, double noise, double *worst)
{
    cts_case_leaf *l = &r->c.leaf[v->leaf];
    double rms = rms_of(v);
    int64_t step = (v->n + max_points - 1) / max_points;
    int misses = 0;

    for (int64_t i = 0; i < v->n; i += step) {
        double want = difference(r, &l->f[i]), err = fabs(want - v->v[i]);
        double limit = RELATIVE * (rms + fabs(want)) + noise;

        if (!(err / limit <= *worst))
            *worst = err / limit;
        if (!(err <= limit)) {
            fprintf(stderr, "%s: %s[%lld] is %.7g, differences say %.7g, error %.3g, limit %.3g\n", r->def->name,
                    v->name, (long long)i, (double)v->v[i], want, err, limit);
            misses++;
        }
    }
    return misses;
}

int cts_gradcheck(const cts_op_case *def, cts_backend *b, int max_points, double *used)
{
    cts_case_run *r = cts_case_open(def, b, true);
    double worst = 0.0, terms, noise;
    int misses = 0;

    if (cts_case_go(r)) {
        fprintf(stderr, "%s: %s\n", def->name, cts_error());
        misses = 1;
    }
    cts_case_loss(r, &terms);
    noise = 2.0 * ROUNDING * terms / STEP;
    for (int k = 0; k < r->n_value && !misses; k++)
        if (r->value[k].gradient)
            misses += check_leaf(r, &r->value[k], max_points, noise, &worst);
    if (used)
        *used = 100.0 * worst;
    cts_case_close(r);
    return misses;
}
