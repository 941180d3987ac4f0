/* ResNet-18 (He et al. 2015, "Deep Residual Learning for Image Recognition") as a trunk over stacks of images.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_RESNET18_H
#define CTS_ENCODERS_RESNET18_H

#include "encoders/blocks.h"

/* torchvision's resnet18 without its pooling and classifier, named as a Sequential of its children:
 * <prefix>0 (convolution), 1 (batch norm), 4 to 7 (layers 1 to 4). x [N, T, H, W, Cin]: T images a sample, each on its
 * own. width is 64 in the published model; layers have width, 2, 4, 8 times width channels.
 * Result [N, T, ceil(H / 32), ceil(W / 32), 8 * width]; traced are layer1, layer2, layer3. */
cts_tensor *cts_block_resnet18(cts_build *b, cts_tensor *x, int64_t width);

#endif
