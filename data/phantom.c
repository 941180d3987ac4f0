/* A patient from a seed: labels, anatomy, findings, in an order that never depends on what is left out.
 * SPDX-License-Identifier: MIT */
#include "data/phantom.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/phantom_internal.h"

/* The patient's part of split_patient_scan_recon: up to the second underscore, without folders. */
static size_t patient_part(const char **name)
{
    const char *base = strrchr(*name, '/'), *cut;

    *name = base ? base + 1 : *name;
    cut = strchr(*name, '_');
    cut = cut ? strchr(cut + 1, '_') : NULL;
    return cut ? (size_t)(cut - *name) : strcspn(*name, ".");
}

uint64_t cts_phantom_seed(uint64_t global_seed, const char *volume_name)
{
    size_t n = patient_part(&volume_name);

    return cts_rng_split(global_seed, cts_fnv1a64(volume_name, n));
}

uint64_t cts_phantom_noise_salt(const char *volume_name)
{
    patient_part(&volume_name);
    return cts_fnv1a64(volume_name, strcspn(volume_name, "."));
}

/* A Gaussian copula: a finding is there when the normal score of its row, a mix of common causes and its own chance,
 * falls in the tail that its prevalence cuts off. So each marginal is exact, and causes make findings meet as they do
 * in patients. */
void cts_phantom_draw_labels(uint64_t seed, uint8_t labels[CTS_FINDINGS])
{
    enum { AGE, FAILURE, INFECTION, AIRWAY, SMOKE, CAUSES };
    static const float load[CTS_FINDINGS][CAUSES] = {[F_MATERIAL] = {0.40f, 0.25f, 0, 0, 0},
                                                     [F_AORTIC_CALC] = {0.80f, 0, 0, 0, 0.20f},
                                                     [F_CARDIOMEGALY] = {0.40f, 0.45f, 0, 0, 0},
                                                     [F_PERICARDIAL] = {0.10f, 0.50f, 0.10f, 0, 0},
                                                     [F_CORONARY_CALC] = {0.78f, 0, 0, 0, 0.15f},
                                                     [F_HERNIA] = {0.30f, 0, 0, 0, 0},
                                                     [F_NODES] = {0.10f, 0.20f, 0.35f, 0, 0.10f},
                                                     [F_EMPHYSEMA] = {0.25f, 0, 0, 0.10f, 0.60f},
                                                     [F_ATELECTASIS] = {0.20f, 0.50f, 0.10f, 0, 0},
                                                     [F_NODULE] = {0.15f, 0, 0, 0, 0.20f},
                                                     [F_OPACITY] = {0, 0.15f, 0.75f, 0, 0},
                                                     [F_FIBROTIC] = {0.30f, 0, 0, 0.15f, 0.20f},
                                                     [F_EFFUSION] = {0.15f, 0.75f, 0.15f, 0, 0},
                                                     [F_MOSAIC] = {0.05f, 0.10f, 0.10f, 0.35f, 0},
                                                     [F_PERIBRONCHIAL] = {0.10f, 0, 0.10f, 0.70f, 0},
                                                     [F_CONSOLIDATION] = {0, 0.20f, 0.75f, 0, 0},
                                                     [F_BRONCHIECTASIS] = {0.10f, 0, 0, 0.60f, 0.10f},
                                                     [F_SEPTAL] = {0.05f, 0.50f, 0.30f, 0.10f, 0}};
    cts_rng r = cts_rng_make(cts_rng_split(seed, SALT_LABELS));
    double cause[CAUSES];

    for (int c = 0; c < CAUSES; c++)
        cause[c] = cts_rng_normal(&r);
    for (int f = 0; f < CTS_FINDINGS; f++) {
        double score = 0, own = 1;

        for (int c = 0; c < CAUSES; c++) {
            score += (double)load[f][c] * cause[c];
            own -= (double)load[f][c] * (double)load[f][c];
        }
        score += sqrt(own) * cts_rng_normal(&r);
        labels[f] = 0.5 * erfc(score / 1.4142135623730951) < cts_findings[f].valid_positives / 3039.0;
    }
}

