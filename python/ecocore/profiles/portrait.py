"""The profile of one customer, made from their own events and what was measured of all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..moments import order_in_time
from ..times import DAY, SECOND
from .customer import RFM, Interest, Month, NextPurchase, PriceBand, Profile, Rhythm, date_text
from .measures import BANDS, MIN_GAPS, affinity, shares

if TYPE_CHECKING:
    from ..behavior import BehaviorModel
    from .profiles import Profiles

__all__ = ["portrait"]

Array = npt.NDArray[Any]

_MONTHS = 24


def portrait(shop: Profiles, row: int, k: int) -> Profile:
    """``row``: the customer's place in the shop's table."""
    log, me = shop.log, {name: column[row] for name, column in shop.table.items()}
    order = ", basket" if "basket" in log.events.columns else ""
    kind = ", event" if "event" in log.events.columns else ""
    own = log.rows(
        f"SELECT item, time, {log.weight}::DOUBLE AS weight, {log.purchase} AS purchase, {log.paid}::DOUBLE AS paid,"
        f" {log.day}::BIGINT AS day, hour({log.local}) AS hour{order}{kind}"
        f" FROM events WHERE user = {int(shop.codes[row])} AND {log.events._where} ORDER BY time, item{kind}"
    )
    query = None if shop.model is None else _query(shop, shop.model, own, int(shop.codes[row]))
    orders, spend = int(me["orders"]), float(me["spend"]) if log.priced else None
    bought = _Bought(shop, own)
    return Profile(
        customer=shop.customers[row],
        now=log.now,
        today=date_text(shop.today),
        first=int(me["first"]),
        last=int(me["last"]),
        events=int(me["events"]),
        orders=orders,
        spend=spend,
        average_order=spend / orders if spend is not None and orders else None,
        rfm=_rfm(shop, me, orders, spend),
        interests=_interests(shop, own, query, k),
        prices=_prices(me),
        rhythm=_rhythm(shop, me, own),
        months=_months(shop, own),
        next_purchases=bought.best(k) if query is None else _predicted(shop, query, bought, k),
        repeats=bought.best(k, least_days=3),
    )


def _rfm(shop: Profiles, me: dict[str, Any], orders: int, spend: float | None) -> RFM | None:
    if not orders:
        return None
    recency = (shop.log.now - int(me["last_purchase"])) / DAY
    money = int(me["monetary_score"]) if spend is not None else None
    scores = int(me["recency_score"]), int(me["frequency_score"])
    return RFM(recency, orders, spend, *scores, money, shop.segment_names[int(me["segment"])])


def _prices(me: dict[str, Any]) -> PriceBand | None:
    counts = np.array([int(me[name]) for name in BANDS])
    n = int(counts.sum())
    if not n:
        return None
    cheap, middle, dear = (counts / n).tolist()
    most = np.flatnonzero(counts == counts.max())
    band = BANDS[most[0]] if most.size == 1 else "middle"
    return PriceBand(band, float(me["level"]), cheap, middle, dear, n)


def _rhythm(shop: Profiles, me: dict[str, Any], own: dict[str, Array]) -> Rhythm:
    visits, last = int(me["visits"]), int(me["last_visit"])
    silent = shop.today - last
    gap, late = (None if np.ma.is_masked(me[name]) else float(me[name]) for name in ("typical_gap", "late_gap"))
    status = "unknown"
    if gap is not None and late is not None and visits > MIN_GAPS:
        status = "overdue" if silent > late else "due" if silent >= int(gap) else "early"
    weekdays = np.bincount((np.unique(own["day"]) + 3) % 7, minlength=7)  # day 0, 1970-01-01, was a Thursday
    hours = np.bincount(np.unique(own["day"] * 24 + own["hour"]) % 24, minlength=24)
    timed = np.count_nonzero(shop.hours.sum(axis=0)) > 1
    return Rhythm(
        visits=visits,
        weekdays=_shares(weekdays),
        average_weekdays=_shares(shop.weekdays),
        hours=_shares(hours) if timed else (),
        average_hours=_shares(shop.hours.sum(axis=0)) if timed else (),
        silent_days=silent,
        typical_gap_days=gap,
        late_gap_days=late,
        expected=None if gap is None else date_text(last + gap),
        status=status,
    )


def _shares(counts: Array) -> tuple[float, ...]:
    return tuple(shares(counts).tolist())


def _months(shop: Profiles, own: dict[str, Array]) -> tuple[Month, ...]:
    month = own["day"].astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    last = int(np.datetime64(shop.today, "D").astype("datetime64[M]").astype(np.int64))
    first = max(int(month.min()), last - _MONTHS + 1)
    bought = np.asarray(own["purchase"], bool) & (month >= first)
    at, size = month[bought] - first, last - first + 1
    order = _orders(own)[bought]
    pairs = np.unique(np.stack([order, at]), axis=1)
    _, once = np.unique(pairs[0], return_index=True)  # an order that crosses midnight counts in its first month
    orders = np.bincount(pairs[1][once], minlength=size)
    paid = np.bincount(at, np.ma.filled(own["paid"], 0.0)[bought].astype(float), size)
    return tuple(
        Month(str(np.datetime64(first + i, "M")), int(orders[i]), float(paid[i]) if shop.log.priced else None)
        for i in range(size)
    )


def _orders(own: dict[str, Array]) -> Array:
    """A number for each event: equal for events of one order."""
    by_day = np.unique(own["day"], return_inverse=True)[1]
    if "basket" not in own:
        return by_day
    missing = np.ma.getmaskarray(own["basket"])
    basket = np.unique(np.ma.getdata(own["basket"])[~missing].astype(str), return_inverse=True)[1]
    out = -1 - by_day
    out[~missing] = basket
    return out


def _interests(shop: Profiles, own: dict[str, Array], query: Any, k: int) -> tuple[Interest, ...]:
    items, size = shop.items, len(shop.items.categories)
    of = items.category[own["item"]]
    known = of >= 0
    mine = np.bincount(of[known], own["weight"][known], size)
    if not mine.sum() > 0:
        return ()
    paid = np.ma.filled(own["paid"], 0.0).astype(float) * own["weight"]
    spent = np.bincount(of[known], paid[known], size)
    share, average = shares(mine), shares(items.interest)
    apart = affinity(share, average)
    likely = _by_category(shop, query)
    best = np.argsort(-apart, kind="stable")[:k]
    best = best[apart[best] > 0]
    if likely is not None:
        best = np.union1d(best, np.argsort(-likely, kind="stable")[:k])
        best = best[np.argsort(-apart[best], kind="stable")]
    return tuple(
        Interest(
            category=items.categories[c],
            share=float(share[c]),
            average=float(average[c]),
            lift=float(share[c] / average[c]) if average[c] > 0 else 0.0,
            affinity=float(apart[c]),
            spend_share=float(spent[c] / spent.sum()) if shop.log.priced and spent.sum() > 0 else None,
            probability=None if likely is None else float(likely[c]),
        )
        for c in best
    )


# ---- what comes next -------------------------------------------------------------------------------------------------
def _query(shop: Profiles, model: BehaviorModel, own: dict[str, Array], seed: int) -> Any:
    """The model's answer to all that the customer did; the order within a moment is drawn, as in training."""
    order = order_in_time(own["time"], random=np.random.default_rng(seed))
    own = {name: column[order] for name, column in own.items()}
    inputs: dict[str, Any] = {}
    if model.vocabulary.gap_boundaries is not None:
        inputs["times"] = [own["time"] / SECOND]
    if model.vocabulary.event_types is not None and "event" in own:
        names = np.array(["", *shop.event_names], object)
        inputs["event_types"] = [names[np.ma.filled(own["event"], -1) + 1].tolist()]
    return model.encode([shop.items.ids[own["item"]]], **inputs).query


