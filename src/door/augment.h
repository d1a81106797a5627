/* Images moved a little, written once for every device: where a pixel of y looks into x. Arithmetic
 * of one rounding each, never a fused multiply-add: all devices have the same bits.
 *
 * Of an image there are six numbers u in [0, 1): the shift down and across, whether left and right
 * change places, by how much its window is smaller, and where that begins, down and across. Of each
 * pixel there are two in [-1, 1), down and across, which become a displacement when they are
 * blurred with the weights below (Simard, Steinkraus, Platt, 2003). The rule: src/ops/augment.c. */
#ifndef BPI_AUGMENT_H
#define BPI_AUGMENT_H

#include "door/kernel_params.h"

/* exp(-t) for t from 0 to 12, the same on every host: a series for t / 64, squared six times. */
static inline double bpi_augment_exp(double t)
{
    double e = 1;
    for (int k = 12; k > 0; k--)
        e = 1 - t / 64 / k * e;
    for (int k = 0; k < 6; k++)
        e *= e;
    return e;
}

/* The weights of a Gaussian at distances 0, 1, ... up to three deviations, which sum to 1 over both
 * sides; how many there are. */
static inline int bpi_augment_blur(double deviation, double *weight)
{
    int n = 0;
    double sum = 0;
    do {
        weight[n] = bpi_augment_exp(n * n / (2 * deviation * deviation));
        sum += n ? 2 * weight[n] : weight[n];
        n++;
    } while (n <= BPI_AUGMENT_REACH && n <= 3 * deviation);
    for (int i = 0; i < n; i++)
        weight[i] /= sum;
    return n;
}

#if defined(__cplusplus)
#define BPI_AUGMENT_FN template <typename real> __device__ static inline
namespace bpi {
#else
#define BPI_AUGMENT_FN static inline __attribute__((always_inline))
#endif

#if defined(__CUDA_ARCH__)
__device__ static inline float product_sum(float a, float b, float c)
{
    return __fadd_rn(__fmul_rn(a, b), c);
}
__device__ static inline double product_sum(double a, double b, double c)
{
    return __dadd_rn(__dmul_rn(a, b), c);
}
#else
BPI_AUGMENT_FN real product_sum(real a, real b, real c)
{
    return a * b + c;
}
#endif

typedef struct bpi_move {
    int32_t shift[2], flip, crop, begin[2]; /* down, across */
} bpi_move;

/* One of 0 .. n - 1. */
BPI_AUGMENT_FN int32_t one_of(real u, int32_t n)
{
    const int32_t i = (int32_t)(u * (real)n);
    return i < n ? i : n - 1;
}

BPI_AUGMENT_FN bpi_move move_of(const real *u, const bpi_augment_params *p)
{
    bpi_move m;
    m.crop = one_of(u[3], p->crop + 1);
    m.flip = p->flip && u[2] < (real)0.5;
    for (int i = 0; i < 2; i++) {
        m.shift[i] = one_of(u[i], 2 * p->shift + 1) - p->shift;
        m.begin[i] = one_of(u[4 + i], m.crop + 1);
    }
    return m;
}

/* Where pixel i along an axis (0: down) of this size looks, `off` behind all else. */
BPI_AUGMENT_FN real place_of(const bpi_move *m, int axis, int32_t i, int32_t size, real off)
{
    real at = (real)i;
    if (m->crop > 0) { /* the window is stretched over the image, edge to edge */
        const real part = (real)(size - m->crop) / (real)size;
        at = product_sum(at + (real)0.5, part, (real)m->begin[axis] - (real)0.5);
        at = at < 0 ? 0 : at > (real)(size - 1) ? (real)(size - 1) : at;
    }
    if (axis == 1 && m->flip)
        at = (real)(size - 1) - at;
    return at - (real)m->shift[axis] + off;
}

/* The whole number below a place, and how far it is from there. */
BPI_AUGMENT_FN int32_t floor_of(real at, real *part)
{
    const int32_t below = (int32_t)at - (at < (real)(int32_t)at);
    *part = at - (real)below;
    return below;
}

#if defined(__cplusplus)
} // namespace bpi
#endif
#endif
