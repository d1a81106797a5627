/* exp_of(x) and its kin: functions over `real`, for loops that the compiler vectorises. At most 2
 * ulp: exp, expm1, log, log1p; at most 3: tanh. Sine and cosine: sine.h; powers: power.h; the
 * normal distribution: normal.h.
 *
 * Branch-free: each function is arithmetic, integer adds and shifts, and selects, all of which
 * every instruction level has. Right at NaN, infinities, zeros, overflow, and with denormal inputs
 * and results, in the state of fpstate.h. Must be compiled without -ffast-math.
 *
 * exp     x = n ln2 + r, |r| <= ln2 / 2; e^x = 2^n (1 + r (1 + r Q(r))), 2^n as two factors
 * expm1   2^n (r + r^2 Q(r)) + (2^n - 1)
 * log     x = 2^n (1 + f), sqrt(1/2) <= 1 + f < sqrt(2); log(1 + f) = 2 atanh(s), s = f / (2 + f)
 * log1p   log u + (x - (u - 1)) / u with u = 1 + x as rounded; on [0, 1] f is x or (x - 1) / 2
 * tanh    t / (t + 2) with t = expm1(2 |x|), and the sign of x
 *
 * Cody and Waite, "Software Manual for the Elementary Functions", 1980 (ln2 in two parts); Tang,
 * ACM TOMS 15 (1989) and 16 (1990); Muller, "Elementary Functions". Q and L are minimax fits. */
#ifndef BPI_CPU_VMATH_H
#define BPI_CPU_VMATH_H

#include <float.h>
#include <math.h>

#include "cpu/kernel.h"

/* LN2_HI ends in enough zero bits for n LN2_HI to be exact. Adding SHIFT = 1.5 * 2^MANTISSA rounds
 * to an integer and leaves that in the low bits. SQRT_HALF is the bit pattern of sqrt(1/2). */
#if BPI_F64

typedef uint64_t bpi_bits;
typedef int64_t bpi_int;
#define BPI_MANTISSA 52
#define BPI_BIAS 1023
#define BPI_SHIFT 0x1.8p52
#define BPI_LOG2E 0x1.71547652b82fep+0
#define BPI_LN2_HI 0x1.62e42fefa2p-1
#define BPI_LN2_LO 0x1.9ef35793c7673p-41
#define BPI_SQRT_HALF 0x3fe6a09e667f3bcd
#define BPI_MIN_NORMAL DBL_MIN
#define BPI_EXP_MAX 710.0    /* e^ of it overflows */
#define BPI_EXP_MIN (-746.0) /* e^ of it is less than half the least denormal */
#define BPI_EXPM1_MAX 710.0   /* overflows */
#define BPI_EXPM1_MIN (-40.0) /* expm1(-40) rounds to -1 */
#define BPI_EXPM1_TINY 0x1p-54
#define BPI_TANH_MAX 40.0

#else

typedef uint32_t bpi_bits;
typedef int32_t bpi_int;
#define BPI_MANTISSA 23
#define BPI_BIAS 127
#define BPI_SHIFT 0x1.8p23f
#define BPI_LOG2E 0x1.715476p+0f
#define BPI_LN2_HI 0x1.62e4p-1f
#define BPI_LN2_LO 0x1.7f7d1cp-20f
#define BPI_SQRT_HALF 0x3f3504f3
#define BPI_MIN_NORMAL FLT_MIN
#define BPI_EXP_MAX 89.0f
#define BPI_EXP_MIN (-104.5f)
#define BPI_EXPM1_MAX 89.0f
#define BPI_EXPM1_MIN (-20.0f)
#define BPI_EXPM1_TINY 0x1p-25f
#define BPI_TANH_MAX 20.0f

#endif

/* Fused where that is one instruction; both ways are within the bound. */
#if defined(__FMA__) || defined(__FP_FAST_FMA) || defined(__ARM_FEATURE_FMA)
#define BPI_FUSED
INLINE double bpi_wide_fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
#else
INLINE double bpi_wide_fma(double a, double b, double c) { return a * b + c; }
#endif
#if defined(BPI_FUSED) && !BPI_F64
INLINE real bpi_fma(real a, real b, real c) { return __builtin_fmaf(a, b, c); }
#elif BPI_F64
INLINE real bpi_fma(real a, real b, real c) { return bpi_wide_fma(a, b, c); }
#else
INLINE real bpi_fma(real a, real b, real c) { return a * b + c; }
#endif

