"""Which wording of an answer helps most: Thompson sampling whose probabilities are known, not estimated.

Drawing one value from each arm's posterior and taking the largest picks an arm with the probability that it is the
best. Here that probability is computed (by quadrature over the Beta posteriors) and the arm is drawn from it, which is
the same policy, with the exact propensity for the log.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Sequence

import numpy as np

from ..errors import InvalidArgument

__all__ = ["Bandit", "best_probabilities"]

_POINTS = 1024  # of the quadrature; the posterior after 10,000 ratings is 10 points wide


def best_probabilities(successes: Sequence[float], failures: Sequence[float]) -> list[float]:
    """P(arm is the best) for arms with Beta(1 + successes, 1 + failures) posteriors; sums to 1."""
    x = (np.arange(_POINTS) + 0.5) / _POINTS
    log_x, log_1x = np.log(x), np.log1p(-x)
    density = np.empty((len(successes), _POINTS))
    for i, (s, f) in enumerate(zip(successes, failures, strict=True)):
        log = s * log_x + f * log_1x
        density[i] = np.exp(log - log.max())
    density /= density.sum(1, keepdims=True)
    below = np.cumsum(density, 1) - 0.5 * density
    best = np.array([(density[i] * np.delete(below, i, 0).prod(0)).sum() for i in range(len(density))])
    return [float(p) for p in best / best.sum()]


class Bandit:
    """Thompson sampling over the variants of many answers, each its own context. Safe to share by threads.

    Args:
        seed: of the draws; the same seed and ratings give the same choices.
        floor: the least probability of any variant, so that each can always be judged.
        votes_per_user: ratings of one user that count in one context; more would let one person decide.
    """

    def __init__(self, seed: int = 0, *, floor: float = 0.05, votes_per_user: int = 5) -> None:
        if not 0.0 < floor < 0.5:
            raise InvalidArgument(f"floor: expected a probability above 0 and below 0.5; got {floor}")
        self._random = random.Random(seed)
        self._floor, self._votes = floor, votes_per_user
        self._counts: dict[str, list[list[float]]] = {}
        self._cached: dict[str, tuple[float, ...]] = {}
        self._by_user: dict[tuple[str, str], dict[str, tuple[int, bool]]] = {}
        self._lock = threading.Lock()

    def probabilities(self, context: str, count: int) -> tuple[float, ...]:
        """The probability of each variant of a context now."""
        with self._lock:
            return self._probabilities(context, count)

    def choose(self, context: str, count: int) -> tuple[int, tuple[float, ...]]:
        """A variant, and the probability that each had."""
        with self._lock:
            p = self._probabilities(context, count)
            return self._random.choices(range(count), p)[0], p

    def update(self, context: str, variant: int, count: int, helpful: bool, user: str, reply: str = "") -> bool:
        """Counts a rating; False when the user has rated this context often enough. A second rating of the same
        ``reply`` takes the place of the first; without a name each is one of its own."""
        with self._lock:
            votes = self._by_user.setdefault((user, context), {})
            if reply not in votes and len(votes) >= self._votes:
                return False
            arms = self._arms(context, max(count, variant + 1))
            if (before := votes.get(reply)) is not None:
                arms[before[0]][0 if before[1] else 1] -= 1
            votes[reply or f"#{len(votes)}"] = variant, helpful
            arms[variant][0 if helpful else 1] += 1
            self._cached.pop(context, None)
            return True

    def counts(self) -> dict[str, list[tuple[int, int]]]:
        """(helpful, not helpful) of each variant by context."""
        with self._lock:
            return {c: [(int(s), int(f)) for s, f in arms] for c, arms in sorted(self._counts.items())}

    def _arms(self, context: str, count: int) -> list[list[float]]:
        arms = self._counts.setdefault(context, [])
        while len(arms) < count:
            arms.append([0.0, 0.0])
        return arms

    def _probabilities(self, context: str, count: int) -> tuple[float, ...]:
        cached = self._cached.get(context)
        if cached is None or len(cached) != count:
            arms = self._arms(context, count)[:count]
            best = best_probabilities([a[0] for a in arms], [a[1] for a in arms])
            floor = min(self._floor, 0.5 / count)
            mixed = [floor + (1 - count * floor) * p for p in best]
            cached = tuple(p / math.fsum(mixed) for p in mixed)
            self._cached[context] = cached
        return cached
