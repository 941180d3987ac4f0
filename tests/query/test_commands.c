/* Every command on a small set of phantoms: the JSON that scripts rely on, the exit codes, and what bad input does.
 * SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "data/findings.h"
#include "index/index.h"
#include "kernels/base/file.h"
#include "kernels/base/npy.h"
#include "tests/support/program.h"

#define N 8
#define DIM 32
#define DATA "--reports set/reports.csv --labels set/labels.csv --volumes set/volumes"
#define TRAIN "train clip --quiet --size 24,32,32 --steps 5 --batch 4 --latent 32 "

static int64_t int_at(const json_t *j, const char *path)
{
    const json_t *v = cts_json_at(j, path);

    assert_true(json_is_integer(v));
    return json_integer_value(v);
}

static double number_at(const json_t *j, const char *path)
{
    const json_t *v = cts_json_at(j, path);

    assert_true(json_is_number(v));
    return json_number_value(v);
}

static const char *text_at(const json_t *j, const char *path)
{
    const json_t *v = cts_json_at(j, path);

    assert_true(json_is_string(v));
    return json_string_value(v);
}

static size_t size_at(const json_t *j, const char *path)
{
    return json_array_size(cts_json_at(j, path));
}

/* phantoms, a model, an index, and a second reconstruction of every scan in set2 */
static int setup(void **state)
{
    if (cts_program_setup(state))
        return -1;
    if (cts_program_run("phantom --count 8 --size 32,32,24 --seed 3 --out set --quiet") ||
        cts_program_run(TRAIN DATA " --out run") || cts_program_run("index create ix --model run --quiet " DATA) ||
        cts_program_shell("mkdir -p set2/volumes && for f in set/volumes/*; do b=${f##*/}; "
                          "cp $f set2/volumes/${b%%_1.nii.gz}_2.nii.gz; done && "
                          "for f in reports labels; do sed 's/_a_1/_a_2/' set/$f.csv >set2/$f.csv; done")) {
        print_error("setup: %s\n", cts_program_err());
        return -1;
    }
    return 0;
}

static void test_models(void **state)
{
    json_t *j = cts_program_json_of(0, "models --json"), *row;
    size_t i;

    (void)state;
    assert_true(json_is_array(j) && json_array_size(j) > 0);
    json_array_foreach(j, i, row)
    {
        assert_true(*text_at(row, "name") != '\0');
        assert_true(int_at(row, "params") > 0);
        assert_true(int_at(row, "macs") > 0);
        assert_true(size_at(row, "input") > 0);
    }
    json_decref(j);
}

/* Fields of the commands whose own tests are elsewhere, in the order documented. */
static void test_other_json(void **state)
{
    json_t *j = cts_program_json_of(0, "phantom --count 1 --size 24,24,24 --out few --json");

    (void)state;
    cts_json_keys(j, "out volumes seconds seed masks");
    json_decref(j);
    j = cts_program_json_of(0, "inspect set/volumes/train_000001_a_1.nii.gz --json");
    cts_json_keys(j, "files skipped png");
    json_decref(j);
    j = cts_program_json_of(0, "tokenizer train --reports set/reports.csv --vocab 200 --out words.txt --json");
    cts_json_keys(j, "out kind size texts digest");
    json_decref(j);
    j = cts_program_json_of(0, "tokenizer encode --tokenizer words.txt 'no pleural effusion' --json");
    cts_json_keys(j, "tokenizer kind digest texts");
    json_decref(j);
    j = cts_program_json_of(0, TRAIN DATA " --out valid --val-reports set/reports.csv --val-labels set/labels.csv "
                                          "--val-volumes set/volumes --json");
    assert_int_equal(int_at(j, "steps"), 5);
    assert_string_equal(text_at(j, "recall.pool"), "validation");
    json_decref(j);
}

