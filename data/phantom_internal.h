/* Inside of the phantom: the patient's anatomy in numbers, and the list of primitives that the renderer paints in
 * order.
 *
 * Patient coordinates are mm, x to the left, y to the back, z to the head, origin in mid-chest. The scanner sees them
 * turned about z and shifted. Distances are signed, negative inside.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_DATA_PHANTOM_INTERNAL_H
#define CTS_DATA_PHANTOM_INTERNAL_H

#include "data/phantom.h"
#include "kernels/base/rng.h"

/* Order of cts_findings. */
enum {
    F_MATERIAL,
    F_AORTIC_CALC,
    F_CARDIOMEGALY,
    F_PERICARDIAL,
    F_CORONARY_CALC,
    F_HERNIA,
    F_NODES,
    F_EMPHYSEMA,
    F_ATELECTASIS,
    F_NODULE,
    F_OPACITY,
    F_FIBROTIC,
    F_EFFUSION,
    F_MOSAIC,
    F_PERIBRONCHIAL,
    F_CONSOLIDATION,
    F_BRONCHIECTASIS,
    F_SEPTAL
};

/* Salts of the random streams, fixed for ever: they are part of what a seed means. */
enum {
    SALT_LABELS = 1,
    SALT_ANATOMY = 2,
    SALT_NOISE = 3,
    SALT_TEXT = 4,
    SALT_TEXTURE = 5,
    SALT_TREE = 6,
    SALT_FINDING = 100
};

typedef enum { PRIM_BALL, PRIM_TUBE, PRIM_PLATE, PRIM_MOSAIC, PRIM_SEPTA, PRIM_EFFUSION } prim_kind;
typedef enum { CLIP_NONE, CLIP_LUNG, CLIP_NOT_LUNG, CLIP_OUTSIDE } prim_clip;

/* Painting order. */
enum {
    LAYER_WALL,    /* breasts, bones */
    LAYER_ORGAN,   /* great vessels, trachea, oesophagus: take lung away */
    LAYER_TEXTURE, /* mosaic, emphysema, ground glass */
    LAYER_DENSE,   /* consolidation, septa, scars */
    LAYER_VESSEL,
    LAYER_NODULE, /* nodules, plates of atelectasis */
    LAYER_AIRWAY, /* walls, then lumens: air bronchograms come out of this order */
    LAYER_FLUID,
    LAYER_MEDIASTINAL, /* nodes, hernia */
    LAYER_CALCIUM,
    LAYER_DEVICE,
    LAYERS
};

typedef struct {
    prim_kind kind;
    prim_clip clip;
    int layer, bit;     /* bit: finding, or -1 for anatomy */
    bool add;           /* hu is added, weighted, instead of blended to */
    bool solid;         /* takes the lung away */
    bool hides;         /* where opaque, findings below it are no longer there */
    int half;           /* finding of one lung: painted only where x has this sign; 0 = everywhere */
    float lo[3], hi[3]; /* bounds in patient mm, without the blur of a voxel */
    float hu, amp;      /* density, largest weight */
    float a[3], b[3];   /* centre, or the two ends; b of a plate is its unit normal */
    float r[3];         /* ball: semi-axes; tube: radius at a, at b; plate: radius, half thickness */
    float ct, st;       /* ball: turn about z */
    float soft;         /* mm over which the edge fades when wider than a voxel */
    float warp, cell;   /* irregular edge: amplitude and wavelength in mm; cell also of lobules */
    float shift[3];     /* of noise and lobules */
    float cut[4];       /* ball: only where cut . (p, 1) <= 0; used when cut_on */
    bool cut_on;
} prim;

typedef struct {
    float c[3], r[3], axis[3][3]; /* rows of axis: unit directions of the semi-axes r */
} ellipsoid;

/* A bronchus with its artery. */
typedef struct {
    float a[3], b[3];         /* centre line */
    float art_a[3], art_b[3]; /* the artery beside it */
    float art_r;
    int leaves, lobe, side; /* side +1 left, -1 right */
} airway;

typedef struct {
    bool female, contrast;
    int age;
    double turn, shift[3];                       /* how the patient lies in the scanner */
    double w, d, cy, z0, za;                     /* rib cage: half width and depth, centre y, widest level, apex */
    double body_w, body_d, body_cy, fat, skin;   /* outer shape, subcutaneous fat */
    double dome_z[2], dome_a, dome_b[2], dome_x; /* diaphragm: top of right, left dome; falls laterally, front/back */
    double med;                                  /* half width of the mediastinum */
    double s;                                    /* scale of mediastinal structures */
    double carina_z, arch_z, aorta_r, spine_y, kyphosis;
    double lung_hu, lung_gradient, blood_hu, muscle_hu, fat_hu, liver_hu, bone_hu, myocardium_hu;
    double ctr_normal, ctr_large, epicardial_mm; /* cardiothoracic ratios drawn for either case */
} anatomy;

