"""What scripts/gpu-check has learned: a JSON line for each thing, flushed at once, and the same in
words; the table at the end, which holds our rows against those of PyTorch and JAX."""
import json
import sys

PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"


def rows_of(text):
    """The objects in whole lines of text: JSON lines, or the rows of a bench_*.c document."""
    for line in text.splitlines():
        line = line.strip().rstrip(",")
        if line.startswith("{"):
            try:
                yield json.loads(line + "]}" if line.endswith('"rows": [') else line)
            except ValueError:
                yield {"row": "cut off, or no JSON", "failed": line[:200]}


class Record:
    def __init__(self, path):
        self.parts = []  # (phase, part, status, seconds, note)
        self.rows = []
        self.phase = None
        path.parent.mkdir(parents=True, exist_ok=True)
        self.out = open(path, "a")
        self.text = open(str(path) + ".txt", "a")

    def emit(self, **line):
        self.out.write(json.dumps(line) + "\n")
        self.out.flush()

    def say(self, line):
        for file in (sys.stdout, self.text):
            print(line, file=file, flush=True)

    def part(self, name, status, note="", seconds=0.0):
        self.parts.append((self.phase, name, status, seconds, note))
        self.emit(phase=self.phase, part=name, status=status, seconds=round(seconds, 2), note=note)
        self.say("%-10s %-22s %-8s %6.1f s  %s" % (self.phase, name, status, seconds, note))

    def row(self, row, round_number):
        """A row, as soon as it is there, or the head of a document, which has none yet."""
        row = {"phase": self.phase, "who": "bpcuda", "round": round_number, **row}
        if row.pop("rows", None) is None:
            self.rows.append(row)
        self.emit(**row)

    # --- the table ------------------------------------------------------------------------------

    def names(self):
        """Rows by name; one that a peer gives for a whole phase, to say why not, is none."""
        return [name for name in dict.fromkeys(r["row"] for r in self.rows)
                if name not in ("steps", "kernels")]

    def least_bytes(self, name, who):
        return min((r["peak_bytes"] for r in self.rows if r["row"] == name and
                    r["who"].startswith(who) and "peak_bytes" in r), default=None)

    def means(self, name):
        """{(who, mode): mean of the medians of the rounds}."""
        found = {}
        for r in self.rows:
            us = r.get("us", r.get("replay_us"))
            if r["row"] == name and us is not None:
                found.setdefault((r["who"], r.get("mode", "plan")), []).append(us)
        return {key: sum(values) / len(values) for key, values in found.items()}

    def table_line(self, name):
        means = self.means(name)
        ours = means.pop(("bpcuda", "plan"), None)
        best = min(means, key=means.get, default=None)
        bytes_of = [self.least_bytes(name, who) for who in ("bpcuda", "torch")]
        said = [" ".join(best)] if best else []
        last = [r for r in self.rows if r["row"] == name and r["who"] == "bpcuda"][-1:]
        for key in ("tflops", "of_copy", "times_floor", "host_us", "nodes", "plain_us", "fused_us",
                    "apart_us", "differ", "zero_signs", "not_run", "failed"):
            said += ["%s %s" % (key, r[key]) for r in last if key in r]
        return (name, "%.2f" % ours if ours else "-", "%.2f" % means[best] if best else "-",
                "%.2f" % (means[best] / ours) if ours and best else "-",
                "%.2f" % (bytes_of[0] / bytes_of[1]) if all(bytes_of) else "-", "; ".join(said))

    def table(self):
        form = "%-46s %12s %12s %7s %6s  %s"
        self.say("\n" + form % ("row", "bpcuda us", "best peer us", "ratio", "memory",
                                "best peer; ours"))
        for name in self.names():
            rows = [r for r in self.rows if r["row"] == name]
            if any(key in r for r in rows for key in ("us", "replay_us", "failed", "not_run")):
                self.say(form % self.table_line(name))