static void test_index_json(void **state)
{
    json_t *j = cts_program_json_of(0, "index create second --model run --json --factory HNSW8 " DATA);

    (void)state;
    cts_json_keys(j, "index added updated present skipped without_report cut items built orientations warnings");
    assert_int_equal(int_at(j, "added"), N);
    assert_int_equal(int_at(j, "items"), N);
    assert_int_equal(size_at(j, "built"), 2);
    cts_json_keys(cts_json_at(j, "built.0"),
                  "space factory exact vectors seconds bytes effort recall recall_k recall_queries");
    assert_true(number_at(j, "built.0.recall") <= 1.0);
    json_decref(j);

    j = cts_program_json_of(0, "index add second --json " DATA); /* all are there: nothing is done, nothing is wrong */
    assert_int_equal(int_at(j, "added"), 0);
    assert_int_equal(int_at(j, "present"), N);
    json_decref(j);

    j = cts_program_json_of(0, "index add second --update --json " DATA);
    assert_int_equal(int_at(j, "updated"), N);
    assert_int_equal(int_at(j, "items"), N);
    json_decref(j);

    j = cts_program_json_of(0, "index remove second train_000001_a_1 train_000002_a_1.nii.gz train_000001_a_1 --json");
    cts_json_keys(j, "index removed items");
    assert_int_equal(int_at(j, "removed"), 2);
    assert_int_equal(int_at(j, "items"), N - 2);
    json_decref(j);
    cts_program_refuses(2, "index remove second train_000003_a_1 nobody", "nobody"); /* all or none */

    j = cts_program_json_of(0, "index verify second --json");
    cts_json_keys(j, "index ok items vectors holes blocks problems first_problem");
    assert_true(json_is_true(cts_json_at(j, "ok")));
    assert_int_equal(int_at(j, "items"), N - 2);
    json_decref(j);

    j = cts_program_json_of(0, "index stat second --json");
    cts_json_keys(j,
                  "index format items vectors dim model digests built generation file_bytes map_bytes warnings recipe");
    assert_int_equal(int_at(j, "vectors.image"), N - 2);
    assert_int_equal(int_at(j, "dim"), DIM);
    assert_int_equal(strlen(text_at(j, "digests.recipe")), 64);
    assert_true(*text_at(j, "model") == '/');
    cts_json_keys(cts_json_at(j, "built.0"),
                  "space factory vectors bytes effort recall recall_k recall_queries added_since removed_since");
    json_decref(j);

    j = cts_program_json_of(0, "index build second --factory Flat --space text --json");
    assert_int_equal(size_at(j, "built"), 1);
    assert_true(json_is_true(cts_json_at(j, "built.0.exact")));
    json_decref(j);
    cts_program_runs(0, "index build second --factory HNSW8 --space image");
    assert_non_null(strstr(cts_program_out(), "measured recall@10"));
    j = cts_program_json_of(0, "query --index second --text effusion --approx --json");
    assert_int_equal(size_at(j, "hits"), N - 2);
    json_decref(j);
    cts_program_refuses(2, "index build second --factory nonsense", "nonsense");
    cts_program_refuses(2, "index create third --model run --factory nonsense " DATA, "nonsense"); /* before any work */
    assert_false(cts_file_exists("third"));
    cts_program_refuses(2, "index create second --model run", "index here already");
}

