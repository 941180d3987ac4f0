/* The references against formulas written a second time, straight from their definitions, and their edge cases.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/base/half.h"
#include "kernels/base/rng.h"
#include "kernels/base/status.h"
#include "tests/support/guard_backend.h"
#include "tests/support/op_cases.h"

static cts_backend *ref;

static int set_up(void **state)
{
    (void)state;
    return cts_backend_create(&ref, "ref", NULL);
}

static int tear_down(void **state)
{
    (void)state;
    cts_backend_destroy(ref);
    return 0;
}

static cts_case_run *run_case(const cts_op_case *def)
{
    cts_case_run *r = cts_case_open(def, ref, true);

    if (cts_case_go(r))
        fail_msg("%s: %s", def->name, cts_error());
    return r;
}

static void near(double got, double want, double limit, const char *what, int64_t at)
{
    double err = fabs(got - want);

    if (!(err <= limit * (1.0 + fabs(want))))
        fail_msg("%s[%lld] is %.9g, wanted %.9g", what, (long long)at, got, want);
}

/* ---- convolution: the textbook's loops over output voxel, channel, kernel ---- */

typedef struct {
    int64_t n, d[3], cin, cout, k[3], stride, pad[3], o[3];
} conv;

static double conv_at(const conv *v, const float *x, const float *w, const int64_t at[5])
{
    double sum = 0.0;

    for (int64_t c = 0; c < v->cin; c++)
        for (int64_t a = 0; a < v->k[0]; a++)
            for (int64_t b = 0; b < v->k[1]; b++)
                for (int64_t e = 0; e < v->k[2]; e++) {
                    int64_t i = at[1] * v->stride - v->pad[0] + a, j = at[2] * v->stride - v->pad[1] + b;
                    int64_t k = at[3] * v->stride - v->pad[2] + e;

                    if (i < 0 || i >= v->d[0] || j < 0 || j >= v->d[1] || k < 0 || k >= v->d[2])
                        continue;
                    sum += (double)x[(((at[0] * v->d[0] + i) * v->d[1] + j) * v->d[2] + k) * v->cin + c] *
                           w[(((at[4] * v->cin + c) * v->k[0] + a) * v->k[1] + b) * v->k[2] + e];
                }
    return sum;
}

static void check_conv(const char *name)
{
    const cts_op_case *def = cts_op_case_find(name);
    const int64_t *arg = def->arg;
    cts_case_run *r = run_case(def);
    const float *x = r->c.leaf[0].f, *w = r->c.leaf[1].f, *bias = arg[10] < 0 ? NULL : r->c.leaf[2].f;
    conv v = {.n = arg[0], .cin = arg[4], .cout = arg[5], .stride = arg[9]};
    int64_t at[5], count = 1;

    for (int d = 0; d < 3; d++) {
        v.d[d] = arg[1 + d];
        v.k[d] = arg[6 + d];
        v.pad[d] = arg[11] ? 0 : v.k[d] / 2;
        v.o[d] = (v.d[d] + 2 * v.pad[d] - v.k[d]) / v.stride + 1;
        count *= v.o[d];
    }
    assert_int_equal(r->value[0].n, v.n * count * v.cout);
    for (int64_t i = 0; i < r->value[0].n; i++) {
        int64_t rest = i / v.cout;

        at[4] = i % v.cout;
        for (int d = 2; d >= 0; d--) {
            at[1 + d] = rest % v.o[d];
            rest /= v.o[d];
        }
        at[0] = rest;
        near(r->value[0].v[i], conv_at(&v, x, w, at) + (bias ? bias[at[4]] : 0.0), 1e-6, name, i);
    }
    assert_int_equal(cts_graph_macs(r->c.g), v.n * count * v.cout * v.cin * v.k[0] * v.k[1] * v.k[2]);
    cts_case_close(r);
}

static void test_convolutions(void **state)
{
    (void)state;
    check_conv("tap_gemm/3x3x3");
    check_conv("tap_gemm/stem_13_stride_4");
    check_conv("tap_gemm/1x1x9_stride_2");
    check_conv("tap_gemm/patch_2_no_bias");
    check_conv("tap_gemm/stride_skips_input");
    check_conv("tap_gemm/pointwise");
    check_conv("tap_gemm/one_voxel");
}

