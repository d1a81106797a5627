"""PyTorch's operators with an index as calls of the library, for torch_ops.OPS."""

import numpy as np

from calls import absent, count, move, pad, reshape
from torch_ops import of
from torch_shapes import rank

# --- index ----------------------------------------------------------------------------------------


@of("gather", "take_along_dim")
def gather(lib, x, dim, index, sparse_grad=False):
    if not rank(lib, x):
        absent("an axis of a scalar")
    sizes = list(lib.shape(index))
    sizes[dim] = lib.shape(x)[dim]
    if sizes != list(lib.shape(x)):
        x = cut(lib, x, sizes)
    return lib.bp_take_along(x, dim, index)


def from_front(lib, index, n):
    """An index of ours is not negative."""
    at = lib.read(index)
    return lib.tensor(np.where(at < 0, at + n, at))


def cut(lib, x, sizes):
    """PyTorch lets an index be smaller than what it chooses from."""
    for a, (want, have) in enumerate(zip(sizes, lib.shape(x))):
        if want != have:
            x = lib.bp_slice(x, a, 0, want, 1)
    return x


@of("take_along_dim")
def take_along_dim(lib, x, index, dim=None):
    index = from_front(lib, index, count(lib.shape(x)) if dim is None else lib.shape(x)[dim])
    if dim is None:
        return lib.bp_take_along(reshape(lib, x, [-1]), 0, reshape(lib, index, [-1]))
    n, sx, si = dim % rank(lib, x), list(lib.shape(x)), list(lib.shape(index))
    both = list(np.broadcast_shapes(sx[:n] + [1] + sx[n + 1 :], si[:n] + [1] + si[n + 1 :]))
    x = lib.bp_expand(x, both[:n] + [sx[n]] + both[n + 1 :])
    index = lib.bp_expand(index, both[:n] + [si[n]] + both[n + 1 :])
    return lib.bp_take_along(x, dim, index)


@of("scatter_add")
def scatter_add(lib, x, dim, index, src):
    if not rank(lib, x):
        absent("an axis of a scalar")
    src = cut(lib, src, lib.shape(index))
    y = lib.bp_add_along(src, dim, index, lib.shape(x)[dim])
    n = dim % rank(lib, x)
    after = [0 if a == n else h - w for a, (h, w) in enumerate(zip(lib.shape(x), lib.shape(y)))]
    return lib.bp_add(x, pad(lib, y, [0] * len(after), after))


@of("index_select")
def index_select(lib, x, dim, index):
    if not rank(lib, x) or not rank(lib, index):
        absent("an axis of a scalar")
    return lib.bp_take(x, dim, index)


@of("index_add")
def index_add(lib, x, dim, index, source, alpha=1):
    if not rank(lib, x):
        absent("an axis of a scalar")
    rows = lib.bp_scatter_rows(move(lib, source, dim, 0), index, lib.shape(x)[dim])
    return lib.bp_add(x, lib.bp_scale(move(lib, rows, 0, dim), alpha))


@of("take")
def take(lib, x, index):
    return lib.bp_take(reshape(lib, x, [-1]), 0, from_front(lib, index, count(lib.shape(x))))


@of("nn.functional.embedding")
def embedding(
    lib,
    index,
    table,
    padding_idx=None,
    max_norm=None,
    norm_type=2.0,
    scale_grad_by_freq=False,
    sparse=False,
):
    if max_norm is not None or scale_grad_by_freq or padding_idx is not None or sparse:
        absent("padding, a norm, or scaled gradients")
    return lib.bp_take(table, 0, index)