/* A number and its bits. */
typedef union bpi_cell {
    real number;
    bpi_bits bits;
} bpi_cell;
static inline bpi_bits bpi_to_bits(real x) { return (bpi_cell){.number = x}.bits; }
INLINE real bpi_from_bits(bpi_bits b) { return (bpi_cell){.bits = b}.number; }

/* 2^n from n + SHIFT, for a normal result. */
INLINE real bpi_pow2(real shifted)
{
    return bpi_from_bits((bpi_to_bits(shifted) + BPI_BIAS) << BPI_MANTISSA);
}

/* Q(r) = (e^r - 1 - r) / r^2 for |r| <= ln2 / 2. Error: 2^-61 (f64), 2^-27 (f32) of
 * (e^r - 1) / r^2. */
#if BPI_F64
static const real bpi_exp_q[] = {
    0x1.1f4adde5bd1c2p-29, 0x1.af6166f749914p-26, 0x1.27e4f168d0835p-22, 0x1.71ddf6f130807p-19,
    0x1.a01a019e89583p-16, 0x1.a01a01b05ec65p-13, 0x1.6c16c16c17689p-10, 0x1.111111110f5c3p-7,
    0x1.5555555555554p-5, 0x1.5555555555559p-3, 0.5};
#else
static const real bpi_exp_q[] = {0x1.6b6e18p-10f, 0x1.122fc2p-7f, 0x1.555688p-5f, 0x1.5554a4p-3f,
                                 0.5f};
#endif
enum { BPI_EXP_Q = sizeof bpi_exp_q / sizeof *bpi_exp_q };

INLINE real bpi_exp_tail(real r)
{
    real q = bpi_exp_q[0];
    UNROLL for (int k = 1; k < BPI_EXP_Q; k++)
        q = bpi_fma(q, r, bpi_exp_q[k]);
    return q;
}

/* z L(z) = 2 atanh(s) / s - 2 with z = s^2, for z <= (3 - sqrt(8))^2. Error: 2^-59 (f64), 2^-30
 * (f32) of the logarithm. */
INLINE real bpi_log_tail(real z)
{
#if BPI_F64
    real l = 0x1.2f1181102ae9ap-3;
    l = bpi_fma(l, z, 0x1.39a09532ac027p-3);
    l = bpi_fma(l, z, 0x1.746649b40c1d2p-3);
    l = bpi_fma(l, z, 0x1.c71c51d7b7f2bp-3);
    l = bpi_fma(l, z, 0x1.249249422a5e3p-2);
    l = bpi_fma(l, z, 0x1.999999997f9f7p-2);
    l = bpi_fma(l, z, 0x1.5555555555593p-1);
#else
    real l = 0x1.31e23ep-2f;
    l = bpi_fma(l, z, 0x1.995eccp-2f);
    l = bpi_fma(l, z, 0x1.55557ap-1f);
#endif
    return l * z;
}

/* x held in range. As integers, which are one instruction each: numbers below 0 are large unsigned
 * ones, the larger the lower they are. A NaN becomes an end. */
INLINE real bpi_exp_held(real x)
{
    const bpi_int i = (bpi_int)bpi_to_bits(x), most = (bpi_int)bpi_to_bits(BPI_EXP_MAX);
    const bpi_bits b = (bpi_bits)(i > most ? most : i), least = bpi_to_bits(BPI_EXP_MIN);
    return bpi_from_bits(b > least ? least : b);
}

/* The second factor rounds a result that is denormal, and lets one overflow. */
INLINE real exp_of(real x)
{
    const real c = bpi_exp_held(x), shift = BPI_SHIFT + 2 * BPI_BIAS;
    const real t = bpi_fma(c, BPI_LOG2E, shift), n = t - shift;
    const real r = bpi_fma(n, -BPI_LN2_LO, bpi_fma(n, -BPI_LN2_HI, c));
    const bpi_bits both = bpi_to_bits(t), one = both >> 1;
    const real y = bpi_fma(bpi_fma(bpi_exp_tail(r), r, 1), r, 1) *
                   bpi_from_bits(one << BPI_MANTISSA) *
                   bpi_from_bits((both - one) << BPI_MANTISSA);
    return x == x ? y : x;
}

