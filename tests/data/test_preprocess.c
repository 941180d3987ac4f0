/* Preprocessing against the formula written down voxel by voxel, recipes as files, and the HU verdict.
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

#include "data/preprocess.h"
#include "kernels/base/file.h"
#include "kernels/base/rng.h"
#include "kernels/base/status.h"

static cts_volume *noise(const int64_t dim[3], const double mm[3], cts_voxel_type type, uint64_t key)
{
    cts_volume *v = NULL;

    assert_int_equal(cts_volume_create(&v, dim, mm, type), CTS_OK);
    for (size_t i = 0; i < cts_volume_count(v); i++) {
        double x = cts_rng_unit_at(key, i) * 3000 - 1500;

        if (type == CTS_VOXEL_I16)
            ((int16_t *)v->voxels)[i] = (int16_t)x;
        else
            ((float *)v->voxels)[i] = (float)x;
    }
    v->has_affine = true;
    return v;
}

static double clip(double x, double lo, double hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

/* The published steps, one voxel at a time, in double. v is already in the recipe's orientation. */
static double oracle(const cts_volume *v, const cts_recipe *r, const double mm_zxy[3], const double rescale[2],
                     const int64_t at[3])
{
    static const int voxel_axis[3] = {2, 0, 1};
    int64_t lo[3], hi[3];
    double w[3], sum = 0;

    for (int a = 0; a < 3; a++) {
        int64_t n = v->dim[voxel_axis[a]], size = cts_resampled_size(n, mm_zxy[a], r->spacing_zxy[a]), i = at[a];
        double src;

        i += size > r->size_zxy[a] ? (size - r->size_zxy[a]) / 2 : -((r->size_zxy[a] - size) / 2);
        if (i < 0 || i >= size)
            return r->pad;
        src = ((double)i + 0.5) * ((double)n / (double)size) - 0.5;
        src = src < 0 ? 0 : src;
        lo[a] = (int64_t)src;
        hi[a] = lo[a] + 1 < n ? lo[a] + 1 : n - 1;
        w[a] = src - (double)lo[a];
    }
    for (int c = 0; c < 8; c++) {
        int64_t k = c & 1 ? hi[0] : lo[0], i = c & 2 ? hi[1] : lo[1], j = c & 4 ? hi[2] : lo[2];
        size_t flat = (size_t)(i + v->dim[0] * (j + v->dim[1] * k));
        double raw = v->type == CTS_VOXEL_I16 ? ((int16_t *)v->voxels)[flat] : (double)((float *)v->voxels)[flat];
        double hu = rescale[0] * (v->slope * raw + v->inter) + rescale[1];

        if (r->has_first_clip)
            hu = clip(hu, r->first_clip[0], r->first_clip[1]);
        sum += hu * (c & 1 ? w[0] : 1 - w[0]) * (c & 2 ? w[1] : 1 - w[1]) * (c & 4 ? w[2] : 1 - w[2]);
    }
    return r->out[0] + (clip(sum, r->window[0], r->window[1]) - r->window[0]) / (r->window[1] - r->window[0]) *
                           (r->out[1] - r->out[0]);
}

