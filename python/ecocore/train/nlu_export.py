"""The parts of an :class:`ecocore.NLU` as ONNX graphs that any ONNX Runtime can run: the intent model from strings on,
and the tagger of slots from the sums of token vectors on (:meth:`ecocore.NLU.export_slots_onnx`).

Inputs of the intent model, 1-D string tensors of any length, as ``NLU.ngrams(text)`` cuts them: ``words``,
``characters`` and, where the model has word vectors, ``meanings``. Outputs:

=============== ================= ====================================================================================
logits          float32 [intents] the scores
probabilities   float64 [intents] what ``Parse.intents`` holds, of all intents
intent          int64             the likeliest
confidence      float64           as in ``Parse``
in_scope        float64           as in ``Parse``
outcome         int64             0 sure, 1 ask, 2 out of scope
=============== ================= ====================================================================================

The names of the intents are in the graph's metadata, as a JSON list under "intents". The strings are hashed by
com.microsoft.MurmurHash3, an operator of ONNX Runtime's own, and the hashes become rows by ai.onnx.ml.LabelEncoder; the
rest is the formula of ``cpp/include/ecocore/intent.hpp`` and ``decision.hpp`` in standard operators.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidArgument, missing_extra
from ..nlu import Decision
from ..nlu_slots import NET_ARRAYS

__all__ = ["intent_graph", "slot_graph", "write_graph"]

GROUPS = ("words", "characters", "meanings")


def write_graph(graph: bytes, path: str | os.PathLike[str]) -> None:
    """Writes beside and renames, so that a reader sees the old file or the new one."""
    target = Path(path)
    if target.is_dir() or not target.parent.is_dir():
        raise InvalidArgument(f"path: expected the name of a file in a folder that exists; got {target}")
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        beside.write_bytes(graph)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def intent_graph(
    arrays: Mapping[str, npt.NDArray[Any]], gain: float, decision: Decision, intents: Sequence[str]
) -> bytes:
    """``arrays``: keys, idf, codes, scales, projection, bias, output and output_bias of the model."""
    try:
        from onnx import TensorProto, helper
    except ImportError:
        raise missing_extra("onnx", "train", "exporting an intent model") from None
    groups = GROUPS if gain > 0 else GROUPS[:2]
    g = _Nodes()
    unknown = len(arrays["keys"])  # the row of every n-gram that training never saw: all zeros

    rows, group_of, unseen = [], [], []
    for seed, name in enumerate(groups):
        hashed = g.add("MurmurHash3", name, domain="com.microsoft", seed=seed, positive=1)
        row = g.add(
            "LabelEncoder",
            g.add("Cast", hashed, to=TensorProto.INT64),
            domain="ai.onnx.ml",
            keys_int64s=arrays["keys"].astype(np.int64).tolist(),
            values_int64s=list(range(unknown)),
            default_int64=unknown,
        )
        missing = g.add("Cast", g.add("Equal", row, g.constant(np.int64(unknown))), to=TensorProto.FLOAT)
        size = g.add(
            "Max", g.add("Cast", g.add("Shape", row), to=TensorProto.FLOAT), g.constant(np.array([1], np.float32))
        )
        unseen.append(g.add("Div", g.add("ReduceSum", missing, keepdims=1), size))
        rows.append(row)
        group_of.append(g.add("Expand", g.constant(np.array([seed], np.int64)), g.add("Shape", row)))
    # A last unknown one, so that nothing below meets an empty tensor.
    all_rows = g.add("Concat", *rows, g.constant(np.array([unknown], np.int64)), axis=0)
    all_groups = g.add("Concat", *group_of, g.constant(np.array([0], np.int64)), axis=0)
    row, first, _, count = g.add_many("Unique", [all_rows], 4, sorted=1)
    group = g.add("Gather", all_groups, first)

    idf = np.append(arrays["idf"], np.float32(0)).astype(np.float32)
    repeats = g.add("Log", g.add("Cast", count, to=TensorProto.FLOAT))
    weight = g.add("Mul", g.add("Add", repeats, g.constant(np.float32(1))), g.add("Gather", g.constant(idf), row))
    member = g.add(
        "Equal",
        g.add("Unsqueeze", group, g.constant(np.array([0], np.int64))),
        g.constant(np.arange(len(groups))[:, None]),
    )
    member = g.add("Cast", member, to=TensorProto.FLOAT)  # [groups, rows]
    length = g.add("Sqrt", g.add("MatMul", member, g.add("Mul", weight, weight)))
    gains = g.constant(np.array([1, 1, gain][: len(groups)], np.float32))
    scale = g.add("Div", gains, g.add("Max", length, g.constant(np.float32(1e-30))))
    weight = g.add("Mul", weight, g.add("Gather", scale, group))

    codes = g.constant(np.concatenate([arrays["codes"], np.zeros((1, arrays["codes"].shape[1]), np.int8)]))
    scales = g.constant(np.append(arrays["scales"], np.float32(0)).astype(np.float32))
    vectors = g.add("Cast", g.add("Gather", codes, row), to=TensorProto.FLOAT)
    narrow = g.add("MatMul", g.add("Mul", weight, g.add("Gather", scales, row)), vectors)
    hidden = g.add(
        "Relu", g.add("Add", g.add("MatMul", narrow, g.constant(arrays["projection"])), g.constant(arrays["bias"]))
    )
    logits = g.add(
        "Add", g.add("MatMul", hidden, g.constant(arrays["output"])), g.constant(arrays["output_bias"]), out="logits"
    )

    z = g.add("Cast", logits, to=TensorProto.DOUBLE)
    two = g.constant(np.array([2], np.int64))
    padded = z if len(intents) > 1 else g.add("Concat", z, g.constant(np.array([0], np.float64)), axis=0)
    top, _ = g.add_many("TopK", [padded, two], 2)
    best, second = g.add_many("Split", [top], 2, axis=0)
    signals = g.add(
        "Concat",
        best,
        g.add("Sub", best, second),
        g.add("ReduceMean", z, keepdims=1),
        *(g.add("Cast", u, to=TensorProto.DOUBLE) for u in unseen[:2]),
        axis=0,
    )
    scope = np.array(decision.scope)
    inside = g.add("Sigmoid", g.add("Add", g.add("MatMul", signals, g.constant(scope[:-1])), g.constant(scope[-1])))
    something = g.add("Greater", g.add("Size", "words"), g.constant(np.int64(0)))  # every token gives a word
    in_scope = g.add("Where", something, inside, g.constant(np.float64(0)), out="in_scope")
    scaled = g.add("Div", z, g.constant(np.float64(decision.temperature)))
    if decision.several:
        share = g.add("Sigmoid", scaled)
        g.add("Where", something, share, g.constant(np.float64(0)), out="probabilities")
    else:
        share = g.add("Softmax", scaled, axis=0)
        g.add("Mul", share, in_scope, out="probabilities")
    confidence = g.add("Mul", g.add("ReduceMax", share, keepdims=0), in_scope, out="confidence")
    g.add("ArgMax", logits, axis=0, keepdims=0, out="intent")
    turned_away = g.add(
        "Or",
        g.add("Less", in_scope, g.constant(np.float64(decision.scope_threshold))),
        g.add("Equal", in_scope, g.constant(np.float64(0))),
    )
    sure = g.add("GreaterOrEqual", confidence, g.constant(np.float64(decision.sure_threshold)))
    answered = g.add("Where", sure, g.constant(np.int64(0)), g.constant(np.int64(1)))
    g.add("Where", turned_away, g.constant(np.int64(2)), answered, out="outcome")

    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        g.nodes,
        "intents",
        [value(name, TensorProto.STRING, [f"number of {name}"]) for name in groups],
        [
            value("logits", TensorProto.FLOAT, [len(intents)]),
            value("probabilities", TensorProto.DOUBLE, [len(intents)]),
            value("intent", TensorProto.INT64, []),
            value("confidence", TensorProto.DOUBLE, []),
            value("in_scope", TensorProto.DOUBLE, []),
            value("outcome", TensorProto.INT64, []),
        ],
        g.constants,
    )
    opsets = {"": 17, "ai.onnx.ml": 2, "com.microsoft": 1}
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid(k, v) for k, v in opsets.items()], producer_name="ecocore"
    )
    model.ir_version = 8
    helper.set_model_props(model, {"intents": json.dumps(list(intents), ensure_ascii=False)})
    return bytes(model.SerializeToString(deterministic=True))


def slot_graph(arrays: Mapping[str, npt.NDArray[Any]], slots: Sequence[str]) -> bytes:
    """``arrays``: NET_ARRAYS of the model; ``slots`` in the order of its tags. What goes in and comes out:
    :meth:`ecocore.NLU.export_slots_onnx`."""
    try:
        from onnx import TensorProto, helper
    except ImportError:
        raise missing_extra("onnx", "train", "exporting a slot tagger") from None
    w, r, b, output, output_bias = (arrays[name] for name in NET_ARRAYS)
    hidden, width, tags = r.shape[2], w.shape[2], output.shape[0]
    g = _Nodes()
    by_time = g.add("Transpose", g.add("Tanh", "vectors"), perm=[1, 0, 2])
    bias = g.constant(np.concatenate([b, np.zeros_like(b)], axis=1))  # W's and R's, which are summed already
    states = g.add("LSTM", by_time, g.constant(w), g.constant(r), bias, direction="bidirectional", hidden_size=hidden)
    by_text = g.add("Transpose", states, perm=[2, 0, 1, 3])  # [texts, tokens, directions, hidden]
    flat = g.add("Reshape", by_text, g.constant(np.array([0, 0, 2 * hidden], np.int64)))
    logits = g.add("Add", g.add("MatMul", flat, g.constant(output.T)), g.constant(output_bias))
    g.add("LogSoftmax", logits, out="emissions", axis=-1)
    graph = helper.make_graph(
        g.nodes,
        "tagger",
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["texts", "tokens", width])],
        [helper.make_tensor_value_info("emissions", TensorProto.FLOAT, ["texts", "tokens", tags])],
        g.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="ecocore")
    model.ir_version = 8
    names = ["O", *(f"{kind}-{slot}" for slot in slots for kind in "BI")]
    helper.set_model_props(model, {"tags": json.dumps(names, ensure_ascii=False)})
    return bytes(model.SerializeToString(deterministic=True))


class _Nodes:
    """Nodes and constants in the making, named by their numbers."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any) -> str:
        from onnx import numpy_helper

        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value).reshape(np.shape(value)), name))
        return name

    def add(self, operator: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        return self.add_many(operator, list(inputs), 1, out=out, **attributes)[0]

    def add_many(
        self, operator: str, inputs: list[str], outputs: int, *, out: str | None = None, **attributes: Any
    ) -> list[str]:
        from onnx import helper

        names = [out] if out else [f"{operator}{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names
