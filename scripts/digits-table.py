#!/usr/bin/env python3
"""Makes src/data/digits_table.inc from data/small/digits.csv: one string a row, the label and then
64 pixels from 'a' (0) to 'q' (16)."""
import csv
import pathlib

root = pathlib.Path(__file__).resolve().parent.parent
with open(root / "data/small/digits.csv", newline="") as source:
    rows = [[int(value) for value in row] for row in csv.reader(source)]
lines = ["/* Made by scripts/digits-table.py. E. Alpaydin, C. Kaynak (1998), CC BY 4.0: README.md. */"]
for *pixels, label in rows:
    assert len(pixels) == 64 and 0 <= label <= 9 and all(0 <= p <= 16 for p in pixels)
    lines.append('"%d%s",' % (label, "".join(chr(ord("a") + p) for p in pixels)))
(root / "src/data/digits_table.inc").write_text("\n".join(lines) + "\n")
