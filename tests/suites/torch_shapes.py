"""PyTorch's operators on shapes and indices as calls of the library, for torch_ops.OPS."""

import numpy as np

from calls import absent, count, permute, reshape, same, split, squeeze, unsqueeze
from library import Tensor
from torch_ops import OPS, of

END = 2**63 - 1


def sizes_of(sizes):
    return (
        list(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (list, tuple)) else list(sizes)
    )


def rank(lib, x):
    return len(lib.shape(x))


# --- views ----------------------------------------------------------------------------------------


@of("reshape", "view", "view_copy")
def reshaped(lib, x, *sizes):
    if any(isinstance(s, Tensor) for s in sizes):
        absent("sizes that are tensors")
    if len(sizes) == 1 and not isinstance(sizes[0], (list, tuple, int)):
        absent("another dtype")
    return reshape(lib, x, sizes_of(sizes))


@of("view_as", "reshape_as")
def reshaped_as(lib, x, other):
    return reshape(lib, x, lib.shape(other))


@of("flatten")
def flatten(lib, x, start_dim=0, end_dim=-1):
    have = list(lib.shape(x)) or [1]
    a, b = start_dim % len(have), end_dim % len(have)
    return reshape(lib, x, have[:a] + [count(have[a : b + 1])] + have[b + 1 :])


@of("ravel")
def ravel(lib, x):
    return reshape(lib, x, [-1])


@of("unflatten")
def unflatten(lib, x, dim, sizes):
    have, dim = list(lib.shape(x)), dim % rank(lib, x)
    sizes = list(sizes)
    if -1 in sizes:
        sizes[sizes.index(-1)] = have[dim] // -count(sizes)
    return reshape(lib, x, have[:dim] + sizes + have[dim + 1 :])


@of("permute", "permute_copy")
def permuted(lib, x, *order):
    return permute(lib, x, [a % rank(lib, x) for a in sizes_of(order)])


@of("transpose", "transpose_copy", "swapaxes")
def transposed(lib, x, a, b):
    return lib.bp_transpose(x, a, b) if rank(lib, x) else same(lib, x)


@of("t", "t_copy", "T", "H")
def turned(lib, x):
    return (
        lib.bp_transpose(x, 0, 1)
        if rank(lib, x) == 2
        else permute(lib, x, list(range(rank(lib, x)))[::-1])
    )


@of("mT", "mH")
def turned_matrix(lib, x):
    return lib.bp_transpose(x, -2, -1)


@of("movedim")
def movedim(lib, x, source, target):
    n = rank(lib, x)
    source, target = ([v] if isinstance(v, int) else list(v) for v in (source, target))
    order = [a for a in range(n) if a not in [s % n for s in source]]
    for t, s in sorted((t % n, s % n) for s, t in zip(source, target)):
        order.insert(t, s)
    return permute(lib, x, order)


@of("squeeze", "squeeze_copy")
def squeezed(lib, x, dim=None):
    return squeeze(lib, x, [dim] if isinstance(dim, int) else dim)


@of("unsqueeze", "unsqueeze_copy")
def unsqueezed(lib, x, dim):
    return unsqueeze(lib, x, [dim])


@of("expand", "expand_copy", "broadcast_to")
def expanded(lib, x, *sizes):
    sizes = sizes_of(sizes)
    have = [1] * (len(sizes) - rank(lib, x)) + list(lib.shape(x))
    return lib.bp_expand(x, [h if s == -1 else s for s, h in zip(sizes, have)])


@of("expand_as")
def expanded_as(lib, x, other):
    return lib.bp_expand(x, lib.shape(other))


@of("broadcast_tensors")
def broadcast_tensors(lib, *xs):
    sizes = np.broadcast_shapes(*[lib.shape(x) for x in xs])
    return [lib.bp_expand(x, sizes) for x in xs]


@of("narrow", "narrow_copy")
def narrow(lib, x, dim, start, length):
    if isinstance(start, Tensor):
        start = int(lib.read(start))
    start += lib.shape(x)[dim] if start < 0 else 0
    return lib.bp_slice(x, dim, start, start + length, 1)


