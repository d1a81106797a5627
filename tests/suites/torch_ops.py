"""PyTorch's operators as calls of the library: OPS[name](lib, input, *args, **kwargs) gives a
tensor or a list of them. Here those on elements; torch_*.py have the others."""

import math

from calls import absent, number, reshape, split
from library import Tensor

# Why an operator is not here, by the beginning of its name.
NONE = [
    ("linalg.", "linear algebra"),
    ("cholesky", "linear algebra"),
    ("lu", "linear algebra"),
    ("svd", "linear algebra"),
    ("pca", "linear algebra"),
    ("ormqr", "linear algebra"),
    ("geqrf", "linear algebra"),
    ("triangular", "linear algebra"),
    ("logdet", "linear algebra"),
    ("matrix_exp", "linear algebra"),
    ("pinverse", "linear algebra"),
    ("fft.", "Fourier transforms"),
    ("stft", "Fourier transforms"),
    ("istft", "Fourier transforms"),
    ("special.", "special functions"),
    ("igamma", "special functions"),
    ("lgamma", "special functions"),
    ("polygamma", "special functions"),
    ("mvlgamma", "special functions"),
    ("digamma", "special functions"),
    ("i0", "special functions"),
    ("erfinv", "special functions"),
    ("signal.", "windows"),
    ("masked.", "masked tensors"),
    ("nn.functional.conv", "convolution"),
    ("nn.functional.unfold", "convolution"),
    ("nn.functional.max_", "pooling"),
    ("nn.functional.avg_", "pooling"),
    ("nn.functional.adaptive", "pooling"),
    ("nn.functional.fractional", "pooling"),
    ("max_pool", "pooling"),
    ("nn.functional.interp", "images"),
    ("nn.functional.grid", "images"),
    ("nn.functional.upsample", "images"),
    ("nn.functional.pixel", "images"),
    ("grid_sampler", "images"),
    ("_upsample", "images"),
    ("bitwise", "integers and bits"),
    ("gcd", "integers and bits"),
    ("lcm", "integers and bits"),
    ("__r", "integers and bits"),
    ("rand", "PyTorch's own random numbers"),
    ("normal", "PyTorch's own random numbers"),
    ("bernoulli", "PyTorch's own random numbers"),
    ("cauchy", "PyTorch's own random numbers"),
    ("exponential", "PyTorch's own random numbers"),
    ("geometric", "PyTorch's own random numbers"),
    ("log_normal", "PyTorch's own random numbers"),
    ("uniform", "PyTorch's own random numbers"),
    ("multinomial", "PyTorch's own random numbers"),
    ("nn.functional.rrelu", "PyTorch's own random numbers"),
    ("nn.functional.dropout", "PyTorch's own random numbers"),
    ("nn.functional.alpha_dropout", "PyTorch's own random numbers"),
    ("nn.functional.feature_alpha", "PyTorch's own random numbers"),
    ("native_dropout", "PyTorch's own random numbers"),
    ("complex", "complex numbers"),
    ("conj", "complex numbers"),
    ("real", "complex numbers"),
    ("imag", "complex numbers"),
    ("angle", "complex numbers"),
    ("polar", "complex numbers"),
    ("view_as_", "complex numbers"),
    ("resolve", "complex numbers"),
    ("sparse", "sparse tensors"),
    ("to_sparse", "sparse tensors"),
    ("torch.", "PyTorch's own kernels"),
    ("_", "PyTorch's own kernels"),
    ("jiterator", "PyTorch's own kernels"),
]

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


for (
    name
) in (
    "abs neg exp expm1 log log1p sqrt rsqrt reciprocal square sign sin cos tanh sigmoid erf".split()
):
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


OPS |= {
    "add": binary("bp_add"),
    "sub": binary("bp_sub"),
    "mul": binary("bp_mul"),
    "div": binary("bp_div"),
    "true_divide": binary("bp_div"),
    "maximum": binary("bp_maximum"),
    "minimum": binary("bp_minimum"),
    "__radd__": binary("bp_add", True),
    "__rsub__": binary("bp_sub", True),
    "__rmul__": binary("bp_mul", True),
    "__rdiv__": binary("bp_div", True),
    "fmax": None,
    "fmin": None,
}


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
    return lib.bp_add(
        a, lib.bp_mul(d, weight) if isinstance(weight, Tensor) else lib.bp_scale(d, weight)
    )


@of("addcmul")
def addcmul(lib, x, a, b, value=1):
    return lib.bp_add(x, lib.bp_scale(lib.bp_mul(a, b), value))


@of("addcdiv")
def addcdiv(lib, x, a, b, value=1):
    return lib.bp_add(x, lib.bp_scale(lib.bp_div(a, b), value))


@of("logaddexp")
def logaddexp(lib, a, b):
    return lib.bp_add(
        lib.bp_maximum(a, b), lib.bp_log1p(lib.bp_exp(lib.bp_neg(lib.bp_abs(lib.bp_sub(a, b)))))
    )


# --- one operand and numbers ----------------------------------------------------------------------

