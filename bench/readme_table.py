#!/usr/bin/env python3
"""The table of README.md between the lines "compare: begin" and "compare: end", from the newest
bench/results/compare-*.json, which bench/compare.py wrote.

    bench/readme_table.py [--check]

--check changes nothing, and fails where the page and the file disagree."""
import json
import sys
import textwrap
from pathlib import Path

sys.dont_write_bytecode = True  # the tree may be read-only

from compare_show import PEERS, amount, ratio  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- compare: begin -->\n", "<!-- compare: end -->\n"


def newest():
    """The file whose run is the latest, and its lines."""
    runs = []
    for file in sorted((ROOT / "bench/results").glob("compare-*.json")):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        runs.append((lines[0]["date"], file.name, lines))
    if not runs:
        sys.exit("readme_table: there is no bench/results/compare-*.json")
    return max(runs, key=lambda run: run[:2])[1:]


def cell(row, peer):
    if peer in row["by"]:
        text = amount(row["by"][peer]["median"], row["unit"])
        return "**%s**" % text if peer == row["best_peer"] else text
    return "void" if row["without"].get(peer, "").startswith("void") else ""


def table(name, about, rows):
    peers = [p for p in PEERS if p in about["peers"]]
    lines = ["| | work | bpcuda | %s | best peer / bpcuda | floor / bpcuda |" % " | ".join(peers),
             "|---|---|---|" + "---|" * (len(peers) + 2)]
    for row in rows:
        ours = amount(row["by"]["bpcuda"]["median"], row["unit"])
        floor = "%.2f" % row["of_floor"] if row.get("floor") else ""
        noisy = " (others ran)" if row["disturbed"] else ""
        lines.append("| %s | %s%s | %s | %s | %s | %s |" % (
            row["group"], row["row"], noisy, ours, " | ".join(cell(row, p) for p in peers),
            ratio(row["ratio"]) if "ratio" in row else "", floor))
    versions = ", ".join("%s %s" % p for p in about["peers"].items())
    lost = sum(s["discarded"] for r in rows for s in r["by"].values())
    taken = sum(s["samples"] for r in rows for s in r["by"].values())
    about_run = ("%s, %s, %d threads, f32, %s; %s%s. Medians of `%s`: %d samples, and %d more that "
                 "were discarded because something else ran." % (
                     about["cpu"], about["device"].split(",")[0], about["threads"],
                     about["compiler"], versions, "; a short run" if about["quick"] else "",
                     name, taken, lost))
    return "\n".join([textwrap.fill(about_run, 128), "", *lines]) + "\n"


def main():
    page = ROOT / "README.md"
    text = page.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        sys.exit("readme_table: README.md has not one %s and one %s behind it"
                 % (BEGIN.strip(), END.strip()))
    name, (about, *rows) = newest()
    before, rest = text.split(BEGIN)
    made = before + BEGIN + table(name, about, rows) + END + rest.split(END)[1]
    if sys.argv[1:] == ["--check"]:
        if made != text:
            sys.exit("readme_table: README.md does not show %s: run bench/readme_table.py" % name)
    elif sys.argv[1:]:
        sys.exit("readme_table: %s is not --check" % sys.argv[1])
    else:
        page.write_text(made)


main()
