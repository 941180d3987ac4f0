/* SPDX-License-Identifier: MIT */
#include "query/eval/result.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/csv.h"
#include "kernels/base/file.h"
#include "kernels/base/status.h"
#include "query/metrics/bootstrap.h"
#include "query/present.h"

#define ALPHA 0.05 /* intervals cover 95 % */

void cts_eval_result_free(cts_eval_result *r)
{
    for (size_t i = 0; i < CTS_LABEL_MAP_MAX; i++) {
        free(r->roc[i].fpr);
        free(r->roc[i].tpr);
    }
    free(r->macro.fpr);
    free(r->macro.tpr);
    free(r->value);
    cts_str_free(&r->warnings);
    *r = (cts_eval_result){0};
}

cts_eval_value *cts_eval_result_add(cts_eval_result *r, const char *metric, int label, double value)
{
    cts_eval_value *v;

    if (r->n_values == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 64;

        if (!(v = realloc(r->value, cap * sizeof *v)))
            return NULL;
        r->value = v;
        r->cap = cap;
    }
    v = &r->value[r->n_values++];
    *v = (cts_eval_value){
        .label = label, .value = value, .low = NAN, .high = NAN, .random = NAN, .oracle = NAN, .n = r->n};
    snprintf(v->metric, sizeof v->metric, "%s", metric);
    return v;
}

const cts_eval_value *cts_eval_result_find(const cts_eval_result *r, const char *metric, int label)
{
    for (size_t i = 0; i < r->n_values; i++)
        if (r->value[i].label == label && !strcmp(r->value[i].metric, metric))
            return &r->value[i];
    return NULL;
}

int cts_eval_result_intervals(cts_eval_result *r, size_t first, size_t count, const double *sample)
{
    for (size_t i = 0; i < count; i++) {
        cts_interval x;
        int rc = cts_interval_percentile(sample + i * r->resamples, r->resamples, ALPHA, &x);

        if (rc)
            return rc;
        if (!isnan(r->value[first + i].value)) {
            r->value[first + i].low = x.lower;
            r->value[first + i].high = x.upper;
        }
    }
    return CTS_OK;
}

/* ---- CSV ---- */

static void put_number(cts_str *s, double v)
{
    if (isnan(v))
        cts_str_append(s, ",");
    else
        cts_str_printf(s, ",%.9g", v);
}

int cts_eval_result_csv(const cts_eval_result *r, const char *path)
{
    cts_str s = {0};
    int rc;

    cts_str_append(&s, "protocol,metric,finding,value,low,high,n,random,oracle\n");
    for (size_t i = 0; i < r->n_values; i++) {
        const cts_eval_value *v = &r->value[i];

        cts_csv_put(&s, *r->protocol->name ? r->protocol->name : r->verb, true);
        cts_csv_put(&s, v->metric, false);
        cts_csv_put(&s, v->label < 0 ? "" : r->set->label_name[v->label], false);
        put_number(&s, v->value);
        put_number(&s, v->low);
        put_number(&s, v->high);
        cts_str_printf(&s, ",%zu", v->n);
        put_number(&s, v->random);
        put_number(&s, v->oracle);
        cts_str_append(&s, "\n");
    }
    rc = s.failed ? cts_fail(CTS_E_NOMEM, "%s: out of memory", path)
                  : cts_file_write_atomic(path, cts_str_text(&s), s.n);
    cts_str_free(&s);
    return rc;
}
