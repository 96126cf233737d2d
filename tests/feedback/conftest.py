from __future__ import annotations

from itertools import count

import pytest

from ecocore.assistant import Entry
from ecocore.feedback import FeedbackLog

NUMBERS = count()


def entry(**changes) -> Entry:
    """A logged reply, with what matters to a test changed."""
    n = next(NUMBERS)
    values = {
        "id": f"r{n}", "at": 1000.0 + n, "user": "ann", "model": "m1", "text": f"where is my order, question {n}",
        "language": "en", "intent": "order_status", "confidence": 0.9, "outcome": "sure",
        "intents": (("order_status", 0.9), ("refund", 0.1)), "action": "order_status",
        "actions": {"order_status": 1.0}, "template": "order.shipped", "variant": 0, "variants": (0.5, 0.5),
        "answer": "on its way", "evidence": (("orders", "EC1.due", "2026-11-24"),), "handoff": None, "follows": "",
    }  # fmt: skip
    return Entry(**(values | changes))


@pytest.fixture
def log(tmp_path):
    made = FeedbackLog(tmp_path / "log.db", clock=lambda: 2000.0)
    yield made
    made.close()
