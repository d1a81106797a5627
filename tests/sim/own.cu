/* What a program that has an op of its own compiles beside it: its kernels, and launches that get a
 * stream. y = e^(-a x^2), and dx = -2 a x y dy. tests/own_gaussian.h calls them; part of the
 * simulated plug-in, because it is the simulation that launches. */
#include "device.cuh"

namespace {

template <typename T> __global__ void value(T *y, const T *x, int64_t n, T a)
{
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        y[i] = bpi::exp_of(-a * x[i] * x[i]);
}

template <typename T>
__global__ void slope(T *dx, const T *x, const T *y, const T *dy, int64_t n, T a)
{
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        dx[i] = -2 * a * x[i] * y[i] * dy[i];
}

template <typename T>
int launch(void *stream, int threads, int64_t n, const void *const *in, void *out, double a)
{
    const T *x = static_cast<const T *>(in[0]), *y = static_cast<const T *>(in[1]);
    const T *dy = static_cast<const T *>(in[2]);
    const dim3 blocks((unsigned)((n + 63) / 64)), block((unsigned)threads);
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    T *to = static_cast<T *>(out);
    if (n == 0)
        return 0;
    return dy ? bpi::launch(__FILE__, __LINE__, "slope", slope<T>, 1, blocks, block, 0, s, to, x, y,
                            dy, n, (T)a)
              : bpi::launch(__FILE__, __LINE__, "value", value<T>, 1, blocks, block, 0, s, to, x, n,
                            (T)a);
}

} // namespace

/* in: x; or x, y, dy. 64 threads in a block are right. The launch's error is left where
 * cudaGetLastError finds it. */
extern "C" __attribute__((visibility("default"))) void
bpi_sim_own_gaussian(void *stream, int f64, int threads, int64_t n, const void *const *in,
                     void *out, double a);
extern "C" void bpi_sim_own_gaussian(void *stream, int f64, int threads, int64_t n,
                                     const void *const *in, void *out, double a)
{
    (void)(f64 ? launch<double>(stream, threads, n, in, out, a)
               : launch<float>(stream, threads, n, in, out, a));
}
