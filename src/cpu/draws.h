/* Runs of consecutive blocks of a random stream (philox.h), the same words wherever a run begins.
 *
 * Philox multiplies 32-bit words into 64 bits. A word sits in a 64-bit lane of a vector, whose
 * upper half the multiplication does not read, so that a round of as many blocks as there are
 * lanes is two multiplications, two shifts and four exclusive ors. No plain C becomes that
 * multiplication. Two vectors are under way at once, or four, as one would wait for itself. */
#ifndef BPI_CPU_DRAWS_H
#define BPI_CPU_DRAWS_H

#include <string.h>

#include "cpu/kernel.h"
#include "door/draw.h"
#include "door/kernel_params.h"
#if defined(__SSE2__)
#include <immintrin.h>
#endif

enum {
    BPI_DRAW_LANES = BPI_VECTOR_BYTES / 8, /* blocks of a vector */
    BPI_NUMBERS = (BPI_VECTOR_BYTES == 64 ? 16 : 8) * BPI_DRAW_LANES, /* words at a time */
    BPI_HIGH_FIRST = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ /* of the halves of a word in memory */
};

typedef uint64_t bpi_words __attribute__((vector_size(BPI_VECTOR_BYTES)));

/* The lower halves of the lanes of a times m. */
INLINE bpi_words bpi_times(bpi_words a, uint32_t m)
{
#if defined(__SSE2__) && BPI_VECTOR_BYTES == 64
    return (bpi_words)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(m));
#elif defined(__SSE2__) && BPI_VECTOR_BYTES == 32
    return (bpi_words)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(m));
#elif defined(__SSE2__)
    return (bpi_words)_mm_mul_epu32((__m128i)a, _mm_set1_epi64x(m));
#else
    return (a & 0xFFFFFFFF) * m;
#endif
}

/* The lower halves of first and second, as two words in memory. */
INLINE bpi_words bpi_word_pair(bpi_words first, bpi_words second)
{
    return (first & 0xFFFFFFFF) << 32 * BPI_HIGH_FIRST |
           (second & 0xFFFFFFFF) << 32 * !BPI_HIGH_FIRST;
}

/* word[4 b + k] = word k of block `block` + b of the stream, for `words` of them, a constant: 4
 * vectors at most. */
INLINE void bpi_draw_words(uint32_t *word, const bpi_stream *s, uint64_t block, int words)
{
    const int vectors = words / (4 * BPI_DRAW_LANES);
    static const uint64_t numbers[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    bpi_words c[4][4], number;
    memcpy(&number, numbers, sizeof number);
    uint32_t k0 = (uint32_t)s->seed, k1 = (uint32_t)(s->seed >> 32);
    UNROLL for (int v = 0; v < vectors; v++) {
        bpi_words b = number + (block + (uint64_t)v * BPI_DRAW_LANES);
        c[v][0] = b;
        c[v][1] = b >> 32 << 16 | (s->step >> 32 & 0xFFFF);
        c[v][2] = (bpi_words){0} + (s->step & 0xFFFFFFFF);
        c[v][3] = (bpi_words){0} + s->purpose_site;
    }
    for (int round = 0; round < 10; round++) {
        UNROLL for (int v = 0; v < vectors; v++) {
            bpi_words p0 = bpi_times(c[v][0], 0xD2511F53), p1 = bpi_times(c[v][2], 0xCD9E8D57);
            c[v][0] = p1 >> 32 ^ c[v][1] ^ k0;
            c[v][1] = p1;
            c[v][2] = p0 >> 32 ^ c[v][3] ^ k1;
            c[v][3] = p0;
        }
        k0 += 0x9E3779B9;
        k1 += 0xBB67AE85;
    }
    UNROLL for (int v = 0; v < vectors; v++) {
        bpi_words a = bpi_word_pair(c[v][0], c[v][1]), b = bpi_word_pair(c[v][2], c[v][3]);
        bpi_words low, high; /* a0 b0 a1 b1 ... */
#if BPI_VECTOR_BYTES == 64
        low = __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
        high = __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#elif BPI_VECTOR_BYTES == 32
        low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
        high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
#else
        low = __builtin_shufflevector(a, b, 0, 2);
        high = __builtin_shufflevector(a, b, 1, 3);
#endif
        memcpy(word + v * 4 * (int)BPI_DRAW_LANES, &low, sizeof low);
        memcpy(word + (v * 4 + 2) * (int)BPI_DRAW_LANES, &high, sizeof high);
    }
}

/* What a kernel draws with: its `rng` and params. */
static inline bpi_stream bpi_stream_of(const bp_view *rng, uint32_t purpose, uint32_t site)
{
    bpi_rng_state s;
    memcpy(&s, rng->data, sizeof s);
    return (bpi_stream){s.seed, s.step, bpi_purpose_site(purpose, site)};
}

/* Draws (draw.h): the stream; in f64, which takes 64 bits, the one of the lower words beside it. */
typedef struct bpi_draw_stream {
    bpi_stream stream[1 + BPI_F64];
} bpi_draw_stream;

static inline bpi_draw_stream bpi_draw_stream_of(const bp_view *rng, uint32_t site)
{
    return (bpi_draw_stream){{bpi_stream_of(rng, BPI_PURPOSE_DRAW, site),
#if BPI_F64
                              bpi_stream_of(rng, BPI_PURPOSE_DRAW_LOW, site)
#endif
    }};
}

#if BPI_F64
typedef uint64_t bpi_number;
#define BPI_TYPED(name) bpi_##name##_f64
#else
typedef uint32_t bpi_number;
#define BPI_TYPED(name) bpi_##name##_f32
#endif

/* A call, as f64 has two. */
OUTLINE void bpi_draw_more(uint32_t word[BPI_NUMBERS], const bpi_stream *s, uint64_t block)
{
    bpi_draw_words(word, s, block, BPI_NUMBERS);
}

static inline void bpi_draw_numbers(bpi_number number[BPI_NUMBERS], const bpi_draw_stream *s,
                                    uint64_t block)
{
#if BPI_F64
    uint32_t high[BPI_NUMBERS], low[BPI_NUMBERS];
    bpi_draw_more(high, &s->stream[0], block);
    bpi_draw_more(low, &s->stream[1], block);
    for (int i = 0; i < BPI_NUMBERS; i++)
        number[i] = (uint64_t)high[i] << 32 | low[i];
#else
    bpi_draw_more(number, &s->stream[0], block);
#endif
}

#endif
