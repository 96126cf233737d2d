"""From logits to an outcome, against the definition in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecocore import InvalidArgument, _core

SURE, ASK, OUT_OF_SCOPE = range(3)


def logistic(z):
    return 1 / (1 + np.exp(-z))


def one_model(logits):
    """An intent model that gives these logits for every text: all of it stands in the output bias."""
    f32 = np.float32
    n = len(logits)
    return _core.IntentModel(
        np.array([7], np.uint32),
        np.ones(1, f32),
        0.0,
        np.zeros((1, 2), np.int8),
        np.ones(1, f32),
        np.zeros((2, 3), f32),
        np.zeros(3, f32),
        np.zeros((3, n), f32),
        np.asarray(logits, f32),
    )


def reference_signals(z, unseen):
    first, second = sorted([*z, 0.0] if len(z) == 1 else z, reverse=True)[:2]
    return [first, first - second, np.mean(z), unseen[0], unseen[1]]


@given(st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=9), st.integers(0, 2**32 - 1))
def test_signals(logits, seed):
    z = np.array([logits], np.float32)
    unseen = np.random.default_rng(seed).random((1, 3)).astype(np.float32)
    np.testing.assert_allclose(
        _core.scope_signals(z, unseen)[0], reference_signals(z[0].astype(float), unseen[0]), rtol=1e-6, atol=1e-6
    )


@given(st.lists(st.floats(-8, 8, width=32), min_size=2, max_size=9, unique=True), st.booleans(), st.integers(0, 9))
def test_probabilities_and_outcomes(logits, several, seed):
    random = np.random.default_rng(seed)
    scope = tuple(random.normal(0, 0.3, 6).tolist())
    temperature, least, sure, share = random.uniform(0.2, 1.0, 4).tolist()
    model, text = one_model(logits), _core.PreparedText("some text")
    _, unseen = model.score(text)
    z = np.array(logits, np.float32).astype(float)
    in_scope = logistic(np.dot(scope[:-1], reference_signals(z, unseen)) + scope[-1])
    if several:
        chances = logistic(z / temperature)
    else:
        chances = np.exp((z - z.max()) / temperature)
        chances /= chances.sum()
    order = np.argsort(-z)[:5]
    best = chances[order[0]] * in_scope

    decision = _core.IntentDecision(temperature, scope, least, sure, share, several)
    outcome, inside, confidence, shown, choices = model.judge(decision, text)
    assert inside == pytest.approx(in_scope)
    assert confidence == pytest.approx(best)
    assert [k for k, _ in shown] == order.tolist()
    factor = 1 if several else in_scope
    assert [p for _, p in shown] == pytest.approx((chances[order] * factor).tolist())
    if in_scope < least:
        assert (outcome, choices) == (OUT_OF_SCOPE, 0)
    elif best >= sure:
        assert (outcome, choices) == (SURE, 1)
    else:
        assert outcome == ASK
        assert choices == min(len(z), 2 if chances[order[:2]].sum() >= share else 3)
    assert model.judge_many(decision, ["some text"] * 3, 2) == [(outcome, inside, confidence, shown, choices)] * 3


def test_equal_logits_rank_by_number_and_nothing_is_about_nothing():
    decision = _core.IntentDecision(1.0, (0.0,) * 5 + (9.0,), 0.0, 0.0, 1.0, False)
    model = one_model([1.0] * 7)
    assert [k for k, _ in model.judge(decision, _core.PreparedText("x"))[3]] == [0, 1, 2, 3, 4]
    for nothing in ("", "  ", "\x00", "\u200b\u200d"):
        outcome, inside, confidence, shown, choices = model.judge(decision, _core.PreparedText(nothing))
        assert (outcome, inside, confidence, choices) == (OUT_OF_SCOPE, 0, 0, 0)
        assert [p for _, p in shown] == [0] * 5


def test_wrong_shapes_are_refused():
    with pytest.raises(InvalidArgument, match="unseen"):
        _core.scope_signals(np.zeros((2, 4), np.float32), np.zeros((1, 3), np.float32))
    with pytest.raises(InvalidArgument, match="intent"):
        _core.scope_signals(np.zeros((1, 0), np.float32), np.zeros((1, 3), np.float32))
