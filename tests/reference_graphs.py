"""A graph as exporters write them, with what is not the model's work around it."""

from __future__ import annotations

import numpy as np

SHAPES = {
    "Shape",
    "Unsqueeze",
    "Concat",
    "ConstantOfShape",
    "Cast",
    "Greater",
    "ReduceSum",
}  # operators of it that are bookkeeping wherever they stand


def exported(named=True, table=(50, 12)):
    """A graph as PyTorch's exporter makes them: the initial state from the batch's size, by Shape, Gather, Unsqueeze
    and Concat, a mask from the ids, and the model."""
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    weights = {
        "table": random.standard_normal(table), "W": random.standard_normal((1, 64, table[1])),
        "R": random.standard_normal((1, 64, 16)), "B": random.standard_normal((1, 128)),
        "out": random.standard_normal((16, 7)),
    }  # fmt: skip
    constants = {k: v.astype(np.float32) for k, v in weights.items()}
    constants |= {"zero": np.int64(0), "first": np.array([0]), "one": np.array([1]), "hidden": np.array([16])}

    def node(op, inputs, output, **attributes):
        return helper.make_node(op, inputs, [output], name=f"/{output}" if named else "", **attributes)

    nodes = [
        node("Shape", ["items"], "shape"),
        node("Gather", ["shape", "zero"], "batch"),
        node("Unsqueeze", ["batch", "first"], "batch1"),
        node("Concat", ["one", "batch1", "hidden"], "state_shape", axis=0),
        node("ConstantOfShape", ["state_shape"], "h"),
        node("Greater", ["items", "zero"], "known"),
        node("Cast", ["known"], "mask", to=TensorProto.FLOAT),
        node("ReduceSum", ["mask", "one"], "count", keepdims=1),
        node("Gather", ["table", "items"], "x"),
        node("Transpose", ["x"], "xt", perm=[1, 0, 2]),
        helper.make_node("LSTM", ["xt", "W", "R", "B", "", "h", "h"], ["", "hn", ""], name="/lstm" * named,
                         hidden_size=16),
        node("Squeeze", ["hn", "first"], "top"),
        node("MatMul", ["top", "out"], "scores"),
        node("Mul", ["scores", "count"], "y"),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("items", TensorProto.INT64, ["batch", "time"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 7])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()
