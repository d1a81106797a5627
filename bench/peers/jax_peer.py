#!/usr/bin/env python3
"""The rows of bench_device.c and bench_step.c in JAX: jit, and many steps in one lax.scan. Adam is
optax's formula, written out, so that optax need not be there. Strict f32, except in rows named so.

    jax_peer.py [--device cuda:0] [--phase kernels|steps] [--dump FILE] [--quick]
"""
import os

import rows

options = rows.arguments("jax")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
if options.device == "cpu":
    os.environ["JAX_PLATFORMS"] = "cpu"
try:
    import jax
    import jax.numpy as jnp
    import numpy
except ImportError:
    rows.not_run(options, "no jax")
if options.device != "cpu" and jax.default_backend() != "gpu":
    rows.not_run(options, "jax %s sees no GPU" % jax.__version__)


def report(name, mode, run):
    row = {"row": name, "who": "jax " + jax.__version__, "mode": mode}
    try:
        precision = "tensorfloat32" if name.endswith("TF32") else "highest"
        with jax.default_matmul_precision(precision):
            row.update(run())
    except Exception as error:  # a row that a peer cannot do must not cost the others
        row["not_run"] = repr(error)[:200]
    rows.emit(**row)


def adam(params, m, v, t, g, rate):
    """One step of Adam over lists; t is the step's number, from 1."""
    m = [0.9 * a + 0.1 * b for a, b in zip(m, g)]
    v = [0.999 * a + 0.001 * b * b for a, b in zip(v, g)]
    params = [p - rate * (a / (1 - 0.9 ** t)) / (jnp.sqrt(b / (1 - 0.999 ** t)) + 1e-8)
              for p, a, b in zip(params, m, v)]
    return params, m, v


def cross_entropy(logits, labels):
    logp = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(logp, labels[:, None], axis=1).mean()


# --- kernels ----------------------------------------------------------------------------------

def dropout(x):
    kept = jax.random.bernoulli(jax.random.key(1), 1 - rows.DROPOUT, x.shape)
    return jnp.where(kept, x / (1 - rows.DROPOUT), 0)


OPS = {"relu": jax.nn.relu, "dropout": dropout, "log_softmax": jax.nn.log_softmax,
       "bias": jnp.add, "cross_entropy": cross_entropy, "product": jnp.matmul}


def uniform(shape, seed=0):
    return jax.random.uniform(jax.random.key(seed), shape, minval=-0.5, maxval=0.5)


def timed(function, calls_of_arguments):
    """The results are kept until the next call, which is what a wait waits for."""
    last = {}

    def call(arguments):
        last["result"] = function(*arguments)
    return rows.timing([lambda a=a: call(a) for a in calls_of_arguments],
                       lambda: jax.block_until_ready(last.get("result")), options.quick)


def adam_row(row):
    g = [uniform(s, i) for i, s in enumerate(row.size)]
    update = jax.jit(lambda p, m, v, t, g: (*adam(p, m, v, t, g, 1e-12), t + 1),
                     donate_argnums=(0, 1, 2, 3))
    state = [[jnp.zeros_like(a) for a in g] for _ in range(3)] + [jnp.float32(1)]

    def call():
        state[:] = update(*state, g)
    return rows.timing([call], lambda: jax.block_until_ready(state), options.quick)


def gather_row(row):
    table = jax.random.randint(jax.random.key(0), row.size, 0, 256, jnp.uint8)
    index = [jax.random.randint(jax.random.key(i), (128,), 0, row.size[0])
             for i in range(rows.BUFFERS)]
    shift, scale = uniform((row.size[1],), 1), uniform((row.size[1],), 2)
    batches = jax.jit(lambda i: (table[i].astype(jnp.float32) - shift) * scale)
    return timed(batches, [(i,) for i in index])


def op_row(row):
    op = OPS[row.kind]
    x = [uniform(row.size, i) for i in range(rows.BUFFERS)]
    if row.kind == "product":
        return timed(jax.jit(op), list(zip(x, x[1:] + x[:1])))
    more = []
    if row.kind == "bias":
        more = [uniform((row.size[1],), 9)]
    if row.kind == "cross_entropy":
        more = [jax.random.randint(jax.random.key(9), (row.size[0],), 0, row.size[1])]
        return timed(jax.jit(jax.value_and_grad(op)), [(a, *more) for a in x])
    if row.way == "forward":
        return timed(jax.jit(op), [(a, *more) for a in x])
    dy = uniform(row.size, 8)
    place = 1 if row.kind == "bias" else 0

    def both(*inputs):
        y, back = jax.vjp(op, *inputs)
        return y, back(dy)[place]
    return timed(jax.jit(both), [(a, *more) for a in x])


def kernels():
    special = {"adam": adam_row, "gather": gather_row}
    for row in rows.kernel_rows(options.quick):
        if row.kind != "copy":
            report(row.name, "jit", lambda: special.get(row.kind, op_row)(row))


# --- steps ------------------------------------------------------------------------------------

def step(start):
    shape, x, labels, layers, ours = start
    x = jnp.asarray(numpy.array(x, numpy.float32).reshape(shape.batch, -1))
    labels = jnp.asarray(numpy.array(labels, numpy.int32))
    params = []
    for (w, b), i, o in zip(layers, shape.sizes, shape.sizes[1:]):
        params += [jnp.asarray(numpy.array(w, numpy.float32).reshape(o, i)),
                   jnp.asarray(numpy.array(b, numpy.float32))]

    def loss_of(params, x, labels):
        for i in range(0, len(params), 2):
            x = (x if i == 0 else jax.nn.relu(x)) @ params[i].T + params[i + 1]
        return cross_entropy(x, labels)

    def many(state, x, labels):
        def one(state, _):
            params, m, v, t = state
            loss, g = jax.value_and_grad(loss_of)(params, x, labels)
            return (*adam(params, m, v, t, g, 1e-3), t + 1), loss
        return jax.lax.scan(one, state, None, length=rows.EQUAL_STEPS)
    many = jax.jit(many, donate_argnums=0)
    state, losses = many((params, [jnp.zeros_like(p) for p in params],
                          [jnp.zeros_like(p) for p in params], jnp.float32(1)), x, labels)
    loss, last = float(losses[-1]), {"state": state}

    def call():
        last["state"] = many(last["state"], x, labels)[0]
    result = rows.timing([call], lambda: jax.block_until_ready(last["state"]), options.quick,
                         rows.EQUAL_STEPS)
    return {**result, "loss": loss, "agree": rows.agrees(loss, ours, shape.tf32)}


def steps():
    for start in rows.read_dump(options.dump, rows.step_rows(options.quick)):
        report(start[0].name, "jit+scan", lambda: step(start))


kernels() if options.phase == "kernels" else steps()
