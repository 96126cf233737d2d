"""The rules of cleaning against a plain Python twin, row by row, over logs as dirty as Hypothesis can make them."""

from __future__ import annotations

import json
import math
from collections import Counter
from fnmatch import fnmatchcase

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecocore import EcocoreError, InvalidArgument, read_events

DAY = 86_400_000_000
NOW = 1_700_000_000  # seconds
MAPPING = {name: name for name in ("user", "item", "time", "event", "value", "quantity", "price")}

ROW = st.fixed_dictionaries(
    {
        "invoice": st.sampled_from(["1", "2", "C3", "c4", None]),
        "user": st.sampled_from(["u1", "u2", "00123", "", "  ", None, "NULL", "nan", "ü 'x'"]),
        "item": st.sampled_from(["a", "b", "85123A", '"q"', "", "\t", None]),
        "time": st.sampled_from([NOW, NOW + 1, NOW + 86400, 100, NOW * 10, None, "soon", ""]),
        "event": st.sampled_from(["view", "buy", "hover", None, " "]),
        "value": st.sampled_from([None, 0.0, 1.5, -1.0, math.nan, math.inf, 2e9, "x"]),
        "quantity": st.sampled_from([None, 1, 3, 0, -2, 5_000_000, "", "many"]),
        "price": st.sampled_from([None, 0.0, 9.99, -1.0, 2e6, "free"]),
    }
)


def clean(rows, keep_free=False):
    """The twin: the rule that each row breaks first, or the row as it should be kept."""

    def blank(x):
        return x is None or not str(x).strip()

    def number(x):
        try:
            return float(x)
        except ValueError:
            return None

    def bad(x, low_is_bad, most):
        if x is None or (isinstance(x, str) and blank(x)):
            return False
        y = number(x)
        return y is None or not math.isfinite(y) or low_is_bad(y) or y > most

    counts, kept = Counter(), []
    for row in rows:
        if row["invoice"] is not None and fnmatchcase(row["invoice"], "C*"):
            rule = "drop_where invoice"
        elif blank(row["user"]) or row["user"] in ("NULL", "nan"):
            rule = "missing_user"
        elif blank(row["item"]):
            rule = "missing_item"
        elif blank(row["time"]) or row["time"] == "soon":
            rule = "bad_time"
        elif not NOW - 5 <= row["time"] <= NOW + 10**6:
            rule = "time_out_of_range"
        elif blank(row["event"]):
            rule = "missing_event"
        elif row["event"] == "hover":
            rule = "unknown_event"
        elif bad(row["value"], lambda x: x < 0, 1e9):
            rule = "bad_value"
        elif bad(row["quantity"], lambda x: x <= 0, 1e6):
            rule = "bad_quantity"
        elif bad(row["price"], lambda x: x < 0 if keep_free else x <= 0, 1e6):
            rule = "bad_price"
        else:
            values = [None if blank(row[c]) else float(row[c]) for c in ("value", "quantity", "price")]
            row = (row["user"], row["item"], row["time"] * 10**6, row["event"], *values)
            rule = "duplicate" if row in kept else None
            if rule is None:
                kept.append(row)
        if rule is not None:
            counts[rule] += 1
    return counts, kept


def held(events):
    """What a log holds, as the twin writes it."""
    sql = (
        "SELECT u.id, i.id, time, e.name, value, quantity, price FROM events"
        " JOIN (SELECT DISTINCT code, id FROM users) u ON u.code = user"
        " JOIN (SELECT DISTINCT code, id FROM items) i ON i.code = item"
        " JOIN event_types e ON e.code = event"
    )
    return events._db.run(sql)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(ROW, min_size=1, max_size=25), keep_free=st.booleans(), source=st.sampled_from(["json", "parquet"])
)
def test_every_row_is_kept_or_counted_as_the_twin_says(tmp_path, rows, keep_free, source):
    path = tmp_path / f"log.{source}"
    if source == "json":  # text formats have no NaN of their own
        text = {math.inf: "inf", -math.inf: "-inf"}
        rows = [{k: text.get(v, "nan" if v != v else v) for k, v in row.items()} for row in rows]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {c: [None if r[c] is None else str(r[c]) for r in rows] for c in rows[0]}
        pq.write_table(pa.table({c: pa.array(v, pa.string()) for c, v in columns.items()}), path)
    counts, kept = clean(rows, keep_free)
    options = MAPPING | {"drop_where": {"invoice": "C*"}, "event_types": ["view", "buy"], "keep_free": keep_free}
    options |= {"time_unit": "s", "min_time": (NOW - 5) * 10**6, "max_time": (NOW + 10**6) * 10**6}
    if not kept:
        with pytest.raises(InvalidArgument, match="no event is left after cleaning"):
            read_events(path, **options)
        return
    with read_events(path, **options) as events:
        assert sorted(held(events), key=repr) == sorted(kept, key=repr)
        assert {r.rule: r.count for r in events.report.rules} == dict(counts)
        assert events.report.rows_read == len(rows)
        assert events.report.rows_kept == len(events) == len(kept)


