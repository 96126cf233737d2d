"""The metrics against their formulas written out slowly, hand-worked examples, and figures that papers report."""

from __future__ import annotations

import gzip
import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import ecocore
from ecocore import (
    InvalidArgument,
    NotFitted,
    Popularity,
    RepeatPurchases,
    evaluate,
    evaluate_candidates,
    ranking_metrics,
)
from ecocore.arrays import Csr, as_csr

NAMES = ["recall", "precision", "ndcg", "hit_rate", "mrr", "map"]


def rows(lists, n_items):
    """A CSR pattern from lists of ids."""
    indptr = np.concatenate([[0], np.cumsum([len(x) for x in lists])]).astype(np.int64)
    indices = np.array([i for x in lists for i in sorted(x)], np.int32)
    return Csr(indptr, indices, None, (len(lists), n_items))


# ---- slow twins ------------------------------------------------------------------------------------------------


def slow_metrics(ranked, relevant, k, truncated=False, excluded=()):
    """One user's metrics, as the formulas are written; None where nothing is relevant."""
    relevant = set(relevant) - set(excluded)
    if not relevant:
        return None
    hits = [1 if i in relevant else 0 for i in ranked[:k]]
    reachable = min(k, len(relevant))
    precision_at = [sum(hits[: i + 1]) / (i + 1) for i in range(k)]
    return {
        "recall": sum(hits) / (reachable if truncated else len(relevant)),
        "precision": sum(hits) / k,
        "ndcg": sum(h / math.log2(i + 2) for i, h in enumerate(hits))
        / sum(1 / math.log2(i + 2) for i in range(reachable)),
        "hit_rate": float(any(hits)),
        "mrr": next((1 / (i + 1) for i, h in enumerate(hits) if h), 0.0),
        "map": sum(p for p, h in zip(precision_at, hits, strict=True) if h) / reachable,
    }


def slow_rank(items, scores, ties_for):
    """The rank of items[0], by a dictionary as He et al.'s evaluator keeps it."""
    best = {}
    for item, score in zip(items, scores, strict=True):
        if item >= 0 and item not in best:
            best[item] = score
    own = best.pop(items[0])
    return 1 + sum(s > own if ties_for else s >= own for s in best.values())


def slow_popular(history, weights, popularity, repeat, k, allowed):
    order = sorted(range(len(popularity)), key=lambda i: (-popularity[i], i))
    own = sorted(history, key=lambda i: (-weights[i], order.index(i))) if repeat else []
    ranked = [i for i in own + [i for i in order if i not in history] if i in allowed][:k]
    return ranked + [-1] * (k - len(ranked))


# ---- ranking_metrics -------------------------------------------------------------------------------------------


def test_worked_example():
    # Ranks:          1  2  3  4      relevant
    ids = [[3, 0, 1, 2], [4, 3, 2, 1], [0, 1, 2, 3]]
    m = ranking_metrics(ids, rows([[0, 2, 4], [0], []], 5), 4)
    assert m.n_users == 2
    assert m.n_skipped == 1
    assert m.users.tolist() == [0, 1]
    # user 0: hits at ranks 2 and 4 of three relevant items; user 1: none
    ideal = 1 + 1 / math.log2(3) + 1 / 2
    assert m.per_user["recall"].tolist() == [2 / 3, 0]
    assert m.per_user["precision"].tolist() == [2 / 4, 0]
    assert m.per_user["ndcg"].tolist() == pytest.approx([(1 / math.log2(3) + 1 / math.log2(5)) / ideal, 0])
    assert m.per_user["hit_rate"].tolist() == [1, 0]
    assert m.per_user["mrr"].tolist() == [1 / 2, 0]
    assert m.per_user["map"].tolist() == pytest.approx([(1 / 2 + 2 / 4) / 3, 0])
    assert m["recall"] == pytest.approx(1 / 3)
    assert m["coverage"] == 1.0
    assert ranking_metrics(ids, rows([[0, 2, 4], [0], []], 5), 1)["coverage"] == 2 / 5  # items 3 and 4
    assert ranking_metrics(ids, rows([[0, 2, 4], [0], []], 5), 1, n_items=10)["coverage"] == 2 / 10


