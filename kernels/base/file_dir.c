/* Folders: make, list, walk, remove.
 * SPDX-License-Identifier: MIT */
#include "kernels/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/base/status.h"
#include "kernels/base/str.h"

#define MAX_DEPTH 64 /* folders inside folders: far beyond real trees, small enough for the stack */

struct list {
    char **p;
    size_t n, cap;
};

static int fail_errno(const char *path, const char *doing)
{
    return cts_fail(CTS_E_IO, "%s: cannot %s: %s", path, doing, strerror(errno));
}

/* mkdir's own errno must outlive the question whether the folder is there. */
static int make_one(const char *path)
{
    int why;

    if (!mkdir(path, 0777))
        return CTS_OK;
    why = errno;
    if (cts_is_dir(path))
        return CTS_OK;
    errno = why;
    return fail_errno(path, "make the folder");
}

int cts_mkdir_p(const char *path)
{
    char *copy = cts_strdup(path);
    int rc = CTS_OK;

    if (!copy)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", path);
    for (char *p = copy + 1; copy[0] && rc == CTS_OK; p++) {
        char c = *p;

        if (c != '/' && c != '\0')
            continue;
        *p = '\0';
        rc = make_one(copy);
        *p = c;
        if (c == '\0')
            break;
    }
    free(copy);
    return rc;
}

static int list_add(struct list *l, char *owned)
{
    char **grown;

    if (!owned)
        return cts_fail(CTS_E_NOMEM, "out of memory for a list of files");
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        grown = realloc(l->p, l->cap * sizeof(*grown));
        if (!grown) {
            free(owned);
            return cts_fail(CTS_E_NOMEM, "out of memory for a list of files");
        }
        l->p = grown;
    }
    l->p[l->n++] = owned;
    return CTS_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void cts_list_free(char **names, size_t n)
{
    if (!names)
        return;
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
}

int cts_dir_list(char ***names, size_t *n, const char *path)
{
    struct list l = {0};
    struct dirent *e;
    DIR *dir = opendir(path);
    int rc = CTS_OK;

    if (!dir)
        return fail_errno(path, "list");
    for (;;) {
        errno = 0;
        e = readdir(dir);
        if (!e) {
            if (errno)
                rc = fail_errno(path, "list");
            break;
        }
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        if ((rc = list_add(&l, cts_strdup(e->d_name))) != CTS_OK)
            break;
    }
    closedir(dir);
    if (rc) {
        cts_list_free(l.p, l.n);
        return rc;
    }
    if (l.n)
        qsort(l.p, l.n, sizeof(*l.p), compare_names);
    *names = l.p;
    *n = l.n;
    return CTS_OK;
}

/* Adds the files below root/relative; relative "" is the root itself. */
static int walk(struct list *l, const char *root, const char *relative, int depth)
{
    char **names = NULL, *here, *below, *path;
    struct stat st;
    size_t n = 0;
    int rc;

    here = cts_path_join(root, relative);
    if (!here)
        return cts_fail(CTS_E_NOMEM, "out of memory for a list of files");
    if (depth > MAX_DEPTH)
        rc = cts_fail(CTS_E_LIMIT, "%s: folders nested deeper than %d", here, MAX_DEPTH);
    else
        rc = cts_dir_list(&names, &n, here);
    for (size_t i = 0; i < n && rc == CTS_OK; i++) {
        bool link = false, found;

        below = cts_path_join(relative, names[i]);
        path = cts_path_join(here, names[i]);
        found = below && path && lstat(path, &st) == 0;
        if (found && S_ISLNK(st.st_mode)) {
            link = true;
            found = stat(path, &st) == 0;
        }
        if (!below || !path) {
            rc = cts_fail(CTS_E_NOMEM, "out of memory for a list of files");
        } else if (found && S_ISREG(st.st_mode)) {
            rc = list_add(l, below);
            below = NULL; /* the list owns it */
        } else if (found && S_ISDIR(st.st_mode) && !link) {
            rc = walk(l, root, below, depth + 1);
        }
        free(below);
        free(path);
    }
    cts_list_free(names, n);
    free(here);
    return rc;
}

int cts_dir_walk(char ***paths, size_t *n, const char *path)
{
    struct list l = {0};
    int rc = walk(&l, path, "", 0);

    if (rc) {
        cts_list_free(l.p, l.n);
        return rc;
    }
    if (l.n)
        qsort(l.p, l.n, sizeof(*l.p), compare_names);
    *paths = l.p;
    *n = l.n;
    return CTS_OK;
}

static int remove_below(const char *path, int depth)
{
    char **names = NULL, *below;
    struct stat st;
    size_t n = 0;
    int rc = CTS_OK;

    if (lstat(path, &st))
        return errno == ENOENT ? CTS_OK : fail_errno(path, "stat");
    if (!S_ISDIR(st.st_mode))
        return unlink(path) && errno != ENOENT ? fail_errno(path, "remove") : CTS_OK;
    if (depth > MAX_DEPTH)
        return cts_fail(CTS_E_LIMIT, "%s: folders nested deeper than %d", path, MAX_DEPTH);
    if ((rc = cts_dir_list(&names, &n, path)) != CTS_OK)
        return rc;
    for (size_t i = 0; i < n && rc == CTS_OK; i++) {
        below = cts_path_join(path, names[i]);
        rc = below ? remove_below(below, depth + 1) : cts_fail(CTS_E_NOMEM, "%s: out of memory", path);
        free(below);
    }
    cts_list_free(names, n);
    if (rc == CTS_OK && rmdir(path) && errno != ENOENT)
        rc = fail_errno(path, "remove");
    return rc;
}

int cts_remove_tree(const char *path)
{
    /* "//", "/." and "./" are the root and the current folder in other clothes */
    if (!path[strspn(path, "/.")])
        return cts_fail(CTS_E_INPUT, "\"%s\": refusing to remove this folder", path);
    return remove_below(path, 0);
}
