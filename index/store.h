/* The truth of an index: one LMDB environment in a folder. Nothing else is authoritative; the FAISS index and the
 * matrices in memory are caches that can be rebuilt from here.
 *
 * Tables (docs/FORMATS.md has the bytes):
 *   meta       name -> format, counters, digests of model, tokenizer and recipe, what the creator wanted kept
 *   items      id -> checksum and one JSON record (name, volume, patient, scan, report, labels, flags)
 *   names      name -> id
 *   rows       id -> 48 fixed bytes: label bits, hashes of patient and scan, where the vectors are
 *   vec.image  block number -> up to 64 KB of ids and float vectors with a checksum
 *   vec.text   the same
 *   faiss      (space, chunk) -> the serialised approximate index, whose SHA-256 is in meta
 *
 * Ids start at 1, only grow and are never used twice: an id stands for one content for ever, and an update gives a
 * new id. Rows of a vector table are in id order; a removed row becomes a hole (its vector is zeroed at once) until
 * cts_store_compact().
 *
 * Vectors are blocked because LMDB spends a whole further page on a value that misses a multiple of 4,096 by less
 * than 16 bytes: one 512-float row a record would double the file.
 *
 * Threads: every function may be called from any thread at once. Processes: any number of readers, one writer; a
 * folder may be open once in a process (LMDB's rule), which open checks. No handle survives fork().
 * SPDX-License-Identifier: MIT */
#ifndef CTS_INDEX_STORE_H
#define CTS_INDEX_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cts_store cts_store;

/* Image and text vectors have one dimension but are two tables. */
typedef enum { CTS_SPACE_IMAGE = 0, CTS_SPACE_TEXT = 1 } cts_space;
#define CTS_SPACES 2

#define CTS_INDEX_NAME_MAX 500         /* bytes of an item's name (LMDB keys end at 511) */
#define CTS_INDEX_DIM_MAX 65536        /* components of a vector */
#define CTS_INDEX_TEXT_MAX (1 << 20)   /* bytes of a report, path or extra object */
#define CTS_INDEX_NORM_TOLERANCE 1e-3  /* | |v| - 1 | allowed on add */
#define CTS_INDEX_MAP_MAX (1ull << 40) /* bytes the map may grow to unless the caller says less */

/* What create stores for ever. Strings are borrowed; NULL is stored as "". */
typedef struct {
    size_t dim;
    const char *model_digest, *tokenizer_digest, *recipe_digest; /* 64 hex digits, or "" where there is none */
    const char *model;                                           /* name or path of the model, for people */
    const char *recipe;                                          /* preprocess.json's text */
    const char *meta;                                            /* free text of the caller, JSON by custom */
    uint64_t map_bytes;                                          /* first size of the map; 0 = 16 MiB */
    uint64_t max_map_bytes;                                      /* growth ends here; 0 = CTS_INDEX_MAP_MAX */
} cts_index_options;

/* What is stored for ever, as read back; strings belong to the store. */
typedef struct {
    uint32_t format;
    size_t dim;
    const char *model_digest, *tokenizer_digest, *recipe_digest, *model, *recipe, *meta;
} cts_index_info;

/* One item to add; everything borrowed. name is needed, and image or text. Texts are UTF-8; NULL = none. */
typedef struct {
    const char *name;          /* unique: volume name or report id */
    const float *image, *text; /* [dim], unit norm, or NULL */
    const char *volume, *patient, *scan, *report;
    const char *extra;     /* text of a JSON object kept as it is, or NULL */
    uint32_t labels;       /* bit i: label i is positive */
    uint32_t labels_known; /* bit i: label i has a value */
    uint32_t flags;        /* the caller's own bits */
} cts_index_item;

/* One item read back; strings are owned ("" when none was given); end with cts_index_record_free(). */
typedef struct {
    uint64_t id;
    char *name, *volume, *patient, *scan, *report, *extra;
    uint32_t labels, labels_known, flags;
    bool has[CTS_SPACES];
} cts_index_record;
void cts_index_record_free(cts_index_record *r); /* NULL and zeroed are fine; leaves it zeroed */

/* The approximate index of one space as it was built. */
typedef struct {
    char factory[128];   /* FAISS factory string */
    uint64_t generation; /* transaction it was built from */
    uint64_t max_id;     /* it knows the vectors with ids up to here */
    uint64_t n;          /* vectors in it */
    uint64_t bytes;      /* of the blob */
    int effort;          /* nprobe or efSearch; 0 = the type has none */
    double recall;       /* measured against exact search */
    int recall_k, recall_queries;
    char sha256[65];
} cts_ann_info;

