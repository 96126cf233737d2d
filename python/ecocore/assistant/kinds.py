"""Kinds of products, as customers say them: the ending that names share ("jackets" are what is called ... Jacket)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .names import Match, NameIndex

__all__ = ["Kind", "KindIndex"]

_IDEOGRAPH = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_PIECE = re.compile(rf"[{_IDEOGRAPH}]|[^\W{_IDEOGRAPH}]+(?:['’][^\W{_IDEOGRAPH}]+)*")
_WORDS, _IDEOGRAPHS = 4, 6  # in an ending, at most: a kind has no longer name, and the index stays small
_BESIDE = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|【[^【】]*】|,.*")  # "Rain Jacket (Men)", "Jacket, blue"

_GOODS = "鞋裤裙帽袜靴锅伞杯灯枕毯"
_GOODS_APART = "包表衣"
"""Ideographs that are a word for goods by themselves; the latter only where a word begins: they end others (发表)."""
_LEADS = frozenset("个款双件条顶只盏口把块的些有买卖色种要找荐看新几")
_GOES_ON = re.compile(rf"子?(?:$|[^{_IDEOGRAPH}]|[吗呢吧么嘛啊有还多怎什好哪在是能贵推卖价库的可适要给和跟])")
_DETERMINED = re.compile(r"(?:^|\b(?:an?|the|this|that|these|those|your|any|some)\s+)$")


class Kind(tuple[str, ...]):
    """The ids of a kind that was said in other words than the catalogue's: "running shoes" where there are Trail Runner
    Shoes. Not even an only one is taken for what is meant before the customer was asked."""

    __slots__ = ()


class KindIndex:
    """The endings of a catalogue's names. It does not change; any number of threads may use it.

    Args:
        spoken: every name of the products.
        official: the full ones among them, which mean nothing but the product that is called so.
    """

    def __init__(self, spoken: NameIndex, official: NameIndex) -> None:
        self._official = official
        ends: dict[str, str | list[str]] = {}  # most endings are of one product: no list for them
        for name, ids in spoken.items():
            for end in _endings(name):
                for product in ids:
                    found = ends.setdefault(end, product)
                    if isinstance(found, list):
                        found.append(product)
                    elif found != product:
                        ends[end] = [found, product]
        self._ends: dict[str, str | tuple[str, ...]] = {
            end: found if isinstance(found, str) else tuple(dict.fromkeys(found)) for end, found in ends.items()
        }

    def __len__(self) -> int:
        return len(self._ends)

    def ending(self, folded: str) -> tuple[str, ...]:
        """The products with a name that ends so: "jackets" finds the Alpine Rain Jacket, "鞋" finds 越野跑鞋."""
        return self._of(_stem(folded.strip()))

    def named(self, match: Match) -> tuple[str, ...]:
        """The products that a name in a text may mean: a full name those so called, "backpack" all backpacks."""
        return match.ids if match.name in self._official else self.ending(match.name) or match.ids

    def described(self, folded: str) -> tuple[str, ...]:
        """The products that end as a description does, else as the longest part of its end does (a :class:`Kind`)."""
        said = folded.strip()
        if ids := self.ending(said):
            return ids
        for whole in (said, said.removesuffix("子")):  # 裙子 is 连衣裙
            for piece in _PIECE.finditer(whole):
                end = _stem(whole[piece.start() :])
                if end in self._ends and end not in _COMMON and (len(end) > 1 or end in _GOODS + _GOODS_APART):
                    return Kind(self._of(end))
        return ()

    def find(self, folded: str) -> Match | None:
        """The longest ending that stands in a text by itself: for a text in which no name was found."""
        best: Match | None = None
        pieces = list(_PIECE.finditer(folded))
        for last, piece in enumerate(pieces):
            for first in pieces[max(0, last + 1 - _IDEOGRAPHS) : last + 1]:  # the longest first
                start, end = first.start(), piece.end()
                name = _stem(folded[start:end])
                if name not in self._ends or name in _COMMON or (len(name) == 1 and not _is_word(folded, start)):
                    continue
                if best is None or end - start > best.end - best.start:
                    ids = self._of(name)
                    sure = name[0].isascii() and _DETERMINED.search(folded[max(0, start - 8) : start])
                    best = Match(name, ids if sure else Kind(ids), start, end)
                break
        return best

    def _of(self, end: str) -> tuple[str, ...]:
        found = self._ends.get(end, ())
        return (found,) if isinstance(found, str) else found


def _endings(name: str) -> Iterator[str]:
    name = _stem(_BESIDE.sub(" ", name).strip())
    words = 0
    for piece in reversed([*_PIECE.finditer(name)][-_IDEOGRAPHS:]):
        words += name[piece.start()].isascii()
        if words > _WORDS:
            return
        yield name[piece.start() :]


def _is_word(text: str, at: int) -> bool:
    """Whether an ideograph is a word for goods here, and not a part of another: 买包 but not 包装, 发表."""
    before = text[at - 1] if at else ""
    free = text[at] in _GOODS or (
        text[at] in _GOODS_APART and (before in _LEADS or not before or not re.match(f"[{_IDEOGRAPH}]", before))
    )
    return free and _GOES_ON.match(text, at + 1) is not None


def _stem(name: str) -> str:
    """What the singular and the plural of a name share: dress(es), batter(y, ies), kni(fe, ves), shoe(s), case(s)."""
    if len(name) < 3 or not (name[-1].isascii() and name[-2].isascii() and name[-2].isalpha()):
        return name
    if name[-1] == "s" and name[-2] != "s":
        name = name[:-1]
    if name.endswith("ie"):
        return name[:-2] + "y"
    if name.endswith(("ve", "fe")):
        return name[:-2] + "f"
    return name[:-1] if name.endswith(("se", "xe", "ze", "che", "she", "oe")) else name


_COMMON_WORDS = """bank box card case day game gift item kid kit line maker man men order pack pad pair part set size
stock top woman women"""
_COMMON = frozenset(_stem(word) for word in _COMMON_WORDS.split())
"""Last words of names that mean something else in talk about service: "in case", "the box was broken", "a pair of"."""
