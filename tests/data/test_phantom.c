/* The phantom's promises: same bits again and on any number of threads, each finding in its mask and nowhere else,
 * densities as stated, prevalences as in CT-RATE, sides true.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "data/phantom.h"
#include "kernels/base/rng.h"

static cts_phantom *make(const cts_phantom_spec *spec)
{
    cts_phantom *p = NULL;

    if (cts_phantom_create(&p, spec))
        fail_msg("%s", cts_error());
    return p;
}

static cts_volume *render(const cts_phantom *p, cts_pool *pool, cts_volume **mask)
{
    cts_volume *v = NULL;

    if (cts_phantom_render(p, pool, &v, mask))
        fail_msg("%s", cts_error());
    return v;
}

static cts_phantom_spec small(uint64_t seed)
{
    return (cts_phantom_spec){.seed = seed, .dim = {64, 60, 44}};
}

static cts_phantom_spec only(uint64_t seed, int finding)
{
    cts_phantom_spec s = small(seed);

    s.labels_given = true;
    if (finding >= 0)
        s.labels[finding] = 1;
    return s;
}

static uint32_t bits(const cts_volume *mask, size_t i)
{
    return (uint32_t)((const float *)mask->voxels)[i];
}

static void same_again_on_any_threads(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        cts_phantom_spec spec = small(seed);
        cts_phantom *p = make(&spec), *q = make(&spec);
        cts_volume *ma = NULL, *a = render(p, NULL, &ma);

        spec.noise_salt = 5;
        for (int threads = 1; threads <= 3; threads++) {
            cts_pool *pool = NULL;
            cts_volume *mb = NULL, *b;

            assert_int_equal(cts_pool_create(&pool, threads), 0);
            b = render(q, pool, &mb);
            assert_memory_equal(a->voxels, b->voxels, cts_volume_count(a) * 2);
            assert_memory_equal(ma->voxels, mb->voxels, cts_volume_count(a) * 4);
            cts_volume_destroy(b);
            cts_volume_destroy(mb);
            cts_pool_destroy(pool);
        }
        cts_phantom_destroy(q);
        q = make(&spec); /* another reconstruction: other noise, same patient */
        {
            cts_volume *mb = NULL, *b = render(q, NULL, &mb);

            assert_memory_not_equal(a->voxels, b->voxels, cts_volume_count(a) * 2);
            assert_memory_equal(ma->voxels, mb->voxels, cts_volume_count(a) * 4);
            cts_volume_destroy(b);
            cts_volume_destroy(mb);
        }
        cts_volume_destroy(a);
        cts_volume_destroy(ma);
        cts_phantom_destroy(p);
        cts_phantom_destroy(q);
    }
}

/* Leave out what `without` says: outside the masks of that, every voxel and every other bit is as before. */
static void check_without(cts_phantom_spec spec, uint32_t without)
{
    cts_phantom *p = make(&spec), *q;
    cts_volume *ma = NULL, *mb = NULL, *a = render(p, NULL, &ma), *b;
    size_t n = cts_volume_count(a), changed = 0;
    uint8_t labels[CTS_FINDINGS];

    spec.without = without;
    q = make(&spec);
    b = render(q, NULL, &mb);
    for (size_t i = 0; i < n; i++) {
        bool same = ((const int16_t *)a->voxels)[i] == ((const int16_t *)b->voxels)[i];

        changed += !same;
        if (!(bits(ma, i) & without) && (!same || bits(ma, i) != bits(mb, i)))
            fail_msg("seed %d without %x: voxel %zu lies in no mask of it and changed", (int)spec.seed, without, i);
        if (bits(mb, i) & without)
            fail_msg("seed %d without %x: voxel %zu is marked all the same", (int)spec.seed, without, i);
    }
    assert_true(changed > 0);
    cts_phantom_labels(q, labels);
    for (int f = 0; f < CTS_FINDINGS; f++) {
        const cts_phantom_fact *x = cts_phantom_fact_get(p, f), *y = cts_phantom_fact_get(q, f);

        if (without >> f & 1) {
            assert_false(y->present);
            assert_int_equal(labels[f], 0);
        } else {
            assert_memory_equal(x, y, sizeof *x);
        }
    }
    cts_volume_destroy(a);
    cts_volume_destroy(b);
    cts_volume_destroy(ma);
    cts_volume_destroy(mb);
    cts_phantom_destroy(p);
    cts_phantom_destroy(q);
}

