"""A trained behaviour model as one ONNX graph and a model folder: the contract between training and serving.

The folder (``ecocore.storage``, kind ``"behavior"``) holds ``meta`` and these arrays; every file's sha256 is in the
manifest:

=================== ============================= =====================================================================
array               dtype, shape                  what
=================== ============================= =====================================================================
graph               uint8 [bytes]                 the ONNX file: ``meta["graph"]`` gives opset, IR version and sha256
item_vectors        float32 [items, query]        what a query is multiplied with; row 0 (out of vocabulary) is zero
item_bias           float32 [items]               only where ``meta["item_bias"]``
item_counts         int64 [items]                 may be absent: how often each item comes in the training sequences,
                                                  held-out events left out; row 0: all items out of vocabulary
item_ids_*          as ``IdMap.to_parts``         the map of ``meta["item_ids"]``: code c of the map is row c + 1
event_type_ids_*    as ``IdMap.to_parts``         only where event types were given: code c is id c + 1, 0 = unknown
input_vectors       float32 [items, dim]          what the cell is given of an item; row 0 = out of vocabulary
event_type_vectors  float32 [event types, dim]    added to it, only where event types were given; row 0 = unknown
gap_vectors         float32 [buckets, dim]        added to it, only where times were given; row 0 = first event
layer<n>_W, _R, _B  float32, as ONNX has them     W [gates*hidden, input], R [gates*hidden, hidden], B [2*gates*hidden]
project_W, _b       float32 [query, hidden], ...  only where ``meta["projection"]``: query = W h + b
=================== ============================= =====================================================================

The arrays from ``input_vectors`` on repeat what is in the graph, for code that steps the cell itself. In a compressed
model (compression.py, ``meta["contract"]`` = 2) matrices may have fewer bits, as ``ecocore.weights`` says; so have the
graph's constants, which it widens: rows of items as they are gathered, other weights once, when it is loaded.

The graph. Dimensions in quotes are symbolic; all float tensors are float32; the tensors' names are their roles:

=============== ======= ================================ ==============================================================
input           dtype   shape                            rule
=============== ======= ================================ ==============================================================
items           int64   ["batch", "time"]                rows 0..items-1; 0 = out of vocabulary. Padding comes last
event_types     int64   ["batch", "time"]                only where ``meta["event_types"]`` > 0
gaps            int64   ["batch", "time"]                only where ``meta["gaps"]`` > 0: 0 for a subject's first event,
                                                         else 1 + searchsorted(meta["gap_boundaries"], seconds, "right")
lengths         int32   ["batch"]                        events of each row, 1..time. Never 0: the cell would clear the
                                                         state instead of keeping it
h0              float32 [layers, "batch", hidden]        zero for a new subject
c0              float32 [layers, "batch", hidden]        LSTM only
candidates      int64   ["candidates"]                   rows whose probabilities are wanted; may be empty
=============== ======= ================================ ==============================================================

=============== ======= ================================ ==============================================================
output          dtype   shape                            rule
=============== ======= ================================ ==============================================================
hn              float32 [layers, "batch", hidden]        the state after each row's last event: the next call's h0
cn              float32 [layers, "batch", hidden]        LSTM only
state           float32 ["batch", query]                 the query vector: score of item j = <state, item_vectors[j]>
                                                         + item_bias[j]
probabilities   float32 ["batch", "candidates"]          ``meta["probability"]`` = "sigmoid": of interest, item by item;
                                                         "softmax": that the next item is j, given that it is one of the
                                                         candidates (all items: 1..items-1)
=============== ======= ================================ ==============================================================

state is a function of the last layer's hn alone: query = project_W h + project_b (or h itself); with ``meta["scale"]``
s (not null), state = s * query / max(||query||, 1e-12). It can be computed when it is asked for.

The cell is ONNX's own operator (gate order i, o, f, c for LSTM; z, r, h for GRU with linear_before_reset = 1), so that
runtimes use their fused kernels. Chunked in time with hn, cn carried into h0, c0 gives the bits of the whole run.

A graph from elsewhere fits if it has the inputs items, lengths, h0 (and c0) and the outputs hn (and cn) and state.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from .._core import __version__
from ..storage import write_folder
from .data import GAP_BOUNDARIES, Vocabulary
from .finite import check_finite
from .model import BehaviorNet, Shape

__all__ = ["CONTRACT", "KIND", "OPSET", "arrays_of", "described_graph", "graph_of", "save"]

KIND = "behavior"
CONTRACT = 1  # of the tables above; raised when a reader of the old ones would go wrong
OPSET = 18  # 17 to 21 have one and the same LSTM, GRU and RNN; newer ones push them off CUDA in ONNX Runtime 1.31
IR_VERSION = 8

FloatArray = npt.NDArray[np.float32]

# Where ONNX's gates are among PyTorch's: i, o, f, c of i, f, g, o; z, r, h of r, z, n.
_GATES = {"lstm": [0, 3, 1, 2], "gru": [1, 0, 2], "rnn": [0]}
_GATE_NAMES = {"lstm": "iofc", "gru": "zrh", "rnn": "h"}


def arrays_of(net: BehaviorNet) -> dict[str, FloatArray]:
    """All weights by the names of the contract."""
    shape = net.shape
    with torch.no_grad():
        outputs = net.output_vectors(net.outputs).clone()
        outputs[0] = 0.0
        arrays = {"item_vectors": _array(outputs), "input_vectors": _array(net.input_vectors(net.items))}
    if shape.item_bias:
        arrays["item_bias"] = _array(net.bias)
    for name, table in (("event_type_vectors", net.event_types), ("gap_vectors", net.gaps)):
        if table is not None:
            arrays[name] = _array(table.weight)
    weights = {name: _array(value) for name, value in net.cell.named_parameters()}
    for layer in range(shape.layers):

        def gates(kind: str, layer: int = layer) -> FloatArray:
            return np.concatenate(
                [np.split(weights[f"{kind}_l{layer}"], len(_GATES[shape.cell]))[g] for g in _GATES[shape.cell]]
            )

        arrays[f"layer{layer}_W"], arrays[f"layer{layer}_R"] = gates("weight_ih"), gates("weight_hh")
        arrays[f"layer{layer}_B"] = np.concatenate([gates("bias_ih"), gates("bias_hh")])
    if net.project is not None:
        arrays["project_W"], arrays["project_b"] = _array(net.project.weight), _array(net.project.bias)
    return arrays


def _array(values: torch.Tensor) -> FloatArray:
    return np.ascontiguousarray(values.detach().numpy(), np.float32)


def graph_of(shape: Shape, arrays: Mapping[str, npt.NDArray[Any]]) -> onnx.ModelProto:
    """The graph of the contract, of weights as a folder has them."""
    lstm = shape.cell == "lstm"
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, npt.NDArray[Any]] = {
        "zero": np.array([0], np.int64),
        "one": np.array([1], np.int64),
        "last": np.array([-1], np.int64),
        **{k: v[None] if k.startswith("layer") else v for k, v in arrays.items()},  # ONNX: [directions, ...]
    }

    def add(op: str, inputs: list[str], outputs: list[str], **attributes: Any) -> str:
        nodes.append(helper.make_node(op, inputs, outputs, name=outputs[-1] or op, **attributes))
        return outputs[0]

    def gather(table: str, rows: str, out: str) -> str:
        """Rows of a table, as float32."""
        if arrays[table].dtype == np.float32:
            return add("Gather", [table, rows], [out], axis=0)
        narrow = add("Gather", [table, rows], [f"{out}_narrow"], axis=0)
        if f"{table}_scale" not in arrays:
            return add("Cast", [narrow], [out], to=TensorProto.FLOAT)
        wide = add("Cast", [narrow], [f"{out}_codes"], to=TensorProto.FLOAT)
        scale = add("Gather", [f"{table}_scale", rows], [f"{out}_flat_scale"], axis=0)
        return add("Mul", [wide, add("Unsqueeze", [scale, "last"], [f"{out}_scale"])], [out])

    def weight(name: str) -> str:
        """A matrix as float32. (Not by DequantizeLinear, which ONNX Runtime leaves to every run.)"""
        if arrays[name].dtype == np.float32:
            return name
        wide = add("Cast", [name], [f"{name}_wide"], to=TensorProto.FLOAT)
        if f"{name}_scale" not in arrays:
            return wide
        return add("Mul", [wide, add("Unsqueeze", [f"{name}_scale", "last"], [f"{name}_scales"])], [f"{name}_scaled"])

    # Ids are turned to [time, batch], the order that the cell wants, before they grow to vectors.
    def embed(ids: str, table: str) -> str:
        add("Transpose", [ids], [f"{ids}_by_time"], perm=[1, 0])
        return gather(table, f"{ids}_by_time", f"{ids}_embedded")

    x = embed("items", "input_vectors")
    for ids, table in (("event_types", "event_type_vectors"), ("gaps", "gap_vectors")):
        if table in arrays:
            x = add("Add", [x, embed(ids, table)], [f"x_with_{ids}"])

    for layer in range(shape.layers):
        states = []
        for state in ("h", "c") if lstm else ("h",):
            if shape.layers == 1:
                states.append(f"{state}0")
            else:
                constants[f"layer{layer}"] = np.array([layer], np.int64)
                states.append(add("Gather", [f"{state}0", f"layer{layer}"], [f"{state}0_{layer}"], axis=0))
        last = layer == shape.layers - 1
        finals = [f"{state}n_{layer}" if shape.layers > 1 else f"{state}n" for state in ("hc" if lstm else "h")]
        add(
            shape.cell.upper(),
            [x, weight(f"layer{layer}_W"), weight(f"layer{layer}_R"), f"layer{layer}_B", "lengths", *states],
            ["" if last else f"y_{layer}", *finals],
            hidden_size=shape.hidden,
            **({"linear_before_reset": 1} if shape.cell == "gru" else {}),
        )
        if not last:
            x = add("Squeeze", [f"y_{layer}", "one"], [f"x_{layer + 1}"])
    if shape.layers > 1:
        for state in "hc" if lstm else "h":
            add("Concat", [f"{state}n_{layer}" for layer in range(shape.layers)], [f"{state}n"], axis=0)

    top = "hn" if shape.layers == 1 else f"hn_{shape.layers - 1}"
    plain = shape.scale is None
    projection = "project_W" in arrays
    if not projection and plain:
        add("Squeeze", [top, "zero"], ["state"])
    else:
        q = add("Squeeze", [top, "zero"], ["h"])
        if projection:
            q = add("Gemm", [q, weight("project_W"), "project_b"], ["state" if plain else "query"], transB=1)
        if not plain:
            constants |= {"scale": np.array([shape.scale], np.float32), "smallest": np.array([1e-12], np.float32)}
            add("ReduceL2", [q, "last"], ["length"], keepdims=1)
            add("Max", ["length", "smallest"], ["safe_length"])
            add("Div", [q, "safe_length"], ["direction"])
            add("Mul", ["direction", "scale"], ["state"])

    gather("item_vectors", "candidates", "candidate_vectors")
    gemm = ["state", "candidate_vectors"]
    if "item_bias" in arrays:
        gemm.append(add("Gather", ["item_bias", "candidates"], ["candidate_bias"], axis=0))
    add("Gemm", gemm, ["scores"], transB=1)
    sigmoid = shape.probability == "sigmoid"
    add("Sigmoid" if sigmoid else "Softmax", ["scores"], ["probabilities"], **({} if sigmoid else {"axis": 1}))

    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "behavior",
        [_value_info(t) for t in _inputs(shape)],
        [_value_info(t) for t in _outputs(shape)],
        [numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in constants.items() if k in used],
    )
    model = helper.make_model(
        graph,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="ecocore",
        producer_version=__version__,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def save(
    path: str | os.PathLike[str],
    net: BehaviorNet,
    vocabulary: Vocabulary,
    training: Mapping[str, Any],
    item_counts: npt.NDArray[np.int64] | None = None,
) -> None:
    """Writes the model folder, replacing a behaviour model that is there; ``training`` is kept in ``meta``.
    Raises InvalidArgument for weights that are not finite."""
    shape, weights = net.shape, arrays_of(net)
    check_finite(weights)
    graph, described = described_graph(shape, weights)
    ids, id_arrays = vocabulary.items.to_parts()
    arrays: dict[str, npt.NDArray[Any]] = {"graph": graph, **weights}
    arrays |= {f"item_ids_{name}": a for name, a in id_arrays.items()}
    if item_counts is not None:
        arrays["item_counts"] = item_counts
    type_ids = None
    if vocabulary.event_types is not None:
        type_ids, type_arrays = vocabulary.event_types.to_parts()
        arrays |= {f"event_type_ids_{name}": a for name, a in type_arrays.items()}
    meta: dict[str, Any] = {
        "contract": CONTRACT,
        "cell": shape.cell,
        "gate_order": _GATE_NAMES[shape.cell],
        "layers": shape.layers,
        "hidden": shape.hidden,
        "dim": shape.dim,
        "query": shape.query,
        "items": shape.items,
        "event_types": shape.event_types,
        "gaps": shape.gaps,
        "gap_boundaries": list(GAP_BOUNDARIES) if shape.gaps else [],
        "projection": net.project is not None,
        "scale": shape.scale,
        "item_bias": shape.item_bias,
        "probability": shape.probability,
        "item_ids": ids,
        "event_type_ids": type_ids,
        "graph": described,
        "training": dict(training),
    }
    write_folder(path, KIND, meta, arrays)


def described_graph(
    shape: Shape, weights: Mapping[str, npt.NDArray[Any]]
) -> tuple[npt.NDArray[np.uint8], dict[str, Any]]:
    """The graph's bytes, and what ``meta["graph"]`` says of them."""
    graph = graph_of(shape, weights).SerializeToString()
    return np.frombuffer(graph, np.uint8), {
        "opset": OPSET,
        "ir_version": IR_VERSION,
        "sha256": hashlib.sha256(graph).hexdigest(),
        "inputs": [{"role": name, "name": name, "dtype": d, "shape": s} for name, d, s in _inputs(shape)],
        "outputs": [{"role": name, "name": name, "dtype": d, "shape": s} for name, d, s in _outputs(shape)],
    }


