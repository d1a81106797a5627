"""Lines of the files that tests/support/golden.c reads: make_golden.py says what they mean."""
import torch

TYPE = {torch.float32: "f32", torch.float64: "f64", torch.int32: "i32", torch.uint8: "u8"}
lines = []


def number(v):
    v = float(v)
    if v != v or v in (float("inf"), -float("inf")):
        return str(v)
    if v == 0 and str(v) == "-0.0":
        return "-0"
    if v == int(v) and abs(v) < 1e6:
        return str(int(v))
    mantissa, exponent = v.hex().split("p")
    return mantissa.rstrip("0").rstrip(".") + "p" + str(int(exponent))


def tensor(kind, index, t):
    sizes = " ".join(str(s) for s in t.shape)
    values = " ".join(number(v) for v in t.detach().reshape(-1))
    lines.append(" ".join(f"{kind} {index} {TYPE[t.dtype]} {t.dim()} {sizes} {values}".split()))


def real(*shape, lo=-2.0, hi=2.0):
    """Multiples of 2^-10: short to write, exact in f32, not near 0."""
    t = torch.rand(shape, dtype=torch.float64) * (hi - lo) + lo
    t = torch.where(t.abs() < 0.05, t + 0.1, t)
    return torch.round(t * 1024) / 1024


def index(n, *shape):
    return torch.randint(0, n, shape, dtype=torch.int32)


def weighted(y):
    w = 1 + (torch.arange(y.numel()) % 7).to(y.dtype) / 8
    return (y * w.reshape(y.shape)).sum()


def case(builder, f, *inputs, x=0.0, y=0.0, a=0, b=0, shape=(), constant=()):
    sizes = " ".join(str(s) for s in shape)
    real_arguments = number(x) + (f",{number(y)}" if y else "")
    lines.append(" ".join(f"case {builder} {real_arguments} {a} {b} {len(shape)} {sizes}".split()))
    for i, t in enumerate(inputs):
        tensor("in", i, t.to(torch.float32) if t.is_floating_point() else t)
    for dtype in (torch.float64, torch.float32):
        leaves = [t.to(dtype).clone().requires_grad_(i not in constant)
                  if t.is_floating_point() else t for i, t in enumerate(inputs)]
        out = f(*leaves)
        tensor("out", 0, out)
        if out.requires_grad:
            weighted(out).backward()
            for i, t in enumerate(leaves):
                if t.is_floating_point() and i not in constant:
                    tensor("grad", i, t.grad if t.grad is not None else torch.zeros_like(t))


def save(path):
    """Writes what was made since the last time."""
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")
    lines.clear()
