import torch
import torch.nn.functional as F

from golden import case, real

case("matmul", torch.matmul, real(5, 7), real(7, 3))
case("matmul", torch.matmul, real(2, 1, 5, 7), real(3, 7, 3))
case("matmul", torch.matmul, real(3, 4, 5), real(5, 6))
case("matmul", torch.matmul, real(5), real(3, 5, 4))
case("matmul", torch.matmul, real(3, 4, 5), real(5))
case("dot", torch.dot, real(9), real(9))
case("outer", torch.outer, real(4), real(3))
case("linear", F.linear, real(5, 7), real(3, 7), real(3))
case("linear_relu", lambda x, w, b: torch.relu(F.linear(x, w, b)), real(5, 7), real(3, 7),
     real(3))
