#!/usr/bin/env python3
"""What the command reaches, takes and costs, as JSON lines:

    bench/command.py BPCUDA [MNIST-FOLDER] > bench/results/command-NAME.jsonl

MNIST by the README's line; the diabetes table beside its closed form; a spiral, on its own points; a
CSV of a million rows and 30 columns; the time of --version. Memory is the most a process had; this
one is small, so it hides none."""
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

DIABETES = pathlib.Path(__file__).resolve().parent.parent / "data" / "small" / "diabetes.csv"


def run(what, *arguments, threads=2):
    command = [sys.argv[1], "train", *arguments, "--device", "cpu", "--threads", str(threads),
               "--json", "--quiet"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    said = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{what}: status {status}")
    return {"what": what, "command": "bpcuda " + " ".join(map(repr, command[1:])),
            **json.loads(said), "peak_memory_bytes": usage.ru_maxrss * 1024}


def closed_form_mse():
    """Of y = w x + b on the table, by the normal equations of centred, scaled columns."""
    rows = [list(map(float, line.split(","))) for line in DIABETES.read_text().split()]
    for j in range(len(rows[0]) - 1):
        mean = statistics.fmean(r[j] for r in rows)
        scale = statistics.pstdev(r[j] for r in rows)
        for r in rows:
            r[j] = (r[j] - mean) / scale
    x, y = [r[:-1] + [1] for r in rows], [r[-1] for r in rows]
    n = len(x[0])
    a = [[sum(r[i] * r[j] for r in x) for j in range(n)]
         + [sum(r[i] * t for r, t in zip(x, y))] for i in range(n)]
    for i in range(n):
        for k in range(n):
            if k != i:
                f = a[k][i] / a[i][i]
                a[k] = [p - f * q for p, q in zip(a[k], a[i])]
    w = [a[i][n] / a[i][i] for i in range(n)]
    return statistics.fmean((sum(p * q for p, q in zip(w, r)) - t) ** 2 for r, t in zip(x, y))


def large_csv(path):
    draw = random.Random(0)
    with open(path, "w") as file:
        file.write(",".join(f"c{i}" for i in range(30)) + ",y\n")
        lines = []
        for _ in range(1000):
            x = [draw.gauss(0, 1) for _ in range(30)]
            lines.append(",".join("%.4f" % v for v in x) + ",%d\n" % (x[0] * x[1] > 0))
        for _ in range(1000):
            file.writelines(lines)


def starts(n=41):
    def once():
        begin = time.perf_counter()
        subprocess.run([sys.argv[1], "--version"], stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - begin
    return statistics.median(once() for _ in range(n))


def main():
    out = []
    if len(sys.argv) > 2:
        out.append(run("MNIST", "--data", "mnist:" + sys.argv[2], "--layers",
                       "512 relu dropout=0.2 512 relu dropout=0.2", "--epochs", "10", "--batch",
                       "128", "--optimizer", "adam", "--lr", "1e-3", "--schedule", "cosine",
                       "--seed", "1"))
        out[-1]["command"] = out[-1]["command"].replace(sys.argv[2], "DIR")
    out.append(run("diabetes", "--data", f"csv:{DIABETES}", "--task", "regression", "--layers", "",
                   "--loss", "mse", "--split", "0", "--epochs", "400", "--batch", "442", "--lr",
                   "0.5", "--schedule", "cosine"))
    out[-1]["command"] = out[-1]["command"].replace(str(DIABETES), DIABETES.name)
    out[-1]["closed_form_mse"] = closed_form_mse()
    out.append(run("spiral", "--data", "spiral:3,1000,0.2", "--layers", "64 relu 64 relu",
                   "--split", "0"))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "large.csv")
        large_csv(path)
        out.append(run("a CSV of 1,000,000 x 30", "--data", "csv:" + path, "--layers", "32 relu",
                       "--epochs", "1", "--batch", "256", "--val", "0.1"))
        out[-1]["command"] = out[-1]["command"].replace(path, "large.csv")
    out.append({"what": "bpcuda --version", "seconds": starts()})
    for line in out:
        print(json.dumps(line))


main()
