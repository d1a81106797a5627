/* take_along: y = x at an index along an axis. Forward: x of any dtype [outer, n, inner], index
 * [outer, K, inner] -> y [outer, K, inner], packed. A bad index gives 0 and is noted. Backward is
 * add_along. Floor: index and y once, what is taken of x once. The truth: src/cpu/take_along.c; the
 * rule: src/ops/take_along.c. */
#include "grid.cuh"

namespace bpi {

enum { TAKE_THREADS = 256, TAKE_EACH = 4 }; /* elements of a thread */

/* A view in BPI_ROWS as [outer, size, inner], the axis in the middle. */
struct Along {
    int64_t outer, size, inner, outer_step, step;
};

static inline Along along_of(const bp_view &v, int32_t axis)
{
    Along a = {1, v.shape.dim[axis], 1, 0, 0};
    for (int32_t i = 0; i < v.shape.ndim; i++)
        if (i != axis)
            *(i < axis ? &a.outer : &a.inner) *= v.shape.dim[i];
    const bool rows = v.shape.ndim == 2;
    a.step = rows && axis == 0 ? v.stride[0] : a.inner;
    a.outer_step = rows && axis == 1 ? v.stride[0] : a.size * a.inner;
    return a;
}

struct Take {
    const int32_t *index;
    Along from, at;
    int64_t count;
    bpi_fault *fault;
    int32_t kernel;
};

template <typename E>
static __global__ void __launch_bounds__(TAKE_THREADS)
    take_elements(const Take w, const E *x, E *y)
{
    const int64_t first = (int64_t)blockIdx.x * (TAKE_EACH * TAKE_THREADS) + threadIdx.x;
    E v[TAKE_EACH];
#pragma unroll
    for (int j = 0; j < TAKE_EACH; j++) {
        const int64_t e = first + j * TAKE_THREADS;
        if (e >= w.count)
            break;
        const int64_t line = e / w.at.inner, i = e - line * w.at.inner;
        const int64_t o = line / w.at.size, k = line - o * w.at.size;
        const int64_t place = o * w.at.outer_step + k * w.at.step + i;
        const int32_t index = w.index[place];
        const bool good = index_ok(index, w.from.size, place, w.fault, w.kernel);
        v[j] = good ? x[o * w.from.outer_step + index * w.from.step + i] : (E)0;
    }
#pragma unroll
    for (int j = 0; j < TAKE_EACH; j++)
        if (first + j * TAKE_THREADS < w.count)
            y[first + j * TAKE_THREADS] = v[j];
}

template <typename E>
static bp_status take(bp_exec *ex, const Take &w, const bp_view *in, const bp_view *out)
{
    return BPI_LAUNCH(ex, parts(w.count, TAKE_EACH * TAKE_THREADS), TAKE_THREADS, 0,
                      (take_elements<E>), w, in->data, out->data);
}

static bp_status take_along(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const int32_t axis = static_cast<const bpi_along_params *>(params)->axis;
    Take w = {static_cast<const int32_t *>(in[1].data), along_of(in[0], axis),
              along_of(in[1], axis), 0, ex->fault, ex->kernel};
    w.count = w.at.outer * w.at.size * w.at.inner;
    switch (in->dtype) {
    case BP_U8: return take<uint8_t>(ex, w, in, out);
    case BP_F64: return take<uint64_t>(ex, w, in, out);
    default: return take<uint32_t>(ex, w, in, out);
    }
}

} // namespace bpi

BPI_CUDA_OP(take_along, {bpi::take_along, BPI_ROWS, nullptr});