static void test_epilogue_order(void **state)
{
    cts_case_run *r = run_case(cts_op_case_find("linear_fused/gelu_all"));
    const float *x = r->c.leaf[0].f, *w = r->c.leaf[1].f, *b = r->c.leaf[2].f, *s = r->c.leaf[3].f,
                *res = r->c.leaf[4].f;

    (void)state;
    for (int64_t i = 0; i < 19 * 21; i++) {
        double v = b[i % 21];

        for (int64_t k = 0; k < 23; k++)
            v += (double)x[i / 21 * 23 + k] * w[i % 21 * 23 + k];
        v = v * 0.5 * erfc(-v / sqrt(2.0)) * s[i % 21] + res[i];
        near(r->value[0].v[i], v, 1e-6, "linear_fused", i);
    }
    cts_case_close(r);
}

/* A depthwise convolution is a convolution whose other channels are zero. */
static void test_dwconv(void **state)
{
    cts_case_run *r = run_case(cts_op_case_find("dwconv/axis1_7"));
    const float *x = r->c.leaf[0].f, *w = r->c.leaf[1].f, *b = r->c.leaf[2].f;
    enum { D0 = 3, D1 = 9, D2 = 4, C = 33, W = 7 };

    (void)state;
    for (int i = 0; i < D0; i++)
        for (int j = 0; j < D1; j++)
            for (int k = 0; k < D2; k++)
                for (int c = 0; c < C; c++) {
                    double sum = b[c];

                    for (int t = 0; t < W; t++)
                        if (j + t - 3 >= 0 && j + t - 3 < D1)
                            sum += (double)w[c * W + t] * x[((i * D1 + j + t - 3) * D2 + k) * C + c];
                    near(r->value[0].v[((i * D1 + j) * D2 + k) * C + c], sum, 1e-6, "dwconv", j);
                }
    cts_case_close(r);
}

/* ---- normalisation ---- */

static void test_batch_norm_state(void **state)
{
    enum { ROWS = 2 * 3 * 4 * 5, C = 7 };
    cts_case_run *r = run_case(cts_op_case_find("batch_norm/5d"));
    const cts_case_leaf *leaf = r->c.leaf;
    float old_mean[C], old_var[C];
    cts_case_run *before = cts_case_open(cts_op_case_find("batch_norm/5d"), ref, false);

    (void)state;
    memcpy(old_mean, before->c.leaf[3].f, sizeof(old_mean));
    memcpy(old_var, before->c.leaf[4].f, sizeof(old_var));
    for (int c = 0; c < C; c++) {
        double m = 0.0, v = 0.0;

        for (int i = 0; i < ROWS; i++)
            m += leaf[0].f[i * C + c] / (double)ROWS;
        for (int i = 0; i < ROWS; i++)
            v += pow(leaf[0].f[i * C + c] - m, 2.0) / ROWS;
        for (int i = 0; i < ROWS; i++)
            near(r->value[0].v[i * C + c], (leaf[0].f[i * C + c] - m) / sqrt(v + 1e-5) * leaf[1].f[c] + leaf[2].f[c],
                 1e-6, "batch_norm", i);
        near(r->value[1].v[c], 0.9 * old_mean[c] + 0.1 * m, 1e-6, "running mean", c);
        near(r->value[2].v[c], 0.9 * old_var[c] + 0.1 * v * ROWS / (ROWS - 1), 1e-6, "running variance", c);
    }
    cts_case_close(before);
    cts_case_close(r);
}

static void test_layer_norm_rows(void **state)
{
    cts_case_run *r = run_case(cts_op_case_find("layer_norm/odd"));
    const cts_case_leaf *leaf = r->c.leaf;
    enum { ROWS = 7, C = 33 };

    (void)state;
    for (int i = 0; i < ROWS; i++) {
        double s1 = 0.0, s2 = 0.0, m;

        for (int c = 0; c < C; c++) {
            s1 += leaf[0].f[i * C + c];
            s2 += pow(leaf[0].f[i * C + c], 2.0);
        }
        m = s1 / C;
        for (int c = 0; c < C; c++)
            near(r->value[0].v[i * C + c],
                 leaf[1].f[c] * (leaf[0].f[i * C + c] - m) / sqrt(s2 / C - m * m + 1e-5) + leaf[2].f[c], 1e-6,
                 "layer_norm", i * C + c);
    }
    cts_case_close(r);
}

