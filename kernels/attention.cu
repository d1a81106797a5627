/* attention: y = softmax(scale q k^T + mask) v, without the matrix of weights in memory.
 *
 *     forward:   q [.., T, D], k [.., S, D], v [.., S, E], mask -> y [.., T, E]; aux: L [.., T]
 *     backward:  dy, q, k, v, mask, y, L -> dq, dk, dv
 *
 * The formulas: src/cpu/attention.c. A block takes a strip of queries, forward and for dq, or a
 * strip of keys, for dk and dv, and meets the others strip by strip; scores, weights and their
 * gradients of a strip by a strip are in shared memory and registers, and every sum has one thread.
 * Without tensor cores: floor, T S (D + E) multiply-adds a head forward and T S (4 D + 3 E)
 * backward at the rate of the type; tile.cuh says how far its products can come. */
#include "reduce.cuh"
#include "tile.cuh"

namespace bpi {

enum { OF_Q, OF_K, OF_V, OF_DY, OF_MASK, OPERANDS };
enum { NO_MASK, BYTES, ADDED };

template <typename T> struct Matrix {
    T *data; /* of the first head */
    int64_t row, col;
};

template <typename T> struct Attention {
    Axes<OPERANDS> heads;
    Matrix<const T> q, k, v, dy;
    Matrix<const void> mask;
    int32_t mask_kind, causal;
    const T *y_in, *log_sum_in;  /* packed, like all below */
    T *y, *log_sum;              /* log_sum may be NULL */
    T *dq, *dk, *dv;             /* each may be NULL */
    int64_t n_q, n_k, d, e;
    T scale;
};

/* The pointers of one head. */
template <typename T> struct Head {
    const T *q, *k, *v, *dy;
    int64_t mask; /* elements from the mask's first */
    int64_t number;
};

template <typename T> __device__ static inline Head<T> head_of(const Attention<T> &w, int64_t h)
{
    int64_t offset[OPERANDS] = {0, 0, 0, 0, 0};
    add_offsets(offset, w.heads, 0, h);
    return {w.q.data + offset[OF_Q], w.k.data + offset[OF_K], w.v.data + offset[OF_V],
            w.dy.data + offset[OF_DY], offset[OF_MASK], h};
}

/* scale q_i k_j + mask_ij of a strip of queries from `i` and of keys from `j`; -Inf beyond the
 * keys, and where i may not look at j. */
template <typename T>
__device__ static inline void make_scores(const Attention<T> &w, const Head<T> &head, int64_t i,
                                          int64_t j, Room<T> &room, typename Tile<T>::Mine &acc)
{
    multiply<T, true, true>(
        room, acc, w.d,
        [&](int x, int64_t p) {
            return i + x < w.n_q ? head.q[(i + x) * w.q.row + p * w.q.col] : (T)0;
        },
        [&](int y, int64_t p) {
            return j + y < w.n_k ? head.k[(j + y) * w.k.row + p * w.k.col] : (T)0;
        });
    each_mine([&](int x, int y) {
        const int64_t query = i + row_of<T>(x), key = j + col_of<T>(y);
        const int64_t at = head.mask + query * w.mask.row + key * w.mask.col;
        const bool there = query < w.n_q && key < w.n_k;
        T score = acc[x][y] * w.scale;
        if (there && w.mask_kind == ADDED)
            score += static_cast<const T *>(w.mask.data)[at];
        if (!there || (w.causal && key > query) ||
            (w.mask_kind == BYTES && !static_cast<const uint8_t *>(w.mask.data)[at]))
            score = -(T)INFINITY;
        acc[x][y] = score;
    });
}

/* Columns `from` on of a matrix [rows, cols] that is packed: f(element, number of the thread's). */
template <typename T, typename F>
__device__ static inline void each_element(T *to, int64_t row, int64_t rows, int64_t from,
                                           int64_t cols, F f)
{
    each_mine([&](int x, int y) {
        const int64_t r = row + row_of<T>(x), c = from + col_of<T>(y);
        if (r < rows && c < cols)
            f(to + r * cols + c, x, y);
    });
}

/* to [rows from `row` on, cols] += or, if first, = the product of the room's square, or square^T,
 * and the rows of a matrix from `term` on. */
template <typename T, bool SWAPPED>
__device__ static inline void add_product(Room<T> &room, T *to, int64_t row, int64_t rows,
                                          int64_t cols, bool first, const T *from,
                                          const Matrix<const T> &layout, int64_t term,
                                          int64_t terms)
{
    typename Tile<T>::Mine acc;
    for (int64_t c = 0; c < cols; c += Tile<T>::SIZE) {
        multiply<T, !SWAPPED, false>(
            room, acc, terms - term < Tile<T>::SIZE ? terms - term : (int64_t)Tile<T>::SIZE,
            [&](int x, int64_t p) { return SWAPPED ? room.square[p][x] : room.square[x][p]; },
            [&](int y, int64_t p) {
                return c + y < cols ? from[(term + p) * layout.row + (c + y) * layout.col] : (T)0;
            });
        each_element(to, row, rows, c, cols, [&](T *e, int x, int y) {
            *e = first ? acc[x][y] : *e + acc[x][y];
        });
    }
}

/* The first key beyond those that queries i .. may look at. */
template <typename T>
__device__ static inline int64_t keys_end(const Attention<T> &w, int64_t i)
{
    const int64_t end = i + Tile<T>::SIZE;
    return w.causal && end < w.n_k ? end : w.n_k;
}

/* --- forward -------------------------------------------------------------------------------- */

template <typename T>
static __global__ void __launch_bounds__(Tile<T>::THREADS, Tile<T>::BLOCKS)
    attention_forward(const Attention<T> w, int64_t strips)
{
    using L = Tile<T>;
    BPI_SHARED(Room<T>, rooms, [1]);
    Room<T> &room = rooms[0];
    const Head<T> head = head_of(w, blockIdx.x / strips);
    const int64_t i = blockIdx.x % strips * L::SIZE, end = keys_end(w, i);
    T *y = w.y + head.number * w.n_q * w.e;
    const int row = threadIdx.x / L::TEAM, lane = threadIdx.x % L::TEAM;
    typename L::Mine acc;
    MaxSum<T> s = {-(T)INFINITY, 0}; /* of the team's row */
    for (int64_t j = 0; j < end; j += L::SIZE) {
        make_scores(w, head, i, j, room, acc);
        put_square(room, acc);
        __syncthreads();
        T max = s.max, sum = 0;
        for (int c = lane; c < L::SIZE; c += L::TEAM)
            max = max_of(max, room.square[row][c]);
        max = fold(max, L::TEAM, Largest());
        const T base = max == -(T)INFINITY ? (T)0 : max;
        for (int c = lane; c < L::SIZE; c += L::TEAM)
            sum += room.square[row][c] = exp_of(room.square[row][c] - base);
        const T factor = exp_of(s.max - base);
        s.sum = s.sum * (double)factor + fold((double)sum, L::TEAM, Sum());
        s.max = max;
        if (lane == 0)
            room.row[row] = factor;
        __syncthreads();
        for (int64_t c = 0; j > 0 && c < w.e; c += L::SIZE)
            each_element(y, i, w.n_q, c, w.e,
                         [&](T *e, int a, int) { *e *= room.row[row_of<T>(a)]; });
        add_product<T, false>(room, y, i, w.n_q, w.e, j == 0, head.v, w.v, j, w.n_k);
    }
    __syncthreads();
    if (lane == 0)
        room.row[row] = s.sum == 0 ? (T)0 : (T)(1 / s.sum);
    if (lane == 0 && w.log_sum && i + row < w.n_q)
        w.log_sum[head.number * w.n_q + i + row] =
            s.sum == 0 ? (T)INFINITY : s.max + log_of((T)s.sum);
    __syncthreads();
    for (int64_t c = 0; c < w.e; c += L::SIZE)
        each_element(y, i, w.n_q, c, w.e, [&](T *e, int a, int) {
            *e = end == 0 ? (T)0 : *e * room.row[row_of<T>(a)];
        });
}

/* --- backward ------------------------------------------------------------------------------- */

/* Of a strip by a strip: the weights p, and g = scale p (dp - sum of dy y), which is the gradient
 * of q k^T. */
template <typename T>
__device__ static inline void make_gradients(const Attention<T> &w, const Head<T> &head, int64_t i,
                                             int64_t j, Room<T> &room,
                                             typename Tile<T>::Mine &p,
                                             typename Tile<T>::Mine &g)
{
    using L = Tile<T>;
    const int64_t first = head.number * w.n_q;
    const int64_t r = i + threadIdx.x / L::TEAM;
    double sum = 0;
    for (int64_t c = threadIdx.x % L::TEAM; r < w.n_q && c < w.e; c += L::TEAM)
        sum += (double)head.dy[r * w.dy.row + c * w.dy.col] * (double)w.y_in[(first + r) * w.e + c];
    sum = fold(sum, L::TEAM, Sum());
    __syncthreads(); /* the sums before have been read */
    if (threadIdx.x % L::TEAM == 0)
        room.row[threadIdx.x / L::TEAM] = (T)sum;
    make_scores(w, head, i, j, room, p);
    multiply<T, true, true>(
        room, g, w.e,
        [&](int x, int64_t c) {
            return i + x < w.n_q ? head.dy[(i + x) * w.dy.row + c * w.dy.col] : (T)0;
        },
        [&](int y, int64_t c) {
            return j + y < w.n_k ? head.v[(j + y) * w.v.row + c * w.v.col] : (T)0;
        });
    __syncthreads();
    each_mine([&](int x, int y) {
        const int64_t query = i + row_of<T>(x);
        p[x][y] = query < w.n_q ? exp_of(p[x][y] - w.log_sum_in[first + query]) : (T)0;
        g[x][y] = p[x][y] * (g[x][y] - room.row[row_of<T>(x)]) * w.scale;
    });
}

template <typename T>
static __global__ void __launch_bounds__(Tile<T>::THREADS, Tile<T>::BLOCKS)
    attention_backward_queries(const Attention<T> w, int64_t strips)
{
    using L = Tile<T>;
    BPI_SHARED(Room<T>, rooms, [1]);
    Room<T> &room = rooms[0];
    const Head<T> head = head_of(w, blockIdx.x / strips);
    const int64_t i = blockIdx.x % strips * L::SIZE, end = keys_end(w, i);
    T *dq = w.dq + head.number * w.n_q * w.d;
    typename L::Mine p, g;
    for (int64_t j = 0; j < end; j += L::SIZE) {
        make_gradients(w, head, i, j, room, p, g);
        put_square(room, g);
        add_product<T, false>(room, dq, i, w.n_q, w.d, j == 0, head.k, w.k, j, w.n_k);
    }
    for (int64_t c = 0; end == 0 && c < w.d; c += L::SIZE)
        each_element(dq, i, w.n_q, c, w.d, [](T *e, int, int) { *e = 0; });
}

template <typename T>
static __global__ void __launch_bounds__(Tile<T>::THREADS, Tile<T>::BLOCKS)
    attention_backward_keys(const Attention<T> w, int64_t strips)
{
    using L = Tile<T>;
    BPI_SHARED(Room<T>, rooms, [1]);
    Room<T> &room = rooms[0];
    const Head<T> head = head_of(w, blockIdx.x / strips);
    const int64_t j = blockIdx.x % strips * L::SIZE, first = w.causal ? j : 0;
    T *dk = w.dk ? w.dk + head.number * w.n_k * w.d : nullptr;
    T *dv = w.dv ? w.dv + head.number * w.n_k * w.e : nullptr;
    typename L::Mine p, g;
    for (int64_t i = first; i < w.n_q; i += L::SIZE) {
        make_gradients(w, head, i, j, room, p, g);
        if (dv) {
            put_square(room, p);
            add_product<T, true>(room, dv, j, w.n_k, w.e, i == first, head.dy, w.dy, i, w.n_q);
            __syncthreads();
        }
        if (dk) {
            put_square(room, g);
            add_product<T, true>(room, dk, j, w.n_k, w.d, i == first, head.q, w.q, i, w.n_q);
        }
    }
    if (first < w.n_q)
        return;
    for (int64_t c = 0; dk && c < w.d; c += L::SIZE)
        each_element(dk, j, w.n_k, c, w.d, [](T *e, int, int) { *e = 0; });
    for (int64_t c = 0; dv && c < w.e; c += L::SIZE)
        each_element(dv, j, w.n_k, c, w.e, [](T *e, int, int) { *e = 0; });
}

/* --- the kernels ---------------------------------------------------------------------------- */

template <typename T> static inline Matrix<const T> matrix_of(const bp_view *v)
{
    const int32_t n = v->shape.ndim;
    return {static_cast<const T *>(v->data), v->stride[n - 2], v->stride[n - 1]};
}

/* The stride of v along the axis that is `back` from the end; 0 where it repeats or is absent. */
static inline int64_t stride_of(const bp_view *v, int32_t back)
{
    const int32_t axis = v && v->data ? v->shape.ndim - back : -1;
    return axis < 0 || v->shape.dim[axis] == 1 ? 0 : v->stride[axis];
}

/* in[0 .. 3] are q, k, v and, where there is one, the mask. */
template <typename T>
static inline Attention<T> attention_of(const bp_view *in, const bp_view *dy, const void *params)
{
    const auto *p = static_cast<const bpi_attention_params *>(params);
    const bp_view *mask = p->masked ? &in[3] : nullptr;
    const int32_t n = in->shape.ndim;
    Attention<T> w = {};
    w.q = matrix_of<T>(&in[0]);
    w.k = matrix_of<T>(&in[1]);
    w.v = matrix_of<T>(&in[2]);
    if (dy)
        w.dy = matrix_of<T>(dy);
    if (mask) {
        w.mask = {mask->data, stride_of(mask, 2), stride_of(mask, 1)};
        w.mask_kind = mask->dtype == BP_U8 ? BYTES : ADDED;
    }
    w.causal = p->causal;
    w.scale = (T)p->scale;
    w.n_q = in[0].shape.dim[n - 2];
    w.n_k = in[1].shape.dim[n - 2];
    w.d = in[0].shape.dim[n - 1];
    w.e = in[2].shape.dim[n - 1];
    for (int32_t back = 3; back <= n; back++) {
        const int64_t stride[OPERANDS] = {stride_of(&in[0], back), stride_of(&in[1], back),
                                          stride_of(&in[2], back), stride_of(dy, back),
                                          stride_of(mask, back)};
        add_axis(&w.heads, in->shape.dim[n - back], stride);
    }
    return w;
}

static inline int64_t heads_of(const bp_view *q)
{
    int64_t heads = 1;
    for (int32_t i = 0; i < q->shape.ndim - 2; i++)
        heads *= q->shape.dim[i];
    return heads;
}

template <typename T>
static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    Attention<T> w = attention_of<T>(in, nullptr, params);
    w.y = static_cast<T *>(out[0].data);
    w.log_sum = static_cast<T *>(out[1].data);
    const int64_t strips = parts(w.n_q, Tile<T>::SIZE);
    if (w.d + w.e == 0) /* nothing to write */
        return BP_OK;
    return BPI_LAUNCH(ex, heads_of(in) * strips, Tile<T>::THREADS, 0, (attention_forward<T>), w,
                      strips);
}

