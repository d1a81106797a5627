"""Images are [N, H, W, C] and filters [O, R, S, C / groups] here, and PyTorch's own way within."""
import torch
import torch.nn.functional as F

from golden import case, index, real


class Window:
    """Steps, dilation, padding at top, left, bottom, right, as a row of the table has them."""

    def __init__(self, stride=(1, 1), dilation=(1, 1), pad=(0, 0, 0, 0), groups=1):
        self.stride, self.dilation, self.pad, self.groups = stride, dilation, pad, groups
        self.shape = (*stride, *dilation, *pad)

    def padded(self, x, value=0.0):
        """NCHW, with its padding."""
        top, left, bottom, right = self.pad
        return F.pad(x.permute(0, 3, 1, 2), (left, right, top, bottom), value=value)

    def conv(self, x, w, b=None):
        y = F.conv2d(self.padded(x), w.permute(0, 3, 1, 2), b, self.stride, 0, self.dilation,
                     self.groups)
        return y.permute(0, 2, 3, 1)

    def input(self, y, w, height, width):
        full = F.conv_transpose2d(y.permute(0, 3, 1, 2), w.permute(0, 3, 1, 2), None, self.stride,
                                  0, 0, self.groups, self.dilation)
        top, left = self.pad[:2]
        cut = (-left, width - full.shape[3] + left, -top, height - full.shape[2] + top)
        return F.pad(full, cut).permute(0, 2, 3, 1)

    def filter(self, y, x, height, width):
        w = torch.zeros(y.shape[3], height, width, x.shape[3] // self.groups, dtype=x.dtype)
        w.requires_grad_()
        return torch.autograd.grad(self.conv(x, w), w, y, create_graph=True)[0]

    def max_pool(self, x, height, width):
        y = F.max_pool2d(self.padded(x, -torch.inf), (height, width), self.stride, 0, self.dilation)
        return y.permute(0, 2, 3, 1)

    def tap(self, x, r, s, y):
        """A view of what pixels of y find at a tap, in a padded image."""
        h, w = r * self.dilation[0], s * self.dilation[1]
        return x[:, h:h + (y.shape[1] - 1) * self.stride[0] + 1:self.stride[0],
                 w:w + (y.shape[2] - 1) * self.stride[1] + 1:self.stride[1]]

    def spread(self, y, places, height, width, rows, columns):
        top, left, bottom, right = self.pad
        x = torch.zeros(y.shape[0], rows + top + bottom, columns + left + right, y.shape[3],
                        dtype=y.dtype)
        for k in range(height * width):
            self.tap(x, k // width, k % width, y).add_(torch.where(places == k, y, 0))
        return x[:, top:top + rows, left:left + columns]

    def pick(self, x, places, height, width):
        x, y = self.padded(x).permute(0, 2, 3, 1), torch.zeros(places.shape, dtype=x.dtype)
        for k in range(height * width):
            y = torch.where(places == k, self.tap(x, k // width, k % width, places), y)
        return y

    def avg_pool(self, x, height, width):
        def total(x):
            return F.avg_pool2d(self.padded(x), (height, width), self.stride, divisor_override=1)
        return (total(x) / total(torch.ones_like(x))).permute(0, 2, 3, 1)

    def avg_spread(self, y, height, width, rows, columns):
        x = torch.zeros(y.shape[0], rows, columns, y.shape[3], dtype=y.dtype, requires_grad=True)
        return torch.autograd.grad(self.avg_pool(x, height, width), x, y, create_graph=True)[0]


def image(*shape):
    return real(*shape, lo=-1, hi=1)


for window, x, w in [
        (Window(), (1, 1, 1, 1), (1, 1, 1, 1)),
        (Window(pad=(1, 1, 1, 1)), (1, 4, 5, 3), (4, 3, 3, 3)),
        (Window((2, 3), pad=(1, 0, 2, 1)), (1, 5, 6, 5), (3, 3, 2, 5)),
        (Window((1, 2), (2, 3), (2, 1, 0, 3)), (1, 6, 8, 2), (2, 3, 3, 2)),
        (Window((3, 1), pad=(2, 2, 2, 2)), (1, 7, 5, 1), (6, 5, 5, 1)),
        (Window(pad=(0, 1, 1, 0)), (1, 3, 2, 31), (2, 2, 2, 31)),
        (Window((2, 2)), (1, 5, 5, 8), (8, 3, 3, 2)),
        (Window((1, 2), pad=(1, 1, 1, 1)), (1, 3, 4, 36), (4, 2, 2, 9)),
        (Window(pad=(1, 1, 1, 1)), (1, 5, 4, 5), (5, 3, 3, 1)),
        (Window((2, 1), (1, 2), (1, 2, 1, 2)), (1, 6, 7, 5), (10, 3, 3, 1))]:
    window.groups = x[3] // w[3]
    a, b = image(*x), image(*w)
    case("conv2d", window.conv, a, b, image(w[0]), a=window.groups, shape=window.shape)
    y = window.conv(a, b)
    if x[3] > 5 or w[0] > 5:
        continue
    case("conv2d_input", lambda y, w: window.input(y, w, *x[1:3]), image(*y.shape), b, x=x[1],
         y=x[2], a=window.groups, shape=window.shape)
    case("conv2d_filter", lambda y, x: window.filter(y, x, *w[1:3]), image(*y.shape), a, x=w[1],
         y=w[2], a=window.groups, shape=window.shape)
same = Window(pad=(1, 1, 1, 1))
case("conv2d_relu", lambda x, w, b: same.conv(x, w, b).relu(), image(1, 4, 5, 3), image(4, 3, 3, 3),
     image(4), shape=same.shape)
case("conv2d_unbiased", same.conv, image(1, 4, 5, 3), image(4, 3, 3, 3), shape=same.shape)
case("conv2d_input", lambda y, w: Window((2, 2)).input(y, w, 8, 6), image(1, 3, 2, 4),
     image(4, 3, 3, 2), x=8, y=6, shape=Window((2, 2)).shape)

for window, x, size in [(Window((2, 2)), (2, 4, 6, 2), (2, 2)),
                        (Window((2, 1), pad=(1, 1, 1, 0)), (1, 5, 4, 3), (3, 3)),
                        (Window((3, 4)), (1, 6, 7, 2), (2, 3)),
                        (Window((1, 2), (3, 2), (0, 1, 2, 1)), (1, 7, 6, 2), (2, 3))]:
    y = window.max_pool(image(*x), *size)
    places = index(size[0] * size[1] + 1, *y.shape).to(torch.uint8)
    more = dict(x=size[0], y=size[1], shape=window.shape)
    case("max_pool", lambda x: window.max_pool(x, *size), image(*x), **more)
    case("max_spread", lambda y, k: window.spread(y, k, *size, *x[1:3]), image(*y.shape), places,
         a=x[1], b=x[2], **more)
    case("max_pick", lambda x, k: window.pick(x, k, *size), image(*x), places, **more)
    if window.dilation == (1, 1):
        case("avg_pool", lambda x: window.avg_pool(x, *size), image(*x), **more)
        case("avg_spread", lambda y: window.avg_spread(y, *size, *x[1:3]), image(*y.shape), a=x[1],
             b=x[2], **more)
case("global_max_pool", lambda x: x.amax((1, 2)), image(2, 3, 4, 3))
case("global_avg_pool", lambda x: x.mean((1, 2)), image(2, 3, 4, 3))


def resized(x, size, mode="bilinear"):
    return F.interpolate(x.permute(0, 3, 1, 2), size, mode=mode).permute(0, 2, 3, 1)


def spread(y, size):
    x = torch.zeros(y.shape[0], *size, y.shape[3], dtype=y.dtype, requires_grad=True)
    return torch.autograd.grad(resized(x, y.shape[1:3]), x, y, create_graph=True)[0]


case("upsample_nearest", lambda x: resized(x, (6, 12), "nearest"), image(2, 3, 4, 3), a=2, b=3)
for small, large in [((3, 4), (6, 8)), ((5, 3), (7, 8)), ((1, 1), (3, 2)), ((7, 5), (3, 4))]:
    case("upsample_bilinear", lambda x: resized(x, large), image(1, *small, 2), a=large[0],
         b=large[1])
    case("bilinear_spread", lambda y: spread(y, small), image(1, *large, 2), a=small[0], b=small[1])
