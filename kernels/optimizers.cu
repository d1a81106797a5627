/* The kernels of optimizers.def. Forward: g, state -> w and its moments, flat buffers of which the
 * ranges are taken; nothing at all where the step is refused.
 *
 * A gradient that got through step_begin keeps the moments finite (src/optim/kinds.c says why), one
 * with L1 and L2 is cut off at the same limit, and a w that would leave the range stays where it
 * is: both are noted. A thread has two vectors of every buffer under way before it looks at the
 * state. While they come, one thread of a block works out what depends on the step, in double, of
 * which many GPUs do little: no table, no second launch, and a recorded step stays right. g is
 * hinted: its next use is to be overwritten.
 *
 * Floor: g, w and moments read, w and moments written: 28 bytes an f32 with two, 20 with one. The
 * truth: src/cpu/optimizers.c. Called by src/optim. */
#include <cfloat>

#include "door/ranges.h"
#include "elementwise.cuh"
#include "grid.cuh"

namespace bpi {

/* What formulas read, and what happens to g and w beside them. */
template <typename T> struct Rule {
    T b1, c1, b2, c2, eps, top;
    T clip, l1, l2, most; /* most: of |g| with l1 and l2 */
    T rate, k, scale, shrink;
    int changes;

    __device__ void begin(const bpi_update_params &p, const bpi_optimizer_state &s, bool corrected)
    {
        double power1 = 1, power2 = 1, square1 = p.beta1, square2 = p.beta2;
        for (uint64_t t = corrected ? (uint64_t)s.step : 0; t != 0; t /= 2) { /* by squaring */
            if (t % 2 != 0) {
                power1 *= square1;
                power2 *= square2;
            }
            square1 *= square1;
            square2 *= square2;
        }
        const bool decays = s.step >= p.decay_from;
        rate = (T)(s.rate * p.rate / (corrected ? 1 - power1 : 1));
        k = (T)(corrected ? 1 / (1 - power2) : 1);
        scale = p.scales ? (T)s.scale : (T)1;
        shrink = decays ? (T)(s.rate * p.rate * p.decay) : (T)0;
        if (!decays)
            l1 = l2 = 0;
        changes = p.clip_value != 0 || scale != 1 || l1 != 0 || l2 != 0 || shrink != 0;
    }
};

template <typename T> static Rule<T> rule_of(const bpi_update_params &p)
{
    Rule<T> r = {};
    r.b1 = (T)p.beta1;
    r.c1 = (T)(1 - p.beta1);
    r.b2 = (T)p.beta2;
    r.c2 = (T)(1 - p.beta2);
    r.eps = (T)p.eps;
    r.top = sizeof(T) == sizeof(double) ? (T)DBL_MAX : (T)FLT_MAX;
    r.clip = p.clip_value != 0 ? (T)p.clip_value : r.top;
    r.l1 = (T)p.l1;
    r.l2 = (T)p.l2;
    r.most = (T)p.most_gradient;
    return r;
}

/* --- the formulas: x is w, then its moments --------------------------------------------------- */

#define BPI_OPTIMIZER(name, moments, A, B, corrected, ...)                                     \
    template <typename real> struct name##_formula {                                           \
        static constexpr int MOMENTS = moments;                                                \
        static constexpr bool CORRECTED = corrected;                                           \
        __device__ static void apply(const Rule<real> &r, real g, real *x)                     \
        {                                                                                      \
            const real b1 = r.b1, c1 = r.c1, b2 = r.b2, c2 = r.c2, eps = r.eps;                \
            const real rate = r.rate, k = r.k, top = r.top;                                    \
            (void)b1, (void)c1, (void)b2, (void)c2, (void)eps, (void)k, (void)top;             \
            real &w = x[0], &A = x[1], &B = x[moments];                                        \
            (void)B;                                                                           \
            __VA_ARGS__;                                                                       \
        }                                                                                      \
    };
#include "door/optimizers.def"

/* --- the loop ----------------------------------------------------------------------------- */

/* load, where nobody reads again soon: these leave the caches first. */
template <int N, typename T>
__device__ static inline Vector<T, N> load_last(const T *p, int64_t left)
{
    typedef Vector<T, N> V;
    if (left < N)
        return load<N>(p, left);
    const Word<V> word = __ldcs(reinterpret_cast<const Word<V> *>(p));
    return reinterpret_cast<const V &>(word);
}

