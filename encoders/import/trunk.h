/* A published ResNet-18 (torchvision's state dict, ImageNet) as the trunk of a CT-Scroll: conv1 becomes features.0, bn1
 * features.1, layer1 .. layer4 features.4 .. features.7; fc is dropped. The three colours are a triplet's slices.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_IMPORT_TRUNK_H
#define CTS_ENCODERS_IMPORT_TRUNK_H

#include "encoders/clip.h"

/* Set the trunk of m, which has data, from the weight file at path (encoders/import/weights.h). CTS_E_MISMATCH: the
 * image encoder has no such trunk, a tensor is missing, is not known, or has another shape; m is unchanged then. */
int cts_import_trunk(cts_clip *m, const char *path);

#endif
