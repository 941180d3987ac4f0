/* SPDX-License-Identifier: MIT */
#include "data/recipe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/json.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

#define RECIPE_VERSION 1
#define RECIPE_MAX_BYTES ((size_t)1 << 20)
#define RECIPE_MAX_SIZE 4096

/* Another published recipe is another row. The first five pad with what -1000 HU becomes, the last three with what the
 * lower end of their window becomes. CT-CLIP's two v2 rows differ in the clip before resampling: training had none. */
static const cts_recipe table[] = {
    {.name = "dcformer-512",
     .orientation = "LPS",
     .spacing_zxy = {1.5, 0.75, 0.75},
     .size_zxy = {256, 512, 512},
     .has_first_clip = true,
     .first_clip = {-1000, 1000},
     .window = {-1000, 200},
     .out = {-1, 1},
     .pad = -1},
    {.name = "ctclip-v1",
     .orientation = "LPS",
     .spacing_zxy = {1.5, 0.75, 0.75},
     .size_zxy = {240, 480, 480},
     .has_first_clip = true,
     .first_clip = {-1000, 1000},
     .window = {-1000, 200},
     .out = {-1, 1},
     .pad = -1},
    {.name = "ctclip-v2-train",
     .orientation = "LPS",
     .spacing_zxy = {1.5, 0.75, 0.75},
     .size_zxy = {240, 480, 480},
     .window = {-1000, 1000},
     .out = {-1, 1},
     .pad = -1,
     .f64 = true},
    {.name = "ctclip-v2-infer",
     .orientation = "LPS",
     .spacing_zxy = {1.5, 0.75, 0.75},
     .size_zxy = {240, 480, 480},
     .has_first_clip = true,
     .first_clip = {-1000, 1000},
     .window = {-1000, 1000},
     .out = {-1, 1},
     .pad = -1,
     .f64 = true},
    {.name = "ctscroll",
     .orientation = "LPS",
     .spacing_zxy = {1.5, 0.75, 0.75},
     .size_zxy = {240, 480, 480},
     .window = {-1000, 200},
     .out = {-0.449, 0.551},
     .pad = -0.449},
    /* Source: merlin/data/monai_transforms.py, MONAI 1.3. Its loader hands out [224, 224, 160] in x, y, z; the model's
     * first act (i3res.py) is to put z in front, which is the order here. The half voxel that MONAI's rounding leaves
     * to chance (n even, target twice the spacing) goes to even here. */
    {.name = "merlin",
     .orientation = "RAS",
     .spacing_zxy = {3, 1.5, 1.5},
     .size_zxy = {160, 224, 224},
     .window = {-1000, 1000},
     .out = {0, 1},
     .pad = 0,
     .f64 = true,
     .grid = CTS_GRID_FIRST_VOXEL},
    /* Source: data/ct_rate/process.py and src/hlip_test/zeroshot_ct_rate.py. The volume is z, y, x as CT-RATE stores
     * it, hence PLS: second axis y, third x. The ImageNet numbers are their means over the three colours, .449 and
     * .226, applied after padding. */
    {.name = "hlip",
     .orientation = "PLS",
     .spacing_zxy = {3, 1, 1},
     .size_zxy = {112, 336, 336},
     .window = {-1150, 350},
     .out = {-0.449 / 0.226, (1 - 0.449) / 0.226},
     .pad = -0.449 / 0.226,
     .grid = CTS_GRID_EXTENT_PRODUCT},
    /* Source: data/resize.py, data/preprocess.py and the crop of training. z, y, x as for hlip. The published code
     * crops to the box around the organs of a segmentation before it pads, and at test time once more around each
     * organ; without masks the centre is all there is, so tensors of large fields of view differ from the published
     * ones. */
    {.name = "fvlm",
     .orientation = "PLS",
     .spacing_zxy = {3, 1, 1},
     .size_zxy = {112, 256, 352},
     .window = {-1150, 350},
     .out = {0, 1},
     .pad = 0},
};

static const char *const policy_names[] = {"auto", "header", "csv"};
static const char *const grid_names[] = {"extent", "extent_product", "first_voxel"};