static void test_l2_norm_of_zero(void **state)
{
    cts_case_run *r = run_case(cts_op_case_find("l2_norm/zero_rows"));

    (void)state;
    for (int64_t i = 0; i < r->value[0].n; i++) {
        assert_true(r->value[0].v[i] == 0.0f);
        near(r->value[1].v[i], r->weight[0][i] * 1e12, 1e-6, "d.l2_norm of zero", i); /* the divisor is constant */
    }
    cts_case_close(r);
}

/* ---- element-wise ---- */

static void build_points(cts_case_graph *c, const int64_t *arg)
{
    int64_t n = 5;
    cts_tensor *x = cts_case_const(c, 1, &n, CTS_SYM_NONE, cts_uniform(0.0, 0.0));
    static const float point[5] = {-1.0f, 0.0f, 1.0f, -20.0f, 20.0f};

    memcpy(c->leaf[0].f, point, sizeof(point));
    cts_case_out(c, cts_op_act(c->g, x, (cts_act_kind)arg[0]));
}

static void test_activation_points(void **state)
{
    static const double want[4][5] = {[CTS_ACT_GELU] = {-0.158655253931457, 0.0, 0.841344746068543, 0.0, 20.0},
                                      [CTS_ACT_RELU] = {0.0, 0.0, 1.0, 0.0, 20.0},
                                      [CTS_ACT_TANH] = {-0.761594155955765, 0.0, 0.761594155955765, -1.0, 1.0}};

    (void)state;
    for (int kind = CTS_ACT_GELU; kind <= CTS_ACT_TANH; kind++) {
        cts_op_case def = {"act/points", build_points, {kind}, false, false, 0.0};
        cts_case_run *r = run_case(&def);

        for (int i = 0; i < 5; i++)
            near(r->value[0].v[i], want[kind][i], 1e-7, "act", i);
        cts_case_close(r);
    }
}

static void build_one_dropout(cts_case_graph *c, const int64_t *arg)
{
    cts_tensor *x = cts_case_x(c, 2, arg, CTS_SYM_NONE, cts_uniform(1.0, 0.0));

    cts_case_out(c, cts_op_dropout(c->g, x, 0.25f));
    cts_case_out(c, cts_op_dropout(c->g, x, 0.25f));
}

/* The share that survives, the scale of the survivors, the gradient's mask, and that the decision is the documented
 * function of seed, step, stream and element. */
static void test_dropout(void **state)
{
    cts_op_case def = {"dropout/rate", build_one_dropout, {400, 250}, true, false, 0.0};
    cts_case_run *r = run_case(&def);
    const cts_dropout_attr *a = r->c.out[0]->producer->attr, *b = r->c.out[1]->producer->attr;
    int64_t n = r->value[0].n, kept = 0, both = 0;

    (void)state;
    assert_true(a->stream != b->stream);
    cts_exec_set_step(r->exec, 11, 3);
    assert_int_equal(cts_case_go(r), CTS_OK);
    for (int64_t i = 0; i < n; i++) {
        uint64_t key = cts_rng_split(cts_rng_split(11, 3), a->stream);
        float y0 = r->value[0].v[i], y1 = r->value[1].v[i];

        near(y0, cts_rng_unit_at(key, (uint64_t)i) >= 0.25 ? 1.0 / 0.75 : 0.0, 1e-7, "dropout", i);
        near(r->value[2].v[i], (double)y0 * r->weight[0][i] + (double)y1 * r->weight[1][i], 1e-6, "d.dropout", i);
        kept += y0 != 0.0f;
        both += y0 != 0.0f && y1 != 0.0f;
    }
    /* five standard deviations of the two binomials */
    near((double)kept / (double)n, 0.75, 5.0 * sqrt(0.75 * 0.25 / (double)n) / 1.75, "share kept", 0);
    near((double)both / (double)n, 0.5625, 5.0 * sqrt(0.5625 * 0.4375 / (double)n) / 1.5625, "share kept twice", 0);
    cts_case_close(r);
}

static void build_both_casts(cts_case_graph *c, const int64_t *arg)
{
    cts_tensor *x = cts_case_x(c, 1, arg, CTS_SYM_NONE, cts_uniform(0.0, 100.0));
    cts_tensor *y = cts_op_scale(c->g, x, 0.37f);

    cts_case_out(c, cts_op_cast(c->g, cts_op_cast(c->g, y, CTS_BF16), CTS_F32));
    cts_case_out(c, cts_op_cast(c->g, cts_op_cast(c->g, y, CTS_F16), CTS_F32));
}

