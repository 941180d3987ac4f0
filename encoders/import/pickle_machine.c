/* SPDX-License-Identifier: MIT */
#include "encoders/import/pickle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "encoders/import/pickle_internal.h"
#include "kernels/base/status.h"

typedef cts_pickle_value value;

/* The tuple of nothing is shared; nobody ever writes to it. */
static value empty_tuple = {.kind = CTS_PICKLE_TUPLE};

/* ---- memory and the stack -------------------------------------------------------------------------------------- */

int cts_pickle_fail(const cts_pickle_machine *m, int rc, const char *what)
{
    return cts_fail(rc, "%s: byte %zu of the pickle: %s", m->name, m->in.at, what);
}

static int take_memory(cts_pickle_machine *m, void **p, size_t n)
{
    if (n > CTS_PICKLE_MAX_MEMORY - m->out->used)
        return cts_fail(CTS_E_LIMIT, "%s: the pickle's values need more than the %zu bytes allowed", m->name,
                        CTS_PICKLE_MAX_MEMORY);
    m->out->used += n;
    if (!(*p = cts_arena_alloc(m->out->arena, n)))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for the pickle's values", m->name);
    return CTS_OK;
}

int cts_pickle_make(cts_pickle_machine *m, value **v, cts_pickle_kind kind)
{
    void *p;
    int rc = take_memory(m, &p, sizeof **v);

    if (rc)
        return rc;
    *v = p;
    (*v)->kind = kind;
    return CTS_OK;
}

int cts_pickle_push(cts_pickle_machine *m, value *v)
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

value *cts_pickle_peek(const cts_pickle_machine *m, size_t down)
{
    size_t fence = m->n_marks ? m->mark[m->n_marks - 1] : 0;

    return m->n - fence > down ? m->stack[m->n - 1 - down] : NULL;
}

int cts_pickle_fail_stack(const cts_pickle_machine *m)
{
    return cts_pickle_fail(m, CTS_E_FORMAT, "an opcode wants more values than the stack holds");
}

/* Height of the last mark, which is taken away. */
static int pop_mark(cts_pickle_machine *m, size_t *at)
{
    if (!m->n_marks)
        return cts_pickle_fail(m, CTS_E_FORMAT, "an opcode wants a mark and there is none");
    *at = m->mark[--m->n_marks];
    return CTS_OK;
}

/* ---- containers ------------------------------------------------------------------------------------------------ */

int cts_pickle_nest(const cts_pickle_machine *m, value *outer, const value *inner)
{
    if (outer->depth <= inner->depth)
        outer->depth = inner->depth + 1;
    if (outer->depth > CTS_PICKLE_MAX_DEPTH)
        return cts_fail(CTS_E_LIMIT, "%s: the pickle's values nest deeper than the %d levels allowed", m->name,
                        CTS_PICKLE_MAX_DEPTH);
    return CTS_OK;
}

int cts_pickle_append(cts_pickle_machine *m, value *to, value *const *v, size_t n)
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
        if ((rc = cts_pickle_nest(m, to, v[i])) != CTS_OK)
            return rc;
        to->u.items.v[to->u.items.n++] = v[i];
    }
    return CTS_OK;
}

int cts_pickle_gather(cts_pickle_machine *m, cts_pickle_kind kind, size_t n)
{
    value *v;
    int rc;

    if (kind == CTS_PICKLE_DICT && n % 2)
        return cts_pickle_fail(m, CTS_E_FORMAT, "a mapping of an odd number of values");
    if (kind == CTS_PICKLE_TUPLE && !n)
        return cts_pickle_push(m, &empty_tuple);
    if (n && !cts_pickle_peek(m, n - 1))
        return cts_pickle_fail_stack(m);
    if ((rc = cts_pickle_make(m, &v, kind)) != CTS_OK ||
        (rc = cts_pickle_append(m, v, n ? m->stack + m->n - n : NULL, n)) != CTS_OK)
        return rc;
    m->n -= n;
    return cts_pickle_push(m, v);
}

int cts_pickle_gather_to_mark(cts_pickle_machine *m, cts_pickle_kind kind)
{
    size_t at = 0;
    int rc = pop_mark(m, &at);

    return rc ? rc : cts_pickle_gather(m, kind, m->n - at);
}

int cts_pickle_put_into(cts_pickle_machine *m, cts_pickle_kind kind, size_t n)
{
    value *to = cts_pickle_peek(m, n);
    int rc;

    if (!to)
        return cts_pickle_fail_stack(m);
    if (kind == CTS_PICKLE_DICT && n % 2)
        return cts_pickle_fail(m, CTS_E_FORMAT, "an odd number of keys and values");
    if (to->kind != CTS_PICKLE_OPAQUE) {
        if (to->kind != kind)
            return cts_pickle_fail(m, CTS_E_FORMAT, "items are put into something that takes none");
        if ((rc = cts_pickle_append(m, to, n ? m->stack + m->n - n : NULL, n)) != CTS_OK)
            return rc;
    }
    m->n -= n;
    return CTS_OK;
}

int cts_pickle_put_to_mark(cts_pickle_machine *m, cts_pickle_kind kind)
{
    size_t at = 0;
    int rc = pop_mark(m, &at);

    return rc ? rc : cts_pickle_put_into(m, kind, m->n - at);
}

/* ---- plain values ---------------------------------------------------------------------------------------------- */

