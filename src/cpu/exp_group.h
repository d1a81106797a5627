/* exp_group(count, x): e^x of `count` vectors, at most GROUP, for x <= 0 and NaN; below the least
 * normal number it may be 0. It is a chain of a dozen operations: all vectors take each together.
 *
 *     e^x = 2^n e^r, n whole; with AVX-512 in f32 a multiple of 1/16, whose powers of 2 fit a
 *           register: then r is so small that 7 multiplications do where it were 9
 *
 * Compiled with -ffp-contract=fast; exact enough without. Constants and sources: vmath.h. */
#ifndef BPI_CPU_EXP_GROUP_H
#define BPI_CPU_EXP_GROUP_H

#include "cpu/vec_rows.h"
#include "cpu/vmath.h"

#if BPI_VECTOR_BYTES == 64 && !BPI_F64
#define EXP_SHIFT 0x1.8p19f /* added to a number it rounds that to n */
#define EXP_LN2_HI 0x1.62ep-1f /* times n it is exact */
#define EXP_LN2_LO 0x1.0bfbe8p-15f
static const _Alignas(64) real exp_roots[LANES] = { /* 2^(i / 16) */
    0x1p+0f,        0x1.0b5586p+0f, 0x1.172b84p+0f, 0x1.2387a6p+0f, 0x1.306fep+0f,  0x1.3dea64p+0f,
    0x1.4bfdaep+0f, 0x1.5ab07ep+0f, 0x1.6a09e6p+0f, 0x1.7a1148p+0f, 0x1.8ace54p+0f, 0x1.9c4918p+0f,
    0x1.ae89fap+0f, 0x1.c199bep+0f, 0x1.d5818ep+0f, 0x1.ea4afap+0f};

/* q = e^r 2^(n - n rounded down) of t = n + EXP_SHIFT. */
INLINE void exp_rest(const int count, vec q[], const vec r[], const vec t[])
{
    const vec roots = load(exp_roots);
    UNROLL for (int v = 0; v < count; v++)
        q[v] = r[v] * (real)(1 / 6.0) + (real)0.5;
    UNROLL for (int v = 0; v < count; v++)
        q[v] = r[v] * r[v] * q[v] + r[v];
    UNROLL for (int v = 0; v < count; v++) {
        const vec root = _mm512_permutexvar_ps((__m512i)t[v], roots);
        q[v] = root * q[v] + root;
    }
}
#else
#define EXP_SHIFT (BPI_SHIFT + BPI_BIAS)
#define EXP_LN2_HI BPI_LN2_HI
#define EXP_LN2_LO BPI_LN2_LO
INLINE void exp_rest(const int count, vec q[], const vec r[], const vec t[])
{
    (void)t;
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
INLINE vec exp_scaled(vec q, vec t, vec x)
{
    (void)x;
    return MM(_mm512_scalef_)(q, t - (real)EXP_SHIFT);
}
#else
INLINE vec exp_held(vec x) { return x; }
INLINE vec exp_scaled(vec q, vec t, vec x)
{
    const vec least = splat(BPI_F64 ? (real)-708.39 : (real)-87.3365);
    return zero_below(q * (vec)((lane_mask)t << BPI_MANTISSA), x, least);
}
#endif

INLINE void exp_group(const int count, vec x[])
{
    vec t[GROUP], r[GROUP], q[GROUP];
    const vec shift = splat(EXP_SHIFT);
    UNROLL for (int v = 0; v < count; v++)
        x[v] = exp_held(x[v]);
    UNROLL for (int v = 0; v < count; v++)
        t[v] = x[v] * (real)BPI_LOG2E + shift;
    UNROLL for (int v = 0; v < count; v++)
        q[v] = t[v] - shift;
    UNROLL for (int v = 0; v < count; v++)
        r[v] = x[v] - q[v] * (real)EXP_LN2_HI;
    UNROLL for (int v = 0; v < count; v++)
        r[v] = r[v] - q[v] * (real)EXP_LN2_LO;
    exp_rest(count, q, r, t);
    UNROLL for (int v = 0; v < count; v++)
        x[v] = exp_scaled(q[v], t[v], x[v]);
}

#endif
