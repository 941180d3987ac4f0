/* SPDX-License-Identifier: MIT */
#include "query/present.h"

#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "data/findings.h"
#include "kernels/base/str.h"

int cts_columns(void)
{
    struct winsize w;

    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) || !w.ws_col)
        return 120;
    return w.ws_col < 60 ? 60 : w.ws_col;
}

void cts_print_bar(FILE *f, double fraction, int cells)
{
    int full = fraction > 0.0 ? (int)lround(fmin(fraction, 1.0) * cells) : 0;

    for (int i = 0; i < cells; i++)
        fputc(i < full ? '#' : '.', f);
}

/* Code points before the end of the first line, at most max + 1. */
static int line_length(const char *text, size_t n, int max)
{
    uint32_t cp;
    int columns = 0;

    for (size_t at = 0; at < n && columns <= max; columns++) {
        at += cts_utf8_decode(&cp, text + at, n - at);
        if (cp == '\n')
            return columns;
    }
    return columns;
}

int cts_print_clipped(FILE *f, const char *text, int columns)
{
    size_t n = strlen(text), at = 0;
    bool whole = line_length(text, n, columns) <= columns;
    int used = 0, room = whole ? columns : columns - 3;

    while (at < n && used < room) {
        char bytes[4];
        uint32_t cp;

        at += cts_utf8_decode(&cp, text + at, n - at);
        if (cp == '\n')
            break;
        fwrite(bytes, 1, cts_utf8_encode(bytes, cp < ' ' || (cp >= 0x7f && cp < 0xa0) ? ' ' : cp), f);
        used++;
    }
    if (!whole && room >= 0) {
        fputs("...", f);
        used += 3;
    }
    return used;
}

#define RULE_INDENT 23

void cts_print_rule(const char *key, const char *text)
{
    int room = cts_columns(), at = printf("  %-*s", RULE_INDENT - 3, key);

    for (const char *p = text; *p;) {
        int n = (int)strcspn(p, " ");

        if (at + 1 + n > room && at > RULE_INDENT) {
            printf("\n%*s", RULE_INDENT - 1, "");
            at = RULE_INDENT - 1;
        }
        at += printf(" %.*s", n, p);
        p += n + (p[n] == ' ');
    }
    putchar('\n');
}

json_t *cts_labels_json(uint32_t labels)
{
    json_t *list = json_array();

    for (int i = 0; i < CTS_FINDINGS; i++)
        if (labels >> i & 1)
            json_array_append_new(list, json_string(cts_findings[i].name));
    return list;
}

char *cts_labels_text(uint32_t labels, uint32_t known)
{
    cts_str s = {0};

    if (!known)
        return cts_strdup("not labelled");
    for (int i = 0; i < CTS_FINDINGS; i++)
        if (labels >> i & 1)
            cts_str_printf(&s, "%s%s", s.n ? ", " : "", cts_findings[i].name);
    if (!s.n)
        cts_str_append(&s, "no finding");
    if (s.failed) {
        cts_str_free(&s);
        return NULL;
    }
    return s.p;
}

json_t *cts_number_json(double v)
{
    return isnan(v) ? json_null() : json_real(v);
}
