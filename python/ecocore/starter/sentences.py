"""The text format of training sentences: a list a shopkeeper can edit, expanded into labelled examples.

    # a comment
    [order_status]
    where is my (order|parcel)              two sentences
    where is order {order_id}               one for each of some values of the slot, with its place marked
    is the [rain jacket](product) in yet    a value written out

A slot or a marked value cannot stand inside of ``(a|b)``: write a line for each.

A file is UTF-8. The expansion is deterministic: the same files give the same examples in the same order.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ..errors import FormatError

__all__ = ["Example", "SlotSpan", "expand", "read_sections"]

_HEADER = re.compile(r"\[(\w+)\]")
_PIECE = re.compile(r"\(([^()]*\|[^()]*)\)|\{(\w+)\}|\[([^\]]+)\]\((\w+)\)")


class SlotSpan(NamedTuple):
    """Where a slot's value stands in a text: characters ``start`` to ``end`` (exclusive)."""

    name: str
    start: int
    end: int


class Example(NamedTuple):
    """A labelled sentence."""

    text: str
    intent: str
    slots: tuple[SlotSpan, ...] = ()


def read_sections(text: str, origin: str) -> dict[str, list[str]]:
    """The sentences under each ``[header]``, in order.

    Raises:
        FormatError: a sentence before the first header, or a header that comes twice; names ``origin`` and the line.
    """
    sections: dict[str, list[str]] = {}
    current: list[str] | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if header := _HEADER.fullmatch(line):
            if header[1] in sections:
                raise FormatError(f"{origin}, line {number}: section [{header[1]}] comes twice; join the two")
            current = sections[header[1]] = []
        elif current is None:
            raise FormatError(f"{origin}, line {number}: expected an [intent] before the first sentence; got {line!r}")
        else:
            current.append(line)
    return sections


def expand(
    sentences: Sequence[str], intent: str, values: Mapping[str, Sequence[str]], origin: str, fillings: int = 3
) -> Iterator[Example]:
    """Every alternative of every sentence; where it has slots, ``fillings`` times with other values each time.

    Values are dealt in turn, so that each is used about equally often. They are never drawn at random.

    Raises:
        FormatError: a slot that ``values`` lacks, or one inside of alternatives; names ``origin`` and the sentence.
    """
    dealt = {name: itertools.count() for name in values}
    for sentence in sentences:
        pieces = _pieces(sentence, values, origin)
        times = fillings if any(kind == "slot" for kind, *_ in pieces) else 1
        for choice in itertools.product(*(p[1] for p in pieces if p[0] == "any")):
            for _ in range(times):
                yield _fill(pieces, iter(choice), values, dealt, intent)


def _pieces(sentence: str, values: Mapping[str, Sequence[str]], origin: str) -> list[tuple[str, list[str], str]]:
    """The sentence as (kind, texts, slot name): kind "any" of the texts, "slot" from the values, "is" a fixed value."""
    pieces: list[tuple[str, list[str], str]] = []
    at = 0
    for match in _PIECE.finditer(sentence):
        pieces.append(("any", [sentence[at : match.start()]], ""))
        alternatives, slot, value, value_slot = match.groups()
        for name in filter(None, (slot, value_slot)):
            if name not in values:
                raise FormatError(f"{origin}: no slot {name!r} in slots.json, used in {sentence!r}")
        if alternatives is not None:
            pieces.append(("any", alternatives.split("|"), ""))
        elif slot is not None:
            pieces.append(("slot", [], slot))
        else:
            pieces.append(("is", [value], value_slot))
        at = match.end()
    pieces.append(("any", [sentence[at:]], ""))
    if any(c in text for kind, texts, _ in pieces if kind == "any" for text in texts for c in "{}|"):
        raise FormatError(
            f"{origin}: expected {{slot}} and [text](slot) outside of (a|b); got {sentence!r}; write a line for each"
        )
    return pieces


def _fill(
    pieces: list[tuple[str, list[str], str]],
    choice: Iterator[str],
    values: Mapping[str, Sequence[str]],
    dealt: Mapping[str, Iterator[int]],
    intent: str,
) -> Example:
    text = ""
    slots: list[SlotSpan] = []
    for kind, texts, name in pieces:
        if kind == "any":
            part = next(choice)
            # An empty alternative leaves a double blank or one at the start.
            text = (text + part).replace("  ", " ") if part else text
            continue
        value = texts[0] if kind == "is" else values[name][next(dealt[name]) % len(values[name])]
        slots.append(SlotSpan(name, len(text), len(text) + len(value)))
        text += value
    lead = len(text) - len(text.lstrip())
    shifted = tuple(SlotSpan(s.name, s.start - lead, s.end - lead) for s in slots)
    return Example(text.strip(), intent, shifted)
