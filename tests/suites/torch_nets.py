"""PyTorch's products, index operators and normalisations as calls of the library, for
torch_ops.OPS."""

import numpy as np

from calls import absent, count, fold, move, permute, reshape, sums
from torch_ops import OPS, of
from torch_shapes import rank

# --- products -------------------------------------------------------------------------------------


@of("matmul", "mm", "bmm", "mv", "__rmatmul__")
def matmul(lib, a, b):
    return lib.bp_matmul(a, b)


OPS["__rmatmul__"] = lambda lib, a, b: lib.bp_matmul(b, a)


@of("dot", "vdot")
def dot(lib, a, b):
    return lib.bp_dot(a, b)


@of("outer", "ger")
def outer(lib, a, b):
    return lib.bp_outer(a, b)


@of("inner")
def inner(lib, a, b):
    if not rank(lib, a) or not rank(lib, b):
        return lib.bp_mul(a, b)
    return tensordot(lib, a, b, [[-1], [-1]])


@of("tensordot")
def tensordot(lib, a, b, dims=2):
    if isinstance(dims, int):
        dims = [list(range(-dims, 0)), list(range(dims))]
    da, db = ([d % rank(lib, t) for d in ds] for t, ds in ((a, dims[0]), (b, dims[1])))
    ra, rb = ([i for i in range(rank(lib, t)) if i not in ds] for t, ds in ((a, da), (b, db)))
    sa, sb = lib.shape(a), lib.shape(b)
    k = count([sa[d] for d in da])
    if [sa[d] for d in da] != [sb[d] for d in db]:
        absent("sums over axes that broadcast")
    left = reshape(lib, permute(lib, a, ra + da), [count([sa[i] for i in ra]), k])
    right = reshape(lib, permute(lib, b, db + rb), [k, count([sb[i] for i in rb])])
    return reshape(lib, lib.bp_matmul(left, right), [sa[i] for i in ra] + [sb[i] for i in rb])


def added(product):
    def f(lib, x, a, b, beta=1, alpha=1):
        y = lib.bp_scale(product(lib, a, b), alpha)
        return y if beta == 0 else lib.bp_add(lib.bp_scale(x, beta), y)

    return f


def as_sum(lib, a, b):
    return sums(lib, lib.bp_matmul(a, b), [0])


OPS |= {
    "addmm": added(matmul),
    "addmv": added(matmul),
    "baddbmm": added(matmul),
    "addr": added(outer),
    "addbmm": added(as_sum),
}


@of("linalg.multi_dot")
def multi_dot(lib, parts):
    return fold(lib.bp_matmul, parts)


@of("linalg.vecdot")
def vecdot(lib, a, b, dim=-1):
    return sums(lib, lib.bp_mul(a, b), [dim])


@of("nn.functional.linear")
def linear(lib, x, w, b=None):
    if b is None or rank(lib, w) != 2 or rank(lib, x) != 2:
        if rank(lib, w) != 2:
            y = lib.bp_matmul(x, w)
        else:
            y = lib.bp_matmul(x, lib.bp_transpose(w, 0, 1))
        return y if b is None else lib.bp_add(y, b)
    return lib.bp_linear(x, w, b)


@of("kron")
def kron(lib, a, b):
    n = max(rank(lib, a), rank(lib, b))
    sa, sb = ([1] * (n - rank(lib, t)) + list(lib.shape(t)) for t in (a, b))
    left = reshape(lib, a, [v for s in sa for v in (s, 1)])
    right = reshape(lib, b, [v for s in sb for v in (1, s)])
    return reshape(lib, lib.bp_mul(left, right), [p * q for p, q in zip(sa, sb)])


# --- softmax and norms ----------------------------------------------------------------------------


def softmax(name, sign=1):
    def f(lib, x, dim=None, dtype=None, _stacklevel=None):
        if dtype is not None:
            absent("another dtype")
        if rank(lib, x) and not lib.shape(x)[dim]:
            absent("nothing along the axis, which is an error here")
        if rank(lib, x) == 0:
            return lib.bp_reshape(f(lib, reshape(lib, x, [1]), 0), [])
        x = x if sign == 1 else lib.bp_scale(x, sign)
        return getattr(lib, name)(x, dim % rank(lib, x))

    return f


OPS |= {
    "softmax": softmax("bp_softmax"),
    "log_softmax": softmax("bp_log_softmax"),
    "nn.functional.softmin": softmax("bp_softmax", -1),
}


def ones(lib, like, sizes, value=1.0):
    return lib.tensor(np.full(sizes, value)) if like is None else like


def positive(eps):
    return eps if eps >= 0 else absent("a negative eps, which is an error here")