def test_truncated_recall_reaches_one_where_plain_recall_cannot():
    ids, relevant = [[0, 1]], rows([[0, 1, 2, 3]], 6)
    assert ranking_metrics(ids, relevant, 2)["recall"] == 0.5
    assert ranking_metrics(ids, relevant, 2, truncated=True)["recall"] == 1.0
    assert ranking_metrics(ids, relevant, 2)["ndcg"] == 1.0


def test_prints_and_behaves_as_a_mapping():
    m = ranking_metrics([[0]], rows([[0]], 2), 1)
    assert str(m).startswith("recall@1 1.0000  precision@1 1.0000  ndcg@1 1.0000  hit_rate@1 1.0000")
    assert str(m).endswith("coverage@1 0.5000  (1 users)")
    assert list(m) == [*NAMES, "coverage"]
    assert dict(m) == m
    with pytest.raises(KeyError):
        m["recall@1"]


def test_nobody_to_judge_gives_nan_and_says_so():
    m = ranking_metrics(np.empty((3, 2), np.int64) * 0, rows([[], [], []], 4), 1)
    assert math.isnan(m["ndcg"])
    assert m["coverage"] == 0
    assert "(0 users, 3 without relevant items left out)" in str(m)


@st.composite
def rankings(draw):
    n_items = draw(st.integers(1, 12))
    n_users = draw(st.integers(0, 6))
    width = draw(st.integers(1, n_items))
    some = st.lists(st.integers(0, n_items - 1), unique=True)
    ids = []
    for _ in range(n_users):
        row = draw(st.permutations(range(n_items)))[:width]
        missing = draw(st.sets(st.integers(0, width - 1)))
        ids.append([-1 if j in missing else i for j, i in enumerate(row)])
    relevant = [draw(some) for _ in range(n_users)]
    excluded = [draw(some) for _ in range(n_users)] if draw(st.booleans()) else None
    return n_items, np.array(ids, np.int64).reshape(n_users, width), relevant, excluded, draw(st.integers(1, width))


@settings(max_examples=300, deadline=None)
@given(case=rankings(), truncated=st.booleans(), threads=st.integers(1, 3))
def test_metrics_match_their_formulas(case, truncated, threads):
    n_items, ids, relevant, excluded, k = case
    m = ranking_metrics(
        ids,
        rows(relevant, n_items),
        k,
        truncated=truncated,
        exclude=None if excluded is None else rows(excluded, n_items),
        num_threads=threads,
    )
    excluded = excluded or [[]] * len(relevant)
    want = [slow_metrics(*row, k, truncated, e) for *row, e in zip(ids.tolist(), relevant, excluded, strict=True)]
    counted = [u for u, w in enumerate(want) if w]
    assert m.users.tolist() == counted
    assert m.n_skipped == len(want) - len(counted)
    for name in NAMES:
        # An excluded item is never relevant, so that it cannot be a hit; the twin needs no mask for ranks.
        np.testing.assert_allclose(m.per_user[name], [want[u][name] for u in counted], rtol=1e-14)
        assert np.all((m.per_user[name] >= 0) & (m.per_user[name] <= 1 + 1e-15))
        if counted:
            assert m[name] == pytest.approx(sum(want[u][name] for u in counted) / len(counted))
    shown = {i for u in counted for i in ids[u, :k].tolist() if i >= 0 and i not in excluded[u]}
    assert m["coverage"] == len(shown) / n_items


def test_same_bits_for_any_thread_count():
    rng = np.random.default_rng(0)
    ids = np.argsort(rng.random((5000, 50)), axis=1)[:, :20]
    relevant = sp.random(5000, 50, 0.1, "csr", random_state=0)
    one, many = (ranking_metrics(ids, relevant, 20, num_threads=t) for t in (1, 7))
    assert dict(one) == dict(many)
    for name in NAMES:
        assert np.array_equal(one.per_user[name], many.per_user[name])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0, 0]], rows([[1]], 3), 2), "ids: row 0 recommends item 0 twice"),
        (([[0, 3]], rows([[1]], 3), 2), "ids: row 0 holds item 3, expected 0 to 2, or -1 for none"),
        (([[0, -2]], rows([[1]], 3), 2), "holds item -2"),
        (([[0, 1]], rows([[1]], 3), 3), "k: expected a whole number from 1 to 2; got 3"),
        (([[0, 1]], rows([[1]], 3), 0), "k: expected"),
        (([[0, 1]], rows([[1], [2]], 3), 1), "ids: expected whole numbers of shape \\(2, n\\)"),
        (([[0.5, 1]], rows([[1]], 3), 1), "ids: expected whole numbers"),
        (([0, 1], rows([[1]], 3), 1), "ids: expected"),
        (([[0]], "x", 1), "relevant: expected a CSR"),
    ],
)
def test_ranking_metrics_refuses(arguments, message):
    with pytest.raises(InvalidArgument, match=message):
        ranking_metrics(*arguments)


