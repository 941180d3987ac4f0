/* SPDX-License-Identifier: MIT */
#include "encoders/import/zip.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/bytes.h"
#include "kernels/base/check.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

#define LOCAL_MAGIC 0x04034b50u
#define CENTRAL_MAGIC 0x02014b50u
#define END_MAGIC 0x06054b50u
#define END64_MAGIC 0x06064b50u
#define LOCATOR_MAGIC 0x07064b50u
#define CENTRAL_BYTES 46
#define END_BYTES 22
#define LOCATOR_BYTES 20
#define END64_BYTES 56

#define FLAG_ENCRYPTED (1u << 0 | 1u << 6 | 1u << 13)
#define FLAG_SIZES_BEHIND (1u << 3) /* the local header may leave sizes and checksum at 0 */

struct cts_zip {
    const uint8_t *p;
    size_t n;
    char *path;
    cts_zip_entry *entry;
    size_t n_entries;
};

/* One entry as the central directory says it, and where all of it lies. */
struct central {
    uint16_t flags, method;
    uint32_t crc;
    uint64_t packed, size, local, disk;
    const char *name;
    size_t n_name;
};

struct extent {
    size_t from, to;
    const char *name;
};

struct directory {
    uint64_t at, bytes, n;
    size_t end; /* where it must end */
};

bool cts_zip_is(const void *p, size_t n)
{
    cts_bytes b = cts_bytes_of(p, n);
    uint32_t magic = cts_bytes_u32(&b);

    return !b.bad && (magic == LOCAL_MAGIC || magic == END_MAGIC);
}

/* ---- the end records ------------------------------------------------------------------------------------------- */

static int fail_disks(const cts_zip *z)
{
    return cts_fail(CTS_E_UNSUPPORTED, "%s: the zip archive is spread over several disks", z->path);
}

/* The zip64 record replaces what the old one cannot hold, and must repeat what it can. */
static int read_end64(const cts_zip *z, struct directory *d, size_t locator)
{
    cts_bytes b = cts_bytes_of(z->p, z->n);
    uint32_t disk, disks, magic, this_disk, start_disk;
    uint64_t record, bytes, here, n, size, at;

    cts_bytes_seek(&b, locator + 4);
    disk = cts_bytes_u32(&b);
    record = cts_bytes_u64(&b);
    disks = cts_bytes_u32(&b);
    if (disk != 0 || disks > 1)
        return fail_disks(z);
    if (record > locator || locator - record < END64_BYTES)
        return cts_fail(CTS_E_FORMAT, "%s: the zip64 end record is at byte %" PRIu64 ", its locator at %zu", z->path,
                        record, locator);
    cts_bytes_seek(&b, (size_t)record);
    magic = cts_bytes_u32(&b);
    bytes = cts_bytes_u64(&b);
    cts_bytes_skip(&b, 4); /* versions */
    this_disk = cts_bytes_u32(&b);
    start_disk = cts_bytes_u32(&b);
    here = cts_bytes_u64(&b);
    n = cts_bytes_u64(&b);
    size = cts_bytes_u64(&b);
    at = cts_bytes_u64(&b);
    if (magic != END64_MAGIC || bytes != locator - record - 12)
        return cts_fail(CTS_E_FORMAT, "%s: no zip64 end record at byte %" PRIu64, z->path, record);
    if (this_disk || start_disk || here != n)
        return fail_disks(z);
    if ((d->n != UINT16_MAX && d->n != n) || (d->bytes != UINT32_MAX && d->bytes != size) ||
        (d->at != UINT32_MAX && d->at != at))
        return cts_fail(CTS_E_FORMAT, "%s: the two end records of the zip archive disagree", z->path);
    d->n = n;
    d->bytes = size;
    d->at = at;
    d->end = (size_t)record;
    return CTS_OK;
}

