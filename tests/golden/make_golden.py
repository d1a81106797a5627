#!/usr/bin/env python3
"""Writes golden.txt, the values PyTorch gives, for tests/support/golden.c. Needs PyTorch; the tests
do not. Run it in this directory after a change of the cases below, and commit both.

A case is: `case BUILDER x a b ndim sizes...` (a builder of tools/check/op_builders.c and its arguments),
then tensors `in|out|grad INDEX TYPE ndim sizes... values...`; inputs are exact in f32, `grad i` is the
gradient of sum(out 0 * weights), weight e of a tensor being 1 + (e mod 7) / 8. A trajectory is
`train adam|sgd rate a b l2`, the initial weights, then for each step gradients and weights."""
import torch
import torch.nn.functional as F

torch.manual_seed(1)
TYPE = {torch.float32: "f32", torch.float64: "f64", torch.int32: "i32", torch.uint8: "u8"}
lines = []


def number(v):
    v = float(v)
    if v == int(v) and abs(v) < 1e6:
        return str(int(v))
    mantissa, exponent = v.hex().split("p")
    return mantissa.rstrip("0").rstrip(".") + "p" + str(int(exponent))


def tensor(kind, index, t):
    sizes = " ".join(str(s) for s in t.shape)
    values = " ".join(number(v) for v in t.detach().reshape(-1))
    lines.append(" ".join(f"{kind} {index} {TYPE[t.dtype]} {t.dim()} {sizes} {values}".split()))


def real(*shape, lo=-2.0, hi=2.0):
    """Multiples of 2^-10: short to write, exact in f32, not near 0."""
    t = torch.rand(shape, dtype=torch.float64) * (hi - lo) + lo
    t = torch.where(t.abs() < 0.05, t + 0.1, t)
    return torch.round(t * 1024) / 1024


def index(n, *shape):
    return torch.randint(0, n, shape, dtype=torch.int32)


def weighted(y):
    w = 1 + (torch.arange(y.numel()) % 7).to(y.dtype) / 8
    return (y * w.reshape(y.shape)).sum()


def case(builder, f, *inputs, x=0.0, a=0, b=0, shape=(), constant=()):
    sizes = " ".join(str(s) for s in shape)
    lines.append(" ".join(f"case {builder} {number(x)} {a} {b} {len(shape)} {sizes}".split()))
    for i, t in enumerate(inputs):
        tensor("in", i, t.to(torch.float32) if t.is_floating_point() else t)
    for dtype in (torch.float64, torch.float32):
        leaves = [t.to(dtype).clone().requires_grad_(i not in constant)
                  if t.is_floating_point() else t for i, t in enumerate(inputs)]
        y = f(*leaves)
        tensor("out", 0, y)
        if y.requires_grad:
            weighted(y).backward()
            for i, t in enumerate(leaves):
                if t.is_floating_point() and i not in constant:
                    tensor("grad", i, t.grad if t.grad is not None else torch.zeros_like(t))


