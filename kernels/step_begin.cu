/* step_begin: what comes before an update. Forward: g [n] or absent -> state, a
 * bpi_optimizer_state. Notes BP_ERR_NONFINITE where g holds a NaN or an infinity, so that the step
 * changes nothing; then, if the params say that it counts, the last block adds 1 to the step,
 * unless there is a fault.
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
__device__ static inline void note_nonfinite(const T *g, int64_t n, int64_t readers,
                                             bpi_fault *fault, int32_t kernel)
{
    const int64_t step = THREADS * N, begin = (int64_t)blockIdx.x * AT_ONCE * step;
    for (int64_t first = begin + threadIdx.x * N; first < n; first += readers * AT_ONCE * step) {
        Vector<T, N> v[AT_ONCE];
        for (int i = 0; i < AT_ONCE; i++)
            v[i] = load<N>(g + first + i * step, n - first - i * step);
        for (int i = 0; i < AT_ONCE; i++)
            for (int j = 0; j < N; j++)
                if (!(fabs(v[i].at[j]) < INFINITY)) {
                    const int64_t place = first + i * step + j;
                    note_fault(fault, kernel, BP_ERR_NONFINITE, place, (int32_t)place);
                    return;
                }
    }
}

template <typename T, int N>
static __global__ void __launch_bounds__(THREADS)
    step_begin_kernel(const T *g, int64_t n, int64_t readers, bpi_optimizer_state *state,
                      int32_t counts, const bpi_small_list small, uint32_t *counter,
                      bpi_fault *fault, int32_t kernel)
{
    if (blockIdx.x < readers)
        note_nonfinite<T, N>(g, n, readers, fault, kernel);
    else
        run_small(small, fault);
    if (counts && last_block(counter, gridDim.x) && threadIdx.x == 0 && __ldcg(&fault->what) == 0)
        state->step += 1;
}

template <typename T, int N>
static bp_status step_begin_launch(bp_exec *ex, const T *g, int64_t n, void *state, int32_t counts,
                                   const bpi_small_list &small)
{
    int64_t readers = at_most(parts(n, AT_ONCE * THREADS * N), BLOCKS);
    if (readers == 0 && counts)
        readers = 1;
    return BPI_LAUNCH(ex, readers + (small.n > 0), THREADS, 0, (step_begin_kernel<T, N>), g, n,
                      readers, state, counts, small, bpi_cuda_of(ex)->counters, ex->fault,
                      ex->kernel);
}

template <typename T>
static bp_status step_begin_forward(bp_exec *ex, const bp_view *in, const bp_view *out,
                                    const void *params)
{
    const int32_t counts = static_cast<const bpi_step_begin_params *>(params)->counts;
    const T *g = static_cast<const T *>(in->data);
    const int64_t n = g ? in->shape.dim[0] : 0;
    bpi_small_list small;
    const bp_status st = bpi_cuda_take_small(ex, in, out, &small);
    if (st != BP_OK)
        return st;
    if (is_aligned(g))
        return step_begin_launch<T, lanes_of<T>>(ex, g, n, out->data, counts, small);
    return step_begin_launch<T, 1>(ex, g, n, out->data, counts, small);
}

} // namespace bpi

BPI_CUDA_OP(step_begin, {bpi::step_begin_forward<T>, BPI_PACKED, nullptr});
