"""A thousand chats at once: every answer is the user's own."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from assistant.nlu import ScriptedNLU
from ecocore.assistant import Assistant, Money, Order, OrderLine, SQLiteShop
from ecocore.feedback import Feedback

from .conftest import TODAY


def test_a_thousand_chats_do_not_mix(shop: SQLiteShop, tmp_path):
    (hoodie,) = [p for p in shop.products() if p.id == "P1"]
    users = [f"user{i:04}" for i in range(1000)]
    for i, user in enumerate(users):
        total = Money(Decimal(1000 + i))
        shop.add_order(user, Order(f"EC{500000 + i}", "placed", TODAY, TODAY, total, (OrderLine(hoodie, 1),)))
    script = {"where is my order": "order_status", "取消订单": "cancel_order", "hoodie in M?": "stock"}
    feedback = Feedback(tmp_path / "log.db")
    a = Assistant(ScriptedNLU(script), shop, recorder=feedback, today=lambda: TODAY)
    start = threading.Barrier(16)
    problems: list[str] = []

    def chat(worker: int) -> None:
        start.wait()
        mine = users[worker::16]
        for round_ in ("where is my order", "取消订单", "yes", "hoodie in M?", "not M, L"):
            for user in mine:
                i = int(user[4:])
                text = a.reply(user, round_).text
                wanted = {
                    "where is my order": f"EC{500000 + i}",
                    "取消订单": f"EC{500000 + i}",
                    "yes": f"EC{500000 + i}",
                }
                if round_ in wanted and wanted[round_] not in text:
                    problems.append(f"{user} {round_}: {text}")
                if round_ == "not M, L" and "L" not in text:
                    problems.append(f"{user} {round_}: {text}")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(chat, range(16)))
    assert problems == []
    assert len(feedback.log) == 5000
    assert shop._rows("SELECT count(*), count(DISTINCT user) FROM cases") == [(1000, 1000)]
    for record in feedback.log.records():
        assert len([p for p in record.answer.split() if p.startswith("EC")]) <= 1
    feedback.close()


def test_one_users_turns_are_taken_one_after_the_other(shop):
    a = Assistant(ScriptedNLU({"hoodie in M?": "stock"}), shop, today=lambda: TODAY, max_users=3)
    a.reply("ann", "hoodie in M?")

    def talk(i: int) -> str:
        a.reply(f"other{i}", "hello")  # pushes others out of memory while ann speaks
        return a.reply("ann", ("not M, L", "not L, M")[i % 2]).text

    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(talk, range(60)))
    assert all(texts)
