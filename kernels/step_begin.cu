/* step_begin: what comes before an update. Forward: g, a flat buffer of which the ranges are taken,
 * or absent -> state, a bpi_optimizer_state. Notes the first element of g that is NaN, infinite or
 * too large, and adds up the squares of g, clipped by value, where they are asked for: by blocks,
 * whose number follows from the ranges, and the last block then adds up theirs. Then, if the params
 * say that it decides, the last block counts the step or refuses it (fault.h).
 *
 * Small calls that wait (src/cuda/cuda.h) come along: one more block runs them, beside the others.
 * Floor: g read once, 4 bytes an f32; the update reads it again, so it is left in the caches. The
 * truth: src/cpu/step_begin.c. Called by src/optim. */
#include "door/ranges.h"
#include "elementwise.cuh"
#include "reduce.cuh"
#include "small.cuh"

namespace bpi {

/* Vectors that a thread has under way; the most blocks that read g, more than any GPU holds. */
enum { AT_ONCE = 4, BLOCKS = 4096 };

struct Squares {
    double sum, far; /* far: f64 only */
};

template <typename T> __device__ static inline void add_square(Squares *s, T x, T clip)
{
    x = x > clip ? clip : x < -clip ? -clip : x;
    s->sum += (double)x * (double)x;
    if (sizeof(T) == sizeof(double))
        s->far += 0x1p-540 * (double)x * (0x1p-540 * (double)x);
}

template <typename T>
__device__ static inline void note_unfit(bpi_fault *fault, int64_t place, T x)
{
    note_gradient(fault, place, x != x ? BPI_NAN : x - x != 0 ? BPI_INFINITE : BPI_TOO_LARGE);
}

/* The squares that the thread has met. It notes its first that does not fit: the first of all is
 * among them. */
template <typename T, int N>
__device__ static inline Squares read_gradients(const T *g, int64_t readers,
                                                const bpi_step_begin_params &p, bpi_fault *fault)
{
    constexpr int STEP = THREADS * N, CHUNK = AT_ONCE * STEP;
    const T most = (T)p.most_gradient, clip = p.clip_value != 0 ? (T)p.clip_value : (T)INFINITY;
    const int64_t chunks = bpi_all_blocks(&p.ranges, CHUNK);
    Squares squares = {0, 0};
    bool fits = true;
    for (int64_t chunk = blockIdx.x; chunk < chunks; chunk += readers) {
        const bpi_range range = bpi_block_range(&p.ranges, chunk, CHUNK);
        const int64_t first = range.begin + threadIdx.x * N;
        Vector<T, N> v[AT_ONCE];
        for (int i = 0; i < AT_ONCE; i++)
            v[i] = load<N>(g + first + i * STEP, range.end - first - i * STEP);
        for (int i = 0; i < AT_ONCE; i++)
            for (int j = 0; j < N; j++) {
                const T x = v[i].at[j];
                if (fits && !(fabs(x) <= most)) {
                    note_unfit(fault, first + i * STEP + j, x);
                    fits = false;
                }
                if (p.clip_norm != 0)
                    add_square(&squares, x, clip);
            }
    }
    return squares;
}

/* Those of the block; the first thread has them. */
__device__ static inline Squares fold_squares(const Squares &s)
{
    return {fold(s.sum, THREADS, Sum()), fold(s.far, THREADS, Sum())};
}

/* The last block adds up what all have. */
__device__ static inline void add_parts(const Squares *part, int64_t readers, bool begins,
                                        bpi_optimizer_state *state)
{
    Squares all = {0, 0};
    for (int64_t i = threadIdx.x; i < readers; i += THREADS) {
        all.sum += part[i].sum;
        all.far += part[i].far;
    }
    all = fold_squares(all);
    if (threadIdx.x == 0) {
        state->sum = (begins ? 0 : state->sum) + all.sum;
        state->far = (begins ? 0 : state->far) + all.far;
    }
}

template <typename T, int N>
static __global__ void __launch_bounds__(THREADS, 4)
    step_begin_kernel(const T *g, int64_t readers, bpi_optimizer_state *state,
                      const bpi_step_begin_params params, const bpi_small_list small,
                      Squares *part, uint32_t *counter, bpi_fault *fault)
{
    const bool sums = params.clip_norm != 0;
    if (blockIdx.x < readers) {
        Squares squares = read_gradients<T, N>(g, readers, params, fault);
        if (sums)
            squares = fold_squares(squares);
        if (sums && threadIdx.x == 0)
            part[blockIdx.x] = squares;
    } else {
        run_small(small, fault);
    }
    if ((params.decides || sums) && last_block(counter, gridDim.x)) {
        if (sums)
            add_parts(part, readers, params.begins, state);
        if (params.decides && threadIdx.x == 0)
            bpi_step_decide(fault, state, &params);
    }
}

template <typename T>
static bp_status step_begin_forward(bp_exec *ex, const bp_view *in, const bp_view *out,
                                    const void *params)
{
    constexpr int N = lanes_of<T>; /* flat buffers are aligned, and so is where ranges begin */
    const auto &p = *static_cast<const bpi_step_begin_params *>(params);
    bpi_small_list small;
    const bp_status st = bpi_cuda_take_small(ex, in, out, &small);
    if (st != BP_OK)
        return st;
    bpi_cuda *d = bpi_cuda_of(ex);
    int64_t readers = at_most(bpi_all_blocks(&p.ranges, AT_ONCE * THREADS * N), BLOCKS);
    if (readers == 0 && (p.decides || p.clip_norm != 0))
        readers = 1;
    return BPI_LAUNCH(ex, readers + (small.n > 0), THREADS, 0, (step_begin_kernel<T, N>),
                      static_cast<const T *>(in->data), readers,
                      static_cast<bpi_optimizer_state *>(out->data), p, small,
                      static_cast<Squares *>(d->workspace), d->counters, ex->fault);
}

} // namespace bpi

BPI_CUDA_OP(step_begin, {bpi::step_begin_forward<T>, BPI_PACKED, nullptr});
