"""Profiles as their definitions read, with loops over plain rows: slow and obviously right."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median

DAY = 86_400_000_000  # microseconds
GRID = {  # (recency, frequency) to segment
    **{(r, f): "Hibernating" for r in (1, 2) for f in (1, 2)},
    **{(r, f): "At risk" for r in (1, 2) for f in (3, 4)},
    **{(r, 5): "Can't lose them" for r in (1, 2)},
    **{(3, f): "About to sleep" for f in (1, 2)},
    (3, 3): "Need attention",
    **{(r, f): "Loyal customers" for r in (3, 4) for f in (4, 5)},
    (4, 1): "Promising",
    (5, 1): "New customers",
    **{(r, f): "Potential loyalists" for r in (4, 5) for f in (2, 3)},
    **{(5, f): "Champions" for f in (4, 5)},
}


def when(us):
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


def nine_in_ten(values):
    """The least of the values that nine in ten of them do not exceed."""
    return min(v for v in values if 10 * sum(other <= v for other in values) >= 9 * len(values))


def fifth(value, values):
    below = sum(v < value for v in values)
    equal = sum(v == value for v in values)
    return 1 + int(5 * (2 * below + equal) // (2 * len(values)))


def profiles(rows, *, half_life, now, priced, typed):
    """``rows``: dicts of user, item, time, and kind, paid, pieces, basket, category (each may be None)."""

    def weight(us):
        return 2.0 ** ((us - now) / half_life)

    def is_purchase(row):
        return not typed or row["kind"] == "purchase"

    def paid(row):
        return row["paid"] if priced and is_purchase(row) and row["paid"] is not None else None

    # the category of an item: that of most of its events, else the first by name
    named = defaultdict(Counter)
    for row in rows:
        if row["category"] is not None:
            named[row["item"]][row["category"]] += 1
    category = {item: min(c, key=lambda name: (-c[name], name)) for item, c in named.items()}

    # price levels
    sums, pieces, lines = defaultdict(float), defaultdict(float), Counter()
    for row in rows:
        lines[row["item"]] += is_purchase(row)
        if paid(row) is not None:
            sums[row["item"]] += paid(row)
            pieces[row["item"]] += row["pieces"]
    price = {item: sums[item] / pieces[item] for item in sums}
    level = {}
    for item in price:
        rivals = [i for i in price if item in category and category.get(i) == category[item]]
        if len({price[i] for i in rivals}) > 1:
            total = sum(lines[i] for i in rivals)
            less = sum(lines[i] for i in rivals if price[i] < price[item])
            same = sum(lines[i] for i in rivals if price[i] == price[item])
            level[item] = (less + same / 2) / total

    everything = Counter()
    for row in rows:
        if row["item"] in category:
            everything[category[row["item"]]] += weight(row["time"])
    total = sum(everything.values())

    out = {}
    for user in {row["user"] for row in rows}:
        own = [row for row in rows if row["user"] == user]
        bought = [row for row in own if is_purchase(row)]
        days = sorted({when(row["time"]).date() for row in own})
        gaps = [(b - a).days for a, b in pairwise(days)]
        silent = (when(now).date() - days[-1]).days
        mine, spent = Counter(), Counter()
        for row in own:
            if row["item"] in category:
                mine[category[row["item"]]] += weight(row["time"])
                spent[category[row["item"]]] += (paid(row) or 0.0) * weight(row["time"])
        whole = sum(mine.values())
        interests = {}
        for name, amount in mine.items():
            share, average = amount / whole, everything[name] / total
            interests[name] = (
                share,
                average,
                share * math.log(share / average),
                spent[name] / sum(spent.values()) if sum(spent.values()) > 0 else None,
            )
        levels = [level[row["item"]] for row in bought if row["item"] in level]
        bands = Counter("cheap" if x * 3 < 1 else "middle" if x * 3 < 2 else "dear" for x in levels)
        item_days = defaultdict(set)
        for row in bought:
            item_days[row["item"]].add(when(row["time"]).date())
        orders = {("basket", r["basket"]) if r["basket"] is not None else when(r["time"]).date() for r in bought}
        repeats = {}
        for item, found in item_days.items():
            found = sorted(found)
            score = sum(2.0 ** ((d - when(now).date()).days * DAY / half_life) for d in found)
            gap = median((b - a).days for a, b in pairwise(found)) if len(found) > 1 else None
            due = None if gap is None else found[-1] + timedelta(days=math.floor(gap))
            repeats[item] = (score, len(found), found[-1], gap, due)
        late = nine_in_ten(gaps) if gaps else None
        status = "unknown"
        if len(gaps) >= 3:
            status = "overdue" if silent > late else "due" if silent >= math.floor(median(gaps)) else "early"
        out[user] = {
            "events": len(own),
            "orders": len(orders),
            "spend": sum(paid(row) or 0.0 for row in own),
            "last_purchase": max((row["time"] for row in bought), default=None),
            "visits": len(days),
            "typical_gap": median(gaps) if gaps else None,
            "late_gap": late,
            "status": status,
            "silent": silent,
            "weekdays": [sum(d.weekday() == i for d in days) / len(days) for i in range(7)],
            "hours": Counter(
                hour for _, hour in {(when(r["time"]).date(), when(r["time"]).hour) for r in own}
            ),
            "interests": interests,
            "level": sum(levels) / len(levels) if levels else None,
            "bands": [bands[name] for name in ("cheap", "middle", "dear")],
            "repeats": repeats,
        }  # fmt: skip
    buyers = {user: p for user, p in out.items() if p["last_purchase"] is not None}
    for p in out.values():
        p["segment"] = "No purchase"
    for p in buyers.values():
        p["scores"] = tuple(
            fifth(p[name], [q[name] for q in buyers.values()]) for name in ("last_purchase", "orders", "spend")
        )
        p["segment"] = GRID[p["scores"][:2]]
    return out
