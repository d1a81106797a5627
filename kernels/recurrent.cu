/* lstm_gates, gru_gates: what is behind the products of a recurrent cell. A thread has one number
 * of the state, and the number of each gate that belongs to it.
 *
 *     lstm_gates forward:  gates of x and of h [N, 4 H], c [N, H] -> h', c'
 *                backward: dh' and dc' (one may be absent), gates, c -> dgates, dc
 *     gru_gates  forward:  gates of x and of h [N, 3 H], h [N, H] -> h'
 *                backward: dh', gates, h -> dgates of x, dgates of h, dh
 *
 * Floor, in elements a number of the state: 9 read and 2 written, backward 11 and 5; GRU 7 and 1, 8
 * and 7. The truth: src/cpu/recurrent.c; formulas: door/cells.h; the rule: src/ops/recurrent.c. */
#include "reduce.cuh"
#include "door/cells.h"

namespace bpi {

enum { CELL_THREADS = 256, CELL_OPERANDS = 7 };

/* In, then out; data NULL where one is absent. */
template <typename T> struct Cell {
    Rows<T> at[CELL_OPERANDS];
    int64_t rows, size;
};

/* The number of the state that a thread has: its row, and its place there. */
struct CellPlace {
    int64_t row, i;
};

template <typename T>
__device__ static inline T *of(const Cell<T> &w, int k, const CellPlace &p, int gate = 0)
{
    return w.at[k].data + p.row * w.at[k].pitch + gate * w.size + p.i;
}

template <typename T>
__device__ static inline T both(const Cell<T> &w, int k, const CellPlace &p, int gate)
{
    return *of(w, k, p, gate) + *of(w, k + 1, p, gate);
}

template <typename T>
__device__ static inline T or_zero(const Cell<T> &w, int k, const CellPlace &p)
{
    return w.at[k].data ? *of(w, k, p) : (T)0;
}

/* The functions of gates. */
template <typename T> struct LstmGates {
    T open[3], shut[3], g, dg, t, dt, next; /* i, f, o; tanh of g and of c', slopes; c' */
    __device__ LstmGates(const Cell<T> &w, int k, const CellPlace &p, T c)
    {
        gate_of(both(w, k, p, 0), &open[0], &shut[0]);
        gate_of(both(w, k, p, 1), &open[1], &shut[1]);
        gate_of(both(w, k, p, 3), &open[2], &shut[2]);
        const T x = both(w, k, p, 2);
        g = tanh_of(x);
        dg = tanh_slope_of(x); /* forward does not read it */
        next = open[1] * c + open[0] * g;
        t = tanh_of(next);
        dt = tanh_slope_of(next);
    }
};

template <typename T> struct GruGates {
    T open[2], shut[2], m, dm, nh; /* r, z; tanh of what is new, its slope; n of h */
    __device__ GruGates(const Cell<T> &w, int k, const CellPlace &p)
    {
        gate_of(both(w, k, p, 0), &open[0], &shut[0]);
        gate_of(both(w, k, p, 1), &open[1], &shut[1]);
        nh = *of(w, k + 1, p, 2);
        const T x = *of(w, k, p, 2) + open[0] * nh;
        m = tanh_of(x);
        dm = tanh_slope_of(x);
    }
};

template <typename T> struct LstmForward {
    enum { IN = 3, OUT = 2, STATE = 2 };
    __device__ static void at(const Cell<T> &w, const CellPlace &p)
    {
        const LstmGates<T> s(w, 0, p, *of(w, 2, p));
        *of(w, 3, p) = s.open[2] * s.t;
        *of(w, 4, p) = s.next;
    }
};

template <typename T> struct LstmBackward {
    enum { IN = 5, OUT = 2, STATE = 4 };
    __device__ static void at(const Cell<T> &w, const CellPlace &p)
    {
        const T c = *of(w, 4, p);
        const LstmGates<T> s(w, 2, p, c);
        T d[5];
        lstm_slope_of(s.open, s.shut, s.g, s.dg, s.t, s.dt, c, or_zero(w, 0, p),
                      or_zero(w, 1, p), d);
        for (int gate = 0; gate < 4; gate++)
            *of(w, 5, p, gate) = d[gate];
        *of(w, 6, p) = d[4];
    }
};

template <typename T> struct GruForward {
    enum { IN = 3, OUT = 1, STATE = 2 };
    __device__ static void at(const Cell<T> &w, const CellPlace &p)
    {
        const GruGates<T> s(w, 0, p);
        *of(w, 3, p) = s.shut[1] * s.m + s.open[1] * *of(w, 2, p);
    }
};

template <typename T> struct GruBackward {
    enum { IN = 4, OUT = 3, STATE = 3 };
    __device__ static void at(const Cell<T> &w, const CellPlace &p)
    {
        const GruGates<T> s(w, 1, p);
        T d[5];
        gru_slope_of(s.open, s.shut, s.m, s.dm, s.nh, *of(w, 3, p), *of(w, 0, p), d);
        for (int gate = 0; gate < 3; gate++) {
            *of(w, 4, p, gate) = d[gate];
            *of(w, 5, p, gate) = d[gate == 2 ? 3 : gate];
        }
        *of(w, 6, p) = d[4];
    }
};

template <template <typename> class F, typename T>
static __global__ void __launch_bounds__(CELL_THREADS) cell_kernel(const Cell<T> w)
{
    const int64_t k = (int64_t)blockIdx.x * CELL_THREADS + threadIdx.x;
    const int64_t row = k / w.size;
    if (row < w.rows)
        F<T>::at(w, {row, k - row * w.size});
}

template <template <typename> class F, typename T>
static bp_status cell(bp_exec *ex, const bp_view *in, const bp_view *out, const void *)
{
    Cell<T> w = {};
    for (int k = 0; k < F<T>::IN + F<T>::OUT; k++)
        w.at[k] = rows_of<T>(k < F<T>::IN ? &in[k] : &out[k - F<T>::IN], 1);
    w.rows = w.at[F<T>::STATE].n;
    w.size = w.at[F<T>::STATE].size;
    return BPI_LAUNCH(ex, parts(w.rows * w.size, CELL_THREADS), CELL_THREADS, 0,
                      (cell_kernel<F, T>), w);
}

} // namespace bpi

BPI_CUDA_OP(lstm_gates, {bpi::cell<bpi::LstmForward, T>, BPI_ROWS, nullptr},
            {bpi::cell<bpi::LstmBackward, T>, BPI_ROWS, nullptr});
BPI_CUDA_OP(gru_gates, {bpi::cell<bpi::GruForward, T>, BPI_ROWS, nullptr},
            {bpi::cell<bpi::GruBackward, T>, BPI_ROWS, nullptr});
