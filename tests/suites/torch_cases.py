"""PyTorch's own sample inputs of its operators (torch.testing's op_db), in f64: value, gradient and
second gradient of ours against PyTorch's.

    python torch_cases.py libbpcuda.so [device] [-v] [--only=operator] [--page=docs/ops.md]

An operator is a call of ours in torch_ops.py. A sample passes when every result is PyTorch's,
and so are the gradients by every input that asks for one (of the results times random numbers)
and, where PyTorch has them, the gradients of those gradients (times random numbers) by the
inputs and by what the results were multiplied with. Ends with 1 if a sample failed."""

import collections
import warnings

import numpy as np
import torch
from torch.testing._internal.common_methods_invocations import op_db

from library import Absent, Refused, asked, markers, paragraph, table
from torch_ops import NONE, OPS
import torch_index  # noqa: F401: fills OPS
import torch_losses  # noqa: F401
import torch_nets  # noqa: F401
import torch_parts  # noqa: F401
import torch_reduce  # noqa: F401

warnings.filterwarnings("ignore")

# In units of the largest number of the result, of gradients at least 1, as the numbers are that
# they are multiplied with: functions are within 3 ulp (2^-53 = 1.1e-16), the largest samples sum
# some hundred terms in another order than we do, and gradients are differences of a few products
# that cancel, second ones twice.
TOLERANCE = (1e-13, 1e-12, 1e-11)
LOOSE = {
    "nn.functional.hardsigmoid": 1e-7,
    "nn.functional.hardswish": 1e-7,
    "nn.functional.binary_cross_entropy": 1e-9,
}  # PyTorch's gradients have 1 / 6 in f32, or 1e-12 added to what they are divided by
WHAT = ("value", "gradient", "second gradient")


def leaves(of):
    """The tensors in a sample's arguments, in order."""
    if isinstance(of, torch.Tensor):
        yield of
    elif isinstance(of, dict):
        for v in of.values():
            yield from leaves(v)
    elif isinstance(of, (list, tuple)):
        for v in of:
            yield from leaves(v)


def ours(lib, of, made):
    """A sample's arguments with our tensors instead of PyTorch's; made: {id: handle} of those
    that ask for a gradient."""
    if isinstance(of, torch.Tensor):
        if of.is_sparse or of.is_complex():
            raise Absent("sparse or complex operands")
        if id(of) not in made:
            a = of.numpy(force=True)
            made[id(of)] = lib.leaf(a) if of.requires_grad else lib.tensor(a)
        return made[id(of)]
    if isinstance(of, dict):
        return {k: ours(lib, v, made) for k, v in of.items()}
    if isinstance(of, (list, tuple)):
        return type(of)(ours(lib, v, made) for v in of)
    return of


def compare(level, got, want, least=0):
    want = want.numpy(force=True)
    if got.shape != want.shape:
        raise AssertionError(f"{WHAT[level]}: shape {got.shape}, not {want.shape}")
    if (
        level == 2
    ):  # a second gradient at a point where there is none, such as a norm's at 0, may be a number
        want = np.where(np.isnan(want) & np.isfinite(got), got, want)
    finite = np.abs(want[np.isfinite(want)]) if want.dtype.kind == "f" else np.zeros(0)
    size = max(1.0 if level else 1e-3, finite.max()) if finite.size else 0
    with np.errstate(all="ignore"):
        tolerance = max(TOLERANCE[level], least)
        np.testing.assert_allclose(
            got.astype("f8"), want.astype("f8"), tolerance, tolerance * size, err_msg=WHAT[level]
        )


