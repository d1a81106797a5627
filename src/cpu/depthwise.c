/* Depthwise convolution: a filter a channel, so that lanes are channels and nothing is a product of
 * matrices. A step takes a vector of channels and a few pixels; the weights of a tap are loaded
 * once for all of them. Users: conv2d.c, conv2d_filter.c. */
#include "cpu/conv.h"
#include "cpu/vec.h"

enum { PIXELS = 6 }; /* of a step: sums that do not wait for each other */

/* What is in the image of a window: so many rows of so many taps, from x and w [R S][C] on. */
typedef struct window {
    int64_t rows, taps;
    const real *x, *w, *b; /* b: [C], or NULL */
    int relu;
} window;

/* `count` pixels of y, channels c of which there are `left`. */
INLINE void step(const int count, const int masked, const bpi_conv *g, const window *k, real *y,
                 int64_t c, int64_t left)
{
#define LOAD(p) (masked ? load_part(p, (int)left) : load(p))
    const vec zero = splat(0);
    const int64_t row = g->apart * g->w * g->c, column = g->beside * g->c, next = g->across * g->c;
    const real *x = k->x + c, *w = k->w + c;
    vec acc[PIXELS];
    UNROLL for (int i = 0; i < count; i++)
        acc[i] = zero;
    for (int64_t rows = k->rows; rows > 0; rows--, x += row, w += g->s * g->c) {
        const real *weights = w, *third[PIXELS / 3]; /* what addressing reaches from one pointer */
        UNROLL for (int i = 0; i < count; i += 3)
            third[i / 3] = x + i * next;
        for (int64_t taps = k->taps; taps > 0; taps--, weights += g->c) {
            const vec weight = LOAD(weights);
            UNROLL for (int i = 0; i < count; i++)
                acc[i] += weight * LOAD(third[i / 3] + i % 3 * next);
            UNROLL for (int i = 0; i < count; i += 3)
                third[i / 3] += column;
        }
    }
    y += c;
    UNROLL for (int i = 0; i < count; i++, y += g->c) {
        if (k->b)
            acc[i] += LOAD(k->b + c);
        if (k->relu)
            acc[i] = (vec)((lane_mask)acc[i] & ~(lane_mask)(acc[i] < zero));
        if (masked)
            store_part(y, acc[i], (int)left);
        else
            store(y, acc[i]);
    }
#undef LOAD
}

/* All channels of a few pixels: what they see lies together. */
#define STEP(count)                                                                              \
    OUTLINE void step_##count(const bpi_conv *g, const window *k, real *y)                       \
    {                                                                                            \
        int64_t c = 0;                                                                           \
        for (; c + LANES <= g->c; c += LANES)                                                    \
            step(count, 0, g, k, y, c, LANES);                                                   \
        if (c < g->c)                                                                            \
            step(count, 1, g, k, y, c, g->c - c);                                                \
    }
STEP(1) STEP(6)

void BPI_CPU(depthwise_rows)(const bpi_conv *g, const real *x, const real *w, const real *b,
                             int relu, real *y, int64_t p, int64_t rows)
{
    const int64_t end = p + rows, last = (g->s - 1) * g->beside - g->left;
    int64_t inner, inner_end, unused; /* pixels that see all columns of a window */
    conv_inside(-g->left, g->across, g->w, g->q, &inner, &unused);
    conv_inside(last, g->across, g->w, g->q, &unused, &inner_end);
    for (; p < end; p++) {
        const int64_t h = p * g->down - g->top;
        int64_t r, r_end, s, s_end;
        conv_inside(h, g->apart, g->h, g->r, &r, &r_end);
        for (int64_t q = 0; q < g->q;) {
            const int64_t at = q * g->across - g->left;
            const int whole = q >= inner && q + PIXELS <= inner_end;
            conv_inside(at, g->beside, g->w, g->s, &s, &s_end);
            const window k = {r_end - r, s_end - s,
                              x + ((h + r * g->apart) * g->w + at + s * g->beside) * g->c,
                              w + (r * g->s + s) * g->c, b, relu};
            (whole ? step_6 : step_1)(g, &k, y + (p * g->q + q) * g->c);
            q += whole ? PIXELS : 1;
        }
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
