"""ONNX's operators of elements, comparisons, normalisations, losses, attention and recurrent
cells, for onnx_ops.OPS."""

import math


from calls import absent, move, reshape, same
from onnx_ops import OPS, of, plain

# --- elements -------------------------------------------------------------------------------------

SELU = 1.67326319217681884765625, 1.05070102214813232421875

OPS |= {
    "Celu": lambda n: n.lib.bp_scale(
        n.lib.bp_elu(n.lib.bp_scale(n[0], 1 / n("alpha", 1.0)), 1.0), n("alpha", 1.0)
    ),
    "Selu": lambda n: n.lib.bp_scale(n.lib.bp_elu(n[0], n("alpha", SELU[0])), n("gamma", SELU[1])),
    "HardSigmoid": lambda n: n.lib.bp_clamp(
        n.lib.bp_shift(n.lib.bp_scale(n[0], n("alpha", 0.2)), n("beta", 0.5)), 0.0, 1.0
    ),
    "HardSwish": lambda n: n.lib.bp_mul(
        n[0], n.lib.bp_clamp(n.lib.bp_shift(n.lib.bp_scale(n[0], 1 / 6), 0.5), 0.0, 1.0)
    ),
    "Mish": plain("bp_mish"),
    "Softsign": lambda n: n.lib.bp_div(n[0], n.lib.bp_shift(n.lib.bp_abs(n[0]), 1.0)),
    "Swish": lambda n: n.lib.bp_mul(n[0], n.lib.bp_sigmoid(n.lib.bp_scale(n[0], n("alpha", 1.0)))),
    "Gelu": lambda n: (
        n.lib.bp_gelu(n[0]) if n("approximate", "none") == "none" else n.lib.bp_gelu_tanh(n[0])
    ),
    "Tan": lambda n: n.lib.bp_div(n.lib.bp_sin(n[0]), n.lib.bp_cos(n[0])),
    "Sinh": lambda n: n.lib.bp_scale(
        n.lib.bp_sub(n.lib.bp_expm1(n[0]), n.lib.bp_expm1(n.lib.bp_neg(n[0]))), 0.5
    ),
    "Cosh": lambda n: n.lib.bp_scale(
        n.lib.bp_add(n.lib.bp_exp(n[0]), n.lib.bp_exp(n.lib.bp_neg(n[0]))), 0.5
    ),
    "Atanh": lambda n: n.lib.bp_scale(
        n.lib.bp_sub(n.lib.bp_log1p(n[0]), n.lib.bp_log1p(n.lib.bp_neg(n[0]))), 0.5
    ),
    "PRelu": lambda n: n.lib.bp_add(
        n.lib.bp_relu(n[0]), n.lib.bp_mul(n[1], n.lib.bp_sub(n[0], n.lib.bp_relu(n[0])))
    ),
}


@of("Clip")
def clip(n):
    y, small = n[0], not n.has(1) and not n.has(2)
    y = n.lib.bp_maximum(y, n[1]) if n.has(1) else y
    y = n.lib.bp_minimum(y, n[2]) if n.has(2) else y
    return same(n.lib, y) if small else y


# --- comparisons: 1 or 0 in the operands' dtype, so in one of several -----------------------------

OPS |= {
    name: plain(f"bp_{call}")
    for name, call in {
        "Equal": "equal",
        "Less": "less",
        "LessOrEqual": "less_equal",
        "Greater": "greater",
        "GreaterOrEqual": "greater_equal",
    }.items()
}


def cast(lib, t, like):
    return t if lib.dtype(t) == lib.dtype(like) else lib.bp_cast(t, lib.dtype(like))


def both(name):
    return lambda n: getattr(n.lib, name)(n[0], cast(n.lib, n[1], n[0]))


OPS |= {
    "And": both("bp_logical_and"),
    "Or": both("bp_logical_or"),
    "Xor": both("bp_not_equal"),
    "Not": lambda n: n.lib.bp_equal(n[0], n.lib.number(0, n[0])),
    "Where": lambda n: n.lib.bp_where(cast(n.lib, n[0], n[1]), n[1], n[2]),
    "IsNaN": lambda n: n.lib.bp_not_equal(n[0], n[0]),
    "ThresholdedRelu": lambda n: n.lib.bp_mul(n[0], n.lib.bp_threshold(n[0], n("alpha", 1.0))),
    "Binarizer": lambda n: n.lib.bp_threshold(n[0], n("threshold", 0.0)),
}


@of("IsInf")
def is_inf(n):
    inf = n.lib.number(math.inf, n[0])
    if n("detect_negative", 1) and n("detect_positive", 1):
        return n.lib.bp_equal(n.lib.bp_abs(n[0]), inf)
    return n.lib.bp_equal(n[0] if n("detect_positive", 1) else n.lib.bp_neg(n[0]), inf)


@of("Shrink")
def shrink(n):
    """x - bias above lambd, x + bias below -lambd, else 0."""
    x, at, bias = n[0], n("lambd", 0.5), n("bias", 0.0)
    up, down = n.lib.bp_threshold(x, at), n.lib.bp_threshold(n.lib.bp_neg(x), at)
    return n.lib.bp_add(
        n.lib.bp_mul(up, n.lib.bp_shift(x, -bias)), n.lib.bp_mul(down, n.lib.bp_shift(x, bias))
    )


