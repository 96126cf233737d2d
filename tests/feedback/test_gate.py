"""The gate cannot be talked into a promotion: what it must not count, it does not count."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import numpy as np
import pytest

from ecocore.errors import FormatError, InvalidArgument
from ecocore.feedback import Feedback, FeedbackLog, estimate, judge, lessons, retrain
from ecocore.starter import Example

from .conftest import entry


@dataclass
class Parse:
    intent: str
    outcome: str = "sure"
    confidence: float = 0.9
    intents: tuple = ()
    slots: tuple = ()
    choices: tuple = ()


class Model:
    def __init__(self, answer):
        self.answer = answer

    def parse(self, text):
        return self.answer(text)


GOLD = [Example(f"gold {i}", "order_status") for i in range(60)]
STATUS = Model(lambda _: Parse("order_status"))


def explored(log: FeedbackLog, n: int = 200, **changes) -> list:
    """order_status always helps; half of the turns explored refund, which never does."""
    for i in range(n):
        action = ("order_status", "refund")[i % 2]
        e = entry(
            text=f"log {i}",
            action=action,
            actions={"order_status": 0.5, "refund": 0.5},
            **({"user": f"u{i}"} | changes),
        )
        log.add_reply(e)
        log.add_rating(e.id, "helpful", "1" if action == "order_status" else "0")
    return list(log.records())


def test_a_copy_of_the_current_model_gains_nothing_by_not_exploring(log):
    verdict = judge(STATUS, STATUS, GOLD, explored(log))
    assert not verdict.promote
    assert verdict.estimate is not None
    assert verdict.estimate.gain.value == pytest.approx(0)


def test_always_asking_back_is_not_as_good_as_knowing(log):
    asks = Model(lambda _: Parse("order_status", "ask", choices=("order_status", "refund")))
    verdict = judge(asks, STATUS, GOLD, explored(log))
    assert verdict.gold_candidate == 0.5
    assert not verdict.promote


def test_what_the_candidate_was_taught_from_is_no_witness(log):
    rows = explored(log)
    refund = Model(lambda _: Parse("refund"))
    assert "log: 0 rated replies" in judge(STATUS, refund, GOLD, rows, after=rows[-1].seq).reasons[0]


def test_one_user_does_not_decide_alone(log):
    refund = Model(lambda _: Parse("refund"))
    verdict = judge(STATUS, refund, GOLD, explored(log, user="flood"), per_user=20)
    assert any("20 rated replies" in r for r in verdict.reasons)


def test_turns_that_the_conversation_decided_do_not_count(log):
    rows = explored(log, context=True)
    assert any("0 rated replies" in r for r in judge(STATUS, STATUS, GOLD, rows).reasons)
    assert lessons(rows, thumbs=True) == []


def test_intervals_cover_the_truth_when_rows_of_a_user_hang_together():
    covered = {"rows": 0, "users": 0}
    for seed in range(100):
        random = np.random.default_rng(seed)
        users = np.repeat(np.arange(40), 10)
        likes = random.random(40) < 0.5  # each user rates all the same
        r = likes[users].astype(float)
        ones, half = np.ones(400), np.full(400, 0.5)
        for name, groups in (("rows", None), ("users", list(users))):
            got = estimate(r, ones, ones, half, half, groups=groups, resamples=200, seed=seed).dr
            covered[name] += got.low <= 0.5 <= got.high
    assert covered["users"] >= 86
    assert covered["rows"] < 70  # what taking the rows for independent would claim


def test_the_gain_over_a_baseline_is_the_difference_of_values():
    random = np.random.default_rng(3)
    logging, target, base, value = (np.array(v) for v in ([0.5, 0.5], [0.9, 0.1], [0.2, 0.8], [0.8, 0.3]))
    action = random.choice(2, 20_000, p=logging)
    r = (random.random(len(action)) < value[action]).astype(float)
    q = np.full(len(action), 0.5)
    got = estimate(r, logging[action], target[action], q, q, baseline=(base[action], q), resamples=200)
    truth = (target - base) @ value
    assert got.gain.low < truth < got.gain.high
    assert got.gain.value == pytest.approx(truth, abs=0.03)


def test_what_is_not_finite_is_refused():
    with pytest.raises(InvalidArgument, match="finite"):
        estimate([np.nan], [1.0], [1.0], [0.5], [0.5])
    with pytest.raises(InvalidArgument, match="groups"):
        estimate([1.0], [1.0], [1.0], [0.5], [0.5], groups=[])
    with pytest.raises(InvalidArgument, match="baseline"):
        estimate([1.0], [1.0], [1.0], [0.5], [0.5], baseline=([], []))


def test_gold_texts_are_not_taught(tmp_path, log):
    e = entry(text="Gold 1")
    log.add_reply(e)
    log.add_rating(e.id, "correction", "refund")
    assert retrain(log.records(), [], lambda examples, out: None, tmp_path / "m", held=GOLD) == []


def test_each_round_is_judged_by_the_model_before(tmp_path, log):
    e = entry(text="give it back", intents=(("order_status", 0.5), ("return_item", 0.4)))
    log.add_reply(e)
    log.add_rating(e.id, "helpful", "0")
    trained: list[list[str]] = []

    def train(examples, out):
        trained.append([x["intent"] for x in examples])

    def load(path):
        return Model(lambda _: Parse("refund", intents=(("refund", 0.9), ("order_status", 0.1))))

    retrain(log.records(), [], train, tmp_path / "m", rounds=2, thumbs=True, load=load)
    assert trained == [["return_item"], ["refund"]]


def test_a_changed_thumb_counts_once_and_is_rebuilt_so(tmp_path):
    f = Feedback(tmp_path / "log.db")
    for i in range(8):
        e = entry(user="ann", variant=i % 2, variants=(0.5, 0.5))
        f.record(e)
        for helpful in (True, False):
            f.feedback(e.id, helpful=helpful)
    counts = f.bandit.counts()
    assert sum(s for s, _ in counts["order.shipped/en"]) == 0
    assert sum(n for _, n in counts["order.shipped/en"]) == 5  # of one user
    f.close()
    again = Feedback(tmp_path / "log.db")
    assert again.bandit.counts() == counts
    again.close()


def test_a_log_that_cannot_be_read_costs_no_answer(tmp_path):
    f = Feedback(tmp_path / "log.db")
    first = entry()
    f.record(first)
    f.close()
    assert f.record(entry(follows=first.id)) is False


def test_a_rule_of_the_shop_says_nothing_of_the_answer_before(tmp_path):
    f = Feedback(tmp_path / "log.db")
    first = entry()
    f.record(first)
    f.record(entry(handoff="charge", follows=first.id))
    assert next(f.log.records()).reward is None
    f.close()


def test_what_is_forgotten_is_gone_from_the_files(tmp_path):
    log = FeedbackLog(tmp_path / "log.db")
    log.add_reply(entry(text="a very particular sentence"))
    log.forget("ann")
    assert not any(b"very particular" in f.read_bytes() for f in tmp_path.iterdir())
    log.close()


def test_long_logs_are_read_in_parts(log, monkeypatch):
    from ecocore.feedback import log as module

    monkeypatch.setattr(module, "_PART", 7)
    for _ in range(23):
        log.add_reply(entry())
    seqs = [r.seq for r in log.records()]
    assert len(seqs) == 23
    assert seqs == sorted(set(seqs))


def test_older_logs_are_refused(tmp_path):
    FeedbackLog(tmp_path / "log.db").close()
    db = sqlite3.connect(tmp_path / "log.db")
    db.execute("UPDATE meta SET value = '1' WHERE key = 'format'")
    db.commit()
    db.close()
    with pytest.raises(FormatError, match="format 1"):
        FeedbackLog(tmp_path / "log.db")