/* A comment of up to 64 KB may stand behind the end record: the record is the one whose comment reaches the end. */
static int find_directory(const cts_zip *z, struct directory *d)
{
    size_t lowest = z->n > END_BYTES + UINT16_MAX ? z->n - END_BYTES - UINT16_MAX : 0;
    cts_bytes b = cts_bytes_of(z->p, z->n);
    unsigned disk, start, here;
    int rc;

    if (z->n < END_BYTES)
        return cts_fail(CTS_E_FORMAT, "%s: %zu bytes are no zip archive", z->path, z->n);
    for (size_t at = z->n - END_BYTES;; at--) {
        cts_bytes_seek(&b, at);
        if (cts_bytes_u32(&b) == END_MAGIC) {
            disk = cts_bytes_u16(&b);
            start = cts_bytes_u16(&b);
            here = cts_bytes_u16(&b);
            d->n = cts_bytes_u16(&b);
            d->bytes = cts_bytes_u32(&b);
            d->at = cts_bytes_u32(&b);
            if (cts_bytes_u16(&b) == cts_bytes_left(&b)) {
                d->end = at;
                break;
            }
        }
        if (at == lowest)
            return cts_fail(CTS_E_FORMAT, "%s: the zip archive has no end record: the file is cut short or damaged",
                            z->path);
    }
    if ((disk && disk != UINT16_MAX) || (start && start != UINT16_MAX) || (here != d->n && here != UINT16_MAX))
        return fail_disks(z);
    if (d->end >= LOCATOR_BYTES) {
        size_t locator = d->end - LOCATOR_BYTES;

        cts_bytes_seek(&b, locator);
        if (cts_bytes_u32(&b) == LOCATOR_MAGIC && (rc = read_end64(z, d, locator)) != CTS_OK)
            return rc;
    }
    if (d->at > d->end || d->bytes != d->end - d->at)
        return cts_fail(CTS_E_FORMAT,
                        "%s: the zip directory is said to be %" PRIu64 " bytes at %" PRIu64 ", its end is at %zu",
                        z->path, d->bytes, d->at, d->end);
    if (d->n > CTS_ZIP_MAX_ENTRIES || d->n > d->bytes / CENTRAL_BYTES)
        return cts_fail(CTS_E_LIMIT, "%s: %" PRIu64 " zip entries in a directory of %" PRIu64 " bytes, allowed %u",
                        z->path, d->n, d->bytes, CTS_ZIP_MAX_ENTRIES);
    return CTS_OK;
}

/* ---- entries --------------------------------------------------------------------------------------------------- */

/* Sizes and place that do not fit 32 bits are in the extra field 1, in this order and only those. */
static int read_zip64_extra(const cts_zip *z, struct central *c, cts_bytes extra)
{
    uint64_t *const field[] = {&c->size, &c->packed, &c->local};

    while (cts_bytes_left(&extra) >= 4) {
        unsigned id = cts_bytes_u16(&extra);
        size_t n = cts_bytes_u16(&extra);
        const uint8_t *p = cts_bytes_take(&extra, n);
        cts_bytes in = cts_bytes_of(p, p ? n : 0);

        if (id != 1)
            continue;
        for (size_t i = 0; i < CTS_COUNT(field); i++)
            if (*field[i] == UINT32_MAX)
                *field[i] = cts_bytes_u64(&in);
        if (c->disk == UINT16_MAX)
            c->disk = cts_bytes_u32(&in);
        if (in.bad)
            return cts_fail(CTS_E_FORMAT, "%s: zip entry %.*s: its zip64 field of %zu bytes is too short", z->path,
                            (int)c->n_name, c->name, n);
        break;
    }
    return CTS_OK;
}

static bool sound_name(const char *p, size_t n)
{
    size_t part = 0;

    if (!n || n > 1024 || p[0] == '/')
        return false;
    for (size_t i = 0, used; i < n; i += used) {
        uint32_t cp;

        used = cts_utf8_decode(&cp, p + i, n - i);
        if (cp < ' ' || cp == 0x7f || cp == 0xfffd || cp == '\\')
            return false;
    }
    for (size_t i = 0; i <= n; i++)
        if (i == n || p[i] == '/') {
            if (i - part == 2 && p[part] == '.' && p[part + 1] == '.')
                return false;
            part = i + 1;
        }
    return true;
}

static int read_central(const cts_zip *z, struct central *c, cts_bytes *b)
{
    uint32_t magic = cts_bytes_u32(b);
    size_t n_extra, n_comment;
    const uint8_t *extra;

    cts_bytes_skip(b, 4); /* versions */
    c->flags = cts_bytes_u16(b);
    c->method = cts_bytes_u16(b);
    cts_bytes_skip(b, 4); /* time */
    c->crc = cts_bytes_u32(b);
    c->packed = cts_bytes_u32(b);
    c->size = cts_bytes_u32(b);
    c->n_name = cts_bytes_u16(b);
    n_extra = cts_bytes_u16(b);
    n_comment = cts_bytes_u16(b);
    c->disk = cts_bytes_u16(b);
    cts_bytes_skip(b, 6); /* attributes */
    c->local = cts_bytes_u32(b);
    c->name = (const char *)cts_bytes_take(b, c->n_name);
    extra = cts_bytes_take(b, n_extra);
    cts_bytes_skip(b, n_comment);
    if (b->bad || magic != CENTRAL_MAGIC)
        return cts_fail(CTS_E_FORMAT, "%s: the zip directory is broken near byte %zu", z->path, b->at);
    if (!sound_name(c->name, c->n_name))
        return cts_fail(CTS_E_FORMAT,
                        "%s: a zip entry's name is absolute, leaves the archive by \"..\", is empty, too long or not "
                        "printable",
                        z->path);
    return read_zip64_extra(z, c, cts_bytes_of(extra, n_extra));
}

