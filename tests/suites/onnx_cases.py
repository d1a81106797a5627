"""The operator cases of the `onnx` package, whose inputs and expected outputs others wrote, run on
libbpcuda.

    python onnx_cases.py libbpcuda.so [device] [-v] [--only=Operator] [--page=docs/ops.md]

A case is a graph of one node, or of the nodes ONNX defines an operator by. Every node is a
call of ours (onnx_ops.py); what follows from constants and shapes alone is folded by onnx's own
evaluator, as a runtime does. A case passes when the outputs have the shapes, kinds and values
that are expected; where we have no such op, dtype or attribute it is absent, with the reason,
and never counted as passed. Ends with 1 if a case failed."""

import collections
import warnings

import numpy as np

from library import Absent, Refused, asked, markers, paragraph, table
import onnx_attention  # noqa: F401: fills OPS
import onnx_index  # noqa: F401
import onnx_nets  # noqa: F401
from onnx_ops import FOLDED, OPS, Host, Node

warnings.filterwarnings("ignore")
import onnx  # noqa: E402
from onnx import helper, numpy_helper  # noqa: E402
from onnx.backend.test.case.node import collect_testcases  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

# What is expected was computed by numpy in the case's own dtype, with roundings of its own, by
# formulas of its own.
TOLERANCE = {np.dtype("f4"): (1e-5, 2e-6), np.dtype("f8"): (1e-12, 1e-13)}


def array_of(value):
    if isinstance(value, onnx.TensorProto):
        if value.data_type not in (1, 2, 3, 5, 6, 7, 9, 11):
            raise Absent(f"dtype {onnx.TensorProto.DataType.Name(value.data_type).lower()}")
        value = numpy_helper.to_array(value)
    if not isinstance(value, (np.ndarray, np.generic)):
        raise Absent("sequences, maps, strings")
    a = np.asarray(value)
    if a.dtype not in (np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_):
        raise Absent("strings" if a.dtype == object else f"dtype {a.dtype}")
    return a


def fold(node, values, opsets):
    graph = helper.make_graph(
        [node],
        "fold",
        [helper.make_empty_tensor_value_info(n) for n in values],
        [helper.make_empty_tensor_value_info(n) for n in node.output if n],
    )
    out = ReferenceEvaluator(helper.make_model(graph, opset_imports=opsets)).run(
        None, {k: v.array for k, v in values.items()}
    )
    return [Host(np.asarray(v), True) for v in out]


def run_node(lib, node, env, opsets):
    given = [env[n] if n else None for n in node.input]
    if node.op_type in FOLDED and all(
        v is None or isinstance(v, Host) and v.constant for v in given
    ):
        out = fold(node, {n: env[n] for n in node.input if n}, opsets)
    elif node.op_type in OPS:
        out = OPS[node.op_type](Node(lib, node, given))
        out = out if isinstance(out, list) else [out]
    else:
        raise Absent("no such op")
    for name, value in zip(node.output, out):
        env[name] = value


def compare(lib, got, want):
    want = array_of(want)
    have = got.array if isinstance(got, Host) else lib.read(got)
    kinds = {np.dtype("i8"): ("i4",), np.dtype("?"): ("u1", "i4", "f4", "f8")}.get(
        want.dtype, (want.dtype,)
    )  # ours of these
    if have.shape != want.shape:
        raise AssertionError(f"shape {have.shape}, not {want.shape}")
    if not isinstance(got, Host) and have.dtype not in kinds:
        raise AssertionError(f"dtype {have.dtype}, not {kinds[0]}")
    relative, absolute = TOLERANCE.get(want.dtype, (0, 0))
    np.testing.assert_allclose(have.astype("f8"), want.astype("f8"), relative, absolute)


