/* SPDX-License-Identifier: MIT */
#include "query/training/presets.h"

#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

/* What no recipe is about. */
#define MACHINE .loader_threads = 2, .cache_bytes = (size_t)2 << 30, .keep = 2, .shuffle = true

static const cts_train_preset presets[] = {
    {.name = "ctsearch",
     .about = "ours, from scratch on few pairs: sentences of the reports, mean pooling, batch norms before the "
              "projections, learned temperature, warm-up and cosine",
     .setup = {.image = "dcformer-nano",
               .text = "bert-tiny",
               .tokenizer_kind = "wordpiece",
               .vocab = 4000,
               .latent = 512,
               .codebook = 0,
               .reduction = "channel",
               .learned_temperature = true,
               .temperature = 1.0,
               .dropout = 0.1,
               .pooling = "mean",
               .text_init = 0.05,
               .projection_norm = true,
               .draw = CTS_DRAW_SENTENCES,
               .impressions = 4,
               .clip = {.loss = CTS_LOSS_INFONCE,
                        .max_tokens = 256,
                        .loop = {.adamw = {.beta1 = 0.9, .beta2 = 0.98, .eps = 1e-6, .weight_decay = 0.1, .clip = 1.0},
                                 .schedule = {.kind = CTS_SCHEDULE_COSINE, .lr = 1e-3, .min_lr = 1e-5, .warmup = 50},
                                 .batch = 16,
                                 .accumulate = 1,
                                 MACHINE}}}},
    {.name = "dcformer-published",
     .about =
         "what DCFormer's code does: quantiser, constant scale e, the batch's own negatives, constant rate 2.5e-6, "
         "no clipping, whole reports",
     .published = true,
     .setup = {.image = "dcformer-nano",
               .text = "bert-base",
               .tokenizer_kind = "wordpiece",
               .vocab = 30522,
               .latent = 512,
               .codebook = 8192,
               .reduction = "channel",
               .learned_temperature = false,
               .temperature = 1.0,
               .dropout = 0.1,
               .pooling = "cls",
               .text_init = 0.02,
               .projection_norm = false,
               .report_text = "dcformer_train",
               .draw = CTS_DRAW_REPORT,
               .clip = {.loss = CTS_LOSS_DCFORMER,
                        .max_tokens = 512,
                        .loop = {.adamw = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.05, .clip = 0.0},
                                 .schedule = {.kind = CTS_SCHEDULE_CONSTANT, .lr = 2.5e-6},
                                 .batch = 8,
                                 .accumulate = 1,
                                 MACHINE}}}},
};

int cts_train_preset_count(void)
{
    return (int)CTS_COUNT(presets);
}

const cts_train_preset *cts_train_preset_at(int i)
{
    return &presets[i];
}

int cts_train_preset_find(const cts_train_preset **out, const char *name)
{
    cts_str known = {0};
    int rc;

    for (size_t i = 0; i < CTS_COUNT(presets); i++) {
        if (!strcmp(presets[i].name, name)) {
            cts_str_free(&known);
            *out = &presets[i];
            return CTS_OK;
        }
        cts_str_printf(&known, "%s%s", i ? ", " : "", presets[i].name);
    }
    rc = cts_fail(CTS_E_USAGE, "--preset: got %s, allowed: %s", name, cts_str_text(&known));
    cts_str_free(&known);
    return rc;
}

cts_train_setup cts_train_defaults(void)
{
    return presets[0].setup;
}
