/* The report writer: one sentence for each finding shown, denials of some that are absent, remarks on what is healthy,
 * in the usual sections, in random order within each. All choices come from the text's own stream.
 * SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/phantom_internal.h"

enum { SECTION_MEDIASTINUM, SECTION_LUNG, SECTION_ABDOMEN, SECTION_BONE, SECTIONS };
#define SECTION_MAX 48

typedef struct {
    const char *text;
    int finding; /* whose fact fills the holes; -1 none */
} line;

typedef struct {
    const cts_phantom *p;
    cts_rng r;
    line lines[SECTIONS][SECTION_MAX];
    int n[SECTIONS];
} writer;

static int section_of(int finding)
{
    switch (finding) {
    case F_MATERIAL:
    case F_AORTIC_CALC:
    case F_CARDIOMEGALY:
    case F_PERICARDIAL:
    case F_CORONARY_CALC:
    case F_HERNIA:
    case F_NODES:
        return SECTION_MEDIASTINUM;
    default:
        return SECTION_LUNG;
    }
}

static const char *grade_word(int finding, int kind)
{
    static const char *const plaque[3] = {"mild", "moderate", "marked"}, *const size[3] = {"small", "moderate",
                                                                                           "large"};

    kind = kind < 0 ? 0 : kind > 2 ? 2 : kind;
    return finding == F_HERNIA || finding == F_EFFUSION ? size[kind] : plaque[kind];
}

static const char *count_word(int n)
{
    static const char *const words[6] = {"no", "one", "two", "three", "four", "five"};

    return n < 6 ? words[n] : "several";
}

/* The value of a hole, lower case. */
static void hole(cts_str *out, const cts_phantom *p, int f, const char *name, size_t n)
{
    static const char *const sides[4] = {"midline", "right", "left", "bilateral"}, *const lungs[4] = {
                                                                                       "the lungs", "the right lung",
                                                                                       "the left lung", "both lungs"};
    const cts_phantom_fact *fact = &p->fact[f];

    if (!strncmp(name, "side", n))
        cts_str_append(out, sides[fact->side]);
    else if (!strncmp(name, "lung", n))
        cts_str_append(out, lungs[fact->side]);
    else if (!strncmp(name, "where", n))
        cts_str_append(out, fact->where);
    else if (!strncmp(name, "mm", n))
        cts_str_printf(out, "%.0f", fact->size_mm);
    else if (!strncmp(name, "count", n))
        cts_str_append(out, count_word(fact->count));
    else if (!strncmp(name, "grade", n))
        cts_str_append(out, grade_word(f, fact->kind));
    else if (!strncmp(name, "ratio", n))
        cts_str_printf(out, "%.2f", p->info.cardiothoracic_ratio);
}

static void fill(cts_str *out, const cts_phantom *p, const line *l)
{
    for (const char *c = l->text; *c;) {
        size_t n = strcspn(c, "{"), at;
        char name[16] = {0};

        cts_str_append_n(out, c, n);
        c += n;
        if (!*c)
            return;
        n = strcspn(++c, "}");
        for (size_t i = 0; i < n && i + 1 < sizeof name; i++)
            name[i] = (char)tolower((unsigned char)c[i]);
        at = out->n;
        hole(out, p, l->finding, name, strlen(name) + 1);
        if (isupper((unsigned char)*c) && !out->failed && out->n > at)
            out->p[at] = (char)toupper((unsigned char)out->p[at]);
        c += n + 1;
    }
}

static bool fits(const cts_ph_phrase *s, int f, const cts_phantom_fact *fact)
{
    return s->finding == f && (!s->kinds || s->kinds >> fact->kind & 1) &&
           (!(s->when & WHEN_ONE) || fact->count == 1) && (!(s->when & WHEN_MANY) || fact->count > 1) &&
           (!(s->when & WHEN_ONE_SIDE) || fact->side == CTS_PHANTOM_SIDE_RIGHT ||
            fact->side == CTS_PHANTOM_SIDE_LEFT) &&
           (!(s->when & WHEN_BOTH) || fact->side == CTS_PHANTOM_SIDE_BOTH);
}

/* A random phrase of the table for finding f (every finding and variant has some). */
static const char *choose(writer *w, const cts_ph_phrase *table, int f)
{
    const cts_phantom_fact *fact = &w->p->fact[f];
    uint64_t n = 0, pick;

    for (const cts_ph_phrase *s = table; s->text; s++)
        n += fits(s, f, fact);
    pick = cts_rng_below(&w->r, n ? n : 1);
    for (const cts_ph_phrase *s = table; s->text; s++)
        if (fits(s, f, fact) && !pick--)
            return s->text;
    return NULL;
}

static void say(writer *w, int section, const char *text, int finding)
{
    if (text && w->n[section] < SECTION_MAX)
        w->lines[section][w->n[section]++] = (line){text, finding};
}

static void shuffle(writer *w, line *l, int n)
{
    for (int i = n - 1; i > 0; i--) {
        int k = (int)cts_rng_below(&w->r, (uint64_t)i + 1);
        line t = l[i];

        l[i] = l[k];
        l[k] = t;
    }
}

