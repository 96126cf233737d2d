"""A number that was said for an order means that order and no other."""

from __future__ import annotations

import re

import pytest

from assistant.nlu import Parse
from ecocore.assistant import Assistant
from ecocore.assistant.order_ids import OrderIds


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
    assert list(dict.fromkeys(i for i, _, _ in IDS.said(text, (), awaited=False))) == ids


def test_a_long_number_answers_the_question_for_an_order():
    assert [i for i, _, _ in IDS.said("it's 204845, placed 2 weeks ago", (), awaited=True)] == ["204845"]
    assert [i for i, _, _ in IDS.said("about $2048 or 2048 yuan", (), awaited=True)] == []


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
    assert "no such product" in text
    assert "yes or no" not in text
    # The order can still be named.
    order = shop.orders("bob", 1)[0].id
    assert order in a.reply("bob", order).text


def test_a_number_is_taken_when_an_order_was_asked_for(shop):
    a = Assistant(Tagged("order_status"), shop)
    a.reply("ann", "where is my order")
    assert "EC100002" in a.reply("ann", "100002").text