# ---- evaluate --------------------------------------------------------------------------------------------------


class Fixed:
    """A model with a given score for every pair; notes what it was asked."""

    def __init__(self, scores):
        self.scores = scores
        self.asked = []

    def recommend(self, userid, user_items, N=10, filter_already_liked_items=True):
        self.asked.append((userid.tolist(), user_items))
        scores = self.scores[userid].copy()
        if filter_already_liked_items:
            scores[user_items.toarray() != 0] = -np.inf  # and, as implicit does, recommended when nothing else is left
        ids = np.argsort(-scores, axis=1, kind="stable")[:, :N]
        return ids.astype(np.int32), np.take_along_axis(scores, ids, 1)


@pytest.fixture
def split():
    rng = np.random.default_rng(5)
    train = sp.random(40, 15, 0.3, "csr", dtype=np.float32, random_state=1)
    test = sp.random(40, 15, 0.15, "csr", dtype=np.float32, random_state=2)
    return Fixed(rng.random((40, 15))), train, test


@pytest.mark.parametrize("filter_seen", [True, False])
@pytest.mark.parametrize("batch_size", [1, 7, 4096])
@pytest.mark.parametrize("k", [1, 5, 15, 40])
def test_full_ranking_matches_its_definition(split, filter_seen, batch_size, k):
    model, train, test = split
    m = evaluate(model, train, test, k=k, filter_seen=filter_seen, batch_size=batch_size)
    want = {}
    for u in range(40):
        seen = set(train[u].indices) if filter_seen else set()
        ranked = [i for i in np.argsort(-model.scores[u]).tolist() if i not in seen]
        ranked = (ranked + [-1] * k)[: max(k, 15)]
        if one := slow_metrics(ranked, test[u].indices.tolist(), k, excluded=seen):
            want[u] = one
    assert m.users.tolist() == list(want)
    assert m.n_skipped == 40 - len(want)
    for name in NAMES:
        np.testing.assert_allclose(m.per_user[name], [w[name] for w in want.values()], rtol=1e-14)
    for users, user_items in model.asked:
        assert sp.isspmatrix_csr(user_items)
        np.testing.assert_array_equal(user_items.toarray(), train[users].toarray())
        assert all(test[u].nnz for u in users), "users without test items need no recommendation"


def test_chosen_users_only(split):
    model, train, test = split
    everyone = evaluate(model, train, test, k=5)
    some = evaluate(model, train, test, k=5, users=[30, 3])
    assert some.users.tolist() == [30, 3]
    for u, value in zip(some.users, some.per_user["ndcg"], strict=True):
        assert value == everyone.per_user["ndcg"][everyone.users == u]


@pytest.mark.filterwarnings("ignore:OpenBLAS is configured")
def test_implicit_models_are_judged_by_the_same_function(split):
    als = pytest.importorskip("implicit.als")
    _, train, test = split
    model = als.AlternatingLeastSquares(factors=4, iterations=2, random_state=0, num_threads=1)
    model.fit(train, show_progress=False)
    scores = model.user_factors @ model.item_factors.T
    assert dict(evaluate(model, train, test, k=15)) == pytest.approx(dict(evaluate(Fixed(scores), train, test, k=15)))


