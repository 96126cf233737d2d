"""Profiles as pages of HTML: one file, no script, nothing fetched, in light and dark, every plot named in words."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import svg
from ..times import format_time
from .customer import WEEKDAYS, NextPurchase, Profile, date_text, days_text, rhythm_text

if TYPE_CHECKING:
    from .profiles import Profiles

__all__ = ["customer_page", "shop_page", "write"]

_STYLE = """
:root{color-scheme:light dark;--paper:#fff;--page:#f5f6f8;--ink:#1c2430;--soft:#5c6675;--edge:#e2e5ea;--mark:#2563a8;
--rest:#c2571a;--line:#aab1bc;--good:#1d7a46;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--paper:#1b2027;--page:#12161b;--ink:#e6e9ee;--soft:#9aa4b2;--edge:#2d343d;
--mark:#6aa7e8;--rest:#f0a06a;--line:#59626e;--good:#6fcf97;--bad:#f28b82}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1240px;margin:0 auto;padding:32px 24px 48px}
h1{font-size:28px;line-height:1.2;margin:0 0 4px}h2{font-size:17px;margin:0 0 2px}
p{margin:0 0 12px}.soft{color:var(--soft);font-size:13px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(142px,1fr));gap:12px;margin:20px 0}
.tile,section{background:var(--paper);border:1px solid var(--edge);border-radius:10px;padding:14px 16px}
.tile b{display:block;font-size:22px;font-weight:650;line-height:1.25}.tile span{color:var(--soft);font-size:13px}
.cards{columns:2 480px;column-gap:16px}
section{padding:18px 20px;margin-bottom:16px;break-inside:avoid}section.wide{column-span:all}
svg{display:block;width:100%;height:auto;max-width:620px;margin-top:10px}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;margin-top:10px;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:6px 10px 6px 0;font-size:14px;border-bottom:1px solid var(--edge);vertical-align:top}
tr:last-child td{border-bottom:0}th{font-size:13px;font-weight:600;color:var(--soft)}
td b,.d{white-space:nowrap}.n{text-align:right}
.good{color:var(--good);font-weight:600}.bad{color:var(--bad);font-weight:600}
.key{display:inline-block;width:14px;height:10px;border-radius:2px;background:var(--mark);margin:0 4px 0 0}
.key.rest{background:var(--rest);width:3px;height:14px;border-radius:0;vertical-align:-2px;margin-left:10px}
"""

_LEGEND = '<span class="key"></span>{mine} <span class="key rest"></span>the shop’s average'


def write(path: str | os.PathLike[str], page: str) -> None:
    Path(path).write_text(page, encoding="utf-8")


# ---- one customer ----------------------------------------------------------------------------------------------------
def customer_page(p: Profile) -> str:
    r, rfm = p.rhythm, p.rfm
    tiles = [_tile(f"{p.orders:,}", "orders")]
    if p.spend is not None:
        tiles.insert(0, _tile(f"{p.spend:,.2f}", "spent"))
        if p.average_order is not None:
            tiles.append(_tile(f"{p.average_order:,.2f}", "an order, on average"))
    if rfm is not None:
        money = "" if rfm.monetary is None else f" · M {rfm.monetary}"
        tiles.insert(0, _tile(rfm.segment, f"R {rfm.recency} · F {rfm.frequency}{money}, of 5"))
    if r.typical_gap_days is not None:
        tiles.append(_tile(days_text(r.typical_gap_days), "from visit to visit, usually"))
    mood = {"overdue": "bad", "early": "good"}.get(r.status, "")
    when = {"early": f"last visit; expected {r.expected}", "unknown": "last visit"}.get(
        r.status, f"last visit: {r.status}"
    )
    tiles.append(_tile(f"{days_text(r.silent_days)} ago", when, mood))
    if p.prices is not None:
        tiles.append(_tile(p.prices.band, "goods for their category"))

    cards = []
    if p.interests:
        strong = [x for x in p.interests if x.affinity > 0]
        note = f"Share of events, the recent ones counting more. {_LEGEND.format(mine='this customer')}"
        bars = svg.bars(
            [(x.category, x.share, x.average, f"{x.share:.1%} · {x.lift:,.1f}×") for x in strong],
            "Share of events by category, beside the shop's average: "
            + ", ".join(f"{x.category} {x.share:.1%} against {x.average:.1%}" for x in strong),
        )
        cards.append(_card("What sets this customer apart", note, bars))
        expected = sorted((x for x in p.interests if x.probability), key=lambda x: -(x.probability or 0.0))[:10]
        if expected:
            note = f"Probability of the next event, by the behaviour model. {_LEGEND.format(mine='this customer')}"
            bars = svg.bars(
                [(x.category, x.probability or 0.0, x.average, f"{x.probability:.1%}") for x in expected],
                "Probability of the next event by category: "
                + ", ".join(f"{x.category} {x.probability:.1%}" for x in expected),
            )
            cards.append(_card("What comes next", note, bars))
    if p.next_purchases:
        note = (
            "Ranked by the behaviour model after all that the customer did."
            if p.predicted
            else "What the customer buys on most days, the recent ones counting more."
        )
        cards.append(_card("Likely next purchases", note, _purchases(p.next_purchases, p.today)))
        if p.predicted and p.repeats:
            cards.append(_card("Bought again and again", "On three days or more.", _purchases(p.repeats, p.today)))
    cards.append(_card("When this customer comes", escape(_sentence(rhythm_text(r))), _rhythm(p)))
    if len(p.months) > 1:
        spent = p.months[0].spend is not None
        values = [float(m.spend or 0.0) if spent else float(m.orders) for m in p.months]
        what = "Spend" if spent else "Orders"
        label = f"{what} a month: " + ", ".join(f"{m.month} {v:,.0f}" for m, v in zip(p.months, values, strict=True))
        plot = svg.columns(
            values, [m.month for m in p.months], label, show=lambda v: f"{v:,.2f}" if spent else f"{v:,.0f}",
            every=max(1, len(values) // 6), height=150,
        )  # fmt: skip
        most = f"At most {max(values):,.2f} in a month." if spent else f"At most {max(values):,.0f} in a month."
        cards.append(_card(f"{what} by month", most, plot))
    if p.prices is not None:
        shares = [("cheap", p.prices.cheap), ("middle", p.prices.middle), ("dear", p.prices.dear)]
        plot = svg.bars(
            [(name, share, 1 / 3, f"{share:.0%}") for name, share in shares],
            "Share of purchases by price: " + ", ".join(f"{name} {share:.0%}" for name, share in shares),
            names=80,
        )  # fmt: skip
        note = (
            f"{p.prices.purchases:,} purchases, each compared with what is sold in its category, by thirds."
            f" {_LEGEND.format(mine='this customer').replace('the shop’s average', 'a third')}"
        )
        cards.append(_card("Price band", note, plot))
    span = f"{format_time(p.first)[:10]} to {format_time(p.last)[:10]}, {p.events:,} events, {r.visits:,} visits"
    return _page(f"Customer {p.customer}", span, tiles, cards)


def _rhythm(p: Profile) -> str:
    r = p.rhythm

    def show(share: float) -> str:
        return f"{share:.0%}"

    days = svg.columns(
        r.weekdays, WEEKDAYS,
        "Share of visits by weekday: " + ", ".join(f"{d} {v:.0%}" for d, v in zip(WEEKDAYS, r.weekdays, strict=True)),
        show=show, compared=r.average_weekdays, height=110,
    )  # fmt: skip
    if not r.hours:
        return days
    names = [f"{h}:00" for h in range(24)]
    busiest = max(range(24), key=lambda h: r.hours[h])
    return days + svg.columns(
        r.hours, names, f"Share of visits by hour of the day; most at {names[busiest]}", show=show,
        compared=r.average_hours, every=3, height=110,
    )  # fmt: skip


def _purchases(found: Iterable[NextPurchase], today: str) -> str:
    rows = []
    for x in found:
        name = x.product.name or str(x.product.item)
        below = x.product.category or ""
        due = ""
        if x.due is not None:
            due = f'<span class="d{" bad" if x.due <= today else ""}">{x.due}</span>'
        gap = "" if x.typical_gap_days is None else f"{x.typical_gap_days:g}"
        rows.append(
            [
                f'{escape(name)}<br><span class="soft">{escape(below)}</span>',
                f"{x.days_bought:,}" if x.days_bought else "new",
                f'<span class="d">{x.last_bought or ""}</span>',
                gap,
                due,
            ]
        )
    return _table(["product", "days bought", "last", "every (days)", "due"], rows, numbers=(1, 3))


# ---- the whole shop --------------------------------------------------------------------------------------------------
def shop_page(shop: Profiles) -> str:
    spend = sum(s.spend for s in shop.segments if s.spend is not None)
    orders = sum(s.orders for s in shop.segments)
    tiles = [_tile(f"{len(shop):,}", "customers"), _tile(f"{orders:,}", "orders")]
    if shop.log.priced:
        tiles.append(_tile(f"{spend:,.2f}", "spent"))
        if orders:
            tiles.append(_tile(f"{spend / orders:,.2f}", "an order, on average"))
    gaps = np.ma.compressed(shop.table["typical_gap"])
    if gaps.size:
        tiles.append(_tile(days_text(float(np.median(gaps))), "from visit to visit, half of the customers"))

    rows = []
    for s in shop.segments:
        money = [] if s.spend is None else [f"{s.spend:,.0f}", f"{s.spend_share or 0:.1%}"]
        each = [] if s.spend is None else ["" if s.average_order is None else f"{s.average_order:,.2f}"]
        rows.append(
            [
                f"<b>{escape(s.name)}</b>", f"{s.customers:,}", f"{s.share:.1%}", f"{s.orders:,}", *money, *each,
                "" if s.recency_days is None else f"{s.recency_days:,.0f}",
                "" if s.overdue is None else f"{s.overdue:.0%}",
                escape(", ".join(s.interests)),
            ]
        )  # fmt: skip
    priced = ["spend", "of spend", "an order"] if shop.log.priced else []
    head = [
        "segment",
        "customers",
        "of all",
        "orders",
        *priced,
        "days since purchase",
        "overdue",
        "what sets them apart",
    ]
    segments = _table(head, rows, numbers=range(1, len(head) - 1))
    wide = (
        "By recency and frequency of purchases, in fifths. Overdue: silent for longer than nine in ten of the"
        " customer’s own gaps."
    )
    cards = [_card("Segments", wide, segments, wide=True)]

    scores = [str(i) for i in range(1, 6)]
    cards.append(
        _card(
            "Recency and frequency",
            "Customers by their two scores; 5 is the best. Rows: how recent the last purchase is. Columns: how many"
            " orders.",
            svg.heat(
                shop.score_counts()[::-1].tolist(), [f"R {i}" for i in reversed(scores)], [f"F {i}" for i in scores],
                "Number of customers by recency score and frequency score", show=lambda v: f"{v:,.0f}", write=True,
                cell=44,
            ),
        )
    )  # fmt: skip
    weekly = shop.hours
    if np.count_nonzero(weekly.sum(axis=0)) > 1:
        day, hour = np.unravel_index(int(weekly.argmax()), weekly.shape)
        cards.append(
            _card(
                "When customers come",
                f"Visits by weekday and hour; most on {WEEKDAYS[int(day)]} at {int(hour)}:00.",
                svg.heat(
                    weekly.tolist(), WEEKDAYS, [str(h) for h in range(24)],
                    f"Visits by weekday and hour; most on {WEEKDAYS[int(day)]} at {int(hour)}:00",
                    show=lambda v: f"{v:,.0f} visits", every=3, cell=34,
                ),
            )
        )  # fmt: skip
    if gaps.size:
        edges = np.r_[np.arange(0, 31, 2), np.inf]
        counts = np.histogram(gaps, edges)[0]
        names = [f"{low:g}" for low in edges[:-1]]
        names[-1] += "+"
        cards.append(
            _card(
                "How often customers come",
                f"Customers by their usual days from visit to visit; for half it is at most {np.median(gaps):g}.",
                svg.columns(
                    counts.tolist(), names, f"Customers by days from visit to visit; the median is {np.median(gaps):g}",
                    show=lambda v: f"{v:,.0f} customers", every=2, height=200,
                ),
            )
        )  # fmt: skip
    items = shop.items
    total = items.spend if shop.log.priced and items.spend.sum() > 0 else items.interest
    if total.sum() > 0:
        top = np.argsort(-total, kind="stable")[:10]
        what = "spend" if total is items.spend else "events"
        shares = [(items.categories[c], float(total[c] / total.sum())) for c in top if total[c] > 0]
        cards.append(
            _card(
                "Largest categories",
                f"Share of {what}, the recent counting more.",
                svg.bars(
                    [(name, share, None, f"{share:.1%}") for name, share in shares],
                    f"Share of {what}: " + ", ".join(f"{name} {share:.1%}" for name, share in shares),
                ),
            )
        )
    return _page("Customers of the shop", f"up to {date_text(shop.today)}", tiles, cards)


# ---- pieces ----------------------------------------------------------------------------------------------------------
def _tile(value: str, meaning: str, mood: str = "") -> str:
    return f'<div class="tile"><b class="{mood}">{escape(value)}</b><span>{escape(meaning)}</span></div>'


def _card(title: str, note: str, body: str, *, wide: bool = False) -> str:
    """``note`` and ``body`` are HTML, escaped by whoever wrote them."""
    return (
        f'<section{" class=wide" if wide else ""}><h2>{escape(title)}</h2><p class="soft">{note}</p>'
        f'<div class="scroll">{body}</div></section>'
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[int]) -> str:
    """Cells are HTML, escaped by whoever wrote them."""
    right = set(numbers)

    def line(cells: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=n' if i in right else ''}{' scope=col' if tag == 'th' else ''}>{cell}</{tag}>"
            for i, cell in enumerate(cells)
        )

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f"<table><thead><tr>{line([escape(h) for h in head], 'th')}</tr></thead><tbody>{body}</tbody></table>"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _page(title: str, under: str, tiles: Iterable[str], cards: Iterable[str]) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>"
        f'<h1>{escape(title)}</h1><p class="soft">{escape(under)}</p>'
        f'<div class="tiles">{"".join(tiles)}</div><div class="cards">{"".join(cards)}</div></main></body></html>\n'
    )
