import torch
import torch.nn.functional as F

from golden import case, index, real

case("gather", lambda t, i: t[i.long()], real(5, 3), index(5, 7))
case("gather_normalized", lambda t, i, s, k: (t[i.long()].to(s.dtype) - s) * k,
     torch.randint(0, 256, (5, 4), dtype=torch.uint8), index(5, 6), real(4, lo=90, hi=160),
     real(4, lo=0.1, hi=0.5))
case("scatter_rows", lambda x, i: torch.zeros(4, 3, dtype=x.dtype).index_add(0, i.long(), x),
     real(7, 3), index(4, 7), a=4)
case("take", lambda x, i: x[:, i.long()], real(2, 5, 2), index(5, 2, 3), a=1)
case("take_along", lambda x, i: x.gather(1, i.long()), real(3, 4), index(4, 3, 6), a=1)
case("take_along", lambda x, i: x.gather(0, i.long()), real(3, 2, 2), index(3, 4, 2, 2), a=0)
case("add_along", lambda x, i: torch.zeros(3, 4, dtype=x.dtype).scatter_add(1, i.long(), x),
     real(3, 6), index(4, 3, 6), a=1, b=4)
case("pick", lambda x, i: x.gather(-1, i.long().unsqueeze(-1)).squeeze(-1), real(2, 3, 4),
     index(4, 2, 3))
case("one_hot", lambda i: F.one_hot(i.long(), 4).double(), index(4, 2, 3), a=4)
