/* Reports against what was rendered, read by a reader that knows words only: a sentence with a finding's word and
 * without a negation states it, with a negation denies it.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ctype.h>

#include "data/phantom.h"

#define WORDS 18

/* A sentence speaks of a finding when it holds one of these, lower case; '+' joins two that must both be there. */
static const char *const words[CTS_FINDINGS][WORDS] = {
    {"medical material", "pacemaker", "pacing", "catheter", "port ", "port,", "venous line", "sternal", "sternotomy",
     "wire", "clips", "screw", "metal", "prosthe", "valve", "implant", "device", "instrumentation"},
    {"aort+calcif", "aort+plaque", "aort+calcium", "vascular calcification", "aort+atheroscl", "arterial wall calcif"},
    {"cardiomegaly", "heart+enlarged", "heart size", "heart+across", "diameter of the heart", "size+of the heart",
     "cardiothoracic", "size are within"},
    {"pericardi+effusion", "pericardi+fluid", "pericardi+sac"},
    {"coronary", "left anterior descending", "circumflex"},
    {"hernia", "hiatus"},
    {"lymph", "enlarged node"},
    {"emphysem"},
    {"atelecta"},
    {"nodul"},
    {"opacit", "ground-glass"},
    {"fibrotic", "scar"},
    {"pleural+effusion", "pleural+fluid", "effusion in the", "pleural space", "pleural cavit"},
    {"mosaic"},
    {"peribronchial", "bronchial wall"},
    {"consolidat"},
    {"bronchiecta", "dilated"},
    {"interlobular", "septal pattern", "septa of"}};
static const char *const negations[] = {"no ",     "not ",           "without",      "free of", "normal", "nothing",
                                        "neither", "fully expanded", "unremarkable", "dry,",    NULL};

static bool holds(const char *s, const char *word)
{
    const char *plus = strchr(word, '+');
    char first[64];

    if (!plus)
        return strstr(s, word) != NULL;
    snprintf(first, sizeof first, "%.*s", (int)(plus - word), word);
    return strstr(s, first) && strstr(s, plus + 1);
}

static bool speaks_of(const char *s, int f)
{
    for (int i = 0; i < WORDS && words[f][i]; i++)
        if (holds(s, words[f][i]))
            return true;
    return false;
}

static bool negated(const char *s)
{
    for (int i = 0; negations[i]; i++)
        if (!strncmp(s, negations[i], strlen(negations[i])) || (strstr(s, negations[i]) && negations[i][0] != 'n'))
            return true;
    return strstr(s, " no ") || strstr(s, " not ") || strstr(s, "carries no") || strstr(s, "normal") ||
           strstr(s, "nothing");
}

/* Sides in the sentence against the finding's. "both" and "bilateral" count as both; vessels and chambers have names of
 * their own. */
static void check_side(const char *s, int f, const cts_phantom_fact *fact)
{
    static const int sided[] = {8, 9, 10, 11, 12, 15, 16, 17};
    bool right = strstr(s, "right"), left = strstr(s, "left");

    for (size_t i = 0; i < sizeof sided / sizeof *sided; i++)
        if (sided[i] == f &&
            ((fact->side == CTS_PHANTOM_SIDE_RIGHT && left) || (fact->side == CTS_PHANTOM_SIDE_LEFT && right)))
            fail_msg("%s lies on side %d: \"%s\"", cts_findings[f].name, fact->side, s);
}

static void check_size(const char *s, int f, const cts_phantom_fact *fact)
{
    for (const char *at = s; (at = strstr(at, " mm")); at++) {
        const char *number = at;

        while (number > s && isdigit((unsigned char)number[-1]))
            number--;
        if (number == at || atof(number) != (double)(long)(fact->size_mm + 0.5) || fact->size_mm <= 0)
            fail_msg("%s measures %.1f mm: \"%s\"", cts_findings[f].name, fact->size_mm, s);
    }
}

typedef struct {
    int stated[CTS_FINDINGS], denied[CTS_FINDINGS];
} tally;

