/* SPDX-License-Identifier: MIT */
#include "query/training/label_model.h"

#include <stdlib.h>
#include <string.h>

#include "encoders/import/trunk.h"
#include "kernels/base/check.h"
#include "kernels/base/json.h"
#include "kernels/base/log.h"
#include "kernels/base/status.h"
#include "query/engine.h"
#include "query/training/parts.h"

#define HEAD "classifier."
#define PAIR_DROPOUT 0.3 /* of the published probes of CT-CLIP and DCFormer, on the embedding */
#define SCROLL_EMBED 512 /* of CT-Scroll; its last layer has 8 x width channels */
#define MOST_WEIGHT 1000.0
#define MAX_WEIGHTS ((size_t)1 << 20)

/* ---- the configuration ----------------------------------------------------------------------------------------- */

static int set_size(json_t *changes, const char *key, int64_t v)
{
    return v < 0 ? 0 : json_object_set_new(changes, key, json_integer((json_int_t)v));
}

static int set_dropouts(json_t *changes, const double p[3])
{
    static const char *const keys[] = {"dropout", "attention_dropout", "head_dropout"};

    for (int i = 0; i < 3; i++)
        if (p[i] >= 0 && json_object_set_new(changes, keys[i], json_real(p[i])))
            return -1;
    return 0;
}

/* A new image encoder at the recipe's size, without a text side. */
static int new_config(json_t **out, const cts_label_setup *s, const cts_recipe *r, int64_t n_labels)
{
    int64_t embed = s->embed < 0 && s->width >= 0 ? cts_min_i64(SCROLL_EMBED, 8 * s->width) : s->embed;
    json_t *image = NULL, *changes = json_pack("{s:[I,I,I], s:I}", "input_size", (json_int_t)r->size_zxy[0],
                                               (json_int_t)r->size_zxy[1], (json_int_t)r->size_zxy[2], "n_labels",
                                               (json_int_t)n_labels);
    const cts_encoder_def *def = NULL;
    cts_encoder_info info;
    void *config = NULL;
    int rc;

    if (!changes || set_size(changes, "width", s->width) || set_size(changes, "embed_dim", embed) ||
        set_size(changes, "window", s->window) || set_size(changes, "heads", s->heads) ||
        set_size(changes, "num_blocks", s->blocks) || set_dropouts(changes, s->dropouts)) {
        json_decref(changes);
        return cts_fail(CTS_E_NOMEM, "out of memory for a configuration");
    }
    if ((rc = cts_train_encoder_json(&image, s->encoder, changes)) ||
        (rc = cts_encoder_from_json(&def, &config, image, CTS_KIND_IMAGE, "options")))
        goto out;
    def->info(config, &info);
    if (memcmp(info.volume, r->size_zxy, sizeof info.volume) != 0)
        rc =
            cts_fail(CTS_E_USAGE, "--encoder %s: it reads volumes of %lld x %lld x %lld voxels, got %lld x %lld x %lld",
                     s->encoder, (long long)info.volume[0], (long long)info.volume[1], (long long)info.volume[2],
                     (long long)r->size_zxy[0], (long long)r->size_zxy[1], (long long)r->size_zxy[2]);
    else if (!(*out =
                   json_pack("{s:s, s:i, s:O, s:n, s:I, s:{s:s}}", "format", "ctsearch-clip", "version", 1, "image",
                             image, "text", "latent_dim", (json_int_t)info.vector_dim, "projection", "image", "none")))
        rc = cts_fail(CTS_E_NOMEM, "out of memory for a configuration");
out:
    free(config);
    json_decref(image);
    return rc;
}

static bool same_labels(const cts_classifier *c, const cts_label_choice *labels)
{
    bool same = c->n == labels->n;

    for (int64_t i = 0; same && i < c->n; i++)
        same = cts_finding_find(c->labels[i]) == labels->index[i];
    return same;
}

static bool linear_asked(const cts_label_setup *s)
{
    return s->mode != CTS_LABEL_ALL || s->init_head || s->head.input_given || s->head.relu_given ||
           s->head.dropout_given;
}

/* A new head: the encoder's own where it has one for so many labels, otherwise a linear one. */
static int choose_head(cts_classifier *out, const cts_clip_config *c, const cts_label_setup *s,
                       const cts_label_choice *labels)
{
    bool pair = c->projection[CTS_SIDE_IMAGE] != CTS_PROJECTION_NONE; /* CT-CLIP's and DCFormer's probes */
    cts_head_input input = s->head.input_given ? s->head.input : pair ? CTS_HEAD_EMBEDDING : CTS_HEAD_VECTOR;
    json_t *j, *names = json_array();
    cts_encoder_info info;
    int rc;

    c->encoder[CTS_SIDE_IMAGE]->info(c->config[CTS_SIDE_IMAGE], &info);
    for (int64_t i = 0; i < labels->n; i++)
        json_array_append_new(names, json_string(cts_findings[labels->index[i]].name));
    if (!linear_asked(s) && info.n_logits == labels->n)
        j = json_pack("{s:o, s:s}", "labels", names, "head", "encoder");
    else
        j = json_pack("{s:o, s:s, s:s, s:b, s:f}", "labels", names, "head", "linear", "input",
                      cts_head_input_name(input), "relu", s->head.relu_given ? s->head.relu : pair, "dropout",
                      s->head.dropout_given ? s->head.dropout
                      : pair                ? PAIR_DROPOUT
                                            : 0.0);
    rc = j ? cts_classifier_parse(out, j, "options") : cts_fail(CTS_E_NOMEM, "out of memory for a configuration");
    json_decref(j);
    return rc;
}

