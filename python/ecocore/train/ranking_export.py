"""A trained ranking model as three ONNX graphs and a model folder: the contract between training and serving.

The folder (``ecocore.storage``, kind ``"ranking"``) holds ``meta`` and these arrays:

================ ============================== =====================================================================
array            dtype, shape                   what
================ ============================== =====================================================================
user_tower, item_tower, head  uint8 [bytes]     the graphs of :mod:`ecocore.onnx.towers`
item_vector      float32 [items, factors+query] the item tower's outputs for every item, computed once
item_pairs       float32 [items, pairs]
item_bias        float32 [items]
item_history     float32 [items, dim]
item_recent      float32 [items, dim]           only where the model knows an order
pair_weights     float32 [pairs]                w of the head
items.*          as ``IdMap.to_parts``          the map of ``meta["items"]``: code c is row c of the item arrays
user_vector      float32 [users, factors+query] the user tower's outputs for the users of the training, unless left out
user_pairs       float32 [users, pairs]
users.*          as ``IdMap.to_parts``
================ ============================== =====================================================================

The graphs carry all weights. The scale of ALS factors and the weight of their inner product are multiplied in.
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
from ..arrays import FloatArray
from ..ids import IdMap
from ..onnx.graph import Tensor
from ..onnx.towers import GRAPHS, GraphName
from ..parts import join_parts
from ..ranking import CONTRACT, KIND
from ..storage import write_folder
from .finite import check_finite
from .ranking_loop import ItemInputs
from .ranking_net import RankingNet

__all__ = ["graph_of", "item_arrays", "save"]

OPSET = 18
IR_VERSION = 8

_ONNX_TYPES = {"int64": TensorProto.INT64, "float32": TensorProto.FLOAT}


class _Graph:
    """Nodes and constants as they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, npt.NDArray[Any]] = {}

    def add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: npt.NDArray[Any]) -> str:
        self.constants[name] = np.ascontiguousarray(value)
        return name

    def linear(self, x: str, layer: torch.nn.Linear, output: str, columns: FloatArray | None = None) -> str:
        """The layer; ``columns`` scales its inputs."""
        weight = _array(layer.weight)
        inputs = [x, self.constant(f"{output}_W", weight if columns is None else weight * columns)]
        if layer.bias is not None:
            inputs.append(self.constant(f"{output}_b", _array(layer.bias)))
        return self.add("Gemm", inputs, output, transB=1)

    def tower(
        self, x: str, columns: FloatArray, hidden: torch.nn.Linear, query: torch.nn.Linear, skip: torch.nn.Linear,
        factors: str | None,
    ) -> str:  # fmt: skip
        """The part that both towers have: hidden units and ``vector``; returns the hidden units."""
        t = self.add("Relu", [self.linear(x, hidden, "hidden", columns)], "active")
        parts = [self.linear(t, query, "from_hidden"), self.linear(x, skip, "from_inputs", columns)]
        q = self.add("Add", parts, "vector" if factors is None else "query")
        if factors is not None:
            self.add("Concat", [factors, q], "vector", axis=1)
        return t


