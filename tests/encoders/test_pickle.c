/* Pickles as data: plain values of every protocol, and what is refused. SPDX-License-Identifier: MIT */
#include "encoders/import/pickle.h"
#include "encoders/import/torch_names.h"
#include "kernels/base/file.h"
#include "tests/support/scratch.h"

typedef cts_pickle_value value;

static int parse(cts_pickle **k, const void *p, size_t n)
{
    size_t n_names;
    const cts_pickle_class *names = cts_torch_names(&n_names);

    return cts_pickle_parse(k, p, n, names, n_names, "t.pth: data.pkl");
}

static const value *item(const value *v, size_t i)
{
    assert_true(i < v->u.items.n);
    return v->u.items.v[i];
}

static void is_int(const value *v, int64_t want)
{
    assert_int_equal(v->kind, CTS_PICKLE_INT);
    assert_true(v->u.i == want);
}

static void check_values(const value *v)
{
    assert_int_equal(v->kind, CTS_PICKLE_LIST);
    assert_int_equal(v->u.items.n, 17);
    assert_int_equal(item(v, 0)->kind, CTS_PICKLE_NONE);
    assert_true(item(v, 1)->kind == CTS_PICKLE_BOOL && item(v, 1)->u.b);
    assert_true(item(v, 2)->kind == CTS_PICKLE_BOOL && !item(v, 2)->u.b);
    is_int(item(v, 3), 200);
    is_int(item(v, 4), 40000);
    is_int(item(v, 5), -7);
    is_int(item(v, 6), (int64_t)1 << 40);
    is_int(item(v, 7), -((int64_t)1 << 40));
    assert_int_equal(item(v, 8)->kind, CTS_PICKLE_BIG);
    assert_true(item(v, 9)->kind == CTS_PICKLE_FLOAT && item(v, 9)->u.f == 1.5);
    assert_true(cts_pickle_is_text(item(v, 10), "h\xc3\xa9"));
    for (size_t i = 11; i < 14; i++)
        assert_int_equal(item(v, i)->kind, CTS_PICKLE_TUPLE);
    assert_int_equal(item(v, 11)->u.items.n, 0);
    assert_int_equal(item(v, 12)->u.items.n, 1);
    is_int(item(item(v, 13), 3), 4);
    assert_int_equal(item(v, 14)->kind, CTS_PICKLE_LIST);
    is_int(item(item(v, 14), 1), 2);
    assert_int_equal(item(v, 15)->kind, CTS_PICKLE_DICT);
    assert_true(cts_pickle_is_text(item(item(v, 15), 0), "a"));
    is_int(item(item(v, 15), 1), 1);
    /* a set is a call of a class before protocol 4 */
    assert_true(item(v, 16)->kind == CTS_PICKLE_SET || item(v, 16)->kind == CTS_PICKLE_OPAQUE);
}

/* Written by Python in the four protocols; cut anywhere, each is refused. */
static void test_values(void **state)
{
    (void)state;
    for (int protocol = 2; protocol <= 5; protocol++) {
        cts_pickle *k = NULL;
        char path[512], *data;
        size_t n;

        snprintf(path, sizeof path, CTS_SOURCE_DIR "/tests/golden/torch_files/values%d.pkl", protocol);
        MUST(cts_file_read(&data, &n, path, 1 << 20));
        MUST(parse(&k, data, n));
        check_values(cts_pickle_root(k));
        cts_pickle_destroy(k);
        for (size_t cut = 0; cut < n; cut++) {
            char *copy = cts_test_alloc(cut);

            memcpy(copy, data, cut);
            k = NULL;
            assert_int_not_equal(parse(&k, copy, cut), CTS_OK);
            assert_null(k);
            free(copy);
        }
        free(data);
    }
}

#define CASE(bytes, want, says)                                                                                        \
    {                                                                                                                  \
        bytes, sizeof(bytes) - 1, want, says                                                                           \
    }

