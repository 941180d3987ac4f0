/* libFuzzer target of the NIfTI reader: any bytes end in a status or a sound volume.
 * tools/fuzz.sh nifti builds and runs it; without clang, tests/data/test_fuzz.c replays the corpus.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "data/nifti.h"
#include "kernels/base/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("fuzz", 0), rc;
    cts_volume *v = NULL;
    char path[64];

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    rc = cts_nifti_load(&v, path, (size_t)1 << 24);
    if (rc ? v || !*cts_error() : !v)
        abort(); /* a status and a volume, or neither */
    if (v) {
        size_t n = cts_volume_count(v);
        char codes[4];

        cts_volume_axis_codes(v, codes);
        for (size_t i = 0; i < n; i++) {
            double x = v->type == CTS_VOXEL_I16 ? ((int16_t *)v->voxels)[i] : (double)((float *)v->voxels)[i];

            if (!isfinite(x))
                abort();
        }
        if (cts_volume_reorient(v, "LPS", NULL))
            abort();
    }
    cts_volume_destroy(v);
    close(fd);
    return 0;
}
