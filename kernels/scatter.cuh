/* Rows of x added to rows of y that an index names: for scatter_rows and add_along.
 *
 * The indices are sorted by row, equal ones in their order; then the first of each run of equal
 * ones adds the rows of x of its run to y, which was zero: the additions are the CPU's, one by one.
 * The sort takes a digit of the row number at a time, the lowest first. A block ranks a tile of
 * indices, its warps a part of the tile each, by ballots and counters in shared memory that one
 * warp writes alone: nothing depends on an order of threads. More indices than CHUNK are sorted and
 * added a chunk after the other. */
#ifndef BPI_SCATTER_CUH
#define BPI_SCATTER_CUH

#include "grid.cuh"
#include "reduce.cuh"

namespace bpi {

enum {
    DIGIT_BITS = 8,
    DIGITS = 1 << DIGIT_BITS,
    SORT_THREADS = DIGITS, /* one a digit */
    SORT_WARPS = SORT_THREADS / WARP,
    EACH = 8,                   /* indices of a thread */
    TILE = EACH * SORT_THREADS, /* indices of a block */
    TILES = 128,                /* in a chunk, about a block a multiprocessor of large GPUs */
    CHUNK = TILE * TILES,
    AT_ONCE = 8                 /* rows of x that a thread has under way */
};

/* An index as it is sorted: the row of y, and its place in the chunk; -1: it is bad, and the row
 * means nothing. */
struct alignas(8) Entry {
    uint32_t row;
    int32_t place;
};

/* What the sort needs of the workspace. */
struct SortMemory {
    Entry entry[2][CHUNK];
    uint16_t rank[CHUNK];          /* of an entry among those of its digit in its tile */
    uint32_t count[TILES][DIGITS]; /* of a digit in a tile */
};
static_assert(sizeof(SortMemory) <= BPI_CUDA_WORKSPACE, "a chunk fits");

/* Of add_along: an index says where on one of many lines, which are [outer, inner] and as long as
 * there are indices a line. */
struct Lines {
    int64_t inner, indices, length; /* inner 0: there are none, the index is the row */
    int64_t outer;                  /* the first of the chunk */
};

struct Sort {
    const int32_t *index; /* of the chunk; read where `from` is NULL */
    const Entry *from;
    Entry *to;
    SortMemory *memory;
    int32_t n, tiles, shift, bits; /* indices, tiles; the digit */
    int64_t limit, first;          /* of an index; the place of the chunk's first */
    int64_t rows;                  /* of y that the chunk can reach */
    Lines lines;
    bpi_fault *fault;
    int32_t kernel;
};

__device__ static inline uint32_t row_of(const Lines &l, int64_t place, int32_t index)
{
    if (l.inner == 0)
        return (uint32_t)index;
    const int64_t line = place / l.inner, outer = line / l.indices;
    return (uint32_t)(((outer - l.outer) * l.length + index) * l.inner + (place - line * l.inner));
}

__device__ static inline Entry entry_of(const Sort &s, int32_t i)
{
    if (s.from)
        return s.from[i];
    const int32_t index = s.index[i];
    const bool good = index_ok(index, s.limit, s.first + i, s.fault, s.kernel);
    return {good ? row_of(s.lines, s.first + i, index) : 0, good ? i : -1};
}

__device__ static inline int digit_of(const Sort &s, const Entry &e)
{
    return (int)(e.row >> s.shift & ((1u << s.bits) - 1));
}

/* The sum of the values of the threads before this one. Called by all threads of the block. */
__device__ static inline uint32_t sum_before(uint32_t value)
{
    BPI_SHARED(uint32_t, of_warp, [SORT_WARPS]);
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    uint32_t sum = value;
    for (int apart = 1; apart < WARP; apart *= 2) {
        const uint32_t other = __shfl_up_sync(ALL_LANES, sum, apart);
        sum += lane >= apart ? other : 0;
    }
    if (lane == WARP - 1)
        of_warp[warp] = sum;
    __syncthreads();
    for (int k = 0; k < warp; k++)
        sum += of_warp[k];
    return sum - value;
}

/* The rank of `digit` among the equal ones that this warp has met, of this lane's and of lower
 * lanes; `there`: the lane has one. `count` is the warp's, and counts what it has met. */
__device__ static inline uint32_t rank_in_warp(uint32_t *count, int digit, int bits, bool there)
{
    const int lane = threadIdx.x % WARP;
    unsigned equal = __ballot_sync(ALL_LANES, there);
    for (int b = 0; b < bits; b++) {
        const unsigned set = __ballot_sync(ALL_LANES, digit >> b & 1);
        equal &= digit >> b & 1 ? set : ~set;
    }
    const int leader = there ? __ffs((int)equal) - 1 : lane;
    uint32_t before = 0;
    if (there && lane == leader) {
        before = count[digit];
        count[digit] = before + (uint32_t)__popc(equal);
    }
    before = __shfl_sync(ALL_LANES, before, leader);
    __syncwarp(); /* the next leader of this digit may be another lane */
    return before + (uint32_t)__popc(equal & ((1u << lane) - 1));
}

/* Ranks a tile, and counts its digits. An only tile needs no more, and is put in order at once. */
static __global__ void __launch_bounds__(SORT_THREADS) rank_tile(const Sort s)
{
    BPI_SHARED(uint32_t, count, [SORT_WARPS][DIGITS]);
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, d = threadIdx.x;
    const int32_t first = blockIdx.x * TILE + warp * (EACH * WARP) + lane;
    uint32_t rank[EACH];
    for (int k = 0; k < SORT_WARPS; k++)
        count[k][d] = 0;
    __syncthreads();
#pragma unroll
    for (int k = 0; k < EACH; k++) {
        const int32_t i = first + k * WARP;
        const Entry e = i < s.n ? entry_of(s, i) : Entry{0, -1};
        rank[k] = rank_in_warp(count[warp], digit_of(s, e), s.bits, i < s.n);
    }
    __syncthreads();
    uint32_t total = 0;
    for (int k = 0; k < SORT_WARPS; k++) { /* of the warps before: where this one's begin */
        const uint32_t own = count[k][d];
        count[k][d] = total;
        total += own;
    }
    if (s.tiles > 1) {
        s.memory->count[blockIdx.x][d] = total;
    } else {
        const uint32_t before = sum_before(total);
        for (int k = 0; k < SORT_WARPS; k++)
            count[k][d] += before;
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < EACH; k++) {
        const int32_t i = first + k * WARP;
        if (i >= s.n)
            break;
        const Entry e = entry_of(s, i);
        const uint32_t at = count[warp][digit_of(s, e)] + rank[k];
        if (s.tiles > 1)
            s.memory->rank[i] = (uint16_t)at;
        else
            s.to[at] = e;
    }
}

/* Puts the ranked entries of several tiles in order. */
static __global__ void __launch_bounds__(SORT_THREADS) place_tile(const Sort s)
{
    BPI_SHARED(uint32_t, base, [DIGITS]);
    const int d = threadIdx.x, tile = (int)blockIdx.x;
    uint32_t before = 0, total = 0;
    for (int k = 0; k < s.tiles; k++) {
        const uint32_t count = s.memory->count[k][d];
        before += k < tile ? count : 0;
        total += count;
    }
    base[d] = sum_before(total) + before;
    __syncthreads();
    for (int k = 0; k < EACH; k++) {
        const int32_t i = tile * TILE + k * SORT_THREADS + d;
        if (i >= s.n)
            break;
        const Entry e = entry_of(s, i);
        s.to[base[digit_of(s, e)] + s.memory->rank[i]] = e;
    }
}

template <typename T> struct AddRuns {
    Rows<const T> x; /* from the chunk's first row on */
    Rows<T> y;
    const Entry *entry;
    int32_t n;
};

/* A team of threads an entry; the first of a run adds the run. */
template <typename T, int N>
static __global__ void __launch_bounds__(STRIP_THREADS)
    add_runs(const AddRuns<T> w, const Strips s)
{
    const StripPlace at = place_of(s, 1);
    const int64_t col = at.first * N;
    const int32_t first = (int32_t)at.row;
    if (at.row >= s.rows || at.first >= s.units)
        return;
    const uint32_t row = w.entry[first].row;
    if (first > 0 && w.entry[first - 1].row == row)
        return;
    T *y = w.y.data + row * w.y.pitch + col;
    Vector<T, N> sum = load<N>(y), v[AT_ONCE];
    bool goes_on = true;
    for (int32_t i = first; goes_on; i += AT_ONCE) {
        int32_t place[AT_ONCE];
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++) {
            const Entry e = i + k < w.n ? w.entry[i + k] : Entry{~row, -1};
            goes_on = e.row == row;
            place[k] = goes_on ? e.place : -1;
        }
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++)
            if (place[k] >= 0)
                v[k] = load<N>(w.x.data + place[k] * w.x.pitch + col);
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++)
#pragma unroll
            for (int j = 0; j < N; j++)
                sum.at[j] = place[k] >= 0 ? sum.at[j] + v[k].at[j] : sum.at[j];
    }
    store<N>(y, sum);
}

