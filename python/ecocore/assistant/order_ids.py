"""Order ids in a customer's sentence: as the shop writes them, or whatever else was said in the place of one.

A number that is no id of this shop must not be passed over: the customer who says "cancel order 204845" means that
order and no other. So it becomes a value too, and the look-up tells whether there is such an order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from .protocols import Order, Slot

__all__ = ["OrderIds", "ending_so"]

_UNITS = (
    r"(?![\w%]|\s*(?:pcs|pieces?|units?|copies|items|of\b|x\b|yuan|dollars?|usd|rmb|[个件套份块元台双只条箱天年月]))"
)
_TOKEN = r"(?!\d{4}-\d{1,2}-\d)([A-Za-z]{0,4}-?\d(?:-?[A-Za-z0-9])*)" + _UNITS
_NAMED = re.compile(  # a word for the number stands before it: two digits are enough
    r"(?:\border\s*(?:number|num\b|no\b\.?|id\b|ref(?:erence)?\b)|\border\b[^\w]{0,3}\bending(?: (?:in|with|on))?\b"
    r"|\border\s*(?=#)|单号码?|订单编号|尾号)(?:\s*(?:is|was|[:：=]|是|为))?\s*#?\s*" + _TOKEN,
    re.IGNORECASE,
)
_ORDER = re.compile(r"(?:\border\b|订单)(?:\s*[:：]|\s*是)?\s*" + _TOKEN, re.IGNORECASE)
_ANY = re.compile(r"(?<![\w.,$€£¥-])#?" + _TOKEN)
_WORD = re.compile(  # "where is 204845" is no order IS204845
    r"(?:am|an|and|are|as|at|be|by|do|for|go|hi|id|if|in|is|it|me|my|no|not|nr|num|of|ok|on|or|re|so|the|to|up|us|was|we)\s",
    re.IGNORECASE,
)
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
        return ((_plain(m[0]), *m.span()) for m in self._written.finditer(text) if not _WORD.match(m[1]))

    def said(self, text: str, parsed: Iterable[Slot], awaited: bool) -> Iterator[tuple[str, int, int]]:
        """What else stands for an id: what the NLU marks as one, what follows "order number", and where one is
        ``awaited``, any number of four digits."""
        for slot in parsed:
            if slot.name == "order_id" and _digits(slot.value) >= _FEWEST:
                yield _plain(slot.value), slot.start, slot.end
        for pattern, least in ((_NAMED, _FEWEST), (_ORDER, _DIGITS), (_ANY, _DIGITS)):
            if pattern is _ANY and not awaited:
                continue
            for m in pattern.finditer(text):
                if _digits(m[1]) >= least:
                    yield _plain(m[1]), m.start(1), m.end(1)


def ending_so(asked: str, orders: Iterable[Order]) -> Order | None:
    """The one order whose id ends as was said ("204815" of EC204815, its last four digits); None: there is none, or
    there are several."""
    if _digits(asked) < _DIGITS:
        return None
    found = [order for order in orders if _plain(order.id).endswith(asked)]
    return found[0] if len(found) == 1 else None


def _plain(said: str) -> str:
    return re.sub(r"[\W_]+", "", said).upper()


def _digits(said: str) -> int:
    return sum(c.isdigit() for c in said)