@of("slice")
def sliced(lib, x, dim=0, start=None, end=None, step=1):
    return lib.bp_slice(x, dim, start or 0, END if end is None else end, step)


@of("select", "select_copy")
def selected(lib, x, dim, index):
    index += lib.shape(x)[dim] if index < 0 else 0
    y = lib.bp_slice(x, dim, index, index + 1, 1)
    return squeeze(lib, y, [dim])


@of("unbind", "unbind_copy")
def unbind(lib, x, dim=0):
    return [selected(lib, x, dim, i) for i in range(lib.shape(x)[dim])]


@of("split", "split_with_sizes", "split_with_sizes_copy", "unsafe_split")
def splitted(lib, x, sizes, dim=0):
    n = lib.shape(x)[dim]
    if isinstance(sizes, int):
        sizes = [min(sizes, n - i) for i in range(0, n, sizes)] if n else [0]
    return split(lib, x, list(sizes), dim)


@of("chunk", "unsafe_chunk")
def chunk(lib, x, chunks, dim=0):
    return splitted(lib, x, max(1, -(-lib.shape(x)[dim] // chunks)), dim)


@of("tensor_split")
def tensor_split(lib, x, parts, dim=0):
    n = lib.shape(x)[dim]
    if isinstance(parts, Tensor):
        parts = lib.read(parts).tolist()
    if isinstance(parts, int):
        ends = np.cumsum([n // parts + (i < n % parts) for i in range(parts)]).tolist()[:-1]
    else:
        ends = [min(p + n if p < 0 else p, n) for p in parts]
    bounds = [0] + list(ends) + [n]
    return [lib.bp_slice(x, dim, a, b, 1) for a, b in zip(bounds, bounds[1:])]


OPS |= {
    "hsplit": lambda lib, x, parts: tensor_split(lib, x, parts, 0 if rank(lib, x) == 1 else 1),
    "vsplit": lambda lib, x, parts: tensor_split(lib, x, parts, 0),
    "dsplit": lambda lib, x, parts: tensor_split(lib, x, parts, 2),
}


@of("__getitem__")
def getitem(lib, x, key):
    key = list(key) if isinstance(key, tuple) else [key]
    if any(isinstance(k, (Tensor, list)) for k in key):
        absent("an index of tensors or lists")
    named = sum(k is not None and k is not Ellipsis for k in key)
    if Ellipsis in key:
        i = key.index(Ellipsis)
        key = key[:i] + [slice(None)] * (rank(lib, x) - named) + key[i + 1 :]
    axis = 0
    for k in key:
        if k is None or isinstance(k, bool):
            if isinstance(k, bool):
                absent("an index that is a bool")
            x = unsqueeze(lib, x, [axis])
        elif isinstance(k, slice):
            x = lib.bp_slice(x, axis, k.start or 0, END if k.stop is None else k.stop, k.step or 1)
        else:
            x = selected(lib, x, axis, int(k))
            continue
        axis += 1
    return x if key else same(lib, x)


@of("flip")
def flip(lib, x, dims):
    return lib.bp_flip(x, lib.axes(x, dims))


OPS["fliplr"] = lambda lib, x: flip(lib, x, [1])
OPS["flipud"] = lambda lib, x: flip(lib, x, [0])


@of("rot90")
def rot90(lib, x, k=1, dims=(0, 1)):
    for _ in range(k % 4):
        x = flip(lib, lib.bp_transpose(x, dims[0], dims[1]), [dims[0]])
    return same(lib, x)


@of("roll")
def roll(lib, x, shifts, dims=None):
    if dims is None or dims == ():
        return reshape(lib, roll(lib, reshape(lib, x, [-1]), shifts, 0), lib.shape(x))
    shifts, dims = ([v] if isinstance(v, int) else list(v) for v in (shifts, dims))
    for s, d in zip(shifts, dims):
        x = lib.bp_roll(x, d, s)
    return x
