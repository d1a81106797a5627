"""PyTorch's operators as calls of the library: OPS[name](lib, input, *args, **kwargs) gives a tensor or a list of them. Here those
on elements and the reductions; torch_shapes.py and torch_nets.py have the others."""
import math

from calls import absent, number, reshape, same, squeeze, unsqueeze
from library import Tensor

# Why an operator is not here, by the beginning of its name.
NONE = [("linalg.", "linear algebra"), ("cholesky", "linear algebra"), ("lu", "linear algebra"), ("svd", "linear algebra"),
        ("pca", "linear algebra"), ("ormqr", "linear algebra"), ("geqrf", "linear algebra"), ("triangular", "linear algebra"),
        ("logdet", "linear algebra"), ("matrix_exp", "linear algebra"), ("pinverse", "linear algebra"),
        ("fft.", "Fourier transforms"), ("stft", "Fourier transforms"), ("istft", "Fourier transforms"),
        ("special.", "special functions"), ("igamma", "special functions"), ("lgamma", "special functions"),
        ("polygamma", "special functions"), ("mvlgamma", "special functions"), ("digamma", "special functions"),
        ("i0", "special functions"), ("erfinv", "special functions"), ("signal.", "windows"), ("masked.", "masked tensors"),
        ("nn.functional.conv", "convolution"), ("nn.functional.unfold", "convolution"),
        ("nn.functional.max_", "pooling"), ("nn.functional.avg_", "pooling"), ("nn.functional.adaptive", "pooling"),
        ("nn.functional.fractional", "pooling"), ("max_pool", "pooling"),
        ("nn.functional.interp", "images"), ("nn.functional.grid", "images"), ("nn.functional.upsample", "images"),
        ("nn.functional.pixel", "images"), ("grid_sampler", "images"), ("_upsample", "images"),
        ("bitwise", "integers and bits"), ("gcd", "integers and bits"), ("lcm", "integers and bits"), ("__r", "integers and bits"),
        ("rand", "PyTorch's own random numbers"), ("normal", "PyTorch's own random numbers"),
        ("bernoulli", "PyTorch's own random numbers"), ("cauchy", "PyTorch's own random numbers"),
        ("exponential", "PyTorch's own random numbers"), ("geometric", "PyTorch's own random numbers"),
        ("log_normal", "PyTorch's own random numbers"), ("uniform", "PyTorch's own random numbers"),
        ("multinomial", "PyTorch's own random numbers"), ("nn.functional.rrelu", "PyTorch's own random numbers"),
        ("nn.functional.dropout", "PyTorch's own random numbers"), ("nn.functional.alpha_dropout", "PyTorch's own random numbers"),
        ("nn.functional.feature_alpha", "PyTorch's own random numbers"), ("native_dropout", "PyTorch's own random numbers"),
        ("complex", "complex numbers"), ("conj", "complex numbers"), ("real", "complex numbers"), ("imag", "complex numbers"),
        ("angle", "complex numbers"), ("polar", "complex numbers"), ("view_as_", "complex numbers"), ("resolve", "complex numbers"),
        ("sparse", "sparse tensors"), ("to_sparse", "sparse tensors"), ("torch.", "PyTorch's own kernels"),
        ("_", "PyTorch's own kernels"), ("jiterator", "PyTorch's own kernels")]

OPS = {}


def of(*names):
    def add(f):
        for name in names:
            OPS[name] = f
        return f
    return add


def call(name, *numbers):
    """bp_name of the tensors, of numbers at the end the keyword or the default."""
    return lambda lib, x: getattr(lib, name)(x)


for name in "abs neg exp expm1 log log1p sqrt rsqrt reciprocal square sign sin cos tanh sigmoid erf".split():
    OPS[name] = call(f"bp_{name}")
for name in "relu silu".split():
    OPS[f"nn.functional.{name}"] = call(f"bp_{name}")
OPS["sgn"] = OPS["sign"]
OPS["nn.functional.logsigmoid"] = call("bp_log_sigmoid")


@of("positive", "clone", "contiguous", "alias_copy", "double")
def copied(lib, x, **kwargs):
    return lib.bp_cast(x, lib.BP_F64)