static void against_oracle(void **state)
{
    static const char *const codes[] = {"LPS", "RAS", "SLP", "PIR", "stored"};
    const uint64_t seed = 20251125;
    cts_rng r = cts_rng_make(seed);

    (void)state;
    printf("seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 60; round++) {
        const int64_t dim[3] = {1 + (int64_t)cts_rng_below(&r, 30), 1 + (int64_t)cts_rng_below(&r, 30),
                                2 + (int64_t)cts_rng_below(&r, 30)};
        const double mm[3] = {cts_rng_range(&r, 0.5, 3), cts_rng_range(&r, 0.5, 3), cts_rng_range(&r, 0.5, 3)};
        const double rescale[2] = {1.5, -100};
        cts_volume *v = noise(dim, mm, round & 1 ? CTS_VOXEL_F32 : CTS_VOXEL_I16, cts_rng_next(&r)), *turned;
        cts_recipe rec = {.name = "test",
                          .has_first_clip = round & 2,
                          .first_clip = {-900, 900},
                          .window = {-700, 300},
                          .out = {-0.5, 2},
                          .pad = -7,
                          .f64 = round & 4,
                          .hu = CTS_HU_POLICY_CSV};
        cts_preprocess_info info;
        cts_pool *pool = NULL;
        double mm_zxy[3];
        float *one, *three;
        size_t n, at = 0;

        v->slope = 0.5;
        v->inter = 20;
        snprintf(rec.orientation, sizeof rec.orientation, "%s", codes[round % 5]);
        for (int a = 0; a < 3; a++) {
            rec.spacing_zxy[a] = cts_rng_range(&r, 0.4, 0.5);
            rec.size_zxy[a] = 1 + (int64_t)cts_rng_below(&r, 50);
        }
        n = cts_recipe_elements(&rec);
        one = malloc(n * sizeof *one);
        three = malloc(n * sizeof *three);
        assert_true(one && three);
        if (cts_preprocess(v, &rec, NULL, rescale, NULL, one, &info))
            fail_msg("%s", cts_error());
        assert_int_equal(cts_pool_create(&pool, 3), CTS_OK);
        assert_int_equal(cts_preprocess(v, &rec, NULL, rescale, pool, three, NULL), CTS_OK);
        assert_memory_equal(one, three, n * sizeof *one); /* the number of threads changes nothing */
        cts_pool_destroy(pool);
        turned = v;
        if (strcmp(rec.orientation, "stored"))
            assert_int_equal(cts_volume_reorient(turned, rec.orientation, NULL), CTS_OK);
        for (int a = 0; a < 3; a++)
            mm_zxy[a] = turned->spacing[a == 0 ? 2 : a - 1];
        for (int64_t z = 0; z < rec.size_zxy[0]; z++)
            for (int64_t x = 0; x < rec.size_zxy[1]; x++)
                for (int64_t y = 0; y < rec.size_zxy[2]; y++, at++) {
                    double want = oracle(turned, &rec, mm_zxy, rescale, (int64_t[]){z, x, y});

                    if (!(fabs(one[at] - want) <= (rec.f64 ? 3e-7 : 2e-6)))
                        fail_msg("round %d voxel %zu: %.9g, expected %.9g", round, at, (double)one[at], want);
                }
        cts_volume_destroy(v);
        free(one);
        free(three);
    }
}

/* Spacing 0 fits an axis whatever its extent; a CSV's spacing replaces the header's. */
static void fit_and_override(void **state)
{
    cts_volume *v = noise((int64_t[]){20, 10, 8}, (double[]){1, 2, 3}, CTS_VOXEL_I16, 3);
    const double csv[3] = {2, 2, 2};
    cts_recipe r;
    cts_preprocess_info info;
    float out[5 * 6 * 7];

    (void)state;
    assert_int_equal(cts_recipe_free(&r, "fit", (double[]){0, 0, 0}, (int64_t[]){5, 6, 7}, (double[]){-1000, 1000}),
                     CTS_OK);
    assert_int_equal(cts_preprocess(v, &r, NULL, NULL, NULL, out, &info), CTS_OK);
    assert_true(info.resampled_zxy[0] == 5 && info.resampled_zxy[1] == 6 && info.resampled_zxy[2] == 7);
    assert_string_equal(info.orientation, "flipped i,j");
    assert_string_equal(info.stored_codes, "RAS");
    r.spacing_zxy[0] = r.spacing_zxy[1] = r.spacing_zxy[2] = 1;
    assert_int_equal(cts_preprocess(v, &r, csv, NULL, NULL, out, &info), CTS_OK);
    assert_true(info.resampled_zxy[0] == 16 && info.resampled_zxy[1] == 40 && info.resampled_zxy[2] == 20);
    v->has_affine = false;
    assert_int_equal(cts_preprocess(v, &r, csv, NULL, NULL, out, &info), CTS_OK);
    assert_string_equal(info.orientation, "as stored (the file has no affine)");
    assert_true(!info.has_affine && !*info.stored_codes && info.oblique_deg == 0);
    assert_true(info.resampled_zxy[1] == 40 && info.resampled_zxy[2] == 20);
    strcpy(r.orientation, "PLS"); /* the order of the axes is known even then, their direction is not */
    assert_int_equal(cts_preprocess(v, &r, csv, NULL, NULL, out, &info), CTS_OK);
    assert_string_equal(info.orientation, "permuted j,i,k (the file has no affine)");
    assert_true(info.resampled_zxy[1] == 20 && info.resampled_zxy[2] == 40);
    cts_volume_destroy(v);
}

