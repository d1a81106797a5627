/* pow_of(x, p) over `real`, like vmath.h, at most 1 ulp: 2^(p log2 |x|), with the sign and the
 * exceptions of C's pow.
 *
 * f32's is computed in f64, where a loop of it becomes vectors by itself; with AVX-512 in f32, for
 * what takes many instructions elsewhere is one there, but the compiler finds none of them:
 *
 *     |x| = 2^n m, 3/4 <= m < 3/2, f = m - 1, s = f / (1 + f / 2), log2 m = s (C + C/12 s^2 + ...)
 *
 * and log2 |x| is a sum of two numbers (asked.h is what a formula calls). f64's is the C library's.
 * The polynomials are Chebyshev fits in f64, minimax ones in f32. */
#ifndef BPI_CPU_POWER_H
#define BPI_CPU_POWER_H

#include "cpu/vec.h"
#include "cpu/vmath.h"

#if BPI_VECTOR_BYTES == 64 && !BPI_F64

/* log2 m of 3/4 <= m < 3/2 is high + low; error 2^-34. */
INLINE void bpi_log2_unit(vec m, vec *high, vec *low)
{
    const vec f = m - 1, h = f * 0.5f, r = 1 / (h + 1);
    const vec s = f * r, s_low = _mm512_fnmadd_ps(s, h, f - s) * r; /* s + s_low: f / (1 + h) */
    const vec z = s * s, z_low = _mm512_fmsub_ps(s, s, z);
    const vec c1 = splat(0x1.ec709cp-4f), c0 = splat(0x1.715476p+0f);
    const vec c = _mm512_fmadd_ps(z, c1, c0);
    vec q = _mm512_fmadd_ps(z, splat(0x1.64264ep-11f), splat(0x1.a521cep-9f));
    q = _mm512_fmadd_ps(q, z, splat(0x1.27786cp-6f));
    const vec rest = _mm512_fmadd_ps(z * z, q, _mm512_fmadd_ps(z_low, c1, splat(0x1.4ae0c0p-26f)));
    const vec c_low = _mm512_fmadd_ps(z, c1, c0 - c) + rest;
    const vec slope = _mm512_fmadd_ps(z, splat(0x1.ec709cp-3f), c); /* of s (c0 + c1 s^2) */
    const vec l = c * s;
    *low = _mm512_fmadd_ps(slope, s_low, _mm512_fmadd_ps(c_low, s, _mm512_fmsub_ps(c, s, l)));
    *high = l;
}

/* 2^(t + t_low); where t is beyond all exponents t_low may be anything. The two largest terms are
 * added without a rounding between them. */
