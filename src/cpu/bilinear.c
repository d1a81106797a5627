/* Images at the places of others, between four pixels.
 *
 *     upsample_bilinear  x [N, H, W, C] -> y [N, H', W', C]   y = sum of 4 pixels of x, by weights
 *     bilinear_spread    x [N, H, W, C] -> y [N, H', W', C]   the transpose: each x shared out to 4
 *
 * Pixel i of the first kind's y lies between `at` and `next` of x, `t` of the way. A row of y is
 * made by one thread, in order. Floor: x and y once. The rule: src/ops/upsample.c. */
#include <string.h>

#include "cpu/loop.h"
#include "door/kernel_params.h"

typedef struct job {
    const real *x;
    real *y;
    int64_t n, h, w, c, rows, columns; /* of x; of y */
    int64_t per_block;                 /* rows */
} job;

typedef struct place {
    int64_t at, next;
    real t;
} place;

/* Of pixel i among `many`, on an axis of `size`. */
static place place_of(int64_t i, int64_t many, int64_t size)
{
    const double centre = ((double)i + 0.5) * (double)size / (double)many - 0.5;
    const double held = centre < 0 ? 0 : centre;
    const int64_t at = at_most((int64_t)held, size - 1);
    return (place){at, at_most(at + 1, size - 1), (real)(held - (double)at)};
}

static void up_block(void *arg, int64_t block)
{
    const job *j = arg;
    const int64_t end = at_most((block + 1) * j->per_block, j->n * j->rows), row = j->w * j->c;
    for (int64_t p = block * j->per_block; p < end; p++) {
        const place h = place_of(p % j->rows, j->rows, j->h);
        const real *image = j->x + p / j->rows * j->h * row;
        const real *upper = image + h.at * row, *lower = image + h.next * row;
        real *y = j->y + p * j->columns * j->c;
        for (int64_t q = 0; q < j->columns; q++, y += j->c) {
            const place w = place_of(q, j->columns, j->w);
            const real *a = upper + w.at * j->c, *b = upper + w.next * j->c;
            const real *c = lower + w.at * j->c, *d = lower + w.next * j->c;
            BPI_EACH(j->c, y[i] = (1 - h.t) * ((1 - w.t) * a[i] + w.t * b[i]) +
                                  h.t * ((1 - w.t) * c[i] + w.t * d[i]))
        }
    }
}

/* Row h of an image of y: rows of x that lie around it. */
static void spread_row(const job *j, const real *image, int64_t h, real *y)
{
    memset(y, 0, (size_t)(j->columns * j->c) * sizeof *y);
    /* a row to spare on either side: places are rounded */
    const double ratio = (double)j->h / (double)j->rows;
    const int64_t first = at_least((int64_t)((double)(h - 1) * ratio) - 1, 0);
    const int64_t end = at_most((int64_t)((double)(h + 2) * ratio) + 2, j->h);
    for (int64_t p = first; p < end; p++) {
        const place v = place_of(p, j->h, j->rows);
        const real of_row = (v.at == h ? 1 - v.t : 0) + (v.next == h ? v.t : 0);
        if (v.at != h && v.next != h)
            continue;
        for (int64_t q = 0; q < j->w; q++) {
            const place w = place_of(q, j->w, j->columns);
            const real *x = image + (p * j->w + q) * j->c;
            real *a = y + w.at * j->c, *b = y + w.next * j->c;
            const real near = of_row * (1 - w.t), far = of_row * w.t;
            BPI_EACH(j->c, a[i] += near * x[i])
            BPI_EACH(j->c, b[i] += far * x[i])
        }
    }
}

static void spread_block(void *arg, int64_t block)
{
    const job *j = arg;
    const int64_t end = at_most((block + 1) * j->per_block, j->n * j->rows);
    for (int64_t i = block * j->per_block; i < end; i++)
        spread_row(j, j->x + i / j->rows * j->h * j->w * j->c, i % j->rows,
                   j->y + i * j->columns * j->c);
}

static bp_status run(bp_exec *ex, const bp_view *in, const bp_view *out, bp_block_fn body)
{
    const int64_t *x = in->shape.dim, *y = out->shape.dim;
    job j = {in->data, out->data, x[0], x[1], x[2], x[3], y[1], y[2], 0};
    const int64_t row = at_least(j.columns, j.w) * j.c * at_least(j.h / j.rows, 1);
    j.per_block = at_least(BPI_GRAIN / row, 1);
    bp_parallel_for(ex, parts(j.n * j.rows, j.per_block), body, &j);
    return BP_OK;
}

static bp_status up(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    return run(ex, in, out, up_block);
}

static bp_status spread(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    return run(ex, in, out, spread_block);
}

BPI_CPU_OP(upsample_bilinear) = {.slot[BPI_FORWARD] = {.fn = up}};
BPI_CPU_OP(bilinear_spread) = {.slot[BPI_FORWARD] = {.fn = spread}};
