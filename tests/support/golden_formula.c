/* SPDX-License-Identifier: MIT */
#include "tests/support/golden.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/base/str.h"

uint64_t cts_formula_seed(uint64_t set_seed, const char *name)
{
    return cts_fnv1a64(name, strlen(name)) ^ set_seed;
}

uint64_t cts_formula_bits(uint64_t seed, uint64_t i)
{
    uint64_t z = seed + i + 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double cts_formula_x(uint64_t seed, uint64_t i)
{
    return (double)(cts_formula_bits(seed, i) >> 11) * 0x1p-53 * 2 - 1;
}

/* volatile: the product must be rounded before the sum, whatever -march allows */
static float affine(double shift, double scale, double x)
{
    volatile double product = scale * x;

    return (float)(shift + product);
}

void cts_formula_fill(float *out, size_t n, uint64_t set_seed, const char *name, double shift, double scale)
{
    uint64_t seed = cts_formula_seed(set_seed, name);

    for (size_t i = 0; i < n; i++)
        out[i] = affine(shift, scale, cts_formula_x(seed, i));
}

static bool ends(const char *s, const char *tail)
{
    size_t n = strlen(s), t = strlen(tail);

    return n >= t && !strcmp(s + n - t, tail);
}

void cts_formula_rule(double *shift, double *scale, const char *name, const int64_t *shape, int n_dims)
{
    static const struct {
        const char *tail;
        double shift, scale;
    } rules[] = {
        {"num_batches_tracked", 0, 0},  {"initted", 1, 0},        {"temperature", 1, 0},   {"cluster_size", 1, 0.5},
        {"_codebook.embed", 0, -1},     {"running_mean", 0, 0.1}, {"running_var", 1, 0.5}, {"gamma", 0.5, 0.1},
        {"_embeddings.weight", 0, 0.5}, {"bias", 0, 0.1},
    };
    double fan = 1;

    for (size_t r = 0; r < sizeof rules / sizeof rules[0]; r++)
        if (ends(name, rules[r].tail)) {
            *shift = rules[r].shift;
            *scale = rules[r].scale >= 0 ? rules[r].scale : 0.8 * sqrt(3.0 / (double)shape[n_dims - 1]);
            return;
        }
    if (n_dims == 1) {
        *shift = 1;
        *scale = 0.2;
        return;
    }
    for (int a = 1; a < n_dims; a++)
        fan *= (double)shape[a];
    if (fan < 1)
        fan = 1;
    *shift = 0;
    *scale = ends(name, ".c1.0.weight") || ends(name, ".c2.0.weight") || ends(name, ".c3.0.weight") ? sqrt(1 / fan)
                                                                                                    : sqrt(3 / fan);
}

/* "….c2.1.weight" is the tensor "….norm.1.weight" of the same block. */
static const char *canonical(const char *name, char *buf, size_t cap)
{
    for (const char *p = name; (p = strstr(p, ".c")); p += 2)
        if (p[2] >= '1' && p[2] <= '3' && !strncmp(p + 3, ".1.", 3)) {
            snprintf(buf, cap, "%.*s.norm.%c.%s", (int)(p - name), name, p[2] - 1, p + 6);
            return buf;
        }
    return name;
}

void cts_formula_weight(float *out, uint64_t set_seed, const char *name, const int64_t *shape, int n_dims)
{
    char buf[512];
    const char *real = canonical(name, buf, sizeof buf);
    double shift, scale;
    size_t n = 1;

    for (int a = 0; a < n_dims; a++)
        n *= (size_t)shape[a];
    if (ends(real, "position_ids") || ends(real, "token_type_ids")) {
        for (size_t i = 0; i < n; i++)
            out[i] = ends(real, "position_ids") ? (float)i : 0.0f;
        return;
    }
    cts_formula_rule(&shift, &scale, real, shape, n_dims);
    cts_formula_fill(out, n, set_seed, real, shift, scale);
}

static int64_t cells(int64_t n, int64_t cell)
{
    return (n + cell - 1) / cell;
}

static uint64_t seed_of(uint64_t set_seed, const char *name, const char *tail)
{
    char buf[256];

    snprintf(buf, sizeof buf, "%s%s", name, tail);
    return cts_formula_seed(set_seed, buf);
}

static void volume(float *out, uint64_t set_seed, const char *name, const int64_t shape[4], double base, double gain,
                   bool scroll)
{
    static const int64_t big[3] = {40, 56, 72}, mid[3] = {8, 16, 12};
    uint64_t s_big = seed_of(set_seed, name, ".big"), s_mid = seed_of(set_seed, name, ".mid"),
             s = cts_formula_seed(set_seed, name);
    uint64_t s_slice = seed_of(set_seed, name, ".slice");
    size_t at = 0;

    for (int64_t b = 0; b < shape[0]; b++)
        for (int64_t z = 0; z < shape[1]; z++)
            for (int64_t x = 0; x < shape[2]; x++)
                for (int64_t y = 0; y < shape[3]; y++, at++) {
                    int64_t ib = ((b * cells(shape[1], big[0]) + z / big[0]) * cells(shape[2], big[1]) + x / big[1]) *
                                     cells(shape[3], big[2]) +
                                 y / big[2];
                    int64_t im = ((b * cells(shape[1], mid[0]) + z / mid[0]) * cells(shape[2], mid[1]) + x / mid[1]) *
                                     cells(shape[3], mid[2]) +
                                 y / mid[2];
                    volatile double v1 = 0.5 * cts_formula_x(s_big, (uint64_t)ib),
                                    v2 = 0.3 * cts_formula_x(s_mid, (uint64_t)im);
                    volatile double v3 = 0.2 * cts_formula_x(s, at);
                    double v = v1 + v2 + v3;

                    if (scroll) {
                        volatile double h1 = 0.5 * v, h2 = 0.5 * cts_formula_x(s_slice, (uint64_t)(b * shape[1] + z));

                        v = h1 + h2;
                    }
                    out[at] = affine(base, gain, v);
                }
}

void cts_formula_volume(float *out, uint64_t set_seed, const char *name, const int64_t shape[4], double base,
                        double gain)
{
    volume(out, set_seed, name, shape, base, gain, false);
}

void cts_formula_scroll_volume(float *out, uint64_t set_seed, const char *name, const int64_t shape[4])
{
    volume(out, set_seed, name, shape, 0.051, 0.5, true);
}
