/* What becomes of one number of each gate in a recurrent cell, and its gradient: written once for
 * every device, as formulas.h. The rules: src/ops/recurrent.c. */
#ifndef BPI_CELLS_H
#define BPI_CELLS_H

#include "door/formulas.h"

#if defined(__cplusplus)
namespace bpi {
#endif

/* 1 - tanh(x)^2, with all its digits where tanh(x) is nearly 1. */
BPI_FORMULA real tanh_slope_of(real x)
{
    const real e = exp_of(-2 * abs_of(x)), most = 1 + e;
    return 4 * e / (most * most);
}

/* The gates i, f and o are open and shut, g and t are tanh of the gate and of c', dg and dt the
 * slopes there. Of dh' and dc' the gradients d[] of i, f, g, o, before their functions, and of
 * c. */
BPI_FORMULA void lstm_slope_of(const real *open, const real *shut, real g, real dg, real t, real dt,
                               real c, real dh, real dc, real *d)
{
    const real all = dc + dh * open[2] * dt;
    d[0] = all * g * (open[0] * shut[0]);
    d[1] = all * c * (open[1] * shut[1]);
    d[2] = all * open[0] * dg;
    d[3] = dh * t * (open[2] * shut[2]);
    d[4] = all * open[1];
}

/* The gates r and z are open and shut, m is tanh(n + r nh), dm its slope. Of dh' the gradients d[]
 * of r, z, n of x and n of h, before their functions, and of h. */
BPI_FORMULA void gru_slope_of(const real *open, const real *shut, real m, real dm, real nh, real h,
                              real dy, real *d)
{
    d[2] = dy * shut[1] * dm;
    d[0] = d[2] * nh * (open[0] * shut[0]);
    d[1] = dy * (h - m) * (open[1] * shut[1]);
    d[3] = d[2] * open[0];
    d[4] = dy * open[1];
}

#if defined(__cplusplus)
} // namespace bpi
#endif
#endif
