"""TopKIndex against its definition: equal ids and equal score bits, on every instruction set and thread count."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import scipy.sparse as sp

from ecocore import InvalidArgument, TopKIndex
from reference_topk import assert_same, scores, top_k


def gaussian(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d), np.float32)


def als_like(n, d, seed=0):
    """A decaying spectrum and lognormal norms, as factors of a trained model have."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d)) / np.sqrt(1 + np.arange(d))
    return (x * rng.lognormal(0, 0.8, (n, 1))).astype(np.float32)


def small_integers(n, d, seed=0):
    """Few distinct scores: nearly everything is tied."""
    return np.random.default_rng(seed).integers(-1, 2, (n, d)).astype(np.float32)


def unit_norm(n, d, seed=0):
    x = gaussian(n, d, seed)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def one_hot(n, d, seed=0):
    rng = np.random.default_rng(seed)
    x = np.zeros((n, d), np.float32)
    x[np.arange(n), rng.integers(0, d, n)] = rng.lognormal(0, 2, n)
    return x


def all_equal(n, d, seed=0):
    return np.broadcast_to(gaussian(1, d, seed), (n, d)).copy()


def negative_zero(n, d, seed=0):
    return np.copysign(0, gaussian(n, d, seed)).astype(np.float32)


def denormal(n, d, seed=0):
    return gaussian(n, d, seed) * np.float32(1e-42)


def overflowing(n, d, seed=0):
    return gaussian(n, d, seed) * np.float32(1e37)


def one_outlier(n, d, seed=0):
    x = gaussian(n, d, seed)
    x[n // 2] *= np.float32(1e6)
    x[n // 3] *= np.float32(1e-6)
    return x


def one_ulp_apart(n, d, seed=0):
    """Scores so near that float32 arithmetic, other than the canonical rounding, would swap them."""
    x = np.zeros((n, d), np.float32)
    x[:, 0] = 1 + np.random.default_rng(seed).permutation(n) * 2.0**-23
    return x


DATA = [
    *(gaussian, als_like, unit_norm, one_outlier),
    *(small_integers, one_hot, all_equal, one_ulp_apart),
    *(negative_zero, denormal, overflowing),
]


def random_mask(rows, n, density, seed=0):
    return np.random.default_rng(seed).random((rows, n)) < density


def csr(mask):
    return sp.csr_matrix(mask)


@pytest.mark.parametrize("k", [1, 10, 100])
@pytest.mark.parametrize("make", DATA)
def test_matches_the_definition(isa, make, k):
    factors, queries = make(5003, 24), make(7, 24, seed=1)
    assert_same(TopKIndex(factors).search(queries, k), top_k(factors, queries, k))


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (31, 3), (32, 8), (33, 17), (257, 64), (1025, 129)])
def test_every_item_can_be_asked_for(isa, shape):
    factors, queries = gaussian(*shape), gaussian(3, shape[1], seed=1)
    assert_same(TopKIndex(factors).search(queries, shape[0]), top_k(factors, queries, shape[0]))


@pytest.mark.parametrize("make", [als_like, small_integers, all_equal, one_ulp_apart])
def test_bias(isa, make):
    factors, queries = make(4001, 16), make(5, 16, seed=1)
    for bias in (
        gaussian(1, 4001)[0],
        gaussian(1, 4001)[0] * 1e6,
        np.where(np.arange(4001) % 7, 0, 3),
        gaussian(1, 4001)[0] + 2**23,
    ):
        index = TopKIndex(factors, bias=bias)
        assert_same(index.search(queries, 20), top_k(factors, queries, 20, bias=bias.astype(np.float32)))


@pytest.mark.parametrize("make", [gaussian, als_like, small_integers, all_equal])
@pytest.mark.parametrize("count", [1, 2, 3, 13, 70])
def test_same_bits_for_every_batch_and_thread_count(isa, make, count):
    factors, queries = make(6001, 20), make(count, 20, seed=1)
    index = TopKIndex(factors)
    want = top_k(factors, queries, 30)
    for threads in (1, 2, 5):
        assert_same(index.search(queries, 30, num_threads=threads), want)
    one = index.search(queries[0], 30)
    assert one.ids.tolist() == want[0][0].tolist()
    assert one.scores.tobytes() == want[1][0].tobytes()