/* Sentences end in ". " or a newline; numbers such as 0.55 have no space behind their point. */
static void read_text(const char *text, const cts_phantom *p, tally *t)
{
    char *copy = strdup(text), *s = copy;

    for (char *c = copy; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    while (*s) {
        char *end = s;
        bool no;

        while (*end && *end != '\n' && !(end[0] == '.' && (!end[1] || end[1] == ' ' || end[1] == '\n')))
            end++;
        if (*end)
            *end++ = 0;
        while (*end == ' ' || *end == '\n')
            end++;
        no = negated(s);
        for (int f = 0; f < CTS_FINDINGS; f++) {
            const cts_phantom_fact *fact = cts_phantom_fact_get(p, f);

            if (!speaks_of(s, f))
                continue;
            *(no ? &t->denied[f] : &t->stated[f]) += 1;
            if (no == fact->present)
                fail_msg("%s is %s: \"%s\"", cts_findings[f].name, fact->present ? "present" : "absent", s);
            if (!no) {
                check_side(s, f, fact);
                check_size(s, f, fact);
            }
        }
        s = end;
    }
    free(copy);
}

static void texts_agree_with_facts(void **state)
{
    int denied = 0, normal = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 1500; seed++) {
        cts_phantom_spec spec = {.seed = seed};
        cts_phantom *p = NULL;
        cts_str findings = {0}, impressions = {0}, again = {0}, again2 = {0};
        tally body = {0}, end = {0};
        int concluded = 0, present = 0;

        if (seed % 10 == 0)
            spec.without = (uint32_t)cts_fnv1a64(&seed, sizeof seed);
        assert_int_equal(cts_phantom_create(&p, &spec), 0);
        assert_int_equal(cts_phantom_report(p, &findings, &impressions), 0);
        assert_int_equal(cts_phantom_report(p, &again, &again2), 0);
        assert_string_equal(cts_str_text(&findings), cts_str_text(&again));
        assert_string_equal(cts_str_text(&impressions), cts_str_text(&again2));
        assert_true(findings.n > 20 && impressions.n > 5);
        if (strpbrk(cts_str_text(&findings), "{}\"") || strpbrk(cts_str_text(&impressions), "{}\""))
            fail_msg("%s / %s", cts_str_text(&findings), cts_str_text(&impressions));
        read_text(cts_str_text(&findings), p, &body);
        read_text(cts_str_text(&impressions), p, &end);
        for (int f = 0; f < CTS_FINDINGS; f++) {
            bool there = cts_phantom_fact_get(p, f)->present;

            if (there && !body.stated[f])
                fail_msg("seed %d: %s is not stated in \"%s\"", (int)seed, cts_findings[f].name,
                         cts_str_text(&findings));
            concluded += end.stated[f] > 0;
            present += there;
            denied += body.denied[f];
        }
        assert_true(!present || concluded > 0);
        normal += !present;
        cts_str_free(&findings);
        cts_str_free(&impressions);
        cts_str_free(&again);
        cts_str_free(&again2);
        cts_phantom_destroy(p);
    }
    assert_true(denied > 1500 * 5); /* absent findings are denied often, not always */
    assert_true(denied < 1500 * 14);
    assert_true(normal > 30);
}

/* One patient each: how many different sentences state a finding alone. */
static void many_phrasings(void **state)
{
    (void)state;
    for (int f = 0; f < CTS_FINDINGS; f++) {
        char *seen[64] = {0};
        int n = 0;

        for (uint64_t seed = 1; seed <= 150; seed++) {
            cts_phantom_spec spec = {.seed = 1000 + seed, .labels_given = true};
            cts_phantom *p = NULL;
            cts_str findings = {0}, impressions = {0};
            char shape[64];
            const char *text, *s;
            size_t k = 0;
            bool known = false;

            spec.labels[f] = 1;
            assert_int_equal(cts_phantom_create(&p, &spec), 0);
            assert_int_equal(cts_phantom_report(p, &findings, &impressions), 0);
            text = cts_str_text(&findings);
            for (s = text; s;) { /* the sentence that states it, cut to its first words without numbers */
                char lower[400];
                size_t len = 0;

                while (s[len] && !(s[len] == '.' && (s[len + 1] == ' ' || !s[len + 1])) && len + 1 < sizeof lower)
                    lower[len] = (char)tolower((unsigned char)s[len]), len++;
                lower[len] = 0;
                if (speaks_of(lower, f) && !negated(lower)) {
                    for (const char *c = lower; *c && k + 1 < 30; c++)
                        if (!isdigit((unsigned char)*c))
                            shape[k++] = *c;
                    break;
                }
                s = s[len] ? s + len + 1 : NULL;
                while (s && *s == ' ')
                    s++;
            }
            shape[k] = 0;
            for (int i = 0; i < n; i++)
                known |= !strcmp(seen[i], shape);
            if (!known && n < 64)
                seen[n++] = strdup(shape);
            cts_str_free(&findings);
            cts_str_free(&impressions);
            cts_phantom_destroy(p);
        }
        for (int i = 0; i < n; i++)
            free(seen[i]);
        if (n < 6)
            fail_msg("%s is said in %d ways only", cts_findings[f].name, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts_agree_with_facts), cmocka_unit_test(many_phrasings)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
