"""Profiles against their slow twin, odd logs, the report's safety, and what the command prints."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecocore import BehaviorModel, IdMap, InvalidArgument, Profiles, read_catalogue, read_events
from ecocore import events as events_module
from ecocore.cli import main
from ecocore.profiles.rfm import SEGMENTS, quintiles
from reference_profiles import DAY, profiles
from reference_recurrent import model_arrays, write_model

T0 = 1_704_067_200_000_000  # 2024-01-01, a Monday
HALF_LIFE = 30 * DAY
PRICES = (-2.0, 0.0, 1.0, 1.5, 2.0, 9.0, None)


@st.composite
def logs(draw):
    """Rows of a small odd log: few users and items, times that coincide, prices that are missing or a refund's."""
    columns = {name: draw(st.booleans()) for name in ("kind", "paid", "pieces", "basket", "category")}
    row = st.fixed_dictionaries(
        {
            "user": st.integers(1, 4),
            "item": st.integers(1, 5),
            "time": st.integers(0, 40).map(lambda h: T0 + h * 17 * DAY // 24),
            "kind": st.sampled_from(["purchase", "view"]) if columns["kind"] else st.none(),
            "paid": st.sampled_from(PRICES) if columns["paid"] else st.none(),
            "pieces": st.sampled_from([1.0, 2.0, 3.0]) if columns["pieces"] else st.just(1.0),
            "basket": st.sampled_from(["a", "b", None]) if columns["basket"] else st.none(),
            "category": st.sampled_from(["tea", "cup", None]) if columns["category"] else st.none(),
        }
    )
    return draw(st.lists(row, min_size=1, max_size=30)), columns


def read(rows, columns):
    source = {"user": [r["user"] for r in rows], "item": [r["item"] for r in rows]}
    source["when"] = np.array([r["time"] for r in rows], "datetime64[us]")
    mapped = {"time": "when"}
    arguments = {"kind": "event", "paid": "amount", "pieces": "quantity", "basket": "basket", "category": "category"}
    for name, given_ in columns.items():
        if given_:
            text = name in ("kind", "basket", "category")
            source[name] = np.array([r[name] for r in rows], object if text else float)
            mapped[arguments[name]] = name
    return read_events(source, **mapped, drop_duplicates=False, max_events_per_user_day=None)


def close(got, expected):
    if expected is None:
        assert got is None
        return
    assert got == pytest.approx(expected, rel=1e-9, abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(log=logs(), slice_size=st.sampled_from([1, 7, 4_000_000]))
def test_equal_to_the_slow_twin(log, slice_size):
    rows, columns = log
    kept = [r for r in rows if r["paid"] is None or r["paid"] > 0]  # cleaning drops refunds and what was free
    if not kept or (columns["kind"] and not any(r["kind"] == "purchase" for r in kept)):
        return
    now = max(r["time"] for r in kept) + 3 * DAY
    expected = profiles(kept, half_life=HALF_LIFE, now=now, priced=columns["paid"], typed=columns["kind"])
    before, events_module._SLICE = events_module._SLICE, slice_size
    try:
        with read(rows, columns) as events:
            shop = Profiles(events, half_life="30d", now=now)
            assert list(shop.customers.to_array()) == sorted(expected)
            for user, want in expected.items():
                compare(shop, shop.profile(user, k=100), want, columns)
            counts = {s.name: s.customers for s in shop.segments}
            assert counts == {n: c for n in SEGMENTS if (c := sum(e["segment"] == n for e in expected.values()))}
            assert sum(s.orders for s in shop.segments) == sum(e["orders"] for e in expected.values())
            shop.profile(min(expected)).to_dict()
            str(shop)
    finally:
        events_module._SLICE = before


def compare(shop, got, want, columns):
    assert (got.events, got.orders, got.rhythm.visits) == (want["events"], want["orders"], want["visits"])
    assert (got.spend is None) == (not columns["paid"])
    if got.spend is not None:
        close(got.spend, want["spend"])
    if "scores" in want:
        scores = (got.rfm.recency, got.rfm.frequency, got.rfm.monetary)
        assert scores[:2] == want["scores"][:2]
        assert scores[2] == (want["scores"][2] if columns["paid"] else None)
        assert got.rfm.segment == want["segment"]
        close(got.rfm.recency_days, (shop.log.now - want["last_purchase"]) / DAY)
    else:
        assert got.rfm is None
    close(got.rhythm.typical_gap_days, want["typical_gap"])
    close(got.rhythm.late_gap_days, want["late_gap"])
    assert (got.rhythm.status, got.rhythm.silent_days) == (want["status"], want["silent"])
    close(list(got.rhythm.weekdays), want["weekdays"])
    if got.rhythm.hours:
        total = sum(want["hours"].values())
        close(list(got.rhythm.hours), [want["hours"][h] / total for h in range(24)])
    found = {x.category: x for x in got.interests}
    assert set(found) == {name for name, (_, _, apart, _) in want["interests"].items() if apart > 1e-12} | {
        name for name in found if abs(want["interests"][name][2]) < 1e-12
    }
    for name, x in found.items():
        share, average, apart, spent = want["interests"][name]
        close([x.share, x.average, x.affinity, x.lift], [share, average, apart, share / average])
        if columns["paid"]:
            close(x.spend_share, spent)
    assert [x.affinity for x in got.interests] == sorted((x.affinity for x in got.interests), reverse=True)
    if got.prices is None:
        assert want["level"] is None
    else:
        close(got.prices.level, want["level"])
        n = sum(want["bands"])
        close([got.prices.cheap, got.prices.middle, got.prices.dear], [b / n for b in want["bands"]])
    again = {x.product.item: x for x in got.next_purchases}
    assert set(again) == set(want["repeats"])
    for item, (score, days, last, gap, due) in want["repeats"].items():
        x = again[item]
        close(x.score, score)
        assert (x.days_bought, x.last_bought, x.typical_gap_days) == (days, str(last), gap)
        assert x.due == (None if due is None else str(due))
    assert {x.product.item for x in got.repeats} == {i for i, r in want["repeats"].items() if r[1] >= 3}


def test_quintiles_are_even_fifths_and_ties_are_together():
    assert quintiles(np.arange(10)).tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert quintiles(np.array([7])).tolist() == [3]
    assert quintiles(np.array([1, 1, 1, 1])).tolist() == [3, 3, 3, 3]
    assert quintiles(np.array([5, 0, 0, 0, 0])).tolist() == [5, 3, 3, 3, 3]


SMALL = {
    "user": ["ann", "ann", "ann", "ann", "bob", "bob", "cid"],
    "item": ["tea", "tea", "tea", "cup", "cup", "pot", "tea"],
    "when": ["2024-01-01 10:00", "2024-01-08 10:00", "2024-01-15 10:00", "2024-01-22 11:00", "2024-01-03", "2024-02-01",
             "2024-01-20 23:30"],
    "kind": ["purchase", "purchase", "purchase", "purchase", "purchase", "view", "view"],
    "cost": [2.0, 2.0, 2.0, 5.0, 5.0, 30.0, 2.0],
}  # fmt: skip
GOODS = {"item": ["cup", "pot", "tea"], "type": ["crockery", "crockery", "drinks"], "title": ["Cup", "Pot", "Tea"]}


def small(**options):
    events = read_events(SMALL, time="when", event="kind", price="cost")
    return events, Profiles(events, read_catalogue(GOODS, name="title", category="type"), **options)


def test_a_small_shop_by_hand():
    events, shop = small()
    with events:
        ann, cid = shop.profile("ann"), shop["cid"]
        text = str(ann)
        assert (ann.orders, ann.spend, ann.average_order) == (4, 11.0, 2.75)
        assert ann.rhythm.typical_gap_days == 7
        assert ann.rhythm.expected == "2024-01-29"
        assert ann.rhythm.status == "overdue"  # ten days of silence, where none was longer than seven
        assert [m.orders for m in ann.months] == [4, 0]
        assert [m.spend for m in ann.months] == [11.0, 0.0]
        assert ann.interests[0].category == "drinks"
        assert ann.next_purchases[0].due == "2024-01-22"
        assert ann.prices is None  # nothing but one price was paid in each category: a pot was only looked at
        assert (cid.rfm, cid.spend, cid.average_order) == (None, 0.0, None)
        assert shop.segments[-1].name == "No purchase"
        assert cid.rhythm.hours[23] == 1.0
        for line in ("segment: ", "comes every 7 days, was here 10 days ago: overdue", "Tea: bought on 3 days"):
            assert line in text
        assert json.loads(json.dumps(ann.to_dict()))["rfm"]["segment"] == ann.rfm.segment
        assert json.loads(json.dumps(shop.to_dict()))["customers"] == 3


def test_a_rounding_of_sums_makes_no_price_band_and_no_score():
    """0.1 + 0.1 + 0.1 is not 0.3: averages and sums of the same money must still count as the same."""
    times = [f"2024-01-{day:02}" for day in range(1, 7)]
    source = {"user": [1, 1, 1, 2, 2, 3], "item": ["a", "a", "a", "b", "b", "b"], "t": times, "c": ["tea"] * 6}
    with read_events(source | {"p": [0.1] * 6}, time="t", price="p", category="c") as events:
        shop = Profiles(events)
        assert [shop.profile(user).prices for user in (1, 2, 3)] == [None] * 3
    with read_events(source | {"p": [0.1, 0.1, 0.1, 0.15, 0.15, 0.3]}, time="t", price="p", category="c") as events:
        shop = Profiles(events)
        assert [shop.profile(user).rfm.monetary for user in (1, 2, 3)] == [3, 3, 3]


def test_what_has_wholly_decayed_is_no_interest():
    events, _ = small()
    with events:
        shop = Profiles(events, read_catalogue(GOODS, category="type"), half_life="1min", now="2026-01-01")
        assert shop.profile("ann").interests == ()
        assert {s.interests for s in shop.segments} == {()}


def test_the_expected_day_is_the_first_that_is_due():
    days = [1, 3, 6, 8, 11]  # gaps of 2, 3, 2 and 3 days: 2.5 usually
    source = {"user": [1] * 5, "item": [1] * 5, "t": [f"2024-01-{day:02}" for day in days]}
    with read_events(source, time="t") as events:
        rhythms = [Profiles(events, now=f"2024-01-{day}").profile(1).rhythm for day in (12, 13, 14, 15)]
        assert {r.expected for r in rhythms} == {"2024-01-13"}
        assert [r.status for r in rhythms] == ["early", "due", "due", "overdue"]


def test_late_is_what_nine_in_ten_gaps_were_not():
    days = [1, 2, 3, 13]  # no gap was longer than ten days
    source = {"user": [1] * 4, "item": [1] * 4, "t": [f"2024-01-{day:02}" for day in days]}
    with read_events(source, time="t") as events:
        rhythms = [Profiles(events, now=f"2024-01-{day}").profile(1).rhythm for day in (22, 23, 24)]
        assert {r.late_gap_days for r in rhythms} == {10}
        assert [r.status for r in rhythms] == ["due", "due", "overdue"]


def test_a_page_calls_due_what_is_due_in_the_shops_zone(tmp_path):
    times = ["2024-01-01 20:00", "2024-01-02 20:00", "2024-01-03 20:00"]  # UTC; a day later in Shanghai
    with read_events({"user": [1] * 3, "item": [1] * 3, "t": times}, time="t") as events:
        shop = Profiles(events, time_zone="Asia/Shanghai", now="2024-01-04 20:00")
        assert shop.profile(1).next_purchases[0].due == "2024-01-05"
        shop.profile(1).to_html(tmp_path / "one.html")
        assert '<span class="d bad">2024-01-05</span>' in (tmp_path / "one.html").read_text()
        shop.to_html(tmp_path / "shop.html")
        assert "up to 2024-01-05" in page(tmp_path / "shop.html").text


def test_days_and_hours_are_of_the_shop():
    events, shop = small(time_zone="Asia/Shanghai")
    with events:
        cid = shop.profile("cid")
        assert cid.rhythm.hours[7] == 1.0
        assert cid.rhythm.weekdays[6] == 1.0  # Saturday night in London is Sunday morning in Shanghai


def test_dates_without_hours_have_no_hours():
    with read_events({"user": [1, 2], "item": [1, 1], "t": ["2024-01-01", "2024-01-02"]}, time="t") as events:
        assert Profiles(events).profile(1).rhythm.hours == ()


def test_a_part_of_the_log_knows_only_its_own_customers():
    source = {"user": [1, 2], "item": [1, 1], "t": ["2024-01-01", "2024-01-09"]}
    with read_events(source, time="t") as events:
        past, _ = events.split_by_time("2024-01-05")
        shop = Profiles(past)
        assert len(shop) == 1
        with pytest.raises(InvalidArgument, match=r"customer: 2 is unknown .*; expected one of the 1 known, such as 1"):
            shop.profile(2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"now": "2024-01-09"}, r"now: expected a time from the last event .* to look back, take events.split_by_time"),
        ({"half_life": "soon"}, "half_life: expected a span"),
        ({"time_zone": "Mars/Base"}, "time_zone: expected a name such as 'Europe/Berlin'"),
        ({"purchases": ["sale"]}, "purchases: there is no event type 'sale'"),
    ],
)
def test_bad_options_raise(options, message):
    events = read_events(SMALL, time="when", event="kind", price="cost")
    with events, pytest.raises(InvalidArgument, match=message):
        Profiles(events, **options)


