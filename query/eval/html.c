/* An evaluation as one page: no script, nothing from elsewhere, light and dark by the reader's own setting. The page is
 * well-formed XML, so that programs can read it too.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/base/file.h"
#include "kernels/base/status.h"
#include "query/eval/charts.h"
#include "query/eval/result.h"
#include "query/eval/svg.h"

static const char style[] =
    ":root{--bg:#fff;--card:#f4f6f8;--ink:#1b2430;--soft:#5d6978;--rule:#d9dee5;--faint:#b3bcc8;--c1:#1f63a8;--c2:#"
    "c2570c;"
    "--c3:#4c8a2f;--bad:#b42318;color-scheme:light dark}\n"
    "@media (prefers-color-scheme:dark){:root{--bg:#13161b;--card:#1c2128;--ink:#e4e8ee;--soft:#98a3b1;--rule:#2d343e;"
    "--faint:#596473;--c1:#79b0ea;--c2:#f0a35e;--c3:#96cc74;--bad:#ff8a7a}}\n"
    "*{box-sizing:border-box}body{margin:0 auto;max-width:1130px;padding:32px 24px 64px;background:var(--bg);"
    "color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Liberation Sans',sans-serif}\n"
    "h1{font-size:26px;margin:0;letter-spacing:-.01em}h2{font-size:18px;margin:40px 0 12px}.sub{color:var(--soft);"
    "margin:4px 0 24px}\n"
    ".cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(188px,1fr));gap:12px}.card{background:var(--"
    "card);"
    "border-radius:10px;padding:14px 16px}.card b{display:block;font-size:26px;font-weight:650;letter-spacing:-.02em}"
    ".card .k{font:12.5px ui-monospace,monospace;color:var(--soft)}.card .i{color:var(--soft);font-size:13px}\n"
    ".note{border-left:3px solid var(--c2);background:var(--card);padding:8px 14px;margin:16px 0;border-radius:0 8px "
    "8px 0}"
    ".note p{margin:2px 0}.warn{border-color:var(--bad)}\n"
    ".row{display:flex;flex-wrap:wrap;gap:24px;align-items:flex-start}.small{display:grid;"
    "grid-template-columns:repeat(auto-fill,minmax(190px,1fr));gap:18px 12px}.small figcaption{font-size:12px}"
    ".small span{display:block}figure{margin:0}figcaption{font-size:13px;"
    "line-height:1.3;margin-bottom:2px}figcaption "
    "span{color:var(--soft)}svg{max-width:100%;height:auto;display:block}\n"
    "svg text{fill:var(--ink);font:11px system-ui,'Liberation Sans',sans-serif}svg .tick,svg .axis{fill:var(--soft)}"
    "svg .name{font-size:13px}svg .value{font-size:12.5px}svg .strong{font-size:13px;font-weight:650}svg "
    ".badtext{fill:var(--bad)}\n"
    "svg .grid{stroke:var(--rule)}.line{fill:none;stroke-width:1.8;stroke-linejoin:round}.c1{stroke:var(--c1)}"
    ".c2{stroke:var(--c2)}.c3{stroke:var(--c3)}.bad{stroke:var(--bad)}.faint{stroke:var(--faint)}"
    ".dash{stroke-dasharray:5 4}.thin{stroke-width:.7;opacity:.6}.thick{stroke-width:2.6}.dot{stroke:none}"
    ".dot.c1{fill:var(--c1)}.dot.c2{fill:var(--c2)}.dot.c3{fill:var(--c3)}.c1fill{fill:var(--c1)}.badfill{fill:var(--"
    "bad)}"
    ".bar{opacity:.8}.whisker{stroke:var(--ink);stroke-width:1.3}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-"
    "nums}"
    "th,td{padding:5px 10px;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}"
    "th{color:var(--soft);font-weight:550;font-size:12.5px}th:first-child,td:first-child{text-align:left;padding-left:"
    "0}"
    "td.low{color:var(--bad)}td .i{color:var(--soft)}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 18px;font-size:14px;margin:0}dt{color:var(--soft);"
    "font:13px ui-monospace,monospace}dd{margin:0}.hash{font:12px ui-monospace,monospace;color:var(--soft);"
    "word-break:break-all}footer{margin-top:40px;color:var(--soft);font-size:13px}\n"
    "@media (max-width:600px){dl{grid-template-columns:1fr}dd{margin-bottom:8px}}\n";

static void number(cts_str *s, double v)
{
    if (isfinite(v))
        cts_str_printf(s, "%.4f", v);
    else
        cts_str_append(s, "&#8211;");
}

static void cell(cts_str *s, double v)
{
    cts_str_append(s, "<td>");
    number(s, v);
    cts_str_append(s, "</td>");
}

static void interval(cts_str *s, const cts_eval_value *v)
{
    if (v && isfinite(v->low) && isfinite(v->high))
        cts_str_printf(s, "%.4f to %.4f", v->low, v->high);
}

static void interval_cell(cts_str *s, const cts_eval_value *v)
{
    cts_str_append(s, "<td><span class=\"i\">");
    interval(s, v);
    cts_str_append(s, "</span></td>");
}

/* ---- head ---- */

