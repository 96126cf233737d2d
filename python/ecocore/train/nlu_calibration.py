"""From scores on held-out texts to calibrated probabilities and thresholds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .. import _core
from ..nlu import Decision

__all__ = ["auroc", "calibration_error", "fit_decision", "targets"]

Float32 = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]


def targets(labels: Sequence[Sequence[int]], intents: int) -> npt.NDArray[np.bool_]:
    out = np.zeros((len(labels), intents), bool)
    for row, label in zip(out, labels, strict=True):
        row[list(label)] = True
    return out


def fit_decision(
    logits: Float32,
    unseen: Float32,
    labels: Sequence[Sequence[int]],
    *,
    several: bool,
    turned_away: float,
    precision: float,
    coverage: float,
) -> Decision:
    """Fits every constant of :class:`ecocore.nlu.Decision` on held-out scores.

    ``turned_away`` is the share of questions in scope that may be called out of scope: the threshold is its quantile.
    "sure" starts where the answers above are right with at least ``precision``.
    """
    wanted = targets(labels, logits.shape[1])
    inside = np.asarray(wanted.any(axis=1))
    z = logits.astype(np.float64)
    temperature = _temperature(z[inside], wanted[inside], several)
    signals = _core.scope_signals(logits, unseen)
    if inside.all() or not inside.any():
        scope = np.append(np.zeros(signals.shape[1]), 20.0)  # nothing to learn it from
    else:
        scope = _logistic_regression(signals, inside)
    chance_inside = 1 / (1 + np.exp(-np.clip(signals @ scope[:-1] + scope[-1], -500, 500)))
    if several:
        chances = 1 / (1 + np.exp(-z / temperature))
    else:
        chances = np.exp((z - z.max(axis=1, keepdims=True)) / temperature)
        chances /= chances.sum(axis=1, keepdims=True)
    best = z.argmax(axis=1)
    right = wanted[np.arange(len(z)), best]
    confidence = chances[np.arange(len(z)), best] * chance_inside
    threshold = float(np.quantile(chance_inside[inside], turned_away, method="lower")) if inside.any() else 0.0

    kept = chance_inside >= threshold
    order = np.argsort(-confidence[kept], kind="stable")
    share = np.cumsum(right[kept][order]) / np.arange(1, kept.sum() + 1)
    falling = confidence[kept][order]
    last = np.append(falling[1:] < falling[:-1], True)[: len(falling)]  # equal ones are all above or all below
    enough = np.flatnonzero((share >= precision) & last)
    sure = float(falling[enough[-1]]) if len(enough) else 1.0

    ranked = np.argsort(-z, axis=1, kind="stable")
    before = np.cumsum(np.take_along_axis(chances, ranked, axis=1), axis=1)
    first = np.take_along_axis(wanted, ranked, axis=1).argmax(axis=1)
    reached = np.where(first > 0, before[np.arange(len(z)), np.maximum(first - 1, 0)], 0.0)[inside]
    share_needed = float(np.quantile(reached, coverage, method="higher")) if len(reached) else 1.0
    return Decision(
        temperature=float(temperature),
        scope=tuple(float(w) for w in scope),
        scope_threshold=threshold,
        sure_threshold=sure,
        coverage=coverage,
        choice_share=min(share_needed + 1e-9, 1.0),
        several=several,
    )


def _temperature(z: Float, wanted: npt.NDArray[np.bool_], several: bool) -> float:
    """The temperature of least negative log-likelihood, by golden section on its logarithm."""
    if not len(z):
        return 1.0

    def loss(log_t: float) -> float:
        s = z / np.exp(log_t)
        if several:
            return float(np.logaddexp(0, np.where(wanted, -s, s)).mean())
        s = s - s.max(axis=1, keepdims=True)
        log_p = s - np.log(np.exp(s).sum(axis=1, keepdims=True))
        return float(-log_p[np.arange(len(s)), wanted.argmax(axis=1)].mean())

    low, high, g = np.log(0.05), np.log(20.0), (5**0.5 - 1) / 2
    for _ in range(40):
        a, b = high - g * (high - low), low + g * (high - low)
        low, high = (low, b) if loss(a) < loss(b) else (a, high)
    return float(np.exp((low + high) / 2))


def _logistic_regression(x: Float, y: npt.NDArray[np.bool_], ridge: float = 1e-3) -> Float:
    """Weights and bias by Newton's method, both classes weighing the same; a little ridge keeps separable data
    finite."""
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-9
    a = np.concatenate([(x - mean) / spread, np.ones((len(x), 1))], axis=1)
    weight = np.where(y, 0.5 / y.mean(), 0.5 / (1 - y.mean())) / len(y)
    w = np.zeros(a.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(a @ w, -30, 30)))
        gradient = a.T @ (weight * (p - y)) + ridge * w
        hessian = (a * (weight * p * (1 - p))[:, None]).T @ a + ridge * np.eye(len(w))
        step = np.linalg.solve(hessian, gradient)
        w -= step
        if np.abs(step).max() < 1e-10:
            break
    w[:-1] /= spread
    w[-1] -= w[:-1] @ mean
    # Back to the shares of the data, so that the probability is one.
    w[-1] += np.log(y.mean() / (1 - y.mean()))
    return w


def calibration_error(confidence: Float, right: npt.NDArray[np.bool_], bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017): mean gap of confidence and accuracy over equal bins of
    confidence."""
    at = np.minimum((confidence * bins).astype(int), bins - 1)
    total = 0.0
    for b in range(bins):
        m = at == b
        if m.any():
            total += abs(confidence[m].mean() - right[m].mean()) * m.mean()
    return float(total)


def auroc(inside: Float, outside: Float) -> float:
    """The chance that a question in scope scores above one that is not (ties count half)."""
    values = np.concatenate([inside, outside])
    order = np.argsort(values, kind="stable")
    ranks = np.empty(len(values))
    ranks[order] = np.arange(1, len(values) + 1)
    for v, n in zip(*np.unique(values, return_counts=True), strict=True):
        if n > 1:
            ranks[values == v] = ranks[values == v].mean()
    k = len(inside)
    return float((ranks[:k].sum() - k * (k + 1) / 2) / (k * len(outside)))
