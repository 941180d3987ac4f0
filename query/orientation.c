/* SPDX-License-Identifier: MIT */
#include "query/orientation.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/log.h"
#include "kernels/base/status.h"

void cts_say_volume(const char *path, const cts_preprocess_info *info)
{
    cts_str s = {0};

    if (info->has_affine && strcmp(info->orientation, "as stored"))
        cts_log(CTS_LOG_INFO, "%s: stored as %s, %s", path, info->stored_codes, info->orientation);
    cts_orientation_warning(&s, info);
    if (s.n)
        cts_log(CTS_LOG_WARN, "%s: %s", path, cts_str_text(&s));
    if (!info->hu.plausible)
        cts_log(CTS_LOG_WARN, "%s: %s", path, info->hu.text);
    cts_str_free(&s);
}

json_t *cts_orientation_json(const cts_preprocess_info *info)
{
    return json_pack("{s:s?, s:s, s:f, s:b}", "stored", *info->stored_codes ? info->stored_codes : NULL, "did",
                     info->orientation, "oblique_deg", info->oblique_deg, "has_affine", info->has_affine);
}

json_t *cts_volume_warnings_json(const cts_preprocess_info *info)
{
    json_t *list = json_array();
    cts_str s = {0};

    cts_orientation_warning(&s, info);
    if (s.n)
        json_array_append_new(list, json_string(cts_str_text(&s)));
    if (!info->hu.plausible)
        json_array_append_new(list, json_string(info->hu.text));
    cts_str_free(&s);
    return list;
}

void cts_say_orientations(const char *label, const cts_orientation_tally *t)
{
    cts_str s = {0};

    cts_orientation_tally_text(&s, t);
    if (t->moved)
        cts_log(CTS_LOG_INFO, "%s: axes: %s", label, cts_str_text(&s));
    if (t->no_affine)
        cts_log(CTS_LOG_WARN,
                "%s: %zu of %zu have no affine (neither sform nor qform): i, j, k are taken for x, y, z, nothing is "
                "flipped",
                label, t->no_affine, t->n);
    if (t->oblique)
        cts_log(CTS_LOG_WARN,
                "%s: %zu of %zu are oblique, up to %.1f degrees: the axes go to the nearest ones, the volumes are not "
                "turned",
                label, t->oblique, t->n, t->worst_deg);
    if (t->contradicted)
        cts_log(CTS_LOG_WARN, "%s: %zu of %zu have an sform and a qform that contradict each other: the sform is used",
                label, t->contradicted, t->n);
    cts_str_free(&s);
}

struct cts_axes {
    pthread_mutex_t lock;
    const char *label;
    cts_orientation_tally tally;
    size_t n, n_read;
    bool read[]; /* [n] */
};

int cts_axes_create(cts_axes **out, size_t n, const char *label)
{
    cts_axes *a = calloc(1, sizeof *a + n * sizeof a->read[0]);

    if (!a)
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu volumes", n);
    pthread_mutex_init(&a->lock, NULL);
    a->label = label;
    a->n = n;
    *out = a;
    return CTS_OK;
}

void cts_axes_destroy(cts_axes *a)
{
    if (a)
        pthread_mutex_destroy(&a->lock);
    free(a);
}

void cts_axes_count(cts_axes *a, int64_t volume, const cts_preprocess_info *info)
{
    pthread_mutex_lock(&a->lock);
    if (!a->read[volume]) {
        a->read[volume] = true;
        a->n_read++;
        if (info)
            cts_orientation_tally_add(&a->tally, info);
        if (a->n_read == a->n)
            cts_say_orientations(a->label, &a->tally);
    }
    pthread_mutex_unlock(&a->lock);
}

const cts_orientation_tally *cts_axes_tally(const cts_axes *a)
{
    return &a->tally;
}

json_t *cts_orientations_json(const cts_orientation_tally *t)
{
    json_t *list = json_array();

    for (int i = 0; i < t->n_rows; i++)
        json_array_append_new(list, json_pack("{s:s?, s:s, s:I}", "stored", *t->row[i].codes ? t->row[i].codes : NULL,
                                              "did", t->row[i].did, "volumes", (json_int_t)t->row[i].n));
    return list;
}