static void card(cts_str *s, const cts_eval_value *v, const char *name)
{
    cts_str_append(s, "<div class=\"card\"><span class=\"k\">");
    cts_xml_text(s, name);
    cts_str_append(s, "</span><b>");
    number(s, v->value);
    cts_str_append(s, "</b><span class=\"i\">");
    interval(s, v);
    if (isfinite(v->random))
        cts_str_printf(s, "%srandom %.3f", isfinite(v->low) ? "<br/>" : "", v->random);
    cts_str_append(s, "</span></div>\n");
}

/* The figures a reader looks for first, as far as they are there. */
static void cards(cts_str *s, const cts_eval_result *r)
{
    static const char *const first[] = {"auroc",          "f1_wml@0.5",      "f1_w2@roc",       "f1_bin@val",
                                        "f1_w2@youden",   "t2i_r@1",         "t2i_r@5",         "t2i_r@10",
                                        "i2t_r@1",        "i2t_r@5",         "i2t_r@10",        "t2i_r@50",
                                        "i2t_r@50",       "map_ctclip@5",    "map_ctclip@10",   "map_spectre@5",
                                        "map_spectre@10", "map_radfinder@5", "map_radfinder@10"};

    cts_str_append(s, "<div class=\"cards\">\n");
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        const cts_eval_value *v = cts_eval_result_find(r, first[i], -1);

        if (v)
            card(s, v, strcmp(first[i], "auroc") ? first[i] : "auroc (macro)");
    }
    cts_str_append(s, "</div>\n");
}

static void notes(cts_str *s, const cts_str *lines, const char *css)
{
    const char *p = cts_str_text(lines);
    char line[1024];

    if (!*p)
        return;
    cts_str_printf(s, "<div class=\"note %s\">", css);
    while (*p) {
        size_t n = strcspn(p, "\n");

        snprintf(line, sizeof line, "%.*s", (int)n, p);
        cts_str_append(s, "<p>");
        cts_xml_text(s, line);
        cts_str_append(s, "</p>");
        p += n + (p[n] == '\n');
    }
    cts_str_append(s, "</div>\n");
}

static void head(cts_str *s, const cts_eval_result *r)
{
    const char *protocol = *r->protocol->name ? r->protocol->name : "all figures side by side";

    cts_str_append(s, "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\"><head><meta "
                      "charset=\"utf-8\"/><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>"
                      "<title>ctsearch eval ");
    cts_xml_text(s, r->verb);
    cts_str_append(s, "</title><style>\n");
    cts_str_append(s, style);
    cts_str_append(s, "</style></head><body>\n<h1>");
    cts_xml_text(s, r->protocol->task == CTS_TASK_RECALL ? "Retrieval of pairs"
                    : r->protocol->task == CTS_TASK_MAP  ? "Retrieval of scans by scans"
                    : !strcmp(r->verb, "zeroshot")       ? "Zero-shot classification"
                                                         : "Classification");
    cts_str_append(s, "</h1>\n<p class=\"sub\">");
    cts_xml_text(s, protocol);
    cts_str_printf(s, " &#183; %zu %s &#183; pool %s", r->n,
                   r->protocol->task == CTS_TASK_RECALL ? "pairs" : "labelled volumes", r->pool->name);
    if (r->n_val)
        cts_str_printf(s, " &#183; %zu validation volumes", r->n_val);
    if (r->resamples)
        cts_str_printf(s, " &#183; 95 %% intervals over %zu patients", r->patients);
    cts_str_append(s, "</p>\n");
    cards(s, r);
    notes(s, &r->warnings, "warn");
    notes(s, &r->set->remarks, "");
}

/* ---- pictures ---- */

