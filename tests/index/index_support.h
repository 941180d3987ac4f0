/* Shared by the tests of the index: scratch folders and seeded unit vectors.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TESTS_INDEX_SUPPORT_H
#define CTS_TESTS_INDEX_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "index/index.h"
#include "kernels/base/file.h"
#include "kernels/base/rng.h"
#include "kernels/base/status.h"

/* A status of CTS_OK, else the sentence is printed and the test fails. */
#define OK(call)                                                                                                       \
    do {                                                                                                               \
        int rc_ = (call);                                                                                              \
        if (rc_ != CTS_OK) {                                                                                           \
            print_error("%s:%d: %s -> %s: %s\n", __FILE__, __LINE__, #call, cts_status_name(rc_), cts_error());        \
            fail();                                                                                                    \
        }                                                                                                              \
    } while (0)

/* The call fails with this status and a sentence that holds `text`. */
#define FAILS(rc, text, call)                                                                                          \
    do {                                                                                                               \
        int rc_ = (call);                                                                                              \
        if (rc_ != (rc) || !strstr(cts_error(), text)) {                                                               \
            print_error("%s:%d: %s -> %s: %s\n", __FILE__, __LINE__, #call, cts_status_name(rc_), cts_error());        \
            fail();                                                                                                    \
        }                                                                                                              \
    } while (0)

static inline char *scratch_make(void)
{
    char *path = strdup("/tmp/cts-index-XXXXXX");

    assert_non_null(mkdtemp(path));
    return path;
}

static inline void scratch_remove(char *path)
{
    OK(cts_remove_tree(path));
    free(path);
}

static inline void unit_scale(float *v, size_t dim)
{
    double sum = 0;

    for (size_t i = 0; i < dim; i++)
        sum += (double)v[i] * v[i];
    for (size_t i = 0; i < dim; i++)
        v[i] = (float)(v[i] / sqrt(sum));
}

/* n unit vectors around n_clusters centres (0 = none) that are the same for every key of one `centres` stream. */
static inline float *vectors_make(uint64_t key, size_t n, size_t dim, size_t n_clusters)
{
    float *v = (float *)malloc(n * dim * sizeof(*v));
    cts_rng rng = cts_rng_make(cts_rng_split(key, 1));
    uint64_t centres = cts_rng_split(77, n_clusters);

    assert_non_null(v);
    for (size_t i = 0; i < n; i++) {
        size_t c = n_clusters ? (size_t)cts_rng_below(&rng, n_clusters) : 0;

        for (size_t j = 0; j < dim; j++) {
            v[i * dim + j] = (float)cts_rng_normal(&rng);
            if (n_clusters)
                v[i * dim + j] = 0.5f * v[i * dim + j] + 2.0f * (float)(cts_rng_unit_at(centres, c * dim + j) - 0.5);
        }
        unit_scale(v + i * dim, dim);
    }
    return v;
}

/* An item with everything a function of its number. */
typedef struct {
    char name[32], volume[64], patient[40], scan[40], report[96];
    cts_index_item item;
} named_item;

static inline void item_make(named_item *n, size_t i, const float *image, const float *text)
{
    snprintf(n->name, sizeof(n->name), "scan_%zu", i);
    snprintf(n->volume, sizeof(n->volume), "/volumes/scan_%zu.nii.gz", i);
    snprintf(n->patient, sizeof(n->patient), "patient_%zu", i / 4);
    snprintf(n->scan, sizeof(n->scan), "s%zu", i / 2);
    snprintf(n->report, sizeof(n->report), "Report number %zu: \"quoted\"\nsecond line, caf\xc3\xa9.", i);
    memset(&n->item, 0, sizeof(n->item));
    n->item.name = n->name;
    n->item.image = image;
    n->item.text = text;
    n->item.volume = n->volume;
    n->item.patient = n->patient;
    n->item.scan = n->scan;
    n->item.report = n->report;
    n->item.labels = (uint32_t)(i % 8);
    n->item.labels_known = i % 16 == 15 ? 3u : 7u;
    n->item.flags = (uint32_t)i;
}

/* Add items [from, from + n) in one transaction; images [n, dim] and texts [n, dim] may be NULL. */
static inline int items_add(cts_index *ix, size_t from, size_t n, const float *images, const float *texts, bool update,
                            uint64_t *ids)
{
    size_t dim = cts_index_describe(ix)->dim;
    named_item *names = (named_item *)calloc(n, sizeof(*names));
    cts_index_item *items = (cts_index_item *)calloc(n, sizeof(*items));
    int rc;

    assert_true(names && items);
    for (size_t i = 0; i < n; i++) {
        item_make(&names[i], from + i, images ? images + i * dim : NULL, texts ? texts + i * dim : NULL);
        items[i] = names[i].item;
    }
    rc = cts_index_add(ix, items, n, update, ids);
    free(names);
    free(items);
    return rc;
}

static inline cts_index *index_make(const char *path, size_t dim)
{
    cts_index_options o;
    cts_index *ix = NULL;

    memset(&o, 0, sizeof(o));
    o.dim = dim;
    o.model_digest = "aaaaaaaaaaaaaaaa1111";
    o.tokenizer_digest = "bbbbbbbbbbbbbbbb2222";
    o.recipe_digest = "cccccccccccccccc3333";
    o.model = "models/nano";
    o.recipe = "{\"size\": [64, 96, 96]}";
    o.meta = "{\"labels\": [\"a\", \"b\"]}";
    OK(cts_index_create(&ix, path, &o));
    return ix;
}

static inline void index_verify(cts_index *ix)
{
    cts_store_report report;

    OK(cts_index_verify(ix, &report));
    assert_int_equal(report.problems, 0);
}

#endif
