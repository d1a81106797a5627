"""What PyTorch calls the ops of src/door/unary.def and binary.def, and the entries of those lists as
far as values are drawn from them. What cancels in PyTorch, or loses a NaN or an infinity, is written
out."""
import pathlib
import re

import torch
import torch.nn.functional as F

PYTORCH = {
    "exp": torch.exp, "log": torch.log, "sqrt": torch.sqrt, "abs": torch.abs,
    "sign": lambda x: torch.where(x == x, torch.sign(x), x),
    "relu": torch.relu, "leaky_relu": F.leaky_relu, "elu": F.elu, "tanh": torch.tanh,
    "sigmoid": torch.sigmoid, "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "silu": F.silu, "normal_cdf": torch.special.ndtr, "gelu": lambda x: x * torch.special.ndtr(x),
    "reciprocal": torch.reciprocal,
    "shift": torch.add,
    "sub": torch.sub, "mul": torch.mul, "div": torch.div, "maximum": torch.maximum,
}


def entries():
    """(name, whether it has two operands, its parameters as tested, lo and hi of each operand); an op
    that PyTorch has no name for above stops here."""
    door = pathlib.Path(__file__).resolve().parents[2] / "src/door"
    text = "".join((door / f"{kind}.def").read_text() for kind in ("unary", "binary"))
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    entry = re.compile(r"^BPI_(UNARY|BINARY)(?:_(\d))?\((\w+),([^(]*)\((.*?), \"", flags=re.M | re.S)
    for kind, count, name, head, tested in entry.findall(text):
        parameters = [float(v) for v in head.split(",")[1:2 * int(count or 0):2]]
        ranges = [float(v) for v in tested.split(",")[:4 if kind == "BINARY" else 2]]
        if name not in PYTORCH:
            raise SystemExit(f"{name}: tests/golden/formulas.py does not say what PyTorch calls it")
        yield name, kind == "BINARY", parameters, ranges
