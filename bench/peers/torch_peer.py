#!/usr/bin/env python3
"""The rows of bench_device.c and bench_step.c in PyTorch, at its best: fused Adam, torch.compile,
and CUDA graphs, of a whole step or of the short kernels. Strict f32, except in rows named so.

    torch_peer.py [--device cuda:0] [--phase kernels|steps] [--dump FILE] [--quick] [--modes A,B]

Modes: eager, graph, compile, compile+graph, and for G7 dataloader. The cheap ones come first, so
that a time limit costs the last ones only.
"""
import gc

import rows

options = rows.arguments("torch")
try:
    import torch
    import torch.nn.functional as F
except ImportError:
    rows.not_run(options, "no torch")
on_gpu = options.device.startswith("cuda")
if on_gpu and not torch.cuda.is_available():
    rows.not_run(options, "torch %s sees no GPU" % torch.__version__)
device = torch.device(options.device)
if on_gpu:
    torch.cuda.set_device(device)
torch.manual_seed(1)
MODES = ["eager", "graph", "compile", "compile+graph"]


def wait():
    if on_gpu:
        torch.cuda.synchronize()


def captured(work):
    """One CUDA graph of work(), after three runs of it on a side stream."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph


def report(name, mode, run):
    """run() -> the row's numbers, or a text that says why not."""
    if "graph" in mode and not on_gpu:
        return
    gc.collect()
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    row = {"row": name, "who": "torch " + torch.__version__, "mode": mode}
    torch.set_float32_matmul_precision("high" if name.endswith("TF32") else "highest")
    try:
        row.update(run())
        if on_gpu:
            row["peak_bytes"] = torch.cuda.max_memory_allocated()
    except Exception as error:  # a row that a peer cannot do must not cost the others
        row["not_run"] = repr(error)[:200]
    rows.emit(**row)


# --- kernels ----------------------------------------------------------------------------------

OPS = {"relu": F.relu, "dropout": lambda x: F.dropout(x, rows.DROPOUT),
       "log_softmax": lambda x: F.log_softmax(x, -1), "bias": torch.add,
       "cross_entropy": F.cross_entropy, "copy": lambda x, y: y.copy_(x), "product": torch.mm,
       "gather": lambda table, index, shift, scale: (table[index].float() - shift) * scale}


def adam_calls(row, graph):
    params = [torch.zeros(s, device=device, requires_grad=True) for s in row.size]
    for p in params:
        p.grad = torch.randn_like(p)
    adam = torch.optim.Adam(params, lr=1e-12, fused=True, capturable=graph)
    return [adam.step]


def gather_calls(row, wrap):
    table = torch.randint(0, 256, row.size, dtype=torch.uint8, device=device)
    index = [torch.randint(0, row.size[0], (128,), device=device) for _ in range(rows.BUFFERS)]
    shift, scale = (torch.rand(row.size[1], device=device) for _ in range(2))
    return [lambda i=i: wrap(table, i, shift, scale) for i in index]


def op_calls(row, op):
    x = [torch.rand(row.size, device=device) - 0.5 for _ in range(rows.BUFFERS)]
    if row.kind == "copy":
        return [lambda a=a, b=torch.empty_like(a): op(a, b) for a in x]
    if row.kind == "product":
        return [lambda a=a, b=b: op(a, b) for a, b in zip(x, x[1:] + x[:1])]
    more = []
    if row.kind == "bias":
        more = [torch.rand(row.size[1], device=device)]
    if row.kind == "cross_entropy":
        more = [torch.randint(0, row.size[1], (row.size[0],), device=device)]
    if row.way == "forward":
        return [lambda a=a: op(a, *more) for a in x]
    dy = None if row.kind == "cross_entropy" else torch.rand(row.size, device=device) - 0.5
    for leaf in more if row.kind == "bias" else x:
        leaf.requires_grad_()
    leaf_of = (lambda a: more[0]) if row.kind == "bias" else (lambda a: a)
    return [lambda a=a: torch.autograd.grad(op(a, *more), leaf_of(a), dy) for a in x]


def kernel(row, mode):
    op = OPS.get(row.kind)
    if "compile" in mode:
        torch._dynamo.reset()
        op = torch.compile(op, dynamic=False)
    with torch.set_grad_enabled(row.way == "both"):
        if row.kind == "adam":
            calls = adam_calls(row, "graph" in mode)
        elif row.kind == "gather":
            calls = gather_calls(row, op)
        else:
            calls = op_calls(row, op)
        if "graph" not in mode:
            return rows.timing(calls, wait, options.quick)
        turns = 1 if row.kind == "adam" else 64
        graph = captured(lambda: [calls[i % len(calls)]() for i in range(turns)])
        return rows.timing([graph.replay], wait, options.quick, turns)


def dataloader(row):
    table = torch.randint(0, 256, row.size, dtype=torch.uint8)
    shift, scale = (torch.rand(row.size[1], device=device) for _ in range(2))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(table), batch_size=128,
                                         shuffle=True, drop_last=True, pin_memory=on_gpu)

    def epoch():
        for (batch,) in loader:
            (batch.to(device, non_blocking=True).float() - shift) * scale
    return rows.timing([epoch], wait, options.quick, len(loader))


def kernels(modes):
    for mode in modes:
        for row in rows.kernel_rows(options.quick):
            if row.kind in ("copy", "product") and mode != "eager":
                continue
            if row.kind == "adam" and "compile" in mode:
                continue
            if "graph" in mode and row.kind not in ("adam", "gather"):
                continue
            report(row.name, mode, lambda: kernel(row, mode))
    if "eager" in modes:
        report(row.name, "dataloader", lambda: dataloader(row))


# --- steps ------------------------------------------------------------------------------------

def tensor(values, *shape):
    return torch.frombuffer(values, dtype=torch.float32).clone().reshape(shape).to(device)


def step(start, mode):
    shape, x, labels, layers, ours = start
    x = tensor(x, shape.batch, -1)
    labels = tensor(labels, -1).long()
    first = [tensor(v, *s) for (w, b), i, o in zip(layers, shape.sizes, shape.sizes[1:])
             for v, s in ((w, (o, i)), (b, (o,)))]
    params = [v.clone().requires_grad_() for v in first]
    adam = torch.optim.Adam(params, lr=1e-3, fused=True, capturable=on_gpu)

    def forward(x, labels, params):
        for i in range(0, len(params), 2):
            x = F.linear(x if i == 0 else F.relu(x), params[i], params[i + 1])
        return F.cross_entropy(x, labels)
    if "compile" in mode:
        torch._dynamo.reset()
        forward = torch.compile(forward, dynamic=False)
    last = {}

    def one():
        adam.zero_grad(set_to_none=True)
        last["loss"] = forward(x, labels, params)
        last["loss"].backward()
        adam.step()
    work = one
    if "graph" in mode:
        work = captured(one).replay
        with torch.no_grad():  # the captured runs were steps as well
            for p, v in zip(params, first):
                p.copy_(v)
                for state in adam.state[p].values():
                    state.zero_()
    del first
    for _ in range(rows.EQUAL_STEPS):
        work()
    loss = last["loss"].item()
    result = rows.timing([work], wait, options.quick)
    return {**result, "loss": loss, "agree": rows.agrees(loss, ours, shape.tf32)}


def steps(modes):
    starts = list(rows.read_dump(options.dump, rows.step_rows(options.quick)))
    for mode in modes:
        for start in starts:
            report(start[0].name, mode, lambda: step(start, mode))


(kernels if options.phase == "kernels" else steps)(
    options.modes.split(",") if options.modes else MODES)
