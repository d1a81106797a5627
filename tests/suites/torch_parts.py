"""PyTorch's operators that put parts together or make tensors of numbers, for torch_ops.OPS."""

import math

import torch

from calls import absent, concat, count, pad, reshape, same
from library import Tensor
from torch_ops import OPS, of
from torch_shapes import END, rank, sizes_of

# --- parts put together ---------------------------------------------------------------------------


@of("cat")
def cat(lib, parts, dim=0):
    some = [p for p in parts if lib.shape(p) != (0,)] or parts[
        :1
    ]  # PyTorch lets [0] pass everywhere
    if len(some) != len(parts):
        absent("an empty vector beside others")
    return concat(lib, parts, dim)


@of("stack")
def stack(lib, parts, dim=0):
    return lib.bp_stack(parts, len(parts), dim)


def raised(lib, x, n):
    """numpy's atleast_nd."""
    s = list(lib.shape(x))
    if len(s) < n:
        s = {0: [1] * n, 1: [1, *s] + [1] * (n - 2), 2: [*s, 1]}[len(s)]
    return reshape(lib, x, s)


OPS |= {
    "hstack": lambda lib, parts: concat(
        lib, [raised(lib, p, 1) for p in parts], 0 if rank(lib, parts[0]) < 2 else 1
    ),
    "vstack": lambda lib, parts: concat(lib, [raised(lib, p, 2) for p in parts], 0),
    "dstack": lambda lib, parts: concat(lib, [raised(lib, p, 3) for p in parts], 2),
    "column_stack": lambda lib, parts: concat(
        lib, [p if rank(lib, p) > 1 else reshape(lib, p, [-1, 1]) for p in parts], 1
    ),
}


OPS["constant_pad_nd"] = lambda lib, x, sizes, value=0.0: padded(lib, x, sizes, "constant", value)