def test_bad_input_raises():
    with read_events({"user": [1], "item": [2]}) as events, pytest.raises(InvalidArgument, match="read it with time="):
        Profiles(events)
    with pytest.raises(InvalidArgument, match=r"events: expected Events; .*read_events"):
        Profiles([1, 2])
    events, shop = small()
    with events:
        with pytest.raises(InvalidArgument, match=r"^model: expected a BehaviorModel; got str 'next'; use .*load"):
            Profiles(events, model="next")
        with pytest.raises(InvalidArgument, match=r"^catalogue: expected a Catalogue; got int 3; use read_catalogue"):
            Profiles(events, 3)
        with pytest.raises(InvalidArgument, match="customer: 'dan' is unknown"):
            shop.profile("dan")
        with pytest.raises(InvalidArgument, match="k: expected"):
            shop.profile("ann", k=0)


# ---- with a model ----------------------------------------------------------------------------------------------------
def model_of(tmp_path, ids, **shape):
    meta, arrays = model_arrays(items=len(ids), probability="softmax", **shape)
    described, parts = IdMap(ids).to_parts()
    arrays = {k: v for k, v in arrays.items() if not k.startswith("item_ids")}
    write_model(tmp_path / "m", meta | {"item_ids": described}, arrays | {f"item_ids_{k}": v for k, v in parts.items()})
    return BehaviorModel.load(tmp_path / "m")


