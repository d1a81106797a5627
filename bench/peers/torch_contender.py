#!/usr/bin/env python3
"""PyTorch as a contender of compare.py (contender.h), eager or compiled, with fused Adam.

    torch_contender.py --threads N --mode eager|compile
    torch_contender.py --memory FOLDER    one epoch of 784-128-10 on MNIST's files, then its end

Compiled are the forward pass, with its loss and gradients, and each op. Numbers are f32.
"""
import argparse
import array
import os
import sys
import time

# malloc keeps its memory between calls: else every large result would cost page faults, and a row
# would be theirs.
KEEP = "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=1000000000000:glibc.malloc.hugetlb=1"

parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--mode", default="eager", choices=["eager", "compile"])
parser.add_argument("--memory", metavar="FOLDER")
options = parser.parse_args()
if not options.memory and os.environ.get("GLIBC_TUNABLES") != KEEP:
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "GLIBC_TUNABLES": KEEP})

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

torch.set_num_threads(options.threads)
torch.manual_seed(1)
ONLINE_RATE, ONLINE_SAMPLES = 0.01, 256

OPS = {
    "relu": F.relu, "exp": torch.exp, "elu": F.elu, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
    "gelu": F.gelu, "sin": torch.sin, "power": lambda x: x.pow(2.5), "add": lambda x, y: x + y,
    "mul": lambda x, y: x * y, "relu-transposed": lambda x: F.relu(x.T), "sum": torch.sum,
    "sum-rows": lambda x: x.sum(1), "sum-columns": lambda x: x.sum(0),
    "max-rows": lambda x: x.amax(1), "max-columns": lambda x: x.amax(0),
    "variance-rows": lambda x: x.var(1), "argmax-rows": lambda x: x.argmax(1),
    "logsumexp-rows": lambda x: x.logsumexp(1), "cumsum-rows": lambda x: x.cumsum(1),
    "concat-columns": lambda x, y: torch.cat((x, y), 1), "softmax": lambda x: F.softmax(x, 1),
    "softmax-columns": lambda x: F.softmax(x, 0), "log-softmax": lambda x: F.log_softmax(x, 1),
    "layer-norm": lambda x, g, b: F.layer_norm(x, x.shape[1:], g, b),
    "cross-entropy": F.cross_entropy, "dropout": lambda x: F.dropout(x, 0.2),
    "uniform": torch.rand_like, "normal": torch.randn_like, "bias": torch.add, "column": torch.add,
    "add-transposed": lambda x, y: x + y.T, "attention": F.scaled_dot_product_attention,
}
PAIRS = ("add", "mul", "concat-columns", "add-transposed")


def compiled(function):
    if options.mode == "eager":
        return function
    torch._dynamo.reset()
    return torch.compile(function, dynamic=False)


def timed(call, calls):
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return time.perf_counter() - start


class Start:
    """The file that ours wrote: x and labels or samples, then each w and b."""

    def __init__(self, file):
        self.values = array.array("f")
        with open(file, "rb") as from_ours:
            self.values.frombytes(from_ours.read())
        self.at = 0

    def take(self, *shape):
        count = torch.Size(shape).numel()
        part = self.values[self.at:self.at + count]
        self.at += count
        return torch.tensor(part, dtype=torch.float32).reshape(shape)

    def layers(self, sizes):
        return [self.take(*shape).requires_grad_() for i, o in zip(sizes, sizes[1:])
                for shape in ((o, i), (o,))]


def sizes_of(text):
    return [int(n) for n in text.split("-")]


class Step:
    def __init__(self, file, text, batch, dropout):
        sizes, start = sizes_of(text), Start(file)
        x, labels = start.take(int(batch), sizes[0]), start.take(int(batch)).long()
        self.params, p = start.layers(sizes), float(dropout)
        self.adam = torch.optim.Adam(self.params, lr=1e-3, fused=True)

        def forward(x, labels, params):
            for i in range(0, len(params), 2):
                x = F.linear(x, params[i], params[i + 1])
                if i < len(params) - 2:
                    x = F.relu(x)
                    x = F.dropout(x, p) if p else x
            return F.cross_entropy(x, labels)
        forward = compiled(forward)

        def one():
            self.adam.zero_grad(set_to_none=True)
            self.last = forward(x, labels, self.params)
            self.last.backward()
            self.adam.step()
        self.one = one

    def loss(self, steps):
        timed(self.one, steps)
        return self.last.item()

    def run(self, calls):
        return timed(self.one, calls)


class Online:
    """The samples are tensors before the time begins."""

    def __init__(self, file, text, learns):
        sizes, start = sizes_of(text), Start(file)
        wide = sizes[0] + sizes[-1]
        samples = start.take(ONLINE_SAMPLES, wide)
        self.samples = [(s[None, :sizes[0]].clone(), s[None, sizes[0]:].clone()) for s in samples]
        w0, b0, w1, b1 = params = start.layers(sizes)
        self.at, sgd = 0, torch.optim.SGD(params, lr=ONLINE_RATE, fused=True)
        forward = compiled(lambda x: F.linear(torch.tanh(F.linear(x, w0, b0)), w1, b1))

        def learn(x, target):
            sgd.zero_grad(set_to_none=True)
            loss = F.mse_loss(forward(x), target, reduction="sum")
            loss.backward()
            sgd.step()
            return loss.item()

        def predict(x, target):
            with torch.inference_mode():
                return forward(x)[0, 0].item()
        self.one = learn if learns else predict

    def loss(self, steps):
        for _ in range(steps):
            loss = self.one(*self.samples[self.at % ONLINE_SAMPLES])
            self.at += 1
        return loss

    def run(self, calls):
        start = time.perf_counter()
        self.loss(calls)
        return time.perf_counter() - start