static void test_query_json(void **state)
{
    json_t *j = cts_program_json_of(0, "query --index ix --text 'pleural effusion' -k 3 --json"), *hit;
    double last = 2.0;
    size_t i;

    (void)state;
    cts_json_keys(j, "query target exact searched hits warnings");
    cts_json_keys(cts_json_at(j, "query"), "kind value");
    assert_string_equal(text_at(j, "query.kind"), "text");
    assert_string_equal(text_at(j, "query.value"), "pleural effusion");
    assert_string_equal(text_at(j, "target"), "image");
    assert_int_equal(int_at(j, "searched"), N);
    assert_int_equal(size_at(j, "hits"), 3);
    json_array_foreach(cts_json_at(j, "hits"), i, hit)
    {
        cts_json_keys(hit, "rank id score volume report labels labelled patient scan path");
        assert_int_equal(int_at(hit, "rank"), i + 1);
        assert_true(number_at(hit, "score") <= last);
        last = number_at(hit, "score");
        assert_true(strlen(text_at(hit, "report")) > 20);
        assert_true(json_is_array(cts_json_at(hit, "labels")));
        assert_true(cts_file_exists(text_at(hit, "path")));
        assert_int_equal(strncmp(text_at(hit, "volume"), text_at(hit, "id"), strlen(text_at(hit, "id"))), 0);
        assert_int_equal(strncmp(text_at(hit, "id"), text_at(hit, "scan"), strlen(text_at(hit, "scan"))), 0);
    }
    json_decref(j);

    j = cts_program_json_of(0, "query --index ix --image set/volumes/train_000004_a_1.nii.gz --json");
    assert_string_equal(text_at(j, "target"), "text");
    assert_int_equal(size_at(j, "hits"), N);
    json_decref(j);
    j = cts_program_json_of(0,
                            "query --index ix --image set/volumes/train_000004_a_1.nii.gz --target image -k 1 --json");
    assert_string_equal(text_at(j, "hits.0.id"), "train_000004_a_1"); /* the scan itself */
    assert_true(number_at(j, "hits.0.score") > 0.9999);
    json_decref(j);
    j = cts_program_json_of(0, "query --index ix --like train_000004_a_1.nii.gz --json"); /* all but itself */
    assert_int_equal(size_at(j, "hits"), N - 1);
    json_decref(j);

    assert_int_equal(cts_program_shell("printf 'There is a pleural effusion.\\n' >report.txt"), 0);
    j = cts_program_json_of(0, "query --index ix --report report.txt --json");
    last = number_at(j, "hits.0.score");
    json_decref(j);
    j = cts_program_json_of(0, "query --index ix --report 'There is a pleural effusion.' --json");
    if (!(fabs(number_at(j, "hits.0.score") - last) < 1e-6))
        fail_msg("the same report from a file and from the command line give different scores");
    json_decref(j);
    cts_program_refuses(3, "query --index ix --report report.tx", "report.tx");
    cts_program_refuses(2, "query --index ix --like nobody", "nobody");
    cts_program_refuses(2, "query --index ix --text ''", "empty");

    cts_program_runs(0, "query --index ix --text 'pleural effusion' -k 2");
    assert_non_null(strstr(cts_program_out(), "   1  "));
    assert_non_null(strstr(cts_program_out(), "against 8 image vectors, exactly"));
}

static size_t hits_with(const char *filter, bool has)
{
    json_t *j, *hit;
    size_t n, i;

    assert_int_equal(cts_program_run("query --index ix --text lungs --filter '%s' --json", filter), 0);
    j = cts_program_json();
    n = size_at(j, "hits");
    json_array_foreach(cts_json_at(j, "hits"), i, hit)
    {
        bool found = false;

        for (size_t k = 0; k < size_at(hit, "labels"); k++)
            found |= !strcmp(json_string_value(json_array_get(cts_json_at(hit, "labels"), k)), "Lung nodule");
        assert_int_equal(found, has);
    }
    json_decref(j);
    return n;
}

static void test_filters_and_groups(void **state)
{
    json_t *j, *hit;
    char seen[64] = "";
    size_t with, i;

    (void)state;
    with = hits_with("label=Lung nodule", true);
    assert_in_range(with, 1, N - 1);
    assert_int_equal(with + hits_with("label!=lung_nodule", false), N);

    cts_program_runs(0, "index create groups --model run " DATA);
    cts_program_runs(0, "index add groups --reports set2/reports.csv --labels set2/labels.csv --volumes set2/volumes");
    j = cts_program_json_of(0, "query --index groups --text lungs -k 100 --json");
    assert_int_equal(size_at(j, "hits"), 2 * N);
    json_decref(j);
    j = cts_program_json_of(0, "query --index groups --text lungs -k 100 --group scan --json");
    assert_int_equal(size_at(j, "hits"), N);
    json_array_foreach(cts_json_at(j, "hits"), i, hit)
    {
        assert_string_not_equal(seen, text_at(hit, "scan"));
        snprintf(seen, sizeof seen, "%s", text_at(hit, "scan"));
    }
    json_decref(j);
    j = cts_program_json_of(0, "eval recall --index groups --pool scan-first --json");
    assert_int_equal(int_at(j, "n"), N);
    json_decref(j);
    j = cts_program_json_of(0, "eval recall --index groups --json");
    assert_int_equal(int_at(j, "n"), 2 * N);
    json_decref(j);
}

