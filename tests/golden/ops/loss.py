import torch
import torch.nn.functional as F

from golden import case, index, real

case("nll_loss", lambda x, i: F.nll_loss(x, i.long()), real(6, 4, lo=-4, hi=-1), index(4, 6))
case("nll_spread", lambda s, i: -s / 6 * F.one_hot(i.long(), 4).to(s.dtype), real(),
     index(4, 6), a=4)
case("cross_entropy", lambda x, i: F.cross_entropy(x, i.long()), real(6, 4, lo=-5, hi=5),
     index(4, 6))

EACH, SUM, MEAN = 0, 1, 2
HOW = {EACH: "none", SUM: "sum", MEAN: "mean"}


def each_way(builder, f, *inputs, b=0, **arguments):
    """f(*inputs, how) with every reduction."""
    for a, how in HOW.items():
        case(builder, lambda *t, how=how: f(*t, how), *inputs, a=a, b=b, **arguments)


def pair(lo=-2.0, hi=2.0):
    return real(3, 4, lo=lo, hi=hi), real(3, 4, lo=lo, hi=hi)


def weighted_mse(x, t, w, how):
    each = F.mse_loss(x, t, reduction="none") * w[:, None]
    return each if how == "none" else each.sum() / (w.sum() * x.shape[1] if how == "mean" else 1)


each_way("mse_loss", lambda x, t, how: F.mse_loss(x, t, reduction=how), *pair())
each_way("mse_weighted", weighted_mse, *pair(), real(3, lo=0.5))
each_way("l1_loss", lambda x, t, how: F.l1_loss(x, t, reduction=how), *pair())
each_way("huber_loss", lambda x, t, how: F.huber_loss(x, t, how, 0.75), *pair(), x=0.75)
each_way("smooth_l1_loss", lambda x, t, how: F.smooth_l1_loss(x, t, reduction=how, beta=0.75),
         *pair(), x=0.75)
each_way("smooth_l1_loss", lambda x, t, how: F.smooth_l1_loss(x, t, reduction=how, beta=0.0),
         *pair())
each_way("hinge_loss", lambda x, t, how: F.hinge_embedding_loss(t * x, -torch.ones_like(x),
                                                                0.5, reduction=how), *pair(), x=0.5)
SIGNS = torch.tensor([0.0, 1.0, 0.5, 0.25, 1.0, 0.0])
FAR = torch.tensor([-1e4, 1e4, -100.0, 100.0, -30.0, 30.0])
each_way("binary_cross_entropy",
         lambda x, t, how: F.binary_cross_entropy_with_logits(x, t, reduction=how),
         real(6, lo=-5, hi=5), SIGNS)
# PyTorch's cancels for a logit far from its target: t softplus(-x) + (1 - t) softplus(x)
case("binary_cross_entropy", lambda x, t: t * torch.logaddexp(-x, 0 * x) +
     (1 - t) * torch.logaddexp(x, 0 * x), FAR, SIGNS, a=EACH, constant=(1,))
each_way("binary_cross_entropy_weighted", lambda x, t, p, how:
         F.binary_cross_entropy_with_logits(x, t, pos_weight=p.detach(),
                                            reduction=how),
         real(3, 4, lo=-5, hi=5), real(3, 4, lo=0, hi=1), real(4, lo=0.5, hi=4), constant=(2,))
each_way("kl_div_loss", lambda x, t, how: F.kl_div(x, t, reduction=how), real(3, 4, lo=-4, hi=-1),
         real(3, 4, lo=0.1, hi=1))
case("kl_div_loss", lambda x, t: F.kl_div(x, t, reduction="none"), real(6, lo=-4, hi=-1), SIGNS,
     constant=(1,))  # PyTorch's gradient by a target of 0 is NaN
each_way("kl_div_log_loss", lambda x, t, how: F.kl_div(x, t, reduction=how, log_target=True),
         *pair(-4, -1))
each_way("poisson_nll_loss", lambda x, t, how: F.poisson_nll_loss(x, t, reduction=how),
         real(3, 4), real(3, 4, lo=0, hi=5))
each_way("poisson_rate_nll_loss", lambda x, t, how:
         F.poisson_nll_loss(x, t, log_input=False, eps=1e-8, reduction=how),
         real(3, 4, lo=0.5, hi=4), real(3, 4, lo=0, hi=5), x=1e-8)
each_way("gaussian_nll_loss", lambda x, t, v, how: F.gaussian_nll_loss(x, t, v, eps=0.5,
                                                                       reduction=how),
         *pair(), real(3, 4, lo=0.1, hi=2), x=0.5)
each_way("cosine_embedding_loss", lambda a, b, t, how:
         F.cosine_embedding_loss(a, b, t, 0.25, reduction=how), *pair(),
         torch.tensor([1.0, -1.0, -1.0]), x=0.25, constant=(2,))
each_way("triplet_margin_loss", lambda a, p, n, how: F.triplet_margin_loss(a, p, n, 1.0,
                                                                           reduction=how),
         *pair(), real(3, 4), x=1)

LABELS = torch.tensor([1, 0, 3, 1, 2], dtype=torch.int32)
PIXELS = index(4, 2, 3)
for b in (-1, 1):
    each_way("nll_loss_with", lambda x, i, how: F.nll_loss(x, i.long(), ignore_index=b,
                                                           reduction=how),
             real(5, 4, lo=-4, hi=-1), LABELS, b=b)
    each_way("nll_loss_weighted", lambda x, i, w, how:
             F.nll_loss(x, i.long(), w.detach(), ignore_index=b, reduction=how),
             real(5, 4, lo=-4, hi=-1), LABELS, real(4, lo=0.5), b=b, constant=(2,))
    for x in (0.0, 0.125):
        each_way("cross_entropy_with", lambda z, i, how: F.cross_entropy(
            z, i.long(), ignore_index=b, reduction=how, label_smoothing=x),
            real(2, 4, 3, lo=-5, hi=5), PIXELS, x=x, b=b)
        each_way("cross_entropy_weighted", lambda z, i, w, how: F.cross_entropy(
            z, i.long(), w.detach(), ignore_index=b, reduction=how, label_smoothing=x),
            real(5, 4, lo=-5, hi=5), LABELS, real(4, lo=0.5), x=x, b=b, constant=(2,))
case("cross_entropy_with", lambda x, i: F.cross_entropy(x, i.long(), ignore_index=1), real(2, 4),
     torch.tensor([1, 1], dtype=torch.int32), a=MEAN, b=1)
case("cross_entropy_with", lambda x, i: F.cross_entropy(x, i.long(), reduction="none"),
     torch.tensor([[1e4, -1e4, 0.0], [1e4, -1e4, 0.0]]), torch.tensor([0, 1], dtype=torch.int32),
     b=-1)
each_way("cross_entropy_soft", lambda x, t, how: F.cross_entropy(x, t, reduction=how),
         real(3, 4, 2, lo=-5, hi=5), real(3, 4, 2, lo=0, hi=1))
