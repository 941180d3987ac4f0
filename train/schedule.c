/* SPDX-License-Identifier: MIT */
#include "train/schedule.h"

#include <math.h>
#include <string.h>

#include "kernels/base/status.h"

double cts_schedule_lr(const cts_schedule *s, int64_t step)
{
    int64_t warmup = s->warmup_part > 0 ? (int64_t)(s->warmup_part * (double)s->steps) : s->warmup;
    double part;

    if (step < warmup)
        return s->lr * (double)(step + 1) / (double)warmup;
    if (s->kind == CTS_SCHEDULE_CONSTANT || s->steps <= warmup)
        return s->lr;
    part = fmin(1.0, (double)(step - warmup) / (double)(s->steps - warmup));
    return s->min_lr + 0.5 * (s->lr - s->min_lr) * (1.0 + cos(3.14159265358979323846 * part));
}

int cts_schedule_parse(cts_schedule_kind *kind, const char *name)
{
    for (int k = CTS_SCHEDULE_CONSTANT; k <= CTS_SCHEDULE_COSINE; k++)
        if (!strcmp(name, cts_schedule_name((cts_schedule_kind)k))) {
            *kind = (cts_schedule_kind)k;
            return CTS_OK;
        }
    return cts_fail(CTS_E_USAGE, "--schedule: got %s, allowed: constant, cosine", name);
}

const char *cts_schedule_name(cts_schedule_kind kind)
{
    return kind == CTS_SCHEDULE_COSINE ? "cosine" : "constant";
}
