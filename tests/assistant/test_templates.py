"""Templates are typed, strict, and never read what they insert."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from ecocore.assistant.protocols import Money, Product
from ecocore.assistant.templates import Fact, TemplateError, Templates, render_text
from ecocore.errors import FormatError

PRODUCT = Product("P1", {"en": "Mug {order.id}", "zh": "杯子{{x}}"}, Money(Decimal("49")))


def one(en: str, zh: str = "好") -> Templates:
    return Templates({"t": {"en": [en], "zh": [zh]}})


def render(template: str, **values) -> str:
    facts = {k: Fact("test", k, v) for k, v in values.items()}
    return one(template).render("t", "en", facts).text


def test_types_are_written_in_both_languages():
    values = {
        "n": Fact("s", "n", 2), "m": Fact("s", "m", Money(Decimal("1099"))), "d": Fact("s", "d", dt.date(2026, 3, 1)),
        "l": Fact("s", "l", ("S", "M")), "p": Fact("s", "p", PRODUCT),
    }  # fmt: skip
    both = Templates(
        {
            "t": {
                "en": ["{n:count(day)} {m:money} {d:date} {l:list}"],
                "zh": ["{n:count(天)} {m:money} {d:date} {l:list}"],
            }
        }
    )
    assert both.render("t", "en", values).text == "2 days ¥1,099.00 1 March 2026 S, M"
    assert both.render("t", "zh", values).text == "2天 ¥1,099.00 2026年3月1日 S、M"


def test_values_are_never_read_as_templates():
    assert render("{p.name}", p=PRODUCT) == "Mug {order.id}"
    assert render("{x}", x="{p.name} {{}} {0.__class__}") == "{p.name} {{}} {0.__class__}"


def test_every_value_is_evidence():
    rendered = one("{p.name}: {p.price:money}").render("t", "en", {"p": Fact("catalogue", "P1", PRODUCT)})
    assert [(e.source, e.key) for e in rendered.evidence] == [("catalogue", "P1.name"), ("catalogue", "P1.price")]


@pytest.mark.parametrize(
    ("template", "values"),
    [
        ("{x}", {}), ("{x.y}", {"x": PRODUCT}), ("{x.__class__}", {"x": PRODUCT}), ("{x}", {"x": None}),
        ("{x}", {"x": ""}),
        ("{x:money}", {"x": 5}), ("{x:count(day)}", {"x": True}), ("{x:date}", {"x": "2026-01-01"}), ("{x}", {"x": 5}),
        ("{x:list}", {"x": ()}), ("{x:each(t)}", {"x": ["a"]}),
    ],
)  # fmt: skip
def test_a_missing_or_mistyped_value_is_an_error(template, values):
    with pytest.raises(TemplateError):
        render(template, **values)


@pytest.mark.parametrize(
    "template",
    [
        "a lone { brace",
        "a lone }",
        "{x:mony}",
        "{x y}",
        "wait 3 days",
        "costs ¥5",
        "within three days",
        "since 1 May",
        "{x:each(none)}",
    ],
)
def test_a_wrong_template_is_refused_when_it_is_loaded(template):
    with pytest.raises(FormatError, match=r"answers\.json"):
        one(template)


def test_both_languages_are_needed():
    with pytest.raises(FormatError, match="zh"):
        Templates({"t": {"en": ["x"]}})


def test_braces_can_be_written():
    assert render("{{{x}}}", x="a") == "{a}"


def test_an_faq_may_state_facts_of_its_own():
    assert render_text("open for 3 hours, {x:code}", "en", {"x": Fact("p", "x", "9:00")}, "faq").text.endswith("9:00")
