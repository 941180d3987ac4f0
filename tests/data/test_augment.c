/* Variants of volumes: a pure function of the key on any number of threads, moves that can be predicted, values inside
 * the window, pad that stays pad, settings as text. SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/augment.h"
#include "kernels/base/rng.h"
#include "kernels/base/status.h"

enum { Z = 6, X = 20, Y = 16, N = Z * X * Y };

static const cts_augment_space space = {{Z, X, Y}, -1, 1, -1};

/* A smooth pattern in a frame of pad. */
static void fill(float *v)
{
    for (int i = 0; i < N; i++) {
        int x = i / Y % X, y = i % Y;

        v[i] = x < 3 || y < 3 || x >= X - 3 || y >= Y - 3
                   ? -1.0f
                   : (float)(0.8 * sin(0.4 * x) * cos(0.3 * y) + 0.01 * (i / X / Y));
    }
}

static void apply(const char *text, uint64_t key, float *v, cts_pool *pool)
{
    static float scratch[N];
    cts_augment a;

    assert_int_equal(cts_augment_parse(&a, text), CTS_OK);
    fill(v);
    assert_int_equal(cts_augment_apply(&a, &space, key, v, scratch, pool), CTS_OK);
}

static void test_pure(void **state)
{
    static float a[N], b[N], c[N], plain[N];
    cts_pool *pool = NULL;
    int differ = 0;

    (void)state;
    assert_int_equal(cts_pool_create(&pool, 3), CTS_OK);
    fill(plain);
    apply("none", 1, a, NULL);
    assert_memory_equal(a, plain, sizeof a);
    for (uint64_t key = 0; key < 8; key++) {
        apply("default", key, a, NULL);
        apply("default", key, b, pool);
        apply("default", key + 1, c, NULL);
        assert_memory_equal(a, b, sizeof a);
        differ += memcmp(a, c, sizeof a) != 0;
        for (int i = 0; i < N; i++)
            assert_true(a[i] >= -1 && a[i] <= 1);
    }
    assert_int_equal(differ, 8);
    cts_pool_destroy(pool);
}

/* Centre of mass of v - pad. */
static void centre(double out[3], const float *v)
{
    double sum = 0, m[3] = {0};

    for (int i = 0; i < N; i++) {
        double w = (double)v[i] + 1;

        sum += w;
        m[0] += w * (i / X / Y);
        m[1] += w * (i / Y % X);
        m[2] += w * (i % Y);
    }
    for (int k = 0; k < 3; k++)
        out[k] = m[k] / sum;
}

static void test_moves(void **state)
{
    static float v[N], plain[N];
    double before[3], after[3], largest = 0;

    (void)state;
    fill(plain);
    centre(before, plain);
    for (uint64_t key = 0; key < 20; key++) {
        apply("shift=0.1", key, v, NULL);
        centre(after, v);
        for (int k = 1; k < 3; k++) { /* the frame is wide enough: the whole pattern moves */
            double moved = fabs(after[k] - before[k]);

            if (!(moved <= 0.1 * (k == 1 ? X : Y) + 0.05))
                fail_msg("axis %d moved by %g voxels", k, moved);
            largest = fmax(largest, moved);
        }
    }
    assert_true(largest > 0.8);
    for (uint64_t key = 0; key < 20; key++) { /* about the middle: the centre of the plane stays near */
        static float w[N];
        double turned = 0;

        apply("rotate=10", key, w, NULL);
        for (int i = 0; i < N; i++)
            turned += fabs((double)w[i] - (double)plain[i]);
        assert_true(turned > 1);
        assert_true(fabs((double)w[3 * X * Y] + 1) < 1e-6); /* corners come from outside */
    }
}

