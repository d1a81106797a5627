#!/usr/bin/env python3
"""What each practice of docs/practice.md is worth on the digits, through the command; the page's tables.

    bench/practice.py run BPCUDA [SEEDS] > bench/results/practice-NAME.jsonl
    bench/practice.py mnist BPCUDA FOLDER [SEEDS] > bench/results/mnist-NAME.jsonl
    bench/practice.py images BPCUDA FOLDER FASHION [SEEDS] > bench/results/images-NAME.jsonl
    bench/practice.py [--check]

A practice is measured twice: against a run without any, and within all of TOGETHER. Each of these
runs has the rate, of RATES, whose validating loss at the end is smallest in the mean of some seeds;
then SEEDS others (20) train on four fifths of the digits; the last fifth tests. `mnist` compares
NETS on a sixth of the training set that is held out, and trains the best on all of it: the test set
is read for that one alone. `images` trains IMAGE_NETS on MNIST in FOLDER or Fashion-MNIST in
FASHION: all seeds are shown, and none is chosen. Without a word the page's tables are made of the
newest files; --check fails where they are not."""
import array
import gzip
import json
import math
import platform
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
PLAIN = {"layers": "64 relu", "epochs": "40", "batch": "32", "optimizer": "sgd",
         "schedule": "constant", "normalize": "none", "rows": "in-order"}
# name: what it changes; what stands behind TOGETHER is measured beside the others, not among them.
PRACTICES = {
    "shuffled rows": {"rows": "shuffled"},
    "normalised inputs": {"normalize": "global"},
    "a rate that decays": {"schedule": "cosine=0.01"},
    "Adam": {"optimizer": "adam"},
    "dropout": {"layers": "dropout=0.1 64 relu dropout=0.2"},
    "wide layers": {"layers": "256 relu"},
    "late L2": {"l2": "0.001", "decay-from": "20"},
    "a mean of the weights": {"average": "0.99"},
    "L2": {"l2": "0.001"},
    "late L1": {"l1": "0.0001", "decay-from": "20"},
    "decay of AdamW": {"optimizer": "adamw", "weight-decay": "0.01"},
    "momentum": {"optimizer": "nesterov"},
    "clipped gradients": {"clip-norm": "1"},
    "averaged SGD": {"average": "1", "average-from": "20"},
    "more epochs": {"epochs": "200"},
    "the best of 200 epochs": {"epochs": "200", "val": "0.1"},
    "patience": {"epochs": "200", "val": "0.1", "patience": "10"},
    "stopping by GL": {"epochs": "200", "val": "0.1", "stop-gl": "5"},
    "stopping by PQ": {"epochs": "200", "val": "0.1", "stop-pq": "0.5"},
    "stopping by UP": {"epochs": "200", "val": "0.1", "stop-up": "3"},
    "an ensemble of 5": {"ensemble": "5"},
    "8 classes a batch": {"rows": "shuffled", "batch-classes": "8", "batch-per-class": "2"},
    "stratified batches": {"rows": "stratified"},
    "balanced rows": {"rows": "balanced"},
    "rows by their error": {"rows": "by-error"},
    "bounds": {"normalize": "minmax"},
    "PCA": {"normalize": "pca"},
    "ZCA": {"normalize": "zca"},
    "scaled tanh": {"layers": "64 scaled_tanh"},
    "targets of tanh outputs": {"loss": "tanh"},
    "max-norm": {"max-norm": "1"},
    "rates of layers": {"lr-fan-in": "0.5"},
    "diagonal Levenberg-Marquardt": {"optimizer": "diagonal-lm"},
}
TOGETHER = tuple(PRACTICES)[:8]
BOTH_LAYERS = "dropout=0.1 256 relu dropout=0.2"  # these change one option, as scaled tanh does
MNIST = {"epochs": "30", "batch": "128", "lr": "0.001"}
NETS = (
    {"layers": "dropout=0.2 1024 relu dropout=0.3 1024 relu dropout=0.3 1024 relu dropout=0.3"},
    {"layers": "dropout=0.2 1024 gelu dropout=0.3 1024 gelu dropout=0.3 1024 gelu dropout=0.3"},
    {"layers": "dropout=0.2 1024 layernorm relu dropout=0.3 1024 layernorm relu dropout=0.3 "
               "1024 layernorm relu dropout=0.3"},
    {"layers": "dropout=0.2 1024 batchnorm relu dropout=0.3 1024 batchnorm relu dropout=0.3 "
               "1024 batchnorm relu dropout=0.3"},
    {"layers": "dropout=0.2 1024 batchnorm relu dropout=0.5 1024 batchnorm relu dropout=0.5 "
               "1024 batchnorm relu dropout=0.5"},
    {"layers": "dropout=0.2 1024 batchnorm relu dropout=0.3 1024 batchnorm relu dropout=0.3 "
               "1024 batchnorm relu dropout=0.3", "epochs": "60"},
)
CNN = "conv3x3=32 relu pool=2 conv3x3=64 relu pool=2 dropout=0.25 128 relu dropout=0.3"
IMAGE_NETS = {
    "LeNet-5": {"layers": "conv5x5=6 relu pool=2 conv5x5=16,pad=0 relu pool=2 120 relu 84 relu",
                "epochs": "20"},
    "CNN": {"layers": CNN, "epochs": "12"},
    "residual": {"layers": "conv3x3=32 batchnorm relu pool=2 "
                           "residual( conv3x3=32 batchnorm relu conv3x3=32 batchnorm ) relu "
                           "conv3x3=64 batchnorm relu pool=2 globalpool", "epochs": "8"},
    "CNN, images moved": {"layers": CNN, "epochs": "24", "augment": "shift=1"},
    "CNN, Fashion-MNIST": {"layers": CNN, "epochs": "12"},
}


