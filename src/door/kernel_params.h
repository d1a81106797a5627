/* What each kernel reads and writes: the contract between a rule (src/ops) and a device.
 *
 * Views: `in -> out`, with the shapes of the headers of ops (include/bpcuda). "real" is the compute
 * type of the table. Every element of an output is written; sizes may be 0. Layout of inputs: the
 * table entry's (backend.h); outputs have a last stride of 1 and, if of rank 2, any row pitch,
 * unless said otherwise. A view of zeros is absent. */
#ifndef BPI_KERNEL_PARAMS_H
#define BPI_KERNEL_PARAMS_H

#include "bpcuda/common.h"
#include "bpcuda/conv.h"

/* Elementwise kernels take any strides everywhere, inputs that broadcast to y, and y may be one.
 *
 * unary.def    forward: x -> y; backward: dy, and x or y -> dx.
 * binary.def   forward: a, b -> y; backward: dy, a, b -> da, not yet summed over what was
 *                  broadcast; backward_params: dy, a, b -> db, likewise. */
typedef struct bpi_elementwise_params {
    double k[2]; /* of the formula */
} bpi_elementwise_params;

/* add              forward: a, b -> y; also i32.
 * gate             forward: a, g -> y; y = a scale where !(g <= 0), else 0. Any strides.
 * where            forward: c, a, b -> y of one dtype, real or i32, broadcast. Any strides.
 * copy             forward: x -> y, any strides, equal shapes. Same dtype, or any to any other: a
 *                  real to an integer is cut off and held in its range, NaN is 0.
 * arange           forward: -> y, of any dtype; y[i] = begin + step i; step is 0 unless y has rank
 *                  1. */
typedef struct bpi_arange_params {
    double begin, step;
} bpi_arange_params;
typedef struct bpi_scale_params {
    double factor; /* scale: y = factor x; gate: see above */
} bpi_scale_params;

/* The random state: `rng` views it as u8 [16]; kernels that draw read it, rng_advance (-> rng) adds
 * to the step. */
typedef struct bpi_rng_state {
    uint64_t seed, step;
} bpi_rng_state;
typedef struct bpi_rng_advance_params {
    uint64_t steps;
} bpi_rng_advance_params;

/* dropout          forward: x, rng -> y. keep, site: see philox.h. */
typedef struct bpi_dropout_params {
    uint32_t site, keep;
} bpi_dropout_params;

/* draw             forward: rng -> y, packed; u, z: draw.h. By `kind` a + b u, and at most `most`;
 *                  a + b z; 1 where u < a, else 0. Shape and dtype are the rule's.
 * bernoulli        forward: p, rng -> y, packed; 1 where u < p, else 0; NaN where p is.
 * permutation      forward: rng -> y, i32 [n], a permutation of 0 .. n - 1. */
enum { BPI_UNIFORM, BPI_NORMAL, BPI_CHANCE };
typedef struct bpi_draw_params {
    double a, b, most;
    uint32_t site;
    int32_t kind;
    bp_shape shape;
    bp_dtype dtype;
    uint32_t unused;
} bpi_draw_params;

/* sum              forward: x -> y; x has any strides; y is packed and holds the axes that are not
 *                  in the mask, in order. */
typedef struct bpi_sum_params {
    uint32_t axes;
} bpi_sum_params;
#define BPI_SUM_ADD (1u << 31) /* in axes, for linear's db: y += the sum */

/* Those of reduce.def, logsumexp: the same; y is real, or i32: the number, held at the ends.
 * argmax, argmin   forward: x -> y i32; the mask has one axis.
 * variance         forward: x -> y, mean; y is the variance, or its root.
 * where_equal      forward: a, x, m -> y, any strides; a and m broadcast to x's shape. */
typedef struct bpi_variance_params {
    uint32_t axes;
    int32_t correction, root;
} bpi_variance_params;

/* cumsum           forward: x -> y, packed; from the end of the axis if `reverse`. */
typedef struct bpi_cumsum_params {
    int32_t axis, reverse;
} bpi_cumsum_params;

/* sort             forward: x [..., n] -> y, index i32 [..., k], and i32 [rows * k], the same
 *                  counted through all rows; all packed. They are the first k of a row in the
 *                  order of the values, equal ones by their place; NaN is the largest value. */