def _by_category(shop: Profiles, query: Any) -> Array | None:
    """How the model's probability falls on the categories."""
    if query is None or shop.model is None or shop.model_category is None:
        return None
    p = shop.model.probabilities_of(query)[0].astype(float)
    known = shop.model_category >= 0
    by_category: Array = np.bincount(shop.model_category[known], p[known], len(shop.items.categories)) / p.sum()
    return by_category


class _Bought:
    """The items that a customer bought, and on which days."""

    def __init__(self, shop: Profiles, own: dict[str, Array]) -> None:
        bought = np.asarray(own["purchase"], bool)
        pairs = np.stack([own["item"][bought], own["day"][bought]]).astype(np.int64)
        self.shop = shop
        self.item, self.day = np.unique(pairs, axis=1)
        self.codes, self.starts, self.counts = np.unique(self.item, return_index=True, return_counts=True)
        weight = np.exp2((self.day - shop.today) * (DAY / shop.log.half_life))
        self.score = np.add.reduceat(weight, self.starts) if self.codes.size else np.empty(0)

    def best(self, k: int, least_days: int = 1) -> tuple[NextPurchase, ...]:
        """Those bought on so many days at least, by the number of days, each counting half after a half-life."""
        often = np.flatnonzero(self.counts >= least_days)
        best = often[np.lexsort((often, -self.score[often]))][:k]
        return tuple(self.of(int(self.codes[at]), "repeat", float(self.score[at])) for at in best)

    def of(self, code: int, basis: str, score: float) -> NextPurchase:
        """The item, by its code in the log, with what is known of its purchases."""
        product = self.shop.product(code)
        days = self.day[self.item == code]
        if not days.size:
            return NextPurchase(product, basis, score)
        gap = float(np.median(np.diff(days))) if days.size > 1 else None
        due = None if gap is None else date_text(days[-1] + gap)
        return NextPurchase(product, basis, score, int(days.size), date_text(days[-1]), gap, due)


def _predicted(shop: Profiles, query: Any, bought: _Bought, k: int) -> tuple[NextPurchase, ...]:
    """What the model ranks first among the items of the log."""
    model = shop.model
    assert model is not None
    found = model.recommend_for(query, min(k, len(model.items)), allow=shop.items.ids)
    codes = shop.items.ids.codes(found.ids[0][np.isfinite(found.scores[0])].tolist())
    return tuple(
        bought.of(int(code), "model", float(score)) for code, score in zip(codes, found.scores[0], strict=False)
    )