def log(**columns):
    n = len(next(iter(columns.values())))
    return {"user": ["u"] * n, "item": ["i"] * n} | columns


def test_the_report_gives_each_rules_first_case_and_prints():
    source = log(user=["a", "", "b", " "], item=["x", "y", "z", "w"], quantity=[1.0, 2.0, -3.0, 4.0])
    with read_events(source, quantity="quantity") as events:
        report = events.report
    assert report.count("missing_user") == 2
    assert report.count("missing_item") == 0
    first = next(r for r in report.rules if r.rule == "missing_user").example
    assert first == {"user": "", "item": "y", "quantity": "2.0"}
    text = str(report)
    assert "4 rows read, 1 kept" in text
    assert "e.g. user=b, item=z, quantity=-3.0" in text
    assert "note: there is no time" in text
    assert json.loads(json.dumps(report.to_dict()))["rules"][0]["count"] == 2


def test_without_time_a_row_that_comes_twice_is_two_events():
    with read_events(log(user=["a", "a"], item=["x", "x"])) as events:
        assert len(events) == 2
        assert events.interactions().data.tolist() == [2.0]
    with read_events(log(user=["a", "a"], item=["x", "x"], t=["2024-01-01"] * 2), time="t") as events:
        assert len(events) == 1
    with read_events(
        log(user=["a"] * 2, item=["x"] * 2, t=["2024-01-01"] * 2), time="t", drop_duplicates=False
    ) as events:
        assert len(events) == 2


@pytest.mark.parametrize("unknown", [None, np.nan])
def test_duplicates_with_unknown_values_are_equal(unknown):
    source = log(t=["2024-01-01"] * 3, price=np.array([unknown, unknown, 1.0], object if unknown is None else float))
    with read_events(source, time="t", price="price") as events:
        assert events.report.count("duplicate") == 1
        assert len(events) == 2


def test_limits_may_be_infinite():
    with read_events(log(n=[1e300]), quantity="n", max_quantity=float("inf")) as events:
        assert len(events) == 1
    with pytest.raises(InvalidArgument, match="bad_quantity"):
        read_events(log(n=[float("inf")]), quantity="n", max_quantity=float("inf"))


# ---- bots ----
def bot_log(busy: int):
    """User 0 has ``busy`` events on one day and as many on 100 others; 20 users have 2 a day on 50 days."""
    seconds, users = [], []
    for i in range(busy):
        seconds.append(NOW // 86400 * 86400 + i)
        users.append(0)
    for day in range(100):
        seconds.append(NOW - day * 86400 - 86400)
        users.append(0)
    for user in range(1, 21):
        for day in range(50):
            seconds += [NOW - day * 86400, NOW - day * 86400 + 7]
            users += [user, user]
    return {"user": np.array(users), "item": np.arange(len(users)) % 97, "t": np.array(seconds)}


@pytest.mark.parametrize(
    ("busy", "rule", "dropped"),
    [(1000, "auto", 0), (1001, "auto", 1101), (1001, None, 0), (50, 50, 0), (50, 49, 150), (3, 2, 103), (3, 1, 2103)],
)
def test_bots_are_users_with_an_unbelievable_day(busy, rule, dropped):
    source = bot_log(busy)
    if dropped == source["user"].size:
        with pytest.raises(InvalidArgument, match="no event is left"):
            read_events(source, time="t", max_events_per_user_day=rule)
        return
    with read_events(source, time="t", max_events_per_user_day=rule) as events:
        assert events.report.count("bot") == dropped
        assert len(events) == source["user"].size - dropped
        if dropped and rule != 1:
            assert next(r for r in events.report.rules if r.rule == "bot").example == {
                "user": "0",
                "events on one day": busy,
            }
            assert 0 not in events.interactions().users


def test_the_bot_limit_follows_the_99_9th_percentile(monkeypatch):
    """Twin: the limit is 10 times the smallest count that 99.9 % of user-days do not pass, here with a floor of 1."""
    monkeypatch.setattr("ecocore.event_reader.BOT_FLOOR", 1)
    rng = np.random.default_rng(0)
    users, days = rng.integers(0, 400, 20_000), rng.integers(0, 30, 20_000)
    users = np.r_[users, np.repeat([1000, 1001], [120, 50])]
    days = np.r_[days, np.zeros(170, int)]
    source = {"user": users, "item": np.arange(users.size), "t": (days + 19_000) * 86400}
    counts = np.array(list(Counter(zip(users, days, strict=True)).values()))
    limit = 10 * int(np.quantile(counts, 0.999, method="inverted_cdf"))
    assert 50 <= limit < 120
    with read_events(source, time="t") as events:
        rule = next(r for r in events.report.rules if r.rule == "bot")
        assert rule.count == 120 + Counter(users.tolist())[1000] - 120
        assert f"more than {limit} events" in rule.meaning


# ---- event types and strictness ----
def test_strict_raises_what_is_else_counted():
    source = log(event=["view", "hover", "view"])
    with read_events(source, event="event", event_types=["view"]) as events:
        assert events.report.count("unknown_event") == 1
        assert events.event_types == {"view": 2}
    with pytest.raises(InvalidArgument, match=r"event: 1 rows have a type that is not one of view, such as 'hover'"):
        read_events(source, event="event", event_types=["view"], strict=True)
    with pytest.raises(InvalidArgument, match="event_types: expected a list of names"):
        read_events(source, event="event", event_types=[])
    with pytest.raises(InvalidArgument, match="event_types: needs event="):
        read_events(source, event_types=["view"])


# ---- splits ----
@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=30), st.floats(0, 1), st.integers(-1, 14))
def test_splits_part_the_events(times, fraction, at):
    t0 = NOW * 10**6
    source = {"user": [1] * len(times), "item": list(range(len(times))), "t": [t0 + t for t in times]}
    with read_events(source, time="t", time_unit="us") as events:

        def moments(part):
            return sorted(t - t0 for (t,) in part._db.run(f"SELECT time FROM events WHERE {part._where}"))

        train, test = events.split_by_time(at=t0 + at)
        assert moments(train) == sorted(t for t in times if t < at)
        assert moments(test) == sorted(t for t in times if t >= at)
        train, test = events.split_by_time(fraction=fraction)
        assert len(train) + len(test) == len(times)
        assert len(test) <= fraction * len(times)
        assert not set(moments(train)) & set(moments(test))
        # the same rule as Interactions has
        pairs = events.interactions().split_by_time(fraction=fraction)
        assert (pairs[0].nnz, pairs[1].nnz) == (len(train), len(test))
        first, second = train.split_by_time(at=t0 + 3)
        assert moments(first) + moments(second) == moments(train)


