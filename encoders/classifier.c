/* SPDX-License-Identifier: MIT */
#include "encoders/classifier.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "encoders/blocks.h"
#include "kernels/base/check.h"
#include "kernels/base/json.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

static const char *const heads[] = {
    [CTS_HEAD_NONE] = "none", [CTS_HEAD_ENCODER] = "encoder", [CTS_HEAD_LINEAR] = "linear"};
static const char *const inputs[] = {[CTS_HEAD_VECTOR] = "vector", [CTS_HEAD_EMBEDDING] = "embedding"};

const char *cts_head_name(cts_head_kind k)
{
    return heads[k];
}

const char *cts_head_input_name(cts_head_input i)
{
    return inputs[i];
}

int64_t cts_classifier_find(const cts_classifier *c, const char *label)
{
    for (int64_t i = 0; i < c->n; i++)
        if (!strcasecmp(c->labels[i], label))
            return i;
    return -1;
}

static int parse_labels(cts_classifier *c, const json_t *j, const char *file)
{
    const json_t *a = json_object_get(j, "labels");
    size_t n = json_array_size(a);

    if (!json_is_array(a) || n < 1 || n > CTS_LABELS_MAX)
        return cts_fail(CTS_E_FORMAT, "%s: field \"classifier.labels\" is no list of 1 to %d names", file,
                        CTS_LABELS_MAX);
    if (!(c->labels = calloc(n, sizeof *c->labels)))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for %zu labels", file, n);
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(a, i));

        if (!name || !*name || strlen(name) >= CTS_LABEL_BYTES)
            return cts_fail(CTS_E_INPUT, "%s: field \"classifier.labels\", entry %zu, is no name of 1 to %d bytes",
                            file, i, CTS_LABEL_BYTES - 1);
        if (cts_classifier_find(c, name) >= 0)
            return cts_fail(CTS_E_INPUT, "%s: field \"classifier.labels\" has \"%s\" twice", file, name);
        if (!(c->labels[i] = cts_strdup(name)))
            return cts_fail(CTS_E_NOMEM, "%s: out of memory for %zu labels", file, n);
        c->n++;
    }
    return CTS_OK;
}

/* The fields of a linear head. */
static int parse_linear(cts_classifier *c, const json_t *j, const char *file)
{
    const char *input = inputs[CTS_HEAD_VECTOR];
    int rc;

    if ((rc = cts_json_string(&input, j, "input", false, file)) != CTS_OK ||
        (rc = cts_json_bool(&c->relu, j, "relu", false, file)) != CTS_OK ||
        (rc = cts_json_double(&c->dropout, j, "dropout", false, file)) != CTS_OK)
        return rc;
    if (strcmp(input, inputs[CTS_HEAD_VECTOR]) != 0 && strcmp(input, inputs[CTS_HEAD_EMBEDDING]) != 0)
        return cts_fail(CTS_E_INPUT, "%s: field \"classifier.input\" is \"%s\", allowed vector, embedding", file,
                        input);
    if (!(c->dropout >= 0 && c->dropout < 1))
        return cts_fail(CTS_E_INPUT, "%s: field \"classifier.dropout\" is %g, allowed 0 to below 1", file, c->dropout);
    c->input = strcmp(input, inputs[CTS_HEAD_VECTOR]) ? CTS_HEAD_EMBEDDING : CTS_HEAD_VECTOR;
    return CTS_OK;
}

int cts_classifier_parse(cts_classifier *out, const json_t *j, const char *file)
{
    cts_classifier c = {0};
    const char *head = "";
    int rc;

    if (!json_is_object(j))
        return cts_fail(CTS_E_FORMAT, "%s: field \"classifier\" is no object", file);
    if ((rc = cts_json_string(&head, j, "head", true, file)) != CTS_OK || (rc = parse_labels(&c, j, file)) != CTS_OK)
        goto out;
    c.head = !strcmp(head, "encoder") ? CTS_HEAD_ENCODER : !strcmp(head, "linear") ? CTS_HEAD_LINEAR : CTS_HEAD_NONE;
    if (c.head == CTS_HEAD_NONE) {
        rc = cts_fail(CTS_E_INPUT, "%s: field \"classifier.head\" is \"%s\", allowed encoder, linear", file, head);
        goto out;
    }
    if (c.head == CTS_HEAD_LINEAR && (rc = parse_linear(&c, j, file)) != CTS_OK)
        goto out;
    *out = c;
    memset(&c, 0, sizeof c);
out:
    cts_classifier_clear(&c);
    return rc;
}

json_t *cts_classifier_write(const cts_classifier *c)
{
    json_t *labels = json_array();

    for (int64_t i = 0; labels && i < c->n; i++)
        if (json_array_append_new(labels, json_string(c->labels[i])) != 0) {
            json_decref(labels);
            return NULL;
        }
    if (c->head == CTS_HEAD_ENCODER)
        return json_pack("{s:o, s:s}", "labels", labels, "head", heads[c->head]);
    return json_pack("{s:o, s:s, s:s, s:b, s:f}", "labels", labels, "head", heads[c->head], "input", inputs[c->input],
                     "relu", c->relu, "dropout", c->dropout);
}

int cts_classifier_copy(cts_classifier *out, const cts_classifier *c)
{
    cts_classifier copy = *c;

    copy.n = 0;
    if (!(copy.labels = calloc((size_t)c->n + 1, sizeof *copy.labels)))
        return cts_fail(CTS_E_NOMEM, "out of memory for %lld labels", (long long)c->n);
    for (; copy.n < c->n; copy.n++)
        if (!(copy.labels[copy.n] = cts_strdup(c->labels[copy.n]))) {
            cts_classifier_clear(&copy);
            return cts_fail(CTS_E_NOMEM, "out of memory for %lld labels", (long long)c->n);
        }
    *out = copy;
    return CTS_OK;
}

void cts_classifier_clear(cts_classifier *c)
{
    for (int64_t i = 0; i < c->n; i++)
        free(c->labels[i]);
    free(c->labels);
    memset(c, 0, sizeof *c);
}

cts_tensor *cts_classifier_build(cts_build *b, const cts_classifier *c, cts_tensor *x)
{
    CTS_ASSERT(c->head == CTS_HEAD_LINEAR, "a head of kind %s has no layer", heads[c->head]);
    if (c->relu)
        x = cts_op_act(b->graph, x, CTS_ACT_RELU);
    if (b->dropout && c->dropout > 0)
        x = cts_op_dropout(b->graph, x, (float)c->dropout);
    return cts_block_linear(b, x, "classifier", c->n, true, NULL);
}
