"""Which lines of a CSV file make its rows, found without the CSV reader, to hold the reader to account.

A quote that is never closed makes a reader take what follows, up to the next quote or the end, for one field, and rows
would be lost in silence. Here such a quote costs the line that it stands in and no other.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

__all__ = ["CsvLines", "examine_csv"]

MAX_ROW = 2_000_000  # bytes of a row, which is also the reader's limit
_SWALLOWED = 8  # lines inside one text, each with as many columns as the header, that are rows and no text


@dataclass
class CsvLines:
    """``rows`` below the header, bad ones included; ``bad``: the line numbers (from 1) that are no row, and why.

    ``broken`` rows hold line breaks within quotes; the ``longest`` of them (lines) starts at line ``longest_at``.
    """

    rows: int = 0
    bad: dict[int, str] = field(default_factory=dict)
    first_bad: bytes = b""
    broken: int = 0
    longest: int = 0
    longest_at: int = 0

    def add_bad(self, at: int, line: bytes, why: str) -> None:
        if not self.bad:
            self.first_bad = line
        self.bad[at] = why


class _Grammar:
    """The rows of CSV as the reader takes them: blanks may stand around quotes, a doubled quote stands for one."""

    def __init__(self, sep: bytes) -> None:
        s, blanks = re.escape(sep), b"" if sep == b" " else b" *"
        self.sep = sep
        inner = rb'[^"]*(?:""[^"]*)*'
        plain = rb"[^\r\n" + s + rb"]*" if len(sep) == 1 else rb"(?:(?!" + s + rb")[^\r\n])*"
        value = rb"(?:" + blanks + rb'"' + inner + rb'"' + blanks + rb"|(?!" + blanks + rb'")' + plain + rb")"
        more = rb"(?:" + s + value + rb")*"
        opened, end = blanks + rb'"' + inner, rb"\r*\n?"
        self.value = re.compile(value)
        self.row = re.compile(value + more + end)  # a whole row
        self.opens = re.compile(rb"(?:" + value + s + rb")*" + opened)  # a row whose last quote stays open
        self.goes_on = re.compile(inner)  # within quotes, and still so at the end
        self.closes = re.compile(inner + rb'"' + blanks + more + end)
        self.reopens = re.compile(inner + rb'"' + blanks + more + s + opened)

    def split(self, row: bytes) -> list[bytes]:
        values, at = [], 0
        while (m := self.value.match(row, at)) is not None:
            values.append(m.group())
            at = m.end() + len(self.sep)
            if not row.startswith(self.sep, m.end()):
                break
        return values


def examine_csv(lines: Iterable[bytes], sep: bytes, width: int, one_line: Collection[int]) -> CsvLines:
    """Looks at the lines of a file, the first of which is the header of ``width`` columns.

    A line whose quote stays open begins a row of several lines only if the quotes close properly, the row has the
    header's width, no column of ``one_line`` (such as ids) holds a line break, and the lines within are not rows
    themselves. Otherwise that line alone is bad.
    """
    grammar, out = _Grammar(sep), CsvLines()
    numbered = enumerate(lines, 1)
    next(numbered, None)
    again: deque[tuple[int, bytes]] = deque()  # lines looked at for a quote that was not to be closed

    def take() -> tuple[int, bytes] | None:
        return again.popleft() if again else next(numbered, None)

    while (entry := take()) is not None:
        at, line = entry
        if not line.strip(b"\r\n"):
            continue
        out.rows += 1
        if (b'"' not in line and b"\r" not in line) or grammar.row.fullmatch(line):
            continue
        if not grammar.opens.fullmatch(line):
            out.add_bad(at, line, "a quote or a carriage return where none can be")
            continue
        row, why = _close(entry, take, grammar)
        why = why or _doubt(row, grammar, width, one_line)
        if why:
            out.add_bad(at, line, why)
            again.extendleft(reversed(row[1:]))
        else:
            out.broken += 1
            if len(row) > out.longest:
                out.longest, out.longest_at = len(row), at
    return out


def _close(
    entry: tuple[int, bytes], take: Callable[[], tuple[int, bytes] | None], grammar: _Grammar
) -> tuple[list[tuple[int, bytes]], str]:
    """The lines up to the one that closes the row, or as many as were looked at and why they do not."""
    row, size = [entry], len(entry[1])
    while (following := take()) is not None:
        row.append(following)
        size += len(following[1])
        if size > MAX_ROW:
            return row, f"a quote that is not closed within {MAX_ROW} bytes"
        line = following[1]
        if grammar.goes_on.fullmatch(line):
            continue
        if grammar.closes.fullmatch(line):
            return row, ""
        if not grammar.reopens.fullmatch(line):
            break
    return row, "a quote that is not closed"


def _doubt(row: list[tuple[int, bytes]], grammar: _Grammar, width: int, one_line: Collection[int]) -> str:
    values = grammar.split(b"".join(line for _, line in row))
    if len(values) != width:
        return f"a quote closed in line {row[-1][0]} makes {len(values)} columns of {width}"
    if any(b"\n" in values[column] for column in one_line):
        return f"a quote closed in line {row[-1][0]} makes an id or number of several lines"
    within = row[1:-1]
    if width > 2 and len(within) >= _SWALLOWED and all(x.count(grammar.sep) == width - 1 for _, x in within):
        return f"a quote closed in line {row[-1][0]} would take in {len(within)} rows"
    return ""
