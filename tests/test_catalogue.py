"""The catalogue: what it keeps, what it counts, and that it comes back as it was saved."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecocore import Catalogue, FormatError, IdMap, InvalidArgument, read_catalogue

CSV = """sku,title,group,price,colour,weight
00123,"Tea, green",drinks,2.50,green,0.1
85123A,,crockery,-1,,heavy
,nothing,x,1,x,1
00123,again,drinks,9,red,2
7,Cup,crockery,inf,white,
bad row
"""


@pytest.fixture
def catalogue(tmp_path):
    path = tmp_path / "goods.csv"
    path.write_text(CSV)
    return read_catalogue(
        path, item="sku", name="title", category="group", price="price", text=["colour"], numbers=["weight"]
    )


def test_reads_cleans_and_counts(catalogue):
    assert catalogue.items.to_array().tolist() == ["00123", "7", "85123A"]
    assert catalogue.names.tolist() == ["Tea, green", "Cup", None]
    assert catalogue.categories.tolist() == ["drinks", "crockery", "crockery"]
    np.testing.assert_array_equal(catalogue.prices, [2.5, np.nan, np.nan])
    assert catalogue["colour"].tolist() == ["green", "white", None]
    np.testing.assert_array_equal(catalogue["weight"], [0.1, np.nan, np.nan])
    assert catalogue.report == {
        "rows": 6, "bad_rows": 1, "missing_ids": 1, "duplicates": 1, "bad_price": 2, "bad_weight": 1,
    }  # fmt: skip
    assert repr(catalogue) == "<Catalogue: 3 items; columns name, category, price, colour, weight>"


def test_aligns_to_the_items_of_a_model(catalogue):
    there = catalogue.align(IdMap(["85123A", "nobody's", "00123"]))
    assert there.categories.tolist() == ["crockery", None, "drinks"]
    np.testing.assert_array_equal(there.prices, [np.nan, np.nan, 2.5])
    assert there.report["missing_items"] == 1
    # A log whose ids are all whole numbers meets a catalogue where some are not.
    assert catalogue.align(IdMap([7, 123])).names.tolist() == ["Cup", None]
    numbers = read_catalogue({"item": [3, 1], "name": ["c", "a"]}, name="name")
    assert numbers.align(IdMap(["1", "3", "03"])).names.tolist() == ["a", "c", None]
    assert len(catalogue.align(IdMap([]))) == 0


def test_saves(catalogue):
    meta, arrays = catalogue.to_parts()
    assert all(a.dtype.kind in "iuf" for a in arrays.values())
    back = Catalogue.from_parts(json.loads(json.dumps(meta)), arrays)
    assert back.items == catalogue.items
    assert back.report == catalogue.report
    for name, column in catalogue.columns.items():
        np.testing.assert_array_equal(back[name], column)
    for name in arrays:
        with pytest.raises(FormatError):
            Catalogue.from_parts(meta, {k: v for k, v in arrays.items() if k != name})


@given(st.lists(st.one_of(st.none(), st.text(max_size=5)), max_size=20))
def test_any_text_comes_back(texts):
    column = np.empty(len(texts), object)
    column[:] = texts
    meta, arrays = Catalogue(IdMap.range(len(texts)), {"note": column}).to_parts()
    assert Catalogue.from_parts(meta, arrays)["note"].tolist() == texts


def test_mistakes_raise(catalogue, tmp_path):
    with pytest.raises(InvalidArgument, match=r"name: there is no column 'titel' in .*goods\.csv; it has: sku, title"):
        read_catalogue(tmp_path / "goods.csv", item="sku", name="titel")
    with pytest.raises(InvalidArgument, match="text or numbers: there is no column 'size'"):
        read_catalogue(tmp_path / "goods.csv", item="sku", text=["size"])
    with pytest.raises(InvalidArgument, match="'price' names a column of the result already"):
        read_catalogue(tmp_path / "goods.csv", item="sku", price="weight", numbers=["price"])
    with pytest.raises(InvalidArgument, match="column: expected one of name, category"):
        catalogue["size"]
    with pytest.raises(InvalidArgument, match="columns: 'x': expected 2 values"):
        Catalogue(IdMap([1, 2]), {"x": np.zeros(3)})
    with pytest.raises(FormatError, match="there are no rows"):
        read_catalogue({"item": np.empty(0, np.int64)})
