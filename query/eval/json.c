/* An evaluation as JSON: the fields of docs/JSON.md. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "query/eval/result.h"
#include "query/present.h"

/* ["...", ...] of lines that end in newlines. */
static json_t *lines_json(const cts_str *s)
{
    json_t *list = json_array();

    for (const char *p = cts_str_text(s); *p;) {
        size_t n = strcspn(p, "\n");

        json_array_append_new(list, json_stringn(p, n));
        p += n + (p[n] == '\n');
    }
    return list;
}

static void put_rule(void *ctx, const char *key, const char *text)
{
    json_object_set_new(ctx, key, json_string(text));
}

static json_t *interval_json(const cts_eval_value *v)
{
    return isnan(v->low) ? json_null() : json_pack("[f, f]", v->low, v->high);
}

static json_t *value_json(const cts_eval_result *r, const cts_eval_value *v)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:I}", "metric", v->metric, "finding",
                     v->label < 0 ? json_null() : json_string(r->set->label_name[v->label]), "value",
                     cts_number_json(v->value), "interval", interval_json(v), "random", cts_number_json(v->random),
                     "oracle", cts_number_json(v->oracle), "n", (json_int_t)v->n);
}

typedef enum { VALUE, RANDOM, ORACLE } column;

/* {"r@1": ..} of the figures "<prefix>@k". */
static json_t *by_k(const cts_eval_result *r, const char *prefix, column which)
{
    json_t *j = json_object();
    size_t n = strlen(prefix);

    for (size_t i = 0; i < r->n_values; i++) {
        const cts_eval_value *v = &r->value[i];
        char key[CTS_EVAL_METRIC_MAX + 2];

        if (strncmp(v->metric, prefix, n) || v->metric[n] != '@')
            continue;
        snprintf(key, sizeof key, "r%s", v->metric + n);
        json_object_set_new(j, key,
                            cts_number_json(which == VALUE    ? v->value
                                            : which == RANDOM ? v->random
                                                              : v->oracle));
    }
    return j;
}

static void recall_fields(json_t *j, const cts_eval_result *r)
{
    json_object_set_new(j, "t2i", by_k(r, "t2i_r", VALUE));
    json_object_set_new(j, "i2t", by_k(r, "i2t_r", VALUE));
    json_object_set_new(j, "chance", by_k(r, "t2i_r", RANDOM));
    json_object_set_new(j, "oracle", by_k(r, "t2i_r", ORACLE));
    json_object_set_new(j, "median_rank_t2i", cts_number_json(r->median_rank[0]));
    json_object_set_new(j, "median_rank_i2t", cts_number_json(r->median_rank[1]));
    json_object_set_new(j, "mean_rank_t2i", cts_number_json(r->mean_rank[0]));
    json_object_set_new(j, "mean_rank_i2t", cts_number_json(r->mean_rank[1]));
    json_object_set_new(j, "scans", json_integer((json_int_t)r->scans));
}

/* Every figure of one label by its name, below name, auroc and positives. */
static json_t *finding_json(const cts_eval_result *r, int label)
{
    static const char *const threshold[] = {"threshold@roc", "threshold@val", "threshold@youden"};
    const cts_eval_value *auroc = cts_eval_result_find(r, "auroc", label);
    json_t *j =
        json_pack("{s:s, s:o, s:o, s:I}", "name", r->set->label_name[label], "auroc", cts_number_json(auroc->value),
                  "interval", interval_json(auroc), "positives", (json_int_t)r->positives[label]);

    for (size_t i = 0; i < r->n_values; i++)
        if (r->value[i].label == label && &r->value[i] != auroc)
            json_object_set_new(j, r->value[i].metric, cts_number_json(r->value[i].value));
    for (int t = 0; t < 3; t++)
        if (!isnan(r->threshold[t][label]))
            json_object_set_new(j, threshold[t], json_real(r->threshold[t][label]));
    return j;
}

static void classify_fields(json_t *j, const cts_eval_result *r)
{
    const cts_eval_value *macro = cts_eval_result_find(r, "auroc", -1);
    json_t *findings = json_array();

    for (size_t i = 0; i < r->set->n_labels; i++)
        json_array_append_new(findings, finding_json(r, (int)i));
    json_object_set_new(j, "auroc_macro", cts_number_json(macro->value));
    json_object_set_new(j, "findings", findings);
    json_object_set_new(j, "n_validation", json_integer((json_int_t)r->n_val));
}

json_t *cts_eval_result_json(const cts_eval_result *r)
{
    json_t *rules = json_object(), *values = json_array(), *j;

    cts_eval_figure_rules(r->figures, put_rule, rules);
    for (size_t i = 0; i < r->n_values; i++)
        json_array_append_new(values, value_json(r, &r->value[i]));
    j = json_pack("{s:s, s:o, s:s, s:s, s:I, s:I, s:I}", "protocol", r->protocol->about, "protocol_name",
                  *r->protocol->name ? json_string(r->protocol->name) : json_null(), "pool", r->pool->name, "pool_rule",
                  r->pool->about, "n", (json_int_t)r->n, "skipped", (json_int_t)r->set->skipped, "unlabelled",
                  (json_int_t)r->unlabelled);
    if (!j)
        return NULL;
    if (r->protocol->task == CTS_TASK_RECALL)
        recall_fields(j, r);
    if (r->protocol->task == CTS_TASK_CLASSIFY)
        classify_fields(j, r);
    json_object_set_new(j, "values", values);
    json_object_set_new(j, "rules", rules);
    json_object_set_new(j, "labels", json_string(r->set->label_set));
    json_object_set_new(j, "bootstrap",
                        json_pack("{s:I, s:I, s:I, s:f}", "resamples", (json_int_t)r->resamples, "patients",
                                  (json_int_t)r->patients, "seed", (json_int_t)r->seed, "level", 0.95));
    json_object_set_new(j, "inputs", cts_eval_sources_json(r->set));
    json_object_set_new(j, "remarks", lines_json(&r->set->remarks));
    json_object_set_new(j, "warnings", lines_json(&r->warnings));
    json_object_set_new(j, "seconds", json_real(r->seconds));
    return j;
}
