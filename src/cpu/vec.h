/* Vectors of one instruction level, as GNU C has them, and the few things that it has no words for.
 *
 * A vec is LANES of `real`. Used by gemm.c and the softmax kernels, which are compiled with
 * -ffp-contract=fast: a * b + c is one instruction where the level has one. */
#ifndef BPI_CPU_VEC_H
#define BPI_CPU_VEC_H

#include "cpu/kernel.h"
#if BPI_VECTOR_BYTES > 16
#include <immintrin.h>
#endif

#if BPI_F64
typedef int64_t lane_int;
#define MM(name) name##pd
#else
typedef int32_t lane_int;
#define MM(name) name##ps
#endif
typedef real vec __attribute__((vector_size(BPI_VECTOR_BYTES)));
typedef vec vec_at __attribute__((aligned(sizeof(real)), may_alias)); /* anywhere in memory */
typedef lane_int lane_mask __attribute__((vector_size(BPI_VECTOR_BYTES)));

INLINE vec load(const real *p) { return *(const vec_at *)p; }
INLINE void store(real *p, vec v) { *(vec_at *)p = v; }

/* The same past the caches, where p is aligned to a vector and a line need not be read before it is
 * written as a whole, if the level STREAMS. What other threads see of it waits for stream_end(). */
#if BPI_VECTOR_BYTES == 64
INLINE void stream(real *p, vec v) { MM(_mm512_stream_)(p, v); }
#elif BPI_VECTOR_BYTES == 32
INLINE void stream(real *p, vec v) { MM(_mm256_stream_)(p, v); }
#else
INLINE void stream(real *p, vec v) { store(p, v); }
#endif
enum { STREAMS = BPI_VECTOR_BYTES > 16 };
#if BPI_VECTOR_BYTES > 16
INLINE void stream_end(void) { _mm_sfence(); }
#else
INLINE void stream_end(void) {}
#endif

/* The first n lanes, 0 < n <= LANES; memory beyond them is not touched, a loaded vector is 0 there.
 * Intrinsics, because no plain C becomes one masked instruction. */
#if BPI_VECTOR_BYTES == 64
INLINE vec load_part(const real *p, int n)
{
    return MM(_mm512_maskz_loadu_)((__mmask16)((1u << n) - 1), p);
}
INLINE void store_part(real *p, vec v, int n)
{
    MM(_mm512_mask_storeu_)(p, (__mmask16)((1u << n) - 1), v);
}
#elif BPI_VECTOR_BYTES == 32
INLINE __m256i first_lanes(int n)
{
    static const int64_t edge[8] = {-1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)((const char *)(edge + 4) - n * (int)sizeof(real)));
}
INLINE vec load_part(const real *p, int n) { return MM(_mm256_maskload_)(p, first_lanes(n)); }
INLINE void store_part(real *p, vec v, int n) { MM(_mm256_maskstore_)(p, first_lanes(n), v); }
#else
INLINE vec load_part(const real *p, int n)
{
    vec v = {p[0]};
    UNROLL for (int i = 1; i < LANES; i++)
        if (i < n)
            v[i] = p[i];
    return v;
}
INLINE void store_part(real *p, vec v, int n)
{
    UNROLL for (int i = 0; i < LANES; i++)
        if (i < n)
            p[i] = v[i];
}
#endif

/* Whether a lane is NaN. */
#if BPI_VECTOR_BYTES == 64
#if BPI_F64
INLINE int any_nan(vec v) { return _mm512_cmp_pd_mask(v, v, _CMP_UNORD_Q) != 0; }
#else
INLINE int any_nan(vec v) { return _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q) != 0; }
#endif
#elif BPI_VECTOR_BYTES == 32
INLINE int any_nan(vec v)
{
    return MM(_mm256_movemask_)(MM(_mm256_cmp_)(v, v, _CMP_UNORD_Q)) != 0;
}
#else
INLINE int any_nan(vec v)
{
    lane_int any = 0;
    UNROLL for (int i = 0; i < LANES; i++)
        any |= v[i] != v[i];
    return any != 0;
}
#endif

/* load_part, store_part with `fill` in the lanes that are not loaded; n may be 0 and below, or more
 * than LANES.
 * larger: a > b ? a : b, so a NaN in b is kept. zero_below: x < least ? 0 : y. */
