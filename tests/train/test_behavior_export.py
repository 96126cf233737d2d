"""The exported graph against the net that it was made of, and against the contract that the folder states."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed (no torch)")
pytest.importorskip("onnx", reason="the extra 'train' is not installed (no onnx)")
ort = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed (extra 'cpu' or 'gpu')")

from ecocore import IdMap
from ecocore.storage import read_folder
from ecocore.train.data import Vocabulary
from ecocore.train.export import arrays_of, graph_of, save
from ecocore.train.model import BehaviorNet, Shape

SHAPES = {
    "lstm": Shape("lstm", items=40, dim=12, hidden=20, scale=14.0),
    "lstm-article": Shape("lstm", 40, 12, 20, tied=False, item_bias=True, probability="sigmoid"),
    "lstm-2-types-gaps": Shape("lstm", 40, 12, 20, layers=2, event_types=4, gaps=30, scale=10.0),
    "gru": Shape("gru", 40, 12, 20, scale=14.0),
    "gru-3": Shape("gru", 40, 12, 20, layers=3, item_bias=True),
    "rnn": Shape("rnn", 40, 12, 20, gaps=30),
    "lstm-128": Shape("lstm", 300, 128, 128, scale=14.0),
}


@pytest.fixture(params=SHAPES)
def net(request):
    torch.manual_seed(0)
    net = BehaviorNet(SHAPES[request.param], dropout=0.5).eval()
    with torch.no_grad():
        net.bias.normal_()
        for p in net.parameters():
            p.normal_(0, 0.3)
    return net


def session_of(net: BehaviorNet) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    graph = graph_of(net.shape, arrays_of(net)).SerializeToString()
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def events(net: BehaviorNet, batch: int, time: int, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    sizes = {"items": net.shape.items, "event_types": net.shape.event_types, "gaps": net.shape.gaps}
    return {name: random.integers(0, rows, (batch, time)) for name, rows in sizes.items() if rows}


def zero_state(net: BehaviorNet, batch: int) -> dict[str, np.ndarray]:
    names = ("h0", "c0") if net.shape.cell == "lstm" else ("h0",)
    return {name: np.zeros((net.shape.layers, batch, net.shape.hidden), np.float32) for name in names}


def run(session, ids, state, lengths=None, candidates=()) -> dict[str, np.ndarray]:
    batch, time = ids["items"].shape
    lengths = np.full(batch, time) if lengths is None else lengths
    feed = {**ids, **state, "lengths": lengths.astype(np.int32), "candidates": np.array(candidates, np.int64)}
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feed), strict=True))


def in_torch(net: BehaviorNet, ids) -> tuple[np.ndarray, list[np.ndarray]]:
    """(queries at every time, final states)"""
    t = {name: torch.from_numpy(a) for name, a in ids.items()}
    with torch.no_grad():
        x = net.input_vectors(net.items)[t["items"]]
        queries = net(x, t.get("event_types"), t.get("gaps")).numpy()
        for table, name in ((net.event_types, "event_types"), (net.gaps, "gaps")):
            x = x if table is None else x + table(t[name])
        states = net.cell(x)[1]
    return queries, [s.numpy() for s in (states if isinstance(states, tuple) else (states,))]


def test_outputs_are_pytorchs(net):
    ids = events(net, 7, 11)
    lengths = np.array([11, 1, 5, 11, 7, 2, 10])
    out = run(session_of(net), ids, zero_state(net, 7), lengths, candidates=range(1, net.shape.items))
    queries, _ = in_torch(net, ids)
    state = queries[np.arange(7), lengths - 1]
    np.testing.assert_allclose(out["state"], state, atol=1e-5, rtol=1e-5)
    for i, n in enumerate(lengths):
        finals = in_torch(net, {name: a[i : i + 1, :n] for name, a in ids.items()})[1]
        for name, expected in zip(("hn", "cn"), finals, strict=False):
            np.testing.assert_allclose(out[name][:, i : i + 1], expected, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        scores = torch.from_numpy(state) @ net.output_vectors(net.outputs)[1:].T
        scores = scores + net.bias[1:] if net.shape.item_bias else scores
        p = (scores.sigmoid() if net.shape.probability == "sigmoid" else scores.softmax(1)).numpy()
    np.testing.assert_allclose(out["probabilities"], p, atol=1e-5)
    vectors = arrays_of(net)
    bias = vectors.get("item_bias", np.zeros(net.shape.items, np.float32))
    np.testing.assert_allclose(out["state"] @ vectors["item_vectors"][1:].T + bias[1:], scores.numpy(), atol=1e-4)


def test_chunks_of_time_give_the_bits_of_the_whole(net):
    session, ids = session_of(net), events(net, 5, 17)
    whole = run(session, ids, zero_state(net, 5), candidates=[3, 1])
    state = zero_state(net, 5)
    for begin, end in ((0, 1), (1, 9), (9, 11), (11, 17)):
        part = run(
            session, {k: np.ascontiguousarray(a[:, begin:end]) for k, a in ids.items()}, state, candidates=[3, 1]
        )
        state = {name: part[name[0] + "n"] for name in state}
    for name, expected in whole.items():
        assert np.array_equal(part[name], expected), name


def test_padding_and_batch_mates_leave_a_rows_state_alone(net):
    """Bit for bit with LSTM and GRU; ONNX Runtime multiplies an RNN's rows together, which rounds otherwise."""
    session, ids = session_of(net), events(net, 9, 12)
    lengths = np.random.default_rng(1).integers(1, 13, 9)
    together = run(session, ids, zero_state(net, 9), lengths)
    for i, n in enumerate(lengths):
        alone = run(session, {k: np.ascontiguousarray(a[i : i + 1, :n]) for k, a in ids.items()}, zero_state(net, 1))
        for name in {"hn", "cn"} & set(alone):
            mine = together[name][:, i : i + 1]
            if net.shape.cell == "rnn":
                np.testing.assert_allclose(mine, alone[name], rtol=1e-5, atol=1e-6)
            else:
                assert np.array_equal(mine, alone[name]), name
        np.testing.assert_allclose(together["state"][i], alone["state"][0], rtol=1e-5, atol=1e-6)


