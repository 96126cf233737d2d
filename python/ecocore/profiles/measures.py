"""What is measured of items and of all customers: streamed through DuckDB, held as one number a customer or item."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..database import literal
from ..errors import InvalidArgument
from ..events import user_ranges
from ..ids import IdMap
from ..summary import purchase_test

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..catalogue import Catalogue
    from ..events import Events

__all__ = ["BANDS", "Customers", "Items", "Log", "affinity", "customer_measures", "item_measures", "shares", "tastes"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

BANDS = ("cheap", "middle", "dear")  # thirds of what is sold in a category, by price
_MASKED = ("last_purchase", "typical_gap", "late_gap", "level")  # columns in which a customer may have nothing
_WEEKDAY = "((day + 3) % 7 + 7) % 7"  # 0 is Monday; 1970-01-01, day 0, was a Thursday
LATE = 0.9  # a silence longer than this share of a customer's own gaps is unusual
MIN_GAPS = 3  # below, a customer's own gaps say too little of what is late


@dataclass(frozen=True)
class Log:
    """A log with how it is looked at: SQL of the parts that every measure needs."""

    events: Events
    purchase: str  # true for a purchase
    paid: str  # what was paid for a purchase, else NULL
    pieces: str
    local: str  # the time in the shop's zone, TIMESTAMP
    now: int  # microseconds since 1970 UTC
    half_life: int  # microseconds

    @classmethod
    def of(cls, events: Events, purchases: Sequence[str] | None, time_zone: str, now: int, half_life: int) -> Log:
        priced = "amount" in events.columns or "price" in events.columns
        purchase = purchase_test(events, purchases)
        local = "make_timestamp(time)"
        if time_zone != "UTC":
            local = f"timezone({literal(time_zone)}, make_timestamptz(time))"
            try:
                events._db.run(f"SELECT {local} FROM (SELECT {now}::BIGINT AS time)")
            except events._db.Error:
                raise InvalidArgument(
                    f"time_zone: expected a name such as 'Europe/Berlin' or 'UTC'; got {time_zone!r}"
                ) from None
        return cls(
            events,
            purchase,
            f"CASE WHEN {purchase} THEN {events._amount()} END" if priced else "NULL::DOUBLE",
            "coalesce(quantity, 1)" if "quantity" in events.columns else "1",
            local,
            now,
            half_life,
        )

    @property
    def priced(self) -> bool:
        return "amount" in self.events.columns or "price" in self.events.columns

    @property
    def weight(self) -> str:
        """An event counts half as much after each half-life."""
        return f"pow(2, (time - {self.now})::DOUBLE / {self.half_life})"

    @property
    def day(self) -> str:
        """Days since 1970 in the shop's zone."""
        return f"({self.local}::DATE - DATE '1970-01-01')"

    @property
    def orders(self) -> str:
        """SQL of how many orders there are: baskets, or days with a purchase where the log tells of no basket."""
        by_day = f"count(DISTINCT {self.day}) FILTER ({self.purchase}{{}})"
        if "basket" not in self.events.columns:
            return by_day.format("")
        baskets = f"count(DISTINCT basket) FILTER ({self.purchase})"
        return f"({baskets} + {by_day.format(' AND basket IS NULL')})"

    def rows(self, sql: str) -> dict[str, npt.NDArray[Any]]:
        return self.events._db.arrays(sql)


@dataclass(frozen=True)
class Items:
    """What the log and the catalogue tell of the items, by their codes in the log."""

    ids: IdMap
    names: npt.NDArray[Any] | None  # objects
    categories: list[str]
    category: npt.NDArray[np.int32]  # place in ``categories``, -1 for none
    price: FloatArray  # paid for a piece on average, NaN where nothing was sold
    level: FloatArray  # quantile of that price among what is sold in the category, NaN where it has but one price
    interest: FloatArray  # of each category: all its events, decayed
    spend: FloatArray  # of each category: all that was paid, decayed

    @property
    def band(self) -> npt.NDArray[np.int8]:
        """Place in ``BANDS``; -1 where ``level`` is NaN."""
        third = np.minimum(np.nan_to_num(self.level) * 3, 2).astype(np.int8)
        return np.where(np.isnan(self.level), np.int8(-1), third)

    def name(self, code: int) -> str | None:
        found = None if self.names is None else self.names[code]
        return None if found is None else str(found)


