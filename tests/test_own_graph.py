"""The two worked examples of docs/own-graph.md: what PyTorch and Keras compute is what comes out here, within 1e-5."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import ecocore
from ecocore import BehaviorModel, InvalidArgument, SessionStore
from ecocore.onnx import read_graph
from reference_recurrent import graph_bytes, model_arrays

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'cpu' or 'gpu')")
pytest.importorskip("onnx", reason="onnx is not installed (extra 'test')")
torch = pytest.importorskip("torch", reason="torch is not installed (extra 'train')")

N = 30
IDS = [f"item {i}" for i in range(N)]


def sequences():
    random = np.random.default_rng(0)
    return [random.integers(0, N, n).tolist() for n in (1, 5, 9, 9, 2, 30)]


class Net(torch.nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.items = torch.nn.Embedding(N + 1, 24)
        self.cell = getattr(torch.nn, cell)(24, 32, num_layers=2)
        self.out = torch.nn.Linear(32, 24)
        self.lstm = cell == "LSTM"

    def forward(self, items, h0, c0=None):
        x = self.items(items.t())
        _, last = self.cell(x, (h0, c0) if self.lstm else h0)
        hn, cn = last if self.lstm else (last, None)
        return (hn, cn, self.out(hn[-1])) if self.lstm else (hn, self.out(hn[-1]))


def export_torch(net, path, names, batch=True):
    axes = {"items": {0: "batch", 1: "time"}, "state": {0: "batch"}}
    axes |= {name: {1: "batch"} for name in ("h0", "c0", "hn", "cn")}
    states = ["h0", "c0"] if net.lstm else ["h0"]
    outputs = ["hn", "cn", "state"] if net.lstm else ["hn", "state"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of batch 1 where there is none, and of its own successor
        torch.onnx.export(
            net, (torch.zeros(2, 3, dtype=torch.int64), *(torch.zeros(2, 2, 32) for _ in states)), path,
            input_names=[names.get(n, n) for n in ("items", *states)], output_names=outputs, opset_version=18,
            dynamo=False, dynamic_axes={names.get(k, k): v for k, v in axes.items()} if batch else None,
        )  # fmt: skip


@pytest.mark.parametrize("cell", ["LSTM", "GRU", "RNN"])
def test_pytorch(tmp_path, cell):
    torch.manual_seed(0)
    net = Net(cell).eval()
    export_torch(net, tmp_path / "net.onnx", {"items": "input_1"})
    vectors = net.items.weight.detach().numpy()[1:]
    model = BehaviorModel.from_graph(
        tmp_path / "net.onnx", IDS, item_vectors=vectors, roles={"items": "input_1"}, device="cpu"
    )
    rows = sequences()
    named = [[IDS[i] for i in s] for s in rows]
    out = model.encode(named)
    store = SessionStore(model)
    with torch.no_grad():
        for user, s in enumerate(rows):
            states = [torch.zeros(2, 1, 32)] * (2 if cell == "LSTM" else 1)
            hn, *_, query = net(torch.tensor([s]) + 1, *states)
            np.testing.assert_allclose(out.h[user], hn[:, 0].numpy(), atol=1e-5)
            np.testing.assert_allclose(out.query[user], query[0].numpy(), atol=1e-5)
            p = torch.sigmoid(query @ torch.from_numpy(vectors).T)[0].numpy()
            np.testing.assert_allclose(model.probabilities([named[user]])[0], p, atol=1e-5)
            for item in named[user]:
                store.append(user, item)
            np.testing.assert_array_equal(store.state(user).h, out.h[user])
    assert model.info["bitwise"]


def test_a_static_batch_is_refused_with_the_remedy(tmp_path):
    export_torch(Net("LSTM").eval(), tmp_path / "net.onnx", {}, batch=False)
    with pytest.raises(InvalidArgument, match=r"'items': expected a symbolic batch.*int64 .2, 3.*dynamic_axes"):
        BehaviorModel.from_graph(tmp_path / "net.onnx", IDS, item_vectors=np.ones((N, 24)), device="cpu")


@pytest.fixture(scope="module")
def keras():
    os.environ["KERAS_BACKEND"] = "torch"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("keras", reason="keras is not installed (pip install keras torch)")


def keras_models(keras):
    layers = keras.layers
    keras.utils.set_random_seed(0)
    items = keras.Input((None,), dtype="int32", name="items")
    embedding, lstm = layers.Embedding(N + 1, 64), layers.LSTM(128, return_state=True, use_cudnn=False)
    dropout, dense = layers.Dropout(0.5), layers.Dense(N, activation="sigmoid")
    training = keras.Model(items, dense(dropout(lstm(embedding(items))[0])))
    training.compile("adam", "binary_crossentropy")

    def serving(time):
        h0, c0 = keras.Input((128,), name="h0"), keras.Input((128,), name="c0")
        step = keras.Input((time,), dtype="int32", name="items")
        y, hn, cn = lstm(embedding(step), initial_state=[h0, c0])
        return keras.Model([step, h0, c0], [hn, cn, dense(dropout(y))])

    return training, serving


def export_keras(model, path, time):
    model([np.zeros((2, time), "int32"), np.zeros((2, 128), "float32"), np.zeros((2, 128), "float32")])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.export(path, format="onnx", verbose=False)
    hn, cn, p = (t.name for t in read_graph(path)[1].outputs)
    return {"hn": hn, "cn": cn, "probabilities": p}


def test_keras(keras, tmp_path):
    training, serving = keras_models(keras)
    random = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        training.fit(random.integers(0, N + 1, (64, 7)), random.integers(0, 2, (64, N)).astype("float32"), verbose=0)
    roles = export_keras(serving(1), str(tmp_path / "keras.onnx"), 1)
    model = BehaviorModel.from_graph(tmp_path / "keras.onnx", IDS, roles=roles, device="cpu")
    store = SessionStore(model, capacity=10)
    for user, s in enumerate(sequences()):
        want = np.asarray(training(np.array([s], "int32") + 1).detach())[0]
        named = [IDS[i] for i in s]
        np.testing.assert_allclose(model.probabilities([named])[0], want, atol=1e-5)
        for item in named:
            store.append(user, item)
        np.testing.assert_array_equal(store.probabilities(user), model.probabilities([named])[0])
        best = np.argsort(-want, kind="stable")[:5]
        assert store.recommend(user, 5).ids.tolist() == [IDS[i] for i in best]
    assert model.info["bitwise"]


def test_keras_with_frozen_time_is_refused_with_the_remedy(keras, tmp_path):
    _, serving = keras_models(keras)
    roles = export_keras(serving(None), str(tmp_path / "keras.onnx"), 3)
    with pytest.raises(InvalidArgument, match=r"frozen the time axis.*items .batch, 1."):
        BehaviorModel.from_graph(tmp_path / "keras.onnx", IDS, roles=roles, device="cpu")


def test_the_line_that_reads_a_graphs_names_runs_as_it_stands(tmp_path):
    """In a new process, where nothing has imported ecocore.onnx yet."""
    text = (Path(__file__).parents[1] / "docs" / "own-graph.md").read_text()
    (line,) = [x for x in text.splitlines() if "ecocore.onnx.read_graph(" in x]
    (tmp_path / "keras.onnx").write_bytes(graph_bytes(*model_arrays("lstm")))
    root = str(Path(ecocore.__file__).parents[1])
    out = subprocess.run(
        [sys.executable, "-c", f"import ecocore\n{line}\nprint(hn, cn, p)"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": root}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert out.stdout.split() == ["hn", "cn", "state"], out.stderr
