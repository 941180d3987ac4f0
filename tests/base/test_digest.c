/* SPDX-License-Identifier: MIT */
#include "kernels/base/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "kernels/base/file.h"
#include "kernels/base/status.h"

/* FIPS 180-2, appendix B, and the empty message. */
static const char empty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
static const char two_blocks[] = "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1";
static const char million_a[] = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

static void test_known(void **state)
{
    const char *text = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    char hex[CTS_DIGEST_HEX], folder[] = "/tmp/cts-digest-XXXXXX", *path, *big = malloc(1000000);
    cts_digest *d = NULL;

    (void)state;
    assert_int_equal(cts_digest_bytes(hex, NULL, 0), CTS_OK);
    assert_string_equal(hex, empty);
    assert_int_equal(cts_digest_bytes(hex, "abc", 3), CTS_OK);
    assert_string_equal(hex, abc);
    assert_int_equal(cts_digest_create(&d), CTS_OK);
    for (size_t i = 0; i < strlen(text); i++)
        cts_digest_update(d, text + i, 1);
    assert_int_equal(cts_digest_finish(d, hex), CTS_OK);
    assert_string_equal(hex, two_blocks);
    cts_digest_destroy(d);
    cts_digest_destroy(NULL);

    memset(big, 'a', 1000000);
    assert_non_null(mkdtemp(folder));
    path = cts_path_join(folder, "a");
    assert_int_equal(cts_file_write_atomic(path, big, 1000000), CTS_OK);
    assert_int_equal(cts_digest_file(hex, path), CTS_OK);
    assert_string_equal(hex, million_a);
    assert_int_equal(cts_remove_tree(folder), CTS_OK);
    assert_int_equal(cts_digest_file(hex, path), CTS_E_IO);
    assert_string_equal(hex, million_a);
    free(path);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_known)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
