/* The atomic writer: a reader of `path` sees the old bytes or the new ones, also after a crash at any moment. The order
 * is write, fsync of the file, rename, fsync of the folder; a rename that survives a power cut before the data does
 * would otherwise leave an empty file under the final name.
 * SPDX-License-Identifier: MIT */
#include "kernels/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/base/status.h"
#include "kernels/base/str.h"

struct cts_writer {
    FILE *file;
    char *path, *temporary;
    int err;        /* errno of the first failed write, 0 = none */
    bool committed; /* the temporary is gone */
};

static atomic_uint writer_count; /* makes temporary names of one process differ */

static int fail_write(const char *path, const char *doing, int err)
{
    return cts_fail(CTS_E_IO, "%s: cannot %s: %s", path, doing, err ? strerror(err) : "write error");
}

int cts_writer_open(cts_writer **out, const char *path)
{
    cts_writer *w = calloc(1, sizeof(*w));
    int fd = -1, rc = CTS_OK;

    if (!w)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for a writer", path);
    w->path = cts_strdup(path);
    if (!w->path) {
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory for a writer", path);
        goto out;
    }
    /* A crashed process with our pid may have left a file of the same name: take the next number. */
    do {
        free(w->temporary);
        w->temporary = cts_asprintf("%s.tmp.%ld.%u", path, (long)getpid(), atomic_fetch_add(&writer_count, 1));
        if (!w->temporary) {
            rc = cts_fail(CTS_E_NOMEM, "%s: out of memory for a writer", path);
            goto out;
        }
        fd = open(w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (fd < 0 && errno == EEXIST);
    if (fd < 0) {
        rc = fail_write(path, "create", errno);
        free(w->temporary); /* nothing to unlink */
        w->temporary = NULL;
        goto out;
    }
    w->file = fdopen(fd, "wb");
    if (!w->file) {
        rc = fail_write(path, "open for writing", errno);
        close(fd);
        goto out;
    }
    *out = w;
    w = NULL;
out:
    cts_writer_destroy(w);
    return rc;
}

int cts_writer_write(cts_writer *w, const void *p, size_t n)
{
    if (w->err)
        return fail_write(w->path, "write", w->err);
    errno = 0;
    if (n && fwrite(p, 1, n, w->file) != n) {
        w->err = errno ? errno : EIO;
        return fail_write(w->path, "write", w->err);
    }
    return CTS_OK;
}

FILE *cts_writer_file(cts_writer *w)
{
    return w->file;
}

static int sync_folder(const char *path)
{
    const char *base = cts_path_base(path);
    char *folder;
    int fd, err = 0;

    if (base == path)
        folder = cts_strdup(".");
    else
        folder = cts_asprintf("%.*s", (int)(base - path), path);
    if (!folder)
        return ENOMEM;
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    if (fd < 0)
        return errno == EACCES ? 0 : errno; /* a folder that may be written but not read cannot be synced */
    if (fsync(fd) && errno != EINVAL)       /* file systems without folder sync say EINVAL */
        err = errno;
    close(fd);
    return err;
}

/* What went wrong with writes that fprintf() hid: the bytes are still buffered, so asking again gives the reason. */
static int hidden_error(FILE *f)
{
    if (!ferror(f))
        return 0;
    clearerr(f);
    errno = 0;
    return fflush(f) && errno ? errno : EIO;
}

int cts_writer_commit(cts_writer *w)
{
    FILE *f = w->file;
    int err;

    if (!f)
        return cts_fail(CTS_E_IO, "%s: written twice by one writer", w->path);
    if (!w->err)
        w->err = hidden_error(f);
    if (!w->err && fflush(f))
        w->err = errno;
    if (!w->err && fsync(fileno(f)))
        w->err = errno;
    w->file = NULL;
    if (fclose(f) && !w->err)
        w->err = errno;
    if (w->err)
        return fail_write(w->path, "write", w->err);
    if (rename(w->temporary, w->path))
        return fail_write(w->path, "replace", errno);
    w->committed = true;
    err = sync_folder(w->path);
    return err ? fail_write(w->path, "sync the folder of", err) : CTS_OK;
}

void cts_writer_destroy(cts_writer *w)
{
    if (!w)
        return;
    if (w->file)
        fclose(w->file);
    if (w->temporary && !w->committed)
        unlink(w->temporary);
    free(w->temporary);
    free(w->path);
    free(w);
}

int cts_file_write_atomic(const char *path, const void *p, size_t n)
{
    cts_writer *w = NULL;
    int rc;

    if ((rc = cts_writer_open(&w, path)) != CTS_OK)
        return rc;
    if ((rc = cts_writer_write(w, p, n)) != CTS_OK)
        goto out;
    rc = cts_writer_commit(w);
out:
    cts_writer_destroy(w);
    return rc;
}