@of("nn.functional.layer_norm")
def layer_norm(lib, x, sizes, weight=None, bias=None, eps=1e-5):
    return lib.bp_layer_norm(
        x, ones(lib, weight, sizes), ones(lib, bias, sizes, 0.0), positive(eps)
    )


@of("native_layer_norm")
def native_layer_norm(lib, x, sizes, weight, bias, eps):
    axes = lib.axes(x, range(rank(lib, x) - len(sizes), rank(lib, x)))
    deviation = lib.bp_rsqrt(lib.bp_shift(lib.bp_variance_axes(x, axes, 0, 1), positive(eps)))
    return [layer_norm(lib, x, sizes, weight, bias, eps), lib.bp_mean_axes(x, axes, 1), deviation]


@of("nn.functional.cosine_similarity")
def cosine_similarity(lib, a, b, dim=1, eps=1e-8):
    sizes = np.broadcast_shapes(lib.shape(a), lib.shape(b))
    a, b = lib.bp_expand(a, sizes), lib.bp_expand(b, sizes)
    na, nb = (
        lib.bp_maximum(n, lib.number(eps, n))
        for n in (OPS["norm"](lib, t, 2, [dim], True) for t in (a, b))
    )
    return sums(lib, lib.bp_mul(lib.bp_div(a, na), lib.bp_div(b, nb)), [dim])


@of("nn.functional.pairwise_distance")
def pairwise_distance(lib, a, b, p=2.0, eps=1e-6, keepdim=False):
    return OPS["norm"](lib, lib.bp_shift(lib.bp_sub(a, b), eps), p, [-1], keepdim)


@of("dist")
def dist(lib, a, b, p=2):
    return OPS["norm"](lib, lib.bp_sub(a, b), p)


@of("nn.functional.rms_norm")
def rms_norm(lib, x, sizes, weight=None, eps=None):
    return lib.bp_rms_norm(x, ones(lib, weight, sizes), 2.0**-52 if eps is None else positive(eps))


@of("nn.functional.group_norm")
def group_norm(lib, x, groups, weight=None, bias=None, eps=1e-5):
    c = [lib.shape(x)[1]]
    return lib.bp_group_norm(
        x, groups, ones(lib, weight, c), ones(lib, bias, c, 0.0), positive(eps)
    )


@of("nn.functional.batch_norm")
def batch_norm(
    lib, x, mean, variance, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    """Ours is of [N, C]: the other axes go to the rows."""
    if rank(lib, x) < 2:
        absent("a vector")
    last = move(lib, x, 1, -1)
    sizes, c = lib.shape(last), lib.shape(x)[1]
    rows = reshape(lib, last, [count(sizes[:-1]), c])
    weight, bias = ones(lib, weight, [c]), ones(lib, bias, [c], 0.0)
    if not training:
        y = lib.bp_batch_norm_with(rows, weight, bias, mean, variance, positive(eps))
    elif lib.shape(rows)[0] < 2:
        absent("a batch of one or none, which is an error here")
    else:
        y = lib.bp_batch_norm(rows, weight, bias, positive(eps))[0]
    return move(lib, reshape(lib, y, sizes), -1, 1)


@of("nn.functional.instance_norm")
def instance_norm(
    lib,
    x,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-5,
):
    if not use_input_stats:
        return batch_norm(lib, x, running_mean, running_var, weight, bias, False, momentum, eps)
    return group_norm(lib, x, lib.shape(x)[1], weight, bias, eps)


@of("nn.functional.normalize")
def normalize(lib, x, p=2.0, dim=1, eps=1e-12):
    n = OPS["norm"](lib, x, p, [dim], True)
    return lib.bp_div(x, lib.bp_maximum(n, lib.number(eps, n)))


@of("nn.functional.scaled_dot_product_attention")
def attention(
    lib, q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    if dropout_p:
        absent("PyTorch's own random numbers")
    if enable_gqa:
        k, v = (lib.bp_repeat(t, -3, lib.shape(q)[-3] // lib.shape(t)[-3]) for t in (k, v))
    lead = np.broadcast_shapes(*(lib.shape(t)[:-2] for t in (q, k, v)))
    q, k, v = (
        t if lib.shape(t)[:-2] == lead else lib.bp_expand(t, lead + lib.shape(t)[-2:])
        for t in (q, k, v)
    )
    flags = lib.BP_CAUSAL if is_causal else 0
    if attn_mask is None:
        return lib.bp_attention(q, k, v, flags, scale or 0.0)
    return lib.bp_attention_masked(q, k, v, attn_mask, flags, scale or 0.0)