static void recall_charts(cts_str *s, const cts_eval_result *r)
{
    static const char *const own[] = {"t2i_r", "i2t_r"}, *const scan[] = {"t2i_scan_r", "i2t_scan_r"},
                             *const name[] = {"t2i", "i2t"};

    cts_str_append(s, "<h2>Recall at k</h2>\n<div class=\"row\">");
    if (r->figures & CTS_FIGURE_PAIR) {
        cts_str_append(s, "<figure><figcaption>the own partner</figcaption>");
        cts_eval_chart_at_k(r, own, name, 2, "Recall at k of the own partner", s);
        cts_str_append(s, "</figure>");
    }
    for (size_t i = 0; i < r->n_values; i++)
        if (!strncmp(r->value[i].metric, "t2i_scan_r@", 11)) {
            cts_str_append(s, "<figure><figcaption>any reconstruction of the scan</figcaption>");
            cts_eval_chart_at_k(r, scan, name, 2, "Recall at k of any reconstruction of the scan", s);
            cts_str_append(s, "</figure>");
            break;
        }
    cts_str_append(s, "</div>\n");
}

static void map_charts(cts_str *s, const cts_eval_result *r)
{
    static const char *const metric[] = {"map_ctclip", "map_spectre", "map_radfinder"}, *const model = "model";

    cts_str_append(s,
                   "<h2>MAP at k: three definitions, never to be compared with one another</h2>\n<div class=\"row\">");
    for (int i = 0; i < 3; i++) {
        if (!(r->figures & (unsigned)(CTS_FIGURE_CTCLIP << i)))
            continue;
        cts_str_printf(s, "<figure><figcaption>%s</figcaption>", metric[i]);
        cts_eval_chart_at_k(r, &metric[i], &model, 1, metric[i], s);
        cts_str_append(s, "</figure>");
    }
    cts_str_append(s, "</div>\n");
}

static void classify_charts(cts_str *s, const cts_eval_result *r)
{
    cts_str_append(s,
                   "<h2>AUROC</h2>\n<div class=\"row\"><figure><figcaption>of each finding, from chance on, with its "
                   "95 % interval</figcaption>");
    cts_eval_chart_bars(r, s);
    cts_str_append(s, "</figure><figure><figcaption>the mean of the findings, each finding behind it</figcaption>");
    cts_eval_chart_macro(r, s);
    cts_str_append(s, "</figure></div>\n<h2>ROC curve of each finding</h2>\n<div class=\"small\">\n");
    for (size_t i = 0; i < r->set->n_labels; i++) {
        if (isnan(cts_eval_result_find(r, "auroc", (int)i)->value))
            continue;
        cts_str_append(s, "<figure><figcaption>");
        cts_xml_text(s, r->set->label_name[i]);
        cts_str_printf(s, " <span>%zu of %zu</span></figcaption>", r->positives[i], r->n);
        cts_eval_chart_roc(r, (int)i, s);
        cts_str_append(s, "</figure>\n");
    }
    cts_str_append(s, "</div>\n");
}

/* ---- tables ---- */

static void figure_table(cts_str *s, const cts_eval_result *r)
{
    cts_str_append(s, "<h2>Figures</h2>\n<div class=\"wide\"><table><thead><tr><th>figure</th><th>value</th><th>95 % "
                      "interval</th><th>random</th><th>oracle</th><th>n</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < r->n_values; i++) {
        const cts_eval_value *v = &r->value[i];

        if (v->label >= 0)
            continue;
        cts_str_append(s, "<tr><td>");
        cts_xml_text(s, strcmp(v->metric, "auroc") ? v->metric : "auroc (macro)");
        cts_str_append(s, "</td>");
        cell(s, v->value);
        interval_cell(s, v);
        cell(s, v->random);
        cell(s, v->oracle);
        cts_str_printf(s, "<td>%zu</td></tr>\n", v->n);
    }
    if (r->protocol->task == CTS_TASK_RECALL && isfinite(r->median_rank[0]))
        cts_str_printf(
            s, "<tr><td>median rank t2i, i2t</td><td>%.1f, %.1f</td><td></td><td>%.1f</td><td></td><td>%zu</td></tr>\n",
            r->median_rank[0], r->median_rank[1], ((double)r->n + 1.0) / 2.0, r->n);
    cts_str_append(s, "</tbody></table></div>\n");
}

static void finding_row(cts_str *s, const cts_eval_result *r, int label, const char *const *each, size_t n)
{
    const cts_eval_value *v = cts_eval_result_find(r, "auroc", label);

    cts_str_append(s, "<tr><td>");
    cts_xml_text(s, r->set->label_name[label]);
    cts_str_printf(s, "</td><td>%zu</td><td%s>", r->positives[label], v->value < 0.5 ? " class=\"low\"" : "");
    number(s, v->value);
    cts_str_append(s, "</td>");
    interval_cell(s, v);
    for (size_t i = 0; i < n; i++) {
        const cts_eval_value *x = cts_eval_result_find(r, each[i], label);

        cell(s, x ? x->value : NAN);
    }
    for (int t = 0; t < 3; t++)
        if (r->figures & (unsigned)(CTS_FIGURE_W2 << t))
            cell(s, r->threshold[t][label]);
    cts_str_append(s, "</tr>\n");
}

