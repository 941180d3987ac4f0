/* SPDX-License-Identifier: MIT */
#include "query/zeroshot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/status.h"

#define SHOWN 12 /* pleural effusion */

static float dot(const float *a, const float *b, int64_t n)
{
    double s = 0.0;

    for (int64_t i = 0; i < n; i++)
        s += (double)a[i] * b[i];
    return (float)s;
}

static int pairs_of(const cts_zeroshot *z, int finding)
{
    return z->phrasing ? z->pairs[finding] : 1;
}

/* The pair of vectors at `pair` [2][dim] against an image. */
static double logit_of(const cts_zeroshot *z, const float *pair, const float *image)
{
    return z->scale * ((double)dot(image, pair, z->dim) - dot(image, pair + z->dim, z->dim));
}

static float score(const cts_zeroshot *z, const float *pair, const float *image)
{
    return (float)(1.0 / (1.0 + exp(-logit_of(z, pair, image))));
}

/* Mean of n unit vectors, `step` floats apart, brought back to unit length. */
static int mean_direction(float *out, const float *from, int n, int64_t step, int64_t dim, const char *what)
{
    double norm = 0.0;

    for (int64_t i = 0; i < dim; i++) {
        double s = 0.0;

        for (int k = 0; k < n; k++)
            s += (double)from[k * step + i];
        out[i] = (float)(s / n);
        norm += (s / n) * (s / n);
    }
    if (!(norm > 1e-12))
        return cts_fail(CTS_E_INPUT, "prompts: the phrasings of %s cancel out, allowed ones that point one way", what);
    for (int64_t i = 0; i < dim; i++)
        out[i] = (float)(out[i] / sqrt(norm));
    return CTS_OK;
}

static int average(cts_zeroshot *z)
{
    const float *at = z->phrasing;
    int rc = CTS_OK;

    for (int f = 0; !rc && f < CTS_FINDINGS; f++) {
        for (int side = 0; !rc && side < 2; side++) {
            float *out = z->prompt + (2 * f + side) * z->dim;

            if (z->pairs[f] == 1) /* to the bit as it came */
                memcpy(out, at + side * z->dim, (size_t)z->dim * sizeof *out);
            else
                rc = mean_direction(out, at + side * z->dim, z->pairs[f], 2 * z->dim, z->dim, cts_findings[f].name);
        }
        at += 2 * z->pairs[f] * z->dim;
    }
    return rc;
}

/* SHA-256 over the texts, each with its end. */
static int digest_of(char out[CTS_DIGEST_HEX], const char *const *texts, size_t n)
{
    cts_digest *d = NULL;
    int rc = cts_digest_create(&d);

    for (size_t i = 0; !rc && i < n; i++)
        cts_digest_update(d, texts[i], strlen(texts[i]) + 1);
    if (!rc)
        rc = cts_digest_finish(d, out);
    cts_digest_destroy(d);
    return rc;
}

int cts_zeroshot_init_bank(cts_zeroshot *z, cts_engine *e, const cts_prompt_bank *b)
{
    cts_zeroshot r = {.dim = cts_engine_dim(e), .scale = cts_engine_scale(e)};
    const char **texts = NULL;
    size_t n = 0, at = 0, row = (size_t)r.dim * sizeof(float);
    int rc;

    for (int f = 0; f < CTS_FINDINGS; f++)
        n += 2 * (size_t)b->n[f];
    texts = malloc(n * sizeof *texts);
    r.prompt = malloc(2 * CTS_FINDINGS * row);
    r.phrasing = malloc(n * row);
    if (!texts || !r.prompt || !r.phrasing) {
        rc = cts_fail(CTS_E_NOMEM, "out of memory for prompts");
        goto out;
    }
    for (int f = 0; f < CTS_FINDINGS; f++) {
        r.pairs[f] = b->n[f];
        for (int k = 0; k < b->n[f]; k++)
            for (int side = 0; side < 2; side++)
                texts[at++] = b->text[f][k][side];
    }
    snprintf(r.bank, sizeof r.bank, "%s", b->name);
    for (int side = 0; side < 2; side++)
        snprintf(r.example[side], sizeof r.example[side], "%s", b->text[SHOWN][0][side]);
    if ((rc = digest_of(r.digest, texts, at)) || (rc = cts_engine_texts(e, texts, n, r.phrasing, NULL)) ||
        (rc = average(&r)))
        goto out;
    *z = r;
    r = (cts_zeroshot){0}; /* the caller's now */
out:
    free(texts);
    cts_zeroshot_clear(&r);
    return rc;
}

int cts_zeroshot_open(cts_zeroshot *z, cts_engine *e, const char *prompts)
{
    const char *own = cts_engine_clip(e)->config.prompts;
    cts_prompt_bank *b = NULL;
    int rc = cts_prompt_bank_open(&b, prompts ? prompts : *own ? own : "ctclip");

    if (!rc)
        rc = cts_zeroshot_init_bank(z, e, b);
    else if (!prompts)
        rc = cts_fail_in(CTS_E_FORMAT, "%s/config.json", cts_engine_path(e));
    cts_prompt_bank_close(b);
    return rc;
}

int cts_zeroshot_init(cts_zeroshot *z, cts_engine *e)
{
    return cts_zeroshot_open(z, e, NULL);
}

void cts_zeroshot_clear(cts_zeroshot *z)
{
    free(z->prompt);
    free(z->phrasing);
    z->prompt = z->phrasing = NULL;
}

void cts_zeroshot_logits(const cts_zeroshot *z, const float *image, float logit[CTS_FINDINGS])
{
    for (int f = 0; f < CTS_FINDINGS; f++)
        logit[f] = (float)logit_of(z, z->prompt + 2 * f * z->dim, image);
}

void cts_zeroshot_score(const cts_zeroshot *z, const float *image, float probability[CTS_FINDINGS])
{
    for (int f = 0; f < CTS_FINDINGS; f++)
        probability[f] = score(z, z->prompt + 2 * f * z->dim, image);
}

void cts_zeroshot_spread(const cts_zeroshot *z, const float *image, cts_prompt_spread spread[CTS_FINDINGS])
{
    const float *at = z->phrasing;

    for (int f = 0; f < CTS_FINDINGS; f++) {
        double sum = 0.0;
        int n = pairs_of(z, f);

        spread[f] = (cts_prompt_spread){.pairs = n, .min = 1.0f, .max = 0.0f};
        for (int k = 0; k < n; k++) {
            float p = score(z, at ? at + 2 * k * z->dim : z->prompt + 2 * f * z->dim, image);

            sum += (double)p;
            spread[f].min = fminf(spread[f].min, p);
            spread[f].max = fmaxf(spread[f].max, p);
        }
        spread[f].mean = (float)(sum / n);
        if (at)
            at += 2 * n * z->dim;
    }
}