static void leaving_one_out_changes_its_place_only(void **state)
{
    (void)state;
    for (int f = 0; f < CTS_FINDINGS; f++) {
        for (uint64_t seed = 20; seed < 23; seed++)
            check_without(only(seed + 10 * (uint64_t)f, f), 1u << f);
        for (uint64_t seed = 40; seed < 42; seed++) { /* among all the others */
            cts_phantom_spec all = only(seed, -1);

            memset(all.labels, 1, sizeof all.labels);
            check_without(all, 1u << f);
        }
    }
    check_without(
        (cts_phantom_spec){.seed = 7, .dim = {64, 60, 44}, .labels_given = true, .labels = {1, 1, 1, 1, 1, 1, 1}},
        0x55);
}

/* Masks at several sizes: something of each finding that is there, nothing of the others. */
static void masks_where_present(void **state)
{
    static const int64_t sizes[2][3] = {{96, 96, 64}, {64, 60, 44}};

    (void)state;
    for (uint64_t seed = 100; seed < 160; seed++) {
        cts_phantom_spec spec = {.seed = seed};
        cts_volume *mask = NULL, *v;
        size_t count[CTS_FINDINGS] = {0};
        cts_phantom *p;

        memcpy(spec.dim, sizes[seed & 1], sizeof spec.dim);
        p = make(&spec);
        v = render(p, NULL, &mask);
        for (size_t i = 0; i < cts_volume_count(v); i++)
            for (int f = 0; f < CTS_FINDINGS; f++)
                count[f] += bits(mask, i) >> f & 1;
        for (int f = 0; f < CTS_FINDINGS; f++)
            if ((count[f] > 0) != cts_phantom_fact_get(p, f)->present)
                fail_msg("seed %d: %s has %zu voxels", (int)seed, cts_findings[f].name, count[f]);
        cts_volume_destroy(v);
        cts_volume_destroy(mask);
        cts_phantom_destroy(p);
    }
}

/* World x (to the right) of voxel column i. */
static double world_x(const cts_volume *v, size_t i)
{
    return v->affine[0][0] * (double)(i % (size_t)v->dim[0]) + v->affine[0][3];
}

static void sides_are_true(void **state)
{
    static const int sided[] = {8, 9, 10, 11, 12, 15, 16, 17};

    (void)state;
    for (size_t s = 0; s < sizeof sided / sizeof *sided; s++)
        for (uint64_t seed = 0; seed < 12; seed++) {
            cts_phantom_spec spec = only(300 + seed, sided[s]);
            cts_phantom *p = make(&spec);
            const cts_phantom_fact *fact = cts_phantom_fact_get(p, sided[s]);
            cts_volume *mask = NULL, *v = render(p, NULL, &mask);
            size_t right = 0, left = 0;

            for (size_t i = 0; i < cts_volume_count(v); i++)
                if (bits(mask, i))
                    *(world_x(v, i) > 0 ? &right : &left) += 1;
            /* the patient may lie up to 14 mm off the middle, turned: allow for a tenth */
            if ((fact->side == CTS_PHANTOM_SIDE_RIGHT && left > right / 10) ||
                (fact->side == CTS_PHANTOM_SIDE_LEFT && right > left / 10) ||
                (fact->side == CTS_PHANTOM_SIDE_BOTH && (!left || !right)) || fact->side == CTS_PHANTOM_SIDE_NONE)
                fail_msg("%s, seed %d: side %d, %zu voxels right, %zu left", cts_findings[sided[s]].name,
                         300 + (int)seed, fact->side, right, left);
            if ((fact->side == CTS_PHANTOM_SIDE_RIGHT && strstr(fact->where, "left")) ||
                (fact->side == CTS_PHANTOM_SIDE_LEFT && strstr(fact->where, "right")))
                fail_msg("%s: side %d but in \"%s\"", cts_findings[sided[s]].name, fact->side, fact->where);
            cts_volume_destroy(v);
            cts_volume_destroy(mask);
            cts_phantom_destroy(p);
        }
}

/* HU of the tenth of a finding's voxels that differ most from the patient without it: mean and extremes. */
typedef struct {
    double mean, lo, hi;
} core;

