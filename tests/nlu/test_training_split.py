"""What training holds out to judge itself by."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs the extra train")

from ecocore.train.nlu_examples import Example
from ecocore.train.nlu_model import _split


def texts(pattern: str, intent: str, values: range) -> list[Example]:
    """One text for each value, which stands at the end."""
    return [Example(f"{pattern} {n:03}", (intent,), (("id", len(pattern) + 1, len(pattern) + 4),)) for n in values]


def test_texts_that_differ_by_values_only_are_held_out_together():
    known = [e for i in range(20) for e in texts(f"pattern {i} of", "order", range(3))]
    train, judged, _ = _split(known, ["order"])
    assert len(train) + len(judged) == 60
    assert len({e.text[:-3] for e in judged}) == 4
    assert not {e.text[:-3] for e in train} & {e.text[:-3] for e in judged}


def test_an_intent_of_few_patterns_is_judged_by_single_texts():
    _, judged, _ = _split(texts("where is", "order", range(40)) + texts("cancel", "stop", range(40)), ["order", "stop"])
    assert [e.intents for e in judged].count(("order",)) == 8
    assert [e.intents for e in judged].count(("stop",)) == 8


def test_a_fifth_is_held_out_where_nothing_is_alike():
    known = [Example(f"{intent} {n}", (intent,)) for intent in ("a", "b") for n in range(50)]
    _, judged, _ = _split(known, ["a", "b"])
    assert [e.intents for e in judged].count(("a",)) == 10
    assert len(judged) == 20
