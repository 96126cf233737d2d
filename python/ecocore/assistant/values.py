"""Typed values in a customer's sentence: order ids, sizes, colours, amounts, dates, phones, products.

Rules, not learned: an order id or a price limit must be read exactly or not at all. What the NLU marks beside it (an
address, a product described in other words) is taken where no rule found that slot.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .evidence import chinese_number
from .kinds import KindIndex
from .language import fold, narrow
from .names import Match, NameIndex
from .order_ids import OrderIds
from .privacy import personal
from .protocols import Slot

__all__ = ["Value", "ValueFinder"]


@dataclass(frozen=True)
class Value:
    """A value of a slot. ``value`` is canonical: ``"EC204815"``, ``"XL"``, ``"navy"``, a Decimal, a date, product ids.

    ``bound`` says how an amount limits: ``"max"``, ``"min"`` or ``""``, ``currency`` (ISO 4217) in what, where that was
    named. Of an order id ``bound`` is ``"number"`` where any number was taken for one, of a product ``"like"`` where
    others like it are meant; a product that the catalogue does not have has no ids. ``negated``: the customer said "not
    this".
    """

    slot: str
    value: Any
    start: int
    end: int
    bound: str = ""
    negated: bool = False
    currency: str = ""


_NEGATION = re.compile(
    r"(?:\b(?:not|no|don'?t|isn'?t|instead of|rather than|except|without|anything but)\s+"
    r"(?:an?\s+|the\s+|in\s+|size\s+|want\s+|like\s+|need\s+)*"
    r"|不是|不要|别要|而不是|并非|不想要|不喜欢|除了)\s*$"
)
_MAX_BEFORE = re.compile(
    r"(?:\b(?:under|below|less than|up to|max(?:imum)?|at most|within|cheaper than|budget(?: is| of)?"
    r"|(?:not?|never) (?:more than|over|above))|<=?|≤"
    r"|不超过|不高于|不多于|不大于|低于|少于|小于|最多|预算|不到)\s*(?:about\s+|of\s+)?$"
)
_MAX_AFTER = re.compile(r"^\s*(?:以内|以下|之内|内|or (?:less|under|below)|max\b|tops\b|封顶)")
_MIN_BEFORE = re.compile(
    r"(?:\b(?:over|above|more than|at least|from|(?:not?|never) (?:less than|under|below))|>=?|≥"
    r"|不低于|不少于|不小于|高于|超过|至少|大于)\s*$"
)
_MIN_AFTER = re.compile(r"^\s*(?:以上|起|or (?:more|over|above))")
_LOOK_BACK = 60  # characters before a value that say how it is meant; a bound on the time for a long text

_AMOUNT = re.compile(
    r"(?:[$€£¥]\s?(?P<a>\d[\d,]*(?:\.\d{1,2})?))"
    r"|(?:(?P<b>\d[\d,]*(?:\.\d{1,2})?)\s?(?:元|块钱|块|美元|美金|欧元|英镑|dollars?\b|bucks\b|euros?\b|pounds?\b|yuan\b|rmb\b|usd\b|cny\b|eur\b))"
    r"|(?:(?P<c>[一二两三四五六七八九十百千万零]{1,9})(?:元|块钱|块|(?=以内|以下|以上|左右)))"
    r"|(?P<d>(?<![a-z0-9.,-])\d[\d,]*(?:\.\d{1,2})?(?P<times>k\b|千|万)?(?:元|块)?(?![a-z0-9-]|\.\d))"
    r"|(?P<e>(?:(?<=不超过)|(?<=不高于)|(?<=低于)|(?<=预算)|(?<=最多)|(?<=不到)|(?<=至少)|(?<=超过))[一二两三四五六七八九十百千万零]{2,9})"
)
_CURRENCIES = {
    "USD": re.compile(r"\$|dollar|bucks|usd|美元|美金"), "EUR": re.compile(r"€|euro|eur|欧元"),
    "GBP": re.compile(r"£|pound|英镑"), "CNY": re.compile(r"yuan|rmb|cny|人民币"),
}  # fmt: skip
"""What names a currency. ¥, 元 and 块 name the shop's own."""
_POINTING = re.compile(
    r"\b(?:it|this|that|these|those|one|ones|item|product|thing|stuff|something|anything|order|parcel|package|delivery)\b"
    r"|[这那哪]|东西|商品|产品|订单|包裹|快递|快件"
)
_LIKE_BEFORE = re.compile(  # not "I'd like the hoodie"
    r"(?:(?<!\bwould )(?<!['’]d )\blike|\bsimilar to|\bsuch as|\b(?:go|goes|pairs?) (?:well )?with|\bmatch(?:es|ing)?"
    r"|\balternatives? to)\s+(?:[\w'’-]+\s+){0,3}$|(?:像|类似|搭配?|配|喜欢|比如)[^,.!?，。！？]{0,6}$"
)
_LIKE_AFTER = re.compile(r"^[^,.!?，。！？]{0,4}(?:类似|差不多|相似|相近|一样|搭|配套|同款|同类|这样|那样)")
_RECALLING = re.compile(r"\b(?:it|its|they|them)\b|它")  # "does it come with a bag": spoken of is what it was before
_LETTER_SIZE = re.compile(r"(?<![A-Za-z0-9'’&.-])(XXL|2XL|XL|XS|S|M|L)(?![A-Za-z0-9'’&-])")
_LOWER_SIZE = re.compile(r"\bsize\s+(xxl|2xl|xl|xs|s|m|l)\b|^(?:in\s+)?(xxl|2xl|xl|xs|s|m|l)[.!?]?$")
_NUMBER_SIZE = re.compile(
    r"\bsize\s+(3[5-9]|4[0-9])\b|(?<!\d)(3[5-9]|4[0-9])\s?[码号]|^(3[5-9]|4[0-9])[.!?]?$"
    r"|\bin (?:an? )?(3[5-9]|4[0-9])(?=\s*(?:$|[,;!?]|\.(?!\d)|please|pls|too\b|and\b|or\b|available))"
)
_WORD_SIZE = re.compile(r"\b(extra small|extra large|small|medium|large)\b|(加小号|加大号|特大号|小号|中号|大号)")
_DEGREE = re.compile(
    r"\b(?:too|bit|little|very|so|quite|rather|pretty|way|really|slightly|far|runs?|fits?|looks?|feels?)\s+$"
)
_UNFIT = r"(?:small|large|big|tight|loose|long|short|wide|narrow)\b"
_UNFIT_AFTER = re.compile(  # "the M I have is too tight", "M doesn't fit", "M码太大了": the size that is not wanted
    r"^(?:\s+(?:ones?|size|pair|that|which|i|we|you|have|got|ordered|bought|received|sent|and)){0,5}"
    r"(?:\s+(?:is|was|are|were|it's|it is|it was|came|turned|runs?|feels?|fits?)|'s)"
    rf"(?:\s+(?:out|a|bit|way|much|far|really|just|so|too|quite|little)){{0,4}}\s+{_UNFIT}"
    r"|^(?:\s+(?:ones?|size|that|i|have|got|ordered|bought)){0,4}\s+(?:does|did|do|will|would)(?:n['’]?t| not)\s+fit"
    r"|^\s?[码号]?(?:的|穿着|穿|有点|偏|觉得|实在|我|买)*(?:太|偏|有点|不合|小了|大了|紧了|松了|短了|长了|穿不)"
)
_OWNED_BEFORE = re.compile(
    r"\b(?:i|we)(?:'ve| have)?\s+(?:have|got|ordered|bought|own|wear)\s+(?:an?\s+|the\s+|size\s+|in\s+)*$"
)
_SIZE_WORDS = {
    "extra small": "XS", "small": "S", "medium": "M", "large": "L", "extra large": "XL",
    "加小号": "XS", "小号": "S", "中号": "M", "大号": "L", "加大号": "XL", "特大号": "XXL",
}  # fmt: skip
_PHONE = re.compile(
    r"(?<![\w-])(?:\+?\d{1,3}[ -]?)?(?:1[3-9]\d[ -]?\d{4}[ -]?\d{4}|\(\d{3}\) ?\d{3}-\d{4}|\d{3}-\d{4})(?![\w-])"
)

