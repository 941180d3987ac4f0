/* `train scroll` and `train probe` through the program, on small phantoms: what they write, resume to the bit, an
 * encoder frozen to the bit, kept vectors, the published drift, fine-tuning, and bad input.
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

#include "data/nifti.h"
#include "encoders/safetensors.h"
#include "kernels/base/file.h"
#include "kernels/base/status.h"
#include "query/thresholds.h"
#include "tests/support/program.h"

#define DATA "--labels set/labels.csv --volumes set/volumes"
#define VALID " --val-labels val/labels.csv --val-volumes val/volumes"
#define SCROLL "train scroll --quiet --size 24,32,32 --width 4 --embed-dim 16 --heads 2 --window 2 "

static int setup(void **state)
{
    if (cts_program_setup(state))
        return -1;
    if (cts_program_run("phantom --count 12 --size 32,32,24 --seed 3 --out set --quiet") ||
        cts_program_run("phantom --count 8 --size 32,32,24 --seed 4 --prefix valid --out val --quiet") ||
        cts_program_run("train clip --quiet --size 24,32,32 --steps 2 --batch 4 --latent 32 --reports set/reports.csv "
                        "--labels set/labels.csv --volumes set/volumes --codebook 16 --out pair") ||
        cts_program_run(SCROLL DATA VALID " --steps 8 --lr 1e-3 --save-every 4 --eval-every 4 --augment default "
                                          "--balance --pos-weight balanced --out whole --threads 2")) {
        print_error("setup: %s\n", cts_program_err());
        return -1;
    }
    return 0;
}

static char *path_of(const char *name)
{
    char *path = cts_path_join(cts_program_dir(), name);

    assert_non_null(path);
    return path;
}

static void test_scroll(void **state)
{
    cts_thresholds t = {0};
    char *model = path_of("run/model"), *log = path_of("run/log.jsonl"), *text = NULL;
    int steps = 0, validations = 0;
    size_t n;
    json_t *j;

    (void)state;
    j = cts_program_json_of(0, SCROLL DATA VALID " --steps 6 --batch 4 --eval-every 3 --out run --json");
    assert_int_equal(json_integer_value(cts_json_at(j, "steps")), 6);
    assert_int_equal(json_integer_value(cts_json_at(j, "volumes")), 12);
    assert_int_equal(json_integer_value(cts_json_at(j, "validation")), 8);
    assert_int_equal(json_array_size(cts_json_at(j, "labels")), 18);
    assert_int_equal(json_integer_value(cts_json_at(j, "params")), json_integer_value(cts_json_at(j, "trained")));
    assert_true(json_integer_value(cts_json_at(j, "macs")) > 0);
    json_decref(j);
    assert_int_equal(cts_thresholds_load(&t, model), CTS_OK);
    assert_int_equal(t.n, 8);
    assert_int_equal(t.n_labels, 18);
    assert_string_equal(t.label[0].name, "Medical material");
    cts_thresholds_clear(&t);
    assert_int_equal(cts_file_read(&text, &n, log, 1 << 20), CTS_OK);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        steps += strstr(line, "\"grad_norm\":") != NULL;
        validations += strstr(line, "\"val_auroc_macro\":") != NULL && strstr(line, "\"Emphysema\":") != NULL;
    }
    assert_int_equal(steps, 6);
    assert_int_equal(validations, 2);
    j = cts_program_json_of(0, "models --verify run/model --json");
    assert_int_equal(json_array_size(cts_json_at(j, "classifier.labels")), 18);
    assert_string_equal(json_string_value(cts_json_at(j, "classifier.head")), "encoder");
    json_decref(j);
    free(text);
    free(model);
    free(log);
}

/* Other encoders with a linear head, fewer findings, a budget of time, a published size by triplets. */
static void test_scroll_options(void **state)
{
    json_t *j;

    (void)state;
    j = cts_program_json_of(0,
                            "train scroll --quiet --json --encoder dcformer-nano --size 24,32,32 --steps 2 --findings "
                            "cardiomegaly,Emphysema " DATA " --out linear");
    assert_int_equal(json_array_size(cts_json_at(j, "labels")), 0); /* no validation */
    json_decref(j);
    j = cts_program_json_of(0, "models --verify linear/model --json");
    assert_string_equal(json_string_value(cts_json_at(j, "classifier.head")), "linear");
    assert_string_equal(json_string_value(cts_json_at(j, "classifier.input")), "vector");
    assert_string_equal(json_string_value(cts_json_at(j, "classifier.labels.1")), "Emphysema");
    json_decref(j);
    j = cts_program_json_of(0, SCROLL DATA " --minutes 0.05 --out budget --json");
    assert_true(json_integer_value(cts_json_at(j, "steps")) >= 9);
    assert_true(json_real_value(cts_json_at(j, "seconds")) < 20);
    json_decref(j);
    j = cts_program_json_of(0, "train scroll --quiet --json --init whole " DATA " --steps 1 --out again");
    json_decref(j);
    j = cts_program_json_of(0, "models --verify again/model --json");
    assert_string_equal(json_string_value(cts_json_at(j, "classifier.head")), "encoder");
    json_decref(j);
}

