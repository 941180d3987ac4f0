/* SPDX-License-Identifier: MIT */
#include "query/training/parts.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/json.h"
#include "kernels/base/status.h"

#define SMOOTH 0.95 /* of the mean stays */

int cts_train_recipe(cts_recipe *out, const cts_model *init, const cts_recipe *given)
{
    char model[CTS_DIGEST_HEX], asked[CTS_DIGEST_HEX], *path;
    cts_recipe own;
    int rc;

    if (!init || !init->preprocess) {
        if (!given)
            return cts_fail(CTS_E_USAGE,
                            "%s has no preprocess.json: name the recipe of its volumes with --recipe or --size",
                            init ? init->dir : "the model");
        *out = *given;
        return CTS_OK;
    }
    path = cts_path_join(init->dir, "preprocess.json");
    rc = path ? cts_recipe_load(&own, path) : cts_fail(CTS_E_NOMEM, "out of memory");
    free(path);
    if (rc || (given && ((rc = cts_recipe_digest(&own, model)) || (rc = cts_recipe_digest(given, asked)))))
        return rc;
    if (given && strcmp(model, asked) != 0)
        return cts_fail(CTS_E_USAGE, "--recipe: got %s, the model in %s was made with %s (another digest)", given->name,
                        init->dir, own.name);
    *out = own;
    return CTS_OK;
}

int cts_train_encoder_json(json_t **out, const char *preset, json_t *changes)
{
    const cts_encoder_def *def;
    void *config = NULL;
    json_t *j = NULL;
    int rc = cts_encoder_preset_find(&def, &config, preset);

    if (!rc && (!(j = cts_encoder_to_json(def, config)) || json_object_update(json_object_get(j, "config"), changes)))
        rc = cts_fail(CTS_E_NOMEM, "out of memory for a configuration");
    json_decref(changes);
    free(config);
    if (rc)
        json_decref(j);
    else
        *out = j;
    return rc;
}

int64_t cts_train_epoch_steps(int64_t epochs, int64_t n, const cts_loop_config *c)
{
    return cts_max_i64(1, epochs * (n / c->batch) / c->accumulate);
}

void cts_train_smooth(double *mean, double loss)
{
    *mean = *mean == 0.0 ? loss : SMOOTH * *mean + (1.0 - SMOOTH) * loss;
}

int cts_train_model_save(const char *dir, const cts_clip *m, const char *tokenizer, const cts_recipe *recipe)
{
    json_t *j = NULL;
    char *text = NULL;
    int rc = cts_recipe_text(recipe, &text);

    if (!rc && !(rc = cts_json_parse(&j, text, strlen(text), "recipe")))
        rc = cts_model_dir_save(dir, m, tokenizer, j);
    json_decref(j);
    free(text);
    return rc;
}
