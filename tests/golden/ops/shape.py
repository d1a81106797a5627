import torch

from golden import case, real

case("transpose", lambda x: x.transpose(0, 1), real(3, 4), a=0, b=1)
case("reshape", lambda x: x.reshape(2, 6), real(3, 4), shape=(2, 6))
case("expand", lambda x: x.expand(4, 3), real(3), shape=(4, 3))
