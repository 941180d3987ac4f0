/* SPDX-License-Identifier: MIT */
#include "encoders/model_swap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "encoders/model_digest.h"
#include "kernels/base/file.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

struct cts_model_swap {
    char *target, *building; /* building is NULL once it is in place */
};

/* An existing target must be a folder that is empty or holds a model: nothing else is ever replaced. */
static int check_target(const char *dir)
{
    char **names = NULL;
    size_t n = 0;
    bool model = false;
    int rc;

    if (!cts_file_exists(dir))
        return CTS_OK;
    if (!cts_is_dir(dir))
        return cts_fail(CTS_E_INPUT, "%s: exists and is no folder; a model directory is wanted", dir);
    if ((rc = cts_dir_list(&names, &n, dir)) != CTS_OK)
        return rc;
    for (size_t i = 0; i < n; i++)
        model |= !strcmp(names[i], "model.safetensors");
    cts_list_free(names, n);
    if (n && !model)
        return cts_fail(CTS_E_INPUT,
                        "%s: holds %zu files but no model.safetensors; only an empty folder or a model is replaced",
                        dir, n);
    return CTS_OK;
}

/* Put the finished folder `from` in the place of `to` in one step; what was there ends up at `from` and is removed. */
static int swap_in(const char *from, const char *to)
{
    if (!cts_file_exists(to)) {
        if (rename(from, to) != 0)
            return cts_fail(CTS_E_IO, "%s: rename to %s: %s", from, to, strerror(errno));
        return CTS_OK;
    }
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE) == 0)
        return cts_remove_tree(from);
    if (errno != EINVAL && errno != ENOSYS)
        return cts_fail(CTS_E_IO, "%s: exchange with %s: %s", from, to, strerror(errno));
    /* a file system without exchange: the old model lies beside it for a moment */
    char *old = cts_asprintf("%s.old.%ld", to, (long)getpid());
    int rc = CTS_OK;

    if (!old)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", to);
    if (rename(to, old) != 0)
        rc = cts_fail(CTS_E_IO, "%s: rename to %s: %s", to, old, strerror(errno));
    else if (rename(from, to) != 0)
        rc = cts_fail(CTS_E_IO, "%s: rename to %s: %s; the old model is %s", from, to, strerror(errno), old);
    else
        rc = cts_remove_tree(old);
    free(old);
    return rc;
}

int cts_model_swap_begin(cts_model_swap **out, const char *dir)
{
    cts_model_swap *s = calloc(1, sizeof *s);
    size_t len = strlen(dir);
    char *building = NULL;
    int rc;

    while (len > 1 && dir[len - 1] == '/')
        len--;
    building = cts_asprintf("%.*s.tmp.%ld", (int)len, dir, (long)getpid());
    if (!s || !building || !(s->target = cts_asprintf("%.*s", (int)len, dir))) {
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory", dir);
        goto out;
    }
    if ((rc = check_target(s->target)) != CTS_OK || (rc = cts_remove_tree(building)) != CTS_OK)
        goto out;
    s->building = building;
    building = NULL;
    if ((rc = cts_mkdir_p(s->building)) != CTS_OK)
        goto out;
    *out = s;
    s = NULL;
out:
    cts_model_swap_destroy(s);
    free(building);
    return rc;
}

const char *cts_model_swap_dir(const cts_model_swap *s)
{
    return s->building;
}

int cts_model_swap_commit(cts_model_swap *s)
{
    int rc;

    if ((rc = cts_model_digest_write(s->building)) == CTS_OK && (rc = swap_in(s->building, s->target)) == CTS_OK) {
        free(s->building);
        s->building = NULL;
    }
    return rc;
}

void cts_model_swap_destroy(cts_model_swap *s)
{
    if (!s)
        return;
    if (s->building)
        cts_remove_tree(s->building);
    free(s->building);
    free(s->target);
    free(s);
}
