/* Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel Random Numbers: As Easy as 1, 2, 3", SC
 * 2011) and the library's layout of its counter, shared by every device: all draw the same bits.
 *
 * key      = seed low, seed high
 * counter  = block low | block high 16, step high 16 | step low | purpose 8, site 24
 * uniform  element i takes word i mod 4 of block i / 4
 * dropout  element i takes half-word i mod 8 of block i / 8 (low half first); it is kept iff
 *          half-word < keep, keep = round((1 - p) * 65536); scale = 65536 / keep
 * draws    element i takes word i mod 4 of block i / 4: draw.h; permutations: permutation.h */
#ifndef BPI_PHILOX_H
#define BPI_PHILOX_H

#include <stdint.h>

#if defined(__CUDACC__)
#define BPI_HOST_DEVICE static __host__ __device__ inline
#else
#define BPI_HOST_DEVICE static inline __attribute__((always_inline))
#endif

enum {
    BPI_PURPOSE_DROPOUT = 1,
    BPI_PURPOSE_SHUFFLE = 2,
    BPI_PURPOSE_INIT = 3,
    BPI_PURPOSE_SPLIT = 4,
    BPI_PURPOSE_DRAW = 5,     /* uniform, normal, bernoulli */
    BPI_PURPOSE_DRAW_LOW = 6, /* what f64 has beyond 32 bits */
    BPI_PURPOSE_PERMUTATION = 7,
    BPI_PURPOSE_ROWS = 8,  /* of an epoch, with replacement */
    BPI_PURPOSE_SEARCH = 9 /* candidates; the site is the candidate, the step the generation */
};

/* One position of a random stream: everything of the counter but the block. */
typedef struct bpi_stream {
    uint64_t seed;
    uint64_t step; /* 48 bits are used */
    uint32_t purpose_site;
} bpi_stream;

typedef struct bpi_dropout {
    bpi_stream stream;
    uint32_t keep; /* 0 .. 65536 */
} bpi_dropout;

BPI_HOST_DEVICE void bpi_philox_round(uint32_t c[4], uint32_t k0, uint32_t k1)
{
    uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
    c[0] = (uint32_t)(p1 >> 32) ^ c[1] ^ k0;
    c[1] = (uint32_t)p1;
    c[2] = (uint32_t)(p0 >> 32) ^ c[3] ^ k1;
    c[3] = (uint32_t)p0;
}

/* The 10 rounds, in place. */
BPI_HOST_DEVICE void bpi_philox(uint32_t c[4], uint32_t k0, uint32_t k1)
{
    for (int round = 0; round < 10; round++) {
        bpi_philox_round(c, k0, k1);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

/* The four words of one block of a stream. */
BPI_HOST_DEVICE void bpi_philox_block(const bpi_stream *s, uint64_t block, uint32_t out[4])
{
    out[0] = (uint32_t)block;
    out[1] = (uint32_t)(block >> 32) << 16 | (uint32_t)(s->step >> 32 & 0xFFFF);
    out[2] = (uint32_t)s->step;
    out[3] = s->purpose_site;
    bpi_philox(out, (uint32_t)s->seed, (uint32_t)(s->seed >> 32));
}

BPI_HOST_DEVICE uint32_t bpi_purpose_site(uint32_t purpose, uint32_t site)
{
    return purpose << 24 | (site & 0xFFFFFF);
}

/* Word i of a stream. */
BPI_HOST_DEVICE uint32_t bpi_random_word(const bpi_stream *s, uint64_t i)
{
    uint32_t w[4];
    bpi_philox_block(s, i / 4, w);
    return w[i % 4];
}

/* A uniform below n without bias towards low values beyond 2^-32 (Lemire's multiply-shift). */
BPI_HOST_DEVICE uint32_t bpi_random_below(const bpi_stream *s, uint64_t i, uint32_t n)
{
    return (uint32_t)((uint64_t)bpi_random_word(s, i) * n >> 32);
}

#endif