@of("nn.functional.pad")
def padded(lib, x, sizes, mode="constant", value=None):
    if mode == "circular":
        absent("circular padding")
    before, after = [0] * rank(lib, x), [0] * rank(lib, x)
    for i in range(len(sizes) // 2):
        before[-1 - i], after[-1 - i] = sizes[2 * i], sizes[2 * i + 1]
    call = {"constant": "bp_pad", "reflect": "bp_pad_reflect", "replicate": "bp_pad_edge"}[mode]
    if mode == "replicate" and min(before + after) < 0:
        absent("edges that are cut off and repeated at once")
    y = pad(lib, x, before, after, value or 0.0, call)
    return same(lib, y) if y == x else y


@of("tile")
def tile(lib, x, times):
    n = max(rank(lib, x), len(times))
    x = reshape(lib, x, [1] * (n - rank(lib, x)) + list(lib.shape(x)))
    return lib.bp_tile(x, [1] * (n - len(times)) + list(times))


@of("repeat")
def repeat(lib, x, *times):
    return tile(lib, x, sizes_of(times))


@of("repeat_interleave")
def repeat_interleave(lib, x, repeats, dim=None, output_size=None):
    if isinstance(repeats, Tensor):
        if count(lib.shape(repeats)) != 1:
            absent("repeats an element")
        repeats = int(lib.read(repeats).ravel()[0])
    x, dim = (reshape(lib, x, [-1]), 0) if dim is None or not rank(lib, x) else (x, dim)
    return lib.bp_repeat(x, dim, repeats)


@of("tril")
def tril(lib, x, diagonal=0):
    return lib.bp_tril(x, diagonal)


@of("triu")
def triu(lib, x, diagonal=0):
    return lib.bp_triu(x, diagonal)


OPS |= {
    "zeros_like": lambda lib, x, **kw: (
        lib.bp_full_like(x, 0.0) if not kw else absent("another dtype")
    ),
    "ones_like": lambda lib, x, **kw: (
        lib.bp_full_like(x, 1.0) if not kw else absent("another dtype")
    ),
    "full_like": lambda lib, x, value, **kw: (
        lib.bp_full_like(x, value) if not kw else absent("another dtype")
    ),
    "atleast_1d": lambda lib, *xs: raise_all(lib, xs, 1),
    "atleast_2d": lambda lib, *xs: raise_all(lib, xs, 2),
    "atleast_3d": lambda lib, *xs: raise_all(lib, xs, 3),
}


def raise_all(lib, xs, n):
    if len(xs) == 1 and isinstance(xs[0], (list, tuple)):
        xs = xs[0]
    return [raised(lib, x, n) for x in xs]


@of("diff")
def diff(lib, x, n=1, dim=-1, prepend=None, append=None):
    if n == 0:
        return same(lib, x)
    parts = [t for t in (prepend, x, append) if t is not None]
    x = concat(lib, parts, dim) if len(parts) > 1 else x
    for _ in range(n):
        x = lib.bp_sub(
            lib.bp_slice(x, dim, 1, END, 1), lib.bp_slice(x, dim, 0, lib.shape(x)[dim] - 1, 1)
        )
    return x


@of("meshgrid")
def meshgrid(lib, first, *rest, indexing="ij"):
    xs = [first, *rest] if isinstance(first, Tensor) else list(first)
    if indexing == "xy":
        xs[:2] = xs[1::-1]
    sizes = [count(lib.shape(x)) for x in xs]
    out = [
        lib.bp_expand(reshape(lib, x, [1] * i + [-1] + [1] * (len(xs) - i - 1)), sizes)
        for i, x in enumerate(xs)
    ]
    if indexing == "xy":
        out[:2] = out[1::-1]
    return out


@of("sum_to_size")
def sum_to_size(lib, x, *sizes):
    sizes = sizes_of(sizes)
    lead = rank(lib, x) - len(sizes)
    gone = [i for i, s in enumerate(lib.shape(x)) if i < lead or s != sizes[i - lead]]
    return reshape(lib, lib.bp_sum_axes(x, sum(1 << i for i in gone), 0), sizes)


@of("trace")
def trace(lib, x):
    rows, columns = lib.shape(x)
    eye = lib.bp_eye(lib.BP_F64, max(rows, columns))
    eye = lib.bp_slice(lib.bp_slice(eye, 0, 0, rows, 1), 1, 0, columns, 1)
    return lib.bp_sum(lib.bp_mul(x, eye))


# --- tensors of numbers ---------------------------------------------------------------------------


def made(f):
    def call(lib, *args, dtype=None, device=None, layout=None, requires_grad=False, **kwargs):
        if dtype not in (None, torch.float64):
            absent("another dtype")
        return f(lib, *args, **kwargs)

    return call


def arange(lib, begin, end=None, step=1):
    begin, end = (0, begin) if end is None else (begin, end)
    n = max(0, math.ceil((end - begin) / step))
    return lib.bp_arange(lib.BP_F64, begin, step, n)


def new(value):
    return made(lambda lib, x, *sizes: lib.bp_full(lib.BP_F64, sizes_of(sizes), value))


OPS |= {
    "arange": made(arange),
    "full": made(lambda lib, sizes, value: lib.bp_full(lib.BP_F64, sizes, float(value))),
    "eye": made(
        lambda lib, n, m=None: (
            lib.bp_eye(lib.BP_F64, n) if m in (None, n) else absent("a matrix that is not square")
        )
    ),
    "ones": made(lambda lib, *sizes: lib.bp_full(lib.BP_F64, sizes_of(sizes), 1.0)),
    "zeros": made(lambda lib, *sizes: lib.bp_full(lib.BP_F64, sizes_of(sizes), 0.0)),
    "new_ones": new(1.0),
    "new_zeros": new(0.0),
    "new_full": made(lambda lib, x, sizes, value: lib.bp_full(lib.BP_F64, sizes, float(value))),
}