def graph_of(net: RankingNet, name: GraphName) -> onnx.ModelProto:
    """One of the three graphs of the contract."""
    shape, g = net.shape, _Graph()
    if name == "head":
        one, last = (g.constant(n, np.array([v], np.int64)) for n, v in (("one", 1), ("last", -1)))
        product = g.add(
            "MatMul", ["user_vector", g.add("Transpose", ["item_vector"], "across", perm=[1, 0])], "product"
        )
        both = g.add("Add", [g.add("Unsqueeze", ["user_pairs", one], "user_units"), "item_pairs"], "units")
        weighed = g.add("MatMul", [g.add("Relu", [both], "active"), "weights"], "weighed")
        g.constant("weights", _array(net.pair_weights)[:, None])
        known = g.add("Add", [product, "item_bias"], "known")
        g.add("Add", [known, g.add("Squeeze", [weighed, last], "interaction")], "scores")
    else:
        inputs = [t.name for t in shape.inputs(name)]
        if name == "item":
            g.constant("identity", _array(net.identity.weight))
            inputs[0] = g.add("Gather", ["identity", "rows"], "identities", axis=0)
        x = inputs[0] if len(inputs) == 1 else g.add("Concat", inputs, "inputs", axis=1)
        columns = _columns(net, name)
        factors = "factors" if shape.factors else None
        if name == "item":
            t = g.tower(x, columns, net.item_hidden, net.item_query, net.item_skip, factors)
            g.linear(t, net.item_pairs, "pairs")
            g.linear(x, net.history, "history", columns)
            if net.recent is not None:
                g.linear(x, net.recent, "recent", columns)
            g.constant("row_bias", _array(net.bias))
            own = g.add("Gather", ["row_bias", "rows"], "own_bias", axis=0)
            last = g.constant("last", np.array([-1], np.int64))
            g.add(
                "Add", [own, g.add("Squeeze", [g.linear(t, net.item_bias, "hidden_bias"), last], "tower_bias")], "bias"
            )
        else:
            if factors is not None:
                assert net.log_als_weight is not None
                weight = g.constant("als_weight", _array(net.log_als_weight.exp()))
                factors = g.add("Mul", ["factors", weight], "weighed_factors")
            t = g.tower(x, columns, net.user_hidden, net.user_query, net.user_skip, factors)
            g.linear(t, net.user_pairs, "pairs")
    graph = helper.make_graph(
        g.nodes,
        f"ranking_{name}",
        [_value_info(t) for t in shape.inputs(name)],
        [_value_info(t) for t in shape.outputs(name)],
        [numpy_helper.from_array(v, k) for k, v in g.constants.items()],
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


def _columns(net: RankingNet, name: GraphName) -> FloatArray:
    """The scale of every input of a tower: of the ALS factors among them, and 1."""
    shape = net.shape
    before = shape.dim * (1 + (shape.ordered and name == "user"))
    out = np.ones(shape.user_inputs if name == "user" else shape.item_inputs, np.float32)
    out[before : before + shape.factors] = net.factor_scale
    return out


@torch.no_grad()
def item_arrays(net: RankingNet, inputs: ItemInputs) -> dict[str, FloatArray]:
    """The item tower's outputs for all items."""
    net.eval()
    x = net.item_inputs(inputs.rows, inputs.factors, inputs.features)
    vector, pairs, bias = net.item_tower(inputs.rows, inputs.factors, x)
    history, recent = net.history_vectors(x)
    found = {"vector": vector, "pairs": pairs, "bias": bias, "history": history, "recent": recent}
    return {f"item_{name}": _array(a) for name, a in found.items() if a is not None}


def save(
    path: str | os.PathLike[str],
    net: RankingNet,
    items: IdMap,
    inputs: ItemInputs,
    users: tuple[IdMap, FloatArray, FloatArray] | None,
    training: Mapping[str, Any],
) -> None:
    """Writes the model folder, replacing a ranking model that is there; ``training`` is kept in ``meta``. ``users``:
    their ids, vectors and pair units. Raises InvalidArgument for numbers that are not finite."""
    children = {"items": items.to_parts()}
    if users is not None:
        children["users"] = users[0].to_parts()
    meta, arrays = join_parts(children)
    meta["sha256"] = {}
    for name, key in GRAPHS.items():
        data = graph_of(net, name).SerializeToString()
        arrays[key] = np.frombuffer(data, np.uint8)
        meta["sha256"][key] = hashlib.sha256(data).hexdigest()
    arrays |= item_arrays(net, inputs)
    arrays["pair_weights"] = _array(net.pair_weights)
    if users is not None:
        arrays["user_vector"], arrays["user_pairs"] = users[1], users[2]
    check_finite(arrays)
    check_finite({name: _array(value) for name, value in net.named_parameters()})
    meta |= {"contract": CONTRACT, "shape": net.shape.to_meta(), "training": dict(training)}
    write_folder(path, KIND, meta, arrays)


def _array(values: torch.Tensor) -> FloatArray:
    return np.ascontiguousarray(values.detach().numpy(), np.float32)


def _value_info(tensor: Tensor) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(tensor.name, _ONNX_TYPES[tensor.dtype], list(tensor.shape))
