"""What the log teaches, what is promoted, and what is taken back."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from ecocore.errors import FormatError, InvalidArgument
from ecocore.feedback import FeedbackLog, Registry, judge, lessons, retrain
from ecocore.feedback.learn import posterior
from ecocore.starter import Example

from .conftest import entry


@dataclass
class Parse:
    intent: str
    outcome: str = "sure"
    confidence: float = 0.9
    intents: tuple = ()
    slots: tuple = ()


class Table:
    """A model that knows a table of texts."""

    def __init__(self, table):
        self.table = table

    def parse(self, text):
        return Parse(self.table.get(text, "order_status"))


def teach(log: FeedbackLog, text: str, label: str, user: str = "ann", kind: str = "correction") -> None:
    e = entry(text=text, user=user)
    log.add_reply(e)
    log.add_rating(e.id, kind, label)


def test_corrections_and_choices_become_examples(log):
    teach(log, "give it back", "return_item")
    teach(log, "who am i talking to", "who_are_you", kind="chosen")
    log.add_reply(entry())
    assert lessons(log.records()) == [
        Example("give it back", "return_item"),
        Example("who am i talking to", "who_are_you"),
    ]


def test_the_majority_decides_and_a_tie_teaches_nothing(log):
    for user, label in (("a", "refund"), ("b", "refund"), ("c", "exchange")):
        teach(log, "Money?", label, user)
    for user, label in (("a", "refund"), ("b", "exchange")):
        teach(log, "hm", label, user)
    assert lessons(log.records()) == [Example("Money?", "refund")]


def test_a_flood_by_one_user_is_capped(log):
    for i in range(50):
        teach(log, f"text {i}", "praise", "troll")
    assert len(lessons(log.records(), per_user=20)) == 20


def test_thumbs_teach_where_they_make_it_certain(log):
    sure = entry(text="where is it", intents=(("order_status", 0.9), ("refund", 0.1)))
    unsure = entry(text="what about it", intents=(("order_status", 0.4), ("refund", 0.35)))
    for e in (sure, unsure):
        log.add_reply(e)
        log.add_rating(e.id, "helpful", "1")
    assert lessons(log.records()) == []
    assert lessons(log.records(), thumbs=True, certainty=0.8) == [Example("where is it", "order_status")]


def test_the_posterior_is_bayes():
    got = posterior((("a", 0.5), ("b", 0.3)), "a", True, 0.2)
    total = 0.5 * 0.8 + 0.3 * 0.2 + 0.2 * 0.2
    assert got == pytest.approx({"a": 0.4 / total, "b": 0.06 / total})
    down = posterior((("a", 0.5), ("b", 0.5)), "a", False, 0.2)
    assert down == pytest.approx({"a": 0.2, "b": 0.8})


def test_one_who_says_the_opposite_is_found_out(log):
    for i in range(40):
        e = entry(text=f"text {i}", user="liar", intents=(("order_status", 0.85), ("refund", 0.1)))
        log.add_reply(e)
        log.add_rating(e.id, "helpful", "0")  # to answers that are mostly right
    taught = lessons(log.records(), per_user=100, thumbs=True)
    assert {t.intent for t in taught} <= {"order_status"}


def test_replaying_the_log_gives_the_same_bytes(tmp_path, log):
    def train(examples, *, out):
        out.mkdir()
        (out / "model.json").write_text(json.dumps([[e["text"], e["intent"]] for e in examples]))

    base = [Example("hello", "greeting"), Example("bye", "bye")]
    for i in range(30):
        teach(log, f"text {i % 11}", f"intent{i % 11 % 3}", f"user{i % 7}")
    new = retrain(log.records(), base, train, tmp_path / "a", repeat=2)
    log.close()
    again = FeedbackLog(log.path)
    assert retrain(again.records(), base, train, tmp_path / "b", repeat=2) == new
    again.close()
    assert new
    assert (tmp_path / "a" / "model.json").read_bytes() == (tmp_path / "b" / "model.json").read_bytes()
    trained = json.loads((tmp_path / "a" / "model.json").read_text())
    assert [t[0] for t in trained[:2]] == ["hello", "bye"]  # the old examples are replayed whole
    assert len(trained) == 2 + 2 * len(new)


GOLD = [Example(f"gold {i}", "refund" if i % 2 else "order_status") for i in range(100)]
GOOD = Table({e.text: e.intent for e in GOLD} | {f"log {i}": "refund" for i in range(300)})
BAD = Table({})  # always order_status


def rated(log: FeedbackLog) -> list:
    """Turns that were answered as order_status or as refund, evenly; refund was what helped."""
    for i in range(200):
        action = ("order_status", "refund")[i % 2]
        e = entry(text=f"log {i}", action=action, actions={"order_status": 0.5, "refund": 0.5}, user=f"u{i}")
        log.add_reply(e)
        log.add_rating(e.id, "helpful", "1" if action == "refund" else "0")
    return list(log.records())


def test_a_better_model_is_promoted(log):
    verdict = judge(GOOD, BAD, GOLD, rated(log))
    assert verdict.promote, verdict.reasons
    assert (verdict.gold_current, verdict.gold_candidate) == (0.5, 1.0)
    assert verdict.estimate is not None
    assert verdict.estimate.dr.value > 0.9


def test_a_worse_model_is_not(log):
    verdict = judge(BAD, GOOD, GOLD, rated(log))
    assert not verdict.promote
    assert any("gold" in r for r in verdict.reasons)
    assert any("log: estimated gain" in r for r in verdict.reasons)


def test_gold_alone_is_not_enough(log):
    assert "log: 0 rated replies" in judge(GOOD, BAD, GOLD, []).reasons[0]
    worse_in_life = Table({e.text: e.intent for e in GOLD})  # right on gold, order_status on the log
    verdict = judge(worse_in_life, BAD, GOLD, rated(log))
    assert not verdict.promote
    assert all("log" in r for r in verdict.reasons)


def test_a_log_that_never_tried_is_no_witness(log):
    for i in range(100):
        e = entry(text=f"log {i}", user=f"u{i}")
        log.add_reply(e)
        log.add_rating(e.id, "helpful", "0")
    verdict = judge(GOOD, BAD, GOLD, list(log.records()))
    assert any("effective sample" in r for r in verdict.reasons)


def test_gold_is_needed():
    with pytest.raises(InvalidArgument, match="gold"):
        judge(GOOD, BAD, [], [])


def test_promotion_and_rollback(tmp_path, log):
    registry = Registry(tmp_path / "models")
    assert registry.current() is None
    for name in ("m1", "m2", "m3"):
        (registry.folder / name).mkdir()
    registry.promote("m1")
    registry.promote("m2", judge(GOOD, BAD, GOLD, rated(log)))
    assert registry.current() == registry.folder / "m2"
    with pytest.raises(InvalidArgument, match="may not be promoted: gold"):
        registry.promote("m3", judge(BAD, GOOD, GOLD, []))
    assert registry.rollback() == "m1"
    assert Registry(registry.folder).current() == registry.folder / "m1"
    with pytest.raises(InvalidArgument, match="no earlier model"):
        registry.rollback()
    with pytest.raises(InvalidArgument, match="name: expected a model"):
        registry.promote("../m1")
    assert [s["event"] for s in registry.history()] == ["promote", "promote", "rollback"]


def test_a_lost_model_is_named(tmp_path):
    registry = Registry(tmp_path)
    (tmp_path / "m1").mkdir()
    registry.promote("m1")
    (tmp_path / "m1").rmdir()
    with pytest.raises(FormatError, match="names 'm1'"):
        registry.current()


def test_a_cut_history_line_is_left_out(tmp_path):
    registry = Registry(tmp_path)
    (tmp_path / "m1").mkdir()
    registry.promote("m1")
    with (tmp_path / "history.jsonl").open("a") as f:
        f.write('{"event": "promo')
    assert len(registry.history()) == 1
