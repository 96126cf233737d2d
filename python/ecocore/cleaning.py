"""What cleaning leaves out: each rule has a name, a count and an example, and the sum of it all is a report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["CleaningReport", "RuleCount"]


@dataclass(frozen=True)
class RuleCount:
    """How many rows (or what ``unit`` says) a rule left out, what it says, and the first of them."""

    rule: str
    count: int
    meaning: str
    example: dict[str, Any] | None = None
    unit: str = "rows"


@dataclass(frozen=True)
class CleaningReport:
    """Rows read, rows kept, and the rules that account for the difference. Prints as a table.

    A row counts for the first rule that it breaks, in the order of ``rules``. ``notes`` tell how columns were
    understood (units of time, zones) and which rules did not apply.
    """

    source: str
    rows_read: int
    rows_kept: int
    rules: tuple[RuleCount, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def count(self, rule: str) -> int:
        """What the rule of this name left out; 0 where it left nothing out."""
        return sum(r.count for r in self.rules if r.rule == rule)

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "source": self.source,
            "rows_read": self.rows_read,
            "rows_kept": self.rows_kept,
            "rules": [vars(r) for r in self.rules],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        lines = [f"{self.source}: {self.rows_read:,} rows read, {self.rows_kept:,} kept"]
        width = max((len(r.rule) for r in self.rules), default=0)
        digits = max((len(f"{r.count:,}") for r in self.rules), default=0)
        for r in self.rules:
            unit = "" if r.unit == "rows" else f" ({r.unit})"
            lines.append(f"  {r.rule:<{width}}  {r.count:>{digits},}{unit}  {r.meaning}")
            if r.example is not None:
                shown = ", ".join(f"{k}={_short(v)}" for k, v in r.example.items())
                lines.append(f"  {'':<{width}}  {'':>{digits}}  e.g. {shown}")
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def _short(value: Any) -> str:
    text = "missing" if value is None else str(value) if value != "" else "''"
    return text if len(text) <= 60 else text[:57] + "..."
