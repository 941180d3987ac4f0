/* SPDX-License-Identifier: MIT */
#include "query/eval/protocols.h"

#include <stdbool.h>
#include <string.h>

#include "kernels/base/status.h"
#include "kernels/base/str.h"
#include "query/metrics/map.h"

#define PAIRS (CTS_FIGURE_PAIR | CTS_FIGURE_SCAN)
#define MAPS (CTS_FIGURE_CTCLIP | CTS_FIGURE_SPECTRE | CTS_FIGURE_RADFINDER)
#define F1S (CTS_FIGURE_WML | CTS_FIGURE_W2 | CTS_FIGURE_BIN)
#define KS                                                                                                             \
    {                                                                                                                  \
        1, 5, 10, 50, 100, 0                                                                                           \
    }

const cts_eval_protocol cts_eval_protocols[] = {
    {"recall/ct-clip",
     "CT-CLIP: every volume of the validation part; reconstructions of a scan share a report and count as wrong",
     CTS_TASK_RECALL,
     CTS_FIGURE_PAIR,
     "ct-clip-3039",
     NULL,
     {5, 10, 50, 100, 0}},
    {"recall/scan", "one volume a scan, so that every report is there once", CTS_TASK_RECALL, CTS_FIGURE_PAIR,
     "scan-1564", NULL, KS},
    {"recall/colipri",
     "COLIPRI as RadFinder rebuilt it: smallest in-plane voxel of a scan, no head scans, no report twice",
     CTS_TASK_RECALL, CTS_FIGURE_PAIR, "colipri-1493", NULL, KS},
    {"recall/spectre", "SPECTRE: the volumes _1", CTS_TASK_RECALL, CTS_FIGURE_PAIR, "spectre-1", NULL, KS},
    {"zeroshot/dcformer",
     "DCFormer: threshold 0.5 for every finding, F1 weighted by the findings' frequencies",
     CTS_TASK_CLASSIFY,
     CTS_FIGURE_WML,
     "ct-clip-3039",
     NULL,
     {0}},
    {"zeroshot/ct-clip",
     "CT-CLIP, fVLM, HLIP: threshold nearest to the ROC corner on the same data, F1 of both classes",
     CTS_TASK_CLASSIFY,
     CTS_FIGURE_W2,
     "ct-clip-3039",
     NULL,
     {0}},
    {"zeroshot/ct-scroll",
     "CT-Scroll: threshold of the largest F1 on validation data, F1 of the positive class",
     CTS_TASK_CLASSIFY,
     CTS_FIGURE_BIN,
     "all",
     NULL,
     {0}},
    {"map/ct-clip",
     "CT-CLIP's volume-to-volume retrieval: mean Jaccard index of the findings of the first k",
     CTS_TASK_MAP,
     CTS_FIGURE_CTCLIP,
     "ct-clip-3039",
     NULL,
     {1, 5, 10, 50, 0}},
    {"map/spectre",
     "SPECTRE: average precision, relevant = the same findings",
     CTS_TASK_MAP,
     CTS_FIGURE_SPECTRE,
     "spectre-1",
     NULL,
     {1, 5, 10, 50, 0}},
    {"map/radfinder",
     "RadFinder: precision sum / k among abnormal volumes, relevant = a common finding",
     CTS_TASK_MAP,
     CTS_FIGURE_RADFINDER,
     "scan-1564",
     NULL,
     {5, 10, 50, 0}},
    {"radchest/ct-clip-16",
     "Rad-ChestCT as CT-CLIP: 16 labels, one calcification with the larger of two scores",
     CTS_TASK_CLASSIFY,
     CTS_FIGURE_W2,
     "all",
     "ctclip-16",
     {0}},
    {"radchest/hlip-15",
     "Rad-ChestCT as HLIP: 15 labels, both calcifications against one column",
     CTS_TASK_CLASSIFY,
     CTS_FIGURE_W2,
     "all",
     "hlip-15",
     {0}},
    {"radchest/radfinder-16",
     "Rad-ChestCT as RadFinder: 16 labels, sequela from scarring, 11 device columns",
     CTS_TASK_CLASSIFY,
     CTS_FIGURE_YOUDEN,
     "all",
     "radfinder-16",
     {0}},
};
const size_t cts_eval_protocols_n = sizeof cts_eval_protocols / sizeof cts_eval_protocols[0];

static const cts_eval_protocol defaults[] = {
    {"", "recall at k in both directions", CTS_TASK_RECALL, PAIRS, "all", NULL, KS},
    {"", "classification, all families side by side", CTS_TASK_CLASSIFY, F1S, "all", NULL, {0}},
    {"", "the three MAP@k side by side", CTS_TASK_MAP, MAPS, "all", NULL, KS},
};

