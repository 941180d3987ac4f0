/* How a set of volumes lay: counted by axes, with what is to be warned of. SPDX-License-Identifier: MIT */
#include "data/orientation_tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const cts_preprocess_info seen[] = {
    {.orientation = "flipped i,j", .stored_codes = "RAS", .has_affine = true, .oblique_deg = 4.9},
    {.orientation = "as stored", .stored_codes = "LPS", .has_affine = true, .forms_deg = 180},
    {.orientation = "flipped i,j", .stored_codes = "RAS", .has_affine = true, .oblique_deg = 12, .forms_deg = 12},
    {.orientation = "as stored"},
};

static void tally(void **state)
{
    cts_orientation_tally t = {.n = 0};
    cts_str s = {0};

    (void)state;
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++)
        cts_orientation_tally_add(&t, &seen[i]);
    cts_orientation_tally_text(&s, &t);
    assert_string_equal(cts_str_text(&s), "1 as stored, 1 LPS as stored, 2 RAS flipped i,j");
    assert_true(t.n == 4 && t.moved == 2 && t.no_affine == 1 && t.oblique == 1 && t.worst_deg == 12);
    assert_int_equal(t.contradicted, 2);
    cts_str_free(&s);
}

static void warnings(void **state)
{
    static const char *const say[][2] = {{"", ""},
                                         {"sform and qform lie 180 degrees apart", ""},
                                         {"oblique by 12.0 degrees", "; sform and qform lie 12 degrees apart"},
                                         {"no affine", "nothing is flipped"}};

    (void)state;
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++) {
        cts_str s = {0};

        cts_orientation_warning(&s, &seen[i]);
        assert_int_equal(s.n > 0, i > 0);
        assert_int_equal(strncmp(cts_str_text(&s), say[i][0], strlen(say[i][0])), 0);
        assert_non_null(strstr(cts_str_text(&s), say[i][1]));
        cts_str_free(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tally), cmocka_unit_test(warnings)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
