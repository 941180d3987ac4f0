/* The command line: help, usage errors and their exit codes. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/program.h"

static const char *const commands[] = {"demo",  "import", "query", "score",   "inspect", "index",
                                       "embed", "train",  "eval",  "phantom", "models",  "tokenizer"};
static const char *const verbs[] = {"index create",  "index add",   "index remove",    "index build",
                                    "index verify",  "index stat",  "eval recall",     "eval zeroshot",
                                    "eval classify", "eval map",    "eval findings",   "train clip",
                                    "train scroll",  "train probe", "tokenizer train", "tokenizer encode"};

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

/* The defaults that --help of the training commands names are those that hold: of the preset, and of the command. */
static void test_help_of_training(void **state)
{
    static const char *rows[][2] = {{"train clip", "Peak learning rate (default 0.001)"},
                                    {"train clip --preset dcformer-published", "Peak learning rate (default 2.5e-06)"},
                                    {"train clip --preset dcformer-published --lr 1", "rate (default 2.5e-06)"},
                                    {"train scroll", "Optimiser steps (default 50000)"},
                                    {"train probe", "Optimiser steps (default 17 epochs)"}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(cts_program_run("%s --help", rows[i][0]), 0);
        if (!strstr(cts_program_out(), rows[i][1]))
            fail_msg("%s --help does not say \"%s\":\n%s", rows[i][0], rows[i][1], cts_program_out());
    }
}

static void test_commands(void **state)
{
    (void)state;
    cts_program_refuses(1, "", "Usage");
    cts_program_refuses(1, "serch", "allowed: ");
    cts_program_refuses(1, "index", "no verb");
    cts_program_refuses(1, "index frobnicate", "got frobnicate, allowed: create, add, remove, build, verify, stat");
    cts_program_refuses(1, "eval", "recall, zeroshot");
    cts_program_refuses(1, "models extra", "Too many arguments");
    cts_program_refuses(1, "models --unknown", "unrecognized option");
}

static void test_numbers(void **state)
{
    (void)state;
    cts_program_refuses(1, "models --threads 0", "--threads: got 0, allowed: a whole number from 1 to 1024");
    cts_program_refuses(1, "models --threads two", "--threads: got two");
    cts_program_refuses(1, "models --threads 2x", "--threads: got 2x");
    cts_program_refuses(1, "models --threads 99999999999999999999", "--threads: got 99999999999999999999");
    cts_program_refuses(1, "models --seed -1", "--seed: got -1");
    cts_program_refuses(1, "query --index i --text t -k 0", "-k: got 0");
    cts_program_refuses(1, "index build i --effort 0", "--effort: got 0");
}

static void test_needed(void **state)
{
    (void)state;
    cts_program_refuses(1, "index create", "INDEX is needed");
    cts_program_refuses(1, "index create a b --model m", "Too many arguments");
    cts_program_refuses(1, "index create a", "--model is needed");
    cts_program_refuses(1, "index add a", "--reports, --labels, --metadata, --volumes");
    cts_program_refuses(1, "index remove a", "INDEX and NAME are needed");
    cts_program_refuses(1, "index build a --space both,text", "allowed: image, text, both");
    cts_program_refuses(1, "query --text x", "--index is needed");
    cts_program_refuses(1, "query --index i", "one of --text, --image, --report, --like");
    cts_program_refuses(1, "query --index i --text a --image b", "got it beside --text");
    cts_program_refuses(1, "query --index i --text a --target both", "allowed: image, text");
    cts_program_refuses(1, "query --index i --text a --group site", "allowed: none, scan, patient");
    cts_program_refuses(1, "score --model m", "VOLUME");
    cts_program_refuses(1, "score v.nii", "--model or --index");
    cts_program_refuses(1, "embed --model m", "--out");
    cts_program_refuses(1, "embed --model m --out x.npy", "--volumes is needed");
    cts_program_refuses(1, "embed --model m --out x.npy --text --volumes v", "--text needs --reports");
    cts_program_refuses(1, "embed --model m --out x.txt --volumes v", "ends in .npy");
    cts_program_refuses(1, "eval recall", "--index");
    cts_program_refuses(1, "eval recall --index i --volumes v", "one of --index or data");
    cts_program_refuses(1, "eval recall --volumes v", "--model and --volumes");
    cts_program_refuses(1, "eval recall --model m --volumes v", "--reports is needed");
    cts_program_refuses(1, "eval zeroshot --model m --volumes v", "--labels is needed");
    cts_program_refuses(1, "eval zeroshot --index i --pool odd", "allowed: all, ct-clip-3039, scan-1564");
    cts_program_refuses(1, "eval map --volumes v --model m", "--labels is needed");
    cts_program_refuses(1, "eval classify --labels l", "--scores");
}

static void test_filters(void **state)
{
    (void)state;
    cts_program_refuses(1, "query --index i --text a --filter emphysema", "label=NAME, label!=NAME");
    cts_program_refuses(1, "query --index i --text a --filter 'label!emphysema'", "label=NAME, label!=NAME");
    cts_program_refuses(1, "query --index i --text a --filter ''", "label=NAME, label!=NAME");
    cts_program_refuses(1, "query --index i --text a --filter label=", "got finding ");
    cts_program_refuses(1, "query --index i --text a --filter label=gout",
                        "got finding gout, allowed: medical_material");
    cts_program_refuses(1, "query --index i --text a --filter label=emphysema --filter 'label!=Emphysema'",
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help),          cmocka_unit_test(test_help_of_training), cmocka_unit_test(test_commands),
        cmocka_unit_test(test_numbers),       cmocka_unit_test(test_needed),           cmocka_unit_test(test_filters),
        cmocka_unit_test(test_missing_files),
    };

    return cmocka_run_group_tests(tests, cts_program_setup, cts_program_teardown);
}