static int check_central(const cts_zip *z, const struct central *c)
{
    if (c->disk)
        return fail_disks(z);
    if (c->flags & FLAG_ENCRYPTED)
        return cts_fail(CTS_E_UNSUPPORTED, "%s: zip entry %.*s is encrypted", z->path, (int)c->n_name, c->name);
    if (!c->method && c->packed != c->size)
        return cts_fail(CTS_E_FORMAT, "%s: zip entry %.*s is stored, yet %" PRIu64 " bytes take %" PRIu64, z->path,
                        (int)c->n_name, c->name, c->size, c->packed);
    return CTS_OK;
}

/* A size of the local header: the directory's, or a mark that it stands elsewhere. */
static bool agrees(uint32_t local, uint64_t central, bool behind)
{
    return local == central || local == UINT32_MAX || (behind && local == 0);
}

/* The local header says the same; sets where the data lies and ends. */
static int read_local(const cts_zip *z, const struct central *c, size_t directory, cts_zip_entry *e, size_t *end)
{
    cts_bytes b = cts_bytes_of(z->p, directory);
    bool behind = (c->flags & FLAG_SIZES_BEHIND) != 0;
    unsigned flags, method;
    uint32_t magic, crc, packed, size;
    size_t n_name, n_extra;
    const uint8_t *name;

    if (c->local > directory)
        return cts_fail(CTS_E_FORMAT, "%s: zip entry %.*s is said to start at byte %" PRIu64 " of %zu", z->path,
                        (int)c->n_name, c->name, c->local, directory);
    cts_bytes_seek(&b, (size_t)c->local);
    magic = cts_bytes_u32(&b);
    cts_bytes_skip(&b, 2);
    flags = cts_bytes_u16(&b);
    method = cts_bytes_u16(&b);
    cts_bytes_skip(&b, 4);
    crc = cts_bytes_u32(&b);
    packed = cts_bytes_u32(&b);
    size = cts_bytes_u32(&b);
    n_name = cts_bytes_u16(&b);
    n_extra = cts_bytes_u16(&b);
    name = cts_bytes_take(&b, n_name);
    cts_bytes_skip(&b, n_extra);
    if (b.bad || magic != LOCAL_MAGIC || n_name != c->n_name || memcmp(name, c->name, n_name) != 0 ||
        method != c->method || (flags & FLAG_ENCRYPTED) || !agrees(packed, c->packed, behind) ||
        !agrees(size, c->size, behind) || (crc != c->crc && !(behind && crc == 0)))
        return cts_fail(CTS_E_FORMAT, "%s: zip entry %.*s: its header at byte %" PRIu64 " and the directory disagree",
                        z->path, (int)c->n_name, c->name, c->local);
    if (c->packed > cts_bytes_left(&b))
        return cts_fail(CTS_E_FORMAT, "%s: zip entry %.*s: %" PRIu64 " bytes, %zu are left in front of the directory",
                        z->path, (int)c->n_name, c->name, c->packed, cts_bytes_left(&b));
    *end = b.at + (size_t)c->packed;
    e->data = c->method ? NULL : cts_bytes_take(&b, (size_t)c->size);
    e->n = c->method ? 0 : (size_t)c->size;
    e->crc = c->crc;
    e->method = c->method;
    return CTS_OK;
}

static int by_name(const void *pa, const void *pb)
{
    return strcmp(((const cts_zip_entry *)pa)->name, ((const cts_zip_entry *)pb)->name);
}

static int by_place(const void *pa, const void *pb)
{
    const struct extent *a = pa, *b = pb;

    return a->from < b->from ? -1 : a->from > b->from;
}

static int check_overlap(const cts_zip *z, struct extent *x)
{
    qsort(x, z->n_entries, sizeof *x, by_place);
    for (size_t i = 1; i < z->n_entries; i++)
        if (x[i].from < x[i - 1].to)
            return cts_fail(CTS_E_FORMAT, "%s: zip entries %s and %s overlap", z->path, x[i - 1].name, x[i].name);
    return CTS_OK;
}

