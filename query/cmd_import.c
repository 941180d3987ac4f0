/* `ctsearch import`: a published weight file becomes a model folder, or an explanation of what would.
 * SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/json.h"
#include "kernels/base/log.h"
#include "kernels/base/status.h"
#include "query/cli.h"
#include "query/import_report.h"

#define MAX_FILES 8

enum { KEY_DRY_RUN = 0x200, KEY_FAMILY, KEY_RECIPE, KEY_INPUT_SIZE, KEY_TEXT_HEADS, KEY_PATCH, KEY_DIGEST };

typedef struct {
    const char *files[MAX_FILES];
    int n_files;
    const char *out, *family, *recipe;
    int64_t input_size[3], patch[3], text_heads;
    bool dry_run, digest;
} options;

static const struct argp_option argp_options[] = {
    {"out", 'o', "DIR", 0, "Model folder to write; an older model there is replaced", 0},
    {"dry-run", KEY_DRY_RUN, NULL, 0, "Write nothing; print what would become of every tensor", 0},
    {"family", KEY_FAMILY, "NAME", 0,
     "dcformer, med3dvlm, ctclip, ct_scroll, bert or sentence-transformer (default: by the names of the tensors)", 0},
    {"recipe", KEY_RECIPE, "NAME|FILE.json", 0,
     "Prepare volumes by this recipe instead of the family's (a warning is printed and kept)", 0},
    {"input-size", KEY_INPUT_SIZE, "Z,X,Y", 0, "Voxels of the volumes the model was made for (default: as published)",
     0},
    {"patch", KEY_PATCH, "Z,X,Y", 0, "Voxels of a CT-ViT patch, where the weights do not tell", 0},
    {"text-heads", KEY_TEXT_HEADS, "N", 0,
     "Attention heads of the text encoder (default: config.json, or by the width)", 0},
    {"digest", KEY_DIGEST, NULL, 0, "Keep SHA-256 of the files in provenance.json", 0},
    {0}};

static void sizes(struct argp_state *state, const char *option, const char *text, int64_t out[3])
{
    double v[3];

    cts_cli_doubles(state, option, text, v, 3, 1, 4096);
    for (int i = 0; i < 3; i++)
        if ((double)(out[i] = (int64_t)v[i]) != v[i])
            argp_error(state, "%s: got %s, allowed: 3 whole numbers", option, text);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    options *o = state->input;

    switch (key) {
    case 'o':
        o->out = arg;
        return 0;
    case KEY_DRY_RUN:
        o->dry_run = true;
        return 0;
    case KEY_FAMILY:
        o->family = arg;
        return 0;
    case KEY_RECIPE:
        o->recipe = arg;
        return 0;
    case KEY_INPUT_SIZE:
        sizes(state, "--input-size", arg, o->input_size);
        return 0;
    case KEY_PATCH:
        sizes(state, "--patch", arg, o->patch);
        return 0;
    case KEY_TEXT_HEADS:
        o->text_heads = cts_cli_int(state, "--text-heads", arg, 1, 1024);
        return 0;
    case KEY_DIGEST:
        o->digest = true;
        return 0;
    case ARGP_KEY_ARG:
        if (o->n_files == MAX_FILES)
            argp_error(state, "more than %d FILEs", MAX_FILES);
        o->files[o->n_files++] = arg;
        return 0;
    case ARGP_KEY_END:
        if (!o->n_files)
            argp_error(state, "needed: FILE");
        if (!o->out && !o->dry_run)
            argp_error(state, "needed: --out, or --dry-run");
        return 0;
    default:
        return 0;
    }
}

/* Everything between the command line and the result. */
typedef struct {
    const options *o;
    cts_import_sources sources;
    cts_tokenizer *tokenizer;
    cts_weights *weights;
    cts_import_plan *plan;
    cts_recipe recipe;
    json_t *preprocess; /* the recipe as JSON; NULL = none */
    json_t *notes;      /* the plan's and ours */
    bool json;
} job;

static int note(job *j, const char *text)
{
    return json_array_append_new(j->notes, json_string(text)) ? cts_fail(CTS_E_NOMEM, "out of memory") : CTS_OK;
}

/* ---- the recipe ------------------------------------------------------------------------------------------------- */

/* The model reads volumes of one size only, or the user said a size: the recipe's crop follows. */
static int fit_size(job *j, const cts_encoder_info *info)
{
    bool same = !memcmp(j->recipe.size_zxy, info->volume, sizeof info->volume);
    cts_recipe *r = &j->recipe;
    char name[96], text[160];

    if (same || (info->any_volume && !j->o->input_size[0]))
        return CTS_OK;
    memcpy(r->size_zxy, info->volume, sizeof r->size_zxy);
    snprintf(name, sizeof name, "%s@%" PRId64 "x%" PRId64 "x%" PRId64, r->name, info->volume[0], info->volume[1],
             info->volume[2]);
    snprintf(text, sizeof text, "recipe %s cut or padded to the model's %" PRId64 "x%" PRId64 "x%" PRId64 " voxels",
             r->name, info->volume[0], info->volume[1], info->volume[2]);
    snprintf(r->name, sizeof r->name, "%.31s", name);
    return note(j, text);
}

