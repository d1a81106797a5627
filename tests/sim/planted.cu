/* Kernels with a bug each, and correct ones: what the simulated device must catch, and what it must
 * not take for a bug. planted.c has the list of what is expected of each.
 *
 * 4 blocks of 64 threads; x has a value for each thread, y takes a result of each, `zeros` is as
 * long and zero. Part of the simulated plug-in, which exports the two functions at the end. */
#include "grid.cuh"

#include "control.h"
#include "planted_clusters.cuh"

namespace {

/* --- barriers ------------------------------------------------------------------------------ */

__global__ void missing_barrier(int *y, const int *x, int *)
{
    BPI_SHARED(int, s, [THREADS]);
    const int t = (int)threadIdx.x;
    s[t] = 0;
    __syncthreads();
    s[t] = x[self()];
    y[self()] = s[THREADS - 1 - t];
}

__global__ void missing_second_barrier(int *y, const int *x, int *)
{
    BPI_SHARED(int, s, [THREADS]);
    const int t = (int)threadIdx.x;
    int sum = 0;
    for (int round = 0; round < 2; round++) {
        s[t] = x[self()] * round;
        __syncthreads();
        sum += s[THREADS - 1 - t];
    }
    y[self()] = sum;
}

__global__ void barrier_in_branch(int *y, const int *x, int *)
{
    if (threadIdx.x < 32)
        __syncthreads();
    y[self()] = x[self()];
}

__global__ void two_barriers(int *y, const int *x, int *)
{
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
    y[self()] = x[self()];
}

/* --- warps --------------------------------------------------------------------------------- */

__global__ void half_warp_full_mask(int *y, const int *x, int *)
{
    int value = x[self()];
    if (threadIdx.x % 32 < 16)
        value = __shfl_xor_sync(bpi::ALL_LANES, value, 1);
    y[self()] = value;
}

__global__ void lane_not_in_mask(int *y, const int *x, int *)
{
    y[self()] = __shfl_xor_sync(0x0000ffffu, x[self()], 1);
}

__global__ void missing_syncwarp(int *y, const int *x, int *)
{
    BPI_SHARED(int, s, [THREADS]);
    const int t = (int)threadIdx.x;
    s[t] = 0;
    __syncwarp();
    s[t] = x[self()];
    y[self()] = s[t ^ 1];
}

__global__ void vote_for_syncwarp(int *y, const int *x, int *)
{
    BPI_SHARED(int, s, [THREADS]);
    const int t = (int)threadIdx.x;
    s[t] = x[self()];
    const unsigned all = __ballot_sync(bpi::ALL_LANES, 1);
    y[self()] = all == bpi::ALL_LANES ? s[t ^ 1] : -1;
}

/* --- memory -------------------------------------------------------------------------------- */

__global__ void static_out_of_bounds(int *y, const int *x, int *)
{
    BPI_SHARED(int, s, [THREADS]);
    const int t = (int)threadIdx.x;
    s[t + 1] = x[self()];
    __syncthreads();
    y[self()] = s[t + 1];
}

__global__ void dynamic_too_small(int *y, const int *x, int *)
{
    BPI_DYNAMIC_SHARED(int, s);
    s[threadIdx.x] = x[self()];
    y[self()] = s[threadIdx.x];
}

__global__ void device_out_of_bounds(int *y, const int *x, int *)
{
    y[self()] = x[self()];
    if (self() == N - 1)
        y[N] = 0;
}

__global__ void uninitialised_shared(int *y, const int *, int *)
{
    BPI_SHARED(int, s, [THREADS]);
    y[self()] = s[threadIdx.x];
}

__global__ void uninitialised_device(int *y, const int *x, int *)
{
    y[self()] += x[self()];
}

__global__ void misaligned_vector(int *y, const int *x, int *)
{
    typedef bpi::Vector<int, 4> Four;
    const Four four = *reinterpret_cast<const Four *>(x + 1);
    y[self()] = four.at[0] + four.at[1] + four.at[2] + four.at[3];
}

__global__ void host_pointer(int *y, const int *x, int *)
{
    y[self()] = x[self()];
}

/* --- blocks -------------------------------------------------------------------------------- */

__global__ void blocks_write_the_same(int *y, const int *x, int *zeros)
{
    zeros[threadIdx.x] += 1;
    y[self()] = x[self()];
}

__global__ void block_reads_others(int *y, const int *x, int *zeros)
{
    zeros[self()] = x[self()];
    y[self()] = zeros[(self() + THREADS) % N];
}

/* The last block adds up what all have written, and overwrites what all have read, if fences and
 * barriers are as they should be. */
enum Fault { NONE, NO_BARRIER, NO_RELEASE, NO_ACQUIRE, NO_ATOMIC };

template <Fault FAULT> __global__ void last_block_sums(int *y, const int *x, int *zeros)
{
    uint32_t *counter = reinterpret_cast<uint32_t *>(zeros);
    int *read_by_all = zeros + THREADS + threadIdx.x;
    BPI_SHARED(int, is_last, [1]);
    y[self()] = x[self()] + *read_by_all;
    if (FAULT != NO_BARRIER)
        __syncthreads();
    if (threadIdx.x == 0) {
        if (FAULT != NO_RELEASE)
            __threadfence();
        const uint32_t before = FAULT == NO_ATOMIC ? (*counter)++ : atomicAdd(counter, 1u);
        is_last[0] = before == BLOCKS - 1;
        if (FAULT != NO_ACQUIRE)
            __threadfence();
    }
    __syncthreads();
    if (!is_last[0])
        return;
    int sum = 0;
    for (int i = 0; i < N; i++)
        sum += y[i];
    __syncthreads();
    for (int block = 0; block < BLOCKS; block++)
        y[block * THREADS + (int)threadIdx.x] = sum;
    *read_by_all = sum;
}

/* --- correct ------------------------------------------------------------------------------- */

__global__ void tree_reduction(int *y, const int *x, int *)
{
    BPI_DYNAMIC_SHARED(int, s);
    const int t = (int)threadIdx.x;
    s[t] = x[self()];
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (t < half)
            s[t] += s[t + half];
        __syncthreads();
    }
    y[self()] = s[0];
}

