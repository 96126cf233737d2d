"""What a training did: figures per epoch, what was counted, and the curve as an SVG that any browser shows."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import svg

__all__ = ["EpochReport", "TrainingReport", "show"]


@dataclass(frozen=True)
class EpochReport:
    epoch: int
    loss: float  # mean over the training positions
    recall: float | None  # recall@k of the held-out events, all items ranked; None: nothing was held out
    mrr: float | None  # MRR@k of the same
    seconds: float  # of training, without the evaluation
    k: int  # of recall and MRR

    def __str__(self) -> str:
        quality = (
            "" if self.mrr is None else f"  held out: recall@{self.k} {self.recall:.4f}  MRR@{self.k} {self.mrr:.4f}"
        )
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
    best_epoch: int  # the one whose weights were exported
    interrupted: bool
    seconds: float

    def __str__(self) -> str:
        state = "interrupted, " if self.interrupted else ""
        best = next(e for e in self.epochs if e.epoch == self.best_epoch)
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
        panels = [svg.line_panel(i, *curve) for i, curve in enumerate(curves)]
        label = ", ".join(title for title, _, _ in curves) + " by epoch"
        return svg.document(320 * len(panels), 240, "".join(panels), label, background="white") + "\n"


def show(text: str, end: str = "") -> None:
    """A line of progress on stderr; where that is a terminal, over the line before it that had no end."""
    start = "\r" if sys.stderr.isatty() else ""
    print(f"{start}{text:<78}", end=end, file=sys.stderr, flush=True)