static void test_score_json(void **state)
{
    json_t *j = cts_program_json_of(0, "score --model run set/volumes/train_000001_a_1.nii.gz --json"), *k;

    (void)state;
    cts_json_keys(j, "volume models prompts validation findings orientation warnings");
    assert_string_equal(text_at(j, "volume"), "set/volumes/train_000001_a_1.nii.gz");
    assert_int_equal(size_at(j, "findings"), CTS_FINDINGS);
    for (int f = 0; f < CTS_FINDINGS; f++) {
        const json_t *row = json_array_get(cts_json_at(j, "findings"), (size_t)f);

        cts_json_keys(row, "name probability logit calibrated threshold verdict auroc interval f1 precision recall "
                           "prevalence");
        assert_string_equal(text_at(row, "name"), cts_findings[f].name);
        assert_true(number_at(row, "probability") >= 0.0 && number_at(row, "probability") <= 1.0);
    }
    k = cts_program_json_of(
        0, "score --index ix set/volumes/train_000001_a_1.nii.gz set/volumes/train_000002_a_1.nii.gz --json");
    cts_json_keys(k, "volumes skipped");
    assert_true(json_equal(cts_json_at(j, "findings"), cts_json_at(k, "volumes.0.findings")));
    json_decref(j);
    json_decref(k);
    cts_program_runs(0, "score --model run set/volumes/train_000001_a_1.nii.gz");
    assert_non_null(strstr(cts_program_out(), "Pleural effusion"));
}

/* Rows of the .npy are the vectors of the index: their inner products are the scores of --like. */
static void test_embed(void **state)
{
    json_t *j = cts_program_json_of(0, "embed --model run --volumes set/volumes --out v.npy --json"), *side = NULL;
    float *rows = NULL;
    size_t n, d;
    char *path = cts_path_join(cts_program_dir(), "v.npy");

    (void)state;
    cts_json_keys(j, "out json what n d skipped warnings");
    json_decref(j);
    assert_int_equal(cts_npy_load_f32(&rows, &n, &d, path), CTS_OK);
    assert_int_equal(n, N);
    assert_int_equal(d, DIM);
    assert_int_equal(cts_program_shell("cat v.json"), 0);
    side = cts_program_json();
    cts_json_documented(side);
    cts_json_keys(side, "what n d skipped model digests recipe report_text warnings orientations ids volumes");
    assert_string_equal(text_at(side, "what"), "image");
    assert_string_equal(text_at(side, "ids.0"), "train_000001_a_1");
    assert_string_equal(text_at(side, "volumes.0"), "train_000001_a_1.nii.gz");
    assert_int_equal(size_at(side, "ids"), N);
    j = cts_program_json_of(0, "index stat ix --json");
    assert_true(json_equal(cts_json_at(j, "digests"), cts_json_at(side, "digests")));
    json_decref(j);
    json_decref(side);

    j = cts_program_json_of(0, "query --index ix --like train_000001_a_1 -k 1 --json");
    for (size_t i = 1, best = (size_t)atoi(text_at(j, "hits.0.id") + strlen("train_")) - 1; i < N; i++) {
        double s = 0.0;

        for (size_t k = 0; k < d; k++)
            s += (double)rows[k] * rows[i * d + k];
        if (i == best ? !(fabs(s - number_at(j, "hits.0.score")) < 1e-5) : !(s <= number_at(j, "hits.0.score") + 1e-5))
            fail_msg("row %zu: inner product %.9g, best hit %.9g", i, s, number_at(j, "hits.0.score"));
    }
    json_decref(j);
    free(rows);
    free(path);

    j = cts_program_json_of(0, "embed --model run --text --reports set/reports.csv --out t.npy --json");
    assert_string_equal(text_at(j, "what"), "text");
    assert_int_equal(int_at(j, "n"), N);
    json_decref(j);
}

/* The same figures from the index and from the files. */
static void same_figures(json_t *a, json_t *b)
{
    json_object_del(a, "inputs"); /* an index there, files here */
    json_object_del(b, "inputs");
    json_object_del(a, "seconds");
    json_object_del(b, "seconds");
    assert_true(json_equal(a, b));
}

