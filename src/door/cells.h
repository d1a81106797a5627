/* What becomes of one number of each gate in a recurrent cell, and its gradient: written once for
 * every device, as formulas.h. The rules: src/ops/recurrent.c. */
#ifndef BPI_CELLS_H
#define BPI_CELLS_H

#include "door/formulas.h"

#if defined(__cplusplus)
namespace bpi {
#endif

/* sigmoid(x) sigmoid(-x), which does not cancel. */
BPI_FORMULA real sigmoid_slope_of(real x)
{
    const real e = exp_of(-abs_of(x));
    return e / ((1 + e) * (1 + e));
}

/* c' and h' of the gates, before their functions, and of c. */
BPI_FORMULA void lstm_of(real i, real f, real g, real o, real c, real *c_next, real *h_next)
{
    const real next = sigmoid_of(f) * c + sigmoid_of(i) * tanh_of(g);
    *c_next = next;
    *h_next = sigmoid_of(o) * tanh_of(next);
}

/* Of dh' and dc' the gradients d[] of i, f, g, o and c. */
BPI_FORMULA void lstm_slope_of(real i, real f, real g, real o, real c, real dh, real dc, real *d)
{
    const real in = sigmoid_of(i), keep = sigmoid_of(f), cell = tanh_of(g);
    const real t = tanh_of(keep * c + in * cell);
    const real all = dc + dh * sigmoid_of(o) * ((1 - t) * (1 + t));
    d[0] = all * cell * sigmoid_slope_of(i);
    d[1] = all * c * sigmoid_slope_of(f);
    d[2] = all * in * ((1 - cell) * (1 + cell));
    d[3] = dh * t * sigmoid_slope_of(o);
    d[4] = all * keep;
}

/* h' of r, z, n of x, n of h, and h. */
BPI_FORMULA real gru_of(real r, real z, real n, real nh, real h)
{
    return sigmoid_of(-z) * tanh_of(n + sigmoid_of(r) * nh) + sigmoid_of(z) * h;
}

/* Of dh' the gradients d[] of r, z, n of x, n of h, and h. */
BPI_FORMULA void gru_slope_of(real r, real z, real n, real nh, real h, real dy, real *d)
{
    const real reset = sigmoid_of(r), m = tanh_of(n + reset * nh);
    d[2] = dy * sigmoid_of(-z) * ((1 - m) * (1 + m));
    d[0] = d[2] * nh * sigmoid_slope_of(r);
    d[1] = dy * (h - m) * sigmoid_slope_of(z);
    d[3] = d[2] * reset;
    d[4] = dy * sigmoid_of(z);
}

#if defined(__cplusplus)
} // namespace bpi
#endif
#endif
