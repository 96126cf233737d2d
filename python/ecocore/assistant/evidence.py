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
from functools import lru_cache
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


_LASTING = frozenset({"catalogue", "faq", "policy", "recommendations"})
"""Sources whose texts come again and again, and hold nothing of a customer's: what is in them is read once."""

Fact = tuple[str, Any]
"""(kind, value): ("number", Decimal), ("money", (Decimal, currency)), ("date", (year or None, month, day)),
("day", str) for a day by its name, ("time", str), ("percent", Decimal), ("code", str), ("name", str)."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_SMALL = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen"""
_WORDS = {word: Decimal(n) for n, word in enumerate(_SMALL.split())}
_WORDS |= {
    word: Decimal(10 * n)
    for n, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)
}
_WORDS |= {"half": Decimal("0.5"), "dozen": Decimal(12)}
_TIMES = {
    "hundred": 100, "thousand": 1000, "million": 1_000_000, "k": 1000,
    "百": 100, "千": 1000, "万": 10_000, "亿": 100_000_000,
}  # fmt: skip
_UNITS_EN = (
    r"(?:(?:working|business|calendar)\s+)?(?:days?|hours?|minutes?|weeks?|months?|years?|items?|pieces?|percent|per\s+cent|"
    r"dollars?|euros?|pounds?|yuan|points?|orders?|parcels?|instalments?)"
)
_UNITS_ZH = r"(?:个)?(?:工作日|小时|分钟|星期|月|天|日|周|年|件|元|块|美元|欧元|英镑|折|成|倍|期|积分|单|张)"
_CURRENCIES = {
    "¥": "¥", "元": "¥", "块": "¥", "yuan": "¥", "rmb": "¥", "cny": "¥", "jpy": "¥", "日元": "¥",
    "$": "$", "dollar": "$", "dollars": "$", "usd": "$", "美元": "$", "美金": "$",
    "€": "€", "euro": "€", "euros": "€", "eur": "€", "欧元": "€",
    "£": "£", "pound": "£", "pounds": "£", "gbp": "£", "英镑": "£",
}  # fmt: skip
_CODES = """aed ars aud bgn bhd brl cad chf clp cop czk dkk egp hkd huf idr ils inr isk kes krw kwd mad mop mxn myr ngn
nok nzd pen php pkr pln qar ron rsd rub sar sek sgd thb try twd uah uyu vnd zar"""
_CURRENCIES |= {code: code for code in _CODES.split()}
_BEFORE = "[¥$€£]"
_AFTER = (
    r"(?:元|块|日元|美元|美金|欧元|英镑|"
    + "|".join(rf"{w}\b" for w in _CURRENCIES if w.isascii() and w.isalpha())
    + ")"
)
_DIGIT_ZH = "一二两三四五六七八九"
_WORD = "|".join(_WORDS)
_SCALE = r"\s?(?:hundred|thousand|million)\b|k\b|\s?[百千万亿]"
_WEEKDAYS = "monday|tuesday|wednesday|thursday|friday|saturday|sunday"
_STARTS = rf"[\da-z¥$€£{_DIGIT_ZH}十百千万半零〇前昨明后周星礼]"  # what a fact can begin with
_PATTERN = re.compile(
    rf"""
    (?={_STARTS})(?:(?![a-z])|(?<![a-z]))  # most places are ruled out here; no fact begins within a word
    (?:
    (?P<date> \d{{4}}-\d{{1,2}}-\d{{1,2}}(?!\d) | \d{{4}}年\d{{1,2}}月\d{{1,2}}[日号] | \d{{1,2}}月\d{{1,2}}[日号]
       | (?<!\d)\d{{1,2}}\s{_MONTH}(?:,?\s\d{{4}})?(?!\w) | (?<![a-z]){_MONTH}\s\d{{1,2}}(?!\d)(?:,\s\d{{4}})? )
  | (?P<day> \b(?:{_WEEKDAYS}|tomorrow|yesterday)s?\b | [前昨明后]天 | (?:周|星期|礼拜)[一二三四五六日天] )
  | (?P<time> (?<!\d)\d{{1,2}}:\d\d(?!\d) )
  | (?P<money> {_BEFORE}\s?{_NUMBER}(?:{_SCALE})? | {_NUMBER}(?:{_SCALE})?\s?{_AFTER} )
  | (?P<percent> {_NUMBER}\s?(?:%|折|percent\b|per\s+cent\b) )
  | (?P<scaled> {_NUMBER}(?:{_SCALE}) )
  | (?P<code> [a-z][a-z-]*\d[a-z\d-]* | \d+-?[a-z][a-z\d-]* | \d+(?:[-/.]\d+){{2,}} | \d+-\d+ | \d+/\d+ )
  | (?P<number> {_NUMBER} )
  | (?P<zh> 百分之[{_DIGIT_ZH}十百零点]+
       | [{_DIGIT_ZH}][{_DIGIT_ZH}十百千万亿零〇]*[十百千万亿][{_DIGIT_ZH}十百千万亿零〇]*
       | 十[{_DIGIT_ZH}]+[万亿]? | [{_DIGIT_ZH}十百千万半零〇]+(?={_UNITS_ZH}) )
  | (?P<words> (?<![a-z])(?:(?:{_WORD})[\s-]+(?:and\s+)?)*(?:(?:{_WORD})|an?)[\s-]+(?:hundred|thousand|million)
         (?:[\s-]+(?:and\s+)?(?:hundred|thousand|million|{_WORD}))*(?![a-z])
       | (?<![a-z])(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:[\s-](?:{_WORD}))?(?![a-z])
       | (?<![a-z])(?:three|four|five|six|seven|eight|nine|ten|eleven|twelve|[a-z]{{3,5}}teen)(?![a-z])
       | (?<![a-z])(?:{_WORD})(?=\s+{_UNITS_EN}(?![a-z])) )
    )
    """,
    re.VERBOSE,
)
_SCALED = re.compile(rf"\d\s?({'|'.join(_TIMES)})(?![a-z])")
_FORMAL = str.maketrans("壹贰叁肆伍陆柒捌玖拾佰仟萬億兩貳參陸", "一二三四五六七八九十百千万亿两二三六")


