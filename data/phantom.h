/* A synthetic chest CT: one patient drawn from a seed, rendered analytically in Hounsfield units, with a report.
 *
 * Anatomy (body, ribs, spine, lungs, airways, pulmonary vessels, heart, great vessels, upper abdomen) and the 18
 * findings of data/findings.h. Every part draws from a random stream of its own, cts_rng_split(seed, salt): the labels,
 * the anatomy, the noise, the text and each finding. So a patient can be rendered again with findings left out
 * (`without`): every voxel outside the masks of what was left out is identical. A phantom may differ from a patient in
 * many ways; what it keeps are the densities that radiology texts give for each finding and the partial volume that a
 * voxel of the given size causes.
 *
 * Volumes are int16 HU, voxel order L-P-S (i grows to the patient's left, j to the back, k to the head), with a true
 * affine. Source of the density ranges: the Fleischner Society glossary (Hansell et al., Radiology 2008;246:697) and
 * common texts.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_DATA_PHANTOM_H
#define CTS_DATA_PHANTOM_H

#include <stdbool.h>
#include <stdint.h>

#include "data/findings.h"
#include "data/volume.h"
#include "kernels/base/str.h"
#include "kernels/base/thread.h"

typedef struct {
    uint64_t seed;       /* the patient */
    uint64_t noise_salt; /* another reconstruction of the same patient: other noise, all else the same; 0 is one too */
    int64_t dim[3];      /* x, y, z; 0 = 96, 96, 64; each 8..1024 */
    double spacing[3];   /* mm; 0 = a field of view of 360 x 280 x 300 mm over dim; each 0.2..20 */
    bool labels_given;   /* false: labels drawn with CT-RATE's prevalences */
    uint8_t labels[CTS_FINDINGS]; /* 0 or 1, read when labels_given */
    uint32_t without;             /* bit i: finding i is left out of the rendering, the facts and the report */
    double noise_hu;              /* standard deviation; 0 = drawn per patient (6..18), negative = none */
} cts_phantom_spec;

typedef enum {
    CTS_PHANTOM_SIDE_NONE,
    CTS_PHANTOM_SIDE_RIGHT,
    CTS_PHANTOM_SIDE_LEFT,
    CTS_PHANTOM_SIDE_BOTH
} cts_phantom_side;

/* What was rendered of one finding. */
typedef struct {
    bool present;
    cts_phantom_side side; /* NONE where a side has no meaning */
    double size_mm;        /* the size the report states: diameter, thickness, extent; 0 where none is stated */
    double centre_mm[3];   /* RAS mm of the (largest) focus */
    double hu;             /* density of that focus */
    int count;             /* foci rendered */
    int kind;              /* variant, meaning local to the finding */
    char where[96];        /* "the right lower lobe", to follow "in"; "" where none is stated */
} cts_phantom_fact;

typedef struct {
    char sex; /* 'M' or 'F' */
    int age_years;
    double cardiothoracic_ratio; /* of what is rendered */
    double noise_hu;
    bool contrast; /* blood is enhanced */
} cts_phantom_info;

typedef struct cts_phantom cts_phantom;

/* Seed of the patient a CT-RATE volume name belongs to: "train_1_a_1.nii.gz" and "train_1_b_2" share "train_1". */
uint64_t cts_phantom_seed(uint64_t global_seed, const char *volume_name);
/* Salt for noise_salt: differs between the volumes of one patient. */
uint64_t cts_phantom_noise_salt(const char *volume_name);

/* 18 labels with the marginal prevalences of CT-RATE's validation set, correlated by a few common causes (age, heart
 * failure, infection, airway disease, smoking). */
void cts_phantom_draw_labels(uint64_t seed, uint8_t labels[CTS_FINDINGS]);

/* Draw the patient. CTS_E_INPUT names a field of the spec out of range; CTS_E_NOMEM. The result is immutable, may be
 * shared between threads, and ends with cts_phantom_destroy(). */
int cts_phantom_create(cts_phantom **out, const cts_phantom_spec *spec);
void cts_phantom_destroy(cts_phantom *p); /* NULL allowed */
const cts_phantom_info *cts_phantom_info_get(const cts_phantom *p);
const cts_phantom_fact *cts_phantom_fact_get(const cts_phantom *p, int finding);
/* Size of the volume with the defaults filled in. */
void cts_phantom_grid(const cts_phantom *p, int64_t dim[3], double spacing[3]);
/* Labels that hold for the rendering: those asked for or drawn, less `without`. */
void cts_phantom_labels(const cts_phantom *p, uint8_t labels[CTS_FINDINGS]);

/* Render. *hu is int16, slope 1, inter 0. mask may be NULL; otherwise float32 whose voxel holds the integer sum of 2^i
 * over the findings i that changed it (18 bits do not fit int16 and float holds them exactly). Slices are shared among
 * the pool's threads (pool NULL: this thread); the result does not depend on their number. CTS_E_NOMEM. */
int cts_phantom_render(const cts_phantom *p, cts_pool *pool, cts_volume **hu, cts_volume **mask);

/* The two sections of the report, replacing what the strings held. Sides, sizes and places agree with the facts. Never
 * empty. CTS_E_NOMEM. */
int cts_phantom_report(const cts_phantom *p, cts_str *findings, cts_str *impressions);

#endif