/* Values round to nearest; the gradient passes through in the narrow type of the way. */
static void test_casts(void **state)
{
    cts_op_case def = {"cast/both", build_both_casts, {257}, true, false, 0.0};
    cts_case_run *r = run_case(&def);

    (void)state;
    for (int64_t i = 0; i < 257; i++) {
        double x = (double)(r->c.leaf[0].f[i] * 0.37f);
        double d = ldexp(rint(ldexp(r->weight[0][i], 12)), -12) + r->weight[1][i];

        near(r->value[0].v[i], x, 0x1p-8, "bf16", i);
        near(r->value[1].v[i], x, 0x1p-11, "f16", i);
        assert_true(r->value[0].v[i] == cts_bf16_to_f32(cts_f32_to_bf16(r->value[0].v[i])));
        near(r->value[2].v[i], 0.37 * d, 0x1p-8, "d.cast", i);
    }
    cts_case_close(r);
}

/* ---- pooling, rows ---- */

static void build_pool_edges(cts_case_graph *c, const int64_t *arg)
{
    static const float x[8] = {-5.0f, -5.0f, -3.0f, -3.0f, -5.0f, -3.0f, -9.0f, -9.0f};

    cts_tensor *t = cts_case_x(c, 5, arg, CTS_SYM_NONE, cts_uniform(0.0, 0.0));

    memcpy(c->leaf[0].f, x, sizeof(x));
    cts_case_out(c, cts_op_max_pool(c->g, t, 3, 2, 1));
}

/* Padding never wins over negative values, and the first of equal maxima takes the whole gradient. */
static void test_max_pool_edges(void **state)
{
    cts_op_case def = {"max_pool/edges", build_pool_edges, {1, 1, 1, 8, 1}, true, false, 0.0};
    cts_case_run *r = run_case(&def);
    static const float want[4] = {-5.0f, -3.0f, -3.0f, -3.0f};
    static const int winner[4] = {0, 2, 3, 5};
    float grad[8] = {0.0f};

    (void)state;
    assert_int_equal(r->value[0].n, 4);
    for (int i = 0; i < 4; i++) {
        assert_true(r->value[0].v[i] == want[i]);
        grad[winner[i]] += r->weight[0][i];
    }
    for (int i = 0; i < 8; i++)
        near(r->value[1].v[i], grad[i], 1e-7, "d.max_pool", i);
    cts_case_close(r);
}

static void test_permute_order(void **state)
{
    cts_case_run *r = run_case(cts_op_case_find("permute/heads"));

    (void)state;
    for (int n = 0; n < 2; n++)
        for (int i = 0; i < 5; i++)
            for (int j = 0; j < 3; j++)
                for (int k = 0; k < 4; k++)
                    assert_true(r->value[0].v[((n * 3 + j) * 5 + i) * 4 + k] ==
                                r->c.leaf[0].f[((n * 5 + i) * 3 + j) * 4 + k]);
    cts_case_close(r);
}

static void test_mean_of_space(void **state)
{
    cts_case_run *r = run_case(cts_op_case_find("mean/middle"));

    (void)state;
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 30; j++) {
            double sum = 0.0;

            for (int k = 0; k < 4; k++)
                sum += r->c.leaf[0].f[(i * 4 + k) * 30 + j];
            near(r->value[0].v[i * 30 + j], sum / 4.0, 1e-7, "mean", j);
            near(r->value[1].v[(i * 4 + 1) * 30 + j], r->weight[0][i * 30 + j] / 4.0, 1e-7, "d.mean", j);
        }
    cts_case_close(r);
}

static void refused(const cts_op_case *def, int leaf, int64_t at, int32_t value, const char *word)
{
    cts_case_run *r = cts_case_open(def, ref, false);
    int rc;

    r->c.leaf[leaf].i[at] = value;
    rc = cts_case_go(r);
    assert_int_equal(rc, CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), word));
    cts_case_close(r);
}

