"""Names of products found in a text: the longest at each place, in time that does not grow with the catalogue."""

from __future__ import annotations

import re
from collections.abc import ItemsView, Iterable
from typing import NamedTuple

from .language import fold

__all__ = ["Match", "NameIndex"]

_START = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]|[^\sA-Za-z0-9]")  # a name starts anywhere but within a word
_KEPT = 4096  # texts whose names are remembered
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
        self._kept: dict[str, tuple[str, ...]] = {}
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
        end = 0
        for start in _START.finditer(folded):
            at = start.start()
            candidates = self._by_start.get(folded[at : at + _KEY]) if at >= end else None
            if candidates is not None and (match := self._longest(candidates, folded, at)) is not None:
                found.append(match)
                end = match.end
        return found

    def kept(self, folded: str) -> tuple[str, ...]:
        """The names in a text that comes again and again, as product names and FAQ answers do: looked for once."""
        found = self._kept.get(folded)
        if found is None:
            if len(self._kept) >= _KEPT:
                self._kept = {}  # one assignment: threads that read the old one meanwhile are right as well
            found = self._kept[folded] = tuple(match.name for match in self.find(folded))
        return found

    def _longest(self, candidates: list[str], text: str, at: int) -> Match | None:
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