# --- two operands ---------------------------------------------------------------------------------


def pair(lib, a, b):
    if not isinstance(a, Tensor):
        return number(lib, a, b), b
    return a, number(lib, b, a)


def binary(name, swapped=False):
    def f(lib, a, b, alpha=None, rounding_mode=None):
        if rounding_mode:
            absent("rounding")
        a, b = pair(lib, a, b)
        if alpha not in (None, 1):
            b = lib.bp_scale(b, alpha)
        return getattr(lib, name)(*((b, a) if swapped else (a, b)))
    return f


OPS |= {"add": binary("bp_add"), "sub": binary("bp_sub"), "mul": binary("bp_mul"), "div": binary("bp_div"),
        "true_divide": binary("bp_div"), "maximum": binary("bp_maximum"), "minimum": binary("bp_minimum"),
        "__radd__": binary("bp_add", True), "__rsub__": binary("bp_sub", True), "__rmul__": binary("bp_mul", True),
        "__rdiv__": binary("bp_div", True), "fmax": None, "fmin": None}


@of("rsub")
def rsub(lib, a, b, alpha=1):
    a, b = pair(lib, a, b)
    return lib.bp_sub(b, lib.bp_scale(a, alpha))


@of("pow", "float_power")
def power(lib, a, b):
    if isinstance(a, Tensor) and not isinstance(b, Tensor):
        return lib.bp_power(a, b)
    return lib.bp_pow(*pair(lib, a, b))


@of("__rpow__")
def rpow(lib, a, b):
    return power(lib, b, a)


@of("lerp")
def lerp(lib, a, b, weight):
    d = lib.bp_sub(b, a)
    return lib.bp_add(a, lib.bp_mul(d, weight) if isinstance(weight, Tensor) else lib.bp_scale(d, weight))


@of("addcmul")
def addcmul(lib, x, a, b, value=1):
    return lib.bp_add(x, lib.bp_scale(lib.bp_mul(a, b), value))


@of("addcdiv")
def addcdiv(lib, x, a, b, value=1):
    return lib.bp_add(x, lib.bp_scale(lib.bp_div(a, b), value))


@of("logaddexp")
def logaddexp(lib, a, b):
    return lib.bp_add(lib.bp_maximum(a, b), lib.bp_log1p(lib.bp_exp(lib.bp_neg(lib.bp_abs(lib.bp_sub(a, b))))))


# --- one operand and numbers ----------------------------------------------------------------------

OPS |= {
    "exp2": lambda lib, x: lib.bp_exp(lib.bp_scale(x, math.log(2))),
    "log2": lambda lib, x: lib.bp_scale(lib.bp_log(x), 1 / math.log(2)),
    "log10": lambda lib, x: lib.bp_scale(lib.bp_log(x), 1 / math.log(10)),
    "tan": lambda lib, x: lib.bp_div(lib.bp_sin(x), lib.bp_cos(x)),
    "sinh": lambda lib, x: lib.bp_scale(lib.bp_sub(lib.bp_expm1(x), lib.bp_expm1(lib.bp_neg(x))), 0.5),
    "cosh": lambda lib, x: lib.bp_scale(lib.bp_add(lib.bp_exp(x), lib.bp_exp(lib.bp_neg(x))), 0.5),
    "atanh": lambda lib, x: lib.bp_scale(lib.bp_sub(lib.bp_log1p(x), lib.bp_log1p(lib.bp_neg(x))), 0.5),
    "erfc": lambda lib, x: lib.bp_scale(lib.bp_normal_cdf(lib.bp_scale(x, -math.sqrt(2))), 2),
    "deg2rad": lambda lib, x: lib.bp_scale(x, math.pi / 180), "rad2deg": lambda lib, x: lib.bp_scale(x, 180 / math.pi),
    "nn.functional.elu": lambda lib, x, alpha=1.0, inplace=False: lib.bp_elu(x, alpha),
    "nn.functional.selu": lambda lib, x, inplace=False: lib.bp_scale(lib.bp_elu(x, 1.6732632423543772848170429916717), 1.0507009873554804934193349852946),
    "nn.functional.celu": lambda lib, x, alpha=1.0, inplace=False: lib.bp_scale(lib.bp_elu(lib.bp_scale(x, 1 / alpha), 1.0), alpha),
    "nn.functional.leaky_relu": lambda lib, x, negative_slope=0.01, inplace=False: lib.bp_leaky_relu(x, negative_slope),
    "nn.functional.gelu": lambda lib, x, approximate="none": lib.bp_gelu(x) if approximate == "none" else lib.bp_gelu_tanh(x),
    "nn.functional.mish": lambda lib, x, inplace=False: lib.bp_mul(x, lib.bp_tanh(lib.bp_softplus(x))),
    "nn.functional.softsign": lambda lib, x: lib.bp_div(x, lib.bp_shift(lib.bp_abs(x), 1)),
    "nn.functional.tanhshrink": lambda lib, x: lib.bp_sub(x, lib.bp_tanh(x)),
    "nn.functional.hardtanh": lambda lib, x, min_val=-1.0, max_val=1.0, inplace=False: lib.bp_clamp(x, min_val, max_val),
    "nn.functional.relu6": lambda lib, x, inplace=False: lib.bp_clamp(x, 0, 6),
    "nn.functional.hardsigmoid": lambda lib, x, inplace=False: lib.bp_clamp(lib.bp_shift(lib.bp_scale(x, 1 / 6), 0.5), 0, 1),
}


