import torch
import torch.nn.functional as F

from golden import case, real

case("matmul", torch.matmul, real(5, 7), real(7, 3))
case("linear", F.linear, real(5, 7), real(3, 7), real(3))
case("linear_relu", lambda x, w, b: torch.relu(F.linear(x, w, b)), real(5, 7), real(3, 7),
     real(3))
