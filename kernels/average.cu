/* average: y += rate (x - y), unless there is a state whose step that began last is refused.
 *
 * Forward: x, state or none, rate or none -> y. Floor: x and y read, y written. The truth:
 * src/cpu/average.c. Called by src/core/tensor.c and params_copy.c. */
#include "device.cuh"

namespace bpi {

enum { AVERAGE_THREADS = 256 };

template <typename T>
static __global__ void __launch_bounds__(AVERAGE_THREADS)
    average_kernel(const T *x, const bpi_optimizer_state *state, const double *of_step, T *y,
                   T rate, int64_t n)
{
    const int64_t i = (int64_t)blockIdx.x * AVERAGE_THREADS + threadIdx.x;
    if (of_step)
        rate = (T)*of_step;
    if (i < n && !(state && state->refused))
        y[i] += rate * (x[i] - y[i]);
}

template <typename T>
static bp_status average(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const T rate = (T)static_cast<const bpi_average_params *>(params)->rate;
    int64_t n = 1;
    for (int32_t i = 0; i < out->shape.ndim; i++)
        n *= out->shape.dim[i];
    return BPI_LAUNCH(ex, parts(n, AVERAGE_THREADS), AVERAGE_THREADS, 0, (average_kernel<T>),
                      static_cast<const T *>(in[0].data),
                      static_cast<const bpi_optimizer_state *>(in[1].data),
                      static_cast<const double *>(in[2].data),
                      static_cast<T *>(out->data), rate, n);
}

} // namespace bpi

BPI_CUDA_OP(average, {bpi::average<T>, BPI_PACKED, nullptr});
