#!/usr/bin/env python3
"""Holds the random graphs that `test_graphs --dump` prints to PyTorch in f64: values, first and
second derivatives.

    BPCUDA_TEST_DEVICE=cpu test_graphs --count=2000 --dump | python3 torch_graphs.py

--from=5000 makes others: the graphs are numbered, and a number is a graph's seed.
The tolerance is a part of the largest number of the graph: some dozens of roundings of f64."""
import pathlib
import sys

import torch
import torch.nn.functional as F

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "golden"))
from formulas import PYTORCH, entries  # noqa: E402

TOLERANCE = 1e-14
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


def numbers(words):
    return torch.tensor([float.fromhex(w) for w in words])


def nll(logp, labels):
    return F.nll_loss(logp, labels)


def spread(s, labels, classes):
    return -s / len(labels) * F.one_hot(labels, classes)


def scatter(x, index, rows):
    return torch.zeros((rows,) + x.shape[1:]).index_add(0, index, x)


def summed(x, axes, keep):
    dims = [i for i in range(x.dim()) if axes >> i & 1]
    return x.sum(dims, keepdim=bool(keep)) if dims else x * 1


def over(f):
    """f(x, dims, keep) over the axes of a mask; over none, each element is one."""
    def g(o, x):
        dims = [i for i in range(x.dim()) if o.a >> i & 1]
        y = f(x if dims else x.unsqueeze(-1), dims or [-1], bool(o.b) and bool(dims))
        return y
    return g


def norm(x, p, dims, keep):
    return torch.linalg.vector_norm(x, p, dims, keepdim=keep)


def listed(name, two, parameters, _):
    f = PYTORCH[name]
    return (lambda o, x, y: f(x, y)) if two else lambda o, x: f(x, *parameters)


def weights(x, causal):
    if causal:
        x = x.masked_fill(torch.ones_like(x).tril() == 0, -torch.inf)
    return x.softmax(-1)


def sliced(x, axis, begin, end, step):
    """Python's slice, which PyTorch has for positive steps only."""
    return x.index_select(axis, torch.tensor(range(x.shape[axis])[begin:end:step]))


def padded(x, axis, before, after, value):
    return F.pad(x, [0, 0] * (x.dim() - 1 - axis) + [before, after], value=value)


def added_along(x, axis, index, size):
    y = torch.zeros(x.shape[:axis] + (size,) + x.shape[axis + 1:])
    return y.scatter_add(axis, index, x)


def taken(x, axis, index):
    y = x.index_select(axis, index.reshape(-1))
    return y.reshape(x.shape[:axis] + index.shape + x.shape[axis + 1:])


def triplet(x, y):
    def d(a, b):
        return (a - b + 1e-6).norm(dim=1)
    return F.relu(d(x, y) - d(x, -y) + 9).mean()


def row_weights(x):
    return x.sum(1).sigmoid()


def weighted_nll(logp, i, w, smoothing):
    """F.nll_loss and F.cross_entropy, which have no gradient by weights in PyTorch."""
    terms = -w * logp
    picked = terms.gather(1, i[:, None]).sum()
    spread = terms.sum() / logp.shape[1]
    return ((1 - smoothing) * picked + smoothing * spread) / w[i].sum()


def along(f):
    """f(x) of each element and others along the axis, which is the last one."""
    return lambda o, x: f(x.movedim(o.a, -1)).movedim(-1, o.a)


def behind(x):
    """What comes to each place from the one before it, 0 at the first."""
    return F.pad(x[..., :-1], (1, 0))


def max_spread(x):
    """x^2 where x is larger than its neighbour before it, else added there."""
    square, back = x * x, F.pad((x[..., :-1] > x[..., 1:]).to(x.dtype), (1, 0))
    return square * (1 - back) + F.pad((square * back)[..., 1:], (0, 1))


def pick(x, y):
    return torch.cat([y[..., :1], torch.where(x[..., :-1] > x[..., 1:], y[..., :-1], y[..., 1:])],
                     -1)


def shares(x):
    """Each element over the number of those in its window: itself, and the one before it."""
    return torch.cat([x[..., :1], x[..., 1:] / 2], -1)


def resized(x, size):
    return F.interpolate(x.reshape(1, -1, x.shape[-1]), size, mode="linear").reshape(
        *x.shape[:-1], size)


def filters(y, x):
    seen = F.pad(x.sum(1), (1, 0))
    return torch.stack([y.T @ seen[:-1], y.T @ seen[1:]], 1)


