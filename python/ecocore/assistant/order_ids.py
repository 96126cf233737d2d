"""Order ids in a customer's sentence: as the shop writes them, or whatever else was said in the place of one.

A number that is no id of this shop must not be passed over: the customer who says "cancel order 204845" means that
order and no other. So it becomes a value too, and the look-up tells whether there is such an order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from .protocols import Order, Slot

__all__ = ["OrderIds", "ending_so", "ends_so"]

_UNITS = (
    r"(?![A-Za-z0-9_%]|\s*(?:pcs|pieces?|units?|copies|items|of\b|x\b|yuan|dollars?|usd|rmb"
    r"|[个件套份块元台双只条箱天年月]))"
)
_PLAIN = r"(?!\d{4}-\d{1,2}-\d)[A-Za-z]{0,4}-?\d(?:-?[A-Za-z0-9])*"
_TOKEN = rf"(\d{{1,3}}(?:[ ,.]\d{{3}})+|{_PLAIN})" + _UNITS  # "204,815" is said of numbers with a word for them only
_MARKS = r"[\s#\"'(（【“]*"
_NAMED = re.compile(  # a word for the number stands before it: two digits are enough
    r"(?:\border\s*(?:number|num\b|no\b\.?|id\b|ref(?:erence)?\b)|\border\s*(?=#)|单号码?|订单编号|尾号"
    r"|\border\b[^.!?\d]{0,25}\b(?:end(?:s|ing)?(?: (?:in|with|on))?|last (?:\w+ )?digits?))"
    rf"(?:\s*(?:is|was|are|[:：=]|是|为))?{_MARKS}{_TOKEN}",
    re.IGNORECASE,
)
_ORDER = re.compile(rf"(?:\border\b|订单)(?:\s*[:：]|\s*是)?{_MARKS}{_TOKEN}", re.IGNORECASE)
_ENDS = re.compile(r"\s*(?:$|[\"')）】”.,!?;，。！？]|please\b|pls\b)")  # "cancel order 15", not "order 15 mugs"
_ANY = re.compile(rf"(?<![\w.,$€£¥/-])#?({_PLAIN})" + _UNITS)
_SLOT = re.compile(rf"#?\s*(?:[A-Za-z]{{1,4}}[\s-]?)?(?:\d{{1,3}}(?:[ ,.]\d{{3}})+|{_PLAIN})")
_WORD = re.compile(  # "where is 204845" is no order IS204845
    r"(?:am|an|and|are|as|at|be|by|do|for|go|hi|id|if|in|is|it|me|my|no|not|nr|num|of|ok|on|or|re|so|the|to|up|us|was|we)\s",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"(?:id|no|nr|num)\s+", re.IGNORECASE)
_FEWEST, _DIGITS = 2, 4  # digits of an id where a word for it stands before, and elsewhere


class OrderIds:
    """Finds them.

    Args:
        pattern: a regular expression for the shop's order ids, without blanks and hyphens, in capitals.
    """

    def __init__(self, pattern: str) -> None:
        loose = pattern.replace(r"\d", r"[\s-]?\d", 1)
        self._written = re.compile(rf"(?<![A-Za-z0-9])#?({loose})(?![A-Za-z0-9])", re.IGNORECASE)

    def written(self, text: str) -> Iterator[tuple[str, int, int]]:
        """Ids as the shop writes them, with blanks, hyphens and # between: (id, start, end)."""
        for m in self._written.finditer(text):
            if not _WORD.match(m[1]):
                yield re.sub(r"[\s#-]", "", m[0]).upper(), *m.span()

    def said(self, text: str, parsed: Iterable[Slot]) -> Iterator[tuple[str, int, int]]:
        """What else stands for an id: what the NLU marks as one, and what follows "order number" or the like."""
        for slot in parsed:
            if slot.name == "order_id" and _digits(slot.value) >= _FEWEST and _SLOT.fullmatch(slot.value.strip()):
                yield _plain(slot.value), slot.start, slot.end
        for pattern in (_NAMED, _ORDER):
            for m in pattern.finditer(text):
                few = _FEWEST if pattern is _NAMED or _ENDS.match(text, m.end(1)) else _DIGITS
                if _digits(m[1]) >= few:
                    yield _plain(m[1]), m.start(1), m.end(1)
        for m in self._written.finditer(text):
            if number := _NUMBERED.match(m[1]):  # "purchase no 204815"
                yield _plain(m[1][number.end() :]), m.start(1) + number.end(), m.end(1)

    def numbers(self, text: str) -> Iterator[tuple[str, int, int]]:
        """Any number of four digits and more: an id if one was asked for and little else is said."""
        return ((_plain(m[1]), m.start(1), m.end(1)) for m in _ANY.finditer(text) if _digits(m[1]) >= _DIGITS)


def ending_so(asked: str, orders: Iterable[Order]) -> Order | None:
    """The one order whose id ends as was said ("204815" of EC204815, its last four digits); None: there is none, or
    there are several."""
    if _digits(asked) < _DIGITS:
        return None
    found = [order for order in orders if ends_so(order.id, asked)]
    return found[0] if len(found) == 1 else None


def ends_so(order_id: str, asked: str) -> bool:
    """Whether an id may be the one of which this was said."""
    return _plain(order_id).endswith(asked)


def _plain(said: str) -> str:
    return re.sub(r"[\W_]+", "", said).upper()


def _digits(said: str) -> int:
    return sum(c.isdigit() for c in said)
