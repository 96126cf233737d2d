"""What another policy would have earned, from the log of this one: IPS, SNIPS and doubly robust, with intervals.

Horvitz and Thompson (1952) for IPS; Swaminathan and Joachims (2015) for SNIPS; Dudik, Langford and Li (2011) for DR.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    minus the baseline (what was logged, where no other is given), row by row. ``effective``: Kish's effective sample
    size of the weights; far below ``rows``, little is known."""

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
    baseline: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    groups: Sequence[object] | None = None,
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
        baseline: (target, expected_target) of another policy, to whose doubly robust value ``gain`` is the difference;
            None: to what the logging policy earned.
        groups: (n,) whose row it is; the bootstrap then draws whole groups, since rows of one person are not
            independent. None: every row by itself.
        confidence: of the intervals, by percentile bootstrap.
        clip: the largest weight (target / propensity).
        resamples, seed: of the bootstrap.

    Raises:
        InvalidArgument: arrays of different length, none at all, a propensity not in (0, 1], or a value that is
            not finite.
    """
    given = (rewards, propensities, target, expected_logged, expected_target)
    r, p, t, ql, qt = (np.asarray(a, np.float64) for a in given)
    n = as_count(int(r.size), "rewards", minimum=1)
    if any(a.shape != (n,) for a in (r, p, t, ql, qt)):
        shapes = [a.shape for a in (r, p, t, ql, qt)]
        raise InvalidArgument(f"rewards, propensities, ...: expected 1-D arrays of equal length; got shapes {shapes}")
    if not ((p > 0) & (p <= 1)).all():
        raise InvalidArgument("propensities: expected probabilities above 0 and at most 1; log the policy that acted")
    if not all(np.isfinite(a).all() for a in (r, t, ql, qt)):
        raise InvalidArgument("rewards, target, expected_...: expected finite numbers; got NaN or infinity")
    w = np.minimum(t / p, clip)
    dr = qt + w * (r - ql)
    base = r
    if baseline is not None:
        bt, bq = (np.asarray(a, np.float64) for a in baseline)
        if bt.shape != (n,) or bq.shape != (n,):
            raise InvalidArgument(f"baseline: expected two arrays of shape ({n},); got {bt.shape} and {bq.shape}")
        base = bq + np.minimum(bt / p, clip) * (r - ql)
    if groups is not None and len(groups) != n:
        raise InvalidArgument(f"groups: expected {n} entries, one a row; got {len(groups)}")
    columns = np.stack([w * r, dr, r, dr - base, w])
    means = _bootstrap(columns, groups, resamples, np.random.default_rng(seed))
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


def _bootstrap(columns: _F64, groups: Sequence[object] | None, resamples: int, random: np.random.Generator) -> _F64:
    """Means of each column over resampled rows or groups, (columns, resamples), in the memory of a few draws."""
    sums = np.concatenate([columns, np.ones((1, columns.shape[1]))])
    if groups is not None:
        number = {g: i for i, g in enumerate(dict.fromkeys(groups))}
        member = np.array([number[g] for g in groups])
        sums = np.stack([np.bincount(member, row, len(number)) for row in sums])
    n = sums.shape[1]
    out = np.empty((len(columns), resamples))
    for i in range(resamples):
        total = sums @ np.bincount(random.integers(0, n, n), minlength=n)
        out[:, i] = total[:-1] / total[-1]
    return out