def item_measures(log: Log, catalogue: Catalogue | None) -> Items:
    """One pass over the log; categories come from the log itself or else from the catalogue."""
    events = log.events
    ids = events.id_map("items")
    known = None if catalogue is None else catalogue.align(ids)
    categories, category = _categories(log, known, len(ids))
    found = log.rows(
        f"SELECT item, count(*) FILTER ({log.purchase}) AS lines, sum({log.weight})::DOUBLE AS interest,"
        f" coalesce(sum({log.paid}), 0)::DOUBLE AS spend,"
        f" coalesce(sum({log.paid} * {log.weight}), 0)::DOUBLE AS recent,"
        f" coalesce(sum({log.pieces}) FILTER ({log.paid} IS NOT NULL), 0)::DOUBLE AS pieces"
        f" FROM events WHERE {events._where} GROUP BY item ORDER BY item"
    )
    price = np.full(len(ids), np.nan)
    sold = found["pieces"] > 0
    price[found["item"][sold]] = found["spend"][sold] / found["pieces"][sold]
    lines = np.zeros(len(ids))
    lines[found["item"]] = found["lines"]
    of = category[found["item"]]
    in_one = of >= 0
    interest = np.bincount(of[in_one], found["interest"][in_one], len(categories)).astype(np.float64)
    spend = np.bincount(of[in_one], found["recent"][in_one], len(categories)).astype(np.float64)
    names = None if known is None else known.names
    return Items(ids, names, categories, category, price, price_level(category, price, lines), interest, spend)


def _categories(log: Log, known: Catalogue | None, items: int) -> tuple[list[str], npt.NDArray[np.int32]]:
    """The names of categories, and that of each item: the one that most of its events name, else the first by name."""
    events = log.events
    category = np.full(items, -1, np.int32)
    if "category" in events.columns:
        names = [name for (name,) in events._db.run("SELECT name FROM categories ORDER BY code")]
        named = f"{events._where} AND category IS NOT NULL"
        n = log.rows(f"SELECT item, category, count(*) AS n FROM events WHERE {named} GROUP BY item, category")
        order = np.lexsort((-n["category"].astype(np.int64), n["n"], n["item"]))  # the last of an item is its best
        category[n["item"][order]] = n["category"][order]
        return names, category
    if known is None or known.categories is None:
        return [], category
    present = np.flatnonzero(known.categories != None)  # noqa: E711 - elementwise
    distinct, category[present] = np.unique(known.categories[present].astype(str), return_inverse=True)
    return distinct.tolist(), category


def price_level(category: npt.NDArray[np.int32], price: FloatArray, lines: FloatArray) -> FloatArray:
    """Where each price lies among the purchases of its category, 0 to 1: the share of them that cost less, plus half of
    those that cost the same. Over all purchases the mean is one half. Prices are averages of what was paid: compared as
    float32, those that differ by the rounding of sums only are the same."""
    level, price = np.full(price.size, np.nan), price.astype(np.float32)
    at = np.flatnonzero((category >= 0) & ~np.isnan(price))
    at = at[np.lexsort((price[at], category[at]))]
    if not at.size:
        return level
    new_category = np.ones(at.size, bool)
    new_category[1:] = np.diff(category[at]) != 0
    new_price = new_category.copy()
    new_price[1:] |= np.diff(price[at]) != 0
    starts, of = np.flatnonzero(new_category), np.cumsum(new_category) - 1
    tie_starts, tie = np.flatnonzero(new_price), np.cumsum(new_price) - 1
    total = np.add.reduceat(lines[at], starts)
    equal = np.add.reduceat(lines[at], tie_starts)
    before = np.concatenate([[0.0], np.cumsum(lines[at])[:-1]])  # whole numbers: exact
    level[at] = (before[tie_starts][tie] - before[starts][of] + equal[tie] / 2) / total[of]
    several = np.bincount(of[tie_starts]) > 1
    level[at[~several[of]]] = np.nan
    return level


class Customers(NamedTuple):
    """``table``: one row a customer, by code. Columns: ``user`` (code), ``events``, ``first``, ``last`` and
    ``last_purchase`` (microseconds; masked without one), ``orders``, ``spend``, ``visits`` (days with an event),
    ``last_visit`` (day since 1970), ``typical_gap`` (median of the days between visits) and ``late_gap`` (the least of
    them that nine in ten do not exceed; both masked below two visits), ``level`` (mean price level of what was bought;
    masked where none is known),
    ``cheap``, ``middle`` and ``dear`` (purchases in each band).

    ``weekdays``, int64 (7,): visits by weekday; ``hours``, int64 (7, 24): by weekday and hour, where a visit counts in
    every hour that has an event.
    """

    table: dict[str, npt.NDArray[Any]]
    weekdays: IntArray
    hours: IntArray


