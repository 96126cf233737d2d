"""Explanations by gradients and layer by layer, against finite differences, torch's autograd and occlusion."""

from __future__ import annotations

import numpy as np
import pytest

from ecocore import BehaviorModel, InvalidArgument
from ecocore import recurrent_gradients as module
from ecocore.recurrent_gradients import RecurrentGradients, input_vectors
from ecocore.weights import narrow, widen
from reference_recurrent import GATES, encode, graph_bytes, model_arrays, needs_graphs, sigmoid, write_model

CELLS = ["lstm", "gru", "rnn"]
HEADS = [
    {"probability": "sigmoid"},
    {"probability": "softmax", "bias": True, "query": 7, "scale": 1.5},
    {"probability": "sigmoid", "bias": True, "scale": 3.0},
]
SEQUENCE = [5, 105, 25, 305, 45, 3, 205]  # 3 is unknown


def gradients_of(meta, arrays, code):
    bias = arrays["item_bias"][1:] if meta["item_bias"] else None
    return RecurrentGradients(meta, arrays, arrays["item_vectors"][1:], bias, meta["probability"], code)


def load(path, meta, arrays):
    return BehaviorModel.load(write_model(path, meta, arrays), "cpu", engine="native")


def loud(cell, **kwargs):
    """A model whose probabilities depend much on its events."""
    meta, arrays = model_arrays(cell, **kwargs)
    arrays["input_vectors"] *= 3
    arrays["item_vectors"] *= 3
    return meta, arrays


def by_the_formulas(meta, arrays, code, x, h, c):
    """The probability in float64, apart from the library."""
    a = {k: v.astype(np.float64) for k, v in arrays.items() if v.dtype == np.float32}
    query = encode(meta, arrays, [(0,)] * len(x), h, c, embedded=x).h[-1]
    if meta["projection"]:
        query = a["project_W"] @ query + a["project_b"]
    if meta["scale"] is not None:
        query = meta["scale"] * query / np.linalg.norm(query)
    scores = a["item_vectors"][1:] @ query + (a["item_bias"][1:] if meta["item_bias"] else 0)
    if meta["probability"] == "sigmoid":
        return sigmoid(scores[code])
    e = np.exp(scores - scores.max())
    return e[code] / e.sum()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("head", HEADS)
def test_gradients_are_central_differences(cell, head, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 90)  # more than one block of items
    meta, arrays = loud(cell, dim=4, hidden=5, layers=2, **head)
    random = np.random.default_rng(1)
    x = random.standard_normal((6, 3, 4))
    h = random.uniform(-0.5, 0.5, (2, 5))
    c = random.uniform(-1, 1, (2, 5)) if cell == "lstm" else None
    p, got = gradients_of(meta, arrays, 7).gradient(x, h, c)
    want = np.empty_like(got)
    for b in range(3):
        assert p[b] == pytest.approx(by_the_formulas(meta, arrays, 7, x[:, b], h, c), rel=1e-12)
        for at in np.ndindex(6, 4):
            up, down = x[:, b].copy(), x[:, b].copy()
            up[at] += 1e-5
            down[at] -= 1e-5
            sides = [by_the_formulas(meta, arrays, 7, side, h, c) for side in (up, down)]
            want[at[0], b, at[1]] = (sides[0] - sides[1]) / 2e-5
    assert np.abs(want).max() > 1e-4  # there is something to agree on
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_are_those_of_autograd(cell):
    torch = pytest.importorskip("torch", reason="torch is not installed (extra 'train')")
    meta, arrays = loud(cell, layers=2, query=9, scale=5.0, bias=True, probability="softmax")
    net = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[cell](12, 16, 2).double()
    order = {"lstm": [0, 2, 3, 1], "gru": [1, 0, 2], "rnn": [0]}[cell]  # torch's gates i, f, g, o and r, z, n

    def gates(a):
        parts = np.split(a, GATES[cell])
        return torch.tensor(np.concatenate([parts[g] for g in order]), dtype=torch.float64)

    with torch.no_grad():
        for i in range(2):
            wb, rb = np.split(arrays[f"layer{i}_B"], 2)
            for name, a in (("weight_ih", arrays[f"layer{i}_W"]), ("weight_hh", arrays[f"layer{i}_R"]),
                            ("bias_ih", wb), ("bias_hh", rb)):  # fmt: skip
                getattr(net, f"{name}_l{i}").copy_(gates(a))
    x = torch.tensor(np.random.default_rng(2).standard_normal((20, 4, 12)), requires_grad=True)
    w = {k: torch.tensor(v, dtype=torch.float64) for k, v in arrays.items() if v.dtype == np.float32}
    query = net(x)[0][-1] @ w["project_W"].T + w["project_b"]
    query = 5.0 * torch.nn.functional.normalize(query, dim=1)
    p = torch.softmax(query @ w["item_vectors"][1:].T + w["item_bias"][1:], dim=1)[:, 11]
    p.sum().backward()
    zero = np.zeros((2, 16))
    own, got = gradients_of(meta, arrays, 11).gradient(x.detach().numpy(), zero, zero if cell == "lstm" else None)
    np.testing.assert_allclose(own, p.detach().numpy(), rtol=1e-10)
    np.testing.assert_allclose(got, x.grad.numpy(), rtol=1e-8, atol=1e-14)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("window", [4, 256])
