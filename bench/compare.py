#!/usr/bin/env python3
"""bpcuda beside PyTorch (eager, and torch.compile; fused Adam), KANN and FANN: the same work, in
turn, in one run.

    bench/compare.py [--build build/release] [--torch-python PYTHON] [--rows C1,C5] [--quick]
                     [--threads 2] [--json FILE] [--svg FILE]

A contender is a process that answers questions (bench/contender.h). In a round each of them is
timed once, and our copy and the products of ours and PyTorch besides; figures are medians of the
rounds, with least and most. Nets start from the same weights and batches: a peer whose loss after
50 steps, without dropout, is not ours is void in that row. `floor` is the operations over the rate
of large products plus the least bytes over the copy rate, both of the same rounds; what fits a
cache can pass it.

A sample is discarded where something else ran: where the busy time of all processors (/proc/stat)
exceeds that of the contender and of this program by more than 5 % of the machine and two ticks. A
row gives up after four times its rounds; where somebody then has fewer than three good samples, all
keep the disturbed ones, and the row says that others ran.

--rows ops has the ops that are none of the goals'. --quick, a minute, has fewer rows and rounds,
and no torch.compile. Peers that are not there are named.
"""
import argparse
import array
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True  # the tree may be read-only

import compare_about  # noqa: E402
import compare_rows  # noqa: E402
import compare_show  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
EQUAL_STEPS, TRIES, COPIED, SIDE, PAUSE = 50, 4, 1 << 24, 2048, 0.02
TICK = 1 / os.sysconf("SC_CLK_TCK")
CPUS = os.cpu_count()


def busy():
    """Seconds that all processors have worked: user, nice, system, interrupts and stolen ones."""
    with open("/proc/stat") as stat:
        n = [int(word) for word in stat.readline().split()[1:9]]
    return (n[0] + n[1] + n[2] + n[5] + n[6] + n[7]) * TICK


def own():
    """Of this program, and of the processes it has waited for."""
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system


class Watch:
    """Whether something else than this program and the process `pid` runs meanwhile."""

    def __init__(self, pid=None):
        self.pid = pid

    def used(self):
        if not self.pid:
            return own()
        with open("/proc/%d/stat" % self.pid) as stat:
            words = stat.read().rsplit(")", 1)[1].split()
        return own() + (int(words[11]) + int(words[12])) * TICK

    def __enter__(self):
        self.start, self.busy, self.mine = time.monotonic(), busy(), self.used()
        return self

    def __exit__(self, error, *_):
        if error:
            return
        took, other = time.monotonic() - self.start, busy() - self.busy - self.used() + self.mine
        self.disturbed = other > 0.05 * took * CPUS + 2 * TICK


