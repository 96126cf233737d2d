"""What another policy would have earned, from the log of this one: IPS, SNIPS and doubly robust, with intervals.

Horvitz and Thompson (1952) for IPS; Swaminathan and Joachims (2015) for SNIPS; Dudik, Langford and Li (2011) for DR.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..arrays import as_count
from ..errors import InvalidArgument

__all__ = ["Estimate", "Interval", "estimate"]

_F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A value and the bounds of its confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """The value of a policy by three estimators; ``logged``: what the logging policy earned; ``gain``: doubly robust
    minus logged, row by row. ``effective``: Kish's effective sample size of the weights; far below ``rows``, little
    is known."""

    ips: Interval
    snips: Interval
    dr: Interval
    logged: Interval
    gain: Interval
    rows: int
    effective: float


def estimate(
    rewards: npt.ArrayLike,
    propensities: npt.ArrayLike,
    target: npt.ArrayLike,
    expected_logged: npt.ArrayLike,
    expected_target: npt.ArrayLike,
    *,
    confidence: float = 0.95,
    clip: float = 100.0,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Estimates the value of a target policy.

    Args:
        rewards: (n,) what the logged action earned.
        propensities: (n,) probability with which it was taken, above 0.
        target: (n,) probability with which the target policy would take it.
        expected_logged: (n,) a model's expected reward of the logged action.
        expected_target: (n,) the same, averaged over the actions of the target policy.
        confidence: of the intervals, by percentile bootstrap over rows.
        clip: the largest weight (target / propensity).
        resamples, seed: of the bootstrap.

    Raises:
        InvalidArgument: arrays of different length, none at all, or a propensity not in (0, 1].
    """
    given = (rewards, propensities, target, expected_logged, expected_target)
    r, p, t, ql, qt = (np.asarray(a, np.float64) for a in given)
    n = as_count(int(r.size), "rewards", minimum=1)
    if any(a.shape != (n,) for a in (r, p, t, ql, qt)):
        shapes = [a.shape for a in (r, p, t, ql, qt)]
        raise InvalidArgument(f"rewards, propensities, ...: expected 1-D arrays of equal length; got shapes {shapes}")
    if not ((p > 0) & (p <= 1)).all():
        raise InvalidArgument("propensities: expected probabilities above 0 and at most 1; log the policy that acted")
    w = np.minimum(t / p, clip)
    dr = qt + w * (r - ql)
    columns = np.stack([w * r, dr, r, dr - r, w])
    means = _bootstrap(columns, resamples, np.random.default_rng(seed))
    tail = 50 * (1 - confidence)

    def interval(value: float, samples: _F64) -> Interval:
        low, high = np.percentile(samples, [tail, 100 - tail])
        return Interval(value, float(low), float(high))

    ips, doubly, logged, gain = (interval(float(c.mean()), m) for c, m in zip(columns[:4], means[:4], strict=True))
    total = float(w.sum())
    ratio = means[0] / np.maximum(means[4], 1e-12)
    snips = interval(float((w * r).sum() / max(total, 1e-12)), ratio)
    effective = total**2 / float((w**2).sum()) if total else 0.0
    return Estimate(ips, snips, doubly, logged, gain, n, effective)


def _bootstrap(columns: _F64, resamples: int, random: np.random.Generator) -> _F64:
    """Means of each column over resampled rows, (columns, resamples). Memory is that of a few rows of draws."""
    n = columns.shape[1]
    out = np.empty((len(columns), resamples))
    for i in range(resamples):
        counts = np.bincount(random.integers(0, n, n), minlength=n)
        out[:, i] = columns @ counts / n
    return out
