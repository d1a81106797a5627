"""PyTorch's reductions and orders as calls of the library, for torch_ops.OPS."""

import math

from calls import absent, reshape, same, squeeze, unsqueeze
from library import Tensor
from torch_ops import OPS, of, where

# --- reductions -----------------------------------------------------------------------------------


def axes_of(dim):
    return None if dim is None or dim in ([], ()) else [dim] if isinstance(dim, int) else list(dim)


def reduced(name):
    def f(lib, x, dim=None, keepdim=False, dtype=None):
        if dtype is not None:
            absent("another dtype")
        return getattr(lib, name)(x, lib.axes(x, axes_of(dim)), keepdim)

    return f


OPS |= {
    "sum": reduced("bp_sum_axes"),
    "mean": reduced("bp_mean_axes"),
    "amax": reduced("bp_max_axes"),
    "amin": reduced("bp_min_axes"),
    "logsumexp": reduced("bp_logsumexp_axes"),
    "all": reduced("bp_all_axes"),
    "any": reduced("bp_any_axes"),
    "prod": reduced("bp_prod_axes"),
    "count_nonzero": reduced("bp_count_nonzero_axes"),
}


@of("std", "var")
def deviation(lib, x, dim=None, unbiased=True, keepdim=False, *, correction=None, name=None):
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased else 0
    if correction not in (0, 1):
        absent("a correction that is neither 0 nor 1")
    return getattr(lib, name)(x, lib.axes(x, axes_of(dim)), int(correction), keepdim)


OPS |= {
    "std": lambda *a, **k: deviation(*a, **k, name="bp_std_axes"),
    "var": lambda *a, **k: deviation(*a, **k, name="bp_variance_axes"),
}


def with_mean(name):
    def f(lib, x, dim=None, unbiased=True, keepdim=False, **k):
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        return [OPS[name](lib, x, dim, unbiased, keepdim, **k), OPS["mean"](lib, x, dim, keepdim)]

    return f


OPS |= {"std_mean": with_mean("std"), "var_mean": with_mean("var")}


@of("norm", "linalg.vector_norm", "linalg.norm", "linalg.matrix_norm")
def norm(lib, x, p=2, dim=None, keepdim=False, dtype=None, ord=None):
    p = ord if ord is not None else p
    if dtype is not None or p not in (None, 1, 2, math.inf, -math.inf, "fro"):
        absent("another dtype or another p")
    mask = lib.axes(x, axes_of(dim))
    if p in (math.inf, -math.inf):
        return getattr(lib, "bp_max_axes" if p > 0 else "bp_min_axes")(lib.bp_abs(x), mask, keepdim)
    return getattr(lib, "bp_norm_l1_axes" if p == 1 else "bp_norm_l2_axes")(x, mask, keepdim)


@of("linalg.norm", "linalg.matrix_norm")
def matrix_norm(lib, x, ord=None, dim=None, keepdim=False, dtype=None):
    """A norm of a matrix is not the norm of its elements, but for Frobenius'."""
    matrix = (len(lib.shape(x)) if dim is None else len(axes_of(dim))) > 1
    if matrix and ord not in (None, "fro") or ord is None and dim is None and len(lib.shape(x)) > 2:
        absent("a norm of matrices")
    return norm(lib, x, 2 if ord is None else ord, dim, keepdim, dtype)


def placed(name):
    def f(lib, x, dim=None, keepdim=False):
        if dim is None or not len(lib.shape(x)):
            y = getattr(lib, name)(reshape(lib, x, [-1]), 0)
            return reshape(lib, y, [1] * len(lib.shape(x))) if keepdim else y
        y = getattr(lib, name)(x, dim % len(lib.shape(x)))
        return unsqueeze(lib, y, [dim]) if keepdim else y

    return f


OPS |= {"argmax": placed("bp_argmax"), "argmin": placed("bp_argmin")}


def extreme(name, two):
    """max and min: of everything, of two tensors, or along an axis with the places: then the
    gradient is the first's alone."""

    def f(lib, x, dim=None, keepdim=False, other=None):
        if isinstance(dim, Tensor) or other is not None:
            return getattr(lib, two)(x, dim if other is None else other)
        if dim is None:
            return getattr(lib, f"bp_{name}")(x)
        if not len(lib.shape(x)):
            absent("an axis of a scalar")
        places = OPS[f"arg{name}"](lib, x, dim, True)
        y = lib.bp_take_along(x, dim, places)
        return [t if keepdim else squeeze(lib, t, [dim]) for t in (y, places)]

    return f


OPS |= {"max": extreme("max", "bp_maximum"), "min": extreme("min", "bp_minimum")}


@of("aminmax")
def aminmax(lib, x, dim=None, keepdim=False):
    return [OPS[name](lib, x, dim, keepdim) for name in ("amin", "amax")]


@of("cumsum")
def cumsum(lib, x, dim, dtype=None):
    if not len(lib.shape(x)):
        return same(lib, x)
    return lib.bp_cumsum(x, dim % len(lib.shape(x)), 0)


@of("topk")
def topk(lib, x, k, dim=-1, largest=True, sorted=True):
    if not len(lib.shape(x)):
        absent("an axis of a scalar")
    return lib.bp_top_k(x, k, dim % len(lib.shape(x)), not largest)


@of("sort")
def sort(lib, x, dim=-1, descending=False, stable=None):
    if not len(lib.shape(x)):
        absent("an axis of a scalar")
    return lib.bp_sort(x, dim % len(lib.shape(x)), descending)


OPS |= {"argsort": lambda *a, **k: sort(*a, **k)[1], "msort": lambda lib, x: sort(lib, x, 0)[0]}


def without_nan(name):
    return lambda lib, x, *args, **kwargs: OPS[name](
        lib, where(lib, lib.bp_equal(x, x), x, lib.number(0, x)), *args, **kwargs
    )


OPS["nansum"] = without_nan("sum")
