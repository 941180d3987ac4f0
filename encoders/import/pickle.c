/* SPDX-License-Identifier: MIT */
#include "encoders/import/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "encoders/import/pickle_internal.h"
#include "kernels/base/status.h"

typedef cts_pickle_value value;

/* Values without content are shared; nobody ever writes to them. */
static value none = {.kind = CTS_PICKLE_NONE}, yes = {.kind = CTS_PICKLE_BOOL, .u.b = true},
             no = {.kind = CTS_PICKLE_BOOL};

/* ---- classes and what is made of them -------------------------------------------------------------------------- */

static bool same(const char *text, size_t n, const char *s)
{
    return n == strlen(s) && !memcmp(text, s, n);
}

/* Text of a file as it may stand in a message: short and printable. */
static const char *printable(char out[80], const char *p, size_t n)
{
    size_t i;

    for (i = 0; i < n && i < 79; i++)
        out[i] = p[i] >= ' ' && p[i] <= '~' ? p[i] : '?';
    out[i] = '\0';
    return out;
}

static int find_class(cts_pickle_machine *m, const cts_pickle_class **of, const char *module, size_t n_module,
                      const char *name, size_t n_name)
{
    char a[80], b[80];

    for (size_t i = 0; i < m->n_classes; i++)
        if (same(module, n_module, m->classes[i].module) && same(name, n_name, m->classes[i].name)) {
            *of = &m->classes[i];
            return CTS_OK;
        }
    return cts_fail(CTS_E_UNSUPPORTED,
                    "%s: the pickle asks for %s.%s, which is not among the names a weight file needs; no code was run "
                    "(a file of weights alone is what torch.save(model.state_dict(), FILE) writes)",
                    m->name, printable(a, module, n_module), printable(b, name, n_name));
}

static int push_class(cts_pickle_machine *m, const cts_pickle_class *of)
{
    value *v;
    int rc = cts_pickle_make(m, &v, CTS_PICKLE_CLASS);

    if (rc)
        return rc;
    v->of = of;
    return cts_pickle_push(m, v);
}

static int take_class(cts_pickle_machine *m, const cts_pickle_class **of)
{
    const char *module = NULL, *name = NULL;
    size_t n_module = 0, n_name = 0;
    int rc;

    if ((rc = cts_pickle_take_line(m, &module, &n_module)) != CTS_OK ||
        (rc = cts_pickle_take_line(m, &name, &n_name)) != CTS_OK)
        return rc;
    return find_class(m, of, module, n_module, name, n_name);
}

static int op_global(cts_pickle_machine *m)
{
    const cts_pickle_class *of = NULL;
    int rc = take_class(m, &of);

    return rc ? rc : push_class(m, of);
}

static int op_stack_global(cts_pickle_machine *m)
{
    const value *name = cts_pickle_peek(m, 0), *module = cts_pickle_peek(m, 1);
    const cts_pickle_class *of = NULL;
    int rc;

    if (!module)
        return cts_pickle_fail_stack(m);
    if (name->kind != CTS_PICKLE_TEXT || module->kind != CTS_PICKLE_TEXT)
        return cts_pickle_fail(m, CTS_E_FORMAT, "the name of a global is no string");
    rc = find_class(m, &of, module->u.text.p, module->u.text.n, name->u.text.p, name->u.text.n);
    if (rc)
        return rc;
    m->n -= 2;
    return push_class(m, of);
}

/* A mapping's class applied to a list of pairs (as Python 2 wrote ordered ones) or to a mapping fills it. */
static int fill_dict(cts_pickle_machine *m, value *d, const value *args)
{
    const value *from = args->u.items.n == 1 ? args->u.items.v[0] : NULL;
    int rc;

    if (from && from->kind == CTS_PICKLE_DICT)
        return cts_pickle_append(m, d, (value *const *)from->u.items.v, from->u.items.n);
    if (!from || from->kind != CTS_PICKLE_LIST)
        return CTS_OK;
    for (size_t i = 0; i < from->u.items.n; i++) {
        const value *pair = from->u.items.v[i];

        if ((pair->kind != CTS_PICKLE_LIST && pair->kind != CTS_PICKLE_TUPLE) || pair->u.items.n != 2)
            return cts_pickle_fail(m, CTS_E_FORMAT, "a mapping is made of something that is no pair");
        if ((rc = cts_pickle_append(m, d, (value *const *)pair->u.items.v, 2)) != CTS_OK)
            return rc;
    }
    return CTS_OK;
}

