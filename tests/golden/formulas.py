"""What PyTorch calls the ops of src/door/unary.def and binary.def, and the entries of those lists as
far as values are drawn from them. What cancels in PyTorch, or loses a NaN or an infinity, is written
out."""
import pathlib
import re

import torch
import torch.nn.functional as F

def to_real(choice):
    """PyTorch's true and false as 1 and 0."""
    return lambda *operands: choice(*operands).to(operands[0].dtype)


PYTORCH = {
    "exp": torch.exp, "expm1": torch.expm1, "log": torch.log, "log1p": torch.log1p,
    "sqrt": torch.sqrt, "rsqrt": torch.rsqrt, "reciprocal": torch.reciprocal,
    "square": torch.square, "power": torch.pow, "sin": torch.sin, "cos": torch.cos,
    "shift": torch.add, "abs": torch.abs, "clamp": torch.clamp,
    "sign": lambda x: torch.where(x == x, torch.sign(x), x),
    "threshold": lambda x, at: torch.where(x == x, (x > at).to(x.dtype), x),
    "logical_not": to_real(torch.logical_not),
    "relu": torch.relu, "leaky_relu": F.leaky_relu, "elu": F.elu,
    "hard_sigmoid": lambda x: F.relu6(x + 3) / 6,
    "tanh": torch.tanh, "scaled_tanh": lambda x, a: 1.7159 * torch.tanh(2 * x / 3) + a * x,
    "sigmoid": torch.sigmoid, "log_sigmoid": lambda x: -torch.logaddexp(-x, torch.zeros_like(x)),
    "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "silu": F.silu, "mish": F.mish,
    "erf": torch.erf, "normal_cdf": torch.special.ndtr,
    "gelu": lambda x: x * torch.special.ndtr(x),
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "sub": torch.sub, "mul": torch.mul, "div": torch.div, "pow": torch.pow,
    "squared_error": lambda a, b: torch.square(a - b),
    # PyTorch's own cancels for a logit far from its target
    "sigmoid_cross_entropy": lambda a, b: (
        b * torch.logaddexp(-a, 0 * a) + (1 - b) * torch.logaddexp(a, 0 * a)),
    "maximum": torch.maximum, "minimum": torch.minimum,
    "equal": to_real(torch.eq), "not_equal": to_real(torch.ne), "less": to_real(torch.lt),
    "less_equal": to_real(torch.le), "greater": to_real(torch.gt),
    "greater_equal": to_real(torch.ge), "logical_and": to_real(torch.logical_and),
    "logical_or": to_real(torch.logical_or),
}


def entries():
    """(name, whether it has two operands, its parameters as tested, lo and hi of each operand); an op
    that PyTorch has no name for above stops here."""
    door = pathlib.Path(__file__).resolve().parents[2] / "src/door"
    text = "".join((door / f"{kind}.def").read_text() for kind in ("unary", "binary"))
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    entry = re.compile(r"^BPI_(UNARY|BINARY|CHOICE)(?:_(\d))?\((\w+),([^(]*)\((.*?), \"",
                       flags=re.M | re.S)
    for kind, count, name, head, tested in entry.findall(text):
        parameters = [float(v) for v in head.split(",")[1:2 * int(count or 0):2]]
        ranges = [float(v) for v in tested.split(",")[:2 if kind == "UNARY" else 4]]
        if name not in PYTORCH:
            raise SystemExit(f"{name}: tests/golden/formulas.py does not say what PyTorch calls it")
        yield name, kind != "UNARY", parameters, ranges
