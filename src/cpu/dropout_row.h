/* Dropout of a run of consecutive stream elements: y = kept ? x * scale : 0, with the counter
 * layout of philox.h, so that the bits are the same wherever a row is cut.
 *
 * Philox runs on as many blocks at once as a vector has 32-bit lanes, in plain loops over arrays
 * that the compiler turns into vectors: word w of the four sits in its own array. */
#ifndef BPI_CPU_DROPOUT_ROW_H
#define BPI_CPU_DROPOUT_ROW_H

#include <string.h>

#include "cpu/kernel.h"
#include "door/kernel_params.h"
#include "door/philox.h"

enum { BPI_DROPOUT_LANES = BPI_VECTOR_BYTES / 4, BPI_DROPOUT_RUN = 8 * BPI_DROPOUT_LANES };

/* What a kernel draws with, from its `rng` and params; returns the scale of what is kept. */
static inline real bpi_dropout_init(bpi_dropout *d, const bp_view *rng, uint32_t site,
                                    uint32_t keep)
{
    bpi_rng_state s;
    memcpy(&s, rng->data, sizeof s);
    *d = (bpi_dropout){{s.seed, s.step, bpi_purpose_site(BPI_PURPOSE_DROPOUT, site)}, keep};
    return keep ? (real)(65536.0 / keep) : 0;
}

/* The half-words of the blocks from `block` on: half[8 * b + h]. */
static inline void bpi_dropout_halves(uint16_t half[BPI_DROPOUT_RUN], const bpi_stream *s,
                                      uint64_t block)
{
    enum { LANES = BPI_DROPOUT_LANES };
    uint32_t c0[LANES], c1[LANES], c2[LANES], c3[LANES];
    uint32_t k0 = (uint32_t)s->seed, k1 = (uint32_t)(s->seed >> 32);
    for (int i = 0; i < LANES; i++) {
        uint64_t b = block + (uint64_t)i;
        c0[i] = (uint32_t)b;
        c1[i] = (uint32_t)(b >> 32) << 16 | (uint32_t)(s->step >> 32 & 0xFFFF);
        c2[i] = (uint32_t)s->step;
        c3[i] = s->purpose_site;
    }
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < LANES; i++) {
            uint64_t p0 = (uint64_t)0xD2511F53u * c0[i], p1 = (uint64_t)0xCD9E8D57u * c2[i];
            c0[i] = (uint32_t)(p1 >> 32) ^ c1[i] ^ k0;
            c1[i] = (uint32_t)p1;
            c2[i] = (uint32_t)(p0 >> 32) ^ c3[i] ^ k1;
            c3[i] = (uint32_t)p0;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    for (int i = 0; i < LANES; i++) {
        const uint32_t word[4] = {c0[i], c1[i], c2[i], c3[i]};
        for (int h = 0; h < 8; h++)
            half[8 * i + h] = (uint16_t)(word[h / 2] >> 16 * (h % 2));
    }
}

/* y[i] = element first + i of the stream is kept ? x[i] * scale : 0. x may be y. */
static inline void bpi_dropout_row(real *y, const real *x, int64_t n, uint64_t first,
                                   const bpi_dropout *d, real scale)
{
    uint16_t half[BPI_DROPOUT_RUN];
    for (int64_t i = 0; i < n;) {
        uint64_t at = first + (uint64_t)i;
        int64_t skip = (int64_t)(at % 8), run = BPI_DROPOUT_RUN - skip;
        if (run > n - i)
            run = n - i;
        bpi_dropout_halves(half, &d->stream, at / 8);
        for (int64_t j = 0; j < run; j++) {
            real v = x[i + j] * scale;
            y[i + j] = half[skip + j] < d->keep ? v : 0;
        }
        i += run;
    }
}

#endif