static core core_of(uint64_t seed, int f)
{
    cts_phantom_spec spec = {.seed = seed, .dim = {150, 116, 124}, .labels_given = true, .noise_hu = -1};
    cts_phantom *p, *q;
    cts_volume *mask = NULL, *a, *b;
    const int16_t *x, *y;
    size_t hist[5000] = {0}, n = 0, seen = 0;
    core c = {0, 1e9, -1e9};
    int cut = 4999;

    spec.labels[f] = 1;
    p = make(&spec);
    a = render(p, NULL, &mask);
    spec.without = 1u << f;
    q = make(&spec);
    b = render(q, NULL, NULL);
    x = a->voxels, y = b->voxels;
    for (size_t i = 0; i < cts_volume_count(a); i++)
        if (bits(mask, i))
            hist[abs(x[i] - y[i])]++, n++;
    while (cut > 0 && (seen += hist[cut]) * 10 < n)
        cut--;
    n = 0;
    for (size_t i = 0; i < cts_volume_count(a); i++)
        if (bits(mask, i) && abs(x[i] - y[i]) >= cut) {
            c.mean += x[i];
            c.lo = x[i] < c.lo ? x[i] : c.lo;
            c.hi = x[i] > c.hi ? x[i] : c.hi;
            n++;
        }
    c.mean /= (double)n;
    cts_volume_destroy(a);
    cts_volume_destroy(b);
    cts_volume_destroy(mask);
    cts_phantom_destroy(p);
    cts_phantom_destroy(q);
    return c;
}

static void densities(void **state)
{
    /* finding, what the mean of the core must be; 2.4 mm voxels leave partial volume in what is thin */
    static const struct {
        int f;
        double lo, hi;
    } rows[] = {{0, 1000, 3071},  {1, 130, 1000}, {2, 20, 290},    {3, -15, 60},     {4, 130, 900},  {6, 15, 130},
                {7, -1000, -900}, {8, -250, 80},  {9, -620, 620},  {10, -720, -300}, {11, -350, 60}, {12, -5, 40},
                {14, -600, 60},   {15, -60, 60},  {16, -1000, 40}, {17, -750, 20}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (uint64_t seed = 60; seed < 61; seed++) {
            core c = core_of(seed, rows[i].f);

            if (!(c.mean >= rows[i].lo && c.mean <= rows[i].hi))
                fail_msg("%s, seed %d: mean %.0f HU, allowed %.0f to %.0f", cts_findings[rows[i].f].name, (int)seed,
                         c.mean, rows[i].lo, rows[i].hi);
        }
}

/* Subtle stays subtle: a mosaic's steps are 60 to 120 HU between lobules, so no voxel moves by more than two thirds of
 * that. */
static void mosaic_is_subtle(void **state)
{
    (void)state;
    for (uint64_t seed = 70; seed < 76; seed++) {
        cts_phantom_spec spec = only(seed, 13);
        cts_phantom *p = make(&spec), *q;
        cts_volume *mask = NULL, *a = render(p, NULL, &mask), *b;
        int up = 0, down = 0;

        spec.without = 1u << 13;
        q = make(&spec);
        b = render(q, NULL, NULL);
        for (size_t i = 0; i < cts_volume_count(a); i++) {
            int d = ((const int16_t *)a->voxels)[i] - ((const int16_t *)b->voxels)[i];

            up = d > up ? d : up;
            down = d < down ? d : down;
        }
        assert_in_range(up - down, 58, 122);
        cts_volume_destroy(a);
        cts_volume_destroy(b);
        cts_volume_destroy(mask);
        cts_phantom_destroy(p);
        cts_phantom_destroy(q);
    }
}

static void heart_size(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 40; seed++) {
        cts_phantom_spec spec = only(seed, seed & 1 ? 2 : -1);
        cts_phantom *p = make(&spec);
        double ratio = cts_phantom_info_get(p)->cardiothoracic_ratio;

        assert_true(seed & 1 ? ratio > 0.5 && ratio < 0.66 : ratio > 0.33 && ratio < 0.5);
        if (seed < 8 && (seed & 1)) { /* as rendered: the mask is the heart with its fat */
            cts_volume *mask = NULL, *v = render(p, NULL, &mask);
            double lo = 1e9, hi = -1e9, stated = cts_phantom_fact_get(p, 2)->size_mm;

            for (size_t i = 0; i < cts_volume_count(v); i++)
                if (bits(mask, i)) {
                    lo = fmin(lo, world_x(v, i));
                    hi = fmax(hi, world_x(v, i));
                }
            if (!(fabs(hi - lo - stated - 12) < 14))
                fail_msg("heart is %.0f mm wide, stated %.0f", hi - lo, stated);
            cts_volume_destroy(v);
            cts_volume_destroy(mask);
        }
        cts_phantom_destroy(p);
    }
}

