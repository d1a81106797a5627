/* A permutation of 0 .. n - 1 that tells where each number goes without the others: nothing is
 * sorted, and a device may take the numbers in any order.
 *
 * A number of `bits` bits, n < 2^bits, is cut in two halves, and each half in turn is changed by a
 * hash of the other and of a key (a Feistel network: Luby and Rackoff, SIAM J. Comput. 17, 1988);
 * what comes out at n or above goes in again until it is below (Black and Rogaway, CT-RSA 2002).
 * The keys are words 0 .. 15 of the stream. The hash is the finaliser of MurmurHash3 (Appleby), of
 * which the upper bits are taken. Halves of few bits mix badly, so `bits` is 8 at least. Such a
 * network makes even permutations only: a bit of the first key says whether 0 and 1 change places
 * before it. */
#ifndef BPI_PERMUTATION_H
#define BPI_PERMUTATION_H

#include "door/philox.h"

enum { BPI_ROUNDS = 16 };

typedef struct bpi_permutation {
    uint32_t key[BPI_ROUNDS], n;
    uint32_t low_bits, high_bits;
} bpi_permutation;

BPI_HOST_DEVICE bpi_permutation bpi_permutation_of(const bpi_stream *s, uint32_t n)
{
    bpi_permutation p;
    uint32_t bits = 8;
    for (uint32_t k = 0; k < BPI_ROUNDS; k += 4)
        bpi_philox_block(s, k / 4, p.key + k);
    while (n >> bits)
        bits++;
    p.n = n;
    p.low_bits = bits / 2;
    p.high_bits = bits - bits / 2;
    return p;
}

BPI_HOST_DEVICE uint32_t bpi_scramble(uint32_t x, uint32_t bits)
{
    x = (x ^ x >> 16) * 0x85EBCA6Bu;
    x = (x ^ x >> 13) * 0xC2B2AE35u;
    return (x ^ x >> 16) >> (32 - bits);
}

/* Once through the network. */
BPI_HOST_DEVICE uint32_t bpi_permute(const bpi_permutation *p, uint32_t i)
{
    i ^= i < 2 ? p->key[0] >> 31 : 0;
    uint32_t low = i & ((1u << p->low_bits) - 1), high = i >> p->low_bits;
    for (int k = 0; k < BPI_ROUNDS; k += 2) {
        low ^= bpi_scramble(high ^ p->key[k], p->low_bits);
        high ^= bpi_scramble(low ^ p->key[k + 1], p->high_bits);
    }
    return high << p->low_bits | low;
}

#endif
