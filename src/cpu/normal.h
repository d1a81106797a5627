/* The normal distribution and erf over `real`, like vmath.h, at most 4 and 3 ulp.
 *
 *     P(N > x) = e^(-x^2 / 2) F(s) / (1 + x) for x >= 0, s = (x - 4) / (x + 4)
 *     P(N <= x) = 1/2 + x (1 / sqrt(2 pi) + x^2 R(x^2)) for |x| <= 1
 *     erf(x) = 2 P(N <= sqrt(2) x) - 1
 *
 * Shepherd and Laframboise, Math. Comp. 36 (1981) (the map s). F and R are Chebyshev fits. */
#ifndef BPI_CPU_NORMAL_H
#define BPI_CPU_NORMAL_H

#include "cpu/vmath.h"

#if BPI_F64
#define BPI_NORMAL_MAX 39.0  /* P(N > 39) is less than half the least denormal */
#define BPI_HALF_MANTISSA 27 /* bits; what is above them has an exact square */
#else
#define BPI_NORMAL_MAX 14.5f
#define BPI_HALF_MANTISSA 12
#endif

/* e^(f x^2), f = -1/2 or -1, |x| <= BPI_NORMAL_MAX; the square is a sum: a rounded one would cost
 * e^ of it as many ulp as the exponent is large. */
INLINE real bpi_exp_square(real f, real x)
{
#ifdef BPI_FUSED
    real fx = f * x, high = fx * x, low = bpi_fma(fx, x, -high);
#else
    real part = bpi_from_bits(bpi_to_bits(x) >> BPI_HALF_MANTISSA << BPI_HALF_MANTISSA);
    real high = f * part * part, low = f * (x - part) * (x + part);
#endif
    real t = bpi_fma(high + low, BPI_LOG2E, BPI_SHIFT), n = t - BPI_SHIFT;
    real r = bpi_fma(n, -BPI_LN2_LO, bpi_fma(n, -BPI_LN2_HI, high) + low);
    return bpi_exp_scaled(t, r, high < BPI_EXP_NORMAL);
}

/* F(s) = (1 + x) e^(x^2 / 2) P(N > x). Error: 2^-59 (f64), 2^-30 (f32), relative. */
INLINE real bpi_normal_tail(real s)
{
#if BPI_F64
    real f = -0x1.27d09cdb8ab3cp-32;
    f = bpi_fma(f, s, -0x1.79b7299482a66p-30);
    f = bpi_fma(f, s, -0x1.c44a8a96afb08p-31);
    f = bpi_fma(f, s, 0x1.23b492a257e71p-27);
    f = bpi_fma(f, s, 0x1.25b676071a9fbp-26);
    f = bpi_fma(f, s, -0x1.96be7ba65fdf6p-26);
    f = bpi_fma(f, s, -0x1.ddd5e9dbd62aap-24);
    f = bpi_fma(f, s, 0x1.5d9b80e796930p-28);
    f = bpi_fma(f, s, 0x1.28c14309bea5dp-21);
    f = bpi_fma(f, s, 0x1.aff2e829d1fb2p-22);
    f = bpi_fma(f, s, -0x1.5ec7826162312p-19);
    f = bpi_fma(f, s, -0x1.cc8b3aa38ebcep-19);
    f = bpi_fma(f, s, 0x1.c9402f0f1ee28p-17);
    f = bpi_fma(f, s, 0x1.648343e709296p-16);
    f = bpi_fma(f, s, -0x1.707bb65ad4fb4p-14);
    f = bpi_fma(f, s, -0x1.8c11ab7ae4335p-14);
    f = bpi_fma(f, s, 0x1.6c538315921d0p-11);
    f = bpi_fma(f, s, -0x1.2b7f5e21dc7d5p-12);
    f = bpi_fma(f, s, -0x1.47d5fc747c5bep-8);
    f = bpi_fma(f, s, 0x1.25dd720607130p-6);
    f = bpi_fma(f, s, -0x1.07c3c2582be60p-5);
    f = bpi_fma(f, s, 0x1.d4969f10dfdbap-6);
    f = bpi_fma(f, s, 0x1.cabd72a60f8e4p-7);
    f = bpi_fma(f, s, -0x1.8c18f2086e349p-4);
    return bpi_fma(f, s, 0x1.e361ea6fba141p-2);
#else
    real f = -0x1.82832ap-17f;
    f = bpi_fma(f, s, -0x1.a2c2a4p-14f);
    f = bpi_fma(f, s, -0x1.3087bp-14f);
    f = bpi_fma(f, s, 0x1.74aeep-11f);
    f = bpi_fma(f, s, -0x1.303e52p-12f);
    f = bpi_fma(f, s, -0x1.48303p-8f);
    f = bpi_fma(f, s, 0x1.25de48p-6f);
    f = bpi_fma(f, s, -0x1.07c24p-5f);
    f = bpi_fma(f, s, 0x1.d496b4p-6f);
    f = bpi_fma(f, s, 0x1.cabd2ap-7f);
    f = bpi_fma(f, s, -0x1.8c18f2p-4f);
    return bpi_fma(f, s, 0x1.e361eap-2f);
#endif
}