template <typename T>
static bp_status backward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    Attention<T> w = attention_of<T>(in + 1, in, params);
    w.y_in = static_cast<const T *>(in[5].data);
    w.log_sum_in = static_cast<const T *>(in[6].data);
    w.dq = static_cast<T *>(out[0].data);
    w.dk = static_cast<T *>(out[1].data);
    w.dv = static_cast<T *>(out[2].data);
    const int64_t heads = heads_of(in), of_q = parts(w.n_q, Tile<T>::SIZE);
    const int64_t of_k = parts(w.n_k, Tile<T>::SIZE);
    bp_status st = BP_OK;
    if (w.d + w.e == 0)
        return BP_OK;
    if (w.dq)
        st = BPI_LAUNCH(ex, heads * of_q, Tile<T>::THREADS, 0, (attention_backward_queries<T>), w,
                        of_q);
    if (st == BP_OK && (w.dk || w.dv))
        st = BPI_LAUNCH(ex, heads * of_k, Tile<T>::THREADS, 0, (attention_backward_keys<T>), w,
                        of_k);
    return st;
}

template <typename T> static size_t aux_bytes(const bp_view *in, const void *)
{
    return (size_t)(heads_of(in) * in->shape.dim[in->shape.ndim - 2]) * sizeof(T);
}

} // namespace bpi

BPI_CUDA_OP(attention, {bpi::forward<T>, BPI_MATRICES, bpi::aux_bytes<T>},
            {bpi::backward<T>, BPI_MATRICES, nullptr});
