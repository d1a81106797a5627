/* exp_group(count, x): e^x of `count` vectors, at most GROUP, for x <= 0 and NaN; below the least
 * normal number it may be 0. It is a chain of a dozen operations: all vectors take each together.
 * exp_vectors(summed, count, x): the same; what is only summed up may be off by 1.4e-8 x.
 *
 *     e^x = 2^n e^r, n whole; with AVX-512 in f32 a multiple of 1/32, whose powers of 2 fit two
 *           registers: then r is so small that a square is enough of e^r
 *
 * Compiled with -ffp-contract=fast; exact enough without. Constants and sources: vmath.h. */
#ifndef BPI_CPU_EXP_GROUP_H
#define BPI_CPU_EXP_GROUP_H

#include "cpu/vec_rows.h"
#include "cpu/vmath.h"

#if BPI_VECTOR_BYTES == 64 && !BPI_F64
#define EXP_SHIFT 0x1.8p18f /* added to a number it rounds that to n */
static const _Alignas(64) real exp_roots[2 * LANES] = { /* 2^(i / 32) */
    0x1p+0f,        0x1.059b0ep+0f, 0x1.0b5586p+0f, 0x1.11301ep+0f, 0x1.172b84p+0f, 0x1.1d4874p+0f,
    0x1.2387a6p+0f, 0x1.29e9e0p+0f, 0x1.306fe0p+0f, 0x1.371a74p+0f, 0x1.3dea64p+0f, 0x1.44e086p+0f,
    0x1.4bfdaep+0f, 0x1.5342b6p+0f, 0x1.5ab07ep+0f, 0x1.6247ecp+0f, 0x1.6a09e6p+0f, 0x1.71f75ep+0f,
    0x1.7a1148p+0f, 0x1.82589ap+0f, 0x1.8ace54p+0f, 0x1.93737cp+0f, 0x1.9c4918p+0f, 0x1.a5503cp+0f,
    0x1.ae89fap+0f, 0x1.b7f770p+0f, 0x1.c199bep+0f, 0x1.cb720ep+0f, 0x1.d5818ep+0f, 0x1.dfc974p+0f,
    0x1.ea4afap+0f, 0x1.f50766p+0f};

/* q = e^(x - n ln2) 2^(n - n rounded down) of t = n + EXP_SHIFT. The square is a minimax one, to
 * 5.4e-8; summed, it is one of x / ln2 - n, a single fused operation. */
INLINE void exp_rest(const int summed, const int count, vec q[], const vec x[], const vec n[],
                     const vec t[])
{
    const vec low = load(exp_roots), high = load(exp_roots + LANES);
    vec r[GROUP];
    if (summed) {
        UNROLL for (int v = 0; v < count; v++)
            r[v] = x[v] * BPI_LOG2E - n[v];
        UNROLL for (int v = 0; v < count; v++)
            q[v] = r[v] * 0x1.ebfbep-3f + 0x1.62e584p-1f;
    } else {
        UNROLL for (int v = 0; v < count; v++)
            r[v] = x[v] - n[v] * 0x1.62ep-1f; /* times n it is exact */
        UNROLL for (int v = 0; v < count; v++)
            r[v] = r[v] - n[v] * 0x1.0bfbe8p-15f;
        UNROLL for (int v = 0; v < count; v++)
            q[v] = r[v] * 0.5f + 0x1.0000f6p+0f;
    }
    UNROLL for (int v = 0; v < count; v++)
        q[v] = r[v] * q[v];
    UNROLL for (int v = 0; v < count; v++) {
        const vec root = _mm512_permutex2var_ps(low, (__m512i)t[v], high);
        q[v] = root * q[v] + root;
    }
}
#else
#define EXP_SHIFT (BPI_SHIFT + BPI_BIAS)
INLINE void exp_rest(const int summed, const int count, vec q[], const vec x[], const vec n[],
                     const vec t[])
{
    vec r[GROUP];
    (void)summed, (void)t;
    UNROLL for (int v = 0; v < count; v++)
        r[v] = x[v] - n[v] * (real)BPI_LN2_HI;
    UNROLL for (int v = 0; v < count; v++)
        r[v] = r[v] - n[v] * (real)BPI_LN2_LO;
    UNROLL for (int v = 0; v < count; v++)
        q[v] = splat(bpi_exp_q[0]);
    UNROLL for (int k = 1; k < BPI_EXP_Q + 2; k++)
        UNROLL for (int v = 0; v < count; v++)
            q[v] = q[v] * r[v] + (k < BPI_EXP_Q ? bpi_exp_q[k] : 1);
}
#endif

/* x held where e^x is 0 below; q 2^(n rounded down). */
#if BPI_VECTOR_BYTES == 64
INLINE vec exp_held(vec x) { return larger(splat(BPI_EXP_MIN), x); }
INLINE vec exp_scaled(vec q, vec n, vec t, vec x)
{
    (void)t, (void)x;
    return MM(_mm512_scalef_)(q, n);
}
#else
INLINE vec exp_held(vec x) { return x; }
INLINE vec exp_scaled(vec q, vec n, vec t, vec x)
{
    (void)n;
    const vec least = splat(BPI_F64 ? (real)-708.39 : (real)-87.3365);
    return zero_below(q * (vec)((lane_mask)t << BPI_MANTISSA), x, least);
}
#endif

INLINE void exp_vectors(const int summed, const int count, vec x[])
{
    vec t[GROUP], n[GROUP], q[GROUP];
    const vec shift = splat(EXP_SHIFT);
    UNROLL for (int v = 0; v < count; v++)
        x[v] = exp_held(x[v]);
    UNROLL for (int v = 0; v < count; v++)
        t[v] = x[v] * (real)BPI_LOG2E + shift;
    UNROLL for (int v = 0; v < count; v++)
        n[v] = t[v] - shift;
    exp_rest(summed, count, q, x, n, t);
    UNROLL for (int v = 0; v < count; v++)
        x[v] = exp_scaled(q[v], n[v], t[v], x[v]);
}

INLINE void exp_group(const int count, vec x[]) { exp_vectors(0, count, x); }

#endif