static int read_entries(cts_zip *z, const struct directory *d)
{
    cts_bytes b = cts_bytes_of(z->p, d->end);
    struct extent *x = calloc(d->n + 1, sizeof *x);
    struct central c;
    int rc = CTS_OK;

    z->entry = calloc(d->n + 1, sizeof *z->entry);
    if (!x || !z->entry) {
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory for %" PRIu64 " zip entries", z->path, d->n);
        goto out;
    }
    cts_bytes_seek(&b, (size_t)d->at);
    for (uint64_t i = 0; i < d->n; i++) {
        cts_zip_entry *e = &z->entry[i];

        if ((rc = read_central(z, &c, &b)) != CTS_OK || (rc = check_central(z, &c)) != CTS_OK ||
            (rc = read_local(z, &c, (size_t)d->at, e, &x[i].to)) != CTS_OK)
            goto out;
        if (!(e->name = cts_asprintf("%.*s", (int)c.n_name, c.name))) {
            rc = cts_fail(CTS_E_NOMEM, "%s: out of memory", z->path);
            goto out;
        }
        z->n_entries++;
        x[i].from = (size_t)c.local;
        x[i].name = e->name;
    }
    if (cts_bytes_left(&b)) {
        rc = cts_fail(CTS_E_FORMAT, "%s: %zu bytes behind the last entry of the zip directory", z->path,
                      cts_bytes_left(&b));
        goto out;
    }
    if ((rc = check_overlap(z, x)) != CTS_OK)
        goto out;
    qsort(z->entry, z->n_entries, sizeof *z->entry, by_name);
    for (size_t i = 1; i < z->n_entries; i++)
        if (!strcmp(z->entry[i].name, z->entry[i - 1].name)) {
            rc = cts_fail(CTS_E_FORMAT, "%s: two zip entries are named %s", z->path, z->entry[i].name);
            goto out;
        }
out:
    free(x);
    return rc;
}

/* ---- public ---------------------------------------------------------------------------------------------------- */

int cts_zip_open(cts_zip **out, const void *p, size_t n, const char *path)
{
    cts_zip *z = calloc(1, sizeof *z);
    struct directory d = {0};
    int rc;

    if (!z || !(z->path = cts_strdup(path))) {
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory", path);
        goto out;
    }
    z->p = p;
    z->n = n;
    if ((rc = find_directory(z, &d)) != CTS_OK || (rc = read_entries(z, &d)) != CTS_OK)
        goto out;
    *out = z;
    z = NULL;
out:
    cts_zip_close(z);
    return rc;
}

void cts_zip_close(cts_zip *z)
{
    if (!z)
        return;
    for (size_t i = 0; i < z->n_entries; i++)
        free(z->entry[i].name);
    free(z->entry);
    free(z->path);
    free(z);
}

size_t cts_zip_n(const cts_zip *z)
{
    return z->n_entries;
}

const cts_zip_entry *cts_zip_at(const cts_zip *z, size_t i)
{
    CTS_ASSERT(i < z->n_entries, "zip entry %zu of %zu", i, z->n_entries);
    return &z->entry[i];
}

const cts_zip_entry *cts_zip_find(const cts_zip *z, const char *name)
{
    cts_zip_entry key = {.name = (char *)name};

    return z->n_entries ? bsearch(&key, z->entry, z->n_entries, sizeof *z->entry, by_name) : NULL;
}

/* Half a byte a step: the table is 64 bytes, and only small entries are summed. Polynomial 0xedb88320. */
static uint32_t crc32_of(const uint8_t *p, size_t n)
{
    static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                       0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                       0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    uint32_t c = UINT32_MAX;

    for (size_t i = 0; i < n; i++) {
        c = table[(c ^ p[i]) & 15] ^ c >> 4;
        c = table[(c ^ p[i] >> 4) & 15] ^ c >> 4;
    }
    return ~c;
}

int cts_zip_stored(const cts_zip *z, const cts_zip_entry *e)
{
    if (e->method)
        return cts_fail(CTS_E_UNSUPPORTED,
                        "%s: zip entry %s is compressed (method %u); only stored entries are read, as torch.save "
                        "writes them: torch.save(torch.load(old, weights_only=True), new)",
                        z->path, e->name, e->method);
    return CTS_OK;
}

int cts_zip_check(const cts_zip *z, const cts_zip_entry *e)
{
    uint32_t got = crc32_of(e->data, e->n);

    if (got != e->crc)
        return cts_fail(CTS_E_FORMAT, "%s: zip entry %s: checksum %08x, the directory says %08x", z->path, e->name, got,
                        e->crc);
    return CTS_OK;
}
