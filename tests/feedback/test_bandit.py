"""The bandit's probabilities are those of Thompson sampling, and it finds the better answer."""

from __future__ import annotations

import random

import numpy as np
import pytest

from ecocore.errors import InvalidArgument
from ecocore.feedback import Bandit, best_probabilities


@pytest.mark.parametrize(
    "counts", [[(0, 0), (0, 0)], [(3, 1), (1, 3)], [(50, 50), (60, 40), (10, 2)], [(500, 100), (480, 110)]]
)
def test_probabilities_are_those_of_sampling(counts):
    draws = np.random.default_rng(0).beta(
        [1 + s for s, _ in counts], [1 + f for _, f in counts], (200_000, len(counts))
    )
    sampled = np.bincount(draws.argmax(1), minlength=len(counts)) / len(draws)
    computed = best_probabilities([s for s, _ in counts], [f for _, f in counts])
    assert np.abs(sampled - computed).max() < 0.006
    assert sum(computed) == pytest.approx(1)


def test_the_better_answer_wins_and_the_other_keeps_its_floor():
    bandit = Bandit(1, floor=0.05, votes_per_user=10**9)
    world = random.Random(2)
    taken = []
    for _ in range(2000):
        arm, _ = bandit.choose("t/en", 2)
        taken.append(arm)
        bandit.update("t/en", arm, 2, world.random() < (0.5, 0.8)[arm], "u")
    assert sum(taken[-500:]) > 430
    assert min(bandit.probabilities("t/en", 2)) >= 0.05 - 1e-12


def test_the_logged_probability_is_the_one_used():
    bandit = Bandit(3, votes_per_user=10**9)
    for i in range(20):
        bandit.update("t", i % 2, 2, i % 2 == 0, "u")
    p = bandit.probabilities("t", 2)
    share = np.mean([bandit.choose("t", 2)[0] == 0 for _ in range(5000)])
    assert abs(share - p[0]) < 0.02


def test_the_same_seed_gives_the_same_choices():
    choices = []
    for _ in range(2):
        bandit = Bandit(7)
        choices.append([bandit.choose("t", 3)[0] for _ in range(100)])
    assert choices[0] == choices[1]


def test_one_user_cannot_decide_alone():
    bandit = Bandit(0, votes_per_user=5)
    assert [bandit.update("t", 0, 2, True, "flood") for _ in range(100)].count(True) == 5
    assert bandit.counts() == {"t": [(5, 0), (0, 0)]}


def test_contexts_do_not_mix():
    bandit = Bandit(0, votes_per_user=100)
    for _ in range(50):
        bandit.update("a", 0, 2, False, "u")
    assert bandit.probabilities("b", 2) == pytest.approx((0.5, 0.5))
    assert bandit.probabilities("a", 2)[1] > 0.9


def test_a_floor_is_needed():
    with pytest.raises(InvalidArgument, match="floor"):
        Bandit(floor=0.0)
