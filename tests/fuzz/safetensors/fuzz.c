/* libFuzzer target of the safetensors reader: any bytes end in a status or in tensors that cover the data.
 * tools/fuzz.sh safetensors builds and runs it; without clang, tests/encoders/test_fuzz.c replays the corpus.
 * SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "encoders/safetensors.h"
#include "kernels/base/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Returns the bytes of the tensor, which are all of its values. */
static size_t check_tensor(const cts_safetensors *s, const cts_st_tensor *t)
{
    float *f = malloc(((size_t)t->count + 1) * sizeof *f);
    int64_t count = 1;

    for (int i = 0; i < t->ndim; i++)
        count *= t->shape[i];
    if (!f || count != t->count || cts_safetensors_find(s, t->name) != t)
        abort();
    cts_st_to_f32(f, t);
    free(f);
    return (size_t)count * cts_st_dtype_bytes(t->dtype);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("fuzz", 0), rc;
    cts_safetensors *s = NULL;
    uint64_t header = 0;
    size_t covered = 0;
    char path[64];

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    rc = cts_safetensors_open(&s, path);
    if (rc ? s || !*cts_error() : !s)
        abort(); /* a status and tensors, or neither */
    if (s) {
        memcpy(&header, data, sizeof header);
        for (int i = 0; i < cts_safetensors_n(s); i++)
            covered += check_tensor(s, cts_safetensors_at(s, i));
        if (covered + header + sizeof header != size)
            abort();
    }
    cts_safetensors_close(s);
    close(fd);
    return 0;
}