/* The model's configuration with the head of this run. *kept: it is the one that init has. */
static int make_config(cts_clip_config *out, bool *kept, const cts_label_model *m, const cts_label_setup *s,
                       const cts_label_choice *labels)
{
    cts_clip_config c = {0};
    cts_classifier head = {0};
    json_t *j = NULL;
    int rc = CTS_OK;

    if (!m->init)
        rc = new_config(&j, s, &m->recipe, labels->n);
    else if (!(j = cts_clip_config_write(&m->init->clip->config)))
        rc = cts_fail(CTS_E_NOMEM, "out of memory for a configuration");
    if (rc || (rc = cts_clip_config_parse(&c, j, m->init ? m->init->dir : "options")) ||
        (rc = cts_clip_config_need(&c, CTS_SIDE_IMAGE)))
        goto out;
    *kept = !linear_asked(s) && c.classifier.head != CTS_HEAD_NONE && same_labels(&c.classifier, labels);
    if (!*kept && ((rc = choose_head(&head, &c, s, labels)) || (rc = cts_clip_config_classify(&c, &head, "options"))))
        goto out;
    *out = c;
    memset(&c, 0, sizeof c);
out:
    cts_classifier_clear(&head);
    cts_clip_config_clear(&c);
    json_decref(j);
    return rc;
}

/* ---- the values ------------------------------------------------------------------------------------------------ */

/* Entries that init has lie where init has them; the head's are this run's. */
static int borrow(cts_label_model *m, bool kept)
{
    cts_params *p = m->clip->params;

    for (int i = 0; i < cts_params_n(p); i++) {
        const cts_param *e = cts_params_get(p, i);
        int k = cts_params_find(m->init->clip->params, e->name);

        if (k >= 0 && (kept || strncmp(e->name, HEAD, strlen(HEAD)) != 0))
            cts_params_bind(p, i, cts_params_get(m->init->clip->params, k)->data);
    }
    return cts_params_alloc(p);
}

static int head_of(cts_features *f, const cts_classifier *c, const char *dir)
{
    char *path = NULL;
    cts_model *from = NULL;
    int rc;

    if ((rc = cts_engine_resolve(&path, dir)) || (rc = cts_model_dir_load(&from, path)))
        goto out;
    for (int64_t i = 0; !rc && i < c->n; i++)
        if (from->clip->config.classifier.head != CTS_HEAD_LINEAR || from->clip->config.classifier.n != c->n ||
            cts_classifier_find(&from->clip->config.classifier, c->labels[i]) != i)
            rc = cts_fail(CTS_E_MISMATCH, "--init-head: the model in %s has no linear head of these %lld labels", path,
                          (long long)c->n);
    if (!rc && (rc = cts_features_get(f, from->clip->params)))
        rc = cts_fail_in(rc, "--init-head %s", path);
out:
    cts_model_destroy(from);
    free(path);
    return rc;
}

static int make_head(cts_label_model *m, const cts_label_setup *s, bool kept, uint64_t seed)
{
    const cts_classifier *c = &m->clip->config.classifier;
    int rc;

    if (c->head != CTS_HEAD_LINEAR)
        return s->init_head ? cts_fail(CTS_E_USAGE, "--init-head: the logits come from the encoder's own head")
                            : CTS_OK;
    if ((rc = cts_features_create(&m->head, c, cts_clip_config_head_width(&m->clip->config, c->input), seed)) ||
        (kept && (rc = cts_features_get(m->head, m->clip->params))) ||
        (s->init_head && (rc = head_of(m->head, c, s->init_head))))
        return rc;
    return cts_features_put(m->head, m->clip->params);
}

int cts_label_model_open(cts_label_model *out, const cts_label_setup *s, const cts_label_choice *labels, uint64_t seed)
{
    cts_label_model m = {0};
    cts_clip_config c = {0};
    char *path = NULL;
    bool kept = false;
    int rc = CTS_OK;

    if (s->init && ((rc = cts_engine_resolve(&path, s->init)) || (rc = cts_model_dir_load(&m.init, path))))
        goto out;
    if ((rc = cts_train_recipe(&m.recipe, m.init, !m.init || s->recipe_given ? &s->recipe : NULL)) ||
        (rc = make_config(&c, &kept, &m, s, labels)))
        goto out;
    if (m.init ? (rc = cts_clip_create(&m.clip, &c)) || (rc = borrow(&m, kept))
               : (rc = cts_clip_create_init(&m.clip, &c, seed)))
        goto out;
    if ((s->trunk && (rc = cts_import_trunk(m.clip, s->trunk))) || (rc = make_head(&m, s, kept, seed)))
        goto out;
    *out = m;
    memset(&m, 0, sizeof m);
out:
    cts_label_model_close(&m);
    cts_clip_config_clear(&c);
    free(path);
    return rc;
}

