"""A model that changes while it is asked, items that only features know, and what implicit's users bring along."""

from __future__ import annotations

import io
import pickle
import signal

import numpy as np
import pytest
import scipy.sparse as sp

from ecocore import AlternatingLeastSquares, FormatError, InvalidArgument, _core, als_factors

RNG = np.random.default_rng(0)
N_ITEMS = 60
DATA = sp.random(300, N_ITEMS, 0.1, "csr", dtype=np.float32, random_state=1)
DATA.data[:] = 1
FEATURES = RNG.normal(size=(N_ITEMS, 4)).astype(np.float32)


def trained(**kw):
    kw = {"solver": "cholesky", "random_state": 0, "iterations": 3, **kw}
    return AlternatingLeastSquares(8, **kw).fit(DATA)


# ---- swaps while another call computes -------------------------------------------------------------------------


def swap_once(monkeypatch, owner, name, swap):
    """Lets ``swap`` run while ``owner.name`` is at work, as another thread may."""
    real, done = getattr(owner, name), []

    def build(*args, **kw):
        built = real(*args, **kw)
        if not done:
            done.append(True)
            swap()
        return built

    monkeypatch.setattr(owner, name, build)


@pytest.mark.parametrize("ask", ["recommend", "similar_items", "similar_users"])
def test_an_index_of_old_factors_does_not_outlive_them(monkeypatch, ask):
    model = trained()

    def call(m):
        if ask == "recommend":
            return m.recommend(0, None, filter_already_liked_items=False)
        return getattr(m, ask)(0)

    def swap():
        users, items = model.user_factors[::-1].copy(), model.item_factors[::-1].copy()
        model.user_factors, model.item_factors = users, items

    before = call(trained())
    swap_once(monkeypatch, als_factors, "TopKIndex", swap)
    during = call(model)
    np.testing.assert_array_equal(during[0], before[0])  # old users with old items, never half of each
    fresh = AlternatingLeastSquares(8)
    fresh.user_factors, fresh.item_factors = model.user_factors, model.item_factors
    for got, want in zip(call(model), call(fresh), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("side", ["user", "item"])
def test_a_gram_matrix_of_old_factors_does_not_outlive_them(monkeypatch, side):
    model = trained()
    row = sp.csr_matrix(np.ones((1, 300 if side == "item" else N_ITEMS), np.float32))
    other = "item_factors" if side == "user" else "user_factors"
    swap_once(monkeypatch, _core, "als_gram", lambda: setattr(model, other, 3 * getattr(model, other)))
    call = getattr(model, f"recalculate_{side}")
    during = call(0, row)
    np.testing.assert_array_equal(during, getattr(trained(), f"recalculate_{side}")(0, row))
    fresh = AlternatingLeastSquares(8)
    fresh.user_factors, fresh.item_factors = model.user_factors, model.item_factors
    np.testing.assert_array_equal(call(0, row), getattr(fresh, f"recalculate_{side}")(0, row))


def test_updating_users_keeps_what_belongs_to_items(monkeypatch):
    model = trained()
    model.recommend(0, DATA[0], recalculate_user=True)
    seen = []
    monkeypatch.setattr(_core, "als_gram", lambda *a, **kw: seen.append(a))
    monkeypatch.setattr(als_factors, "TopKIndex", lambda *a, **kw: seen.append(a))
    model.partial_fit_users([0], DATA[1])
    model.recommend(0, DATA[0], recalculate_user=True)
    assert not seen


def test_a_model_that_was_asked_can_be_pickled():
    model = trained()
    want = model.recommend(3, DATA[3])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).recommend(3, DATA[3])[0], want[0])


def test_signals_are_handled_while_the_gram_matrix_is_summed():
    factors = np.ones((600_000, 64), np.float32)
    handled = []
    before = signal.signal(signal.SIGALRM, lambda *_: handled.append(True))
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        count = len(handled)
        _core.als_gram(factors, num_threads=1)
        assert len(handled) - count > 2  # signals that wait for the end of the call are handled as one
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# ---- items that only features know -----------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1.0, 0.3])
def test_bought_cold_items_weigh_what_they_should(value):
    model = AlternatingLeastSquares(8, 0.01, solver="cholesky", random_state=0).fit(DATA, item_features=FEATURES)
    new = model.add_items(4 * RNG.normal(size=(3, 4)))
    history = sp.csr_matrix(([value, value, 1.0], ([0, 0, 0], [5, new[0], new[2]])), (1, N_ITEMS + 3), np.float32)
    y = model.item_factors.astype(np.float64)
    matrix, right = y[:N_ITEMS].T @ y[:N_ITEMS] + 0.01 * np.eye(8), np.zeros(8)
    for item, v in ((5, value), (new[0], value), (new[2], 1.0)):
        matrix += (v - (1 if item < N_ITEMS else 0)) * np.outer(y[item], y[item])
        right += v * y[item]
    want = np.linalg.solve(matrix, right)
    np.testing.assert_allclose(model.recalculate_user(0, history), want, rtol=1e-4, atol=1e-6)
    assert model.explain(0, history, int(new[0]))[0] == pytest.approx(want @ y[new[0]], rel=1e-4)


