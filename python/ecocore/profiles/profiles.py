"""All customers of a log: the table of their measures, the segments, and the way to each one's profile."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..arrays import as_count, describe
from ..errors import InvalidArgument
from ..events import Events
from ..shop import Product
from ..times import DAY, as_duration, as_time, format_time
from .customer import Profile, date_text
from .measures import MIN_GAPS, Items, Log, affinity, customer_measures, item_measures, shares, tastes
from .portrait import portrait
from .rfm import NO_PURCHASE, SEGMENTS, quintiles, segments

if TYPE_CHECKING:
    from ..behavior import BehaviorModel
    from ..catalogue import Catalogue

__all__ = ["Profiles", "Segment"]

_TOP = 3  # categories named of each segment


@dataclass(frozen=True)
class Segment:
    """The customers of one segment; what the log does not tell of them is None or empty."""

    name: str
    customers: int
    share: float
    """Of all customers."""
    orders: int
    spend: float | None
    spend_share: float | None
    average_order: float | None
    """Paid per order."""
    recency_days: float | None
    """Median days since the last purchase."""
    overdue: float | None
    """Share of those whose rhythm is known that have been silent for longer than nine in ten of their own gaps."""
    interests: tuple[str, ...]
    """The categories that set the segment apart from the shop's average."""


