/* Depthwise convolution: a filter a channel, so that lanes are channels and nothing is a product of
 * matrices. A step takes a vector of channels and a few pixels; the weights of a tap are loaded
 * once for all of them. Users: conv2d.c, conv2d_filter.c. */
#include "cpu/conv.h"
#include "cpu/vec.h"

enum { PIXELS = 6 }; /* of a step: sums that do not wait for each other */

/* `count` pixels of y from y on, channels c of which there are `left`. */
INLINE void step(const int count, const int masked, const bpi_conv *g, const real *x, int64_t pitch,
                 const real *w, const real *b, int relu, real *y, int64_t left)
{
#define LOAD(p) (masked ? load_part(p, (int)left) : load(p))
    const vec zero = splat(0);
    vec acc[PIXELS];
    UNROLL for (int i = 0; i < count; i++)
        acc[i] = zero;
    for (int64_t r = 0; r < g->r; r++, x += g->apart * pitch) {
        const real *at = x;
        for (int64_t s = 0; s < g->s; s++, at += g->beside * g->c, w += g->c) {
            const vec weight = LOAD(w);
            UNROLL for (int i = 0; i < count; i++)
                acc[i] += weight * LOAD(at + i * g->across * g->c);
        }
    }
    UNROLL for (int i = 0; i < count; i++, y += g->c) {
        if (b)
            acc[i] += LOAD(b);
        if (relu)
            acc[i] = (vec)((lane_mask)acc[i] & ~(lane_mask)(acc[i] < zero));
        if (masked)
            store_part(y, acc[i], (int)left);
        else
            store(y, acc[i]);
    }
#undef LOAD
}

#define STEP(count, masked)                                                                      \
    OUTLINE void step_##count##_##masked(const bpi_conv *g, const real *x, int64_t pitch,        \
                                         const real *w, const real *b, int relu, real *y,        \
                                         int64_t left)                                           \
    {                                                                                            \
        step(count, masked, g, x, pitch, w, b, relu, y, left);                                   \
    }
STEP(1, 0) STEP(1, 1) STEP(6, 0)

void BPI_CPU(depthwise_rows)(const bpi_conv *g, const real *x, int64_t pitch, const real *w,
                             const real *b, int relu, real *y, int64_t rows)
{
    for (int64_t p = 0; p < rows; p++, x += g->down * pitch, y += g->q * g->c)
        for (int64_t c = 0; c < g->c; c += LANES) {
            const int64_t left = g->c - c;
            const real *bias = b ? b + c : NULL;
            int64_t q = 0;
            for (; left >= LANES && q + PIXELS <= g->q; q += PIXELS)
                step_6_0(g, x + q * g->across * g->c + c, pitch, w + c, bias, relu,
                         y + q * g->c + c, left);
            for (; q < g->q; q++)
                (left < LANES ? step_1_1 : step_1_0)(g, x + q * g->across * g->c + c, pitch, w + c,
                                                     bias, relu, y + q * g->c + c, left);
        }
}

/* The sum over `pixels` of x y, of which the next is `step` further in x. */
INLINE vec product(const int masked, const real *x, int64_t step, const real *y, int64_t next,
                   int64_t pixels, int64_t left)
{
#define LOAD(p) (masked ? load_part(p, (int)left) : load(p))
    vec acc[4] = {splat(0), splat(0), splat(0), splat(0)};
    int64_t i = 0;
    for (; i + 4 <= pixels; i += 4, x += 4 * step, y += 4 * next)
        UNROLL for (int k = 0; k < 4; k++)
            acc[k] += LOAD(x + k * step) * LOAD(y + k * next);
    for (; i < pixels; i++, x += step, y += next)
        acc[0] += LOAD(x) * LOAD(y);
    return (acc[0] + acc[1]) + (acc[2] + acc[3]);
#undef LOAD
}

/* One tap in one row of y: pixels [first, end) find it in the image. */
static void tap(const bpi_conv *g, const real *x, const real *y, int64_t pixels, real *dw)
{
    const int64_t step = g->across * g->c;
    for (int64_t c = 0; c < g->c; c += LANES) {
        const int64_t left = g->c - c;
        if (left >= LANES)
            store(dw + c, load(dw + c) + product(0, x + c, step, y + c, g->c, pixels, left));
        else
            store_part(dw + c, load_part(dw + c, (int)left) +
                       product(1, x + c, step, y + c, g->c, pixels, left), (int)left);
    }
}

void BPI_CPU(depthwise_filter)(const bpi_conv *g, const real *x, const real *y, real *dw)
{
    for (int64_t p = 0; p < g->p; p++)
        for (int64_t r = 0; r < g->r; r++) {
            const int64_t h = p * g->down + r * g->apart - g->top;
            if (h < 0 || h >= g->h)
                continue;
            for (int64_t s = 0; s < g->s; s++) {
                int64_t first, end;
                const int64_t offset = s * g->beside - g->left;
                conv_inside(offset, g->across, g->w, g->q, &first, &end);
                if (first < end)
                    tap(g, x + (h * g->w + first * g->across + offset) * g->c,
                        y + (p * g->q + first) * g->c, end - first, dw + (r * g->s + s) * g->c);
            }
        }
}
