/* SPDX-License-Identifier: MIT */
#include "query/zeroshot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernels/base/status.h"

static float dot(const float *a, const float *b, int64_t n)
{
    double s = 0.0;

    for (int64_t i = 0; i < n; i++)
        s += (double)a[i] * b[i];
    return (float)s;
}

int cts_zeroshot_init(cts_zeroshot *z, cts_engine *e)
{
    char text[2 * CTS_FINDINGS][96];
    const char *texts[2 * CTS_FINDINGS];
    int64_t d = cts_engine_dim(e);
    float *prompt = malloc((size_t)(2 * CTS_FINDINGS * d) * sizeof *prompt);
    int rc;

    if (!prompt)
        return cts_fail(CTS_E_NOMEM, "out of memory for prompts");
    for (int i = 0; i < CTS_FINDINGS; i++) {
        snprintf(text[2 * i], sizeof text[0], "%s is present.", cts_findings[i].name);
        snprintf(text[2 * i + 1], sizeof text[0], "%s is not present.", cts_findings[i].name);
        texts[2 * i] = text[2 * i];
        texts[2 * i + 1] = text[2 * i + 1];
    }
    if ((rc = cts_engine_texts(e, texts, 2 * CTS_FINDINGS, prompt, NULL))) {
        free(prompt);
        return rc;
    }
    *z = (cts_zeroshot){d, cts_engine_scale(e), prompt};
    return CTS_OK;
}

void cts_zeroshot_clear(cts_zeroshot *z)
{
    free(z->prompt);
    z->prompt = NULL;
}

void cts_zeroshot_score(const cts_zeroshot *z, const float *image, float probability[CTS_FINDINGS])
{
    for (int i = 0; i < CTS_FINDINGS; i++) {
        const float *p = z->prompt + 2 * i * z->dim;
        double margin = (double)dot(image, p, z->dim) - dot(image, p + z->dim, z->dim);

        probability[i] = (float)(1.0 / (1.0 + exp(-z->scale * margin)));
    }
}
