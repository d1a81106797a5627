import torch

from formulas import PYTORCH, entries
from golden import case, real

SPECIAL = torch.tensor([float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 1e-40])

# Of each op: ordinary values and gradients, then values at NaN, infinities and zeros, or gradients
# where both operands are equal.
for name, two, parameters, (lo, hi, *other) in entries():
    f, (p, q) = PYTORCH[name], (parameters + [0.0, 0.0])[:2]
    if two:
        b = real(3, lo=other[0], hi=other[1])
        case(name, f, real(4, 3, lo=lo, hi=hi), b)
        case(name, f, b, b)
    else:
        case(name, lambda x: f(x, *parameters), real(13, lo=lo, hi=hi), x=p, y=q)
        case(name, lambda x: f(x, *parameters), SPECIAL, x=p, y=q, constant=(0,))

case("add", torch.add, real(5, 3), real(3))
case("add", torch.add, real(2, 1, 4), real(3, 1))
case("scale", lambda x: x * 0.75, real(7), x=0.75)
case("gate", lambda a, g: a * (g > 0), real(9), real(9), constant=(1,))
case("copy", lambda x: x * 1, real(5))
