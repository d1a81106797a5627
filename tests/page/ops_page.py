#!/usr/bin/env python3
"""ops_page.py check|write SOURCE MEASURE DEVICE...: the support table of docs/ops.md.

Runs MEASURE (measure.c) on the devices, the first of which is the CPU, and makes a table a header
of ops: every public function that the header declares, and what the rows of the table of cases
that call it have done. `check` fails where the page says anything else, or where a function has no
row; `write` mends the page."""
import difflib
import os
import re
import subprocess
import sys

ORDER = ["f32", "f64", "i32", "u8"]
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"


def read(*path):
    return open(os.path.join(*path), encoding="utf-8").read()


def functions(text):
    """(name, names of its arguments) of each function a header declares."""
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    declared = r"BP_API\s+[^;{(]*?(\w+)\(([^;{]*?)\)(?:\s+BP_USE)?\s*;"
    for name, arguments in re.findall(declared, text, re.S):
        yield name, [re.search(r"\w+$", a.strip()).group(0) for a in arguments.split(",")]


def arguments_of(call, text):
    """The arguments of the first call of `call` in a text, as texts."""
    found = re.search(rf"\b{call}\(", text)
    if not found:
        return []
    depth, part, parts = 0, "", []
    for letter in text[found.end():]:
        if depth == 0 and letter in ",)":
            parts.append(part)
            part = ""
            if letter == ")":
                return parts
            continue
        depth += (letter in "([{") - (letter in ")]}")
        part += letter
    return parts


def types(found):
    return " ".join(t for t in ["T"] + ORDER if t in found)


class Call:
    """What is known of a public function."""

    def __init__(self, names):
        self.names, self.operands, self.results = names, {}, []
        self.ran, self.gradients, self.second = set(), {}, set()

    def add(self, text, name, row):
        device, kind, operands, results, gradient, second = row
        for i, argument in enumerate(arguments_of(name, text)):
            if re.search(r"bp_(context|shape)_of\(in", argument):
                continue
            for k, of in enumerate(operands):
                if re.search(rf"\bin\[{k}\]|\bin\b(?!\[)", argument):
                    self.operands.setdefault(self.names[i], set()).add(of)
                    if k in gradient:
                        self.gradients.setdefault(self.names[i], set()).add((device, kind))
        self.ran.add((device, kind, "T" in operands))
        for i, result in enumerate(results):
            if i == len(self.results):
                self.results.append({})
            if "T" in operands or result == kind:
                self.results[i].setdefault(kind, set()).add(result)
            elif operands:  # of that type, whatever the row was tried in
                self.results[i].setdefault(operands[0], set()).add(result)
        if second and kind == "f64":
            self.second.add(device)

    @staticmethod
    def gives(result):
        """T, a type, several, or T and what it is of some."""
        found = set().union(*result.values())
        if len(found) == 1 and result != {k: {k} for k in found}:
            return types(found)
        if any(len(r) > 1 for r in result.values()):
            return types(found)
        other = {}
        for k, (r,) in result.items():
            if k != r:
                other.setdefault(r, set()).add(k)
        return ", ".join(["T"] + [f"{r} of {types(k)}" for r, k in other.items()])

    def line(self, name, devices):
        gives = [self.gives(result) for result in self.results]
        of_t = any("T" in found for found in self.operands.values())
        ran = [{k for d, k, t in self.ran if d == device and (of_t and t or gives[0] == "T") and
                k in self.results[0]} for device in devices]
        operands = ", ".join(f"{n} {types(f - set.intersection(*ran) if 'T' in f else f)}"
                             for n, f in self.operands.items())
        arrow = "" if set(gives) == {"T"} and of_t else f" → {', '.join(gives)}"

        def where(seen, wanted):
            return "" if seen >= wanted else " (CPU)"
        everywhere = {(d, t) for d in devices for t in ("f32", "f64")}
        gradient = ", ".join(n + where(self.gradients[n], everywhere)
                             for n in self.operands if n in self.gradients)
        second = "yes" + where(self.second, set(devices)) if self.second else "–"
        cells = [f"`{name}`", (operands + arrow).strip(), *(types(r) or "–" for r in ran),
                 gradient or "–", second]
        return f"| {' | '.join(cells)} |\n"


def measured(program, devices):
    got = subprocess.run([program] + devices, stdout=subprocess.PIPE, text=True)
    if got.returncode:
        sys.exit("ops_page.py: a row failed, see above")
    calls, rows = {}, []
    for line in got.stdout.splitlines():
        what, *f = line.split("\t")
        if what == "call":
            calls[f[0]] = f[1]
        else:
            rows.append((f[0], f[1], (f[2], f[3], f[4].split(), f[5].split(),
                                      [int(k) for k in f[6].split()], f[7])))
    return calls, rows


def of_builder(name, op, text, source, known):
    """The public functions that a builder is there for: the outer call of an expression; of a
    function of op_builders.c those that have its name or its op's, else all."""
    first = re.match(r"\w*", text).group(0)
    if first in known:
        return text, [first]
    body = text or re.search(rf"\bbuild_{name}\(.*?\n}}\n", source, re.S).group(0)
    helper = re.search(rf"\n[^\n]*\b{name.split('_')[0]}_cell\(.*?\n}}\n", source, re.S)
    body += helper.group(0) if helper and "_cell(" in body else ""
    inside = [f for f in known if re.search(rf"\b{f}\(", body)]
    return body, [f for f in inside if f[3:].startswith((op, name))] or inside


def page(source, program, devices):
    folder = os.path.join(source, "include", "bpcuda")
    topics = re.findall(r'#include "(\w+\.h)"', read(folder, "ops.h"))
    known = {name: Call(names) for topic in topics
             for name, names in functions(read(folder, topic))}
    builders = read(source, "tools", "check", "op_builders.c")
    calls, rows = measured(program, devices)
    for builder, op, row in rows:
        text, names = of_builder(builder, op, calls[builder], builders, known)
        for name in names:
            known[name].add(text, name, row)
    bare = [name for name, call in known.items() if not call.results]
    if bare:
        sys.exit(f"ops_page.py: no row of tools/check/cases calls {', '.join(bare)}")
    out = ""
    for topic in topics:
        text = read(folder, topic)
        head = re.match(r"/\* (.*?)\.( |\n)", text).group(1)
        out += (f"\n### {topic}: {head[0].lower()}{head[1:]}\n\n"
                "| call | operands | T on the CPU | T on CUDA | gradient | second |\n"
                "|---|---|---|---|---|---|\n")
        out += "".join(known[name].line(name, devices) for name, _ in functions(text))
    return out + "\n"


def main():
    mode, source, program, *devices = sys.argv[1:]
    path = os.path.join(source, "docs", "ops.md")
    have = read(path)
    head, rest = have.split(BEGIN)
    want = head + BEGIN + page(source, program, devices) + END + rest.split(END)[1]
    if mode == "write":
        with open(path, "w", encoding="utf-8") as out:
            out.write(want)
    elif want != have:
        sys.stdout.writelines(difflib.unified_diff(have.splitlines(True), want.splitlines(True),
                                                   "docs/ops.md", "measured", n=0))
        sys.exit("docs/ops.md is stale: build the target ops_page")


main()
