/* `train clip --init MODEL --no-shuffle --preset dcformer-published` against DCFormer's training in PyTorch: fifty
 * steps of a small model with quantiser, its loss curve made by tools/parity_train.py on the same files.
 *
 * tests/golden/parity has the configuration, recipe, vocabulary, reports and the curve; weights and scans are formula
 * numbers, so the folder is made here. CTS_PARITY_OUT=DIR leaves a copy of it, from which the curve is made anew by
 *     tools/parity_train.py --model DIR/model --reports DIR/reports.csv --volumes DIR/volumes --batch 4 --lr 3.5e-4 \
 *         --double --out tests/golden/parity/curve.json
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include "data/nifti.h"
#include "encoders/model_dir.h"
#include "kernels/base/file.h"
#include "kernels/base/json.h"
#include "tests/support/model_run.h"
#include "tests/support/program.h"

#define FOLDER CTS_SOURCE_DIR "/tests/golden/parity/"
#define SEED 20251122u
#define SCANS 13
#define LIMIT 1e-3

static char *at(const char *name)
{
    char *path = cts_path_join(cts_program_dir(), name);

    assert_non_null(path);
    return path;
}

static json_t *stored(const char *name)
{
    char path[512];
    json_t *j = NULL;

    snprintf(path, sizeof path, FOLDER "%s", name);
    MUST(cts_json_load(&j, path, (size_t)1 << 20));
    return j;
}

static void write_model(void)
{
    json_t *j = stored("model.json"), *recipe = stored("preprocess.json");
    char *dir = at("model");
    cts_clip_config c = {0};
    cts_clip *m = NULL;

    MUST(cts_clip_config_parse(&c, j, "model.json"));
    MUST(cts_clip_create(&m, &c));
    cts_test_weights(m->params, NULL, SEED, "", "");
    MUST(cts_model_dir_save(dir, m, FOLDER "vocab.txt", recipe));
    cts_clip_destroy(m);
    json_decref(j);
    json_decref(recipe);
    free(dir);
}

/* Scan k: smooth cells and grain within the window, for flat regions make ties in the pooling, which rounding decides;
 * sizes differ, so that some axes are padded and most are cropped; every other scan lies the other way round. */
static void write_scan(int k)
{
    int64_t zxy[4] = {1, 33 + k % 4, 32 + k % 3, 40 + k % 5}, dim[3] = {zxy[2], zxy[3], zxy[1]};
    const double spacing[3] = {9, 9, 8}, sign = k % 2 ? 1 : -1;
    float *v = cts_test_alloc((size_t)(zxy[1] * zxy[2] * zxy[3]) * sizeof *v);
    char name[64], file[64], *path;
    cts_volume *scan = NULL;
    int16_t *voxel;

    snprintf(name, sizeof name, "parity.%d", k);
    cts_formula_volume(v, SEED, name, zxy, 0, 1);
    MUST(cts_volume_create(&scan, dim, spacing, CTS_VOXEL_I16));
    voxel = scan->voxels;
    scan->has_affine = true;
    for (int a = 0; a < 3; a++)
        scan->affine[a][a] = (a < 2 ? sign : 1) * spacing[a];
    for (int64_t z = 0; z < zxy[1]; z++)
        for (int64_t y = 0; y < zxy[3]; y++)
            for (int64_t x = 0; x < zxy[2]; x++)
                *voxel++ = (int16_t)lrint(-400.0 + 550.0 * (double)v[(z * zxy[2] + x) * zxy[3] + y]);
    snprintf(file, sizeof file, "volumes/parity_%d_a_1.nii.gz", k);
    path = at(file);
    MUST(cts_nifti_save(scan, path, 0));
    free(path);
    free(v);
    cts_volume_destroy(scan);
}

static int setup(void **state)
{
    char *volumes;

    if (cts_program_setup(state))
        return -1;
    volumes = at("volumes");
    MUST(cts_mkdir_p(volumes));
    free(volumes);
    write_model();
    for (int k = 1; k <= SCANS; k++)
        write_scan(k);
    assert_int_equal(cts_program_shell("cp '" FOLDER "reports.csv' reports.csv"), 0);
    if (getenv("CTS_PARITY_OUT"))
        assert_int_equal(cts_program_shell("mkdir -p \"$CTS_PARITY_OUT\" && cp -r . \"$CTS_PARITY_OUT\""), 0);
    return 0;
}

static double number(const json_t *j, const char *key)
{
    assert_true(json_is_number(json_object_get(j, key)));
    return json_number_value(json_object_get(j, key));
}