static void finding_table(cts_str *s, const cts_eval_result *r)
{
    static const char *const all[] = {
        "f1@0.5",        "precision@0.5", "recall@0.5",         "f1_w2@roc",         "accuracy@roc",
        "precision@roc", "recall@roc",    "f1_bin@val",         "accuracy@val",      "precision@val",
        "recall@val",    "f1_w2@youden",  "sensitivity@youden", "specificity@youden"};
    static const char *const threshold[] = {"threshold@roc", "threshold@val", "threshold@youden"};
    const char *each[sizeof all / sizeof *all];
    size_t n = 0;

    cts_str_append(s, "<h2>Findings</h2>\n<div class=\"wide\"><table><thead><tr><th>finding</th><th>positives</th>"
                      "<th>AUROC</th><th>95 % interval</th>");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (cts_eval_result_find(r, all[i], 0)) {
            each[n++] = all[i];
            cts_str_printf(s, "<th>%s</th>", all[i]);
        }
    for (int t = 0; t < 3; t++)
        if (r->figures & (unsigned)(CTS_FIGURE_W2 << t))
            cts_str_printf(s, "<th>%s</th>", threshold[t]);
    cts_str_append(s, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < r->set->n_labels; i++)
        finding_row(s, r, (int)i, each, n);
    cts_str_append(s, "</tbody></table></div>\n");
}

/* ---- how it was taken ---- */

static void put_rule(void *ctx, const char *key, const char *text)
{
    cts_str *s = ctx;

    cts_str_append(s, "<dt>");
    cts_xml_text(s, key);
    cts_str_append(s, "</dt><dd>");
    cts_xml_text(s, text);
    cts_str_append(s, "</dd>\n");
}

static void protocol_box(cts_str *s, const cts_eval_result *r)
{
    char text[256];

    cts_str_append(s, "<h2>How it was taken</h2>\n<dl>\n");
    put_rule(s, "protocol", *r->protocol->name ? r->protocol->name : r->verb);
    put_rule(s, "what", r->protocol->about);
    snprintf(text, sizeof text, "%s: %s; %zu volumes, %zu left out for want of a vector, %zu without labels",
             r->pool->name, r->pool->about, r->n, r->set->skipped, r->unlabelled);
    put_rule(s, "pool", text);
    if (r->protocol->task != CTS_TASK_RECALL)
        put_rule(s, "labels", r->set->label_set);
    cts_eval_figure_rules(r->figures, put_rule, s);
    if (r->resamples) {
        snprintf(text, sizeof text,
                 "percentiles of %zu resamples of %zu patients, seed %llu; thresholds and ranks are those "
                 "of all data",
                 r->resamples, r->patients, (unsigned long long)r->seed);
        put_rule(s, "intervals", text);
    }
    for (size_t i = 0; i < r->set->n_sources; i++) {
        cts_str_append(s, "<dt>");
        cts_xml_text(s, r->set->source[i].what);
        cts_str_append(s, "</dt><dd>");
        cts_xml_text(s, r->set->source[i].path);
        cts_str_append(s, "<br/><span class=\"hash\">sha256 ");
        cts_xml_text(s, r->set->source[i].sha256);
        cts_str_append(s, "</span></dd>\n");
    }
    cts_str_append(s, "</dl>\n<footer>ctsearch: for research only, not a medical device.</footer>\n</body></html>\n");
}

int cts_eval_result_html(const cts_eval_result *r, const char *path)
{
    cts_str s = {0};
    int rc;

    head(&s, r);
    if (r->protocol->task == CTS_TASK_RECALL)
        recall_charts(&s, r);
    else if (r->protocol->task == CTS_TASK_MAP)
        map_charts(&s, r);
    else
        classify_charts(&s, r);
    figure_table(&s, r);
    if (r->protocol->task == CTS_TASK_CLASSIFY)
        finding_table(&s, r);
    protocol_box(&s, r);
    rc = s.failed ? cts_fail(CTS_E_NOMEM, "%s: out of memory", path)
                  : cts_file_write_atomic(path, cts_str_text(&s), s.n);
    cts_str_free(&s);
    return rc;
}
