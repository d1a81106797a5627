/* step_begin: what comes before an update. Forward: g [n] or absent -> state, a
 * bpi_optimizer_state. Notes the first element of g that is NaN, infinite or too large; then, if
 * the params say that it decides, the last block counts the step or refuses it (fault.h).
 *
 * Small calls that wait (src/cuda/cuda.h) come along: one more block runs them, beside the others.
 * Floor: g read once, 4 bytes an f32; the update reads it again, so it is left in the caches. The
 * truth: src/cpu/step_begin.c. Called by src/optim. */
#include "elementwise.cuh"
#include "small.cuh"

namespace bpi {

/* Vectors that a thread has under way; the most blocks that read g, more than any GPU holds. */
enum { AT_ONCE = 4, BLOCKS = 4096 };

/* A thread notes its first and is done: the first of all is among them. */
template <typename T, int N>
__device__ static inline void note_unfit(const T *g, int64_t n, int64_t readers, T most,
                                         int64_t begin_of_g, bpi_fault *fault)
{
    const int64_t step = THREADS * N, begin = (int64_t)blockIdx.x * AT_ONCE * step;
    for (int64_t first = begin + threadIdx.x * N; first < n; first += readers * AT_ONCE * step) {
        Vector<T, N> v[AT_ONCE];
        for (int i = 0; i < AT_ONCE; i++)
            v[i] = load<N>(g + first + i * step, n - first - i * step);
        for (int i = 0; i < AT_ONCE; i++)
            for (int j = 0; j < N; j++)
                if (!(fabs(v[i].at[j]) <= most)) {
                    const T x = v[i].at[j];
                    note_gradient(fault, begin_of_g + first + i * step + j,
                                  x != x         ? BPI_NAN
                                  : x - x != 0 ? BPI_INFINITE
                                               : BPI_TOO_LARGE);
                    return;
                }
    }
}

template <typename T, int N>
static __global__ void __launch_bounds__(THREADS)
    step_begin_kernel(const T *g, int64_t n, int64_t readers, bpi_optimizer_state *state,
                      const bpi_step_begin_params params, const bpi_small_list small,
                      uint32_t *counter, bpi_fault *fault)
{
    if (blockIdx.x < readers)
        note_unfit<T, N>(g, n, readers, (T)params.most_gradient, params.begin, fault);
    else
        run_small(small, fault);
    if (params.decides && last_block(counter, gridDim.x) && threadIdx.x == 0)
        bpi_step_decide(fault, state, &params);
}

template <typename T, int N>
static bp_status step_begin_launch(bp_exec *ex, const T *g, int64_t n, void *state,
                                   const bpi_step_begin_params &params,
                                   const bpi_small_list &small)
{
    int64_t readers = at_most(parts(n, AT_ONCE * THREADS * N), BLOCKS);
    if (readers == 0 && params.decides)
        readers = 1;
    return BPI_LAUNCH(ex, readers + (small.n > 0), THREADS, 0, (step_begin_kernel<T, N>), g, n,
                      readers, state, params, small, bpi_cuda_of(ex)->counters, ex->fault);
}

template <typename T>
static bp_status step_begin_forward(bp_exec *ex, const bp_view *in, const bp_view *out,
                                    const void *params)
{
    const auto &p = *static_cast<const bpi_step_begin_params *>(params);
    const T *g = static_cast<const T *>(in->data);
    const int64_t n = g ? in->shape.dim[0] : 0;
    bpi_small_list small;
    const bp_status st = bpi_cuda_take_small(ex, in, out, &small);
    if (st != BP_OK)
        return st;
    if (is_aligned(g))
        return step_begin_launch<T, lanes_of<T>>(ex, g, n, out->data, p, small);
    return step_begin_launch<T, 1>(ex, g, n, out->data, p, small);
}

} // namespace bpi

BPI_CUDA_OP(step_begin, {bpi::step_begin_forward<T>, BPI_PACKED, nullptr});