/* Class and arguments become the value that stands for the result. */
static int apply(cts_pickle_machine *m, const value *cls, const value *args)
{
    static const cts_pickle_kind made[] = {[CTS_PICKLE_MAKES_CALL] = CTS_PICKLE_CALL,
                                           [CTS_PICKLE_MAKES_DICT] = CTS_PICKLE_DICT,
                                           [CTS_PICKLE_MAKES_OPAQUE] = CTS_PICKLE_OPAQUE};
    value *v;
    int rc;

    if (cls->kind != CTS_PICKLE_CLASS)
        return cts_pickle_fail(m, CTS_E_FORMAT, "something that is no class is called");
    if (args->kind != CTS_PICKLE_TUPLE)
        return cts_pickle_fail(m, CTS_E_FORMAT, "the arguments of a call are no tuple");
    if ((rc = cts_pickle_make(m, &v, made[cls->of->makes])) != CTS_OK)
        return rc;
    v->of = cls->of;
    if (v->kind == CTS_PICKLE_CALL) {
        v->args = args;
        rc = cts_pickle_nest(m, v, args);
    } else if (v->kind == CTS_PICKLE_DICT) {
        rc = fill_dict(m, v, args);
    }
    return rc ? rc : cts_pickle_push(m, v);
}

/* REDUCE, NEWOBJ: class and arguments. NEWOBJ_EX: named arguments above them, which nobody reads. */
static int op_apply(cts_pickle_machine *m, size_t named)
{
    const value *args = cts_pickle_peek(m, named), *cls = cts_pickle_peek(m, named + 1);

    if (!cls)
        return cts_pickle_fail_stack(m);
    m->n -= 2 + named;
    return apply(m, cls, args);
}

/* INST: the class is in the opcode; OBJ: it is the first value after the mark. Arguments reach to the mark. */
static int op_instance(cts_pickle_machine *m, bool class_is_on_stack)
{
    value cls = {.kind = CTS_PICKLE_CLASS}, *args;
    int rc;

    if (!class_is_on_stack && (rc = take_class(m, &cls.of)) != CTS_OK)
        return rc;
    if ((rc = cts_pickle_gather_to_mark(m, CTS_PICKLE_TUPLE)) != CTS_OK)
        return rc;
    args = m->stack[--m->n];
    if (class_is_on_stack) {
        if (!args->u.items.n)
            return cts_pickle_fail_stack(m);
        cls = *args->u.items.v[0];
        args->u.items.v++; /* this tuple was made just now, nobody else has it */
        args->u.items.n--;
        args->u.items.cap--;
    }
    return apply(m, &cls, args);
}

/* The state of an object. Mappings and objects that are not looked into may have one; it is dropped. */
static int op_build(cts_pickle_machine *m)
{
    const value *to = cts_pickle_peek(m, 1);

    if (!to)
        return cts_pickle_fail_stack(m);
    if (to->kind != CTS_PICKLE_DICT && to->kind != CTS_PICKLE_OPAQUE)
        return cts_pickle_fail(m, CTS_E_UNSUPPORTED, "state is given to something that has none; no code was run");
    m->n--;
    return CTS_OK;
}

static int op_persistent(cts_pickle_machine *m)
{
    const value *id = cts_pickle_peek(m, 0);
    value *v;
    int rc;

    if (!id)
        return cts_pickle_fail_stack(m);
    if ((rc = cts_pickle_make(m, &v, CTS_PICKLE_PERSISTENT)) != CTS_OK || (rc = cts_pickle_nest(m, v, id)) != CTS_OK)
        return rc;
    v->args = id;
    m->n--;
    return cts_pickle_push(m, v);
}

/* ---- the loop -------------------------------------------------------------------------------------------------- */

static int op_proto(cts_pickle_machine *m)
{
    unsigned protocol = cts_bytes_u8(&m->in);

    if (protocol > 5)
        return cts_fail(CTS_E_UNSUPPORTED, "%s: pickle protocol %u, allowed 2 to 5", m->name, protocol);
    return CTS_OK;
}