@of("nn.functional.softplus")
def softplus(lib, x, beta=1, threshold=20):
    """PyTorch is x itself beyond the threshold: e^-20 of it."""
    if threshold < 20:
        absent("a low threshold")
    return lib.bp_scale(lib.bp_softplus(lib.bp_scale(x, beta)), 1 / beta)


@of("clamp")
def clamp(lib, x, min=None, max=None):
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        x = x if min is None else lib.bp_maximum(x, number(lib, min, x))
        return x if max is None else lib.bp_minimum(x, number(lib, max, x))
    return lib.bp_clamp(x, -math.inf if min is None else min, math.inf if max is None else max)


OPS["clamp_min"] = lambda lib, x, bound: clamp(lib, x, bound)
OPS["clamp_max"] = lambda lib, x, bound: clamp(lib, x, None, bound)

# --- comparisons ----------------------------------------------------------------------------------


def compared(name):
    return lambda lib, a, b: getattr(lib, f"bp_{name}")(*pair(lib, a, b))


OPS |= {"eq": compared("equal"), "ne": compared("not_equal"), "lt": compared("less"), "le": compared("less_equal"),
        "gt": compared("greater"), "ge": compared("greater_equal"),
        "isnan": lambda lib, x: lib.bp_not_equal(x, x),
        "isinf": lambda lib, x: lib.bp_equal(lib.bp_abs(x), number(lib, math.inf, x)),
        "isfinite": lambda lib, x: lib.bp_less(lib.bp_abs(x), number(lib, math.inf, x)),
        "where": lambda lib, a, c, b: lib.bp_where(c, *pair(lib, a, b)),
        "masked_fill": lambda lib, x, mask, value: lib.bp_where(mask, number(lib, value, x), x)}
del OPS["fmax"], OPS["fmin"]

# --- reductions -----------------------------------------------------------------------------------


def axes_of(dim):
    return None if dim is None or dim in ([], ()) else [dim] if isinstance(dim, int) else list(dim)


def reduced(name):
    def f(lib, x, dim=None, keepdim=False, dtype=None):
        if dtype is not None:
            absent("another dtype")
        return getattr(lib, name)(x, lib.axes(x, axes_of(dim)), keepdim)
    return f


OPS |= {"sum": reduced("bp_sum_axes"), "mean": reduced("bp_mean_axes"), "amax": reduced("bp_max_axes"),
        "amin": reduced("bp_min_axes"), "logsumexp": reduced("bp_logsumexp_axes"), "all": reduced("bp_all_axes"),
        "any": reduced("bp_any_axes"), "prod": reduced("bp_prod_axes"), "count_nonzero": reduced("bp_count_nonzero_axes")}