/* expm1 of c, as far as 2^n is normal and neither it nor r is lost: for 0 <= c <= 40, or so. */
INLINE real bpi_expm1(real c)
{
    const real t = bpi_fma(c, BPI_LOG2E, BPI_SHIFT), n = t - BPI_SHIFT;
    const real hi = bpi_fma(n, -BPI_LN2_HI, c); /* exact */
    const real r = bpi_fma(n, -BPI_LN2_LO, hi), s = bpi_pow2(t);
    const real tail = bpi_fma(r * r, bpi_exp_tail(r), bpi_fma(n, -BPI_LN2_LO, hi - r));
    return bpi_fma(s, tail, bpi_fma(s, r, s - 1)); /* r + tail = e^r - 1 */
}

INLINE real expm1_of(real x)
{
    real c = x > BPI_EXPM1_MAX ? BPI_EXPM1_MAX : x;
    c = c < BPI_EXPM1_MIN ? BPI_EXPM1_MIN : c;
    real n = bpi_fma(c, BPI_LOG2E, BPI_SHIFT) - BPI_SHIFT;
    real hi = bpi_fma(n, -BPI_LN2_HI, c); /* exact */
    real r = bpi_fma(n, -BPI_LN2_LO, hi), low = bpi_fma(n, -BPI_LN2_LO, hi - r);
    real tail = bpi_fma(r * r, bpi_exp_tail(r), low); /* r + tail = e^r - 1 */
    real s = bpi_pow2(n - 1 + BPI_SHIFT);             /* half of 2^n: no overflow */
    real y = 2 * (bpi_fma(s, r, s - (real)0.5) + s * tail);
    int tiny = (x < BPI_EXPM1_TINY) & (x > -BPI_EXPM1_TINY);
    return tiny ? x : y; /* keeps the sign of 0 and the last bits of a denormal */
}

/* log(2^n (1 + f)) */
INLINE real bpi_log_sum(real n, real f)
{
    real s = f / (2 + f), h = (real)0.5 * f * f; /* 2 s = f - h + s h, up to rounding */
    real low = bpi_fma(s, h + bpi_log_tail(s * s), n * BPI_LN2_LO);
    return bpi_fma(n, BPI_LN2_HI, f - (h - low));
}

INLINE real log_of(real x)
{
    const bpi_bits one = (bpi_bits)1 << BPI_MANTISSA;
    const real integers = (real)one; /* from here to twice it, a mantissa is an integer */
    int denormal = x < BPI_MIN_NORMAL;
    real y = denormal ? x * integers : x;
    bpi_bits i = bpi_to_bits(y) - BPI_SQRT_HALF; /* n * one + a mantissa; n >= -BIAS */
    real m = bpi_from_bits((i & (one - 1)) + BPI_SQRT_HALF);
    real n = bpi_from_bits((i + (BPI_BIAS + 1) * one) >> BPI_MANTISSA | bpi_to_bits(integers)) -
             (integers + BPI_BIAS + 1);
    n = denormal ? n - BPI_MANTISSA : n;

    real result = bpi_log_sum(n, m - 1);
    result = x < (real)INFINITY ? result : x;
    result = x == 0 ? -(real)INFINITY : result;
    return x < 0 ? (real)NAN : result;
}

#if BPI_F64
INLINE real sqrt_of(real x) { return __builtin_sqrt(x); }
INLINE real abs_of(real x) { return __builtin_fabs(x); }
INLINE real copysign_of(real x, real sign) { return __builtin_copysign(x, sign); }
#else
INLINE real sqrt_of(real x) { return __builtin_sqrtf(x); }
INLINE real abs_of(real x) { return __builtin_fabsf(x); }
INLINE real copysign_of(real x, real sign) { return __builtin_copysignf(x, sign); }
#endif

INLINE real log1p_of(real x)
{
    real u = 1 + x, lost = (x - (u - 1)) / u; /* what the sum has rounded away */
    real y = log_of(u) + (u > 0 && u < (real)INFINITY ? lost : 0);
    return x == 0 ? x : y; /* keeps the sign of 0 */
}

/* 0 <= x <= 1, and NaN */
INLINE real log1p_unit_of(real x)
{
    const int far = x > (real)0.41421356;
    return bpi_log_sum(far ? 1 : 0, far ? (x - 1) * (real)0.5 : x);
}

INLINE real tanh_of(real x)
{
    real a = 2 * abs_of(x), t = bpi_expm1(a > BPI_TANH_MAX ? BPI_TANH_MAX : a);
    return copysign_of(t / (t + 2), x);
}

#endif
