/* elu: y = x where x > 0, else alpha (e^x - 1), by expm1 so that small x keep their digits.
 * Forward: x -> y. Backward: dy, x -> dx = dy where x > 0, else dy alpha e^x.
 * Floor: 2 elements of memory traffic an element, 3 backward. The rule: src/ops/elu.c. */
#include "cpu/elementwise.h"
#include "cpu/vmath.h"
#include "door/kernel_params.h"

BPI_MAP(forward_block, real, real, a > 0 ? a : k * bpi_expm1(a))
BPI_MAP(backward_block, real, real, b > 0 ? a : a * k * bpi_exp(b))

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_scale_params *p = params;
    return bpi_elementwise(ex, forward_block, BPI_GRAIN_EXP, out, in, NULL, p->factor);
}

static bp_status backward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_scale_params *p = params;
    return bpi_elementwise(ex, backward_block, BPI_GRAIN_EXP, out, &in[0], &in[1], p->factor);
}

BPI_CPU_OP(elu) = {.slot = {[BPI_FORWARD] = {.fn = forward, .layout = BPI_ANY},
                            [BPI_BACKWARD] = {.fn = backward, .layout = BPI_ANY}}};
