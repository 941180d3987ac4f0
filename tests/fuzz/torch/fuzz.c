/* libFuzzer target of the PyTorch reader: any bytes end in a status or in tensors that lie where they may.
 * Input that begins like a zip archive is one; anything else is the data.pkl of an archive with three storages, as the
 * checksum would keep a fuzzer from changing a pickle inside an archive.
 * tools/fuzz.sh torch builds and runs it; without clang, tests/encoders/test_fuzz.c replays the corpus.
 * SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "encoders/import/torch_file.h"
#include "encoders/import/zip.h"
#include "kernels/base/status.h"
#include "tests/support/zip_bytes.h"

#define RECORD 64            /* bytes of the largest storage */
#define MAX_VALUES (1 << 16) /* of a tensor that is converted */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every element lies in a storage; sizes and count agree; every value can be had. */
static void check_torch_tensor(const cts_weight *t, bool wrapped)
{
    size_t bytes = cts_st_dtype_bytes(t->dtype);
    int64_t count = 1, last = 0;
    float *f;
    int64_t *n;

    for (int i = 0; i < t->ndim; i++) {
        count *= t->shape[i] ? t->shape[i] : 0;
        if (t->shape[i] < 0 || t->stride[i] < 0 || (t->count && t->shape[i] > t->count))
            abort();
    }
    if (!*t->name || count != t->count)
        abort();
    for (int i = 0; i < t->ndim && count; i++)
        last += (t->shape[i] - 1) * t->stride[i];
    if (count && wrapped && ((size_t)last + 1) * bytes > RECORD)
        abort();
    if (count > MAX_VALUES)
        return;
    f = malloc((size_t)(count ? count : 1) * sizeof *f);
    n = malloc((size_t)(count ? count : 1) * sizeof *n);
    if (!f || !n)
        abort();
    cts_weight_to_f32(f, t);
    if (t->dtype >= CTS_ST_I64)
        cts_weight_to_i64(n, t);
    free(f);
    free(n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t record[RECORD] = {0, 0, 0x80, 0x3f, 1, 2, 3};
    const cts_zip_part parts[] = {
        {"x/data.pkl", data, size}, {"x/data/0", record, RECORD}, {"x/data/1", record, 24}, {"x/data/2", record, 0}};
    bool wrapped = !cts_zip_is(data, size);
    size_t n = size;
    uint8_t *archive = wrapped ? cts_zip_bytes(&n, parts, 4) : NULL;
    const uint8_t *bytes = wrapped ? archive : data;
    int fd = memfd_create("fuzz", 0), rc;
    cts_torch_file *f = NULL;
    char path[64];

    if (fd < 0 || !bytes || write(fd, bytes, n) != (ssize_t)n)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    rc = cts_torch_file_open(&f, path);
    if (rc ? f || !*cts_error() : !f)
        abort(); /* a status and tensors, or neither */
    for (int i = 0; f && i < cts_torch_file_n(f); i++)
        check_torch_tensor(cts_torch_file_at(f, i), wrapped);
    cts_torch_file_close(f);
    close(fd);
    free(archive);
    return 0;
}