static const struct {
    unsigned figures;
    const char *key, *text;
} rules[] = {
    {CTS_FIGURE_PAIR, "r@k",
     "the fraction of queries whose own partner is among the first k; t2i ranks images for a report, i2t reports for "
     "an image"},
    {CTS_FIGURE_SCAN, "scan_r@k", "the same, but any reconstruction of the query's scan is right"},
    {PAIRS, "ties", "rank = candidates with a higher score + candidates with an equal score in a lower row"},
    {PAIRS, "floats",
     "scores are float32 inner products of unit vectors, each summed in one order whatever the threads"},
    {F1S | CTS_FIGURE_YOUDEN, "auroc",
     "area under the ROC curve by midranks: ties count half; macro = mean over the labels that have both classes"},
    {CTS_FIGURE_WML, "threshold @0.5", "score > 0.5 for every label"},
    {CTS_FIGURE_WML, "f1_wml@0.5",
     "binary F1 of each label, mean weighted by the label's positives; accuracy over all cells, precision and recall "
     "over all cells (micro)"},
    {CTS_FIGURE_W2, "threshold @roc",
     "a label's own, fitted on the same data: of the points k/99 the one nearest to the corner TPR 1, FPR 0, the last "
     "of equals; score > point"},
    {CTS_FIGURE_W2, "f1_w2@roc",
     "F1 of the positive and of the negative class weighted by their numbers, mean over the labels that have both "
     "classes; accuracy and precision are means over the same labels"},
    {CTS_FIGURE_BIN, "threshold @val",
     "a label's own, of the largest F1 on the validation data, the smallest of equals; score >= threshold"},
    {CTS_FIGURE_BIN, "f1_bin@val",
     "F1 of the positive class, mean over all labels; f1_bin_weighted@val weights them by their positives; accuracy, "
     "precision and recall are means over all labels"},
    {CTS_FIGURE_YOUDEN, "threshold @youden",
     "a label's own, fitted on the same data: the largest TPR - FPR; score >= threshold"},
    {CTS_FIGURE_YOUDEN, "f1_w2@youden",
     "F1 of both classes weighted by their numbers, mean over the labels that have both; accuracy is the mean of "
     "sensitivity and specificity"},
    {CTS_FIGURE_CTCLIP, "map_ctclip_running",
     "what CT-CLIP's script prints: the mean of map_ctclip over this k and the smaller ones of the list"},
    {MAPS, "ties", "neighbours by falling cosine, equal ones by row"},
};

const cts_eval_protocol *cts_eval_protocol_default(cts_eval_task task)
{
    return &defaults[task];
}

int cts_eval_protocol_find(const cts_eval_protocol **out, const char *name, cts_eval_task task)
{
    cts_str names = {0};
    int rc;

    for (size_t i = 0; i < cts_eval_protocols_n; i++) {
        if (cts_eval_protocols[i].task != task)
            continue;
        if (!strcmp(name, cts_eval_protocols[i].name)) {
            cts_str_free(&names);
            *out = &cts_eval_protocols[i];
            return CTS_OK;
        }
        cts_str_printf(&names, "%s%s", names.n ? ", " : "", cts_eval_protocols[i].name);
    }
    rc = cts_fail(CTS_E_INPUT, "protocol: got %s, allowed here: %s", name, cts_str_text(&names));
    cts_str_free(&names);
    return rc;
}

void cts_eval_figure_rules(unsigned figures, void (*put)(void *ctx, const char *key, const char *text), void *ctx)
{
    static const struct {
        unsigned figure;
        cts_map_rule rule;
    } maps[] = {{CTS_FIGURE_CTCLIP, CTS_MAP_CTCLIP},
                {CTS_FIGURE_SPECTRE, CTS_MAP_SPECTRE},
                {CTS_FIGURE_RADFINDER, CTS_MAP_RADFINDER}};

    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        if (figures & maps[i].figure)
            put(ctx, cts_map_name(maps[i].rule), cts_map_definition(maps[i].rule));
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (figures & rules[i].figures)
            put(ctx, rules[i].key, rules[i].text);
}

static void put_rule(void *ctx, const char *key, const char *text)
{
    json_object_set_new(ctx, key, json_string(text));
}

json_t *cts_eval_protocols_json(void)
{
    static const char *const task[] = {"recall", "classify", "map"};
    json_t *list = json_array();

    for (size_t i = 0; i < cts_eval_protocols_n; i++) {
        const cts_eval_protocol *p = &cts_eval_protocols[i];
        json_t *ks = json_array(), *words = json_object();

        for (int k = 0; p->ks[k]; k++)
            json_array_append_new(ks, json_integer(p->ks[k]));
        cts_eval_figure_rules(p->figures, put_rule, words);
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o}", "name", p->name, "about", p->about,
                                              "task", task[p->task], "pool", p->pool, "labels",
                                              p->map ? p->map : "ct-rate-18", "ks", ks, "rules", words));
    }
    return list;
}
