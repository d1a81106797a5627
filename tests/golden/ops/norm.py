import torch
import torch.nn.functional as F

from golden import case, real

case("log_softmax", lambda x: F.log_softmax(x, 1), real(4, 5, lo=-5, hi=5), a=1)
case("log_softmax", lambda x: F.log_softmax(x, 0), real(4, 5, lo=-5, hi=5), a=0)
