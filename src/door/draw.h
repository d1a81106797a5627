/* What a word of a random stream becomes, with the same bits on every device: arithmetic of one
 * rounding each, in one order, and never a fused multiply-add, written once for all.
 *
 *     unit     the top 24 (f64: 53) bits as a fraction, in [0, 1)
 *     normal   the quantile of the normal distribution at the middle of the word's cell of (0, 1)
 *
 * A word has 32 bits; a number of f64 has a second one below it, from the stream
 * BPI_PURPOSE_DRAW_LOW, so that f32 is a draw of f64 rounded down. The quantile is odd around 1/2:
 * the top bit is the sign, and what is left is taken from the end that is near, so that tails keep
 * their digits. With h = |p - 1/2| and t = 1/2 - h:
 *
 *     h <= 0.425   h A(z) / B(z), z = 0.425^2 - h^2;   else C(z) / D(z), z = sqrt(-log t) - 1.6
 *
 * and for f64 beyond sqrt(-log t) = 5 a third quotient: the form and, in f64, the numbers are those
 * of algorithm AS 241 (Wichura, Applied Statistics 37, 1988), with an error of 1e-16; in f32 they
 * are minimax fits of a lower degree with an error of 5e-8. The logarithm is vmath.h's. */
#ifndef BPI_DRAW_H
#define BPI_DRAW_H

#include <math.h>

#include "door/philox.h"

#if defined(__CUDA_ARCH__)
#define BPI_MUL_ADD_F32(a, b, c) __fadd_rn(__fmul_rn(a, b), c)
#define BPI_MUL_ADD_F64(a, b, c) __dadd_rn(__dmul_rn(a, b), c)
#else
#define BPI_MUL_ADD_F32(a, b, c) ((a) * (b) + (c))
#define BPI_MUL_ADD_F64(a, b, c) ((a) * (b) + (c))
#endif

BPI_HOST_DEVICE float bpi_unit_f32(uint32_t word)
{
    return (float)(int32_t)(word >> 8) * 0x1p-24f;
}

BPI_HOST_DEVICE double bpi_unit_f64(uint64_t word)
{
    return (double)(int64_t)(word >> 11) * 0x1p-53;
}

/* a + b u, and at most `most` where that is rounded up. */
BPI_HOST_DEVICE float bpi_between_f32(float u, float a, float b, float most)
{
    float y = BPI_MUL_ADD_F32(b, u, a);
    return y > most ? most : y;
}

BPI_HOST_DEVICE double bpi_between_f64(double u, double a, double b, double most)
{
    double y = BPI_MUL_ADD_F64(b, u, a);
    return y > most ? most : y;
}

/* -log t for a normal t below 1. */
BPI_HOST_DEVICE float bpi_minus_log_f32(float t)
{
    union { float number; int32_t bits; } u;
    u.number = t;
    int32_t i = u.bits - 0x3f3504f3, n = i >> 23; /* sqrt(1/2) */
    u.bits = (i & 0x7fffff) + 0x3f3504f3;
    float f = u.number - 1, s = f / (2 + f), h = 0.5f * f * f, z = s * s, e = (float)n;
    float l = BPI_MUL_ADD_F32(0x1.31e23ep-2f, z, 0x1.995eccp-2f);
    l = BPI_MUL_ADD_F32(l, z, 0x1.55557ap-1f);
    l = BPI_MUL_ADD_F32(l, z, h);
    l = BPI_MUL_ADD_F32(l, s, e * 0x1.7f7d1cp-20f);
    return (h - l - f) - e * 0x1.62e4p-1f;
}

