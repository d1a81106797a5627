"""The rows of compare.py: what is done, in the words of contender.h, and the least it can take."""
from dataclasses import dataclass

MILLION16 = 4096 * 4096


@dataclass
class Row:
    group: str
    label: str
    work: str           # what each contender is asked to open; "" for a row of whole processes
    quick: bool = True  # whether --quick has it
    bytes: float = 0    # the least that a call moves in memory
    flops: float = 0    # what it multiplies and adds
    slow: tuple = ()    # peers that --quick spares it
    process: str = ""   # "memory", "library" or "start"
    plain: bool = True  # of the goals, not one of the other ops

    @property
    def learns(self):
        return self.work.split(" ")[0] in ("step", "online", "predict")

    def equal_work(self):
        """The same without dropout, whose draws differ."""
        words = self.work.split(" ")
        return " ".join(words[:3] + ["0"]) if words[0] == "step" else self.work

    def floor(self, product, copy):
        """Seconds, at so many operations and bytes a second; 0 where there is none to speak of."""
        return self.flops / product + self.bytes / copy if self.flops or self.bytes else 0


def step(group, sizes, batch, dropout=0, quick=True, slow=()):
    """Forward, weight gradient, and an input gradient but for the first layer; Adam's bytes."""
    widths = [int(n) for n in sizes.split("-")]
    weights = [i * o for i, o in zip(widths, widths[1:])]
    flops = sum(2 * batch * w * (3 if k else 2) for k, w in enumerate(weights))
    label = "%s, batch %d%s" % (sizes, batch, ", dropout %g" % dropout if dropout else "")
    return Row(group, label, "step %s %d %g" % (sizes, batch, dropout), quick, flops=flops,
               bytes=28 * (sum(weights) + sum(widths[1:])), slow=slow)


def op(group, name, rows, cols, way, bytes_each, quick=True, label=None, plain=True):
    label = label or "%s %dx%d" % (name, rows, cols)
    return Row(group, label + (", with gradient" if way == "back" else ""),
               "op %s %d %d %s" % (name, rows, cols, way), quick, bytes=bytes_each * rows * cols,
               plain=plain)


def both(name, rows, cols, forward, back):
    return [op("ops", name, rows, cols, "forward", forward, False, plain=False),
            op("ops", name, rows, cols, "back", back, False, plain=False)]


def goals():
    tiny = ("4-16-1", "2-16-2", "16-64-4")
    yield step("C1", "2-16-2", 8)
    for sizes in tiny:
        yield Row("C1", "online %s" % sizes, "online " + sizes, sizes != "2-16-2")
    for sizes in tiny:
        yield Row("C1", "one prediction %s" % sizes, "predict " + sizes, sizes != "2-16-2")
    yield step("C2", "10-45-45-10", 128)
    yield step("C3", "784-128-10", 32)
    yield step("C4", "784-512-10", 32, quick=False)
    yield step("C4", "784-512-10", 128)
    yield step("C5", "784-512-512-10", 128, 0.2)
    yield step("C6", "784-2048-2048-10", 512, quick=False, slow=("KANN",))
    for millions, quick in ((10, True), (100, False)):
        yield Row("C7", "Adam, %d M parameters" % millions, "adam %d" % (millions * 10 ** 6), quick,
                  bytes=28e6 * millions)
    for rows, cols, quick in ((4096, 1000, True), (2048, 50257, False)):
        yield op("C8", "log-softmax", rows, cols, "forward", 8, quick)
        yield op("C8", "log-softmax", rows, cols, "back", 20, quick)
    for rows, cols, quick in ((128, 10, True), (4096, 1000, True), (2048, 50257, False)):
        yield op("C8", "cross-entropy", rows, cols, "back", 8, quick)
    for name, size, quick in (("dropout", 8, True), ("relu", 8, True), ("exp", 8, False),
                              ("elu", 8, False), ("add", 12, False)):
        yield op("C8", name, 4096, 4096, "forward", size, quick, label="%s, 16.8 M numbers" % name)
    yield Row("C9", "an op on one number", "one plain")
    yield Row("C9", "an op on one number, with the tape", "one tape")
    yield Row("C10", "memory of training on MNIST, 784-128-10", "", process="memory")
    yield Row("C10", "size of the library", "", process="library")
    yield Row("C11", "start-up", "", process="start")


def other_ops():
    """Asked for by name: --rows ops."""
    for name in ("relu", "exp", "tanh", "sigmoid", "gelu", "sin", "power"):
        yield from both(name, 4096, 4096, 8, 20)
    for name, size in (("mul", 12), ("bias", 8), ("column", 8), ("relu-transposed", 8),
                       ("add-transposed", 12), ("sum", 4), ("sum-rows", 4), ("sum-columns", 4),
                       ("max-rows", 4), ("max-columns", 4), ("variance-rows", 4),
                       ("argmax-rows", 4), ("logsumexp-rows", 4), ("cumsum-rows", 8),
                       ("concat-columns", 16), ("uniform", 4), ("normal", 4)):
        yield op("ops", name, 4096, 4096, "forward", size, False, plain=False)
    for name, forward, back in (("softmax", 8, 20), ("layer-norm", 8, 20), ("log-softmax", 8, 20),
                                ("cross-entropy", 4, 8)):
        for rows, cols in ((4096, 1000), (4096, 4096), (512, 50257)):
            yield from both(name, rows, cols, forward, back)
    yield op("ops", "softmax-columns", 4096, 1000, "forward", 8, False, plain=False)
    yield from both("attention", 8 * 8 * 256, 64, 0, 0)


def chosen(names, quick):
    """The rows of groups such as C1 and ops; without names those of the goals."""
    rows = [r for r in goals()] + [r for r in other_ops()]
    known = sorted({r.group for r in rows})
    wrong = [n for n in names if n not in known]
    if wrong:
        raise ValueError("--rows: %s is none of %s" % (wrong[0], ", ".join(known)))
    picked = [r for r in rows if (r.group in names if names else r.plain)]
    return [r for r in picked if r.quick or not quick or (names and not r.plain)]