const char *cts_hu_policy_name(cts_hu_policy p)
{
    return policy_names[p];
}

const char *cts_grid_name(cts_grid g)
{
    return grid_names[g];
}

size_t cts_recipe_count(void)
{
    return CTS_COUNT(table);
}

const cts_recipe *cts_recipe_at(size_t i)
{
    CTS_ASSERT(i < CTS_COUNT(table), "recipe %zu", i);
    return &table[i];
}

int cts_recipe_find(cts_recipe *out, const char *name)
{
    cts_str known = {0};
    int rc;

    for (size_t i = 0; i < CTS_COUNT(table); i++)
        if (!strcmp(table[i].name, name)) {
            *out = table[i];
            return CTS_OK;
        }
    for (size_t i = 0; i < CTS_COUNT(table); i++)
        cts_str_printf(&known, "%s%s", i ? ", " : "", table[i].name);
    rc = cts_fail(CTS_E_NOTFOUND, "recipe \"%s\" is unknown, built in are %s", name, cts_str_text(&known));
    cts_str_free(&known);
    return rc;
}

int cts_recipe_open(cts_recipe *out, const char *name_or_path)
{
    size_t n = strlen(name_or_path);

    if (strchr(name_or_path, '/') || (n > 5 && !strcmp(name_or_path + n - 5, ".json")))
        return cts_recipe_load(out, name_or_path);
    return cts_recipe_find(out, name_or_path);
}

int cts_recipe_free(cts_recipe *out, const char *name, const double spacing_zxy[3], const int64_t size_zxy[3],
                    const double window[2])
{
    cts_recipe r = {.orientation = "LPS", .out = {-1, 1}, .pad = -1, .hu = CTS_HU_POLICY_AUTO};
    int rc;

    snprintf(r.name, sizeof r.name, "%s", name);
    memcpy(r.spacing_zxy, spacing_zxy, sizeof r.spacing_zxy);
    memcpy(r.size_zxy, size_zxy, sizeof r.size_zxy);
    memcpy(r.window, window, sizeof r.window);
    if ((rc = cts_recipe_check(&r, name)))
        return rc;
    *out = r;
    return CTS_OK;
}

/* "stored", or one each of R/L, A/P, S/I. */
static bool orientation_ok(const char *s)
{
    int seen = 0;

    if (!strcmp(s, "stored"))
        return true;
    for (int a = 0; a < 3; a++)
        seen |= s[a] == 'R' || s[a] == 'L' ? 1 : s[a] == 'A' || s[a] == 'P' ? 2 : s[a] == 'S' || s[a] == 'I' ? 4 : 8;
    return seen == 7 && !s[3];
}

int cts_recipe_check(const cts_recipe *r, const char *what)
{
    static const char axis[] = "zxy";

    if (strlen(r->orientation) < 3 || !orientation_ok(r->orientation))
        return cts_fail(CTS_E_INPUT, "%s: orientation is \"%s\", allowed \"stored\" or axis codes such as \"LPS\"",
                        what, r->orientation);
    for (int a = 0; a < 3; a++) {
        if (r->spacing_zxy[a] != 0 && !(r->spacing_zxy[a] >= 0.01 && r->spacing_zxy[a] <= 100))
            return cts_fail(CTS_E_INPUT, "%s: spacing of axis %c is %g mm, allowed 0.01 to 100, or 0 to fit the axis",
                            what, axis[a], r->spacing_zxy[a]);
        if (r->size_zxy[a] < 1 || r->size_zxy[a] > RECIPE_MAX_SIZE)
            return cts_fail(CTS_E_INPUT, "%s: size of axis %c is %lld, allowed 1 to %d", what, axis[a],
                            (long long)r->size_zxy[a], RECIPE_MAX_SIZE);
    }
    if (!(r->window[0] < r->window[1]) || !isfinite(r->window[0]) || !isfinite(r->window[1]))
        return cts_fail(CTS_E_INPUT, "%s: window is %g to %g HU, allowed a lower and a higher number", what,
                        r->window[0], r->window[1]);
    if (r->has_first_clip &&
        (!(r->first_clip[0] < r->first_clip[1]) || !isfinite(r->first_clip[0]) || !isfinite(r->first_clip[1])))
        return cts_fail(CTS_E_INPUT, "%s: first_clip is %g to %g HU, allowed a lower and a higher number", what,
                        r->first_clip[0], r->first_clip[1]);
    if (!isfinite(r->out[0]) || !isfinite(r->out[1]) || r->out[0] == r->out[1] || !isfinite(r->pad))
        return cts_fail(CTS_E_INPUT,
                        "%s: out is %g to %g and pad %g, allowed two different finite numbers and a finite one", what,
                        r->out[0], r->out[1], r->pad);
    return CTS_OK;
}

