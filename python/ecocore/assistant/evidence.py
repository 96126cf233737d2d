"""The last gate before an answer leaves: every fact in it must be in the evidence it was made from.

A fact is what a customer could hold the shop to: a number (in digits, or in words before a unit), a date, a time, a sum
of money, a percentage, a code such as an order or tracking number, and the name of a product. The check reads the
finished text and knows nothing of how it was made, so that a wrong template, a wrong figure in a translation or a
generator that invents is caught alike.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .names import NameIndex
from .protocols import Money

__all__ = ["Evidence", "Fact", "facts", "unbacked"]


@dataclass(frozen=True)
class Evidence:
    """Where a fact comes from: the source (orders, catalogue, faq, policy, recommendations, user, ...), its key there,
    and the value as it was found."""

    source: str
    key: str
    value: Any


Fact = tuple[str, Any]
"""(kind, value): ("number", Decimal), ("money", Decimal), ("date", (year or None, month, day)), ("time", str),
("percent", Decimal), ("code", str), ("name", str)."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_NUMBER_WORDS = """one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen twenty"""
_WORDS = {word: Decimal(n) for n, word in enumerate(_NUMBER_WORDS.split(), 1)}
_WORDS |= {"half": Decimal("0.5"), "thirty": Decimal(30), "forty": Decimal(40), "fifty": Decimal(50)}
_WORDS |= {"sixty": Decimal(60), "ninety": Decimal(90), "hundred": Decimal(100)}
_UNITS_EN = (
    r"(?:(?:working|business|calendar)\s+)?(?:days?|hours?|minutes?|weeks?|months?|years?|items?|pieces?|percent|"
    r"dollars?|euros?|yuan|points?|orders?|parcels?|instalments?)"
)
_UNITS_ZH = r"(?:个)?(?:工作日|小时|分钟|星期|月|天|日|周|年|件|元|块|折|倍|期|积分|单|张)"
_PATTERN = re.compile(
    rf"""
    (?P<date> \d{{4}}-\d{{1,2}}-\d{{1,2}}(?!\d) | \d{{4}}年\d{{1,2}}月\d{{1,2}}[日号] | \d{{1,2}}月\d{{1,2}}[日号]
       | (?<!\d)\d{{1,2}}\s{_MONTH}(?:,?\s\d{{4}})?(?!\w) | (?<![a-z]){_MONTH}\s\d{{1,2}}(?!\d)(?:,\s\d{{4}})? )
  | (?P<time> (?<!\d)\d{{1,2}}:\d\d(?!\d) )
  | (?P<money> [¥$€£]\s?{_NUMBER} | {_NUMBER}\s?(?:元|块|yuan\b|dollars?\b|euros?\b|usd\b|cny\b|rmb\b|eur\b) )
  | (?P<percent> {_NUMBER}\s?% | {_NUMBER}\s?折 )
  | (?P<code> [a-z][a-z-]*\d[a-z\d-]* | \d+-?[a-z][a-z\d-]* | \d+(?:[-/.]\d+){{2,}} | \d+-\d+ | \d+/\d+ )
  | (?P<number> {_NUMBER} )
  | (?P<words> (?<![a-z])(?:{"|".join(_WORDS)})(?=\s+{_UNITS_EN}(?![a-z]))
       | [一二两三四五六七八九十百千万半]+(?={_UNITS_ZH}) )
    """,
    re.VERBOSE,
)


def _number(text: str) -> Decimal:
    return Decimal(re.sub(r"[^\d.]", "", text).strip(".")).normalize()


def chinese_number(text: str) -> int:
    """The value of a Chinese numeral such as 三百二十 or 一千五 (1500); 半 counts as 0."""
    total = part = 0
    digit = 0
    last_unit = 1
    for c in text:
        if c in "零〇":
            last_unit = 1
        elif (d := "一二三四五六七八九".find(c)) >= 0:
            digit = d + 1
        elif c == "两":
            digit = 2
        elif c == "万":
            total, part, digit, last_unit = (total + part + digit) * 10_000, 0, 0, 10_000
        elif c in "十百千":
            unit = {"十": 10, "百": 100, "千": 1000}[c]
            part += (digit or 1) * unit
            digit, last_unit = 0, unit
    # 一千五 leaves out the last unit: five hundred, not five.
    return total + part + (digit * last_unit // 10 if last_unit > 10 and digit else digit)


def facts(text: str, names: NameIndex | None = None) -> Iterator[Fact]:
    """The facts in a text, left to right; product names, where an index of them is given, last."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    for m in _PATTERN.finditer(plain):
        kind, found = m.lastgroup, m.group()
        if kind == "date":
            yield "date", _date(found)
        elif kind == "money" or kind == "percent":
            yield kind, _number(found)
        elif kind == "number":
            yield "number", _number(found)
        elif kind == "words":
            yield "number", (_WORDS[found] if found in _WORDS else Decimal(chinese_number(found))).normalize()
        elif kind is not None:
            yield kind, found
    if names is not None:
        for match in names.find(plain):
            yield "name", match.name


def _date(text: str) -> tuple[int | None, int, int]:
    numbers = [int(n) for n in re.findall(r"\d+", text)]
    month = next((i for i, m in enumerate(_MONTHS, 1) if m in text), None)
    if month is not None:
        year = next((n for n in numbers if n > 31), None)
        return year, month, next(n for n in numbers if n <= 31)
    return (numbers[0], numbers[1], numbers[2]) if len(numbers) == 3 else (None, numbers[0], numbers[1])


def _backed_by(value: Any, names: NameIndex | None) -> Iterator[Fact]:
    if isinstance(value, Money):
        yield "money", value.amount.normalize()
    elif isinstance(value, dt.date):
        yield "date", (value.year, value.month, value.day)
        yield "date", (None, value.month, value.day)
    elif isinstance(value, (int, Decimal)):
        yield "number", Decimal(value).normalize()
    elif isinstance(value, str):
        yield from facts(value, names)
        yield "code", unicodedata.normalize("NFKC", value).casefold()
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _backed_by(part, names)
    elif isinstance(value, Iterable):
        for part in value:
            yield from _backed_by(part, names)


def unbacked(text: str, evidence: Iterable[Evidence], names: NameIndex | None = None) -> list[Fact]:
    """The facts of a text that no evidence backs; empty when the answer may leave.

    A sum of money is backed by a sum of money only, a date by a date: the number of pieces in stock does not back a
    price that happens to be the same figure.
    """
    known = {fact for e in evidence for fact in _backed_by(e.value, names)}
    return [fact for fact in facts(text, names) if fact not in known]
