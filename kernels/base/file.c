/* Reading: whole files, maps, what is at a path. Writing is in file_writer.c, folders in file_dir.c.
 * SPDX-License-Identifier: MIT */
#include "kernels/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/base/status.h"

static int fail_errno(const char *path, const char *doing)
{
    int err = errno;

    return cts_fail(err == ENOMEM ? CTS_E_NOMEM : CTS_E_IO, "%s: cannot %s: %s", path, doing, strerror(err));
}

static int fail_limit(const char *path, unsigned long long got, size_t max_bytes)
{
    return cts_fail(CTS_E_LIMIT, "%s: file is %llu bytes, allowed at most %zu", path, got, max_bytes);
}

static int open_read(int *fd_out, struct stat *st, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return fail_errno(path, "open");
    if (fstat(fd, st)) {
        fail_errno(path, "stat");
        close(fd);
        return CTS_E_IO;
    }
    if (S_ISDIR(st->st_mode)) {
        close(fd);
        return cts_fail(CTS_E_IO, "%s: is a folder, a file is wanted", path);
    }
    *fd_out = fd;
    return CTS_OK;
}

int cts_file_read(char **data, size_t *n, const char *path, size_t max_bytes)
{
    struct stat st;
    char *buf = NULL, *grown;
    size_t used = 0, cap;
    ssize_t got;
    int fd = -1, rc;

    if ((rc = open_read(&fd, &st, path)) != CTS_OK)
        return rc;
    if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > max_bytes) {
        rc = fail_limit(path, (unsigned long long)st.st_size, max_bytes);
        goto out;
    }
    /* One byte more than the size tells the end in a single read; pipes and /proc say 0 and grow. */
    cap = (S_ISREG(st.st_mode) && st.st_size > 0 ? (size_t)st.st_size : 4096) + 2;
    buf = malloc(cap);
    for (;;) {
        if (!buf) {
            rc = cts_fail(CTS_E_NOMEM, "%s: out of memory for %zu bytes", path, cap);
            goto out;
        }
        got = read(fd, buf + used, cap - 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            rc = fail_errno(path, "read");
            goto out;
        }
        if (got == 0)
            break;
        used += (size_t)got;
        if (used > max_bytes) {
            rc = fail_limit(path, used, max_bytes);
            goto out;
        }
        if (used == cap - 1) {
            cap *= 2;
            grown = realloc(buf, cap);
            if (!grown)
                free(buf);
            buf = grown;
        }
    }
    buf[used] = '\0';
    *data = buf;
    *n = used;
    buf = NULL; /* the caller's now */
out:
    free(buf);
    close(fd);
    return rc;
}

static int map(cts_map *m, const char *path, size_t max_bytes, int protection, int flags)
{
    struct stat st;
    void *p = NULL;
    int fd = -1, rc;

    if ((rc = open_read(&fd, &st, path)) != CTS_OK)
        return rc;
    if (!S_ISREG(st.st_mode)) {
        rc = cts_fail(CTS_E_IO, "%s: is not a regular file", path);
        goto out;
    }
    if ((uint64_t)st.st_size > max_bytes) {
        rc = fail_limit(path, (unsigned long long)st.st_size, max_bytes);
        goto out;
    }
    if (st.st_size > 0) {
        p = mmap(NULL, (size_t)st.st_size, protection, flags, fd, 0);
        if (p == MAP_FAILED) {
            rc = fail_errno(path, "map");
            goto out;
        }
    }
    m->p = p;
    m->n = (size_t)st.st_size;
out:
    close(fd);
    return rc;
}

int cts_map_open(cts_map *m, const char *path, size_t max_bytes)
{
    return map(m, path, max_bytes, PROT_READ, MAP_PRIVATE);
}

int cts_map_open_private(cts_map *m, const char *path, size_t max_bytes)
{
    return map(m, path, max_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE);
}

void cts_map_close(cts_map *m)
{
    if (!m)
        return;
    if (m->p)
        munmap((void *)m->p, m->n);
    m->p = NULL;
    m->n = 0;
}

bool cts_file_exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}

bool cts_is_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int cts_file_size(uint64_t *out, const char *path)
{
    struct stat st;

    if (stat(path, &st))
        return fail_errno(path, "stat");
    *out = (uint64_t)st.st_size;
    return CTS_OK;
}

char *cts_path_join(const char *a, const char *b)
{
    size_t na = b[0] == '/' ? 0 : strlen(a), nb = strlen(b);
    bool slash = na > 0 && a[na - 1] != '/';
    char *p = malloc(na + slash + nb + 1);

    if (!p)
        return NULL;
    memcpy(p, a, na);
    if (slash)
        p[na] = '/';
    memcpy(p + na + slash, b, nb + 1);
    return p;
}

const char *cts_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}
