/* softmax and log_softmax along an axis, by a form that says what their elements are:
 *
 *     Form<T>(max and sum of a row).value(x)   y
 *     Form<T>::term(dy, y)                     what the backward sum of a row is of
 *     Form<T>::gradient(dy, y, sum)            dx
 *     Form<T>::READS_Y                         whether `term` reads y
 *
 * Along the last axis a team of threads takes a row and reads it once (team.cuh). Along another a
 * block takes WARP columns, LINES rows at a time, and goes over them three times, backward twice.
 * Floor: 2 elements of memory traffic an element, backward 3, where L2 keeps those columns.
 * Users: softmax.cu, log_softmax.cu. */
#ifndef BPI_SOFTMAX_CUH
#define BPI_SOFTMAX_CUH

#include "team.cuh"

namespace bpi {

template <template <typename> class Form, typename T, int N, typename Team>
static __global__ void __launch_bounds__(Team::THREADS, Team::BLOCKS)
    softmax_forward(const Rows<const T> x, const Rows<T> y, const Share share)
{
    using C = Cut<T, N, Team>;
    constexpr int STEP = C::STEP, HELD = C::HELD;
    const auto at = place_in_row<T, N, Team>(first_group<Team>(share), x.n, x.size, share);
    const auto left = at.left, rest = left - HELD;
    const T *from = x.data + at.row * x.pitch + at.column;
    T *to = y.data + at.row * y.pitch + at.column;
    BPI_DYNAMIC_SHARED(T, shared);
    T *own = shared + at.own;
    MaxSum<T> s = {-(T)INFINITY, 0};
    Vector<T, N> held[C::COUNT], next[C::REST], term[C::COUNT], next_term[C::REST];
    load(held, from, left, STEP, -(T)INFINITY);
    fetch<T, N, Team>(own, from + HELD, rest, share.kept);
    add_terms(&s, held, term);
    fetched<Team>();
    typename C::Count i = 0;
#pragma unroll 1
    for (; Team::WIDEST && i < rest; i += C::CHUNK) {
        load(next, i < share.kept ? own + i : from + HELD + i, rest - i, STEP, -(T)INFINITY);
        add_terms(&s, next, next_term);
    }
    const Form<T> form(fold_row_terms<Team>(s, share));
    if (at.row >= x.n)
        return;
    each(held, [=](T &e) { e = form.value(e); });
    store(to, held, left, STEP);
#pragma unroll 1
    while (Team::WIDEST && i > 0) {
        i -= C::CHUNK;
        load(next, i < share.kept ? own + i : from + HELD + i, rest - i, STEP, (T)0);
        each(next, [=](T &e) { e = form.value(e); });
        store(to + HELD + i, next, rest - i, STEP);
    }
}

template <typename Form, typename T, int N, int COUNT>
__device__ static inline double sum_of(const Vector<T, N> (&dy)[COUNT],
                                       const Vector<T, N> (&y)[COUNT])
{
    double sum = 0;
#pragma unroll
    for (int k = 0; k < COUNT; k++)
#pragma unroll
        for (int j = 0; j < N; j++)
            sum += (double)Form::term(dy[k].at[j], y[k].at[j]);
    return sum;
}

/* dy becomes dx. */
template <typename Form, typename T, int N, int COUNT>
__device__ static inline void to_gradient(Vector<T, N> (&dy)[COUNT],
                                          const Vector<T, N> (&y)[COUNT], T sum)
{
#pragma unroll
    for (int k = 0; k < COUNT; k++)
#pragma unroll
        for (int j = 0; j < N; j++)
            dy[k].at[j] = Form::gradient(dy[k].at[j], y[k].at[j], sum);
}

/* dy is kept from shared[0], y, if it is read twice, from shared[share.kept]. */
template <template <typename> class Form, typename T, int N, typename Team>
static __global__ void __launch_bounds__(Team::THREADS, Team::BLOCKS)
    softmax_backward(const Rows<const T> dy, const Rows<const T> y, const Rows<T> dx,
                     const Share share)
{
    using C = Cut<T, N, Team>;
    constexpr bool READS_Y = Form<T>::READS_Y;
    constexpr int STEP = C::STEP, HELD = C::HELD;
    const auto at = place_in_row<T, N, Team>(first_group<Team>(share), dy.n, dy.size, share);
    const auto left = at.left, rest = left - HELD;
    const T *from = dy.data + at.row * dy.pitch + at.column;
    const T *from_y = y.data + at.row * y.pitch + at.column;
    T *to = dx.data + at.row * dx.pitch + at.column;
    BPI_DYNAMIC_SHARED(T, shared);
    T *own = shared + at.own, *own_y = own + share.kept;
    Vector<T, N> held[C::COUNT], held_y[C::COUNT], next[C::REST], next_y[C::REST];
    load(held, from, left, STEP, (T)0);
    load(held_y, from_y, left, STEP, (T)0);
    fetch<T, N, Team>(own, from + HELD, rest, share.kept);
    fetch<T, N, Team>(own_y, from_y + HELD, READS_Y ? rest : 0, share.kept);
    double part = sum_of<Form<T>>(held, held_y);
    fetched<Team>();
    typename C::Count i = 0;
#pragma unroll 1
    for (; Team::WIDEST && i < rest; i += C::CHUNK) {
        const bool is_kept = i < share.kept;
        load(next, is_kept ? own + i : from + HELD + i, rest - i, STEP, (T)0);
        load(next_y, is_kept ? own_y + i : from_y + HELD + i, READS_Y ? rest - i : 0, STEP, (T)0);
        part += sum_of<Form<T>>(next, next_y);
    }
    const T sum = (T)fold_row<Team>(part, share, Sum(), 0.0);
    to_gradient<Form<T>>(held, held_y, sum);
    store(to, held, left, STEP);
#pragma unroll 1
    while (Team::WIDEST && i > 0) {
        i -= C::CHUNK;
        const bool is_kept = i < share.kept;
        load(next, is_kept ? own + i : from + HELD + i, rest - i, STEP, (T)0);
        load(next_y, READS_Y && is_kept ? own_y + i : from_y + HELD + i, rest - i, STEP, (T)0);
        to_gradient<Form<T>>(next, next_y, sum);
        store(to + HELD + i, next, rest - i, STEP);
    }
}

template <template <typename> class Form, typename T, int N>
static bp_status launch_softmax(bp_exec *ex, const Rows<const T> &x, const Rows<T> &y)
{
    return with_team<T>(x.size, [&](auto team) {
        using Team = decltype(team);
        Share s;
        bp_status st = share_out<T, Team>(ex, softmax_forward<Form, T, N, Team>, x.size, 1, &s);
        return st != BP_OK ? st
                           : BPI_LAUNCH_TEAMS(ex, Team, s, x.n,
                                              (softmax_forward<Form, T, N, Team>), x, y, s);
    });
}

/* --- along another axis -------------------------------------------------------------------- */

enum { LINES = 16 };

/* Tables of `rows` rows of `inner` elements, `pitch` apart. */
template <typename T> struct Tables {
    T *data;
    int64_t n, rows, inner, pitch;
};

template <typename T> static inline Tables<T> tables_of(const bp_view *v, int32_t axis)
{
    Tables<T> t = {static_cast<T *>(v->data), 1, v->shape.dim[axis], 1, 0};
    for (int32_t i = 0; i < v->shape.ndim; i++)
        if (i != axis)
            *(i < axis ? &t.n : &t.inner) *= v->shape.dim[i];
    t.pitch = v->shape.ndim == 2 ? v->stride[0] : t.inner;
    return t;
}

/* A thread's column: its first element in a table of pitch `pitch`, and how many of its rows there
 * are, 0 beyond the last column. */
struct Column {
    int64_t table, at, rows;
};

template <typename T> __device__ static inline Column column_of(const Tables<T> &t)
{
    const int64_t tiles = (t.inner + WARP - 1) / WARP, table = blockIdx.x / tiles;
    const int64_t at = blockIdx.x % tiles * WARP + threadIdx.x % WARP;
    return {table, at, at < t.inner ? t.rows : 0};
}

template <template <typename> class Form, typename T>
static __global__ void __launch_bounds__(WARP *LINES, 1)
    softmax_columns_forward(const Tables<const T> x, const Tables<T> y)
{
    const Column c = column_of(x);
    const int line = threadIdx.x / WARP;
    const T *from = x.data + c.table * x.rows * x.pitch + c.at;
    T *to = y.data + c.table * y.rows * y.pitch + c.at;
    MaxSum<T> s = {-(T)INFINITY, 0};
    for (int64_t r = line; r < c.rows; r += LINES)
        s.max = Largest()(s.max, from[r * x.pitch]);
    s.max = fold_lines<LINES>(s.max, Largest());
    const T base = s.max == -(T)INFINITY ? (T)0 : s.max;
    for (int64_t r = line; r < c.rows; r += LINES)
        s.sum += (double)exp_of(from[r * x.pitch] - base);
    s.sum = fold_lines<LINES>(s.sum, Sum());
    const Form<T> form(s);
    for (int64_t r = line; r < c.rows; r += LINES)
        to[r * y.pitch] = form.value(from[r * x.pitch]);
}

template <template <typename> class Form, typename T>
static __global__ void __launch_bounds__(WARP *LINES, 1)
    softmax_columns_backward(const Tables<const T> dy, const Tables<const T> y, const Tables<T> dx)
{
    const Column c = column_of(dy);
    const int line = threadIdx.x / WARP;
    const T *from = dy.data + c.table * dy.rows * dy.pitch + c.at;
    const T *from_y = y.data + c.table * y.rows * y.pitch + c.at;
    T *to = dx.data + c.table * dx.rows * dx.pitch + c.at;
    double part = 0;
    for (int64_t r = line; r < c.rows; r += LINES)
        part += (double)Form<T>::term(from[r * dy.pitch],
                                      Form<T>::READS_Y ? from_y[r * y.pitch] : (T)0);
    const T sum = (T)fold_lines<LINES>(part, Sum());
    for (int64_t r = line; r < c.rows; r += LINES)
        to[r * dx.pitch] = Form<T>::gradient(from[r * dy.pitch], from_y[r * y.pitch], sum);
}

/* --- kernels of the door -------------------------------------------------------------------- */

template <template <typename> class Form, typename T>
static bp_status softmax_of(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const int32_t outer = in->shape.ndim - 1;
    const int32_t axis = static_cast<const bpi_softmax_params *>(params)->axis;
    if (axis != outer) {
        const auto t = tables_of<const T>(in, axis);
        return BPI_LAUNCH(ex, t.n * parts(t.inner, WARP), WARP * LINES, 0,
                          (softmax_columns_forward<Form, T>), t, tables_of<T>(out, axis));
    }
    const auto x = rows_of<const T>(in, outer);
    const auto y = rows_of<T>(out, outer);
    return is_vectors(x) && is_vectors(y) ? launch_softmax<Form, T, lanes_of<T>>(ex, x, y)
                                          : launch_softmax<Form, T, 1>(ex, x, y);
}

/* Half of what a team holds is dy, the other half y. */
template <template <typename> class Form, typename T, int N>
static bp_status launch_softmax_gradient(bp_exec *ex, const Rows<const T> &dy,
                                         const Rows<const T> &y, const Rows<T> &dx)
{
    return with_team<T>(2 * dy.size, [&](auto both) {
        using Each = HalfOf<decltype(both)>;
        constexpr int ROWS = Form<T>::READS_Y ? 2 : 1;
        Share s;
        bp_status st = share_out<T, Each>(ex, softmax_backward<Form, T, N, Each>, dy.size, ROWS,
                                          &s);
        return st != BP_OK ? st
                           : BPI_LAUNCH_TEAMS(ex, Each, s, dy.n,
                                              (softmax_backward<Form, T, N, Each>), dy, y, dx, s);
    });
}

template <template <typename> class Form, typename T>
static bp_status softmax_gradient(bp_exec *ex, const bp_view *in, const bp_view *out,
                                  const void *params)
{
    const int32_t outer = in->shape.ndim - 1;
    const int32_t axis = static_cast<const bpi_softmax_params *>(params)->axis;
    if (axis != outer) {
        const auto t = tables_of<const T>(&in[0], axis);
        return BPI_LAUNCH(ex, t.n * parts(t.inner, WARP), WARP * LINES, 0,
                          (softmax_columns_backward<Form, T>), t, tables_of<const T>(&in[1], axis),
                          tables_of<T>(out, axis));
    }
    const auto dy = rows_of<const T>(&in[0], outer), y = rows_of<const T>(&in[1], outer);
    const auto dx = rows_of<T>(out, outer);
    return is_vectors(dy) && is_vectors(y) && is_vectors(dx)
               ? launch_softmax_gradient<Form, T, lanes_of<T>>(ex, dy, y, dx)
               : launch_softmax_gradient<Form, T, 1>(ex, dy, y, dx);
}

} // namespace bpi
#endif
