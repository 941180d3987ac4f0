/* CT-Scroll: the published state dict, a classifier of 18 findings. Window, heads and the size of the volume are in no
 * shape: a config.json beside the weights may say them, otherwise they are the published ones.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "encoders/import/families_internal.h"
#include "kernels/base/check.h"
#include "kernels/base/json.h"
#include "kernels/base/status.h"

#define IMAGE "visual_transformer."
#define MAX_BLOCKS 256

static const cts_import_rule rules[] = {
    {"*.num_batches_tracked", NULL, "a counter that nothing reads", 0},
};

typedef struct {
    int64_t width, embed, blocks, window, heads, labels;
    int64_t volume[3];
} sizes;

static int read_sizes(sizes *s, const cts_import_keys *k, const cts_import_options *o)
{
    const cts_weight *stem, *projection, *head;
    int rc;

    *s = (sizes){.window = 16, .heads = 8, .volume = {240, 480, 480}};
    if ((rc = cts_import_need(&stem, k, 4, "features.0.weight")) != CTS_OK ||
        (rc = cts_import_need(&projection, k, 2, "projection_gap.0.weight")) != CTS_OK ||
        (rc = cts_import_need(&head, k, 2, "classifier.3.weight")) != CTS_OK)
        return rc;
    if (o->config && ((rc = cts_json_int(&s->window, o->config, "window", false, 1, 4096, o->config_path)) != CTS_OK ||
                      (rc = cts_json_int(&s->heads, o->config, "heads", false, 1, 1024, o->config_path)) != CTS_OK ||
                      (rc = cts_json_ints(s->volume, 3, o->config, "input_size", false, o->config_path)) != CTS_OK))
        return rc;
    if (o->input_size[0])
        memcpy(s->volume, o->input_size, sizeof s->volume);
    if (s->volume[0] % 3 != 0)
        return cts_fail(CTS_E_INPUT, "the volume has %lld slices, CT-Scroll takes them by three",
                        (long long)s->volume[0]);
    s->width = stem->shape[0];
    s->embed = projection->shape[0];
    s->labels = head->shape[0];
    while (s->blocks < MAX_BLOCKS &&
           cts_import_find(k, "blocks.%lld.global_block.attention.in_proj_weight", (long long)s->blocks))
        s->blocks++;
    return CTS_OK;
}

static int detect(const cts_import_keys *k, const cts_import_options *o)
{
    (void)o;
    return cts_import_find(k, "features.0.weight") &&
                   cts_import_find(k, "blocks.0.global_block.attention.in_proj_weight")
               ? 50
               : 0;
}

static int plan(cts_import_draft *d, const cts_import_keys *k, const cts_import_options *o)
{
    cts_import_pair p = {0};
    json_t *labels;
    sizes s;
    int rc = read_sizes(&s, k, o);

    if (rc != CTS_OK)
        return rc;
    p.image = json_pack("{s:s, s:{s:I, s:I, s:I, s:I, s:o, s:I, s:I}}", "encoder", "ct_scroll", "config", "width",
                        (json_int_t)s.width, "embed_dim", (json_int_t)s.embed, "num_blocks", (json_int_t)s.blocks,
                        "window", (json_int_t)s.window, "input_size", cts_json_from_ints(s.volume, 3), "n_labels",
                        (json_int_t)s.labels, "heads", (json_int_t)s.heads);
    p.latent_dim = s.embed;
    if ((labels = cts_import_labels(s.labels)))
        p.classifier = json_pack("{s:o, s:s}", "labels", labels, "head", "encoder");
    else if ((rc = cts_import_note(d,
                                   "its %lld logits are not CT-RATE's 18 findings: their names are unknown, and the "
                                   "folder has no classifier before config.json names them",
                                   (long long)s.labels)) != CTS_OK)
        goto out;
    cts_import_section_add(d, "", IMAGE, rules, (int)CTS_COUNT(rules));
    d->recipe = "ctscroll";
    return cts_import_pair_config(d, &p);
out:
    cts_import_pair_drop(&p);
    return rc;
}

const cts_import_family cts_import_ct_scroll = {
    .name = "ct_scroll",
    .about = "CT-Scroll: the classifier of 18 findings",
    .detect = detect,
    .plan = plan,
};