/* Deny part of what is absent: each finding with an even chance, once, with a sentence that denies nothing that is
 * there. */
static void deny(writer *w)
{
    uint32_t absent = ~w->p->shown & ((1u << CTS_FINDINGS) - 1), done = 0;
    double eager = cts_rng_range(&w->r, 0.3, 0.85);

    for (int f = 0; f < CTS_FINDINGS; f++) {
        uint64_t n = 0, pick;
        bool skip = cts_rng_unit(&w->r) > eager;

        if (skip || !(absent >> f & 1) || (done >> f & 1))
            continue;
        for (const cts_ph_denial *d = cts_ph_denials; d->text; d++)
            n += (d->absent >> f & 1) && !(d->absent & ~absent) && !(d->absent & done);
        if (!n)
            continue;
        pick = cts_rng_below(&w->r, n);
        for (const cts_ph_denial *d = cts_ph_denials; d->text; d++)
            if ((d->absent >> f & 1) && !(d->absent & ~absent) && !(d->absent & done) && !pick--) {
                say(w, section_of(f), d->text, -1);
                done |= d->absent;
                break;
            }
    }
}

static void remark(writer *w)
{
    static const int most[SECTIONS] = {3, 2, 2, 2};

    for (int s = 0; s < SECTIONS; s++) {
        int want = (int)cts_rng_below(&w->r, (uint64_t)most[s] + 1), n = 0;
        uint32_t used = 0;

        for (const cts_ph_filler *f = cts_ph_fillers; f->text; f++)
            n += f->section == s;
        for (int k = 0; k < want; k++) {
            int pick = (int)cts_rng_below(&w->r, (uint64_t)n), i = 0;

            if (used >> pick & 1)
                continue;
            used |= 1u << pick;
            for (const cts_ph_filler *f = cts_ph_fillers; f->text; f++)
                if (f->section == s && i++ == pick)
                    say(w, s, f->text, -1);
        }
    }
}

static void write_findings(writer *w, cts_str *out)
{
    for (int f = 0; f < CTS_FINDINGS; f++)
        if (w->p->shown >> f & 1)
            say(w, section_of(f), choose(w, cts_ph_phrases, f), f);
    deny(w);
    remark(w);
    if (!w->n[SECTION_MEDIASTINUM] && !w->n[SECTION_LUNG])
        say(w, SECTION_LUNG, "Both lungs and the mediastinum are normal.", -1);
    for (int s = 0; s < SECTIONS; s++) {
        shuffle(w, w->lines[s], w->n[s]);
        for (int i = 0; i < w->n[s]; i++) {
            if (out->n)
                cts_str_append(out, " ");
            fill(out, w->p, &w->lines[s][i]);
        }
    }
}

/* Mostly everything that was found, now and then without the lesser ones. */
static void write_conclusions(writer *w, cts_str *out)
{
    static const uint32_t lesser =
        1u << F_MATERIAL | 1u << F_AORTIC_CALC | 1u << F_HERNIA | 1u << F_FIBROTIC | 1u << F_ATELECTASIS;
    static const char *const joints[2] = {"\n", " "};
    const char *joint = joints[cts_rng_below(&w->r, 2)];
    line said[CTS_FINDINGS];
    int n = 0;

    for (int f = 0; f < CTS_FINDINGS; f++) {
        bool drop = cts_rng_unit(&w->r) < 0.12 && lesser >> f & 1 && w->p->shown != 1u << f;

        if ((w->p->shown >> f & 1) && !drop)
            said[n++] = (line){choose(w, cts_ph_conclusions, f), f};
    }
    shuffle(w, said, n);
    for (int i = 0; i < n; i++) {
        if (out->n)
            cts_str_append(out, joint);
        fill(out, w->p, &said[i]);
    }
    if (!n && !w->p->shown) {
        uint64_t choices = 0;

        while (cts_ph_normal_conclusions[choices])
            choices++;
        cts_str_append(out, cts_ph_normal_conclusions[cts_rng_below(&w->r, choices)]);
    } else if (!n) { /* all that was found was dropped: say one after all */
        int f = 0;

        while (!(w->p->shown >> f & 1))
            f++;
        fill(out, w->p, &(line){choose(w, cts_ph_conclusions, f), f});
    }
}

int cts_phantom_report(const cts_phantom *p, cts_str *findings, cts_str *impressions)
{
    writer *w = calloc(1, sizeof *w);

    if (!w)
        return cts_fail(CTS_E_NOMEM, "phantom: out of memory");
    w->p = p;
    w->r = cts_ph_stream(p, SALT_TEXT);
    cts_str_clear(findings);
    cts_str_clear(impressions);
    write_findings(w, findings);
    write_conclusions(w, impressions);
    free(w);
    if (findings->failed || impressions->failed)
        return cts_fail(CTS_E_NOMEM, "phantom: out of memory");
    return CTS_OK;
}
