/* Zip archives whose entries are stored, as torch.save writes them: names and places of the entries in mapped bytes.
 *
 * The central directory and every local header are read through a bounded cursor and must agree: same name, method,
 * sizes; the end record stands at the very end of the file and the directory right before it; entries lie in front of
 * the directory and do not overlap. Refused besides: more than one disk, encryption, names that are absolute, climb
 * ("..") or occur twice, unprintable names. Sizes beyond 4 GB are zip64's. An entry that is compressed has no data
 * here; cts_zip_stored() says so.
 *
 * The checksum is not looked at here: an entry may hold gigabytes that are paged in only when used. Who reads an entry
 * whole calls cts_zip_check().
 * Any number of threads may read one archive. Source: PKWARE's APPNOTE, 4.3 and 4.5.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_IMPORT_ZIP_H
#define CTS_ENCODERS_IMPORT_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CTS_ZIP_MAX_ENTRIES (1u << 20)

typedef struct {
    char *name;          /* UTF-8 */
    const uint8_t *data; /* in the bytes given to open */
    size_t n;
    uint32_t crc;
    uint16_t method; /* 0 = stored; any other: data is NULL and n 0 */
} cts_zip_entry;

typedef struct cts_zip cts_zip;

/* The n bytes at p must outlive the archive; path is copied and stands in messages. CTS_E_FORMAT, CTS_E_LIMIT,
 * CTS_E_UNSUPPORTED. */
int cts_zip_open(cts_zip **out, const void *p, size_t n, const char *path);
void cts_zip_close(cts_zip *z); /* NULL allowed; entries end with it */

size_t cts_zip_n(const cts_zip *z);
const cts_zip_entry *cts_zip_at(const cts_zip *z, size_t i);           /* sorted by name */
const cts_zip_entry *cts_zip_find(const cts_zip *z, const char *name); /* NULL = none */
/* CTS_E_UNSUPPORTED when it is compressed: the sentence says how to save the file again. */
int cts_zip_stored(const cts_zip *z, const cts_zip_entry *e);
int cts_zip_check(const cts_zip *z, const cts_zip_entry *e); /* CTS_E_FORMAT: its checksum is wrong */
bool cts_zip_is(const void *p, size_t n);                    /* the bytes begin like an archive */

#endif
