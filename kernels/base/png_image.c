/* SPDX-License-Identifier: MIT */
#include "kernels/base/png_image.h"

#include <png.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/status.h"

#define PNG_MAX_SIDE 65535

int cts_png_save(const char *path, const uint8_t *pixels, size_t w, size_t h, int channels)
{
    cts_writer *writer = NULL;
    png_image image;
    int rc;

    CTS_ASSERT(channels == 1 || channels == 3, "channels %d", channels);
    if (w < 1 || h < 1 || w > PNG_MAX_SIDE || h > PNG_MAX_SIDE)
        return cts_fail(CTS_E_LIMIT, "%s: picture is %zu x %zu, allowed 1 to %d a side", path, w, h, PNG_MAX_SIDE);
    memset(&image, 0, sizeof(image));
    image.version = PNG_IMAGE_VERSION;
    image.width = (png_uint_32)w;
    image.height = (png_uint_32)h;
    image.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
    if ((rc = cts_writer_open(&writer, path)) != CTS_OK)
        return rc;
    if (!png_image_write_to_stdio(&image, cts_writer_file(writer), 0, pixels, 0, NULL)) {
        rc = cts_fail(CTS_E_IO, "%s: cannot write the PNG: %s", path, image.message);
        goto out;
    }
    rc = cts_writer_commit(writer);
out:
    png_image_free(&image);
    cts_writer_destroy(writer);
    return rc;
}