def test_contributions_add_up(tmp_path, cell, head, window):
    meta, arrays = loud(cell, layers=2, types=2, gaps=6, **head)
    model = load(tmp_path / "m", meta, arrays)
    n = len(SEQUENCE)
    inputs = {"event_types": ["type0", "type1", "other"] * 2 + ["type0"], "times": [0.0, 1, 8, 9, 40, 41, 41]}
    batch = {k: [v] for k, v in inputs.items()}
    item = int(model.recommend([SEQUENCE], 1, **batch).ids[0, 0])
    out = model.explain(SEQUENCE, item, method="gradients", window=window, **inputs)
    start = max(0, n - window)
    assert out.probability == model.probabilities([SEQUENCE], **batch)[0, item // 10]
    unknown = SEQUENCE[:start] + [3] * (n - start)
    assert out.baseline == model.probabilities([unknown], **batch)[0, item // 10]
    assert np.isnan(out.contributions[:start]).all()
    assert abs(out.contributions[start:]).max() > 1e-3
    assert out.contributions[start:].sum() == pytest.approx(out.probability - out.baseline, abs=1e-3)
    assert out.contributions[5] == 0  # an unknown item is the baseline itself


def test_more_steps_come_nearer(tmp_path):
    """Midpoints: the error falls with the square of the steps."""
    model = load(tmp_path / "m", *model_arrays("lstm", probability="softmax", scale=14.0))
    item, errors = model.recommend([SEQUENCE], 1).ids[0, 0], []
    for steps in (2, 16, 128):
        out = model.explain(SEQUENCE, item, method="gradients", steps=steps)
        errors.append(abs(out.contributions.sum() - (out.probability - out.baseline)))
    assert errors[0] > 1e-3
    assert errors[2] < 2e-5
    assert errors[1] > 30 * errors[2]


@pytest.mark.parametrize("kind", ["float16", "int8"])
def test_tables_in_fewer_bits(tmp_path, kind):
    meta, arrays = loud("gru", types=2)
    for name in ("input_vectors", "event_type_vectors"):
        arrays |= narrow(name, arrays[name], kind)
    ids = [np.array([3, 0, 3, 40], np.int32), np.array([1, 2, 0, 1], np.int32)]
    names = ["input_vectors", "event_type_vectors"]
    want = sum(widen(arrays, name).astype(float)[rows] for name, rows in zip(names, ids, strict=True))
    np.testing.assert_allclose(input_vectors(arrays, ids, names), want, rtol=1e-6, atol=1e-7)
    # What is multiplied ahead is rounded once more, which gradients do not follow; on the fly nothing is.
    path = write_model(tmp_path / "m", {**meta, "contract": 2}, arrays)
    out = BehaviorModel.load(path, "cpu", engine="native", table_bytes=0).explain(SEQUENCE, 75, method="gradients")
    assert out.contributions.sum() == pytest.approx(out.probability - out.baseline, abs=1e-3)


def test_paths_in_parts_give_the_same(tmp_path, monkeypatch):
    model = load(tmp_path / "m", *loud("gru", layers=2))
    whole = model.explain(SEQUENCE, 75, method="gradients", steps=10).contributions
    monkeypatch.setattr(module, "_TAPE_BYTES", 3 * gradients_of(*loud("gru", layers=2), 7)._bytes(len(SEQUENCE), 12))
    np.testing.assert_allclose(
        model.explain(SEQUENCE, 75, method="gradients", steps=10).contributions, whole, rtol=1e-5, atol=1e-9
    )


@needs_graphs
def test_a_folder_that_runs_its_graph_has_gradients_too(tmp_path):
    meta, arrays = loud("lstm", layers=2)
    path = write_model(tmp_path / "m", meta, arrays, with_graph=True)
    got, want = (
        BehaviorModel.load(path, "cpu", engine=engine).explain(SEQUENCE, 75, method="gradients", window=3)
        for engine in ("onnxruntime", "native")
    )
    np.testing.assert_allclose(got.contributions, want.contributions, atol=1e-5)
    np.testing.assert_allclose(got.layers, want.layers, atol=1e-5)


# ---- against occlusion -----------------------------------------------------------------------------------------------

WEIGHTS = [0.02, 0.05, 0.1, 0.2, 0.3, 1.5]  # of items 0 to 5 for item 9, the last decides


def additive(cell):
    """A model whose state is nearly the sum of what its events weigh for item 9: no recurrence, gates open, and the
    memory kept; so what an event contributes is known without asking either method."""
    meta, arrays = model_arrays(cell, items=10, dim=2, hidden=1)
    for name in ("layer0_W", "layer0_R", "layer0_B", "input_vectors", "item_vectors"):
        arrays[name][:] = 0
    arrays["input_vectors"][1:7, 0] = WEIGHTS
    arrays["layer0_W"][-1, 0] = 0.3  # the candidate of every cell comes last
    if cell == "rnn":
        arrays["layer0_R"][0, 0] = 0.95
    elif cell == "gru":
        arrays["layer0_B"][0] = 2.0  # z, mostly kept
    else:
        arrays["layer0_B"][:3] = 4.0  # i, o and f open
    arrays["item_vectors"][10, 0] = 4.0
    return meta, arrays


def ranks(a):
    return np.argsort(np.argsort(a))


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_and_occlusion_tell_the_same_of_one_deciding_event(tmp_path, cell):
    model = load(tmp_path / "m", *additive(cell))
    order = [3, 0, 5, 2, 4, 1]
    sequence = [i * 10 + 5 for i in order]
    got = {m: model.explain(sequence, 95, method=m).contributions for m in ("occlusion", "replacement", "gradients")}
    for method, contributions in got.items():
        assert contributions.argmax() == 2, method
        assert contributions[2] > 2 * np.delete(contributions, 2).max(), method
    for method in ("occlusion", "replacement"):
        assert np.corrcoef(ranks(got[method]), ranks(got["gradients"]))[0, 1] > 0.8, (method, got)


@pytest.mark.parametrize("doubt", [0.0, 0.1])
def test_gradients_tell_little_of_a_cause_that_unknown_items_may_be(tmp_path, doubt):
    """A state that one item switches on and that keeps itself on; ``doubt``: how much an unknown item is like it. A
    window of unknown items then ends in the same state, and what gradients share out is next to nothing."""
    meta, arrays = model_arrays("rnn", items=10, dim=2, hidden=1)
    for name in ("layer0_W", "layer0_R", "layer0_B", "input_vectors", "item_vectors"):
        arrays[name][:] = 0
    arrays["input_vectors"][:2, 0] = doubt, 1.0
    arrays["layer0_W"][0, 0], arrays["layer0_R"][0, 0] = 3.0, 1.2
    arrays["item_vectors"][10, 0] = 4.0
    model = load(tmp_path / "m", meta, arrays)
    occlusion, gradients = (model.explain([15, 25, 5, 35, 45, 55], 95, method=m) for m in ("occlusion", "gradients"))
    assert occlusion.contributions.argmax() == 2
    assert occlusion.contributions[2] > 0.4
    assert gradients.contributions.sum() == pytest.approx(gradients.probability - gradients.baseline, abs=1e-3)
    if doubt:
        assert gradients.baseline > gradients.probability  # which is how one sees it
        assert abs(gradients.contributions).max() < 0.05
    else:
        assert gradients.baseline == 0.5
        np.testing.assert_allclose(gradients.contributions[2], occlusion.contributions[2], atol=1e-3)


@pytest.mark.parametrize("method", ["occlusion", "replacement", "gradients"])
@pytest.mark.parametrize("window", [3, 256])
def test_layers_say_how_far_states_move_without_the_event(tmp_path, method, window):
    meta, arrays = loud("lstm", layers=3)
    model = load(tmp_path / "m", meta, arrays)
    out = model.explain(SEQUENCE, 75, method=method, window=window)
    n = len(SEQUENCE)
    assert out.layers.shape == (n, 3)
    assert out.layers.dtype == np.float32
    h = model.encode([SEQUENCE]).h[0].astype(float)
    for t in range(n):
        if t < n - window:
            assert np.isnan(out.layers[t]).all()
            continue
        other = model.encode([SEQUENCE[:t] + SEQUENCE[t + 1 :]]).h[0].astype(float)
        want = [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(other, h, strict=True)]
        assert min(want) > 1e-4
        np.testing.assert_allclose(out.layers[t], want, rtol=1e-5)


def test_events_without_influence_have_no_part(tmp_path):
    """A network without memory in its first layer: there only the last event counts."""
    meta, arrays = loud("rnn", layers=2)
    arrays["layer0_R"][:] = 0
    out = load(tmp_path / "m", meta, arrays).explain(SEQUENCE, 75)
    assert (out.layers[:-1, 0] == 0).all()
    assert out.layers[-1, 0] > 0.1
    assert (out.layers[:, 1] > 1e-5).all()
    meta, arrays = loud("rnn")
    arrays["layer0_R"][:] = 0
    model = load(tmp_path / "n", meta, arrays)
    for method in ("occlusion", "replacement", "gradients"):
        out = model.explain(SEQUENCE, 75, method=method)
        assert (out.contributions[:-1] == 0).all()
        assert (out.layers[:-1] == 0).all()
        assert abs(out.contributions[-1]) > 1e-3
        assert out.layers[-1, 0] > 0.1


def test_states_of_zero(tmp_path):
    """Layer 0's state is zero with and without the event; after no events there is nothing to tell."""
    meta, arrays = model_arrays("rnn")
    for name in ("layer0_W", "layer0_B"):
        arrays[name][:] = 0
    model = load(tmp_path / "m", meta, arrays)
    assert model.explain([5, 15], 75).layers.tolist() == [[0.0], [0.0]]
    for method in ("occlusion", "replacement", "gradients"):
        out = model.explain([], 75, method=method)
        assert (out.contributions.shape, out.layers.shape, out.probability) == ((0,), (0, 1), 0.5)
    assert out.baseline == 0.5


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"method": "magic"}, "method: expected 'occlusion', 'replacement' or 'gradients'; got 'magic'"),
        ({"steps": 0}, "steps: expected a whole number of at least 1; got 0"),
        ({"steps": 2.5}, "steps: expected a whole number"),
        ({"window": 0}, "window: expected"),
    ],
)
def test_bad_input_is_explained(tmp_path, kwargs, message):
    model = load(tmp_path / "m", *model_arrays("rnn"))
    with pytest.raises(InvalidArgument, match=message):
        model.explain([5, 15], 5, **{"method": "gradients", **kwargs})