static void test_eval(void **state)
{
    json_t *a = cts_program_json_of(0, "eval recall --index ix --json"),
           *b = cts_program_json_of(0, "eval recall --json --model run " DATA);
    const char *const ks[] = {"r@1", "r@5", "r@10", "r@50", "r@100"};

    (void)state;
    cts_json_keys(a, "protocol protocol_name pool pool_rule n skipped unlabelled t2i i2t chance oracle median_rank_t2i "
                     "median_rank_i2t mean_rank_t2i mean_rank_i2t scans values rules labels bootstrap inputs remarks "
                     "warnings seconds");
    same_figures(a, b);
    for (size_t i = 0; i < 5; i++) { /* k beyond the pool is not defined */
        json_type type = i < 2 ? JSON_REAL : JSON_NULL;

        assert_int_equal(json_typeof(json_object_get(cts_json_at(a, "t2i"), ks[i])), type);
        assert_int_equal(json_typeof(json_object_get(cts_json_at(a, "i2t"), ks[i])), type);
        assert_int_equal(json_typeof(json_object_get(cts_json_at(a, "chance"), ks[i])), type);
    }
    json_decref(a);
    json_decref(b);

    a = cts_program_json_of(0, "eval zeroshot --index ix --json");
    b = cts_program_json_of(0, "eval zeroshot --json --model run --labels set/labels.csv --volumes set/volumes");
    cts_json_keys(a,
                  "protocol protocol_name pool pool_rule n skipped unlabelled auroc_macro findings n_validation values "
                  "rules labels bootstrap inputs remarks warnings seconds");
    assert_int_equal(size_at(a, "findings"), CTS_FINDINGS);
    same_figures(a, b);
    json_decref(a);
    json_decref(b);
    a = cts_program_json_of(0, "eval map --index ix -k 1,5 --json");
    b = cts_program_json_of(0, "eval map --json --model run -k 1,5 --labels set/labels.csv --volumes set/volumes");
    same_figures(a, b);
    json_decref(a);
    json_decref(b);
    cts_program_runs(0, "eval recall --index ix");
    assert_non_null(strstr(cts_program_out(), "random"));
    cts_program_runs(0, "eval zeroshot --index ix --html z.html --csv z.csv");
    assert_non_null(strstr(cts_program_out(), "macro"));
    assert_int_equal(cts_program_shell("test -s z.html -a -s z.csv"), 0);

    /* vectors that `embed` wrote are an index without an index */
    cts_program_runs(0, "embed --model run --volumes set/volumes --out i.npy --quiet");
    cts_program_runs(0, "embed --model run --reports set/reports.csv --text --out t.npy --quiet");
    a = cts_program_json_of(0, "eval recall --index ix --json");
    b = cts_program_json_of(0, "eval recall --images i.npy --texts t.npy --json");
    assert_true(json_equal(cts_json_at(a, "values"), cts_json_at(b, "values")));
    json_decref(a);
    json_decref(b);
    a = cts_program_json_of(0, "eval zeroshot --index ix --bootstrap 20 --json");
    b = cts_program_json_of(
        0, "eval classify --images i.npy --model run --labels set/labels.csv --val-images i.npy --val-labels "
           "set/labels.csv --bootstrap 20 --json"); /* scores by the model's prompts */
    assert_int_equal(int_at(b, "n_validation"), N);
    assert_true(json_equal(cts_json_at(a, "values.0"), cts_json_at(b, "values.0")));
    json_decref(a);
    json_decref(b);
}

/* ---- what does not fit together ----- */

static void test_mismatch(void **state)
{
    (void)state;
    assert_int_equal(cts_program_run(TRAIN DATA " --seed 2 --out other"), 0);
    cts_program_refuses(4, "query --index ix --text a --model other", "made with another model");
    cts_program_refuses(4, "index add ix --model other " DATA, "made with another model");
    cts_program_refuses(4, "index stat ix --model other", "made with another model");
    cts_program_refuses(4, "eval zeroshot --index ix --model other", "made with another model");

    assert_int_equal(cts_program_shell("cp -r run recipe && sed -i 's/-1000/-900/' recipe/model/preprocess.json && "
                                       "! cmp -s run/model/preprocess.json recipe/model/preprocess.json"),
                     0);
    cts_program_refuses(4, "query --index ix --text a --model recipe", "got recipe ");
    assert_int_equal(cts_program_shell("cp -r run words && sed -i '$d' words/model/vocab.txt"), 0);
    cts_program_runs(4, "query --index ix --text a --model words");

    /* a copy of the model elsewhere is the same model; a folder that moved away is found by --model */
    assert_int_equal(cts_program_shell("cp -r run moved"), 0);
    cts_program_runs(0, "index create away --model moved " DATA);
    assert_int_equal(cts_program_shell("mv moved elsewhere"), 0);
    cts_program_refuses(2, "query --index away --text a", "--model DIR");
    cts_program_runs(0, "query --index away --text a --model elsewhere");
    cts_program_runs(0, "query --index away --like train_000001_a_1"); /* needs no model */
    assert_int_equal(cts_program_shell("printf '{' >elsewhere/model/config.json"), 0);
    cts_program_refuses(2, "query --index away --text a --model elsewhere", "config.json");
}

