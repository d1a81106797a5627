"""ONNX's attention and recurrent cells as calls of the library, for onnx_ops.OPS."""

import math

import numpy as np

from calls import absent, concat, permute, reshape, split, squeeze, unsqueeze
from onnx_ops import DTYPES, OPS, of

# --- attention ------------------------------------------------------------------------------------


def attention_bias(n, t, s, past):
    """What is added to the scores, made of what a case gives as a mask, or None; and whether
    BP_CAUSAL says all of it."""
    offset = past if past is not None else 0
    if n.has(6):
        offset = n.host(6).reshape(-1, 1, 1, 1) - t
    i, j = np.arange(t).reshape(-1, 1) + offset, np.arange(s)
    allowed, bias = np.ones((1, 1), bool), 0.0
    if n("is_causal", 0):
        allowed = allowed & (j <= i)
    if n("left_window_size", -1) >= 0:
        allowed = allowed & (i - j <= n("left_window_size"))
    if n("right_window_size", -1) >= 0:
        allowed = allowed & (j - i <= n("right_window_size"))
    if n.has(6):
        allowed = allowed & (j < n.host(6).reshape(-1, 1, 1, 1))
    if n.has(3):
        mask = n.host(3)
        short = s - mask.shape[-1]
        if mask.dtype == np.bool_:
            allowed = allowed & np.pad(mask, [(0, 0)] * (mask.ndim - 1) + [(0, short)])
        else:
            bias = np.pad(mask, [(0, 0)] * (mask.ndim - 1) + [(0, short)], constant_values=-np.inf)
    if allowed.all() and not n.has(3):
        return None, False
    alone = (
        bool(n("is_causal", 0))
        and not n.has(3)
        and not n.has(6)
        and not past
        and n("left_window_size", -1) < 0
        and n("right_window_size", -1) < 0
    )
    return np.where(allowed, bias, -np.inf), alone


