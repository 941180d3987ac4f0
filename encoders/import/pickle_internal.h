/* The machine that runs a pickle's opcodes: its stack, marks, memo and what is put on them. pickle_machine.c keeps them
 * within their bounds, pickle.c says which opcode does what.
 *
 * All functions return a status and have recorded the sentence, unless they say otherwise.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_IMPORT_PICKLE_INTERNAL_H
#define CTS_ENCODERS_IMPORT_PICKLE_INTERNAL_H

#include "encoders/import/pickle.h"
#include "kernels/base/arena.h"
#include "kernels/base/bytes.h"

struct cts_pickle {
    cts_arena *arena;
    size_t used; /* bytes asked of the arena */
    const cts_pickle_value *root;
};

typedef struct {
    cts_pickle *out;
    const char *name; /* for messages */
    cts_bytes in;
    const cts_pickle_class *classes;
    size_t n_classes, n_ops;
    cts_pickle_value **stack;
    size_t n, cap;
    size_t mark[CTS_PICKLE_MAX_DEPTH]; /* stack heights; the last is never above n */
    size_t n_marks;
    cts_pickle_value **memo;
    size_t n_memo, cap_memo; /* entries set, room */
    bool stopped;
} cts_pickle_machine;

/* Record "NAME: byte AT of the pickle: what". */
int cts_pickle_fail(const cts_pickle_machine *m, int rc, const char *what);
int cts_pickle_fail_stack(const cts_pickle_machine *m);

int cts_pickle_make(cts_pickle_machine *m, cts_pickle_value **v, cts_pickle_kind kind);
int cts_pickle_push(cts_pickle_machine *m, cts_pickle_value *v);
/* The value under the top by `down` places; NULL (no sentence) when a mark or the bottom is above it. */
cts_pickle_value *cts_pickle_peek(const cts_pickle_machine *m, size_t down);
int cts_pickle_mark(cts_pickle_machine *m);
int cts_pickle_pop(cts_pickle_machine *m, bool to_mark); /* a value or the mark on top; or all down to the mark */
int cts_pickle_dup(cts_pickle_machine *m);

/* inner goes into outer: the depth grows and stays within its bound. */
int cts_pickle_nest(const cts_pickle_machine *m, cts_pickle_value *outer, const cts_pickle_value *inner);
int cts_pickle_append(cts_pickle_machine *m, cts_pickle_value *to, cts_pickle_value *const *v, size_t n);
/* The n values at the top, or those above the mark, become one value ... */
int cts_pickle_gather(cts_pickle_machine *m, cts_pickle_kind kind, size_t n);
int cts_pickle_gather_to_mark(cts_pickle_machine *m, cts_pickle_kind kind);
/* ... or go into the container of this kind below them; objects nobody looks into swallow them. */
int cts_pickle_put_into(cts_pickle_machine *m, cts_pickle_kind kind, size_t n);
int cts_pickle_put_to_mark(cts_pickle_machine *m, cts_pickle_kind kind);

/* Values read from the input. An argument cut short is the caller's to notice (in.bad). */
int cts_pickle_push_int(cts_pickle_machine *m, int64_t i);
int cts_pickle_push_long(cts_pickle_machine *m, uint64_t n); /* n bytes, two's complement, little endian */
int cts_pickle_push_text(cts_pickle_machine *m, cts_pickle_kind kind, uint64_t n);
int cts_pickle_push_float(cts_pickle_machine *m);
int cts_pickle_push_quoted(cts_pickle_machine *m);
int cts_pickle_take_line(cts_pickle_machine *m, const char **p, size_t *n); /* without its end */

int cts_pickle_memo_put(cts_pickle_machine *m, uint64_t i);
int cts_pickle_memo_get(cts_pickle_machine *m, uint64_t i);

#endif
