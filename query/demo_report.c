/* SPDX-License-Identifier: MIT */
#include "query/demo_report.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/findings.h"
#include "query/present.h"

#define INDENT "   "
#define BAR_CELLS 20
#define LINE_COLUMNS 96 /* a command line is broken beyond */

static const char *text(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));

    return s ? s : "";
}

static double number(const json_t *j, const char *key)
{
    return json_number_value(json_object_get(j, key));
}

static long long whole(const json_t *j, const char *key)
{
    return (long long)json_integer_value(json_object_get(j, key));
}

static bool yes(const json_t *j, const char *key)
{
    return json_is_true(json_object_get(j, key));
}

void cts_demo_heading(int n, const char *heading)
{
    bool bold = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");

    printf("\n%s%d. %s%s\n", bold ? "\033[1m" : "", n, heading, bold ? "\033[0m" : "");
}

void cts_demo_command_line(const char *line)
{
    int column = 5;

    fputs(INDENT "$ ", stdout);
    for (const char *p = line; *p;) { /* broken before an option, as a shell reads it */
        size_t n = 1 + strcspn(p + 1, " ");

        while (p[n] && strncmp(p + n, " --", 3))
            n += 1 + strcspn(p + n + 1, " ");
        if (column > 5 && column + (int)n > LINE_COLUMNS) {
            fputs(" \\\n" INDENT "     ", stdout);
            column = 8;
            p += *p == ' ';
            n -= p[-1] == ' ';
        }
        fwrite(p, 1, n, stdout);
        column += (int)n;
        p += n;
    }
    putchar('\n');
    fflush(stdout); /* what the command says on stderr comes after it */
}

void cts_demo_phantom(const json_t *j)
{
    printf(INDENT "%lld volumes, %.1f s\n", whole(j, "volumes"), number(j, "seconds"));
}

void cts_demo_train(const json_t *j)
{
    const json_t *zeroshot = json_object_get(j, "zeroshot"), *recall = json_object_get(j, "recall");

    printf(INDENT "%lld parameters, %lld steps in %.0f s, loss %.3f -> %.3f\n", whole(j, "params"), whole(j, "steps"),
           number(j, "seconds"), number(j, "first_loss"), number(j, "last_loss"));
    if (recall)
        printf(INDENT
               "validation: loss %.3f, zero-shot AUROC %.3f, R@10 text to image %.3f (chance %.3f, %lld pairs)\n",
               number(j, "valid_loss"), number(zeroshot, "auroc_macro"), number(json_object_get(recall, "t2i"), "r@10"),
               number(json_object_get(recall, "chance"), "r@10"), whole(recall, "n"));
}

void cts_demo_index(const json_t *j)
{
    printf(INDENT "%lld scans with their reports in the index\n", whole(j, "items"));
}

/* The report beneath its hit, in the columns that are left. */
static void print_report(const json_t *hit, int left)
{
    printf("%*s", left, "");
    cts_print_clipped(stdout, text(hit, "report"), cts_columns() - left);
    putchar('\n');
}

static void print_names(const json_t *labels, int columns)
{
    char all[1024] = "";
    size_t at = 0, i;
    const json_t *name;

    json_array_foreach(labels, i, name)
    {
        int n = snprintf(all + at, sizeof all - at, "%s%s", i ? ", " : "", json_string_value(name));

        at += n > 0 && at + (size_t)n < sizeof all ? (size_t)n : 0;
    }
    cts_print_clipped(stdout, at ? all : "no finding", columns);
}

void cts_demo_text_query(const json_t *query, const char *finding, double prevalence)
{
    const json_t *hits = json_object_get(query, "hits"), *hit;
    size_t i, right = 0;

    printf(INDENT "%4s  %7s  %-20s  %-5s  %s\n", "rank", "score", "scan", "truth", "findings of the scan");
    json_array_foreach(hits, i, hit)
    {
        right += yes(hit, "truth");
        printf(INDENT "%4lld  %7.4f  %-20s  %-5s  ", whole(hit, "rank"), number(hit, "score"), text(hit, "id"),
               yes(hit, "truth") ? "yes" : "no");
        print_names(json_object_get(hit, "labels"), cts_columns() - 48);
        putchar('\n');
    }
    printf(INDENT "%zu of %zu hits truly have it; %.0f %% of the scans in the index do (%s)\n", right,
           json_array_size(hits), 100.0 * prevalence, finding);
}

