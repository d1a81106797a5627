"""ONNX's operators as calls of the library: OPS[operator](node) gives a tensor or a list of
them. A new one is an entry."""

import math

import numpy as np
import onnx
from onnx import helper

from calls import (
    absent,
    concat,
    count,
    fold,
    pad,
    permute,
    reshape,
    same,
    split,
    squeeze,
    unsqueeze,
)
from library import Tensor

# What is folded where it follows from constants and shapes alone.
FOLDED = set(
    (
        "Constant ConstantOfShape Concat Slice Gather Squeeze Unsqueeze Reshape Cast CastLike Add "
        "Sub Mul Div Mod Range Identity Size Shape Sqrt Equal Not And Or Where Flatten Expand "
        "ReduceSum ReduceProd Transpose Less LessOrEqual Neg Max Min"
    ).split()
)
DTYPES = {1: "BP_F32", 2: "BP_U8", 6: "BP_I32", 7: "BP_I32", 9: "BP_U8", 11: "BP_F64"}


class Host:
    """A value that is known without computing: an input as it was given, a constant, a shape."""

    def __init__(self, array, constant):
        self.array, self.constant = array, constant


class Node:
    """node[i] is input i as a tensor; node.host(i) its numbers, for what an op takes as numbers."""

    def __init__(self, lib, node, given):
        self.lib, self.given, self.op = lib, given, node.op_type
        self.n_out = len(node.output)
        self.attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        self.tensors = {}

    def __len__(self):
        return len(self.given)

    def __call__(self, name, default=None):
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def has(self, i):
        return i < len(self.given) and self.given[i] is not None

    def __getitem__(self, i):
        if not self.has(i):
            absent("an input left out")
        if isinstance(self.given[i], Tensor):
            return self.given[i]
        if i not in self.tensors:
            a = self.given[i].array
            self.tensors[i] = self.lib.tensor(
                a.astype(np.int32) if a.dtype == np.bool_ else a
            )  # what is compared is 1 or 0
        return self.tensors[i]

    def host(self, i):
        return (
            self.lib.read(self.given[i])
            if isinstance(self.given[i], Tensor)
            else self.given[i].array
        )

    def hosts(self, i, attribute, default=None):
        """Numbers that are an input, or were an attribute in older versions."""
        return self.host(i).tolist() if self.has(i) else self(attribute, default)

    def all(self):
        return [self[i] for i in range(len(self))]

    def shape(self, i=0):
        return (
            self.lib.shape(self.given[i])
            if isinstance(self.given[i], Tensor)
            else self.given[i].array.shape
        )


def plain(name):
    return lambda n: getattr(n.lib, name)(*n.all())


def unary(name, *numbers):
    """A call of one tensor and numbers, each the name of an attribute and its value where that
    is left out."""
    return lambda n: getattr(n.lib, name)(n[0], *[n(k, v) for k, v in numbers])


def variadic(name):
    return lambda n: fold(getattr(n.lib, name), n.all()) if len(n) > 1 else same(n.lib, n[0])


OPS = {
    name: plain(f"bp_{name.lower()}")
    for name in (
        "Add Sub Mul Div Neg Exp Log Sqrt Reciprocal Abs Sign Sin Cos Erf Relu Tanh Sigmoid "
        "Softplus MatMul"
    ).split()
}
OPS |= {
    "Elu": unary("bp_elu", ("alpha", 1.0)),
    "LeakyRelu": unary("bp_leaky_relu", ("alpha", 0.01)),
    "Softmax": lambda n: n.lib.bp_softmax(n[0], n("axis", -1) % len(n.shape())),
    "LogSoftmax": lambda n: n.lib.bp_log_softmax(n[0], n("axis", -1) % len(n.shape())),
    "Max": variadic("bp_maximum"),
    "Min": variadic("bp_minimum"),
    "Sum": variadic("bp_add"),
    "Pow": plain("bp_pow"),
    "Identity": lambda n: same(n.lib, n[0]),
    "Mean": lambda n: n.lib.bp_scale(fold(n.lib.bp_add, n.all()), 1 / len(n)),
}


def of(*names):
    """Adds the function it stands before."""

    def add(f):
        for name in names:
            OPS[name] = f
        return f

    return add


# --- shapes ---------------------------------------------------------------------------------------


@of("Shape")
def shape_of(n):
    sizes = n.lib.shape(n[0])
    return Host(np.array(sizes[slice(n("start", 0), n("end"))], np.int64), True)


@of("Size")
def size_of(n):
    return Host(np.array(count(n.lib.shape(n[0])), np.int64), True)


@of("Transpose")
def transpose(n):
    return permute(n.lib, n[0], n("perm", range(len(n.shape()) - 1, -1, -1)))


@of("Reshape")
def reshape_to(n):
    have, want = n.shape(), [int(v) for v in n.host(1)]
    if not n("allowzero"):
        want = [have[i] if v == 0 else v for i, v in enumerate(want)]
    return reshape(n.lib, n[0], want)


@of("Flatten")
def flatten(n):
    have = n.shape()
    axis = n("axis", 1)
    axis += len(have) if axis < 0 else 0
    return reshape(n.lib, n[0], [count(have[:axis]), count(have[axis:])])


@of("Squeeze")
def squeeze_of(n):
    return squeeze(n.lib, n[0], n.hosts(1, "axes"))