@of("Attention")
def attention(n):
    lib, flat = n.lib, len(n.shape()) == 3
    q, k, v = n[0], n[1], n[2]
    if flat:
        q, k, v = (
            permute(lib, reshape(lib, x, [*lib.shape(x)[:2], n(h), -1]), [0, 2, 1, 3])
            for x, h in ((q, "q_num_heads"), (k, "kv_num_heads"), (v, "kv_num_heads"))
        )
    past = n.shape(4)[2] if n.has(4) else None
    if past is not None:
        k, v = concat(lib, [n[4], k], 2), concat(lib, [n[5], v], 2)
    out = [k, v]
    if lib.shape(k)[1] != lib.shape(q)[1]:
        k, v = (lib.bp_repeat(x, 1, lib.shape(q)[1] // lib.shape(x)[1]) for x in (k, v))
    t, s, scale = lib.shape(q)[2], lib.shape(k)[2], n("scale", 1 / math.sqrt(lib.shape(q)[3]))
    bias, causal = attention_bias(n, t, s, past)
    mask = None if bias is None or causal else lib.bp_cast(lib.tensor(bias), lib.dtype(q))
    if n("softcap") or n.n_out > 3 or n("softmax_precision"):
        scores = lib.bp_scale(lib.bp_matmul(q, lib.bp_transpose(k, 2, 3)), scale)
        if n("softcap"):
            scores = lib.bp_scale(lib.bp_tanh(lib.bp_scale(scores, 1 / n("softcap"))), n("softcap"))
        mask = lib.bp_cast(lib.tensor(bias), lib.dtype(q)) if causal else mask
        biased = scores if mask is None else lib.bp_add(scores, mask)
        precision = DTYPES.get(
            n("softmax_precision", 1 if lib.dtype(q) == lib.BP_F32 else 11)
        ) or absent("softmax_precision")
        weights = lib.bp_cast(
            lib.bp_attention_weights(lib.bp_cast(biased, getattr(lib, precision)), 0), lib.dtype(q)
        )
        y = lib.bp_matmul(weights, v)
        out.append({0: scores, 1: scores, 2: biased, 3: weights}[n("qk_matmul_output_mode", 0)])
    elif mask is None:
        y = lib.bp_attention(q, k, v, lib.BP_CAUSAL if causal else 0, scale)
    else:
        y = lib.bp_attention_masked(q, k, v, mask, 0, scale)
    if flat:
        y = permute(lib, y, [0, 2, 1, 3])
        y = reshape(lib, y, [*lib.shape(y)[:2], -1])
    return [y, *out]


@of("RotaryEmbedding")
def rotary(n):
    """Pairs of the first `rotary_embedding_dim` elements are turned by the angles of their
    position."""
    lib, x, flat = n.lib, n[0], len(n.shape()) == 3
    if flat:
        x = reshape(lib, x, [*n.shape()[:2], n("num_heads"), -1])
    else:
        x = permute(lib, x, [0, 2, 1, 3])  # [B, T, H, D]
    d = n("rotary_embedding_dim", 0) or lib.shape(x)[-1]
    rest = lib.bp_slice(x, -1, d, 2**62, 1) if d < lib.shape(x)[-1] else None
    x = lib.bp_slice(x, -1, 0, d, 1)
    cos, sin = (lib.bp_take(n[i], 0, n[3]) if n.has(3) else n[i] for i in (1, 2))
    cos, sin = (unsqueeze(lib, lib.bp_slice(t, -1, 0, d // 2, 1), [2]) for t in (cos, sin))
    pairs = reshape(
        lib, x, [*lib.shape(x)[:-1], *((d // 2, 2) if n("interleaved", 0) else (2, d // 2))]
    )
    axis = len(lib.shape(pairs)) - (1 if n("interleaved", 0) else 2)
    a, b = (squeeze(lib, t, [axis]) for t in split(lib, pairs, [1, 1], axis))
    turned = [
        lib.bp_sub(lib.bp_mul(a, cos), lib.bp_mul(b, sin)),
        lib.bp_add(lib.bp_mul(a, sin), lib.bp_mul(b, cos)),
    ]
    y = reshape(lib, lib.bp_stack(turned, 2, axis), lib.shape(x))
    y = y if rest is None else concat(lib, [y, rest], -1)
    return reshape(lib, y, n.shape()) if flat else permute(lib, y, [0, 2, 1, 3])


# --- recurrent cells ------------------------------------------------------------------------------


def recurrent(n, gates, cell):
    """cell(lib, x, h, c, w, r, [b of w, b of r]) -> (h, c), over time and directions; c may be
    None."""
    lib, layout = n.lib, n("layout", 0)
    if n("clip") or n("activations") or n.has(7) and np.any(n.host(7)) or n.has(4):
        absent("clipping, other activations, peepholes or lengths")
    x = lib.bp_transpose(n[0], 0, 1) if layout else n[0]
    steps, batch, size, ways = lib.shape(x)[0], lib.shape(x)[1], n("hidden_size"), n.shape(1)[0]
    zeros = lib.bp_full(lib.dtype(x), [batch, size], 0.0)
    of_way = lambda i, way: squeeze(lib, lib.bp_slice(n[i], 0, way, way + 1, 1), [0])  # noqa: E731
    over, last_h, last_c = [], [], []
    for way in range(ways):
        w, r = of_way(1, way), of_way(2, way)
        b = (
            split(lib, of_way(3, way), [gates * size] * 2, 0)
            if n.has(3)
            else [lib.bp_full(lib.dtype(x), [gates * size], 0.0)] * 2
        )
        h = of_way(5, way) if n.has(5) else zeros
        c = of_way(6, way) if n.has(6) else zeros
        back, ys = n("direction", "forward") == "reverse" or way == 1, []
        for t in range(steps)[::-1] if back else range(steps):
            h, c = cell(lib, squeeze(lib, lib.bp_slice(x, 0, t, t + 1, 1), [0]), h, c, w, r, b)
            ys.append(h)
        over.append(lib.bp_stack(ys[::-1] if back else ys, steps, 0))
        last_h.append(h)
        last_c.append(c)
    y = lib.bp_stack(over, ways, 2 if layout else 1)  # [T, ways, N, H], or [N, T, ways, H]
    y = permute(lib, lib.bp_stack(over, ways, 0), [2, 1, 0, 3]) if layout else y
    return [y, *(lib.bp_stack(last, ways, 1 if layout else 0) for last in (last_h, last_c))]


def rnn_cell(lib, x, h, c, w, r, b):
    a = lib.bp_add(lib.bp_linear(x, w, b[0]), lib.bp_linear(h, r, b[1]))
    return lib.bp_tanh(a), c


OPS["RNN"] = lambda n: recurrent(n, 1, rnn_cell)[:2]


def ordered(lib, t, parts, order):
    """The `parts` equal parts of axis 0, in another order: PyTorch's, which is ours, of ONNX's."""
    pieces = split(lib, t, [lib.shape(t)[0] // parts] * parts, 0)
    return concat(lib, [pieces[i] for i in order], 0)


def lstm_cell(lib, x, h, c, w, r, b):
    w, r, *b = (
        ordered(lib, t, 4, (0, 2, 3, 1)) for t in (w, r, *b)
    )  # i, o, f, c there; i, f, g, o here
    return lib.bp_lstm_cell(x, h, c, w, r, *b)


def gru_cell(lib, x, h, c, w, r, b):
    w, r, *b = (ordered(lib, t, 3, (1, 0, 2)) for t in (w, r, *b))  # z, r, h there; r, z, n here
    return lib.bp_gru_cell(x, h, w, r, *b), c


def gru_cell_reset_first(lib, x, h, c, w, r, b):
    """ONNX's default: the reset gate acts before the product, which no cell of ours does."""
    (wz, wr, wh), (rz, rr, rh), (bz, br, bh), (cz, cr, ch) = (
        split(lib, t, [lib.shape(t)[0] // 3] * 3, 0) for t in (w, r, *b)
    )
    z = lib.bp_sigmoid(lib.bp_add(lib.bp_linear(x, wz, bz), lib.bp_linear(h, rz, cz)))
    reset = lib.bp_sigmoid(lib.bp_add(lib.bp_linear(x, wr, br), lib.bp_linear(h, rr, cr)))
    m = lib.bp_tanh(
        lib.bp_add(lib.bp_linear(x, wh, bh), lib.bp_linear(lib.bp_mul(reset, h), rh, ch))
    )
    return lib.bp_add(m, lib.bp_mul(z, lib.bp_sub(h, m))), c


OPS["LSTM"] = lambda n: recurrent(n, 4, lstm_cell)
OPS["GRU"] = lambda n: recurrent(
    n, 3, gru_cell if n("linear_before_reset") else gru_cell_reset_first
)[:2]
