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
attend = F.scaled_dot_product_attention
case("attention", attend, real(2, 3, 5, 4), real(2, 3, 7, 4), real(2, 3, 7, 6))
case("attention", lambda q, k, v: attend(q, k, v, is_causal=True, scale=0.75), real(2, 5, 4),
     real(2, 5, 4), real(2, 5, 3), x=0.75, a=1)
case("attention", lambda q, k, v: attend(q, k, v, is_causal=True), real(1, 3, 4), real(1, 6, 4),
     real(1, 6, 4), a=1)
case("attention_masked", lambda q, k, v, m: attend(q, k, v, attn_mask=m), real(2, 2, 5, 4),
     real(2, 2, 7, 4), real(2, 2, 7, 3), real(2, 1, 5, 7), constant=(3,))
kept = (torch.rand(1, 6, 5) < 0.6).to(torch.uint8)
kept[0, 2] = 0
case("attention_masked", lambda q, k, v, m: attend(q, k, v, attn_mask=m.bool()), real(2, 6, 4),
     real(2, 5, 4), real(2, 5, 3), kept)
case("attention_weights", lambda x: x.softmax(-1), real(2, 3, 4))
case("linear", F.linear, real(5, 7), real(3, 7), real(3))
case("linear_relu", lambda x, w, b: torch.relu(F.linear(x, w, b)), real(5, 7), real(3, 7),
     real(3))
