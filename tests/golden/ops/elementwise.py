import torch

from formulas import PYTORCH, entries
from golden import case, real

SPECIAL = torch.tensor([float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 1e-40])
FAR = torch.tensor([0.0, 1e-30, -1e-30, 100, -100, 1e4, -1e4, float("inf"), -float("inf")])

# Of each op: ordinary values and gradients, then values at NaN, infinities and zeros, and gradients
# far out and near 0, or where both operands are equal.
for name, two, parameters, (lo, hi, *other) in entries():
    f, (p, q) = PYTORCH[name], (parameters + [0.0, 0.0])[:2]
    if two:
        b = real(3, lo=other[0], hi=other[1])
        case(name, f, real(4, 3, lo=lo, hi=hi), b)
        case(name, f, b, b)
    else:
        case(name, lambda x: f(x, *parameters), real(13, lo=lo, hi=hi), x=p, y=q)
        case(name, lambda x: f(x, *parameters), SPECIAL, x=p, y=q, constant=(0,))
        case(name, lambda x: f(x, *parameters), FAR, x=p, y=q)

case("add", torch.add, real(5, 3), real(3))
case("add", torch.add, real(2, 1, 4), real(3, 1))
case("scale", lambda x: x * 0.75, real(7), x=0.75)
case("gate", lambda a, g: a * (g > 0), real(9), real(9), constant=(1,))
case("copy", lambda x: x * 1, real(5))
case("neg", torch.neg, real(7))
case("where_above", lambda c, a, b: torch.where(c > 0, a, b), real(5, 1), real(5, 3), real(3),
     constant=(0,))
case("through_i32", torch.trunc, real(9, lo=-9, hi=300), constant=(0,))
case("through_u8", lambda x: torch.clamp(torch.trunc(x), 0, 255), real(9, lo=-9, hi=300), constant=(0,))

# Where a power is not smooth, and below 0.
POINTS = torch.tensor([-2.0, -1.0, 0.0, 1.0, 3.0])
for p in (-2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0):
    case("power", lambda x: torch.pow(x, p), POINTS, x=p)
case("power", lambda x: torch.pow(x, 0.5), torch.tensor([0.0, 1.0, 4.0, float("inf")]), x=0.5)
case("pow", torch.pow, POINTS, torch.tensor([[0.0], [1.0], [2.0], [3.0]]), constant=(1,))
case("pow", torch.pow, torch.tensor([0.0, 1.0, 3.0]), torch.tensor([[0.0], [1.0], [2.5]]))
case("clamp", lambda x: torch.clamp(x, -1, 1.25), torch.tensor([-1.0, 0.0, 1.25, 2.0]), x=-1, y=1.25)
