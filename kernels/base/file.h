/* Files: read whole with a limit, map, write atomically (temporary name in the same folder, fsync, rename), folders.
 * All functions may be called from any thread. Paths are UTF-8, borrowed.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_BASE_FILE_H
#define CTS_KERNELS_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Whole file into *data (caller frees with free(); one NUL byte beyond *n). CTS_E_IO, CTS_E_LIMIT when over max_bytes.
 */
int cts_file_read(char **data, size_t *n, const char *path, size_t max_bytes);

/* Read-only memory map. Zero the struct before; close twice is fine. An empty file maps to p = NULL, n = 0. */
typedef struct {
    const uint8_t *p;
    size_t n;
} cts_map;
int cts_map_open(cts_map *m, const char *path, size_t max_bytes);
/* The same, but the memory may be written to (cast the const away): such pages become this process's own, the file
 * never changes. No memory is reserved before. */
int cts_map_open_private(cts_map *m, const char *path, size_t max_bytes);
void cts_map_close(cts_map *m);

/* Atomic writer: bytes go to "<path>.tmp.<pid>.<n>" and appear under `path` only at commit (fsync of file and folder).
 * Destroying without commit removes the temporary. Errors are sticky and reported by commit. */
typedef struct cts_writer cts_writer;
int cts_writer_open(cts_writer **out, const char *path);
int cts_writer_write(cts_writer *w, const void *p, size_t n);
FILE *cts_writer_file(cts_writer *w); /* for fprintf; owned by the writer */
int cts_writer_commit(cts_writer *w); /* after it only destroy is allowed */
void cts_writer_destroy(cts_writer *w);
/* The three steps at once. */
int cts_file_write_atomic(const char *path, const void *p, size_t n);

int cts_mkdir_p(const char *path);
bool cts_file_exists(const char *path); /* file or folder */
bool cts_is_dir(const char *path);
int cts_file_size(uint64_t *out, const char *path);
int cts_remove_tree(const char *path); /* missing is fine; refuses "" and "/" */
/* Names (not paths) of the entries of a folder, sorted bytewise, without . and ..; free with cts_list_free(). */
int cts_dir_list(char ***names, size_t *n, const char *path);
/* All regular files below a folder as paths relative to it, sorted bytewise; follows no folder links; free as above. */
int cts_dir_walk(char ***paths, size_t *n, const char *path);
void cts_list_free(char **names, size_t n);
/* malloc'd "a/b" (b absolute gives b alone), NULL when out of memory. */
char *cts_path_join(const char *a, const char *b);
/* Pointer into path after the last '/'. */
const char *cts_path_base(const char *path);

#endif
