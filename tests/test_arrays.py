"""Every matrix that enters goes through arrays.as_csr: right ones pass unchanged, wrong ones say why."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from ecocore import InvalidArgument
from ecocore.arrays import as_count, as_csr, as_ids, as_matrix


def random_csr(rows=20, cols=30, seed=0):
    return sp.random(rows, cols, 0.2, "csr", dtype=np.float32, random_state=seed)


@pytest.mark.parametrize("make", [sp.csr_matrix, sp.csr_array])
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, bool])
def test_accepts_what_scipy_makes(make, index, dtype):
    m = make(random_csr().astype(dtype))
    m.indptr, m.indices = m.indptr.astype(index), m.indices.astype(index)
    out = as_csr(m, "m")
    assert (out.indptr.dtype, out.indices.dtype, out.values().dtype) == (np.int64, np.int32, np.float32)
    np.testing.assert_array_equal(sp.csr_matrix((out.data, out.indices, out.indptr), out.shape).toarray(), m.toarray())


def test_read_only_arrays_are_used_in_place():
    m = random_csr()
    indptr = m.indptr.astype(np.int64)
    for a in (indptr, m.indices, m.data):
        a.setflags(write=False)
    out = as_csr(type("M", (), {"indptr": indptr, "indices": m.indices, "data": m.data, "shape": m.shape}), "m")
    assert out.data is m.data
    assert out.indices is m.indices
    assert out.indptr is indptr


def test_unsorted_rows_are_sorted():
    m = sp.csr_matrix((np.array([1, 2, 3], np.float32), np.array([4, 1, 0]), np.array([0, 2, 3])), (2, 5))
    out = as_csr(m, "m")
    assert out.indices.tolist() == [1, 4, 0]
    assert out.values().tolist() == [2, 1, 3]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_transpose_matches_scipy(threads):
    m = random_csr(200, 7, seed=3)
    out = as_csr(m, "m").transpose(threads)
    want = m.T.tocsr()
    want.sort_indices()
    assert out.indptr.tolist() == want.indptr.tolist()
    assert out.indices.tolist() == want.indices.tolist()
    assert out.values().tolist() == want.data.tolist()


def broken(indptr=(0, 2, 3), indices=(1, 2, 0), data=(1.0, 2.0, 3.0), shape=(2, 4)):
    return type(
        "M", (), {"indptr": np.array(indptr), "indices": np.array(indices), "data": np.array(data), "shape": shape}
    )


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (broken(indices=(1, 9, 0)), "9"),
        (broken(indices=(1, -1, 0)), "-1"),
        (broken(indices=(1, 1, 0)), "row 0 names column 1 twice"),
        (broken(indices=(1.5, 1, 0)), "whole numbers"),
        (broken(data=(1.0, np.nan, 1.0)), "row 0, column 2: expected a finite value, got nan"),
        (broken(data=(1.0, 1.0, np.inf)), "inf"),
        (broken(data=(1.0, 1.0, 1e300)), "row 1, column 0: expected a finite value, got inf"),
        (broken(data=(1.0, 1.0)), "as many entries"),
        (broken(indptr=(0, 2.5, 3)), "indptr must be whole numbers; got float64"),
        (broken(indptr=(0, 0, 0), indices=np.empty(0, int), data=(), shape=(2, -4)), "0 to 2147483647 columns, got -4"),
        (broken(indptr=(0, 3, 2)), "indptr"),
        (broken(indptr=(0, 5, 3)), "row 0: indptr must rise"),
        (broken(indptr=(0, -1, 3)), "row 0: indptr must rise"),
        (broken(indptr=(0, 3)), "rows \\+ 1 = 3"),
        (np.eye(3), "scipy.sparse.csr_matrix"),
        (sp.coo_matrix(np.eye(3)), "tocsr"),
        ("nonsense", "str 'nonsense'"),
    ],
)
def test_refuses_broken_matrices(matrix, message):
    with pytest.raises(InvalidArgument, match=f"ratings.*{message}|{message}"):
        as_csr(matrix, "ratings")


def test_int32_and_int64_indices_out_of_range_both_raise():
    for dtype in (np.int32, np.int64):
        m = broken(indices=(1, 4, 0))
        m.indices = m.indices.astype(dtype)
        with pytest.raises(InvalidArgument, match="0 to 3"):
            as_csr(m, "m")


def test_wrong_shape_is_named():
    with pytest.raises(InvalidArgument, match="users: expected 7 columns; got shape"):
        as_csr(random_csr(), "users", shape=(None, 7))


def test_matrix_conversions():
    a = np.ones((3, 4), np.float32)
    assert as_matrix(a, "a") is a
    assert as_matrix(a[:, ::2], "a").flags.c_contiguous
    assert as_matrix(a.astype(np.float64), "a").dtype == np.float32
    for bad, message in [
        (np.ones(3), "2-D"),
        (np.array([["x"]]), "2-D numeric"),
        (a * np.nan, "row 0, column 0"),
        (np.array([[1e300]]), "finite"),
    ]:
        with pytest.raises(InvalidArgument, match=message):
            as_matrix(bad, "a")
    with pytest.raises(InvalidArgument, match="expected 5 columns"):
        as_matrix(a, "a", columns=5)


def test_ids_and_counts():
    assert as_ids([3, 1], "u", 4).tolist() == [3, 1]
    assert as_ids(np.uint8(2), "u", 4).tolist() == [2]
    for bad in ([4], [-1], [0.5], ["a"], [True]):
        with pytest.raises(InvalidArgument, match="u: expected"):
            as_ids(bad, "u", 4)
    assert as_count(np.int64(3), "k") == 3
    for bad in (0, -1, 2.0, True, "3", None):
        with pytest.raises(InvalidArgument, match="k: expected a whole number"):
            as_count(bad, "k")
    with pytest.raises(InvalidArgument, match="from 1 to 5; got 6"):
        as_count(6, "k", maximum=5)
