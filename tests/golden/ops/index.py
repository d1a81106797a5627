import torch

from golden import case, index, real

case("gather", lambda t, i: t[i.long()], real(5, 3), index(5, 7))
case("gather_normalized", lambda t, i, s, k: (t[i.long()].to(s.dtype) - s) * k,
     torch.randint(0, 256, (5, 4), dtype=torch.uint8), index(5, 6), real(4, lo=90, hi=160),
     real(4, lo=0.1, hi=0.5))
case("scatter_rows", lambda x, i: torch.zeros(4, 3, dtype=x.dtype).index_add(0, i.long(), x),
     real(7, 3), index(4, 7), a=4)