def cell(x, h, gates):
    """The arguments of a cell whose weights are made of x and h."""
    w = torch.tanh(x.T @ h).tile((gates, 1))
    return w, w, w.sum(1), w.sum(1)


OPS = {entry[0]: listed(*entry) for entry in entries()} | {
    "add": lambda o, x, y: x + y,
    "own": lambda o, x, y: x * y,
    "scale": lambda o, x: o.x * x,
    "where": lambda o, c, x, y: torch.where(c > 0, x, y) + 0 * c,
    "gate": lambda o, x, g: x * (g > 0) + 0 * g,  # g asks, and gets zeros
    "dropout": lambda o, x: x * o.mask,
    "noise": lambda o, x: x + o.mask,
    "chosen": lambda o, x: x * o.mask,
    "moved": lambda o, x: x * o.mask,
    "shuffle": lambda o, x: x.reshape(-1)[o.mask.long().reshape(-1)].reshape(o.mask.shape),
    "cast": lambda o, x: x * 1,
    "sum": lambda o, x: summed(x, o.a, o.b),
    "sum_squares": over(lambda x, d, k: (x * x).sum(d, keepdim=k)),
    "mean": over(lambda x, d, k: x.mean(d, keepdim=k)),
    "norm_l1": over(lambda x, d, k: norm(x, 1, d, k)),
    "norm_l2": over(lambda x, d, k: norm(x, 2, d, k)),
    "max": over(lambda x, d, k: x.amax(d, keepdim=k)),
    "min": over(lambda x, d, k: x.amin(d, keepdim=k)),
    "largest": lambda o, x: x.amax(),
    "count_nonzero": lambda o, x: x.sum() + x.count_nonzero(),
    "any": lambda o, x: x.sum() + (x != 0).any(),
    "all": lambda o, x: x.sum() + (x != 0).all(),
    "argmax": lambda o, x: x.sum() + x.argmax(o.a),
    "argmin": lambda o, x: x.sum() + x.argmin(o.a),
    "logsumexp": over(lambda x, d, k: x.logsumexp(d, keepdim=k)),
    "variance": over(lambda x, d, k: x.var(d, correction=0, keepdim=k)),
    "sort": lambda o, x: x.sort(o.a, descending=bool(o.b))[0],
    "top_k": lambda o, x: x.topk(1, o.a, largest=not o.b)[0],
    "cumsum": lambda o, x: x.flip(o.a).cumsum(o.a).flip(o.a) if o.b else x.cumsum(o.a),
    "softmax": lambda o, x: F.softmax(x, o.a),
    "log_softmax": lambda o, x: F.log_softmax(x, o.a),
    "layer_norm": lambda o, x, g, b: F.layer_norm(x, g.shape, g, b, o.x),
    "rms_norm": lambda o, x, g: F.rms_norm(x, g.shape, g, o.x),
    "standardize": lambda o, x: F.layer_norm(x, x.shape[-1:], eps=o.x),
    "batch_norm": lambda o, x, g, b: F.batch_norm(x, None, None, g, b, True, eps=o.x),
    "matmul": lambda o, x, y: x @ y,
    "matmul_each": lambda o, x, y: x @ y.transpose(1, 2),
    "attention": lambda o, q, k, v: weights(q @ k.transpose(-2, -1) * o.x, o.a) @ v,
    "attention_weights": lambda o, x: weights(x, o.a),
    "linear": lambda o, x, w, b: F.linear(x, w, b),
    "linear_relu": lambda o, x, w, b: F.relu(F.linear(x, w, b)) * o.mask,
    "conv2d": lambda o, x, w: F.conv2d(x[None, None], w[None, None], padding=1)[0, 0],
    "conv2d_input": lambda o, y, w: F.conv_transpose1d(y.T[None], w.T[:, None])[0, 0],
    "conv2d_filter": lambda o, y, x: filters(y, x),
    "max_pool": along(lambda x: pick(x, x)),
    "max_pick": along(lambda x: pick(x, x * x)),
    "max_spread": along(max_spread),
    "avg_pool": along(lambda x: shares(x + behind(x))),
    "avg_spread": along(lambda x: shares(x) + F.pad(shares(x)[..., 1:], (0, 1))),
    "upsample": along(lambda x: resized(x, 3)),
    "upsample_back": along(lambda x: x @ resized(torch.eye(2), x.shape[-1]).T),
    "gather": lambda o, x, i: x[i],
    "gather_normalized": lambda o, x, i, m, s: (x[i] - m) * s,
    "scatter_rows": lambda o, x, i: scatter(x, i, o.a),
    "nll_loss": lambda o, x, i: nll(x, i),
    "nll_spread": lambda o, s, i: spread(s, i, o.a),
    "cross_entropy": lambda o, x, i: F.cross_entropy(x, i),
    "mse_loss": lambda o, x, y: F.mse_loss(x, y),
    "weighted_loss": lambda o, x, y: ((x - y) ** 2 * row_weights(x)[:, None]).sum() / (
        row_weights(x).sum() * x.shape[1]),
    "l1_loss": lambda o, x, y: F.l1_loss(x, y, reduction="sum"),
    "huber_loss": lambda o, x, y: F.huber_loss(x, y, "none", 0.75),
    "smooth_l1_loss": lambda o, x, y: F.smooth_l1_loss(x, y, beta=0.75),
    "hinge_loss": lambda o, x, y: F.relu(0.5 - x * y).mean(),
    "binary_cross_entropy": lambda o, x, y: F.binary_cross_entropy_with_logits(x, y.sigmoid()),
    "binary_cross_entropy_weighted": lambda o, x, y: (
        x * x * y.sigmoid() * F.softplus(-x) + (-y).sigmoid() * F.softplus(x)),
    "kl_div_loss": lambda o, x, y: F.kl_div(x, y.sigmoid(), reduction="sum"),
    "kl_div_log_loss": lambda o, x, y: F.kl_div(x, F.logsigmoid(y), reduction="none",
                                                log_target=True).mean(),
    "poisson_nll_loss": lambda o, x, y: F.poisson_nll_loss(x.tanh(), y, reduction="sum"),
    "poisson_rate_nll_loss": lambda o, x, y: F.poisson_nll_loss(F.softplus(x), y, False, eps=0.25),
    "gaussian_nll_loss": lambda o, x, y: F.gaussian_nll_loss(x, y, F.softplus(y) + 0.25,
                                                             eps=0.125),
    "cosine_embedding_loss": lambda o, x, y: F.cosine_embedding_loss(
        x, y, torch.ones(len(x)), reduction="sum"),
    "triplet_margin_loss": lambda o, x, y: triplet(x, y),
    "nll_loss_with": lambda o, x, i: F.nll_loss(x, i, ignore_index=0, reduction="sum"),
    "nll_loss_weighted": lambda o, x, i: weighted_nll(x, i, x.sum(0).sigmoid(), 0),
    "cross_entropy_with": lambda o, x, i: F.cross_entropy(x, i, ignore_index=0, reduction="sum",
                                                          label_smoothing=0.25),
    "cross_entropy_weighted": lambda o, x, i: weighted_nll(x.log_softmax(1), i, x.sum(0).sigmoid(),
                                                           0.25),
    "cross_entropy_soft": lambda o, x, y: F.cross_entropy(x, y.softmax(1)),
    "lstm": lambda o, x, h: torch.cat(torch.lstm_cell(x, (h, h), *cell(x, h, 4))),
    "gru": lambda o, x, h: torch.gru_cell(x, h, *cell(x, h, 3)),
    "transpose": lambda o, x: x.transpose(o.a, o.b),
    "reshape": lambda o, x: x.reshape(o.shape),
    "permute": lambda o, x: x.permute(o.to),
    "expand": lambda o, x: x.expand(o.shape),
    "slice": lambda o, x: sliced(x, o.a, *o.to),
    "flip": lambda o, x: x.flip([i for i in range(x.dim()) if o.a >> i & 1]),
    "concat": lambda o, x, y: torch.cat([x, y], o.a),
    "stack": lambda o, x, y: torch.stack([x, y], o.a),
    "pad": lambda o, x: padded(x, o.a, o.to[0], o.to[1], o.x),
    "tile": lambda o, x: x.tile(o.to),
    "tril": lambda o, x: x.tril(o.a),
    "roll": lambda o, x: x.roll(o.b + 1, o.a),
    "take": lambda o, x, i: taken(x, o.a, i),
    "take_along": lambda o, x, i: x.gather(o.a, i),
    "add_along": lambda o, x, i: added_along(x, o.a, i, o.b),
}


