/* sin_of(x) and cos_of(x) over `real`, like vmath.h, at most 2 ulp.
 *
 *     x = n pi/2 + r, |r| <= pi/4, pi/2 in three parts; r + r^3 S(r^2), 1 - r^2/2 + r^4 C(r^2)
 *
 * S and C are Chebyshev fits. */
#ifndef BPI_CPU_SINE_H
#define BPI_CPU_SINE_H

#include "cpu/vmath.h"

#define BPI_NEAR 0x1p20 /* as far n and its products with the parts of pi/2 are exact */

/* r of x and the low bits of n, |x| <= BPI_NEAR. */
#if defined(BPI_FUSED) && !BPI_F64
INLINE real bpi_quadrant(real x, uint32_t *n)
{
    real t = bpi_fma(x, 0x1.45f306p-1f, BPI_SHIFT), k = t - BPI_SHIFT;
    real high = bpi_fma(k, -0x1.921fb6p+0f, x); /* exact */
    *n = bpi_to_bits(t);
    return bpi_fma(k, 0x1.ee59dap-50f, bpi_fma(k, 0x1.777a5cp-25f, high));
}
#else
/* in f64 for both types */
INLINE real bpi_quadrant(real x, uint32_t *n)
{
    union {
        double number;
        uint64_t bits;
    } t = {(double)x * 0x1.45f306dc9c883p-1 + 0x1.8p52};
    double k = t.number - 0x1.8p52, high = (double)x - k * 0x1.921fb544p0;
    double middle = k * 0x1.0b4611a6p-34, r = high - middle;
    double lost = (high - r) - middle;
    *n = (uint32_t)t.bits;
    return (real)(r + (lost - k * 0x1.3198a2e037073p-69));
}
#endif

INLINE real bpi_sin_of_quadrant(real r, uint32_t n)
{
    real z = r * r;
#if BPI_F64
    real s = 0x1.5e0a4fc156636p-33, c = -0x1.907cd8ff4957dp-37;
    s = bpi_fma(s, z, -0x1.ae6008d113ff5p-26);
    s = bpi_fma(s, z, 0x1.71de37946ed68p-19);
    s = bpi_fma(s, z, -0x1.a01a019e820aep-13);
    s = bpi_fma(s, z, 0x1.1111111110babp-7);
    s = bpi_fma(s, z, -0x1.5555555555555p-3);
    c = bpi_fma(c, z, 0x1.1eeb67d026c7dp-29);
    c = bpi_fma(c, z, -0x1.27e4fa16cc2cep-22);
    c = bpi_fma(c, z, 0x1.a01a019f4ddfdp-16);
    c = bpi_fma(c, z, -0x1.6c16c16c16963p-10);
    c = bpi_fma(c, z, 0x1.5555555555555p-5);
#else
    real s = -0x1.9ac856p-13f, c = 0x1.9bd786p-16f;
    s = bpi_fma(s, z, 0x1.110c26p-7f);
    s = bpi_fma(s, z, -0x1.555552p-3f);
    c = bpi_fma(c, z, -0x1.6c12dp-10f);
    c = bpi_fma(c, z, 0x1.555554p-5f);
#endif
    real sine = bpi_fma(r * z, s, r), half = (real)0.5 * z, high = 1 - half;
    real cosine = high + bpi_fma(z * z, c, (1 - high) - half);
    real y = n & 1 ? cosine : sine;
    return n & 2 ? -y : y;
}

INLINE real bpi_sin(real x)
{
    uint32_t n;
    real r = bpi_quadrant(x, &n);
    return x == 0 ? x : bpi_sin_of_quadrant(r, n); /* keeps the sign of 0 */
}

INLINE real bpi_cos(real x)
{
    uint32_t n;
    real r = bpi_quadrant(x, &n);
    return bpi_sin_of_quadrant(r, n + 1);
}

/* Whether one of n numbers is too large for bpi_sin. */
INLINE int bpi_goes_far(const real *x, int64_t n)
{
    int far = 0;
    for (int64_t i = 0; i < n; i++)
        far |= abs_of(x[i]) > (real)BPI_NEAR;
    return far;
}

/* In a loop where one is, by the C library where it must be. */
OUTLINE real bpi_any_sin(real x)
{
    return abs_of(x) > (real)BPI_NEAR ? (real)sin((double)x) : bpi_sin(x);
}

OUTLINE real bpi_any_cos(real x)
{
    return abs_of(x) > (real)BPI_NEAR ? (real)cos((double)x) : bpi_cos(x);
}

/* `goes_far` says of the whole loop whether one does: the compiler makes two loops, and the one
 * without calls a vector loop. */
#define sin_of(x) (goes_far ? bpi_any_sin(x) : bpi_sin(x))
#define cos_of(x) (goes_far ? bpi_any_cos(x) : bpi_cos(x))

#endif