typedef struct bpi_sort_params {
    int64_t k;
    int32_t descending, no_axis; /* the axis is not one of x: for the rule */
} bpi_sort_params;

/* softmax, log_softmax
 *                  forward: x -> y along the axis; backward: dy, y -> dx. */
typedef struct bpi_softmax_params {
    int32_t axis;
} bpi_softmax_params;

/* layer_norm       forward: x, gain, bias -> y along the last axis; gain and bias are inputs only
 *                  where the params say so; aux: the statistics of each row.
 *                  backward: dy, x, gain or absent, aux -> dx, dgain, dbias, each may be absent. */
typedef struct bpi_layer_norm_params {
    double eps;
    int32_t axes; /* 1 for a kernel: the last one */
    int32_t centred, gain, bias;
} bpi_layer_norm_params;

/* batch_norm       forward: x [N, C], gain, bias -> y, mean, variance; aux: the statistics of each
 *                  column. backward: dy, x, gain, aux -> dx, dgain, dbias, each may be absent. */
typedef struct bpi_batch_norm_params {
    double eps;
} bpi_batch_norm_params;

/* matmul           forward: a, b -> c; inputs BPI_MATRICES, their first axes broadcast to c's.
 * attention        forward: q, k, v, mask if `masked` -> y; aux: ln of each query's sum of e^score,
 *                  +Inf where that is 0, [.., T]. Inputs BPI_MATRICES; a mask is u8 or real and
 *                  broadcasts. y is packed.
 *                  backward: dy, q, k, v, mask or absent, y, aux -> dq, dk, dv, packed; any may be
 *                  absent.
 * attention_weights forward: x -> y along the last axis.
 * linear           forward: x, w, b, rng -> y; relu and keep < 65536 as asked. aux, if the device
 *                  wants one: where y is not cut.
 *                  backward: dz, w, gate, aux -> dx = dz W, and with a gate (the previous layer's
 *                  y, and its aux): 0 where gate <= 0, else times scale.
 *                  backward_params: dz, x -> dw, db (either may be absent), suspect; written, or
 *                  added to what is there. An entry that `notes` sets suspect, i32 [], if it is
 *                  there, to 1 where a result is not finite or beyond BPI_SUSPECT, and perhaps
 *                  where one is merely large. */
typedef struct bpi_linear_params {
    uint32_t relu, keep, site;
} bpi_linear_params;
typedef struct bpi_linear_backward_params {
    double scale;
} bpi_linear_backward_params;
typedef struct bpi_linear_wgrad_params {
    int32_t add_w, add_b;
} bpi_linear_wgrad_params;
typedef struct bpi_attention_params {
    double scale;
    int32_t causal, masked;
} bpi_attention_params;

/* conv2d           forward: x, w, b if `bias` -> y, and ReLU if `relu`.
 * conv2d_input     forward: y, w -> x. conv2d_filter: y, x -> w. All packed; of the window nothing
 *                  is 0 but padding.
 *
 * max_pool         forward: x -> y, places u8. max_spread: y, places -> x. max_pick: x, places
 *                  -> y.
 * avg_pool         forward: x -> y. avg_spread: y -> x.
 * upsample_bilinear, bilinear_spread forward: x -> y, which has the sizes. All packed. */
typedef struct bpi_conv_params {
    bp_window how;
    int32_t bias, relu;
    int32_t unused;
    int64_t size[2]; /* conv2d_input: of x; conv2d_filter: of w; down, across */
} bpi_conv_params;
typedef struct bpi_pool_params {
    bp_window how;
    int32_t unused;
    int64_t window[2], size[2]; /* down, across; size: max_spread, avg_spread, of x */
} bpi_pool_params;
typedef struct bpi_resize_params {
    int64_t size[2]; /* of y */
} bpi_resize_params;

/* augment          forward: x (u8 or real), u [N, 6], and if `bent` noise [N, 2, H, W] -> y, and if
 *                  bent room for the kernel [N, 3, H, W]. All packed. */
enum { BPI_AUGMENT_DRAWS = 6, BPI_AUGMENT_REACH = 48 }; /* of an image; of a blur, in pixels */
typedef struct bpi_augment_params {
    double alpha, deviation; /* of the displacements, if bent */
    int32_t shift, flip, crop, bent;
} bpi_augment_params;