static int op_frame(cts_pickle_machine *m)
{
    uint64_t n = cts_bytes_u64(&m->in);

    return n > cts_bytes_left(&m->in) ? cts_pickle_fail(m, CTS_E_FORMAT, "a frame is longer than the rest of the file")
                                      : CTS_OK;
}

static int op_stop(cts_pickle_machine *m)
{
    if (m->n != 1 || m->n_marks)
        return cts_pickle_fail(m, CTS_E_FORMAT, "the pickle does not end in one value");
    if (cts_bytes_left(&m->in))
        return cts_pickle_fail(m, CTS_E_FORMAT, "bytes follow the end of the pickle");
    m->out->root = m->stack[0];
    m->stopped = true;
    return CTS_OK;
}

static int step_object(cts_pickle_machine *m, uint8_t op)
{
    switch (op) {
    case 'c': /* GLOBAL */
        return op_global(m);
    case 0x93: /* STACK_GLOBAL */
        return op_stack_global(m);
    case 'R':  /* REDUCE */
    case 0x81: /* NEWOBJ */
        return op_apply(m, 0);
    case 0x92: /* NEWOBJ_EX */
        return op_apply(m, 1);
    case 'i': /* INST */
        return op_instance(m, false);
    case 'o': /* OBJ */
        return op_instance(m, true);
    case 'b': /* BUILD */
        return op_build(m);
    case 'Q': /* BINPERSID */
        return op_persistent(m);
    case 'q': /* BINPUT */
        return cts_pickle_memo_put(m, cts_bytes_u8(&m->in));
    case 'r': /* LONG_BINPUT */
        return cts_pickle_memo_put(m, cts_bytes_u32(&m->in));
    case 0x94: /* MEMOIZE */
        return cts_pickle_memo_put(m, m->n_memo);
    case 'h': /* BINGET */
        return cts_pickle_memo_get(m, cts_bytes_u8(&m->in));
    case 'j': /* LONG_BINGET */
        return cts_pickle_memo_get(m, cts_bytes_u32(&m->in));
    case '(':
        return cts_pickle_mark(m);
    case '0':
        return cts_pickle_pop(m, false);
    case '1':
        return cts_pickle_pop(m, true);
    case '2':
        return cts_pickle_dup(m);
    case 0x80:
        return op_proto(m);
    case 0x95:
        return op_frame(m);
    case '.':
        return op_stop(m);
    }
    return cts_fail(CTS_E_UNSUPPORTED, "%s: byte %zu of the pickle: opcode 0x%02x is not one a weight file needs",
                    m->name, m->in.at - 1, op);
}

static int step_container(cts_pickle_machine *m, uint8_t op)
{
    switch (op) {
    case ')': /* EMPTY_TUPLE */
        return cts_pickle_gather(m, CTS_PICKLE_TUPLE, 0);
    case ']': /* EMPTY_LIST */
        return cts_pickle_gather(m, CTS_PICKLE_LIST, 0);
    case '}': /* EMPTY_DICT */
        return cts_pickle_gather(m, CTS_PICKLE_DICT, 0);
    case 0x8f: /* EMPTY_SET */
        return cts_pickle_gather(m, CTS_PICKLE_SET, 0);
    case 0x85: /* TUPLE1, 2, 3 */
    case 0x86:
    case 0x87:
        return cts_pickle_gather(m, CTS_PICKLE_TUPLE, (size_t)op - 0x84);
    case 't': /* TUPLE */
        return cts_pickle_gather_to_mark(m, CTS_PICKLE_TUPLE);
    case 'l': /* LIST */
        return cts_pickle_gather_to_mark(m, CTS_PICKLE_LIST);
    case 'd': /* DICT */
        return cts_pickle_gather_to_mark(m, CTS_PICKLE_DICT);
    case 0x91: /* FROZENSET */
        return cts_pickle_gather_to_mark(m, CTS_PICKLE_SET);
    case 'a': /* APPEND */
        return cts_pickle_put_into(m, CTS_PICKLE_LIST, 1);
    case 'e': /* APPENDS */
        return cts_pickle_put_to_mark(m, CTS_PICKLE_LIST);
    case 's': /* SETITEM */
        return cts_pickle_put_into(m, CTS_PICKLE_DICT, 2);
    case 'u': /* SETITEMS */
        return cts_pickle_put_to_mark(m, CTS_PICKLE_DICT);
    case 0x90: /* ADDITEMS */
        return cts_pickle_put_to_mark(m, CTS_PICKLE_SET);
    }
    return step_object(m, op);
}

