/* CT-Scroll apart from its goldens: banded attention against full attention under a mask, the paper's form against the
 * published code's, and sizes other than the published ones. SPDX-License-Identifier: MIT */
#include <math.h>

#include "kernels/base/rng.h"
#include "tests/support/model_run.h"

#define SEED 20261123u

static float *drawn(size_t n, uint64_t stream)
{
    float *p = cts_test_alloc(n * sizeof *p);

    for (size_t i = 0; i < n; i++)
        p[i] = (float)(2.0 * cts_rng_unit_at(cts_rng_split(SEED, stream), i) - 1.0);
    return p;
}

/* ---- the band ---------------------------------------------------------------------------------------------------- */

enum { N = 2, T = 37, HEADS = 4, DH = 8, E = HEADS * DH };

/* Every pair of tokens is scored; what lies outside the band is masked before the softmax. */
static void masked_full(float *o, const float *q, const float *k, const float *v, float scale, int back, int ahead)
{
    for (int s = 0; s < N; s++)
        for (int h = 0; h < HEADS; h++)
            for (int i = 0; i < T; i++) {
                double score[T], top = -INFINITY, sum = 0;
                const float *qi = q + (s * T + i) * E + h * DH;

                for (int j = 0; j < T; j++) {
                    const float *kj = k + (s * T + j) * E + h * DH;
                    bool hidden = (back >= 0 && j < i - back) || (ahead >= 0 && j > i + ahead);

                    score[j] = hidden ? -INFINITY : cts_test_dot(qi, kj, DH) * (double)scale;
                    top = fmax(top, score[j]);
                }
                for (int j = 0; j < T; j++)
                    sum += score[j] = exp(score[j] - top);
                for (int d = 0; d < DH; d++) {
                    double x = 0;

                    for (int j = 0; j < T; j++)
                        x += score[j] / sum * (double)v[(s * T + j) * E + h * DH + d];
                    o[(s * T + i) * E + h * DH + d] = (float)x;
                }
            }
}

static void band_on(const char *backend, int back, int ahead)
{
    const int64_t shape[3] = {N, T, E};
    const float scale = 0.7f;
    float *value[3], *want = cts_test_alloc(N * T * E * sizeof *want), *got;
    static const char *const names[3] = {"q", "k", "v"};
    cts_tensor *x[3], *y;
    model_net n;

    cts_test_net_begin(&n, backend);
    for (int i = 0; i < 3; i++)
        x[i] = cts_graph_input(n.run.g, names[i], CTS_F32, 3, shape, CTS_SYM_BATCH);
    y = cts_op_attention_uniform(n.run.g, x[0], x[1], x[2], NULL, T, HEADS, scale, back, ahead, 0);
    cts_graph_output(n.run.g, y, "o");
    cts_test_net_plan(&n, NULL);
    for (int i = 0; i < 3; i++) {
        value[i] = drawn(N * T * E, (uint64_t)i);
        MUST(cts_exec_write(n.run.e, x[i], value[i]));
    }
    MUST(cts_exec_forward(n.run.e, 0));
    got = cts_test_read(&n.run, "o", NULL);
    masked_full(want, value[0], value[1], value[2], scale, back, ahead);
    for (int i = 0; i < N * T * E; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= 2e-6))
            fail_msg("band %d..%d, element %d: %g, masked full attention gives %g", back, ahead, i, (double)got[i],
                     (double)want[i]);
    for (int i = 0; i < 3; i++)
        free(value[i]);
    free(want);
    free(got);
    cts_test_net_end(&n);
}

static void test_band_is_masked_full_attention(void **state)
{
    static const int reach[] = {0, 1, 4, 15, T - 1, T + 5, -1};

    (void)state;
    for (size_t i = 0; i < sizeof reach / sizeof *reach; i++)
        for (int b = 0; b < 2; b++) {
            const char *backend = b ? "ref" : NULL;

            band_on(backend, reach[i], 0);
            band_on(backend, 0, reach[i]);
            band_on(backend, reach[i], reach[i]);
        }
}

/* ---- forms and sizes --------------------------------------------------------------------------------------------- */

typedef struct {
    float *vector, *logits;
    size_t n_vector, n_logits;
    int64_t params;
} result;

