/* adam: Kingma & Ba, 2015, t = state.step:
 *
 *     g += l1 sign(w) + l2 w, from step decay_from on
 *     m = b1 m + (1 - b1) g;   v = b2 v + (1 - b2) g^2
 *     w -= rate / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + eps)
 *
 * Forward: g, state -> w, m, v, all [n]; nothing where the step is refused. The loop: update.cuh.
 * Floor: g, w, m, v read and w, m, v written: 28 bytes an f32. Its sibling: sgd.cu. The truth:
 * src/cpu/adam.c. Called by src/optim. */
#include "update.cuh"

namespace bpi {

template <typename T> struct Adam {
    double beta1, beta2;
    T b1, c1, b2, c2, eps; /* c = 1 - b */
    T rate, v_scale;       /* with the corrections for t */

    /* In double, by squaring. */
    __device__ void begin(const bpi_optimizer_state &state)
    {
        double power1 = 1, power2 = 1, square1 = beta1, square2 = beta2;
        for (uint64_t t = (uint64_t)state.step; t != 0; t /= 2) {
            if (t % 2 != 0) {
                power1 *= square1;
                power2 *= square2;
            }
            square1 *= square1;
            square2 *= square2;
        }
        rate = (T)(state.rate / (1 - power1));
        v_scale = (T)(1 / (1 - power2));
    }

    __device__ void operator()(T g, T *x) const
    {
        T &w = x[0], &m = x[1], &v = x[2];
        m = b1 * m + c1 * g;
        v = b2 * v + c2 * g * g;
        w -= rate * m / (sqrt_of(v * v_scale) + eps);
    }
};

template <typename T>
static bp_status adam_forward(bp_exec *ex, const bp_view *in, const bp_view *out,
                              const void *params)
{
    const auto *p = static_cast<const bpi_update_params *>(params);
    const Adam<T> rule = {p->beta1, p->beta2, (T)p->beta1, (T)(1 - p->beta1), (T)p->beta2,
                          (T)(1 - p->beta2), (T)p->eps, 0, 0};
    return update<2, T>(ex, rule, in, out, *p);
}

} // namespace bpi

BPI_CUDA_OP(adam, {bpi::adam_forward<T>, BPI_PACKED, nullptr});
