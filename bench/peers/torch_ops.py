#!/usr/bin/env python3
"""The rows of bench_ops in PyTorch, in turn with ours: a round of ours, one of PyTorch's, and again,
so that both have the same minutes of the machine. A JSON line a row.

    torch_ops.py build/release/bench/bench_ops [--threads 2] [--rounds 7] [--only PREFIX]

Figures are medians of the rounds. `of_copy` is the rate of the bytes that the formula cannot do
without, over that of our copy in the same rounds. PyTorch's memory is kept by malloc between calls:
else every large result would cost it page faults, and the row would be theirs."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

KEEP = "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=1000000000000:glibc.malloc.hugetlb=1"
if os.environ.get("GLIBC_TUNABLES") != KEEP:
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "GLIBC_TUNABLES": KEEP})

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("bench")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rounds", type=int, default=7)
parser.add_argument("--only", default="")
options = parser.parse_args()
torch.set_num_threads(options.threads)

OPS = {
    "relu": F.relu, "exp": torch.exp, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "gelu": F.gelu,
    "sin": torch.sin, "power": lambda x: x.pow(2.5),
    "add": lambda x, y: x + y, "mul": lambda x, y: x * y, "relu transposed": lambda x: F.relu(x.T),
    "sum": torch.sum, "sum rows": lambda x: x.sum(1), "sum columns": lambda x: x.sum(0),
    "max rows": lambda x: x.amax(1), "max columns": lambda x: x.amax(0),
    "variance rows": lambda x: x.var(1), "argmax rows": lambda x: x.argmax(1),
    "logsumexp rows": lambda x: x.logsumexp(1), "cumsum rows": lambda x: x.cumsum(1),
    "concat columns": lambda x, y: torch.cat((x, y), 1), "softmax": lambda x: F.softmax(x, 1),
    "softmax columns": lambda x: F.softmax(x, 0), "log_softmax": lambda x: F.log_softmax(x, 1),
    "layer_norm": lambda x, g, b: F.layer_norm(x, x.shape[1:], g, b),
    "cross_entropy": F.cross_entropy, "dropout": lambda x: F.dropout(x, 0.2),
    "uniform": torch.rand_like, "normal": torch.randn_like, "bias": torch.add,
    "column": torch.add, "add transposed": lambda x, y: x + y.T,
    "attention": F.scaled_dot_product_attention,
}
PAIRS = ("add", "mul", "concat columns", "add transposed")


def operands(op, rows, cols):
    """The arguments, and how many of them ask for a gradient."""
    if op == "attention":
        return [torch.randn(8, 8, 256, 64) for _ in range(3)], 3
    x = torch.rand(rows, cols) * 4 - 2
    if op in PAIRS:
        return [x, torch.rand(rows, cols)], 1
    if op == "bias":
        return [x, torch.rand(cols)], 1
    if op == "column":
        return [x, torch.rand(rows, 1)], 1
    if op == "layer_norm":
        return [x, torch.rand(cols), torch.rand(cols)], 3
    if op == "cross_entropy":
        return [x, torch.randint(0, cols, (rows,))], 1
    return [x], 1


def adam(millions):
    w = torch.zeros(millions * 1000, 1000, requires_grad=True)
    optimizer = torch.optim.Adam([w], lr=1e-12, fused=True)

    def call():
        optimizer.step()
        w.grad.zero_()
    w.grad = torch.rand_like(w)
    return call


def call_of(name):
    """PyTorch's call of a row, named OP [ROWSxCOLS] or with other sizes, of OP alone or `back`."""
    words = name.split()
    if words[0] == "adam":
        return adam(int(words[1]))
    back = words[-1] == "back"
    if back:
        words.pop()
    rows, cols = 4096, 4096
    if words[0] == "attention":
        words = words[:1]
    elif "x" in words[-1] and words[-1].replace("x", "").isdigit():
        rows, cols = map(int, words.pop().split("x"))
    kind = " ".join(words)
    op = OPS[kind]
    args, asking = operands(kind, rows, cols)
    if not back:
        def forward():
            with torch.no_grad():
                return op(*args)
        return forward
    for leaf in args[:asking]:
        leaf.requires_grad_()
    dy = torch.rand_like(op(*args))
    return lambda: torch.autograd.grad(op(*args), args[:asking], dy)


def timed(call):
    """Seconds a call, the median of 9 that each take 5 ms at least: what bench_ops does."""
    seconds, calls = [], 1
    for i in range(9):
        start = time.perf_counter()
        for _ in range(calls):
            call()
        seconds.append((time.perf_counter() - start) / calls)
        if i == 0:
            calls = 1 + int(5e-3 / seconds[0])
    return statistics.median(seconds)


ours = subprocess.Popen([options.bench, "--threads", str(options.threads), "--serve"],
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(name):
    print(name, file=ours.stdin, flush=True)
    return tuple(map(float, ours.stdout.readline().split()))


names = subprocess.run([options.bench, "--names"], capture_output=True, text=True, check=True)
print(json.dumps({"bench": "ops", "threads": options.threads, "rounds": options.rounds,
                  "pytorch": torch.__version__}), flush=True)
for name in names.stdout.splitlines():
    if name == "copy" or not name.startswith(options.only):
        continue
    call, took, theirs, rates = call_of(name), [], [], []
    for r in range(options.rounds):
        t, size = ask("copy")
        rates.append(size / t)
        t, size = ask(name)
        took.append(t)
        theirs.append(timed(call))
    t, rate = statistics.median(took), statistics.median(rates)
    row = {"row": name, "ms": t * 1e3, "pytorch_ms": statistics.median(theirs) * 1e3}
    row["times_as_fast"] = row["pytorch_ms"] / row["ms"]
    row |= {"copy_gbytes": rate / 1e9} | ({"of_copy": size / t / rate} if size else {})
    print(json.dumps({k: v if isinstance(v, str) else float("%.*g" % (4, v))
                      for k, v in row.items()}), flush=True)
    del call
