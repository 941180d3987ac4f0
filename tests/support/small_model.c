/* SPDX-License-Identifier: MIT */
#include "tests/support/small_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/recipe.h"
#include "encoders/model_dir.h"
#include "kernels/base/file.h"
#include "kernels/base/rng.h"
#include "tests/support/program.h"

#define DCFORMER                                                                                                       \
    "{\"image\": {\"preset\": \"dcformer-nano\", \"config\": {\"input_size\": [24, 32, 32]}}, \"text\": null, "        \
    "\"latent_dim\": 24"

const char cts_small_scroll[] =
    "{\"image\": {\"encoder\": \"ct_scroll\", \"config\": {\"width\": 4, \"embed_dim\": 16, \"heads\": 2, \"window\": "
    "2, "
    "\"n_labels\": 18, \"input_size\": [24, 32, 32]}}, \"text\": null, \"latent_dim\": 16, "
    "\"projection\": {\"image\": \"none\"}, \"classifier\": {\"head\": \"encoder\", \"labels\": [\"Medical material\", "
    "\"Arterial wall calcification\", \"Cardiomegaly\", \"Pericardial effusion\", \"Coronary artery wall "
    "calcification\", \"Hiatal hernia\", \"Lymphadenopathy\", \"Emphysema\", \"Atelectasis\", \"Lung nodule\", \"Lung "
    "opacity\", \"Pulmonary fibrotic sequela\", \"Pleural effusion\", \"Mosaic attenuation pattern\", \"Peribronchial "
    "thickening\", \"Consolidation\", \"Bronchiectasis\", \"Interlobular septal thickening\"]}}";
const char cts_small_linear[] = DCFORMER ", \"classifier\": {\"head\": \"linear\", \"input\": \"vector\", \"relu\": "
                                         "true, \"dropout\": 0.3, \"labels\": [\"Pleural effusion\", \"Emphysema\", "
                                         "\"Cardiomegaly\"]}}";
const char cts_small_foreign[] = DCFORMER ", \"classifier\": {\"head\": \"linear\", \"input\": \"embedding\", "
                                          "\"labels\": [\"Fracture\", \"Embolism\"]}}";
const char cts_small_headless[] = DCFORMER "}";
const char cts_small_ctvit[] =
    "{\"image\": {\"encoder\": \"ctvit\", \"config\": {\"dim\": 8, \"codebook_size\": 16, \"image_size\": [32, 32], "
    "\"depth_size\": 24, \"patch_size\": [16, 16], \"temporal_patch_size\": 6, \"spatial_depth\": 1, "
    "\"temporal_depth\": 1, \"dim_head\": 4, \"heads\": 2}}, \"text\": null, \"latent_dim\": 16}";

static bool is_head(const char *name)
{
    size_t n = strlen(name);

    return !strncmp(name, "classifier.", 11) || (n > 16 && strstr(name, ".classifier."));
}

/* The initial heads are small and their biases 0: scores would all be one half. */
static void spread_heads(cts_clip *m, uint64_t seed)
{
    cts_rng r = cts_rng_make(seed);

    for (int i = 0; i < cts_params_n(m->params); i++) {
        cts_param *p = cts_params_at(m->params, i);

        for (int64_t k = 0; is_head(p->name) && k < p->count; k++)
            p->data[k] = 2.0f * (float)cts_rng_unit(&r) - 1.0f;
    }
}

void cts_small_model(const char *name, const char *config, uint64_t seed)
{
    static const double fit[3] = {0, 0, 0}, window[2] = {-1000, 1000};
    static const int64_t size[3] = {24, 32, 32};
    json_t *j = json_loads(config, 0, NULL), *recipe;
    char *dir = cts_path_join(cts_program_dir(), name), *text = NULL;
    cts_clip_config c = {0};
    cts_clip *m = NULL;
    cts_recipe r;

    assert_non_null(j);
    assert_non_null(dir);
    if (cts_clip_config_parse(&c, j, name) || cts_clip_create_init(&m, &c, seed) ||
        cts_recipe_free(&r, "small", fit, size, window) || cts_recipe_text(&r, &text))
        fail_msg("%s", cts_error());
    spread_heads(m, seed);
    assert_non_null(recipe = json_loads(text, 0, NULL));
    if (cts_model_dir_save(dir, m, NULL, recipe))
        fail_msg("%s", cts_error());
    cts_clip_destroy(m);
    json_decref(recipe);
    json_decref(j);
    free(text);
    free(dir);
}