/* |x|, held where e^(f x^2) is 0. A NaN is held too: what is made of it must say so again. */
INLINE real bpi_held(real x, real most)
{
    return abs_of(x) < most ? abs_of(x) : most;
}

/* e^(-x^2 / 2) / sqrt(2 pi). */
INLINE real normal_pdf_of(real x)
{
    real y = bpi_exp_square((real)-0.5, bpi_held(x, BPI_NORMAL_MAX));
    return x == x ? y * (real)0.398942280401432677939946 : x;
}

/* e^(-x^2) */
INLINE real exp_minus_square_of(real x)
{
    real y = bpi_exp_square(-1, bpi_held(x, (real)0.70710678 * BPI_NORMAL_MAX));
    return x == x ? y : x;
}

/* (P(N <= x) - 1/2) / x - 1 / sqrt(2 pi), z = x^2 <= 1. Error: 2^-69 (f64), 2^-31 (f32). */
INLINE real bpi_normal_centre(real z)
{
#if BPI_F64
    real p = -0x1.7a5682cb79dedp-43;
    p = bpi_fma(p, z, 0x1.5fc56372d8e56p-38);
    p = bpi_fma(p, z, -0x1.f0475d56be2a9p-34);
    p = bpi_fma(p, z, 0x1.3872ebe9e807ap-29);
    p = bpi_fma(p, z, -0x1.62222efee0facp-25);
    p = bpi_fma(p, z, 0x1.658a1fe22b1bdp-21);
    p = bpi_fma(p, z, -0x1.3ce8faba39bbcp-17);
    p = bpi_fma(p, z, 0x1.e42b0d51ee1dbp-14);
    p = bpi_fma(p, z, -0x1.37403f6ba0cbp-10);
    p = bpi_fma(p, z, 0x1.46d04297691d3p-7);
    p = bpi_fma(p, z, -0x1.1058377e2ceep-4);
    return p * z;
#else
    real p = -0x1.fff6e6p-18f;
    p = bpi_fma(p, z, 0x1.dbc2bep-14f);
    p = bpi_fma(p, z, -0x1.36fa64p-10f);
    p = bpi_fma(p, z, 0x1.46ce32p-7f);
    p = bpi_fma(p, z, -0x1.105832p-4f);
    return p * z;
#endif
}

/* P(N > |x|); 0 of a NaN */
INLINE real bpi_normal_above(real x)
{
    real a = bpi_held(x, BPI_NORMAL_MAX);
    return bpi_exp_square((real)-0.5, a) * bpi_normal_tail((a - 4) / (a + 4)) / (1 + a);
}

/* P(N <= x): the smaller tail is computed, so that neither loses its digits. */
INLINE real normal_cdf_of(real x)
{
    real tail = bpi_normal_above(x), outer = x > 0 ? 1 - tail : tail;
    real line = bpi_fma(x, (real)0.398942280401432677939946, (real)0.5);
    int far = (x > 1) | (x < -1); /* a NaN is near */
    return far ? outer : bpi_fma(x, bpi_normal_centre(far ? 1 : x * x), line);
}

/* Near 0 a line, whose slope 2 / sqrt(pi) is in two parts, and what is left of the curve. */
INLINE real erf_of(real x)
{
#if BPI_F64
    const real high = 0x1.20dd750429b6dp+0, low = 0x1.1ae3a914fed8p-56;
#else
    const real high = 0x1.20dd74p+0f, low = 0x1.0429b6p-24f;
#endif
    real a = (real)1.41421356237309504880 * abs_of(x), z = a > 1 ? 1 : 2 * x * x;
    real rest = bpi_fma((real)2.82842712474619009760, bpi_normal_centre(z), low);
    real outer = copysign_of(1 - 2 * bpi_normal_above(a), x);
    return a > 1 ? outer : bpi_fma(x, high, x * rest); /* where a NaN goes */
}

#endif