static void test_flips(void **state)
{
    static float v[N], plain[N];
    int seen[8] = {0}, kinds = 0;

    (void)state;
    fill(plain);
    for (uint64_t key = 0; key < 64; key++) {
        int found = -1;

        apply("flip", key, v, NULL);
        for (int f = 0; f < 8 && found < 0; f++) {
            bool same = true;

            for (int i = 0; same && i < N; i++) {
                int z = i / X / Y, x = i / Y % X, y = i % Y;
                int from = ((f & 1 ? Z - 1 - z : z) * X + (f & 2 ? X - 1 - x : x)) * Y + (f & 4 ? Y - 1 - y : y);

                same = fabs((double)v[i] - (double)plain[from]) <= 1e-6;
            }
            if (same)
                found = f;
        }
        if (found < 0)
            fail_msg("key %d is no mirror image", (int)key);
        seen[found] = 1;
    }
    for (int f = 0; f < 8; f++)
        kinds += seen[f];
    assert_int_equal(kinds, 8);
}

/* Noise has the deviation that was asked for at most, mean 0, and leaves pad alone; jitter is one line for all voxels.
 */
static void test_values(void **state)
{
    static float v[N], plain[N];

    (void)state;
    fill(plain);
    for (uint64_t key = 0; key < 10; key++) {
        double sum = 0, square = 0;
        int n = 0;

        apply("noise=0.05", key, v, NULL);
        for (int i = 0; i < N; i++) {
            double d = (double)v[i] - (double)plain[i];

            if (plain[i] == -1.0f)
                assert_true(v[i] == -1.0f);
            else if (fabs(d) < 1) {
                sum += d;
                square += d * d;
                n++;
            }
        }
        assert_true(sqrt(square / n) <= 0.105);
        assert_true(fabs(sum / n) <= 0.01);
        apply("jitter=0.1", key, v, NULL);
        double slope = NAN, offset = NAN;

        for (int i = 0; i < N && !(fabs(slope) > 0); i++)
            if (plain[i] > -0.3f && plain[i] < 0.3f)
                for (int k = i + 1; k < N; k++)
                    if (plain[k] > plain[i] + 0.2f && plain[k] < 0.5f) {
                        slope = ((double)v[k] - (double)v[i]) / ((double)plain[k] - (double)plain[i]);
                        offset = (double)v[i] - slope * (double)plain[i];
                        break;
                    }
        assert_true(fabs(slope - 1) <= 0.1001);
        for (int i = 0; i < N; i++)
            if (plain[i] > -0.5f && plain[i] < 0.5f &&
                !(fabs((double)v[i] - offset - slope * (double)plain[i]) <= 1e-5))
                fail_msg("voxel %d is off the line", i);
    }
}

static void test_text(void **state)
{
    static const char *const bad[] = {"shift",     "shift=", "shift=1",    "shift=0.1x", "rotate=-1",
                                      "noise=nan", "",       "shift=0.1,", "mirror",     "none,flip"};
    cts_augment a, b;
    char text[128];

    (void)state;
    assert_int_equal(cts_augment_parse(&a, "default"), CTS_OK);
    assert_false(a.flip);
    assert_true(cts_augment_any(&a));
    cts_augment_text(text, sizeof text, &a);
    assert_int_equal(cts_augment_parse(&b, text), CTS_OK);
    assert_memory_equal(&a, &b, sizeof a);
    assert_int_equal(cts_augment_parse(&a, "none"), CTS_OK);
    assert_false(cts_augment_any(&a));
    cts_augment_text(text, sizeof text, &a);
    assert_string_equal(text, "none");
    assert_int_equal(cts_augment_parse(&a, "flip,noise=0.02"), CTS_OK);
    assert_true(a.flip && a.noise == 0.02 && a.shift == 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (cts_augment_parse(&a, bad[i]) != CTS_E_USAGE || !strstr(cts_error(), "--augment"))
            fail_msg("\"%s\" was not refused: %s", bad[i], cts_error());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pure),   cmocka_unit_test(test_moves), cmocka_unit_test(test_flips),
        cmocka_unit_test(test_values), cmocka_unit_test(test_text),
    };

    return cmocka_run_group_tests_name("augment", tests, NULL, NULL);
}
