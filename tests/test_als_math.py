"""What must hold of the mathematics, whatever the implementation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import reference_als as reference
from ecocore import AlternatingLeastSquares
from test_als_parity import OBJECTIVES, by_objective, interactions


def parameters(kw):
    out = {"objective": kw["objective"], "regularization": kw["reg"], "alpha": kw.get("alpha", 1.0)}
    if kw["objective"] == "ials":
        out |= {"unobserved_weight": kw["alpha0"], "regularization_exponent": kw["exponent"]}
    return out


@pytest.mark.parametrize("kw", OBJECTIVES, ids=by_objective)
def test_loss_is_the_formula(kw):
    m = interactions(25, 30, 0.2, seed=1, dislikes=True)
    model = AlternatingLeastSquares(
        6, iterations=2, random_state=0, calculate_training_loss=True, **parameters(kw)
    ).fit(m)  # fmt: skip
    want = reference.loss(m, model.user_factors, model.item_factors, **kw)
    assert model.history[-1].loss == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize("kw", OBJECTIVES, ids=by_objective)
@pytest.mark.parametrize("solver", ["cholesky", "cg", "auto"])
def test_loss_never_rises(kw, solver):
    m = interactions(60, 50, 0.2, seed=2, dislikes=True)
    model = AlternatingLeastSquares(
        8, iterations=12, solver=solver, random_state=0, calculate_training_loss=True, **parameters(kw)
    ).fit(m)  # fmt: skip
    losses = np.array([h.loss for h in model.history])
    assert (np.diff(losses) <= 1e-7 * losses[:-1]).all()
    assert losses[-1] < losses[0]


def test_loss_never_rises_with_features():
    rng = np.random.default_rng(3)
    m = interactions(60, 50, 0.2, seed=3).tolil()
    m[:, 7] = 0  # an item without interactions is no part of the objective
    model = AlternatingLeastSquares(
        8, 0.5, iterations=12, solver="cholesky", random_state=0, calculate_training_loss=True
    ).fit(m.tocsr(), item_features=rng.random((50, 4)))
    losses = np.array([h.loss for h in model.history])
    assert (np.diff(losses[1:]) <= 1e-7 * losses[1:-1]).all()


@pytest.mark.parametrize("kw", OBJECTIVES, ids=by_objective)
def test_gradient_vanishes_at_the_exact_solution(kw):
    """Central differences of the reference loss around the items, which were solved last."""
    m = interactions(20, 15, 0.3, seed=4)
    model = AlternatingLeastSquares(
        4, iterations=3, solver="cholesky", random_state=0, **parameters(kw)
    ).fit(m)  # fmt: skip
    users, items = model.user_factors.astype(np.float64), model.item_factors.astype(np.float64)
    h, scale = 1e-4, reference.loss(m, users, items, **kw)
    rng = np.random.default_rng(5)
    moved = users + rng.normal(0, 0.1, users.shape)  # away from the optimum the loss does have a slope
    direction = rng.normal(0, 1, items.shape)

    def slope(x):
        up, down = (reference.loss(m, x, items + sign * h * direction, **kw) for sign in (1, -1))
        return abs(up - down) / (2 * h) / scale

    assert slope(users) < 2e-5
    assert slope(moved) > 1e-3


def test_rank_one_has_a_closed_form():
    """Every pair observed with confidence c: minimise c |1 - x y^T|^2 + lambda (|x|^2 + |y|^2). By symmetry x and y are
    constant; the singular value s = |x| |y| of the solution is sqrt(n m) - lambda / c (soft thresholding)."""
    users, items, c, reg = 12, 20, 3.0, 2.0
    m = sp.csr_matrix(np.full((users, items), c, np.float32))
    model = AlternatingLeastSquares(1, reg, iterations=60, solver="cholesky", random_state=0).fit(m)
    singular = np.sqrt(users * items) - reg / c
    np.testing.assert_allclose(
        model.user_factors @ model.item_factors.T, singular / np.sqrt(users * items), rtol=1e-5
    )  # fmt: skip


def test_exact_factors_of_a_user_do_not_depend_on_the_others():
    m = interactions(seed=6)
    model = AlternatingLeastSquares(8, iterations=2, random_state=0).fit(m)
    alone = model.recalculate_user(9, m[9])
    together = model.recalculate_user(np.arange(m.shape[0]), m)
    np.testing.assert_array_equal(alone, together[9])
