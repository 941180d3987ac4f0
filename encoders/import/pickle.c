/* SPDX-License-Identifier: MIT */
#include "encoders/import/pickle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/arena.h"
#include "kernels/base/bytes.h"
#include "kernels/base/check.h"
#include "kernels/base/status.h"

typedef cts_pickle_value value;

struct cts_pickle {
    cts_arena *arena;
    size_t used; /* bytes asked of the arena */
    const value *root;
};

struct machine {
    cts_pickle *out;
    const char *name;
    cts_bytes in;
    const cts_pickle_class *classes;
    size_t n_classes, n_ops;
    value **stack;
    size_t n, cap;
    size_t mark[CTS_PICKLE_MAX_DEPTH]; /* stack heights */
    size_t n_marks;
    value **memo;
    size_t n_memo, cap_memo; /* entries set, room */
    bool stopped;
};

/* Values without content are shared; nothing ever writes to them. */
static value none = {.kind = CTS_PICKLE_NONE}, yes = {.kind = CTS_PICKLE_BOOL, .u.b = true},
             no = {.kind = CTS_PICKLE_BOOL}, empty_tuple = {.kind = CTS_PICKLE_TUPLE};

/* ---- memory and the stack -------------------------------------------------------------------------------------- */

static int fail(const struct machine *m, int rc, const char *what)
{
    return cts_fail(rc, "%s: byte %zu of the pickle: %s", m->name, m->in.at, what);
}

static int take_memory(struct machine *m, void **p, size_t n)
{
    if (n > CTS_PICKLE_MAX_MEMORY - m->out->used)
        return cts_fail(CTS_E_LIMIT, "%s: the pickle's values need more than the %zu bytes allowed", m->name,
                        CTS_PICKLE_MAX_MEMORY);
    m->out->used += n;
    if (!(*p = cts_arena_alloc(m->out->arena, n)))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for the pickle's values", m->name);
    return CTS_OK;
}

static int make(struct machine *m, value **v, cts_pickle_kind kind)
{
    void *p;
    int rc = take_memory(m, &p, sizeof **v);

    if (rc)
        return rc;
    *v = p;
    (*v)->kind = kind;
    return CTS_OK;
}

static int push(struct machine *m, value *v)
{
    if (m->n == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : 256;
        value **grown;

        if (m->n >= CTS_PICKLE_MAX_STACK)
            return cts_fail(CTS_E_LIMIT, "%s: the pickle's stack grows beyond the %d values allowed", m->name,
                            CTS_PICKLE_MAX_STACK);
        if (!(grown = realloc(m->stack, cap * sizeof *grown)))
            return cts_fail(CTS_E_NOMEM, "%s: out of memory for a stack of %zu values", m->name, cap);
        m->stack = grown;
        m->cap = cap;
    }
    m->stack[m->n++] = v;
    return CTS_OK;
}

/* The value under the top by `down` places; NULL when a mark or the bottom is above it. */
static value *peek(const struct machine *m, size_t down)
{
    size_t fence = m->n_marks ? m->mark[m->n_marks - 1] : 0;

    return m->n - fence > down ? m->stack[m->n - 1 - down] : NULL;
}

static int fail_stack(const struct machine *m)
{
    return fail(m, CTS_E_FORMAT, "an opcode wants more values than the stack holds");
}

/* Height of the last mark, which is taken away. */
static int pop_mark(struct machine *m, size_t *at)
{
    if (!m->n_marks)
        return fail(m, CTS_E_FORMAT, "an opcode wants a mark and there is none");
    *at = m->mark[--m->n_marks];
    return CTS_OK;
}

/* ---- containers ------------------------------------------------------------------------------------------------ */

static int nest(const struct machine *m, value *outer, const value *inner)
{
    if (outer->depth <= inner->depth)
        outer->depth = inner->depth + 1;
    if (outer->depth > CTS_PICKLE_MAX_DEPTH)
        return cts_fail(CTS_E_LIMIT, "%s: the pickle's values nest deeper than the %d levels allowed", m->name,
                        CTS_PICKLE_MAX_DEPTH);
    return CTS_OK;
}

