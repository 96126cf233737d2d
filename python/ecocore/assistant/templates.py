"""Answer templates with typed placeholders.

    Order {order.id:code} ({order.items}) should reach you by {order.due:date}.

| placeholder | takes | written as (en / zh) |
|---|---|---|
| ``{a.b}`` | a str, or one by language | as it is |
| ``{a.b:code}`` | a str: an id, a phone, a time | as it is |
| ``{a.b:number}`` | an int | 3 |
| ``{a.b:count(day)}`` | an int | 1 day, 3 days / 3天 |
| ``{a.b:money}`` | Money | ¥99.00 |
| ``{a.b:date}`` | a date | 24 November 2026 / 2026年11月24日 |
| ``{a.b:list}`` | some str | a, b / a、b |
| ``{a:each(line)}`` | some facts | one line each, by the template ``line`` |

``{{`` and ``}}`` are braces. A placeholder that nothing fills, or with something of another type, is an error and never
an empty place. Values are inserted once and never read as templates, whatever a customer or a product name holds. A
template states no fact of its own: a number belongs into ``policy.json``, where it is changed once.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, NamedTuple

from ..errors import FormatError
from .evidence import Evidence, facts
from .protocols import Money

__all__ = ["Fact", "Rendered", "TemplateError", "Templates", "reach", "render_text", "written_date"]

LANGUAGES = ("en", "zh")
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{(\w+(?:\.\w+)*)(?::(\w+)(?:\(([^()]*)\))?)?\}|[{}]")
_TYPES = ("text", "code", "number", "count", "money", "date", "list", "each")
_SYMBOLS = {"CNY": "¥", "JPY": "¥", "USD": "$", "EUR": "€", "GBP": "£"}
_MONTH_NAMES = """January February March April May June July August September October November December"""
_MONTHS = _MONTH_NAMES.split()


class TemplateError(FormatError):
    """A placeholder has no value, or one of another type."""


class Fact(NamedTuple):
    """A value for templates, with its origin: what ``{name...}`` may reach into."""

    source: str
    key: str
    value: Any


class Rendered(NamedTuple):
    """A finished text and the evidence of every value in it."""

    text: str
    evidence: list[Evidence]


@dataclass(frozen=True)
class _Hole:
    path: tuple[str, ...]
    type: str
    argument: str


class Templates:
    """A checked set of templates: name to language to variants.

    Args:
        source: as in ``answers.json``: ``{"name": {"en": ["...", "..."], "zh": ["..."]}}``.
        origin: what to call it in errors.

    Raises:
        FormatError: a template lacks a language, cannot be read, or states a number of its own.
    """

    def __init__(self, source: Mapping[str, Any], origin: str = "answers.json") -> None:
        self._parts: dict[tuple[str, str], list[list[str | _Hole]]] = {}
        for name, by_language in source.items():
            if not isinstance(by_language, Mapping):
                raise FormatError(f"{origin}: {name}: expected a list of variants for each language")
            for language in LANGUAGES:
                variants = by_language.get(language)
                if not isinstance(variants, list) or not variants or not all(isinstance(v, str) for v in variants):
                    raise FormatError(f"{origin}: {name}: expected a list of texts for {language!r}; got {variants!r}")
                self._parts[name, language] = [_parse(v, f"{origin}: {name} ({language})") for v in variants]
        for (name, _), variants in self._parts.items():
            for hole in (p for v in variants for p in v if isinstance(p, _Hole)):
                if hole.type == "each" and (hole.argument, LANGUAGES[0]) not in self._parts:
                    raise FormatError(f"{origin}: {name}: each({hole.argument}) names no template")

    def __contains__(self, name: object) -> bool:
        return (name, LANGUAGES[0]) in self._parts

    def variants(self, name: str, language: str) -> int:
        """How many variants a template has."""
        if (name, language) not in self._parts:
            raise FormatError(f"template {name!r}: there is none of that name for {language!r}; add it to answers.json")
        return len(self._parts[name, language])

    def render(self, name: str, language: str, values: Mapping[str, Fact], variant: int = 0) -> Rendered:
        """The text of a variant with its values, and the evidence of each.

        Raises:
            TemplateError: a placeholder has no value or one of another type.
        """
        count = self.variants(name, language)
        return self._render(self._parts[name, language][variant % count], name, language, values)

    def _render(self, parts: Sequence[str | _Hole], name: str, language: str, values: Mapping[str, Fact]) -> Rendered:
        text: list[str] = []
        evidence: list[Evidence] = []
        for part in parts:
            if isinstance(part, str):
                text.append(part)
                continue
            where = f"template {name!r} ({language}), {{{'.'.join(part.path)}}}"
            fact = reach(values, part.path, where)
            if part.type == "each":
                lines = [self.render(part.argument, language, _fields(item)) for item in _items(fact.value, where)]
                text.append("\n".join(line.text for line in lines))
                for line in lines:
                    evidence += line.evidence
            else:
                text.append(_written(fact.value, part, language, where))
                evidence.append(Evidence(fact.source, fact.key, fact.value))
        return Rendered("".join(text), evidence)


def render_text(source: str, language: str, values: Mapping[str, Fact], name: str) -> Rendered:
    """A text outside ``answers.json`` (an FAQ answer), by the same rules."""
    return Templates._render(_NONE, _parse(source, name, stating=True), name, language, values)


def reach(values: Mapping[str, Fact], path: Sequence[str], where: str) -> Fact:
    """The fact at a path: fields of dataclasses and keys of mappings, nothing else."""
    if path[0] not in values:
        raise TemplateError(f"{where}: there is no {path[0]!r}; got {', '.join(sorted(values)) or 'nothing'}")
    source, key, value = values[path[0]]
    for name in path[1:]:
        if is_dataclass(value) and name in {f.name for f in fields(value)}:
            value = getattr(value, name)
        elif isinstance(value, Mapping) and name in value:
            value = value[name]
        else:
            raise TemplateError(f"{where}: a {type(value).__name__} has no {name!r}")
        key = f"{key}.{name}"
    if value is None:
        raise TemplateError(f"{where}: is not known")
    return Fact(source, key, value)


def _fields(item: Fact) -> dict[str, Fact]:
    """The fields of one element of a list, as the names of its line template."""
    value = item.value
    names = value.keys() if isinstance(value, Mapping) else [f.name for f in fields(value)]
    return {
        n: Fact(item.source, f"{item.key}.{n}", value[n] if isinstance(value, Mapping) else getattr(value, n))
        for n in names
    }


def _items(value: Any, where: str) -> list[Fact]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, Fact) for v in value):
        raise TemplateError(f"{where}: expected a list of facts; got {type(value).__name__}")
    return list(value)


def _written(value: Any, hole: _Hole, language: str, where: str) -> str:
    kind = hole.type
    if kind == "text" and isinstance(value, Mapping) and language in value:
        value = value[language]
    if kind in ("text", "code") and isinstance(value, str) and value:
        return " ".join(value.split())
    if kind in ("number", "count") and isinstance(value, int) and not isinstance(value, bool):
        if kind == "number":
            return str(value)
        if language == "zh":
            return f"{value}{hole.argument}"
        return f"{value} {hole.argument}{'' if value == 1 else 's'}"
    if kind == "money" and isinstance(value, Money):
        symbol = _SYMBOLS.get(value.currency)
        return f"{symbol}{value.amount:,.2f}" if symbol else f"{value.amount:,.2f} {value.currency}"
    if kind == "date" and isinstance(value, dt.date):
        if language == "zh":
            return f"{value.year}年{value.month}月{value.day}日"
        return f"{value.day} {_MONTHS[value.month - 1]} {value.year}"
    if kind == "list" and isinstance(value, (list, tuple)) and value and all(isinstance(v, str) for v in value):
        return ("、" if language == "zh" else ", ").join(value)
    if kind == "list" and isinstance(value, Mapping):
        return _written(value.get(language), hole, language, where)
    raise TemplateError(f"{where}: expected {kind}; got {type(value).__name__} {value!r:.40}")


def _parse(source: str, where: str, stating: bool = False) -> list[str | _Hole]:
    parts: list[str | _Hole] = []
    at = 0
    for m in _PLACEHOLDER.finditer(source):
        parts.append(source[at : m.start()])
        at = m.end()
        if m[0] in ("{{", "}}"):
            parts.append(m[0][0])
        elif m[1] is None:
            raise FormatError(f"{where}: a lone {m[0]!r} at character {m.start()}; write it twice for a brace")
        elif (m[2] or "text") not in _TYPES:
            raise FormatError(f"{where}: {m[0]}: expected a type of {', '.join(_TYPES)}; got {m[2]!r}")
        else:
            parts.append(_Hole(tuple(m[1].split(".")), m[2] or "text", m[3] or ""))
    parts.append(source[at:])
    if not stating and (own := _own_facts(p for p in parts if isinstance(p, str))):
        raise FormatError(f"{where}: states {own[0][1]} by itself; put it into policy.json and write {{policy.name}}")
    return [p for p in parts if p != ""]


def _own_facts(literals: Iterable[str]) -> list[tuple[str, Any]]:
    return [fact for literal in literals for fact in facts(literal)]


_NONE = Templates({})


def written_date(day: dt.date, language: str) -> str:
    """A date as templates write it."""
    return _written(day, _Hole(("date",), "date", ""), language, "date")