int cts_pickle_push_int(cts_pickle_machine *m, int64_t i)
{
    value *v;
    int rc = cts_pickle_make(m, &v, CTS_PICKLE_INT);

    if (rc)
        return rc;
    v->u.i = i;
    return cts_pickle_push(m, v);
}

int cts_pickle_push_long(cts_pickle_machine *m, uint64_t n)
{
    const uint8_t *p = n > SIZE_MAX ? NULL : cts_bytes_take(&m->in, (size_t)n);
    uint64_t x = 0;
    value *v;
    int rc;

    if (!p)
        return cts_pickle_fail(m, CTS_E_FORMAT, "an integer is longer than the rest of the file");
    if (n > 8)
        return (rc = cts_pickle_make(m, &v, CTS_PICKLE_BIG)) != CTS_OK ? rc : cts_pickle_push(m, v);
    for (size_t i = 0; i < n; i++)
        x |= (uint64_t)p[i] << (8 * i);
    if (n && n < 8 && p[n - 1] & 0x80)
        x |= ~(uint64_t)0 << (8 * n);
    return cts_pickle_push_int(m, (int64_t)x);
}

int cts_pickle_push_text(cts_pickle_machine *m, cts_pickle_kind kind, uint64_t n)
{
    const uint8_t *p;
    value *v;
    int rc;

    if (m->in.bad || n > cts_bytes_left(&m->in) || !(p = cts_bytes_take(&m->in, (size_t)n)))
        return cts_fail(CTS_E_FORMAT, "%s: byte %zu of the pickle: a string of %" PRIu64 " bytes, %zu are left",
                        m->name, m->in.at, n, cts_bytes_left(&m->in));
    if ((rc = cts_pickle_make(m, &v, kind)) != CTS_OK)
        return rc;
    v->u.text.p = (const char *)p;
    v->u.text.n = (size_t)n;
    return cts_pickle_push(m, v);
}

int cts_pickle_push_float(cts_pickle_machine *m)
{
    value *v;
    int rc = cts_pickle_make(m, &v, CTS_PICKLE_FLOAT);

    if (rc)
        return rc;
    m->in.swap = true; /* the one big-endian opcode */
    v->u.f = cts_bytes_f64(&m->in);
    m->in.swap = false;
    return cts_pickle_push(m, v);
}

int cts_pickle_take_line(cts_pickle_machine *m, const char **p, size_t *n)
{
    const uint8_t *from = m->in.p + m->in.at, *end = memchr(from, '\n', cts_bytes_left(&m->in));

    if (!end)
        return cts_pickle_fail(m, CTS_E_FORMAT, "a line of text has no end");
    *p = (const char *)from;
    *n = (size_t)(end - from);
    cts_bytes_skip(&m->in, *n + 1);
    return CTS_OK;
}

/* STRING of protocol 0: a quoted line. Its escapes are not undone: nothing a weight file needs is written so. */
int cts_pickle_push_quoted(cts_pickle_machine *m)
{
    const char *p = NULL;
    size_t n = 0;
    value *v;
    int rc;

    if ((rc = cts_pickle_take_line(m, &p, &n)) != CTS_OK)
        return rc;
    if (n < 2 || p[0] != p[n - 1] || (p[0] != '\'' && p[0] != '"'))
        return cts_pickle_fail(m, CTS_E_FORMAT, "a string without quotes");
    if ((rc = cts_pickle_make(m, &v, CTS_PICKLE_TEXT)) != CTS_OK)
        return rc;
    v->u.text.p = p + 1;
    v->u.text.n = n - 2;
    return cts_pickle_push(m, v);
}

/* ---- the memo -------------------------------------------------------------------------------------------------- */

int cts_pickle_memo_put(cts_pickle_machine *m, uint64_t i)
{
    value *v = cts_pickle_peek(m, 0);

    if (m->in.bad)
        return CTS_OK; /* said by the caller */
    if (!v)
        return cts_pickle_fail_stack(m);
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

int cts_pickle_memo_get(cts_pickle_machine *m, uint64_t i)
{
    if (m->in.bad)
        return CTS_OK;
    if (i >= m->cap_memo || !m->memo[i])
        return cts_fail(CTS_E_FORMAT, "%s: byte %zu of the pickle: nothing was remembered under %" PRIu64, m->name,
                        m->in.at, i);
    return cts_pickle_push(m, m->memo[i]);
}

/* ---- marks ------------------------------------------------------------------------------------------------------- */

int cts_pickle_mark(cts_pickle_machine *m)
{
    if (m->n_marks == CTS_PICKLE_MAX_DEPTH)
        return cts_fail(CTS_E_LIMIT, "%s: the pickle's marks nest deeper than the %d levels allowed", m->name,
                        CTS_PICKLE_MAX_DEPTH);
    m->mark[m->n_marks++] = m->n;
    return CTS_OK;
}

/* POP takes a mark where one is on top. POP_MARK takes all down to it. */
int cts_pickle_pop(cts_pickle_machine *m, bool to_mark)
{
    size_t at = 0;
    int rc;

    if (to_mark || (m->n_marks && m->mark[m->n_marks - 1] == m->n)) {
        if ((rc = pop_mark(m, &at)) != CTS_OK)
            return rc;
        m->n = at;
        return CTS_OK;
    }
    if (!cts_pickle_peek(m, 0))
        return cts_pickle_fail_stack(m);
    m->n--;
    return CTS_OK;
}

int cts_pickle_dup(cts_pickle_machine *m)
{
    value *v = cts_pickle_peek(m, 0);

    return v ? cts_pickle_push(m, v) : cts_pickle_fail_stack(m);
}
