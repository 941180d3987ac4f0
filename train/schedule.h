/* Learning rate as a pure function of the step, so that resume needs no state. SPDX-License-Identifier: MIT */
#ifndef CTS_TRAIN_SCHEDULE_H
#define CTS_TRAIN_SCHEDULE_H

#include <stdint.h>

typedef enum { CTS_SCHEDULE_CONSTANT, CTS_SCHEDULE_COSINE } cts_schedule_kind;

typedef struct {
    cts_schedule_kind kind;
    double lr, min_lr;     /* peak; floor of the cosine */
    int64_t warmup, steps; /* linear from lr / warmup up to lr over `warmup` steps; cosine ends at `steps` */
    double warmup_part;    /* > 0: `warmup` is this part of the steps instead, so that it follows their number */
} cts_schedule;

/* Rate of step 0, 1, 2, ... */
double cts_schedule_lr(const cts_schedule *s, int64_t step);
/* "constant" or "cosine"; CTS_E_USAGE otherwise. */
int cts_schedule_parse(cts_schedule_kind *kind, const char *name);
const char *cts_schedule_name(cts_schedule_kind kind);

#endif