@needs_graphs
def test_a_graph_of_ones_own_has_no_gradients(tmp_path):
    meta, arrays = model_arrays("gru")
    model = BehaviorModel.from_graph(
        graph_bytes(meta, arrays), np.arange(40) * 10 + 5, item_vectors=arrays["item_vectors"][1:], device="cpu"
    )
    model.save(tmp_path / "m")
    for one in (model, BehaviorModel.load(tmp_path / "m", "cpu")):
        with pytest.raises(InvalidArgument, match=r'plain weights.*use method="occlusion"'):
            one.explain([5, 15], 75, method="gradients")
        assert one.explain([5, 15], 75).layers.shape == (2, 1)


@needs_graphs
@pytest.mark.parametrize("window", [1, 3])
def test_occlusion_of_a_graph_whose_output_is_kept(tmp_path, window):
    """Of the last event alone, nothing is left in the window, and what stands is the output after those before it."""
    meta, arrays = model_arrays("gru")
    model = BehaviorModel.from_graph(
        graph_bytes(meta, arrays), np.arange(40) * 10 + 5, item_vectors=arrays["item_vectors"][1:], device="cpu"
    )
    assert not model.engine.output_of_state
    out = model.explain(SEQUENCE, 75, window=window)
    without = model.probabilities([SEQUENCE[:-1]], [75])[0, 0]
    assert without != 0.5  # what an empty sequence has
    assert out.contributions[-1] == np.float32(out.probability) - without
