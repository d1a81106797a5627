/* sin_of(x) and cos_of(x) over `real`, like vmath.h, at most 2 ulp.
 *
 *     sin x = (-1)^n sin r, x = n pi + r, |r| <= pi/2, pi in three parts; sin r = r + r^3 S(r^2)
 *     cos x = sin(x + pi/2): the same with n - 1/2 in the place of n
 *
 * S is a minimax fit, in f32 one for either way of rounding, so that the cosine of 0 is 1. */
#ifndef BPI_CPU_SINE_H
#define BPI_CPU_SINE_H

#include "cpu/elementwise.h"
#include "cpu/vmath.h"

#define BPI_NEAR 0x1p18 /* as far |r| is hardly larger, and n times the parts of pi exact */

/* r of x, |x| <= BPI_NEAR, and the low bit of n; `quarter` is 1/2 for the cosine, else 0. */
#if defined(BPI_FUSED) && !BPI_F64
INLINE real bpi_half_turn(real x, real quarter, bpi_bits *n)
{
    real t = quarter != 0 ? bpi_fma(x, 0x1.45f306p-2f, quarter) + BPI_SHIFT
                          : bpi_fma(x, 0x1.45f306p-2f, BPI_SHIFT);
    real k = t - BPI_SHIFT - quarter;
    real high = bpi_fma(k, -0x1.921fb6p+1f, x); /* exact where it may be small */
    *n = bpi_to_bits(t);
    return bpi_fma(k, 0x1.ee59dap-49f, bpi_fma(k, 0x1.777a5cp-24f, high));
}
#else
/* in f64 for both types */
INLINE real bpi_half_turn(real x, real quarter, bpi_bits *n)
{
    union {
        double number;
        uint64_t bits;
    } t = {(double)x * 0x1.45f306dc9c883p-2 + (double)quarter + 0x1.8p52};
    double k = t.number - 0x1.8p52 - (double)quarter, high = (double)x - k * 0x1.921fb544p1;
    double middle = k * 0x1.0b4611a6p-33, r = high - middle;
    double lost = (high - r) - middle;
    *n = (bpi_bits)t.bits;
    return (real)(r + (lost - k * 0x1.3198a2e037073p-68));
}
#endif

/* sin(x + quarter pi) */
INLINE real bpi_wave(real x, real quarter)
{
    bpi_bits n;
    real r = bpi_half_turn(x, quarter, &n), z = r * r;
#if BPI_F64
    real s = 0x1.8829c25b9e31fp-49;
    s = bpi_fma(s, z, -0x1.ae431ee76d396p-41);
    s = bpi_fma(s, z, 0x1.6123cb2ea511dp-33);
    s = bpi_fma(s, z, -0x1.ae6454cb70589p-26);
    s = bpi_fma(s, z, 0x1.71de3a5288047p-19);
    s = bpi_fma(s, z, -0x1.a01a01a0148c6p-13);
    s = bpi_fma(s, z, 0x1.11111111110c1p-7);
    s = bpi_fma(s, z, -0x1.5555555555555p-3);
#elif defined(BPI_FUSED)
    real s = 0x1.5cd858p-19f;
    s = bpi_fma(s, z, -0x1.9f6312p-13f);
    s = bpi_fma(s, z, 0x1.110eaap-7f);
    s = bpi_fma(s, z, -0x1.55554cp-3f);
#else
    real s = 0x1.5ce78ep-19f;
    s = bpi_fma(s, z, -0x1.9f613ep-13f);
    s = bpi_fma(s, z, 0x1.110e86p-7f);
    s = bpi_fma(s, z, -0x1.55554ap-3f);
#endif
    return bpi_from_bits(bpi_to_bits(bpi_fma(r * z, s, r)) ^ n << (8 * sizeof n - 1));
}

INLINE real bpi_sin_of(real x) { return x == 0 ? x : bpi_wave(x, 0); /* keeps the sign of 0 */ }
INLINE real bpi_cos_of(real x) { return bpi_wave(x, (real)0.5); }

/* Whether one of n numbers is too large for bpi_sin_of. */
INLINE int bpi_goes_far(const real *x, int64_t n)
{
    int far = 0;
    for (int64_t i = 0; i < n; i++)
        far |= abs_of(x[i]) > (real)BPI_NEAR;
    return far;
}

/* In a run where one is, by the C library where it must be. */
OUTLINE real bpi_any_sin_of(real x)
{
    return abs_of(x) > (real)BPI_NEAR ? (real)sin((double)x) : bpi_sin_of(x);
}

OUTLINE real bpi_any_cos_of(real x)
{
    return abs_of(x) > (real)BPI_NEAR ? (real)cos((double)x) : bpi_cos_of(x);
}

/* `goes_far` says of the whole run whether one does. It is a constant, so that a run is compiled
 * twice and the one without calls becomes vectors. */
#define sin_of(x) (goes_far ? bpi_any_sin_of(x) : bpi_sin_of(x))
#define cos_of(x) (goes_far ? bpi_any_cos_of(x) : bpi_cos_of(x))

/* A bpi_run_fn of two that asks part after part: x is in[from]. */
INLINE void bpi_wave_run(bpi_run_fn near, bpi_run_fn far, int from, real *to,
                         const bpi_operand in[BPI_INPUTS], int64_t n, const double *k, int past)
{
    enum { PART = 1024 }; /* elements, in L1 when they are asked, and then used */
    bpi_operand part[BPI_INPUTS] = {in[0], in[1], in[2]};
    for (int64_t left = n; left > 0; left -= PART, to += PART) {
        const int64_t count = at_most(left, PART);
        const bpi_run_fn run =
            bpi_goes_far(part[from].at, part[from].step ? count : UNIT) ? far : near;
        run(to, part, count, k, past);
        for (int i = 0; i < BPI_INPUTS; i++)
            part[i].at = (const real *)part[i].at + PART / UNIT * part[i].step;
    }
}

#endif