__global__ void shuffles(int *y, const int *x, int *)
{
    BPI_SHARED(int, s, [THREADS / bpi::WARP]);
    const int lane = (int)threadIdx.x % bpi::WARP;
    const int warp = (int)threadIdx.x / bpi::WARP;
    int sum = x[self()];
    for (unsigned by = bpi::WARP / 2; by > 0; by /= 2)
        sum += __shfl_down_sync(bpi::ALL_LANES, sum, by);
    if (lane == 0)
        s[warp] = sum;
    __syncthreads();
    sum = lane < THREADS / bpi::WARP ? s[lane] : 0;
    for (int bits = bpi::WARP / 2; bits > 0; bits /= 2)
        sum += __shfl_xor_sync(bpi::ALL_LANES, sum, bits);
    const unsigned odd = __ballot_sync(bpi::ALL_LANES, lane & 1);
    if (odd != 0xaaaaaaaau)
        sum = -1;
    if ((lane & 1) && !(__any_sync(odd, lane == 31) && __all_sync(odd, lane > 0)))
        sum = -1;
    y[self()] = __shfl_sync(bpi::ALL_LANES, sum, lane % 4, 8);
}

__global__ void syncwarp_exchange(int *y, const int *x, int *)
{
    BPI_SHARED(int, s, [THREADS]);
    const int t = (int)threadIdx.x;
    int value = x[self()];
    for (int round = 0; round < 3; round++) {
        s[t] = value;
        __syncwarp();
        value = s[t ^ 1];
        __syncwarp();
    }
    y[self()] = value;
}

__global__ void grid_last_block(int *y, const int *x, int *zeros)
{
    uint32_t *counter = reinterpret_cast<uint32_t *>(zeros);
    y[self()] = x[self()];
    if (!bpi::last_block(counter, BLOCKS))
        return;
    int sum = 0;
    for (int i = 0; i < N; i++)
        sum += y[i];
    __syncthreads();
    for (int block = 0; block < BLOCKS; block++)
        y[block * THREADS + (int)threadIdx.x] = sum;
    if (threadIdx.x == 0 && *counter != 0)
        y[0] = -1;
}

/* Blocks end in two groups, and the last of the groups sees what the first group's last one did. */
__global__ void two_last_blocks(int *y, const int *x, int *zeros)
{
    uint32_t *counters = reinterpret_cast<uint32_t *>(zeros);
    y[self()] = x[self()];
    if (!bpi::last_block(counters + blockIdx.x % 2, BLOCKS / 2))
        return;
    if (!bpi::last_block(counters + 2, 2))
        return;
    int sum = 0;
    for (int i = 0; i < N; i++)
        sum += y[i];
    __syncthreads();
    for (int block = 0; block < BLOCKS; block++)
        y[block * THREADS + (int)threadIdx.x] = sum;
}

__global__ void faults_noted(int *y, const int *x, int *zeros)
{
    bpi_fault *fault = reinterpret_cast<bpi_fault *>(zeros);
    const bool ok = bpi::index_ok(self() < 100 ? 0 : N, N, self(), fault, 1);
    y[self()] = ok || self() >= 100 ? x[self()] : -1;
}

typedef void (*Kernel)(int *, const int *, int *);

struct Case {
    const char *name;
    Kernel kernel;
    unsigned threads;
    size_t shared_bytes;
    unsigned cluster; /* blocks of one; 0: none */
};

