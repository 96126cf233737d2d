"""Names of products found in a text: the longest at each place, in time that does not grow with the catalogue."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable
from typing import NamedTuple

from .language import fold

__all__ = ["Match", "NameIndex"]

_KEY = 2  # names are looked up by their first two characters; no product has a shorter name


class Match(NamedTuple):
    """A name in a (folded) text: the ids of the products so called, and characters ``start`` to ``end``."""

    name: str
    ids: tuple[str, ...]
    start: int
    end: int


class NameIndex:
    """An index over (name, product id). It does not change; any number of threads may use it."""

    def __init__(self, names: Iterable[tuple[str, str]]) -> None:
        ids: dict[str, list[str]] = {}
        for name, product in names:
            key = fold(name).strip()
            if len(key) >= _KEY and product not in ids.setdefault(key, []):
                ids[key].append(product)
        self._ids = {name: tuple(found) for name, found in ids.items()}
        self._by_start: dict[str, list[str]] = {}
        for name in sorted(self._ids, key=len, reverse=True):
            self._by_start.setdefault(name[:_KEY], []).append(name)

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, folded: object) -> bool:
        return folded in self._ids

    def items(self) -> ItemsView[str, tuple[str, ...]]:
        """The (folded) names, each with the ids of the products so called."""
        return self._ids.items()

    def find(self, folded: str) -> list[Match]:
        """The names in a text that ``fold`` was applied to, from left to right, without overlap. An English name ends
        where a word ends, a plural s allowed."""
        found: list[Match] = []
        at = 0
        while at < len(folded) - 1:
            match = self._at(folded, at)
            if match is None:
                at += 1
            else:
                found.append(match)
                at = match.end
        return found

    def _at(self, text: str, at: int) -> Match | None:
        candidates = self._by_start.get(text[at : at + _KEY])
        if candidates is None or not _starts_word(text, at):
            return None
        for name in candidates:
            if not text.startswith(name, at):
                continue
            end = at + len(name)
            if _is_latin(name[-1]) and end < len(text) and _is_latin(text[end]):
                if text[end] != "s" or (end + 1 < len(text) and _is_latin(text[end + 1])):
                    continue
                return Match(name, self._ids[name], at, end + 1)
            return Match(name, self._ids[name], at, end)
        return None


def _is_latin(c: str) -> bool:
    return c.isascii() and c.isalnum()


def _starts_word(text: str, at: int) -> bool:
    """Whether a name can start here: anywhere but within an English word or at a blank."""
    return not (text[at].isspace() or (at and _is_latin(text[at]) and _is_latin(text[at - 1])))
