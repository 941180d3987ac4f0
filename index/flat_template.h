/* Inner products of a few queries with many rows, for one instruction set. Included by index/flat_kernels.c with
 *   FLAT_NAME(x)   x with the variant's suffix
 *   FLAT_TARGET    function attribute that enables the instruction set
 *   FLAT_LANES     floats in a vector register
 * Tested: 4 (SSE2), 8 (AVX2 + FMA), 16 (AVX-512F).
 *
 * A tile is 4 queries by 4 rows, 16 accumulators: each loaded vector feeds four products, so the tile is bound by
 * arithmetic and not by loads. One query alone takes 8 rows at a time: 8 independent sums hide the latency of the
 * additions and the loop runs at the memory's speed. Both keep ONE accumulator a pair and add its lanes in one order,
 * which makes their results equal.
 * SPDX-License-Identifier: MIT */

typedef float FLAT_NAME(vec) __attribute__((vector_size(FLAT_LANES * 4)));
typedef float FLAT_NAME(loose) __attribute__((vector_size(FLAT_LANES * 4), aligned(4), may_alias));

#define VEC FLAT_NAME(vec)
#define LOAD(p) ((VEC)(*(const FLAT_NAME(loose) *)(p)))

/* The last dim % FLAT_LANES numbers, filled up with zeros. */
#define LOAD_TAIL(out, p)                                                                                              \
    do {                                                                                                               \
        float tail_[FLAT_LANES] = {0};                                                                                 \
        memcpy(tail_, (p), (dim - i) * sizeof(float));                                                                 \
        (out) = LOAD(tail_);                                                                                           \
    } while (0)