class Contender:
    """A process that answers; what it says on stderr is shown if it ends too soon."""

    def __init__(self, name, command):
        self.name, self.said = name, tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, text=True,
                                        stdout=subprocess.PIPE, stderr=self.said)

    def ask(self, *words):
        """The answer; one that begins with "no" says why there is none."""
        try:
            print(*words, file=self.process.stdin, flush=True)
            answer = self.process.stdout.readline().strip()
        except BrokenPipeError:
            answer = ""
        if answer:
            return answer
        self.process.wait()
        self.said.seek(0)
        return "no it has ended: %s" % self.said.read().strip()[-300:]

    def number(self, *words):
        answer = self.ask(*words)
        try:
            return float(answer)
        except ValueError:
            raise RuntimeError("%s: %s" % (self.name, answer)) from None

    def time(self, seconds):
        """Seconds a call, and whether something else ran."""
        with Watch(self.process.pid) as watch:
            t = self.number("time", seconds)
        time.sleep(PAUSE)  # threads that spin for a while after their work come to rest
        return t, watch.disturbed

    def end(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait()


def spread(samples):
    """Median, least and most of (number, whether something else ran): where nothing did."""
    kept = [t for t, disturbed in samples if not disturbed]
    return {"median": statistics.median(kept), "least": min(kept), "most": max(kept),
            "samples": len(kept), "discarded": len(samples) - len(kept)}


def spreads(samples):
    """Of each name; and whether the row keeps the disturbed samples, of all alike, since somebody
    has too few others."""
    disturbed = any(sum(not d for _, d in s) < min(3, len(s)) for s in samples.values())
    if disturbed:
        samples = {name: [(t, False) for t, _ in s] for name, s in samples.items()}
    return {name: spread(s) for name, s in samples.items()}, disturbed


class Comparison:
    def __init__(self, options, peers):
        bench, threads = options.build / "bench", ["--threads", options.threads]
        self.options, self.folder = options, Path(tempfile.mkdtemp(prefix="compare-"))
        self.rounds, self.seconds = (3, 0.05) if options.quick else (9, 0.25)
        self.commands = {"bpcuda": [bench / "bench_ours", *threads]}
        script = ROOT / "bench/peers/torch_contender.py"
        for name in peers:
            self.commands[name] = {
                "PyTorch": [options.torch_python, script, *threads],
                "PyTorch compiled": [options.torch_python, script, *threads, "--mode", "compile"],
                "KANN": [bench / "bench_kann", *threads],
                "KANN + BLAS": [bench / "bench_kann_blas", *threads],
                "FANN": [bench / "bench_fann", *threads]}[name]
        self.running, self.meters = {}, {}

    def begin(self):
        self.running |= {name: Contender(name, c) for name, c in self.commands.items()}
        self.meters = {"copy": Contender("copy", self.commands["bpcuda"]),
                       "product": Contender("product", self.commands["bpcuda"])}
        if "PyTorch" in self.commands:
            self.meters["PyTorch's product"] = Contender("product", self.commands["PyTorch"])
        for name, meter in self.meters.items():
            work = ("copy", COPIED) if name == "copy" else ("product", SIDE)
            answer = meter.ask("open", "-", *work)
            if answer != "ok":
                raise RuntimeError("%s: %s" % (name, answer))

    def end(self):
        for contender in [*self.running.values(), *self.meters.values()]:
            contender.end()
        for file in self.folder.iterdir():
            file.unlink()
        self.folder.rmdir()

    # --- one row ---------------------------------------------------------------------------------

    def asked(self, row):
        return {n: c for n, c in self.running.items()
                if not (self.options.quick and any(n.startswith(s) for s in row.slow))}

    def opened(self, row, result):
        """The contenders that do this row, with the work open; the equal steps are behind them, and
        ours comes first."""
        start = self.folder / "start"
        start.touch()
        ready = {}
        for name, contender in self.asked(row).items():
            answer = contender.ask("open", start if row.learns else "-", row.equal_work())
            if answer == "ok" and row.learns:
                answer = self.learned(name, contender, result["loss"])
            if answer == "ok" and row.equal_work() != row.work:
                answer = contender.ask("open", start, row.work)
            if answer == "ok":
                ready[name] = contender
            else:
                result["without"][name] = answer.removeprefix("no ")
        return ready

    @staticmethod
    def learned(name, contender, losses):
        """Takes the equal steps: "ok", or why they do not count."""
        try:
            losses[name] = loss = contender.number("loss", EQUAL_STEPS)
        except RuntimeError as error:
            return str(error)
        ours = losses["bpcuda"]
        return ("ok" if abs(loss - ours) <= 1e-3 * abs(ours) + 1e-5
                else "void: its loss is %.6g, ours %.6g" % (loss, ours))

    def drop(self, name, ready, samples, without, error):
        """A peer that has ended must not cost the other rows; ours must."""
        if name in ("bpcuda", "copy", "product"):
            raise error
        without[name] = str(error)
        ready.pop(name, None)
        self.meters.pop(name, None)
        samples.pop(name)

    def worked(self, row):
        result = {"unit": "s", "without": {}, "loss": {}}
        ready = self.opened(row, result)
        if "bpcuda" not in ready:
            raise RuntimeError("%s: %s" % (row.label, result["without"].get("bpcuda")))
        meters = self.meters if row.floor(1, 1) else {}
        samples = {name: [] for name in [*ready, *meters]}
        for _ in range(self.rounds * TRIES):
            lacking = [n for n in ready
                       if sum(not disturbed for _, disturbed in samples[n]) < self.rounds]
            if not lacking:
                break
            for name in [*lacking, *meters]:
                try:
                    samples[name].append(ready[name].time(self.seconds) if name in ready
                                         else meters[name].time(self.seconds / 4))
                except RuntimeError as error:
                    self.drop(name, ready, samples, result["without"], error)
        for contender in ready.values():  # large works make room
            contender.ask("open", "-", "nothing")
        taken, result["disturbed"] = spreads(samples)
        result["by"] = {name: taken[name] for name in ready}
        if meters:  # the better of the products, operations and bytes a second
            product = 2 * SIDE ** 3 / min(taken[n]["median"] for n in meters if n != "copy")
            copy = 8 * COPIED / taken["copy"]["median"]
            result |= {"product": product, "copy": copy, "floor": row.floor(product, copy)}
        return result

    # --- rows of whole processes -----------------------------------------------------------------

    def mnist(self):
        """Files of MNIST's size: what they show does not matter to memory."""
        for prefix, count in (("train", 60000), ("t10k", 10000)):
            for kind, dims, top in (("images-idx3", (count, 28, 28), 256),
                                    ("labels-idx1", (count,), 10)):
                head = array.array("i", [0x800 + len(dims), *dims])
                if sys.byteorder == "little":
                    head.byteswap()
                size = count * (784 if len(dims) == 3 else 1)
                body = bytes(b % top for b in os.urandom(size // 10)) * 10
                with open(self.folder / ("%s-%s-ubyte" % (prefix, kind)), "wb") as file:
                    file.write(head.tobytes() + body)
        return self.folder

    def timed(self, command):
        """Seconds of a process, and whether something else ran."""
        with Watch() as watch:
            start = time.perf_counter()
            process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            said = process.stderr.read()
            process.wait()
            took = time.perf_counter() - start
        if process.returncode:
            raise RuntimeError("%s: %s" % (command[0], said.strip()[-200:]))
        return took, watch.disturbed

    def memory(self, command):
        """Most memory of a process. A child begins with what its parent has taken, and shows no less:
        so its parent is a small process."""
        small = ("import os, sys\n"
                 "child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ,\n"
                 "                       file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])\n"
                 "_, status, usage = os.wait4(child, 0)\n"
                 "print(usage.ru_maxrss * 1024 if status == 0 else 0)\n")
        run = subprocess.run([sys.executable, "-ISc", small, *map(str, command)],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if not run.stdout.strip().isdecimal() or int(run.stdout) == 0:
            raise RuntimeError("%s: %s" % (command[0], run.stderr.strip()[-200:]))
        return int(run.stdout)

    def processes(self, row):
        command, threads = self.options.build / "bpcuda", self.options.threads
        python, memory = self.options.torch_python, row.process == "memory"
        if memory:
            folder = self.mnist()
            commands = {"bpcuda": [command, "train", "--data", "mnist:%s" % folder, "--layers",
                                   "128 relu", "--epochs", 1, "--batch", 128, "--threads", threads],
                        "PyTorch": [*self.commands.get("PyTorch", []), "--memory", folder]}
        else:
            commands = {"bpcuda": [command, "devices"], "PyTorch": [python, "-c", "import torch"]}
            commands |= {n: self.commands[n] for n in ("KANN", "FANN") if n in self.commands}
        samples = {name: [] for name in commands if name in self.commands}
        for _ in range(3 if memory else self.rounds):
            for name in samples:
                samples[name].append((self.memory(commands[name]), False) if memory
                                     else self.timed(commands[name]))
        taken, disturbed = spreads(samples)
        return {"unit": "B" if memory else "s", "without": {}, "loss": {}, "by": taken,
                "disturbed": disturbed}

    def library(self):
        sizes = compare_about.library_sizes(self.options, self.commands)
        return {"unit": "B", "without": {}, "loss": {}, "disturbed": False,
                "by": {name: spread([(size, False)]) for name, size in sizes.items()}}

    def row(self, row):
        result = (self.worked(row) if row.work else self.library() if row.process == "library"
                  else self.processes(row))
        ours = result["by"]["bpcuda"]["median"]
        peers = {n: s["median"] for n, s in result["by"].items() if n != "bpcuda"}
        result = {"row": row.label, "group": row.group, **result}
        if peers:
            best = min(peers, key=peers.get)
            result |= {"best_peer": best, "ratio": peers[best] / ours}
        if result.get("floor"):
            result["of_floor"] = result["floor"] / ours
        return result


def main():
    parser = argparse.ArgumentParser(description="bpcuda beside its peers, in turn")
    parser.add_argument("--build", type=Path, default=ROOT / "build/release",
                        help="a build folder with bpcuda and bench_ours")
    parser.add_argument("--torch-python", default=sys.executable, help="one that has PyTorch")
    parser.add_argument("--rows", default="", help="groups, with commas: C1 to C11, ops")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU [2]")
    parser.add_argument("--quick", action="store_true", help="a minute's version")
    parser.add_argument("--json", type=Path, help="writes JSON lines here")
    parser.add_argument("--svg", type=Path, help="draws the ratios here (gnuplot)")
    options = parser.parse_args()
    try:
        rows = compare_rows.chosen([n for n in options.rows.split(",") if n], options.quick)
    except ValueError as error:
        parser.error(str(error))
    for program in (options.build / "bench/bench_ours", options.build / "bpcuda"):
        if not program.exists():
            parser.error("%s is not there: build bench_ours and bpcuda_command first" % program)
    if options.threads < 1:
        parser.error("--threads: %d is not a number of threads" % options.threads)
    for path in filter(None, (options.json, options.svg)):
        if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
            parser.error("%s cannot be written" % path)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as an interrupt: leaves nothing behind
    about, peers = compare_about.everything(options)
    results = []
    comparison = Comparison(options, peers)
    try:
        comparison.begin()
        print(compare_show.heading(about))
        for row in rows:
            results.append(comparison.row(row))
            print(compare_show.line(results[-1]), flush=True)
    except RuntimeError as error:
        sys.exit("compare: %s" % error)
    finally:
        comparison.end()
    if options.json:
        options.json.write_text("".join(json.dumps(r) + "\n" for r in [about, *results]))
    if options.svg:
        print(compare_show.draw(about, results, options.svg))
    sys.exit(any(text.startswith("void") for r in results for text in r["without"].values()))


main()