INLINE vec bpi_exp2(vec t, vec t_low)
{
    const vec k = _mm512_roundscale_ps(t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const vec most = splat(0.75f), one = splat(1), ln2 = splat(0x1.62e430p-1f);
    const vec r = _mm512_max_ps(_mm512_min_ps((t - k) + t_low, most), -most);
    vec q = _mm512_fmadd_ps(r, splat(0x1.417a9ap-13f), splat(0x1.5f0948p-10f));
    q = _mm512_fmadd_ps(q, r, splat(0x1.3b2dd2p-7f));
    q = _mm512_fmadd_ps(q, r, splat(0x1.c6af7ap-5f));
    q = _mm512_fmadd_ps(q, r, splat(0x1.ebfbdcp-3f));
    const vec y = _mm512_fmadd_ps(r, ln2, one), lost = _mm512_fmadd_ps(r, ln2, one - y);
    return _mm512_scalef_ps(y + _mm512_fmadd_ps(r * r, q, lost), k);
}

INLINE __mmask16 bpi_is_whole(vec p)
{
    return _mm512_cmp_ps_mask(_mm512_roundscale_ps(p, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC), p,
                              _CMP_EQ_OQ);
}

/* |p| is held at the largest number, so that p log2 |x| is 0 where |x| is 1. */
INLINE vec bpi_powers_of(vec x, vec p)
{
    const vec zero = splat(0), one = splat(1);
    const vec m = _mm512_getmant_ps(x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_zero);
    vec n = _mm512_getexp_ps(x), high, low;
    n = _mm512_mask_add_ps(n, _mm512_cmp_ps_mask(m, one, _CMP_LT_OQ), n, one);
    bpi_log2_unit(m, &high, &low);
    const vec l = n + high, l_low = low + ((n - l) + high), most = splat(FLT_MAX);
    const vec e = _mm512_max_ps(-most, _mm512_min_ps(most, p)), t = e * l;
    vec y = bpi_exp2(t, _mm512_fmadd_ps(e, l_low, _mm512_fmsub_ps(e, l, t)));
    const __mmask16 whole = bpi_is_whole(p), odd = whole & ~bpi_is_whole(p * 0.5f);
    y = _mm512_or_ps(y, _mm512_maskz_and_ps(odd, x, splat(-0.0f)));
    const __mmask16 below = _mm512_mask_cmp_ps_mask(~whole, x, zero, _CMP_LT_OQ);
    const __mmask16 none =
        _mm512_mask_cmp_ps_mask(below, x, splat(-(real)INFINITY), _CMP_NEQ_OQ);
    y = _mm512_mask_mov_ps(y, none, splat((real)NAN));
    const __mmask16 ones = _mm512_cmp_ps_mask(p, zero, _CMP_EQ_OQ) |
                           _mm512_cmp_ps_mask(x, one, _CMP_EQ_OQ);
    return _mm512_mask_mov_ps(y, ones, one);
}

#elif BPI_F64
/* The C library's, of one number at a time. */
INLINE real pow_of(real x, real p) { return pow(x, p); }
#else
typedef union bpi_wide_cell {
    double number;
    uint64_t bits;
} bpi_wide_cell;

/* log2(x) of x >= 0 that is normal in f64; error 2^-37. */
INLINE double bpi_log2(double x)
{
    const uint64_t one = (uint64_t)1 << 52, half = 0x3fe6a09e667f3bcd;
    const uint64_t i = (bpi_wide_cell){x}.bits - half;
    const double m = (bpi_wide_cell){.bits = (i & (one - 1)) + half}.number;
    const double n = (bpi_wide_cell){.bits = (i + 1024 * one) >> 52 | 0x4330000000000000}.number;
    const double s = (m - 1) / (m + 1), z = s * s;
    double l = 0x1.5ce39e0f72792p-2;
    l = bpi_wide_fma(l, z, 0x1.a58dceca72ce8p-2);
    l = bpi_wide_fma(l, z, 0x1.27777f461993ep-1);
    l = bpi_wide_fma(l, z, 0x1.ec709d13c0821p-1);
    l = bpi_wide_fma(l, z, 0x1.71547652bed13p+1);
    return bpi_wide_fma(l, s, n - (0x1p52 + 1024));
}

/* 2^x for |x| <= 1000, and NaN; error 2^-28. */
INLINE double bpi_exp2(double x)
{
    const double t = x + 0x1.8p52, r = x - (t - 0x1.8p52);
    double e = 0x1.443fffc90db59p-13;
    e = bpi_wide_fma(e, r, 0x1.5f48c04f62e50p-10);
    e = bpi_wide_fma(e, r, 0x1.3b2a1b7152befp-7);
    e = bpi_wide_fma(e, r, 0x1.c6aecc669b6ddp-5);
    e = bpi_wide_fma(e, r, 0x1.ebfbe045f4d3cp-3);
    e = bpi_wide_fma(e, r, 0x1.62e430d034702p-1);
    e = bpi_wide_fma(e, r, 1);
    return e * (bpi_wide_cell){.bits = ((bpi_wide_cell){t}.bits + 1023) << 52}.number;
}

/* 2^(p log2 |x|) in f64, with the sign and the exceptions of C's powf. */
INLINE real pow_of(real x, real p)
{
    const double a = (double)abs_of(x);
    double l = bpi_log2(a);
    l = a > 0 ? l : -(double)INFINITY;
    l = a < (double)INFINITY ? l : a; /* NaN too */
    double t = (double)p * l;
    t = t > 300 ? 300 : t;
    t = t < -300 ? -300 : t;
    const real y = (real)bpi_exp2(t);
    /* From 2^23 on every number is whole, the last bit is its 1, and adding 2^23 rounds others. */
    const real q = abs_of(p), rounded = q < 0x1p23f ? q + 0x1p23f : q;
    const real whole = q < 0x1p23f ? rounded - 0x1p23f : q;
    const int odd = (q < 0x1p24f) & (whole == q) & (int)(bpi_to_bits(rounded) & 1);
    const int one = (p == 0) | (x == 1) | ((x == -1) & (q == (real)INFINITY));
    const int none = (x < 0) & (x > -(real)INFINITY) & (whole != q);
    const real signed_y = odd ? copysign_of(y, x) : y;
    return one ? 1 : none ? (real)NAN : signed_y;
}

#endif

#endif
