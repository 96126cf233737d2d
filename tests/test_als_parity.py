"""The native solvers against the plain reference and against implicit, on every instruction set and thread count."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import pytest
import scipy.sparse as sp

import reference_als as reference
from ecocore import AlternatingLeastSquares, _core
from ecocore.als_objective import make_objective, solve_rows
from ecocore.arrays import as_csr

EXACT = 1e-4  # relative to the norm of a row


def interactions(rows=40, cols=60, density=0.15, seed=0, dislikes=False):
    """Weighted interactions; rows 3 and 7 are empty, and row 5 has everything."""
    rng = np.random.default_rng(seed)
    m = (rng.random((rows, cols)) < density) * rng.integers(1, 6, (rows, cols)).astype(np.float32)
    m[3] = m[7] = 0
    m[5] = rng.random(cols) + 0.5
    if dislikes:
        m *= np.where(rng.random(m.shape) < 0.2, -1, 1)
    return sp.csr_matrix(m.astype(np.float32))


def row_error(got, want):
    norm = np.linalg.norm(want, axis=1)
    return float(np.max(np.linalg.norm(got - want, axis=1) / np.where(norm == 0, 1, norm)))


def native(m, fixed, *, solver="cholesky", start=None, prior=None, threads=1, cg_steps=3, **kw):
    objective = make_objective(
        kw["objective"],
        kw.get("alpha", 1.0),
        kw["reg"],
        kw.get("alpha0") if kw["objective"] == "ials" else None,
        kw.get("exponent") if kw["objective"] == "ials" else None,
    )
    rows = as_csr(m, "m")
    regularization = objective.row_regularization(np.diff(rows.indptr), len(fixed))
    return solve_rows(
        objective,
        rows,
        fixed,
        _core.als_gram(fixed, solver == "cholesky", threads),
        regularization,
        start=start,
        prior=prior,
        solver=solver,
        cg_steps=cg_steps,
        num_threads=threads,
    )


OBJECTIVES = [
    {"objective": "implicit", "reg": 0.01},
    {"objective": "implicit", "reg": 0.1, "alpha": 40.0},
    {"objective": "ials", "reg": 0.01, "alpha0": 0.3, "exponent": 1.0},
    {"objective": "ials", "reg": 0.05, "alpha": 10.0, "alpha0": 0.02, "exponent": 0.5},
]


def by_objective(kw):
    return f"{kw['objective']}-{kw.get('alpha', 1.0):g}"


@functools.cache  # the reference is slow, and the same for every instruction set
def case(factors, which, cg_steps):
    m = interactions(dislikes=True, seed=which)
    rng = np.random.default_rng(1)
    fixed = rng.normal(0, 0.3, (m.shape[1], factors)).astype(np.float32)
    start = rng.normal(0, 0.3, (m.shape[0], factors)).astype(np.float32)
    return m, fixed, start, reference.half_sweep(m, fixed, start, cg_steps=cg_steps, **OBJECTIVES[which])


@pytest.mark.parametrize("factors", [1, 7, 16, 17, 64, 100, 200])
@pytest.mark.parametrize("kw", OBJECTIVES, ids=by_objective)
def test_cholesky_equals_the_reference(isa, factors, kw):
    m, fixed, _, want = case(factors, OBJECTIVES.index(kw), None)
    for threads in (1, 2, 3):
        assert row_error(native(m, fixed, threads=threads, **kw), want) < EXACT


@pytest.mark.parametrize("factors", [1, 7, 64, 100])
@pytest.mark.parametrize("kw", OBJECTIVES, ids=by_objective)
def test_cg_equals_the_reference(isa, factors, kw):
    m, fixed, start, want = case(factors, OBJECTIVES.index(kw), 3)
    for solver in ("cg", "auto"):  # these rows are short: auto is CG
        assert row_error(native(m, fixed, solver=solver, start=start, **kw), want) < 1e-3


def test_prior_pulls_towards_itself(isa):
    m = interactions()
    rng = np.random.default_rng(4)
    fixed = rng.normal(0, 0.3, (m.shape[1], 20)).astype(np.float32)
    prior = rng.normal(0, 0.3, (m.shape[0], 20)).astype(np.float32)
    kw = {"objective": "implicit", "reg": 3.0}
    want = reference.half_sweep(m, fixed, None, prior=prior, **kw)
    assert row_error(native(m, fixed, prior=prior, **kw), want) < EXACT
    assert row_error(native(m, fixed, prior=prior, solver="cg", cg_steps=60, **kw), want) < EXACT


@pytest.mark.parametrize("solver", ["auto", "cholesky", "cg"])
def test_rows_too_long_for_the_scratch(isa, solver):
    # 2 MB of scratch hold 2048 rows of 256 factors.
    rng = np.random.default_rng(5)
    row = np.where(rng.random((2, 3000)) < [[0.95], [0.1]], rng.random((2, 3000)) + 0.5, 0).astype(np.float32)
    m = sp.csr_matrix(row)
    assert np.diff(m.indptr)[0] > 2048
    fixed = rng.normal(0, 0.1, (3000, 250)).astype(np.float32)
    y = fixed.astype(np.float64)
    got = native(m, fixed, solver=solver, cg_steps=300, objective="implicit", reg=1.0, alpha=2.0)
    for r in range(2):
        c = np.where(row[r] != 0, 2.0 * row[r].astype(np.float64), 1.0)
        want = np.linalg.solve((y.T * c) @ y + np.eye(250), y.T @ np.where(row[r] != 0, c, 0))
        assert row_error(got[r : r + 1], want[None]) < EXACT


def test_gram_is_that_of_float64(isa):
    rng = np.random.default_rng(6)
    for rows, factors in ((1, 1), (63, 5), (64, 16), (1000, 33), (20000, 48)):
        m = rng.normal(0, 1, (rows, factors)).astype(np.float32)
        want = m.T.astype(np.float64) @ m.astype(np.float64)
        np.testing.assert_allclose(_core.als_gram(m), want, rtol=0, atol=1e-15 * rows * np.abs(want).max())
        np.testing.assert_allclose(_core.als_gram(m, exact=False), want, rtol=0, atol=3e-7 * np.abs(want).max())


@pytest.mark.parametrize("solver", ["auto", "cholesky", "cg"])
@pytest.mark.parametrize("objective", ["implicit", "ials"])
def test_same_bits_for_any_number_of_threads(isa, solver, objective):
    m = sp.random(3000, 500, 0.02, "csr", dtype=np.float32, random_state=7)
    results = []
    for threads in (1, 2, 5):
        model = AlternatingLeastSquares(
            24, iterations=2, objective=objective, solver=solver, random_state=0, num_threads=threads,
            calculate_training_loss=True,
        ).fit(m)  # fmt: skip
        results.append((model.user_factors.tobytes(), model.item_factors.tobytes(), model.history[-1].loss))
    assert results[0] == results[1] == results[2]


# ---- implicit --------------------------------------------------------------------------------------------------


@pytest.fixture
def implicit_als():
    als = pytest.importorskip("implicit.cpu.als", reason="implicit is not installed: pip install 'ecocore[test]'")
    limits = pytest.importorskip("threadpoolctl")
    with limits.threadpool_limits(1, "blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield als.AlternatingLeastSquares


def test_the_start_is_that_of_implicit(implicit_als):
    m = interactions()
    theirs = implicit_als(factors=12, iterations=0, random_state=42)
    theirs.fit(m, show_progress=False)
    ours = AlternatingLeastSquares(factors=12, iterations=0, random_state=42).fit(m)
    np.testing.assert_array_equal(ours.user_factors, theirs.user_factors)
    np.testing.assert_array_equal(ours.item_factors, theirs.item_factors)


@pytest.mark.parametrize("alpha", [1.0, 40.0])
@pytest.mark.parametrize("dislikes", [False, True])
def test_factors_equal_those_of_implicits_cholesky(implicit_als, alpha, dislikes):
    m = interactions(120, 90, 0.1, seed=8, dislikes=dislikes)
    kw = {"factors": 16, "regularization": 0.05, "alpha": alpha, "iterations": 5, "use_cg": False, "random_state": 1}
    theirs = implicit_als(**kw)
    theirs.fit(m, show_progress=False)
    ours = AlternatingLeastSquares(**kw).fit(m)
    assert np.linalg.norm(ours.user_factors - theirs.user_factors) < 1e-3 * np.linalg.norm(theirs.user_factors)
    assert np.linalg.norm(ours.item_factors - theirs.item_factors) < 1e-3 * np.linalg.norm(theirs.item_factors)


@pytest.mark.parametrize("alpha", [1.0, 40.0])
def test_loss_equals_that_of_implicit(implicit_als, alpha):
    m = interactions(100, 80, 0.2, seed=9)
    losses = []
    kw = {"factors": 10, "alpha": alpha, "iterations": 4, "random_state": 2, "calculate_training_loss": True}
    implicit_als(**kw).fit(m, show_progress=False, callback=lambda i, s, loss: losses.append(loss))
    ours = AlternatingLeastSquares(use_cg=True, **kw).fit(m)
    np.testing.assert_allclose([h.loss for h in ours.history], losses, rtol=1e-4)


def test_loss_after_as_many_epochs_is_no_higher_than_implicits(implicit_als):
    m = sp.random(1500, 800, 0.03, "csr", dtype=np.float32, random_state=10)
    m.data[:] = 1 + (m.data * 5).astype(int)
    losses = []
    kw = {"factors": 32, "iterations": 8, "random_state": 3, "calculate_training_loss": True}
    implicit_als(**kw).fit(m, show_progress=False, callback=lambda i, s, loss: losses.append(loss))
    ours = AlternatingLeastSquares(**kw).fit(m)
    assert ours.history[-1].loss <= losses[-1] * (1 + 1e-5)
