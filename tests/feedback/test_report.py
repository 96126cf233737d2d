"""The report counts right, and the command prints it."""

from __future__ import annotations

import json

import pytest

from ecocore.cli import main
from ecocore.feedback import report
from ecocore.feedback.report import wilson

from .conftest import entry


@pytest.fixture
def filled(log):
    for i in range(20):
        e = entry(user=f"u{i % 4}", variant=i % 2)
        log.add_reply(e)
        log.add_rating(e.id, "helpful", "1" if i % 2 else "0")
    wrong = entry(text="give it back")
    log.add_reply(wrong)
    log.add_rating(wrong.id, "correction", "return_item")
    log.add_reply(entry(outcome="ask", confidence=0.3, text="hm?", template="ask.intent", variants=(1.0,)))
    log.add_reply(entry(handoff="asked", intent="human"))
    return log


def test_the_report_counts(filled):
    r = report(filled.records())
    assert (r.replies, r.rated, r.handoffs) == (23, 21, {"asked": 1})
    assert r.helpful is not None
    assert r.helpful[0] == 0.5
    assert r.corrections == [("order_status", "return_item", 1)]
    values = {v: value for _, v, _, _, value in r.variants}
    assert values == {"0": 0.0, "1": 1.0}
    assert r.to_label == [("hm?", "order_status", 0.3, 1)]
    assert "order_status" in str(r)


def test_an_empty_log_has_a_report(log):
    assert "no thumbs yet" in str(report(log.records()))


def test_wilson():
    assert wilson(0, 10) == pytest.approx((0.0, 0.0, 0.2775), abs=1e-3)
    assert wilson(5, 10) == pytest.approx((0.5, 0.2366, 0.7634), abs=1e-3)


def test_the_command(filled, capsys, tmp_path):
    path = str(filled.path)
    assert main(["feedback", "report", path]) == 0
    assert "23 to 5 users" in capsys.readouterr().out
    assert main(["feedback", "report", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["replies"] == 23
    assert main(["feedback", "export", path]) == 0
    assert capsys.readouterr().out == "[return_item]\ngive it back\n\n"
    assert main(["feedback", "report", str(tmp_path / "none.db")]) == 2
    assert "is not a file" in capsys.readouterr().err
    assert main(["feedback", "rollback", str(tmp_path)]) == 2