static void test_indices_are_checked(void **state)
{
    (void)state;
    refused(cts_op_case_find("embedding/repeats"), 1, 7, 11, "index 11 at position 7");
    refused(cts_op_case_find("embedding/repeats"), 1, 0, -1, "index -1 at position 0");
    refused(cts_op_case_find("gather_rows/part"), 1, 3, 11, "index 11 at position 3"); /* 19 planned, 11 in the run */
    refused(cts_op_case_find("attention/packed"), 3, 1, 9, "offset");
    refused(cts_op_case_find("attention/packed"), 3, 4, 15, "offset 15");
}

/* ---- attention: dense softmax over a full matrix in which hidden pairs are left out ---- */

static bool in_one_sequence(const cts_case_leaf *offsets, int64_t i, int64_t j)
{
    for (int64_t s = 0; s + 1 < offsets->n; s++)
        if (i >= offsets->i[s] && i < offsets->i[s + 1])
            return j >= offsets->i[s] && j < offsets->i[s + 1];
    return false;
}

static void check_attention(const char *name)
{
    const cts_op_case *def = cts_op_case_find(name);
    const int64_t *arg = def->arg;
    cts_case_run *r = run_case(def);
    const cts_case_leaf *l = r->c.leaf;
    int64_t rows = arg[8] ? arg[8] : arg[0], dh = arg[2], width = arg[1] * dh, dropped = 0, pairs = 0;
    const cts_attention_attr *a = r->c.out[0]->producer->attr;
    uint64_t key = cts_rng_split(cts_rng_split(20250301u, 7u), a->stream);
    double *p = calloc((size_t)rows, sizeof(*p));

    assert_non_null(p);
    for (int64_t h = 0; h < arg[1]; h++)
        for (int64_t i = 0; i < rows; i++) {
            double sum = 0.0;

            for (int64_t j = 0; j < rows; j++) {
                double dot = 0.0;
                bool seen = in_one_sequence(&l[3], i, j) && (!arg[4] || l[4].i[j]) && (arg[5] < 0 || i - j <= arg[5]) &&
                            (arg[6] < 0 || j - i <= arg[6]);

                for (int64_t c = h * dh; c < (h + 1) * dh; c++)
                    dot += (double)l[0].f[i * width + c] * l[1].f[j * width + c];
                p[j] = seen ? exp(dot / sqrt((double)dh)) : 0.0;
                sum += p[j];
                if (seen && arg[7]) {
                    bool kept = cts_rng_unit_at(key, (uint64_t)((h * arg[0] + i) * arg[0] + j)) >= (double)a->p;

                    p[j] = kept ? p[j] / (1.0 - (double)a->p) : 0.0;
                    dropped += !kept;
                    pairs++;
                }
            }
            for (int64_t c = h * dh; c < (h + 1) * dh; c++) {
                double o = 0.0;

                for (int64_t j = 0; j < rows && sum > 0.0; j++)
                    o += p[j] / sum * l[2].f[j * width + c];
                near(r->value[0].v[i * width + c], o, 1e-6, name, i * width + c);
            }
        }
    assert_true(!arg[7] || (dropped > 0 && dropped < pairs));
    free(p);
    cts_case_close(r);
}