/* ---- preprocess.json ---- */

static json_t *pair(const double v[2])
{
    return json_pack("[f, f]", v[0], v[1]);
}

static json_t *to_json(const cts_recipe *r, bool named)
{
    json_t *j = json_object();
    bool ok = j != NULL;

    ok = ok && !json_object_set_new(j, "version", json_integer(RECIPE_VERSION));
    if (named)
        ok = ok && !json_object_set_new(j, "name", json_string(r->name));
    if (named && *r->override_of)
        ok = ok && !json_object_set_new(j, "override_of", json_string(r->override_of));
    if (r->grid != CTS_GRID_EXTENT)
        ok = ok && !json_object_set_new(j, "grid", json_string(grid_names[r->grid]));
    ok = ok && !json_object_set_new(j, "orientation", json_string(r->orientation)) &&
         !json_object_set_new(j, "spacing_zxy",
                              json_pack("[f, f, f]", r->spacing_zxy[0], r->spacing_zxy[1], r->spacing_zxy[2])) &&
         !json_object_set_new(j, "size_zxy",
                              json_pack("[I, I, I]", (json_int_t)r->size_zxy[0], (json_int_t)r->size_zxy[1],
                                        (json_int_t)r->size_zxy[2])) &&
         !json_object_set_new(j, "first_clip", r->has_first_clip ? pair(r->first_clip) : json_null()) &&
         !json_object_set_new(j, "window", pair(r->window)) && !json_object_set_new(j, "out", pair(r->out)) &&
         !json_object_set_new(j, "pad", json_real(r->pad)) &&
         !json_object_set_new(j, "interpolation", json_string(r->f64 ? "f64" : "f32")) &&
         !json_object_set_new(j, "hu", json_string(policy_names[r->hu]));
    if (!ok) {
        json_decref(j);
        j = NULL;
    }
    return j;
}

static int choice(int *out, const json_t *j, const char *key, const char *const *names, size_t n, const char *path)
{
    const char *text;
    cts_str known = {0};
    int rc = cts_json_string(&text, j, key, true, path);

    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++)
        if (!strcmp(names[i], text)) {
            *out = (int)i;
            return CTS_OK;
        }
    for (size_t i = 0; i < n; i++)
        cts_str_printf(&known, "%s\"%s\"", i ? ", " : "", names[i]);
    rc = cts_fail(CTS_E_FORMAT, "%s: \"%s\" is \"%s\", allowed %s", path, key, text, cts_str_text(&known));
    cts_str_free(&known);
    return rc;
}

static int text_field(char *out, size_t cap, const json_t *j, const char *key, bool required, const char *path)
{
    const char *text = "";
    int rc = !required && !json_object_get(j, key) ? CTS_OK : cts_json_string(&text, j, key, true, path);

    if (!rc && strlen(text) >= cap)
        rc = cts_fail(CTS_E_FORMAT, "%s: \"%s\" is \"%.40s...\", allowed at most %zu bytes", path, key, text, cap - 1);
    if (!rc)
        snprintf(out, cap, "%s", text);
    return rc;
}