static void refused(void **state)
{
    cts_volume *v = noise((int64_t[]){4, 4, 4}, (double[]){1, 1, 1}, CTS_VOXEL_I16, 3);
    float out[8];
    cts_recipe r, bad;

    (void)state;
    assert_int_equal(cts_recipe_free(&r, "t", (double[]){1, 1, 1}, (int64_t[]){2, 2, 2}, (double[]){-1000, 1000}),
                     CTS_OK);
    r.hu = CTS_HU_POLICY_CSV;
    assert_int_equal(cts_preprocess(v, &r, (double[]){1, 0, 1}, NULL, NULL, out, NULL), CTS_E_INPUT);
    assert_int_equal(cts_preprocess(v, &r, (double[]){1, 1, NAN}, NULL, NULL, out, NULL), CTS_E_INPUT);
    assert_int_equal(cts_preprocess(v, &r, (double[]){1, 1e-3, 1}, NULL, NULL, out, NULL), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "axis y"));
    assert_int_equal(cts_preprocess(v, &r, (double[]){1, 1, 1e30}, NULL, NULL, out, NULL), CTS_E_LIMIT);
    assert_int_equal(cts_preprocess(v, &r, NULL, (double[]){NAN, 0}, NULL, out, NULL), CTS_E_INPUT);
    assert_int_equal(cts_preprocess(v, &r, NULL, (double[]){1, -8192}, NULL, out, NULL), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "every voxel is -1 after the window"));
    for (int i = 0; i < 64; i++)
        ((int16_t *)v->voxels)[i] = -1000;
    assert_int_equal(cts_preprocess(v, &r, NULL, NULL, NULL, out, NULL), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "all 64 voxels are -1000"));
    cts_volume_destroy(v);
#define BAD(change)                                                                                                    \
    do {                                                                                                               \
        bad = r;                                                                                                       \
        change;                                                                                                        \
        assert_int_equal(cts_recipe_check(&bad, "bad"), CTS_E_INPUT);                                                  \
    } while (0)
    BAD(bad.spacing_zxy[1] = -1);
    BAD(bad.spacing_zxy[1] = NAN);
    BAD(bad.size_zxy[2] = 0);
    BAD(bad.size_zxy[2] = 1 << 20);
    BAD(bad.window[0] = bad.window[1]);
    BAD(bad.window[1] = INFINITY);
    BAD(bad.out[0] = bad.out[1]);
    BAD(bad.pad = NAN);
    BAD(strcpy(bad.orientation, "LP"));
    BAD(strcpy(bad.orientation, "LPL"));
    BAD((bad.has_first_clip = true, bad.first_clip[0] = 5, bad.first_clip[1] = 4));
#undef BAD
}