static int step(cts_pickle_machine *m)
{
    uint8_t op = cts_bytes_u8(&m->in);

    if (m->in.bad)
        return cts_pickle_fail(m, CTS_E_FORMAT, "the pickle ends without its STOP");
    switch (op) {
    case 'N':
        return cts_pickle_push(m, &none);
    case 0x88:
        return cts_pickle_push(m, &yes);
    case 0x89:
        return cts_pickle_push(m, &no);
    case 'K': /* BININT1, BININT2, BININT */
        return cts_pickle_push_int(m, cts_bytes_u8(&m->in));
    case 'M':
        return cts_pickle_push_int(m, cts_bytes_u16(&m->in));
    case 'J':
        return cts_pickle_push_int(m, cts_bytes_i32(&m->in));
    case 0x8a: /* LONG1, LONG4 */
        return cts_pickle_push_long(m, cts_bytes_u8(&m->in));
    case 0x8b:
        return cts_pickle_push_long(m, cts_bytes_u32(&m->in));
    case 'G':
        return cts_pickle_push_float(m);
    case 0x8c: /* SHORT_BINUNICODE, BINUNICODE, BINUNICODE8 */
        return cts_pickle_push_text(m, CTS_PICKLE_TEXT, cts_bytes_u8(&m->in));
    case 'X':
        return cts_pickle_push_text(m, CTS_PICKLE_TEXT, cts_bytes_u32(&m->in));
    case 0x8d:
        return cts_pickle_push_text(m, CTS_PICKLE_TEXT, cts_bytes_u64(&m->in));
    case 'U': /* SHORT_BINSTRING, BINSTRING: text of Python 2 */
        return cts_pickle_push_text(m, CTS_PICKLE_TEXT, cts_bytes_u8(&m->in));
    case 'T':
        return cts_pickle_push_text(m, CTS_PICKLE_TEXT, cts_bytes_u32(&m->in));
    case 'S':
        return cts_pickle_push_quoted(m);
    case 'C': /* SHORT_BINBYTES, BINBYTES, BINBYTES8, BYTEARRAY8 */
        return cts_pickle_push_text(m, CTS_PICKLE_BYTES, cts_bytes_u8(&m->in));
    case 'B':
        return cts_pickle_push_text(m, CTS_PICKLE_BYTES, cts_bytes_u32(&m->in));
    case 0x8e:
    case 0x96:
        return cts_pickle_push_text(m, CTS_PICKLE_BYTES, cts_bytes_u64(&m->in));
    }
    return step_container(m, op);
}

int cts_pickle_parse(cts_pickle **out, const void *p, size_t n, const cts_pickle_class *classes, size_t n_classes,
                     const char *name)
{
    cts_pickle_machine m = {.name = name, .in = cts_bytes_of(p, n), .classes = classes, .n_classes = n_classes};
    int rc;

    if (n > CTS_PICKLE_MAX_BYTES)
        return cts_fail(CTS_E_LIMIT, "%s: a pickle of %zu bytes, allowed at most %zu", name, n, CTS_PICKLE_MAX_BYTES);
    if (!n)
        return cts_fail(CTS_E_FORMAT, "%s: the pickle is empty", name);
    if (!(m.out = calloc(1, sizeof *m.out)) || !(m.out->arena = cts_arena_create(0))) {
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory", name);
        goto out;
    }
    do {
        rc = step(&m);
        if (!rc && m.in.bad)
            rc = cts_pickle_fail(&m, CTS_E_FORMAT, "an opcode's argument reaches beyond the end");
        m.n_ops++;
    } while (!rc && !m.stopped);
    if (rc)
        goto out;
    *out = m.out;
    m.out = NULL;
out:
    cts_pickle_destroy(m.out);
    free(m.stack);
    free(m.memo);
    return rc;
}

void cts_pickle_destroy(cts_pickle *k)
{
    if (!k)
        return;
    cts_arena_destroy(k->arena);
    free(k);
}

const cts_pickle_value *cts_pickle_root(const cts_pickle *k)
{
    return k->root;
}

bool cts_pickle_is_text(const cts_pickle_value *v, const char *s)
{
    return v->kind == CTS_PICKLE_TEXT && same(v->u.text.p, v->u.text.n, s);
}
