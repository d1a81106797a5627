"""ONNX's reductions, products and operators with an index, for onnx_ops.OPS."""

import numpy as np

from calls import absent, count, move, pad, reshape, same, sums, unsqueeze
from onnx_ops import DTYPES, OPS, of

# --- reductions -----------------------------------------------------------------------------------


def reduced(name, then=None):
    """A call bp_NAME_axes(x, mask of axes, keep), and one after it."""

    def call(n):
        axes, x = n.hosts(1, "axes"), n[0]
        if not axes and n("noop_with_empty_axes"):
            mask = 0
        else:
            mask = n.lib.axes(x, axes or None)
        if name in ("max", "min") and 0 in n.shape():
            absent("the largest of nothing, which is an error here")
        y = getattr(n.lib, f"bp_{name}_axes")(x, mask, n("keepdims", 1))
        return getattr(n.lib, then)(y) if then else y

    return call


OPS |= {
    "ReduceSum": reduced("sum"),
    "ReduceMean": reduced("mean"),
    "ReduceMax": reduced("max"),
    "ReduceMin": reduced("min"),
    "ReduceProd": reduced("prod"),
    "ReduceL1": reduced("norm_l1"),
    "ReduceL2": reduced("norm_l2"),
    "ReduceSumSquare": reduced("sum_squares"),
    "ReduceLogSumExp": reduced("logsumexp"),
    "ReduceLogSum": reduced("sum", then="bp_log"),
}


def placed(name):
    def call(n):
        axis, x = n("axis", 0) % len(n.shape()), n[0]
        if n("select_last_index"):
            x = n.lib.bp_flip(x, 1 << axis)
        y = getattr(n.lib, name)(x, axis)
        if n("select_last_index"):
            y = n.lib.bp_sub(n.lib.number(n.shape()[axis] - 1, y), y)
        return unsqueeze(n.lib, y, [axis]) if n("keepdims", 1) else y

    return call


OPS |= {"ArgMax": placed("bp_argmax"), "ArgMin": placed("bp_argmin")}


@of("CumSum")
def cumsum(n):
    axis, x, size = int(n.host(1)) % len(n.shape()), n[0], n.shape()[int(n.host(1))]
    back = n("reverse", 0)
    y = n.lib.bp_cumsum(x, axis, back)
    if n("exclusive"):
        y = n.lib.bp_slice(n.lib.bp_pad(y, axis, 1 - back, back, 0.0), axis, back, size + back, 1)
    return y


@of("TopK")
def topk(n):
    return n.lib.bp_top_k(
        n[0], int(n.host(1)[0]), n("axis", -1) % len(n.shape()), not n("largest", 1)
    )


for pool, call in ("GlobalAveragePool", "bp_mean_axes"), ("GlobalMaxPool", "bp_max_axes"):
    OPS[pool] = lambda n, call=call: getattr(n.lib, call)(
        n[0], n.lib.axes(n[0], range(2, len(n.shape()))), 1
    )

# --- products -------------------------------------------------------------------------------------


@of("Gemm")
def gemm(n):
    a, b = (
        n.lib.bp_transpose(n[i], 0, 1) if n(t) else n[i] for i, t in ((0, "transA"), (1, "transB"))
    )
    y = n.lib.bp_scale(n.lib.bp_matmul(a, b), n("alpha", 1.0))
    return n.lib.bp_add(y, n.lib.bp_scale(n[2], n("beta", 1.0))) if n.has(2) else y


@of("Einsum")
def einsum(n):
    f = {
        "ij->ji": lambda: n.lib.bp_transpose(n[0], 0, 1),
        "ij->i": lambda: sums(n.lib, n[0], [1]),
        "bij,bjk->bik": lambda: n.lib.bp_matmul(n[0], n[1]),
        "i,i": lambda: n.lib.bp_dot(n[0], n[1]),
        "->": lambda: same(n.lib, n[0]),
    }
    return f.get(n("equation").replace(" ", ""), lambda: absent("a diagonal"))()


# --- index ----------------------------------------------------------------------------------------


def from_front(n, i, size):
    """Input i, an index: ours are not negative."""
    at = n.host(i)
    return n.lib.tensor(np.where(at < 0, at + size, at))


