/* Counter-based random numbers: value i of stream `key` is a pure function, so recompute, resume, thread counts and
 * back ends agree, and a stream can be stored as (key, counter). The mixer is splitmix64's finaliser (Steele et al.
 * 2014).
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_BASE_RNG_H
#define CTS_KERNELS_BASE_RNG_H

#include <math.h>
#include <stdint.h>

/* 64 random bits of element i of stream key. */
static inline uint64_t cts_rng_at(uint64_t key, uint64_t i)
{
    uint64_t z = key + (i + 1) * 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A new stream key from a key and a salt (two roundings, so that neighbouring salts do not give shifted streams). */
static inline uint64_t cts_rng_split(uint64_t key, uint64_t salt)
{
    return cts_rng_at(cts_rng_at(key, 0x51ed270b2f6a5c1du) ^ (salt * 0xd1342543de82ef95u), salt);
}

/* [0, 1), 53 bits */
static inline double cts_rng_unit_at(uint64_t key, uint64_t i)
{
    return (double)(cts_rng_at(key, i) >> 11) * 0x1p-53;
}

/* A sequential view of one stream. Storable: both fields are the whole state. */
typedef struct {
    uint64_t key, counter;
} cts_rng;

static inline cts_rng cts_rng_make(uint64_t key)
{
    cts_rng r = {key, 0};

    return r;
}

static inline uint64_t cts_rng_next(cts_rng *r)
{
    return cts_rng_at(r->key, r->counter++);
}

static inline double cts_rng_unit(cts_rng *r)
{
    return (double)(cts_rng_next(r) >> 11) * 0x1p-53;
}

/* uniform in [lo, hi) */
static inline double cts_rng_range(cts_rng *r, double lo, double hi)
{
    return lo + (hi - lo) * cts_rng_unit(r);
}

/* uniform integer in [0, n), n > 0 (multiply-shift; bias below 2^-32 for n < 2^32) */
static inline uint64_t cts_rng_below(cts_rng *r, uint64_t n)
{
    return (uint64_t)(((unsigned __int128)cts_rng_next(r) * n) >> 64);
}

/* standard normal by Box and Muller, two draws a call */
static inline double cts_rng_normal(cts_rng *r)
{
    double u = 1.0 - cts_rng_unit(r), v = cts_rng_unit(r);

    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

#endif
