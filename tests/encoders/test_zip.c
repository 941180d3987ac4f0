/* The zip reader: what it hands out lies in the bytes, and every lie in a header is refused.
 * SPDX-License-Identifier: MIT */
#include "encoders/import/zip.h"
#include "kernels/base/file.h"
#include "kernels/base/rng.h"
#include "tests/support/scratch.h"
#include "tests/support/zip_bytes.h"

static const cts_zip_part parts[] = {{"a/data.pkl", "pickle", 6}, {"a/data/0", "0123456789", 10}, {"a/empty", "", 0}};

/* A copy that ends where its memory ends, so that the sanitizer sees a step beyond it. */
static int open_copy(cts_zip **z, uint8_t **copy, const uint8_t *p, size_t n)
{
    *copy = cts_test_alloc(n);
    memcpy(*copy, p, n);
    return cts_zip_open(z, *copy, n, "t.pth");
}

/* Everything an accepted archive says can be read. */
static void touch(const cts_zip *z, const uint8_t *p, size_t n)
{
    unsigned sum = 0;

    for (size_t i = 0; i < cts_zip_n(z); i++) {
        const cts_zip_entry *e = cts_zip_at(z, i);

        assert_ptr_equal(cts_zip_find(z, e->name), e);
        assert_true(e->method ? e->n == 0 : e->data >= p && e->data + e->n <= p + n);
        for (size_t k = 0; k < e->n; k++)
            sum += e->data[k];
        (void)cts_zip_check(z, e);
    }
    assert_true(sum < UINT32_MAX);
}

static void must_refuse(const uint8_t *p, size_t n, int want, const char *says)
{
    uint8_t *copy;
    cts_zip *z = NULL;

    cts_assert_refused(open_copy(&z, &copy, p, n), want, says);
    assert_null(z);
    free(copy);
}

static void test_reads(void **state)
{
    size_t n;
    uint8_t *bytes = cts_zip_bytes(&n, parts, 3);
    const cts_zip_entry *e;
    cts_zip *z = NULL;

    (void)state;
    MUST(cts_zip_open(&z, bytes, n, "t.pth"));
    assert_int_equal(cts_zip_n(z), 3);
    assert_non_null(e = cts_zip_find(z, "a/data/0"));
    assert_int_equal(e->n, 10);
    assert_memory_equal(e->data, "0123456789", 10);
    MUST(cts_zip_stored(z, e));
    MUST(cts_zip_check(z, e));
    assert_int_equal(cts_zip_find(z, "a/empty")->n, 0);
    assert_null(cts_zip_find(z, "a"));
    bytes[e->data - bytes] ^= 1;
    cts_assert_refused(cts_zip_check(z, e), CTS_E_FORMAT, "checksum");
    cts_zip_close(z);
    free(bytes);
}

static void test_names(void **state)
{
    static const char *const bad[] = {"", "/a", "../a", "a/..", "a/../b", "a\\b", "a\nb", "a\xff"};
    static const char *const good[] = {"a", "..a/b", "a..", "a/.b", "\xc3\xa9"};
    cts_zip *z = NULL;
    uint8_t *bytes;
    size_t n;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const cts_zip_part part = {bad[i], "x", 1};

        bytes = cts_zip_bytes(&n, &part, 1);
        must_refuse(bytes, n, CTS_E_FORMAT, "name");
        free(bytes);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const cts_zip_part part = {good[i], "x", 1};

        bytes = cts_zip_bytes(&n, &part, 1);
        MUST(cts_zip_open(&z, bytes, n, "t.pth"));
        cts_zip_close(z);
        free(bytes);
    }
    bytes = cts_zip_bytes(&n, (const cts_zip_part[]){parts[0], parts[0]}, 2);
    must_refuse(bytes, n, CTS_E_FORMAT, "two zip entries are named a/data.pkl");
    free(bytes);
}

/* Offsets of fields: the directory's header is 46 bytes and the name, the end record 22. */
static void test_lies(void **state)
{
    size_t n;
    uint8_t *bytes = cts_zip_bytes(&n, parts, 2), *end = bytes + n - 22;
    uint8_t *central = end - 2 * 46 - strlen(parts[0].name) - strlen(parts[1].name);
    uint8_t *second = central + 46 + strlen(parts[0].name);
    const struct {
        uint8_t *at, value;
        int want;
        const char *says;
    } lies[] = {
        {bytes + 14, 1, CTS_E_FORMAT, "disagree"},        /* local checksum */
        {bytes + 18, 7, CTS_E_FORMAT, "disagree"},        /* local size */
        {bytes + 22, 7, CTS_E_FORMAT, "disagree"},        /* */
        {bytes + 30, 'b', CTS_E_FORMAT, "disagree"},      /* local name */
        {bytes + 6, 1, CTS_E_FORMAT, "disagree"},         /* local flag: encrypted */
        {central + 8, 1, CTS_E_UNSUPPORTED, "encrypted"}, /* */
        {central + 20, 7, CTS_E_FORMAT, "is stored"},     /* packed size */
        {central + 34, 1, CTS_E_UNSUPPORTED, "disks"},    /* disk of the entry */
        {central + 42, 1, CTS_E_FORMAT, "disagree"},      /* place of the local header */
        {central + 44, 1, CTS_E_FORMAT, "start at byte"}, /* */
        {second + 42, 0, CTS_E_FORMAT, "disagree"},       /* the second entry at the first one's place */
        {central, 0, CTS_E_FORMAT, "directory is broken"},
        {end + 4, 1, CTS_E_UNSUPPORTED, "disks"},
        {end + 8, 9, CTS_E_UNSUPPORTED, "disks"},
        {end + 12, 0, CTS_E_FORMAT, "directory is said"}, /* bytes of the directory */
        {end + 16, 0, CTS_E_FORMAT, "directory is said"}, /* its place */
        {end + 20, 5, CTS_E_FORMAT, "no end record"},     /* bytes of the comment */
    };

    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        uint8_t before = *lies[i].at;

        *lies[i].at = lies[i].value;
        must_refuse(bytes, n, lies[i].want, lies[i].says);
        *lies[i].at = before;
    }
    free(bytes);
}

