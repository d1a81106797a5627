/* augment: images moved a little, as src/door/augment.h says: shifted, flipped, cropped, bent.
 *
 * Forward: x [N, H, W, C] (u8 or real), u [N, 6], and if bent noise [N, 2, H, W] -> y, and if bent
 * three planes [N, 3, H, W] to work in. The noise is blurred along rows, then along columns; a
 * pixel of y lies between four of x, and what is outside x is 0. An image is a block. Floor: x and
 * y once. The rule: src/ops/augment.c. */
#include <string.h>

#include "cpu/loop.h"
#include "door/augment.h"

typedef struct job {
    const void *x;
    const real *u, *noise; /* noise NULL: none */
    real *y, *planes;      /* of an image: blurred rows, the displacements down and across */
    int64_t h, w, c;
    bpi_augment_params params;
    int bytes, reach; /* x is u8; weights of the blur: */
    real across[BPI_AUGMENT_REACH + 1], down[BPI_AUGMENT_REACH + 1]; /* those down times alpha */
} job;

/* y = sum_k weight[|k|] x[. + k step] of n numbers, as far as there are some. */
static void blur(const job *j, const real *weight, const real *x, real *y, int64_t n, int64_t step)
{
    BPI_EACH(n, y[i] = weight[0] * x[i])
    for (int64_t k = 1; k < j->reach && k * step < n; k++) {
        const real a = weight[k];
        BPI_EACH(n - k * step, y[i + k * step] += a * x[i])
        BPI_EACH(n - k * step, y[i] += a * x[i + k * step])
    }
}

static void displace(const job *j, const real *noise, real *rows, real *to)
{
    for (int64_t i = 0; i < j->h; i++)
        blur(j, j->across, noise + i * j->w, rows + i * j->w, j->w, 1);
    blur(j, j->down, rows, to, j->h * j->w, j->w);
}

static real pixel(const job *j, int64_t n, int64_t row, int64_t column, int64_t c)
{
    const int64_t at = ((n * j->h + row) * j->w + column) * j->c + c;
    if (row < 0 || row >= j->h || column < 0 || column >= j->w)
        return 0;
    return j->bytes ? (real)((const uint8_t *)j->x)[at] : ((const real *)j->x)[at];
}

static real between(real a, real b, real part)
{
    return product_sum(part, b - a, a);
}

static void block_fn(void *arg, int64_t n)
{
    const job *j = arg;
    const int64_t plane = j->h * j->w;
    const bpi_move m = move_of(j->u + n * BPI_AUGMENT_DRAWS, &j->params);
    real *rows = j->planes + 3 * n * plane, *off = rows + plane;
    for (int k = 0; k < 2 && j->noise; k++)
        displace(j, j->noise + (2 * n + k) * plane, rows, off + k * plane);
    for (int64_t i = 0; i < plane; i++) {
        const int32_t h = (int32_t)(i / j->w), w = (int32_t)(i % j->w);
        real down, across;
        const int32_t row = floor_of(
            place_of(&m, 0, h, (int32_t)j->h, j->noise ? off[i] : 0), &down);
        const int32_t column = floor_of(
            place_of(&m, 1, w, (int32_t)j->w, j->noise ? off[plane + i] : 0), &across);
        for (int64_t c = 0; c < j->c; c++) {
            const real upper = between(pixel(j, n, row, column, c),
                                       pixel(j, n, row, column + 1, c), across);
            const real lower = between(pixel(j, n, row + 1, column, c),
                                       pixel(j, n, row + 1, column + 1, c), across);
            j->y[(n * plane + i) * j->c + c] = between(upper, lower, down);
        }
    }
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const int64_t *x = in->shape.dim;
    job j = {.x = in[0].data, .u = in[1].data, .y = out->data,
             .h = x[1], .w = x[2], .c = x[3], .bytes = in[0].dtype == BP_U8};
    memcpy(&j.params, params, sizeof j.params);
    if (j.params.bent) {
        double weight[BPI_AUGMENT_REACH + 1];
        j.noise = in[2].data;
        j.planes = out[1].data;
        j.reach = bpi_augment_blur(j.params.deviation, weight);
        for (int k = 0; k < j.reach; k++) {
            j.across[k] = (real)weight[k];
            j.down[k] = (real)(j.params.alpha * weight[k]);
        }
    }
    bp_parallel_for(ex, x[0], block_fn, &j);
    return BP_OK;
}

BPI_CPU_OP(augment) = {.slot[BPI_FORWARD] = {.fn = forward}};