static int from_json(cts_recipe *r, json_t *j, const char *path)
{
    static const char *const known[] = {"version",    "name",   "orientation", "spacing_zxy", "size_zxy",
                                        "first_clip", "window", "out",         "pad",         "interpolation",
                                        "hu",         "grid",   "override_of"};
    static const char *const precision[] = {"f32", "f64"};
    int64_t version;
    int f64 = 0, hu = 0, grid = CTS_GRID_EXTENT, rc;
    const char *key;
    json_t *value;

    if (!json_is_object(j))
        return cts_fail(CTS_E_FORMAT, "%s: the file holds no JSON object, allowed a recipe", path);
    json_object_foreach(j, key, value)
    {
        size_t i = 0;

        while (i < CTS_COUNT(known) && strcmp(known[i], key))
            i++;
        if (i == CTS_COUNT(known))
            return cts_fail(CTS_E_FORMAT, "%s: field \"%s\" is unknown to this version", path, key);
    }
    if ((rc = cts_json_int(&version, j, "version", true, 1, RECIPE_VERSION, path)) ||
        (rc = text_field(r->name, sizeof r->name, j, "name", true, path)) ||
        (rc = text_field(r->orientation, sizeof r->orientation, j, "orientation", true, path)) ||
        (rc = cts_json_doubles(r->spacing_zxy, 3, j, "spacing_zxy", true, path)) ||
        (rc = cts_json_ints(r->size_zxy, 3, j, "size_zxy", true, path)) ||
        (rc = cts_json_doubles(r->first_clip, 2, j, "first_clip", false, path)) ||
        (rc = cts_json_doubles(r->window, 2, j, "window", true, path)) ||
        (rc = cts_json_doubles(r->out, 2, j, "out", true, path)) ||
        (rc = cts_json_double(&r->pad, j, "pad", true, path)) ||
        (rc = choice(&f64, j, "interpolation", precision, 2, path)) ||
        (rc = choice(&hu, j, "hu", policy_names, CTS_COUNT(policy_names), path)) ||
        (json_object_get(j, "grid") && (rc = choice(&grid, j, "grid", grid_names, CTS_COUNT(grid_names), path))) ||
        (rc = text_field(r->override_of, sizeof r->override_of, j, "override_of", false, path)))
        return rc;
    r->has_first_clip = json_is_array(json_object_get(j, "first_clip"));
    r->f64 = f64;
    r->hu = (cts_hu_policy)hu;
    r->grid = (cts_grid)grid;
    return cts_recipe_check(r, path);
}

int cts_recipe_load(cts_recipe *out, const char *path)
{
    cts_recipe r = {0};
    json_t *j = NULL;
    int rc;

    if ((rc = cts_json_load(&j, path, RECIPE_MAX_BYTES)))
        return rc;
    if (!(rc = from_json(&r, j, path)))
        *out = r;
    json_decref(j);
    return rc;
}

int cts_recipe_save(const cts_recipe *r, const char *path)
{
    json_t *j = to_json(r, true);
    int rc = j ? cts_json_save(j, path) : cts_fail(CTS_E_NOMEM, "%s: out of memory", path);

    json_decref(j);
    return rc;
}

int cts_recipe_parse(cts_recipe *out, const char *text, const char *what)
{
    cts_recipe r = {0};
    json_error_t e;
    json_t *j = json_loads(text, JSON_REJECT_DUPLICATES, &e);
    int rc = j ? from_json(&r, j, what)
               : cts_fail(CTS_E_FORMAT, "%s: no JSON: %s in line %d, allowed a recipe", what, e.text, e.line);

    if (!rc)
        *out = r;
    json_decref(j);
    return rc;
}

int cts_recipe_text(const cts_recipe *r, char **text)
{
    json_t *j = to_json(r, true);
    char *t = j ? json_dumps(j, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;

    json_decref(j);
    if (!t)
        return cts_fail(CTS_E_NOMEM, "recipe %s: out of memory", r->name);
    *text = t;
    return CTS_OK;
}

int cts_recipe_digest(const cts_recipe *r, char digest[CTS_DIGEST_HEX])
{
    json_t *j = to_json(r, false);
    char *text = j ? json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17)) : NULL;
    int rc = text ? cts_digest_bytes(digest, text, strlen(text))
                  : cts_fail(CTS_E_NOMEM, "recipe %s: out of memory", r->name);

    free(text);
    json_decref(j);
    return rc;
}
