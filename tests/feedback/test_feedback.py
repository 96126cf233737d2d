"""From a rating to what is learnt."""

from __future__ import annotations

import pytest

from ecocore.errors import InvalidArgument
from ecocore.feedback import Feedback, is_rephrasing

from .conftest import entry


@pytest.mark.parametrize(
    ("before", "after", "is_one"),
    [
        ("where is my order", "please tell me where my order is", True),
        ("我的快递到哪了", "请问我的快递现在到哪里了", True),
        ("where is my order", "where is my order", True),
        ("where is EC100001", "where is EC100002", False),
        ("退款什么时候到", "你们几点开门", False),
        ("where is my order", "do you ship abroad", False),
        ("", "hello", False),
    ],
)
def test_rephrasings_are_told(before, after, is_one):
    assert is_rephrasing(before, after) is is_one


def test_a_rephrasing_marks_the_reply_before(tmp_path):
    f = Feedback(tmp_path / "log.db")
    first = entry(at=100.0, text="where is my order")
    f.record(first)
    f.record(entry(at=130.0, text="where is my order then", follows=first.id))
    rows = list(f.log.records())
    assert (rows[0].signals, rows[0].reward) == (("rephrased",), 0.0)
    assert rows[1].signals == ()
    late = entry(at=130.0 + 61, text="where is my order now", follows=rows[1].id)
    f.record(late)
    assert list(f.log.records())[1].signals == ()
    f.close()


def test_a_helpful_answer_is_not_marked_by_what_follows(tmp_path):
    f = Feedback(tmp_path / "log.db")
    first = entry(at=100.0, text="where is my order")
    f.record(first)
    f.feedback(first.id, helpful=True)
    f.record(entry(at=110.0, text="where is my order", follows=first.id))
    assert next(f.log.records()).reward == 1.0
    f.close()


def test_a_hand_off_marks_the_reply_before(tmp_path):
    f = Feedback(tmp_path / "log.db")
    first = entry()
    f.record(first)
    f.record(entry(handoff="asked", follows=first.id))
    assert next(f.log.records()).signals == ("handoff",)
    f.close()


def test_the_bandit_is_rebuilt_from_the_log(tmp_path):
    f = Feedback(tmp_path / "log.db", seed=5)
    for i in range(30):
        arm, p = f.choose("order.shipped/en", 2)
        e = entry(user=f"u{i}", variant=arm, variants=p)
        f.record(e)
        f.feedback(e.id, helpful=arm == 1)
    counts = f.bandit.counts()
    f.close()
    again = Feedback(tmp_path / "log.db", seed=5)
    assert again.bandit.counts() == counts
    assert again.bandit.probabilities("order.shipped/en", 2)[1] > 0.9
    again.close()


def test_something_must_be_said(tmp_path):
    f = Feedback(tmp_path / "log.db")
    e = entry()
    f.record(e)
    with pytest.raises(InvalidArgument, match="got neither"):
        f.feedback(e.id)
    f.chosen("unknown", "refund")  # a choice whose reply was not logged is let go
    f.close()
