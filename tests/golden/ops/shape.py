import torch
import torch.nn.functional as F

from golden import case, index, real

case("transpose", lambda x: x.transpose(0, 1), real(3, 4), a=0, b=1)
case("reshape", lambda x: x.reshape(2, 6), real(3, 4), shape=(2, 6))
case("permute", lambda x: x.permute(1, 2, 0), real(2, 3, 4), shape=(1, 2, 0))
case("expand", lambda x: x.expand(4, 3), real(3), shape=(4, 3))
case("slice", lambda x: x[:, 1:-1:2], real(3, 7), a=1, shape=(1, -1, 2))
case("slice", lambda x: x.flip(0)[1:5:3], real(6, 2), a=0, shape=(-2, -6, -3))
case("slice_twice", lambda x: x[1::2].flip(-1)[..., ::2], real(5, 4))
case("flip", lambda x: x.flip(0, 2), real(2, 3, 2), a=5)
case("concat", lambda x, y, z: torch.cat([x, y, z], 1), real(2, 3), real(2, 1), real(2, 2), a=1)
case("concat_twice", lambda x: torch.cat([x, x], 0), real(2, 3), a=0)
case("stack_of", lambda x, y: torch.stack([x, y], -1), real(2, 3), real(2, 3), a=-1)
case("parts", lambda x: torch.cat([torch.split(x, [1, 2, 2], 1)[k] for k in (2, 1, 2)], 1),
     real(2, 5), a=1)
case("pad", lambda x: F.pad(x, (0, 0, 2, 1), value=0.5), real(3, 2), x=0.5, a=0, shape=(2, 1))
case("pad_edge", lambda x: F.pad(x, (2, 1), mode="replicate"), real(2, 3), a=1, shape=(2, 1))
case("pad_reflect", lambda x: F.pad(x, (2, 1), mode="reflect"), real(2, 3), a=1, shape=(2, 1))
case("tile", lambda x: x.tile(2, 3), real(2, 2), shape=(2, 3))
case("repeat", lambda x: x.repeat_interleave(3, 1), real(2, 2), a=1, b=3)
case("roll", lambda x: x.roll(-4, 0), real(3, 2), a=0, b=-4)
f64 = torch.float64
case("arange", lambda i: torch.arange(-0.7, 0.5, 0.25, dtype=f64), index(1, 1), x=-0.7, a=5)
case("full", lambda i: torch.full((2, 3), 0.1, dtype=f64), index(1, 1), x=0.1, shape=(2, 3))
case("eye", lambda i: torch.eye(3, dtype=f64), index(1, 1), a=3)
case("tril", lambda x: x.tril(-1), real(2, 3, 4), a=-1)
case("triu", lambda x: x.triu(1), real(4, 3), a=1)
