"""Exact top-k items by inner product, with filters."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import _core
from .arrays import Csr, FloatArray, Int32Array, Int64Array, as_count, as_csr, as_finite_vector, as_ids, as_matrix
from .errors import InvalidArgument

__all__ = ["TopKIndex", "TopKResult"]


class TopKResult(NamedTuple):
    """The best items, best first: ``ids`` int64 and ``scores`` float32 of equal shape.

    Where a query may return fewer than k items, the rest has id -1 and score -inf.
    """

    ids: Int64Array
    scores: FloatArray


class TopKIndex:
    """An index over item vectors that finds, for each query vector, the k items of highest score. Exactly.

    The score of an item is the inner product of its float32 factors with the float32 query, summed in float64 in index
    order and rounded once to float32, plus the item's float32 bias. Results are ordered by score descending, then by id
    ascending. They are the same bits for every batch size, number of threads and instruction set, and the result for a
    smaller k is the head of the result for a larger one.

    Beside the factors it holds a byte per factor (d rounded up to a multiple of 8) and some 12 bytes per item: codes
    that a search scans first, with a proven bound on what rounding can hide, so that few items need an exact score.

    An index does not change: any number of threads may search it at once. The GIL is released while they do.

    Args:
        item_factors: (n_items, d) array, n_items and d at least 1; converted to float32. A read-only float32 array in
            C order is used in place, so that a memory-mapped model costs no copy (its owner promises not to change it);
            any other is copied, so that the caller may change theirs.
        bias: (n_items,) values that are added to the scores, or None; in place or copied as ``item_factors``.
        num_threads: threads for the build and for searches that name none; 0 = automatic.

    Raises:
        InvalidArgument: an array has the wrong shape, no items or no columns, or holds NaN or inf.
    """

    def __init__(self, item_factors: npt.ArrayLike, *, bias: npt.ArrayLike | None = None, num_threads: int = 0) -> None:
        factors = as_matrix(item_factors, "item_factors")
        if 0 in factors.shape:
            raise InvalidArgument(f"item_factors: expected at least one item and one column; got shape {factors.shape}")
        self._num_threads = as_count(num_threads, "num_threads", minimum=0)
        self._factors = _frozen(factors, item_factors)
        self._bias = None if bias is None else _frozen(as_finite_vector(bias, "bias", len(factors)), bias)
        self._core = _core.TopKIndex(self._factors, self._bias, self._num_threads)

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self._factors)

    @property
    def factors(self) -> FloatArray:
        """The item vectors, (n_items, d) float32, read-only."""
        return self._factors

    @property
    def bias(self) -> FloatArray | None:
        """The bias of each item, (n_items,) float32, read-only, or None."""
        return self._bias

    def __repr__(self) -> str:
        bias = "" if self._bias is None else ", bias"
        return f"TopKIndex({self.n_items} items x {self._factors.shape[1]}{bias})"

    def search(
        self,
        queries: npt.ArrayLike,
        k: int,
        *,
        exclude: Any = None,
        allow: Any = None,
        deny: Any = None,
        num_threads: int | None = None,
    ) -> TopKResult:
        """The k best items of each query.

        All filters may be combined: an item is returned if every given filter lets it pass.

        Args:
            queries: (n, d) array, or one vector (d,); converted to float32.
            k: 1 to n_items.
            exclude: items not to return, for each query its own (what the user has already bought): a CSR matrix
                (n, n_items) whose stored entries count, whatever their value; for a single query also a list of ids.
            allow: the only items to return: a list of ids or a boolean mask (n_items,) for all queries, or a CSR matrix
                (n, n_items) with candidates for each query, of which only these are scored.
            deny: items not to return, for all queries (out of stock): a list of ids or a boolean mask (n_items,).
            num_threads: threads for this call; None = the index's own, 0 = automatic.

        Returns:
            ids and scores of shape (n, k), or (k,) for one vector.

        Raises:
            InvalidArgument: an argument has the wrong shape or dtype, holds NaN or inf or an id out of range, or k is
                larger than the number of items.
        """
        vectors = np.asarray(queries)
        single = vectors.ndim == 1
        vectors = as_matrix(vectors.reshape(1, -1) if single else vectors, "queries", columns=self._factors.shape[1])
        n = len(vectors)
        candidates = self._pattern(allow, "allow", n) if _is_sparse(allow) else None
        ids, scores = self._core.search(
            vectors,
            as_count(k, "k", maximum=self.n_items),
            allow=self._item_set(allow, "allow") if candidates is None else None,
            deny=self._item_set(deny, "deny"),
            candidates=candidates,
            exclude=self._exclusions(exclude, n),
            num_threads=self._num_threads if num_threads is None else as_count(num_threads, "num_threads", minimum=0),
        )
        return TopKResult(ids[0], scores[0]) if single else TopKResult(ids, scores)

    def _item_set(self, x: Any, name: str) -> Int32Array | npt.NDArray[np.bool_] | None:
        if x is None:
            return None
        if _is_sparse(x):
            raise InvalidArgument(
                f"{name}: expected ids or a mask that hold for all queries; use exclude for a CSR matrix"
            )
        a = np.asarray(x)
        if a.dtype == np.bool_:
            if a.shape != (self.n_items,):
                raise InvalidArgument(f"{name}: expected a mask of shape ({self.n_items},); got shape {a.shape}")
            return np.ascontiguousarray(a)
        ids = as_ids(a, name, self.n_items)
        if 32 * ids.size < self.n_items:
            return np.unique(ids).astype(np.int32)
        mask = np.zeros(self.n_items, bool)  # a look-up is quicker than a search in a long list
        mask[ids] = True
        return mask

    def _pattern(self, x: Any, name: str, rows: int) -> tuple[Int64Array, Int32Array]:
        csr: Csr = as_csr(x, name, shape=(rows, self.n_items), pattern=True, num_threads=self._num_threads)
        return csr.indptr, csr.indices

    def _exclusions(self, x: Any, rows: int) -> tuple[Int64Array, Int32Array] | None:
        if x is None:
            return None
        if _is_sparse(x):
            return self._pattern(x, "exclude", rows)
        if rows != 1:
            raise InvalidArgument(
                f"exclude: expected a CSR matrix of shape ({rows}, {self.n_items}), a row per query; got"
                f" {type(x).__name__}; a list of ids serves a single query, use deny for one that holds for all"
            )
        ids = np.unique(as_ids(x, "exclude", self.n_items)).astype(np.int32)
        return np.array([0, ids.size], np.int64), ids


def _is_sparse(x: Any) -> bool:
    return hasattr(x, "indptr") or hasattr(x, "tocsr")


def _frozen(a: FloatArray, source: npt.ArrayLike) -> FloatArray:
    """The array as a read-only one that nobody else writes to: itself where it is that already, else a copy."""
    if a.flags.writeable:
        if np.may_share_memory(a, np.asarray(source)):
            a = a.copy()
        a.flags.writeable = False
    return a