def _number(text: str) -> Decimal:
    plain = re.sub(r"[^\d.]", "", text).strip(".")
    times = _TIMES[m[1]] if (m := _SCALED.search(text)) else 1
    return (Decimal(plain) * times).normalize()


def _money(text: str) -> tuple[Decimal, str]:
    name = re.sub(rf"{_NUMBER}(?:{_SCALE})?|\s", "", text)
    return _number(text), _CURRENCIES.get(name, name)


def _english_number(text: str) -> Decimal:
    total, part = Decimal(0), Decimal(0)
    for word in re.findall(r"[a-z]+", text):
        if word in _TIMES:
            part = (part or Decimal(1)) * _TIMES[word]
            if word != "hundred":
                total, part = total + part, Decimal(0)
        else:
            part += _WORDS.get(word, 0)
    return (total + part).normalize()


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
    plain = _plain(text)
    for m in _PATTERN.finditer(plain):
        kind, found = m.lastgroup, m.group()
        if kind == "date":
            yield "date", _date(found)
        elif kind == "money":
            yield kind, _money(found)
        elif kind == "percent":
            yield kind, _number(found)
        elif kind == "number" or kind == "scaled":
            yield "number", _number(found)
        elif kind == "zh":
            percent = found.startswith("百分之")
            value = Decimal("0.5") if found == "半" else Decimal(chinese_number(found.removeprefix("百分之")))
            yield "percent" if percent else "number", value.normalize()
        elif kind == "words":
            yield "number", _english_number(found)
        elif kind == "day" or kind is not None:
            yield kind, found
    if names is not None:
        for match in names.find(plain):
            yield "name", match.name


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().translate(_FORMAL)


_kept_facts = lru_cache(maxsize=4096)(lambda text: tuple(facts(text)))


def _date(text: str) -> tuple[int | None, int, int]:
    numbers = [int(n) for n in re.findall(r"\d+", text)]
    month = next((i for i, m in enumerate(_MONTHS, 1) if m in text), None)
    if month is not None:
        year = next((n for n in numbers if n > 31), None)
        return year, month, next(n for n in numbers if n <= 31)
    return (numbers[0], numbers[1], numbers[2]) if len(numbers) == 3 else (None, numbers[0], numbers[1])


def _backed_by(value: Any, names: NameIndex | None, lasting: bool) -> Iterator[Fact]:
    if isinstance(value, Money):
        currency = value.currency.casefold()
        yield "money", (value.amount.normalize(), _CURRENCIES.get(currency, currency))
    elif isinstance(value, dt.date):
        yield "date", (value.year, value.month, value.day)
        yield "date", (None, value.month, value.day)
    elif isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        yield "number", Decimal(value).normalize()
    elif isinstance(value, str):
        plain = _plain(value)
        yield "code", plain
        yield from _kept_facts(value) if lasting else facts(value)
        if names is not None:
            for name in names.kept(plain) if lasting else (match.name for match in names.find(plain)):
                yield "name", name
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _backed_by(part, names, lasting)
    elif isinstance(value, Iterable):
        for part in value:
            yield from _backed_by(part, names, lasting)


def unbacked(text: str, evidence: Iterable[Evidence], names: NameIndex | None = None) -> list[Fact]:
    """The facts of a text that no evidence backs; empty when the answer may leave.

    A sum of money is backed by a sum of money only, a date by a date: the number of pieces in stock does not back a
    price that happens to be the same figure.
    """
    stated = list(facts(text, names))
    open_ = set(stated)
    for e in evidence:
        if not open_:
            break
        open_.difference_update(_backed_by(e.value, names, e.source in _LASTING))
    return [fact for fact in stated if fact in open_]
