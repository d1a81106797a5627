/* Elements brought from where they lie into a buffer (bring.h): repeated ones and rows in vectors,
 * columns a square of vectors at a time, so that both sides are whole cache lines; all else, and
 * what is not as wide as a `real`, one by one. Users: elementwise.c, over_axes.c.
 *
 * A row may end in a whole vector: what is too much is written over by the next one, and what is
 * behind the last goes into BPI_BEHIND. */
#include "cpu/bring.h"

#include "cpu/vec.h"

enum { AHEAD = 64 }; /* columns */

typedef uint32_t __attribute__((may_alias)) word4;
typedef uint64_t __attribute__((may_alias)) word8;
typedef uint64_t words __attribute__((vector_size(BPI_VECTOR_BYTES), aligned(1), may_alias));

#define MOVE(T)                                                                              \
    for (int64_t i = 0; i < rows; i++)                                                       \
        for (int64_t j = 0; j < n; j++)                                                      \
            ((T *)to)[i * to_row + j * to_step] = ((const T *)from)[i * from_row + j * from_step];

static void move(void *restrict to, int64_t to_row, int64_t to_step, const void *restrict from,
                 int64_t from_row, int64_t from_step, int64_t bytes, int64_t rows, int64_t n)
{
    if (bytes == 4) {
        MOVE(word4)
    } else if (bytes == 8) {
        MOVE(word8)
    } else {
        MOVE(uint8_t)
    }
}

void bpi_repeat(void *buffer, const void *x, int64_t bytes, int64_t n)
{
    uint64_t pattern = bytes == 8 ? *(const word8 *)x
                       : bytes == 4 ? *(const word4 *)x * UINT64_C(0x100000001)
                                    : *(const uint8_t *)x * UINT64_C(0x101010101010101);
    const words v = pattern - (words){0};
    for (char *to = buffer, *end = to + n * bytes; to < end; to += sizeof v)
        *(words *)to = v;
}

static void bring_rows(real *restrict buffer, const real *restrict x, int64_t rows, int64_t row,
                       int64_t n)
{
    for (int64_t i = 0; i < rows; i++, buffer += n, x += row) {
        int64_t j = 0;
        for (; j + LANES <= n; j += LANES)
            store(buffer + j, load(x + j));
        if (j < n)
            store(buffer + j, load_part(x + j, (int)(n - j)));
    }
}

static void put_rows(real *restrict y, const real *restrict buffer, int64_t rows, int64_t row,
                     int64_t n)
{
    for (int64_t i = 0; i < rows; i++, buffer += n, y += row) {
        int64_t j = 0;
        for (; j + LANES <= n; j += LANES)
            store(y + j, load(buffer + j));
        if (j < n)
            store_part(y + j, load(buffer + j), (int)(n - j));
    }
}

/* The last columns come first, for they are whole vectors too. If `far`, what comes AHEAD columns
 * later is fetched, at the end that of the rows below. */
static void bring_columns(real *restrict buffer, const real *restrict x, int64_t rows, int64_t n,
                          int64_t step, int far)
{
    const int64_t last = (n - 1) / LANES * LANES;
    for (int64_t i = 0; i < rows; i += LANES)
        for (int64_t j = last; j >= 0; j -= LANES) {
            const int tall = (int)at_most(rows - i, LANES), wide = (int)at_most(n - j, LANES);
            const real *from = x + i + j * step;
            const real *next = from + (j >= AHEAD ? -AHEAD * step
                                                  : LANES + (last + LANES - AHEAD) * step);
            vec t[LANES];
            if (far)
                UNROLL for (int v = 0; v < LANES; v++)
                    __builtin_prefetch(next + v * step, 0, 2);
            if (tall == LANES && wide == LANES)
                UNROLL for (int v = 0; v < LANES; v++)
                    t[v] = load(from + v * step);
            else
                UNROLL for (int v = 0; v < LANES; v++)
                    t[v] = load_part(from + (v < wide ? v : wide - 1) * step, tall);
            transpose(t);
            UNROLL for (int v = 0; v < LANES; v++)
                if (v < tall)
                    store(buffer + (i + v) * n + j, t[v]);
        }
}

void bpi_bring(void *buffer, const void *x, int64_t bytes, int64_t rows, int64_t row, int64_t n,
               int64_t step, int far)
{
    if (step == 0)
        for (int64_t i = 0; i < rows; i++)
            bpi_repeat((char *)buffer + i * n * bytes, (const char *)x + i * row * bytes, bytes, n);
    else if (step == 1 && bytes == sizeof(real))
        bring_rows(buffer, x, rows, row, n);
    else if (row == 1 && bytes == sizeof(real))
        bring_columns(buffer, x, rows, n, step, far);
    else
        move(buffer, n, 1, x, row, step, bytes, rows, n);
}

void bpi_put(void *y, const void *buffer, int64_t bytes, int64_t rows, int64_t row, int64_t n,
             int64_t step)
{
    if (step == 1 && bytes == sizeof(real))
        put_rows(y, buffer, rows, row, n);
    else
        move(y, row, step, buffer, n, 1, bytes, rows, n);
}