/* The second half again from the first half's checkpoint gives the same bytes. */
static void test_resume(void **state)
{
    (void)state;
    assert_int_equal(cts_program_shell("cp -r whole half && rm half/checkpoints/checkpoint-*8.safetensors && "
                                       "rm -r half/model && ls half/checkpoints"),
                     0);
    cts_program_runs(0, SCROLL DATA VALID " --steps 8 --lr 1e-3 --save-every 4 --eval-every 4 --augment default "
                                          "--balance --pos-weight balanced --out half --resume --threads 2");
    assert_int_equal(
        cts_program_shell("for f in whole/checkpoints/*8.safetensors; do cmp $f half/checkpoints/${f##*/} || "
                          "exit 1; done; n=$(wc -l <whole/log.jsonl); [ $n = $(wc -l <half/log.jsonl) ]"),
        0);
    cts_program_refuses(4, SCROLL DATA VALID " --steps 8 --balance --out half --resume", "data of the run");
}

typedef struct {
    const cts_st_tensor *t[2];
    cts_safetensors *file[2];
} two_models;

static void compare_open(two_models *m, const char *a, const char *b)
{
    const char *names[] = {a, b};

    for (int i = 0; i < 2; i++) {
        char *path = path_of(names[i]);

        if (cts_safetensors_open(&m->file[i], path))
            fail_msg("%s", cts_error());
        free(path);
    }
}

/* Entries of the first file that the second has with other bytes: states, and the rest without the head. */
static void compare(const char *a, const char *b, int *states, int *weights, int *texts)
{
    two_models m;

    *states = *weights = *texts = 0;
    compare_open(&m, a, b);
    for (int i = 0; i < cts_safetensors_n(m.file[0]); i++) {
        const cts_st_tensor *x = cts_safetensors_at(m.file[0], i), *y = cts_safetensors_find(m.file[1], x->name);

        if (!strncmp(x->name, "classifier.", 11))
            continue;
        assert_non_null(y);
        if (memcmp(x->data, y->data, (size_t)x->count * sizeof(float)) == 0)
            continue;
        if (strstr(x->name, "running_") || strstr(x->name, "_codebook"))
            ++*states;
        else if (strstr(x->name, "text_"))
            ++*texts;
        else
            ++*weights;
    }
    cts_safetensors_close(m.file[0]);
    cts_safetensors_close(m.file[1]);
}

