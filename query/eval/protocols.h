/* Named protocols: what a published evaluation does, as data. A figure means something only together with its pool, its
 * rule for ties, its thresholds and its averaging, so these travel with every result.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_EVAL_PROTOCOLS_H
#define CTS_QUERY_EVAL_PROTOCOLS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define CTS_EVAL_KS_MAX 16

typedef enum {
    CTS_TASK_RECALL,   /* pairs of image and text */
    CTS_TASK_CLASSIFY, /* scores against labels: `eval zeroshot` and `eval classify` */
    CTS_TASK_MAP       /* images by images, relevance by labels */
} cts_eval_task;

/* Families of figures; each has names of its own in every output. */
enum {
    CTS_FIGURE_PAIR = 1 << 0,      /* t2i_r@k, i2t_r@k: only the own partner is right */
    CTS_FIGURE_SCAN = 1 << 1,      /* t2i_scan_r@k, i2t_scan_r@k: any reconstruction of the scan is right */
    CTS_FIGURE_WML = 1 << 2,       /* f1_wml@0.5 and its company */
    CTS_FIGURE_W2 = 1 << 3,        /* f1_w2@roc */
    CTS_FIGURE_BIN = 1 << 4,       /* f1_bin@val */
    CTS_FIGURE_YOUDEN = 1 << 5,    /* f1_w2@youden */
    CTS_FIGURE_CTCLIP = 1 << 6,    /* map_ctclip@k, map_ctclip_running@k */
    CTS_FIGURE_SPECTRE = 1 << 7,   /* map_spectre@k */
    CTS_FIGURE_RADFINDER = 1 << 8, /* map_radfinder@k */
};

typedef struct {
    const char *name, *about;
    cts_eval_task task;
    unsigned figures;
    const char *pool;            /* name of the default pool */
    const char *map;             /* label map, NULL = the 18 findings */
    int64_t ks[CTS_EVAL_KS_MAX]; /* ends with 0 */
} cts_eval_protocol;

extern const cts_eval_protocol cts_eval_protocols[];
extern const size_t cts_eval_protocols_n;
/* CTS_E_INPUT lists the protocols of the task; one of another task is refused too. *out is static. */
int cts_eval_protocol_find(const cts_eval_protocol **out, const char *name, cts_eval_task task);
/* What is printed without --protocol: all families side by side on pool all. */
const cts_eval_protocol *cts_eval_protocol_default(cts_eval_task task);

/* The rules of these figures in words: for each that applies a key ("r@k", "ties", "threshold @0.5", ...) and a
 * sentence; calls put() in order. */
void cts_eval_figure_rules(unsigned figures, void (*put)(void *ctx, const char *key, const char *text), void *ctx);
/* [{name, about, task, pool, labels, ks, rules}] */
json_t *cts_eval_protocols_json(void);

#endif
