/* SPDX-License-Identifier: MIT */
#include "kernels/base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const uint8_t data[8] = {0x01, 0x02, 0x03, 0x04, 0xfc, 0xfd, 0xfe, 0xff};

static void test_little(void **state)
{
    cts_bytes b = cts_bytes_of(data, sizeof(data));

    (void)state;
    assert_int_equal(cts_bytes_u8(&b), 0x01);
    cts_bytes_seek(&b, 0);
    assert_int_equal(cts_bytes_u16(&b), 0x0201);
    cts_bytes_seek(&b, 0);
    assert_int_equal(cts_bytes_u32(&b), 0x04030201);
    assert_int_equal(cts_bytes_i32(&b), -0x00010204);
    assert_int_equal(cts_bytes_left(&b), 0);
    cts_bytes_seek(&b, 6);
    assert_int_equal(cts_bytes_i16(&b), -2);
    cts_bytes_seek(&b, 0);
    assert_true(cts_bytes_u64(&b) == 0xfffefdfc04030201u);
    cts_bytes_seek(&b, 0);
    assert_true(cts_bytes_i64(&b) == (int64_t)0xfffefdfc04030201u);
    assert_false(b.bad);
}

static void test_swapped(void **state)
{
    cts_bytes b = cts_bytes_of(data, sizeof(data));

    (void)state;
    b.swap = true;
    assert_int_equal(cts_bytes_u16(&b), 0x0102);
    assert_int_equal(cts_bytes_u16(&b), 0x0304);
    cts_bytes_seek(&b, 0);
    assert_true(cts_bytes_u64(&b) == 0x01020304fcfdfeffu);
    assert_false(b.bad);
}

static void test_floats(void **state)
{
    const uint8_t f[12] = {0x00, 0x00, 0xc0, 0xbf, 0, 0, 0, 0, 0, 0, 0x04, 0x40};
    cts_bytes b = cts_bytes_of(f, sizeof(f));

    (void)state;
    assert_true(cts_bytes_f32(&b) == -1.5f);
    assert_true(cts_bytes_f64(&b) == 2.5);
    assert_false(b.bad);
}

/* The block is exactly as large as its content, so that a sanitizer sees a read beyond. */
static void test_past_the_end(void **state)
{
    for (size_t n = 0; n < 8; n++) {
        uint8_t *p = malloc(n ? n : 1);
        cts_bytes b;

        memcpy(p, data, n);
        b = cts_bytes_of(p, n);
        assert_true(cts_bytes_u64(&b) == 0);
        assert_true(b.bad);
        assert_int_equal(cts_bytes_left(&b), 0);
        assert_int_equal(cts_bytes_u8(&b), 0);

        b = cts_bytes_of(p, n);
        assert_null(cts_bytes_take(&b, SIZE_MAX));
        assert_true(b.bad);
        b = cts_bytes_of(p, n);
        cts_bytes_seek(&b, n);
        assert_false(b.bad);
        cts_bytes_seek(&b, n + 1);
        assert_true(b.bad);
        assert_int_equal(cts_bytes_left(&b), 0);
        b = cts_bytes_of(p, n);
        cts_bytes_skip(&b, n);
        assert_false(b.bad);
        cts_bytes_skip(&b, 1);
        assert_true(b.bad);
        free(p);
    }
    (void)state;
}

static void test_empty(void **state)
{
    cts_bytes b = cts_bytes_of(NULL, 0);

    (void)state;
    assert_non_null(cts_bytes_take(&b, 0));
    assert_false(b.bad);
    assert_null(cts_bytes_take(&b, 1));
    assert_true(b.bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_little),       cmocka_unit_test(test_swapped), cmocka_unit_test(test_floats),
        cmocka_unit_test(test_past_the_end), cmocka_unit_test(test_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
