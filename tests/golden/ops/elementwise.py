import torch
import torch.nn.functional as F

from golden import case, real

case("add", torch.add, real(5, 3), real(3))
case("add", torch.add, real(2, 1, 4), real(3, 1))
case("mul", torch.mul, real(5, 1), real(1, 3))
case("div", torch.div, real(4, 3), real(3, lo=0.5))
case("scale", lambda x: x * 0.75, real(7), x=0.75)
case("exp", torch.exp, real(11, lo=-6, hi=6))
case("log", torch.log, real(11, lo=0.1, hi=9))
case("relu", torch.relu, real(11))
case("elu", lambda x: F.elu(x, 1.0), real(11, lo=-4, hi=4), x=1.0)
case("elu", lambda x: F.elu(x, 0.5), real(11, lo=-4, hi=4), x=0.5)
case("gate", lambda a, g: a * (g > 0), real(9), real(9), constant=(1,))
case("copy", lambda x: x * 1, real(5))