@pytest.mark.parametrize("make", [gaussian, als_like, small_integers])
def test_items_are_split_between_threads_when_queries_are_few(isa, make):
    factors, queries = make(70_000, 128), make(2, 128, seed=1)
    index = TopKIndex(factors, bias=factors[:, 0])
    want = top_k(factors, queries, 50, bias=factors[:, 0])
    seen = csr(np.isin(np.arange(70_000), want[0][:, ::2]) & np.ones((2, 1), bool))
    for threads in (1, 2, 7):
        assert_same(index.search(queries, 50, num_threads=threads), want)
        one = index.search(queries[:1], 50, num_threads=threads)
        assert_same(one, (want[0][:1], want[1][:1]))
        left = index.search(queries, 10, exclude=seen, num_threads=threads)
        assert not np.isin(left.ids, seen.indices).any()
        assert_same(left, index.search(queries, 10, exclude=seen, num_threads=1))


def test_a_smaller_k_gives_the_head(isa):
    factors, queries = small_integers(3000, 9), small_integers(4, 9, seed=1)
    index = TopKIndex(factors)
    ids, best = index.search(queries, 3000)
    for k in (1, 2, 17, 400, 2999):
        assert_same(index.search(queries, k), (ids[:, :k], best[:, :k]))


@pytest.mark.parametrize("density", [0.0, 0.001, 0.02, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("make", [gaussian, small_integers])
def test_filters(isa, make, density):
    n, rows, k = 4003, 6, 25
    factors, queries = make(n, 12), make(rows, 12, seed=1)
    index = TopKIndex(factors)
    own = random_mask(rows, n, density)
    for_all = random_mask(1, n, density, seed=1)[0]
    everywhere = np.broadcast_to(for_all, (rows, n))
    ids = np.flatnonzero(for_all)
    for given, allowed in [
        ({"exclude": csr(own)}, ~own),
        ({"exclude": sp.csr_array(own)}, ~own),
        ({"allow": csr(own)}, own),
        ({"deny": ids}, ~everywhere),
        ({"deny": for_all}, ~everywhere),
        ({"allow": ids[::-1]}, everywhere),
        ({"allow": np.repeat(ids, 2)}, everywhere),
        ({"allow": for_all}, everywhere),
        ({"allow": for_all, "exclude": csr(own)}, everywhere & ~own),
        ({"allow": ids, "deny": ids[::2]}, everywhere & ~np.isin(np.arange(n), ids[::2])),
        ({"allow": csr(own), "exclude": csr(own), "deny": ids}, np.zeros_like(own)),
        ({"allow": csr(own), "deny": for_all}, own & ~everywhere),
    ]:
        want = top_k(factors, queries, k, allowed=allowed)
        for threads in (1, 2, 5):
            assert_same(index.search(queries, k, num_threads=threads, **given), want)


def test_exclusion_of_the_best_items(isa):
    """What users have bought is what scores highest for them, so filters meet every survivor of the scan."""
    factors, queries = als_like(5000, 32), als_like(9, 32, seed=1)
    best = top_k(factors, queries, 300)[0]
    bought = np.zeros((9, 5000), bool)
    np.put_along_axis(bought, best, True, 1)
    found = TopKIndex(factors).search(queries, 10, exclude=csr(bought))
    assert_same(found, top_k(factors, queries, 10, allowed=~bought))


def test_everything_excluded(isa):
    index = TopKIndex(gaussian(2000, 8))
    queries = gaussian(3, 8, seed=1)
    for given in ({"deny": np.ones(2000, bool)}, {"allow": []}, {"exclude": csr(np.ones((3, 2000)))}):
        ids, best = index.search(queries, 5, **given)
        assert (ids == -1).all()
        assert (best == -np.inf).all()


def test_a_query_of_its_own_and_one_row_agree():
    factors = gaussian(500, 8)
    index = TopKIndex(factors)
    seen = [3, 1, 499, 3]
    one = index.search(factors[0], 10, exclude=seen)
    assert one.ids.shape == one.scores.shape == (10,)
    row = index.search(factors[:1], 10, exclude=seen)
    assert row.ids.tolist() == [one.ids.tolist()]
    assert not set(seen) & set(one.ids.tolist())


def test_overflow_gives_infinite_scores_of_real_items(isa):
    factors = np.array([[3e38, 3e38], [-3e38, -3e38], [0, 0]], np.float32)
    found = TopKIndex(factors, bias=[0, 3e38, 1]).search([3e38, 3e38], 3)
    assert found.ids.tolist() == [0, 2, 1]
    assert found.scores.tolist() == [np.inf, 1, -np.inf]


def test_no_queries():
    found = TopKIndex(gaussian(10, 4)).search(np.empty((0, 4)), 3)
    assert found.ids.shape == found.scores.shape == (0, 3)
    assert (found.ids.dtype, found.scores.dtype) == (np.int64, np.float32)


def test_later_changes_of_the_callers_array_do_not_matter():
    factors, bias = gaussian(100, 4), gaussian(1, 100)[0]
    index = TopKIndex(factors, bias=bias)
    before = index.search(factors[0], 5)
    factors[:] = 0
    bias[:] = 0
    assert_same(index.search(index.factors[0], 5), before)
    with pytest.raises(ValueError, match="read-only"):
        index.factors[0] = 0


def test_read_only_factors_are_used_in_place(tmp_path):
    np.save(tmp_path / "factors.npy", gaussian(50, 4))
    mapped = np.load(tmp_path / "factors.npy", mmap_mode="r")
    index = TopKIndex(mapped)
    assert np.shares_memory(index.factors, mapped)
    assert_same(index.search(mapped[:2], 3), top_k(gaussian(50, 4), gaussian(50, 4)[:2], 3))
    assert index.bias is None
    assert index.n_items == 50


def test_many_threads_search_one_index():
    factors, queries = als_like(3000, 16), als_like(20, 16, seed=1)
    index = TopKIndex(factors, num_threads=2)
    want = top_k(factors, queries, 10)
    failures = []

    def work():
        for _ in range(20):
            try:
                assert_same(index.search(queries, 10), want)
            except AssertionError as e:
                failures.append(e)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


def test_scores_do_not_depend_on_the_order_of_float32_sums():
    """One dimension cancels another: float32 sums would be wrong by far more than the gap between the items."""
    factors = np.array([[1e8, 1, -1e8], [1e8, 2, -1e8], [1e8, -3, -1e8]], np.float32)
    found = TopKIndex(factors).search(np.ones(3), 3)
    assert found.scores.tolist() == [2, 1, -3]
    assert scores(factors, np.ones(3, np.float32)).tolist() == [1, 2, -3]


F = np.ones((6, 4), np.float32)


@pytest.mark.parametrize(
    ("factors", "bias", "message"),
    [
        (np.ones(4), None, "item_factors: expected a 2-D numeric array"),
        (np.empty((0, 4)), None, "item_factors: expected at least one item"),
        (np.empty((4, 0)), None, "item_factors: expected at least one item and one column"),
        ([["a"]], None, "item_factors"),
        (F * np.nan, None, "item_factors: expected finite values; got nan at row 0, column 0"),
        (np.full((6, 4), 1e300), None, "item_factors: expected finite"),
        (F, [1, 2], "bias: expected a 1-D array of 6 values"),
        (F, np.full(6, np.inf), "bias: expected finite"),
    ],
)
def test_refuses_bad_factors(factors, bias, message):
    with pytest.raises(InvalidArgument, match=message):
        TopKIndex(factors, bias=bias)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k: expected a whole number from 1 to 6; got 0"),
        ({"k": 7}, "k: expected a whole number from 1 to 6; got 7"),
        ({"k": 1.0}, "k: expected a whole number"),
        ({"queries": np.ones((2, 3))}, "queries: expected 4 columns"),
        ({"queries": np.ones(5)}, "queries: expected 4 columns"),
        ({"queries": np.ones((1, 1, 4))}, "queries: expected a 2-D"),
        ({"queries": [np.nan, 0, 0, 0]}, "queries: expected finite values; got nan"),
        ({"queries": [0, 0, 0, 1e300]}, "queries: expected finite"),
        ({"num_threads": -1}, "num_threads"),
        ({"num_threads": 100000}, "num_threads"),
        ({"exclude": [6]}, "exclude: expected a CSR"),
        ({"queries": np.ones(4), "exclude": [6]}, "exclude: expected ids from 0 to 5; got 6"),
        ({"queries": np.ones(4), "exclude": [-1]}, "exclude: expected ids from 0 to 5; got -1"),
        ({"exclude": csr(np.ones((3, 6)))}, "exclude: expected 2 rows"),
        ({"exclude": csr(np.ones((2, 5)))}, "exclude: expected 6 columns"),
        ({"exclude": sp.coo_matrix(np.ones((2, 6)))}, "exclude: .*tocsr"),
        ({"allow": csr(np.ones((2, 5)))}, "allow: expected 6 columns"),
        ({"allow": [6]}, "allow: expected ids from 0 to 5; got 6"),
        ({"allow": np.ones(5, bool)}, "allow: expected a mask of shape"),
        ({"allow": [0.5]}, "allow: expected whole numbers"),
        ({"deny": [-2]}, "deny: expected ids from 0 to 5; got -2"),
        ({"deny": np.ones((2, 6), bool)}, "deny: expected a mask of shape"),
        ({"deny": csr(np.ones((2, 6)))}, "deny: expected .*exclude"),
    ],
)
def test_refuses_bad_searches(arguments, message):
    with pytest.raises(InvalidArgument, match=message):
        TopKIndex(F).search(**({"queries": F[:2], "k": 2} | arguments))
