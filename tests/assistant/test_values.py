"""Values are read exactly or not at all."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecocore.assistant.language import clean, detect
from ecocore.assistant.names import NameIndex
from ecocore.assistant.values import ValueFinder
from ecocore.errors import InvalidArgument
from ecocore.starter import read_json

TODAY = dt.date(2026, 11, 24)  # a Tuesday
FINDER = ValueFinder(
    read_json("slots.json"),
    NameIndex(
        [("Cloud Hoodie", "P1"), ("hoodie", "P1"), ("云朵卫衣", "P1"), ("卫衣", "P1"), ("mug", "P2"), ("mug", "P3")]
    ),
)


def found(text: str, slot: str) -> list:
    return [v.value for v in FINDER.find(text, TODAY) if v.slot == slot]


@pytest.mark.parametrize(
    ("text", "slot", "values"),
    [
        ("where is EC204815?", "order_id", ["EC204815"]),
        ("订单ec 204815到哪了", "order_id", ["EC204815"]),
        ("#EC-204815 and EC118203", "order_id", ["EC204815", "EC118203"]),
        ("REC204815 EC2048159", "order_id", []),
        ("where is 204815, or ec 204816", "order_id", ["EC204816"]),
        ("in M please", "size", ["M"]),
        ("it's S, I'm sure", "size", ["S"]),
        ("what's up, it's late", "size", []),
        ("有L码吗", "size", ["L"]),
        ("换成xl吧 size xl", "size", ["XL"]),
        ("m", "size", ["M"]),
        ("中号", "size", ["M"]),
        ("42码", "size", ["42"]),
        ("I need size 42", "size", ["42"]),
        ("42 days", "size", []),
        ("is it there in 42?", "size", ["42"]),
        ("in 42 days", "size", []),
        ("it is too small", "size", []),
        ("it runs a bit large", "size", []),
        ("is small available", "size", ["S"]),
        ("the Black one", "colour", ["black"]),
        ("黑色的和红的", "colour", ["black", "red"]),
        ("黑店", "colour", []),
        ("credited", "colour", []),
        ("two Cloud Hoodies", "product", [("P1",)]),
        ("这件云朵卫衣", "product", [("P1",)]),
        ("a mug", "product", [("P2", "P3")]),
        ("a smug man", "product", []),
        ("under 200", "amount", [Decimal(200)]),
        ("$1,299.50 is a lot", "amount", [Decimal("1299.50")]),
        ("三百块", "amount", [Decimal(300)]),
        ("预算500", "amount", [Decimal(500)]),
        ("200以内", "amount", [Decimal(200)]),
        ("I have 3 questions", "amount", []),
        ("tomorrow", "date", [dt.date(2026, 11, 25)]),
        ("后天", "date", [dt.date(2026, 11, 26)]),
        ("friday", "date", [dt.date(2026, 11, 27)]),
        ("下周五", "date", [dt.date(2026, 12, 4)]),
        ("next monday", "date", [dt.date(2026, 11, 30)]),
        ("jan 5", "date", [dt.date(2027, 1, 5)]),
        ("12月1号", "date", [dt.date(2026, 12, 1)]),
        ("2026-02-30", "date", []),
        ("2 separate parcels, 5 maybe, 3 marvelous", "date", []),
        ("last friday", "date", []),
        ("上周五", "date", []),
        ("5 september", "date", [dt.date(2026, 9, 5)]),
        ("ＥＣ２０４８１５", "order_id", ["EC204815"]),
        ("I don't like black", "colour", ["black"]),
        ("call 13800138000", "phone", ["13800138000"]),
    ],
)
def test_values_are_found(text, slot, values):
    assert found(text, slot) == values


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("under 200", "max"),
        ("200以内", "max"),
        ("不超过200元", "max"),
        ("over 200 dollars", "min"),
        ("200元以上", "min"),
        ("200元", ""),
        ("no more than 200", "max"),
        ("not over $200", "max"),
        ("no less than 200 dollars", "min"),
        ("不低于200元", "min"),
        ("不少于200块", "min"),
        ("不高于200", "max"),
        ("不超过两百", "max"),
        ("两百以上", "min"),
        ("under 0.2k", "max"),
        ("under ２００", "max"),
        ("<200", "max"),
    ],
)
def test_amounts_carry_their_bound(text, bound):
    (value,) = [v for v in FINDER.find(text, TODAY) if v.slot == "amount"]
    assert (value.value, value.bound) == (200, bound)


@pytest.mark.parametrize(
    ("text", "meant", "denied"),
    [
        ("the M is too tight, I need L", "L", "M"),
        ("M is a bit large, S please", "S", "M"),
        ("M码太大了，换S", "S", "M"),
        ("not M, L", "L", "M"),
        ("不是M，是L", "L", "M"),
        ("L, not M", "L", "M"),
        ("要L不要M", "L", "M"),
        ("L instead of M", "L", "M"),
    ],
)
def test_negated_values_are_marked(text, meant, denied):
    values = FINDER.find(text, TODAY)
    assert [v.value for v in values if v.negated] == [denied]
    assert [v.value for v in values if not v.negated] == [meant]


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_text_can_be_searched(text):
    cleaned = clean(text)
    for v in FINDER.find(cleaned, TODAY):
        assert 0 <= v.start < v.end <= len(cleaned)


@pytest.mark.parametrize(
    ("text", "language"),
    [("where is my order", "en"), ("我的订单到哪了", "zh"), ("我的order到哪了", "zh"),
     ("EC204815", "zh"), ("👍", "zh"), ("XL", "zh"), ("ok", "zh")],
)  # fmt: skip
def test_language_is_told(text, language):
    assert detect(text, "zh") == language


def test_a_mixed_sentence_goes_to_the_language_that_says_more():
    assert detect("is the 卫衣 in stock right now", "en") == "en"
    assert detect("帮我查一下order的物流", "en") == "zh"


def test_texts_are_cleaned():
    assert clean("  a\x00b\u202ec\nd\ud800 ") == "a b c d"
    assert clean(b"\xff\xfehi") == "\ufffd\ufffdhi"
    assert len(clean("x" * 100_000)) == 2000
    assert clean("") == ""
    with pytest.raises(InvalidArgument, match="text: expected"):
        clean(5)  # type: ignore[arg-type]
