import torch

from golden import case, real


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
