/* npy and PNG files, read back by plain code here rather than by the code that wrote them.
 * SPDX-License-Identifier: MIT */
#include "kernels/base/npy.h"

#include <math.h>
#include <png.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "kernels/base/file.h"
#include "kernels/base/png_image.h"
#include "kernels/base/rng.h"
#include "kernels/base/status.h"

static char folder[64], path[128];

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/cts-npy-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/x", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return cts_remove_tree(folder);
}

static void test_layout(void **state)
{
    static const size_t shapes[][2] = {{0, 5}, {1, 1}, {3, 7}, {2, 512}, {1000, 3}, {5, 0}};

    (void)state;
    for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
        size_t n = shapes[s][0], d = shapes[s][1], bytes = 0, header, back_n = 9, back_d = 9;
        float *rows = malloc(n * d * 4 + 4), *back = NULL;
        char *file = NULL, expected[128];

        for (size_t i = 0; i < n * d; i++)
            rows[i] = (float)cts_rng_unit_at(3, i) - 0.5f;
        if (n * d > 2)
            rows[1] = -INFINITY;
        assert_int_equal(cts_npy_save_f32(path, rows, n, d), CTS_OK);
        assert_int_equal(cts_file_read(&file, &bytes, path, 1 << 20), CTS_OK);
        assert_memory_equal(file, "\x93NUMPY\x01\x00", 8);
        header = (unsigned char)file[8] | (size_t)(unsigned char)file[9] << 8;
        assert_int_equal((10 + header) % 64, 0);
        snprintf(expected, sizeof(expected), "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", n, d);
        assert_memory_equal(file + 10, expected, strlen(expected));
        for (size_t i = 10 + strlen(expected); i < 10 + header - 1; i++)
            assert_int_equal(file[i], ' ');
        assert_int_equal(file[10 + header - 1], '\n');
        assert_int_equal(bytes, 10 + header + 4 * n * d);
        assert_memory_equal(file + 10 + header, rows, 4 * n * d);

        assert_int_equal(cts_npy_load_f32(&back, &back_n, &back_d, path), CTS_OK);
        assert_int_equal(back_n, n);
        assert_int_equal(back_d, d);
        assert_memory_equal(back, rows, 4 * n * d);
        free(back);
        free(file);
        free(rows);
    }
}

/* An npy file of version `major` with this dictionary and `bytes` of data, which is zero but for 1.5 (f8) at its
 * start. */
static void write_npy(int major, const char *dictionary, size_t bytes)
{
    size_t text = strlen(dictionary), lead = major == 1 ? 10 : 12;
    uint8_t *file = calloc(1, lead + text + bytes + 8);
    double value = 1.5;

    memcpy(file, "\x93NUMPY", 6);
    file[6] = (uint8_t)major;
    file[8] = (uint8_t)(text & 255);
    file[9] = (uint8_t)(text >> 8);
    memcpy(file + lead, dictionary, text);
    memcpy(file + lead + text, &value, 8);
    assert_int_equal(cts_file_write_atomic(path, file, lead + text + bytes), CTS_OK);
    free(file);
}

static void test_load(void **state)
{
    static const struct {
        int major;
        const char *dictionary;
        size_t bytes;
        int rc;
    } rows[] = {
        {1, "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }\n", 48, CTS_OK},
        {2, "{'descr': '<f8', 'fortran_order': False, 'shape': (2,3)}\n", 48, CTS_OK},
        {3, "{'shape': (2, 3), 'descr': '<f8', 'fortran_order': False}\n", 48, CTS_OK},
        {4, "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }\n", 48, CTS_E_FORMAT},
        {1, "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }\n", 47, CTS_E_FORMAT},
        {1, "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }\n", 49, CTS_E_FORMAT},
        {1, "{'descr': '<f8', 'fortran_order': False, 'shape': (6,), }\n", 48, CTS_E_FORMAT},
        {1, "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2, 3), }\n", 48, CTS_E_FORMAT},
        {1, "{'descr': '<f8', 'fortran_order': False, 'shape': (-2, 3), }\n", 48, CTS_E_FORMAT},
        {1, "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }\n", 48, CTS_E_FORMAT},
        {1, "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999, 1), }\n", 48, CTS_E_FORMAT},
        {1, "{'descr': '<f8', 'fortran_order': False}\n", 48, CTS_E_FORMAT},
        {1, "", 0, CTS_E_FORMAT},
        {1, "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }\n", 24, CTS_E_UNSUPPORTED},
        {1, "{'descr': '<f8', 'fortran_order': None, 'shape': (2, 3), }\n", 48, CTS_E_FORMAT},
        {1, "{'descr': '|b1', 'fortran_order': False, 'shape': (2, 3), }\n", 6, CTS_E_UNSUPPORTED},
        {1, "{'descr': '<f16', 'fortran_order': False, 'shape': (2, 3), }\n", 96, CTS_E_UNSUPPORTED},
        {1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3), }\n", 24, CTS_E_UNSUPPORTED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        float *v = NULL;
        size_t n = 9, d = 9;

        write_npy(rows[i].major, rows[i].dictionary, rows[i].bytes);
        assert_int_equal(cts_npy_load_f32(&v, &n, &d, path), rows[i].rc);
        if (rows[i].rc) {
            assert_null(v);
            assert_int_equal(n, 9);
            assert_non_null(strstr(cts_error(), path));
        } else {
            assert_true(n == 2 && d == 3 && v[0] == 1.5f && v[1] == 0.0f);
        }
        free(v);
    }
}