def random_like(t, seed):
    return torch.randn(t.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def theirs(op, s, xs, graph):
    """PyTorch's results, gradients and second gradients (None where it has none), and the random
    numbers."""
    out = [t for t in leaves(op(s.input, *s.args, **s.kwargs))]
    asks = [t for t in out if t.requires_grad]
    dys = [random_like(t, i).requires_grad_() for i, t in enumerate(asks)]
    if not xs or not asks or not op.supports_autograd:
        return out, [], None, None, None
    gs = torch.autograd.grad(asks, xs, dys, create_graph=graph, materialize_grads=True)
    ws = [random_like(g, 100 + i) for i, g in enumerate(gs)]
    total = sum((g * w).sum() for g, w in zip(gs, ws))
    hs = None
    if graph:
        hs = (
            torch.autograd.grad(total, xs + dys, materialize_grads=True)
            if total.requires_grad
            else [torch.zeros_like(t) for t in xs + dys]
        )
    return out, dys, gs, ws, hs


def weighted(lib, ys, ws):
    total = None
    for y, w in zip(ys, ws):
        part = lib.bp_sum(lib.bp_mul(y, w))
        total = part if total is None else lib.bp_add(total, part)
    return total


def run(lib, op, s, call):
    """The highest of WHAT that was compared."""
    xs = [t for t in leaves([s.input, s.args, s.kwargs]) if t.requires_grad]
    xs = list({id(t): t for t in xs}.values())
    try:
        want, dys, gs, ws, hs = theirs(op, s, xs, op.supports_gradgrad)
    except RuntimeError:  # PyTorch fails at the second gradient of some
        want, dys, gs, ws, hs = theirs(op, s, xs, False)
    with lib.scope():
        made = {}
        args = ours(lib, list(s.args), made)
        got = call(lib, ours(lib, s.input, made), *args, **ours(lib, s.kwargs, made))
        got = got if isinstance(got, list) else [got]
        if len(got) != len(want):
            raise AssertionError(f"{len(got)} results, not {len(want)}")
        for y, t in zip(got, want):
            compare(0, lib.read(y), t)
        if gs is None:
            return 0
        leaf = [made.get(id(t)) or lib.leaf(t.numpy(force=True)) for t in xs]
        dy = [lib.leaf(t.numpy(force=True)) for t in dys]
        asks = [y for y, t in zip(got, want) if t.requires_grad]
        y, seed = (
            (asks[0], dy[0])
            if len(asks) == 1
            else (weighted(lib, asks, dy), lib.tensor(np.ones(())))
        )
        dx = lib.grad(y, leaf, seed, create_graph=hs is not None)
        for g, t in zip(dx, gs):
            compare(1, lib.read(g), t, LOOSE.get(op.name, 0))
        if hs is None:
            return 1
        total = weighted(lib, dx, [lib.tensor(w.numpy()) for w in ws])
        for h, t in zip(lib.grad(total, leaf + dy, lib.tensor(np.ones(()))), hs):
            compare(2, lib.read(h), t, LOOSE.get(op.name, 0))
        return 2


def samples(op):
    torch.manual_seed(0)
    asks = op.supports_autograd and torch.float64 in op.supported_dtypes("cpu")
    return list(op.sample_inputs("cpu", torch.float64, requires_grad=asks))


def page(count, reasons, about):
    total = sum(count.values(), collections.Counter())
    missing = sorted({op.name for op in op_db} - set(count))
    passed = sum(total[w] for w in WHAT)
    text = paragraph(
        f"PyTorch {torch.__version__}, {about}: of {total.total()} samples of {len(count)} "
        f"operators {passed} pass, {total['failed']} fail, {total['absent']} are absent. Each was "
        "compared up to the highest derivative that PyTorch has of it."
    )
    whole = {name: of for name, of in count.items() if sum(of[w] for w in WHAT) == of.total()}
    for level, what in reversed(list(enumerate(WHAT))):
        names = [n for n in sorted(whole) if max(i for i in range(3) if whole[n][WHAT[i]]) == level]
        listed = ", ".join(f"{name} {whole[name].total()}" for name in names)
        if names:
            text += paragraph(f"All samples of these pass, up to the {what}: {listed}.")
    rows = [
        (
            name,
            *(count[name][w] for w in WHAT + ("failed", "absent")),
            ", ".join(f"{w} {k}" for w, k in reasons[name].most_common()),
        )
        for name in sorted(set(count) - set(whole))
    ]
    text += table(("operator",) + WHAT + ("failed", "absent", "because"), rows)
    why = collections.defaultdict(list)
    for name in missing:
        why[next((w for words, w in NONE if name.startswith(words)), "no such op")].append(name)
    text += f"\nOf the other {len(missing)} operators:\n\n"
    for reason, names in sorted(why.items()):
        text += paragraph(f"- {reason}: {', '.join(names)}").rstrip() + "\n"
    return text


def main():
    given, lib = asked()
    torch.set_num_threads(1)
    math_alone = torch.nn.attention.sdpa_kernel(
        torch.nn.attention.SDPBackend.MATH
    )  # the one with second gradients
    math_alone.__enter__()
    count, reasons = collections.defaultdict(collections.Counter), collections.defaultdict(
        collections.Counter
    )
    for op in op_db:
        if op.name not in OPS or given.only not in (None, op.name):
            continue
        if torch.float64 not in op.supported_dtypes("cpu"):
            continue
        for i, s in enumerate(samples(op)):
            try:
                count[op.name][WHAT[run(lib, op, s, OPS[op.name])]] += 1
            except Absent as e:
                count[op.name]["absent"] += 1
                reasons[op.name][str(e)] += 1
                if given.v:
                    print(f"absent {op.name} {op.variant_test_name} {i}: {e}")
            except Exception as e:  # noqa: BLE001: whatever it is, it is no pass
                if isinstance(e, Refused) and lib.of_dtype():
                    count[op.name]["absent"] += 1
                    reasons[op.name]["its dtype"] += 1
                    continue
                count[op.name]["failed"] += 1
                text = f"{type(e).__name__}: {' '.join(str(e).split())[:300]}"
                print(f"FAILED {op.name} {op.variant_test_name} {i}: {text}")
                if given.v:
                    print(f"    {s.summary()}"[:600])
    total = sum(count.values(), collections.Counter())
    print(
        ", ".join(f"{total[k]} {k}" for k in WHAT + ("failed", "absent")),
        f"in {len(count)} operators",
    )
    if given.page:
        markers(given.page, "torch", page(count, reasons, lib.about()))
    raise SystemExit(total["failed"] > 0)


main()