@of("std", "var")
def deviation(lib, x, dim=None, unbiased=True, keepdim=False, *, correction=None, name=None):
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased else 0
    if correction not in (0, 1):
        absent("a correction that is neither 0 nor 1")
    return getattr(lib, name)(x, lib.axes(x, axes_of(dim)), int(correction), keepdim)


OPS |= {"std": lambda *a, **k: deviation(*a, **k, name="bp_std_axes"), "var": lambda *a, **k: deviation(*a, **k, name="bp_variance_axes")}


def with_mean(name):
    def f(lib, x, dim=None, unbiased=True, keepdim=False, **k):
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        return [OPS[name](lib, x, dim, unbiased, keepdim, **k), OPS["mean"](lib, x, dim, keepdim)]
    return f


OPS |= {"std_mean": with_mean("std"), "var_mean": with_mean("var")}


@of("norm", "linalg.vector_norm", "linalg.norm", "linalg.matrix_norm")
def norm(lib, x, p=2, dim=None, keepdim=False, dtype=None, ord=None):
    p = ord if ord is not None else p
    if dtype is not None or p not in (None, 1, 2, math.inf, -math.inf, "fro"):
        absent("another dtype or another p")
    mask = lib.axes(x, axes_of(dim))
    if p in (math.inf, -math.inf):
        return getattr(lib, "bp_max_axes" if p > 0 else "bp_min_axes")(lib.bp_abs(x), mask, keepdim)
    return getattr(lib, "bp_norm_l1_axes" if p == 1 else "bp_norm_l2_axes")(x, mask, keepdim)


@of("linalg.norm", "linalg.matrix_norm")
def matrix_norm(lib, x, ord=None, dim=None, keepdim=False, dtype=None):
    """A norm of a matrix is not the norm of its elements, but for Frobenius'."""
    matrix = (len(lib.shape(x)) if dim is None else len(axes_of(dim))) > 1
    if matrix and ord not in (None, "fro") or ord is None and dim is None and len(lib.shape(x)) > 2:
        absent("a norm of matrices")
    return norm(lib, x, 2 if ord is None else ord, dim, keepdim, dtype)


def placed(name):
    def f(lib, x, dim=None, keepdim=False):
        if dim is None or not len(lib.shape(x)):
            y = getattr(lib, name)(reshape(lib, x, [-1]), 0)
            return reshape(lib, y, [1] * len(lib.shape(x))) if keepdim else y
        y = getattr(lib, name)(x, dim % len(lib.shape(x)))
        return unsqueeze(lib, y, [dim]) if keepdim else y
    return f


OPS |= {"argmax": placed("bp_argmax"), "argmin": placed("bp_argmin")}


def extreme(name, two):
    """max and min: of everything, of two tensors, or along an axis with the places: then the gradient is the first's alone."""
    def f(lib, x, dim=None, keepdim=False, other=None):
        if isinstance(dim, Tensor) or other is not None:
            return getattr(lib, two)(x, dim if other is None else other)
        if dim is None:
            return getattr(lib, f"bp_{name}")(x)
        if not len(lib.shape(x)):
            absent("an axis of a scalar")
        places = OPS[f"arg{name}"](lib, x, dim, True)
        y = lib.bp_take_along(x, dim, places)
        return [t if keepdim else squeeze(lib, t, [dim]) for t in (y, places)]
    return f


OPS |= {"max": extreme("max", "bp_maximum"), "min": extreme("min", "bp_minimum")}


@of("aminmax")
def aminmax(lib, x, dim=None, keepdim=False):
    return [OPS[name](lib, x, dim, keepdim) for name in ("amin", "amax")]


@of("cumsum")
def cumsum(lib, x, dim, dtype=None):
    if not len(lib.shape(x)):
        return same(lib, x)
    return lib.bp_cumsum(x, dim % len(lib.shape(x)), 0)


@of("topk")
def topk(lib, x, k, dim=-1, largest=True, sorted=True):
    n = len(lib.shape(x)) - 1
    if n < 0:
        absent("an axis of a scalar")
    dim %= n + 1
    x = x if dim == n else lib.bp_transpose(x, dim, n)
    if not largest:
        absent("the least")
    y = lib.bp_topk(x, k)
    return y if dim == n else [lib.bp_transpose(t, dim, n) for t in y]
