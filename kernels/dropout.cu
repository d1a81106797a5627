/* dropout: y = x scale where element i of the stream (philox.h) is kept, else 0; scale = 65536 /
 * keep; i counts elements in row-major order. Forward: x, rng -> y; backward: the same with dy.
 *
 * Nothing is stored, the mask is drawn again. A lane draws one block of the stream, the bits of 8
 * elements; a warp has 32 of them and moves its 256 elements in vectors that lie side by side, so
 * bits go from the lane that drew them to the lane that needs them. Floor: 2 elements of memory
 * traffic an element: 8 bytes an f32. The truth: src/cpu/dropout.c. The rule: src/ops/dropout.c. */
#include "dropout.cuh"
#include "elementwise.cuh"

namespace bpi {

/* x and y as rows; all in one row where neither has a gap. */
struct Shape {
    int64_t n, cols, x_pitch, y_pitch;
};

/* N divides cols, or there is one row. */
template <typename T, int N>
static __global__ void __launch_bounds__(THREADS)
    dropout_kernel(T *y, const T *x, Shape s, const bpi_rng_state *rng, uint32_t site,
                   uint32_t keep, T scale)
{
    constexpr int ITEMS = BLOCK / N;
    const int lane = threadIdx.x % WARP;
    const int64_t block = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    const int64_t first = (block - lane) * BLOCK + lane * N;
    Vector<T, N> v[ITEMS];
    int64_t row[ITEMS];
    for (int i = 0; i < ITEMS; i++) {
        const int64_t at = first + i * (WARP * N);
        row[i] = s.cols < s.n ? at / s.cols : 0;
        v[i] = load<N>(x + at + row[i] * (s.x_pitch - s.cols), s.n - at);
    }
    const unsigned kept = kept_bits(rng, site, keep, (uint64_t)block);
    for (int i = 0; i < ITEMS; i++) {
        const int64_t at = first + i * (WARP * N);
        const int drawn_by = (i * WARP + lane) * N / BLOCK;
        const unsigned bits = __shfl_sync(ALL_LANES, kept, drawn_by) >> lane * N % BLOCK;
        for (int j = 0; j < N; j++)
            v[i].at[j] = bits >> j & 1 ? v[i].at[j] * scale : 0;
        store<N>(y + at + row[i] * (s.y_pitch - s.cols), v[i], s.n - at);
    }
}

static Shape shape_of(const bp_view &y, const bp_view &x)
{
    Shape s = {1, 0, 0, 0};
    for (int32_t i = 0; i < y.shape.ndim; i++)
        s.n *= y.shape.dim[i];
    s.cols = s.x_pitch = s.y_pitch = s.n;
    const int64_t cols = y.shape.ndim == 2 && y.shape.dim[0] > 1 ? y.shape.dim[1] : s.n;
    if (cols < s.n && (x.stride[0] != cols || y.stride[0] != cols))
        s = {s.n, cols, x.stride[0], y.stride[0]};
    return s;
}

template <typename T>
static bp_status dropout_forward(bp_exec *ex, const bp_view *in, const bp_view *out,
                                 const void *params)
{
    constexpr int N = lanes_of<T>;
    const auto *p = static_cast<const bpi_dropout_params *>(params);
    const T scale = p->keep ? (T)(65536.0 / p->keep) : 0;
    const Shape s = shape_of(*out, in[0]);
    const int64_t blocks = parts(s.n, BLOCK * THREADS);
    const bool whole = s.cols == s.n ||
                       (s.cols % N == 0 && s.x_pitch % N == 0 && s.y_pitch % N == 0);
    if (whole && is_aligned(in[0].data) && is_aligned(out->data))
        return BPI_LAUNCH(ex, blocks, THREADS, 0, (dropout_kernel<T, N>), out->data, in[0].data, s,
                          in[1].data, p->site, p->keep, scale);
    return BPI_LAUNCH(ex, blocks, THREADS, 0, (dropout_kernel<T, 1>), out->data, in[0].data, s,
                      in[1].data, p->site, p->keep, scale);
}

} // namespace bpi

BPI_CUDA_OP(dropout, {bpi::dropout_forward<T>, BPI_ROWS, nullptr});