@of("Gather")
def gather(n):
    axis = n("axis", 0) % len(n.shape())
    return n.lib.bp_take(n[0], axis, from_front(n, 1, n.shape()[axis]))


@of("GatherElements")
def gather_elements(n):
    axis = n("axis", 0) % len(n.shape())
    x = n[0]
    for a, (want, have) in enumerate(zip(n.shape(1), n.shape())):
        x = n.lib.bp_slice(x, a, 0, want, 1) if a != axis and want != have else x
    return n.lib.bp_take_along(x, axis, from_front(n, 1, n.shape()[axis]))


def flat_index(n, k):
    """Input 1, whose last axis names an element of the first k axes, as one number each."""
    at, have, flat = n.host(1), n.shape(), 0
    for axis in range(k):
        flat = flat * have[axis] + np.where(
            at[..., axis] < 0, at[..., axis] + have[axis], at[..., axis]
        )
    return flat


@of("GatherND")
def gather_nd(n):
    """The last axis of the index names an element of the first axes of the table."""
    if n("batch_dims"):
        absent("batch axes")
    have, k = n.shape(), n.shape(1)[-1]
    return n.lib.bp_take(
        reshape(n.lib, n[0], [count(have[:k]), *have[k:]]), 0, n.lib.tensor(flat_index(n, k))
    )


def put(lib, x, place, add):
    """x with what `place(values)` puts into zeros: added, or instead."""
    y = place(None)
    return lib.bp_add(x, y) if add else lib.bp_where(place(1.0), y, x)


@of("ScatterElements", "Scatter")
def scatter_elements(n):
    if n("reduction", "none") not in ("none", "add"):
        absent("reduction " + n("reduction", "none"))
    axis, x = n("axis", 0) % len(n.shape()), n[0]

    def place(value):
        updates = n[2] if value is None else n.lib.bp_full_like(n[2], value)
        y = n.lib.bp_add_along(updates, axis, from_front(n, 1, n.shape()[axis]), n.shape()[axis])
        after = [
            0 if a == axis else h - w for a, (h, w) in enumerate(zip(n.shape(), n.lib.shape(y)))
        ]
        return pad(n.lib, y, [0] * len(after), after)

    return put(n.lib, x, place, n("reduction", "none") == "add")


@of("ScatterND")
def scatter_nd(n):
    if n("reduction", "none") not in ("none", "add"):
        absent("reduction " + n("reduction", "none"))
    have, k, rows = n.shape(), n.shape(1)[-1], n.lib.tensor(flat_index(n, n.shape(1)[-1]).ravel())

    def place(value):
        updates = n[2] if value is None else n.lib.bp_full_like(n[2], value)
        updates = reshape(n.lib, updates, [n.lib.shape(rows)[0], *have[k:]])
        return reshape(n.lib, n.lib.bp_scatter_rows(updates, rows, count(have[:k])), have)

    return put(n.lib, n[0], place, n("reduction", "none") == "add")


@of("OneHot")
def one_hot(n):
    classes, (off, on) = int(np.ravel(n.host(1))[0]), n.host(2).tolist()
    dtype = {"f": "BP_F32", "d": "BP_F64"}.get(n.host(2).dtype.char) or absent(
        f"values of dtype {n.host(2).dtype}"
    )
    at = np.asarray(n.host(0)).astype(np.int64)
    at = np.where(at < 0, at + classes, at)
    if ((at < 0) | (at >= classes)).any():
        absent("an index out of range, which is an error here")
    index = n.lib.tensor(at)
    y = n.lib.bp_one_hot(index, classes, getattr(n.lib, dtype))
    y = move(n.lib, y, -1, n("axis", -1))
    return n.lib.bp_shift(n.lib.bp_scale(y, on - off), off)


@of("Cast")
def cast(n):
    if n("to") not in DTYPES:
        absent("a dtype to cast to")
    return n.lib.bp_cast(n[0], getattr(n.lib, DTYPES[n("to")]))


@of("CastLike")
def cast_like(n):
    return n.lib.bp_cast(n[0], n.lib.dtype(n[1]))