def test_evaluate_refuses(split):
    model, train, test = split
    with pytest.raises(InvalidArgument, match="test: expected 15 columns"):
        evaluate(model, train, test[:, :9])
    with pytest.raises(InvalidArgument, match="users: expected ids from 0 to 39; got 40"):
        evaluate(model, train, test, users=[40])
    for bad in (lambda ids: ids[:1], lambda ids: ids[0], lambda ids: ids * 0.5, lambda ids: np.tile(ids, 9)):
        broken = type("M", (), {"recommend": lambda _, *a, bad=bad, **k: (bad(model.recommend(*a, **k)[0]), None)})()
        with pytest.raises(InvalidArgument, match="model: expected recommend\\(\\) to return ids of shape"):
            evaluate(broken, train, test, k=5)


# ---- evaluate_candidates ---------------------------------------------------------------------------------------


def test_candidates_worked_example():
    # The test item is third, first, and second of equals.
    m = evaluate_candidates([[2, 3, 9, 1], [5, 1, 2, 3], [7, 7, 0, 1]], [0, 0, 0], [[1, 2, 3]] * 3, k=2)
    assert m.per_user["hit_rate"].tolist() == [0, 1, 1]
    assert m.per_user["ndcg"].tolist() == pytest.approx([0, 1, 1 / math.log2(3)])
    assert m.per_user["mrr"].tolist() == [0, 1, 0.5]
    kind = evaluate_candidates([[2, 3, 9, 1], [5, 1, 2, 3], [7, 7, 0, 1]], [0, 0, 0], [[1, 2, 3]] * 3, k=2, ties="for")
    assert kind.per_user["mrr"].tolist() == [0, 1, 1]
    assert "hit_rate@2 0.6667" in str(m)


def test_a_constant_model_scores_nothing():
    m = evaluate_candidates(np.zeros(200), np.arange(50), np.tile(np.arange(60, 159), (50, 1)))
    assert dict(m) == {"hit_rate": 0, "ndcg": 0, "mrr": 0}


def test_an_item_counts_once():
    same = evaluate_candidates([[1, 1, 1, 2, 2]], [5], [[5, 5, 7, 7]], k=10)
    assert same["mrr"] == 1 / 2  # only item 7 is ahead, once
    assert evaluate_candidates([[1, 3, 2]], [5], [[6, -1]], k=10)["mrr"] == 1 / 2


@settings(max_examples=300, deadline=None)
@given(data=st.data(), n=st.integers(0, 5), m=st.integers(0, 8), ties=st.sampled_from(["for", "against"]))
def test_candidate_ranks_match_a_dictionary(data, n, m, ties):
    test = np.array(data.draw(st.lists(st.integers(0, 5), min_size=n, max_size=n)), np.int64)
    grid = st.lists(st.integers(-1, 5), min_size=n * m, max_size=n * m)
    negatives = np.array(data.draw(grid), np.int64).reshape(n, m)
    score = st.sampled_from([-math.inf, -1.5, 0.0, -0.0, 1.0, 1.0 + 2**-52, math.inf])
    scores = data.draw(st.lists(score, min_size=n * (m + 1), max_size=n * (m + 1)))
    scores = np.array(scores, np.float64).reshape(n, m + 1)
    result = evaluate_candidates(scores, test, negatives, k=100, ties=ties)
    items = np.column_stack([test, negatives])
    want = [slow_rank(i, s, ties == "for") for i, s in zip(items.tolist(), scores.tolist(), strict=True)]
    np.testing.assert_allclose(result.per_user["mrr"], [1 / r for r in want])
    np.testing.assert_allclose(result.per_user["ndcg"], [1 / math.log2(r + 1) for r in want])


def test_factor_models_score_in_double_and_round_once():
    rng = np.random.default_rng(0)
    users, items = rng.normal(size=(30, 17)).astype(np.float32), rng.normal(size=(50, 17)).astype(np.float32)
    model = type("Model", (), {"user_factors": users, "item_factors": items})()
    who = rng.integers(0, 30, 200)
    test, negatives = rng.integers(0, 50, 200), rng.integers(0, 50, (200, 20))
    got = evaluate_candidates(model, test, negatives, users=who, num_threads=2)
    sums = np.zeros((30, 50))
    for f in range(17):
        sums += users[:, f : f + 1].astype(np.float64) * items[:, f].astype(np.float64)
    scores = sums.astype(np.float32)[who[:, None], np.column_stack([test, negatives])]
    assert dict(got) == dict(evaluate_candidates(scores, test, negatives))
    np.testing.assert_array_equal(
        ecocore._core.score_candidates(users, items, who, np.column_stack([test, negatives])), scores
    )


