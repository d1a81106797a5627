"""PyTorch's losses as calls of the library, for torch_ops.OPS."""

import math

import numpy as np

from calls import absent, reshape, sums
from torch_ops import OPS, of
from torch_shapes import rank

HOW = {"none": 0, "sum": 1, "mean": 2}


def reduced(lib, each, how):
    return {"none": lambda t: t, "sum": lib.bp_sum, "mean": lib.bp_mean}[how](each)


def alike(lib, *operands):
    """Operands that broadcast, in one shape: ours want that."""
    sizes = np.broadcast_shapes(*(lib.shape(t) for t in operands))
    return [t if lib.shape(t) == sizes else lib.bp_expand(t, sizes) for t in operands]


# --- of elements ----------------------------------------------------------------------------------


def of_elements(name, **numbers):
    """bp_<name> of x, the target, and numbers: their names at PyTorch and their defaults."""

    def call(lib, x, t, reduction="mean", weight=None, **given):
        x, t = alike(lib, x, t)
        values = [float(given.get(k, v)) for k, v in numbers.items()]
        if weight is None:
            return getattr(lib, name)(x, t, *values, HOW[reduction])
        return reduced(lib, lib.bp_mul(getattr(lib, name)(x, t, *values, 0), weight), reduction)

    return call


OPS |= {
    "nn.functional.mse_loss": of_elements("bp_mse_loss"),
    "nn.functional.l1_loss": of_elements("bp_l1_loss"),
    "nn.functional.huber_loss": of_elements("bp_huber_loss", delta=1),
    "nn.functional.smooth_l1_loss": of_elements("bp_smooth_l1_loss", beta=1),
}


@of("nn.functional.binary_cross_entropy_with_logits")
def with_logits(lib, x, t, weight=None, reduction="mean", pos_weight=None):
    if pos_weight is None:
        each = lib.bp_binary_cross_entropy(x, t, 0)
    else:
        each = lib.bp_binary_cross_entropy_weighted(x, t, pos_weight, 0)
    return reduced(lib, each if weight is None else lib.bp_mul(each, weight), reduction)


@of("nn.functional.binary_cross_entropy")
def of_probabilities(lib, x, t, weight=None, reduction="mean"):
    no = lib.bp_mul(lib.bp_shift(lib.bp_neg(t), 1.0), lib.bp_log1p(lib.bp_neg(x)))
    each = lib.bp_neg(lib.bp_add(lib.bp_mul(t, lib.bp_log(x)), no))
    return reduced(lib, each if weight is None else lib.bp_mul(each, weight), reduction)


@of("nn.functional.soft_margin_loss")
def soft_margin(lib, x, t, reduction="mean"):
    return reduced(lib, lib.bp_softplus(lib.bp_neg(lib.bp_mul(t, x))), reduction)


@of("nn.functional.margin_ranking_loss")
def margin_ranking(lib, a, b, t, margin=0.0, reduction="mean"):
    return lib.bp_hinge_loss(*alike(lib, lib.bp_sub(a, b), t), margin, HOW[reduction])


@of("nn.functional.hinge_embedding_loss")
def hinge_embedding(lib, x, t, margin=1.0, reduction="mean"):
    """x where the target is 1, max(0, margin - x) where it is -1; both where it is neither."""
    x, t = alike(lib, x, t)
    yes, no = (lib.bp_equal(t, lib.number(v, t)) for v in (-1, 1))
    zero = lib.number(0, x)
    far = lib.bp_hinge_loss(x, lib.bp_full_like(x, 1.0), margin, 0)
    each = lib.bp_add(lib.bp_where(no, zero, far), lib.bp_where(yes, zero, x))
    return reduced(lib, each, reduction)


@of("nn.functional.kl_div")
def kl_div(lib, x, t, reduction="mean", log_target=False):
    x, t = alike(lib, x, t)
    call = lib.bp_kl_div_log_loss if log_target else lib.bp_kl_div_loss
    if reduction == "batchmean":
        return lib.bp_scale(call(x, t, HOW["sum"]), 1 / lib.shape(x)[0])
    return call(x, t, HOW[reduction])


