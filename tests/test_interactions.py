"""Interactions against dictionaries: {(user, item): (weight, last time)} is what they hold."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from ecocore import FormatError, IdMap, Interactions, InvalidArgument
from ecocore.arrays import as_csr

IDS = st.one_of(
    st.lists(st.integers(-5, 5), max_size=40), st.lists(st.sampled_from(["a", "b", "é", "", "x y"]), max_size=40)
)


@st.composite
def logs(draw):
    users = draw(IDS)
    n = len(users)
    items = draw(st.lists(st.integers(0, 6), min_size=n, max_size=n))
    data = draw(st.lists(st.floats(0, 100, width=32), min_size=n, max_size=n))
    times = draw(st.lists(st.integers(0, 20), min_size=n, max_size=n))
    return users, items, data, times


def contents(x: Interactions) -> dict:
    rows = x.row_numbers()
    times = x.times if x.times is not None else np.zeros(x.nnz, np.int64)
    keys = zip(x.users[rows].tolist(), x.items[x.indices].tolist(), strict=True)
    return dict(zip(keys, zip(x.data.tolist(), times.tolist(), strict=True), strict=True))


@given(logs())
def test_from_arrays_sums_weights_and_keeps_the_last_time(log):
    want: dict = {}
    for u, i, w, t in zip(*log, strict=True):
        before = want.get((u, i), (0.0, 0))
        want[u, i] = (before[0] + w, max(before[1], t))
    got = Interactions.from_arrays(*log)
    found = contents(got)
    assert found.keys() == want.keys()
    for key, (weight, time) in want.items():
        assert found[key] == (pytest.approx(weight, rel=1e-6), time)
    assert as_csr(got, "x").indptr is got.indptr  # sorted, exact dtypes: nothing is copied
    assert got.users.to_array().tolist() == sorted(set(log[0]))


@given(logs(), st.data())
def test_splits_partition_exactly(log, data):
    x = Interactions.from_arrays(*log)
    split = data.draw(
        st.sampled_from(
            [
                lambda: x.random_split(data.draw(st.floats(0, 1)), data.draw(st.integers(0, 9))),
                lambda: x.leave_last_out(data.draw(st.integers(1, 4))),
                lambda: x.split_by_time(at=data.draw(st.integers(-1, 21))),
                lambda: x.split_by_time(fraction=data.draw(st.floats(0, 1))),
                lambda: x.split_by_time(last=dt.timedelta(microseconds=data.draw(st.integers(1, 30)))),
            ]
        )
    )
    train, test = split()
    a, b = contents(train), contents(test)
    assert not a.keys() & b.keys()
    assert a | b == contents(x)
    assert train.shape == test.shape == x.shape
    assert train.users is test.users is x.users
    assert train.items is test.items is x.items
    for part in (train, test):
        as_csr(part, "part")


@given(logs(), st.integers(1, 3))
def test_leave_last_out_takes_each_users_latest(log, n):
    x = Interactions.from_arrays(*log)
    _, test = x.leave_last_out(n)
    want = set()
    for user in x.users.to_array().tolist():
        mine = sorted((t, i) for (u, i), (_, t) in contents(x).items() if u == user)
        if len(mine) > n:
            want |= {(user, i) for _, i in mine[-n:]}
    assert contents(test).keys() == want


@given(logs(), st.floats(0, 1))
def test_fraction_by_time_gives_test_the_latest_and_never_more(log, fraction):
    x = Interactions.from_arrays(*log)
    train, test = x.split_by_time(fraction=fraction)
    assert test.nnz <= fraction * x.nnz
    if train.nnz and test.nnz:
        assert train.times.max() < test.times.min()
    if train.nnz:  # one more moment would have been too many
        assert test.nnz + (train.times == train.times.max()).sum() > int(fraction * x.nnz)


def test_split_by_time_accepts_every_way_to_name_a_moment():
    days = np.array(["2024-01-01", "2024-01-02", "2024-01-03T12:00"], "datetime64[us]")
    x = Interactions.from_arrays([1, 1, 2], [1, 2, 3], times=days)
    utc = dt.UTC
    for at in (
        "2024-01-02",
        "2024-01-02T01:00+01:00",
        dt.date(2024, 1, 2),
        dt.datetime(2024, 1, 2),
        dt.datetime(2024, 1, 2, tzinfo=utc),
        np.datetime64("2024-01-02"),
        int(days[1].astype(np.int64)),
    ):
        assert x.split_by_time(at=at)[1].nnz == 2
    for last, count in [("1d", 1), ("36h", 1), ("2d", 2), ("1w", 3), (dt.timedelta(days=2), 2), ("90s", 1)]:
        assert x.split_by_time(last=last)[1].nnz == count
    for bad, message in [
        ({}, "exactly one of at, last and fraction; got none"),
        ({"at": 1, "last": "1d"}, r"got \['at', 'last'\]"),
        ({"at": "yesterday"}, "at: expected a time such as"),
        ({"at": 1.5}, "at: expected a datetime"),
        ({"last": "4 parsecs"}, "last: expected a span such as"),
        ({"last": "0d"}, "above 0"),
        ({"fraction": 2}, "fraction: expected a number from 0 to 1; got 2"),
    ]:
        with pytest.raises(InvalidArgument, match=message):
            x.split_by_time(**bad)


def test_random_split_is_a_seeds_and_exact():
    x = Interactions.from_scipy(sp.random(50, 40, 0.3, "csr", dtype=np.float32, random_state=1))
    a, b = x.random_split(0.25, 3), x.random_split(0.25, 3)
    assert a[1].nnz == round(0.25 * x.nnz)
    assert contents(a[1]) == contents(b[1])
    assert contents(a[1]) != contents(x.random_split(0.25, 4)[1])


def test_scipy_there_and_back():
    m = sp.random(7, 9, 0.4, "csr", dtype=np.float32, random_state=0)
    x = Interactions.from_scipy(m, users=list("abcdefg"))
    assert (x.to_scipy() != m).nnz == 0
    assert x.users.code("c") == 2
    assert x.items == IdMap.range(9)
    assert repr(x) == f"<Interactions: {m.nnz} pairs of 7 users and 9 items>"
    with pytest.raises(InvalidArgument, match="users: expected 7 ids"):
        Interactions.from_scipy(m, users=["a"])


def test_given_maps_decide_rows_and_columns():
    users = IdMap(["z", "nobody", "a"])
    x = Interactions.from_arrays(["a", "z"], [1, 2], user_ids=users, item_ids=IdMap([2, 1]))
    assert x.shape == (3, 2)
    assert x.to_scipy().toarray().tolist() == [[1, 0], [0, 0], [0, 1]]
    with pytest.raises(InvalidArgument, match="users: 'q' is unknown"):
        Interactions.from_arrays(["q"], [1], user_ids=users)


@given(logs())
def test_saves(log):
    x = Interactions.from_arrays(*log)
    meta, arrays = x.to_parts()
    assert all(a.dtype.kind in "iuf" for a in arrays.values())
    back = Interactions.from_parts(json.loads(json.dumps(meta)), arrays)
    assert contents(back) == contents(x)
    assert back.shape == x.shape


def test_broken_parts_raise():
    meta, arrays = Interactions.from_arrays([1, 2], ["a", "b"]).to_parts()
    for name in arrays:
        with pytest.raises(FormatError):
            Interactions.from_parts(meta, {k: v for k, v in arrays.items() if k != name})
    with pytest.raises(FormatError, match="indptr: expected int64 of shape"):
        Interactions.from_parts(meta | {"shape": [3, 2]}, arrays)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2], [1]), "items: expected 2 entries"),
        (([1, None], [1, 2]), "users: expected"),
        (([1], [1], [np.nan]), "data: expected finite weights; got nan at entry 0"),
        (([1], [1], [3e38 * 10]), "data: expected sums within float32"),
        (([1], [1], ["x"]), "data: expected 1 numbers"),
        (([1], [1], [1.0], [0.5]), "times: expected 1 times"),
        (([1], [1], [1.0], np.array(["NaT"], "datetime64[s]")), "NaT"),
    ],
)
def test_bad_entries_raise(arguments, message):
    with pytest.raises(InvalidArgument, match=message):
        Interactions.from_arrays(*arguments)


def test_the_constructor_refuses_what_does_not_fit_together():
    good = Interactions.from_arrays([1, 2], [1, 2])
    parts = (good.indptr, good.indices, good.data, good.shape, good.users, good.items)
    for at, wrong in [(0, good.indptr.astype(np.int32)), (1, good.indices[:1]), (2, good.data.astype(float))]:
        with pytest.raises(InvalidArgument, match="expected"):
            Interactions(*parts[:at], wrong, *parts[at + 1 :])
    with pytest.raises(InvalidArgument, match="times: expected int64"):
        Interactions(*parts, times=np.zeros(2))
    with pytest.raises(InvalidArgument, match="needs times"):
        good.leave_last_out()