static void prevalence(void **state)
{
    enum { N = 3000 };
    int count[CTS_FINDINGS] = {0}, none = 0, both = 0;

    (void)state;
    for (uint64_t i = 0; i < N; i++) {
        uint8_t l[CTS_FINDINGS];
        int any = 0;

        cts_phantom_draw_labels(cts_rng_split(99, i), l);
        for (int f = 0; f < CTS_FINDINGS; f++) {
            count[f] += l[f];
            any |= l[f];
        }
        none += !any;
        both += l[1] && l[4];
    }
    for (int f = 0; f < CTS_FINDINGS; f++) {
        double p = cts_findings[f].valid_positives / 3039.0, sd = sqrt(N * p * (1 - p));

        if (!(fabs(count[f] - N * p) <= 4 * sd))
            fail_msg("%s: %d of %d, expected %.0f", cts_findings[f].name, count[f], N, N * p);
    }
    assert_true(none > N / 50);
    assert_true(both > 1.5 * count[1] * count[4] / N); /* calcium of aorta and coronaries go together */
}

static void geometry_and_names(void **state)
{
    cts_phantom_spec spec = {.seed = 3};
    cts_phantom *p = make(&spec);
    cts_volume *v = render(p, NULL, NULL);
    char codes[4];

    (void)state;
    cts_volume_axis_codes(v, codes);
    assert_string_equal(codes, "LPS");
    assert_int_equal(v->dim[0], 96);
    assert_int_equal(v->dim[2], 64);
    assert_true(fabs(v->spacing[0] - 3.75) < 1e-12);
    assert_true(v->affine[0][3] > 0 && v->affine[1][3] > 0 && v->affine[2][3] < 0);
    cts_volume_destroy(v);
    cts_phantom_destroy(p);
    assert_true(cts_phantom_seed(1, "train_1_a_1.nii.gz") == cts_phantom_seed(1, "train_1_b_2"));
    assert_true(cts_phantom_seed(1, "x/y/train_1_a_1.nii.gz") == cts_phantom_seed(1, "train_1_b_2"));
    assert_true(cts_phantom_seed(1, "train_1_a_1") != cts_phantom_seed(1, "train_12_a_1"));
    assert_true(cts_phantom_seed(1, "train_1_a_1") != cts_phantom_seed(2, "train_1_a_1"));
    assert_true(cts_phantom_noise_salt("train_1_a_1") != cts_phantom_noise_salt("train_1_a_2"));
    assert_true(cts_phantom_noise_salt("train_1_a_1") == cts_phantom_noise_salt("d/train_1_a_1.nii.gz"));
}

static void wrong_specs(void **state)
{
    cts_phantom *p = NULL;
    cts_phantom_spec s = {.dim = {4, 96, 64}};

    (void)state;
    assert_int_equal(cts_phantom_create(&p, &s), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "dim x is 4"));
    s = (cts_phantom_spec){.spacing = {1, NAN, 1}};
    assert_int_equal(cts_phantom_create(&p, &s), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "spacing y"));
    s = (cts_phantom_spec){.labels_given = true, .labels = {0, 3}};
    assert_int_equal(cts_phantom_create(&p, &s), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "Arterial wall calcification"));
    s = (cts_phantom_spec){.noise_hu = NAN};
    assert_int_equal(cts_phantom_create(&p, &s), CTS_E_INPUT);
    assert_null(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_again_on_any_threads),
                                       cmocka_unit_test(leaving_one_out_changes_its_place_only),
                                       cmocka_unit_test(masks_where_present),
                                       cmocka_unit_test(sides_are_true),
                                       cmocka_unit_test(densities),
                                       cmocka_unit_test(mosaic_is_subtle),
                                       cmocka_unit_test(heart_size),
                                       cmocka_unit_test(prevalence),
                                       cmocka_unit_test(geometry_and_names),
                                       cmocka_unit_test(wrong_specs)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