/* Two directory entries for the same bytes: an archive that unpacks to more than it is. */
static void test_overlap(void **state)
{
    static const cts_zip_part same[] = {{"a/0", "0123456789", 10}, {"a/1", "0123456789", 10}};
    size_t n;
    uint8_t *bytes = cts_zip_bytes(&n, same, 2), *second = bytes + n - 22 - 46 - 3;

    (void)state;
    memset(second + 42, 0, 4);
    second[46 + 2] = '0';
    must_refuse(bytes, n, CTS_E_FORMAT, "overlap");
    free(bytes);
}

static void test_compressed(void **state)
{
    size_t n;
    uint8_t *bytes = cts_zip_bytes(&n, parts, 1);
    cts_zip *z = NULL;

    (void)state;
    bytes[8] = 8;
    bytes[n - 22 - 46 - strlen(parts[0].name) + 10] = 8;
    MUST(cts_zip_open(&z, bytes, n, "t.pth"));
    assert_null(cts_zip_at(z, 0)->data);
    cts_assert_refused(cts_zip_stored(z, cts_zip_at(z, 0)), CTS_E_UNSUPPORTED, "torch.save");
    cts_zip_close(z);
    free(bytes);
}

static void test_comment(void **state)
{
    size_t n;
    uint8_t *bytes = cts_zip_bytes(&n, parts, 3), *longer = cts_test_alloc(n + 3);
    cts_zip *z = NULL;

    (void)state;
    memcpy(longer, bytes, n);
    memcpy(longer + n, "hi!", 3);
    must_refuse(longer, n + 3, CTS_E_FORMAT, "no end record");
    longer[n - 2] = 3;
    MUST(cts_zip_open(&z, longer, n + 3, "t.pth"));
    assert_int_equal(cts_zip_n(z), 3);
    cts_zip_close(z);
    free(longer);
    free(bytes);
}

/* An archive PyTorch wrote, with zip64 records and sizes behind the data: cut anywhere it is refused, and with any bit
 * turned it is refused or sound. */
static void test_damage(void **state)
{
    const uint64_t seed = 20251126;
    cts_rng r = cts_rng_make(seed);
    char *data;
    size_t n, refused = 0;
    cts_zip *z;
    uint8_t *copy;

    (void)state;
    printf("seed %llu\n", (unsigned long long)seed);
    MUST(cts_file_read(&data, &n, CTS_SOURCE_DIR "/tests/golden/checkpoints/protocol4.pth", 1 << 20));
    for (size_t cut = 0; cut < n; cut++) {
        z = NULL;
        assert_int_not_equal(open_copy(&z, &copy, (uint8_t *)data, cut), CTS_OK);
        free(copy);
    }
    for (size_t bit = 0; bit < 8 * n; bit++) {
        data[bit / 8] ^= (char)(1 << bit % 8);
        z = NULL;
        if (open_copy(&z, &copy, (uint8_t *)data, n) == CTS_OK)
            touch(z, copy, n);
        else
            refused++;
        cts_zip_close(z);
        free(copy);
        data[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_true(refused > 0);
    for (int i = 0; i < 3000; i++) {
        char before[4];
        size_t at = cts_rng_below(&r, n - 4);

        memcpy(before, data + at, 4);
        for (int k = 0; k < 4; k++)
            data[at + k] = cts_rng_below(&r, 2) ? (char)0xff : (char)cts_rng_next(&r);
        z = NULL;
        if (open_copy(&z, &copy, (uint8_t *)data, n) == CTS_OK)
            touch(z, copy, n);
        cts_zip_close(z);
        free(copy);
        memcpy(data + at, before, 4);
    }
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),   cmocka_unit_test(test_names),      cmocka_unit_test(test_lies),
        cmocka_unit_test(test_overlap), cmocka_unit_test(test_compressed), cmocka_unit_test(test_comment),
        cmocka_unit_test(test_damage),
    };

    return cmocka_run_group_tests_name("zip", tests, NULL, NULL);
}