#define TEX 32   /* side of the periodic noise table */
#define CELLS 16 /* side of the periodic table of lobule centres */
#define HEART_PARTS 3

struct cts_phantom {
    cts_phantom_spec spec;
    cts_phantom_info info;
    uint8_t labels[CTS_FINDINGS]; /* as drawn or given, before `without` */
    uint32_t wanted, shown;       /* bits of labels; less `without` */
    cts_phantom_fact fact[CTS_FINDINGS];
    anatomy an;
    ellipsoid heart[HEART_PARTS];        /* as shown */
    ellipsoid heart_normal[HEART_PARTS]; /* of the healthy patient */
    ellipsoid heart_large[HEART_PARTS];  /* as labelled: findings are placed around it, whatever `without` says */
    ellipsoid spleen, stomach;
    double pericardial_mm, pericardial_hu; /* 0 = none; as shown */
    double pericardial_wanted_mm;          /* as labelled */
    struct {
        double depth, top, hu, front; /* depth 0 = none; mm */
    } effusion[2];                    /* right, left; as labelled */
    prim *prims;
    size_t n_prims, cap_prims;
    airway *airways;
    size_t n_airways, cap_airways;
    bool no_memory;
    float tex[TEX][TEX][TEX];
    float cells[CELLS][CELLS][CELLS][4]; /* centre in the cell, random value */
};

/* phantom_anatomy.c */
void cts_ph_draw_anatomy(cts_phantom *p);
/* Scale the heart so that its width over the rib cage's is `ratio`. */
void cts_ph_fit_heart(ellipsoid heart[HEART_PARTS], const anatomy *an, double ratio);
/* Rib cage at level z: half width and depth, centre y. False above the apex. */
bool cts_ph_cage_at(const anatomy *an, double z, double *w, double *d, double *cy);
double cts_ph_diaphragm_z(const anatomy *an, double x, double y);
double cts_ph_mediastinum_half(const anatomy *an, double y, double z);
/* mm to the nearest border of aerated lung, positive inside; side is the sign of x. */
double cts_ph_lung_margin(const cts_phantom *p, const double at[3]);
double cts_ph_heart_distance(const ellipsoid heart[HEART_PARTS], const double at[3]);
double cts_ph_ellipsoid_distance(const ellipsoid *e, const double at[3]);
/* mm of pleural fluid above the chest wall at a level and depth, 0 = dry. */
double cts_ph_effusion_depth(const cts_phantom *p, int side01, double y, double z);
/* 0..4: right upper, middle, lower, left upper, lower; 5 lingula. */
int cts_ph_lobe_at(const anatomy *an, const double at[3]);
const char *cts_ph_lobe_name(int lobe);
/* zone 0 upper lobes, 1 lower lobes, 2 whole lungs, 3 apices, 4 lower zones; of one side or both. */
const char *cts_ph_zone_name(int zone, cts_phantom_side side);
const char *cts_ph_segment_name(const anatomy *an, const double at[3]);

/* phantom_body.c */
void cts_ph_add_skeleton(cts_phantom *p);
void cts_ph_add_mediastinum(cts_phantom *p);
/* Centre line of the aorta from valve to abdomen: x, y, z, radius in patient mm. */
#define CTS_PH_AORTA_POINTS 10
void cts_ph_aorta(const cts_phantom *p, double pt[CTS_PH_AORTA_POINTS][4]);

/* phantom_tree.c: arteries, veins, airways */
void cts_ph_add_trees(cts_phantom *p);

/* phantom_prims.c */
prim *cts_ph_ball(cts_phantom *p, int layer, int bit, prim_clip clip, const double c[3], double rx, double ry,
                  double rz, double hu);
prim *cts_ph_tube(cts_phantom *p, int layer, int bit, prim_clip clip, const double a[3], const double b[3], double ra,
                  double rb, double hu);
prim *cts_ph_plate(cts_phantom *p, int layer, int bit, prim_clip clip, const double c[3], const double n[3],
                   double radius, double thickness, double hu);
prim *cts_ph_field(cts_phantom *p, prim_kind kind, int layer, int bit, const double c[3], const double r[3]);
void cts_ph_turn(prim *b, double angle);
void cts_ph_roughen(prim *b, cts_rng *r, double warp_mm, double cell_mm);
void cts_ph_sort_prims(cts_phantom *p);

/* phantom_base.c: one slice of body, lungs, abdomen and heart; fills hu, lung (aerated part of the voxel, 0..1) and
 * mask */