static void test_attention_dense(void **state)
{
    static const char *const names[] = {"attention/one_sequence", "attention/packed",       "attention/masked",
                                        "attention/band",         "attention/band_masked",  "attention/causal",
                                        "attention/dropout",      "attention/part_dropout", "attention/part_left_over"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        check_attention(names[i]);
}

/* ---- losses ---- */

static void unit_row(double *out, const float *x, int64_t d)
{
    double s = 0.0;

    for (int64_t k = 0; k < d; k++)
        s += (double)x[k] * x[k];
    for (int64_t k = 0; k < d; k++)
        out[k] = x[k] / sqrt(s);
}

static double unit_dot(const cts_case_run *r, int64_t i, int64_t j, int64_t d)
{
    double a[128], b[128], sum = 0.0;

    assert_true(d <= 128);
    unit_row(a, r->c.leaf[0].f + i * d, d);
    unit_row(b, r->c.leaf[1].f + j * d, d);
    for (int64_t k = 0; k < d; k++)
        sum += a[k] * b[k];
    return sum;
}

static void check_contrastive(const char *name, bool sigmoid)
{
    const cts_op_case *def = cts_op_case_find(name);
    int64_t n = def->arg[2] ? def->arg[2] : def->arg[0], d = def->arg[1];
    cts_case_run *r = run_case(def);
    double scale = exp((double)r->c.leaf[2].f[0]), bias = sigmoid ? r->c.leaf[3].f[0] : 0.0, loss = 0.0;

    for (int64_t i = 0; i < n; i++) {
        double row = 0.0, col = 0.0;

        for (int64_t j = 0; j < n; j++) {
            double s = scale * unit_dot(r, i, j, d);

            row += exp(s);
            col += exp(scale * unit_dot(r, j, i, d));
            if (sigmoid)
                loss += log(1.0 + exp((i == j ? -1.0 : 1.0) * (s + bias)));
        }
        if (!sigmoid)
            loss += 0.5 * (log(row) + log(col)) - scale * unit_dot(r, i, i, d);
    }
    near(r->value[0].v[0], loss / (double)n, 1e-6, name, 0);
    cts_case_close(r);
}

static void test_contrastive_losses(void **state)
{
    (void)state;
    check_contrastive("infonce/exact", false);
    check_contrastive("infonce/published", false);
    check_contrastive("infonce/hot", false);
    check_contrastive("infonce/part", false);
    check_contrastive("infonce/one_pair", false);
    check_contrastive("siglip/few", true);
    check_contrastive("siglip/part", true);
}

static void build_bce_points(cts_case_graph *c, const int64_t *arg)
{
    static const float x[4] = {95.0f, -95.0f, 95.0f, -95.0f}, y[4] = {1.0f, 0.0f, 0.0f, 1.0f};
    cts_tensor *logits = cts_case_x(c, 2, arg, CTS_SYM_NONE, cts_uniform(0.0, 0.0));
    cts_tensor *labels = cts_case_const(c, 2, arg, CTS_SYM_NONE, cts_uniform(0.0, 0.0));

    memcpy(c->leaf[0].f, x, sizeof(x));
    memcpy(c->leaf[1].f, y, sizeof(y));
    cts_case_out(c, cts_op_sigmoid_bce(c->g, logits, labels, NULL));
}

/* Right and sure costs nothing, wrong and sure costs the logit; the slopes are 0 and +-1, over 4 cells. */
static void test_bce_far(void **state)
{
    cts_op_case def = {"sigmoid_bce/points", build_bce_points, {1, 4}, true, false, 0.0};
    cts_case_run *r = run_case(&def);
    static const double slope[4] = {0.0, 0.0, 0.25, -0.25};

    (void)state;
    near(r->value[0].v[0], 190.0 / 4.0, 1e-7, "loss", 0);
    for (int i = 0; i < 4; i++)
        near(r->value[1].v[i], slope[i] * r->weight[0][0], 1e-7, "slope", i);
    cts_case_close(r);
}

/* ---- memory: sentinels stay whole, and padded rows give the same bits ---- */

static void test_views(void **state)
{
    (void)state;
    for (int i = 0; i < cts_n_op_cases; i++) {
        cts_case_run *plain = run_case(&cts_op_cases[i]);

        for (int strided = 0; strided < 2; strided++) {
            cts_backend *g = NULL;
            cts_case_run *r;

            assert_int_equal(cts_backend_guard(&g, ref, strided), CTS_OK);
            r = cts_case_open(&cts_op_cases[i], g, true);
            assert_int_equal(cts_case_go(r), CTS_OK);
            if (!cts_case_same_bits(plain, r) || cts_backend_guard_broken(g))
                fail_msg("%s: %s", cts_op_cases[i].name, strided ? "padded rows" : "guarded");
            cts_case_close(r);
            cts_backend_destroy(g);
        }
        cts_case_close(plain);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convolutions),
        cmocka_unit_test(test_epilogue_order),
        cmocka_unit_test(test_dwconv),
        cmocka_unit_test(test_batch_norm_state),
        cmocka_unit_test(test_layer_norm_rows),
        cmocka_unit_test(test_l2_norm_of_zero),
        cmocka_unit_test(test_activation_points),
        cmocka_unit_test(test_dropout),
        cmocka_unit_test(test_casts),
        cmocka_unit_test(test_max_pool_edges),
        cmocka_unit_test(test_permute_order),
        cmocka_unit_test(test_mean_of_space),
        cmocka_unit_test(test_indices_are_checked),
        cmocka_unit_test(test_attention_dense),
        cmocka_unit_test(test_contrastive_losses),
        cmocka_unit_test(test_bce_far),
        cmocka_unit_test(test_views),
    };

    return cmocka_run_group_tests_name("ops_ref", tests, set_up, tear_down);
}