/* Does r do something else to voxels than the family's? Then the warning is part of the recipe. */
static int mark_override(job *j, const char *published)
{
    char a[CTS_DIGEST_HEX], b[CTS_DIGEST_HEX], text[256];
    cts_recipe family;
    int rc;

    if ((rc = cts_recipe_find(&family, published)) || (rc = cts_recipe_digest(&family, a)) ||
        (rc = cts_recipe_digest(&j->recipe, b)))
        return rc;
    if (!strcmp(a, b))
        return CTS_OK;
    snprintf(j->recipe.override_of, sizeof j->recipe.override_of, "%.31s", published);
    snprintf(text, sizeof text,
             "the model was made for recipe %s and will get volumes prepared by %s: embeddings are not those of the "
             "published model",
             published, j->recipe.name);
    cts_log(CTS_LOG_WARN, "%s", text);
    return note(j, text);
}

static int choose_recipe(job *j)
{
    const cts_clip_config *c = &cts_import_plan_model(j->plan)->config;
    const char *published = cts_import_plan_draft(j->plan)->recipe;
    const char *name = j->o->recipe ? j->o->recipe : published;
    cts_encoder_info info;
    char *text = NULL;
    int rc;

    if (!c->encoder[CTS_SIDE_IMAGE])
        return j->o->recipe ? cts_fail(CTS_E_USAGE, "--recipe: the model has no image side") : CTS_OK;
    if (!name)
        return CTS_OK;
    c->encoder[CTS_SIDE_IMAGE]->info(c->config[CTS_SIDE_IMAGE], &info);
    if ((rc = cts_recipe_open(&j->recipe, name)) || (j->o->recipe && published && (rc = mark_override(j, published))) ||
        (rc = fit_size(j, &info)) || (rc = cts_recipe_text(&j->recipe, &text)))
        return rc;
    rc = cts_json_parse(&j->preprocess, text, strlen(text), name);
    free(text);
    return rc;
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

static int open_job(job *j)
{
    const options *o = j->o;
    cts_import_options hints = {.family = o->family, .text_heads = o->text_heads};
    int rc;

    memcpy(hints.input_size, o->input_size, sizeof hints.input_size);
    memcpy(hints.patch, o->patch, sizeof hints.patch);
    if ((rc = cts_import_sources_find(&j->sources, o->files, o->n_files)) ||
        (j->sources.tokenizer && (rc = cts_tokenizer_open(&j->tokenizer, j->sources.tokenizer))) ||
        (rc = cts_weights_open(&j->weights, j->sources.weights)))
        return rc;
    hints.config = j->sources.config_json;
    hints.config_path = j->sources.config;
    hints.sentence = j->sources.is_sentence ? &j->sources.sentence : NULL;
    hints.tokenizer_size = j->tokenizer ? cts_tokenizer_size(j->tokenizer) : 0;
    if ((rc = cts_import_plan_create(&j->plan, j->weights, &hints)))
        return rc;
    if (!(j->notes = json_copy(cts_import_plan_draft(j->plan)->notes)))
        return cts_fail(CTS_E_NOMEM, "out of memory");
    return choose_recipe(j);
}

static int write_model(job *j, const cts_import_report *r)
{
    cts_import_extras extras = {j->sources.tokenizer, j->preprocess, NULL};
    json_t *provenance = cts_import_provenance(r);
    int rc;

    if (!provenance)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for provenance.json", j->o->out);
    extras.provenance = provenance;
    rc = cts_import_write(j->plan, j->o->out, &extras);
    json_decref(provenance);
    return rc;
}

static int print_result(const job *j, const cts_import_report *r, double seconds)
{
    json_t *out;

    if (!j->json) {
        if (j->o->dry_run)
            cts_import_print_table(r);
        cts_import_print_summary(r);
        if (!j->o->dry_run)
            printf("%s: written in %.1f s\n", j->o->out, seconds);
        return CTS_OK;
    }
    out = cts_import_report_json(r);
    if (out && j->o->dry_run)
        json_object_set_new(out, "rows", cts_import_rows_json(r));
    else if (out)
        json_object_set_new(out, "out", json_string(j->o->out));
    return cts_print_json(out);
}

static void close_job(job *j)
{
    json_decref(j->preprocess);
    json_decref(j->notes);
    cts_import_plan_destroy(j->plan);
    cts_weights_close(j->weights);
    cts_tokenizer_close(j->tokenizer);
    cts_import_sources_clear(&j->sources);
}

static int run(int argc, char **argv)
{
    options o = {0};
    job j = {.o = &o};
    cts_import_report r;
    cts_common common;
    double start;
    int rc = cts_cli_parse(
        argc, argv, argp_options, parse, "FILE...",
        "Make a model folder from published weights: .safetensors, PyTorch's .pt, .pth and .bin (no code in them is "
        "run), shards by their index, Hugging Face and sentence-transformers folders. Beside the weights a FILE may be "
        "the tokenizer (vocab.txt, tokenizer.model, or a folder with one) and a config.json. A tensor that is neither "
        "used nor known to be droppable is an error."
        "\vExample:\n  ctsearch import CT-CLIP_v2.pt vocab.txt --dry-run\n"
        "  ctsearch import CT-CLIP_v2.pt vocab.txt --out ctclip\n"
        "  ctsearch score --model ctclip scan.nii.gz\n"
        "  ctsearch import all-MiniLM-L6-v2/ --out minilm",
        &o, &common);

    if (rc)
        return rc;
    j.json = common.json;
    start = cts_now();
    if ((rc = open_job(&j)))
        goto out;
    r = (cts_import_report){j.plan,  j.weights, &j.sources, j.tokenizer, j.preprocess ? &j.recipe : NULL,
                            j.notes, o.digest};
    if (!o.dry_run && (rc = write_model(&j, &r)))
        goto out;
    rc = print_result(&j, &r, cts_now() - start);
out:
    close_job(&j);
    return rc;
}

const cts_command cts_cmd_import = {"import", "make a model folder from published weights", run};
