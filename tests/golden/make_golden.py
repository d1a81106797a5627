#!/usr/bin/env python3
"""Writes the values PyTorch gives, for tests/support/golden.c: ops/NAME.txt of the cases in
ops/NAME.py, a file for each header of ops, and golden.txt of the net and the optimisers below. Needs
PyTorch; the tests do not. Run it in this directory after a change of the cases, with the NAMEs that
changed or with none for all, and commit both.

A case is: `case BUILDER x a b ndim sizes...` (a builder of tools/check/op_builders.c and its arguments,
of which x may be `x,y`), then tensors `in|out|grad INDEX TYPE ndim sizes... values...`; inputs are exact in f32, `grad i` is the
gradient of sum(out 0 * weights), weight e of a tensor being 1 + (e mod 7) / 8. A trajectory is
`train adam|sgd rate a b l2`, the initial weights, then for each step gradients and weights."""
import glob
import runpy
import sys

import torch
import torch.nn.functional as F

from golden import index, lines, number, real, save, tensor


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


for path in sorted(glob.glob("ops/*.py")):
    if len(sys.argv) == 1 or path[4:-3] in sys.argv:
        torch.manual_seed(1)
        runpy.run_path(path)
        save(path[:-3] + ".txt")
if len(sys.argv) == 1:
    torch.manual_seed(1)
    whole_net()
    trajectory("adam", adam, 0.01, 0.9, 0.999, 0.0)
    trajectory("adam", adam, 0.1, 0.8, 0.95, 0.25)
    trajectory("sgd", sgd, 0.05, 0.0, 0.0, 0.0)
    trajectory("sgd", sgd, 0.05, 0.9, 0.0, 0.125)
    save("golden.txt")