def test_a_part_without_events_still_answers():
    with read_events(log(t=["2024-01-01"]), time="t") as events:
        train, test = events.split_by_time(at="2025-01-01")
        assert (len(train), len(test)) == (1, 0)
        assert test.interactions(users=train.interactions().users).nnz == 0
        assert test.interactions().shape == (0, 0)
        assert "<Events: 0;" in repr(test)
        with pytest.raises(InvalidArgument, match="there are none in this part"):
            test.summary()


# ---- life ----
def test_closing_removes_the_files_and_says_so_when_asked_again(tmp_path):
    events = read_events(log(t=["2024-01-01"]), time="t", temp_directory=tmp_path)
    train, _ = events.split_by_time(at="2025-01-01")
    assert list(tmp_path.iterdir())
    events.close()
    events.close()
    assert not list(tmp_path.iterdir())
    assert repr(events) == "<Events: closed>"
    with pytest.raises(EcocoreError, match="these events are closed"):
        train.interactions()
    with read_events(log(t=["2024-01-01"]), time="t", temp_directory=tmp_path):
        pass
    events = read_events(log(t=["2024-01-01"]), time="t", temp_directory=tmp_path)
    del events
    with pytest.raises(InvalidArgument):
        read_events(log(t=["2024-01-01"]), time="nope", temp_directory=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time_zone": "Mars/Base"}, "time_zone: .*Mars/Base"),
        ({"memory_limit": "much"}, "memory_limit"),
        ({"temp_directory": "/nowhere/at/all"}, "temp_directory: cannot write there"),
        ({"max_events_per_user_day": 0}, "max_events_per_user_day: expected"),
        ({"max_events_per_user_day": "some"}, "max_events_per_user_day: expected"),
        ({"drop_where": {"x": "C*"}}, "drop_where: there is no column 'x'"),
        ({"drop_where": {"item": 3}}, "drop_where: expected a pattern"),
        ({"max_price": 0}, "max_price: expected a number above 0; got 0"),
        ({"max_value": float("nan")}, "max_value: expected a number above 0"),
        ({"min_time": "once"}, "min_time: expected a time"),
        ({"time_unit": "weeks", "time": "n"}, "time_unit: expected one of s, ms"),
        ({"user": 3}, "user: expected the name of a column; got 3"),
        ({"value": "t"}, "value: column 't' holds timestamp_s values|value: column 't' holds timestamp values"),
    ],
)
def test_bad_options_raise(options, message):
    source = log(t=np.array(["2024-01-01"], "datetime64[s]"), n=[1])
    with pytest.raises(InvalidArgument, match=message):
        read_events(source, **options)


def test_drop_where_takes_patterns_of_any_text():
    names = ["C1", "c1", "[x]", "it's", '"', "%", "a_b", "", "D"]
    source = {"user": names, "item": names, "k'\"": names}
    for globs, gone in [
        ("C*", {"C1"}),
        (["c*", "D"], {"c1", "D"}),
        ("[[]x]", {"[x]"}),
        ("it's", {"it's"}),
        ("?", {'"', "%", "D"}),
    ]:
        with read_events(
            source | {"user": [f"u{n}" for n in names], "item": ["i"] * 9}, drop_where={"k'\"": globs}
        ) as events:
            left = {u[1:] for u in events.interactions().users.to_array()}
            assert left == set(names) - gone
