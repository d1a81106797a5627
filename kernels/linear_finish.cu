/* What a library's product leaves to do, in place, in one pass (bpi_linear_finish, cuda.h):
 *
 *     y = dropout(relu(y + bias)), and, where asked, one bit of mask an element: !(y <= 0)
 *
 * A thread owns 8 neighbours of a row: a byte of the mask, and a block of the dropout stream where
 * rows have a multiple of 8 elements. Floor: y read and written once. The same in one product on
 * the CPU: src/cpu/gemm_tile.h; who calls it: src/cuda/linear.c; the bits: src/door/philox.h. */
#include "dropout.cuh"
#include "reduce.cuh"

namespace bpi {

template <typename T> struct LinearFinish {
    Rows<T> y;
    const T *bias;
    const bpi_rng_state *rng;
    uint32_t site, keep, relu;
    uint8_t *mask;
    int64_t mask_pitch; /* bytes */
};

/* The bits of the BLOCK elements from number `first` of the stream on. */
template <typename T>
__device__ static inline unsigned kept_of(const LinearFinish<T> &f, uint64_t first)
{
    const unsigned skip = (unsigned)(first % BLOCK);
    unsigned bits = kept_bits(f.rng, f.site, f.keep, first / BLOCK);
    if (skip != 0)
        bits |= kept_bits(f.rng, f.site, f.keep, first / BLOCK + 1) << BLOCK;
    return bits >> skip;
}

template <typename T, int N>
static __global__ void __launch_bounds__(STRIP_THREADS)
    linear_finish(const LinearFinish<T> f, const Strips s)
{
    constexpr int COUNT = BLOCK / N;
    const StripPlace at = place_of(s, 1);
    const int64_t col = at.first * BLOCK, left = f.y.size - col;
    if (at.row >= s.rows || at.first >= s.units)
        return;
    Vector<T, N> y[COUNT], bias[COUNT] = {};
    T *place = f.y.data + at.row * f.y.pitch + col;
    load(y, place, left, N, (T)0);
    if (f.bias)
        load(bias, f.bias + col, left, N, (T)0);
    unsigned kept = 0xff, passed = 0;
    T scale = 1;
    if (f.keep < 65536 && left > 0) {
        kept = kept_of(f, (uint64_t)(at.row * f.y.size + col));
        scale = f.keep ? (T)(65536.0 / f.keep) : (T)0;
    }
#pragma unroll
    for (int k = 0; k < COUNT; k++)
#pragma unroll
        for (int j = 0; j < N; j++) {
            const int h = k * N + j;
            T v = y[k].at[j] + bias[k].at[j];
            v = f.relu && v <= 0 ? (T)0 : v;
            v = kept >> h & 1 ? v * scale : (T)0;
            passed |= (unsigned)(h < left && !(v <= 0)) << h;
            y[k].at[j] = v;
        }
    store(place, y, left, N);
    if (f.mask)
        f.mask[at.row * f.mask_pitch + at.first] = (uint8_t)passed;
}

template <typename T, int N> static bp_status launch_finish(bp_exec *ex, const LinearFinish<T> &f)
{
    const int64_t units = f.mask ? f.mask_pitch : parts(f.y.size, BLOCK);
    const Strips s = strips_of(f.y.n, units, 1);
    return BPI_LAUNCH(ex, blocks_of(s), STRIP_THREADS, 0, (linear_finish<T, N>), f, s);
}

template <typename T> static bp_status finish(bp_exec *ex, const bpi_linear_finish *f)
{
    const LinearFinish<T> w = {{static_cast<T *>(f->y), f->rows, f->cols, f->pitch},
                               static_cast<const T *>(f->bias),
                               static_cast<const bpi_rng_state *>(f->rng), f->site, f->keep,
                               f->relu != 0, f->mask, f->mask_pitch / 8};
    return is_vectors(w.y) && is_aligned(w.bias) ? launch_finish<T, lanes_of<T>>(ex, w)
                                                 : launch_finish<T, 1>(ex, w);
}

} // namespace bpi

bp_status bpi_cuda_linear_finish(bp_exec *ex, const bpi_linear_finish *f)
{
    return f->dtype == BP_F64 ? bpi::finish<double>(ex, f) : bpi::finish<float>(ex, f);
}