def test_no_candidates_cost_nothing_and_are_allowed(net):
    assert run(session_of(net), events(net, 3, 2), zero_state(net, 3))["probabilities"].shape == (3, 0)


def test_the_folder_says_what_the_graph_has(net, tmp_path):
    items = IdMap([f"item {i}" for i in range(net.shape.items - 1)])
    types = IdMap(["view", "cart", "buy"]) if net.shape.event_types else None
    save(tmp_path / "m", net, Vocabulary(items, types), {"note": "none"})
    meta, arrays = read_folder(tmp_path / "m", "behavior", verify=True)
    graph = arrays["graph"].tobytes()
    assert hashlib.sha256(graph).hexdigest() == meta["graph"]["sha256"]
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    onnx_types = {"int64": "tensor(int64)", "int32": "tensor(int32)", "float32": "tensor(float)"}
    for stated, real in (
        (meta["graph"]["inputs"], session.get_inputs()),
        (meta["graph"]["outputs"], session.get_outputs()),
    ):
        assert [(t["name"], onnx_types[t["dtype"]], t["shape"]) for t in stated] == [
            (t.name, t.type, t.shape) for t in real
        ]
    ids = IdMap.from_parts(
        meta["item_ids"], {k.removeprefix("item_ids_"): v for k, v in arrays.items() if k.startswith("item_ids_")}
    )
    assert ids == items
    assert arrays["item_vectors"].shape == (net.shape.items, meta["query"])
    assert meta["items"] == net.shape.items
    assert (meta["event_type_ids"] is not None) == (types is not None)
    assert len(meta["gap_boundaries"]) in (0, 28)


def test_the_cell_is_one_operator_and_the_opset_one_that_cuda_has(net):
    graph = graph_of(net.shape, arrays_of(net))
    kinds = [node.op_type for node in graph.graph.node]
    assert kinds.count(net.shape.cell.upper()) == net.shape.layers
    assert not {"Loop", "Scan", "If"} & set(kinds)
    assert 17 <= graph.opset_import[0].version <= 21


def test_the_state_can_be_computed_from_h_by_the_arrays(net):
    ids = events(net, 4, 3)
    out, a = run(session_of(net), ids, zero_state(net, 4)), arrays_of(net)
    q = out["hn"][-1]
    if "project_W" in a:
        q = q @ a["project_W"].T + a["project_b"]
    if net.shape.scale is not None:
        q = net.shape.scale * q / np.maximum(np.linalg.norm(q, axis=1, keepdims=True), 1e-12)
    np.testing.assert_allclose(out["state"], q, atol=1e-5, rtol=1e-5)