static void test_probe(void **state)
{
    int states, weights, texts;
    json_t *a, *b;

    (void)state;
    a = cts_program_json_of(0, "train probe --quiet --json --model pair " DATA VALID " --out probe --batch 4");
    assert_int_equal(json_integer_value(cts_json_at(a, "steps")), 17 * 3);
    assert_true(json_is_false(cts_json_at(a, "cached")));
    assert_int_equal(json_integer_value(cts_json_at(a, "trained")), 18 * 33);
    compare("pair/model/model.safetensors", "probe/model/model.safetensors", &states, &weights, &texts);
    assert_int_equal(states + weights + texts, 0); /* frozen to the bit */
    b = cts_program_json_of(0, "models --verify probe/model --json");
    assert_string_equal(json_string_value(cts_json_at(b, "classifier.input")), "embedding");
    assert_true(json_is_true(cts_json_at(b, "classifier.relu")));
    json_decref(b);
    /* the vectors are there: the same training without a single volume read */
    assert_int_equal(cts_program_shell("cp probe/model/model.safetensors first.safetensors"), 0);
    b = cts_program_json_of(0, "train probe --quiet --json --model pair " DATA VALID " --out probe --batch 4");
    assert_true(json_is_true(cts_json_at(b, "cached")));
    assert_true(json_equal(cts_json_at(a, "labels"), cts_json_at(b, "labels")));
    assert_int_equal(cts_program_shell("cmp first.safetensors probe/model/model.safetensors"), 0);
    json_decref(a);
    json_decref(b);
    /* another model's vectors are other vectors */
    a = cts_program_json_of(0, "train probe --quiet --json --model whole " DATA VALID " --out probe --epochs 1");
    assert_true(json_is_false(cts_json_at(a, "cached")));
    json_decref(a);
    compare("whole/model/model.safetensors", "probe/model/model.safetensors", &states, &weights, &texts);
    assert_int_equal(states + weights + texts, 0);
    b = cts_program_json_of(0, "models --verify probe/model --json");
    assert_string_equal(json_string_value(cts_json_at(b, "classifier.input")), "vector");
    assert_string_equal(json_string_value(cts_json_at(b, "classifier.head")), "linear");
    json_decref(b);
}

static void test_drift_and_finetune(void **state)
{
    int states, weights, texts;
    json_t *j;

    (void)state;
    cts_program_runs(0, "train probe --quiet --model pair " DATA VALID " --out drift --drift --epochs 1");
    compare("pair/model/model.safetensors", "drift/model/model.safetensors", &states, &weights, &texts);
    assert_true(states > 2);
    assert_int_equal(weights + texts, 0);
    cts_program_runs(0, "train probe --quiet --model pair " DATA " --out head --epochs 2");
    j = cts_program_json_of(0, "train probe --quiet --json --model pair " DATA
                               " --out tuned --finetune --init-head head --epochs 1");
    assert_true(json_integer_value(cts_json_at(j, "trained")) > 1000);
    json_decref(j);
    compare("pair/model/model.safetensors", "tuned/model/model.safetensors", &states, &weights, &texts);
    assert_true(states > 2 && weights > 10);
    assert_int_equal(texts, 0); /* the other side stands still */
    cts_program_refuses(4, "train probe --quiet --model whole " DATA " --out x1 --finetune --init-head head",
                        "init-head");
}

static void cut_to_two_slices(int i)
{
    char name[64], *path;
    cts_volume *v = NULL;

    snprintf(name, sizeof name, "thin/volumes/train_%06d_a_1.nii.gz", i);
    path = path_of(name);
    assert_int_equal(cts_nifti_load(&v, path, 0), CTS_OK);
    v->dim[2] = 2;
    assert_int_equal(cts_nifti_save(v, path, 1), CTS_OK);
    cts_volume_destroy(v);
    free(path);
}

