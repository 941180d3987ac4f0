/* Every half, every bfloat16, and floats around every rounding boundary, against arithmetic in double.
 * SPDX-License-Identifier: MIT */
#include "kernels/base/half.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static uint32_t bits(float f)
{
    uint32_t u;

    memcpy(&u, &f, 4);
    return u;
}

static float from_bits(uint32_t u)
{
    float f;

    memcpy(&f, &u, 4);
    return f;
}

/* The value of a finite half, from its definition. */
static double half_value(uint16_t h)
{
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double v = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);

    return h & 0x8000 ? -v : v;
}

static void test_f16_exhaustive(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float f = cts_f16_to_f32((uint16_t)h);

        if ((h & 0x7c00) == 0x7c00) {
            assert_true((h & 0x3ff) ? isnan(f) : isinf(f));
            assert_int_equal(signbit(f) != 0, h >> 15);
        } else if ((double)f != half_value((uint16_t)h) || (signbit(f) != 0) != (h >> 15)) {
            fail_msg("half %04x gives %a", h, (double)f);
        }
        if (isnan(f))
            assert_true(isnan(cts_f16_to_f32(cts_f32_to_f16(f))));
        else if (cts_f32_to_f16(f) != h)
            fail_msg("half %04x comes back as %04x", h, cts_f32_to_f16(f));
    }
}

/* Between two neighbouring halves: just below the middle, the middle (to the even one), just above. */
static void test_f16_rounding(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7c00; h++) {
        double lower = half_value((uint16_t)h), upper = h == 0x7bff ? 65536.0 : half_value((uint16_t)(h + 1));
        float middle = (float)((lower + upper) / 2); /* exact: one bit more than a half */
        uint16_t even = (uint16_t)(h & 1 ? h + 1 : h);

        if (cts_f32_to_f16(middle) != even || cts_f32_to_f16(-middle) != (even | 0x8000))
            fail_msg("tie above %04x gives %04x", h, cts_f32_to_f16(middle));
        if (cts_f32_to_f16(nextafterf(middle, 0.0f)) != h)
            fail_msg("below the tie above %04x", h);
        if (cts_f32_to_f16(nextafterf(middle, INFINITY)) != h + 1)
            fail_msg("above the tie above %04x", h);
    }
    assert_int_equal(cts_f32_to_f16(INFINITY), 0x7c00);
    assert_int_equal(cts_f32_to_f16(-INFINITY), 0xfc00);
    assert_int_equal(cts_f32_to_f16(3e38f), 0x7c00);
    assert_int_equal(cts_f32_to_f16(-1e-30f), 0x8000);
    assert_int_equal(cts_f32_to_f16(from_bits(1)), 0);
}

static void test_bf16(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float f = cts_bf16_to_f32((uint16_t)h);
        uint32_t low = h << 16;

        assert_true(bits(f) == low);
        if (isnan(f)) {
            assert_true(isnan(cts_bf16_to_f32(cts_f32_to_bf16(f))));
            assert_true(isnan(cts_bf16_to_f32(cts_f32_to_bf16(from_bits(low | 0xffff)))));
            continue;
        }
        assert_int_equal(cts_f32_to_bf16(f), h);
        if (isinf(f))
            continue;
        assert_int_equal(cts_f32_to_bf16(from_bits(low | 0x7fff)), h);
        assert_int_equal(cts_f32_to_bf16(from_bits(low | 0x8000)), h & 1 ? h + 1 : h);
        assert_int_equal(cts_f32_to_bf16(from_bits(low | 0x8001)), h + 1);
        assert_int_equal(cts_f32_to_bf16(from_bits(low | 0xffff)), h + 1);
    }
    /* a NaN whose payload is only in the low half must not become infinity */
    assert_true(isnan(cts_bf16_to_f32(cts_f32_to_bf16(from_bits(0x7f800001)))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f16_exhaustive),
        cmocka_unit_test(test_f16_rounding),
        cmocka_unit_test(test_bf16),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
