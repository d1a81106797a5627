#!/usr/bin/env python3
"""The rows of bench_conv in PyTorch, in turn with ours: a round of ours, one of PyTorch's in each of
its two layouts, and again, so that all have the same minutes of the machine. A JSON line a row.

    torch_conv.py build/release/bench/bench_conv [--threads 2] [--rounds 7] [--only PREFIX]

Figures are medians of the rounds. `of_floor` is the part that was reached of the longer of two: the
multiply-adds at the rate of our 1024 x 1024 x 1024 product, the bytes at that of our copy, both of
the same rounds. With one thread times are that thread's own. PyTorch's gradient by the filters has
the bias's with it, ours is an op of its own."""
import argparse
import json
import re
import statistics
import subprocess
import time

import torch
import torch.nn.functional as F

parser = argparse.ArgumentParser()
parser.add_argument("bench")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rounds", type=int, default=7)
parser.add_argument("--only", default="")
options = parser.parse_args()
torch.set_num_threads(options.threads)
now = time.thread_time if options.threads == 1 else time.perf_counter
backward = torch.ops.aten.convolution_backward


def layer(x, words, way, layout):
    size, filters = int(words[2][0]), int(words[3])
    p, s, g = (next((int(w[1:]) for w in words[4:] if w[0] == k), 0) for k in "psg")
    s, g = s or 1, g or 1
    w = torch.randn(filters, x.shape[1] // g, size, size).to(memory_format=layout)
    b = torch.randn(filters)
    if way == "forward":
        return lambda: F.conv2d(x, w, b, s, p, 1, g).relu_()
    dy = torch.randn_like(F.conv2d(x, w, b, s, p, 1, g))
    wanted = [way == "input", way == "filter", way == "filter"]
    return lambda: backward(dy, x, w, [filters], [s, s], [p, p], [1, 1], False, [0, 0], g, wanted)


def net(x, name, layout):
    conv, pool, dense = torch.nn.Conv2d, torch.nn.MaxPool2d(2), torch.nn.Linear
    relu, flat = torch.nn.ReLU(), torch.nn.Flatten()
    of = {"lenet": [conv(1, 6, 5, padding=2), relu, pool, conv(6, 16, 5), relu, pool, flat,
                    dense(400, 120), relu, dense(120, 84), relu, dense(84, 10)],
          "cnn": [conv(1, 32, 3, padding=1), relu, pool, conv(32, 64, 3, padding=1), relu, pool,
                  flat, dense(3136, 128), relu, dense(128, 10)]}
    model = torch.nn.Sequential(*of[name]).to(memory_format=layout)
    adam = torch.optim.Adam(model.parameters(), lr=1e-9, fused=True)
    labels = torch.arange(64) % 10

    def step():
        with torch.enable_grad():
            adam.zero_grad(set_to_none=True)
            F.cross_entropy(model(x), labels).backward()
            adam.step()
    return step


def call_of(name, layout):
    """PyTorch's call of a row; `back` includes what comes before it, as ours does."""
    *words, way = name.split()
    n, h, w, c = map(int, words[2 if words[0] == "net" else 1].split("x"))
    x = torch.randn(n, c, h, w).to(memory_format=layout)
    if words[0] == "net":
        return net(x, words[1], layout)
    if words[0] == "layer":
        return layer(x, words, way, layout)
    gain = torch.randn(c)
    op = {"max": lambda x: F.max_pool2d(x, 2), "mean": lambda x: F.avg_pool2d(x, 2),
          "norm": lambda x: F.batch_norm(x, None, None, gain, gain, True)}[words[0]]
    if way == "forward":
        return lambda: op(x)
    dy = torch.randn_like(op(x))
    x.requires_grad_()

    def back():
        with torch.enable_grad():
            return torch.autograd.grad(op(x), x, dy)
    return back


def timed(call):
    """Seconds a call, the median of 9 that each take 5 ms at least: what bench_conv does."""
    seconds, calls = [], 1
    with torch.no_grad():
        for i in range(9):
            start = now()
            for _ in range(calls):
                call()
            seconds.append((now() - start) / calls)
            if i == 0:
                calls = 1 + int(5e-3 / seconds[0])
    return statistics.median(seconds)


ours = subprocess.Popen([options.bench, "--threads", str(options.threads), "--serve"],
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(name):
    print(name, file=ours.stdin, flush=True)
    return tuple(map(float, ours.stdout.readline().split()))


names = subprocess.run([options.bench, "--names"], capture_output=True, text=True, check=True)
print(json.dumps({"bench": "conv", "threads": options.threads, "rounds": options.rounds,
                  "pytorch": torch.__version__}), flush=True)
for name in names.stdout.splitlines():
    if re.match("product|copy", name) or not name.startswith(options.only):
        continue
    layouts = {"nhwc": torch.channels_last, "nchw": torch.contiguous_format}
    calls = {k: call_of(name, v) for k, v in layouts.items()}
    took, floors, theirs = [], [], {k: [] for k in calls}
    for _ in range(options.rounds):
        product, copy = ask("product 1024 forward"), ask("copy forward")
        t, work, size = ask(name)
        took.append(t)
        floors.append(max(work * product[0] / product[1], size * copy[0] / copy[2]))
        for k, call in calls.items():
            theirs[k].append(timed(call))
    row = {"row": name, "ms": statistics.median(took) * 1e3}
    row |= {f"pytorch_{k}_ms": statistics.median(v) * 1e3 for k, v in theirs.items()}
    row["times_as_fast"] = min(v for k, v in row.items() if k.startswith("pytorch")) / row["ms"]
    row["of_floor"] = statistics.median(floors) * 1e3 / row["ms"]
    print(json.dumps({k: v if isinstance(v, str) else float("%.4g" % v) for k, v in row.items()}),
          flush=True)
