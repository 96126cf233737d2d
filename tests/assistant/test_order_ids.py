"""A number that was said for an order means that order and no other."""

from __future__ import annotations

import re

import pytest

from assistant.nlu import Parse, ScriptedNLU
from ecocore.assistant import Assistant
from ecocore.assistant.order_ids import OrderIds

from .conftest import TODAY


class Tagged:
    """A stand-in for the NLU: one intent, and slots by regular expressions."""

    def __init__(self, intent: str, **slots: str) -> None:
        self.intent, self.slots = intent, slots

    def parse(self, text: str) -> Parse:
        found = [(name, m) for name, p in self.slots.items() for m in re.finditer(p, text)]
        slots = tuple(_Slot(name, m[0], m.start(), m.end()) for name, m in found)
        return Parse(self.intent, 0.95, ((self.intent, 0.95),), slots, "sure")


class _Slot:
    def __init__(self, name: str, value: str, start: int, end: int) -> None:
        self.name, self.value, self.start, self.end = name, value, start, end


IDS = OrderIds(r"[A-Z]{2}\d{6}")


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("cancel order 204845", ["204845"]),
        ("Order No. 77 and order #78", ["77", "78"]),
        ("my order number is AB-12345", ["AB12345"]),
        ("the order ending in 4815", ["4815"]),
        ("取消订单204845", ["204845"]),
        ("订单号：ab204845，尾号是4815", ["AB204845", "4815"]),
        ("订单号204815的什么时候到", ["204815"]),
        ("尾号45的订单取消", ["45"]),
        ("cancel order (204815)", ["204815"]),
        ("取消订单号（204815）", ["204815"]),
        ("cancel order 204,815 or order 204 816", ["204815", "204816"]),
        ("cancel the order that ends in 4815", ["4815"]),
        ("the order with last four digits 4815", ["4815"]),
        ("cancel order 15", ["15"]),
        ("cancel purchase no 204815", ["204815"]),
        ("order 15 mugs", []),
        ("I want to order 2000 mugs", ["2000"]),  # of no request for an order; nothing is looked up
        ("I want to order 2000 pieces", []),
        ("订单2000元", []),
        ("order 20 of them", []),
        ("my order from 2026", []),
        ("order 2026-11-20", []),
        ("in order to get 204845", []),
        ("204845", []),
    ],
)
def test_what_stands_in_the_place_of_an_id_is_one(text, ids):
    assert list(dict.fromkeys(i for i, _, _ in IDS.said(text, ()))) == ids


def test_a_long_number_may_be_an_id():
    assert [i for i, _, _ in IDS.numbers("it's 204845, placed 2 weeks ago")] == ["204845"]
    assert [i for i, _, _ in IDS.numbers("about $2048 or 2048 yuan, on 2026-12-05")] == []


@pytest.mark.parametrize("text", ["cancel order 999999", "cancel ord 999999", "取消订单999999"])
def test_an_order_that_is_not_there_is_never_another_one(shop, text):
    a = Assistant(Tagged("cancel_order", order_id=r"\d{6}$"), shop)
    reply = a.reply("bob", text)  # who has one order, which could be cancelled
    assert "999999" in reply.text
    assert "EC2" not in reply.text
    assert not any(e.source == "orders" for e in reply.evidence)


@pytest.mark.parametrize("said", ["100002", "order 0002", "#EC-100002"])
def test_an_order_is_known_by_how_its_id_ends(shop, said):
    a = Assistant(Tagged("order_status", order_id=r"\d{6}"), shop)
    assert "EC100002" in a.reply("ann", f"where is {said}").text


def test_an_end_that_two_orders_share_names_neither(shop):
    a = Assistant(Tagged("cancel_order", order_id=r"\d{4}"), shop)
    assert "can't find" in a.reply("ann", "cancel 1000").text


def test_the_id_of_another_user_stays_unknown(shop):
    a = Assistant(Tagged("order_status", order_id=r"\d{6}"), shop)
    theirs = shop.orders("bob", 1)[0].id
    assert "can't find" in a.reply("ann", f"where is {theirs}").text
    assert "can't find" in a.reply("ann", f"where is {theirs[2:]}").text