static int append(struct machine *m, value *to, value *const *v, size_t n)
{
    int rc;

    if (n > to->u.items.cap - to->u.items.n) {
        size_t cap = to->u.items.n + n < 2 * to->u.items.cap ? 2 * to->u.items.cap : to->u.items.n + n;
        void *grown;

        if ((rc = take_memory(m, &grown, cap * sizeof(value *))) != CTS_OK)
            return rc;
        if (to->u.items.n)
            memcpy(grown, to->u.items.v, to->u.items.n * sizeof(value *));
        to->u.items.v = grown;
        to->u.items.cap = cap;
    }
    for (size_t i = 0; i < n; i++) {
        if ((rc = nest(m, to, v[i])) != CTS_OK)
            return rc;
        to->u.items.v[to->u.items.n++] = v[i];
    }
    return CTS_OK;
}

/* The n values at the top become one. */
static int gather(struct machine *m, cts_pickle_kind kind, size_t n)
{
    value *v;
    int rc;

    if (kind == CTS_PICKLE_DICT && n % 2)
        return fail(m, CTS_E_FORMAT, "a mapping of an odd number of values");
    if (kind == CTS_PICKLE_TUPLE && !n)
        return push(m, &empty_tuple);
    if (n && !peek(m, n - 1))
        return fail_stack(m);
    if ((rc = make(m, &v, kind)) != CTS_OK || (rc = append(m, v, m->stack + m->n - n, n)) != CTS_OK)
        return rc;
    m->n -= n;
    return push(m, v);
}

static int gather_to_mark(struct machine *m, cts_pickle_kind kind)
{
    size_t at = 0;
    int rc = pop_mark(m, &at);

    return rc ? rc : gather(m, kind, m->n - at);
}

/* The n values at the top go into the container below them. Objects nobody looks into swallow what they are given. */
static int put_into(struct machine *m, cts_pickle_kind kind, size_t n)
{
    value *to = peek(m, n);
    int rc;

    if (!to)
        return fail_stack(m);
    if (kind == CTS_PICKLE_DICT && n % 2)
        return fail(m, CTS_E_FORMAT, "an odd number of keys and values");
    if (to->kind != CTS_PICKLE_OPAQUE) {
        if (to->kind != kind)
            return fail(m, CTS_E_FORMAT, "items are put into something that takes none");
        if ((rc = append(m, to, m->stack + m->n - n, n)) != CTS_OK)
            return rc;
    }
    m->n -= n;
    return CTS_OK;
}

static int put_to_mark(struct machine *m, cts_pickle_kind kind)
{
    size_t at = 0;
    int rc = pop_mark(m, &at);

    return rc ? rc : put_into(m, kind, m->n - at);
}

/* ---- plain values ---------------------------------------------------------------------------------------------- */

static int push_int(struct machine *m, int64_t i)
{
    value *v;
    int rc = make(m, &v, CTS_PICKLE_INT);

    if (rc)
        return rc;
    v->u.i = i;
    return push(m, v);
}

/* n bytes, two's complement, least significant first. */
static int push_long(struct machine *m, uint64_t n)
{
    const uint8_t *p = n > SIZE_MAX ? NULL : cts_bytes_take(&m->in, (size_t)n);
    uint64_t x = 0;
    value *v;
    int rc;

    if (!p)
        return fail(m, CTS_E_FORMAT, "an integer is longer than the rest of the file");
    if (n > 8)
        return (rc = make(m, &v, CTS_PICKLE_BIG)) != CTS_OK ? rc : push(m, v);
    for (size_t i = 0; i < n; i++)
        x |= (uint64_t)p[i] << (8 * i);
    if (n && n < 8 && p[n - 1] & 0x80)
        x |= ~(uint64_t)0 << (8 * n);
    return push_int(m, (int64_t)x);
}

