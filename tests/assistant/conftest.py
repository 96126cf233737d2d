from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from assistant.nlu import NearestNLU, ScriptedNLU
from ecocore.assistant import (
    Assistant,
    Money,
    Order,
    OrderLine,
    Product,
    Refund,
    SQLiteShop,
    demo_recommender,
    demo_shop,
)

TODAY = dt.date(2026, 11, 24)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def small_shop() -> SQLiteShop:
    """Three products and, for ann, one order of every status; bob has one of his own."""
    shop = SQLiteShop()
    hoodie = Product(
        "P1", {"en": "Cloud Hoodie", "zh": "云朵卫衣"}, Money(Decimal("219.00")), "clothing",
        {"en": "Organic cotton, 310 g.", "zh": "有机棉，310克。"}, ("S", "M", "L"), ("grey", "black"),
        ("hoodie", "卫衣"),
    )  # fmt: skip
    mug = Product(
        "P2", {"en": "Coffee Mug", "zh": "马克杯"}, Money(Decimal("49.00")), "kitchen",
        {"en": "Holds 350 ml.", "zh": "容量350毫升。"}, also=("mug",),
    )  # fmt: skip
    tent = Product(
        "P3", {"en": "Ridge Tent", "zh": "山脊帐篷"}, Money(Decimal("1099.00")), "outdoor",
        {"en": "For two, 2.1 kg.", "zh": "双人，2.1公斤。"}, (), ("green",), ("tent", "帐篷"),
    )  # fmt: skip
    shop.add_product(
        hoodie, [("S", "grey", 0), ("M", "grey", 3), ("L", "grey", 0), ("M", "black", 0), ("L", "black", 7)]
    )
    shop.add_product(mug, [(None, None, 40)])
    shop.add_product(tent, [(None, "green", 2)])

    def order(number: int, status: str, age: int, product: Product, refund: Refund | None = None) -> Order:
        placed = TODAY - dt.timedelta(age)
        sent = status in ("shipped", "delivered", "returned")
        return Order(
            f"EC{number}", status, placed, placed + dt.timedelta(4), Money(product.price.amount),
            (OrderLine(product, 1),),
            "DHL" if sent else "", f"JD{number}77" if sent else "",
            placed + dt.timedelta(3) if status in ("delivered", "returned") else None, refund,
        )  # fmt: skip

    shop.add_order("ann", order(100001, "placed", 1, hoodie))
    shop.add_order("ann", order(100002, "shipped", 3, mug))
    shop.add_order("ann", order(100003, "delivered", 10, tent))
    shop.add_order("ann", order(100004, "delivered", 90, mug))
    shop.add_order("ann", order(100005, "cancelled", 20, mug))
    refund = Refund("paid", Money(Decimal("49.00")), TODAY - dt.timedelta(2))
    shop.add_order("ann", order(100006, "returned", 30, mug, refund))
    shop.add_order("bob", order(200001, "shipped", 2, hoodie))
    return shop


@pytest.fixture
def shop():
    made = small_shop()
    yield made
    made.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def scripted(shop, clock):
    """An assistant whose understanding is given: ``scripted({"text": "intent"})``."""

    def make(script: dict, **options) -> Assistant:
        options = {"clock": clock, "today": lambda: TODAY} | options
        return Assistant(ScriptedNLU(script), shop, **options)

    return make


@pytest.fixture(scope="session")
def nearest() -> NearestNLU:
    return NearestNLU()


@pytest.fixture(scope="session")
def demo():
    made = demo_shop(today=TODAY)
    yield made, demo_recommender(made)
    made.close()
