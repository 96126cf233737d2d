"""Built-in patterns in both languages, and patterns that could take exponential time are refused."""

from __future__ import annotations

import time

import pytest

from ecocore import InvalidArgument, _core
from ecocore.nlu_rules import BUILT_IN, compile_rules

RULES = {r.name: r for r in compile_rules(dict.fromkeys(BUILT_IN, "built-in"))}


def finds(name, text):
    prepared = _core.PreparedText(text)
    spans = (prepared.source_span(*m.span()) for m in RULES[name].pattern.finditer(prepared.normalized))
    return [text[a:b] for a, b in spans]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("order_id", "where is order 732201349959?", ["732201349959"]),
        ("order_id", "订单号：ＳＦ１２３４５６７８９０到哪了", ["ＳＦ１２３４５６７８９０"]),
        ("order_id", "order 112-1234567-7654321 please", ["112-1234567-7654321"]),
        ("order_id", "order #4521", ["#4521"]),
        ("order_id", "i bought 15 shirts in 2024", []),
        ("phone", "我的电话是13812345678", ["13812345678"]),
        ("phone", "call +86 138 1234 5678 or (415) 555-1234", ["+86 138 1234 5678", "(415) 555-1234"]),
        ("phone", "order 732201349959", []),
        ("email", "Write to Ann.Lee@Example.co.uk, please", ["Ann.Lee@Example.co.uk"]),
        ("amount", "退我39.9元，或者 $1,200.50", ["39.9元", "$1,200.50"]),
        ("amount", "under 200 dollars", ["200 dollars"]),
        ("amount", "５０块钱以内", ["５０块钱"]),
        ("amount", "iphone 15 pro", []),
        ("date", "2024年5月1日之前", ["2024年5月1日"]),
        ("date", "deliver on 2024-05-01 or May 3rd", ["2024-05-01", "May 3rd"]),
        ("date", "明天或者下周三送到", ["明天", "下周三"]),
        ("date", "can it come next friday", ["next friday"]),
    ],
)
def test_built_in(name, text, expected):
    assert finds(name, text) == expected


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("unit", ["1", "1,", "a", "1-", "a.", "@", "年", "1 ", "a1", "+", "1[3"])
def test_time_does_not_explode(name, unit):
    text = unit * (4_000 // len(unit))
    start = time.process_time()
    list(RULES[name].pattern.finditer(text))
    assert time.process_time() - start < 1.0  # quadratic at worst in 4,000 characters; exponential never returns


@pytest.mark.parametrize("pattern", [r"(a+)+b", r"(?:\d*x?)*", r"(a|b+){2,}", r"(x)\1"])
def test_dangerous_patterns_are_refused(pattern):
    with pytest.raises(InvalidArgument, match="exponential"):
        compile_rules({"x": pattern})


def test_broken_and_unknown_patterns_say_so():
    with pytest.raises(InvalidArgument, match="not a regular expression"):
        compile_rules({"x": "("})
    with pytest.raises(InvalidArgument, match="no built-in rule"):
        compile_rules({"x": "built-in"})
