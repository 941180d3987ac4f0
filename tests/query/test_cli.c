/* The command line: help, usage errors and their exit codes. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/program.h"

static const char *const commands[] = {"demo",  "query", "score",   "inspect", "index",    "embed",
                                       "train", "eval",  "phantom", "models",  "tokenizer"};
static const char *const verbs[] = {"index create",    "index add",  "index remove", "index build",
                                    "index verify",    "index stat", "eval recall",  "eval zeroshot",
                                    "eval classify",   "eval map",   "train clip",   "tokenizer train",
                                    "tokenizer encode"};

/* Exit code 1, nothing on stdout, and a sentence with `word` on stderr. */
static void refuses(const char *arguments, const char *word)
{
    int rc = cts_program_run("%s", arguments);

    if (rc != 1 || *cts_program_out() || !strstr(cts_program_err(), word))
        fail_msg("%s: exit code %d, looked for \"%s\" in:\n%s%s", arguments, rc, word, cts_program_out(),
                 cts_program_err());
}

static void test_help(void **state)
{
    (void)state;
    assert_int_equal(cts_program_run("--help"), 0);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        assert_non_null(strstr(cts_program_out(), commands[i]));
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        assert_int_equal(cts_program_run("%s --help", commands[i]), 0);
        assert_string_equal(cts_program_err(), "");
        assert_true(strlen(cts_program_out()) > 100);
    }
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        assert_int_equal(cts_program_run("%s --help", verbs[i]), 0);
        if (!strstr(cts_program_out(), "Example") || !strstr(cts_program_out(), "--threads"))
            fail_msg("%s --help has no example or no common options:\n%s", verbs[i], cts_program_out());
    }
    assert_int_equal(cts_program_run("--version"), 0);
    assert_non_null(strstr(cts_program_out(), "ctsearch "));
}

static void test_commands(void **state)
{
    (void)state;
    refuses("", "Usage");
    refuses("serch", "allowed: ");
    refuses("index", "no verb");
    refuses("index frobnicate", "got frobnicate, allowed: create, add, remove, build, verify, stat");
    refuses("eval", "recall, zeroshot");
    refuses("models extra", "Too many arguments");
    refuses("models --unknown", "unrecognized option");
}

static void test_numbers(void **state)
{
    (void)state;
    refuses("models --threads 0", "--threads: got 0, allowed: a whole number from 1 to 1024");
    refuses("models --threads two", "--threads: got two");
    refuses("models --threads 2x", "--threads: got 2x");
    refuses("models --threads 99999999999999999999", "--threads: got 99999999999999999999");
    refuses("models --seed -1", "--seed: got -1");
    refuses("query --index i --text t -k 0", "-k: got 0");
    refuses("index build i --effort 0", "--effort: got 0");
}

static void test_needed(void **state)
{
    (void)state;
    refuses("index create", "INDEX is needed");
    refuses("index create a b --model m", "Too many arguments");
    refuses("index create a", "--model is needed");
    refuses("index add a", "--reports, --labels, --metadata, --volumes");
    refuses("index remove a", "INDEX and NAME are needed");
    refuses("index build a --space both,text", "allowed: image, text, both");
    refuses("query --text x", "--index is needed");
    refuses("query --index i", "one of --text, --image, --report, --like");
    refuses("query --index i --text a --image b", "got it beside --text");
    refuses("query --index i --text a --target both", "allowed: image, text");
    refuses("query --index i --text a --group site", "allowed: none, scan, patient");
    refuses("score --model m", "VOLUME");
    refuses("score v.nii", "--model or --index");
    refuses("embed --model m", "--out");
    refuses("embed --model m --out x.npy", "--volumes is needed");
    refuses("embed --model m --out x.npy --text --volumes v", "--text needs --reports");
    refuses("embed --model m --out x.txt --volumes v", "ends in .npy");
    refuses("eval recall", "--index");
    refuses("eval recall --index i --volumes v", "one of --index or data");
    refuses("eval recall --volumes v", "--model and --volumes");
    refuses("eval recall --model m --volumes v", "--reports is needed");
    refuses("eval zeroshot --model m --volumes v", "--labels is needed");
    refuses("eval zeroshot --index i --pool odd", "allowed: all, ct-clip-3039, scan-1564");
    refuses("eval map --volumes v --model m", "--labels is needed");
    refuses("eval classify --labels l", "--scores");
}

static void test_filters(void **state)
{
    (void)state;
    refuses("query --index i --text a --filter emphysema", "label=NAME, label!=NAME");
    refuses("query --index i --text a --filter 'label!emphysema'", "label=NAME, label!=NAME");
    refuses("query --index i --text a --filter ''", "label=NAME, label!=NAME");
    refuses("query --index i --text a --filter label=", "got finding ");
    refuses("query --index i --text a --filter label=gout", "got finding gout, allowed: medical_material");
    refuses("query --index i --text a --filter label=emphysema --filter 'label!=Emphysema'",
            "both wanted and excluded");
}

/* Files that are not there: bad input or the system's refusal, in one sentence, and nothing on stdout. */
static void test_missing_files(void **state)
{
    static const struct {
        const char *arguments;
        int code;
    } cases[] = {{"query --index nowhere --text a", 2},
                 {"index stat nowhere", 2},
                 {"index verify nowhere", 2},
                 {"index add nowhere --volumes nowhere", 3},
                 {"index create new.index --model nowhere", 2},
                 {"score --model nowhere v.nii", 2},
                 {"embed --model nowhere --volumes nowhere --out x.npy", 3},
                 {"eval zeroshot --index nowhere", 2}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int rc = cts_program_run("%s", cases[i].arguments);

        if (rc != cases[i].code || *cts_program_out() || !strstr(cts_program_err(), "ctsearch: ") ||
            !strstr(cts_program_err(), "nowhere"))
            fail_msg("%s: exit code %d, expected %d:\n%s%s", cases[i].arguments, rc, cases[i].code, cts_program_out(),
                     cts_program_err());
    }
    assert_int_equal(cts_program_shell("test ! -e new.index -a ! -e x.npy -a ! -e x.json"), 0);
}

static int setup(void **state)
{
    (void)state;
    return cts_program_setup(CTS_BINARY);
}

static int teardown(void **state)
{
    (void)state;
    return cts_program_teardown();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help),   cmocka_unit_test(test_commands), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_needed), cmocka_unit_test(test_filters),  cmocka_unit_test(test_missing_files),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
