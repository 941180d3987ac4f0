/* Random variants of a prepared volume, for training: what another scan of the same patient could have looked like.
 *
 *   shift   the body is moved by up to this part of each axis; along z by whole slices
 *   rotate  it is turned about the body axis by up to so many degrees (bilinear in the plane; slices stay slices)
 *   jitter  window units become v' = lo + (v - lo) (1 + s) + o (hi - lo) with s and o up to this
 *   noise   plus noise of a standard deviation up to this part of the window, each voxel its own
 *   flip    each axis is mirrored in half of the cases; off unless asked for, for anatomy is not symmetric
 *
 * What is drawn is uniform in [-x, x] (noise: [0, x]) and a pure function of the key, so a resumed training sees the
 * same variants for any number of threads. What comes in from outside is the recipe's pad value, and voxels that have
 * exactly the pad value keep it under jitter and noise. Results stay inside the window.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_DATA_AUGMENT_H
#define CTS_DATA_AUGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/base/thread.h"

typedef struct {
    double shift;  /* of an axis, 0 to 0.5 */
    double rotate; /* degrees, 0 to 45 */
    double noise;  /* of the window, 0 to 0.5 */
    double jitter; /* of the window, 0 to 0.5 */
    bool flip;     /* all axes */
} cts_augment;

/* "none"; "default" (shift=0.05,rotate=6,noise=0.02,jitter=0.05); or a list such as "shift=0.1,noise=0.02,flip" in
 * which what is not named is off. CTS_E_USAGE names the part that makes no sense. */
int cts_augment_parse(cts_augment *out, const char *text);
/* The list again, or "none", at most n bytes with the 0. Equal settings, equal texts. */
void cts_augment_text(char *out, size_t n, const cts_augment *a);
bool cts_augment_any(const cts_augment *a);

/* What the values of a tensor mean: cts_recipe's out[0], out[1], pad, and its size. */
typedef struct {
    int64_t dim[3]; /* z, x, y */
    float lo, hi, pad;
} cts_augment_space;

/* volume [z, x, y] is changed in place; scratch has room for as many floats. pool may be NULL. */
int cts_augment_apply(const cts_augment *a, const cts_augment_space *s, uint64_t key, float *volume, float *scratch,
                      cts_pool *pool);

#endif
