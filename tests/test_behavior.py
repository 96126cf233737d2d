"""BehaviorModel: both engines agree with the formulas and with each other; states carry over to the bit."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from ecocore import BehaviorModel, FormatError, InvalidArgument
from reference_recurrent import encode, graph_bytes, model_arrays, needs_graphs, random_sequences, sigmoid, write_model

SEED = 3


ENGINES = ["native", pytest.param("onnxruntime", marks=needs_graphs)]


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


def load(tmp_path, engine, cell="lstm", **kwargs):
    meta, arrays = model_arrays(cell, **kwargs)
    path = write_model(tmp_path / f"{cell}", meta, arrays, with_graph=engine == "onnxruntime")
    return BehaviorModel.load(path, "cpu", engine=engine), meta, arrays


def same(a, b):
    np.testing.assert_array_equal(a.h.view(np.uint32), b.h.view(np.uint32))
    if a.c is not None:
        np.testing.assert_array_equal(a.c.view(np.uint32), b.c.view(np.uint32))
    np.testing.assert_array_equal(a.query.view(np.uint32), b.query.view(np.uint32))


def full_inputs(random, sequences):
    return {
        "event_types": [random.choice(["type0", "type1", "other"], len(s)).tolist() for s in sequences],
        "times": [np.cumsum(random.integers(0, 3000, len(s))).astype(float).tolist() for s in sequences],
    }


def rows_of(meta, sequence, types, times):
    """Table rows of one sequence, by the words of the contract."""
    ids = {int(x): i + 1 for i, x in enumerate(np.arange(meta["items"] - 1) * 10 + 5)}
    out, latest = [], None
    for item, kind, time in zip(sequence, types, times, strict=True):
        gap = 0
        if latest is not None:
            gap = 1 + int(np.searchsorted(meta["gap_boundaries"], max(0.0, time - latest), side="right"))
        latest = time if latest is None else max(latest, time)
        out.append((ids.get(item, 0), {"type0": 1, "type1": 2}.get(kind, 0), gap))
    return out


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("scale", [None, 14.0])
def test_states_queries_and_probabilities_agree_with_the_formulas(tmp_path, engine, cell, scale):
    model, meta, arrays = load(tmp_path, engine, cell, layers=2, types=2, gaps=6, query=9, scale=scale, bias=True)
    random = np.random.default_rng(SEED)
    sequences = random_sequences(random, 30)
    inputs = full_inputs(random, sequences)
    out = model.encode(sequences, **inputs)
    p = model.probabilities(sequences, **inputs)
    some = model.probabilities(sequences, [25, 5, 25], **inputs)
    for i, sequence in enumerate(sequences):
        want = encode(meta, arrays, rows_of(meta, sequence, inputs["event_types"][i], inputs["times"][i]))
        np.testing.assert_allclose(out.h[i], want.h, atol=1e-5)
        q = arrays["project_W"] @ want.h[-1] + arrays["project_b"]
        if scale is not None:
            q = scale * q / np.linalg.norm(q)
        np.testing.assert_allclose(out.query[i], q, atol=1e-4)
        want_p = sigmoid(arrays["item_vectors"][1:] @ q + arrays["item_bias"][1:])
        np.testing.assert_allclose(p[i], want_p, atol=1e-5)
    np.testing.assert_array_equal(some, p[:, [2, 0, 2]])
    assert out.unknown == sum(x == 3 for s in sequences for x in s)
    assert model.info["bitwise"] is True


def test_softmax_is_over_the_candidates(tmp_path):
    model, _, _ = load(tmp_path, "native", probability="softmax", bias=True)
    p = model.probabilities([[5, 15], []])
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    two = model.probabilities([[5, 15], []], [35, 15])
    np.testing.assert_allclose(two, p[:, [3, 1]] / p[:, [3, 1]].sum(axis=1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_same_bits_whole_and_cut_alone_and_batched(tmp_path, engine, cell):
    model, _, _ = load(tmp_path, engine, cell, hidden=33, layers=2, types=2, gaps=6)
    random = np.random.default_rng(SEED)
    sequences = random_sequences(random, 90)
    inputs = full_inputs(random, sequences)
    whole = model.encode(sequences, **inputs)
    cut = [int(random.integers(0, len(s) + 1)) for s in sequences]

    def part(x, first):
        return [v[:k] if first else v[k:] for v, k in zip(x, cut, strict=True)]

    first = model.encode(part(sequences, True), **{k: part(v, True) for k, v in inputs.items()})
    second = model.encode(part(sequences, False), **{k: part(v, False) for k, v in inputs.items()}, initial=first)
    same(whole, second)
    np.testing.assert_array_equal(whole.last_time, second.last_time)
    p = model.probabilities(sequences, **inputs)
    for i in range(0, 90, 7):
        alone = {k: [v[i]] for k, v in inputs.items()}
        one = model.encode([sequences[i]], **alone)
        np.testing.assert_array_equal(one.h[0], whole.h[i])
        np.testing.assert_array_equal(model.probabilities([sequences[i]], **alone)[0], p[i])


@needs_graphs
def test_engines_agree(tmp_path):
    meta, arrays = model_arrays("lstm", hidden=64, query=20, scale=5.0)
    path = write_model(tmp_path / "m", meta, arrays, with_graph=True)
    sequences = random_sequences(np.random.default_rng(0), 100, longest=100)
    a, b = (BehaviorModel.load(path, "cpu", engine=e) for e in ("native", "onnxruntime"))
    assert a.sha256 == b.sha256
    np.testing.assert_allclose(a.encode(sequences).query, b.encode(sequences).query, atol=1e-5)


def test_recommend_is_the_top_of_the_scores_and_filters_hold(tmp_path, engine):
    model, _, arrays = load(tmp_path, engine, bias=True)
    sequences = random_sequences(np.random.default_rng(1), 20)
    out = model.recommend(sequences, 5)
    scores = model.encode(sequences).query @ arrays["item_vectors"][1:].T + arrays["item_bias"][1:]
    np.testing.assert_array_equal(out.ids, np.argsort(-scores, axis=1)[:, :5] * 10 + 5)
    unseen = model.recommend(sequences, 40, exclude_seen=True)
    for sequence, ids in zip(sequences, unseen.ids.tolist(), strict=True):
        assert not set(sequence) & set(ids)
        assert len(set(ids) - {-1}) == 40 - len(set(sequence) - {3})
    few = model.recommend(sequences, 3, allow=[5, 15, 999], deny=[15])
    assert few.ids.tolist() == [[5, -1, -1]] * 20
    with pytest.raises(InvalidArgument, match="k: expected a whole number from 1 to 40"):
        model.recommend(sequences, 41)


def test_flat_arrays_and_slices_give_the_same(tmp_path, monkeypatch, capsys):
    model, _, _ = load(tmp_path, "native", types=2, gaps=5)
    random = np.random.default_rng(SEED)
    sequences = random_sequences(random, 50)
    inputs = full_inputs(random, sequences)
    indptr = np.concatenate([[0], np.cumsum([len(s) for s in sequences])])
    flat = np.concatenate([np.array(s, np.int64) for s in sequences])
    want = model.encode(sequences, **inputs)
    same(want, model.encode((indptr, flat), **inputs))
    monkeypatch.setattr("ecocore.behavior._SLICE_EVENTS", 40)
    seen = []
    same(want, model.encode(sequences, **inputs, progress=lambda done, total: seen.append((done, total))))
    assert len(seen) > 5
    assert seen[-1] == (flat.size, flat.size)
    model.encode(sequences, **inputs, progress=True)
    assert "events" in capsys.readouterr().err


def test_late_times_are_gaps_of_zero_and_counted(tmp_path):
    model, _, _ = load(tmp_path, "native", gaps=6)
    items = [5, 15, 25, 35]
    out = model.encode([items], times=[[100.0, 50.0, 60.0, 101.0]])
    same(out, model.encode([items], times=[[100.0, 100.0, 100.0, 101.0]]))
    assert out.late == 2
    assert out.last_time[0] == 101.0


def test_a_sequence_of_a_million_events(tmp_path, engine):
    model, _, _ = load(tmp_path, engine, hidden=8, dim=8)
    n = 1_000_000 if engine == "native" else 50_000
    items = (np.random.default_rng(0).integers(0, 40, n) * 10 + 5).astype(np.int64)
    out = model.encode([items])
    assert np.isfinite(out.h).all()
    same(out, model.encode([items[n // 3 :]], initial=model.encode([items[: n // 3]])))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.encode([[None]]), "expected a whole number or a string"),
        (lambda m: m.encode([[1.5]]), "whole number"),
        (lambda m: m.encode("abc"), "list of lists"),
        (lambda m: m.encode([5, 15]), "list of lists.*\\[\\[...\\]\\]"),
        (lambda m: m.encode([[5]], event_types=[["type0", "type1"]]), "event_types: expected as many"),
        (lambda m: m.encode([[5]], times=[[np.nan]]), "times: expected finite seconds; got nan"),
        (lambda m: m.encode([[5]], times=[["x"]]), "times: expected seconds"),
        (lambda m: m.encode([[5]], features=[[1.0]]), "features: this model takes none"),
        (lambda m: m.encode((np.array([0, 2]), np.array([5]))), "indptr"),
        (lambda m: m.encode([[5], [5]], initial=m.encode([[5]])), "initial: expected 2 states; got 1"),
        (lambda m: m.probabilities([[5]], [7]), "^items: 7 is unknown"),
        (lambda m: m.probabilities([[]], [7]), "^items: 7 is unknown"),
        (lambda m: m.probabilities([[5]], [5.5]), "^items: expected a whole number"),
        (lambda m: m.recommend([[5.5]], 3), "^sequences: expected a whole number"),
        (lambda m: m.recommend([[5]], 3, allow=5), "^allow: expected a sequence of ids"),
        (lambda m: m.recommend([[5]], 3, deny=[None]), "^deny: expected a whole number"),
        (lambda m: m.encode([[5]], event_types=[[7]]), "^event_types: "),
        (lambda m: m.encode([[5]], initial=3), "^initial: expected an Encoded.*got int 3"),
        (lambda m: m.recommend([[5]], 0), "k: expected"),
        (lambda m: m.explain([5, 15], 7), "^item: 7 is unknown"),
        (lambda m: m.explain([[5]], 5), "^sequence: expected the item ids of one sequence; .* without the outer"),
        (lambda m: m.explain(np.array([[5]]), 5), "^sequence: expected the item ids of one sequence"),
        (lambda m: m.explain("5", 5), r"^sequence: expected the list .*; got str '5'; use \[id\] for one"),
        (lambda m: m.explain([5.5], 5), "^sequence: expected a whole number"),
        (lambda m: m.explain([5, 15], 5, method="magic"), "method: expected"),
    ],
)
def test_bad_input_is_explained(tmp_path, call, message):
    model, _, _ = load(tmp_path, "native", types=2, gaps=5)
    with pytest.raises(InvalidArgument, match=message):
        call(model)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_threads": -1}, "^num_threads: expected a whole number .*; got -1"),
        ({"num_threads": 1 << 40}, "^num_threads: expected a whole number"),
        ({"table_bytes": float("nan")}, "^table_bytes: expected a whole number .*; got float nan"),
        ({"table_bytes": -1}, "^table_bytes: expected a whole number"),
        ({"path": 3}, "^path: expected a path.*; got int 3"),
        ({"path": None}, "^path: expected a path.*; got NoneType None"),
        ({"engine": "magic"}, "^engine: expected"),
    ],
)
def test_a_wrong_argument_of_load_is_no_damaged_folder(tmp_path, kwargs, message):
    path = write_model(tmp_path / "m", *model_arrays(bias=True))
    with pytest.raises(InvalidArgument, match=message):
        BehaviorModel.load(**{"path": path, "device": "cpu", **kwargs})


@pytest.mark.parametrize(
    ("graph", "kwargs", "message"),
    [
        (None, {}, "^graph: expected the path of an ONNX file, or its bytes; got NoneType None"),
        (b"", {"num_threads": -1}, "^num_threads: expected"),
    ],
)
def test_wrong_arguments_of_from_graph(graph, kwargs, message):
    with pytest.raises(InvalidArgument, match=message):
        BehaviorModel.from_graph(graph, [1, 2], **kwargs)


def test_states_of_another_model_of_the_same_shape_are_refused(tmp_path):
    meta, arrays = model_arrays()
    model = BehaviorModel.load(write_model(tmp_path / "a", meta, arrays), "cpu")
    other = dict(arrays, layer0_W=arrays["layer0_W"] + np.float32(0.5))
    other_model = BehaviorModel.load(write_model(tmp_path / "b", meta, other), "cpu")
    first = other_model.encode([[5]])
    assert first.model == other_model.sha256
    for call in (model.encode, model.probabilities, lambda s, initial: model.recommend(s, 3, initial=initial)):
        with pytest.raises(InvalidArgument, match=r"^initial: expected states of this model .* encode the whole"):
            call([[15]], initial=first)
    # The same model from another place, and states put together by hand, go on.
    again = BehaviorModel.load(write_model(tmp_path / "c", meta, arrays), "cpu", table_bytes=0)
    whole = model.encode([[5, 15]])
    same(again.encode([[15]], initial=model.encode([[5]])), whole)
    by_hand = model.encode([[5]])
    same(model.encode([[15]], initial=dataclasses.replace(by_hand, model=None)), whole)


def test_empty_input(tmp_path, engine):
    model, _, _ = load(tmp_path, engine)
    assert model.encode([]).h.shape == (0, 1, 16)
    assert not model.encode([[], []]).h.any()
    assert model.recommend([[]], 3).ids.shape == (1, 3)


# ---- explanation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["occlusion", "replacement"])
def test_explanation_is_the_difference_it_says(tmp_path, engine, method):
    model, _, _ = load(tmp_path, engine, bias=True)
    sequence = [5, 105, 25, 25, 45, 205]
    out = model.explain(sequence, 75, method=method, window=4)
    base = model.probabilities([sequence], [75])[0, 0]
    assert out.probability == base
    assert np.isnan(out.contributions[:2]).all()
    for t in range(2, 6):
        other = sequence[:t] + ([] if method == "occlusion" else [3]) + sequence[t + 1 :]
        np.testing.assert_array_equal(out.contributions[t], base - model.probabilities([other], [75])[0, 0])


@pytest.mark.parametrize("sides", [{"types": 2}, {"gaps": 9}, {"types": 2, "gaps": 9}])
@pytest.mark.parametrize("window", [1, 4, 256])
def test_occlusion_is_the_model_without_the_event(tmp_path, engine, sides, window):
    """With times, the gap of the event after reaches back beyond the one that is left out."""
    model, _, _ = load(tmp_path, engine, **sides)
    sequence = [5, 105, 25, 25, 45, 205]
    inputs = {"event_types": ["type0", "type1", "other", "type0", "type0", "type1"]} if "types" in sides else {}
    if "gaps" in sides:
        inputs["times"] = [100.0, 101.0, 40.0, 90.0, 140.0, 141.0]  # two of them late, whose clock depends on the first
    out = model.explain(sequence, 75, window=window, **inputs)
    base = model.probabilities([sequence], [75], **{k: [v] for k, v in inputs.items()})[0, 0]
    for t in range(max(0, 6 - window), 6):
        rest = {k: [v[:t] + v[t + 1 :]] for k, v in inputs.items()}
        without = model.probabilities([sequence[:t] + sequence[t + 1 :]], [75], **rest)[0, 0]
        assert out.contributions[t] == base - without


def test_replacement_agrees_with_gradients_summed_along_the_way(tmp_path):
    """Integrated gradients by central differences: from the embedding of an unknown item to the item's own, in steps,
    they must add up to what replacing the item changes. The layers are walked in float64, apart from the library."""
    model, meta, arrays = load(tmp_path, "native", "lstm", layers=2)
    sequence = [5, 105, 25, 305, 45]
    rows = [(x // 10 + 1,) for x in sequence]
    target = arrays["item_vectors"][8].astype(float)  # item 75
    x = arrays["input_vectors"].astype(float)[[r[0] for r in rows]]
    unknown = arrays["input_vectors"][0].astype(float)

    def probability(embedded):
        return sigmoid(target @ encode(meta, arrays, rows, embedded=embedded).h[-1])

    got = model.explain(sequence, 75, method="replacement").contributions
    for t in range(len(sequence)):
        total, steps = 0.0, 20
        for s in range(steps):
            at = x.copy()
            at[t] = unknown + (s + 0.5) / steps * (x[t] - unknown)
            direction = x[t] - unknown
            up, down = at.copy(), at.copy()
            up[t] += 1e-4 * direction
            down[t] -= 1e-4 * direction
            total += (probability(up) - probability(down)) / 2e-4 / steps
        assert got[t] == pytest.approx(total, abs=2e-4)


# ---- folders and graphs of one's own ---------------------------------------------------------------------------------


def test_damaged_folders_are_refused(tmp_path):
    meta, arrays = model_arrays()
    path = write_model(tmp_path / "m", meta, arrays)
    manifest = json.loads((path / "manifest.json").read_text())
    with pytest.raises(FormatError, match="contract"):
        BehaviorModel.load(write_model(tmp_path / "n", {**meta, "contract": 99}, arrays))
    lacking = {k: v for k, v in arrays.items() if k != "layer0_R"}
    with pytest.raises(FormatError, match="layer0_R"):
        BehaviorModel.load(write_model(tmp_path / "o", meta, lacking))
    (path / manifest["arrays"]["layer0_W"]["file"]).write_bytes(b"")
    with pytest.raises(FormatError, match="cut short"):
        BehaviorModel.load(path)
    with pytest.raises(FormatError, match="no such folder"):
        BehaviorModel.load(tmp_path / "absent")


@needs_graphs
def test_an_altered_graph_is_refused(tmp_path):
    from ecocore.storage import write_folder

    meta, arrays = model_arrays()
    data = np.frombuffer(graph_bytes(meta, arrays), np.uint8)
    write_folder(tmp_path / "m", "behavior", {**meta, "graph": {"sha256": "0" * 64}}, {**arrays, "graph": data})
    with pytest.raises(FormatError, match="expected sha256 0000"):
        BehaviorModel.load(tmp_path / "m", "cpu", engine="onnxruntime")


@needs_graphs
@pytest.mark.parametrize("lengths", [True, False])
def test_own_graph_loads_saves_and_matches_the_formulas(tmp_path, lengths):
    meta, arrays = model_arrays("gru", layers=2, types=2, gaps=6)
    path = tmp_path / "own.onnx"
    path.write_bytes(graph_bytes(meta, arrays, lengths=lengths))
    model = BehaviorModel.from_graph(
        path, np.arange(40) * 10 + 5, event_type_ids=["type0", "type1"], gap_boundaries=meta["gap_boundaries"],
        item_vectors=arrays["item_vectors"][1:], device="cpu",
    )  # fmt: skip
    random = np.random.default_rng(SEED)
    sequences = [s for s in random_sequences(random, 40) if s]
    inputs = full_inputs(random, sequences)
    out = model.encode(sequences, **inputs)
    for i, s in enumerate(sequences):
        want = encode(meta, arrays, rows_of(meta, s, inputs["event_types"][i], inputs["times"][i]))
        np.testing.assert_allclose(out.h[i], want.h, atol=1e-5)
    model.save(tmp_path / "folder")
    again = BehaviorModel.load(tmp_path / "folder", "cpu")
    same(out, again.encode(sequences, **inputs))
    np.testing.assert_array_equal(
        model.recommend(sequences, 5, **inputs).ids, again.recommend(sequences, 5, **inputs).ids
    )


@needs_graphs
@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({}, "item_vectors: expected them"),
        ({"item_vectors": np.ones((3, 16))}, "item_vectors: expected shape \\(40, 16\\).*got \\(3, 16\\)"),
        ({"item_vectors": np.ones((40, 16)), "event_type_ids": ["a"]}, "event_type_ids: graph has no input"),
        ({"item_vectors": np.ones((40, 16)), "gap_boundaries": [1]}, "gap_boundaries: graph has no input"),
        (
            {"item_vectors": np.ones((40, 16)), "item_counts": [[1], [2, 3], 1, 2]},
            r"^item_counts: expected whole numbers, one for each of 40 items; got list \[\[1\]",
        ),
        ({"item_ids": ["a", "b", "a"]}, "^item_ids: expected each id once; 'a' comes twice"),
        ({"item_ids": [5, 7, 5]}, "^item_ids: expected each id once; 5 comes twice"),
        ({"event_type_ids": ["a", "a"]}, "^event_type_ids: expected each id once"),
        ({"item_vectors": np.ones((40, 16)), "roles": {"items": "x"}}, "role 'items' names it"),
    ],
)
def test_own_graph_misfits_are_explained(kwargs, message):
    with pytest.raises(InvalidArgument, match=message):
        BehaviorModel.from_graph(graph_bytes(*model_arrays()), **{"item_ids": np.arange(40), "device": "cpu", **kwargs})


@needs_graphs
@pytest.mark.parametrize("count", [41, 99])
def test_more_ids_than_the_table_has_rows(count):
    with pytest.raises(InvalidArgument, match=rf"item_ids: .*table has 41 rows.*item_ids 40 \(got {count}\); give the"):
        BehaviorModel.from_graph(
            graph_bytes(*model_arrays()), np.arange(count), item_vectors=np.ones((count, 16)), device="cpu"
        )
    with pytest.raises(InvalidArgument, match=r"event_type_ids: .*table has 3 rows.*event_type_ids 2 \(got 3\)"):
        BehaviorModel.from_graph(
            graph_bytes(*model_arrays(types=2)), np.arange(40), event_type_ids=["a", "b", "c"],
            item_vectors=np.ones((40, 16)), device="cpu",
        )  # fmt: skip


@needs_graphs
def test_zero_length_rows_never_reach_the_runtime(tmp_path):
    """The runtime clears the state of a row without events; here such a row keeps it."""
    model, _, _ = load(tmp_path, "onnxruntime")
    start = model.encode([[5], [15], [25]])
    after = model.encode([[], [35], []], initial=start)
    for i in (0, 2):
        np.testing.assert_array_equal(after.h[i], start.h[i])
        np.testing.assert_array_equal(after.c[i], start.c[i])
        np.testing.assert_array_equal(after.query[i], start.query[i])


def features_graph():
    from onnx import TensorProto, helper, numpy_helper

    r = np.random.default_rng(0)
    value, f32 = helper.make_tensor_value_info, TensorProto.FLOAT
    weights = {
        "E": r.standard_normal((41, 4)), "W": r.standard_normal((1, 32, 7)), "R": r.standard_normal((1, 32, 8)) * 0.3,
        "B": r.standard_normal((1, 64)),
    }  # fmt: skip
    nodes = [
        helper.make_node("Gather", ["E", "items"], ["e"]),
        helper.make_node("Concat", ["e", "features"], ["x"], axis=2),
        helper.make_node("Transpose", ["x"], ["xt"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["xt", "W", "R", "B", "", "h0", "c0"], ["", "hn", "cn"], hidden_size=8),
    ]
    state = [1, "batch", 8]
    graph = helper.make_graph(
        nodes, "g",
        [value("items", TensorProto.INT64, ["batch", "time"]), value("features", f32, ["batch", "time", 3]),
         value("h0", f32, state), value("c0", f32, state)],
        [value("hn", f32, state), value("cn", f32, state)],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()


@needs_graphs
def test_features_are_checked_because_the_runtime_swallows_nan():
    model = BehaviorModel.from_graph(features_graph(), np.arange(40), item_vectors=np.ones((40, 8)), device="cpu")
    good = np.random.default_rng(0).standard_normal((2, 3)).tolist()
    out = model.encode([[1, 2]], features=[good])
    first = model.encode([[1]], features=[good[:1]])
    same(out, model.encode([[2]], features=[good[1:]], initial=first))
    for bad, message in (
        ([[[1, 2, np.nan], [0, 0, 0]]], "features: expected finite values"),
        ([good[:1]], "3 numbers for each of 2 events"),
        (None, "needs 3 numbers"),
    ):
        with pytest.raises(InvalidArgument, match=message):
            model.encode([[1, 2]], features=bad)


def test_sequences_that_can_be_read_but_once(tmp_path):
    meta, arrays = model_arrays("gru")
    model = BehaviorModel.load(write_model(tmp_path / "m", meta, arrays, with_graph=False), "cpu", engine="native")
    sequences = [[5, 15], [25], [5, 5, 35]]
    wanted = model.recommend(sequences, 3, exclude_seen=True)
    got = model.recommend((s for s in sequences), 3, exclude_seen=True)
    np.testing.assert_array_equal(got.ids, wanted.ids)
    first = model.encode(iter(sequences))
    np.testing.assert_array_equal(
        model.encode((s for s in sequences), initial=first).h, model.encode(sequences, initial=first).h
    )
    with pytest.raises(InvalidArgument, match="initial: expected 2 states; got 3"):
        model.encode(iter(sequences[:2]), initial=first)
    with pytest.raises(InvalidArgument, match="sequences: expected a list of lists"):
        model.encode(5, initial=first)


@pytest.mark.parametrize("probability", ["sigmoid", "softmax"])
def test_probabilities_of_no_items(tmp_path, probability):
    meta, arrays = model_arrays("gru", probability=probability)
    model = BehaviorModel.load(write_model(tmp_path / "m", meta, arrays, with_graph=False), "cpu", engine="native")
    assert model.probabilities([[5], [15]], []).shape == (2, 0)
    assert model.probabilities([], [5]).shape == (0, 1)


@pytest.mark.parametrize("probability", ["sigmoid", "softmax"])
@pytest.mark.parametrize("items", [None, [25], [395, 25, 5, 25]])
def test_probabilities_are_the_same_in_slices(tmp_path, monkeypatch, probability, items):
    model, _, _ = load(tmp_path, "native", probability=probability, bias=True)
    query = model.encode(random_sequences(np.random.default_rng(0), 50)).query
    whole = model.probabilities_of(query, items)
    monkeypatch.setattr("ecocore.behavior._SCRATCH", 100)
    np.testing.assert_array_equal(model.probabilities_of(query, items), whole)


def test_probabilities_of_one_item_take_no_memory_for_the_others(tmp_path):
    import tracemalloc

    model, _, _ = load(tmp_path, "native", items=3000)
    query = model.encode([[5]] * 20_000).query
    model.probabilities_of(query[:1], [5])
    tracemalloc.start()
    try:
        assert model.probabilities_of(query, [5]).shape == (20_000, 1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20e6  # all items would be 240 MB


def test_progress_is_shown_of_few_events_too(tmp_path, engine):
    model, _, _ = load(tmp_path, engine)
    seen = []
    model.encode([[5, 15], [25]], progress=lambda done, total: seen.append((done, total)))
    assert seen == [(3, 3)]
