"""What the feedback says, as one table for people and one object for programs."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from .log import Record

__all__ = ["Report", "report", "wilson"]

_SHOWN = 10


@dataclass(frozen=True)
class Report:
    """Counts and rates over a log. Rates are (value, low, high) with Wilson's 95 % interval, None without a rating."""

    replies: int
    users: int
    rated: int
    helpful: tuple[float, float, float] | None
    asked_back: float
    out_of_scope: float
    handoffs: dict[str, int]
    rephrased: int
    corrections: list[tuple[str, str, int]]
    intents: list[tuple[str, int, int, tuple[float, float, float]]]
    variants: list[tuple[str, str, int, int, float]]
    to_label: list[tuple[str, str, float, int]]

    def __str__(self) -> str:
        lines = [
            f"replies       {self.replies} to {self.users} users, {self.rated} rated",
            "helpful       " + (_rate(self.helpful) if self.helpful else "no thumbs yet"),
            f"asked back    {self.asked_back:.1%}",
            f"out of scope  {self.out_of_scope:.1%}",
            f"rephrased     {self.rephrased}",
            "hand-offs     " + (", ".join(f"{k} {n}" for k, n in self.handoffs.items()) or "none"),
        ]
        if self.intents:
            lines += ["", "intent                    replies  rated  helpful"]
            lines += [f"{name:<24}  {n:7}  {rated:5}  {_rate(rate)}" for name, n, rated, rate in self.intents]
        if self.corrections:
            lines += ["", "understood as             meant                     times"]
            lines += [f"{a:<24}  {b:<24}  {n:5}" for a, b, n in self.corrections]
        if self.variants:
            lines += ["", "answer                            variant   shown  rated  value (SNIPS)"]
            lines += [
                f"{name:<32}  {v:>7}  {n:6}  {rated:5}  {value:.3f}" for name, v, n, rated, value in self.variants
            ]
        if self.to_label:
            lines += ["", "worth labelling (uncertain, asked often)"]
            lines += [f"{p:.2f}  {n:3} x  {intent:<20}  {text}" for text, intent, p, n in self.to_label]
        return "\n".join(lines)


def report(records: Iterable[Record]) -> Report:
    """The report over a log's records."""
    rows = list(records)
    n = max(1, len(rows))
    thumbs = [r.thumb for r in rows if r.thumb is not None]
    by_intent: dict[str, list[Record]] = defaultdict(list)
    by_variant: dict[tuple[str, int], list[Record]] = defaultdict(list)
    unsure: dict[str, list[Record]] = defaultdict(list)
    corrections: Counter[tuple[str, str]] = Counter()
    for r in rows:
        by_intent[r.intent].append(r)
        if len(r.variants) > 1:
            by_variant[f"{r.template}/{r.language}", r.variant].append(r)
        if r.label is not None and r.label != r.intent:
            corrections[r.intent, r.label] += 1
        if r.label is None and r.thumb is None and r.outcome != "sure" and r.text:
            unsure[r.text.casefold()].append(r)
    intents = []
    for name, group in by_intent.items():
        rated = [r.thumb for r in group if r.thumb is not None]
        if rated:
            intents.append((name, len(group), len(rated), wilson(sum(rated), len(rated))))
    intents.sort(key=lambda row: row[3][0])
    variants = []
    for (name, variant), group in sorted(by_variant.items()):
        rated_rows = [r for r in group if r.thumb is not None]
        weights = [1 / r.variants[r.variant] for r in rated_rows]
        value = (
            sum(w for w, r in zip(weights, rated_rows, strict=True) if r.thumb) / sum(weights) if weights else math.nan
        )
        variants.append((name, str(variant), len(group), len(rated_rows), value))
    to_label = sorted(
        ((g[0].text, g[0].intent, g[0].confidence, len(g)) for g in unsure.values()), key=lambda row: (-row[3], row[2])
    )
    return Report(
        len(rows), len({r.user for r in rows}), sum(r.reward is not None for r in rows),
        wilson(sum(thumbs), len(thumbs)) if thumbs else None,
        sum(r.outcome == "ask" for r in rows) / n, sum(r.outcome == "out_of_scope" for r in rows) / n,
        dict(Counter(r.handoff for r in rows if r.handoff).most_common()),
        sum("rephrased" in r.signals for r in rows),
        [(a, b, k) for (a, b), k in corrections.most_common(_SHOWN)], intents[:_SHOWN],
        [v for v in variants if v[3]][: 2 * _SHOWN], to_label[:_SHOWN],
    )  # fmt: skip


def wilson(successes: int, n: int, z: float = 1.96) -> tuple[float, float, float]:
    """A rate with Wilson's score interval (1927)."""
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return p, max(0.0, centre - half), min(1.0, centre + half)


def _rate(rate: tuple[float, float, float]) -> str:
    return f"{rate[0]:.1%} [{rate[1]:.1%}, {rate[2]:.1%}]"
