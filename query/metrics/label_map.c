/* Rad-ChestCT's labels in terms of ours. Columns are names of its public files. SPDX-License-Identifier: MIT */
#include "query/metrics/label_map.h"

#include <stdbool.h>
#include <string.h>

#include "kernels/base/status.h"

#define FINDINGS 18
#define DEVICES                                                                                                        \
    "catheter_or_port", "tracheal_tube", "chest_tube", "breast_implant", "pacemaker_or_defib", "stent", "clip",        \
        "staple", "gi_tube", "hardware", "suture"

/* name, our finding, columns */
#define ONE(text, finding, ...)                                                                                        \
    {                                                                                                                  \
        text, {finding, -1},                                                                                           \
        {                                                                                                              \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }
#define CALCIFICATION                                                                                                  \
    {                                                                                                                  \
        "Calcification", {1, 4},                                                                                       \
        {                                                                                                              \
            "calcification"                                                                                            \
        }                                                                                                              \
    }

const cts_label_map cts_label_maps[] = {
    {"ctclip-16",
     "CT-CLIP",
     16,
     {ONE("Medical material", 0, DEVICES), CALCIFICATION, ONE("Cardiomegaly", 2, "cardiomegaly"),
      ONE("Pericardial effusion", 3, "pericardial_effusion"), ONE("Hiatal hernia", 5, "hernia"),
      ONE("Lymphadenopathy", 6, "lymphadenopathy"), ONE("Emphysema", 7, "emphysema"),
      ONE("Atelectasis", 8, "atelectasis"), ONE("Lung nodule", 9, "nodule"), ONE("Lung opacity", 10, "opacity"),
      ONE("Pulmonary fibrotic sequela", 11, "fibrosis"), ONE("Pleural effusion", 12, "pleural_effusion"),
      ONE("Peribronchial thickening", 14, "bronchial_wall_thickening"), ONE("Consolidation", 15, "consolidation"),
      ONE("Bronchiectasis", 16, "bronchiectasis"), ONE("Interlobular septal thickening", 17, "septal_thickening")}},
    {"hlip-15",
     "HLIP",
     15,
     {ONE("Arterial wall calcification", 1, "calcification"), ONE("Cardiomegaly", 2, "cardiomegaly"),
      ONE("Pericardial effusion", 3, "pericardial_effusion"),
      ONE("Coronary artery wall calcification", 4, "calcification"), ONE("Hiatal hernia", 5, "hernia"),
      ONE("Emphysema", 7, "emphysema"), ONE("Atelectasis", 8, "atelectasis"), ONE("Lung nodule", 9, "nodule"),
      ONE("Lung opacity", 10, "opacity"), ONE("Pulmonary fibrotic sequela", 11, "fibrosis"),
      ONE("Pleural effusion", 12, "pleural_effusion"), ONE("Peribronchial thickening", 14, "bronchial_wall_thickening"),
      ONE("Consolidation", 15, "consolidation"), ONE("Bronchiectasis", 16, "bronchiectasis"),
      ONE("Interlobular septal thickening", 17, "septal_thickening")}},
    {"radfinder-16",
     "RadFinder, standard",
     16,
     {ONE("Medical material", 0, DEVICES), CALCIFICATION, ONE("Cardiomegaly", 2, "cardiomegaly"),
      ONE("Pericardial effusion", 3, "pericardial_effusion"), ONE("Hiatal hernia", 5, "hernia"),
      ONE("Lymphadenopathy", 6, "lymphadenopathy"), ONE("Emphysema", 7, "emphysema"),
      ONE("Atelectasis", 8, "atelectasis"), ONE("Lung nodule", 9, "nodule", "nodulegr1cm"),
      ONE("Lung opacity", 10, "opacity"), ONE("Pulmonary fibrotic sequela", 11, "scarring"),
      ONE("Pleural effusion", 12, "pleural_effusion"), ONE("Peribronchial thickening", 14, "bronchial_wall_thickening"),
      ONE("Consolidation", 15, "consolidation"), ONE("Bronchiectasis", 16, "bronchiectasis"),
      ONE("Interlobular septal thickening", 17, "septal_thickening")}},
};
const size_t cts_label_maps_n = sizeof cts_label_maps / sizeof cts_label_maps[0];

int cts_label_map_find(const char *name, const cts_label_map **out)
{
    for (size_t i = 0; i < cts_label_maps_n; i++)
        if (!strcmp(cts_label_maps[i].name, name)) {
            *out = &cts_label_maps[i];
            return CTS_OK;
        }
    return cts_fail(CTS_E_USAGE, "label map: got \"%s\", allowed: %s, %s, %s", name, cts_label_maps[0].name,
                    cts_label_maps[1].name, cts_label_maps[2].name);
}

void cts_label_map_scores(const cts_label_map *map, const float *scores, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < map->n; j++) {
            const int *f = map->rule[j].score;
            float a = scores[i * FINDINGS + (size_t)f[0]], b = f[1] < 0 ? a : scores[i * FINDINGS + (size_t)f[1]];

            out[i * map->n + j] = a >= b || a != a ? a : b; /* a NaN of either stays, and is refused later */
        }
}

/* `column` is `wanted`, or `wanted`*place. */
static bool is_column(const char *column, const char *wanted)
{
    size_t n = strlen(wanted);

    return !strncmp(column, wanted, n) && (column[n] == '\0' || column[n] == '*');
}

static bool belongs(const cts_label_rule *rule, const char *column)
{
    for (size_t c = 0; rule->column[c]; c++)
        if (is_column(column, rule->column[c]))
            return true;
    return false;
}

int cts_label_map_labels(const cts_label_map *map, const char *const *columns, size_t n_columns, const uint8_t *values,
                         size_t n, uint8_t *out)
{
    size_t used[CTS_LABEL_MAP_MAX] = {0};
    size_t own[CTS_LABEL_MAP_MAX];

    for (size_t j = 0; j < map->n; j++) {
        own[j] = n_columns;
        for (size_t c = 0; c < n_columns; c++) {
            used[j] += belongs(&map->rule[j], columns[c]);
            if (!strcmp(columns[c], map->rule[j].name))
                own[j] = c;
        }
        if (!used[j] && own[j] == n_columns)
            return cts_fail(CTS_E_INPUT, "labels: no column for %s of %s, allowed: \"%s\" or \"%s\"", map->rule[j].name,
                            map->name, map->rule[j].name, map->rule[j].column[0]);
    }
    memset(out, 0, n * map->n);
    for (size_t j = 0; j < map->n; j++)
        for (size_t c = 0; c < n_columns; c++) {
            if (own[j] < n_columns ? c != own[j] : !belongs(&map->rule[j], columns[c]))
                continue;
            for (size_t i = 0; i < n; i++)
                out[i * map->n + j] |= values[i * n_columns + c] != 0;
        }
    return CTS_OK;
}