def test_a_model_tells_what_comes_next(tmp_path):
    model = model_of(tmp_path, ["cup", "jug", "pot", "tea"], gaps=6)
    events, shop = small(model=model)
    with events:
        ann = shop.profile("ann", k=3)
        ids = [["tea", "tea", "tea", "cup"]]
        times = [[(T0 + d * DAY) / 1e6 + 3600 * h for d, h in ((0, 10), (7, 10), (14, 10), (21, 11))]]
        p = dict(zip(model.items.to_array(), model.probabilities(ids, times=times)[0], strict=True))
        by_category = {x.category: x.probability for x in ann.interests}
        assert by_category["drinks"] == pytest.approx(p["tea"], rel=1e-6)
        assert by_category["crockery"] == pytest.approx(p["cup"] + p["pot"], rel=1e-6)
        best = sorted(("cup", "pot", "tea"), key=lambda item: -p[item])  # the log does not know jugs
        assert [x.product.item for x in ann.next_purchases] == best
        assert {x.basis for x in ann.next_purchases} == {"model"}
        tea = next(x for x in ann.next_purchases if x.product.item == "tea")
        assert (tea.days_bought, tea.due) == (3, "2024-01-22")
        assert next(x for x in ann.next_purchases if x.product.item == "pot").days_bought == 0
        assert "bought again and again:\n  Tea: bought on 3 days" in str(ann)


