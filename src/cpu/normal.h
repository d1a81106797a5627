/* The normal distribution and erf over `real`, like vmath.h, at most 4 and 3 ulp.
 *
 *     P(N > x) = e^(-x^2 / 2) F(s) / (x + k) for x >= 0; s = (x - 4) / (x + 4), k = 5/4 in f64,
 *                s = x / (x + 3) - 13/32, k = 3 in f32; with AVX-512 in f32, where two registers
 *                are a table of 32 numbers, e^(-x^2 / 2) times a polynomial for each eighth of an
 *                octave of x + 1
 *     erf(x) = 1 - 2 P(N > sqrt(2) x); x (2 / sqrt(pi) + x^2 R(2 x^2)) for x <= 1 / sqrt(2)
 *
 * A formula calls normal_cdf_of(x), normal_pdf_of(x) and erf_of(x) by way of asked.h. Shepherd and
 * Laframboise, Math. Comp. 36 (1981) (the map s). F and the table are minimax fits, R a Chebyshev
 * one. */
#ifndef BPI_CPU_NORMAL_H
#define BPI_CPU_NORMAL_H

#include "cpu/vec.h"
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

/* |x|, held where e^(f x^2) is 0; that of a NaN may be any number. */
INLINE real bpi_held(real x, real most)
{
    return abs_of(x) > most ? most : abs_of(x);
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

#if BPI_VECTOR_BYTES == 64 && !BPI_F64
/* 2^(c + i / 32); c is such that all are within 0.47 2^-24 of it, where half an ulp may be 1. */
static const _Alignas(64) real bpi_normal_roots[2 * LANES] = {
    0x1.0356cp+0f, 0x1.090484p+0f, 0x1.0ed21ep+0f, 0x1.14c04p+0f, 0x1.1acfap+0f, 0x1.2100f8p+0f,
    0x1.275508p+0f, 0x1.2dcc9p+0f, 0x1.34685ap+0f, 0x1.3b292ep+0f, 0x1.420fdep+0f, 0x1.491d3ep+0f,
    0x1.505226p+0f, 0x1.57af74p+0f, 0x1.5f360ap+0f, 0x1.66e6dp+0f, 0x1.6ec2b2p+0f, 0x1.76caa2p+0f,
    0x1.7eff98p+0f, 0x1.87628ep+0f, 0x1.8ff488p+0f, 0x1.98b68cp+0f, 0x1.a1a9a8p+0f, 0x1.aacefp+0f,
    0x1.b4277cp+0f, 0x1.bdb46cp+0f, 0x1.c776e6p+0f, 0x1.d17014p+0f, 0x1.dba12cp+0f, 0x1.e60b64p+0f,
    0x1.f0bp+0f, 0x1.fb9044p+0f};

/* Of e^(x^2 / 2) P(N > x) 2^-c, the coefficients of x + 1 less the middle of its eighth, the fourth
 * power's first; those of the octaves from 2, 4, 8 and 1. Error: 1.2 2^-24, relative. */
static const _Alignas(64) real bpi_normal_tails[5][2 * LANES] = {
    {0x1.e5542cp-8f, 0x1.44989ap-8f, 0x1.c10254p-9f, 0x1.2bfe16p-9f, 0x1.b31782p-10f,
     0x1.568d94p-10f, 0x1.05941cp-10f, 0x1.4ec4dp-11f, 0x1.b2ac5p-12f, 0x1.00e11cp-12f,
     0x1.3b92a4p-13f, 0x1.9630e6p-14f, 0x1.14f5d6p-14f, 0x1.5bbcf2p-15f, 0x1.0c43fp-15f,
     0x1.771486p-16f, 0x1.b85baep-17f, 0x1.ec30dap-18f, 0x1.2500f8p-18f, 0x1.6f07acp-19f,
     0x1.d96b8p-20f, 0x1.699d1ep-20f, 0x1.d5bc9cp-21f, 0x1.60eac4p-21f, 0x1.c18be8p-5f,
     0x1.568808p-5f, 0x1.1787d8p-5f, 0x1.a01186p-6f, 0x1.4558acp-6f, 0x1.fe2008p-7f, 0x1.1b1ff8p-7f,
     0x1.d5e034p-7f},
    {-0x1.530d02p-6f, -0x1.de8b7cp-7f, -0x1.5820b2p-7f, -0x1.f829dcp-8f, -0x1.77663p-8f,
     -0x1.1baf5p-8f, -0x1.b2f158p-9f, -0x1.520934p-9f, -0x1.da69acp-10f, -0x1.31a96ap-10f,
     -0x1.989e98p-11f, -0x1.19cf2ep-11f, -0x1.8fddf8p-12f, -0x1.22c1b4p-12f, -0x1.afb49cp-13f,
     -0x1.46bf74p-13f, -0x1.bd94e4p-14f, -0x1.171c04p-14f, -0x1.6e6232p-15f, -0x1.f3995cp-16f,
     -0x1.600628p-16f, -0x1.fd21b4p-17f, -0x1.79739ap-17f, -0x1.1d9d3p-17f, -0x1.ded54p-4f,
     -0x1.7d4fe8p-4f, -0x1.31973ep-4f, -0x1.ed78cp-5f, -0x1.90c0f4p-5f, -0x1.478c6ep-5f,
     -0x1.0d5412p-5f, -0x1.bd66acp-6f},
    {0x1.b0b4dap-5f, 0x1.45c2d4p-5f, 0x1.f31dccp-6f, 0x1.848bbp-6f, 0x1.32db1p-6f, 0x1.eb1e86p-7f,
     0x1.8dd914p-7f, 0x1.45f782p-7f, 0x1.ec8a84p-8f, 0x1.5d9046p-8f, 0x1.ff89f8p-9f, 0x1.80253cp-9f,
     0x1.2701acp-9f, 0x1.ce190ep-10f, 0x1.6ffd0cp-10f, 0x1.29832ap-10f, 0x1.bb304ep-11f,
     0x1.36dafep-11f, 0x1.c4064p-12f, 0x1.52823ap-12f, 0x1.03d874p-12f, 0x1.973e56p-13f,
     0x1.4502e8p-13f, 0x1.0762d2p-13f, 0x1.c9d3f6p-3f, 0x1.79a67p-3f, 0x1.39932p-3f, 0x1.06106cp-3f,
     0x1.b8b242p-4f, 0x1.74b81cp-4f, 0x1.3d0e0ep-4f, 0x1.0ef974p-4f},
    {-0x1.f118bp-4f, -0x1.931012p-4f, -0x1.4bab04p-4f, -0x1.148bf4p-4f, -0x1.d2ab98p-5f,
     -0x1.8df834p-5f, -0x1.56a84ap-5f, -0x1.299a66p-5f, -0x1.e8cc56p-6f, -0x1.80d75p-6f,
     -0x1.35f588p-6f, -0x1.fcf034p-7f, -0x1.a8acaep-7f, -0x1.6756fp-7f, -0x1.33bfaep-7f,
     -0x1.0a5adp-7f, -0x1.b4494p-8f, -0x1.5750bcp-8f, -0x1.14f318p-8f, -0x1.c7fc1ep-9f,
     -0x1.7dc33p-9f, -0x1.44334p-9f, -0x1.16ae88p-9f, -0x1.e42928p-10f, -0x1.752f58p-2f,
     -0x1.41283cp-2f, -0x1.161a1cp-2f, -0x1.e47a1cp-3f, -0x1.a85b3cp-3f, -0x1.75a94ap-3f,
     -0x1.4aab2p-3f, -0x1.2601e4p-3f},
    {0x1.eff854p-3f, 0x1.b7fce4p-3f, 0x1.8a43e2p-3f, 0x1.64653ep-3f, 0x1.44a25p-3f, 0x1.29b196p-3f,
     0x1.129c18p-3f, 0x1.fd4bf8p-4f, 0x1.cab784p-4f, 0x1.947c32p-4f, 0x1.694db2p-4f, 0x1.46312ep-4f,
     0x1.2921eap-4f, 0x1.10b716p-4f, 0x1.f7dc0ep-5f, 0x1.d411dcp-5f, 0x1.a6deacp-5f, 0x1.767cd6p-5f,
     0x1.4ff0eep-5f, 0x1.308792p-5f, 0x1.1673bep-5f, 0x1.0076bap-5f, 0x1.db5ab8p-6f, 0x1.bae308p-6f,
     0x1.e128fp-2f, 0x1.b5de2ap-2f, 0x1.907f5ap-2f, 0x1.700b1p-2f, 0x1.53b24ap-2f, 0x1.3acd78p-2f,
     0x1.24d41cp-2f, 0x1.11565cp-2f}};

INLINE vec bpi_looked_up(const real table[2 * LANES], __m512i i)
{
    return _mm512_permutex2var_ps(load(table), i, load(table + LANES));
}

/* above: P(N > |x|); density: e^(-x^2 / 2) / sqrt(2 pi). Twice the exponent is x^2 as two numbers,
 * less n ln2 / 16: e^ of what is left is a cube. */
INLINE void bpi_normals_of(vec x, vec *above, vec *density)
{
    const __m512i magnitude = _mm512_set1_epi32(0x7FFFFFFF);
    const __m512i eighths = _mm512_set1_epi32(~0xFFFFF), middle = _mm512_set1_epi32(1 << 19);
    const vec shift = splat(0x1.8p18f); /* rounds to 1/32 */
    x = (vec)((__m512i)x & magnitude);
    x = _mm512_min_ps(splat(BPI_NORMAL_MAX), x); /* keeps a NaN */

    const vec u = x + 1, d = u - (vec)(((__m512i)u & eighths) | middle);
    const __m512i eighth = _mm512_srli_epi32((__m512i)u, 20);
    vec f = bpi_looked_up(bpi_normal_tails[0], eighth);
    UNROLL for (int k = 1; k < 5; k++)
        f = fused(f, d, bpi_looked_up(bpi_normal_tails[k], eighth));

    const vec high = x * x, low = _mm512_fmsub_ps(x, x, high);
    const vec t = fused(high, splat(-0.5f * BPI_LOG2E), shift), n = t - shift;
    const vec r = fused(n, splat(2 * 0x1.62ep-1f), high) +
                  fused(n, splat(2 * 0x1.0bfbe8p-15f), low);
    const vec q = r * fused(fused(r, splat(-1.0f / 48), splat(0.125f)), r, splat(-0.5f));
    const vec root = bpi_looked_up(bpi_normal_roots, (__m512i)t);
    const vec a = root * f, p = root * 0x1.9341e8p-2f;
    *above = _mm512_scalef_ps(fused(a, q, a), n);
    *density = _mm512_scalef_ps(fused(p, q, p), n);
}

#else
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

/* P(N > |x|) */
INLINE real bpi_normal_above(real x)
{
    real a = bpi_held(x, BPI_NORMAL_MAX);
    return bpi_exp_square((real)-0.5, a) * bpi_normal_tail(a);
}

/* e^(-x^2 / 2) / sqrt(2 pi). */
INLINE real normal_pdf_of(real x)
{
    real y = bpi_exp_square((real)-0.5, bpi_held(x, BPI_NORMAL_MAX));
    return x == x ? y * ((real)0.398942280401432677939946 * BPI_DOWN) : x;
}
#endif

/* P(N <= x) and erf(x) of x and P(N > |.|) of it and of sqrt(2) x: the smaller tail is what is
 * computed, so that neither loses its digits. */
INLINE real bpi_cdf_of(real x, real above) { return x > 0 ? 1 - above : above; }

/* Near 0 a line, whose slope 2 / sqrt(pi) is in two parts, and what is left of the curve. */
INLINE real bpi_erf_of(real x, real above)
{
#if BPI_F64
    const real high = 0x1.20dd750429b6dp+0, low = 0x1.1ae3a914fed8p-56;
#else
    const real high = 0x1.20dd74p+0f, low = 0x1.0429b6p-24f;
#endif
    real a = (real)1.41421356237309504880 * abs_of(x), z = a > 1 ? 1 : 2 * x * x;
    real rest = bpi_fma((real)2.82842712474619009760, bpi_normal_centre(z), low);
    real outer = copysign_of(1 - 2 * above, x);
    return a > 1 ? outer : bpi_fma(x, high, x * rest); /* where a NaN goes */
}

#define normal_cdf_of(x) bpi_cdf_of(x, bpi_normal_above(x))
#define erf_of(x) bpi_erf_of(x, bpi_normal_above((real)1.41421356237309504880 * (x)))

#endif
