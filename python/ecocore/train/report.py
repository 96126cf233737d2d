"""What a training did: figures per epoch, what was counted, and the curve as an SVG that any browser shows."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["EpochReport", "TrainingReport", "show"]


@dataclass(frozen=True)
class EpochReport:
    epoch: int
    loss: float  # mean over the training positions
    recall: float | None  # recall@k of the held-out events, all items ranked; None: nothing was held out
    mrr: float | None  # MRR@k of the same
    seconds: float  # of training, without the evaluation

    def __str__(self) -> str:
        quality = "" if self.mrr is None else f"  held out: recall {self.recall:.4f}  MRR {self.mrr:.4f}"
        return f"epoch {self.epoch}  loss {self.loss:.4f}{quality}  {self.seconds:.1f} s"


@dataclass(frozen=True)
class TrainingReport:
    path: Path  # of the model folder
    sequences: int
    events: int
    items: int  # in the vocabulary
    unknown_events: int  # events of items below min_count, which became the out-of-vocabulary row
    held_out_events: int
    k: int  # of recall and MRR
    epochs: tuple[EpochReport, ...]
    best_epoch: int  # the one whose weights were exported; 0: none was finished
    interrupted: bool
    seconds: float

    def __str__(self) -> str:
        state = "interrupted, " if self.interrupted else ""
        best = next((str(e) for e in self.epochs if e.epoch == self.best_epoch), "no epoch was finished")
        return (
            f"{self.sequences} sequences, {self.events} events, {self.items} items ({self.unknown_events} events of"
            f" rarer ones); {state}kept {best}; {self.seconds:.1f} s in all -> {self.path}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything but the path, ready for JSON."""
        out = asdict(self)
        del out["path"]
        out["epochs"] = [asdict(e) for e in self.epochs]
        return out

    def to_svg(self) -> str:
        """The loss and, where events were held out, recall and MRR by epoch."""
        curves = [("training loss", "#b04020", [e.loss for e in self.epochs])]
        if self.epochs and self.epochs[0].mrr is not None:
            curves.append((f"held-out recall@{self.k}", "#2060b0", [e.recall or 0.0 for e in self.epochs]))
            curves.append((f"held-out MRR@{self.k}", "#208050", [e.mrr or 0.0 for e in self.epochs]))
        panels = [_panel(i, *curve) for i, curve in enumerate(curves)]
        width = _WIDTH * len(panels)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{_HEIGHT}"'
            f' viewBox="0 0 {width} {_HEIGHT}" font-family="sans-serif" font-size="12">'
            '<rect width="100%" height="100%" fill="white"/>' + "".join(panels) + "</svg>\n"
        )


_WIDTH, _HEIGHT, _MARGIN = 320, 240, 44


def _panel(place: int, title: str, colour: str, values: list[float]) -> str:
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    span = high - low or 1.0
    x0, y0 = place * _WIDTH + _MARGIN, _HEIGHT - _MARGIN
    width, height = _WIDTH - 1.5 * _MARGIN, _HEIGHT - 2 * _MARGIN
    points = [
        (x0 + width * i / max(len(values) - 1, 1), y0 - height * (value - low) / span) for i, value in enumerate(values)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in points)
    return (
        f'<text x="{x0}" y="24">{title}</text>'
        f'<path d="M{x0} {_MARGIN}V{y0}H{x0 + width:.0f}" fill="none" stroke="#888"/>'
        f'<text x="{x0 - 4}" y="{_MARGIN + 4}" text-anchor="end">{high:.3g}</text>'
        f'<text x="{x0 - 4}" y="{y0}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{x0}" y="{y0 + 16}">epoch 1</text>'
        f'<text x="{x0 + width:.0f}" y="{y0 + 16}" text-anchor="end">{len(values)}</text>'
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'
    )


def show(text: str, end: str = "") -> None:
    """A line of progress on stderr; where that is a terminal, over the line before it that had no end."""
    start = "\r" if sys.stderr.isatty() else ""
    print(f"{start}{text:<78}", end=end, file=sys.stderr, flush=True)
