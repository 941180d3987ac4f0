/* The one list of families, and what they share. SPDX-License-Identifier: MIT */
#include "encoders/import/families.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/findings.h"
#include "encoders/import/families_internal.h"
#include "kernels/base/check.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

static const cts_import_family *const families[] = {
    &cts_import_dcformer,  &cts_import_med3dvlm, &cts_import_ctclip,
    &cts_import_ct_scroll, &cts_import_bert,     &cts_import_sentence_transformer,
};

int cts_import_family_count(void)
{
    return (int)CTS_COUNT(families);
}

const cts_import_family *cts_import_family_at(int i)
{
    CTS_ASSERT(i >= 0 && i < cts_import_family_count(), "family %d of %d", i, cts_import_family_count());
    return families[i];
}

static int unknown(const cts_import_keys *k, const cts_import_options *o)
{
    cts_str s = {0};
    int rc;

    for (size_t i = 0; i < CTS_COUNT(families); i++)
        cts_str_printf(&s, "%s%s", i ? ", " : "", families[i]->name);
    if (o->family) {
        rc = cts_fail(CTS_E_NOTFOUND, "family is \"%s\", known are %s", o->family, cts_str_text(&s));
    } else {
        cts_str_append(&s, "; the file's tensors are ");
        for (int i = 0; i < k->n && i < 5; i++)
            cts_str_printf(&s, "%s%.80s", i ? ", " : "", k->key[i].w->name);
        rc = cts_fail(CTS_E_NOTFOUND, "the names of the %d tensors belong to no known family: %s%s", k->n,
                      cts_str_text(&s), k->n > 5 ? ", ..." : "");
    }
    cts_str_free(&s);
    return rc;
}

int cts_import_family_find(const cts_import_family **out, const cts_import_keys *k, const cts_import_options *o)
{
    const cts_import_family *best = NULL;
    int score = 0;

    for (size_t i = 0; i < CTS_COUNT(families); i++) {
        int s;

        if (o->family) {
            if (!strcmp(o->family, families[i]->name))
                best = families[i];
            continue;
        }
        if ((s = families[i]->detect(k, o)) > score) {
            score = s;
            best = families[i];
        }
    }
    if (!best)
        return unknown(k, o);
    *out = best;
    return CTS_OK;
}

int cts_import_note(cts_import_draft *d, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return json_array_append_new(d->notes, json_string(text)) ? cts_fail(CTS_E_NOMEM, "out of memory for a note")
                                                              : CTS_OK;
}

void cts_import_section_add(cts_import_draft *d, const char *from, const char *to, const cts_import_rule *rules, int n)
{
    CTS_ASSERT(d->n_sections < CTS_IMPORT_SECTIONS, "more than %d sections", CTS_IMPORT_SECTIONS);
    d->section[d->n_sections++] = (cts_import_section){from, to, rules, n};
}

int cts_import_scalar(double *out, const cts_weight *t)
{
    char got[96];
    float v;

    if (t->count != 1)
        return cts_fail(CTS_E_MISMATCH, "tensor %s has shape %s, wanted one value", t->name,
                        cts_shape_text(got, t->ndim, t->shape));
    cts_weight_to_f32(&v, t);
    *out = v;
    return CTS_OK;
}

json_t *cts_import_labels(int64_t n)
{
    json_t *a = n == CTS_FINDINGS ? json_array() : NULL;

    for (int64_t i = 0; a && i < n; i++)
        if (json_array_append_new(a, json_string(cts_findings[i].name)) != 0) {
            json_decref(a);
            return NULL;
        }
    return a;
}

void cts_import_pair_drop(cts_import_pair *p)
{
    json_decref(p->image);
    json_decref(p->text);
    json_decref(p->temperature);
    json_decref(p->classifier);
    p->image = p->text = p->temperature = p->classifier = NULL;
}

int cts_import_pair_temperature(cts_import_pair *p, const cts_import_keys *k, const char *name)
{
    const cts_weight *t = cts_import_find(k, "%s", name);
    double value = 0;
    int rc;

    if (!t)
        return CTS_OK;
    if ((rc = cts_import_scalar(&value, t)) != CTS_OK)
        return rc;
    p->temperature = json_pack("{s:s, s:f}", "kind", "learned", "value", value);
    return p->temperature ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for a configuration");
}

int cts_import_pair_config(cts_import_draft *d, cts_import_pair *p)
{
    json_t *t = p->temperature ? p->temperature : json_pack("{s:s, s:f}", "kind", "constant", "value", 1.0);
    json_t *c = json_pack("{s:s, s:i, s:o?, s:o?, s:I, s:{s:s, s:s}, s:o}", "format", "ctsearch-clip", "version", 1,
                          "image", p->image, "text", p->text, "latent_dim", (json_int_t)p->latent_dim, "projection",
                          "image", p->image_projection ? p->image_projection : "none", "text",
                          p->text_projection ? p->text_projection : "none", "temperature", t);
    bool bad = !c;

    if (c && p->report_text)
        bad |= json_object_set_new(c, "report_text", json_string(p->report_text)) != 0;
    if (c && p->max_length)
        bad |= json_object_set_new(c, "max_length", json_integer(p->max_length)) != 0;
    if (c && p->classifier)
        bad |= json_object_set(c, "classifier", p->classifier) != 0;
    json_decref(p->classifier);
    p->image = p->text = p->temperature = p->classifier = NULL;
    if (bad) {
        json_decref(c);
        return cts_fail(CTS_E_NOMEM, "out of memory for a configuration");
    }
    d->config = c;
    return CTS_OK;
}
