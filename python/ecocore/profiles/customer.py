"""The profile of one customer: plain facts, as text and for JSON."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..shop import Product
from ..times import format_time

__all__ = ["RFM", "WEEKDAYS", "Interest", "Month", "NextPurchase", "PriceBand", "Profile", "Rhythm"]

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class Interest:
    """A category beside the shop's average. Events count half as much after each half-life."""

    category: str
    share: float
    """Of the customer's events."""
    average: float
    """Of all the shop's events."""
    lift: float
    """share / average."""
    affinity: float
    """share * log(share / average), in nats: what sets the customer apart, neither what all buy nor what was met once.
    Over all categories it adds up to the Kullback-Leibler divergence from the average."""
    spend_share: float | None = None
    """Of what the customer paid, decayed likewise; None without prices."""
    probability: float | None = None
    """Share of the behaviour model's probability that falls on the items of this category; None without a model."""


@dataclass(frozen=True)
class PriceBand:
    """How dear the goods are that the customer chooses, within each category: a price is compared with what is sold
    there only. Categories in which all costs the same do not count."""

    band: str
    """"cheap", "middle" or "dear": the third of the prices that most purchases fall into."""
    level: float
    """Mean quantile of the prices, 0 (cheapest) to 1; over the whole shop it is one half."""
    cheap: float
    middle: float
    dear: float
    """Shares of the purchases in each third."""
    purchases: int


@dataclass(frozen=True)
class Rhythm:
    """When the customer comes. A visit is a day, in the shop's zone, with an event."""

    visits: int
    weekdays: tuple[float, ...]
    """Share of visits on Monday to Sunday."""
    average_weekdays: tuple[float, ...]
    hours: tuple[float, ...]
    """Share of visit hours from 0 to 23; empty where the log has only dates."""
    average_hours: tuple[float, ...]
    silent_days: int
    """Since the last visit."""
    typical_gap_days: float | None
    """Median of the days from visit to visit; None before the second visit."""
    late_gap_days: float | None
    """Nine in ten of the customer's own gaps were no longer; below ten gaps, none was."""
    expected: str | None
    """The last visit plus the typical gap, as a date; half a day is cut."""
    status: str
    """"early" before the expected day, "due" from it, "overdue" when the silence is longer than ``late_gap_days``;
    "unknown" below three gaps."""


@dataclass(frozen=True)
class RFM:
    """Recency, frequency and monetary value with their fifths among all who bought, 5 the best (see ``rfm.py``)."""

    recency_days: float
    """Since the last purchase."""
    orders: int
    spend: float | None
    recency: int
    frequency: int
    monetary: int | None
    segment: str


@dataclass(frozen=True)
class Month:
    month: str
    orders: int
    spend: float | None


@dataclass(frozen=True)
class NextPurchase:
    """A product that is likely to be bought next.

    ``basis``: "model", and ``score`` is as in :meth:`ecocore.BehaviorModel.recommend`; or "repeat", and it is the
    number of days on which it was bought, each counting half after a half-life. ``due``: the date of the last purchase
    plus the median gap between the days of purchase, for what was bought on two days or more.
    """

    product: Product
    basis: str
    score: float
    days_bought: int = 0
    last_bought: str | None = None
    typical_gap_days: float | None = None
    due: str | None = None


@dataclass(frozen=True)
class Profile:
    """One customer, as :meth:`ecocore.Profiles.profile` found them; times are microseconds since 1970 UTC."""

    customer: int | str
    now: int
    today: str
    """The date of ``now`` in the shop's zone."""
    first: int
    last: int
    events: int
    orders: int
    spend: float | None
    average_order: float | None
    """Paid per order."""
    rfm: RFM | None
    """None for someone who has not bought yet."""
    interests: tuple[Interest, ...]
    """By affinity, the highest first: the strongest, and with a model also those that it expects most."""
    prices: PriceBand | None
    """None without prices or without categories."""
    rhythm: Rhythm
    months: tuple[Month, ...]
    """From the first month to that of ``now``, the last 24 at most."""
    next_purchases: tuple[NextPurchase, ...]
    repeats: tuple[NextPurchase, ...]
    """What was bought on three days or more, by weight."""

    @property
    def predicted(self) -> bool:
        """Are the next purchases a model's?"""
        return any(x.basis == "model" for x in self.next_purchases)

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return asdict(self)

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Writes a page with plots: one file, no script, nothing fetched."""
        from .report import customer_page, write

        write(path, customer_page(self))

    def __str__(self) -> str:
        span = f"{format_time(self.first)[:10]} to {format_time(self.last)[:10]}"
        counts = f"{self.events:,} events, {self.rhythm.visits:,} visits, {self.orders:,} orders"
        lines = [f"customer {self.customer}: {counts}, {span}"]
        if self.spend is not None:
            each = "" if self.average_order is None else f", {self.average_order:,.2f} an order"
            lines.append(f"spend: {self.spend:,.2f}{each}")
        if self.rfm is None:
            lines.append("segment: no purchase yet")
        else:
            r = self.rfm
            money = "" if r.monetary is None else f", monetary {r.monetary}"
            lines.append(
                f"segment: {r.segment} (recency {r.recency}, frequency {r.frequency}{money} of 5;"
                f" last purchase {r.recency_days:,.0f} days ago)"
            )
        lines.append(f"rhythm: {rhythm_text(self.rhythm)}")
        if self.prices is not None:
            p = self.prices
            lines.append(
                f"prices: {p.cheap:.0%} cheap, {p.middle:.0%} middle, {p.dear:.0%} dear within their categories"
                f" (mean quantile {p.level:.2f})"
            )
        if self.interests:
            lines.append("interests, beside the shop's average:")
            for x in self.interests:
                spent = "" if x.spend_share is None else f", {x.spend_share:.1%} of spend"
                model = "" if x.probability is None else f", next with probability {x.probability:.1%}"
                lines.append(
                    f"  {x.category[:32]:<32}  {x.share:6.1%} of events ({x.lift:.1f} x average){spent}{model}"
                )
        repeats = self.repeats if self.predicted else ()  # else they were named already
        for title, found in (("likely next", self.next_purchases), ("bought again and again", repeats)):
            if found:
                lines.append(f"{title}:")
                lines += [f"  {purchase_text(x)}" for x in found]
        return "\n".join(lines)


def rhythm_text(r: Rhythm) -> str:
    """The rhythm in a sentence."""
    ago = days_text(r.silent_days) + " ago"
    if r.typical_gap_days is None:
        return f"one visit, {ago}"
    usual = f"comes every {days_text(r.typical_gap_days)}, was here {ago}"
    if r.status == "unknown":
        return f"{usual}; too few visits to judge"
    return f"{usual}: {r.status}, expected {r.expected}"


def date_text(day: float) -> str:
    """A day since 1970 as a date; fractions are cut."""
    return str(np.datetime64(int(np.floor(day)), "D"))


def days_text(days: float) -> str:
    return f"{days:,g} day{'' if days == 1 else 's'}"


def purchase_text(x: NextPurchase) -> str:
    name = x.product.name or str(x.product.item)
    if not x.days_bought:
        return f"{name}: not bought yet"
    times = "once" if x.days_bought == 1 else f"on {x.days_bought:,} days"
    again = "" if x.typical_gap_days is None else f", every {days_text(x.typical_gap_days)}, due {x.due}"
    return f"{name}: bought {times}, last {x.last_bought}{again}"