def test_evaluate_candidates_refuses():
    factors = type("Model", (), {"user_factors": np.ones((2, 3)), "item_factors": np.ones((4, 3))})()
    for arguments, options, message in [
        ((np.ones(9), [1], [[2]]), {"ties": "some"}, "ties: expected 'against' or 'for'"),
        ((np.ones(9), [1.5], [[2]]), {}, "test_items: expected item ids"),
        ((np.ones(9), [-1], [[2]]), {}, "test_items: expected item ids"),
        ((np.ones(9), [1, 2], [[2]]), {}, "negatives: expected whole numbers of shape \\(2, n\\)"),
        ((np.ones(9), [9], [[2]]), {}, "a score for every item up to 9; got 9 scores"),
        ((np.ones((1, 3)), [1], [[2]]), {}, "scores of shape \\(1, 2\\)"),
        ((np.array([[1, np.nan]]), [1], [[2]]), {}, "nan at row 0, column 1"),
        ((factors, [0, 1, 2], [[2]] * 3), {}, "users: expected ids from 0 to 1; got 2"),
        ((factors, [0, 4], [[2]] * 2), {}, "items: expected ids from -1 to 3; got 4"),
        ((factors, [0], [[-2]]), {}, "got -2"),
        ((factors, [0, 1], [[2]] * 2), {"users": [1]}, "users: expected one per test item \\(2\\); got 1"),
        (("model", [0], [[2]]), {}, "scores_or_model: expected a model"),
    ]:
        with pytest.raises(InvalidArgument, match=message):
            evaluate_candidates(*arguments, **options)


# ---- baselines -------------------------------------------------------------------------------------------------


@st.composite
def histories(draw):
    n_users, n_items = draw(st.integers(1, 6)), draw(st.integers(1, 8))
    weights = draw(
        st.lists(st.sampled_from([0, 0, 0, 1, 2, 3.5]), min_size=n_users * n_items, max_size=n_users * n_items)
    )
    m = sp.csr_matrix(np.array(weights, np.float32).reshape(n_users, n_items))
    some = st.none() | st.lists(st.integers(0, n_items - 1))
    return m, draw(some), draw(some), draw(st.integers(1, n_items + 2))


@settings(max_examples=300, deadline=None)
@given(case=histories(), repeat=st.booleans(), filtered=st.booleans())
def test_baselines_match_their_definition(case, repeat, filtered):
    m, items, filter_items, k = case
    n_users, n_items = m.shape
    model = (RepeatPurchases() if repeat else Popularity()).fit(m)
    ids, scores = model.recommend(
        np.arange(n_users), m, k, filter_already_liked_items=filtered, items=items, filter_items=filter_items
    )
    dense = m.toarray()
    popularity = (dense > 0).sum(axis=0)
    allowed = set(range(n_items) if items is None else items) - set(filter_items or [])
    for u in range(n_users):
        own = set(m[u].indices.tolist()) if repeat or filtered else set()
        want = slow_popular(own, dense[u], popularity, repeat and not filtered, k, allowed)
        assert ids[u].tolist() == want
        assert np.all(scores[u][:-1] >= scores[u][1:])
        assert np.array_equal(scores[u] == -np.inf, ids[u] == -1)
        for i, s in zip(ids[u], scores[u], strict=True):
            if i >= 0:
                repeated = repeat and not filtered and dense[u, i] > 0
                assert s == np.float32(1 + dense[u, i] if repeated else popularity[i] / n_users)
        one, _ = model.recommend(
            u, m[u], k, filter_already_liked_items=filtered, items=items, filter_items=filter_items
        )
        assert one.tolist() == want


def test_baselines_need_no_user_items_without_a_filter():
    m = sp.csr_matrix(np.array([[1, 0, 1], [0, 0, 1]], np.float32))
    ids, scores = Popularity().fit(m).recommend([0, 1], N=2, filter_already_liked_items=False)
    assert ids.tolist() == [[2, 0], [2, 0]]
    assert scores.tolist() == [[1, 0.5], [1, 0.5]]
    assert Popularity().fit(m).item_scores.tolist() == [0.5, 0, 1]