/* Sorts the chunk; *sorted is where it lies then. */
static bp_status sort_chunk(bp_exec *ex, Sort s, const Entry **sorted)
{
    int bits = 1;
    while ((s.rows - 1) >> bits && bits < 32)
        bits++;
    const int passes = (int)parts(bits, DIGIT_BITS);
    s.bits = (int)parts(bits, passes);
    s.tiles = (int)parts(s.n, TILE);
    for (int pass = 0; pass < passes; pass++, s.shift += s.bits) {
        s.to = s.memory->entry[pass % 2];
        bp_status st = BPI_LAUNCH(ex, s.tiles, SORT_THREADS, 0, rank_tile, s);
        if (st == BP_OK && s.tiles > 1)
            st = BPI_LAUNCH(ex, s.tiles, SORT_THREADS, 0, place_tile, s);
        if (st != BP_OK)
            return st;
        s.from = s.to;
    }
    *sorted = s.from;
    return BP_OK;
}

template <typename T>
static bp_status add_chunk(bp_exec *ex, const AddRuns<T> &w)
{
    constexpr int N = lanes_of<T>;
    const bool whole = is_vectors(w.x) && is_vectors(w.y);
    const Strips s = strips_of(w.n, whole ? w.y.size / N : w.y.size, 1);
    return whole ? BPI_LAUNCH(ex, blocks_of(s), STRIP_THREADS, 0, (add_runs<T, N>), w, s)
                 : BPI_LAUNCH(ex, blocks_of(s), STRIP_THREADS, 0, (add_runs<T, 1>), w, s);
}

/* Zeros. Gaps between rows are the output's own. */
template <typename T> static bp_status clear(bp_exec *ex, const Rows<T> &y)
{
    bpi_cuda *d = bpi_cuda_of(ex);
    if (y.n == 0)
        return BP_OK;
    const bp_status st = bpi_cuda_flush(ex);
    const size_t bytes = (size_t)((y.n - 1) * y.pitch + y.size) * sizeof(T);
    return st != BP_OK ? st
                       : bpi_cuda_check(d, cudaMemsetAsync(y.data, 0, bytes, d->stream),
                                        "cudaMemsetAsync");
}

/* A sort of n indices from the one at `first` on. */
static inline Sort sort_of(bp_exec *ex, const bp_view &index, int64_t first, int64_t n)
{
    Sort s = {};
    s.index = static_cast<const int32_t *>(index.data) + first;
    s.memory = static_cast<SortMemory *>(bpi_cuda_of(ex)->workspace);
    s.n = (int32_t)n;
    s.first = first;
    s.fault = ex->fault;
    s.kernel = ex->kernel;
    return s;
}

} // namespace bpi
#endif