FLAT_TARGET static float FLAT_NAME(lane_sum)(const float *lanes)
{
    float s[FLAT_LANES];

    memcpy(s, lanes, sizeof(s));
    for (int half = FLAT_LANES / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            s[j] += s[j + half];
    return s[0];
}

/* Through a loosely aligned pointer: no vector variable has its address taken, so none needs a 64-byte aligned home
 * (gcc 12's address sanitizer gives less on its fake stack). */
#define STORE_SUM(out, acc)                                                                                            \
    do {                                                                                                               \
        float lanes_[FLAT_LANES];                                                                                      \
        *(FLAT_NAME(loose) *)lanes_ = (acc);                                                                           \
        (out) = FLAT_NAME(lane_sum)(lanes_);                                                                           \
    } while (0)

/* scores [1] = row . query */
FLAT_TARGET static float FLAT_NAME(dot)(const float *a, const float *b, size_t dim)
{
    VEC acc = {0}, x, y;
    size_t i = 0;
    float sum;

    for (; i + FLAT_LANES <= dim; i += FLAT_LANES)
        acc += LOAD(a + i) * LOAD(b + i);
    if (i < dim) {
        LOAD_TAIL(x, a + i);
        LOAD_TAIL(y, b + i);
        acc += x * y;
    }
    STORE_SUM(sum, acc);
    return sum;
}

/* scores [8] of rows [8, dim] with one query [dim] */
FLAT_TARGET static void FLAT_NAME(tile_1x8)(float *scores, const float *rows, const float *query, size_t dim)
{
    const float *r0 = rows, *r1 = r0 + dim, *r2 = r1 + dim, *r3 = r2 + dim;
    const float *r4 = r3 + dim, *r5 = r4 + dim, *r6 = r5 + dim, *r7 = r6 + dim;
    VEC c0 = {0}, c1 = {0}, c2 = {0}, c3 = {0}, c4 = {0}, c5 = {0}, c6 = {0}, c7 = {0}, q, x;
    size_t i = 0;

    for (; i + FLAT_LANES <= dim; i += FLAT_LANES) {
        q = LOAD(query + i);
        c0 += LOAD(r0 + i) * q;
        c1 += LOAD(r1 + i) * q;
        c2 += LOAD(r2 + i) * q;
        c3 += LOAD(r3 + i) * q;
        c4 += LOAD(r4 + i) * q;
        c5 += LOAD(r5 + i) * q;
        c6 += LOAD(r6 + i) * q;
        c7 += LOAD(r7 + i) * q;
    }
    if (i < dim) {
        LOAD_TAIL(q, query + i);
#define LAST(j)                                                                                                        \
    LOAD_TAIL(x, r##j + i);                                                                                            \
    c##j += x * q
        LAST(0);
        LAST(1);
        LAST(2);
        LAST(3);
        LAST(4);
        LAST(5);
        LAST(6);
        LAST(7);
#undef LAST
    }
    STORE_SUM(scores[0], c0);
    STORE_SUM(scores[1], c1);
    STORE_SUM(scores[2], c2);
    STORE_SUM(scores[3], c3);
    STORE_SUM(scores[4], c4);
    STORE_SUM(scores[5], c5);
    STORE_SUM(scores[6], c6);
    STORE_SUM(scores[7], c7);
}

/* scores [4, stride] of queries [4, dim] with rows [4, dim] */
FLAT_TARGET static void FLAT_NAME(tile_4x4)(float *scores, size_t stride, const float *rows, const float *queries,
                                            size_t dim)
{
    const float *r0 = rows, *r1 = r0 + dim, *r2 = r1 + dim, *r3 = r2 + dim;
    const float *p0 = queries, *p1 = p0 + dim, *p2 = p1 + dim, *p3 = p2 + dim;
    VEC a0 = {0}, a1 = {0}, a2 = {0}, a3 = {0}, b0 = {0}, b1 = {0}, b2 = {0}, b3 = {0};
    VEC c0 = {0}, c1 = {0}, c2 = {0}, c3 = {0}, d0 = {0}, d1 = {0}, d2 = {0}, d3 = {0};
    VEC q0, q1, q2, q3, x;
    size_t i = 0;

#define ROW(j)                                                                                                         \
    a##j += x * q0;                                                                                                    \
    b##j += x * q1;                                                                                                    \
    c##j += x * q2;                                                                                                    \
    d##j += x * q3
    for (; i + FLAT_LANES <= dim; i += FLAT_LANES) {
        q0 = LOAD(p0 + i);
        q1 = LOAD(p1 + i);
        q2 = LOAD(p2 + i);
        q3 = LOAD(p3 + i);
        x = LOAD(r0 + i);
        ROW(0);
        x = LOAD(r1 + i);
        ROW(1);
        x = LOAD(r2 + i);
        ROW(2);
        x = LOAD(r3 + i);
        ROW(3);
    }
    if (i < dim) {
        LOAD_TAIL(q0, p0 + i);
        LOAD_TAIL(q1, p1 + i);
        LOAD_TAIL(q2, p2 + i);
        LOAD_TAIL(q3, p3 + i);
        LOAD_TAIL(x, r0 + i);
        ROW(0);
        LOAD_TAIL(x, r1 + i);
        ROW(1);
        LOAD_TAIL(x, r2 + i);
        ROW(2);
        LOAD_TAIL(x, r3 + i);
        ROW(3);
    }
#undef ROW
#define OUT(j, v)                                                                                                      \
    STORE_SUM(scores[(j)*stride + 0], v##0);                                                                           \
    STORE_SUM(scores[(j)*stride + 1], v##1);                                                                           \
    STORE_SUM(scores[(j)*stride + 2], v##2);                                                                           \
    STORE_SUM(scores[(j)*stride + 3], v##3)
    OUT(0, a);
    OUT(1, b);
    OUT(2, c);
    OUT(3, d);
#undef OUT
}

/* scores [n_queries, stride], first n_rows of each line: queries [n_queries, dim] with rows [n_rows, dim] */
FLAT_TARGET static void FLAT_NAME(scores)(float *scores, size_t stride, const float *rows, size_t n_rows,
                                          const float *queries, size_t n_queries, size_t dim)
{
    size_t q = 0;

    for (; q + 4 <= n_queries; q += 4) {
        size_t r = 0;

        for (; r + 4 <= n_rows; r += 4)
            FLAT_NAME(tile_4x4)(scores + q * stride + r, stride, rows + r * dim, queries + q * dim, dim);
        for (; r < n_rows; r++)
            for (size_t j = q; j < q + 4; j++)
                scores[j * stride + r] = FLAT_NAME(dot)(rows + r * dim, queries + j * dim, dim);
    }
    for (; q < n_queries; q++) {
        size_t r = 0;

        for (; r + 8 <= n_rows; r += 8)
            FLAT_NAME(tile_1x8)(scores + q * stride + r, rows + r * dim, queries + q * dim, dim);
        for (; r < n_rows; r++)
            scores[q * stride + r] = FLAT_NAME(dot)(rows + r * dim, queries + q * dim, dim);
    }
}

#undef VEC
#undef LOAD
#undef LOAD_TAIL
#undef STORE_SUM
#undef FLAT_NAME
#undef FLAT_TARGET
#undef FLAT_LANES