void cts_demo_image_query(const json_t *query, const char *truth, size_t n)
{
    const json_t *hits = json_object_get(query, "hits"), *hit;
    long long own = 0;
    size_t i;

    printf(INDENT "this scan has: %s\n" INDENT "%4s  %7s  %-20s  %s\n", truth, "rank", "score", "report of",
           "findings of that scan");
    json_array_foreach(hits, i, hit)
    {
        if (yes(hit, "own"))
            own = whole(hit, "rank");
        printf(INDENT "%4lld  %7.4f  %-20s  ", whole(hit, "rank"), number(hit, "score"), text(hit, "id"));
        if (yes(hit, "own"))
            printf("(its own) ");
        print_names(json_object_get(hit, "labels"), cts_columns() - 51);
        putchar('\n');
        if (!i)
            print_report(hit, 18);
    }
    if (own)
        printf(INDENT "its own report is number %lld of %zu\n", own, n);
    else
        printf(INDENT "its own report is not among the first %zu of %zu\n", json_array_size(hits), n);
}

static int by_probability(const void *a, const void *b)
{
    double x = number(*(const json_t *const *)a, "probability"), y = number(*(const json_t *const *)b, "probability");

    return (x < y) - (x > y);
}

void cts_demo_score(const json_t *score)
{
    const json_t *findings = json_object_get(score, "findings"), *row[CTS_FINDINGS];
    size_t n = json_array_size(findings);

    for (size_t i = 0; i < n && i < CTS_FINDINGS; i++)
        row[i] = json_array_get(findings, i);
    n = n < CTS_FINDINGS ? n : CTS_FINDINGS;
    qsort(row, n, sizeof(row[0]), by_probability);
    for (size_t i = 0; i < n; i++) {
        printf(INDENT "%-36s %5.3f  ", text(row[i], "name"), number(row[i], "probability"));
        cts_print_bar(stdout, number(row[i], "probability"), BAR_CELLS);
        printf("  %s\n", yes(row[i], "truth") ? "present" : "-");
    }
}

void cts_demo_recall(const json_t *j)
{
    static const char *const keys[] = {"r@1", "r@5", "r@10"};

    printf(INDENT "%-6s %14s %14s %8s   (%lld pairs)\n", "", "text to image", "image to text", "chance", whole(j, "n"));
    for (int i = 0; i < 3; i++)
        if (json_is_number(json_object_get(json_object_get(j, "t2i"), keys[i])))
            printf(INDENT "R@%-4s %14.3f %14.3f %8.3f\n", keys[i] + 2, number(json_object_get(j, "t2i"), keys[i]),
                   number(json_object_get(j, "i2t"), keys[i]), number(json_object_get(j, "chance"), keys[i]));
        else
            printf(INDENT "R@%-4s %14s %14s %8s   (fewer pairs)\n", keys[i] + 2, "-", "-", "-");
}

void cts_demo_zeroshot(const json_t *j)
{
    const json_t *findings = json_object_get(j, "findings"), *f, *macro = json_object_get(j, "auroc_macro");
    size_t i;

    printf(INDENT "%-36s %6s  %-*s  %s\n", "", "AUROC", BAR_CELLS, "0          0.5     1", "scans");
    json_array_foreach(findings, i, f)
    {
        if (json_is_number(json_object_get(f, "auroc"))) {
            printf(INDENT "%-36s %6.3f  ", text(f, "name"), number(f, "auroc"));
            cts_print_bar(stdout, number(f, "auroc"), BAR_CELLS);
        } else {
            printf(INDENT "%-36s %6s  %-*s", text(f, "name"), "-", BAR_CELLS, "one class only");
        }
        printf("  %lld\n", whole(f, "positives"));
    }
    if (json_is_number(macro)) {
        printf(INDENT "%-36s %6.3f  ", "mean", json_number_value(macro));
        cts_print_bar(stdout, json_number_value(macro), BAR_CELLS);
        printf("  %lld\n", whole(j, "n"));
    }
}