_MONTH_NAMES = "jan feb mar apr may jun jul aug sep oct nov dec"
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)"
)
_MONTHS = {m: i for i, m in enumerate(_MONTH_NAMES.split(), 1)}
_DAY_NAMES = "monday tuesday wednesday thursday friday saturday sunday"
_DAYS = {d: i for i, d in enumerate(_DAY_NAMES.split())}
_DATES = re.compile(
    r"(?P<iso>\b\d{4}-\d{1,2}-\d{1,2}\b)"
    r"|(?P<zh>(?:(?P<zy>\d{4})年)?(?P<zm>\d{1,2})月(?P<zd>\d{1,2})[号日]?)"
    r"|\b(?P<d1>\d{1,2})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<m1>" + _MONTH + r")\b"
    r"|\b(?P<m2>" + _MONTH + r")\.?\s+(?P<d2>\d{1,2})(?:st|nd|rd|th)?\b"
    r"|(?<!last )\b(?P<next>next\s+)?(?P<wd>monday|tuesday|wednesday|thursday|friday|saturday|sunday)\b"
    r"|(?<!上)(?<!下)(?P<zn>下)?(?:周|星期|礼拜)(?P<zw>[一二三四五六日天])"
    r"|\b(?P<rel>day after tomorrow|tomorrow|tmrw|today)\b|(?P<zr>大后天|后天|明天|今天)"
    r"|\bthe (?P<dom>\d{1,2})(?:st|nd|rd|th)\b|(?<![\d月])(?P<zdom>\d{1,2})[号日](?![码])"
)
_RELATIVE = {
    "today": 0,
    "tomorrow": 1,
    "tmrw": 1,
    "day after tomorrow": 2,
    "今天": 0,
    "明天": 1,
    "后天": 2,
    "大后天": 3,
}