/* The array [[1, 2, 3], [-4, 5, 6.5]] as every float type, byte order and axis order stores it. */
static void test_orders(void **state)
{
    static const float want[6] = {1, 2, 3, -4, 5, 6.5f};
    static const uint16_t half[6] = {0x3c00, 0x4000, 0x4200, 0xc400, 0x4500, 0x4680};

    (void)state;
    for (int c = 0; c < 12; c++) {
        size_t item = (size_t)2 << c % 3, n = 0, d = 0, lead;
        bool big = c / 3 % 2, columns = c >= 6;
        uint8_t file[256] = "\x93NUMPY\x01";
        float *v = NULL;

        lead =
            10 + (size_t)snprintf((char *)file + 10, 128, "{'descr': '%cf%zu', 'fortran_order': %s, 'shape': (2, 3)}\n",
                                  big ? '>' : '<', item, columns ? "True" : "False");
        file[8] = (uint8_t)(lead - 10);
        for (size_t i = 0; i < 6; i++) {
            size_t from = columns ? i % 2 * 3 + i / 2 : i;
            double f64 = want[from];
            const void *value = item == 2 ? (const void *)&half[from] : item == 4 ? (const void *)&want[from] : &f64;

            for (size_t k = 0; k < item; k++)
                file[lead + i * item + k] = ((const uint8_t *)value)[big ? item - 1 - k : k];
        }
        assert_int_equal(cts_file_write_atomic(path, file, lead + 6 * item), CTS_OK);
        assert_int_equal(cts_npy_load_f32(&v, &n, &d, path), CTS_OK);
        assert_true(n == 2 && d == 3 && !memcmp(v, want, sizeof want));
        free(v);
    }
    write_npy(1, "{'descr': '<i8', 'fortran_order': False, 'shape': (1, 1), }\n", 8);
    assert_int_equal(cts_npy_load_f32(&(float *){NULL}, &(size_t){0}, &(size_t){0}, path), CTS_E_UNSUPPORTED);
    assert_non_null(strstr(cts_error(), "descr is '<i8', allowed are floats of 2, 4 and 8 bytes"));
}

/* Any beginning of a good file is an error, never a crash. */
static void test_truncated(void **state)
{
    float rows[6] = {1, 2, 3, 4, 5, 6}, *back = NULL;
    size_t n, d, bytes = 0;
    char *file = NULL;

    (void)state;
    assert_int_equal(cts_npy_save_f32(path, rows, 2, 3), CTS_OK);
    assert_int_equal(cts_file_read(&file, &bytes, path, 1000), CTS_OK);
    for (size_t cut = 0; cut < bytes; cut++) {
        FILE *f = fopen(path, "wb");

        assert_int_equal(fwrite(file, 1, cut, f), cut);
        fclose(f);
        assert_int_equal(cts_npy_load_f32(&back, &n, &d, path), CTS_E_FORMAT);
    }
    assert_null(back);
    free(file);
}

static void check_png(const uint8_t *pixels, size_t w, size_t h, int channels)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    uint8_t *back = malloc(w * h * (size_t)channels);

    assert_int_equal(cts_png_save(path, pixels, w, h, channels), CTS_OK);
    assert_true(png_image_begin_read_from_file(&image, path));
    assert_int_equal(image.width, w);
    assert_int_equal(image.height, h);
    assert_int_equal(image.format, channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB);
    assert_true(png_image_finish_read(&image, NULL, back, 0, NULL));
    assert_memory_equal(back, pixels, w * h * (size_t)channels);
    free(back);
}

static void test_png(void **state)
{
    uint8_t pixels[37 * 23 * 3];

    (void)state;
    for (size_t i = 0; i < sizeof(pixels); i++)
        pixels[i] = (uint8_t)cts_rng_at(9, i);
    check_png(pixels, 37, 23, 3);
    check_png(pixels, 37, 69, 1);
    check_png(pixels, 1, 1, 1);
    assert_int_equal(cts_png_save(path, pixels, 0, 5, 1), CTS_E_LIMIT);
    assert_int_equal(cts_png_save(path, pixels, 5, 70000, 1), CTS_E_LIMIT);
    assert_int_equal(cts_png_save("/no/such/folder/x.png", pixels, 5, 5, 1), CTS_E_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),    cmocka_unit_test(test_load), cmocka_unit_test(test_orders),
        cmocka_unit_test(test_truncated), cmocka_unit_test(test_png),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
