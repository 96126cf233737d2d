"""Features against the formulas written out item by item."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecocore import FeatureEncoder, FormatError, IdMap, InvalidArgument, NotFitted
from ecocore.catalogue import Catalogue

WORDS = st.sampled_from(["tea", "cup", "ü", "", None, "other"])
NUMBERS = st.one_of(st.just(math.nan), st.floats(0, 1e6))


@st.composite
def columns(draw, n):
    kind = np.empty(n, object)
    kind[:] = draw(st.lists(WORDS, min_size=n, max_size=n))
    return {
        "kind": kind,
        "year": np.array(draw(st.lists(st.integers(2000, 2003), min_size=n, max_size=n))),
        "weight": np.array(draw(st.lists(NUMBERS, min_size=n, max_size=n)), float),
        "price": np.array(draw(st.lists(NUMBERS, min_size=n, max_size=n)), float),
        "image": np.array(draw(st.lists(st.lists(st.floats(-9, 9), min_size=3, max_size=3), min_size=n, max_size=n))),
    }


ROLES = {"categorical": ["kind", "year"], "numeric": ["weight"], "log": ["price"], "vectors": ["image"]}


def twin(fit, rows, min_count, scale):
    """Row by row, as the docstring says."""
    words = {
        name: sorted(
            w
            for w, n in Counter("" if x is None else str(x) for x in fit[name].tolist()).items()
            if w and n >= min_count
        )
        for name in ("kind", "year")
    }
    moments = {}
    for name, f in (("weight", float), ("price", math.log1p)):
        known = [f(x) for x in fit[name].tolist() if x == x]
        mean = math.fsum(known) / len(known) if known else 0.0
        deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in known) / len(known)) if known else 0.0
        moments[name] = (f, mean, deviation)
    out = []
    for i in range(len(rows["kind"])):
        row = []
        for name in ("kind", "year"):
            row += [scale.get(name, 1) * (str(rows[name][i]) == w) for w in words[name]]
        for name, (f, mean, deviation) in moments.items():
            x, s = rows[name][i], scale.get(name, 1)
            flat = deviation <= 1e-12 * max(abs(mean), 1)
            row += [0, s] if x != x else [s * (f(x) - mean) / (1 if flat else deviation), 0]
        length = math.hypot(*rows["image"][i])
        row += [scale.get("image", 1) * (x / length if length else 0) for x in rows["image"][i]]
        out.append(row)
    return np.array(out)


@settings(max_examples=50, deadline=None)
@given(st.data(), st.integers(1, 3))
def test_encodes_as_the_formulas_say(data, min_count):
    fit = data.draw(columns(data.draw(st.integers(1, 12))))
    rows = data.draw(columns(data.draw(st.integers(1, 6))))
    scale = data.draw(st.sampled_from([{}, {"kind": 0.5, "price": 2.0, "image": 3.0}]))
    encoder = FeatureEncoder(**ROLES, min_count=min_count, scale=scale).fit(fit)
    got = encoder.encode(rows)
    assert got.dtype == np.float32
    assert got.shape == (len(rows["kind"]), encoder.width)
    assert len(encoder.names) == encoder.width
    np.testing.assert_allclose(got, twin(fit, rows, min_count, scale), rtol=1e-5, atol=1e-5)
    # one by one as in a batch, and after saving, bit for bit
    alone = np.concatenate([encoder.encode({k: v[i : i + 1] for k, v in rows.items()}) for i in range(len(got))])
    assert alone.tobytes() == got.tobytes()
    meta, arrays = encoder.to_parts()
    assert all(a.dtype.kind in "iuf" for a in arrays.values())
    back = FeatureEncoder.from_parts(json.loads(json.dumps(meta)), arrays)
    assert back.encode(rows).tobytes() == got.tobytes()
    assert back.names == encoder.names


def test_names_and_what_is_unknown():
    fit = {"kind": ["a", "b", "a"], "price": [1.0, 2.0, np.nan], "image": np.eye(3)[:, :2]}
    encoder = FeatureEncoder(categorical=["kind"], log=["price"], vectors=["image"], min_count=2).fit(fit)
    assert encoder.names == ["kind=a", "price", "price missing", "image[0]", "image[1]"]
    assert encoder.unknown(fit) == {"kind": 1, "price": 1, "image": 1}
    assert encoder.encode(fit)[1, 0] == 0


def test_takes_a_catalogue():
    column = np.array(["a", None, "a"], object)
    goods = Catalogue(IdMap([4, 5, 6]), {"category": column, "price": np.array([1.0, np.nan, 3.0])})
    encoder = FeatureEncoder(categorical=["category"], numeric=["price"], min_count=1).fit(goods)
    assert encoder.encode(goods).tolist() == [[1, -1, 0], [0, 0, 1], [1, 1, 0]]


def test_extreme_vectors_keep_their_direction():
    v = np.array([[3e200, 4e200], [3e-200, 4e-200], [0.0, 0.0]])
    got = FeatureEncoder(vectors=["v"]).fit({"v": v}).encode({"v": v})
    np.testing.assert_allclose(got, [[0.6, 0.8], [0.6, 0.8], [0, 0]], rtol=1e-6)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"kind": ["a"], "price": [1.0]}, "rows: there is no column 'image'; it has kind, price"),
        ({"kind": ["a"], "price": [1.0, 2.0], "image": np.eye(2)}, "expected columns of one length"),
        (
            {"kind": ["a"], "price": ["dear"], "image": np.ones((1, 2))},
            "price: expected numbers; got text, such as 'dear'",
        ),
        ({"kind": ["a"], "price": [-1.0], "image": np.ones((1, 2))}, "price: expected numbers of at least 0"),
        ({"kind": ["a"], "price": [np.inf], "image": np.ones((1, 2))}, "price: expected finite numbers"),
        (
            {"kind": ["a"], "price": [1.0], "image": np.ones((1, 5))},
            "image: expected vectors of 2 values, as in fit; got 5",
        ),
        ({"kind": ["a"], "price": [1.0], "image": np.full((1, 2), np.nan)}, "image: expected finite vectors"),
        ({"kind": ["a"], "price": [1.0], "image": np.ones(1)}, "image: expected a 2-D numeric array"),
        ({"kind": [1.5], "price": [1.0], "image": np.ones((1, 2))}, "got fractions; put the column into numeric="),
    ],
)
def test_bad_rows_raise(rows, message):
    good = {"kind": ["a"], "price": [1.0], "image": np.ones((1, 2))}
    encoder = FeatureEncoder(categorical=["kind"], log=["price"], vectors=["image"], min_count=1).fit(good)
    with pytest.raises(InvalidArgument, match=message):
        encoder.encode(rows)


def test_bad_options_and_parts_raise():
    with pytest.raises(InvalidArgument, match="expected at least one column"):
        FeatureEncoder()
    with pytest.raises(InvalidArgument, match=r"expected each column once; got \['a'\] twice"):
        FeatureEncoder(numeric=["a"], log=["a"])
    with pytest.raises(InvalidArgument, match="scale: expected finite numbers for columns of the encoder; got 'b'"):
        FeatureEncoder(numeric=["a"], scale={"b": 1})
    with pytest.raises(InvalidArgument, match="min_count"):
        FeatureEncoder(numeric=["a"], min_count=0)
    encoder = FeatureEncoder(categorical=["k"], numeric=["a"], min_count=1)
    with pytest.raises(NotFitted, match="call fit"):
        encoder.encode({"k": ["x"], "a": [1]})
    meta, arrays = encoder.fit({"k": ["x"], "a": [1]}).to_parts()
    for name in arrays:
        with pytest.raises(FormatError):
            FeatureEncoder.from_parts(meta, {k: v for k, v in arrays.items() if k != name})
    with pytest.raises(FormatError, match="moments"):
        FeatureEncoder.from_parts(meta, arrays | {"moments": np.zeros((3, 2))})
    with pytest.raises(FormatError, match="'log' is missing"):
        FeatureEncoder.from_parts({k: v for k, v in meta.items() if k != "log"}, arrays)
