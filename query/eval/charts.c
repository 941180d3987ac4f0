/* SPDX-License-Identifier: MIT */
#include "query/eval/charts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query/eval/svg.h"

static const double quarters[] = {0.0, 0.25, 0.5, 0.75, 1.0}, ends[] = {0.0, 0.5, 1.0};
static const double diagonal[] = {0.0, 1.0};
static const char *const line_css[] = {"c1", "c2", "c3"};

void cts_eval_chart_macro(const cts_eval_result *r, cts_str *out)
{
    const cts_chart c = {400.0, 400.0, 40.0, 14.0, 14.0, 44.0, 0.0, 1.0, 0.0, 1.0, false};
    const cts_eval_value *v = cts_eval_result_find(r, "auroc", -1);
    char text[64];

    cts_chart_begin(&c, out, "Macro ROC curve: mean of the labels' curves");
    cts_chart_grid_x(&c, out, quarters, 5, true);
    cts_chart_grid_y(&c, out, quarters, 5, true);
    cts_chart_line(&c, out, diagonal, diagonal, 2, "faint dash");
    for (size_t i = 0; i < r->set->n_labels; i++) {
        const cts_eval_value *label = cts_eval_result_find(r, "auroc", (int)i);

        if (!isnan(label->value))
            cts_chart_line(&c, out, r->roc[i].fpr, r->roc[i].tpr, r->roc[i].n, "faint thin");
    }
    cts_chart_line(&c, out, r->macro.fpr, r->macro.tpr, r->macro.n, "c1 thick");
    snprintf(text, sizeof text, isnan(v->value) ? "no AUROC" : "macro AUROC %.3f", v->value);
    cts_chart_text(out, c.width - c.right - 12.0, c.height - c.bottom - 14.0, "end", "strong", text);
    cts_chart_text(out, (c.left + c.width - c.right) / 2.0, c.height - 8.0, "middle", "axis", "false positive rate");
    cts_chart_end(out);
}

void cts_eval_chart_roc(const cts_eval_result *r, int label, cts_str *out)
{
    const cts_chart c = {190.0, 180.0, 26.0, 8.0, 8.0, 22.0, 0.0, 1.0, 0.0, 1.0, false};
    const cts_eval_value *v = cts_eval_result_find(r, "auroc", label);
    char text[64];

    if (isnan(v->value))
        return;
    cts_chart_begin(&c, out, r->set->label_name[label]);
    cts_chart_grid_x(&c, out, ends, 3, true);
    cts_chart_grid_y(&c, out, ends, 3, true);
    cts_chart_line(&c, out, diagonal, diagonal, 2, "faint dash");
    cts_chart_line(&c, out, r->roc[label].fpr, r->roc[label].tpr, r->roc[label].n, v->value < 0.5 ? "bad" : "c1");
    snprintf(text, sizeof text, "%.3f", v->value);
    cts_chart_text(out, c.width - c.right - 6.0, c.height - c.bottom - 7.0, "end",
                   v->value < 0.5 ? "strong badtext" : "strong", text);
    cts_chart_end(out);
}

/* ---- bars ---- */

typedef struct {
    double auroc;
    int label;
} bar;

static int by_auroc(const void *a, const void *b)
{
    const bar *x = a, *y = b;

    if (isnan(x->auroc) != isnan(y->auroc))
        return isnan(x->auroc) ? 1 : -1;
    if (!isnan(x->auroc) && x->auroc != y->auroc)
        return x->auroc > y->auroc ? -1 : 1;
    return x->label - y->label;
}