def customer_measures(log: Log, items: Items) -> Customers:
    """One pass over the log, in slices of whole customers."""
    db = log.events._db
    weekdays, by_hour = np.zeros(7, np.int64), np.zeros((7, 24), np.int64)
    parts: list[dict[str, npt.NDArray[Any]]] = []
    db.register(
        "profile_items", {"code": np.arange(len(items.ids), dtype=np.int32), "level": items.level, "band": items.band}
    )
    try:
        for part in user_ranges(db, log.events._where):
            rows = (
                f"(SELECT e.*, {log.paid} AS paid, {log.purchase} AS purchase, {log.day} AS day,"
                " CASE WHEN isnan(i.level) THEN NULL ELSE i.level END AS level, i.band"
                f" FROM events e JOIN profile_items i ON i.code = e.item WHERE {part})"
            )
            found = log.rows(
                "SELECT user, count(*) AS events, min(time) AS first, max(time) AS last,"
                f" max(time) FILTER (purchase) AS last_purchase, {log.orders} AS orders,"
                " coalesce(sum(paid), 0)::DOUBLE AS spend, avg(level) FILTER (purchase) AS level, "
                + ", ".join(f"count(*) FILTER (purchase AND band = {i}) AS {name}" for i, name in enumerate(BANDS))
                + f" FROM {rows} GROUP BY user ORDER BY user"
            )
            days = f"(SELECT DISTINCT user, {log.day} AS day FROM events WHERE {part})"
            gaps = f"(SELECT user, day, day - lag(day) OVER (PARTITION BY user ORDER BY day) AS gap FROM {days})"
            rhythm = log.rows(
                "SELECT count(*) AS visits, max(day) AS last_visit, quantile_cont(gap, 0.5)::DOUBLE AS typical_gap,"
                f" quantile_disc(gap, {LATE})::DOUBLE AS late_gap FROM {gaps} GROUP BY user ORDER BY user"
            )
            parts.append(found | rhythm)
            hours = f"(SELECT DISTINCT user, {log.day} AS day, hour({log.local}) AS hour FROM events WHERE {part})"
            for day, hour, n in db.run(f"SELECT {_WEEKDAY} AS d, hour, count(*) FROM {hours} GROUP BY d, hour"):
                by_hour[day, hour] += n
            for day, n in db.run(f"SELECT {_WEEKDAY} AS d, count(*) FROM {days} GROUP BY d"):
                weekdays[day] += n
    finally:
        db.unregister("profile_items")
    table = {name: (np.ma if name in _MASKED else np).concatenate([part[name] for part in parts]) for name in parts[0]}
    return Customers(table, weekdays, by_hour)


def tastes(log: Log, items: Items) -> Iterator[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], FloatArray]]:
    """(customer, category, decayed events) in slices of whole customers, each by customer and category."""
    db = log.events._db
    db.register("profile_items", {"code": np.arange(len(items.ids), dtype=np.int32), "category": items.category})
    try:
        for part in user_ranges(db, log.events._where):
            found = log.rows(
                f"SELECT user, i.category AS category, sum({log.weight})::DOUBLE AS interest FROM events e"
                f" JOIN profile_items i ON i.code = e.item WHERE i.category >= 0 AND {part}"
                " GROUP BY user, i.category ORDER BY user, i.category"
            )
            if found["user"].size:
                yield found["user"], found["category"], np.asarray(found["interest"])
    finally:
        db.unregister("profile_items")


def shares(amounts: npt.NDArray[Any]) -> FloatArray:
    """Each amount's share of its row; zeros where there is nothing, as after very many half-lives."""
    total = amounts.sum(axis=-1, keepdims=True)
    out = np.zeros(amounts.shape)
    np.divide(amounts, total, out=out, where=total > 0)
    return out


def affinity(share: FloatArray, average: FloatArray) -> FloatArray:
    """What sets shares apart from the average: share * log(share / average), in nats, 0 where the share is 0.

    Over all categories it adds up to the Kullback-Leibler divergence of the shares from the average. A large category
    that everybody buys has little of it, and so has a rare one that was met once.
    """
    out = np.zeros(np.broadcast_shapes(share.shape, average.shape))
    np.divide(share, average, out=out, where=(share > 0) & (average > 0))
    np.log(out, out=out, where=out > 0)
    return out * share