class ValueFinder:
    """Finds the values of one shop: its order ids, its colours and sizes, its products.

    Args:
        slots: ``slots.json``.
        names: the catalogue's names and their other names.
        kinds: the kinds of its products; None: a product is meant by its names only.
        order_id: a regular expression for order ids, without blanks and hyphens, in capitals.
    """

    def __init__(
        self,
        slots: Mapping[str, Any],
        names: NameIndex,
        order_id: str = r"[A-Z]{2}\d{6}",
        kinds: KindIndex | None = None,
    ) -> None:
        self.names, self.kinds = names, kinds
        self._order_ids = OrderIds(order_id)
        self._colours: dict[str, str] = {}
        for canonical, by_language in slots["colour"]["values"].items():
            for words in by_language.values():
                for word in words:
                    # A single character (黑) is a colour only where it is used as one: 黑的, 黑色.
                    self._colours.update({word + "的": canonical} if len(word) == 1 else {word: canonical})
        words = sorted(self._colours, key=len, reverse=True)
        latin, other = [w for w in words if w.isascii()], [w for w in words if not w.isascii()]
        # Most places are ruled out by one character, not by every word.
        self._colour = re.compile(
            "|".join(
                rf"{border}(?=[{''.join(sorted({re.escape(w[0]) for w in group}))}])"
                rf"(?:{'|'.join(map(re.escape, group))}){border}"
                for border, group in ((r"\b", latin), ("", other))
                if group
            )
            or "(?!)",
            re.IGNORECASE,
        )

    def find(
        self,
        text: str,
        today: dt.date,
        parsed: Iterable[Slot] = (),
        *,
        any_kind: bool = False,
        any_number: bool = False,
    ) -> list[Value]:
        """The values in a cleaned text, by place. ``parsed``: the slots of the NLU. ``any_kind``: where no product is
        found otherwise, a word of the text that names a kind of product is one: of a text that asks for products.
        ``any_number``: where nothing else is found, a long number is an order id: of an answer to "which order"."""
        taken: list[tuple[int, int]] = []
        found: list[Value] = []

        def add(slot: str, value: Any, start: int, end: int, bound: str = "", currency: str = "") -> None:
            if value is None or any(start < e and s < end for s, e in taken):
                return
            taken.append((start, end))
            before = text[max(0, start - _LOOK_BACK) : start].casefold()
            numbered = slot == "order_id" and before.endswith("no ")  # "purchase no 204815"
            negated = (bool(_NEGATION.search(before)) and not numbered) or (
                slot == "size"
                and bool(_UNFIT_AFTER.match(lower[end : end + _LOOK_BACK]) or _OWNED_BEFORE.search(before))
            )
            found.append(Value(slot, value, start, end, bound, negated, currency))

        text = narrow(text)
        parsed = tuple(parsed)
        lower = text.lower() if len(text.lower()) == len(text) else text  # same places, or leave it
        for order_id, start, end in self._order_ids.written(text):
            add("order_id", order_id, start, end)
        for m in _PHONE.finditer(text):
            add("phone", m[0], *m.span())
        said = list(self._order_ids.said(text, parsed))
        hidden = personal(text) if said or any_number else ()  # the search takes as long as that for ids
        for order_id, start, end in said:
            if all(e <= start or end <= s or (start <= s and e <= end) for s, e, _ in hidden):  # no part of a phone
                add("order_id", order_id, start, end)
        for slot in parsed:  # before dates and sizes: 27号 in a street's address is a house
            if slot.name == "address":
                add("address", slot.value, slot.start, slot.end)
        folded = fold(text)
        if len(folded) == len(text):
            for name in self.names.find(folded):
                add(
                    "product",
                    self.kinds.named(name) if self.kinds else name.ids,
                    name.start,
                    name.end,
                    _like(text, name),
                )
        for m in _DATES.finditer(lower):
            add("date", _date(m, today), *m.span())
        for pattern in (_LETTER_SIZE, _LOWER_SIZE, _NUMBER_SIZE, _WORD_SIZE):
            for m in pattern.finditer(text if pattern is _LETTER_SIZE else lower):
                word = next(g for g in m.groups() if g)
                start = m.start(m.lastindex or 0)
                if _DEGREE.search(lower[max(0, start - _LOOK_BACK) : start]):
                    continue  # "it is too small" is no size
                size = _SIZE_WORDS.get(word, word.upper())
                add("size", "XXL" if size == "2XL" else size, start, start + len(word))
        for m in self._colour.finditer(lower):
            add("colour", self._colours[m[0]], *m.span())
        for m in _AMOUNT.finditer(lower):
            add("amount", *_amount(m, lower), _currency(m[0]))
        if any_number and not found:
            for order_id, start, end in self._order_ids.numbers(text):
                if not any(s < end and start < e for s, e, _ in hidden):  # no part of a phone, a card or an address
                    add("order_id", order_id, start, end, "number")
        rules = {v.slot for v in found}
        for slot in parsed:
            if slot.name == "phone" and slot.name not in rules:
                add(slot.name, slot.value, slot.start, slot.end)
            elif slot.name == "product" and "product" not in rules and not _POINTING.search(slot.value.lower()):
                ids = self.kinds.described(fold(slot.value)) if self.kinds else ()
                add("product", ids, slot.start, slot.end, _like(text, slot))
        if (
            any_kind
            and self.kinds is not None
            and len(folded) == len(text)
            and not _RECALLING.search(folded)
            and all(v.slot != "product" for v in found)
            and (kind := self.kinds.find(folded))
        ):
            add("product", kind.ids, kind.start, kind.end, _like(text, kind))
        return sorted(found, key=lambda v: v.start)


