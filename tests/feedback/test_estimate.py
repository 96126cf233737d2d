"""The estimators are right where the truth is known, and their intervals cover it."""

from __future__ import annotations

import numpy as np
import pytest

from ecocore.errors import InvalidArgument
from ecocore.feedback import estimate

TRUE = np.array([0.3, 0.5, 0.8])
LOGGING = np.array([0.6, 0.3, 0.1])
TARGET = np.array([0.1, 0.2, 0.7])


def logged(seed: int, n: int, model=TRUE):
    random = np.random.default_rng(seed)
    action = random.choice(3, n, p=LOGGING)
    reward = (random.random(n) < TRUE[action]).astype(float)
    return reward, LOGGING[action], TARGET[action], model[action], np.full(n, TARGET @ model)


def test_all_three_find_the_truth():
    got = estimate(*logged(0, 20_000), resamples=300)
    truth = TARGET @ TRUE
    for one in (got.ips, got.snips, got.dr):
        assert abs(one.value - truth) < 0.02
    assert abs(got.logged.value - LOGGING @ TRUE) < 0.02
    assert abs(got.gain.value - (truth - LOGGING @ TRUE)) < 0.03


@pytest.mark.parametrize("model", [TRUE, np.array([0.5, 0.5, 0.5]), np.array([0.9, 0.1, 0.2])])
def test_intervals_cover_the_truth(model):
    truth = TARGET @ TRUE
    covered = {"ips": 0, "snips": 0, "dr": 0}
    for seed in range(100):
        got = estimate(*logged(seed, 500, model), resamples=200, seed=seed)
        for name in covered:
            one = getattr(got, name)
            covered[name] += one.low <= truth <= one.high
    assert min(covered.values()) >= 86, covered  # 95 nominal; 86 is four standard errors below


def test_a_good_model_makes_doubly_robust_tighter():
    got = estimate(*logged(1, 2000), resamples=300)
    assert got.dr.high - got.dr.low < 0.8 * (got.ips.high - got.ips.low)


def test_the_same_policy_gets_what_was_logged():
    r, p, _, q, _ = logged(2, 300)
    got = estimate(r, p, p, q, q, resamples=100)
    assert got.ips.value == pytest.approx(r.mean())
    assert got.gain.value == pytest.approx(0, abs=1e-12)
    assert got.effective == pytest.approx(300)


def test_a_policy_that_never_acted_is_told_by_its_effective_sample():
    r = np.ones(100)
    got = estimate(r, r, 0 * r, r, 0.5 * r, resamples=50)
    assert got.effective == 0
    assert got.dr.value == pytest.approx(0.5)


@pytest.mark.parametrize("p", [0.0, -0.1, 1.1, np.nan])
def test_propensities_must_be_probabilities(p):
    with pytest.raises(InvalidArgument, match="propensities"):
        estimate([1.0], [p], [1.0], [0.5], [0.5])


def test_lengths_must_match():
    with pytest.raises(InvalidArgument, match="equal length"):
        estimate([1.0, 0.0], [1.0], [1.0], [0.5], [0.5])
    with pytest.raises(InvalidArgument, match="rewards"):
        estimate([], [], [], [], [])
