"""``ecocore chat``: a conversation on a terminal."""

from __future__ import annotations

import io

import pytest

from assistant.nlu import ScriptedNLU
from ecocore.assistant import Assistant
from ecocore.cli import chat
from ecocore.feedback import Feedback

from .conftest import TODAY

SAID = """where is EC100002
我的订单EC100003到哪了
+
/why
/fix nothing_like_this
/fix refund_status
转人工
/quit
never read
"""


@pytest.fixture
def recorded(shop, tmp_path):
    feedback = Feedback(tmp_path / "log.db")
    script = {"where is EC100002": "order_status", "我的订单EC100003到哪了": "order_status", "转人工": "human"}
    yield Assistant(ScriptedNLU(script), shop, recorder=feedback, today=lambda: TODAY), feedback
    feedback.close()


def test_a_conversation(recorded, monkeypatch, capsys):
    assistant, feedback = recorded
    monkeypatch.setattr("sys.stdin", io.StringIO(SAID))
    chat.converse(assistant, "ann")
    out = capsys.readouterr().out
    assert "on its way with DHL" in out or "DHL has your order" in out
    assert "已于2026年11月17日送达" in out
    assert "orders: EC100003.delivered = 2026-11-17" in out
    assert "correction: expected an intent" in out
    assert "-- handed over --" in out
    assert "never read" not in out
    first, second, _ = feedback.log.records()
    assert (second.thumb, second.label) == (True, "refund_status")
    assert first.thumb is None


def test_nothing_can_be_rated_before_the_first_answer(recorded, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("+\n"))
    chat.converse(recorded[0], "ann")
    assert "there is no answer yet" in capsys.readouterr().out