/* gather           forward: table, index -> y; any dtype, index i32 packed. A bad index: a row of
 *                  zeros and bp_fault_range().
 * gather_normalized forward: table (u8 or real), index, shift and scale f64 -> y.
 * scatter_rows     forward: x, index -> y. A bad index is left out, bp_fault_range().
 * take_along       forward: x of any dtype, index -> y. A bad index: 0, and bp_fault_range().
 * add_along        forward: x, index -> y. A bad index is left out, bp_fault_range().
 *                  Of both the index is i32 and y packed. */
typedef struct bpi_along_params {
    int32_t axis;
    int64_t size; /* of y along it: add_along */
} bpi_along_params;

/* nll_loss         forward: logp, labels -> loss.
 * nll_spread       forward: s, labels -> y.
 * cross_entropy    forward: logits, labels -> loss, correct; aux: packed dlogits for dy = 1.
 *                  backward: dy -> dx, where dx is that aux: dx *= dy, in place.
 * cross_entropy_with forward: logits [N, C], labels [N], weights [C] if `weighted` -> loss [N], the
 *                  weight of each label [N]; logits, targets [N, C] if `soft` -> loss [N]. A label
 *                  that is `ignored` counts 0.
 *                  backward: dy [N], the inputs -> dx, packed. */
typedef struct bpi_cross_entropy_params {
    double smoothing;
    int32_t ignored, weighted, soft;
    uint32_t unused;
} bpi_cross_entropy_params;

/* lstm_gates       forward: gates of x and of h [N, 4 H], c [N, H] -> h', c'. backward: dh', dc',
 *                  one may be absent, gates, c -> dgates of both, dc.
 * gru_gates        forward: gates of x and of h [N, 3 H], h [N, H] -> h'. backward: dh', gates, h
 * ->
 *                  dgates of x, dgates of h, dh.
 *
 * step_begin       forward: g, flat, or absent -> state, suspect; notes the first element of g in
 *                  the ranges that is NaN, infinite or beyond most_gradient; adds up their squares
 *                  if clip_norm is not 0; then, if `decides`, counts the step or refuses it
 *                  (fault.h), and sets suspect to 0. If `noted`, all of g comes from kernels that
 *                  note: for the check it need only be read where suspect is not 0.
 * those of optimizers.def
 *                  forward: g, state -> w and its moments, all flat; nothing where the step is
 *                  refused. A w that would not be finite stays as it is, and is noted.
 * average          forward: x, state or none, rate f64 or none -> y, packed; y += rate (x - y), by
 *                  the params' rate where it is none; nothing where a state's step is refused. */
typedef struct bpi_optimizer_state {
    double rate, step;
    double norm, scale; /* of the gradients; what they are multiplied by: 1, or less */
    double sum, far;    /* of squares of g, of 2^-540 g, on the way to norm; far: f64 only */
    uint64_t refused;   /* whether the step that began last is */
} bpi_optimizer_state; /* `state` views it as u8 [56] */

/* Parts of the flat buffers of a store, in elements. They begin at multiples of 64 bytes. */
enum { BPI_RANGES = 8 };
typedef struct bpi_range {
    int64_t begin, end;
} bpi_range;
typedef struct bpi_ranges {
    bpi_range at[BPI_RANGES];
    int64_t n;
} bpi_ranges;

typedef struct bpi_step_begin_params {
    bpi_ranges ranges;
    double most_gradient, most_rate; /* above these a step is refused */
    double clip_value, clip_norm;    /* 0: not asked for */
    uint32_t store; /* serial number; 0 has no name */
    int32_t begins, decides, noted; /* the first call of a step, the last */
} bpi_step_begin_params;

/* Below every limit that an optimiser sets for gradients (src/optim), by type. */
#define BPI_SUSPECT_F32 0x1p62
#define BPI_SUSPECT_F64 0x1p505

typedef struct bpi_update_params {
    bpi_ranges ranges;
    double beta1, beta2, eps; /* what they are for: optimizers.def */
    double rate, l1, l2, decay; /* a factor of the state's rate; decay of w itself */
    double decay_from;        /* the step from which the last three act */
    double clip_value;        /* 0: not asked for */
    double most_gradient;     /* with l1 and l2 it is cut off at this */
    uint32_t store;
    int32_t scales; /* g by the state's scale */
} bpi_update_params;

typedef struct bpi_average_params {
    double rate;
} bpi_average_params;

#endif