def test_a_model_of_other_items_is_refused(tmp_path):
    with pytest.raises(InvalidArgument, match="model: it knows none of this log's items, such as 'cup'"):
        small(model=model_of(tmp_path, ["x", "y"]))


# ---- the report ------------------------------------------------------------------------------------------------------
class _Page(HTMLParser):
    """Tags in balance, and what a reader sees."""

    VOID = frozenset({"meta", "br", "rect", "path", "circle"})

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def page(path):
    html = path.read_text("utf-8")
    parsed = _Page()
    parsed.feed(html)
    assert not parsed.open
    tags = {tag for tag, _ in parsed.seen}
    assert not tags & {"script", "link", "img", "iframe"}
    assert not any(name.startswith("on") or name in ("src", "href") for _, attrs in parsed.seen for name in attrs)
    for plot in re.findall(r"<svg.*?</svg>", html, re.S):
        root = ET.fromstring(plot)  # well-formed by itself
        assert root.get("role") == "img"
        assert root.get("aria-label")
    return parsed


EVIL = "<script>alert(1)</script>\" onload='x'"


@pytest.fixture
def evil_shop():
    source = SMALL | {"user": [EVIL if u == "ann" else u for u in SMALL["user"]]}
    goods = GOODS | {"type": [EVIL, EVIL, "drinks & <b>more</b>"], "title": [EVIL, EVIL, "Tea"]}
    with read_events(source, time="when", event="kind", price="cost") as events:
        yield Profiles(events, read_catalogue(goods, name="title", category="type"))


