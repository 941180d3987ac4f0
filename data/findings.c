/* SPDX-License-Identifier: MIT */
#include "data/findings.h"

#include <strings.h>

const cts_finding_def cts_findings[CTS_FINDINGS] = {
    {"Medical material", "medical_material", 313},
    {"Arterial wall calcification", "arterial_wall_calcification", 867},
    {"Cardiomegaly", "cardiomegaly", 325},
    {"Pericardial effusion", "pericardial_effusion", 226},
    {"Coronary artery wall calcification", "coronary_artery_wall_calcification", 765},
    {"Hiatal hernia", "hiatal_hernia", 417},
    {"Lymphadenopathy", "lymphadenopathy", 789},
    {"Emphysema", "emphysema", 600},
    {"Atelectasis", "atelectasis", 713},
    {"Lung nodule", "lung_nodule", 1361},
    {"Lung opacity", "lung_opacity", 1184},
    {"Pulmonary fibrotic sequela", "pulmonary_fibrotic_sequela", 831},
    {"Pleural effusion", "pleural_effusion", 376},
    {"Mosaic attenuation pattern", "mosaic_attenuation_pattern", 253},
    {"Peribronchial thickening", "peribronchial_thickening", 355},
    {"Consolidation", "consolidation", 581},
    {"Bronchiectasis", "bronchiectasis", 330},
    {"Interlobular septal thickening", "interlobular_septal_thickening", 249},
};

int cts_finding_find(const char *name)
{
    for (int i = 0; i < CTS_FINDINGS; i++)
        if (!strcasecmp(name, cts_findings[i].name) || !strcasecmp(name, cts_findings[i].slug))
            return i;
    return -1;
}