def ops():
    case("add", torch.add, real(5, 3), real(3))
    case("add", torch.add, real(2, 1, 4), real(3, 1))
    case("mul", torch.mul, real(5, 1), real(1, 3))
    case("div", torch.div, real(4, 3), real(3, lo=0.5))
    case("scale", lambda x: x * 0.75, real(7), x=0.75)
    case("exp", torch.exp, real(11, lo=-6, hi=6))
    case("log", torch.log, real(11, lo=0.1, hi=9))
    case("relu", torch.relu, real(11))
    case("elu", lambda x: F.elu(x, 1.0), real(11, lo=-4, hi=4), x=1.0)
    case("elu", lambda x: F.elu(x, 0.5), real(11, lo=-4, hi=4), x=0.5)
    case("gate", lambda a, g: a * (g > 0), real(9), real(9), constant=(1,))
    case("copy", lambda x: x * 1, real(5))
    case("sum", torch.sum, real(4, 3))
    case("sum_axes", lambda x: x.sum((0, 2)), real(2, 3, 4), a=5)
    case("sum_axes", lambda x: x.sum(1, keepdim=True), real(3, 5), a=2, b=1)
    case("log_softmax", lambda x: F.log_softmax(x, 1), real(4, 5, lo=-5, hi=5), a=1)
    case("log_softmax", lambda x: F.log_softmax(x, 0), real(4, 5, lo=-5, hi=5), a=0)
    case("matmul", torch.matmul, real(5, 7), real(7, 3))
    case("linear", F.linear, real(5, 7), real(3, 7), real(3))
    case("linear_relu", lambda x, w, b: torch.relu(F.linear(x, w, b)), real(5, 7), real(3, 7),
         real(3))
    case("gather", lambda t, i: t[i.long()], real(5, 3), index(5, 7))
    case("gather_normalized", lambda t, i, s, k: (t[i.long()].to(s.dtype) - s) * k,
         torch.randint(0, 256, (5, 4), dtype=torch.uint8), index(5, 6), real(4, lo=90, hi=160),
         real(4, lo=0.1, hi=0.5))
    case("scatter_rows", lambda x, i: torch.zeros(4, 3, dtype=x.dtype).index_add(0, i.long(), x),
         real(7, 3), index(4, 7), a=4)
    case("nll_loss", lambda x, i: F.nll_loss(x, i.long()), real(6, 4, lo=-4, hi=-1), index(4, 6))
    case("nll_spread", lambda s, i: -s / 6 * F.one_hot(i.long(), 4).to(s.dtype), real(),
         index(4, 6), a=4)
    case("cross_entropy", lambda x, i: F.cross_entropy(x, i.long()), real(6, 4, lo=-5, hi=5),
         index(4, 6))
    case("transpose", lambda x: x.transpose(0, 1), real(3, 4), a=0, b=1)
    case("reshape", lambda x: x.reshape(2, 6), real(3, 4), shape=(2, 6))
    case("expand", lambda x: x.expand(4, 3), real(3), shape=(4, 3))


def net(x, w1, b1, w2, b2, w3, b3, labels):
    h = torch.relu(F.linear(x, w1, b1))
    h = torch.relu(F.linear(h, w2, b2))
    return F.cross_entropy(F.linear(h, w3, b3), labels.long())


def whole_net():
    """Inputs 0 .. 7: x, three layers, labels; more than an op takes, so a kind of its own."""
    inputs = [real(8, 6), real(7, 6, lo=-0.8, hi=0.8), real(7, lo=-0.5, hi=0.5),
              real(5, 7, lo=-0.8, hi=0.8), real(5, lo=-0.5, hi=0.5),
              real(4, 5, lo=-0.8, hi=0.8), real(4, lo=-0.5, hi=0.5), index(4, 8)]
    lines.append("case net 0 0 0 0")
    for i, t in enumerate(inputs):
        tensor("in", i, t.to(torch.float32) if t.is_floating_point() else t)
    for dtype in (torch.float64, torch.float32):
        leaves = [t.to(dtype).clone().requires_grad_(i > 0) if t.is_floating_point() else t
                  for i, t in enumerate(inputs)]
        loss = net(*leaves)
        tensor("out", 0, loss)
        loss.backward()
        for i in range(1, 7):
            tensor("grad", i, leaves[i].grad)


def trajectory(name, make, rate, a, b, l2, steps=12):
    """One matrix (takes L2) and one vector (does not), with given gradients."""
    start = [real(3, 4), real(4)]
    grads = [[real(3, 4), real(4)] for _ in range(steps)]
    lines.append(f"train {name} {number(rate)} {number(a)} {number(b)} {number(l2)}")
    for dtype in (torch.float64, torch.float32):
        params = [t.to(dtype).clone().requires_grad_() for t in start]
        opt = make([{"params": [params[0]], "weight_decay": l2},
                    {"params": [params[1]], "weight_decay": 0.0}], rate, a, b)
        for i, p in enumerate(params):
            tensor("in", i, p)
        for g in grads:
            for i, p in enumerate(params):
                p.grad = g[i].to(dtype)
                tensor("grad", i, p.grad)
            opt.step()
            for i, p in enumerate(params):
                tensor("out", i, p)
    lines.append("end")


def adam(groups, rate, a, b):
    return torch.optim.Adam(groups, lr=rate, betas=(a, b), eps=1e-8)


def sgd(groups, rate, a, _):
    return torch.optim.SGD(groups, lr=rate, momentum=a)


ops()
whole_net()
trajectory("adam", adam, 0.01, 0.9, 0.999, 0.0)
trajectory("adam", adam, 0.1, 0.8, 0.95, 0.25)
trajectory("sgd", sgd, 0.05, 0.0, 0.0, 0.0)
trajectory("sgd", sgd, 0.05, 0.9, 0.0, 0.125)
with open("golden.txt", "w") as f:
    f.write("\n".join(lines) + "\n")
