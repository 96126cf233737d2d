"""A customer who says the same thing again in other words was not helped the first time."""

from __future__ import annotations

import re

from ..assistant.language import fold

__all__ = ["is_rephrasing"]

_SIMILAR = 0.45
_FIGURES = re.compile(r"[a-z]*\d[a-z\d-]*")
_POLITE = re.compile(
    r"\b(?:please|pls|hello|hi|hey|can you|could you|i said|thanks)\b|请问|请|您好|你好|麻烦|帮我|谢谢|我说"
)


def is_rephrasing(before: str, after: str) -> bool:
    """Whether ``after`` asks the same as ``before``: similar letters (Dice over pairs, 0.45 and more), and no other
    order, amount or date. The same question about another order is a new question."""
    before, after = _POLITE.sub(" ", fold(before)), _POLITE.sub(" ", fold(after))
    figures = set(_FIGURES.findall(before)), set(_FIGURES.findall(after))
    if figures[0] and figures[1] and figures[0] != figures[1]:
        return False
    return _dice(_FIGURES.sub("", before), _FIGURES.sub("", after)) >= _SIMILAR


def _dice(a: str, b: str) -> float:
    pairs = _pairs(a), _pairs(b)
    total = len(pairs[0]) + len(pairs[1])
    return 2 * len(pairs[0] & pairs[1]) / total if total else 0.0


def _pairs(text: str) -> set[str]:
    plain = re.sub(r"[\W_]+", "", text)
    return {plain[i : i + 2] for i in range(len(plain) - 1)}
