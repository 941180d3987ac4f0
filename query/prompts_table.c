/* The built-in prompt banks. Another published family is another row.
 * SPDX-License-Identifier: MIT */
#include "query/prompts_internal.h"

#include "kernels/base/check.h"

/* HLIP denies atelectasis by an adjective. (It names nodule and opacity shortly with its templates by organ only.) */
static const cts_prompt_special hlip[] = {
    {"Atelectasis", {{"The volume shows: Atelectasis.", "The volume shows: Not atelectatic."}}},
    {0},
};

/* fVLM shortens four names. */
static const cts_prompt_special fvlm[] = {
    {"Atelectasis", {{"Atelectatic.", "Not Atelectatic."}}},
    {"Lung nodule", {{"Nodule.", "Not Nodule."}}},
    {"Lung opacity", {{"Opacity.", "Not Opacity."}}},
    {"Pulmonary fibrotic sequela", {{"Pulmonary fibrotic.", "Not Pulmonary fibrotic."}}},
    {0},
};

/* Ours: as a radiologist would write it, with and without the finding's name. */
static const cts_prompt_special ensemble[] = {
    {"Medical material",
     {{"A catheter, pacemaker lead, stent or suture is in place.", "No catheter, lead, stent or suture is in place."},
      {"Metallic material after surgery is seen in the chest.", "No foreign material is seen in the chest."}}},
    {"Arterial wall calcification",
     {{"Calcified plaques line the wall of the aorta.", "The wall of the aorta is free of calcium."},
      {"There is calcified atherosclerosis of the great vessels.", "The great vessels look normal."}}},
    {"Cardiomegaly",
     {{"The heart is enlarged.", "The heart is of normal size."},
      {"The cardiothoracic ratio is increased.", "The cardiothoracic ratio is normal."}}},
    {"Pericardial effusion",
     {{"Fluid surrounds the heart.", "The pericardial space holds no fluid."},
      {"The pericardium is distended by fluid.", "The pericardium is thin and dry."}}},
    {"Coronary artery wall calcification",
     {{"The coronary arteries are calcified.", "The coronary arteries show no calcium."},
      {"Dense plaques follow the course of the left anterior descending artery.",
       "No plaque is visible along the coronary arteries."}}},
    {"Hiatal hernia",
     {{"Part of the stomach lies above the diaphragm.", "The stomach lies wholly below the diaphragm."},
      {"The oesophageal hiatus is widened by a sliding hernia.", "The oesophageal hiatus is of normal width."}}},
    {"Lymphadenopathy",
     {{"Enlarged lymph nodes are seen in the mediastinum.", "The mediastinal lymph nodes are not enlarged."},
      {"Several nodes measure more than one centimetre in short axis.",
       "No node measures more than one centimetre in short axis."}}},
    {"Emphysema",
     {{"Both lungs show emphysematous destruction.", "The lung parenchyma is not destroyed by emphysema."},
      {"Air spaces are enlarged in the upper lobes, with bullae.", "There are no bullae and no air trapping."}}},
    {"Atelectasis",
     {{"Part of a lobe has lost its volume.", "All lobes are fully aerated."},
      {"Linear bands of collapsed lung are seen at the bases.", "The lung bases are well expanded."}}},
    {"Lung nodule",
     {{"A round nodule lies in the lung.", "The lungs are free of nodules."},
      {"Several millimetric pulmonary nodules are present.", "No mass or nodule is detected in either lung."}}},
    {"Lung opacity",
     {{"Patchy ground glass areas are seen in the lungs.", "Both lungs are clear."},
      {"An area of increased density lies in the lung parenchyma.", "The density of the lung parenchyma is normal."}}},
    {"Pulmonary fibrotic sequela",
     {{"Fibrotic bands remain from an earlier disease.", "No scar of an earlier disease is visible in the lungs."},
      {"Scarring with traction is seen in the lung apices.", "The lung apices are free of scars."}}},
    {"Pleural effusion",
     {{"Fluid lies between the pleural layers.", "The pleural spaces are free of fluid."},
      {"A layer of fluid is seen behind the lung base.", "Both costophrenic angles are free."}}},
    {"Mosaic attenuation pattern",
     {{"The lungs show alternating bright and dark regions.", "Lung attenuation is homogeneous."},
      {"Patchy air trapping points to disease of the small airways.", "There is no sign of air trapping."}}},
    {"Peribronchial thickening",
     {{"The walls of the bronchi are thickened.", "The walls of the bronchi are thin."},
      {"Cuffing is seen around the central airways.", "The central airways are open and their walls are normal."}}},
    {"Consolidation",
     {{"Air spaces of a segment are filled, with an air bronchogram.", "No air space of either lung is filled."},
      {"A dense infiltrate replaces the aerated lung.", "There is no active infiltrate."}}},
    {"Bronchiectasis",
     {{"The bronchi are dilated.", "The bronchi are of normal calibre."},
      {"Airways are wider than the arteries beside them.", "No airway is wider than its artery."}}},
    {"Interlobular septal thickening",
     {{"The interlobular septa are thickened.", "The interlobular septa are not visible."},
      {"A network of fine lines is seen under the pleura.", "No reticulation is seen under the pleura."}}},
    {0},
};

const cts_prompt_row cts_prompt_rows[] = {
    {"ctclip",
     "zero-shot evaluation of CT-CLIP and DCFormer",
     {{"{Finding} is present.", "{Finding} is not present."}},
     NULL,
     false},
    {"ctclip-train",
     "CT-CLIP's check while it trains",
     {{"There is {Finding}.", "There is no {Finding}."}},
     NULL,
     false},
    {"fvlm", "fVLM", {{"{Finding}.", "Not {Finding}."}}, fvlm, false},
    {"hlip",
     "HLIP, the whole volume",
     {{"The volume shows: {Finding}.", "The volume shows: Not {finding}."}},
     hlip,
     false},
    /* Merlin's repository has no list for these findings; its authors describe short phrases of presence and of
     * absence, several a finding, lower case. This is the plainest of that form. */
    {"merlin",
     "short phrases in Merlin's manner; its own lists are not published for these findings",
     {{"{finding}", "no {finding}"}},
     NULL,
     false},
    {"ensemble",
     "ours: five phrasings a finding, averaged",
     {{"{Finding} is present.", "{Finding} is not present."},
      {"There are signs of {finding}.", "There are no signs of {finding}."},
      {"The scan shows {finding}.", "The scan shows no {finding}."}},
     ensemble,
     true},
};
const size_t cts_prompt_rows_n = CTS_COUNT(cts_prompt_rows);