def operands(name, rows, cols):
    """The arguments, and how many of them ask for a gradient."""
    if name == "attention":
        return [torch.randn(8, 8, 256, 64) for _ in range(3)], 3
    x = torch.rand(rows, cols) * 4 - 2
    if name in PAIRS:
        return [x, torch.rand(rows, cols)], 1
    if name == "bias":
        return [x, torch.rand(cols)], 1
    if name == "column":
        return [x, torch.rand(rows, 1)], 1
    if name == "layer-norm":
        return [x, torch.rand(cols), torch.rand(cols)], 3
    if name == "cross-entropy":
        return [x, torch.randint(0, cols, (rows,))], 1
    return [x], 1


class Op:
    def __init__(self, file, name, rows, cols, way):
        op, (args, asking) = compiled(OPS[name]), operands(name, int(rows), int(cols))
        if way == "back":
            for leaf in args[:asking]:
                leaf.requires_grad_()
            dy = None if name == "cross-entropy" else torch.rand_like(op(*args))
            self.one = lambda: torch.autograd.grad(op(*args), args[:asking], dy)
        else:
            self.one = lambda: op(*args)
        self.keep_tape = way == "back"

    def run(self, calls):
        with torch.set_grad_enabled(self.keep_tape):
            return timed(self.one, calls)


class Adam:
    def __init__(self, file, count):
        w = torch.zeros(int(count) // 1000, 1000, requires_grad=True)
        adam = torch.optim.Adam([w], lr=1e-12, fused=True)
        w.grad, self.gradient = torch.zeros_like(w), torch.rand_like(w)

        def one():
            adam.step()
            adam.zero_grad(set_to_none=False)
        self.one, self.w = one, w

    def run(self, calls):
        """The gradient is put there outside of the time, as ours is."""
        sum = 0
        for _ in range(calls):
            self.w.grad.copy_(self.gradient)
            sum += timed(self.one, 1)
        return sum


class One:
    def __init__(self, file, way):
        self.x = torch.rand(1, requires_grad=way == "tape")

    def run(self, calls):
        x = self.x
        start = time.perf_counter()
        for _ in range(calls):
            torch.relu(x)
        return time.perf_counter() - start


class Product:
    def __init__(self, file, n):
        x, y = torch.rand(int(n), int(n)), torch.rand(int(n), int(n))
        self.one = lambda: torch.mm(x, y)

    def run(self, calls):
        return timed(self.one, calls)


KINDS = {"step": Step, "online": lambda *a: Online(*a, True), "op": Op, "adam": Adam, "one": One,
         "predict": lambda *a: Online(*a, False), "product": Product}
NOT_COMPILED = ("adam", "one", "product")


def choose_threads(work):
    """Many threads or one, whichever is faster: in small work they can cost more than they do."""
    took = {}
    for threads in {1, options.threads}:
        torch.set_num_threads(threads)
        work.run(2)
        took[threads] = min(work.run(2) for _ in range(5))
    torch.set_num_threads(min(took, key=took.get))


def settle(work, seconds):
    """As many calls as take about so long."""
    if options.mode == "eager":  # what is compiled has its threads in it
        choose_threads(work)
    work.run(1)
    calls, took = 1, work.run(1)
    while took < seconds / 8:
        calls *= 2
        took = work.run(calls)
    return max(1, int(calls * seconds / took))


def serve():
    work = calls = wanted = None
    for line in sys.stdin:
        word, *rest = line.split()
        try:
            if word == "open":
                file, kind, *words = rest
                work = calls = wanted = None
                torch.set_num_threads(options.threads)
                if kind not in KINDS or (options.mode == "compile" and kind in NOT_COMPILED):
                    answer = "no does not do this kind of work"
                else:
                    work, answer = KINDS[kind](file, *words), "ok"
            elif word == "loss":
                answer = "%.9g" % work.loss(int(rest[0]))
            else:
                if wanted != rest[0]:
                    calls, wanted = settle(work, float(rest[0])), rest[0]
                answer = "%.9g" % (work.run(calls) / calls)
        except Exception as error:  # what it cannot do must not cost the other rows
            answer = "no " + " ".join(repr(error).split())[:200]
        print(answer, flush=True)


def memory(folder):
    def read(name, header):
        with open(os.path.join(folder, name), "rb") as file:
            return torch.frombuffer(bytearray(file.read()), dtype=torch.uint8, offset=header)
    images, labels = read("train-images-idx3-ubyte", 16), read("train-labels-idx1-ubyte", 8)
    images = images.reshape(-1, 784)
    net = torch.nn.Sequential(torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
    adam = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    for rows in torch.randperm(len(images)).split(128):
        adam.zero_grad()
        F.cross_entropy(net(images[rows].float() / 255), labels[rows].long()).backward()
        adam.step()


if options.memory:
    memory(options.memory)
else:
    serve()
