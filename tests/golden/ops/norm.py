import torch
import torch.nn.functional as F

from golden import case, real

case("softmax", lambda x: F.softmax(x, 1), real(4, 5, lo=-5, hi=5), a=1)
case("softmax", lambda x: F.softmax(x, 0), real(4, 5, lo=-5, hi=5), a=0)
case("log_softmax", lambda x: F.log_softmax(x, 1), real(4, 5, lo=-5, hi=5), a=1)
case("log_softmax", lambda x: F.log_softmax(x, 0), real(4, 5, lo=-5, hi=5), a=0)
case("layer_norm", lambda x, g, b: F.layer_norm(x, (7,), g, b, 1e-5), real(5, 7, lo=-5, hi=5),
     real(7), real(7), x=1e-5)
case("layer_norm", lambda x, g, b: F.layer_norm(x, (3, 4), g, b, 0.5), real(2, 3, 3, 4, lo=-5, hi=5),
     real(3, 4), real(3, 4), x=0.5)
case("rms_norm", lambda x, g: F.rms_norm(x, (7,), g, 1e-5), real(5, 7, lo=-5, hi=5), real(7),
     x=1e-5)
case("standardize", lambda x: F.layer_norm(x, (5, 7), eps=1e-3), real(3, 5, 7), a=2, x=1e-3)
case("group_norm", lambda x, g, b: F.group_norm(x, 2, g, b, 1e-5), real(3, 6, 5), real(6), real(6),
     a=2, x=1e-5)
case("group_norm", lambda x, g, b: F.instance_norm(x, weight=g, bias=b, eps=1e-5), real(3, 2, 4, 3),
     real(2), real(2), a=2, x=1e-5)
case("batch_norm", lambda x, g, b: F.batch_norm(x, None, None, g, b, True, eps=1e-5),
     real(6, 3, lo=-5, hi=5), real(3), real(3), x=1e-5)
case("batch_norm_with", lambda x, g, b, m: F.batch_norm(x, m, m * m, g, b, False, eps=0.25),
     real(6, 3, lo=-5, hi=5), real(3), real(3), real(3), x=0.25, constant=(3,))


def images(x, *rest):
    """F.batch_norm of [N, H, W, C]."""
    return F.batch_norm(x.permute(0, 3, 1, 2), *rest).permute(0, 2, 3, 1)


case("batch_norm", lambda x, g, b: images(x, None, None, g, b, True, 0.1, 1e-5),
     real(2, 4, 3, 3, lo=-5, hi=5), real(3), real(3), x=1e-5)
case("batch_norm_with", lambda x, g, b, m: images(x, m, m * m, g, b, False, 0.1, 0.25),
     real(2, 2, 3, 3, lo=-5, hi=5), real(3), real(3), real(3), x=0.25, constant=(3,))