const Case cases[] = {
    {"missing_barrier", missing_barrier, THREADS, 0},
    {"missing_second_barrier", missing_second_barrier, THREADS, 0},
    {"barrier_in_branch", barrier_in_branch, THREADS, 0},
    {"two_barriers", two_barriers, THREADS, 0},
    {"half_warp_full_mask", half_warp_full_mask, THREADS, 0},
    {"lane_not_in_mask", lane_not_in_mask, THREADS, 0},
    {"missing_syncwarp", missing_syncwarp, THREADS, 0},
    {"vote_for_syncwarp", vote_for_syncwarp, THREADS, 0},
    {"static_out_of_bounds", static_out_of_bounds, THREADS, 0},
    {"dynamic_too_small", dynamic_too_small, THREADS, (THREADS - 1) * sizeof(int)},
    {"device_out_of_bounds", device_out_of_bounds, THREADS, 0},
    {"uninitialised_shared", uninitialised_shared, THREADS, 0},
    {"uninitialised_device", uninitialised_device, THREADS, 0},
    {"misaligned_vector", misaligned_vector, THREADS, 0},
    {"host_pointer", host_pointer, THREADS, 0},
    {"blocks_write_the_same", blocks_write_the_same, THREADS, 0},
    {"block_reads_others", block_reads_others, THREADS, 0},
    {"no_barrier_before_release", last_block_sums<NO_BARRIER>, THREADS, 0},
    {"no_release_fence", last_block_sums<NO_RELEASE>, THREADS, 0},
    {"no_acquire_fence", last_block_sums<NO_ACQUIRE>, THREADS, 0},
    {"counter_not_atomic", last_block_sums<NO_ATOMIC>, THREADS, 0},
    {"missing_cluster_sync", cluster_passes_on<FIRST_SYNC>, THREADS, 0, BLOCKS},
    {"missing_cluster_sync_between", cluster_passes_on<SYNC_BETWEEN>, THREADS, 0, BLOCKS},
    {"missing_last_cluster_sync", cluster_passes_on<LAST_SYNC>, THREADS, 0, BLOCKS},
    {"no_such_rank", no_such_rank, THREADS, 0, BLOCKS},
    {"no_such_cluster", cluster_passes_on<NOTHING>, THREADS, 0, 3},
    {"copy_read_too_early", copies<TOO_LATE>, THREADS, 0},
    {"copy_never_waited_for", copies<NEVER>, THREADS, 0},
    {"misaligned_copy", misaligned_copy, THREADS, 0},
    {"too_many_threads", shuffles, 2048, 0},
    {"too_much_shared", shuffles, THREADS, (48 << 10) + 1},
    {"tree_reduction", tree_reduction, THREADS, THREADS * sizeof(int)},
    {"shuffles", shuffles, THREADS, 0},
    {"syncwarp_exchange", syncwarp_exchange, THREADS, 0},
    {"last_block_by_hand", last_block_sums<NONE>, THREADS, 0},
    {"grid_last_block", grid_last_block, THREADS, 0},
    {"two_last_blocks", two_last_blocks, THREADS, 0},
    {"faults_noted", faults_noted, THREADS, 0},
    {"cluster_passes_on", cluster_passes_on<NOTHING>, THREADS, 0, BLOCKS},
    {"copies", copies<IN_TIME>, THREADS, 0},
};

cudaError_t launch(const Case *c, int *y, const int *x, int *zeros, cudaStream_t stream)
{
    return bpi::launch(__FILE__, __LINE__, c->name, c->kernel, c->cluster ? c->cluster : 1,
                       dim3(BLOCKS), dim3(c->threads),
                       c->shared_bytes, stream, y, x, zeros);
}

} // namespace

/* Runs one with x, and takes its y. The first error of all calls. */
extern "C" __attribute__((visibility("default"))) cudaError_t
bpi_sim_planted(const char *name, const int *x, int *y)
{
    enum { BYTES = N * sizeof(int) };
    const Case *c = cases;
    while (strcmp(c->name, name) != 0)
        c++;
    cudaStream_t stream;
    void *memory[3];
    cudaError_t error = cudaSetDevice(0);
    if (error == cudaSuccess)
        error = cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    for (void *&p : memory)
        if (error == cudaSuccess)
            error = cudaMalloc(&p, BYTES);
    if (error == cudaSuccess)
        error = cudaMemcpyAsync(memory[1], x, BYTES, cudaMemcpyHostToDevice, stream);
    if (error == cudaSuccess)
        error = cudaMemsetAsync(memory[2], 0, BYTES, stream);
    const bool from_host = strcmp(name, "host_pointer") == 0;
    if (error == cudaSuccess)
        error = launch(c, (int *)memory[0], from_host ? x : (int *)memory[1], (int *)memory[2],
                       stream);
    if (error == cudaSuccess)
        error = cudaMemcpyAsync(y, memory[0], BYTES, cudaMemcpyDeviceToHost, stream);
    for (void *p : memory)
        cudaFree(p);
    return error;
}

/* What host code must not do: with the guard on, this ends the process. */
extern "C" __attribute__((visibility("default"))) int bpi_sim_planted_touch(void)
{
    void *p;
    if (cudaSetDevice(0) != cudaSuccess || cudaMalloc(&p, sizeof(int)) != cudaSuccess)
        return 0;
    return *(volatile int *)p;
}
