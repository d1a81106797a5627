/* batch_norm: every column of a batch by its own mean and variance.
 *
 *     forward:   x [N, C], gain, bias -> y, mean, variance; aux: what layer_norm.cu keeps of a row
 *                y = (x - mean) / sqrt(variance + eps) gain + bias; the variance that is handed out
 *                is that of N - 1
 *     backward:  dy, x, gain, aux -> dx, dgain, dbias: the formulas of layer_norm.cu, with columns
 *                for rows
 *
 * A block is WARP columns wide, LINES rows are under way; it goes over its strip three times,
 * backward twice. Floor: 2 elements of memory traffic an element, backward 3, where L2 keeps the
 * strips. The truth: src/cpu/batch_norm.c; the rule: src/ops/batch_norm.c. */
#include "reduce.cuh"

namespace bpi {

enum { LINES = 16 };

template <typename T> struct ColumnStats {
    T mean, low, scale; /* z = ((x - mean) - low) scale */
    __device__ T standard(T x) const { return ((x - mean) - low) * scale; }
};

template <typename T> struct BatchNorm {
    Rows<const T> x, dy;   /* dy: backward */
    Rows<T> y;             /* backward: dx, data NULL where it is not wanted */
    const T *gain, *bias;  /* [C] */
    ColumnStats<T> *stats; /* [C], or NULL */
    T *mean, *variance;    /* [C] */
    T *dgain, *dbias;      /* [C], or NULL */
    double eps;
};

template <typename T>
static __global__ void __launch_bounds__(WARP *LINES) batch_norm_forward(const BatchNorm<T> w)
{
    const int64_t column = (int64_t)blockIdx.x * WARP + threadIdx.x % WARP;
    const int line = threadIdx.x / WARP;
    const int64_t rows = column < w.x.size ? w.x.n : 0;
    const double n = (double)w.x.n;
    const T *x = w.x.data + column;
    const double from = rows ? (double)*x : 0; /* a mean is a distance from it: no digits lost */
    double sum = 0, squares = 0;
    for (int64_t r = line; r < rows; r += LINES)
        sum += (double)x[r * w.x.pitch] - from;
    const double mean = fold_lines<LINES>(sum, Sum()) / n;
    for (int64_t r = line; r < rows; r += LINES) {
        const double d = ((double)x[r * w.x.pitch] - from) - mean;
        squares += d * d;
    }
    const double variance = fold_lines<LINES>(squares, Sum()) / n;
    if (column >= w.x.size)
        return;
    const T near = (T)(from + mean);
    const ColumnStats<T> s = {near, (T)((from - (double)near) + mean),
                              (T)(1 / sqrt_of(variance + w.eps))};
    if (line == 0) {
        w.mean[column] = near;
        w.variance[column] = (T)(variance * n / (n - 1));
        if (w.stats)
            w.stats[column] = s;
    }
    const T gain = w.gain[column], bias = w.bias[column];
    for (int64_t r = line; r < rows; r += LINES)
        w.y.data[r * w.y.pitch + column] = s.standard(x[r * w.x.pitch]) * gain + bias;
}

template <typename T>
static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    BatchNorm<T> w = {};
    w.x = rows_of<const T>(in, 1);
    w.y = rows_of<T>(out, 1);
    w.gain = static_cast<const T *>(in[1].data);
    w.bias = static_cast<const T *>(in[2].data);
    w.mean = static_cast<T *>(out[1].data);
    w.variance = static_cast<T *>(out[2].data);
    w.stats = static_cast<ColumnStats<T> *>(out[3].data);
    w.eps = static_cast<const bpi_batch_norm_params *>(params)->eps;
    return BPI_LAUNCH(ex, parts(w.x.size, WARP), WARP * LINES, 0, (batch_norm_forward<T>), w);
}

template <typename T> static size_t aux_bytes(const bp_view *in, const void *)
{
    return (size_t)in->shape.dim[1] * sizeof(ColumnStats<T>);
}

template <typename T>
static __global__ void __launch_bounds__(WARP *LINES) batch_norm_backward(const BatchNorm<T> w)
{
    const int64_t column = (int64_t)blockIdx.x * WARP + threadIdx.x % WARP;
    const int line = threadIdx.x / WARP;
    const int64_t rows = column < w.x.size ? w.x.n : 0;
    const T *x = w.x.data + column, *dy = w.dy.data + column;
    const ColumnStats<T> s = rows ? w.stats[column] : ColumnStats<T>{0, 0, 0};
    double sum = 0, product = 0;
    for (int64_t r = line; r < rows; r += LINES) {
        const T d = dy[r * w.dy.pitch];
        sum += (double)d;
        product += (double)(d * s.standard(x[r * w.x.pitch]));
    }
    sum = fold_lines<LINES>(sum, Sum());
    product = fold_lines<LINES>(product, Sum());
    if (column >= w.x.size)
        return;
    if (line == 0 && w.dgain)
        w.dgain[column] = (T)product;
    if (line == 0 && w.dbias)
        w.dbias[column] = (T)sum;
    if (!w.y.data)
        return;
    const T a = (T)(sum / (double)w.x.n), b = (T)(product / (double)w.x.n);
    const T factor = w.gain[column] * s.scale;
    for (int64_t r = line; r < rows; r += LINES)
        w.y.data[r * w.y.pitch + column] =
            (dy[r * w.dy.pitch] - a - s.standard(x[r * w.x.pitch]) * b) * factor;
}

template <typename T>
static bp_status backward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *)
{
    BatchNorm<T> w = {};
    w.dy = rows_of<const T>(&in[0], 1);
    w.x = rows_of<const T>(&in[1], 1);
    w.gain = static_cast<const T *>(in[2].data);
    w.stats = static_cast<ColumnStats<T> *>(in[3].data);
    if (out[0].data)
        w.y = rows_of<T>(out, 1);
    w.dgain = static_cast<T *>(out[1].data);
    w.dbias = static_cast<T *>(out[2].data);
    return BPI_LAUNCH(ex, parts(w.x.size, WARP), WARP * LINES, 0, (batch_norm_backward<T>), w);
}

} // namespace bpi

BPI_CUDA_OP(batch_norm, {bpi::forward<T>, BPI_ROWS, bpi::aux_bytes<T>},
            {bpi::backward<T>, BPI_ROWS, nullptr});
