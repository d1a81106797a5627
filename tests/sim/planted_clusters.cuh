/* Of planted.cu: its threads, and the kernels of clusters and of asynchronous copies. */
#ifndef BPI_PLANTED_CLUSTERS_CUH
#define BPI_PLANTED_CLUSTERS_CUH

#include "grid.cuh"

namespace {

enum { BLOCKS = 4, THREADS = 64, N = BLOCKS * THREADS };

__device__ inline int self()
{
    return (int)(blockIdx.x * THREADS + threadIdx.x);
}

/* Each block takes from the one behind it, twice. */
enum Missing { NOTHING, FIRST_SYNC, SYNC_BETWEEN, LAST_SYNC };

template <Missing MISSING> __global__ void cluster_passes_on(int *y, const int *x, int *)
{
    BPI_SHARED(int, s, [THREADS]);
    const int t = (int)threadIdx.x;
    int value = x[self()];
    for (int round = 0; round < 2; round++) {
        s[t] = value;
        if (MISSING != FIRST_SYNC)
            cluster_sync();
        value = shared_of(s, (blockIdx.x + 1) % BLOCKS)[t];
        if (MISSING != (round == 0 ? SYNC_BETWEEN : LAST_SYNC))
            cluster_sync();
    }
    y[self()] = value;
}

__global__ void no_such_rank(int *y, const int *x, int *)
{
    BPI_SHARED(int, s, [THREADS]);
    s[threadIdx.x] = x[self()];
    y[self()] = shared_of(s, BLOCKS)[threadIdx.x];
}

enum Wait { IN_TIME, TOO_LATE, NEVER };

template <Wait WAIT> __global__ void copies(int *y, const int *x, int *)
{
    BPI_SHARED(int, s, [THREADS]);
    __pipeline_memcpy_async(&s[threadIdx.x], x + self(), sizeof(int));
    __pipeline_commit();
    if (WAIT == IN_TIME)
        __pipeline_wait_prior(0);
    y[self()] = s[threadIdx.x];
    if (WAIT == TOO_LATE)
        __pipeline_wait_prior(0);
}

__global__ void misaligned_copy(int *y, const int *x, int *)
{
    BPI_SHARED(int, s, [THREADS + 4]);
    __pipeline_memcpy_async(&s[threadIdx.x], x + self() / 4 * 4, 4 * sizeof(int));
    __pipeline_wait_prior(0);
    y[self()] = s[threadIdx.x];
}

} // namespace
#endif