template <typename T, int MOMENTS> struct Buffers {
    const T *g;
    T *x[1 + MOMENTS]; /* w, then its moments */
};

/* g clipped, with L1 and L2, and the decay taken from w; whether g was cut off. */
template <typename T> __device__ static inline bool change(const Rule<T> &r, T &g, T &w)
{
    g = g > r.clip ? r.clip : g;
    g = (g < -r.clip ? -r.clip : g) * r.scale;
    g += r.l2 * w + (w > 0 ? r.l1 : w < 0 ? -r.l1 : 0);
    w -= r.shrink * w;
    const bool cut = !(fabs(g) <= r.most);
    g = g > r.most ? r.most : g < -r.most ? -r.most : g;
    return cut;
}

/* One element; whether it is held back. */
template <typename Formula, typename T>
__device__ static inline bool update_one(const Rule<T> &r, T g, T *x)
{
    const T w = x[0];
    bool held = r.changes && change(r, g, x[0]);
    Formula::apply(r, g, x);
    if (x[0] - x[0] != 0) { /* infinity and NaN, less themselves, are NaN */
        x[0] = w;
        held = true;
    }
    return held;
}

template <typename Formula, typename T, int MOMENTS, int N>
static __global__ void __launch_bounds__(THREADS, 2)
    optimizer_kernel(Rule<T> rule, const bpi_update_params p, const Buffers<T, MOMENTS> u,
                     const bpi_optimizer_state *state, bpi_fault *fault)
{
    constexpr int ITEMS = items_of<N>, BUFFERS = 1 + MOMENTS, STEP = THREADS * N;
    const bpi_range range = bpi_block_range(&p.ranges, blockIdx.x, ITEMS * STEP);
    const int64_t first = range.begin + threadIdx.x * N;
    Vector<T, N> g[ITEMS], x[ITEMS][BUFFERS];
    for (int i = 0; i < ITEMS; i++) {
        const int64_t at = first + i * STEP, left = range.end - at;
        g[i] = load_last<N>(u.g + at, left);
        for (int k = 0; k < BUFFERS; k++)
            x[i][k] = load<N>(u.x[k] + at, left);
    }
    const bool refused = state->refused != 0;
    BPI_SHARED(Rule<T>, begun, [1]);
    if (threadIdx.x == 0) {
        rule.begin(p, *state, Formula::CORRECTED);
        begun[0] = rule;
    }
    __syncthreads();
    if (refused)
        return;
    rule = begun[0];
    int64_t held_back = -1; /* the first place */
#pragma unroll
    for (int i = 0; i < ITEMS; i++) {
        const int64_t at = first + i * STEP;
#pragma unroll
        for (int j = 0; j < N; j++) {
            T each[BUFFERS];
            for (int k = 0; k < BUFFERS; k++)
                each[k] = x[i][k].at[j];
            const bool held = update_one<Formula>(rule, g[i].at[j], each);
            held_back = held && held_back < 0 ? at + j : held_back;
            for (int k = 0; k < BUFFERS; k++)
                x[i][k].at[j] = each[k];
        }
        for (int k = 0; k < BUFFERS; k++)
            store<N>(u.x[k] + at, x[i][k], range.end - at);
    }
    if (held_back >= 0)
        note_held(fault, BPI_STEP(p.store, state->step), held_back);
}

/* The flat buffers of a store are aligned, and so is all that ranges begin at. */
template <typename T, typename Formula>
static bp_status optimizer_forward(bp_exec *ex, const bp_view *in, const bp_view *out,
                                   const void *params)
{
    constexpr int N = lanes_of<T>, MOMENTS = Formula::MOMENTS;
    const auto *p = static_cast<const bpi_update_params *>(params);
    Buffers<T, MOMENTS> u = {static_cast<const T *>(in[0].data), {}};
    for (int k = 0; k <= MOMENTS; k++)
        u.x[k] = static_cast<T *>(out[k].data);
    return BPI_LAUNCH(ex, bpi_all_blocks(&p->ranges, items_of<N> * THREADS * N), THREADS, 0,
                      (optimizer_kernel<Formula, T, MOMENTS, N>), rule_of<T>(*p), *p, u,
                      static_cast<const bpi_optimizer_state *>(in[1].data), ex->fault);
}

} // namespace bpi

#define BPI_OPTIMIZER(name, ...) \
    BPI_CUDA_OP(name, {bpi::optimizer_forward<T, bpi::name##_formula<T>>, BPI_PACKED, nullptr});
#include "door/optimizers.def"
