"""Whatever arrays come, the native search gives the answer of the definition."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ecocore import InvalidArgument, TopKIndex, _core
from reference_topk import assert_same, top_k

SIZES = st.sampled_from([1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 64, 95, 300])
DIMENSIONS = st.sampled_from([1, 2, 3, 5, 8, 15, 16, 33])
ORDINARY = st.floats(-4, 4, width=16)  # few values, hence ties
ANY_FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)  # denormals, -0.0, overflow


@st.composite
def problems(draw):
    n, d, rows = draw(SIZES), draw(DIMENSIONS), draw(st.integers(0, 5))
    values = draw(st.sampled_from([ORDINARY, ANY_FINITE]))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    factors = draw(hnp.arrays(dtype, (n, d), elements=values, fill=st.sampled_from([0.0, -0.0, 1.0, 2.5])))
    queries = draw(hnp.arrays(dtype, (rows, d), elements=values, fill=st.sampled_from([0.0, 1.0])))
    bias = draw(st.none() | hnp.arrays(np.float32, n, elements=values, fill=st.just(0.5)))
    k = draw(st.integers(1, n) | st.integers(1, max(1, n // 24)))  # the smaller ones are scanned for
    if draw(st.booleans()):
        factors = np.asfortranarray(factors)
    if draw(st.booleans()):
        queries = np.repeat(queries, 2, axis=0)[::2]
    return factors, queries, bias, k


def masks(shape):
    return hnp.arrays(bool, shape, fill=st.booleans())


@settings(max_examples=150, deadline=None)
@given(problems(), st.data())
def test_any_problem(problem, data):
    factors, queries, bias, k = problem
    n, rows = len(factors), len(queries)
    allowed = np.ones((rows, n), bool)
    filters = {}
    if data.draw(st.booleans()):
        own = data.draw(masks((rows, n)))
        filters["exclude"] = sp.csr_matrix(own)
        allowed &= ~own
    if data.draw(st.booleans()):
        deny = data.draw(masks((n,)))
        filters["deny"] = deny if data.draw(st.booleans()) else np.flatnonzero(deny)
        allowed &= ~deny
    kind = data.draw(st.sampled_from(["none", "mask", "ids", "csr"]))
    if kind == "csr":
        own = data.draw(masks((rows, n)))
        filters["allow"] = sp.csr_array(own)
        allowed &= own
    elif kind != "none":
        allow = data.draw(masks((n,)))
        filters["allow"] = allow if kind == "mask" else np.flatnonzero(allow)
        allowed &= allow
    threads = data.draw(st.sampled_from([1, 2, 5]))
    exact = factors.astype(np.float32), queries.astype(np.float32)
    want = top_k(*exact, k, bias=bias, allowed=allowed)
    before = _core.active_isa()
    try:
        for isa in _core.available_isas():
            _core.force_isa(isa)
            assert_same(TopKIndex(factors, bias=bias).search(queries, k, num_threads=threads, **filters), want)
    finally:
        _core.force_isa(before)


@settings(max_examples=50, deadline=None)
@given(
    hnp.arrays(
        np.float32, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5), elements=st.floats(width=32)
    ),
    st.integers(-2, 6),
)
def test_anything_is_answered_or_refused(a, k):
    """NaN, inf, wrong dimensions, empty arrays and any k: a result of the right shape, or InvalidArgument."""
    try:
        found = TopKIndex(a).search(a, k)
    except InvalidArgument:
        return
    assert a.ndim == 2
    assert np.isfinite(a).all()
    assert found.ids.shape == (len(a), k)


def test_the_native_module_takes_exact_arrays_only():
    factors = np.ones((4, 2), np.float32)
    for bad in (factors.astype(np.float64), np.asfortranarray(factors), factors.tolist()):
        with pytest.raises(TypeError):
            _core.TopKIndex(bad, None, 1)
    with pytest.raises(InvalidArgument, match="bias: expected 4 values"):
        _core.TopKIndex(factors, np.ones(3, np.float32), 1)
    index = _core.TopKIndex(factors, None, 1)
    none = {"allow": None, "deny": None, "candidates": None, "exclude": None, "num_threads": 1}
    for k in (0, 5, -1):
        with pytest.raises(InvalidArgument, match="k: expected 1 to the number of items"):
            index.search(factors, k, **none)
    with pytest.raises(InvalidArgument, match="queries: expected 2 columns"):
        index.search(np.ones((1, 3), np.float32), 1, **none)
    with pytest.raises(InvalidArgument, match="mask of 4 items"):
        index.search(factors, 1, **(none | {"deny": np.ones(3, bool)}))
    with pytest.raises(InvalidArgument, match="one row per query"):
        index.search(factors, 1, **(none | {"exclude": (np.zeros(2, np.int64), np.zeros(0, np.int32))}))
