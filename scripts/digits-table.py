#!/usr/bin/env python3
"""Makes src/data/digits_table.inc from data/small/digits.csv: a line of bytes an image, its label;
eight bytes with a bit a pixel, the lowest first, 1 where the pixel is not 0; and half a byte for each
of those, the low half first, which is the pixel less 1."""
import csv
import pathlib

root = pathlib.Path(__file__).resolve().parent.parent
with open(root / "data/small/digits.csv", newline="") as source:
    rows = [[int(value) for value in row] for row in csv.reader(source)]
lines = ["/* Made by scripts/digits-table.py. E. Alpaydin, C. Kaynak (1998), CC BY 4.0: README.md. */"]
for *pixels, label in rows:
    assert len(pixels) == 64 and 0 <= label <= 9 and all(0 <= p <= 16 for p in pixels)
    inked = sum(1 << j for j, p in enumerate(pixels) if p)
    halves = [p - 1 for p in pixels if p]
    halves += [0] * (len(halves) % 2)
    packed = [low | high << 4 for low, high in zip(halves[::2], halves[1::2])]
    lines.append(",".join(map(str, [label, *inked.to_bytes(8, "little"), *packed])) + ",")
(root / "src/data/digits_table.inc").write_text("\n".join(lines) + "\n")
