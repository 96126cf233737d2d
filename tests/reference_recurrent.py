"""Recurrent cells as their formulas read, in float64, and small models and graphs for tests."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from ecocore.ids import IdMap

GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def has_graphs():
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError:
        return False
    return True


needs_graphs = pytest.mark.skipif(not has_graphs(), reason="needs onnx and onnxruntime (extra 'test')")


def sigmoid(x):
    return 0.5 * (1 + np.tanh(x / 2))  # does not overflow


def cell_step(cell, w, r, b, x, h, c):
    """One step of ONNX's RNN (tanh), GRU (linear_before_reset = 1) or LSTM; returns h, c."""
    n = h.size
    wb, rb = b[: b.size // 2], b[b.size // 2 :]
    if cell == "rnn":
        return np.tanh(w @ x + wb + r @ h + rb), c
    if cell == "gru":
        wx, rh = w @ x + wb, r @ h + rb
        z, reset = sigmoid(wx[:n] + rh[:n]), sigmoid(wx[n : 2 * n] + rh[n : 2 * n])
        new = np.tanh(wx[2 * n :] + reset * rh[2 * n :])
        return (1 - z) * new + z * h, c
    i, o, f, g = np.split(w @ x + wb + r @ h + rb, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def model_arrays(cell="lstm", *, items=40, dim=12, hidden=16, layers=1, types=0, gaps=0, query=None, scale=None,
                 bias=False, probability="sigmoid", seed=0):  # fmt: skip
    """meta and arrays of a model folder as train/export.py writes them, with random weights."""
    random = np.random.default_rng(seed)

    def draw(*shape):
        return (random.standard_normal(shape) / max(1, shape[-1]) ** 0.5).astype(np.float32)

    arrays = {"input_vectors": draw(items + 1, dim), "item_vectors": draw(items + 1, query or hidden)}
    arrays["item_vectors"][0] = 0
    if types:
        arrays["event_type_vectors"] = draw(types + 1, dim)
    if gaps:
        arrays["gap_vectors"] = draw(gaps, dim)
    if bias:
        arrays["item_bias"] = draw(items + 1)
    for i in range(layers):
        arrays[f"layer{i}_W"] = draw(GATES[cell] * hidden, hidden if i else dim)
        arrays[f"layer{i}_R"] = draw(GATES[cell] * hidden, hidden)
        arrays[f"layer{i}_B"] = draw(2 * GATES[cell] * hidden)
    if query:
        arrays["project_W"], arrays["project_b"] = draw(query, hidden), draw(query)
    meta = {
        "contract": 1, "cell": cell, "layers": layers, "hidden": hidden, "dim": dim, "query": query or hidden,
        "items": items + 1, "event_types": types + 1 if types else 0, "gaps": gaps, "projection": query is not None,
        "gap_boundaries": [float(2**b - 1) for b in range(1, gaps - 1)] if gaps else [], "scale": scale,
        "item_bias": bias, "probability": probability,
    }  # fmt: skip
    meta["item_ids"], parts = IdMap(np.arange(items) * 10 + 5).to_parts()
    arrays |= {f"item_ids_{k}": v for k, v in parts.items()}
    meta["event_type_ids"] = None
    if types:
        meta["event_type_ids"], parts = IdMap([f"type{i}" for i in range(types)]).to_parts()
        arrays |= {f"event_type_ids_{k}": v for k, v in parts.items()}
    return meta, arrays


def encode(meta, arrays, rows, h=None, c=None, embedded=None):
    """States [layers, hidden] after ``rows``, a list of one tuple of ids an event; float64 throughout."""
    a = {k: v.astype(np.float64) for k, v in arrays.items() if v.dtype == np.float32}
    layers, hidden = meta["layers"], meta["hidden"]
    h = np.zeros((layers, hidden)) if h is None else h.copy()
    c = np.zeros((layers, hidden)) if c is None else c.copy()
    tables = [t for t in ("input_vectors", "event_type_vectors", "gap_vectors") if t in a]
    for t, event in enumerate(rows):
        x = sum(a[table][i] for table, i in zip(tables, event, strict=True))
        if embedded is not None:
            x = embedded[t]
        for i in range(layers):
            h[i], c[i] = cell_step(meta["cell"], a[f"layer{i}_W"], a[f"layer{i}_R"], a[f"layer{i}_B"], x, h[i], c[i])
            x = h[i]
    return SimpleNamespace(h=h, c=c)


def graph_bytes(meta, arrays, *, opset=18, batch="batch", time="time", lengths=True, extra_nodes=(), edit=None):
    """The ONNX graph of such a model (state and no probabilities), as the contract asks for."""
    from onnx import TensorProto, helper, numpy_helper

    lstm, layers, hidden = meta["cell"] == "lstm", meta["layers"], meta["hidden"]
    nodes, used = [], {}

    def add(op, inputs, outputs, **attributes):
        nodes.append(helper.make_node(op, inputs, outputs, **attributes))
        for name in inputs:
            if name in arrays:
                used[name] = arrays[name][None] if name.startswith("layer") else arrays[name]
        return outputs[0]

    sides = {"items": "input_vectors", "event_types": "event_type_vectors", "gaps": "gap_vectors"}
    sides = {k: v for k, v in sides.items() if v in arrays}
    x = ""
    for role, table in sides.items():
        add("Transpose", [role], [f"{role}_t"], perm=[1, 0])
        e = add("Gather", [table, f"{role}_t"], [f"{role}_x"])
        x = add("Add", [x, e], [f"x_{role}"]) if x else e
    used["one"] = np.array([1], np.int64)
    used["zero"] = np.array([0], np.int64)
    for i in range(layers):
        used[f"i{i}"] = np.array([i], np.int64)
        states = [add("Gather", [f"{s}0", f"i{i}"], [f"{s}0_{i}"]) for s in ("hc" if lstm else "h")]
        weights = [f"layer{i}_{part}" for part in "WRB"]
        add(meta["cell"].upper(), [x, *weights, "lengths" if lengths else "", *states],
            [f"y{i}", *(f"{s}n_{i}" for s in ("hc" if lstm else "h"))], hidden_size=hidden,
            **({"linear_before_reset": 1} if meta["cell"] == "gru" else {}))  # fmt: skip
        x = add("Squeeze", [f"y{i}", "one"], [f"x{i + 1}"])
    for s in "hc" if lstm else "h":
        add("Concat", [f"{s}n_{i}" for i in range(layers)], [f"{s}n"], axis=0)
    top = add("Squeeze", [f"hn_{layers - 1}", "zero"], ["top"])
    if meta["projection"]:
        top = add("Gemm", [top, "project_W", "project_b"], ["projected"], transB=1)
    if meta["scale"] is not None:
        used |= {"axis": np.array([-1], np.int64), "scale": np.float32(meta["scale"]), "tiny": np.float32(1e-12)}
        add("ReduceL2", [top, "axis"], ["norm"], keepdims=1)
        add("Max", ["norm", "tiny"], ["safe"])
        add("Div", [top, "safe"], ["unit"])
        top = add("Mul", ["unit", "scale"], ["scaled"])
    add("Identity", [top], ["state"])
    nodes.extend(extra_nodes)
    state = [layers, batch, hidden]
    value = helper.make_tensor_value_info
    inputs = [value(role, TensorProto.INT64, [batch, time]) for role in sides]
    inputs += [value("lengths", TensorProto.INT32, [batch])] if lengths else []
    inputs += [value(f"{s}0", TensorProto.FLOAT, state) for s in ("hc" if lstm else "h")]
    outputs = [value(f"{s}n", TensorProto.FLOAT, state) for s in ("hc" if lstm else "h")]
    outputs.append(value("state", TensorProto.FLOAT, [batch, meta["query"]]))
    constants = [numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in used.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    if edit is not None:
        edit(model)
    return model.SerializeToString()


def write_model(path, meta, arrays, with_graph=False):
    import hashlib

    from ecocore.storage import write_folder

    data = graph_bytes(meta, arrays) if with_graph else b"none"
    meta = {**meta, "graph": {"sha256": hashlib.sha256(data).hexdigest()}}
    write_folder(path, "behavior", meta, {**arrays, "graph": np.frombuffer(data, np.uint8)})
    return path


def random_sequences(random, count, longest=30, items=40, unknown=0.1):
    """Sequences of external ids of :func:`model_arrays`, some empty, some items unknown."""
    out = []
    for n in random.integers(0, longest, count):
        ids = random.integers(0, items, n) * 10 + 5
        ids[random.random(n) < unknown] = 3
        out.append(ids.tolist())
    return out
