"""Smaller models: what is kept of quality, sizes, bits, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed (no torch)")
pytest.importorskip("onnx", reason="the extra 'train' is not installed (no onnx)")

from ecocore import BehaviorModel, InvalidArgument, SessionStore
from ecocore.storage import read_folder, write_folder
from ecocore.train import CompressionRefused, behavior, compress
from ecocore.train.loss_bound import least_sequences, loss_bound
from reference_recurrent import encode, model_arrays, random_sequences, write_model

METHODS = ("float16", "int8")
VARIANTS = {
    "lstm": {"cell": "lstm"},
    "gru-2-types-gaps": {"cell": "gru", "layers": 2, "types": 3, "gaps": 6},
    "rnn-projection-scale": {"cell": "rnn", "query": 10, "scale": 5.0},
    "lstm-2-bias": {"cell": "lstm", "layers": 2, "bias": True, "query": 10, "probability": "softmax"},
}


def walks(n: int, seed: int) -> list[list[int]]:
    """Walks through 60 items, most steps to the next one."""
    random = np.random.default_rng(seed)
    steps = [np.where(random.random(random.integers(3, 9)) < 0.8, 1, 7) for _ in range(n)]
    return [((random.integers(60) + np.cumsum(s)) % 60 + 100).tolist() for s in steps]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("trained") / "m"
    behavior(walks(400, 0), out=path, dim=24, hidden=32, epochs=8, batch=32, negatives=None, learning_rate=0.02,
             validation=None, progress=False)  # fmt: skip
    return path


@pytest.fixture(params=VARIANTS)
def untrained(request, tmp_path):
    """Random weights of every kind of model; there is no quality to lose, so any loss is allowed."""
    meta, arrays = model_arrays(hidden=21, dim=10, **VARIANTS[request.param])
    return write_model(tmp_path / "m", meta, arrays)


def shrink(model, tmp_path, method, **options):
    random = np.random.default_rng(3)
    log = random_sequences(random, 30, longest=8, unknown=0)
    extras = {}
    loaded = BehaviorModel.load(model, "cpu", engine="native")
    if loaded.vocabulary.event_types is not None:
        extras = {"event_types": [["type1"] * len(s) for s in log], "times": [list(range(len(s))) for s in log]}
    return compress(
        model, out=tmp_path / method, method=method, calibration=log, max_recall_loss=1, k=4, **extras, **options
    )


def inputs(model, seed=5):
    random = np.random.default_rng(seed)
    log = random_sequences(random, 40)
    if model.vocabulary.event_types is None:
        return {"sequences": log}
    types = [[f"type{random.integers(3)}" for _ in s] for s in log]
    return {"sequences": log, "event_types": types, "times": [np.cumsum(random.random(len(s)) * 50) for s in log]}


# ---- the guard -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_keeps_quality_and_says_so(trained, tmp_path, method):
    report = compress(trained, out=tmp_path / "small", method=method, calibration=walks(1500, 1), k=5)
    assert report.accepted
    assert report.recall[0] > 0.6
    assert report.recall[0] - report.recall[1] < report.loss_bound == report.total_loss_bound <= 0.005
    assert report.judged_against == report.original == BehaviorModel.load(trained, "cpu").sha256
    assert report.overlap > (0.99 if method == "float16" else 0.9)
    assert 0 < report.max_probability_change < (0.01 if method == "float16" else 0.1)
    factor = 1.8 if method == "float16" else 3
    tables = [BehaviorModel.load(p, "cpu").info["table_memory"] for p in (trained, tmp_path / "small")]
    assert tables[0] > factor * tables[1]
    vectors = read_folder(trained, "behavior")[1]["item_vectors"][1:].nbytes  # the search keeps them as float32
    assert report.memory == (tables[0] + vectors, tables[1] + vectors)
    _, before = read_folder(trained, "behavior")
    meta, after = read_folder(tmp_path / "small", "behavior")
    for name in ("graph", "input_vectors", "item_vectors", "layer0_R"):
        assert before[name].nbytes > (1.5 if name == "graph" else factor) * after[name].nbytes, name
    saved = BehaviorModel.load(tmp_path / "small", "cpu").info["compression"]
    assert saved == {**report.to_dict(), "earlier": []} == meta["compression"]
    json.dumps(saved)


def test_recall_is_that_of_recommend(trained, tmp_path):
    log, k = walks(60, 2), 5
    report = compress(trained, out=tmp_path / "small", method="int8", calibration=log, k=k, max_recall_loss=1)
    for i, path in enumerate((trained, tmp_path / "small")):
        model = BehaviorModel.load(path, "cpu", engine="native")
        pairs = [(s[:t], s[t]) for s in log for t in range(1, len(s))]
        ids = model.recommend([p for p, _ in pairs], k).ids
        hit = ids == np.array([y for _, y in pairs])[:, None]
        assert report.events == len(pairs)
        assert report.recall[i] == pytest.approx(hit.any(axis=1).mean())
        assert report.mrr[i] == pytest.approx((hit / np.arange(1, k + 1)).sum(axis=1).mean())


@pytest.fixture
def fragile(trained, tmp_path):
    """The trained model with a large number in every item vector where every query has a zero: it changes no score, and
    takes all of int8's room for itself."""
    meta, arrays = read_folder(trained, "behavior")
    arrays = {k: np.array(v) for k, v in arrays.items()}
    meta["scale"] = None
    arrays["project_W"][0], arrays["project_b"][0] = 0, 0
    arrays["item_vectors"][1:, 0] = 1e4
    write_folder(tmp_path / "fragile", "behavior", meta, arrays)
    return tmp_path / "fragile"