_Tensor = tuple[str, str, list[str | int]]


def _inputs(shape: Shape) -> list[_Tensor]:
    state: list[str | int] = [shape.layers, "batch", shape.hidden]
    sides = [name for name, rows in (("event_types", shape.event_types), ("gaps", shape.gaps)) if rows]
    ids: list[_Tensor] = [(name, "int64", ["batch", "time"]) for name in ["items", *sides]]
    states: list[_Tensor] = [(name, "float32", state) for name in (("h0", "c0") if shape.cell == "lstm" else ("h0",))]
    return [*ids, ("lengths", "int32", ["batch"]), *states, ("candidates", "int64", ["candidates"])]


def _outputs(shape: Shape) -> list[_Tensor]:
    state: list[str | int] = [shape.layers, "batch", shape.hidden]
    states: list[_Tensor] = [(name, "float32", state) for name in (("hn", "cn") if shape.cell == "lstm" else ("hn",))]
    return [
        *states,
        ("state", "float32", ["batch", shape.query]),
        ("probabilities", "float32", ["batch", "candidates"]),
    ]


_ONNX_TYPES = {"int64": TensorProto.INT64, "int32": TensorProto.INT32, "float32": TensorProto.FLOAT}


def _value_info(tensor: _Tensor) -> onnx.ValueInfoProto:
    name, dtype, shape = tensor
    return helper.make_tensor_value_info(name, _ONNX_TYPES[dtype], shape)
