"""How people behave in a log: who is active when, what they spend on, how soon and how often they come back."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .cleaning import CleaningReport
from .errors import InvalidArgument
from .events import user_ranges
from .interactions import Interactions
from .times import DAY, format_time

if TYPE_CHECKING:
    from .catalogue import Catalogue
    from .events import Events

__all__ = ["BehaviourSummary", "purchase_test", "repeat_share", "summarize"]

_SPANS = {"day": "%Y-%m-%d", "week": "%Y-%m-%d", "month": "%Y-%m"}
PURCHASES = ("purchase", "buy", "order", "transaction")  # names of event types that are taken for purchases
QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)


@dataclass(frozen=True)
class BehaviourSummary:
    """What :meth:`ecocore.Events.summary` found; what a log does not tell (no time, no prices) is None or empty.

    Quantiles are given as ``{0.5: median, ...}`` for 0, .25, .5, .75, .9, .99 and 1, each a value that occurs.
    """

    events: int
    users: int
    items: int
    first: int | None = None  # microseconds since 1970 UTC
    last: int | None = None
    active_users: dict[str, dict[str, int]] = field(default_factory=dict)
    """Users with an event in each "day" (2024-05-31), "week" (its Monday) and "month" (2024-05), UTC."""
    event_types: dict[str, int] = field(default_factory=dict)
    events_per_user: dict[float, float] = field(default_factory=dict)
    items_per_user: dict[float, float] = field(default_factory=dict)
    top_items: list[tuple[Any, str | None, int]] = field(default_factory=list)
    """(id, name if known, events) of the items with most events."""
    top_categories: list[tuple[str, int, float | None]] = field(default_factory=list)
    """(category, events, amount spent) of those with most spend, or with most events where there are no prices."""
    purchases: list[str] = field(default_factory=list)
    """The event types whose amounts are spend; empty where the log has no types, and every event counts."""
    spend: float | None = None
    """Paid in all, by purchases; what is spent by category, user and basket counts the same events."""
    spend_per_user: dict[float, float] = field(default_factory=dict)
    unpriced: int = 0
    """Purchases without a known price, which spend leaves out."""
    recency_days: dict[float, float] = field(default_factory=dict)
    """Days from each user's last event to the last event of the log."""
    repeat_rate: float | None = None
    """Share of (user, item) pairs with events on two days or more (UTC)."""
    repeat_events: float | None = None
    """Share of events on an item that the user had met on an earlier day."""
    baskets: int | None = None
    basket_items: dict[float, float] = field(default_factory=dict)
    basket_spend: dict[float, float] = field(default_factory=dict)
    report: CleaningReport | None = None

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON (quantiles under "0.5" and so on)."""

        def plain(x: Any) -> Any:
            if isinstance(x, dict):
                return {str(k): plain(v) for k, v in x.items()}
            if isinstance(x, (list, tuple)):
                return [plain(v) for v in x]
            return x.to_dict() if isinstance(x, CleaningReport) else x

        return {name: plain(value) for name, value in vars(self).items()}

    def __str__(self) -> str:
        lines = [f"{self.events:,} events of {self.users:,} users on {self.items:,} items"]
        if self.first is not None and self.last is not None:
            lines[0] += f", {format_time(self.first)[:10]} to {format_time(self.last)[:10]}"
        if self.event_types:
            lines.append("event types: " + ", ".join(f"{k} {v:,}" for k, v in self.event_types.items()))
        if months := self.active_users.get("month"):
            lines.append("active users a month:")
            most = max(months.values())
            lines += [f"  {month}  {n:>9,}  {'#' * round(40 * n / most)}" for month, n in months.items()]
            for span in ("week", "day"):
                counts = sorted(self.active_users[span].values())
                lines.append(f"active users a {span}: median {counts[len(counts) // 2]:,}, most {counts[-1]:,}")
        lines += _quantile_lines("events per user", self.events_per_user)
        lines += _quantile_lines("items per user", self.items_per_user)
        if self.spend is not None:
            of = "in all"
            if self.purchases:
                of = f"by events of type {', '.join(self.purchases)}"
            left_out = f" ({self.unpriced:,} of them have no price)" if self.unpriced else ""
            lines.append(f"spend: {self.spend:,.2f} {of}{left_out}")
            lines += _quantile_lines("spend per user", self.spend_per_user)
        if self.top_categories:
            lines.append(f"top categories by {'spend' if self.spend is not None else 'events'}:")
            for name, n, paid in self.top_categories:
                share = "" if paid is None or not self.spend else f"  {paid:>14,.2f}  {paid / self.spend:6.1%}"
                lines.append(f"  {name[:32]:<32}{share}  {n:>10,} events")
        if self.top_items:
            lines.append("top items by events:")
            lines += [f"  {str(id_)[:12]:<12}  {n:>10,}  {name or ''}" for id_, name, n in self.top_items]
        lines += _quantile_lines("days since a user's last event", self.recency_days)
        if self.repeat_rate is not None and self.repeat_events is not None:
            lines.append(
                f"repeats: {self.repeat_rate:.1%} of user-item pairs come on two days or more;"
                f" {self.repeat_events:.1%} of events are on an item known from an earlier day"
            )
        if self.baskets is not None:
            lines.append(f"baskets: {self.baskets:,}")
            lines += _quantile_lines("items per basket", self.basket_items)
            lines += _quantile_lines("spend per basket", self.basket_spend)
        return "\n".join(lines)


def _quantile_lines(name: str, quantiles: dict[float, float]) -> list[str]:
    if not quantiles:
        return []
    label = {0.0: "least", 0.5: "median", 1.0: "most"}
    shown = ", ".join(f"{label.get(q, f'{q:.0%}')} {_short(x)}" for q, x in quantiles.items())
    return [f"{name}: {shown}"]


def _short(x: float) -> str:
    return f"{x:,.0f}" if float(x).is_integer() else f"{x:,.2f}"


def _purchases(events: Events, given: Sequence[str] | None) -> dict[str, int]:
    """The event types that are purchases, with their codes; of the whole log, so that its parts agree."""
    if given is None and "event" not in events.columns:
        return {}
    events._need("event")
    codes = dict(events._db.run("SELECT name, code FROM event_types ORDER BY name"))
    if given is None:
        return {name: code for name, code in codes.items() if name.strip().casefold() in PURCHASES} or codes
    if isinstance(given, str) or not given:
        raise InvalidArgument(f"purchases: expected a list of event types; got {given!r}")
    for name in given:
        if name not in codes:
            raise InvalidArgument(f"purchases: there is no event type {name!r}; expected some of {', '.join(codes)}")
    return {name: codes[name] for name in given}


def purchase_test(events: Events, given: Sequence[str] | None) -> str:
    """SQL that is true for a purchase; ``given`` is ``purchases`` as :meth:`ecocore.Events.summary` takes it."""
    codes = _purchases(events, given).values()
    return f"event IN ({', '.join(map(str, codes))})" if codes else "true"


def summarize(
    events: Events, catalogue: Catalogue | None, top: int, purchases: Sequence[str] | None = None
) -> BehaviourSummary:
    """The summary of a log, or of a part of it; categories come from the log itself or else from the catalogue.

    What is counted per user is counted in slices of whole users, so that memory does not grow with the log.
    """
    db, where = events._db, events._where
    timed, baskets = "time" in events.columns, "basket" in events.columns
    priced = "amount" in events.columns or "price" in events.columns
    is_purchase = purchase_test(events, purchases)
    amount = f"CASE WHEN {is_purchase} THEN {events._amount()} END" if priced else "NULL"
    count, items = db.run(f"SELECT count(*), count(DISTINCT item) FROM events WHERE {where}")[0]
    if count == 0:
        raise InvalidArgument("events: there are none in this part to summarize")
    out: dict[str, Any] = {
        "events": count,
        "items": items,
        "report": events.report,
        "purchases": list(_purchases(events, purchases)),
    }
    if "event" in events.columns:
        out["event_types"] = events.event_types
    if timed:
        out["first"], out["last"] = events.time_range

    active: dict[str, Counter[str]] = {span: Counter() for span in _SPANS}
    columns: dict[str, list[Any]] = defaultdict(list)
    totals: Counter[str] = Counter()
    last = "max(time)" if timed else "0"
    for part in user_ranges(db, where):
        day = f"time // {DAY}" if timed else "0"
        rows = f"(SELECT *, {amount}::DOUBLE AS paid, {day} AS day FROM events WHERE {part})"
        per_user = (
            f"SELECT count(*) AS events, count(DISTINCT item) AS items, sum(paid) AS spend, {last} AS last FROM {rows}"
        )
        for name, values in db.arrays(f"{per_user} GROUP BY user").items():
            columns[name].append(np.ma.compressed(values))
        if baskets:
            per_basket = f"SELECT count(DISTINCT item) AS basket_items, sum(paid) AS basket_spend FROM {rows}"
            for name, values in db.arrays(f"{per_basket} WHERE basket IS NOT NULL GROUP BY user, basket").items():
                columns[name].append(np.ma.compressed(values))
        if timed:
            for span, shown in _SPANS.items():
                starts = f"SELECT DISTINCT user, date_trunc('{span}', make_timestamp(time)) AS start FROM {rows}"
                active[span].update(
                    dict(db.run(f"SELECT strftime(start, '{shown}'), count(*) FROM ({starts}) GROUP BY 1"))
                )
            by_day = f"SELECT user, item, day, count(*) AS n FROM {rows} GROUP BY user, item, day"
            pairs = f"SELECT count(*) AS days, sum(n) - arg_min(n, day) AS later FROM ({by_day}) GROUP BY user, item"
            found = db.run(f"SELECT count(*), count(*) FILTER (days > 1), sum(later)::BIGINT FROM ({pairs})")[0]
            totals.update(dict(zip(("pairs", "repeated", "later"), found, strict=True)))
    per = {name: np.concatenate(parts) for name, parts in columns.items()}
    out["users"] = per["events"].size
    out["events_per_user"], out["items_per_user"] = _quantiles(per["events"]), _quantiles(per["items"])
    if timed:
        out["active_users"] = {span: dict(sorted(counts.items())) for span, counts in active.items()}
        out["recency_days"] = _quantiles((out["last"] - per["last"]) / DAY)
        out["repeat_rate"], out["repeat_events"] = totals["repeated"] / totals["pairs"], totals["later"] / count
    if priced:
        out["unpriced"] = db.run(f"SELECT count(*) - count({amount}) FROM events WHERE {is_purchase} AND {where}")[0][0]
        out["spend"], out["spend_per_user"] = float(per["spend"].sum()), _quantiles(per["spend"])
    if baskets:
        out["baskets"], out["basket_items"] = per["basket_items"].size, _quantiles(per["basket_items"])
        out["basket_spend"] = _quantiles(per["basket_spend"]) if priced else {}
    _tops(events, catalogue, top, f"(SELECT * FROM events WHERE {where})", amount, out)
    return BehaviourSummary(**out)


def _quantiles(values: npt.NDArray[Any]) -> dict[float, float]:
    if not values.size:
        return {}
    found = np.quantile(values, QUANTILES, method="inverted_cdf")
    return dict(zip(QUANTILES, map(float, found), strict=True))


def _tops(events: Events, catalogue: Catalogue | None, top: int, rows: str, amount: str, out: dict[str, Any]) -> None:
    db = events._db
    best = db.run(f"SELECT item, count(*) AS n FROM {rows} GROUP BY item ORDER BY n DESC, item LIMIT {int(top)}")
    ids = events.id_map("items")
    names = catalogue.align(ids.take([code for code, _ in best])).names if catalogue is not None else None
    named = [None] * len(best) if names is None else names.tolist()
    out["top_items"] = [(ids[code], name, n) for (code, n), name in zip(best, named, strict=True)]
    rank = f"sum({amount})" if amount != "NULL" else "count(*)"
    if "category" in events.columns:
        of = f"SELECT name, count(*), sum({amount}) FROM {rows} JOIN categories ON code = category GROUP BY name"
        out["top_categories"] = db.run(f"{of} ORDER BY {rank} DESC NULLS LAST, name LIMIT {int(top)}")
    elif catalogue is not None and catalogue.categories is not None:
        # Summed by category here: the categories of all items are known as an array.
        per_item = db.arrays(
            f"SELECT item, count(*) AS n, coalesce(sum({amount}), 0)::DOUBLE AS paid FROM {rows}"
            " GROUP BY item ORDER BY item"
        )
        column = catalogue.align(ids.take(per_item["item"])).categories
        assert column is not None
        distinct, where = np.unique(np.array(["" if x is None else x for x in column], object), return_inverse=True)
        n = np.bincount(where, per_item["n"]).astype(np.int64)
        paid = np.bincount(where, np.asarray(per_item["paid"]))
        order = np.lexsort((-n, -paid))
        out["top_categories"] = [
            (str(distinct[at]), int(n[at]), float(paid[at]) if amount != "NULL" else None)
            for at in order
            if distinct[at] != ""
        ][: int(top)]


def repeat_share(train: Interactions, test: Interactions) -> float:
    """Share of the pairs in ``test`` that are in ``train`` too; both of one shape and one order of users and items."""
    if train.shape != test.shape:
        raise InvalidArgument(f"test: expected shape {train.shape}, as train has; got {test.shape}")
    if test.nnz == 0:
        raise InvalidArgument("test: expected at least one pair; got none")
    width = np.int64(train.shape[1])
    keys = [x.row_numbers() * width + x.indices for x in (train, test)]
    return float(np.isin(keys[1], keys[0], assume_unique=True).mean())