/* The keys every step's line begins with, in this order. */
static void check_keys(const json_t *line)
{
    static const char *const keys[] = {"step", "loss", "lr", "grad_norm", "negatives", "seconds"};
    void *at_key = json_object_iter((json_t *)line);

    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++, at_key = json_object_iter_next((json_t *)line, at_key)) {
        assert_non_null(at_key);
        assert_string_equal(json_object_iter_key(at_key), keys[k]);
    }
}

/* Lines of the log that are steps. */
static json_t *read_log(const char *name)
{
    json_t *steps = json_array();
    char *path = at(name), *text = NULL;
    size_t n;

    MUST(cts_file_read(&text, &n, path, (size_t)1 << 24));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *j = json_loads(line, 0, NULL);

        assert_non_null(j);
        if (json_object_get(j, "lr"))
            assert_int_equal(json_array_append(steps, j), 0);
        json_decref(j);
    }
    free(text);
    free(path);
    return steps;
}

static void test_loss_curve(void **state)
{
    json_t *want = stored("curve.json"), *curve = json_object_get(want, "curve"), *log, *line;
    int batch = (int)number(want, "batch");
    double worst = 0, lowest = HUGE_VAL, highest = 0;
    size_t i;

    (void)state;
    assert_int_equal(cts_program_run("train clip --quiet --threads 2 --init model --no-shuffle --preset "
                                     "dcformer-published --lr %.17g --steps %d --batch %d --reports reports.csv "
                                     "--volumes volumes --out run",
                                     number(want, "lr"), (int)number(want, "steps"), batch),
                     0);
    log = read_log("run/log.jsonl");
    assert_int_equal(json_array_size(log), json_array_size(curve));
    assert_int_equal(json_array_size(log), (size_t)number(want, "steps"));
    json_array_foreach(log, i, line)
    {
        double loss = number(line, "loss"), apart = fabs(loss - number(json_array_get(curve, i), "loss"));

        check_keys(line);
        assert_true(number(line, "step") == (double)(i + 1) && number(line, "lr") == number(want, "lr"));
        assert_true(number(line, "negatives") == batch - 1);
        assert_true(number(line, "seconds") > 0 && number(line, "grad_norm") > 0);
        if (!(apart <= LIMIT))
            fail_msg("step %zu: loss %.6f, PyTorch's is %.6f", i + 1, loss, number(json_array_get(curve, i), "loss"));
        worst = fmax(worst, apart);
        lowest = fmin(lowest, loss);
        highest = fmax(highest, loss);
    }
    print_message("%zu steps, loss between %.3f and %.3f, at most %.1e from PyTorch's\n", json_array_size(log), lowest,
                  highest, worst);
    assert_true(highest - lowest > 0.1); /* a curve that stands still would prove nothing */
    json_decref(log);
    json_decref(want);
}

/* What the model has is the model's: options that say otherwise are refused before any work. */
static void test_init_keeps_what_the_model_has(void **state)
{
    static const char *const options[] = {"--latent 32",           "--codebook 8",          "--text bert-tiny",
                                          "--temperature learned", "--tokenizer other.txt", "--recipe dcformer-512",
                                          "--preset none"};

    (void)state;
    assert_int_equal(cts_program_shell("head -n 60 model/vocab.txt >other.txt"), 0);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        assert_int_equal(cts_program_run("train clip --quiet --init model --steps 1 --batch 4 --reports reports.csv "
                                         "--volumes volumes --out refused %s",
                                         options[i]),
                         1);
        print_message("%s\n", cts_program_err());
    }
}

/* The published scale is a constant: a model that learns its own keeps it under the preset, and moves it without. */
static void test_scale_stands_still(void **state)
{
    static const char *const presets[] = {"dcformer-published --lr 1e-2", "ctsearch"};

    (void)state;
    assert_int_equal(cts_program_shell("cp -r model learned && sed -i 's/\"constant\"/\"learned\"/' "
                                       "learned/config.json"),
                     0);
    for (int k = 0; k < 2; k++) {
        char name[32];
        json_t *log;

        assert_int_equal(cts_program_run("train clip --quiet --init learned --steps 3 --batch 4 --reports reports.csv "
                                         "--volumes volumes --out learned%d --preset %s",
                                         k, presets[k]),
                         0);
        snprintf(name, sizeof name, "learned%d/log.jsonl", k);
        log = read_log(name);
        assert_true((number(json_array_get(log, 0), "scale") == number(json_array_get(log, 2), "scale")) == (k == 0));
        json_decref(log);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_loss_curve),
                                       cmocka_unit_test(test_init_keeps_what_the_model_has),
                                       cmocka_unit_test(test_scale_stands_still)};

    return cmocka_run_group_tests_name("golden parity", tests, setup, cts_program_teardown);
}