static int check_spec(cts_phantom_spec *s)
{
    static const int64_t dim[3] = {96, 96, 64};
    static const double view[3] = {360, 280, 300};
    static const char *const axis[3] = {"x", "y", "z"};

    for (int k = 0; k < 3; k++) {
        s->dim[k] = s->dim[k] ? s->dim[k] : dim[k];
        if (s->dim[k] < 8 || s->dim[k] > 1024)
            return cts_fail(CTS_E_INPUT, "phantom: dim %s is %lld, allowed are 8 to 1024", axis[k],
                            (long long)s->dim[k]);
        s->spacing[k] = s->spacing[k] != 0 ? s->spacing[k] : view[k] / (double)s->dim[k];
        if (!(s->spacing[k] >= 0.2 && s->spacing[k] <= 20)) /* also when the view over dim leaves the range */
            return cts_fail(CTS_E_INPUT, "phantom: spacing %s is %g mm, allowed are 0.2 to 20", axis[k], s->spacing[k]);
    }
    if (!(s->noise_hu <= 500))
        return cts_fail(CTS_E_INPUT, "phantom: noise is %g HU, allowed are at most 500", s->noise_hu);
    for (int f = 0; f < CTS_FINDINGS && s->labels_given; f++)
        if (s->labels[f] > 1)
            return cts_fail(CTS_E_INPUT, "phantom: label \"%s\" is %d, allowed are 0 and 1", cts_findings[f].name,
                            s->labels[f]);
    return CTS_OK;
}

int cts_phantom_create(cts_phantom **out, const cts_phantom_spec *spec)
{
    cts_phantom *p = NULL;
    cts_phantom_spec s = *spec;
    int rc;

    if ((rc = check_spec(&s)) != CTS_OK)
        return rc;
    if (!(p = calloc(1, sizeof *p)))
        return cts_fail(CTS_E_NOMEM, "phantom: out of memory");
    p->spec = s;
    if (s.labels_given)
        memcpy(p->labels, s.labels, sizeof p->labels);
    else
        cts_phantom_draw_labels(s.seed, p->labels);
    for (int f = 0; f < CTS_FINDINGS; f++)
        p->wanted |= (uint32_t)p->labels[f] << f;
    p->shown = p->wanted & ~s.without;
    cts_ph_draw_anatomy(p);
    cts_ph_add_skeleton(p);
    cts_ph_add_mediastinum(p);
    cts_ph_add_trees(p); /* before the findings of the heart change what counts as lung */
    cts_ph_find_heart(p);
    cts_ph_find_texture(p);
    cts_ph_find_focal(p);
    cts_ph_find_airway(p);
    cts_ph_find_vessel(p);
    cts_ph_find_other(p);
    cts_ph_sort_prims(p);
    for (int f = 0; f < CTS_FINDINGS; f++)
        if (!(p->shown >> f & 1))
            p->fact[f] = (cts_phantom_fact){0};
    if (p->no_memory) {
        cts_phantom_destroy(p);
        return cts_fail(CTS_E_NOMEM, "phantom: out of memory");
    }
    *out = p;
    return CTS_OK;
}

void cts_phantom_destroy(cts_phantom *p)
{
    if (!p)
        return;
    free(p->prims);
    free(p->airways);
    free(p);
}

const cts_phantom_info *cts_phantom_info_get(const cts_phantom *p)
{
    return &p->info;
}

const cts_phantom_fact *cts_phantom_fact_get(const cts_phantom *p, int finding)
{
    return &p->fact[finding];
}

void cts_phantom_labels(const cts_phantom *p, uint8_t labels[CTS_FINDINGS])
{
    for (int f = 0; f < CTS_FINDINGS; f++)
        labels[f] = p->shown >> f & 1;
}

void cts_phantom_grid(const cts_phantom *p, int64_t dim[3], double spacing[3])
{
    memcpy(dim, p->spec.dim, sizeof p->spec.dim);
    memcpy(spacing, p->spec.spacing, sizeof p->spec.spacing);
}