static void test_bad_volumes(void **state)
{
    json_t *j;

    (void)state;
    assert_int_equal(
        cts_program_shell("cp -r set bad && cd bad/volumes && head -c 500 ../../set/volumes/train_000002_a_1.nii.gz "
                          ">train_000002_a_1.nii.gz && : >train_000003_a_1.nii.gz && rm train_000004_a_1.nii.gz"),
        0);
    j = cts_program_json_of(
        5,
        "index create part --model run --json --reports bad/reports.csv --labels bad/labels.csv --volumes bad/volumes");
    assert_int_equal(int_at(j, "added"), N - 3);
    assert_int_equal(int_at(j, "skipped"), 3);
    json_decref(j);
    assert_non_null(strstr(cts_program_err(), "train_000002_a_1.nii.gz"));
    assert_non_null(strstr(cts_program_err(), "train_000003_a_1.nii.gz"));
    assert_non_null(strstr(cts_program_err(), "train_000004_a_1.nii.gz"));
    j = cts_program_json_of(0,
                            "index add part --json " DATA); /* with the files mended the same command adds the rest */
    assert_int_equal(int_at(j, "added"), 3);
    assert_int_equal(int_at(j, "present"), N - 3);
    json_decref(j);

    j = cts_program_json_of(5, "embed --model run --volumes bad/volumes --out part.npy --json");
    assert_int_equal(int_at(j, "n"), N - 3);
    assert_int_equal(int_at(j, "skipped"), 2);
    json_decref(j);
    j = cts_program_json_of(5, "eval recall --model run --reports bad/reports.csv --volumes bad/volumes --json");
    assert_int_equal(int_at(j, "n"), N - 3);
    assert_int_equal(int_at(j, "skipped"), 3);
    json_decref(j);

    cts_program_refuses(2, "score --model run bad/volumes/train_000002_a_1.nii.gz", "train_000002_a_1.nii.gz");
    cts_program_refuses(2, "query --index ix --image bad/volumes/train_000003_a_1.nii.gz", "train_000003_a_1.nii.gz");
    j = cts_program_json_of(
        5, "score --model run --json bad/volumes/train_000002_a_1.nii.gz bad/volumes/train_000001_a_1.nii.gz");
    assert_int_equal(size_at(j, "volumes"), 1);
    assert_string_equal(text_at(j, "skipped.0.volume"), "bad/volumes/train_000002_a_1.nii.gz");
    json_decref(j);
    assert_int_equal(cts_program_shell("mkdir none && cp bad/volumes/train_000003_a_1.nii.gz none"), 0);
    cts_program_refuses(2, "embed --model run --volumes none --out none.npy", "nothing to embed");
    assert_int_equal(cts_program_shell("test ! -e none.npy -a ! -e none.json"), 0);
}

static void test_bad_tables(void **state)
{
    (void)state;
    assert_int_equal(cts_program_shell("cut -d, -f1-5 set/labels.csv >narrow.csv && "
                                       "(cat set/labels.csv; tail -n 1 set/labels.csv) >twice.csv && "
                                       "sed '2s/,[01]/,7/' set/labels.csv >seven.csv"),
                     0);
    cts_program_refuses(2, "index create b1 --model run --volumes set/volumes --labels narrow.csv", "column");
    cts_program_refuses(2, "index create b1 --model run --volumes set/volumes --labels twice.csv", "train_000008_a_1");
    cts_program_refuses(2, "index create b1 --model run --volumes set/volumes --labels seven.csv", "seven.csv");
    cts_program_refuses(2, "eval zeroshot --model run --volumes set/volumes --labels narrow.csv", "column");
    assert_int_equal(cts_program_shell("test ! -e b1"), 0); /* found before anything was made */
}