@of("nn.functional.poisson_nll_loss")
def poisson(lib, x, t, log_input=True, full=False, eps=1e-8, reduction="mean"):
    if full:
        absent("Stirling's approximation of ln t!")
    if log_input:
        return lib.bp_poisson_nll_loss(*alike(lib, x, t), HOW[reduction])
    return lib.bp_poisson_rate_nll_loss(*alike(lib, x, t), eps, HOW[reduction])


@of("nn.functional.gaussian_nll_loss")
def gaussian(lib, x, t, var, full=False, eps=1e-6, reduction="mean"):
    if isinstance(var, float):
        var = lib.number(var, x)
    elif rank(lib, var) == rank(lib, x) - 1:
        var = lib.bp_unsqueeze(var, rank(lib, var))
    each = lib.bp_gaussian_nll_loss(*alike(lib, x, t, var), eps, 0)
    return reduced(lib, lib.bp_shift(each, math.log(2 * math.pi) / 2) if full else each, reduction)


# --- of rows --------------------------------------------------------------------------------------


@of("nn.functional.cosine_embedding_loss")
def cosine(lib, a, b, t, margin=0.0, reduction="mean"):
    if rank(lib, a) == 1:
        a, b = (reshape(lib, v, [1, -1]) for v in (a, b))
        return reshape(lib, cosine(lib, a, b, reshape(lib, t, [1]), margin, reduction), [])
    return lib.bp_cosine_embedding_loss(a, b, t, margin, HOW[reduction])


@of("nn.functional.triplet_margin_loss")
def triplet(lib, a, p, n, margin=1.0, p_norm=2, eps=1e-6, swap=False, reduction="mean"):
    if swap:
        absent("the nearer of two distances")
    return lib.bp_triplet_margin_loss(a, p, n, margin, HOW[reduction])


# --- of labels ------------------------------------------------------------------------------------


def labelled(name):
    def call(
        lib, x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0
    ):
        how, numbers = HOW[reduction], [label_smoothing] * (name == "cross_entropy")
        one = rank(lib, x) == 1  # scores of one sample
        if one:
            x = reshape(lib, x, [1, -1])
            target = reshape(lib, target, [1, *lib.shape(target)])
        if lib.dtype(target) != lib.BP_I32:
            if label_smoothing:
                c = lib.shape(x)[1]
                target = lib.bp_scale(target, 1 - label_smoothing)
                target = lib.bp_shift(target, label_smoothing / c)
            if weight is not None:
                sizes = [-1] + [1] * (rank(lib, x) - 2)
                target = lib.bp_mul(target, reshape(lib, weight, sizes))
            y = lib.bp_cross_entropy_soft(x, target, 0 if how == 0 else 1)
            if how == 2:  # PyTorch's mean is over rows, whatever the weights
                rows = np.prod(lib.shape(x), dtype=float) / lib.shape(x)[1]
                y = lib.bp_scale(y, 1 / rows)
        elif weight is None:
            y = getattr(lib, f"bp_{name}_with")(x, target, *numbers, ignore_index, how)
        else:
            y = getattr(lib, f"bp_{name}_weighted")(x, target, weight, *numbers, ignore_index, how)
        return reshape(lib, y, []) if one else y

    return call


OPS |= {
    "nn.functional.nll_loss": labelled("nll_loss"),
    "nn.functional.cross_entropy": labelled("cross_entropy"),
}


@of("nn.functional.multilabel_soft_margin_loss")
def multilabel(lib, x, t, weight=None, reduction="mean"):
    """The mean over the classes, the last axis, of a loss each."""
    each = lib.bp_binary_cross_entropy(x, t, 0)
    each = each if weight is None else lib.bp_mul(each, weight)
    classes = lib.shape(x)[-1]
    return reduced(lib, lib.bp_scale(sums(lib, each, [-1]), 1 / classes), reduction)
