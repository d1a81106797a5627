"""What the peers share: the rows of bench_device.c and bench_step.c, timing, and a JSON line a row.

A peer answers for every row in several modes; one that is not installed says so, in one line, and
that is no failure. Lines: {"row", "who", "mode", "us", "least_us", "most_us", ...}.
"""
import argparse
import array
import json
import sys
import time
from collections import namedtuple

BUFFERS, ROUNDS, EQUAL_STEPS = 4, 9, 50
DROPOUT = 0.2

# kind: the op. way: "forward" or "both". size: rows and columns, or shapes of parameters.
Row = namedtuple("Row", "name kind way size")
Step = namedtuple("Step", "name sizes batch tf32")


def arguments(name):
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda:0", help="cuda:N or cpu")
    parser.add_argument("--phase", default="kernels", choices=["kernels", "steps"])
    parser.add_argument("--dump", help="what bench_step --dump wrote: the steps start from it")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--modes", help="comma-separated; all without")
    options = parser.parse_args()
    options.who = name
    if options.phase == "steps" and not options.dump:
        parser.error("the steps need --dump")
    return options


def emit(**row):
    print(json.dumps(row), flush=True)


def not_run(options, why):
    emit(row=options.phase, who=options.who, not_run=why)
    sys.exit(0)


def kernel_rows(quick):
    """The sizes are those of device_rows.c, --quick as well."""
    def shrunk(n):
        return max(1, n // 128) if quick else n

    def rows(cols, full):
        return max(1, 16384 // cols) if quick else full

    def layers(*widths):
        widths = [shrunk(w) for w in widths]
        return [s for i, o in zip(widths, widths[1:]) for s in ((o, i), (o,))]

    big = (rows(8192, 8192), 8192)
    table = [Row("copy 256 MB", "copy", "forward", big)]
    table += [Row("product %d%s" % (n, tf32), "product", "forward", (shrunk(n), shrunk(n)))
              for tf32 in ("", " TF32") for n in (4096, 8192)]
    table += [Row("G3 Adam 512 M", "adam", "forward", layers(32768, 16384)),
              Row("G3 Adam 11 M in 160", "adam", "forward", layers(*[370] * 81)),
              Row("G3 Adam 0.4 M in 4", "adam", "forward", layers(784, 512, 10)),
              Row("G4 cross-entropy 8192x50304 forward+backward", "cross_entropy", "both",
                  (rows(50304, 8192), 50304))]
    for width in (256, 1024, 4096, 16384, 65536, 131072):
        size = (rows(width, (64 << 20) // width), width)
        table += [Row("G4 log-softmax %d" % width, "log_softmax", "forward", size),
                  Row("G4 log-softmax %d forward+backward" % width, "log_softmax", "both", size)]
    for name in ("ReLU", "bias", "dropout"):
        table += [Row("G5 " + name, name.lower(), "forward", big),
                  Row("G5 %s forward+backward" % name, name.lower(), "both", big)]
    return table + [Row("G7 gather-normalise 128x784", "gather", "forward", (shrunk(60000), 784))]


def step_rows(quick):
    if quick:
        shapes = ((24, 16, 10), 8), ((32,) * 5, 16)
    else:
        shapes = ((784, 512, 10), 128), ((4096,) * 5, 8192)
    return [Step("G1 784-512-10 b128", *shapes[0], False),
            Step("G1 784-512-10 b128 TF32", *shapes[0], True),
            Step("G2 4 x 4096 b8192 TF32", *shapes[1], True)]


def read_dump(path, steps):
    """For each step: x, labels, [(w, b), ...] as flat arrays of f32, and our loss; up to the first
    that is not there, since a benchmark may have been cut off."""
    with open(path, "rb") as file:
        def take(count):
            values = array.array("f")
            values.fromfile(file, count)
            return values

        for s in steps:
            try:
                x, labels = take(s.batch * s.sizes[0]), take(s.batch)
                layers = [(take(o * i), take(o)) for i, o in zip(s.sizes, s.sizes[1:])]
                ours = take(1)[0]
            except EOFError:
                return
            yield s, x, labels, layers, ours


def agrees(loss, ours, tf32):
    """Sums in another order move the loss of the 50th step in its last digits; factors of 10 bits
    move it in its first ones."""
    return abs(loss - ours) <= (5e-2 if tf32 else 1e-3) * abs(ours) + 1e-5


def timing(calls, wait, quick, per_call=1):
    """Queues the calls in turn, then waits: median, least and most microseconds of one."""
    for call in calls:
        call()
    wait()
    start = time.perf_counter()
    for call in calls:
        call()
    wait()
    seconds = time.perf_counter() - start
    times = 1 if quick else max(1, int(0.05 / seconds))
    rounds = []
    for _ in range(3 if quick else ROUNDS):
        start = time.perf_counter()
        for _ in range(times):
            for call in calls:
                call()
        wait()
        rounds.append((time.perf_counter() - start) / (times * len(calls) * per_call) * 1e6)
    rounds.sort()
    return {"us": round(rounds[len(rounds) // 2], 3), "least_us": round(rounds[0], 3),
            "most_us": round(rounds[-1], 3)}
