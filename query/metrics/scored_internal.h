/* One label's scores in falling order: what curves, thresholds and resampled areas are computed from.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_METRICS_SCORED_INTERNAL_H
#define CTS_QUERY_METRICS_SCORED_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    float score;
    uint32_t row : 31, positive : 1;
} cts_scored;

/* *out [n], largest score first, to be freed; scores and labels of row i stand at i * stride; n < 2^31.
 * CTS_E_INPUT names the row of a NaN. */
int cts_scored_sort(cts_scored **out, const float *scores, const uint8_t *labels, size_t n, size_t stride,
                    size_t *positives);

#endif