@of("Unsqueeze")
def unsqueeze_of(n):
    return unsqueeze(n.lib, n[0], n.hosts(1, "axes"))


@of("Expand")
def expand(n):
    return n.lib.bp_expand(n[0], np.broadcast_shapes(n.shape(), tuple(int(v) for v in n.host(1))))


@of("Tile")
def tile(n):
    return n.lib.bp_tile(n[0], n.host(1))


@of("Slice")
def sliced(n):
    begins, ends = n.host(1).tolist(), n.host(2).tolist()
    axes = n.host(3).tolist() if n.has(3) else range(len(begins))
    steps = n.host(4).tolist() if n.has(4) else [1] * len(begins)
    y = n[0]
    for axis, begin, end, step in zip(axes, begins, ends, steps):
        y = n.lib.bp_slice(y, axis % len(n.shape()), begin, end, step)
    return y if begins else same(n.lib, y)


@of("Split")
def splitted(n):
    axis = n("axis", 0) % len(n.shape())
    sizes = n.hosts(1, "split")
    if sizes is None:
        size, parts = n.shape()[axis], n("num_outputs", n.n_out)
        each = -(-size // parts)
        sizes = [min(each, size - i * each) for i in range(parts)]
    return split(n.lib, n[0], sizes, axis)


@of("Concat")
def concatenated(n):
    return concat(n.lib, n.all(), n("axis"))


@of("Pad")
def padded(n):
    mode, at, rank = n("mode", "constant"), n.host(1).tolist(), len(n.shape())
    axes = [a % rank for a in n.host(3).tolist()] if n.has(3) else list(range(rank))
    before, after = [0] * rank, [0] * rank
    for k, a in enumerate(axes):
        before[a], after[a] = at[k], at[k + len(axes)]
    if mode == "wrap":
        absent("wrapped around")
    call = {"constant": "bp_pad", "edge": "bp_pad_edge", "reflect": "bp_pad_reflect"}[mode]
    return pad(n.lib, n[0], before, after, float(n.host(2).ravel()[0]) if n.has(2) else 0.0, call)


@of("Trilu")
def trilu(n):
    return (n.lib.bp_triu if n("upper", 1) else n.lib.bp_tril)(
        n[0], int(n.host(1)) if n.has(1) else 0
    )


@of("EyeLike")
def eye(n):
    rows, columns = n.shape()
    if n("dtype", 6) not in DTYPES:
        absent("a dtype to make")
    k, size = n("k", 0), rows + columns + abs(n("k", 0))
    y = n.lib.bp_eye(getattr(n.lib, DTYPES[n("dtype", 6)]), size)
    y = n.lib.bp_slice(y, 0, max(0, k), max(0, k) + rows, 1)
    return n.lib.bp_slice(y, 1, max(0, -k), max(0, -k) + columns, 1)


@of("Range")
def arange(n):
    begin, end, step = (float(n.host(i)) for i in range(3))
    dtype = {"f": "BP_F32", "d": "BP_F64", "i": "BP_I32", "l": "BP_I32"}[n.host(0).dtype.char]
    return n.lib.bp_arange(
        getattr(n.lib, dtype), begin, step, max(0, math.ceil((end - begin) / step))
    )


@of("ConstantOfShape")
def constant_of_shape(n):
    value = (
        onnx.numpy_helper.to_array(n("value"))
        if n("value") is not None
        else np.zeros(1, np.float32)
    )
    if value.dtype.char not in "fdilB?":
        absent(f"dtype {value.dtype}")
    dtype = {
        "f": "BP_F32",
        "d": "BP_F64",
        "i": "BP_I32",
        "l": "BP_I32",
        "B": "BP_U8",
        "?": "BP_U8",
    }[value.dtype.char]
    return n.lib.bp_full(getattr(n.lib, dtype), n.host(0).tolist(), float(value.ravel()[0]))


@of("CenterCropPad")
def center(n):
    axes, x = n("axes", range(len(n.shape()))), n[0]
    for axis, want in zip(axes, n.host(1).tolist()):
        axis %= len(n.shape())
        less = n.lib.shape(x)[axis] - want
        if less > 0:
            x = n.lib.bp_slice(x, axis, less // 2, less // 2 + want, 1)
        elif less < 0:
            x = n.lib.bp_pad(x, axis, -less // 2, -less - -less // 2, 0.0)
    return x


def blocks(n, to_space):
    """Pixels to channels and back."""
    b, (batch, c, h, w) = n("blocksize"), n.shape()
    if not to_space:
        y = reshape(n.lib, n[0], [batch, c, h // b, b, w // b, b])
        order = [0, 3, 5, 1, 2, 4] if n("mode", "DCR") == "DCR" else [0, 1, 3, 5, 2, 4]
        return reshape(n.lib, permute(n.lib, y, order), [batch, c * b * b, h // b, w // b])
    if n("mode", "DCR") == "DCR":
        y = permute(
            n.lib, reshape(n.lib, n[0], [batch, b, b, c // (b * b), h, w]), [0, 3, 4, 1, 5, 2]
        )
    else:
        y = permute(
            n.lib, reshape(n.lib, n[0], [batch, c // (b * b), b, b, h, w]), [0, 1, 4, 2, 5, 3]
        )
    return reshape(n.lib, y, [batch, c // (b * b), h * b, w * b])


OPS |= {"DepthToSpace": lambda n: blocks(n, True), "SpaceToDepth": lambda n: blocks(n, False)}