def test_refuses_what_breaks_and_writes_nothing(fragile, tmp_path):
    log = walks(1500, 1)
    with pytest.raises(CompressionRefused, match=r"int8 refused: recall@5 0\.\d+ -> 0\.\d+.*nothing was written") as e:
        compress(fragile, out=tmp_path / "small", method="int8", calibration=log, k=5)
    assert not e.value.report.accepted
    assert e.value.report.recall[0] - e.value.report.recall[1] > 0.3
    assert not (tmp_path / "small").exists()
    assert compress(fragile, out=tmp_path / "small", method="float16", calibration=log, k=5).accepted
    manifest = (tmp_path / "small" / "manifest.json").read_bytes()
    with pytest.raises(CompressionRefused):  # what is there already stays
        compress(fragile, out=tmp_path / "small", method="int8", calibration=log, k=5)
    assert (tmp_path / "small" / "manifest.json").read_bytes() == manifest


def test_the_graph_is_judged_as_well(trained, tmp_path, monkeypatch):
    """A graph of other weights than the folder's: native code is as good as before, the graph is not."""
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed (extra 'cpu' or 'gpu')")
    from ecocore.train.export import described_graph

    def broken(shape, weights):
        return described_graph(shape, {**weights, "layer0_R": -weights["layer0_R"], "layer0_W": -weights["layer0_W"]})

    monkeypatch.setitem(compress.__globals__, "described_graph", broken)
    with pytest.raises(CompressionRefused) as e:
        compress(trained, out=tmp_path / "small", method="float16", calibration=walks(600, 1), k=5)
    assert e.value.report.recall[1] > e.value.report.recall[0] - 0.005
    assert e.value.report.graph_recall < e.value.report.recall[0] - 0.1


def test_few_sequences_cannot_show_that_little_is_lost(trained, tmp_path):
    few = [[100, 101, 102], [103, 104, 105]] * 2  # the walk that the model knows best
    for options in ({"method": "prune", "units": 0.1}, {"method": "float16"}):
        with pytest.raises(InvalidArgument, match="calibration: expected at least 464 sequences"):
            compress(trained, out=tmp_path / "small", calibration=few, k=5, **options)
    assert compress(trained, out=tmp_path / "small", calibration=few, k=5, max_recall_loss=0.5).loss_bound > 0.2


def test_a_model_is_judged_with_all_that_it_reads(tmp_path):
    meta, arrays = model_arrays(types=3, gaps=6)
    write_model(tmp_path / "m", meta, arrays)
    log = random_sequences(np.random.default_rng(3), 30, longest=8, unknown=0)
    types, times = [["type1"] * len(s) for s in log], [list(range(len(s))) for s in log]
    for given, missing in (({"times": times}, "event_types"), ({"event_types": types}, "times")):
        with pytest.raises(InvalidArgument, match=f"{missing}: expected those of the calibration sequences"):
            compress(tmp_path / "m", out=tmp_path / "small", calibration=log, k=4, max_recall_loss=1, **given)
    assert not (tmp_path / "small").exists()