static void recipe_files(void **state)
{
    static const char *const bad[] = {
        "{}",
        "[]",
        "{\"version\":2}",
        "not json",
    };
    char dir[] = "/tmp/cts_recipe_XXXXXX", path[64], a[CTS_DIGEST_HEX], b[CTS_DIGEST_HEX], seen[16][CTS_DIGEST_HEX];
    cts_recipe r, back;
    char *text;
    size_t n;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/preprocess.json", dir);
    assert_in_range(cts_recipe_count(), 5, 16);
    for (size_t i = 0; i < cts_recipe_count(); i++) {
        const cts_recipe *row = cts_recipe_at(i);

        assert_int_equal(cts_recipe_check(row, row->name), CTS_OK);
        assert_int_equal(cts_recipe_find(&r, row->name), CTS_OK);
        assert_int_equal(cts_recipe_save(&r, path), CTS_OK);
        if (cts_recipe_load(&back, path))
            fail_msg("%s", cts_error());
        assert_string_equal(back.name, r.name);
        assert_int_equal(cts_recipe_digest(&r, a), CTS_OK);
        assert_int_equal(cts_recipe_digest(&back, b), CTS_OK);
        assert_string_equal(a, b);
        strcpy(back.name, "another name");
        assert_int_equal(cts_recipe_digest(&back, b), CTS_OK);
        assert_string_equal(a, b);
        back.window[1] += 1e-9;
        assert_int_equal(cts_recipe_digest(&back, b), CTS_OK);
        assert_string_not_equal(a, b);
        strcpy(seen[i], a);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(seen[k], a);
    }
    assert_int_equal(cts_recipe_find(&r, "dcformer-513"), CTS_E_NOTFOUND);
    assert_non_null(strstr(cts_error(), "dcformer-512"));
    /* one field too many */
    assert_int_equal(cts_file_read(&text, &n, path, 4096), CTS_OK);
    *strchr(text, '{') = ' ';
    {
        char more[4200];

        snprintf(more, sizeof more, "{\"flip\": true, %s", text);
        assert_int_equal(cts_file_write_atomic(path, more, strlen(more)), CTS_OK);
    }
    free(text);
    assert_int_equal(cts_recipe_load(&back, path), CTS_E_FORMAT);
    assert_non_null(strstr(cts_error(), "flip"));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(cts_file_write_atomic(path, bad[i], strlen(bad[i])), CTS_OK);
        assert_int_not_equal(cts_recipe_load(&back, path), CTS_OK);
        assert_non_null(strstr(cts_error(), "preprocess.json"));
    }
    assert_int_equal(cts_remove_tree(dir), CTS_OK);
}

/* Indexes name the recipe they were made with by digest, so a row of the table never changes. */
static void recipe_digests(void **state)
{
    static const char *const rows[][2] = {
        {"dcformer-512", "c3d612ad45e694f756cfb5f43c4a9d35f3d99057c5a99389a981c32f5e25f0ec"},
        {"ctclip-v1", "363a2ed77c21f6078522fb3c12ea686fb17b80e1a0f98ce3b8e348ddc68e547d"},
        {"ctclip-v2-train", "52731cca95b39fbcef27336f5149381559be41e90c6b303aa98485ba0cbe97bb"},
        {"ctclip-v2-infer", "c9daa92d5f4387c1361907890c08fb78f36601183f09bcf4cc46daed409a6e56"},
        {"ctscroll", "db37f78b0a1e85edc62d8c5a755e7d7d43dc84bf5dc82306d599780b2cd02e31"},
    };
    cts_recipe r;
    char digest[CTS_DIGEST_HEX];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(cts_recipe_find(&r, rows[i][0]), CTS_OK);
        assert_int_equal(cts_recipe_digest(&r, digest), CTS_OK);
        assert_string_equal(digest, rows[i][1]);
    }
}

/* Fields that came later: files without them load, the digest knows what is done to voxels and nothing else. */
static void recipe_fields(void **state)
{
    char dir[] = "/tmp/cts_recipe_XXXXXX", path[64], a[CTS_DIGEST_HEX], b[CTS_DIGEST_HEX];
    cts_recipe r, back;
    char *text;
    size_t n;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/mine.json", dir);
    assert_int_equal(cts_recipe_open(&r, "dcformer-512"), CTS_OK);
    assert_int_equal(cts_recipe_save(&r, path), CTS_OK);
    assert_int_equal(cts_file_read(&text, &n, path, 4096), CTS_OK);
    assert_true(!strstr(text, "grid") && !strstr(text, "override_of"));
    free(text);
    assert_int_equal(cts_recipe_open(&back, path), CTS_OK);
    assert_true(back.grid == CTS_GRID_EXTENT && !*back.override_of);
    strcpy(back.override_of, "ctclip-v1");
    assert_int_equal(cts_recipe_digest(&r, a), CTS_OK);
    assert_int_equal(cts_recipe_digest(&back, b), CTS_OK);
    assert_string_equal(a, b);
    back.grid = CTS_GRID_FIRST_VOXEL;
    assert_int_equal(cts_recipe_save(&back, path), CTS_OK);
    assert_int_equal(cts_recipe_open(&r, path), CTS_OK);
    assert_true(r.grid == CTS_GRID_FIRST_VOXEL && !strcmp(r.override_of, "ctclip-v1"));
    assert_int_equal(cts_recipe_digest(&r, b), CTS_OK);
    assert_string_not_equal(a, b);
    assert_int_equal(cts_file_read(&text, &n, path, 4096), CTS_OK);
    memcpy(strstr(text, "first_voxel"), "worst", 5);
    assert_int_equal(cts_file_write_atomic(path, text, strlen(text)), CTS_OK);
    free(text);
    assert_int_equal(cts_recipe_open(&r, path), CTS_E_FORMAT);
    assert_non_null(strstr(cts_error(), "\"extent\", \"extent_product\", \"first_voxel\""));
    assert_int_equal(cts_recipe_open(&r, "hlop"), CTS_E_NOTFOUND);
    assert_non_null(strstr(cts_error(), "merlin, hlip, fvlm"));
    assert_int_equal(cts_recipe_open(&r, "no/such"), CTS_E_IO);
    assert_int_equal(cts_remove_tree(dir), CTS_OK);
}