typedef struct {
    uint64_t generation; /* counts committed changes */
    uint64_t n_items;
    uint64_t n_vectors[CTS_SPACES]; /* live */
    uint64_t n_rows[CTS_SPACES];    /* live and holes */
    uint64_t next_id;
    uint64_t map_bytes, file_bytes; /* size of the map; of data.mdb on disk */
} cts_store_stat;

/* Make the folder and an empty store in it; *out is open for writing. CTS_E_INPUT when a store is there already. */
int cts_store_create(cts_store **out, const char *path, const cts_index_options *options);
/* CTS_E_NOTFOUND no store there; CTS_E_FORMAT not ours, truncated or damaged; CTS_E_UNSUPPORTED a newer format;
 * CTS_E_BUSY another writer (its pid is named) or open in this process already. max_map_bytes as in the options. */
int cts_store_open(cts_store **out, const char *path, bool writable, uint64_t max_map_bytes);
void cts_store_close(cts_store *st); /* NULL allowed; no call may be running */
const cts_index_info *cts_store_info(const cts_store *st);
const char *cts_store_path(const cts_store *st);
bool cts_store_writable(const cts_store *st);
int cts_store_stats(cts_store *st, cts_store_stat *out);
/* The generation of the last committed change: about a microsecond, so caches ask before every use. */
int cts_store_generation(cts_store *st, uint64_t *out);

/* One transaction: all n items or none. A name that exists is CTS_E_INPUT unless `update`, which removes the old
 * item. ids [n] may be NULL. CTS_E_INPUT names the item with a bad vector or text; CTS_E_FULL, CTS_E_IO: nothing was
 * written. Durable on return. */
int cts_store_add(cts_store *st, const cts_index_item *items, size_t n, bool update, uint64_t *ids);
/* One transaction: all n ids or, when one does not exist, none (CTS_E_NOTFOUND). */
int cts_store_remove(cts_store *st, const uint64_t *ids, size_t n);
/* Rewrite vector tables without holes; ids stay. Nothing to do is fine. */
int cts_store_compact(cts_store *st);

int cts_store_find(cts_store *st, const char *name, uint64_t *id); /* CTS_E_NOTFOUND */
int cts_store_get(cts_store *st, uint64_t id, cts_index_record *out);
/* *id = the smallest id greater than *id, 0 after the last. */
int cts_store_next(cts_store *st, uint64_t *id);
/* Vectors of n ids: out [n, dim]; found [n] says which exist in that space (the others' rows are zero). */
int cts_store_vectors(cts_store *st, cts_space space, const uint64_t *ids, size_t n, float *out, bool *found);

/* A consistent picture of one space, rows in id order. Zero it before; end with cts_store_rows_free(). */
typedef struct {
    uint64_t generation;
    size_t n, dim;
    uint64_t *ids;            /* [n] ascending */
    uint32_t *labels, *known; /* [n] */
    uint64_t *patient, *scan; /* [n] hashes, 0 = none given */
    float *vectors;           /* [n, dim] 64-byte aligned, or NULL when not asked for */
} cts_store_rows;
int cts_store_load(cts_store *st, cts_space space, bool with_vectors, cts_store_rows *out);
void cts_store_rows_free(cts_store_rows *r);

/* The approximate index as bytes. put fills info->bytes and info->sha256 and replaces what was there, in one
 * transaction. */
int cts_store_blob_put(cts_store *st, cts_space space, const void *data, size_t n, cts_ann_info *info);
int cts_store_blob_info(cts_store *st, cts_space space, cts_ann_info *out); /* CTS_E_NOTFOUND when none */
/* *data is malloc'd and its checksum was verified; CTS_E_FORMAT when it differs, CTS_E_NOTFOUND when there is none. */
int cts_store_blob_get(cts_store *st, cts_space space, void **data, size_t *n, cts_ann_info *info);
int cts_store_blob_drop(cts_store *st, cts_space space);

/* What a full check counted and found. */
typedef struct {
    uint64_t items, vectors[CTS_SPACES], holes[CTS_SPACES], blocks;
    uint64_t problems;
    char first[512]; /* the first problem in words, "" when none */
} cts_store_report;
/* Reads everything: records, names, vectors, checksums, counters, blobs. CTS_OK with problems == 0, else CTS_E_FORMAT
 * with the first problem as the sentence; *out is filled in both cases. */
int cts_store_verify(cts_store *st, cts_store_report *out);

#endif
