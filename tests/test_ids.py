"""An IdMap is a dict that saves as flat arrays: every answer is compared with a dict's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecocore import FormatError, IdMap, InvalidArgument
from ecocore import ids as ids_module

INTS = st.lists(st.integers(-(2**63), 2**63 - 1), unique=True)
TEXT = st.one_of(st.text(max_size=6), st.sampled_from(["", "\0", "a\0", "é", "日本", "x" * 5000, " 1", "007", "7"]))


@given(INTS, INTS)
def test_numbers_like_a_dict(known, asked):
    m = IdMap(np.array(known, np.int64))
    want = {x: i for i, x in enumerate(known)}
    assert m.kind == "int"
    assert m.to_array().tolist() == known
    assert m.codes(known + asked, missing=-1).tolist() == [want.get(x, -1) for x in known + asked]
    assert m.codes([str(x) for x in known + asked], missing=-9).tolist() == [want.get(x, -9) for x in known + asked]


@given(st.lists(TEXT, unique=True, min_size=1), st.lists(TEXT))
def test_strings_like_a_dict(known, asked):
    m = IdMap(known)
    want = {x: i for i, x in enumerate(known)}
    assert m.kind == "str"
    assert m.to_array().tolist() == known
    assert m.codes(known + asked, missing=-1).tolist() == [want.get(x, -1) for x in known + asked]
    assert all((x in m) == (x in want) for x in known + asked)


@given(st.one_of(INTS, st.lists(TEXT, unique=True)), st.randoms())
@settings(max_examples=50)
def test_saves_and_takes(known, random):
    m = IdMap(known)
    meta, arrays = m.to_parts()
    assert all(a.dtype.kind in "iu" and a.ndim == 1 for a in arrays.values())
    back = IdMap.from_parts(meta, arrays)
    assert back == m
    assert back.codes(m).tolist() == list(range(len(known)))
    some = random.sample(range(len(known)), random.randint(0, len(known)))
    assert m.take(some) == IdMap([known[i] for i in some]) or not some
    assert m.take(some).to_array().tolist() == [known[i] for i in some]


def test_equal_hashes_cost_time_only(monkeypatch):
    """With a hash of one bit every look-up has to walk through half of the map."""
    monkeypatch.setattr(ids_module, "_hash", lambda blob, offsets: np.diff(offsets).astype(np.uint64) & np.uint64(1))
    known = [f"{'z' * (i % 7)}{i}" for i in range(60)]
    m = IdMap(known)
    assert m.codes([*known, "nobody", ""], missing=-1).tolist() == [*range(60), -1, -1]
    with pytest.raises(InvalidArgument, match="'z8' comes twice"):
        IdMap([*known, "z8"])


def test_many_strings_pass_in_chunks(monkeypatch):
    monkeypatch.setattr(ids_module, "_CHUNK_BYTES", 64)
    known = [f"item-{i}" * (1 + i % 30) for i in range(500)]
    m = IdMap(known)
    assert m.codes(known[::-1]).tolist() == list(range(499, -1, -1))
    assert m.take(np.arange(0, 500, 3)).to_array().tolist() == known[::3]


def test_memory_mapped_arrays_are_used_in_place(tmp_path):
    for ids in ([5, 3, 9], ["b", "a", "ü"]):
        meta, arrays = IdMap(ids).to_parts()
        mapped = {}
        for name, a in arrays.items():
            np.save(tmp_path / f"{name}.npy", a)
            mapped[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
        m = IdMap.from_parts(meta, mapped)
        assert all(m.to_parts()[1][name] is mapped[name] for name in mapped)
        assert m.codes(ids).tolist() == [0, 1, 2]


@pytest.mark.parametrize("make", [list, np.array, lambda x: np.array(x, object), tuple])
def test_takes_sequences_and_arrays(make):
    assert IdMap(make([4, 2])).kind == "int"
    assert IdMap(make(["4", "2"])).code("2") == 1
    assert IdMap(np.array([4, 2], np.uint8)).code(2) == 1


def test_one_and_many():
    m = IdMap(["a", "b"])
    assert m[1] == "b"
    assert type(m[1]) is str
    assert type(IdMap([7])[0]) is int
    assert m[[1, 0]].tolist() == ["b", "a"]
    assert len(IdMap([])) == 0
    assert IdMap([]).codes([]).size == 0
    assert IdMap([1, 2]) != IdMap([2, 1])
    assert "1" in IdMap([1])
    assert 1 not in IdMap(["1"])
    assert 1.0 not in IdMap([1])
    assert repr(IdMap(["a"] + [str(i) for i in range(9)])) == "IdMap(10 strings: 'a', '0', '1', ...)"


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1, 1], "1 comes twice"),
        ([3, 1, 3], "3 comes twice"),
        (["a", "b", "a"], "'a' comes twice"),
        (["a", 1], "got int 1 among strings"),
        ([1, "a"], "got int 1 among strings"),
        ([1.5], "whole numbers or strings; got float64"),
        ([True], "got bool True"),
        ([None], "got NoneType None"),
        ("abc", r"got one, 'abc'; use \['abc'\]"),
        (np.ones((2, 2), np.int64), "1-D"),
        ([2**63], "below 2\\*\\*63"),
        ([2**70], "64 bits"),
        (["\ud800"], "not valid Unicode"),
    ],
)
def test_refuses_what_cannot_be_ids(ids, message):
    with pytest.raises(InvalidArgument, match=message):
        IdMap(ids)


def test_unknown_ids_and_codes_raise():
    with pytest.raises(InvalidArgument, match=r"9 is unknown \(1 such\); expected one of the 2 known, such as 4"):
        IdMap([4, 2]).codes([4, 9])
    with pytest.raises(InvalidArgument, match="'x' is unknown"):
        IdMap(["a"]).code("x")
    with pytest.raises(InvalidArgument, match="holds strings such as 'a'; got the number 1"):
        IdMap(["a"]).code(1)
    for codes in (2, -1, [0, 2], 0.5):
        with pytest.raises(InvalidArgument, match="codes: expected whole numbers from 0 to 1"):
            IdMap([4, 2])[codes]


@pytest.mark.parametrize("name", ["blob", "offsets", "hashes", "order"])
def test_broken_parts_raise(name):
    meta, arrays = IdMap(["a", "bc"]).to_parts()
    with pytest.raises(FormatError, match="id map"):
        IdMap.from_parts(meta, {k: v for k, v in arrays.items() if k != name})
    with pytest.raises(FormatError, match="id map"):
        IdMap.from_parts(meta, arrays | {name: arrays[name][:-1]})
    with pytest.raises(FormatError, match="id map"):
        IdMap.from_parts(meta, arrays | {name: arrays[name].astype(np.float64)})
    with pytest.raises(FormatError, match="kind"):
        IdMap.from_parts({"kind": "pickle", "count": 2}, arrays)