OPS |= {
    "exp2": lambda lib, x: lib.bp_exp(lib.bp_scale(x, math.log(2))),
    "log2": lambda lib, x: lib.bp_scale(lib.bp_log(x), 1 / math.log(2)),
    "log10": lambda lib, x: lib.bp_scale(lib.bp_log(x), 1 / math.log(10)),
    "tan": lambda lib, x: lib.bp_div(lib.bp_sin(x), lib.bp_cos(x)),
    "sinh": lambda lib, x: lib.bp_scale(
        lib.bp_sub(lib.bp_expm1(x), lib.bp_expm1(lib.bp_neg(x))), 0.5
    ),
    "cosh": lambda lib, x: lib.bp_scale(lib.bp_add(lib.bp_exp(x), lib.bp_exp(lib.bp_neg(x))), 0.5),
    "atanh": lambda lib, x: lib.bp_scale(
        lib.bp_sub(lib.bp_log1p(x), lib.bp_log1p(lib.bp_neg(x))), 0.5
    ),
    "erfc": lambda lib, x: lib.bp_scale(lib.bp_normal_cdf(lib.bp_scale(x, -math.sqrt(2))), 2),
    "deg2rad": lambda lib, x: lib.bp_scale(x, math.pi / 180),
    "rad2deg": lambda lib, x: lib.bp_scale(x, 180 / math.pi),
    "nn.functional.elu": lambda lib, x, alpha=1.0, inplace=False: lib.bp_elu(x, alpha),
    "nn.functional.selu": lambda lib, x, inplace=False: lib.bp_scale(
        lib.bp_elu(x, 1.6732632423543772848170429916717), 1.0507009873554804934193349852946
    ),
    "nn.functional.celu": lambda lib, x, alpha=1.0, inplace=False: lib.bp_scale(
        lib.bp_elu(lib.bp_scale(x, 1 / alpha), 1.0), alpha
    ),
    "nn.functional.leaky_relu": lambda lib, x, negative_slope=0.01, inplace=False: (
        lib.bp_leaky_relu(x, negative_slope)
    ),
    "nn.functional.gelu": lambda lib, x, approximate="none": (
        lib.bp_gelu(x) if approximate == "none" else lib.bp_gelu_tanh(x)
    ),
    "nn.functional.mish": lambda lib, x, inplace=False: lib.bp_mish(x),
    "nn.functional.softsign": lambda lib, x: lib.bp_div(x, lib.bp_shift(lib.bp_abs(x), 1)),
    "nn.functional.tanhshrink": lambda lib, x: lib.bp_sub(x, lib.bp_tanh(x)),
    "nn.functional.hardtanh": lambda lib, x, min_val=-1.0, max_val=1.0, inplace=False: lib.bp_clamp(
        x, min_val, max_val
    ),
    "nn.functional.relu6": lambda lib, x, inplace=False: lib.bp_clamp(x, 0, 6),
    "nn.functional.hardsigmoid": lambda lib, x, inplace=False: lib.bp_hard_sigmoid(x),
    "nn.functional.hardswish": lambda lib, x, inplace=False: lib.bp_mul(x, lib.bp_hard_sigmoid(x)),
    "nn.functional.threshold": lambda lib, x, threshold, value, inplace=False: lib.bp_where(
        lib.bp_threshold(x, threshold), x, number(lib, value, x)
    ),
    "nn.functional.hardshrink": lambda lib, x, lambd=0.5: lib.bp_mul(
        x, lib.bp_threshold(lib.bp_abs(x), lambd)
    ),
    "nn.functional.softshrink": lambda lib, x, lambd=0.5: lib.bp_sub(
        x, lib.bp_clamp(x, -lambd, lambd)
    ),
    "nn.functional.glu": lambda lib, x, dim=-1: lib.bp_mul(
        *[
            f(t)
            for f, t in zip(
                (lambda t: t, lib.bp_sigmoid), split(lib, x, [lib.shape(x)[dim] // 2] * 2, dim)
            )
        ]
    ),
    "logit": lambda lib, x, eps=None: (
        absent("a clamp") if eps else lib.bp_sub(lib.bp_log(x), lib.bp_log1p(lib.bp_neg(x)))
    ),
}


@of("nn.functional.prelu")
def prelu(lib, x, weight):
    n = len(lib.shape(x))
    weight = reshape(lib, weight, [-1] + [1] * (n - 2) if n > 1 else [1] * n)
    return lib.bp_add(lib.bp_relu(x), lib.bp_mul(weight, lib.bp_sub(x, lib.bp_relu(x))))


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


OPS |= {
    "eq": compared("equal"),
    "ne": compared("not_equal"),
    "lt": compared("less"),
    "le": compared("less_equal"),
    "gt": compared("greater"),
    "ge": compared("greater_equal"),
    "isnan": lambda lib, x: lib.bp_not_equal(x, x),
    "isinf": lambda lib, x: lib.bp_equal(lib.bp_abs(x), number(lib, math.inf, x)),
    "isfinite": lambda lib, x: lib.bp_less(lib.bp_abs(x), number(lib, math.inf, x)),
    "where": lambda lib, a, c, b: where(lib, c, *pair(lib, a, b)),
    "masked_fill": lambda lib, x, mask, value: where(lib, mask, number(lib, value, x), x),
    "logical_and": compared("logical_and"),
    "logical_or": compared("logical_or"),
    "logical_not": lambda lib, x: lib.bp_logical_not(x),
    "logical_xor": lambda lib, a, b: lib.bp_not_equal(lib.bp_logical_not(a), lib.bp_logical_not(b)),
}


@of("nan_to_num")
def nan_to_num(lib, x, nan=None, posinf=None, neginf=None):
    most = 1.7976931348623157e308
    y = where(lib, lib.bp_equal(x, x), x, lib.number(nan or 0.0, x))
    for inf, value in (
        (math.inf, most if posinf is None else posinf),
        (-math.inf, -most if neginf is None else neginf),
    ):
        y = where(lib, lib.bp_equal(x, lib.number(inf, x)), lib.number(value, x), y)
    return y


def where(lib, c, a, b):
    return lib.bp_where(lib.bp_cast(c, lib.dtype(a)), a, b)


del OPS["fmax"], OPS["fmin"]
