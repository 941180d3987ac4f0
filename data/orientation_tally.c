/* SPDX-License-Identifier: MIT */
#include "data/orientation_tally.h"

#include <stdio.h>
#include <string.h>

#include "kernels/base/check.h"

void cts_orientation_tally_add(cts_orientation_tally *t, const cts_preprocess_info *info)
{
    int at = 0, order = -1;

    t->n++;
    t->moved += strncmp(info->orientation, "as stored", 9) != 0;
    t->no_affine += !info->has_affine;
    t->contradicted += info->forms_deg > CTS_OBLIQUE_DEG;
    if (info->oblique_deg > CTS_OBLIQUE_DEG) {
        t->oblique++;
        t->worst_deg = info->oblique_deg > t->worst_deg ? info->oblique_deg : t->worst_deg;
    }
    while (at < t->n_rows && (order = strcmp(t->row[at].codes, info->stored_codes)) < 0)
        at++;
    if (at < t->n_rows && !order) {
        t->row[at].n++;
        return;
    }
    CTS_ASSERT(t->n_rows < CTS_ORIENTATION_ROWS, "%d kinds of axes", t->n_rows);
    memmove(&t->row[at + 1], &t->row[at], (size_t)(t->n_rows - at) * sizeof t->row[0]);
    t->row[at].n = 1;
    snprintf(t->row[at].codes, sizeof t->row[at].codes, "%s", info->stored_codes);
    snprintf(t->row[at].did, sizeof t->row[at].did, "%s", info->orientation);
    t->n_rows++;
}

void cts_orientation_tally_text(cts_str *out, const cts_orientation_tally *t)
{
    for (int i = 0; i < t->n_rows; i++)
        cts_str_printf(out, "%s%zu %s%s%s", i ? ", " : "", t->row[i].n, t->row[i].codes, *t->row[i].codes ? " " : "",
                       t->row[i].did);
}

void cts_orientation_warning(cts_str *out, const cts_preprocess_info *info)
{
    if (!info->has_affine)
        cts_str_append(out, "no affine (neither sform nor qform): i, j, k are taken for x, y, z, nothing is flipped");
    else if (info->oblique_deg > CTS_OBLIQUE_DEG)
        cts_str_printf(out, "oblique by %.1f degrees: the axes go to the nearest ones, the volume is not turned",
                       info->oblique_deg);
    if (info->forms_deg > CTS_OBLIQUE_DEG)
        cts_str_printf(out, "%ssform and qform lie %.0f degrees apart: the sform is used", out->n ? "; " : "",
                       info->forms_deg);
}
