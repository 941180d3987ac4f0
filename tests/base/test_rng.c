/* SPDX-License-Identifier: MIT */
#include "kernels/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

/* The outputs of splitmix64 (Steele, Lea, Flood 2014; Vigna's C version) for the seeds 0 and 1234567. */
static void test_known(void **state)
{
    static const uint64_t zero[] = {0xe220a8397b1dcdafu, 0x6e789e6aa1b965f4u, 0x06c45d188009454fu, 0xf88bb8a8724c81ecu};
    static const uint64_t other[] = {6457827717110365317u, 3203168211198807973u, 9817491932198370423u,
                                     4593380528125082431u, 16408922859458223821u};
    cts_rng r = cts_rng_make(1234567);

    (void)state;
    for (uint64_t i = 0; i < 4; i++)
        assert_true(cts_rng_at(0, i) == zero[i]);
    for (uint64_t i = 0; i < 5; i++)
        assert_true(cts_rng_next(&r) == other[i]);
    assert_int_equal(r.counter, 5);
}

static void test_distribution(void **state)
{
    cts_rng r = cts_rng_make(42);
    double mean = 0, square = 0, normal_mean = 0, normal_square = 0;
    int count[7] = {0};
    const int n = 200000;

    (void)state;
    print_message("seed 42\n");
    for (int i = 0; i < n; i++) {
        double u = cts_rng_unit(&r), g;

        assert_true(u >= 0.0 && u < 1.0);
        mean += u;
        square += u * u;
        g = cts_rng_normal(&r);
        normal_mean += g;
        normal_square += g * g;
        count[cts_rng_below(&r, 7)]++;
        u = cts_rng_range(&r, -3, 5);
        assert_true(u >= -3 && u < 5);
    }
    assert_true(fabs(mean / n - 0.5) < 0.005);
    assert_true(fabs(square / n - 1.0 / 3) < 0.005);
    assert_true(fabs(normal_mean / n) < 0.02);
    assert_true(fabs(normal_square / n - 1.0) < 0.02);
    for (int i = 0; i < 7; i++)
        assert_true(abs(count[i] - n / 7) < n / 100);
}

/* Streams of neighbouring salts must share no values, not even shifted. */
static void test_split_streams(void **state)
{
    enum { STREAMS = 16, LENGTH = 200 };
    static uint64_t v[STREAMS * LENGTH];

    (void)state;
    for (uint64_t s = 0; s < STREAMS; s++)
        for (uint64_t i = 0; i < LENGTH; i++)
            v[s * LENGTH + i] = cts_rng_at(cts_rng_split(7, s), i);
    for (size_t i = 0; i < STREAMS * LENGTH; i++)
        for (size_t k = 0; k < i; k++)
            if (v[i] == v[k])
                fail_msg("values %zu and %zu are equal", i, k);
    assert_true(cts_rng_split(7, 3) == cts_rng_split(7, 3));
    assert_true(cts_rng_split(7, 3) != cts_rng_split(8, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_distribution),
        cmocka_unit_test(test_split_streams),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
