/* Pickles as data: a machine that builds a value from the opcodes of protocols 2 to 5 and runs nothing.
 *
 * A pickle is a program that may call any function of the Python that loads it. Here a global name is looked up in the
 * caller's list and stands for itself: applying it gives a value that says "this class, these arguments" (or an empty
 * mapping, or an object nobody looks into), never a call. A name that is not on the list ends the parse, wherever in
 * the pickle it is, and the pickle is read to its last opcode before anything is handed out. Opcodes of the text
 * protocols, extension codes, out-of-band buffers and whatever follows STOP are refused.
 *
 * Bounds, so that a small file cannot take much time or memory: length, stack, nested marks, nesting of values, memo
 * indices (a pickler counts them up; one beyond the opcodes seen so far is refused), bytes built. Values point at each
 * other and may form cycles: whoever walks them needs a bound of its own.
 *
 * Any number of threads, each its own pickle. Source: the opcode list of CPython's pickletools.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_IMPORT_PICKLE_H
#define CTS_ENCODERS_IMPORT_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CTS_PICKLE_MAX_BYTES ((size_t)32 << 20)   /* a state dict takes some 200 bytes a tensor */
#define CTS_PICKLE_MAX_MEMORY ((size_t)128 << 20) /* of all values */
#define CTS_PICKLE_MAX_STACK 65536                /* picklers write long lists in pieces of 1,000 */
#define CTS_PICKLE_MAX_DEPTH 256

typedef enum {
    CTS_PICKLE_NONE,
    CTS_PICKLE_BOOL,       /* b */
    CTS_PICKLE_INT,        /* i */
    CTS_PICKLE_BIG,        /* an integer beyond 64 bits; its value is not kept */
    CTS_PICKLE_FLOAT,      /* f */
    CTS_PICKLE_TEXT,       /* text */
    CTS_PICKLE_BYTES,      /* text */
    CTS_PICKLE_LIST,       /* items */
    CTS_PICKLE_TUPLE,      /* items */
    CTS_PICKLE_SET,        /* items */
    CTS_PICKLE_DICT,       /* items: key, value, key, value ... in the order they were set, repeats included */
    CTS_PICKLE_CLASS,      /* of */
    CTS_PICKLE_CALL,       /* of, args */
    CTS_PICKLE_OPAQUE,     /* of: an object that was not looked into */
    CTS_PICKLE_PERSISTENT, /* args: the id */
} cts_pickle_kind;

/* What applying a class of the list gives. */
typedef enum { CTS_PICKLE_MAKES_CALL, CTS_PICKLE_MAKES_DICT, CTS_PICKLE_MAKES_OPAQUE } cts_pickle_makes;

typedef struct {
    const char *module, *name;
    cts_pickle_makes makes;
    int id; /* the caller's */
} cts_pickle_class;

typedef struct cts_pickle_value cts_pickle_value;
struct cts_pickle_value {
    cts_pickle_kind kind;
    uint32_t depth; /* values inside it, when they were put there */
    const cts_pickle_class *of;
    const cts_pickle_value *args; /* CALL: a TUPLE */
    union {
        bool b;
        int64_t i;
        double f;
        struct {
            const char *p; /* inside the pickle, no NUL at the end; TEXT is not checked to be UTF-8 */
            size_t n;
        } text;
        struct {
            const cts_pickle_value **v;
            size_t n, cap;
        } items;
    } u;
};

typedef struct cts_pickle cts_pickle;

/* Parse the n bytes at p, which must outlive the result. name stands in messages ("FILE: data.pkl").
 * CTS_E_FORMAT (the pickle is broken), CTS_E_UNSUPPORTED (a global or an opcode that is not allowed), CTS_E_LIMIT. */
int cts_pickle_parse(cts_pickle **out, const void *p, size_t n, const cts_pickle_class *classes, size_t n_classes,
                     const char *name);
void cts_pickle_destroy(cts_pickle *k); /* NULL allowed; values end with it */
const cts_pickle_value *cts_pickle_root(const cts_pickle *k);

/* v is TEXT and equal to s. */
bool cts_pickle_is_text(const cts_pickle_value *v, const char *s);

#endif
