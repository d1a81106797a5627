/* The arithmetic of the fake cuDNN: the three convolutions in plain loops over everything. Tensors
 * of any strides are first gathered into dense ones, where an engine that rounds its inputs does
 * so; an output's terms are added in float or double as the tensors are, a hundred at a time. The
 * terms go from the first to the last, or the other way (config.undocumented), or as chance has it
 * (ADDS_AT_RANDOM); with another tile they begin with another one.
 *
 *     y[n, p, q, k]  = sum over r, s, c of x[n, h, w, c] filter[k, r, s, c]
 *     dx[n, h, w, c] = sum over r, s, k of dy[n, p, q, k] filter[k, r, s, c]
 *     dw[k, r, s, c] = sum over n, p, q of dy[n, p, q, k] x[n, h, w, c]
 *
 * with h = p stride + r dilation - padding, and w likewise; c and k of one group. */
#include "cudnn.h"

#include <algorithm>

namespace sim {
namespace {

enum { AT_A_TIME = 100 };

float rounded_to(float value, int bits)
{
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    if ((word & 0x7f800000) != 0x7f800000) { /* to nearest, ties to even */
        const uint32_t half = (1u << bits) / 2;
        word += half - 1 + (word >> bits & 1);
        word &= ~((1u << bits) - 1);
    }
    memcpy(&value, &word, sizeof value);
    return value;
}

float rounded(float value, Defect defect)
{
    switch (defect) {
    case ROUNDS_TO_TF32:
        return rounded_to(value, 13);
    case ROUNDS_TO_BF16:
        return rounded_to(value, 16);
    case ROUNDS_MORE:
        return rounded_to(value, 8);
    default:
        return value;
    }
}

double rounded(double value, Defect)
{
    return value;
}

/* Calls with the offset of each element, in the order N, H, W, C (K, R, S, C). */
template <typename Body> void for_each(const Tensor &t, Body body)
{
    int64_t i = 0;
    for (int64_t n = 0; n < t.dims[0]; n++)
        for (int64_t h = 0; h < t.dims[2]; h++)
            for (int64_t w = 0; w < t.dims[3]; w++)
                for (int64_t c = 0; c < t.dims[1]; c++)
                    body(i++, n * t.strides[0] + c * t.strides[1] + h * t.strides[2] +
                                  w * t.strides[3]);
}

template <typename T> std::vector<T> gather(const Tensor &t, const void *from, Defect defect)
{
    const T *elements = static_cast<const T *>(from);
    std::vector<T> dense(elements_of(t));
    for_each(t, [&](int64_t i, int64_t offset) { dense[i] = rounded(elements[offset], defect); });
    return dense;
}

/* --- sums ------------------------------------------------------------------------------------ */

/* The terms of an output, each by its three indices, in the order in which they are added. */
struct Place {
    int64_t i, j, k;
};

class Turns {
public:
    Turns(int64_t is, int64_t js, int64_t ks, How how) : is_random(how.defect == ADDS_AT_RANDOM)
    {
        for (int64_t i = 0; i < is; i++)
            for (int64_t j = 0; j < js; j++)
                for (int64_t k = 0; k < ks; k++)
                    places.push_back({i, j, k});
        if (config.undocumented)
            std::reverse(places.begin(), places.end());
        std::rotate(places.begin(), places.begin() + how.tile % places.size(), places.end());
    }
    const std::vector<Place> &next()
    {
        for (size_t i = places.size(); is_random && i > 1; i--)
            std::swap(places[i - 1], places[random_bits() % i]);
        return places;
    }

private:
    std::vector<Place> places;
    bool is_random;
};

/* factor times so many values is added to as many sums; NULL: nothing is. */
template <typename T> struct Term {
    T factor;
    const T *values;
};

template <typename T>
__attribute__((no_sanitize("address", "undefined"))) void
add_scaled(T *__restrict__ sums, const T *__restrict__ values, T factor, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        sums[i] += factor * values[i];
}

template <typename T, typename TermOf>
void sum_terms(T *sums, int64_t n, const std::vector<Place> &places, TermOf term_of)
{
    std::vector<T> some(n);
    int64_t count = 0;
    for (const Place &place : places) {
        const Term<T> term = term_of(place);
        if (!term.values)
            continue;
        add_scaled(some.data(), term.values, term.factor, n);
        if (++count % AT_A_TIME == 0) {
            add_scaled(sums, some.data(), T(1), n);
            std::fill(some.begin(), some.end(), T(0));
        }
    }
    add_scaled(sums, some.data(), T(1), n);
}

/* --- the three convolutions ------------------------------------------------------------------ */

struct Sizes {
    int64_t images, height, width, channels;  /* of x */
    int64_t rows, columns, outputs;           /* of y */
    int64_t filter_rows, filter_columns;
    int64_t groups, channels_each, outputs_each;
    const Window *window;
    explicit Sizes(const Problem &p)
        : images(p.x.dims[0]), height(p.x.dims[2]), width(p.x.dims[3]), channels(p.x.dims[1]),
          rows(p.y.dims[2]), columns(p.y.dims[3]), outputs(p.y.dims[1]), filter_rows(p.w.dims[2]),
          filter_columns(p.w.dims[3]), groups(channels / p.w.dims[1]), channels_each(p.w.dims[1]),
          outputs_each(outputs / groups), window(&p.window)
    {
    }
    int64_t pixel_of_x(int64_t n, int64_t h, int64_t w) const
    {
        return ((n * height + h) * width + w) * channels;
    }
    int64_t pixel_of_y(int64_t n, int64_t p, int64_t q) const
    {
        return ((n * rows + p) * columns + q) * outputs;
    }
    int64_t place_of_w(int64_t k, int64_t r, int64_t s) const
    {
        return ((k * filter_rows + r) * filter_columns + s) * channels_each;
    }
    /* The place of x, along an axis, that output i meets through place j of the filter. */
    int64_t met(int axis, int64_t i, int64_t j) const
    {
        return i * window->stride[axis] + j * window->dilation[axis] - window->before[axis];
    }
    /* The output that meets place i of x through place j of the filter; negative: none. */
    int64_t meeting(int axis, int64_t i, int64_t j) const
    {
        const int64_t from = i - j * window->dilation[axis] + window->before[axis];
        return from % window->stride[axis] ? -1 : from / window->stride[axis];
    }
};

/* [r, s, c of the group, k] of the filter: a forward term of all outputs of a group at once. */
template <typename T> std::vector<T> outputs_last(const Sizes &z, const std::vector<T> &w)
{
    std::vector<T> turned(w.size());
    const int64_t each = z.filter_rows * z.filter_columns * z.channels_each;
    for (int64_t k = 0; k < z.outputs; k++)
        for (int64_t i = 0; i < each; i++)
            turned[i * z.outputs + k] = w[k * each + i];
    return turned;
}

template <typename T>
void forward(const Sizes &z, const T *x, const std::vector<T> &w, T *y, How how)
{
    const std::vector<T> turned = outputs_last(z, w);
    Turns turns(z.filter_rows, z.filter_columns, z.channels_each, how);
    for (int64_t i = 0; i < z.images * z.rows * z.columns * z.groups; i++) {
        const int64_t g = i % z.groups, q = i / z.groups % z.columns;
        const int64_t p = i / z.groups / z.columns % z.rows, n = i / z.groups / z.columns / z.rows;
        T *sums = y + z.pixel_of_y(n, p, q) + g * z.outputs_each;
        sum_terms(sums, z.outputs_each, turns.next(), [&](const Place &t) { /* r, s, c */
            const int64_t h = z.met(0, p, t.i), v = z.met(1, q, t.j);
            if (h < 0 || h >= z.height || v < 0 || v >= z.width)
                return Term<T>{0, nullptr};
            const int64_t row = (t.i * z.filter_columns + t.j) * z.channels_each + t.k;
            return Term<T>{x[z.pixel_of_x(n, h, v) + g * z.channels_each + t.k],
                           &turned[row * z.outputs + g * z.outputs_each]};
        });
    }
}

template <typename T>
void data_gradient(const Sizes &z, T *dx, const std::vector<T> &w, const T *dy, How how)
{
    Turns turns(z.filter_rows, z.filter_columns, z.outputs_each, how);
    for (int64_t i = 0; i < z.images * z.height * z.width * z.groups; i++) {
        const int64_t g = i % z.groups, v = i / z.groups % z.width;
        const int64_t h = i / z.groups / z.width % z.height, n = i / z.groups / z.width / z.height;
        T *sums = dx + z.pixel_of_x(n, h, v) + g * z.channels_each;
        sum_terms(sums, z.channels_each, turns.next(), [&](const Place &t) { /* r, s, k */
            const int64_t k = g * z.outputs_each + t.k;
            const int64_t p = z.meeting(0, h, t.i), q = z.meeting(1, v, t.j);
            if (p < 0 || p >= z.rows || q < 0 || q >= z.columns)
                return Term<T>{0, nullptr};
            return Term<T>{dy[z.pixel_of_y(n, p, q) + k], &w[z.place_of_w(k, t.i, t.j)]};
        });
    }
}

template <typename T>
void filter_gradient(const Sizes &z, const T *x, T *dw, const T *dy, How how)
{
    Turns turns(z.images, z.rows, z.columns, how);
    for (int64_t i = 0; i < z.outputs * z.filter_rows * z.filter_columns; i++) {
        const int64_t s = i % z.filter_columns, r = i / z.filter_columns % z.filter_rows;
        const int64_t k = i / z.filter_columns / z.filter_rows, g = k / z.outputs_each;
        T *sums = dw + z.place_of_w(k, r, s);
        sum_terms(sums, z.channels_each, turns.next(), [&](const Place &t) { /* n, p, q */
            const int64_t h = z.met(0, t.j, r), v = z.met(1, t.k, s);
            if (h < 0 || h >= z.height || v < 0 || v >= z.width)
                return Term<T>{0, nullptr};
            return Term<T>{dy[z.pixel_of_y(t.i, t.j, t.k) + k],
                           &x[z.pixel_of_x(t.i, h, v) + g * z.channels_each]};
        });
    }
}

/* --- what is done with the result ------------------------------------------------------------ */

template <typename T>
void finish(const Problem &p, const std::vector<T> &sums, const Pointers &at)
{
    const T *bias = static_cast<const T *>(at.bias);
    T *out = static_cast<T *>(at.out);
    const T alpha = static_cast<T>(p.alpha), beta = static_cast<T>(p.beta);
    for_each(p.out, [&](int64_t i, int64_t offset) {
        T value = alpha * sums[i];
        if (beta != 0)
            value += beta * out[offset];
        if (p.has_bias)
            value += bias[i % p.out.dims[1] * p.bias.strides[1]];
        if (p.has_relu && !(value > 0) && !(p.relu_passes_nan && value != value))
            value = 0;
        out[offset] = value;
    });
}

template <typename T> void convolve_as(const Problem &p, How how, const Pointers &at)
{
    const Sizes sizes(p);
    std::vector<T> sums(elements_of(p.out)), x, w, y;
    if (p.direction != DATA_GRADIENT)
        x = gather<T>(p.x, at.x, how.defect);
    if (p.direction != FILTER_GRADIENT)
        w = gather<T>(p.w, at.w, how.defect);
    if (p.direction != FORWARD)
        y = gather<T>(p.y, at.y, how.defect);
    if (p.direction == FORWARD)
        forward(sizes, x.data(), w, sums.data(), how);
    else if (p.direction == DATA_GRADIENT)
        data_gradient(sizes, sums.data(), w, y.data(), how);
    else
        filter_gradient(sizes, x.data(), sums.data(), y.data(), how);
    finish(p, sums, at);
}

} // namespace

void convolve(const Problem &p, How how, const Pointers &at)
{
    if (p.x.type == CUDNN_DATA_DOUBLE)
        convolve_as<double>(p, how, at);
    else
        convolve_as<float>(p, how, at);
}

} // namespace sim
