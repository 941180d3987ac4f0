/* A data set into an index: every study's image vector, text vector, report, labels and names, a batch a transaction.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_INGEST_H
#define CTS_QUERY_INGEST_H

#include "query/session.h"

typedef struct {
    size_t added, updated; /* committed */
    size_t present;        /* were in the index already and are left as they are */
    size_t skipped;        /* no file, a file that cannot be used, or nothing to embed */
    size_t without_report; /* of added and updated: image vector only */
    size_t cut;            /* of added and updated: the report is longer than the model reads, its end has no part in
                              the vector */
} cts_ingest_result;

/* The index and the engine of s; the index is open for writing. volumes: records need a file; otherwise reports alone
 * are indexed. update: replace items of the same name instead of leaving them. Names are the stems of the volume names.
 * One transaction for every CTS_INGEST_BATCH studies: after a failure or Ctrl-C (CTS_E_INTERRUPTED) whole batches are
 * kept, *r says how many, and running the same command again goes on from there. A bad volume is logged and counted, no
 * failure. */
#define CTS_INGEST_BATCH 32
int cts_ingest(cts_session *s, const cts_dataset *d, bool volumes, bool update, cts_ingest_result *r);

#endif
