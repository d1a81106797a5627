/* Products of squares through shared memory, without tensor cores, by all threads of a block:
 *
 *     multiply(room, acc, terms, a, b)   acc[x][y] = sum_p a(row x, p) b(column y, p)
 *
 * The factors are functions, so they may lie anywhere, swapped, or end early. Each sum is one
 * thread's, in the order of p. STEPS terms at a time are staged; a step reads 2 EACH numbers of
 * shared memory for EACH^2 multiply-adds, which bounds it to about half the rate of the type. User:
 * attention.cu. */
#ifndef BPI_TILE_CUH
#define BPI_TILE_CUH

#include "device.cuh"

namespace bpi {

enum { EACH = 4, STEPS = 16 };

/* A square has SIZE rows and columns, of which a thread has EACH by EACH. */
template <typename T> struct Tile {
    enum { SIZE = sizeof(T) == 4 ? 64 : 32, ACROSS = SIZE / EACH, THREADS = ACROSS * ACROSS };
    enum { TEAM = THREADS / SIZE }; /* threads a row, where rows are reduced */
    enum { BLOCKS = sizeof(T) == 4 ? 2 : 4 }; /* of a multiprocessor, at least */
    typedef T Mine[EACH][EACH]; /* a thread's part of a square */
};

/* What a block shares. */
template <typename T> struct Room {
    T staged[2][STEPS][Tile<T>::SIZE + 1];
    T square[Tile<T>::SIZE][Tile<T>::SIZE + 1];
    T row[Tile<T>::SIZE]; /* a number for each row */
};

/* The element of a square that is a thread's [x][y]. */
template <typename T> __device__ static inline int row_of(int x)
{
    return threadIdx.x / Tile<T>::ACROSS * EACH + x;
}
template <typename T> __device__ static inline int col_of(int y)
{
    return threadIdx.x % Tile<T>::ACROSS * EACH + y;
}

/* f(x, y) for a thread's elements. */
template <typename F> __device__ static inline void each_mine(F f)
{
#pragma unroll
    for (int x = 0; x < EACH; x++)
#pragma unroll
        for (int y = 0; y < EACH; y++)
            f(x, y);
}

/* STEPS terms of a factor into shared memory: f(i, p) for row or column i, in the order that its
 * memory has. */
template <typename T, bool TERMS_FIRST, typename F>
__device__ static inline void stage(T (&to)[STEPS][Tile<T>::SIZE + 1], int64_t p0, int64_t terms,
                                    F f)
{
    constexpr int SIZE = Tile<T>::SIZE;
    for (int n = threadIdx.x; n < STEPS * SIZE; n += Tile<T>::THREADS) {
        const int p = TERMS_FIRST ? n % STEPS : n / SIZE, i = TERMS_FIRST ? n / STEPS : n % SIZE;
        to[p][i] = p0 + p < terms ? f(i, p0 + p) : (T)0;
    }
}

/* acc = sum_p a(i, p) b(j, p), by all threads of the block. What the factors read of shared memory
 * may be written again once all threads have returned and met. */
template <typename T, bool A_TERMS_FIRST, bool B_TERMS_FIRST, typename A, typename B>
__device__ static inline void multiply(Room<T> &room, typename Tile<T>::Mine &acc, int64_t terms,
                                       A a, B b)
{
    each_mine([&](int x, int y) { acc[x][y] = 0; });
    for (int64_t p0 = 0; p0 < terms; p0 += STEPS) {
        __syncthreads();
        stage<T, A_TERMS_FIRST>(room.staged[0], p0, terms, a);
        stage<T, B_TERMS_FIRST>(room.staged[1], p0, terms, b);
        __syncthreads();
#pragma unroll 4
        for (int p = 0; p < STEPS; p++) {
            T left[EACH], right[EACH];
#pragma unroll
            for (int x = 0; x < EACH; x++) {
                left[x] = room.staged[0][p][row_of<T>(x)];
                right[x] = room.staged[1][p][col_of<T>(x)];
            }
            each_mine([&](int x, int y) { acc[x][y] += left[x] * right[y]; });
        }
    }
}

/* A thread's part to where all can read it. */
template <typename T>
__device__ static inline void put_square(Room<T> &room, const typename Tile<T>::Mine &mine)
{
    each_mine([&](int x, int y) { room.square[row_of<T>(x)][col_of<T>(y)] = mine[x][y]; });
}

} // namespace bpi
#endif
