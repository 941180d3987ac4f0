/* SPDX-License-Identifier: MIT */
#include "kernels/base/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/status.h"

#define READ_BYTES 65536

struct cts_digest {
    EVP_MD_CTX *ctx;
    bool failed; /* an update was refused; reported by finish */
};

int cts_digest_create(cts_digest **out)
{
    cts_digest *d = calloc(1, sizeof(*d));

    if (d)
        d->ctx = EVP_MD_CTX_new();
    if (!d || !d->ctx) {
        cts_digest_destroy(d);
        return cts_fail(CTS_E_NOMEM, "out of memory for a SHA-256");
    }
    if (EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1) {
        cts_digest_destroy(d);
        return cts_fail(CTS_E_UNSUPPORTED, "libcrypto refuses SHA-256");
    }
    *out = d;
    return CTS_OK;
}

void cts_digest_update(cts_digest *d, const void *p, size_t n)
{
    if (n && EVP_DigestUpdate(d->ctx, p, n) != 1)
        d->failed = true;
}

int cts_digest_finish(cts_digest *d, char out[CTS_DIGEST_HEX])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    if (d->failed || EVP_DigestFinal_ex(d->ctx, raw, &n) != 1 || n != (CTS_DIGEST_HEX - 1) / 2)
        return cts_fail(CTS_E_UNSUPPORTED, "libcrypto failed to compute a SHA-256");
    for (unsigned i = 0; i < n; i++) {
        out[2 * i] = hex[raw[i] >> 4];
        out[2 * i + 1] = hex[raw[i] & 15];
    }
    out[2 * n] = '\0';
    return CTS_OK;
}

void cts_digest_destroy(cts_digest *d)
{
    if (!d)
        return;
    EVP_MD_CTX_free(d->ctx);
    free(d);
}

int cts_digest_bytes(char out[CTS_DIGEST_HEX], const void *p, size_t n)
{
    cts_digest *d = NULL;
    int rc;

    if ((rc = cts_digest_create(&d)) != CTS_OK)
        return rc;
    cts_digest_update(d, p, n);
    rc = cts_digest_finish(d, out);
    cts_digest_destroy(d);
    return rc;
}

int cts_digest_file(char out[CTS_DIGEST_HEX], const char *path)
{
    unsigned char *buf = malloc(READ_BYTES);
    cts_digest *d = NULL;
    FILE *f = NULL;
    size_t got;
    int rc;

    if (!buf) {
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory for a SHA-256", path);
        goto out;
    }
    if ((rc = cts_digest_create(&d)) != CTS_OK)
        goto out;
    f = fopen(path, "rbe");
    if (!f) {
        rc = cts_fail(CTS_E_IO, "%s: cannot open: %s", path, strerror(errno));
        goto out;
    }
    while ((got = fread(buf, 1, READ_BYTES, f)) > 0)
        cts_digest_update(d, buf, got);
    if (ferror(f)) {
        rc = cts_fail(CTS_E_IO, "%s: cannot read: %s", path, strerror(errno));
        goto out;
    }
    rc = cts_digest_finish(d, out);
out:
    if (f)
        fclose(f);
    cts_digest_destroy(d);
    free(buf);
    return rc;
}