def test_repeat_purchases_are_found_where_repeats_count():
    before = sp.csr_matrix(np.array([[0, 3, 1, 0], [2, 0, 0, 0], [1, 0, 0, 0]], np.float32))
    after = rows([[1], [0], [3]], 4)
    assert evaluate(RepeatPurchases().fit(before), before, after, k=1, filter_seen=False)["recall"] == 2 / 3
    filtered = evaluate(RepeatPurchases().fit(before), before, after, k=1)
    assert dict(filtered) == dict(evaluate(Popularity().fit(before), before, after, k=1))
    assert filtered.n_users == 1


def test_baselines_refuse():
    m = sp.csr_matrix(np.array([[1, 0], [-1, 1]], np.float32))
    with pytest.raises(NotFitted, match="call fit"):
        Popularity().recommend(0, m[0])
    model = RepeatPurchases().fit(m)
    for arguments, options, message in [
        (([0, 1],), {}, "user_items: expected a CSR matrix with one row for each user; got None"),
        (([0, 1],), {"filter_already_liked_items": False}, "to repeat it"),
        (([0], m), {}, "user_items: expected 1 rows"),
        (([0, 1], m), {"filter_already_liked_items": False}, "weights of at least 0; got -1"),
        (([0, 1], m[:, :1]), {}, "expected 2 columns"),
        (([-1], m[0]), {}, "userid: expected"),
        ((0, m[0], 0), {}, "N: expected"),
        ((0, m[0]), {"items": [2]}, "items: expected ids from 0 to 1; got 2"),
        ((0, m[0]), {"filter_items": [2]}, "filter_items: expected ids"),
    ]:
        with pytest.raises(InvalidArgument, match=message):
            model.recommend(*arguments, **options)


# ---- published figures -----------------------------------------------------------------------------------------


def test_popularity_on_the_ncf_split_of_movielens(data_dir):
    """He et al.'s 99 negatives: Ferrari Dacrema et al. (TOIS 2021, table 55) report HR@10 .4533 and NDCG@10 .2542."""
    folder = data_dir / "ml-1m-ncf"
    if not folder.is_dir():
        pytest.skip(f"no data set at {folder}")
    with gzip.open(folder / "ml-1m.train.pairs.gz", "rt") as file:
        pairs = np.loadtxt(file, np.int32)
    with gzip.open(folder / "ml-1m.test.negative.gz", "rt") as file:
        lines = [line.rstrip("\n").split("\t") for line in file]
    owners, test = zip(*(map(int, line[0].strip("()").split(",")) for line in lines), strict=True)
    negatives = np.array([line[1:] for line in lines], np.int64)
    assert negatives.shape == (6040, 99)
    assert owners == tuple(range(6040))
    train = sp.csr_matrix((np.ones(len(pairs), np.float32), pairs.T), (6040, 3706))
    popularity = Popularity().fit(train)

    kind = evaluate_candidates(popularity.item_scores, test, negatives, 10, ties="for")
    assert (round(kind["hit_rate"], 4), round(kind["ndcg"], 4)) == (0.4538, 0.2545)
    strict = evaluate_candidates(popularity.item_scores, test, negatives, 10)
    assert strict["hit_rate"] == pytest.approx(0.4533, abs=5e-4)
    assert strict["ndcg"] == pytest.approx(0.2542, abs=5e-4)
    assert strict["hit_rate"] <= kind["hit_rate"]

    held_out = as_csr(sp.csr_matrix((np.ones(6040, np.float32), (owners, test)), (6040, 3706)), "test")
    full = evaluate(popularity, train, held_out, k=10)
    assert full["recall"] == full["hit_rate"] < strict["hit_rate"]  # all items compete, not one hundred


@pytest.mark.parametrize(("test", "filter_seen"), [([[], []], True), ([[], []], False), ([[0], []], True)])
def test_an_empty_test_is_an_error_that_says_what_to_do(test, filter_seen):
    train = rows([[0], [1]], 3)
    with pytest.raises(InvalidArgument, match=r"test: expected at least one of the 2 users.* judge by a longer span"):
        evaluate(Popularity().fit(train), train, rows(test, 3), k=2, filter_seen=filter_seen)