void cts_eval_chart_bars(const cts_eval_result *r, cts_str *out)
{
    static const double at[] = {0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0};
    cts_chart c = {640.0, 0.0, 236.0, 8.0, 52.0, 26.0, 0.4, 1.0, 0.0, 1.0, false};
    bar bars[CTS_LABEL_MAP_MAX];
    size_t n = r->set->n_labels, first;

    for (size_t i = 0; i < n; i++) {
        const cts_eval_value *v = cts_eval_result_find(r, "auroc", (int)i);

        bars[i] = (bar){v->value, (int)i};
        while (c.x_min > 0.0 && (v->value < c.x_min || v->low < c.x_min)) /* the axis reaches the lowest interval */
            c.x_min = c.x_min > 0.15 ? c.x_min - 0.1 : 0.0;
    }
    qsort(bars, n, sizeof *bars, by_auroc);
    c.height = c.top + c.bottom + 24.0 * (double)n;
    first = (size_t)lround(c.x_min * 10.0);
    cts_chart_begin(&c, out, "AUROC of every finding with its 95 % interval");
    cts_chart_grid_x(&c, out, at + first, 11 - first, true);
    for (size_t i = 0; i < n; i++) {
        const cts_eval_value *v = cts_eval_result_find(r, "auroc", bars[i].label);
        double y = c.top + 24.0 * ((double)i + 0.5);
        char text[32];

        cts_chart_text(out, c.left - 10.0, y + 4.0, "end", "name", r->set->label_name[bars[i].label]);
        if (isnan(v->value)) {
            cts_chart_text(out, cts_chart_x(&c, 0.5) + 6.0, y + 4.0, "start", "tick", "one class only");
            continue;
        }
        cts_chart_bar(&c, out, y, 14.0, 0.5, v->value, v->low, v->high, v->value < 0.5 ? "badfill" : "c1fill");
        snprintf(text, sizeof text, "%.3f", v->value);
        cts_chart_text(out, c.width - c.right + 10.0, y + 4.0, "start", "value", text);
    }
    cts_chart_end(out);
}

/* ---- over k ---- */

/* Points of "<metric>@k" in the order of k. */
static size_t points(const cts_eval_result *r, const char *metric, double *k, const cts_eval_value **v)
{
    size_t n = 0, len = strlen(metric);

    for (size_t i = 0; i < r->n_values && n < CTS_EVAL_KS_MAX; i++)
        if (!strncmp(r->value[i].metric, metric, len) && r->value[i].metric[len] == '@') {
            k[n] = strtod(r->value[i].metric + len + 1, NULL);
            v[n++] = &r->value[i];
        }
    return n;
}

/* A line of its kind with its name, above the plot. */
static void legend(const cts_chart *c, cts_str *out, size_t place, const char *css, const char *text)
{
    const cts_chart whole = {.width = c->width, .height = c->height, .x_max = c->width, .y_max = c->height};
    double x = c->left + 74.0 * (double)place, y = c->height - 12.0; /* charts count y from below */
    double xs[2] = {x, x + 20.0}, ys[2] = {y, y};

    cts_chart_line(&whole, out, xs, ys, 2, css);
    cts_chart_text(out, x + 26.0, 16.0, "start", "tick", text);
}

void cts_eval_chart_at_k(const cts_eval_result *r, const char *const *metric, const char *const *label, size_t n,
                         const char *title, cts_str *out)
{
    cts_chart c = {344.0, 270.0, 36.0, 28.0, 10.0, 40.0, 1.0, 1.0, 0.0, 1.0, true};
    double k[CTS_EVAL_KS_MAX], y[CTS_EVAL_KS_MAX];
    const cts_eval_value *v[CTS_EVAL_KS_MAX];
    size_t m = points(r, metric[0], k, v);

    if (!m)
        return;
    c.x_min = k[0] > 1.0 ? k[0] / 1.15 : 0.87;
    c.x_max = k[m - 1] * 1.15;
    cts_chart_begin(&c, out, title);
    cts_chart_grid_x(&c, out, k, m, true);
    cts_chart_grid_y(&c, out, quarters, 5, true);
    for (size_t i = 0; i < m; i++)
        y[i] = v[i]->oracle;
    cts_chart_line(&c, out, k, y, m, "faint");
    for (size_t i = 0; i < m; i++)
        y[i] = v[i]->random;
    cts_chart_line(&c, out, k, y, m, "faint dash");
    for (size_t s = 0; s < n; s++) {
        size_t p = points(r, metric[s], k, v);

        for (size_t i = 0; i < p; i++)
            y[i] = v[i]->value;
        cts_chart_line(&c, out, k, y, p, line_css[s]);
        cts_chart_dots(&c, out, k, y, p, line_css[s]);
    }
    for (size_t s = 0; s < n; s++)
        legend(&c, out, s, line_css[s], label[s]);
    legend(&c, out, n, "faint", "oracle");
    legend(&c, out, n + 1, "faint dash", "random");
    cts_chart_text(out, (c.left + c.width - c.right) / 2.0, c.height - 6.0, "middle", "axis", "k");
    cts_chart_end(out);
}