def run(lib, case):
    graph = case.model.graph
    for inputs, outputs in case.data_sets:
        with lib.scope(lib.BP_NO_GRAD):
            env, before = {}, lib.ops
            for about, value in zip(graph.input, inputs):
                env[about.name] = Host(array_of(value), False)
            for value in outputs:
                array_of(value)
            for value in graph.initializer:
                env[value.name] = Host(numpy_helper.to_array(value), True)
            for node in graph.node:
                run_node(lib, node, env, case.model.opset_import)
            if lib.ops == before:
                raise Absent("nothing to compute")
            for about, want in zip(graph.output, outputs):
                compare(lib, env[about.name], want)


def operator(case):
    """The operator a case is about: its only node's, or the one whose definition it is, which
    its name has."""
    nodes = case.model.graph.node
    if len(nodes) == 1:
        return nodes[0].op_type
    word = case.name.removeprefix("test_").split("_expanded")[0].replace("_", "").lower()
    names = sorted(
        (s.name for s in onnx.defs.get_all_schemas() if word.startswith(s.name.lower())), key=len
    )
    short = {
        "sce": "SoftmaxCrossEntropyLoss",
        "nllloss": "NegativeLogLikelihoodLoss",
        "mvn": "MeanVarianceNormalization",
    }
    known = [name for begin, name in short.items() if word.startswith(begin)] + names[-1:]
    return known[0] if known else "graphs"


def page(count, reasons, about):
    """The text of docs/ops.md."""
    total = sum(count.values(), collections.Counter())
    why, because = collections.Counter(), collections.defaultdict(collections.Counter)
    for op, reason, k in ((op, r, k) for op in reasons for r, k in reasons[op].items()):
        dtype = reason.startswith("dtype") or reason in ("strings", "its dtype")
        why["a dtype" if dtype else "an op" if reason == "no such op" else "others"] += k
        because[op]["the dtype" if dtype else reason] += k
    text = paragraph(
        f"onnx {onnx.__version__}, {about}: of {total.total()} cases {total['passed']} pass, "
        f"{total['failed']} fail, {total['absent']} are absent: for want of an op {why['an op']}, "
        f"of a dtype {why['a dtype']} (float16 and shorter, integers of 8, 16 and 64 bits, "
        f"strings), for other reasons {why['others']}. A case is one node, or the nodes that ONNX "
        "defines an operator by."
    )
    whole = [op for op in sorted(count) if count[op]["passed"] == count[op].total()]
    none = [op for op in sorted(count) if not count[op]["passed"] and not count[op]["failed"]]
    each = lambda ops: ", ".join(f"{op} {count[op].total()}" for op in ops) + "."  # noqa: E731
    text += paragraph("All cases of these pass: " + each(whole))
    text += table(
        ("operator", "passed", "failed", "absent", "because"),
        [
            (
                op,
                count[op]["passed"],
                count[op]["failed"],
                count[op]["absent"],
                ", ".join(f"{w} {k}" for w, k in because[op].most_common()),
            )
            for op in sorted(set(count) - set(whole) - set(none))
        ],
    )
    return text + "\n" + paragraph("No case of these runs: " + each(none))


def main():
    given, lib = asked()
    count, reasons = collections.defaultdict(collections.Counter), collections.defaultdict(
        collections.Counter
    )
    for case in collect_testcases(None):
        op = operator(case)
        if given.only and op != given.only:
            continue
        try:
            run(lib, case)
            count[op]["passed"] += 1
        except Absent as e:
            count[op]["absent"] += 1
            reasons[op][str(e)] += 1
            if given.v:
                print(f"absent {case.name}: {e}")
        except Exception as e:  # noqa: BLE001: whatever it is, it is no pass
            if isinstance(e, Refused) and lib.of_dtype():
                count[op]["absent"] += 1
                reasons[op]["its dtype"] += 1
                continue
            count[op]["failed"] += 1
            print(f"FAILED {case.name}: {type(e).__name__}: {' '.join(str(e).split())[:200]}")
    total = sum(count.values(), collections.Counter())
    print(", ".join(f"{total[k]} {k}" for k in ("passed", "failed", "absent")), "of", total.total())
    if given.page:
        markers(given.page, "onnx", page(count, reasons, lib.about()))
    raise SystemExit(total["failed"] > 0)


main()
