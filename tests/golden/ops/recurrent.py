"""Cells, layers of them, and the first steps of two examples: loss and gradients."""
import torch
import torch.nn.functional as F

from golden import case, index, real


def split(x, h, w):
    """w_ih, w_hh, b_ih, b_hh, as PyTorch's cells have them."""
    i, n = x.shape[1], x.shape[1] + h.shape[1]
    return w[:, :i], w[:, i:n], w[:, n], w[:, n + 1]


case("lstm", lambda x, h, c, w: torch.cat(torch.lstm_cell(x, (h, c), *split(x, h, w)), 1),
     real(5, 3), real(5, 4, lo=-1, hi=1), real(5, 4), real(16, 9, lo=-1, hi=1))
case("lstm_hidden", lambda x, h, c, w: torch.lstm_cell(x, (h, c), *split(x, h, w))[0],
     real(2, 3, lo=-30, hi=30), real(2, 4, lo=-1, hi=1), real(2, 4), real(16, 9, lo=-1, hi=1))
case("gru", lambda x, h, w: torch.gru_cell(x, h, *split(x, h, w)),
     real(5, 3), real(5, 4, lo=-1, hi=1), real(12, 9, lo=-1, hi=1))


def layer(f, x, state, w):
    """A layer of nn.LSTM or nn.GRU over x [T, N, I]: h' of every step."""
    weights = [v.contiguous() for v in split(x[0], state[0], w)]
    first = [s[None] for s in state]
    return f(x, first if len(first) > 1 else first[0], weights, True, 1, 0.0, False, False,
             False)[0]


case("lstm_steps", lambda x, h, c, w: layer(torch.lstm, x, [h, c], w), real(5, 2, 3),
     real(2, 4, lo=-1, hi=1), real(2, 4), real(16, 9, lo=-1, hi=1))
case("gru_steps", lambda x, h, w: layer(torch.gru, x, [h], w), real(5, 2, 3),
     real(2, 4, lo=-1, hi=1), real(12, 9, lo=-1, hi=1))


def pinn(x, w, b):
    """examples/pinn.c: u'' + u = 0, u(0) = 0, u'(0) = 1."""
    u = F.linear(torch.tanh(F.linear(x, w[:, :1], w[:, 1])), w[:, 2:].T, b)
    d1, = torch.autograd.grad(u.sum(), x, create_graph=True)
    d2, = torch.autograd.grad(d1.sum(), x, create_graph=True)
    return ((d2 + u) ** 2).mean() + u[0, 0] ** 2 + (d1[0, 0] - 1) ** 2


def chars(table, w, head, letters):
    """examples/chars.c: each letter from those before it."""
    letters, loss = letters.long(), 0
    h = torch.zeros(letters.shape[1], head.shape[1] - 1, dtype=table.dtype)
    for t in range(len(letters) - 1):
        x = table[letters[t]]
        h = torch.gru_cell(x, h, *split(x, h, w))
        loss = loss + F.cross_entropy(F.linear(h, head[:, :-1], head[:, -1]), letters[t + 1])
    return loss / (len(letters) - 1)


case("pinn", pinn, torch.linspace(0, 5, 6)[:, None], real(8, 3), real(1))
case("chars", chars, real(7, 3), real(15, 10, lo=-1, hi=1), real(7, 6), index(7, 5, 4))
