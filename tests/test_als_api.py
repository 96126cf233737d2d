"""AlternatingLeastSquares as its users call it: implicit's style, what was added, and what it refuses."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from ecocore import AlternatingLeastSquares, DeviceUnavailable, FormatError, InvalidArgument, NotFitted, _core
from ecocore.arrays import as_csr

N_USERS, N_ITEMS = 80, 50


def purchases(seed=0, users=N_USERS, items=N_ITEMS):
    """Two tastes: even users buy mostly even items."""
    rng = np.random.default_rng(seed)
    same = np.add.outer(np.arange(users), np.arange(items)) % 2 == 0
    m = rng.random((users, items)) < np.where(same, 0.4, 0.05)
    return sp.csr_matrix((m * rng.integers(1, 4, m.shape)).astype(np.float32))


USER_ITEMS = purchases()


@pytest.fixture(scope="module")
def model():
    return AlternatingLeastSquares(8, 0.1, iterations=6, random_state=0).fit(USER_ITEMS, show_progress=False)


# ---- training --------------------------------------------------------------------------------------------------


def test_constructor_takes_implicits_keywords():
    m = AlternatingLeastSquares(
        factors=4,
        regularization=0.02,
        alpha=2.0,
        dtype=np.float32,
        use_native=True,
        use_cg=True,
        use_gpu=False,
        iterations=3,
        calculate_training_loss=True,
        num_threads=1,
        random_state=1,
    )
    assert (m.factors, m.regularization, m.alpha, m.iterations, m.solver) == (4, 0.02, 2.0, 3, "cg")
    seen = []
    m.fit(USER_ITEMS, False, lambda iteration, seconds, loss: seen.append((iteration, seconds, loss)))
    assert [s[0] for s in seen] == [0, 1, 2]
    assert [s[2] for s in seen] == [h.loss for h in m.history]
    assert all(s[1] > 0 for s in seen)
    assert m.user_factors.shape == (N_USERS, 4)
    assert m.item_factors.dtype == np.float32


def test_loss_is_none_unless_asked_for():
    seen = []
    AlternatingLeastSquares(2, iterations=1).fit(USER_ITEMS, callback=lambda *a: seen.append(a[2]))
    assert seen == [None]


@pytest.mark.parametrize("make", [sp.csr_matrix, sp.csr_array])
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_any_csr_gives_the_same_factors(model, make, index, tmp_path):
    m = make(USER_ITEMS)
    m.indptr, m.indices = m.indptr.astype(index), m.indices.astype(index)
    np.save(tmp_path / "data.npy", m.data)
    m.data = np.load(tmp_path / "data.npy", mmap_mode="r")
    m.indices.setflags(write=False)
    again = AlternatingLeastSquares(8, 0.1, iterations=6, random_state=0).fit(m)
    np.testing.assert_array_equal(again.user_factors, model.user_factors)
    np.testing.assert_array_equal(model.recommend(3, m[[3]])[0], model.recommend(3, USER_ITEMS[3])[0])


def test_a_seed_decides_all(model):
    kw = {"factors": 8, "regularization": 0.1, "iterations": 2}
    states = [5, 5, np.random.default_rng(5), np.random.RandomState(5), np.random.RandomState(5), 6]
    factors = [AlternatingLeastSquares(random_state=s, **kw).fit(USER_ITEMS).item_factors for s in states]
    assert (factors[0] == factors[1]).all()
    assert (factors[0] == factors[2]).all()
    assert (factors[3] == factors[4]).all()
    assert (factors[0] != factors[5]).any()


def test_ials_starts_from_a_normal_distribution():
    m = AlternatingLeastSquares(25, iterations=0, objective="ials", random_state=0).fit(purchases(1, 400, 300))
    assert np.std(m.user_factors) == pytest.approx(0.02, rel=0.05)
    assert np.mean(m.item_factors) == pytest.approx(0.0, abs=0.001)


def test_factors_that_are_set_are_the_start_and_are_left_alone():
    rng = np.random.default_rng(1)
    users, items = rng.random((N_USERS, 3), np.float32), rng.random((N_ITEMS, 3), np.float32)
    before = users.copy()
    m = AlternatingLeastSquares(3, iterations=0)
    m.user_factors, m.item_factors = users, items
    m.fit(USER_ITEMS)
    np.testing.assert_array_equal(m.user_factors, users)
    m.iterations = 1
    m.fit(USER_ITEMS)
    assert (m.user_factors != before).any()
    np.testing.assert_array_equal(users, before)


def test_fit_goes_on_where_it_ended():
    whole = AlternatingLeastSquares(4, iterations=4, random_state=0).fit(USER_ITEMS)
    halves = AlternatingLeastSquares(4, iterations=2, random_state=0).fit(USER_ITEMS).fit(USER_ITEMS)
    np.testing.assert_array_equal(whole.user_factors, halves.user_factors)


def test_factors_are_read_only(model):
    with pytest.raises(ValueError, match="read-only"):
        model.user_factors[0, 0] = 1
    assert not model.item_factors.flags.writeable


def test_assigning_factors_is_seen_by_recommend():
    m = AlternatingLeastSquares(4, iterations=1, random_state=0).fit(USER_ITEMS)
    m.recommend(0, USER_ITEMS[0])
    m.similar_items(0)
    flipped = m.item_factors[::-1].copy()
    m.item_factors = flipped
    scores = flipped @ m.user_factors[0]
    assert m.recommend(0, None, N=1, filter_already_liked_items=False)[0][0] == scores.argmax()
    assert m.similar_items(0, N=1)[0][0] == 0


def test_empty_rows_get_zero_factors():
    m = USER_ITEMS.toarray()
    m[4] = 0
    m[:, 9] = 0
    fitted = AlternatingLeastSquares(4, iterations=2, random_state=0).fit(sp.csr_matrix(m))
    assert not fitted.user_factors[4].any()
    assert not fitted.item_factors[9].any()
    assert fitted.user_factors[5].any()


def test_an_empty_matrix_trains_to_zero():
    m = AlternatingLeastSquares(4, iterations=2, calculate_training_loss=True).fit(sp.csr_matrix((5, 6)))
    assert not m.user_factors.any()
    assert m.history[-1].loss == 0
    assert m.recommend(0, sp.csr_matrix((1, 6)), N=3)[0].tolist() == [0, 1, 2]


def test_validation_is_recorded_and_stops_at_the_best():
    held_out = purchases(9)
    model = AlternatingLeastSquares(8, iterations=30, random_state=0)
    snapshots = []
    model.fit(
        USER_ITEMS,
        validation=held_out,
        validation_k=5,
        early_stopping=2,
        callback=lambda *_: snapshots.append(model.item_factors),
    )
    metrics = [h.metric for h in model.history]
    best = int(np.argmax(metrics))
    assert len(metrics) == best + 3 < 30
    assert model.item_factors is snapshots[best]
    from ecocore import evaluate

    assert evaluate(model, USER_ITEMS, held_out, k=5)["ndcg"] == metrics[best]


def test_validation_by_recall():
    m = AlternatingLeastSquares(4, iterations=2, random_state=0)
    m.fit(USER_ITEMS, validation=purchases(9), validation_k=7, validation_metric="recall")
    from ecocore import evaluate

    assert m.history[-1].metric == evaluate(m, USER_ITEMS, purchases(9), k=7)["recall"]


def test_progress_is_shown_only_on_a_terminal(capsys, monkeypatch):
    AlternatingLeastSquares(2, iterations=2).fit(USER_ITEMS)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    AlternatingLeastSquares(2, iterations=2, calculate_training_loss=True).fit(USER_ITEMS)
    shown = capsys.readouterr().err
    assert "ALS 2/2" in shown
    assert "loss" in shown
    AlternatingLeastSquares(2, iterations=2).fit(USER_ITEMS, show_progress=False)
    assert capsys.readouterr().err == ""


def test_interrupting_keeps_the_last_finished_iteration():
    m = AlternatingLeastSquares(64, iterations=1000, random_state=0, solver="cholesky", num_threads=1)
    data = sp.random(4000, 1000, 0.03, "csr", dtype=np.float32, random_state=0)
    finished = []

    def stop(iteration, seconds, loss):
        finished.append((m.user_factors, m.item_factors))
        if iteration == 1:  # during the third iteration
            threading.Timer(min(seconds / 3, 5.0), os.kill, (os.getpid(), signal.SIGINT)).start()

    began = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        m.fit(data, callback=stop)
    assert time.perf_counter() - began < 60
    assert (m.user_factors, m.item_factors) == finished[-1]
    assert len(m.history) == len(finished) < 20


def test_iterations_can_be_read_while_another_thread_trains():
    m = AlternatingLeastSquares(16, iterations=20, random_state=0).fit(USER_ITEMS)
    thread = threading.Thread(target=m.fit, args=(USER_ITEMS,))
    thread.start()
    while thread.is_alive():
        ids, _ = m.recommend(np.arange(10), USER_ITEMS[:10])
        assert ids.shape == (10, 10)
    thread.join()


# ---- recommending ----------------------------------------------------------------------------------------------


def best(model, user, allowed, n):
    scores = model.item_factors.astype(np.float64) @ model.user_factors[user].astype(np.float64)
    order = [i for i in np.lexsort((np.arange(N_ITEMS), -scores)) if allowed[i]]
    return order[:n]


def test_recommend_one_and_many(model):
    liked = USER_ITEMS.toarray() != 0
    ids, scores = model.recommend(7, USER_ITEMS[7], N=5)
    assert (ids.shape, scores.shape, ids.dtype, scores.dtype) == ((5,), (5,), np.int64, np.float32)
    assert ids.tolist() == best(model, 7, ~liked[7], 5)
    many, many_scores = model.recommend([7, 2], USER_ITEMS[[7, 2]], N=5)
    assert many.shape == many_scores.shape == (2, 5)
    assert many[0].tolist() == ids.tolist()
    assert many[1].tolist() == best(model, 2, ~liked[2], 5)
    ids, _ = model.recommend(np.int64(7), USER_ITEMS[7], N=5, filter_already_liked_items=False)
    assert ids.tolist() == best(model, 7, np.ones(N_ITEMS, bool), 5)
    ids, _ = model.recommend(7, None, filter_already_liked_items=False)
    assert ids.shape == (10,)


def test_recommend_filters(model):
    liked = USER_ITEMS.toarray()[7] != 0
    allowed = ~liked
    allowed[[1, 3, 5]] = False
    assert model.recommend(7, USER_ITEMS[7], N=6, filter_items=[1, 3, 5])[0].tolist() == best(model, 7, allowed, 6)
    choice = np.array([9, 2, 30, 11])
    ids, scores = model.recommend(7, USER_ITEMS[7], N=10, items=choice)
    only = np.isin(np.arange(N_ITEMS), choice) & ~liked
    assert ids.shape == (4,)
    assert [i for i in ids if i >= 0] == best(model, 7, only, 4)
    assert (scores[ids < 0] == -np.inf).all()


def test_filtered_items_never_come_back(model):
    ids, scores = model.recommend([0, 1], sp.csr_matrix(np.ones((2, N_ITEMS))), N=3)
    assert (ids == -1).all()
    assert (scores == -np.inf).all()


def test_more_than_there_are(model):
    for user, shape in ((0, (N_ITEMS + 7,)), ([0, 1], (2, N_ITEMS + 7))):
        ids, scores = model.recommend(user, None, N=N_ITEMS + 7, filter_already_liked_items=False)
        assert ids.shape == scores.shape == shape
        assert (ids[..., -7:] == -1).all()
        assert sorted(ids.reshape(-1, N_ITEMS + 7)[0, :N_ITEMS]) == list(range(N_ITEMS))


def test_recalculate_user_in_recommend(model):
    ids, _ = model.recommend(0, USER_ITEMS[5], N=5, recalculate_user=True)
    want, _ = model.recommend(5, USER_ITEMS[5], N=5)
    factors = model.recalculate_user(5, USER_ITEMS[5])
    assert np.linalg.norm(factors - model.user_factors[5]) < 0.1 * np.linalg.norm(factors)
    assert len(set(ids) & set(want)) >= 4
    new_user, _ = model.recommend(10**6, USER_ITEMS[5], N=5, recalculate_user=True)
    assert new_user.tolist() == ids.tolist()


def test_recommendations_follow_taste(model):
    ids, _ = model.recommend(np.arange(N_USERS), USER_ITEMS, N=3)
    assert np.mean(ids % 2 == np.arange(N_USERS)[:, None] % 2) > 0.85  # chance: 0.5


def test_similar_items_and_users(model):
    unit = model.item_factors / np.linalg.norm(model.item_factors, axis=1, keepdims=True)
    ids, scores = model.similar_items(4, N=6)
    want = np.argsort(-(unit @ unit[4]), kind="stable")[:6]
    assert ids.tolist() == want.tolist()
    assert ids[0] == 4
    np.testing.assert_allclose(scores, (unit @ unit[4])[want], rtol=1e-5)
    many, _ = model.similar_items([4, 5], N=6)
    assert many[0].tolist() == ids.tolist()
    assert 8 not in model.similar_items(4, filter_items=[8], N=N_ITEMS)[0]
    assert sorted(model.similar_items(4, items=[1, 8])[0]) == [1, 8]
    recalculated, _ = model.similar_items(4, N=1, recalculate_item=True, item_users=USER_ITEMS.T.tocsr()[4])
    assert recalculated.tolist() == [4]
    users, _ = model.similar_users(3, N=4)
    assert users[0] == 3
    assert sorted(model.similar_users([3], users=[1, 5, 7])[0][0]) == [1, 5, 7]
    assert 3 not in model.similar_users(3, filter_users=[3], N=N_USERS)[0]


def test_similar_items_of_an_item_without_factors_is_no_error():
    m = AlternatingLeastSquares(2, iterations=0)
    m.user_factors, m.item_factors = np.ones((2, 2)), np.array([[0, 0], [1, 0], [0, 1]])
    ids, scores = m.similar_items(0, N=3)
    assert ids.tolist() == [0, 1, 2]
    assert (scores == 0).all()


def test_explain_adds_up(model):
    user, item = 6, 17
    score, top, weights = model.explain(user, USER_ITEMS, item, N=100)
    exact = model.recalculate_user(user, USER_ITEMS[user]).astype(np.float64)
    assert score == pytest.approx(exact @ model.item_factors[item], rel=1e-4)
    assert sum(s for _, s in top) == pytest.approx(score, rel=1e-9)
    assert {i for i, _ in top} == set(USER_ITEMS[user].indices)
    assert [s for _, s in top] == sorted((s for _, s in top), reverse=True)
    assert all(type(i) is int and type(s) is float for i, s in top)
    again = model.explain(user, USER_ITEMS, item, user_weights=weights, N=2)
    assert again[:2] == (score, top[:2])
    assert model.explain(user, USER_ITEMS[user], item, N=2)[1] == top[:2]  # a single row will do


def test_explain_leaves_dislikes_out():
    m = USER_ITEMS.copy()
    m.data[0] = -2.0
    disliked = int(m.indices[0])
    model = AlternatingLeastSquares(4, 0.1, iterations=3, objective="ials", random_state=0).fit(m)
    score, top, _ = model.explain(0, m, 5, N=100)
    assert disliked not in {i for i, _ in top}
    assert score == pytest.approx(model.recalculate_user(0, m[0]) @ model.item_factors[5], rel=1e-3)


# ---- updating --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["implicit", "ials"])
def test_partial_fit_users(objective):
    m = AlternatingLeastSquares(6, 0.1, iterations=3, objective=objective, random_state=0).fit(USER_ITEMS)
    before, first = m.user_factors, m.recommend(3, None, filter_already_liked_items=False)
    new = purchases(5)[:2]
    m.partial_fit_users([3, N_USERS + 1], new)
    assert m.user_factors.shape == (N_USERS + 2, 6)
    np.testing.assert_array_equal(m.user_factors[[3, N_USERS + 1]], m.recalculate_user([3, 9], new))
    assert not m.user_factors[N_USERS].any()
    np.testing.assert_array_equal(np.delete(m.user_factors[:N_USERS], 3, 0), np.delete(before, 3, 0))
    assert m.recommend(3, None, filter_already_liked_items=False)[1].tolist() != first[1].tolist()


def test_partial_fit_items():
    m = AlternatingLeastSquares(6, 0.1, iterations=3, random_state=0).fit(USER_ITEMS)
    m.recommend(0, USER_ITEMS[0])
    new = USER_ITEMS.T.tocsr()[[2]]
    m.partial_fit_items([N_ITEMS], new)
    assert m.item_factors.shape == (N_ITEMS + 1, 6)
    assert m.similar_items(N_ITEMS, N=2)[0].tolist() in ([2, N_ITEMS], [N_ITEMS, 2])
    ids, _ = m.recommend(0, USER_ITEMS[0], N=N_ITEMS + 1)  # the history knows one item less
    assert N_ITEMS in ids


def test_fold_in_agrees_with_training():
    m = AlternatingLeastSquares(6, 0.1, iterations=3, objective="ials", solver="cholesky", random_state=0)
    m.fit(USER_ITEMS)
    np.testing.assert_allclose(m.recalculate_item(8, USER_ITEMS.T.tocsr()[8]), m.item_factors[8], rtol=1e-3, atol=1e-5)


# ---- cold start ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def catalogue():
    """Items of 5 categories; users buy in one of them. The last 20 items are not on sale yet."""
    rng = np.random.default_rng(0)
    users, items, categories = 300, 120, 5
    category, taste = np.arange(items) % categories, np.arange(users) % categories
    m = rng.random((users, items)) < np.where(category == taste[:, None], 0.3, 0.01)
    m[:, 100:] = False
    features = np.eye(categories, dtype=np.float32)[category]
    return sp.csr_matrix(m.astype(np.float32)), features, category, taste


@pytest.mark.parametrize("objective", ["implicit", "ials"])
@pytest.mark.parametrize("late", [False, True], ids=["in the matrix", "added later"])
def test_cold_items_reach_the_users_of_their_category(catalogue, objective, late):
    m, features, category, taste = catalogue
    model = AlternatingLeastSquares(10, 0.1, iterations=8, objective=objective, random_state=0)
    if late:
        model.fit(m[:, :100], item_features=features[:100])
        assert model.add_items(features[100:]).tolist() == list(range(100, 120))
    else:
        model.fit(m, item_features=features)
    ids, _ = model.recommend(np.arange(300), m, N=4, items=np.arange(100, 120))
    assert np.mean(category[ids] == taste[:, None]) > 0.95  # chance: 0.2
    ids, _ = model.recommend(np.arange(300), m, N=30)
    assert (ids >= 100).any(1).mean() > 0.9  # and they compete with the others
    np.testing.assert_allclose(
        model.item_factors_from_features(features[100:]), model.item_factors[100:], rtol=1e-5, atol=1e-6
    )


def test_items_that_are_not_on_sale_change_nothing_for_the_others(catalogue):
    m, features, _, _ = catalogue
    kw = {"factors": 6, "iterations": 4, "solver": "cholesky", "random_state": 0, "calculate_training_loss": True}
    rng = np.random.default_rng(1)
    users, items = rng.random((300, 6), np.float32), rng.random((120, 6), np.float32)
    fitted = []
    for n in (100, 120):
        model = AlternatingLeastSquares(objective="ials", **kw)
        model.user_factors, model.item_factors = users, items[:n]
        fitted.append(model.fit(m[:, :n], item_features=features[:n]))
    np.testing.assert_allclose(fitted[0].user_factors, fitted[1].user_factors, rtol=1e-3, atol=1e-5)
    vectors = [f.recalculate_user(0, m[0, :100]) for f in fitted]
    np.testing.assert_allclose(*vectors, rtol=1e-3, atol=1e-5)


def test_an_added_item_warms_up(catalogue):
    m, features, _, _ = catalogue
    model = AlternatingLeastSquares(6, 0.1, iterations=3, random_state=0).fit(m, item_features=features)
    model.partial_fit_items([110], m.T.tocsr()[[5]])
    np.testing.assert_allclose(model.item_factors[110], model.recalculate_item(5, m.T.tocsr()[[5]]), rtol=1e-5)


# ---- saving ----------------------------------------------------------------------------------------------------


def test_save_and_load(model, tmp_path):
    model.save(tmp_path / "m")
    loaded = AlternatingLeastSquares.load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.user_factors, model.user_factors)
    assert not loaded.item_factors.flags.writeable
    for user in (0, [1, 2]):
        for got, want in zip(loaded.recommend(user, USER_ITEMS[user]), model.recommend(user, USER_ITEMS[user]),
                             strict=True):  # fmt: skip
            np.testing.assert_array_equal(got, want)
    assert (loaded.factors, loaded.regularization, loaded.random_state) == (8, 0.1, 0)
    loaded.partial_fit_users([0], USER_ITEMS[1])
    loaded.fit(USER_ITEMS)


def test_save_keeps_features_and_objective(catalogue, tmp_path):
    m, features, _, _ = catalogue
    model = AlternatingLeastSquares(
        4, np.float32(0.5), iterations=2, objective="ials", unobserved_weight=0.2, random_state=np.random.default_rng(0)
    ).fit(m, item_features=features)
    model.save(str(tmp_path / "m"))
    loaded = AlternatingLeastSquares.load(str(tmp_path / "m"))
    assert (loaded.objective, loaded.unobserved_weight, loaded.random_state) == ("ials", 0.2, None)
    np.testing.assert_array_equal(loaded.add_items(features[:2]), [120, 121])
    np.testing.assert_array_equal(loaded.recalculate_user(0, m[0]), model.recalculate_user(0, m[0]))


@pytest.mark.parametrize(
    "change",
    [
        {"user_factors": np.ones((3, 5), np.float32)},
        {"item_factors": np.ones((3, 8), np.float64)},
        {"cold_items": np.zeros(3, bool)},
        {"feature_weights": np.ones((3, 2), np.float32)},
    ],
)
def test_parts_that_do_not_fit_are_refused(model, change):
    meta, arrays = model.to_parts()
    with pytest.raises(FormatError, match=next(iter(change))):
        AlternatingLeastSquares.from_parts(meta, arrays | change)
    with pytest.raises(FormatError, match="factors"):
        AlternatingLeastSquares.from_parts({**meta, "factors": 0}, arrays)
    with pytest.raises(FormatError, match="alpha"):
        AlternatingLeastSquares.from_parts({k: v for k, v in meta.items() if k != "alpha"}, arrays)


# ---- refusals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kw", "message"),
    [
        ({"factors": 0}, "factors: expected a whole number of at least 1; got 0"),
        ({"factors": 2.5}, "factors"),
        ({"regularization": -1}, "regularization: expected a finite number of at least 0"),
        ({"regularization": float("nan")}, "regularization"),
        ({"alpha": 0}, "alpha: expected a finite number above 0"),
        ({"alpha": "1"}, "alpha"),
        ({"iterations": -1}, "iterations"),
        ({"cg_steps": 0}, "cg_steps"),
        ({"num_threads": -2}, "num_threads"),
        ({"solver": "lu"}, "solver: expected 'auto', 'cholesky' or 'cg'; got str 'lu'"),
        ({"objective": "bpr"}, "objective: expected 'implicit' or 'ials'"),
        ({"unobserved_weight": 0.1}, "unobserved_weight: objective 'implicit' has none"),
        ({"regularization_exponent": 1.0}, "regularization_exponent"),
        ({"objective": "ials", "unobserved_weight": -0.1}, "unobserved_weight"),
        ({"dtype": np.float64}, "dtype: expected float32"),
        ({"use_native": False}, "use_native"),
        ({"use_cg": True, "solver": "cholesky"}, "use_cg: True contradicts"),
        ({"device": "tpu"}, "device"),
        ({"random_state": -1}, "random_state"),
        ({"random_state": "x"}, "random_state"),
    ],
)
def test_constructor_refuses(kw, message):
    with pytest.raises(InvalidArgument, match=message):
        AlternatingLeastSquares(**kw)


def test_a_device_that_is_not_there_is_refused():
    for kw in ({"device": "cuda"}, {"use_gpu": True}):
        with pytest.raises(DeviceUnavailable, match="CPU only"):
            AlternatingLeastSquares(**kw)
    AlternatingLeastSquares(device="cpu")


def with_value(value):
    m = USER_ITEMS.copy()
    m.data[5] = value
    return m


@pytest.mark.parametrize(
    ("matrix", "kw", "message"),
    [
        (USER_ITEMS.toarray(), {}, "user_items: expected a CSR matrix"),
        (USER_ITEMS.tocoo(), {}, "tocsr"),
        (with_value(np.nan), {}, "user_items: row 0.*finite"),
        (with_value(np.inf), {}, "finite"),
        (sp.csr_matrix((0, 5)), {}, r"at least one user and one item; got shape \(0, 5\)"),
        (sp.csr_matrix((5, 0)), {}, "at least one user and one item"),
        (USER_ITEMS, {"validation": USER_ITEMS[:3]}, "validation: expected 80 rows"),
        (USER_ITEMS, {"validation": sp.csr_matrix((N_USERS, N_ITEMS))}, "validation: expected at least one"),
        (USER_ITEMS, {"validation": USER_ITEMS, "validation_k": 0}, "validation_k"),
        (USER_ITEMS, {"validation": USER_ITEMS, "validation_metric": "auc"}, "validation_metric"),
        (USER_ITEMS, {"early_stopping": 3}, "early_stopping: needs validation"),
        (USER_ITEMS, {"validation": USER_ITEMS, "early_stopping": 0}, "early_stopping"),
        (USER_ITEMS, {"item_features": np.ones((3, 2))}, "item_features: expected a row for each of 50 items"),
        (USER_ITEMS, {"item_features": np.full((N_ITEMS, 2), np.nan)}, "item_features: expected finite"),
        (USER_ITEMS, {"item_features": np.ones((N_ITEMS, 2)), "feature_strength": -1}, "feature_strength"),
    ],
)
def test_fit_refuses(matrix, kw, message):
    with pytest.raises(InvalidArgument, match=message):
        AlternatingLeastSquares(4, iterations=1).fit(matrix, **kw)


def test_changed_attributes_are_checked_again():
    m = AlternatingLeastSquares(4, iterations=1)
    m.alpha = -3
    with pytest.raises(InvalidArgument, match="alpha"):
        m.fit(USER_ITEMS)


def test_data_that_do_not_fit_the_model_are_refused(model):
    with pytest.raises(InvalidArgument, match=r"the model's have shape.*set model.user_factors = None"):
        model.fit(USER_ITEMS[:10])
    with pytest.raises(InvalidArgument, match=r"item_factors"):
        model.fit(USER_ITEMS[:, :10])
    with pytest.raises(InvalidArgument, match="user_items: expected at most 50 columns"):
        model.recommend(0, sp.csr_matrix((1, 51)))


def test_numbers_out_of_range_of_float32_are_named():
    m = AlternatingLeastSquares(4, iterations=3, alpha=1e30, regularization=1e30, solver="cholesky", random_state=0)
    m.user_factors = np.full((N_USERS, 4), 1e15)
    m.item_factors = np.full((N_ITEMS, 4), 1e15)
    with pytest.raises(InvalidArgument, match=r"row \d+ .*singular or overflow float32"):
        m.fit(USER_ITEMS)


def test_singular_equations_are_named():
    m = AlternatingLeastSquares(4, 0.0, iterations=1, objective="ials", unobserved_weight=0.0, use_cg=False)
    with pytest.raises(InvalidArgument, match="raise regularization"):
        m.fit(sp.csr_matrix(np.eye(5)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.recommend(N_USERS, USER_ITEMS[0]), "userid: expected ids from 0 to 79; got 80"),
        (lambda m: m.recommend(-1, USER_ITEMS[0]), "userid"),
        (lambda m: m.recommend("a", USER_ITEMS[0]), "userid"),
        (lambda m: m.recommend(0, USER_ITEMS), "user_items: expected 1 rows"),
        (lambda m: m.recommend([0, 1], USER_ITEMS[0]), "user_items: expected 2 rows"),
        (lambda m: m.recommend(0, None), "user_items: expected a CSR matrix"),
        (lambda m: m.recommend(0, USER_ITEMS[0], N=0), "N: expected a whole number"),
        (lambda m: m.recommend(0, USER_ITEMS[0], items=[]), "items: expected at least one"),
        (lambda m: m.recommend(0, USER_ITEMS[0], items=[50]), "items"),
        (lambda m: m.recommend(0, USER_ITEMS[0], filter_items=[-1]), "filter_items"),
        (lambda m: m.similar_items(50), "itemid: expected ids from 0 to 49"),
        (lambda m: m.similar_items(0, recalculate_item=True), "item_users: expected a CSR matrix"),
        (lambda m: m.similar_users(80), "userid"),
        (lambda m: m.explain(80, USER_ITEMS, 0), "userid"),
        (lambda m: m.explain(0, USER_ITEMS, 50), "itemid"),
        (lambda m: m.explain(0, USER_ITEMS, 0, user_weights=np.ones(3)), "user_weights"),
        (lambda m: m.recalculate_user([0, 1], USER_ITEMS[0]), "user_items: expected 2 rows"),
        (lambda m: m.recalculate_item(0, USER_ITEMS.T.tocsr()), "item_users: expected 1 rows"),
        (lambda m: m.partial_fit_users([0, 1], USER_ITEMS[0]), "user_items: expected 2 rows"),
        (lambda m: m.partial_fit_users([0, 0], USER_ITEMS[:2]), "userids: expected each id once"),
        (lambda m: m.partial_fit_items([-1], USER_ITEMS.T.tocsr()[0]), "itemids"),
        (lambda m: setattr(m, "user_factors", np.full((2, 8), np.nan)), "user_factors: expected finite"),
    ],
)
def test_methods_refuse(model, call, message):
    with pytest.raises(InvalidArgument, match=message):
        call(model)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.recommend(0, USER_ITEMS[0]),
        lambda m: m.similar_items(0),
        lambda m: m.similar_users(0),
        lambda m: m.explain(0, USER_ITEMS, 0),
        lambda m: m.recalculate_user(0, USER_ITEMS[0]),
        lambda m: m.recalculate_item(0, USER_ITEMS.T.tocsr()[0]),
        lambda m: m.partial_fit_users([0], USER_ITEMS[0]),
        lambda m: m.add_items([[1.0]]),
        lambda m: m.save("never"),
    ],
)
def test_an_unfitted_model_says_so(call):
    with pytest.raises(NotFitted, match="fit"):
        call(AlternatingLeastSquares(4))


# ---- the native boundary ---------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(0, 5),
    cols=st.integers(0, 5),
    factors=st.integers(0, 20),
    wrong=st.sampled_from([None, "fixed", "gram", "regularization", "prior", "start", "solved", "solver", "cg_steps"]),
    solver=st.sampled_from(["auto", "cg", "cholesky"]),
    threads=st.integers(0, 3),
    seed=st.integers(0, 1000),
)
def test_half_sweep_takes_any_shape_or_says_what_is_wrong(rows, cols, factors, wrong, solver, threads, seed):
    rng = np.random.default_rng(seed)
    m = as_csr(sp.csr_matrix((rng.random((rows, cols)) < 0.5).astype(np.float32)), "m")
    args = {
        "fixed": rng.random((cols, factors), np.float32),
        "gram": np.zeros((factors, factors)),
        "regularization": np.ones(rows, np.float32),
        "prior": np.ones((rows, factors), np.float32) if seed % 2 else None,
        "start": np.ones((rows, factors), np.float32),
        "solved": np.empty((rows, factors), np.float32),
    }
    options = {"alpha": 1.0, "weight_offset": -1.0, "gram_weight": 1.0, "solver": solver, "cg_steps": 2}
    if wrong in args:
        shape = np.shape(args[wrong]) if args[wrong] is not None else (rows, factors)
        args[wrong] = np.zeros([n + 1 for n in shape], np.float64 if wrong == "gram" else np.float32)
    elif wrong is not None:
        options[wrong] = {"solver": "lu", "cg_steps": 0}[wrong]
    call = lambda: _core.als_half_sweep(  # noqa: E731
        m.indptr, m.indices, m.data, *args.values(), **options, num_threads=threads
    )
    if wrong is None and factors > 0:
        call()
        assert np.isfinite(args["solved"]).all()
    else:
        with pytest.raises(InvalidArgument):
            call()


def test_native_core_converts_nothing():
    m = as_csr(USER_ITEMS, "m")
    fixed, gram = np.ones((N_ITEMS, 4), np.float32), np.eye(4)
    ok = [m.indptr, m.indices, m.data, fixed, gram, np.ones(N_USERS, np.float32), None,
          np.ones((N_USERS, 4), np.float32), np.ones((N_USERS, 4), np.float32)]  # fmt: skip
    kw = {"alpha": 1.0, "weight_offset": -1.0, "gram_weight": 1.0}
    _core.als_half_sweep(*ok, **kw)
    for at, wrong in ((0, ok[0].astype(np.int32)), (1, ok[1].astype(np.int64)), (3, fixed.astype(float)),
                      (3, np.ones((4, N_ITEMS), np.float32).T), (4, gram.astype(np.float32))):  # fmt: skip
        with pytest.raises(TypeError):
            _core.als_half_sweep(*[wrong if i == at else a for i, a in enumerate(ok)], **kw)
    ok[8].setflags(write=False)
    with pytest.raises(InvalidArgument, match="solved: expected a writeable array"):
        _core.als_half_sweep(*ok, **kw)