typedef struct {
    const cts_phantom *p;
    int64_t nx, ny, nz;
    double sp[3];
    float h;      /* mm: width of the blur of a voxel */
    float ct, st; /* the patient's turn */
} cts_ph_grid;
void cts_ph_base_slice(const cts_ph_grid *g, int64_t k, float *hu, float *lung, uint32_t *mask);
/* phantom_paint.c: all primitives over slices [k0, k1); arrays start at slice k0 */
void cts_ph_paint(const cts_ph_grid *g, int64_t k0, int64_t k1, float *hu, float *lung, uint32_t *mask);

/* Coverage of a voxel of width h by the half space at signed distance d. */
static inline float cts_ph_cover(float d, float h)
{
    float a = 0.5f - d / h;

    return a < 0 ? 0 : a > 1 ? 1 : a;
}

/* Smooth periodic noise in [-1, 1]; coordinates in table cells. */
static inline float cts_ph_noise(const cts_phantom *p, float x, float y, float z)
{
    int i, j, k, i1, j1, k1;
    float u, v, w, a, b, c, d;

    x += 4096, y += 4096, z += 4096; /* floor by truncation */
    i = (int)x, j = (int)y, k = (int)z;
    u = x - (float)i, v = y - (float)j, w = z - (float)k;
    i &= TEX - 1, j &= TEX - 1, k &= TEX - 1;
    i1 = (i + 1) & (TEX - 1), j1 = (j + 1) & (TEX - 1), k1 = (k + 1) & (TEX - 1);
    a = p->tex[k][j][i] + u * (p->tex[k][j][i1] - p->tex[k][j][i]);
    b = p->tex[k][j1][i] + u * (p->tex[k][j1][i1] - p->tex[k][j1][i]);
    c = p->tex[k1][j][i] + u * (p->tex[k1][j][i1] - p->tex[k1][j][i]);
    d = p->tex[k1][j1][i] + u * (p->tex[k1][j1][i1] - p->tex[k1][j1][i]);
    a += v * (b - a);
    c += v * (d - c);
    return a + w * (c - a);
}

/* phantom_findings_*.c: each adds primitives when the finding is labelled (wanted), and fills its fact. The primitives
 * of what is left out are dropped afterwards, so that places never depend on `without`. */
cts_rng cts_ph_stream(const cts_phantom *p, int salt);
void cts_ph_set_fact(cts_phantom *p, int f, cts_phantom_side side, double size_mm, const double at[3], double hu,
                     int count, const char *where);
/* A random place in the lung at least margin mm from its border; side -1 right, +1 left, 0 either; lobe -1 any (5 =
 * lingula); accept may be NULL. False when none was found: at then holds the best place tried. */
typedef bool (*cts_ph_accept_fn)(const anatomy *an, const double at[3]);
bool cts_ph_place(const cts_phantom *p, cts_rng *r, int side, int lobe, double margin, cts_ph_accept_fn accept,
                  double at[3]);
/* As above, but near the pleura: between near and far mm from the chest wall. */
bool cts_ph_place_peripheral(const cts_phantom *p, cts_rng *r, int side, int lobe, double near_mm, double far_mm,
                             double at[3]);

void cts_ph_find_texture(cts_phantom *p); /* emphysema, mosaic, opacity, septa */
void cts_ph_find_focal(cts_phantom *p);   /* nodule, consolidation, atelectasis, fibrotic sequela */
void cts_ph_find_airway(cts_phantom *p);  /* peribronchial thickening, bronchiectasis */
void cts_ph_find_heart(cts_phantom *p);   /* cardiomegaly, both effusions: before anything is placed in the lung */
void cts_ph_find_vessel(cts_phantom *p);  /* calcifications, nodes */
void cts_ph_find_other(cts_phantom *p);   /* hernia, medical material */

/* phantom_phrases.c, phantom_denials.c: sentences with holes {side} {lung} {where} {mm} {count} {grade} {ratio}; a
 * capital first letter asks for one. */
enum { WHEN_ONE = 1, WHEN_MANY = 2, WHEN_ONE_SIDE = 4, WHEN_BOTH = 8 };
typedef struct {
    int finding;
    unsigned kinds; /* bit k: may be said of kind k; 0 = of any */
    unsigned when;  /* all must hold */
    const char *text;
} cts_ph_phrase;
typedef struct {
    uint32_t absent; /* all these findings must be */
    const char *text;
} cts_ph_denial;
typedef struct {
    int section; /* 0 airways and mediastinum, 1 lungs, 2 abdomen, 3 bones and wall */
    const char *text;
} cts_ph_filler;
/* Each ends with text NULL. */
extern const cts_ph_phrase cts_ph_phrases[], cts_ph_conclusions[];
extern const cts_ph_denial cts_ph_denials[];
extern const cts_ph_filler cts_ph_fillers[];
extern const char *const cts_ph_normal_conclusions[];

#endif
