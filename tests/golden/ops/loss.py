import torch
import torch.nn.functional as F

from golden import case, index, real

case("nll_loss", lambda x, i: F.nll_loss(x, i.long()), real(6, 4, lo=-4, hi=-1), index(4, 6))
case("nll_spread", lambda s, i: -s / 6 * F.one_hot(i.long(), 4).to(s.dtype), real(),
     index(4, 6), a=4)
case("cross_entropy", lambda x, i: F.cross_entropy(x, i.long()), real(6, 4, lo=-5, hi=5),
     index(4, 6))