@of("SwiGLU")
def swiglu(n):
    gate = n.lib.bp_mul(n[0], n.lib.bp_sigmoid(n.lib.bp_scale(n[0], n("alpha", 1.0))))
    return n.lib.bp_mul(gate, n[1])


# --- normalisations -------------------------------------------------------------------------------


def moments(n, x, axis, eps):
    """Mean and 1 / sqrt(variance + eps) over the axes from `axis` on."""
    mask = n.lib.axes(x, range(axis, len(n.lib.shape(x))))
    variance = n.lib.bp_variance_axes(x, mask, 0, 1)
    return n.lib.bp_mean_axes(x, mask, 1), n.lib.bp_rsqrt(n.lib.bp_shift(variance, eps))


@of("LayerNormalization")
def layer_norm(n):
    axis, eps = n("axis", -1) % len(n.shape()), n("epsilon", 1e-5)
    sizes = n.shape()[axis:]
    bias = n[2] if n.has(2) else n.lib.bp_full_like(n[1], 0.0)
    y = n.lib.bp_layer_norm(n[0], n.lib.bp_expand(n[1], sizes), n.lib.bp_expand(bias, sizes), eps)
    return [y, *moments(n, n[0], axis, eps)] if n.n_out > 1 else y


@of("RMSNormalization")
def rms_norm(n):
    sizes = n.shape()[n("axis", -1) % len(n.shape()) :]
    return n.lib.bp_rms_norm(n[0], n.lib.bp_expand(n[1], sizes), n("epsilon", 1e-5))


@of("GroupNormalization")
def group_norm(n):
    return n.lib.bp_group_norm(n[0], n("num_groups"), n[1], n[2], n("epsilon", 1e-5))


@of("InstanceNormalization")
def instance_norm(n):
    return n.lib.bp_group_norm(n[0], n.shape()[1], n[1], n[2], n("epsilon", 1e-5))


@of("BatchNormalization")
def batch_norm(n):
    """Ours is of [N, C]: the other axes go to the rows."""
    lib, eps, m = n.lib, n("epsilon", 1e-5), n("momentum", 0.9)
    last = move(lib, n[0], 1, -1)
    sizes, out = lib.shape(last), []
    rows = reshape(lib, last, [-1, sizes[-1]])
    if n("training_mode"):
        y, mean, _ = lib.bp_batch_norm(rows, n[1], n[2], eps)
        now = mean, lib.bp_variance_axes(
            rows, 1, 0, 0
        )  # ONNX averages the variance of N, not of N - 1
        out = [
            lib.bp_add(lib.bp_scale(n[i], m), lib.bp_scale(t, 1 - m)) for i, t in zip((3, 4), now)
        ]
    else:
        y = lib.bp_batch_norm_with(rows, *(n[i] for i in range(1, 5)), eps)
    return [move(lib, reshape(lib, y, sizes), -1, 1), *out]


@of("LpNormalization")
def lp_norm(n):
    call = n.lib.bp_norm_l1_axes if n("p", 2) == 1 else n.lib.bp_norm_l2_axes
    norm = call(n[0], n.lib.axes(n[0], [n("axis", -1)]), 1)
    return n.lib.bp_div(n[0], n.lib.bp_maximum(norm, n.lib.number(1e-30, norm)))  # 0 / 0 is 0 there


@of("MeanVarianceNormalization")
def mean_variance(n):
    mask = n.lib.axes(n[0], n("axes", [0, 2, 3]))
    x = n.lib.bp_sub(n[0], n.lib.bp_mean_axes(n[0], mask, 1))
    return n.lib.bp_div(x, n.lib.bp_shift(n.lib.bp_std_axes(n[0], mask, 0, 1), 1e-9))


@of("Hardmax")
def hardmax(n):
    axis = n("axis", -1) % len(n.shape())
    y = n.lib.bp_one_hot(n.lib.bp_argmax(n[0], axis), n.shape()[axis], n.lib.dtype(n[0]))
    return move(n.lib, y, -1, axis)


@of("Dropout")
def dropout(n):
    if n.has(2) and bool(n.host(2)):
        absent("another stream of random numbers")
    y = same(n.lib, n[0])
    return [y, n.lib.bp_full(n.lib.BP_U8, n.shape(), 1.0)] if n.n_out > 1 else y


# --- losses ---------------------------------------------------------------------------------------


def labelled(name):
    """bp_<name>_with, or _weighted; of scores [N, C, ...] or [N, C]."""

    def call(n):
        lib, how = n.lib, {"none": 0, "sum": 1, "mean": 2}[n("reduction", "mean")]
        numbers = [0.0] * (name == "cross_entropy") + [n("ignore_index", -1), how]
        kind, operands = ("weighted", [n[0], n[1], n[2]]) if n.has(2) else ("with", [n[0], n[1]])
        y = getattr(lib, f"bp_{name}_{kind}")(*operands, *numbers)
        return [y, lib.bp_log_softmax(n[0], 1)] if n.n_out > 1 else y

    return call


OPS |= {
    "NegativeLogLikelihoodLoss": labelled("nll_loss"),
    "SoftmaxCrossEntropyLoss": labelled("cross_entropy"),
}
