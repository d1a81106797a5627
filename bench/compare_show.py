"""What compare.py shows: a heading, a line a row, and the picture of the ratios, by gnuplot."""
import shutil
import subprocess

PEERS = ["PyTorch", "PyTorch compiled", "KANN", "KANN + BLAS", "FANN"]
WIDTH = 12
NOT_ITS_WORK = ("does not do this kind of work", "has no such op")  # contender.c, ours_ops.c


def amount(value, unit):
    """Three digits and a unit that suits: 1.23 us, 45.6 MB."""
    steps = ([(1e9, " GB"), (1e6, " MB"), (1e3, " kB"), (1, " B")] if unit == "B"
             else [(1, " s"), (1e-3, " ms"), (1e-6, " us"), (1e-9, " ns")])
    for size, name in steps:
        if value >= size * 0.9995:
            break
    digits = value / size
    return "%.*f%s" % (2 if digits < 9.995 else 1 if digits < 99.95 else 0, digits, name)


def ratio(value):
    return "%.*f" % (0 if value >= 99.5 else 1 if value >= 9.95 else 2, value)


def heading(about):
    lines = ["bpcuda %(version)s (%(commit)s) on %(cpu)s, %(cpus)d processors, %(device)s; "
             "%(compiler)s; %(date)s" % about,
             "peers: " + (", ".join("%s %s" % p for p in about["peers"].items()) or "none")]
    lines += ["without %s: %s" % p for p in about["missing"].items()]
    columns = "".join("%*s" % (WIDTH, name.replace("PyTorch compiled", "compiled"))
                      for name in PEERS if name in about["peers"])
    lines.append("%-46s %10s %21s %s %7s %10s %6s" % (
        "", "bpcuda", "(least - most)", columns, "ratio", "floor", "of it"))
    heading.shown = [name for name in PEERS if name in about["peers"]]
    return "\n".join(lines)


def line(row):
    unit, ours = row["unit"], row["by"]["bpcuda"]
    cells = "".join("%*s" % (WIDTH, amount(row["by"][n]["median"], unit) if n in row["by"]
                             else "void" if row["without"].get(n, "").startswith("void") else "-")
                    for n in heading.shown)
    ends = "(%s - %s)" % (amount(ours["least"], unit), amount(ours["most"], unit))
    text = "%-46s %10s %21s %s" % ("%s %s" % (row["group"], row["row"]),
                                   amount(ours["median"], unit), ends, cells)
    text += " %7s" % (ratio(row["ratio"]) if "ratio" in row else "-")
    if row.get("floor"):
        text += " %10s %6.2f" % (amount(row["floor"], unit), row["of_floor"])
    else:
        text += " %10s %6s" % ("-", "-")
    taken = sum(s["samples"] for s in row["by"].values())
    text += "  %d samples" % taken
    lost = sum(s["discarded"] for s in row["by"].values())
    if lost:
        text += ", %d discarded" % lost
    if row["disturbed"]:
        text += ", others ran"
    for name, why in row["without"].items():
        if why not in NOT_ITS_WORK:
            text += "\n    %s: %s" % (name, why)
    return text


SCRIPT = """set terminal svg size 1000,%(height)d font "sans,18" background "white"
set output "%(file)s"
set label 1 "%(title)s" at screen 0.5,screen 0.97 center font "sans,19"
set xlabel "best peer / bpcuda, of times and sizes:\\nright of 1, bpcuda is faster or smaller"
set tmargin 3
set logscale x
set xrange [%(least)g:%(most)g]
set yrange [%(count)d:-1]
set ytics nomirror scale 0 (%(names)s)
set xtics nomirror
set grid xtics lc rgb "#dddddd"
set border 1
set lmargin at screen 0.47
set rmargin at screen 0.95
set key at screen 0.03,screen 0.03 left bottom Left reverse
set bmargin 6
set arrow from 1, graph 0 to 1, graph 1 nohead lw 2 lc rgb "#444444" front
set style fill solid noborder
plot %(plots)s
%(data)s
"""


def quoted(text):
    return text.replace("\\", "\\\\").replace('"', '\\"')


def draw(about, results, path):
    """Writes the picture, and says so, or says why there is none."""
    rows = [r for r in results if "ratio" in r]
    gnuplot = shutil.which("gnuplot")
    if not gnuplot or not rows:
        return "no picture: %s" % ("gnuplot is not installed" if rows else "no row has a peer")
    least = min(0.5, min(r["ratio"] for r in rows) / 1.3)
    most = max(2, max(r["ratio"] for r in rows) * 3)
    kinds, plots, data = {}, [], []
    for at, r in enumerate(rows):
        kind = r["best_peer"].replace("PyTorch compiled", "PyTorch, compiled")
        kinds.setdefault(kind, []).append((at, r["ratio"]))
    colors = {"PyTorch": "#d1495b", "PyTorch, compiled": "#edae49", "KANN": "#30638e",
              "KANN + BLAS": "#6aa6d6", "FANN": "#4f9d69"}
    for kind, points in kinds.items():
        plots.append("'-' using ($1 < 1 ? $1 : 1):2:($1 < 1 ? $1 : 1):($1 < 1 ? 1 : $1)"
                     ":($2 - 0.38):($2 + 0.38) with boxxyerror lc rgb \"%s\" title \"%s\""
                     % (colors[kind], "best peer: " + kind))
        data += ["%g %d" % (value, at) for at, value in points] + ["e"]
    plots.append("'-' using 1:2:3 with labels left offset 0.5,0 notitle")
    data += ['%g %d "%s"' % (max(1, r["ratio"]), at, ratio(r["ratio"]))
             for at, r in enumerate(rows)]
    names = ", ".join('"%s" %d' % (quoted("%s %s" % (r["group"], r["row"])), at)
                      for at, r in enumerate(rows))
    title = "bpcuda %s and its peers: %s, %d threads, %s" % (about["version"], about["cpu"],
                                                           about["threads"], about["date"])
    script = SCRIPT % {"height": 220 + 29 * len(rows), "file": quoted(str(path)),
                       "title": quoted(title), "least": least, "most": most, "count": len(rows),
                       "names": names, "plots": ", ".join(plots), "data": "\n".join(data + ["e"])}
    run = subprocess.run([gnuplot], input=script, capture_output=True, text=True)
    return ("drawn: %s" % path if run.returncode == 0
            else "no picture: gnuplot: %s" % run.stderr.strip()[-300:])
