"""Plain-text output: tables, headings, and a line that shows that something long is going on."""

from __future__ import annotations

import sys
import threading
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
    """Says on stderr what is being done, on a terminal with the seconds running, and how long it took."""
    sys.stdout.flush()  # so that what was printed before stands before
    start = time.perf_counter()
    done = threading.Event()

    def tick() -> None:
        while True:
            print(f"\r{text} ... {time.perf_counter() - start:.0f} s", end="", file=sys.stderr, flush=True)
            if done.wait(1.0):
                return

    live = sys.stderr.isatty()
    ticker = threading.Thread(target=tick, daemon=True)
    if live:
        ticker.start()
    try:
        yield
    finally:
        done.set()
        if live:
            ticker.join()
            print("\r\033[K", end="", file=sys.stderr, flush=True)
    print(f"{text}: {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