def gradients(y, x):
    """Zeros where y does not depend on x."""
    d = torch.autograd.grad(y, x, create_graph=True, allow_unused=True)
    return [torch.zeros_like(t) if g is None else g for t, g in zip(x, d)]


def sizes(word):
    return [int(d) for d in word[1:-1].split(",") if d]


class Value:
    """A line of the dump, and what follows about it."""

    def __init__(self, words):
        self.name, self.leaf = words[2], words[2] == "leaf"
        at = 4 if self.leaf else 8
        if self.leaf:
            self.kind = words[3]
        else:
            self.inputs = [int(i) for i in words[3].split(",")]
            self.a, self.b, self.x = int(words[4]), int(words[5]), float.fromhex(words[6])
            self.to = sizes(words[7])
        self.shape = sizes(words[at])
        self.given = numbers(words[at + 1:]).reshape(self.shape)


class Graph:
    def __init__(self, seed):
        self.seed, self.values, self.grads, self.seconds = seed, [], {}, {}
        self.wrong, self.compared, self.worst = [], 0, 0.0

    def line(self, words):
        if words[0] == "value":
            self.values.append(Value(words))
        elif words[0] == "mask":
            v = self.values[int(words[1])]
            v.mask = numbers(words[2:]).reshape(v.shape)
        elif words[0] == "grad":
            self.grads[int(words[1])] = numbers(words[2:])
        elif words[0] == "second":
            half = words.index("/")
            self.seconds[int(words[1])] = numbers(words[2:half]), numbers(words[half + 1:])

    def compare(self, what, i, got, want):
        got, want = got.detach().reshape(-1), want.reshape(-1)
        error = (got - want).abs().max().item() / (TOLERANCE * self.scale) if len(want) else 0
        self.worst, self.compared = max(self.worst, error), self.compared + len(want)
        if not error <= 1:
            self.wrong.append(f"graph {self.seed}: {what} {i}: {want.tolist()}, PyTorch says "
                              f"{got.tolist()}")

    def run(self):
        t = []
        for v in self.values:
            if v.leaf:
                integers = v.kind == "index"
                leaf = v.given.long() if integers else v.given.clone()
                t.append(leaf.requires_grad_(v.kind in ("param", "wanted")))
            else:
                op = OPS[v.name]
                n = op.__code__.co_argcount - 1
                y, asks = op(v, *[t[i] for i in v.inputs[:n]]), [
                    t[i] for i in v.inputs[:n] if t[i].requires_grad]
                if asks and not y.requires_grad:  # of a comparison; it asks all the same
                    y = y + 0 * sum(i.sum() for i in asks)
                t.append(y)
        return t

    def check(self):
        t = self.run()
        all_numbers = [v.given for v in self.values] + list(self.grads.values())
        self.scale = max([1.0] + [n.abs().max().item() for n in all_numbers if n.numel()])
        for i, v in enumerate(self.values):
            if not v.leaf:
                self.compare("value", i, t[i], v.given)
        wanted = list(self.grads)
        d = gradients(t[-1] + 0 * sum(v.sum() for v in t if v.requires_grad),
                      [t[i] for i in wanted])
        for i, g in zip(wanted, d):
            self.compare("gradient", i, g, self.grads[i])
        s = 0
        for i, g in zip(wanted, d):
            if i in self.seconds:
                weights = self.seconds[i][0].reshape(t[i].shape)
                s = s + (g * weights).sum() + (t[i] * t[i]).sum() / 2
        leaves = list(self.seconds)
        self.scale = max([self.scale] + [self.seconds[i][1].abs().max().item() for i in leaves])
        for i, g in zip(leaves, gradients(s, [t[i] for i in leaves])):
            self.compare("second derivative", i, g, self.seconds[i][1])


def main():
    graphs = compared = wrong = 0
    worst, used, graph = 0.0, set(), None
    for line in sys.stdin:
        words = line.split()
        if words[0] == "graph":
            graph = Graph(words[1])
        elif words[0] == "end":
            graph.check()
            used |= {v.name for v in graph.values}
            for text in graph.wrong:
                print("FAILED", text)
            graphs, compared = graphs + 1, compared + graph.compared
            wrong, worst = wrong + bool(graph.wrong), max(worst, graph.worst)
        elif words[0] == "failed" or graph is None:
            print("FAILED", line)
            wrong += 1
        else:
            graph.line(words)
    forgotten = set(OPS) - used
    print(f"{graphs} graphs, {compared} numbers against PyTorch {torch.__version__}: at most "
          f"{worst:.2g} of what is allowed, {wrong} failures; ops without a graph: "
          f"{sorted(forgotten) or 'none'}")
    return wrong > 0 or graphs == 0 or bool(forgotten)


sys.exit(main())