static void test_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        int want;
        const char *says;
    } cases[] = {
        CASE("", CTS_E_FORMAT, "empty"),
        CASE("\x80\x06N.", CTS_E_UNSUPPORTED, "protocol 6"),
        CASE("N", CTS_E_FORMAT, "STOP"),
        CASE(".", CTS_E_FORMAT, "one value"),
        CASE("NN.", CTS_E_FORMAT, "one value"),
        CASE("N(.", CTS_E_FORMAT, "one value"),
        CASE("N.N", CTS_E_FORMAT, "follow"),
        CASE("0.", CTS_E_FORMAT, "stack"),
        CASE("(N1t.", CTS_E_FORMAT, "mark"),
        CASE("2.", CTS_E_FORMAT, "stack"),
        CASE("N(\x85.", CTS_E_FORMAT, "stack"), /* a mark guards what is below it */
        CASE("](u.", CTS_E_FORMAT, "takes none"),
        CASE("}Na.", CTS_E_FORMAT, "takes none"),
        CASE("}(Nu.", CTS_E_FORMAT, "odd"),
        CASE("(Nd.", CTS_E_FORMAT, "odd"),
        CASE(")}b.", CTS_E_UNSUPPORTED, "state"),
        CASE("N)R.", CTS_E_FORMAT, "no class"),
        CASE("ccollections\nOrderedDict\nNR.", CTS_E_FORMAT, "no tuple"),
        CASE("ccollections\nOrderedDict\n]Na\x85R.", CTS_E_FORMAT, "no pair"),
        CASE("NNR", CTS_E_FORMAT, "no class"),
        CASE("NN\x93.", CTS_E_FORMAT, "no string"),
        CASE("cos\nsystem\n.", CTS_E_UNSUPPORTED, "os.system"),
        CASE("cos\nsystem", CTS_E_FORMAT, "no end"),
        CASE("c\xff\x01\nx\n.", CTS_E_UNSUPPORTED, "??.x"),
        CASE("ctorch\nFloatStorage2\n.", CTS_E_UNSUPPORTED, "torch.FloatStorage2"),
        CASE("(i__builtin__\neval\n.", CTS_E_UNSUPPORTED, "__builtin__.eval"),
        CASE("(o.", CTS_E_FORMAT, "stack"),
        CASE("h\x07.", CTS_E_FORMAT, "remembered under 7"),
        CASE("Nr\xff\xff\xff\x7f.", CTS_E_LIMIT, "memo index"),
        CASE("X\xff\xff\xff\xff.", CTS_E_FORMAT, "4294967295 bytes"),
        CASE("\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", CTS_E_FORMAT, "a string of"),
        CASE("\x8b\xff\xff\xff\xff.", CTS_E_FORMAT, "integer"),
        CASE("\x95\x09\0\0\0\0\0\0\0N.", CTS_E_FORMAT, "frame"),
        CASE("Sabc\n.", CTS_E_FORMAT, "quotes"),
        CASE("G\0\0", CTS_E_FORMAT, "beyond the end"),
        CASE("q", CTS_E_FORMAT, "beyond the end"),
        CASE("Q.", CTS_E_FORMAT, "stack"),
        CASE("I1\n.", CTS_E_UNSUPPORTED, "opcode 0x49"),
        CASE("P1\n.", CTS_E_UNSUPPORTED, "opcode 0x50"),
        CASE("\x82\x01.", CTS_E_UNSUPPORTED, "opcode 0x82"),
        CASE("\x97.", CTS_E_UNSUPPORTED, "opcode 0x97"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *copy = cts_test_alloc(cases[i].n);
        cts_pickle *k = NULL;
        int rc;

        memcpy(copy, cases[i].bytes, cases[i].n);
        rc = parse(&k, copy, cases[i].n);
        if (rc != cases[i].want || !strstr(cts_error(), cases[i].says))
            fail_msg("case %zu: status %d, %s; expected %d, %s", i, rc, rc ? cts_error() : "", cases[i].want,
                     cases[i].says);
        assert_non_null(strstr(cts_error(), "t.pth: data.pkl"));
        assert_null(k);
        free(copy);
    }
}

