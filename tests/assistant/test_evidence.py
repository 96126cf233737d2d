"""The checker finds the facts in a text, and knows which of them are backed."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecocore.assistant.evidence import Evidence, chinese_number, facts, unbacked
from ecocore.assistant.names import NameIndex
from ecocore.assistant.protocols import Money

D = Decimal


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("it costs ¥1,099.00 today", [("money", (D(1099), "¥"))]),
        ("一共99元", [("money", (D(99), "¥"))]),
        ("1099.5 dollars", [("money", (D("1099.5"), "$"))]),
        ("on 24 November 2026", [("date", (2026, 11, 24))]),
        ("2026年11月24日送达", [("date", (2026, 11, 24))]),
        ("2026-11-24", [("date", (2026, 11, 24))]),
        ("Nov 24 or 11月24日", [("date", (None, 11, 24)), ("date", (None, 11, 24))]),
        ("order EC204815", [("code", "ec204815")]),
        ("from 9:00 to 21:00", [("time", "9:00"), ("time", "21:00")]),
        ("within three working days", [("number", D(3))]),
        ("两天内，三个工作日", [("number", D(2)), ("number", D(3))]),
        ("20 % off, 8折", [("percent", D(20)), ("percent", D(8))]),
        ("３件", [("number", D(3))]),
        ("one moment, 一下", []),
        ("call 400-820-0000", [("code", "400-820-0000")]),
        ("一共三百", [("number", D(300))]),
        ("一百零五元", [("number", D(105))]),
        ("叁佰元", [("number", D(300))]),
        ("3万件, 1.5k", [("number", D(30000)), ("number", D(1500))]),
        ("百分之二十", [("percent", D(20))]),
        ("20 percent", [("percent", D(20))]),
        ("twenty-five, two hundred and five, a thousand", [("number", D(25)), ("number", D(205)), ("number", D(1000))]),
        (
            "tomorrow or on Friday, 明天, 周五",
            [("day", "tomorrow"), ("day", "friday"), ("day", "明天"), ("day", "周五")],
        ),
        ("99.00 CHF", [("money", (D(99), "chf"))]),
        ("99美元", [("money", (D(99), "$"))]),
        ("十分抱歉，万一, 千万, which two, 一个", []),
    ],
)
def test_facts_are_found(text, found):
    assert [(k, v.normalize() if isinstance(v, Decimal) else v) for k, v in facts(text)] == [
        (k, v.normalize() if isinstance(v, Decimal) else v) for k, v in found
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [("三百二十", 320), ("一千五", 1500), ("十五", 15), ("两百", 200), ("一百零五", 105), ("三百二", 320),
     ("二万", 20000), ("一万五千", 15000)],
)  # fmt: skip
def test_chinese_numerals(text, value):
    assert chinese_number(text) == value


def _evidence(*values):
    return [Evidence("test", "k", v) for v in values]


def test_a_fact_is_backed_by_its_own_kind_only():
    assert unbacked("¥5.00", _evidence(Money(D(5)))) == []
    assert unbacked("¥5.00", _evidence(5)) == [("money", (D(5), "¥"))]
    assert unbacked("$5.00", _evidence(Money(D(5)))) == [("money", (D(5), "$"))]
    assert unbacked("5.00 CHF", _evidence(Money(D(5), "CHF"))) == []
    assert unbacked("1 left", _evidence(True)) == [("number", D(1))]
    assert unbacked("5 left", _evidence(Money(D(5)))) == [("number", D(5))]
    assert unbacked("24 November 2026", _evidence(dt.date(2026, 11, 24))) == []
    assert unbacked("25 November 2026", _evidence(dt.date(2026, 11, 24))) == [("date", (2026, 11, 25))]
    assert unbacked("11月24日", _evidence(dt.date(2026, 11, 24))) == []
    assert unbacked("EC204815", _evidence("EC204815")) == []
    assert unbacked("EC204816", _evidence("EC204815")) == [("code", "ec204816")]


def test_product_names_need_evidence():
    names = NameIndex([("Cloud Hoodie", "P1"), ("云朵卫衣", "P1"), ("Mug", "P2")])
    assert unbacked("try the Cloud Hoodie", _evidence({"en": "Cloud Hoodie"}), names) == []
    assert unbacked("try the cloud hoodies", [], names) == [("name", "cloud hoodie")]
    assert unbacked("试试云朵卫衣", [], names) == [("name", "云朵卫衣")]
    assert unbacked("a smug look", [], names) == []


@settings(deadline=None)
@given(st.decimals(0, 99999, places=2), st.integers(0, 10**6), st.dates(dt.date(1990, 1, 1), dt.date(2100, 1, 1)))
def test_what_templates_write_is_what_the_checker_reads(amount, count, day):
    from ecocore.assistant.templates import Fact, Templates

    line = "{a:money} {b:number} {c:date} {b:count(day)}"
    templates = Templates({"t": {"en": [line], "zh": [line.replace("(day)", "(天)")]}})
    values = {"a": Fact("s", "a", Money(amount)), "b": Fact("s", "b", count), "c": Fact("s", "c", day)}
    for language in ("en", "zh"):
        rendered = templates.render("t", language, values)
        assert unbacked(rendered.text, rendered.evidence) == []
        assert len(list(facts(rendered.text))) >= 4
        other = [Evidence("s", "a", Money(amount + 1)), *rendered.evidence[1:]]
        assert unbacked(rendered.text, other) == [("money", (amount.normalize(), "¥"))]


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_text_can_be_checked(text):
    list(facts(text))