static result run(const char *extra, const int64_t dim[3], uint64_t seed)
{
    const cts_encoder_def *def = cts_encoder_find("ct_scroll");
    json_t *j = json_loads("{\"width\": 4, \"embed_dim\": 32, \"heads\": 4, \"window\": 3, \"n_labels\": 5}", 0, NULL);
    json_t *more = json_loads(extra, 0, NULL);
    void *config = NULL;
    float *volume;
    cts_build b;
    model_net n;
    result r;

    assert_int_equal(json_object_update(j, more), 0);
    assert_int_equal(
        json_object_set_new(j, "input_size",
                            json_pack("[III]", (json_int_t)dim[0], (json_int_t)dim[1], (json_int_t)dim[2])),
        0);
    MUST(def->parse(&config, j, "test"));
    json_decref(j);
    json_decref(more);
    cts_test_net_begin(&n, NULL);
    n.in = cts_encoder_image_inputs(n.run.g, 1, dim);
    b = cts_build_make(n.run.g, false);
    def->build(&b, config, &n.in, &n.out);
    free(config);
    cts_graph_output(n.run.g, n.out.vector, "vector");
    cts_graph_output(n.run.g, n.out.logits, "logits");
    MUST(cts_params_init(n.params, seed)); /* an entry's numbers depend on its name alone */
    cts_test_net_plan(&n, NULL);
    volume = drawn((size_t)(dim[0] * dim[1] * dim[2]), 9);
    MUST(cts_exec_write(n.run.e, n.in.volume, volume));
    MUST(cts_exec_forward(n.run.e, 0));
    free(volume);
    r.vector = cts_test_read(&n.run, "vector", NULL);
    r.logits = cts_test_read(&n.run, "logits", NULL);
    r.n_vector = (size_t)cts_tensor_count(n.out.vector);
    r.n_logits = (size_t)cts_tensor_count(n.out.logits);
    r.params = cts_params_count(n.params);
    cts_test_net_end(&n);
    return r;
}

static void end(result *r)
{
    free(r->vector);
    free(r->logits);
}

static void test_sum_of_tokens(void **state)
{
    const int64_t dim[3] = {21, 40, 36};
    result mean = run("{}", dim, SEED), sum = run("{\"aggregate\": \"sum\"}", dim, SEED);

    (void)state;
    assert_int_equal(mean.n_vector, 32);
    for (size_t i = 0; i < mean.n_vector; i++)
        assert_true(fabs((double)sum.vector[i] - 7.0 * (double)mean.vector[i]) <=
                    1e-5 * (1 + fabs((double)sum.vector[i])));
    assert_int_equal(sum.params, mean.params);
    end(&mean);
    end(&sum);
}

/* The paper's form: no layer between the pooled planes and the blocks. */
static void test_without_projection(void **state)
{
    const int64_t dim[3] = {12, 33, 47};
    result with = run("{}", dim, SEED), without = run("{\"projection\": false}", dim, SEED);

    (void)state;
    assert_int_equal(with.params - without.params, 32 * 32 + 32);
    assert_memory_not_equal(with.logits, without.logits, with.n_logits * sizeof(float));
    end(&with);
    end(&without);
}

static void test_any_size_and_window(void **state)
{
    static const int64_t dims[][3] = {{3, 32, 32}, {6, 1, 1}, {3, 5, 64}, {27, 17, 31}};
    const int64_t dim[3] = {27, 17, 31};
    result all, wide, one;

    (void)state;
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        result r = run("{}", dims[i], SEED);

        for (size_t k = 0; k < r.n_logits; k++)
            assert_true(isfinite(r.logits[k]));
        assert_int_equal(r.n_logits, 5);
        end(&r);
    }
    /* 0, the length of the scan and anything beyond it: all tokens on that side */
    all = run("{\"window\": 0}", dim, SEED);
    wide = run("{\"window\": 9}", dim, SEED);
    one = run("{\"window\": 1}", dim, SEED);
    assert_memory_equal(all.logits, wide.logits, all.n_logits * sizeof(float));
    assert_memory_not_equal(wide.logits, one.logits, wide.n_logits * sizeof(float));
    end(&wide);
    wide = run("{\"window\": 900}", dim, SEED);
    assert_memory_equal(all.logits, wide.logits, all.n_logits * sizeof(float));
    end(&all);
    end(&wide);
    end(&one);
}

static void test_bad_configs(void **state)
{
    static const char *const bad[] = {
        "{\"input_size\": [2, 64, 64]}",
        "{\"input_size\": [64, 64, 64]}",
        "{\"heads\": 7}",
        "{\"projection\": false, \"embed_dim\": 128}",
        "{\"aggregate\": \"max\"}",
        "{\"dropout\": 1}",
        "{\"window\": -1}",
        "{\"n_labels\": 0}",
    };
    const cts_encoder_def *def = cts_encoder_find("ct_scroll");

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *j = json_loads(bad[i], 0, NULL);
        void *config = NULL;

        assert_non_null(j);
        assert_int_not_equal(def->parse(&config, j, "bad.json"), CTS_OK);
        assert_non_null(strstr(cts_error(), "bad.json"));
        assert_null(config);
        json_decref(j);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_band_is_masked_full_attention),
        cmocka_unit_test(test_sum_of_tokens),
        cmocka_unit_test(test_without_projection),
        cmocka_unit_test(test_any_size_and_window),
        cmocka_unit_test(test_bad_configs),
    };

    return cmocka_run_group_tests_name("ct_scroll", tests, NULL, NULL);
}
