"""Weights, support and alignment of Events.interactions against the formula written out in plain Python."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecocore import IdMap, InvalidArgument, read_events
from ecocore import events as events_module

T0 = 1_700_000_000_000_000
DAY = 86_400_000_000

EVENT = st.tuples(
    st.integers(0, 5),  # user
    st.sampled_from("abcdefg"),  # item
    st.integers(0, 30 * DAY),  # time
    st.sampled_from(["view", "cart", "buy"]),
    st.sampled_from([None, 0.5, 1.0, 3.0]),  # quantity
    st.sampled_from([None, 0.0, 2.5]),  # value
)


def read(events, **options):
    user, item, time, kind, quantity, value = zip(*events, strict=True)
    source = {
        "user": np.array(user), "item": list(item), "time": np.array(time) + T0, "event": list(kind),
        "quantity": np.array([np.nan if q is None else q for q in quantity]),
        "value": np.array([np.nan if v is None else v for v in value]),
    }  # fmt: skip
    # NaN says "unknown" in a column of numbers only if it is NULL: hand over Arrow, which has both.
    import pyarrow as pa

    table = pa.table({k: pa.array(v, from_pandas=True) for k, v in source.items()})
    columns = {"time": "time", "event": "event", "quantity": "quantity", "value": "value"}
    return read_events(table, drop_duplicates=False, time_unit="us", **columns, **options)


def contents(x):
    rows = x.row_numbers()
    keys = list(zip(x.users[rows].tolist(), x.items[x.indices].tolist(), strict=True))
    return dict(zip(keys, zip(x.data.tolist(), x.times.tolist(), strict=True), strict=True))


def twin(events, weights=None, by=None, half_life=None, cap=None, log=False):
    sums, last = defaultdict(list), {}
    now = max(e[2] for e in events)
    for user, item, time, kind, quantity, value in events:
        if weights is not None and kind not in weights:
            continue
        w = 1.0 if weights is None else weights[kind]
        if by is not None:
            amount = quantity if by == "quantity" else value
            w *= 1.0 if amount is None else amount
        if half_life is not None:
            w *= 2.0 ** (-(now - time) / half_life)
        sums[user, item].append(w)
        last[user, item] = max(last.get((user, item), 0), time + T0)
    out = {}
    for pair, ws in sums.items():
        total = math.fsum(ws)
        total = total if cap is None else min(total, cap)
        total = math.log(1 + total) if log else total
        if total != 0:
            out[pair] = (total, last[pair])
    return out


def support(pairs, min_user, min_item):
    """The largest set of pairs in which all have enough, by leaving out one user or item after another."""
    while True:
        users, items = defaultdict(set), defaultdict(set)
        for u, i in pairs:
            users[u].add(i)
            items[i].add(u)
        poor = next((u for u in users if len(users[u]) < min_user), None)
        if poor is not None:
            pairs = {p for p in pairs if p[0] != poor}
            continue
        poor = next((i for i in items if len(items[i]) < min_item), None)
        if poor is None:
            return pairs
        pairs = {p for p in pairs if p[1] != poor}


@settings(max_examples=40, deadline=None)
@given(
    log=st.lists(EVENT, min_size=1, max_size=40),
    options=st.fixed_dictionaries(
        {
            "weights": st.sampled_from([None, {"view": 1, "cart": 3.5, "buy": 5}, {"buy": 2, "view": 0}, {"buy": 1}]),
            "by": st.sampled_from([None, "quantity", "value"]),
            "half_life": st.sampled_from([None, "1d", "2w"]),
            "cap": st.sampled_from([None, 2.0]),
            "log": st.booleans(),
        }
    ),
    need=st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
def test_weights_and_support_follow_the_formula(log, options, need):
    spans = {None: None, "1d": DAY, "2w": 14 * DAY}
    want = twin(log, **(options | {"half_life": spans[options["half_life"]]}))
    with read(log) as events:
        x = events.interactions(**options)
        got = contents(x)
        assert got.keys() == want.keys()
        for pair, (weight, time) in want.items():
            assert got[pair] == (pytest.approx(weight, rel=2e-7), time)
        assert x.users.to_array().tolist() == sorted({u for u, _ in want})
        assert x.items.to_array().tolist() == sorted({i for _, i in want})
        dense = events.interactions(**options, min_user_items=need[0], min_item_users=need[1])
        kept = support(set(want), *need)
        assert contents(dense).keys() == kept
        assert {p: w for p, (w, _) in contents(dense).items()} == {p: got[p][0] for p in kept}
        rules = {r["rule"]: r["count"] for r in dense.report["rules"]}
        assert rules.get("min_support", 0) == len(want) - len(kept)


@settings(max_examples=15, deadline=None)
@given(log=st.lists(EVENT, min_size=1, max_size=60), size=st.integers(1, 20))
def test_slices_change_nothing(log, size):
    options = {"half_life": "3d", "log": True, "min_user_items": 2}
    with read(log) as events:
        whole = events.interactions(**options)
        before, events_module._SLICE = events_module._SLICE, size
        try:
            sliced = events.interactions(**options)
        finally:
            events_module._SLICE = before
    assert sliced.data.tobytes() == whole.data.tobytes()
    assert sliced.indptr.tolist() == whole.indptr.tolist()
    assert sliced.indices.tolist() == whole.indices.tolist()
    assert sliced.times.tolist() == whole.times.tolist()
    assert (sliced.users, sliced.items) == (whole.users, whole.items)


LOG = [
    (1, "a", 0, "view", None, None), (1, "a", DAY, "buy", 2.0, None), (2, "b", DAY, "view", None, 0.0),
    (3, "a", DAY, "cart", None, None),
]  # fmt: skip


def test_given_maps_decide_rows_and_columns_and_the_rest_is_counted():
    with read(LOG) as events:
        x = events.interactions(users=IdMap([3, 9, 1]), items=IdMap(["z", "a"]))
        assert x.shape == (3, 2)
        assert x.to_scipy().toarray().tolist() == [[0, 1], [0, 0], [0, 2]]
        assert {r["rule"]: r["count"] for r in x.report["rules"]} == {"unknown_user": 1, "unknown_item": 1}
        assert events.interactions(users=IdMap(["1", "2", "x"])).to_scipy().toarray().tolist() == [
            [2, 0],
            [0, 1],
            [0, 0],
        ]
        assert events.interactions(users=IdMap([]), items=IdMap([])).shape == (0, 0)
        train, test = events.split_by_time(at=T0 + DAY)
        x = train.interactions()
        y = test.interactions(users=x.users, items=x.items)
        assert (x.shape, y.shape, y.nnz) == ((1, 1), (1, 1), 1)


def test_types_without_a_weight_are_counted_or_raise():
    with read(LOG) as events:
        x = events.interactions(weights={"buy": 5, "rent": 1})
        rule = next(r for r in x.report["rules"] if r["rule"] == "no_weight")
        assert (rule["count"], rule["meaning"], rule["unit"]) == (3, "weights does not name cart, view", "events")
        assert x.data.tolist() == [5.0]
        with pytest.raises(InvalidArgument, match=r"weights: 'cart' has none \(1 events\); name it"):
            events.interactions(weights={"buy": 5}, strict=True)
        assert events.interactions(weights={}).nnz == 0
        zero = events.interactions(by="value")
        assert next(r for r in zero.report["rules"] if r["rule"] == "zero_weight")["count"] == 1


def test_decay_counts_from_now():
    with read(LOG) as events:
        x = events.interactions(half_life="1d", now=T0 + 2 * DAY)
        assert contents(x)[1, "a"][0] == 0.25 + 0.5
        assert contents(x)[3, "a"][0] == 0.5


def test_amount_is_quantity_times_price_or_what_was_paid():
    source = {
        "user": [1, 1, 2],
        "item": ["a", "b", "a"],
        "q": [2.0, 1.0, 3.0],
        "p": [1.5, 2.0, 4.0],
        "m": [7.0, 8.0, 9.0],
    }
    with read_events(source, quantity="q", price="p") as events:
        assert events.interactions(by="amount").data.tolist() == [3.0, 2.0, 12.0]
    with read_events(source, price="p") as events:
        assert events.interactions(by="amount").data.tolist() == [1.5, 2.0, 4.0]
    with read_events(source, quantity="q", amount="m") as events:
        assert events.interactions(by="amount").data.tolist() == [7.0, 8.0, 9.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": {"view": -1}}, "weights: expected a finite number of at least 0 for 'view'; got -1"),
        ({"weights": {"view": float("nan")}}, "weights: expected"),
        ({"by": "clicks"}, "by: expected 'value', 'quantity', 'amount' or None"),
        ({"by": "amount"}, "read without price; read it with price="),
        ({"half_life": "-3d"}, "half_life: expected a span"),
        ({"now": T0}, "now: only means something with half_life"),
        ({"cap": 0}, "cap: expected a number above 0"),
        ({"min_user_items": 0}, "min_user_items: expected a whole number"),
        ({"min_item_users": 1.5}, "min_item_users: expected a whole number"),
        ({"half_life": "1s", "now": T0 - 400 * DAY}, "pass the range of float32; set cap= or log="),
    ],
)
def test_bad_options_raise(options, message):
    with read(LOG) as events, pytest.raises(InvalidArgument, match=message):
        events.interactions(**options)


def test_item_statistics():
    source = {"user": [1, 1, 2, 2], "item": ["a", "b", "a", "c"], "q": [2.0, 1.0, 3.0, 1.0]}
    source["p"] = np.array([1.5, 2.0, 4.0, None], object)
    with read_events(source, quantity="q", price="p") as events:
        got = events.item_statistics(IdMap(["b", "nobody's", "a", "c"]))
        assert got["events"].tolist() == [1, 0, 2, 1]
        assert got["spend"].tolist() == [2, 0, 15, 0]
        np.testing.assert_array_equal(got["price"], [2, np.nan, 3, np.nan])
    with read_events(source) as events:
        assert events.item_statistics(IdMap(["a"])).keys() == {"events"}


def test_item_statistics_count_only_purchases_as_spend():
    source = {"user": [1, 1, 2, 2, 3], "item": ["a", "a", "a", "b", "b"], "p": [9.0, 3.0, 5.0, 7.0, 7.0]}
    source["type"] = ["view", "Purchase", "purchase", "view", "cart"]
    with read_events(source, event="type", price="p") as events:
        got = events.item_statistics(IdMap(["a", "b"]))
        assert got["events"].tolist() == [3, 2]
        assert got["spend"].tolist() == [8, 0]
        np.testing.assert_array_equal(got["price"], [4, np.nan])
        carts = events.item_statistics(IdMap(["a", "b"]), purchases=["cart"])
        assert carts["spend"].tolist() == [0, 7]
        with pytest.raises(InvalidArgument, match="purchases: there is no event type 'sold'"):
            events.item_statistics(IdMap(["a"]), purchases=["sold"])