def test_the_bound_is_the_formula_of_its_source():
    before, after = np.zeros((2, 200), bool)
    before[:100], after[8:103] = True, True  # 8 lost, 3 gained
    p, q = 9 / 202, 4 / 202
    bonett_price = p - q + 1.6448536269514722 * ((p + q - (p - q) ** 2) / 202) ** 0.5
    alone = loss_bound(before, after, np.arange(200))
    assert alone == pytest.approx(bonett_price, rel=2e-3)
    assert loss_bound(after, before, np.arange(200)) < alone  # a gain
    assert loss_bound(before, after, np.arange(200) // 10) > 1.5 * alone  # the same in 20 sequences
    assert loss_bound(before, after, np.zeros(200, np.int64)) > 0.8


@pytest.mark.parametrize("loss", [0.5, 0.05, 0.005, 1.0])
def test_so_many_sequences_show_so_small_a_loss(loss):
    n = least_sequences(loss)
    same = np.ones(3 * n, bool)
    assert loss_bound(same, same, np.arange(3 * n) // 3) <= loss
    assert n == 1 or loss_bound(same[3:], same[3:], np.arange(3 * n - 3) // 3) > loss


@pytest.mark.parametrize(("together", "lost", "gained"), [(1, 0.02, 0.01), (10, 0.02, 0.01), (5, 0.005, 0.0)])
def test_the_bound_holds_in_19_of_20_logs(together, lost, gained):
    """Also where the events of a sequence, 1, 5 or 10, are all lost or all kept."""
    random = np.random.default_rng(0)
    sequence = np.arange(600 * together) // together
    held = 0
    for _ in range(1000):
        fate = random.random(600)[sequence]
        held += loss_bound(fate < 1 - gained, fate >= lost, sequence) >= lost - gained
    assert held >= 930


# ---- one model on both engines, the same bits in any company --------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_graph_and_native_code_are_one_model(untrained, tmp_path, method):
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed (extra 'cpu' or 'gpu')")
    shrink(untrained, tmp_path, method)
    graph = BehaviorModel.load(tmp_path / method, "cpu", engine="onnxruntime")
    assert graph.info["bitwise"]
    on_the_fly = BehaviorModel.load(tmp_path / method, "cpu", engine="native", table_bytes=0)
    ahead = BehaviorModel.load(tmp_path / method, "cpu", engine="native")
    original = BehaviorModel.load(untrained, "cpu", engine="native")
    data = inputs(graph)
    want = graph.encode(**data)
    # The very same weights; the table ahead rounds once more, and not by nothing.
    for model, low, high in ((on_the_fly, 0, 1e-5), (ahead, 1e-7, 2e-3 if method == "float16" else 0.08)):
        got = model.encode(**data)
        assert low <= np.abs(got.h - want.h).max() <= high
        if want.c is not None:
            assert np.abs(got.c - want.c).max() <= 4 * high
    assert np.abs(original.encode(**data).h - want.h).max() > 1e-5
    np.testing.assert_allclose(on_the_fly.probabilities(**data), graph.probabilities(**data), atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_native_code_computes_the_widened_weights(untrained, tmp_path, method):
    shrink(untrained, tmp_path, method)
    meta, arrays = read_folder(tmp_path / method, "behavior")
    wide = {}
    for name, a in arrays.items():
        if a.dtype == np.float16:
            wide[name] = a.astype(np.float32)
        elif a.dtype == np.int8 and f"{name}_scale" in arrays:
            wide[name] = a.astype(np.float32) * arrays[f"{name}_scale"][:, None]
        elif a.dtype == np.float32:
            wide[name] = a
    model = BehaviorModel.load(tmp_path / method, "cpu", engine="native", table_bytes=0)
    data = inputs(model)
    rows = model.vocabulary.rows(*data.values())
    got = model.encode(**data)
    for i in range(0, len(rows), 5):
        events = list(zip(*(a[rows.indptr[i] : rows.indptr[i + 1]] for a in rows.ids), strict=True))
        np.testing.assert_allclose(got.h[i], encode(meta, wide, events).h, atol=2e-5)


@pytest.mark.parametrize("table_bytes", [0, 1 << 30])
@pytest.mark.parametrize("method", METHODS)
def test_same_bits_alone_batched_whole_in_pieces_and_after_a_save(untrained, tmp_path, isa, method, table_bytes):
    shrink(untrained, tmp_path, method)
    model = BehaviorModel.load(tmp_path / method, "cpu", engine="native", table_bytes=table_bytes)
    assert model.info["table_ahead"] == (table_bytes > 0)
    data = inputs(model)
    whole = model.encode(**data)
    model.save(tmp_path / "again")
    again = BehaviorModel.load(tmp_path / "again", "cpu", engine="native", table_bytes=table_bytes)
    assert again.sha256 == model.sha256
    assert np.array_equal(again.encode(**data).h, whole.h)

    def part(begin, end):
        return {name: [x[begin(len(x)) : end(len(x))] for x in values] for name, values in data.items()}

    half = model.encode(**part(lambda n: 0, lambda n: n // 3))
    rest = model.encode(**part(lambda n: n // 3, lambda n: n), initial=half)
    assert np.array_equal(rest.h, whole.h)
    for i in range(0, len(whole), 7):
        alone = model.encode(**{name: values[i : i + 1] for name, values in data.items()})
        assert np.array_equal(alone.h[0], whole.h[i])
    store = SessionStore(model, capacity=100)
    for i, sequence in enumerate(data["sequences"]):
        for t, item in enumerate(sequence):
            more = {}
            if "times" in data:
                more = {"event_type": data["event_types"][i][t], "time": float(data["times"][i][t])}
            store.append(i, item, **more)
    store.snapshot(tmp_path / "states")
    fresh = SessionStore(again, capacity=100)
    fresh.restore(tmp_path / "states")
    for i, sequence in enumerate(data["sequences"]):
        if sequence:
            assert np.array_equal(fresh.state(i).h, whole.h[i])


@pytest.mark.parametrize("method", METHODS)
def test_all_instruction_sets_widen_alike(trained, tmp_path, method):
    """AVX2 and AVX-512 to the bit; scalar code rounds products first, which may move a table's number by one step."""
    from ecocore import _core

    compress(trained, out=tmp_path / "small", method=method, calibration=walks(50, 1), k=5, max_recall_loss=1)
    before, states = _core.active_isa(), {}
    for isa in _core.available_isas():
        _core.force_isa(isa)
        states[isa] = BehaviorModel.load(tmp_path / "small", "cpu", engine="native").encode(walks(50, 4)).h
    _core.force_isa(before)
    if {"avx2", "avx512"} <= set(states):
        assert np.array_equal(states["avx2"], states["avx512"])
    for h in states.values():
        np.testing.assert_allclose(h, states["scalar"], atol=0.02)


# ---- pruning ---------------------------------------------------------------------------------------------------------


def test_prunes_units_that_do_nothing_without_any_loss(untrained, tmp_path):
    """Units whose outgoing weights are zero are found, wherever they are, and nothing else changes."""
    meta, arrays = read_folder(untrained, "behavior")
    arrays = {k: np.array(v) for k, v in arrays.items()}
    idle = np.random.default_rng(1).permutation(21)[:6]
    above = [f"layer{i}_W" for i in range(1, meta["layers"])]
    for name in [*above, *(f"layer{i}_R" for i in range(meta["layers"]))]:
        arrays[name][:, idle] = 0
    arrays["project_W" if meta["projection"] else "item_vectors"][:, idle] = 0
    write_folder(untrained, "behavior", meta, arrays)
    report = shrink(untrained, tmp_path, "prune", units=15 / 21)
    assert report.hidden == (21, 15)
    assert report.overlap > 0.99
    before, after = (BehaviorModel.load(p, "cpu") for p in (untrained, tmp_path / "prune"))
    data = inputs(before)
    kept = np.setdiff1d(np.arange(21), idle)
    np.testing.assert_allclose(after.encode(**data).h, before.encode(**data).h[:, :, kept], atol=1e-5)
    np.testing.assert_allclose(after.probabilities(**data), before.probabilities(**data), atol=1e-5)


def test_pruned_units_give_their_mean_to_the_biases(tmp_path):
    """A unit that is constant can go for nothing, though its weights are large."""
    meta, arrays = model_arrays("lstm", hidden=12, dim=8, query=6)
    # Input, output and cell gates wide open and forget gate shut: h = tanh(1) at every event, whatever comes.
    for gate, value in ((0, 50), (1, 50), (2, -50), (3, 50)):
        line = gate * 12 + 3
        arrays["layer0_W"][line] = arrays["layer0_R"][line] = 0
        arrays["layer0_B"][line], arrays["layer0_B"][48 + line] = value, 0
    write_model(tmp_path / "m", meta, arrays)
    from ecocore.train.prune import without_units

    mean = np.zeros((1, 12), np.float32)
    mean[0, 3] = np.tanh(1)
    magnitude = np.ones((1, 12), np.float32)
    magnitude[0, 3] = 0  # chosen, for the test
    names = [n for n in arrays if n.startswith(("layer", "project"))] + ["input_vectors", "item_vectors"]
    small = without_units({n: arrays[n] for n in names}, meta, mean, magnitude, 11)
    events = [(i,) for i in (3, 9, 1, 4)]
    h0 = np.zeros((1, 12))
    h0[0, 3] = np.tanh(1)  # from the second event on it is so by itself
    whole = encode(meta, arrays, events, h0)
    less = encode({**meta, "hidden": 11}, small, events)
    np.testing.assert_allclose(less.h[0], np.delete(whole.h[0], 3), atol=1e-6)
    np.testing.assert_allclose(
        small["project_W"] @ less.h[0] + small["project_b"],
        arrays["project_W"] @ whole.h[0] + arrays["project_b"],
        atol=1e-5,
    )


def test_prunes_rare_items(trained, tmp_path):
    log = [[i for i in s if i != 117] for s in walks(1200, 1)]  # nobody wants it
    report = compress(trained, out=tmp_path / "small", method="prune", units=1.0, min_count=1, calibration=log, k=5)
    assert report.items == (60, 59)
    assert report.accepted
    model = BehaviorModel.load(tmp_path / "small", "cpu")
    assert 117 not in model.items
    ids = model.recommend([[115, 116]] * 2, 59).ids
    assert 117 not in ids
    assert model.encode([[117]]).unknown == 1


@pytest.mark.parametrize("method", ["float16", "int8", "prune"])
def test_counts_go_with_the_items(trained, tmp_path, method):
    counts = np.bincount(np.concatenate(walks(400, 0)) - 100, minlength=60)
    assert read_folder(trained, "behavior")[1]["item_counts"].tolist() == [0, *counts]
    gone, options = [], {}
    if method == "prune":
        gone, options = [117, 131], {"units": 1.0, "min_count": 1}
    log = [[i for i in s if i not in gone] for s in walks(1200, 1)]
    compress(trained, out=tmp_path / "a", method=method, calibration=log, k=5, max_recall_loss=0.1, **options)
    left = np.setdiff1d(np.arange(60), np.array(gone, int) - 100)
    found = read_folder(tmp_path / "a", "behavior")[1]["item_counts"]
    assert found.dtype == np.int64
    assert found.tolist() == [counts.sum() - counts[left].sum(), *counts[left]]
    model = BehaviorModel.load(tmp_path / "a", "cpu")
    before = BehaviorModel.load(trained, "cpu").recommend([[]], 60, deny=gone)
    assert model.recommend([[]], left.size).ids[0].tolist() == before.ids[0, : left.size].tolist()


def test_without_counts_there_are_none_after(untrained, tmp_path):
    shrink(untrained, tmp_path, "int8")
    assert BehaviorModel.load(tmp_path / "int8", "cpu").info["item_counts"] is False


def test_counts_of_no_item_that_is_left_are_left_out(trained, tmp_path):
    meta, arrays = read_folder(trained, "behavior", mmap=False)
    arrays["item_counts"][1:] = 0
    arrays["item_counts"][1 + 17] = 5
    write_folder(tmp_path / "m", "behavior", meta, arrays)
    log = [[i for i in s if i != 117] for s in walks(1200, 1)]
    compress(tmp_path / "m", out=tmp_path / "a", method="prune", units=1.0, min_count=1, calibration=log, k=5)
    assert BehaviorModel.load(tmp_path / "a", "cpu").info["item_counts"] is False


def test_a_pruned_model_may_be_rounded_after_that(trained, tmp_path):
    log = walks(1500, 1)
    first = compress(trained, out=tmp_path / "a", method="prune", units=0.9, calibration=log, k=5, max_recall_loss=0.1)
    assert first.hidden == (32, 29)
    second = compress(tmp_path / "a", out=tmp_path / "b", method="int8", calibration=log, k=5, max_recall_loss=0.1)
    verdict = BehaviorModel.load(tmp_path / "b", "cpu").info["compression"]
    assert verdict["method"] == "int8"
    assert [e["method"] for e in verdict["earlier"]] == ["prune"]
    # What it was judged against, and what it may have lost of the original: the sum.
    assert verdict["judged_against"] == BehaviorModel.load(tmp_path / "a", "cpu").sha256
    assert verdict["original"] == first.original == BehaviorModel.load(trained, "cpu").sha256
    assert verdict["total_loss_bound"] == pytest.approx(first.loss_bound + second.loss_bound)
    assert f"with the compressions before {second.total_loss_bound:.4f} of the original" in str(second)
    again = {"out": tmp_path / "c", "method": "int8", "calibration": log, "k": 5}
    with pytest.raises(CompressionRefused) as e:  # each of the two is within it, both together are not
        compress(tmp_path / "a", max_recall_loss=first.loss_bound + 0.99 * second.loss_bound, **again)
    assert e.value.report.loss_bound == second.loss_bound
    with pytest.raises(InvalidArgument, match=r"max_recall_loss: .* which the model may have lost already"):
        compress(tmp_path / "a", max_recall_loss=first.loss_bound, **again)
    assert not (tmp_path / "c").exists()
    with pytest.raises(InvalidArgument, match="fewer bits already"):
        compress(tmp_path / "b", out=tmp_path / "c", method="float16", calibration=log)


def test_what_a_model_lost_before_has_to_be_known(trained, tmp_path):
    meta, arrays = read_folder(trained, "behavior")
    for verdict in ({"method": "prune"}, {"total_loss_bound": "none"}, "prune", []):
        write_folder(tmp_path / "m", "behavior", {**meta, "compression": verdict}, arrays)
        with pytest.raises(InvalidArgument, match=r"model: .* compressed before, without a bound of what it lost"):
            compress(tmp_path / "m", out=tmp_path / "small", calibration=walks(20, 1), k=5)


# ---- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"method": "int4"}, "method: expected 'float16', 'int8' or 'prune'"),
        ({"units": 0.5}, "units, min_count: expected with method='prune' only"),
        ({"method": "prune", "units": 0}, "units: expected a number above 0 and at most 1"),
        ({"method": "prune", "units": "most"}, "units: expected a number"),
        ({"method": "prune", "min_count": 10_000}, "min_count: expected to leave at least 50 items"),
        ({"max_recall_loss": -0.1}, "max_recall_loss: expected a number above 0 and at most 1"),
        ({"max_recall_loss": 0}, "max_recall_loss: expected a number above 0"),
        ({"max_recall_loss": float("nan")}, "max_recall_loss: expected a number"),
        ({"calibration": [[100]]}, "calibration: expected sequences in which an event is followed"),
        ({"calibration": [[1, 2, 3]]}, "calibration: expected sequences in which an event is followed"),
        ({"calibration": []}, "calibration: expected sequences"),
        ({"k": 0}, "k: expected"),
        ({"k": 61}, "k: expected"),
        ({"k": 60}, "k: expected at most a tenth of the model's 60 items; got 60"),
        ({"k": 7}, "k: expected at most a tenth of the model's 60 items; got 7"),
        ({}, "calibration: expected at least 464 sequences to judge by"),
        ({"times": [[1, 2]]}, "times: this model takes none"),
        ({"event_types": [["view"]]}, "event_types: this model takes none"),
    ],
    ids=str,
)
def test_bad_arguments(trained, tmp_path, options, match):
    with pytest.raises(InvalidArgument, match=match):
        compress(trained, out=tmp_path / "small", **{"calibration": walks(20, 1), "k": 5, **options})
    assert not (tmp_path / "small").exists()


def test_refuses_to_overwrite_its_source_and_graphs_of_ones_own(trained, tmp_path):
    with pytest.raises(InvalidArgument, match="out: expected another folder"):
        compress(trained, out=trained, calibration=walks(20, 1))
    meta, arrays = read_folder(trained, "behavior")
    write_folder(tmp_path / "own", "behavior", meta, {k: v for k, v in arrays.items() if not k.startswith("layer")})
    with pytest.raises(InvalidArgument, match="graph of your own"):
        compress(tmp_path / "own", out=tmp_path / "small", calibration=walks(20, 1))
