"""Small charts as SVG text: no library, no script, readable in light and dark, named for those who do not see them.

Each function returns one ``<svg>`` element. Colours are CSS variables with a fallback, so that a page may set them
(``--mark``, ``--rest``, ``--line``) and a file that stands alone looks right as well; text takes the page's colour.
Whatever text is given is escaped here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

__all__ = ["MARK", "bars", "columns", "document", "heat", "line_panel"]

MARK = "var(--mark,#2563a8)"  # what is looked at
REST = "var(--rest,#b4582a)"  # what it is compared with
LINE = "var(--line,#8a8f98)"  # axes

_CHARACTER = 6.6  # average width of a character at 12 px, px
_AXIS = 18  # height of a line of labels, px


def document(width: float, height: float, body: str, label: str, *, background: str | None = None) -> str:
    """The element itself. ``label`` says in words what the chart shows."""
    paper = f'<rect width="100%" height="100%" fill="{background}"/>' if background else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}"'
        f' viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}"'
        f' font-family="system-ui, sans-serif" font-size="12" fill="currentColor">{paper}{body}</svg>'
    )


def bars(
    rows: Sequence[tuple[str, float, float | None, str]],
    label: str,
    *,
    width: int = 560,
    names: int = 200,
) -> str:
    """Horizontal bars: (name, value, what it is compared with, text beside the bar) a row; what it is compared with is
    a stroke across the bar. A name that is too long is cut, and whole in its tooltip."""
    row, thick = 26, 14
    room = width - names - 16 - _CHARACTER * max((len(text) for *_, text in rows), default=0)
    most = max((max(value, other or 0.0) for _, value, other, _ in rows), default=0.0) or 1.0
    parts = []
    for i, (name, value, other, text) in enumerate(rows):
        y = i * row + 6
        long = max(0.0, room * value / most)
        fits = int(names / _CHARACTER) - 1
        short = name if len(name) <= fits else f"{name[: fits - 1]}…"
        parts.append(
            f"<g><title>{escape(name)}: {escape(text)}</title>"
            f'<text x="{names - 10}" y="{y + 11}" text-anchor="end">{escape(short)}</text>'
            f'<rect x="{names}" y="{y}" width="{long:.1f}" height="{thick}" rx="2" fill="{MARK}"/>'
        )
        at = names + long
        if other is not None:
            x = names + room * max(other, 0.0) / most
            parts.append(f'<path d="M{x:.1f} {y - 3}v{thick + 6}" stroke="{REST}" stroke-width="2.5"/>')
            at = max(at, x)
        parts.append(f'<text x="{at + 8:.1f}" y="{y + 11}">{escape(text)}</text></g>')
    return document(width, max(len(rows), 1) * row + 4, "".join(parts), label)


def columns(
    values: Sequence[float],
    names: Sequence[str],
    label: str,
    *,
    show: Callable[[float], str],
    compared: Sequence[float] | None = None,
    every: int = 1,
    width: int = 560,
    height: int = 130,
) -> str:
    """Upright columns, with the name of each ``every``-th below; ``compared`` are strokes across them."""
    others = [0.0] * len(values) if compared is None else list(compared)
    most = max([*values, *others], default=0.0) or 1.0
    edge = 12  # so that the first and the last name have room
    step = (width - 2 * edge) / max(len(values), 1)
    base, room = height - _AXIS, height - _AXIS - 6
    parts = []
    for i, (value, other, name) in enumerate(zip(values, others, names, strict=True)):
        tall = room * max(value, 0.0) / most
        left = edge + i * step
        x, w = left + 0.14 * step, 0.72 * step
        parts.append(
            f"<g><title>{escape(name)}: {escape(show(value))}</title>"
            f'<rect x="{left:.1f}" y="0" width="{step:.1f}" height="{base}" fill="none" pointer-events="all"/>'
            f'<rect x="{x:.1f}" y="{base - tall:.1f}" width="{w:.1f}" height="{tall:.1f}" rx="1.5" fill="{MARK}"/>'
        )
        if compared is not None:
            y = base - room * max(other, 0.0) / most
            parts.append(f'<path d="M{left + 1:.1f} {y:.1f}h{step - 2:.1f}" stroke="{REST}" stroke-width="2"/>')
        if i % every == 0:
            parts.append(f'<text x="{x + w / 2:.1f}" y="{height - 3}" text-anchor="middle">{escape(name)}</text>')
        parts.append("</g>")
    axis = f'<path d="M0 {base + 0.5}H{width}" stroke="{LINE}"/>'
    return document(width, height, "".join(parts) + axis, label)


def heat(
    table: Sequence[Sequence[float]],
    row_names: Sequence[str],
    column_names: Sequence[str],
    label: str,
    *,
    show: Callable[[float], str],
    write: bool = False,
    every: int = 1,
    width: int = 560,
    cell: int = 22,
    names: int = 44,
) -> str:
    """A grid whose cells are the fuller, the larger their value; with ``write`` the values stand in them."""
    most = max((value for row in table for value in row), default=0.0) or 1.0
    step = (width - names) / max(len(column_names), 1)
    parts = []
    for r, (row, row_name) in enumerate(zip(table, row_names, strict=True)):
        y = r * cell
        parts.append(f'<text x="{names - 8}" y="{y + cell / 2 + 4}" text-anchor="end">{escape(row_name)}</text>')
        for c, value in enumerate(row):
            x, share = names + c * step, max(value, 0.0) / most
            parts.append(
                f"<g><title>{escape(row_name)}, {escape(column_names[c])}: {escape(show(value))}</title>"
                f'<rect x="{x + 1:.1f}" y="{y + 1}" width="{step - 2:.1f}" height="{cell - 2}" rx="2" fill="{MARK}"'
                f' fill-opacity="{0.06 + 0.94 * share:.3f}"/>'
            )
            if write:
                # On a full cell the paper's colour, on a pale one the page's.
                ink = ' fill="var(--paper,#fff)"' if share > 0.7 else ""
                parts.append(
                    f'<text x="{x + step / 2:.1f}" y="{y + cell / 2 + 4}" text-anchor="middle"'
                    f' font-weight="600"{ink}>{escape(show(value))}</text>'
                )
            parts.append("</g>")
    height = len(row_names) * cell + _AXIS
    for c, name in enumerate(column_names):
        if c % every == 0:
            x = names + (c + 0.5) * step
            parts.append(f'<text x="{x:.1f}" y="{height - 3}" text-anchor="middle">{escape(name)}</text>')
    return document(width, height, "".join(parts), label)


def line_panel(
    place: int, title: str, colour: str, values: Sequence[float], *, width: int = 320, height: int = 240
) -> str:
    """The body of a curve over 1, 2, 3, ..., the ``place``-th of several side by side, for :func:`document`."""
    margin = 44
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    span = high - low or 1.0
    x0, y0 = place * width + margin, height - margin
    across, tall = width - 1.5 * margin, height - 2 * margin
    points = [
        (x0 + across * i / max(len(values) - 1, 1), y0 - tall * (value - low) / span) for i, value in enumerate(values)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in points)
    return (
        f'<text x="{x0}" y="24">{escape(title)}</text>'
        f'<path d="M{x0} {margin}V{y0}H{x0 + across:.0f}" fill="none" stroke="#888"/>'
        f'<text x="{x0 - 4}" y="{margin + 4}" text-anchor="end">{high:.3g}</text>'
        f'<text x="{x0 - 4}" y="{y0}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{x0}" y="{y0 + 16}">epoch 1</text>'
        f'<text x="{x0 + across:.0f}" y="{y0 + 16}" text-anchor="end">{len(values)}</text>'
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'
    )
