/* `train probe` on a small CT-ViT with CT-CLIP's projection: the encoder frozen to the bit, the code book that drifts,
 * fine-tuning whose variants depend on the seed and the place in the run and on nothing else, kept vectors of the
 * volumes as they are read.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "encoders/safetensors.h"
#include "kernels/base/file.h"
#include "tests/support/program.h"
#include "tests/support/small_model.h"

#define DATA " --labels set/labels.csv --volumes set/volumes --findings Cardiomegaly,Emphysema"
#define PROBE "train probe --quiet --model tiny" DATA
#define TUNE PROBE " --finetune --steps 4 --lr 1e-3 --batch 3 --augment default --threads 2"

static int setup(void **state)
{
    if (cts_program_setup(state))
        return -1;
    cts_small_model("tiny", cts_small_ctvit, 11);
    return cts_program_run("phantom --count 6 --size 32,32,24 --seed 3 --out set --quiet");
}

static bool same_file(const char *a, const char *b)
{
    return cts_program_shell("cmp -s %s %s", a, b) == 0;
}

typedef struct {
    int code_book, weights;
} changes;

/* Entries of the tiny model that another one has with other values. */
static changes changed(const char *model)
{
    char *path[2] = {cts_path_join(cts_program_dir(), "tiny/model.safetensors"),
                     cts_path_join(cts_program_dir(), model)};
    cts_safetensors *f[2] = {NULL, NULL};
    changes c = {0, 0};

    for (int i = 0; i < 2; i++)
        if (cts_safetensors_open(&f[i], path[i]))
            fail_msg("%s", cts_error());
    for (int i = 0; i < cts_safetensors_n(f[0]); i++) {
        const cts_st_tensor *x = cts_safetensors_at(f[0], i), *y = cts_safetensors_find(f[1], x->name);

        assert_non_null(y);
        assert_int_equal(x->count, y->count);
        if (memcmp(x->data, y->data, (size_t)x->count * sizeof(float)) != 0)
            ++*(strstr(x->name, "_codebook") ? &c.code_book : &c.weights);
    }
    for (int i = 0; i < 2; i++) {
        cts_safetensors_close(f[i]);
        free(path[i]);
    }
    return c;
}

static void test_frozen(void **state)
{
    changes c;
    json_t *j;

    (void)state;
    j = cts_program_json_of(0, PROBE " --epochs 3 --batch 2 --out frozen --json");
    assert_int_equal(json_integer_value(cts_json_at(j, "steps")), 3 * 3);
    assert_int_equal(json_integer_value(cts_json_at(j, "trained")), 2 * (16 + 1)); /* a layer on the embedding */
    json_decref(j);
    c = changed("frozen/model/model.safetensors");
    assert_int_equal(c.code_book, 0);
    assert_int_equal(c.weights, 0);
    j = cts_program_json_of(0, "models --verify frozen/model --json");
    assert_string_equal(json_string_value(cts_json_at(j, "classifier.input")), "embedding");
    assert_true(json_is_true(cts_json_at(j, "classifier.relu")));
    json_decref(j);
}

static void test_drift(void **state)
{
    changes c;

    (void)state;
    cts_program_runs(0, PROBE " --drift --epochs 1 --batch 3 --augment default --out drift");
    c = changed("drift/model/model.safetensors");
    assert_true(c.code_book > 0);
    assert_int_equal(c.weights, 0);
}

static void test_variants(void **state)
{
    changes c;

    (void)state;
    cts_program_runs(0, TUNE " --save-every 2 --out whole");
    c = changed("whole/model/model.safetensors");
    assert_true(c.weights > 10);
    /* whoever loads the volumes, and whether they are kept */
    cts_program_runs(0, TUNE " --loaders 4 --cache-mb 0 --out loaders");
    assert_true(same_file("whole/model/model.safetensors", "loaders/model/model.safetensors"));
    /* from the middle of the run */
    assert_int_equal(cts_program_shell("cp -r whole half && rm -r half/model half/checkpoints/*4.safetensors"), 0);
    cts_program_runs(0, TUNE " --out half --resume");
    assert_true(same_file("whole/model/model.safetensors", "half/model/model.safetensors"));
    /* and what they do depend on */
    cts_program_runs(0, TUNE " --seed 2 --init-head whole --out seed");
    cts_program_runs(0, TUNE " --seed 2 --init-head whole --augment none --out plain");
    assert_false(same_file("seed/model/model.safetensors", "plain/model/model.safetensors"));
}

/* Metadata change what a volume becomes, so vectors that were kept without them are others. */
static void test_metadata(void **state)
{
    const char *line = PROBE " --epochs 1 --batch 2 --out meta --json --metadata set/metadata.csv";
    json_t *j;

    (void)state;
    j = cts_program_json_of(0, PROBE " --epochs 1 --batch 2 --out meta --json");
    assert_true(json_is_false(cts_json_at(j, "cached")));
    json_decref(j);
    for (int again = 0; again < 2; again++) {
        j = cts_program_json_of(0, line);
        assert_int_equal(json_is_true(cts_json_at(j, "cached")), again);
        json_decref(j);
    }
}

/* The published CT-ViT has one size, and a command line cannot give it another. */
static void test_size(void **state)
{
    (void)state;
    cts_program_refuses(1, "train scroll --quiet --encoder ctvit --size 24,32,32" DATA " --out x",
                        "--encoder ctvit: it reads volumes of 240 x 480 x 480 voxels, got 24 x 32 x 32");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frozen),   cmocka_unit_test(test_drift), cmocka_unit_test(test_variants),
        cmocka_unit_test(test_metadata), cmocka_unit_test(test_size),
    };

    return cmocka_run_group_tests_name("train ctvit", tests, setup, cts_program_teardown);
}