class Profiles:
    """What a shop reads of its customers, from their events.

    Args:
        events: a log with times; it must stay open as long as profiles are asked for. Views and other events count for
            interests and visits, purchases for all that is about orders and money.
        catalogue: names and categories of items; categories are taken from the log where it has them.
        model: a model over the items of this log; profiles then tell what it expects next. Without one they tell what
            the customer buys again and again.
        half_life: an event tells half as much of interests after each such span.
        now: what recency is counted to, by default the time of the latest event.
        time_zone: of days and hours.
        purchases: the event types that are purchases, by default as in :meth:`ecocore.Events.summary`.

    Each customer is one row of ``table``, by the order of ``customers``: columns of NumPy arrays, masked where a value
    does not exist. ``segments`` sums them up. Memory grows with customers and items (about 200 bytes a customer), not
    with events. Like Events, not for use from several threads at once.

    Raises InvalidArgument for a log without times or events, and for a model that knows none of its items.
    """

    def __init__(
        self,
        events: Events,
        catalogue: Catalogue | None = None,
        *,
        model: BehaviorModel | None = None,
        half_life: Any = "90d",
        now: Any = None,
        time_zone: str = "UTC",
        purchases: Sequence[str] | None = None,
    ) -> None:
        if not isinstance(events, Events):
            raise InvalidArgument(f"events: expected Events; got {describe(events)}; use read_events(log, time=...)")
        from ..behavior import BehaviorModel
        from ..catalogue import Catalogue

        if catalogue is not None and not isinstance(catalogue, Catalogue):
            raise InvalidArgument(
                f"catalogue: expected a Catalogue; got {describe(catalogue)}; use read_catalogue(source, ...)"
            )
        if model is not None and not isinstance(model, BehaviorModel):
            raise InvalidArgument(
                f"model: expected a BehaviorModel; got {describe(model)}; use BehaviorModel.load(folder)"
            )
        span = as_duration(half_life, "half_life")
        last = events.time_range[1]
        reference = last if now is None else as_time(now, "now")
        if reference < last:
            raise InvalidArgument(
                f"now: expected a time from the last event ({format_time(last)}) on; got {format_time(reference)};"
                " to look back, take events.split_by_time(at)[0]"
            )
        self.log = Log.of(events, purchases, time_zone, reference, span)
        self.today = int(
            self.log.rows(f"SELECT {self.log.day}::BIGINT AS day FROM (SELECT {reference}::BIGINT AS time)")["day"][0]
        )
        """The day of ``now`` in the shop's zone, days since 1970."""
        self.items: Items = item_measures(self.log, catalogue)
        self.model = model
        self.model_category = None if model is None else _categories_of(model, self.items)
        self.event_names = (
            [name for (name,) in events._db.run("SELECT name FROM event_types ORDER BY code")]
            if ("event" in events.columns)
            else []
        )
        self.table, self.weekdays, self.hours = customer_measures(self.log, self.items)
        self.codes = self.table.pop("user")
        self.customers = events.id_map("users").take(self.codes)
        self.segment_names = SEGMENTS
        self._score()
        self.segments = self._segments()

    def __len__(self) -> int:
        return len(self.customers)

    def __repr__(self) -> str:
        counts = f"{len(self):,} customers, {len(self.segments)} segments, {len(self.items.categories)} categories"
        return f"<Profiles: {counts}>"

    def profile(self, customer: int | str, k: int = 10) -> Profile:
        """One customer, with the ``k`` strongest interests and likeliest purchases.

        Raises InvalidArgument for a customer without events in this log.
        """
        return portrait(self, self.customers.code(customer, "customer"), as_count(k, "k"))

    __getitem__ = profile

    def product(self, code: int) -> Product:
        """What is known of an item by its code in the log; the price is what was paid for a piece on average."""
        category, price = int(self.items.category[code]), float(self.items.price[code])
        return Product(
            self.items.ids[code],
            self.items.name(code),
            self.items.categories[category] if category >= 0 else None,
            None if np.isnan(price) else price,
        )

    def to_dict(self) -> dict[str, Any]:
        """The shop's figures and segments for JSON; ``table`` is left to those who want every customer."""
        return {
            "customers": len(self),
            "now": self.log.now,
            "segments": [asdict(s) for s in self.segments],
            "scores": self.score_counts().tolist(),
            "visits_by_weekday_and_hour": self.hours.tolist(),
        }

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Writes a page on the whole shop, with plots: one file, no script, nothing fetched."""
        from .report import shop_page, write

        write(path, shop_page(self))

    def __str__(self) -> str:
        lines = [f"{len(self):,} customers up to {date_text(self.today)}"]
        lines.append(
            f"{'segment':<20} {'customers':>16} {'orders':>9} {'spend':>21} {'an order':>9} {'silent':>8}  sets apart"
        )
        for s in self.segments:
            spend = "" if s.spend is None or s.spend_share is None else f"{s.spend:>14,.2f} {s.spend_share:>6.1%}"
            each = "" if s.average_order is None else f"{s.average_order:,.2f}"
            silent = "" if s.recency_days is None else f"{s.recency_days:,.0f} d"
            lines.append(
                f"{s.name:<20} {s.customers:>9,} {s.share:>6.1%} {s.orders:>9,} {spend:>21} {each:>9} {silent:>8}"
                f"  {', '.join(s.interests)}".rstrip()
            )
        return "\n".join(lines)

    def score_counts(self) -> npt.NDArray[np.int64]:
        """Customers by recency score (rows, 1 to 5) and frequency score (columns), int64 (5, 5)."""
        r, f = (np.ma.getdata(self.table[f"{name}_score"])[self._bought] for name in ("recency", "frequency"))
        return np.bincount((r.astype(np.int64) - 1) * 5 + f - 1, minlength=25).reshape(5, 5)

    # ---- within ------------------------------------------------------------------------------------------------------
    def _score(self) -> None:
        """Adds the scores and segments of those who bought; others have score 0, masked, and the last segment."""
        table = self.table
        self._bought = table["orders"] > 0
        measures = {"recency": np.ma.getdata(table["last_purchase"]), "frequency": table["orders"]}
        if self.log.priced:
            measures["monetary"] = np.round(table["spend"], 6)  # the same money, whatever its sum was rounded to
        for name, values in measures.items():
            scores = np.ma.zeros(len(self), np.int8)
            scores[self._bought] = quintiles(values[self._bought])
            scores[~self._bought] = np.ma.masked
            table[f"{name}_score"] = scores
        code = np.full(len(self), SEGMENTS.index(NO_PURCHASE), np.int8)
        code[self._bought] = segments(
            *(np.ma.getdata(table[f"{name}_score"])[self._bought] for name in ("recency", "frequency"))
        )
        table["segment"] = code

    def _segments(self) -> tuple[Segment, ...]:
        table, log = self.table, self.log
        code = table["segment"]
        size = len(SEGMENTS)
        customers = np.bincount(code, minlength=size)
        orders = np.bincount(code, table["orders"], size)
        spend = np.bincount(code, table["spend"], size)
        silent = self.today - table["last_visit"]
        judged = table["visits"] > MIN_GAPS
        overdue = judged & (silent > np.ma.filled(table["late_gap"].astype(float), np.inf))
        late, known = np.bincount(code[overdue], minlength=size), np.bincount(code[judged], minlength=size)
        recency = (log.now - np.ma.getdata(table["last_purchase"])) / DAY
        apart = self._apart(size)
        return tuple(
            Segment(
                name=SEGMENTS[s],
                customers=int(customers[s]),
                share=float(customers[s] / len(self)),
                orders=int(orders[s]),
                spend=float(spend[s]) if log.priced else None,
                spend_share=float(spend[s] / spend.sum()) if log.priced and spend.sum() > 0 else None,
                average_order=float(spend[s] / orders[s]) if log.priced and orders[s] else None,
                recency_days=float(np.median(recency[code == s])) if SEGMENTS[s] != NO_PURCHASE else None,
                overdue=float(late[s] / known[s]) if known[s] else None,
                interests=tuple(
                    self.items.categories[c] for c in np.argsort(-apart[s], kind="stable")[:_TOP] if apart[s, c] > 0
                ),
            )
            for s in np.flatnonzero(customers)
        )

    def _apart(self, size: int) -> npt.NDArray[np.float64]:
        """Affinity of each segment to each category; also each customer's first category, as a column of the table."""
        n = len(self.items.categories)
        by_segment, favourite = np.zeros((size, n)), np.full(len(self), -1, np.int32)
        if n:
            average = shares(self.items.interest)
            for user, category, interest in tastes(self.log, self.items):
                row = np.searchsorted(self.codes, user)
                at = self.table["segment"][row].astype(np.int64) * n + category
                by_segment += np.bincount(at, interest, size * n).reshape(size, n)
                starts = np.flatnonzero(np.r_[True, np.diff(row) != 0])
                total = np.repeat(np.add.reduceat(interest, starts), np.diff(np.r_[starts, row.size]))
                apart = affinity(interest / np.where(total > 0, total, 1), average[category])
                order = np.lexsort((-category, apart, row))  # the last of a customer is the best
                best = order[np.r_[np.diff(row[order]) != 0, True]]
                favourite[row[best]] = category[best]
            by_segment = affinity(shares(by_segment), average)
        self.table["interest"] = favourite
        return by_segment


def _categories_of(model: BehaviorModel, items: Items) -> npt.NDArray[np.int32]:
    """The category of each item that the model knows, -1 for none."""
    codes = items.ids.codes(model.items, missing=-1)
    if not (codes >= 0).any():
        raise InvalidArgument(
            f"model: it knows none of this log's items, such as {items.ids[0]!r}; it knows {model.items[0]!r} and the"
            " like; train it on the ids of this log"
        )
    if model.vocabulary.feature_size:
        raise InvalidArgument("model: expected one without the input 'features', which a log does not hold")
    found: npt.NDArray[np.int32] = np.where(codes >= 0, items.category[codes], -1).astype(np.int32)
    return found