void cts_label_model_close(cts_label_model *m)
{
    cts_features_destroy(m->head);
    cts_clip_destroy(m->clip);
    cts_model_destroy(m->init);
    memset(m, 0, sizeof *m);
}

/* ---- what is trained ------------------------------------------------------------------------------------------- */

/* The names that the logits' tower declares. */
static int names_read(cts_params **out, const cts_clip *m)
{
    cts_tower_spec spec = cts_clip_logits_spec(m);
    cts_params *p = NULL;
    cts_graph *g = NULL;
    cts_encoder_outputs o = {0};
    cts_encoder_inputs in;
    cts_encoder_info info;
    cts_build b;
    int rc;

    if ((rc = cts_params_create(&p)) || (rc = cts_graph_create(&g, p)))
        goto out;
    spec.encoder->info(spec.config, &info);
    in = cts_encoder_image_inputs(g, 1, info.volume);
    b = cts_build_make(g, true);
    cts_tower_build(&b, &spec, &in, &o);
    if ((rc = cts_graph_status(g)))
        goto out;
    *out = p;
    p = NULL;
out:
    cts_graph_destroy(g);
    cts_params_destroy(p);
    return rc;
}

int cts_label_model_freeze(cts_label_model *m, cts_label_mode mode, int64_t *trained)
{
    cts_params *all = mode == CTS_LABEL_HEAD ? m->head->params : m->clip->params, *read = NULL;
    int rc = mode == CTS_LABEL_ALL ? names_read(&read, m->clip) : CTS_OK;

    *trained = 0;
    for (int i = 0; !rc && i < cts_params_n(all); i++) {
        cts_param *e = cts_params_at(all, i);

        e->frozen =
            mode == CTS_LABEL_ALL ? cts_params_find(read, e->name) < 0 : strncmp(e->name, HEAD, strlen(HEAD)) != 0;
        *trained += e->state || e->frozen ? 0 : e->count;
    }
    cts_params_destroy(read);
    return rc;
}

/* ---- weights of positives -------------------------------------------------------------------------------------- */

/* Of the published probe of DCFormer's code, in the order of CT-RATE's findings. */
static const float published[CTS_FINDINGS] = {9.2114f, 2.3841f,  8.2955f,  32.8630f, 2.9922f,  6.0649f,
                                              3.1765f, 4.1871f,  3.0222f,  1.2161f,  1.6778f,  3.1529f,
                                              7.1233f, 18.1663f, 13.8481f, 6.3350f,  10.8170f, 13.4070f};

/* {"Emphysema": 4.2, ..}: every label of the run, by name. */
static int weights_of_file(float *out, const char *path, const cts_label_choice *choice)
{
    const char *key;
    json_t *j = NULL, *v;
    int rc = cts_json_load(&j, path, MAX_WEIGHTS);

    if (!rc && !json_is_object(j))
        rc = cts_fail(CTS_E_FORMAT, "%s: no object of finding and weight", path);
    if (!rc)
        json_object_foreach(j, key, v) if (!rc && cts_finding_find(key) < 0) rc =
            cts_fail(CTS_E_INPUT, "%s: got the key \"%.60s\", allowed: names of the 18 findings", path, key);
    for (int64_t i = 0; !rc && i < choice->n; i++) {
        const cts_finding_def *f = &cts_findings[choice->index[i]];
        const char *name = json_object_get(j, f->name) ? f->name : f->slug;
        double w = 0;

        if (!(rc = cts_json_double(&w, j, name, true, path)) && !(w > 0 && w <= MOST_WEIGHT))
            rc = cts_fail(CTS_E_INPUT, "%s: field \"%s\" is %g, allowed above 0 to %g", path, name, w, MOST_WEIGHT);
        out[i] = (float)w;
    }
    json_decref(j);
    return rc;
}

int cts_label_pos_weights(float *out, const char *kind, const cts_label_choice *choice, const uint8_t *labels,
                          size_t n_rows)
{
    if (!strcmp(kind, "balanced")) {
        cts_label_pos_weight(out, labels, (int64_t)n_rows, choice->n, MOST_WEIGHT);
        return CTS_OK;
    }
    if (strcmp(kind, "none") != 0 && strcmp(kind, "published") != 0)
        return weights_of_file(out, kind, choice);
    for (int64_t i = 0; i < choice->n; i++)
        out[i] = !strcmp(kind, "none") ? 1.0f : published[choice->index[i]];
    return CTS_OK;
}