def _like(text: str, product: Match | Slot) -> str:
    before = text[max(0, product.start - _LOOK_BACK) : product.start].casefold()
    after = text[product.end : product.end + _LOOK_BACK]
    return "like" if _LIKE_BEFORE.search(before) or _LIKE_AFTER.match(after) else ""


def _currency(said: str) -> str:
    return next((code for code, words in _CURRENCIES.items() if words.search(said)), "")


def _amount(m: re.Match[str], text: str) -> tuple[Decimal | None, int, int, str]:
    before, after = text[max(0, m.start() - _LOOK_BACK) : m.start()], text[m.end() : m.end() + _LOOK_BACK]
    numeral = m["c"] or m["e"]
    least, most = _MIN_BEFORE.search(before), _MAX_BEFORE.search(before)
    if least and most:  # "no more than" holds "more than": the longer one is meant
        least, most = (least, None) if len(least[0]) > len(most[0]) else (None, most)
    if most or _MAX_AFTER.match(after):
        bound = "max"
    elif least or _MIN_AFTER.match(after):
        bound = "min"
    else:
        bound = ""
    digits = m["a"] or m["b"] or m["d"]
    if m["d"] and not bound and not after.startswith(("左右", "的预算")):
        return None, m.start(), m.end(), ""  # a bare number limits nothing: it may count pieces or years
    if digits:
        plain = re.sub(r"[^\d.]", "", digits).strip(".")
        times = {"k": 1000, "千": 1000, "万": 10_000}.get(m["times"] or "", 1)
        return (Decimal(plain) * times if plain else None), m.start(), m.end(), bound
    return Decimal(chinese_number(numeral)), m.start(), m.end(), bound