#if BPI_VECTOR_BYTES == 64
INLINE __mmask16 lanes_below(int64_t n)
{
    return (__mmask16)(n >= LANES ? 0xFFFF : n <= 0 ? 0 : (1u << n) - 1);
}
INLINE vec load_fill(const real *p, int64_t n, vec fill)
{
    return MM(_mm512_mask_loadu_)(fill, lanes_below(n), p);
}
INLINE void store_below(real *p, vec v, int64_t n)
{
    MM(_mm512_mask_storeu_)(p, lanes_below(n), v);
}
#if BPI_F64
INLINE vec larger(vec a, vec b) { return _mm512_max_pd(a, b); }
INLINE vec zero_below(vec y, vec x, vec least)
{
    return _mm512_maskz_mov_pd(_mm512_cmp_pd_mask(x, least, _CMP_NLT_UQ), y);
}
#else
INLINE vec larger(vec a, vec b) { return _mm512_max_ps(a, b); }
INLINE vec zero_below(vec y, vec x, vec least)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, least, _CMP_NLT_UQ), y);
}
#endif
#elif BPI_VECTOR_BYTES == 32
INLINE vec load_fill(const real *p, int64_t n, vec fill)
{
    int m = n >= LANES ? LANES : n <= 0 ? 0 : (int)n;
    __m256i mask = first_lanes(m);
    return MM(_mm256_blendv_)(fill, MM(_mm256_maskload_)(p, mask), (vec)mask);
}
INLINE void store_below(real *p, vec v, int64_t n)
{
    int m = n >= LANES ? LANES : n <= 0 ? 0 : (int)n;
    MM(_mm256_maskstore_)(p, first_lanes(m), v);
}
INLINE vec larger(vec a, vec b) { return MM(_mm256_max_)(a, b); }
INLINE vec zero_below(vec y, vec x, vec least)
{
    return MM(_mm256_andnot_)(MM(_mm256_cmp_)(x, least, _CMP_LT_OQ), y);
}
#else
INLINE vec load_fill(const real *p, int64_t n, vec fill)
{
    UNROLL for (int i = 0; i < LANES; i++)
        if (i < n)
            fill[i] = p[i];
    return fill;
}
INLINE void store_below(real *p, vec v, int64_t n)
{
    UNROLL for (int i = 0; i < LANES; i++)
        if (i < n)
            p[i] = v[i];
}
INLINE vec larger(vec a, vec b)
{
    lane_mask m = (lane_mask)(a > b);
    return (vec)(((lane_mask)a & m) | ((lane_mask)b & ~m));
}
INLINE vec zero_below(vec y, vec x, vec least)
{
    return (vec)((lane_mask)y & ~(lane_mask)(x < least));
}
#endif
INLINE vec splat(real x) { return x - (vec){0}; }

/* a b + c, rounded once where the level can, whatever stands around it. */
#if BPI_VECTOR_BYTES == 64
INLINE vec fused(vec a, vec b, vec c) { return MM(_mm512_fmadd_)(a, b, c); }
#elif BPI_VECTOR_BYTES == 32
INLINE vec fused(vec a, vec b, vec c) { return MM(_mm256_fmadd_)(a, b, c); }
#else
INLINE vec fused(vec a, vec b, vec c) { return a * b + c; }
#endif

/* Two vectors shuffled like a pack of cards: a0 b0 a1 b1 ... of their low or high halves. */
#define SHUFFLE __builtin_shufflevector
#if BPI_VECTOR_BYTES == 16 && BPI_F64
#define MIX_LOW(a, b) SHUFFLE(a, b, 0, 2)
#define MIX_HIGH(a, b) SHUFFLE(a, b, 1, 3)
#elif BPI_VECTOR_BYTES == 16 || (BPI_VECTOR_BYTES == 32 && BPI_F64)
#define MIX_LOW(a, b) SHUFFLE(a, b, 0, 4, 1, 5)
#define MIX_HIGH(a, b) SHUFFLE(a, b, 2, 6, 3, 7)
#elif BPI_VECTOR_BYTES == 32 || BPI_F64
#define MIX_LOW(a, b) SHUFFLE(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define MIX_HIGH(a, b) SHUFFLE(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define MIX_LOW(a, b) SHUFFLE(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define MIX_HIGH(a, b) SHUFFLE(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#endif

/* log2(LANES) such shuffles of row i with row i + LANES / 2 transpose a square. */
INLINE void transpose(vec t[LANES])
{
    UNROLL for (int step = 1; step < LANES; step *= 2) {
        vec u[LANES];
        UNROLL for (int i = 0; i < LANES / 2; i++) {
            u[2 * i] = MIX_LOW(t[i], t[i + LANES / 2]);
            u[2 * i + 1] = MIX_HIGH(t[i], t[i + LANES / 2]);
        }
        UNROLL for (int i = 0; i < LANES; i++)
            t[i] = u[i];
    }
}

#endif
