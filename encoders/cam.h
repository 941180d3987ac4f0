/* Where in a volume an answer comes from: Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) over a grid of features
 * inside an image tower.
 *
 * For one number the tower gives, here any linear functional <d_result, result> (one logit; the difference of two
 * prompts against the embedding), with A [z, x, y, C] the features of the layer and G the gradient of the number there:
 *   ALL    w[c] = mean of G[.., c] over the grid,         heat = max(0, sum_c w[c] A[.., c])           the paper's
 *   SLAB   the mean over each z of the grid alone: where the slabs went through the layers apart, as triplets do
 *   CELL   no mean, heat = max(0, sum_c G[.., c] A[.., c]): HiResCAM (Draelos and Carin 2020, arXiv 2011.08891), for
 *          layers whose cells do not all count alike, where a mean gradient says little
 * At the last layer before a mean over the grid, the first and the last are the same, and so are SLAB and CELL before
 * the mean over each plane. AUTO is SLAB where there are slabs, otherwise CELL: on phantoms it points better than ALL
 * wherever the two differ.
 *
 * The tower runs by its inference rules: running statistics, no dropout. It is cut at the layer into two graphs: all
 * before it runs once a volume, with fused kernels and the memory of inference; what follows runs forward and backward
 * once a question, with the features as its input. No parameter gets a gradient. A quantiser behind the layer, which
 * has no gradient of its own, passes it straight through; the layer "tokens" lies behind the quantiser.
 *
 * One thread a cam. SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_CAM_H
#define CTS_ENCODERS_CAM_H

#include "encoders/tower.h"

typedef enum { CTS_CAM_AUTO, CTS_CAM_ALL, CTS_CAM_SLAB, CTS_CAM_CELL, CTS_CAM_COUNT } cts_cam_weights;

/* "auto", "all", "slab", "cell" */
const char *cts_cam_weights_name(cts_cam_weights w);
int cts_cam_weights_parse(cts_cam_weights *out, const char *name);

/* Zero = the encoder's own choice (cts_encoder_view). */
typedef struct {
    const char *layer; /* a traced intermediate [N, z, x, y, C] or [N, z, C], or "tokens" */
    cts_cam_weights weights;
    int64_t volume[3]; /* voxels z, x, y; 0 = the config's */
} cts_cam_options;

typedef struct {
    char layer[64];
    cts_cam_weights weights;   /* never AUTO */
    int64_t volume[3];         /* voxels z, x, y */
    int64_t grid[3];           /* cells along them; 1 where the layer has no such axis */
    double origin[3], step[3]; /* cell c is centred on voxel origin + c * step and step voxels wide */
    int64_t slab;              /* z goes in slabs of so many slices (cts_encoder_view); 0 = it does not */
    int64_t channels;
    int64_t dim; /* of the tower's result */
    size_t peak_bytes;
} cts_cam_info;

typedef struct cts_cam cts_cam;

/* What spec borrows must outlive it. CTS_E_MISMATCH: no image side, a volume that does not suit the encoder;
 * CTS_E_NOTFOUND: no such layer, the sentence lists them; CTS_E_INPUT: an encoder without a grid. */
int cts_cam_create(cts_cam **out, const cts_tower_spec *spec, const cts_cam_options *o, cts_backend *b);
void cts_cam_destroy(cts_cam *c); /* NULL allowed */
const cts_cam_info *cts_cam_describe(const cts_cam *c);

/* Forward of one volume [z, x, y]; result [dim]. */
int cts_cam_see(cts_cam *c, const float *volume, float *result);
/* Of the volume seen last: heat [grid z][grid x][grid y], 0 and above, of <d_result, result>. CTS_E_INPUT when it is
 * not finite. */
int cts_cam_map(cts_cam *c, const float *d_result, float *heat);

#endif