static int push_text(struct machine *m, cts_pickle_kind kind, uint64_t n)
{
    const uint8_t *p;
    value *v;
    int rc;

    if (m->in.bad || n > cts_bytes_left(&m->in) || !(p = cts_bytes_take(&m->in, (size_t)n)))
        return cts_fail(CTS_E_FORMAT, "%s: byte %zu of the pickle: a string of %" PRIu64 " bytes, %zu are left",
                        m->name, m->in.at, n, cts_bytes_left(&m->in));
    if ((rc = make(m, &v, kind)) != CTS_OK)
        return rc;
    v->u.text.p = (const char *)p;
    v->u.text.n = (size_t)n;
    return push(m, v);
}

static int push_float(struct machine *m)
{
    value *v;
    int rc = make(m, &v, CTS_PICKLE_FLOAT);

    if (rc)
        return rc;
    m->in.swap = true; /* the one big-endian opcode */
    v->u.f = cts_bytes_f64(&m->in);
    m->in.swap = false;
    return push(m, v);
}

/* A line of text, without its end. */
static int take_line(struct machine *m, const char **p, size_t *n)
{
    const uint8_t *from = m->in.p + m->in.at, *end = memchr(from, '\n', cts_bytes_left(&m->in));

    if (!end)
        return fail(m, CTS_E_FORMAT, "a line of text has no end");
    *p = (const char *)from;
    *n = (size_t)(end - from);
    cts_bytes_skip(&m->in, *n + 1);
    return CTS_OK;
}

/* STRING of protocol 0: a quoted line. Its escapes are not undone: nothing a weight file needs is written so. */
static int push_quoted(struct machine *m)
{
    const char *p = NULL;
    size_t n = 0;
    value *v;
    int rc;

    if ((rc = take_line(m, &p, &n)) != CTS_OK)
        return rc;
    if (n < 2 || p[0] != p[n - 1] || (p[0] != '\'' && p[0] != '"'))
        return fail(m, CTS_E_FORMAT, "a string without quotes");
    if ((rc = make(m, &v, CTS_PICKLE_TEXT)) != CTS_OK)
        return rc;
    v->u.text.p = p + 1;
    v->u.text.n = n - 2;
    return push(m, v);
}

/* ---- the memo -------------------------------------------------------------------------------------------------- */

static int memo_put(struct machine *m, uint64_t i)
{
    value *v = peek(m, 0);

    if (m->in.bad)
        return CTS_OK; /* said by the caller */
    if (!v)
        return fail_stack(m);
    if (i > m->n_ops)
        return cts_fail(CTS_E_LIMIT, "%s: memo index %" PRIu64 " after %zu opcodes of the pickle", m->name, i,
                        m->n_ops);
    if (i >= m->cap_memo) {
        size_t cap = m->cap_memo ? m->cap_memo * 2 : 1024;
        value **grown;

        while (cap <= i)
            cap *= 2;
        if (cap > CTS_PICKLE_MAX_MEMORY / sizeof *grown)
            return cts_fail(CTS_E_LIMIT, "%s: the pickle remembers more than %zu values", m->name,
                            CTS_PICKLE_MAX_MEMORY / sizeof *grown);
        if (!(grown = realloc(m->memo, cap * sizeof *grown)))
            return cts_fail(CTS_E_NOMEM, "%s: out of memory for a memo of %zu values", m->name, cap);
        memset(grown + m->cap_memo, 0, (cap - m->cap_memo) * sizeof *grown);
        m->memo = grown;
        m->cap_memo = cap;
    }
    m->n_memo += !m->memo[i];
    m->memo[i] = v;
    return CTS_OK;
}

static int memo_get(struct machine *m, uint64_t i)
{
    if (m->in.bad)
        return CTS_OK;
    if (i >= m->cap_memo || !m->memo[i])
        return cts_fail(CTS_E_FORMAT, "%s: byte %zu of the pickle: nothing was remembered under %" PRIu64, m->name,
                        m->in.at, i);
    return push(m, m->memo[i]);
}

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

