/* add_along: y[index] += x along an axis, from 0, in the order of x. Forward: x and index [outer,
 * K, inner] -> y [outer, n, inner], all packed. A bad index is left out and noted. Backward is
 * take_along.
 *
 * A thread owns a line, one of [outer, inner], and adds what the line has in its order: no two
 * threads write one element. Where there are few lines, and long ones, the indices are sorted
 * instead (scatter.cuh), a row being an element: the same additions. Floor: x and index read, y
 * written twice. The truth: src/cpu/add_along.c; the rule: src/ops/add_along.c. */
#include "scatter.cuh"

namespace bpi {

enum {
    LINE_THREADS = 128,
    LINES_ENOUGH = 16384, /* threads that keep a large GPU at work */
    SHORT_LINE = 64,      /* indices that take less than a sort */
    LINE_AT_ONCE = 4      /* elements of x that a thread has under way */
};

template <typename T> struct AddLines {
    const T *x;
    const int32_t *index;
    T *y;
    int64_t outer, indices, length, inner;
    bpi_fault *fault;
    int32_t kernel;
};

template <typename T>
static __global__ void __launch_bounds__(LINE_THREADS) add_lines(const AddLines<T> w)
{
    const int64_t line = (int64_t)blockIdx.x * LINE_THREADS + threadIdx.x;
    const int64_t o = line / w.inner, i = line - o * w.inner;
    if (o >= w.outer)
        return;
    const int64_t from = o * w.indices * w.inner + i;
    T *y = w.y + o * w.length * w.inner + i;
    for (int64_t first = 0; first < w.indices; first += LINE_AT_ONCE) {
        T v[LINE_AT_ONCE];
        int32_t index[LINE_AT_ONCE];
#pragma unroll
        for (int k = 0; k < LINE_AT_ONCE; k++) {
            const int64_t at = from + (first + k) * w.inner;
            const bool there = first + k < w.indices;
            index[k] = there ? w.index[at] : -1;
            v[k] = there ? w.x[at] : (T)0;
            if (there && !index_ok(index[k], w.length, at, w.fault, w.kernel))
                index[k] = -1;
        }
#pragma unroll
        for (int k = 0; k < LINE_AT_ONCE; k++)
            if (index[k] >= 0)
                y[index[k] * w.inner] += v[k];
    }
}

/* By sorting; chunk after chunk. */
template <typename T>
static bp_status add_sorted(bp_exec *ex, const AddLines<T> &w, const bp_view &index,
                            int64_t rows_of_chunk)
{
    const int64_t n = w.outer * w.indices * w.inner, one = w.indices * w.inner;
    bp_status st = BP_OK;
    for (int64_t first = 0; first < n && st == BP_OK; first += CHUNK) {
        const int64_t outer = first / one;
        Sort s = sort_of(ex, index, first, at_most(n - first, CHUNK));
        AddRuns<T> runs = {{w.x + first, s.n, 1, 1},
                           {w.y + outer * w.length * w.inner, rows_of_chunk, 1, 1}, NULL, s.n};
        s.limit = w.length;
        s.rows = rows_of_chunk;
        s.lines = {w.inner, w.indices, w.length, outer};
        st = sort_chunk(ex, s, &runs.entry);
        if (st == BP_OK && w.length > 0)
            st = add_chunk(ex, runs);
    }
    return st;
}

template <typename T>
static bp_status add_along(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const int32_t axis = static_cast<const bpi_along_params *>(params)->axis;
    AddLines<T> w = {static_cast<const T *>(in[0].data), static_cast<const int32_t *>(in[1].data),
                     static_cast<T *>(out->data), 1, in->shape.dim[axis], out->shape.dim[axis], 1,
                     ex->fault, ex->kernel};
    for (int32_t i = 0; i < in->shape.ndim; i++)
        if (i != axis)
            *(i < axis ? &w.outer : &w.inner) *= in->shape.dim[i];
    const int64_t lines = w.outer * w.inner;
    if (lines == 0)
        return BP_OK;
    bp_status st = clear(ex, Rows<T>{w.y, 1, lines * w.length, lines * w.length});
    if (st != BP_OK || w.indices == 0)
        return st;
    const int64_t outers = at_most(CHUNK / (w.indices * w.inner) + 2, w.outer);
    const bool sorts = w.indices > SHORT_LINE && lines < LINES_ENOUGH &&
                       w.length * w.inner <= 0xffffffff / outers;
    return sorts ? add_sorted(ex, w, in[1], outers * w.length * w.inner)
                 : BPI_LAUNCH(ex, parts(lines, LINE_THREADS), LINE_THREADS, 0, (add_lines<T>), w);
}

} // namespace bpi

BPI_CUDA_OP(add_along, {bpi::add_along<T>, BPI_PACKED, nullptr});