/* Half air, a third soft tissue, the rest bone and fat, as stored values of a given map. */
static cts_volume *chest(double slope, double inter)
{
    cts_volume *v = NULL;

    assert_int_equal(cts_volume_create(&v, (int64_t[]){30, 30, 30}, (double[]){1, 1, 1}, CTS_VOXEL_I16), CTS_OK);
    for (size_t i = 0; i < 27000; i++) {
        double hu = i % 6 < 3   ? -1000 + 60 * cts_rng_unit_at(1, i)
                    : i % 6 < 5 ? 80 * cts_rng_unit_at(2, i)
                                : -100 + 900 * cts_rng_unit_at(3, i);

        ((int16_t *)v->voxels)[i] = (int16_t)lrint((hu - inter) / slope);
    }
    return v;
}

static void hu_verdicts(void **state)
{
    static const struct {
        double slope, inter; /* what maps the stored voxels to HU */
        double header[2], csv[2];
        cts_hu_map want;
        bool plausible;
    } cases[] = {
        {1, 0, {1, 0}, {1, -1024}, CTS_HU_HEADER, true}, /* HU already, the CSV would apply it again */
        {1, 0, {1, 0}, {1, -8192}, CTS_HU_HEADER, true},
        {1, -1024, {1, 0}, {1, -1024}, CTS_HU_HEADER_CSV, true}, /* stored values, the map only in the CSV */
        {1, -1024, {1, -1024}, {1, 0}, CTS_HU_HEADER, true},
        {1, 0, {1, -1024}, {1, -1024}, CTS_HU_RAW, true},           /* HU already, the header has the map too */
        {0.5, -3000, {1, 0}, {1, -1024}, CTS_HU_HEADER_CSV, false}, /* nothing fits: as published, with a warning */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cts_volume *v = chest(cases[i].slope, cases[i].inter);
        cts_hu_verdict hu;

        v->slope = cases[i].header[0];
        v->inter = cases[i].header[1];
        cts_hu_judge(&hu, v, cases[i].csv, CTS_HU_POLICY_AUTO);
        if (hu.chosen != cases[i].want || hu.plausible != cases[i].plausible)
            fail_msg("case %zu: %s", i, hu.text);
        cts_hu_judge(&hu, v, cases[i].csv, CTS_HU_POLICY_CSV);
        assert_int_equal(hu.chosen, CTS_HU_HEADER_CSV);
        cts_hu_judge(&hu, v, cases[i].csv, CTS_HU_POLICY_HEADER);
        assert_int_equal(hu.chosen, CTS_HU_HEADER);
        cts_hu_judge(&hu, v, NULL, CTS_HU_POLICY_CSV);
        assert_int_equal(hu.chosen, CTS_HU_HEADER);
        assert_false(hu.map[CTS_HU_HEADER_CSV].given);
        cts_volume_destroy(v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_oracle), cmocka_unit_test(fit_and_override), cmocka_unit_test(refused),
        cmocka_unit_test(recipe_files),   cmocka_unit_test(recipe_digests),   cmocka_unit_test(recipe_fields),
        cmocka_unit_test(hu_verdicts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
