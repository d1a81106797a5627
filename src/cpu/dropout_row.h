/* Dropout of a run of consecutive stream elements: y = kept ? x * scale : 0, with the counter
 * layout of philox.h, so that the bits are the same wherever a row is cut. */
#ifndef BPI_CPU_DROPOUT_ROW_H
#define BPI_CPU_DROPOUT_ROW_H

#include "cpu/draws.h"
#include "cpu/vec.h"

enum { BPI_DROPOUT_RUN = 2 * BPI_NUMBERS };

/* What a kernel draws with, from its `rng` and params; returns the scale of what is kept. */
static inline real bpi_dropout_init(bpi_dropout *d, const bp_view *rng, uint32_t site,
                                    uint32_t keep)
{
    *d = (bpi_dropout){bpi_stream_of(rng, BPI_PURPOSE_DROPOUT, site), keep};
    return keep ? (real)(65536.0 / keep) : 0;
}

/* Asks for a run that comes 4 KB later: while one is drawn, nothing else does. It need not be
 * there. */
static inline void bpi_fetch_run(const real *x)
{
    for (size_t line = 0; line < BPI_DROPOUT_RUN * sizeof(real); line += 64)
        __builtin_prefetch((const void *)((uintptr_t)x + 4096 + line));
}

/* y[i] = half[i] is kept ? x[i] * scale : 0. Half-words lie in the order of their words. */
INLINE void bpi_drop(real *y, const real *x, int64_t n, const uint16_t *half, int64_t first,
                     uint32_t keep, real scale)
{
    for (int64_t i = 0; i < n; i++) {
        real v = x[i] * scale;
        y[i] = half[(first + i) ^ BPI_HIGH_FIRST] < keep ? v : 0;
    }
}

/* y[i] = element first + i of the stream is kept ? x[i] * scale : 0. x may be y. `past` the caches
 * go whole runs of a y that is aligned to vectors there. */
static inline void bpi_dropout_row(const int past, real *y, const real *x, int64_t n,
                                   uint64_t first, const bpi_dropout *d, real scale)
{
    uint32_t word[BPI_NUMBERS];
    uint16_t half[BPI_DROPOUT_RUN];
    for (int64_t i = 0; i < n;) {
        uint64_t at = first + (uint64_t)i;
        int64_t skip = (int64_t)(at % 8), run = at_most(BPI_DROPOUT_RUN - skip, n - i);
        bpi_draw_words(word, &d->stream, at / 8, BPI_NUMBERS);
        memcpy(half, word, sizeof half);
        if (run == BPI_DROPOUT_RUN) { /* without a loop's edges */
            const int streams = past && (uintptr_t)(y + i) % BPI_VECTOR_BYTES == 0;
            bpi_fetch_run(x + i);
            for (int j = 0; j < BPI_DROPOUT_RUN; j += 2 * LANES) { /* half-words of one vector */
                _Alignas(64) real some[2 * LANES];
                bpi_drop(some, x + i + j, 2 * LANES, half, j, d->keep, scale);
                UNROLL for (int k = 0; k < 2 * LANES; k += LANES)
                    if (streams)
                        stream(y + i + j + k, load(some + k));
                    else
                        store(y + i + j + k, load(some + k));
            }
        } else {
            bpi_drop(y + i, x + i, run, half, skip, d->keep, scale);
        }
        i += run;
    }
}

#endif
