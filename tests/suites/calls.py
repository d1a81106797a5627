"""What both suites say in a few calls of the library: shapes by lists, axes from the end,
numbers as operands."""

import numpy as np

from library import Absent, Tensor


def count(sizes):
    return int(np.prod(sizes, dtype=np.int64))


def same(lib, t):
    return lib.bp_reshape(t, lib.shape(t))


def permute(lib, t, order):
    """Axis i of the result is axis order[i] of t."""
    return lib.bp_permute(t, order)


def move(lib, t, source, target):
    n = len(lib.shape(t))
    if n == 0:
        return t
    order = [a for a in range(n) if a != source % n]
    order.insert(target % n, source % n)
    return permute(lib, t, order)


def reshape(lib, t, sizes):
    """-1 is what is left."""
    sizes = [int(s) for s in sizes]
    if -1 in sizes:
        rest = count([s for s in sizes if s != -1])
        sizes[sizes.index(-1)] = count(lib.shape(t)) // rest if rest else 0
    return lib.bp_reshape(t, sizes)


def unsqueeze(lib, t, axes):
    n = len(lib.shape(t)) + len(axes)
    for a in sorted(int(a) % n for a in axes):
        t = lib.bp_unsqueeze(t, a)
    return t


def squeeze(lib, t, axes=None):
    """Axes that are not of size 1 stay, as PyTorch has it."""
    sizes = lib.shape(t)
    n = max(1, len(sizes))
    gone = range(n) if axes is None else {int(a) % n for a in axes}
    return lib.bp_squeeze(t, sum(1 << a for a in gone if a < len(sizes) and sizes[a] == 1))


def split(lib, t, sizes, axis):
    import ctypes

    parts = (ctypes.c_void_p * max(1, len(sizes)))()
    lib.bp_split(t, axis, len(sizes), [int(s) for s in sizes], parts)
    return [Tensor(parts[i]) for i in range(len(sizes))]


def concat(lib, parts, axis):
    return lib.bp_concat(parts, len(parts), axis)


def pad(lib, t, before, after, value=0.0, call="bp_pad"):
    """By lists, an axis an element; a negative one cuts off."""
    for axis, (b, a) in enumerate(zip(before, after)):
        size = lib.shape(t)[axis]
        if b < 0 or a < 0:
            t = lib.bp_slice(t, axis, max(0, -b), size + min(0, a), 1)
        b, a = max(b, 0), max(a, 0)
        if b or a:
            t = getattr(lib, call)(t, axis, b, a, *([float(value)] if call == "bp_pad" else []))
    return t


def sums(lib, t, axes=None, keep=False):
    return lib.bp_sum_axes(t, lib.axes(t, axes), keep)


def number(lib, value, like):
    """An operand that may be a Python number."""
    return value if isinstance(value, Tensor) else lib.number(value, like)


def fold(call, operands):
    """call(call(a, b), c) ..."""
    y = operands[0]
    for t in operands[1:]:
        y = call(y, t)
    return y


def absent(why):
    raise Absent(why)
