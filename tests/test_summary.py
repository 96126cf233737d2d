"""The behaviour summary on a log small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ecocore import Interactions, InvalidArgument, read_catalogue, read_events
from ecocore import events as events_module
from ecocore.summary import repeat_share

LOG = {
    "user": ["ann", "ann", "ann", "bob", "bob", "cid"],
    "item": ["tea", "tea", "cup", "tea", "tea", "cup"],
    "when": [
        "2024-01-01 10:00",
        "2024-01-02 10:00",
        "2024-01-02 10:00",
        "2024-02-01 08:00",
        "2024-02-01 09:00",
        "2024-02-03",
    ],
    "n": [1.0, 2.0, 1.0, 1.0, 1.0, 4.0],
    "cost": [2.0, 2.0, 5.0, 2.0, 3.0, 5.0],
    "order": [1, 2, 2, 3, 3, 4],
    "kind": ["drink", "drink", "crockery", "drink", "drink", "crockery"],
}
COLUMNS = {"time": "when", "quantity": "n", "price": "cost", "basket": "order"}


@pytest.mark.parametrize("slice_size", [1, 4_000_000])
@pytest.mark.parametrize("source", ["column", "catalogue"])
def test_counted_by_hand(slice_size, source, monkeypatch):
    monkeypatch.setattr(events_module, "_SLICE", slice_size)
    catalogue = None
    if source == "catalogue":
        goods = {"item": ["cup", "tea"], "kind": ["crockery", "drink"], "title": ["Cup", "Tea"]}
        catalogue = read_catalogue(goods, category="kind", name="title")
    columns = COLUMNS | ({"category": "kind"} if source == "column" else {})
    with read_events(LOG, **columns) as events:
        s = events.summary(catalogue)
    assert (s.events, s.users, s.items) == (6, 3, 2)
    assert s.active_users["month"] == {"2024-01": 1, "2024-02": 2}
    assert s.active_users["week"] == {"2024-01-01": 1, "2024-01-29": 2}
    assert s.active_users["day"] == {"2024-01-01": 1, "2024-01-02": 1, "2024-02-01": 1, "2024-02-03": 1}
    assert s.events_per_user == {0.0: 1, 0.25: 1, 0.5: 2, 0.75: 3, 0.9: 3, 0.99: 3, 1.0: 3}
    assert s.items_per_user[1.0] == 2
    assert s.spend == 2 + 4 + 5 + 2 + 3 + 20
    assert s.spend_per_user[0.5] == 11
    assert s.top_categories == [("crockery", 2, 25.0), ("drink", 4, 11.0)]
    names = ("Tea", "Cup") if source == "catalogue" else (None, None)
    assert s.top_items == [("tea", names[0], 4), ("cup", names[1], 2)]
    assert s.recency_days[0.0] == 0
    assert s.recency_days[1.0] == pytest.approx(31 + 14 / 24)
    assert s.repeat_rate == 1 / 4  # ann's tea; bob's two on one day do not count
    assert s.repeat_events == 1 / 6
    assert (s.baskets, s.basket_items[1.0], s.basket_spend[1.0]) == (4, 2, 20)
    text = str(s)
    for line in (
        "6 events of 3 users on 2 items, 2024-01-01 to 2024-02-03",
        "2024-02          2  ####",
        "repeats: 25.0%",
        "spend: 36.00",
    ):
        assert line in text


def test_a_log_without_time_and_prices_tells_less():
    with read_events({"user": [1, 2], "item": [1, 1], "kind": ["a", "b"]}, event="kind") as events:
        s = events.summary()
    assert (s.first, s.spend, s.repeat_rate, s.baskets) == (None, None, None, None)
    assert s.event_types == {"a": 1, "b": 1}
    assert s.active_users == {}
    assert str(s).startswith("2 events of 2 users on 1 items\nevent types: a 1, b 1")


def test_a_part_has_a_summary_of_its_own_and_unknown_prices_are_counted():
    with read_events(LOG | {"cost": np.array([2.0, None, 5.0, 2.0, 3.0, 5.0], object)}, **COLUMNS) as events:
        train, test = events.split_by_time(at="2024-02-01")
        assert (train.summary().events, test.summary().events) == (3, 3)
        assert train.summary().spend == 7
        assert train.summary().unpriced == 1


def test_repeat_share():
    train = Interactions.from_arrays([0, 0, 1], [0, 1, 1])
    test = Interactions.from_arrays([0, 1], [1, 0], user_ids=train.users, item_ids=train.items)
    assert repeat_share(train, test) == 0.5
    with pytest.raises(InvalidArgument, match="expected shape"):
        repeat_share(train, Interactions.from_arrays([0], [0]))