static int find_class(struct machine *m, const cts_pickle_class **of, const char *module, size_t n_module,
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

static int push_class(struct machine *m, const cts_pickle_class *of)
{
    value *v;
    int rc = make(m, &v, CTS_PICKLE_CLASS);

    if (rc)
        return rc;
    v->of = of;
    return push(m, v);
}

static int take_class(struct machine *m, const cts_pickle_class **of)
{
    const char *module = NULL, *name = NULL;
    size_t n_module = 0, n_name = 0;
    int rc;

    if ((rc = take_line(m, &module, &n_module)) != CTS_OK || (rc = take_line(m, &name, &n_name)) != CTS_OK)
        return rc;
    return find_class(m, of, module, n_module, name, n_name);
}

static int op_global(struct machine *m)
{
    const cts_pickle_class *of = NULL;
    int rc = take_class(m, &of);

    return rc ? rc : push_class(m, of);
}

static int op_stack_global(struct machine *m)
{
    const value *name = peek(m, 0), *module = peek(m, 1);
    const cts_pickle_class *of = NULL;
    int rc;

    if (!module)
        return fail_stack(m);
    if (name->kind != CTS_PICKLE_TEXT || module->kind != CTS_PICKLE_TEXT)
        return fail(m, CTS_E_FORMAT, "the name of a global is no string");
    rc = find_class(m, &of, module->u.text.p, module->u.text.n, name->u.text.p, name->u.text.n);
    if (rc)
        return rc;
    m->n -= 2;
    return push_class(m, of);
}

/* A mapping's class applied to a list of pairs (as Python 2 wrote ordered ones) or to a mapping fills it. */
static int fill_dict(struct machine *m, value *d, const value *args)
{
    const value *from = args->u.items.n == 1 ? args->u.items.v[0] : NULL;
    int rc;

    if (from && from->kind == CTS_PICKLE_DICT)
        return append(m, d, (value *const *)from->u.items.v, from->u.items.n);
    if (!from || from->kind != CTS_PICKLE_LIST)
        return CTS_OK;
    for (size_t i = 0; i < from->u.items.n; i++) {
        const value *pair = from->u.items.v[i];

        if ((pair->kind != CTS_PICKLE_LIST && pair->kind != CTS_PICKLE_TUPLE) || pair->u.items.n != 2)
            return fail(m, CTS_E_FORMAT, "a mapping is made of something that is no pair");
        if ((rc = append(m, d, (value *const *)pair->u.items.v, 2)) != CTS_OK)
            return rc;
    }
    return CTS_OK;
}

/* Class and arguments become the value that stands for the result. */
static int apply(struct machine *m, const value *cls, const value *args)
{
    static const cts_pickle_kind made[] = {[CTS_PICKLE_MAKES_CALL] = CTS_PICKLE_CALL,
                                           [CTS_PICKLE_MAKES_DICT] = CTS_PICKLE_DICT,
                                           [CTS_PICKLE_MAKES_OPAQUE] = CTS_PICKLE_OPAQUE};
    value *v;
    int rc;

    if (cls->kind != CTS_PICKLE_CLASS)
        return fail(m, CTS_E_FORMAT, "something that is no class is called");
    if (args->kind != CTS_PICKLE_TUPLE)
        return fail(m, CTS_E_FORMAT, "the arguments of a call are no tuple");
    if ((rc = make(m, &v, made[cls->of->makes])) != CTS_OK)
        return rc;
    v->of = cls->of;
    if (v->kind == CTS_PICKLE_CALL) {
        v->args = args;
        rc = nest(m, v, args);
    } else if (v->kind == CTS_PICKLE_DICT) {
        rc = fill_dict(m, v, args);
    }
    return rc ? rc : push(m, v);
}

/* REDUCE, NEWOBJ: class and arguments. NEWOBJ_EX: named arguments above them, which nobody reads. */
static int op_apply(struct machine *m, size_t named)
{
    const value *args = peek(m, named), *cls = peek(m, named + 1);

    if (!cls)
        return fail_stack(m);
    m->n -= 2 + named;
    return apply(m, cls, args);
}

/* INST: the class is in the opcode; OBJ: it is the first value after the mark. Arguments reach to the mark. */
static int op_instance(struct machine *m, bool class_is_on_stack)
{
    value cls = {.kind = CTS_PICKLE_CLASS};
    const value *args;
    int rc;

    if (!class_is_on_stack && (rc = take_class(m, &cls.of)) != CTS_OK)
        return rc;
    if ((rc = gather_to_mark(m, CTS_PICKLE_TUPLE)) != CTS_OK)
        return rc;
    args = m->stack[--m->n];
    if (class_is_on_stack) {
        if (!args->u.items.n)
            return fail_stack(m);
        cls = *args->u.items.v[0];
    }
    return apply(m, &cls, args);
}

/* The state of an object. Mappings and objects that are not looked into may have one; it is dropped. */
static int op_build(struct machine *m)
{
    const value *to = peek(m, 1);

    if (!to)
        return fail_stack(m);
    if (to->kind != CTS_PICKLE_DICT && to->kind != CTS_PICKLE_OPAQUE)
        return fail(m, CTS_E_UNSUPPORTED, "state is given to something that has none; no code was run");
    m->n--;
    return CTS_OK;
}

static int op_persistent(struct machine *m)
{
    const value *id = peek(m, 0);
    value *v;
    int rc;

    if (!id)
        return fail_stack(m);
    if ((rc = make(m, &v, CTS_PICKLE_PERSISTENT)) != CTS_OK || (rc = nest(m, v, id)) != CTS_OK)
        return rc;
    v->args = id;
    m->n--;
    return push(m, v);
}

/* ---- the loop -------------------------------------------------------------------------------------------------- */

static int op_mark(struct machine *m)
{
    if (m->n_marks == CTS_PICKLE_MAX_DEPTH)
        return cts_fail(CTS_E_LIMIT, "%s: the pickle's marks nest deeper than the %d levels allowed", m->name,
                        CTS_PICKLE_MAX_DEPTH);
    m->mark[m->n_marks++] = m->n;
    return CTS_OK;
}

/* POP takes a mark where one is on top. POP_MARK takes all down to it. */
static int op_pop(struct machine *m, bool to_mark)
{
    size_t at = 0;
    int rc;

    if (to_mark || (m->n_marks && m->mark[m->n_marks - 1] == m->n)) {
        if ((rc = pop_mark(m, &at)) != CTS_OK)
            return rc;
        m->n = at;
        return CTS_OK;
    }
    if (!peek(m, 0))
        return fail_stack(m);
    m->n--;
    return CTS_OK;
}

static int op_dup(struct machine *m)
{
    value *v = peek(m, 0);

    return v ? push(m, v) : fail_stack(m);
}

static int op_proto(struct machine *m)
{
    unsigned protocol = cts_bytes_u8(&m->in);

    if (protocol > 5)
        return cts_fail(CTS_E_UNSUPPORTED, "%s: pickle protocol %u, allowed 2 to 5", m->name, protocol);
    return CTS_OK;
}

static int op_frame(struct machine *m)
{
    uint64_t n = cts_bytes_u64(&m->in);

    return n > cts_bytes_left(&m->in) ? fail(m, CTS_E_FORMAT, "a frame is longer than the rest of the file") : CTS_OK;
}

static int op_stop(struct machine *m)
{
    if (m->n != 1 || m->n_marks)
        return fail(m, CTS_E_FORMAT, "the pickle does not end in one value");
    if (cts_bytes_left(&m->in))
        return fail(m, CTS_E_FORMAT, "bytes follow the end of the pickle");
    m->out->root = m->stack[0];
    m->stopped = true;
    return CTS_OK;
}

static int step_object(struct machine *m, uint8_t op)
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
        return memo_put(m, cts_bytes_u8(&m->in));
    case 'r': /* LONG_BINPUT */
        return memo_put(m, cts_bytes_u32(&m->in));
    case 0x94: /* MEMOIZE */
        return memo_put(m, m->n_memo);
    case 'h': /* BINGET */
        return memo_get(m, cts_bytes_u8(&m->in));
    case 'j': /* LONG_BINGET */
        return memo_get(m, cts_bytes_u32(&m->in));
    case '(':
        return op_mark(m);
    case '0':
        return op_pop(m, false);
    case '1':
        return op_pop(m, true);
    case '2':
        return op_dup(m);
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

static int step_container(struct machine *m, uint8_t op)
{
    switch (op) {
    case ')': /* EMPTY_TUPLE */
        return push(m, &empty_tuple);
    case ']': /* EMPTY_LIST */
        return gather(m, CTS_PICKLE_LIST, 0);
    case '}': /* EMPTY_DICT */
        return gather(m, CTS_PICKLE_DICT, 0);
    case 0x8f: /* EMPTY_SET */
        return gather(m, CTS_PICKLE_SET, 0);
    case 0x85: /* TUPLE1, 2, 3 */
    case 0x86:
    case 0x87:
        return gather(m, CTS_PICKLE_TUPLE, (size_t)op - 0x84);
    case 't': /* TUPLE */
        return gather_to_mark(m, CTS_PICKLE_TUPLE);
    case 'l': /* LIST */
        return gather_to_mark(m, CTS_PICKLE_LIST);
    case 'd': /* DICT */
        return gather_to_mark(m, CTS_PICKLE_DICT);
    case 0x91: /* FROZENSET */
        return gather_to_mark(m, CTS_PICKLE_SET);
    case 'a': /* APPEND */
        return put_into(m, CTS_PICKLE_LIST, 1);
    case 'e': /* APPENDS */
        return put_to_mark(m, CTS_PICKLE_LIST);
    case 's': /* SETITEM */
        return put_into(m, CTS_PICKLE_DICT, 2);
    case 'u': /* SETITEMS */
        return put_to_mark(m, CTS_PICKLE_DICT);
    case 0x90: /* ADDITEMS */
        return put_to_mark(m, CTS_PICKLE_SET);
    }
    return step_object(m, op);
}

static int step(struct machine *m)
{
    uint8_t op = cts_bytes_u8(&m->in);

    if (m->in.bad)
        return fail(m, CTS_E_FORMAT, "the pickle ends without its STOP");
    switch (op) {
    case 'N':
        return push(m, &none);
    case 0x88:
        return push(m, &yes);
    case 0x89:
        return push(m, &no);
    case 'K': /* BININT1, BININT2, BININT */
        return push_int(m, cts_bytes_u8(&m->in));
    case 'M':
        return push_int(m, cts_bytes_u16(&m->in));
    case 'J':
        return push_int(m, cts_bytes_i32(&m->in));
    case 0x8a: /* LONG1, LONG4 */
        return push_long(m, cts_bytes_u8(&m->in));
    case 0x8b:
        return push_long(m, cts_bytes_u32(&m->in));
    case 'G':
        return push_float(m);
    case 0x8c: /* SHORT_BINUNICODE, BINUNICODE, BINUNICODE8 */
        return push_text(m, CTS_PICKLE_TEXT, cts_bytes_u8(&m->in));
    case 'X':
        return push_text(m, CTS_PICKLE_TEXT, cts_bytes_u32(&m->in));
    case 0x8d:
        return push_text(m, CTS_PICKLE_TEXT, cts_bytes_u64(&m->in));
    case 'U': /* SHORT_BINSTRING, BINSTRING: text of Python 2 */
        return push_text(m, CTS_PICKLE_TEXT, cts_bytes_u8(&m->in));
    case 'T':
        return push_text(m, CTS_PICKLE_TEXT, cts_bytes_u32(&m->in));
    case 'S':
        return push_quoted(m);
    case 'C': /* SHORT_BINBYTES, BINBYTES, BINBYTES8, BYTEARRAY8 */
        return push_text(m, CTS_PICKLE_BYTES, cts_bytes_u8(&m->in));
    case 'B':
        return push_text(m, CTS_PICKLE_BYTES, cts_bytes_u32(&m->in));
    case 0x8e:
    case 0x96:
        return push_text(m, CTS_PICKLE_BYTES, cts_bytes_u64(&m->in));
    }
    return step_container(m, op);
}

int cts_pickle_parse(cts_pickle **out, const void *p, size_t n, const cts_pickle_class *classes, size_t n_classes,
                     const char *name)
{
    struct machine m = {.name = name, .in = cts_bytes_of(p, n), .classes = classes, .n_classes = n_classes};
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
            rc = fail(&m, CTS_E_FORMAT, "an opcode's argument reaches beyond the end");
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
