"""The two recommenders that any model has to beat: what everybody buys, and what the user bought before.

Both take part in :func:`ecocore.evaluate` like any model. In shops whose customers restock, the second is hard to beat;
a model judged only with seen items filtered never meets it.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from . import _core
from .arrays import Csr, FloatArray, Int64Array, as_count, as_csr, as_ids
from .errors import InvalidArgument, NotFitted

__all__ = ["Popularity", "RepeatPurchases"]


class _Baseline:
    _repeat = False

    def __init__(self, *, num_threads: int = 0) -> None:
        self.num_threads = num_threads
        self._counts: FloatArray | None = None

    def fit(self, user_items: Any) -> Self:
        """Counts for each item how many users have it. ``user_items``: CSR matrix (n_users, n_items)."""
        m = as_csr(user_items, "user_items", pattern=True, num_threads=self.num_threads)
        counts = np.bincount(m.indices, minlength=m.shape[1])
        self._counts = (counts / max(m.shape[0], 1)).astype(np.float32)
        self._order = np.argsort(-counts, kind="stable")
        return self

    @property
    def item_scores(self) -> FloatArray:
        """float32 (n_items,): the share of users who have the item."""
        if self._counts is None:
            raise NotFitted(f"{type(self).__name__} has seen no data yet; call fit(user_items) first")
        return self._counts

    def recommend(
        self,
        userid: Any,
        user_items: Any = None,
        N: int = 10,
        filter_already_liked_items: bool = True,
        filter_items: npt.ArrayLike | None = None,
        items: npt.ArrayLike | None = None,
    ) -> tuple[Int64Array, FloatArray]:
        """As implicit's ``recommend``: int64 ids and float32 scores of shape (len(userid), N), or (N,) for a single
        user; -1 and -inf where there are no more.

        ``user_items``: CSR matrix with one row for each user. ``filter_items`` are never recommended; ``items``, if
        given, are the only ones that may be. Equally popular items come in the order of their ids.
        """
        scores = self.item_scores
        single = np.ndim(userid) == 0
        users = as_ids(userid, "userid", np.iinfo(np.int64).max)
        N = as_count(N, "N")
        repeat = self._repeat and not filter_already_liked_items
        if user_items is None:
            if repeat or filter_already_liked_items:
                raise InvalidArgument(
                    "user_items: expected a CSR matrix with one row for each user; got None; what users have is needed"
                    + (" to repeat it" if repeat else " to filter it, or pass filter_already_liked_items=False")
                )
            history = _nothing(users.size, scores.size)
        else:
            history = as_csr(user_items, "user_items", shape=(users.size, scores.size), num_threads=self.num_threads)
            if repeat and history.data is not None and history.nnz and float(history.data.min()) < 0:
                raise InvalidArgument(
                    f"user_items: expected weights of at least 0; got {history.data.min()}; use m.maximum(0)"
                )
            if not (repeat or filter_already_liked_items):
                history = _nothing(users.size, scores.size)
        ids, values = _core.recommend_popular(
            self._allowed(filter_items, items),
            scores,
            history.indptr,
            history.indices,
            history.data,
            repeat,
            N,
            self.num_threads,
        )
        return (ids[0], values[0]) if single else (ids, values)

    def _allowed(self, filter_items: npt.ArrayLike | None, items: npt.ArrayLike | None) -> Int64Array:
        order = self._order
        if items is not None:
            order = order[np.isin(order, as_ids(items, "items", order.size))]
        if filter_items is not None:
            order = order[np.isin(order, as_ids(filter_items, "filter_items", self._order.size), invert=True)]
        return order


class Popularity(_Baseline):
    """The items that most users have, the same for everyone but for what each has already."""


class RepeatPurchases(_Baseline):
    """What the user had before, by weight, then what is popular. Scores are 1 + weight for the former.

    Judge it with ``filter_already_liked_items=False`` (``evaluate(..., filter_seen=False)``): with the filter on, only
    the popular items are left.
    """

    _repeat = True


def _nothing(rows: int, cols: int) -> Csr:
    return Csr(np.zeros(rows + 1, np.int64), np.empty(0, np.int32), None, (rows, cols))