/* A report without a volume is named, left out of the training, counted, and the exit code says so. */
static void test_training_leaves_out_what_is_missing(void **state)
{
    json_t *j;

    (void)state;
    assert_int_equal(cts_program_shell("cp set/reports.csv ghost.csv && "
                                       "echo 'ghost_1_a_1.nii.gz,Clear lungs.,Normal.' >>ghost.csv"),
                     0);
    j = cts_program_json_of(5, "train clip --size 24,32,32 --steps 1 --batch 4 --latent 32 --json --reports ghost.csv "
                               "--volumes set/volumes --out ghost");
    assert_int_equal(json_integer_value(json_object_get(j, "without_volume")), 1);
    assert_non_null(strstr(cts_program_err(), "ghost_1_a_1"));
    json_decref(j);
}

/* Reports without volumes are an index too. */
static void test_reports_alone(void **state)
{
    json_t *j = cts_program_json_of(0, "index create words.index --model run --reports set/reports.csv --json");

    (void)state;
    assert_int_equal(int_at(j, "added"), N);
    json_decref(j);
    j = cts_program_json_of(0, "index stat words.index --json");
    assert_int_equal(int_at(j, "vectors.image"), 0);
    assert_int_equal(int_at(j, "vectors.text"), N);
    json_decref(j);
    j = cts_program_json_of(0, "query --index words.index --image set/volumes/train_000001_a_1.nii.gz --json");
    assert_int_equal(size_at(j, "hits"), N);
    assert_true(json_is_false(cts_json_at(j, "hits.0.labelled")));
    json_decref(j);
    j = cts_program_json_of(0, "query --index words.index --like train_000001_a_1 --target text --json");
    assert_int_equal(size_at(j, "hits"), N - 1);
    json_decref(j);
}

/* A process that holds the index open for writing until its standard input ends. */
static pid_t writer(const char *path, int *end)
{
    int ready[2], stop[2];
    char c = 0;
    pid_t pid;

    assert_int_equal(pipe(ready) | pipe(stop), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        cts_index *ix = NULL;

        close(stop[1]);
        c = cts_index_open(&ix, path, true, 0) ? 'n' : 'y';
        if (write(ready[1], &c, 1) == 1 && read(stop[0], &c, 1) == 0)
            cts_index_close(ix);
        _exit(0);
    }
    close(ready[1]);
    close(stop[0]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(c, 'y');
    close(ready[0]);
    fcntl(stop[1], F_SETFD, FD_CLOEXEC);
    *end = stop[1];
    return pid;
}

static void test_two_writers(void **state)
{
    char *path = cts_path_join(cts_program_dir(), "ix"), pid_text[32];
    int end, status;
    pid_t pid = writer(path, &end);

    (void)state;
    snprintf(pid_text, sizeof pid_text, "%d", (int)pid);
    cts_program_refuses(3, "index add ix " DATA, pid_text);
    cts_program_refuses(3, "index remove ix train_000001_a_1", pid_text);
    cts_program_runs(0, "query --index ix --text a"); /* readers go on */
    cts_program_runs(0, "index stat ix");
    close(end);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    cts_program_runs(0, "index add ix " DATA);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_other_json),
        cmocka_unit_test(test_index_json),
        cmocka_unit_test(test_query_json),
        cmocka_unit_test(test_filters_and_groups),
        cmocka_unit_test(test_score_json),
        cmocka_unit_test(test_embed),
        cmocka_unit_test(test_eval),
        cmocka_unit_test(test_mismatch),
        cmocka_unit_test(test_bad_volumes),
        cmocka_unit_test(test_bad_tables),
        cmocka_unit_test(test_training_leaves_out_what_is_missing),
        cmocka_unit_test(test_reports_alone),
        cmocka_unit_test(test_two_writers),
    };

    return cmocka_run_group_tests(tests, setup, cts_program_teardown);
}