def test_fit_with_features_goes_on_where_it_ended():
    def model(iterations):
        return AlternatingLeastSquares(8, 5.0, iterations=iterations, solver="cholesky", random_state=0)

    whole = model(10).fit(DATA, item_features=FEATURES)
    halves = model(5).fit(DATA, item_features=FEATURES).fit(DATA, item_features=FEATURES)
    np.testing.assert_array_equal(whole.item_factors, halves.item_factors)
    halves.iterations = 0
    assert halves.fit(DATA, item_features=FEATURES).add_items(FEATURES[:1]).tolist() == [N_ITEMS]


def test_validation_that_judges_nobody_is_refused():
    with pytest.raises(InvalidArgument, match="validation: expected at least one held-out item that the user does not"):
        AlternatingLeastSquares(4, iterations=2).fit(DATA, validation=DATA, early_stopping=1)


def test_items_without_factors_are_similar_to_nothing():
    model = trained()
    items = model.item_factors.copy()
    items[7] = 0
    model.item_factors = items
    ids, scores = model.similar_items([7, 8], N=3)
    assert ids[0].tolist() == [-1] * 3
    assert np.isneginf(scores[0]).all()
    assert scores[1, 0] == pytest.approx(1)
    assert (ids[1, 0], model.similar_items(7, N=2)[0].tolist()) == (8, [-1, -1])


# ---- implicit's users ------------------------------------------------------------------------------------------


def test_any_sparse_format_trains_the_same():
    want = trained().item_factors
    for m in (DATA.tocoo(), DATA.tocsc(), DATA.tolil()):
        got = AlternatingLeastSquares(8, solver="cholesky", random_state=0, iterations=3).fit(m).item_factors
        np.testing.assert_array_equal(got, want)


def test_implicits_evaluation_takes_our_model():
    evaluation = pytest.importorskip("implicit.evaluation", reason="implicit is not installed")
    model = trained()
    assert model.recommend([0, 1], DATA[:2])[0].dtype == model.similar_items(0)[0].dtype == np.int32
    held_out = sp.random(300, N_ITEMS, 0.1, "csr", dtype=np.float32, random_state=2)
    got = evaluation.ranking_metrics_at_k(model, DATA, held_out, K=5, show_progress=False)
    assert 0 < got["precision"] < 1


def test_implicits_fourth_argument_is_recognised():
    with pytest.raises(InvalidArgument, match=r"iterations: .*float32, which is the fourth argument of implicit"):
        AlternatingLeastSquares(8, 0.01, 1.0, np.float32)


def test_saved_names_with_and_without_npz(tmp_path):
    model = trained()
    model.save(str(tmp_path / "a"))
    model.save(tmp_path / "b.npz")
    for name in ("a.npz", "b"):
        loaded = AlternatingLeastSquares.load(tmp_path / name, mmap=False, verify=True)
        np.testing.assert_array_equal(loaded.item_factors, model.item_factors)
    for call in (model.save, AlternatingLeastSquares.load):
        with pytest.raises(InvalidArgument, match=r"path: expected the path of a folder; got BytesIO.*make_archive"):
            call(io.BytesIO())


@pytest.mark.parametrize(
    "change",
    [
        {"item_factors": np.full((N_ITEMS, 8), np.nan, np.float32)},
        {"user_factors": np.array(1, np.float32)},
        {"feature_weights": np.full((3, 8), np.inf, np.float32)},
    ],
)
def test_damaged_parts_are_refused(change):
    meta, arrays = trained().to_parts()
    with pytest.raises(FormatError, match=next(iter(change))):
        AlternatingLeastSquares.from_parts(meta, arrays | change)


def test_only_fit_draws_from_a_legacy_generator():
    state = np.random.RandomState(3)
    AlternatingLeastSquares(8, random_state=state)
    assert state.get_state()[2] == np.random.RandomState(3).get_state()[2]
    AlternatingLeastSquares(8, random_state=state, iterations=1).fit(DATA)
    assert state.get_state()[2] != np.random.RandomState(3).get_state()[2]


# ---- exactness -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["auto", "cholesky"])
@pytest.mark.parametrize(("reg", "alpha"), [(1e-2, 1.0), (1e-2, 40.0), (1e-3, 40.0)])
def test_ill_conditioned_equations_are_solved(isa, solver, reg, alpha):
    rng = np.random.default_rng(0)
    spread = np.logspace(0, -3, 64)
    y = (rng.normal(size=(20_000, 64)) * spread + rng.normal(size=(1, 64))).astype(np.float32)
    ids = np.arange(0, 20_000, 2, dtype=np.int32)  # longer than what auto leaves to conjugate gradient
    out, gram, chosen = np.zeros((1, 64), np.float32), _core.als_gram(y), y[ids].astype(np.float64)
    _core.als_half_sweep(
        np.array([0, ids.size]), ids, None, y, gram, np.array([reg], np.float32), None, out, out,
        alpha=alpha, weight_offset=-1.0, gram_weight=1.0, solver=solver,
    )  # fmt: skip
    want = np.linalg.solve(gram + (alpha - 1) * chosen.T @ chosen + reg * np.eye(64), alpha * chosen.sum(0))
    assert np.linalg.norm(out[0] - want) < 1e-4 * np.linalg.norm(want)