static void test_bad_data(void **state)
{
    (void)state;
    assert_int_equal(
        cts_program_shell("sed '1s/$/,Fracture/;2,$s/$/,0/' set/labels.csv >extra.csv && "
                          "sed '1s/Emphysema/Emphysma/' set/labels.csv >spelt.csv && "
                          "cut -d, -f1-18 set/labels.csv >missing.csv && "
                          "sed '3s/,[01]$/,2/' set/labels.csv >two.csv && sed '4s/,[01]$/,/' set/labels.csv >hole.csv"),
        0);
    cts_program_refuses(2, SCROLL "--labels extra.csv --volumes set/volumes --out x", "column 20 is \"Fracture\"");
    cts_program_refuses(2, SCROLL "--labels spelt.csv --volumes set/volumes --out x", "Emphysma");
    cts_program_refuses(2, SCROLL "--labels missing.csv --volumes set/volumes --out x",
                        "Interlobular septal thickening");
    cts_program_refuses(2, SCROLL "--labels two.csv --volumes set/volumes --out x",
                        "two.csv line 3: Interlobular septal thickening is \"2\", allowed 0 or 1");
    cts_program_refuses(2, SCROLL "--labels hole.csv --volumes set/volumes --out x", "hole.csv line 4");
    cts_program_refuses(2, SCROLL DATA " --val-labels two.csv --val-volumes set/volumes --out x", "two.csv line 3");
    assert_int_equal(cts_program_shell("cp -r set thin"), 0);
    for (int i = 1; i <= 12; i++)
        cut_to_two_slices(i);
    cts_program_warns(2, SCROLL "--labels thin/labels.csv --volumes thin/volumes --steps 1 --out x",
                      "got 2 slices, allowed: at least 3");
    assert_int_equal(cts_program_shell("cp -r val broken && for f in broken/volumes/*.gz; do echo >$f; done"), 0);
    cts_program_refuses(2, SCROLL DATA " --val-labels broken/labels.csv --val-volumes broken/volumes --steps 1 --out x",
                        "validation volumes: got 8, none of which can be loaded");
    cts_program_refuses(2,
                        "train probe --quiet --model pair " DATA
                        " --val-labels broken/labels.csv --val-volumes broken/volumes --epochs 1 --out x",
                        "validation volumes: got 8, none of which can be loaded");
}

static void test_bad_options(void **state)
{
    (void)state;
    cts_program_refuses(1, SCROLL "--labels set/labels.csv --out x", "--volumes");
    cts_program_refuses(1, SCROLL DATA, "--out");
    cts_program_refuses(1, SCROLL DATA " --out x --findings emphysema,cough", "cough");
    cts_program_refuses(1, SCROLL DATA " --out x --augment shift=2", "--augment");
    cts_program_refuses(1, SCROLL DATA " --out x --init whole", "--init with");
    cts_program_refuses(1, "train scroll --size 25,32,32 " DATA " --out x", "multiples of 3");
    cts_program_refuses(1, SCROLL DATA " --out x --triplets 4", "--triplets");
    cts_program_refuses(1, SCROLL DATA " --out x --val-labels val/labels.csv", "--val-volumes");
    cts_program_refuses(1, SCROLL DATA " --out x --warmup 120%", "--warmup");
    cts_program_refuses(3, SCROLL DATA " --out x --pos-weight weights.json", "weights.json");
    cts_program_refuses(1, "train probe " DATA " --out x", "--model");
    cts_program_refuses(1, "train probe --model pair " DATA " --out x --drift --finetune", "--drift");
    cts_program_refuses(1, "train probe --model pair " DATA " --out x --augment default", "--augment");
    cts_program_refuses(1, "train probe --model pair " DATA " --out x --size 24,16,16", "--recipe");
    assert_int_equal(cts_program_shell("echo '{\"emphysema\": 2, \"Cough\": 1}' >w.json"), 0);
    cts_program_refuses(2, SCROLL DATA " --out x --pos-weight w.json --findings emphysema", "Cough");
    assert_int_equal(cts_program_shell("echo '{\"emphysema\": -2}' >w.json"), 0);
    cts_program_refuses(2, SCROLL DATA " --out x --pos-weight w.json --findings emphysema", "emphysema");
    assert_int_equal(cts_program_shell("echo '{\"emphysema\": 2}' >w.json"), 0);
    cts_program_runs(0, SCROLL DATA " --out x --pos-weight w.json --findings emphysema --steps 1");
    cts_program_warns(0, SCROLL DATA " --out x --augment flip,shift=0.05 --steps 1", "mirrored");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scroll),      cmocka_unit_test(test_scroll_options),     cmocka_unit_test(test_resume),
        cmocka_unit_test(test_probe),       cmocka_unit_test(test_drift_and_finetune), cmocka_unit_test(test_bad_data),
        cmocka_unit_test(test_bad_options),
    };

    return cmocka_run_group_tests_name("train labels", tests, setup, cts_program_teardown);
}
