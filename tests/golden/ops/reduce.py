import math

import torch

from golden import case, index, real

case("sum", torch.sum, real(4, 3))
case("sum_axes", lambda x: x.sum((0, 2)), real(2, 3, 4), a=5)
case("sum_axes", lambda x: x.sum(1, keepdim=True), real(3, 5), a=2, b=1)


def of(*values):
    return torch.tensor(values, dtype=torch.float64)


def i32(y):
    return y.to(torch.int32)


nan, inf = math.nan, math.inf
OVER_AXES = {
    "sum_squares": lambda x, **k: (x * x).sum(**k),
    "mean": torch.mean,
    "norm_l1": lambda x, **k: torch.linalg.vector_norm(x, 1, **k),
    "norm_l2": lambda x, **k: torch.linalg.vector_norm(x, 2, **k),
    "norm_max": lambda x, **k: torch.linalg.vector_norm(x, math.inf, **k),
    "max": torch.amax,
    "min": torch.amin,
    "logsumexp": lambda x, dim=None, **k: torch.logsumexp(x, tuple(range(x.dim())) if dim is None
                                                          else dim, **k),
}
for name, f in OVER_AXES.items():
    case(name, f, real(4, 3))
    case(name + "_axes", lambda x: f(x, dim=(0, 2)), real(2, 3, 4), a=5)
    case(name + "_axes", lambda x: f(x, dim=(1,), keepdim=True), real(3, 5), a=2, b=1)
    special = of([1, nan, 2], [inf, 1, inf], [-inf, -inf, -inf], [0, 0, 0], [3, 3, -3],
                 [-inf, 1, 0], [inf, -inf, 0])
    # the gradient of |NaN| is NaN here, as all of NaN; PyTorch's is 0
    case(name + "_axes", lambda x: f(x, dim=1),
         special[1:] if name in ("norm_l1", "norm_max") else special, a=2)
for name, f in {"variance": torch.var, "std": torch.std}.items():
    case(name, lambda x: f(x, correction=1), real(4, 3), x=1)
    case(name + "_axes", lambda x: f(x, dim=(0, 2), correction=0), real(2, 3, 4), a=5)
    case(name + "_axes", lambda x: f(x, dim=1, correction=1, keepdim=True), real(3, 5), a=2, b=1,
         x=1)
    case(name + "_axes", lambda x: f(x, dim=1, correction=1), of([1, nan, 2], [inf, 1, 2],
                                                                 [0.5, 0.5, 0.5]), a=2, x=1)
    case(name + "_axes", lambda x: f(x, dim=1, correction=1), of([1], [2]), a=2, x=1)
ties = of([1, nan, 2, nan], [3, 1, 3, 3], [-inf, -inf, -inf, -inf], [inf, 0, inf, -inf],
          [0, -0.0, 0, -0.0])
for name, f in {"argmax": torch.argmax, "argmin": torch.argmin}.items():
    for axis in (0, 1):
        case(name, lambda x: i32(f(x.detach(), axis)), real(4, 3), a=axis)
        case(name, lambda x: i32(f(x.detach(), axis)), index(3, 5, 6), a=axis)
        case(name, lambda x: i32(f(x.detach(), axis)), ties, a=axis)
some = of([0, 0, 0], [0, nan, 0], [-0.0, 1, 2], [inf, -1, 5])
case("count_nonzero_axes", lambda x: i32(torch.count_nonzero(x.detach(), 1)), some, a=2)
case("any_axes", lambda x: i32(torch.any(x.detach(), 1)), some, a=2)
case("all_axes", lambda x: i32(torch.all(x.detach(), 1)), some, a=2)
case("all", lambda x: i32(torch.all(x.detach())), real(0, 3))
case("any", lambda x: i32(torch.any(x)), index(2, 0, 3))
case("sum_axes", lambda x: i32(x.sum(1)), index(9, 5, 6), a=2)
case("max_axes", lambda x: x.amax(1), index(9, 5, 6), a=2)
case("min", lambda x: i32(x.amin()), torch.randint(3, 256, (5, 4), dtype=torch.uint8))
case("mean", torch.mean, real(0, 3))
case("cumsum", lambda x: x.cumsum(0), real(4, 3))
case("cumsum", lambda x: x.flip(1).cumsum(1).flip(1), real(3, 5, 2), a=1, b=1)
case("cumsum", lambda x: x.cumsum(1), of([1, nan, 2, 3], [1, inf, 2, -inf]), a=1)
for down in (0, 1):
    def ordered(x, dim=1):
        return x.sort(dim=dim, descending=bool(down), stable=True)

    case("sort", lambda x: ordered(x)[0], real(4, 5), a=1, b=down)
    case("sort", lambda x: ordered(x, 0)[0], real(4, 5), b=down)
    case("sort", lambda x: ordered(x)[0],
         of([1, nan, 2, nan], [3, 1, 3, 3], [0, -inf, inf, 0]), a=1, b=down)
    case("top_k", lambda x: x.topk(2, 1, largest=not down)[0], real(3, 6), x=2, a=1, b=down)
    case("sort_places", lambda x: i32(ordered(x.detach())[1]), ties, a=1, b=down)
