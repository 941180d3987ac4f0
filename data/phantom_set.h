/* A folder of phantoms in CT-RATE's shape: volumes/NAME.nii.gz, masks/NAME.nii.gz (when asked for), reports.csv,
 * labels.csv and metadata.csv with CT-RATE's column names.
 *
 * Every file appears whole or not at all, and the CSVs come last: a set that was cut short has none. The content
 * depends on the options only, not on the pool.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_DATA_PHANTOM_SET_H
#define CTS_DATA_PHANTOM_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "data/phantom.h"

#define CTS_PHANTOM_VOLUMES "volumes"
#define CTS_PHANTOM_MASKS "masks"
#define CTS_PHANTOM_REPORTS "reports.csv"
#define CTS_PHANTOM_LABELS "labels.csv"
#define CTS_PHANTOM_METADATA "metadata.csv"

typedef struct {
    const char *folder; /* made when missing; files of the same names are replaced */
    uint64_t seed;      /* global: a patient's seed is cts_phantom_seed(seed, name) */

    /* A drawn set: PREFIX_000001_a_1.nii.gz and on, one patient each, labels and reports written too. */
    const char *prefix; /* letters, digits and '-'; NULL = "train" */
    int64_t n;          /* volumes, 1 to 1,000,000; of a given set: the first n records, 0 = all */
    int64_t first;      /* number of the first, 0 = 1 */

    /* A given set: when labels is not NULL, one volume for each record of the CSVs, named as there; of the CSVs only
     * metadata.csv is written. reports may be NULL. */
    const char *reports, *labels;

    int64_t dim[3];    /* as cts_phantom_spec */
    double spacing[3]; /* ditto */
    double noise_hu;   /* ditto */
    uint32_t without;  /* ditto */
    bool exactly;      /* of a drawn set: every volume has just `findings`, one bit each, instead of drawn ones */
    uint32_t findings;
    bool masks;
    cts_pool *pool; /* volumes are shared among its threads; NULL = this one */
    /* Called on the calling thread now and then; anything but 0 stops and is returned, the volumes so far stay. May be
     * NULL. */
    int (*progress)(void *ctx, int64_t done, int64_t total);
    void *progress_ctx;
} cts_phantom_set;

/* CTS_E_INPUT names an option out of range or a record without labels; errors of the CSVs, CTS_E_IO, CTS_E_NOMEM.
 * *written (may be NULL) = volumes written. */
int cts_phantom_set_write(const cts_phantom_set *set, int64_t *written);

#endif