BPI_HOST_DEVICE double bpi_minus_log_f64(double t)
{
    union { double number; int64_t bits; } u;
    u.number = t;
    int64_t i = u.bits - 0x3fe6a09e667f3bcd, n = i >> 52; /* sqrt(1/2) */
    u.bits = (i & 0xfffffffffffff) + 0x3fe6a09e667f3bcd;
    double f = u.number - 1, s = f / (2 + f), h = 0.5 * f * f, z = s * s, e = (double)(int32_t)n;
    double l = BPI_MUL_ADD_F64(0x1.2f1181102ae9ap-3, z, 0x1.39a09532ac027p-3);
    l = BPI_MUL_ADD_F64(l, z, 0x1.746649b40c1d2p-3);
    l = BPI_MUL_ADD_F64(l, z, 0x1.c71c51d7b7f2bp-3);
    l = BPI_MUL_ADD_F64(l, z, 0x1.249249422a5e3p-2);
    l = BPI_MUL_ADD_F64(l, z, 0x1.999999997f9f7p-2);
    l = BPI_MUL_ADD_F64(l, z, 0x1.5555555555593p-1);
    l = BPI_MUL_ADD_F64(l, z, h);
    l = BPI_MUL_ADD_F64(l, s, e * 0x1.9ef35793c7673p-41);
    return (h - l - f) - e * 0x1.62e42fefa2p-1;
}

/* Both ends are reached alike, and neither is infinite: |normal| <= 6.34 in f32, 9.1 in f64. */
BPI_HOST_DEVICE float bpi_normal_f32(uint32_t word)
{
    int32_t below = (int32_t)word < 0 ? -1 : 0, a = (int32_t)word ^ below;
    float h = ((float)a + 0.5f) * 0x1p-32f, t = ((float)(INT32_MAX - a) + 0.5f) * 0x1p-32f;
    int near_half = h <= 0.425f;
    float z = near_half ? 0.180625f - h * h : sqrtf(bpi_minus_log_f32(t)) - 1.6f;
    float p = near_half ? 0x1.d8dc06p+5f : 0x1.bb8e7cp-3f;
    float q = near_half ? 0x1.0cbe38p+6f : 0x1.6e2b0ep-16f;
    p = BPI_MUL_ADD_F32(p, z, near_half ? 0x1.3e939ap+7f : 0x1.7ac072p+0f);
    q = BPI_MUL_ADD_F32(q, z, near_half ? 0x1.3b06c4p+6f : 0x1.388292p-3f);
    p = BPI_MUL_ADD_F32(p, z, near_half ? 0x1.9378aap+5f : 0x1.6e64f4p+1f);
    q = BPI_MUL_ADD_F32(q, z, near_half ? 0x1.1e5230p+4f : 0x1.9f571ep-1f);
    p = BPI_MUL_ADD_F32(p, z, near_half ? 0x1.b18d90p+1f : 0x1.6c6660p+0f);
    q = BPI_MUL_ADD_F32(q, z, 1);
    float y = near_half ? h * p / q : p / q;
    return below ? -y : y;
}

BPI_HOST_DEVICE double bpi_normal_f64(uint64_t word)
{
    static const double number[3][2][8] = {
        {{2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4,
          4.5921953931549871457e4, 1.3731693765509461125e4, 1.9715909503065514427e3,
          1.3314166789178437745e2, 3.3871328727963666080},
         {5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4,
          2.1213794301586595867e4, 5.3941960214247511077e3, 6.8718700749205790830e2,
          4.2313330701600911252e1, 1}},
        {{7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
          1.27045825245236838258, 3.64784832476320460504, 5.76949722146069140550,
          4.63033784615654529590, 1.42343711074968357734},
         {1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
          1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940,
          2.05319162663775882187, 1}},
        {{2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
          2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580,
          5.46378491116411436990, 6.65790464350110377720},
         {2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5,
          7.86869131145613259100e-4, 1.48753612908506148525e-2, 1.36929880922735805310e-1,
          5.99832206555887937690e-1, 1}}};
    int64_t below = (int64_t)word < 0 ? -1 : 0, a = (int64_t)word ^ below;
    double h = ((double)a + 0.5) * 0x1p-64, t = ((double)(INT64_MAX - a) + 0.5) * 0x1p-64;
    double z = 0.180625 - h * h;
    int part = 0;
    if (!(h <= 0.425)) {
        double r = sqrt(bpi_minus_log_f64(t));
        part = r <= 5 ? 1 : 2;
        z = r - (part == 1 ? 1.6 : 5);
    }
    double p = number[part][0][0], q = number[part][1][0];
    for (int i = 1; i < 8; i++) {
        p = BPI_MUL_ADD_F64(p, z, number[part][0][i]);
        q = BPI_MUL_ADD_F64(q, z, number[part][1][i]);
    }
    double y = part == 0 ? h * p / q : p / q;
    return below ? -y : y;
}

#endif
