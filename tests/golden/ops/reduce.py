import torch

from golden import case, real

case("sum", torch.sum, real(4, 3))
case("sum_axes", lambda x: x.sum((0, 2)), real(2, 3, 4), a=5)
case("sum_axes", lambda x: x.sum(1, keepdim=True), real(3, 5), a=2, b=1)