def _date(m: re.Match[str], today: dt.date) -> dt.date | None:
    g = m.groupdict()
    try:
        if g["iso"]:
            year, month, day = (int(n) for n in g["iso"].split("-"))
            return dt.date(year, month, day)
        if g["zh"]:
            return _coming(today, int(g["zm"]), int(g["zd"]), g["zy"])
        if g["m1"] or g["m2"]:
            return _coming(today, _MONTHS[(g["m1"] or g["m2"])[:3]], int(g["d1"] or g["d2"]), None)
        if g["wd"] or g["zw"]:
            weekday = _DAYS[g["wd"]] if g["wd"] else "一二三四五六日".find(g["zw"].replace("天", "日"))
            return _weekday(today, weekday, bool(g["next"] or g["zn"]))
        if g["rel"] or g["zr"]:
            return today + dt.timedelta(_RELATIVE[g["rel"] or g["zr"]])
        day = int(g["dom"] or g["zdom"])
        month = today.month if day >= today.day else today.month % 12 + 1
        return dt.date(today.year + (month < today.month), month, day)
    except ValueError:
        return None  # 31 June, the 45th: no such day


def _coming(today: dt.date, month: int, day: int, year: str | None) -> dt.date:
    if year:
        return dt.date(int(year), month, day)
    this = dt.date(today.year, month, day)
    # "5 January" said in December means the next one, "20 November" said on the 24th the last one.
    return this if (today - this).days <= 180 else dt.date(today.year + 1, month, day)


def _weekday(today: dt.date, weekday: int, next_week: bool) -> dt.date:
    """The coming day of that name; with "next", the one in the week after this."""
    if next_week:
        return today + dt.timedelta(7 - today.weekday() + weekday)
    return today + dt.timedelta((weekday - today.weekday()) % 7 or 7)


def without(text: str, values: Sequence[Value]) -> str:
    """The text with the values cut out."""
    out, at = [], 0
    for v in values:
        out.append(text[at : v.start])
        at = v.end
    return " ".join("".join([*out, text[at:]]).split())