@pytest.mark.parametrize("product", ["sofa", "tent"])  # one that the shop does not have, and one that bob never bought
def test_a_product_in_no_order_is_in_no_other_order(shop, product):
    a = Assistant(Tagged("return_item", product=product), shop)
    bob = {line.product.id for line in shop.orders("bob", 1)[0].lines}
    assert "P3" not in bob
    text = a.reply("bob", f"the {product} broke, I want to return it").text
    assert ("no such product" if product == "tent" else "Which of these") in text
    assert "yes or no" not in text
    # The order can still be named.
    order = shop.orders("bob", 1)[0].id
    assert order in a.reply("bob", order).text


def test_a_number_is_taken_when_an_order_was_asked_for(shop):
    a = Assistant(Tagged("order_status"), shop)
    a.reply("ann", "where is my order")
    assert "EC100002" in a.reply("ann", "100002").text


@pytest.mark.parametrize(
    ("text", "intent"),
    [("do you have gift cards for 1000", "gift_card"), ("how much is the 1099 tent", "price"),
     ("my email is chen1990@mail.com", None), ("my card is 6222 0212 3456 7890", None), ("+44 7911 123456", None)],
)  # fmt: skip
def test_a_number_in_another_sentence_is_no_id(shop, text, intent):
    script = {"where is my order": "order_status"} | ({text: intent} if intent else {})
    a = Assistant(ScriptedNLU(script), shop)
    a.reply("ann", "where is my order")
    reply = a.reply("ann", text)
    assert "can't find an order" not in reply.text
    assert not re.search(r"\d{4}", reply.text.replace("1,099", ""))
    assert reply.intent == (intent or "out_of_scope")


@pytest.mark.parametrize(
    ("text", "filed"),
    [("yes, order 100001", True), ("yes please, I paid 1099", True), ("no, leave order 100001 as it is", False)],
)
def test_a_yes_with_a_number_is_a_yes(shop, text, filed):
    a = Assistant(ScriptedNLU({"cancel order 100001": "cancel_order", text: "affirm" if filed else "deny"}), shop)
    a.reply("ann", "cancel order 100001")
    a.reply("ann", text)
    assert shop._rows("SELECT count(*) FROM cases") == [(filed,)]


def test_a_new_date_is_no_order(shop):
    a = Assistant(ScriptedNLU({"deliver order EC100002 on 2026-12-05": "delivery_change"}), shop, today=lambda: TODAY)
    a.reply("ann", "deliver order EC100002 on 2026-12-05")
    assert "7 December 2026" in a.reply("ann", "no, Dec 7 2026").text


def test_of_several_orders_the_last_is_meant_where_it_corrects_and_else_it_is_asked(shop):
    texts = ["return EC100003 I mean order 100004", "cancel order 100001 and 100002", "cancel order 100001 or EC100002"]
    a = Assistant(ScriptedNLU(dict.fromkeys(texts, "cancel_order")), shop)
    assert "EC100004" in a.reply("ann", texts[0]).text
    for text in texts[2:]:
        asked = a.reply("ann", text).text
        assert "Which of these" in asked
        assert "EC100001" in asked
        assert "EC100002" in asked


def test_the_size_that_does_not_fit_is_not_the_one_to_exchange_for(shop):
    texts = [
        "exchange the tent, the M I ordered is too tight",
        "XL please, M doesn't fit, exchange EC100003",
        "exchange EC100003, need XL because the L I have is too small",
        "换EC100003，要XL，M小了",
        "exchange EC100003 for M or L",
    ]
    a = Assistant(ScriptedNLU(dict.fromkeys(texts, "exchange")), shop, today=lambda: TODAY)
    for text in (texts[0], texts[4]):
        a.forget("ann")
        assert "Which size" in a.reply("ann", text).text
    for text in texts[1:4]:
        a.forget("ann")
        said = a.reply("ann", text).text
        assert "XL" in said
        assert not re.search(r"\b[ML]\b", said)


def test_an_order_is_known_by_what_was_paid(shop):
    a = Assistant(
        ScriptedNLU({"cancel the order for ¥219": "cancel_order", "cancel the one for ¥1,099": "cancel_order"}), shop
    )
    assert "EC100001" in a.reply("ann", "cancel the order for ¥219").text
    a.forget("ann")
    assert "EC100003" in a.reply("ann", "cancel the one for ¥1,099").text  # delivered: said so, and no other is offered


def test_an_order_id_is_no_address(shop):
    a = Assistant(ScriptedNLU({"change the address": "address_change"}), shop)
    a.reply("ann", "change the address")
    assert "EC100001" in a.reply("ann", "EC100001").text
    assert "88 Ocean Road" in a.reply("ann", "88 Ocean Road, Springfield").text
