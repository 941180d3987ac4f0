/* One CT volume in memory: native voxels, the linear map to Hounsfield units, and the geometry.
 *
 * Voxel (i, j, k) is at index i + dim[0] * (j + dim[1] * k): i fastest, as NIfTI stores it (axes x, y, z of the
 * published pipelines). World millimetres are NIfTI's RAS+: x grows towards the right, y towards anterior, z towards
 * superior.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_DATA_VOLUME_H
#define CTS_DATA_VOLUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { CTS_VOXEL_I16, CTS_VOXEL_F32 } cts_voxel_type;

typedef struct {
    int64_t dim[3];      /* voxels along i, j, k; each >= 1 */
    double spacing[3];   /* mm along i, j, k; > 0 */
    bool has_affine;     /* false: the file had neither sform nor qform; affine is then diag(spacing) */
    double affine[3][4]; /* voxel (i,j,k,1) -> RAS mm */
    double forms_deg;    /* largest angle between an axis of the sform, which is used, and of the qform; 0 = one only */
    cts_voxel_type type;
    void *voxels;        /* int16_t or float [dim[2]][dim[1]][dim[0]], owned, 64-byte aligned */
    double slope, inter; /* HU = slope * voxel + inter (the file's scl_slope and scl_inter, or 1 and 0) */
    char datatype[16];   /* what the file stored: "int16", "uint8", "float64", ... */
    double pixdim
        [3]; /* mm as the file's pixdim says; differs from spacing when a sform contradicts it; 0 = not from a file */
} cts_volume;

/* A volume with zeroed voxels, slope 1, inter 0, affine diag(spacing) and has_affine false; CTS_E_INPUT for a dim
 * below 1 or a spacing not above 0, CTS_E_LIMIT, CTS_E_NOMEM. End with cts_volume_destroy(). */
int cts_volume_create(cts_volume **out, const int64_t dim[3], const double spacing[3], cts_voxel_type type);
void cts_volume_destroy(cts_volume *v); /* NULL allowed */
size_t cts_volume_count(const cts_volume *v);
/* HU of the n voxels from flat index `at` into out. */
void cts_volume_hu(const cts_volume *v, size_t at, size_t n, float *out);

/* Axis codes such as "LPS": the world direction in which i, j, k increase most (nibabel's aff2axcodes). codes[4]. */
void cts_volume_axis_codes(const cts_volume *v, char codes[4]);
/* Largest angle in degrees between a voxel axis and the world axis nearest to it; 0 for a volume that lies straight.
 * Above CTS_OBLIQUE_DEG axis codes are a rough picture and it is worth a warning. */
#define CTS_OBLIQUE_DEG 5.0
double cts_volume_oblique(const cts_volume *v);
/* How to see v in the axis order `codes` without moving a voxel: new axis a runs along stored axis axis[a], backwards
 * where flip[a]. CTS_E_INPUT when codes are not three of R/L, A/P, S/I, each pair once. */
int cts_volume_orientation(const cts_volume *v, const char *codes, int axis[3], bool flip[3]);
/* "as stored" or for example "permuted j,i,k; flipped i" (stored axis names) for such a pair. */
void cts_volume_orientation_text(const int axis[3], const bool flip[3], char did[64]);
/* Permute and flip voxels in memory so that the axis codes become `codes` (any of the 48); spacing and affine follow.
 * *did (may be NULL, 64 bytes): "as stored" or what was done, for example "permuted j,i,k; flipped i". CTS_E_INPUT
 * when codes are not three of R/L, A/P, S/I. */
int cts_volume_reorient(cts_volume *v, const char *codes, char did[64]);

#endif