def words(options):
    return [w for name, value in options.items() for w in (f"--{name}", value)]


def trained(bpcuda, *arguments):
    """The result of one run, and the time of the processor that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    child = subprocess.run([bpcuda, "train", *arguments, "--threads", "1", "--json", "--quiet"],
                           capture_output=True, text=True)
    if child.returncode:
        sys.exit(f"practice: {' '.join(arguments)}: {child.stderr}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    return {**json.loads(child.stdout), "cpu_seconds": round(used, 3)}


def last_loss(bpcuda, *arguments):
    """What validates, after the last epoch; infinite where the run has left the range of numbers."""
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as log:
        child = subprocess.run([bpcuda, "train", *arguments, "--threads", "1", "--quiet", "--log",
                                log.name], capture_output=True, text=True)
        lines = [json.loads(line) for line in open(log.name)]
    return lines[-2]["valid_loss"] if child.returncode == 0 else math.inf


def merged(names):
    options = dict(PLAIN)
    for name in names:
        options.update(PRACTICES[name])
    if {"dropout", "wide layers"} <= set(names):
        options["layers"] = BOTH_LAYERS
        if "scaled tanh" in names:
            options["layers"] = BOTH_LAYERS.replace("relu", "scaled_tanh")
    return options


def measured(bpcuda, names, seeds, known={}):
    """Accuracy and loss on the test rows, by seed, of a run with these practices."""
    options = merged(names)
    key = json.dumps(options, sort_keys=True)
    if key in known:
        return known[key]

    ends = ("val", "patience", "stop-gl", "stop-pq", "stop-up", "ensemble")
    tried = words({k: v for k, v in options.items() if k not in ends} | {"val": "0.2"})
    scores = {rate: statistics.fmean(last_loss(bpcuda, *tried, "--lr", str(rate), "--seed", str(s))
                                     for s in range(1000, 1004)) for rate in RATES}
    rate = min(scores, key=scores.get)
    runs = [trained(bpcuda, *words(options), "--lr", str(rate), "--seed", str(s))
            for s in range(seeds)]
    known[key] = {"options": words(options) + ["--lr", str(rate)],
                  "accuracy": [r["test_accuracy"] for r in runs],
                  "loss": [r["test_loss"] for r in runs],
                  "epochs": statistics.fmean(r["epochs"] for r in runs)}
    return known[key]


def about(bpcuda):
    version = subprocess.run([bpcuda, "--version"], capture_output=True, text=True).stdout.split()[1]
    cpu = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if "model name" in line]
    return {"date": time.strftime("%Y-%m-%d"), "cpu": cpu[0] if cpu else platform.machine(),
            "version": version}


def say(line):
    print(json.dumps(line), flush=True)


def run(bpcuda, seeds="20"):
    seeds = int(seeds)
    say(about(bpcuda) | {"seeds": seeds})
    say({"row": "none", **measured(bpcuda, (), seeds)})
    say({"row": "together", **measured(bpcuda, TOGETHER, seeds)})
    for name in PRACTICES:
        others = tuple(n for n in TOGETHER if n != name)
        say({"row": name, "alone": measured(bpcuda, (name,), seeds),
             "others": measured(bpcuda, others, seeds),
             "with_others": measured(bpcuda, others + (name,), seeds)})


def as_npy(idx, to):
    """An IDX file of bytes as an NPY file: pixels as they are, labels as i32."""
    raw = gzip.open(idx).read()
    sizes = struct.unpack(f">{raw[3]}i", raw[4:4 + 4 * raw[3]])
    values = raw[4 + 4 * raw[3]:]
    shape = (sizes[0], len(values) // sizes[0]) if len(sizes) > 1 else sizes
    if len(sizes) == 1:
        values = array.array("i", list(values)).tobytes()
    text = str({"descr": "|u1" if len(sizes) > 1 else "<i4", "fortran_order": False, "shape": shape})
    text += " " * (-(len(text) + 11) % 64) + "\n"
    to.write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode() + values)


def mnist(bpcuda, folder, seeds="5"):
    """Each net on five sixths of the training set; the best on the last sixth, on all of it."""
    say(about(bpcuda))
    found = {}
    with tempfile.TemporaryDirectory() as work:
        x, y = Path(work, "x.npy"), Path(work, "y.npy")
        as_npy(Path(folder, "train-images-idx3-ubyte.gz"), x)
        as_npy(Path(folder, "train-labels-idx1-ubyte.gz"), y)
        for i, net in enumerate(NETS):
            r = trained(bpcuda, "--data", f"npy:{x},{y}", "--normalize", "global", "--split",
                        "0.16666667", *words(MNIST | net), "--seed", "1")
            found[i] = r["test_accuracy"]
            say({"row": "net", "options": words(MNIST | net), "held_out_accuracy": found[i],
                 "cpu_seconds": r["cpu_seconds"]})
    best = words(MNIST | NETS[max(found, key=found.get)])
    for seed in range(1, 1 + int(seeds)):
        result = trained(bpcuda, "--data", f"mnist:{folder}", *best, "--seed", str(seed))
        say({"row": "mnist", "options": best, **result})


def images(bpcuda, folder, fashion, seeds="3"):
    say(about(bpcuda))
    for name, net in IMAGE_NETS.items():
        options = words(net | {"batch": "64", "lr": "0.001"})
        data = "mnist:" + (fashion if "Fashion" in name else folder)
        for seed in range(1, 1 + int(seeds)):
            result = trained(bpcuda, "--data", data, *options, "--seed", str(seed))
            say({"row": name, "options": options, **result})


# --- the page --------------------------------------------------------------------------------------


def newest(kind):
    """The lines of the latest file of this kind, and its name."""
    files = []
    for file in sorted((ROOT / "bench/results").glob(f"{kind}-*.jsonl")):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        files.append((lines[0]["date"], file.name, lines))
    if not files:
        sys.exit(f"practice: there is no bench/results/{kind}-*.jsonl")
    return max(files, key=lambda f: f[:2])[1:]


def percent(values):
    off = statistics.stdev(values) if len(values) > 1 else 0
    return "%.2f ± %.2f" % (100 * statistics.fmean(values), 100 * off)


def effect(with_it, without):
    """The difference of mean accuracies, where it is more than two standard errors; the quotient of
    mean losses, where their logarithms differ by so much."""
    def apart(a, b):
        d = statistics.fmean(a) - statistics.fmean(b)
        error = (statistics.variance(a) / len(a) + statistics.variance(b) / len(b)) ** 0.5
        return d if abs(d) > 2 * error else None

    points = apart(with_it["accuracy"], without["accuracy"])
    factor = apart(*[[math.log(x) for x in r["loss"]] for r in (with_it, without)])
    told = ([] if points is None else ["%+.2f" % (100 * points)]) + \
           ([] if factor is None else ["loss × %.2f" % math.exp(factor)])
    return ", ".join(told) or "none"


def cell(with_it, without):
    asked = int(dict(zip(with_it["options"][::2], with_it["options"][1::2]))["--epochs"])
    early = ", %.0f epochs" % with_it["epochs"] if with_it["epochs"] < asked else ""
    return "%s%s | %s" % (percent(with_it["accuracy"]), early, effect(with_it, without))


def practice_table():
    name, (head, none, together, *rows) = newest("practice")
    text = ("`%s`: %s, bpcuda %s, %d seeds; accuracy on the digits' test rows in %%, mean and deviation "
            "of the seeds. Without any practice %s, with the first %d together %s. An effect is the "
            "difference of means and the quotient of losses, where it is above two standard errors." % (
                name, head["cpu"], head["version"], head["seeds"], percent(none["accuracy"]),
                len(TOGETHER), percent(together["accuracy"])))
    lines = [textwrap.fill(text, 128, break_on_hyphens=False), "",
             "| practice | options | alone | effect | with the others | effect |",
             "|---|---|---|---|---|---|"]
    for r in rows:
        options = " ".join(f"--{k} {json.dumps(v) if ' ' in v else v}"
                           for k, v in PRACTICES[r["row"]].items())
        lines.append("| %s | `%s` | %s | %s |" % (r["row"], options, cell(r["alone"], none),
                                                 cell(r["with_others"], r["others"])))
    return "\n".join(lines) + "\n"


def shown(options):
    return " ".join(json.dumps(w) if " " in w else w for w in options)


def took(runs):
    seconds = [r["cpu_seconds"] for r in runs if "cpu_seconds" in r]
    return "; %.0f s of a processor each" % statistics.fmean(seconds) if seconds else ""


def mnist_table():
    name, (head, *rows) = newest("mnist")
    nets, runs = ([r for r in rows if r["row"] == kind] for kind in ("net", "mnist"))
    lines = ["| options | accuracy on the 10,001 rows held out |", "|---|---|"]
    lines += ["| `%s` | %.2f %% |" % (shown(r["options"]), 100 * r["held_out_accuracy"])
              for r in nets]
    if not runs:
        return "\n".join(lines) + "\n"
    right = [r["test_accuracy"] for r in runs]
    text = ("On the 10,000 rows of the test set: %s %%, mean and deviation of %d seeds, the least "
            "%.2f%s (`%s`: %s, bpcuda %s, one thread)." % (
                percent(right), len(right), 100 * min(right), took(runs), name, head["cpu"],
                head["version"]))
    return "%s\n\n%s\n\n```sh\nbpcuda train --data mnist:DIR %s --seed 1\n```\n" % (
        "\n".join(lines), textwrap.fill(text, 128, break_on_hyphens=False), shown(runs[0]["options"]))


def images_table():
    name, (head, *rows) = newest("images")
    lines = ["| net | options | of the 10,000 test images, by seed | a run |", "|---|---|---|---|"]
    for net in dict.fromkeys(r["row"] for r in rows):
        runs = [r for r in rows if r["row"] == net]
        right = ", ".join("%.2f" % (100 * r["test_accuracy"]) for r in runs)
        lines.append("| %s | `%s` | %s %% | %.0f s |" % (
            net, shown(runs[0]["options"]), right,
            statistics.fmean(r["cpu_seconds"] for r in runs)))
    return "%s\n\n`%s`: %s, bpcuda %s, one thread.\n" % ("\n".join(lines), name, head["cpu"],
                                                         head["version"])


def page(check):
    path = ROOT / "docs/practice.md"
    made = text = path.read_text()
    for kind, table in (("practice", practice_table), ("mnist", mnist_table),
                        ("images", images_table)):
        begin, end = f"<!-- {kind}: begin -->\n", f"<!-- {kind}: end -->\n"
        if made.count(begin) != 1 or made.count(end) != 1 or made.index(begin) > made.index(end):
            sys.exit(f"practice: {path} has not one {begin.strip()} and one {end.strip()} behind it")
        before, rest = made.split(begin)
        made = before + begin + table() + end + rest.split(end)[1]
    if check and made != text:
        sys.exit(f"practice: {path} does not show the newest results: run bench/practice.py")
    if not check:
        path.write_text(made)


def main():
    what = sys.argv[1:]
    if what[:1] == ["run"] and len(what) in (2, 3):
        run(*what[1:])
    elif what[:1] == ["mnist"] and len(what) in (3, 4):
        mnist(*what[1:])
    elif what[:1] == ["images"] and len(what) in (4, 5):
        images(*what[1:])
    elif what in ([], ["--check"]):
        page(bool(what))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
