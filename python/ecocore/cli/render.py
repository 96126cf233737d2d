"""Plain-text output: tables, headings, and a line that shows that something long is going on."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


def heading(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}")


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns padded to their widest cell; numbers to the right, text to the left."""
    cells = [list(header)] + [[_cell(v) for v in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    right = [bool(rows) and all(isinstance(row[i], (int, float)) for row in rows) for i in range(len(header))]

    def line(row: list[str]) -> str:
        padded = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True))
        return "  ".join(padded).rstrip()

    return "\n".join(line(row) for row in cells)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Says what is being done before it is done, and how long it took afterwards."""
    live = sys.stderr.isatty()
    if live:
        print(f"{text} ...", end="", file=sys.stderr, flush=True)
    start = time.perf_counter()
    yield
    done = f"{text}: {time.perf_counter() - start:.1f} s"
    print(f"\r{done}\033[K" if live else done, file=sys.stderr, flush=True)