/* n times `unit`, then `end`. */
static void must_limit(const char *unit, size_t n, const char *end, const char *says)
{
    size_t step = strlen(unit), total = n * step + strlen(end);
    char *p = cts_test_alloc(total);
    cts_pickle *k = NULL;

    for (size_t i = 0; i < n; i++)
        memcpy(p + i * step, unit, step);
    memcpy(p + n * step, end, strlen(end));
    cts_assert_refused(parse(&k, p, total), CTS_E_LIMIT, says);
    assert_null(k);
    free(p);
}

static void test_limits(void **state)
{
    char *nested = cts_test_alloc(2 * CTS_PICKLE_MAX_DEPTH + 8);
    cts_pickle *k = NULL;

    (void)state;
    must_limit("N", CTS_PICKLE_MAX_STACK + 1, ".", "stack");
    must_limit("(", CTS_PICKLE_MAX_DEPTH + 1, ".", "marks");
    must_limit("]0", CTS_PICKLE_MAX_MEMORY / sizeof(value) + 1, ".", "bytes allowed");
    must_limit("N0", CTS_PICKLE_MAX_BYTES / 2 + 1, ".", "a pickle of");
    memset(nested, ']', CTS_PICKLE_MAX_DEPTH + 2);
    memset(nested + CTS_PICKLE_MAX_DEPTH + 2, 'a', CTS_PICKLE_MAX_DEPTH + 1);
    cts_assert_refused(parse(&k, nested, 2 * CTS_PICKLE_MAX_DEPTH + 3), CTS_E_LIMIT, "nest deeper");
    free(nested);
}

#define OBJECT(bytes, kind, items)                                                                                     \
    {                                                                                                                  \
        bytes, sizeof(bytes) - 1, kind, items                                                                          \
    }

/* Mappings made by a class, objects that swallow what they are given, and a list that holds itself. */
static void test_objects(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        cts_pickle_kind kind;
        size_t items;
    } cases[] = {
        OBJECT("}}b.", CTS_PICKLE_DICT, 0), /* state of a mapping is dropped */
        OBJECT("ccollections\nOrderedDict\n]]X\1\0\0\0aaNaa\x85R.", CTS_PICKLE_DICT, 2),
        OBJECT("ccollections\nOrderedDict\n}NNs\x85R.", CTS_PICKLE_DICT, 2),
        OBJECT("cargparse\nNamespace\n)\x81}X\1\0\0\0aK\1sb.", CTS_PICKLE_OPAQUE, 0),
        OBJECT("cargparse\nNamespace\n)\x81NNsNa(NNe.", CTS_PICKLE_OPAQUE, 0),
        OBJECT("cargparse\nNamespace\n)}\x92.", CTS_PICKLE_OPAQUE, 0),
        OBJECT("(icollections\nOrderedDict\n.", CTS_PICKLE_DICT, 0),
        OBJECT("(ctorch\nSize\nNNo.", CTS_PICKLE_CALL, 0),
        OBJECT("]2a.", CTS_PICKLE_LIST, 1),
        OBJECT("(NNNt.", CTS_PICKLE_TUPLE, 3),
        OBJECT("(NNl.", CTS_PICKLE_LIST, 2),
        OBJECT("\x8f(NNN\x90.", CTS_PICKLE_SET, 3),
        OBJECT("(N(NN1\x91.", CTS_PICKLE_SET, 1),
        OBJECT("NQ.", CTS_PICKLE_PERSISTENT, 0),
        OBJECT("N\x94"
               "0(h\0h\0t.",
               CTS_PICKLE_TUPLE, 2),
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cts_pickle *k = NULL;
        const value *v;

        if (parse(&k, cases[i].bytes, cases[i].n) != CTS_OK)
            fail_msg("case %zu: %s", i, cts_error());
        v = cts_pickle_root(k);
        assert_int_equal(v->kind, cases[i].kind);
        if (v->kind == CTS_PICKLE_CALL)
            assert_int_equal(v->args->u.items.n, 2); /* the class is none of its arguments */
        else if (v->kind != CTS_PICKLE_OPAQUE && v->kind != CTS_PICKLE_PERSISTENT)
            assert_int_equal(v->u.items.n, cases[i].items);
        cts_pickle_destroy(k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_limits), cmocka_unit_test(test_objects)};

    return cmocka_run_group_tests_name("pickle", tests, NULL, NULL);
}
