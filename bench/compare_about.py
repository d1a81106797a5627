"""What compare.py says of a run: the machine, the versions, who is there; sizes of libraries."""
import datetime
import os
import platform
import re
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TORCH_LIBRARIES = ("libtorch.so", "libtorch_cpu.so", "libtorch_python.so", "libc10.so")


def said(*command):
    """What a command prints, or nothing where it fails."""
    try:
        run = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    except OSError:
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""


def cached(build, name):
    """A variable of the build."""
    text = (build / "CMakeCache.txt").read_text() if (build / "CMakeCache.txt").exists() else ""
    found = re.search(r"^%s:[A-Z]+=(.*)$" % re.escape(name), text, re.M)
    return found.group(1) if found else ""


def processor():
    with open("/proc/cpuinfo") as info:
        found = re.search(r"^model name\s*:\s*(.*)$", info.read(), re.M)
    return found.group(1) if found else platform.machine()


def memory_bytes():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def kann_version(folder):
    with open(Path(folder) / "kann.h") as header:
        found = re.search(r'KANN_VERSION "(.*)"', header.read())
    commit = said("git", "-C", folder, "rev-parse", "--short", "HEAD")
    return " ".join(filter(None, [found and found.group(1), commit]))


def peers_of(options):
    """Versions of the peers that are there, and why the others are not."""
    bench, there, missing = options.build / "bench", {}, {}
    torch = said(options.torch_python, "-c", "import torch; print(torch.__version__)")
    if torch:
        there["PyTorch"] = torch
        if options.quick:
            missing["PyTorch compiled"] = "compiling takes minutes, which --quick does not have"
        else:
            there["PyTorch compiled"] = torch
    else:
        missing["PyTorch"] = "%s has none (--torch-python)" % options.torch_python
    kann = cached(options.build, "KANN_DIR")
    for name, program in (("KANN", "bench_kann"), ("KANN + BLAS", "bench_kann_blas")):
        if kann and (bench / program).exists():
            there[name] = kann_version(kann)
        elif not kann:
            missing[name] = "cmake -DKANN_DIR=FOLDER names its sources"
        else:
            missing[name] = "%s was not built%s" % (
                program, " (it wants OpenBLAS)" if "BLAS" in name else "")
    if (bench / "bench_fann").exists():
        there["FANN"] = said("pkg-config", "--modversion", "fann") or "unknown"
    else:
        missing["FANN"] = "bench_fann was not built (libfann-dev)"
    return there, missing


def everything(options):
    there, missing = peers_of(options)
    ours = said(options.build / "bpcuda", "--version").removeprefix("bpcuda ")
    commit = said("git", "-C", ROOT, "rev-parse", "--short", "HEAD")
    changed = "+" if said("git", "-C", ROOT, "status", "--porcelain", "-uno") else ""
    device = said(options.build / "bpcuda", "devices").splitlines()[0].split(None, 1)[1]
    compiler = said(cached(options.build, "CMAKE_C_COMPILER") or "cc", "--version")
    return {"bench": "compare", "date": datetime.date.today().isoformat(), "version": ours,
            "commit": commit + changed, "cpu": processor(), "cpus": os.cpu_count(),
            "memory": memory_bytes(), "kernel": platform.release(), "device": device,
            "compiler": compiler.splitlines()[0] if compiler else "", "threads": options.threads,
            "quick": options.quick, "peers": there, "missing": missing}, list(there)


def stripped_size(options, library):
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "library"
        subprocess.run([cached(options.build, "CMAKE_STRIP") or "strip", "-o", copy, library],
                       check=True)
        return copy.stat().st_size


def library_sizes(options, present):
    """Bytes of what a program loads: ours as it is installed, PyTorch's for the CPU, FANN's."""
    sizes = {"bpcuda": stripped_size(options, options.build / "libbpcuda.so")}
    if "PyTorch" in present:
        folder = Path(said(options.torch_python, "-c",
                           "import torch; print(torch.__path__[0])")) / "lib"
        sizes["PyTorch"] = sum((folder / name).stat().st_size for name in TORCH_LIBRARIES
                               if (folder / name).exists())
    found = re.search(r"libfann\S* => (\S+)", said("ldd", options.build / "bench/bench_fann"))
    if "FANN" in present and found:
        sizes["FANN"] = Path(found.group(1)).resolve().stat().st_size
    return sizes
