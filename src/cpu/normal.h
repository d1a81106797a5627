/* The normal distribution and erf over `real`, like vmath.h, at most 4 and 3 ulp.
 *
 *     P(N > x) = e^(-x^2 / 2) F(s) / (x + k) for x >= 0; s = (x - 4) / (x + 4), k = 5/4 in f64,
 *                s = x / (x + 3) - 13/32, k = 3 in f32
 *     erf(x) = 1 - 2 P(N > sqrt(2) x); x (2 / sqrt(pi) + x^2 R(2 x^2)) for x <= 1 / sqrt(2)
 *
 * Shepherd and Laframboise, Math. Comp. 36 (1981) (the map s). F is a minimax fit, R a
 * Chebyshev one. */
#ifndef BPI_CPU_NORMAL_H
#define BPI_CPU_NORMAL_H

#include "cpu/vmath.h"

#if BPI_F64
#define BPI_NORMAL_MAX 39.0  /* P(N > 39) is less than half the least denormal */
#define BPI_HALF_MANTISSA 27 /* bits; what is above them has an exact square */
#define BPI_UP 128           /* of an exponent */
#define BPI_DOWN 0x1p-128
#else
#define BPI_NORMAL_MAX 14.5f
#define BPI_HALF_MANTISSA 12
#define BPI_UP 64
#define BPI_DOWN 0x1p-64f
#endif

/* 2^BPI_UP e^(f x^2), which is not denormal, f = -1/2 or -1, |x| <= BPI_NORMAL_MAX; the square is a
 * sum: a rounded one would cost e^ of it as many ulp as the exponent is large. */
INLINE real bpi_exp_square(real f, real x)
{
#ifdef BPI_FUSED
    real fx = f * x, high = fx * x, low = bpi_fma(fx, x, -high);
#else
    real part = bpi_from_bits(bpi_to_bits(x) >> BPI_HALF_MANTISSA << BPI_HALF_MANTISSA);
    real high = f * part * part, low = f * (x - part) * (x + part);
#endif
    real t = bpi_fma(high, BPI_LOG2E, BPI_SHIFT + BPI_UP), n = t - (BPI_SHIFT + BPI_UP);
    real r = bpi_fma(n, -BPI_LN2_HI, high) + bpi_fma(n, -BPI_LN2_LO, low);
    real y = bpi_fma(bpi_fma(bpi_exp_tail(r), r, 1), r, 1);
    return bpi_from_bits(bpi_to_bits(y) + (bpi_to_bits(t) << BPI_MANTISSA));
}

/* e^(x^2 / 2) P(N > x), times 2^-BPI_UP, x <= BPI_NORMAL_MAX. Error of F: 2^-59 (f64), 2^-26
 * (f32), relative. F of f64 is nearly flat at x = 0, where s has an error; f32 has one division. */
INLINE real bpi_normal_tail(real x)
{
#if BPI_F64
    real s = (x - 4) / (x + 4), f = -0x1.c47732eca9ae2p-161;
    f = bpi_fma(f, s, -0x1.5239ec44a1799p-158);
    f = bpi_fma(f, s, -0x1.267c4eb4181ap-158);
    f = bpi_fma(f, s, 0x1.052903710f524p-155);
    f = bpi_fma(f, s, 0x1.2aa135cb038f7p-154);
    f = bpi_fma(f, s, -0x1.581a638be5177p-154);
    f = bpi_fma(f, s, -0x1.d45e142c8ce73p-152);
    f = bpi_fma(f, s, -0x1.2df4da5b98bd2p-155);
    f = bpi_fma(f, s, 0x1.1c1e68941f4bep-149);
    f = bpi_fma(f, s, 0x1.e7b4ced3a4d45p-150);
    f = bpi_fma(f, s, -0x1.4893e616e1a61p-147);
    f = bpi_fma(f, s, -0x1.e865f32c9c55ep-147);
    f = bpi_fma(f, s, 0x1.a526274321181p-145);
    f = bpi_fma(f, s, 0x1.77f09316c1f78p-144);
    f = bpi_fma(f, s, -0x1.52717908849fep-142);
    f = bpi_fma(f, s, -0x1.bbd63a6541ca8p-142);
    f = bpi_fma(f, s, 0x1.53caa668f7d37p-139);
    f = bpi_fma(f, s, -0x1.08129751cd88p-141);
    f = bpi_fma(f, s, -0x1.3f851dd388917p-136);
    f = bpi_fma(f, s, 0x1.0314d680167dep-134);
    f = bpi_fma(f, s, -0x1.911b6cec99552p-134);
    f = bpi_fma(f, s, 0x1.5dbfe8f50f971p-135);
    f = bpi_fma(f, s, 0x1.7169e9b96103ap-133);
    f = bpi_fma(f, s, -0x1.1d4ad7c6f13bp-131);
    return bpi_fma(f, s, 0x1.fb8d36288361ep-130) / (x + 1.25);
#else
    real t = 1 / (x + 3), s = bpi_fma(x, t, -0.40625f), f = 0x1.c8c70ep-69f;
    f = bpi_fma(f, s, 0x1.e9049ap-71f);
    f = bpi_fma(f, s, -0x1.8eca66p-68f);
    f = bpi_fma(f, s, -0x1.1c48f6p-68f);
    f = bpi_fma(f, s, 0x1.10b3ep-67f);
    f = bpi_fma(f, s, 0x1.5248f4p-67f);
    f = bpi_fma(f, s, -0x1.0a1c52p-66f);
    f = bpi_fma(f, s, -0x1.30443ep-66f);
    f = bpi_fma(f, s, 0x1.040e2ep-64f);
    f = bpi_fma(f, s, -0x1.3354c6p-64f);
    return bpi_fma(f, s, 0x1.aa7aa8p-65f) * t;
#endif
}

/* |x|, held where e^(f x^2) is 0; that of a NaN may be any number. */
INLINE real bpi_held(real x, real most)
{
    return abs_of(x) > most ? most : abs_of(x);
}

/* e^(-x^2 / 2) / sqrt(2 pi). */
INLINE real normal_pdf_of(real x)
{
    real y = bpi_exp_square((real)-0.5, bpi_held(x, BPI_NORMAL_MAX));
    return x == x ? y * ((real)0.398942280401432677939946 * BPI_DOWN) : x;
}

/* e^(-x^2) */
INLINE real exp_minus_square_of(real x)
{
    real y = bpi_exp_square(-1, bpi_held(x, (real)0.70710678 * BPI_NORMAL_MAX));
    return x == x ? y * BPI_DOWN : x;
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

/* P(N > |x|) */
INLINE real bpi_normal_above(real x)
{
    real a = bpi_held(x, BPI_NORMAL_MAX);
    return bpi_exp_square((real)-0.5, a) * bpi_normal_tail(a);
}

/* P(N <= x): the smaller tail is computed, so that neither loses its digits. */
INLINE real normal_cdf_of(real x)
{
    real tail = bpi_normal_above(x);
    return x > 0 ? 1 - tail : tail;
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
