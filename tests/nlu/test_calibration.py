"""What training promises of its thresholds holds on the texts that it was fitted on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

for _package in ("torch", "onnx"):
    pytest.importorskip(_package, reason="training needs the extra 'train'")

from ecocore.train.nlu_calibration import auroc, calibration_error, fit_decision

INTENTS = 6


def held_out(seed, texts=400, sharpness=2.0, repeated=1):
    """Scores and labels of texts of which a fifth are out of scope: (logits, unseen, labels). The labels are drawn from
    softmax(logits / sharpness), so that the truth is known."""
    random = np.random.default_rng(seed)
    z = (random.standard_normal((texts // repeated, INTENTS)) * 3).astype(np.float32)
    z[::5] *= np.float32(0.2)
    z = np.repeat(z, repeated, axis=0)
    p = np.exp(z.astype(np.float64) / sharpness)
    p /= p.sum(axis=1, keepdims=True)
    labels = [(int(random.choice(INTENTS, p=row)),) for row in p]
    group = np.repeat(np.arange(len(z) // repeated), repeated)
    labels = [() if g % 5 == 0 else label for g, label in zip(group, labels, strict=True)]
    unseen = random.random((len(z) // repeated, 3)).astype(np.float32)
    return z, np.repeat(unseen, repeated, axis=0), labels


def applied(decision, z, unseen):
    """(probability of being in scope, shares of the intents)"""
    from ecocore import _core

    signals = _core.scope_signals(z, unseen)
    inside = 1 / (1 + np.exp(-(signals @ np.array(decision.scope[:-1]) + decision.scope[-1])))
    e = np.exp((z.astype(np.float64) - z.max(axis=1, keepdims=True)) / decision.temperature)
    return inside, e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("texts", "repeated"), [(30, 1), (400, 1), (400, 8)])
@pytest.mark.parametrize("seed", range(4))
def test_promises_hold_where_they_were_fitted(seed, texts, repeated):
    z, unseen, labels = held_out(seed, texts, repeated=repeated)
    d = fit_decision(z, unseen, labels, several=False, turned_away=0.03, precision=0.8, coverage=0.93)
    inside, share = applied(d, z, unseen)
    known = np.array([bool(label) for label in labels])
    wanted = np.array([label[0] if label else -1 for label in labels])
    assert (inside[known] < d.scope_threshold - 1e-12).mean() <= 0.03
    sure = (inside >= d.scope_threshold) & (share.max(axis=1) * inside >= d.sure_threshold - 1e-12)
    assert sure.any() == (d.sure_threshold < 1)
    if sure.any():
        assert (share.argmax(axis=1) == wanted)[sure].mean() >= 0.8
    rank = np.argsort(-z, axis=1, kind="stable")
    before = np.cumsum(np.take_along_axis(share, rank, axis=1), axis=1)
    taken = np.concatenate([np.ones((len(z), 1), bool), before[:, :-1] < d.choice_share], axis=1)
    found = (taken & (rank == wanted[:, None])).any(axis=1)
    assert found[known].mean() >= 0.93


def test_the_temperature_is_that_of_the_truth():
    z, unseen, labels = held_out(0, 20_000, sharpness=2.5)
    d = fit_decision(z, unseen, labels, several=False, turned_away=0.05, precision=0.9, coverage=0.95)
    assert d.temperature == pytest.approx(2.5, rel=0.05)
    inside, share = applied(d, z, unseen)
    known = np.array([bool(label) for label in labels])
    right = np.array([bool(label) and label[0] == k for label, k in zip(labels, share.argmax(axis=1), strict=True)])
    assert calibration_error(share.max(axis=1)[known], right[known]) < 0.02
    assert calibration_error(inside, known) < 0.05
    assert inside.mean() == pytest.approx(known.mean(), abs=0.03)


def test_error_and_auroc_are_their_definitions():
    random = np.random.default_rng(0)
    confidence, right = np.array([0.95, 0.95, 0.55, 0.55, 1.0, 0.0]), np.array([1, 1, 1, 0, 0, 0], bool)
    # Of ten bins: 0.9 to 1 has 2 of 3 right, 0.5 to 0.6 one of two, 0 to 0.1 none of one.
    expected = 3 / 6 * abs(2.9 / 3 - 2 / 3) + 2 / 6 * abs(0.55 - 0.5) + 0
    assert calibration_error(confidence, right, bins=10) == pytest.approx(expected)
    inside, outside = random.integers(0, 6, 40) / 5.0, random.integers(-2, 5, 30) / 5.0
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in itertools.product(inside, outside)]
    assert auroc(inside, outside) == pytest.approx(np.mean(pairs))