def test_pages_hold_no_script_whatever_names_hold(evil_shop, tmp_path):
    evil_shop.profile(EVIL).to_html(tmp_path / "customer.html")
    evil_shop.to_html(tmp_path / "shop.html")
    customer, shop = page(tmp_path / "customer.html"), page(tmp_path / "shop.html")
    assert EVIL in customer.text
    assert "drinks & <b>more</b>" in customer.text
    assert "Champions" in shop.text or "Loyal customers" in shop.text
    assert sum(tag == "svg" for tag, _ in customer.seen) >= 3
    assert sum(tag == "svg" for tag, _ in shop.seen) >= 3


def test_pages_of_the_barest_log(tmp_path):
    with read_events({"user": [1], "item": [1], "t": ["2024-01-01"]}, time="t") as events:
        shop = Profiles(events)
        shop.to_html(tmp_path / "shop.html")
        shop.profile(1).to_html(tmp_path / "one.html")
        assert "Customer 1" in page(tmp_path / "one.html").text
        assert "1 day" not in str(shop.profile(1))
        assert "one visit, 0 days ago" in str(shop.profile(1))
        page(tmp_path / "shop.html")


# ---- the command -----------------------------------------------------------------------------------------------------
@pytest.fixture
def files(tmp_path):
    rows = zip(*(SMALL[name] for name in SMALL), strict=True)
    (tmp_path / "log.csv").write_text("\n".join([",".join(SMALL), *(",".join(map(str, r)) for r in rows)]) + "\n")
    goods = zip(*(GOODS[name] for name in GOODS), strict=True)
    (tmp_path / "goods.csv").write_text("\n".join([",".join(GOODS), *(",".join(r) for r in goods)]) + "\n")
    return tmp_path


COLUMNS = ["--time", "when", "--event", "kind", "--price", "cost"]


def test_the_command_shows_a_customer_and_the_shop(files, capsys):
    log, goods = str(files / "log.csv"), str(files / "goods.csv")
    known = ["--catalogue", goods, "--catalogue-category", "type", "--catalogue-name", "title"]
    html = files / "ann.html"
    assert main(["profile", log, *COLUMNS, *known, "--customer", "ann", "--html", str(html)]) == 0
    out = capsys.readouterr().out
    assert "customer ann: 4 events" in out
    assert "drinks" in out
    assert "Customer ann" in page(html).text
    assert main(["profile", log, *COLUMNS, "--customer", "ann", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["customer"] == "ann"
    assert main(["profile", log, *COLUMNS]) == 0
    assert "3 customers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--customer", "dan"], "--customer: 'dan' is unknown"),
        (["--half-life", "x"], "--half-life: expected a span"),
        (["--catalogue-name", "title"], "--catalogue"),
    ],
)
def test_the_command_explains_mistakes(files, capsys, arguments, message):
    assert main(["profile", str(files / "log.csv"), *COLUMNS, *arguments]) == 2
    assert message in capsys.readouterr().err
