"""Sequences without an event, and users who are not held: answered by the shares of the training events."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from ecocore import BehaviorModel, FormatError, InvalidArgument, Popularity, SessionStore
from ecocore.event_shares import EventShares
from ecocore.storage import read_folder, write_folder
from reference_recurrent import graph_bytes, model_arrays, needs_graphs, random_sequences, write_model

ENGINES = ["native", pytest.param("onnxruntime", marks=needs_graphs)]
COUNTS = np.array([7, 9, 0, 4, 9, 1, 0, *range(33)])  # of the 40 items 5, 15, ...


def load(tmp_path, counts=COUNTS, engine="native", name="m", cell="lstm", **kwargs):
    meta, arrays = model_arrays(cell, **kwargs)
    if counts is not None:
        arrays["item_counts"] = np.concatenate([[3], counts])  # 3 events of unknown items
    path = write_model(tmp_path / name, meta, arrays, with_graph=engine == "onnxruntime")
    return BehaviorModel.load(path, "cpu", engine=engine)


def same(a, b):
    np.testing.assert_array_equal(a.ids, b.ids)
    np.testing.assert_array_equal(a.scores.view(np.uint32), b.scores.view(np.uint32))


def test_the_order_is_that_of_popularity(tmp_path):
    random = np.random.default_rng(0)
    baskets = [random.choice(40, random.integers(1, 9), replace=False) for _ in range(50)]  # each item once a user
    events = np.concatenate(baskets)
    users = np.repeat(np.arange(50), [len(b) for b in baskets])
    popular = Popularity().fit(csr_matrix((np.ones(events.size), (users, events)), (50, 40)))
    wanted, _ = popular.recommend(0, N=40, filter_already_liked_items=False)
    model = load(tmp_path, np.bincount(events, minlength=40))
    assert (np.bincount(np.bincount(events, minlength=40)) > 1).any()  # there are ties
    np.testing.assert_array_equal(model.items.codes(model.recommend([[]], 40).ids[0]), wanted)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("probability", ["sigmoid", "softmax"])
def test_probabilities_are_shares_and_scores_their_logarithms(tmp_path, engine, probability):
    model = load(tmp_path, engine=engine, probability=probability, bias=True)
    assert model.info["item_counts"] is True
    p = model.probabilities([[]])[0]
    assert p.dtype == np.float32
    np.testing.assert_array_equal(p, (COUNTS / COUNTS.sum()).astype(np.float32))
    found = model.recommend([[]], 40)
    codes = model.items.codes(found.ids[0])
    np.testing.assert_array_equal(codes, np.argsort(-COUNTS, kind="stable"))
    some = COUNTS[codes] > 0
    np.testing.assert_allclose(np.exp(found.scores[0][some]), p[codes[some]], rtol=1e-6)
    assert not some[-3:].any()  # items of no event come last, by code, and are items: -inf is what is missing
    np.testing.assert_allclose(found.scores[0][-3:], np.log(0.5 / COUNTS.sum()), rtol=1e-6)
    assert (np.diff(found.scores[0]) <= 0).all()


def test_of_given_items_softmax_is_among_them_and_sigmoid_is_not(tmp_path):
    items = [45, 15, 25, 15]
    counts = np.array([9, 9, 0, 9])
    sigmoid, softmax = (load(tmp_path, name=p, probability=p) for p in ("sigmoid", "softmax"))
    np.testing.assert_allclose(sigmoid.probabilities([[]], items)[0], counts / COUNTS.sum(), rtol=1e-6)
    np.testing.assert_allclose(softmax.probabilities([[]], items)[0], counts / 27, rtol=1e-6)
    np.testing.assert_array_equal(softmax.probabilities([[]], [25, 65])[0], [0.5, 0.5])  # of no event, both
    np.testing.assert_array_equal(sigmoid.probabilities([[]], [25, 65])[0], [0, 0])
    for model in (sigmoid, softmax):
        assert model.probabilities([[], []], []).shape == (2, 0)
        assert model.probabilities([], [25]).shape == (0, 1)
        with pytest.raises(InvalidArgument, match="7 is unknown"):
            model.probabilities([[]], [7])


@pytest.mark.parametrize("engine", ENGINES)
def test_sequences_with_events_keep_their_bits_beside_empty_ones(tmp_path, engine):
    model = load(tmp_path, engine=engine, bias=True)
    before = load(tmp_path, None, engine, name="without", bias=True)
    assert before.info["item_counts"] is False
    sequences = [[], *random_sequences(np.random.default_rng(1), 30), [], [3, 3]]  # 3 is unknown: no empty sequence
    full = [i for i, s in enumerate(sequences) if s]
    empty = [i for i, s in enumerate(sequences) if not s]
    assert len(empty) > 2
    for options in ({}, {"exclude_seen": True}, {"allow": [5, 15, 25, 105, 999], "deny": [15]}):
        got, alone = model.recommend(sequences, 9, **options), model.recommend([[]], 9, **options)
        wanted = before.recommend(sequences, 9, **options)
        for name in ("ids", "scores"):
            np.testing.assert_array_equal(getattr(got, name)[full], getattr(wanted, name)[full])
            np.testing.assert_array_equal(getattr(got, name)[empty], np.repeat(getattr(alone, name), len(empty), 0))
    for items in (None, [25, 5]):
        p, wanted = model.probabilities(sequences, items), before.probabilities(sequences, items)
        np.testing.assert_array_equal(p[full], wanted[full])
        np.testing.assert_array_equal(p[empty], np.repeat(model.probabilities([[]], items), len(empty), 0))
    np.testing.assert_array_equal(model.encode(sequences).query, before.encode(sequences).query)
    assert model.recommend([], 3).ids.shape == (0, 3)


def test_filters_against_all_items_in_order():
    random = np.random.default_rng(2)
    for n in (1, 2, 7, 60):
        counts = random.integers(0, 6, n)
        counts[0] += 1
        shares = EventShares(counts)
        for _ in range(200):
            allow = None if random.random() < 0.4 else random.integers(0, n, random.integers(0, n + 1))
            deny = None if random.random() < 0.4 else random.integers(0, n, random.integers(0, n + 1))
            k = int(random.integers(1, n + 1))
            left = [
                c
                for c in sorted(range(n), key=lambda c: (-counts[c], c))
                if (allow is None or c in allow) and (deny is None or c not in deny)
            ][:k]
            codes, scores = shares.best(k, allow, deny)
            assert codes.tolist() == left + [-1] * (k - len(left))
            assert np.isneginf(scores).tolist() == [c < 0 for c in codes]


def test_filters_are_item_ids(tmp_path):
    model = load(tmp_path)
    assert model.recommend([[]], 3, deny=[395, 385, 999]).ids.tolist() == [[375, 365, 355]]
    found = model.recommend([[]], 4, allow=[5, 15, 25, 45, 999], deny=[5])
    assert found.ids.tolist() == [[15, 45, 25, -1]]
    assert np.isneginf(found.scores).tolist() == [[False, False, False, True]]
    assert model.recommend([[]], 2, allow=[]).ids.tolist() == [[-1, -1]]
    for k in (0, 41):
        with pytest.raises(InvalidArgument, match="k: expected a whole number from 1 to 40"):
            model.recommend([[]], k)


def test_counts_that_float32_cannot_tell_apart_keep_their_order():
    counts = np.array([2**40, 2**40 + 1, 1, 2**40 + 2])
    codes, scores = EventShares(counts).best(4, None, None)
    assert codes.tolist() == [3, 1, 0, 2]
    assert scores[0] == scores[1] == scores[2]
    huge = EventShares(np.full(4, 2**62))  # whose sum int64 does not hold
    np.testing.assert_array_equal(huge.probabilities(None, among=False), np.full(4, 0.25, np.float32))


@pytest.mark.parametrize("engine", ENGINES)
def test_in_pieces_as_whole(tmp_path, engine):
    """What counts is whether any event is behind a state, not whether this piece has one."""
    model = load(tmp_path, engine=engine)
    first = model.encode([[], [5, 15], [], [25]])
    second = model.encode([[], [], [35], [5]], initial=first)
    assert first.events.tolist() == [0, 2, 0, 1]
    assert second.events.tolist() == [0, 2, 1, 2]
    whole = model.recommend([[], [5, 15], [35], [25, 5]], 6)
    same(model.recommend([[], [], [35], [5]], 6, initial=first), whole)
    same(model.recommend([[]] * 4, 6, initial=second), whole)
    same(model.recommend([[]] * 4, 6, exclude_seen=True, initial=second), whole)  # of this piece, which is empty
    np.testing.assert_array_equal(
        model.probabilities([[]] * 4, initial=second), model.probabilities([[], [5, 15], [35], [25, 5]])
    )


# ---- the store -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("counts", [COUNTS, None], ids=["counts", "without"])
def test_a_user_who_is_not_held_gets_what_an_empty_sequence_gets(tmp_path, engine, counts):
    model = load(tmp_path, counts, engine, bias=True)
    store = SessionStore(model)
    query = store.query("new")
    np.testing.assert_array_equal(query, model.encode([[]]).query[0])  # the network's own, with and without counts

    def of(user, sequence):
        for options in ({}, {"allow": [5, 15, 25], "deny": [15]}):
            got, wanted = store.recommend(user, 5, **options), model.recommend([sequence], 5, **options)
            np.testing.assert_array_equal(got.ids, wanted.ids[0])
            np.testing.assert_array_equal(got.scores, wanted.scores[0])
        for items in (None, [25, 5]):
            np.testing.assert_array_equal(store.probabilities(user, items), model.probabilities([sequence], items)[0])

    of("new", [])
    store.append("new", 5)
    of("new", [5])
    store.append("other", 3)  # unknown to the model, and yet an event
    of("other", [3])
    store.forget("new")
    of("new", [])


@pytest.mark.parametrize("engine", ENGINES)
def test_a_user_of_whom_a_replay_finds_no_event_gets_the_shares(tmp_path, engine):
    old, new = load(tmp_path, None, engine, name="old"), load(tmp_path, engine=engine, seed=5)
    source = SessionStore(old, history=0)
    source.append("u", 5)
    store = SessionStore(new)
    store.replay(source)
    np.testing.assert_array_equal(store.recommend("u", 5).ids, new.recommend([[]], 5).ids[0])
    np.testing.assert_array_equal(store.probabilities("u"), new.probabilities([[]])[0])
    store.append("u", 5)
    np.testing.assert_array_equal(store.recommend("u", 5).ids, new.recommend([[5]], 5).ids[0])


def test_other_counts_are_the_same_network_whose_snapshots_go_on(tmp_path):
    without, model = load(tmp_path, None, name="without"), load(tmp_path)
    other = load(tmp_path, COUNTS[::-1], name="other")
    assert without.sha256 == model.sha256 == other.sha256
    assert load(tmp_path, seed=1, name="seed").sha256 != model.sha256
    store = SessionStore(without)
    store.append("u", 5)
    store.snapshot(tmp_path / "states")
    for later in (model, other):
        restored = SessionStore(later)
        restored.restore(tmp_path / "states")
        np.testing.assert_array_equal(restored.state("u").h, store.state("u").h)
        np.testing.assert_array_equal(restored.recommend("u", 5).ids, store.recommend("u", 5).ids)
    assert model.recommend([[]], 1).ids != other.recommend([[]], 1).ids


# ---- folders and graphs of one's own ---------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_a_folder_without_counts_answers_as_the_network_does(tmp_path, engine):
    model = load(tmp_path, None, engine, bias=True)
    query = model.encode([[]]).query
    assert model.info["item_counts"] is False
    same(model.recommend([[]], 40), model.recommend_for(query, 40))
    np.testing.assert_array_equal(model.probabilities([[]]), model.probabilities_of(query))


def test_from_queries_it_is_the_network_that_answers(tmp_path):
    model, without = load(tmp_path, bias=True), load(tmp_path, None, name="without", bias=True)
    query = model.encode([[]]).query
    same(model.recommend_for(query, 40), without.recommend([[]], 40))
    np.testing.assert_array_equal(model.probabilities_of(query), without.probabilities([[]]))


def test_counts_are_saved_with_the_model(tmp_path):
    model = load(tmp_path)
    model.save(tmp_path / "copy")
    again = BehaviorModel.load(tmp_path / "copy", "cpu", verify=True)
    same(again.recommend([[]], 40), model.recommend([[]], 40))
    np.testing.assert_array_equal(again.probabilities([[]]), model.probabilities([[]]))


def put(value, row=4):
    def damage(counts):
        counts[row] = value
        return counts

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (put(-2), "counts of at least 0; got -2 in row 4"),
        (put(-1, row=0), "counts of at least 0; got -1 in row 0"),
        (lambda c: c[:-1], r"shape \(41\); got \(40,\)"),
        (lambda c: np.append(c, 1), r"shape \(41\); got \(42,\)"),
        (lambda c: c[None], r"shape \(41\); got \(1, 41\)"),
        (lambda c: c.astype(np.int32), "int64; got int32"),
        (lambda c: c.astype(np.uint64), "int64; got uint64"),
        (lambda c: np.full(41, np.nan), "int64; got float64"),
        (lambda c: c * 0, "events of at least one item; got only 0"),
    ],
)
def test_damaged_counts_are_refused(tmp_path, damage, message):
    load(tmp_path)
    meta, arrays = read_folder(tmp_path / "m", "behavior", mmap=False)
    write_folder(tmp_path / "m", "behavior", meta, {**arrays, "item_counts": damage(arrays["item_counts"])})
    with pytest.raises(FormatError, match=rf"m: item_counts: expected {message}"):
        BehaviorModel.load(tmp_path / "m", "cpu")


def own(counts, **options):
    meta, arrays = model_arrays("gru")
    return BehaviorModel.from_graph(
        graph_bytes(meta, arrays), np.arange(40) * 10 + 5, item_vectors=arrays["item_vectors"][1:], item_counts=counts,
        device="cpu", **options,
    )  # fmt: skip


@needs_graphs
@pytest.mark.parametrize("kind", [list, np.int32, np.uint64])
def test_a_graph_of_ones_own_takes_counts(tmp_path, kind):
    given = COUNTS.tolist() if kind is list else COUNTS.astype(kind)
    model = own(given)
    assert model.sha256 == own(None).sha256
    np.testing.assert_array_equal(model.probabilities([[], [5]])[0], (COUNTS / COUNTS.sum()).astype(np.float32))
    np.testing.assert_array_equal(model.recommend([[5], []], 40).ids[1], np.argsort(-COUNTS, kind="stable") * 10 + 5)
    model.save(tmp_path / "own")
    same(BehaviorModel.load(tmp_path / "own", "cpu").recommend([[5], []], 40), model.recommend([[5], []], 40))
    store = SessionStore(model)
    np.testing.assert_array_equal(store.probabilities("new"), model.probabilities([[]])[0])
    given[0] = 1000  # the caller's array is the caller's
    assert model.recommend([[]], 1).ids[0, 0] != 5


@needs_graphs
@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (COUNTS[:-1], r"whole numbers, one for each of 40 items; got int64 array of shape \(39,\)"),
        (COUNTS[None], r"whole numbers, one for each of 40 items; got int64 array of shape \(1, 40\)"),
        (COUNTS * 1.0, "whole numbers, .*; got float64 array"),
        (np.full(40, np.nan), "whole numbers, .*; got float64 array"),
        (COUNTS > 1, "whole numbers, .*; got bool array"),
        (COUNTS - 1, "counts from 0 to 2.63 - 1; got -1 at place 2"),
        (COUNTS.astype(np.uint64) + np.uint64(1 << 63), r"counts from 0 to .*; got 9223372036854775815 at place 0"),
        (COUNTS * 0, "events of at least one item; got only 0; leave them out"),
    ],
)
def test_counts_that_are_none_are_refused(counts, message):
    with pytest.raises(InvalidArgument, match=f"item_counts: expected {message}"):
        own(counts)


@needs_graphs
def test_a_graph_with_probabilities_of_its_own(tmp_path):
    from onnx import helper

    def with_probabilities(model):
        graph = model.graph
        graph.node.append(helper.make_node("Sigmoid", ["state"], ["probabilities"]))
        value = graph.output.pop()
        graph.output.append(
            helper.make_tensor_value_info("probabilities", value.type.tensor_type.elem_type, ["batch", 16])
        )

    graph = graph_bytes(*model_arrays("lstm"), edit=with_probabilities)
    counts = np.arange(16)
    model = BehaviorModel.from_graph(graph, np.arange(16), item_counts=counts, probability="softmax", device="cpu")
    without = BehaviorModel.from_graph(graph, np.arange(16), device="cpu")
    assert model._index is None
    for items in (None, [3, 1]):  # its own are not among those asked for, nor are the shares
        p, wanted = model.probabilities([[5], [], [7, 2]], items), without.probabilities([[5], [7, 2]], items)
        np.testing.assert_array_equal(p[[0, 2]], wanted)
        np.testing.assert_allclose(p[1], (counts if items is None else counts[items]) / counts.sum(), rtol=1e-6)
    got = model.recommend([[5], [], [7, 2]], 4, exclude_seen=True)
    np.testing.assert_array_equal(got.ids[[0, 2]], without.recommend([[5], [7, 2]], 4, exclude_seen=True).ids)
    assert got.ids[1].tolist() == [15, 14, 13, 12]
    store = SessionStore(model)
    store.append("u", 5)
    np.testing.assert_array_equal(store.recommend("u", 4).ids, model.recommend([[5]], 4).ids[0])
    np.testing.assert_array_equal(store.recommend("new", 4).ids, [15, 14, 13, 12])


# ---- explanation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("probability", ["sigmoid", "softmax"])
@pytest.mark.parametrize("method", ["occlusion", "replacement", "gradients"])
def test_explaining_no_event_and_the_only_one(tmp_path, method, probability):
    model = load(tmp_path, probability=probability)
    share = np.float32(COUNTS[19] / COUNTS.sum())
    out = model.explain([], 195, method=method)
    assert out.probability == share == model.probabilities([[]])[0, 19]
    assert out.contributions.shape == (0,)
    assert out.baseline == (share if method == "gradients" else None)  # to which no shares of events add up
    one = model.explain([5], 195, method=method)
    assert one.probability == model.probabilities([[5]])[0, 19]
    if method == "occlusion":  # without it the sequence is empty
        assert one.contributions[0] == np.float32(one.probability) - share
    else:  # an unknown item is an event
        unknown = model.probabilities([[3]])[0, 19]
        np.testing.assert_allclose(one.contributions[0], np.float32(one.probability) - unknown, atol=1e-4)
    two = model.explain([5, 15], 195, method="occlusion", window=1)  # what is left of the window is empty, not all
    assert two.contributions[1] == np.float32(two.probability) - model.probabilities([[5]])[0, 19]
