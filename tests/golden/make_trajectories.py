#!/usr/bin/env python3
"""Writes trajectories.txt: 200 steps of a small net by torch.optim in f64, for
tests/test_trajectories.c.

    python3 make_trajectories.py > trajectories.txt

The loss is 40 mean((tanh(x w1' + b1) w2' + b2 - y)^2). First the lines `NAME numbers...` of x, y,
w1, b1, w2, b2; then cases: lines `case KIND LR`, `option NUMBER VALUE`, `group PATTERN RATE L1 L2
DECAY`, and `after STEP numbers...` of all four parameters, flat. Lion, decoupled decay beside
AdamW's, L1, and what acts from a step on, PyTorch has not: they are written out here, from the
papers that bpcuda/optim.h names. So is clipping by norm, to which PyTorch's adds 1e-6."""
import fnmatch

import torch

from golden import number, real

torch.set_default_dtype(torch.float64)
torch.manual_seed(5)
NAMES = ["layer1.weight", "layer1.bias", "layer2.weight", "layer2.bias"]
SHAPES = [(4, 5), (4,), (3, 4), (3,)]
STEPS, SHOWN = 200, (1, 20, 200)
L1, L2, DECAY_FROM, DECAY, CLIP_VALUE, CLIP_NORM = 6, 7, 8, 9, 10, 11
BETA1, BETA2, EPS, MOMENTUM, ALPHA = 2, 3, 4, 5, 12
X, Y = real(8, 5), real(8, 3)
START = [real(*s, lo=-0.8, hi=0.8) for s in SHAPES]


class Lion(torch.optim.Optimizer):
    """Chen et al.: "Symbolic Discovery of Optimization Algorithms", 2023, program 1."""

    def __init__(self, groups, lr, betas):
        super().__init__(groups, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                p -= group["lr"] * torch.sign(b1 * m + (1 - b1) * p.grad)
                m.copy_(b2 * m + (1 - b2) * p.grad)


def make(kind, groups, lr, o):
    betas = (o.get(BETA1, 0.9), o.get(BETA2, 0.99 if kind == "lion" else 0.999))
    momentum = o.get(MOMENTUM, 0.9 if kind == "nesterov" else 0)
    return {"sgd": lambda: torch.optim.SGD(groups, lr, momentum=momentum),
            "nesterov": lambda: torch.optim.SGD(groups, lr, momentum=momentum, nesterov=True),
            "adam": lambda: torch.optim.Adam(groups, lr, betas, o.get(EPS, 1e-8)),
            "adamw": lambda: torch.optim.AdamW(groups, lr, betas, o.get(EPS, 1e-8)),
            "rmsprop": lambda: torch.optim.RMSprop(groups, lr, o.get(ALPHA, 0.99),
                                                   o.get(EPS, 1e-8)),
            "adagrad": lambda: torch.optim.Adagrad(groups, lr, eps=o.get(EPS, 1e-10)),
            "lion": lambda: Lion(groups, lr, betas)}[kind]()


def clip(params, o):
    if o.get(CLIP_VALUE):
        torch.nn.utils.clip_grad_value_(params, o[CLIP_VALUE])
    norm = torch.nn.utils.get_total_norm([p.grad for p in params])
    if o.get(CLIP_NORM) and norm > o[CLIP_NORM]:
        for p in params:
            p.grad *= o[CLIP_NORM] / norm


def numbers_of(i, o, groups, kind):
    """Rate, L1, L2 and decay of a parameter: of the last group that it matches."""
    found = [g for g in groups if fnmatch.fnmatch(NAMES[i], g[0])]
    if found:
        return found[-1][1:]
    weight = len(SHAPES[i]) > 1
    decay = o.get(DECAY, 0.01 if kind == "adamw" else 0)
    return (1, o.get(L1, 0) * weight, o.get(L2, 0) * weight, decay * weight)


def case(kind, lr, o=None, groups=()):
    o = o or {}
    print("case", kind, number(lr))
    for k, v in o.items():
        print("option", k, number(v))
    for g in groups:
        print("group", g[0], *map(number, g[1:]))
    params = [t.clone().requires_grad_() for t in START]
    opt = make(kind, [{"params": [p]} for p in params], lr, o)
    for step in range(1, STEPS + 1):
        opt.zero_grad()
        out = torch.tanh(X @ params[0].T + params[1]) @ params[2].T + params[3]
        (40 * ((out - Y) ** 2).mean()).backward()
        clip(params, o)
        for i, p in enumerate(params):
            rate, l1, l2, decay = numbers_of(i, o, groups, kind)
            active = step >= o.get(DECAY_FROM, 1)
            group = opt.param_groups[i]
            group["lr"] = rate * lr
            built_in = kind not in ("adamw", "lion")
            if "weight_decay" in group:
                group["weight_decay"] = active * (l2 if built_in else decay)
            with torch.no_grad():
                p.grad += active * (l1 * torch.sign(p) + (0 if built_in else l2 * p))
                if kind != "adamw":
                    assert not (decay and l2 and built_in)
                    p -= active * rate * lr * decay * p
        opt.step()
        if step in SHOWN:
            print("after", step, *(number(v) for p in params for v in p.detach().flatten()))


for name, t in zip(["x", "y", "w1", "b1", "w2", "b2"], [X, Y] + START):
    print(name, *(number(v) for v in t.flatten()))
case("sgd", 0.002)
case("sgd", 0.002, {MOMENTUM: 0.9, L1: 0.01, L2: 0.02, DECAY_FROM: 50})
case("sgd", 0.002, {MOMENTUM: 0.8, DECAY: 0.1, CLIP_NORM: 2})
case("nesterov", 0.001)
case("nesterov", 0.002, {MOMENTUM: 0.5, L2: 0.1, CLIP_VALUE: 1})
case("adam", 0.01)
case("adam", 0.004, {BETA1: 0.8, BETA2: 0.95, EPS: 1e-4, L2: 0.05})
case("adam", 0.004, {CLIP_NORM: 0.5, DECAY: 0.05, DECAY_FROM: 20})
case("adamw", 0.01)
case("adamw", 0.005, {DECAY: 0.2, CLIP_VALUE: 0.5, CLIP_NORM: 1.5})
case("rmsprop", 0.001)
case("rmsprop", 0.0005, {ALPHA: 0.9, EPS: 1e-3, L1: 0.02})
case("adagrad", 0.02)
case("adagrad", 0.02, {EPS: 1e-2, L2: 0.1, CLIP_NORM: 1})
case("lion", 0.001)
case("lion", 0.001, {BETA1: 0.8, BETA2: 0.9, DECAY: 0.5, L2: 0.01})
case("adam", 0.01, {L2: 0.05}, [("layer1.*", 0.25, 0, 0, 0), ("*.bias", 2, 0.01, 0, 0)])
case("adamw", 0.01, {}, [("layer2.weight", 3, 0, 0, 0.3), ("layer1.bia?", 1, 0, 0, 0.1)])
