"""What the ranking model learns from: histories without the items that they are to predict.

Where times are known, the items come in their order, and the item at a place is predicted from those before it.
Otherwise each user's items are dealt into folds, and those of a fold are predicted from the other folds. The user's ALS
factors are solved anew from the part of the history that may be seen: those of the whole history know the answer.

Items of one moment, as those of a basket, have no order: it is drawn (moments.py). By id, the last by id would always
be the latest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..als import AlternatingLeastSquares
from ..arrays import Csr, FloatArray, Int64Array
from ..interactions import Interactions
from ..moments import order_in_time
from ..ranking_inputs import spans

__all__ = ["Batch", "Examples", "Histories", "fold_in"]

_FOLD_IN_ROWS = 50_000  # solved at a time: bounds what is copied of the histories


@dataclass(frozen=True)
class Batch:
    """Rows of user tower inputs, and the items that each is to predict."""

    users: Int64Array  # [rows]
    items: Int64Array  # of the histories, one after another
    indptr: Int64Array  # [rows + 1]
    recent: tuple[Int64Array, Int64Array]  # [rows], [rows]: the ranges of events in which the latest are recent
    factors: FloatArray  # [rows, factors], from what is visible
    target_rows: Int64Array  # [targets]
    targets: Int64Array  # [targets]


@dataclass(frozen=True)
class Histories:
    """The items of every user, one user after another, oldest first where ``ordered``."""

    indptr: Int64Array
    items: Int64Array
    weights: FloatArray
    n_items: int
    ordered: bool

    @classmethod
    def of(cls, interactions: Interactions) -> Histories:
        """What users have with a weight above 0."""
        items, times = interactions.indices.astype(np.int64), interactions.times
        order = np.arange(items.size)
        if times is not None:  # rows are contiguous already: this orders within each
            random = np.random.default_rng(0)  # in training and export alike
            order = order_in_time(times, interactions.row_numbers(), random=random)
        weights = interactions.data[order]
        whole = cls(interactions.indptr, items[order], weights, interactions.shape[1], times is not None)
        return whole if (weights > 0).all() else whole.take(weights > 0)

    @property
    def sizes(self) -> Int64Array:
        return np.diff(self.indptr)

    def take(self, keep: npt.NDArray[np.bool_]) -> Histories:
        """The events of the mask."""
        kept = np.zeros(self.items.size + 1, np.int64)
        np.cumsum(keep, out=kept[1:])
        return Histories(kept[self.indptr], self.items[keep], self.weights[keep], self.n_items, self.ordered)

    def hold_out(self, limit: int, random: np.random.Generator) -> tuple[Histories, Int64Array, Int64Array]:
        """(what is left, users, their held-out item): the latest item, or any where there is no order, of at most
        ``limit`` users who have two or more."""
        users = np.flatnonzero(self.sizes >= 2)
        if users.size > limit:
            users = np.sort(random.permutation(users)[:limit])
        at = self.indptr[users + 1] - 1
        if not self.ordered:
            at -= (random.random(users.size) * self.sizes[users]).astype(np.int64)
        keep = np.ones(self.items.size, bool)
        keep[at] = False
        return self.take(keep), users, self.items[at]


def fold_in(
    als: AlternatingLeastSquares,
    histories: Histories,
    n: int,
    visible: Callable[[Int64Array], tuple[Int64Array, Int64Array]],
) -> FloatArray:
    """ALS factors [n, factors] of rows that have the events, with their indptr, that ``visible(rows)`` names."""
    out = np.empty((n, als.factors), np.float32)
    for begin in range(0, n, _FOLD_IN_ROWS):
        part = np.arange(begin, min(begin + _FOLD_IN_ROWS, n))
        events, indptr = visible(part)
        items = histories.items[events]
        order = np.lexsort((items, np.repeat(part, np.diff(indptr))))
        csr = Csr(
            indptr, items[order].astype(np.int32), histories.weights[events][order], (part.size, histories.n_items)
        )
        out[part] = als.recalculate_user(np.arange(part.size), csr)
    return out


class Examples:
    """Draws training examples, epoch by epoch.

    ``parts``: folds of a user without order; with order, how often the ALS factors are solved anew along a history:
    an item is predicted with the factors as of the last such moment.
    """

    def __init__(
        self,
        histories: Histories,
        als: AlternatingLeastSquares | None,
        parts: int,
        per_user: int,
        random: np.random.Generator,
    ) -> None:
        self.histories, self.parts, self.per_user, self.random = histories, parts, per_user, random
        counts = np.bincount(histories.items, minlength=histories.n_items)
        self.shares = counts / max(histories.items.size, 1)  # of each item among all events
        begins, sizes = histories.indptr[:-1], histories.sizes
        users = sizes.size
        self.starts = begins[:, None] + sizes[:, None] * np.arange(parts) // parts  # ordered: of the parts
        places = np.arange(histories.items.size) - np.repeat(begins, sizes)
        shuffled = np.lexsort((random.random(places.size), np.repeat(np.arange(users), sizes)))
        self.fold = np.empty(places.size, np.int64)
        self.fold[shuffled] = places % parts
        self.factors = np.empty((users * parts, 0), np.float32)
        if als is not None:
            self.factors = fold_in(als, histories, users * parts, self._visible)

    def count(self) -> int:
        """Examples in an epoch."""
        sizes = self.histories.sizes
        if self.histories.ordered:
            return int(np.clip(sizes - 1, 0, self.per_user).sum())
        return int(np.minimum(sizes, self.parts)[sizes >= 2].sum())

    def epoch(self, batch: int) -> Iterator[Batch]:
        return self._places(batch) if self.histories.ordered else self._folds(batch)

    def _places(self, batch: int) -> Iterator[Batch]:
        """Ordered: some places of every user but the first, and the item that stands there."""
        h = self.histories
        counts = np.clip(h.sizes - 1, 0, self.per_user)
        users = self.random.permutation(np.repeat(np.arange(counts.size), counts))
        ends = h.indptr[users] + 1 + (self.random.random(users.size) * (h.sizes[users] - 1)).astype(np.int64)
        for begin in range(0, users.size, batch):
            who, end = users[begin : begin + batch], ends[begin : begin + batch]
            events, indptr = spans(h.indptr[who], end)
            part = (self.starts[who] <= end[:, None]).sum(axis=1) - 1
            yield Batch(
                who, h.items[events], indptr, (h.indptr[who], end), self.factors[who * self.parts + part],
                np.arange(who.size), h.items[end],
            )  # fmt: skip

    def _folds(self, batch: int) -> Iterator[Batch]:
        """Without order: every fold of every user, predicted from the user's others."""
        h = self.histories
        sizes = np.where(h.sizes >= 2, np.minimum(h.sizes, self.parts), 0)  # of fewer items, the last folds are empty
        rows = np.flatnonzero((np.arange(self.parts) < sizes[:, None]).ravel())
        rows = self.random.permutation(rows)
        for begin in range(0, rows.size, batch):
            chosen = rows[begin : begin + batch]
            users, fold = np.divmod(chosen, self.parts)
            events, indptr = self._without(users, fold)
            every, all_indptr = spans(h.indptr[users], h.indptr[users + 1])
            of_row = np.repeat(np.arange(users.size), np.diff(all_indptr))
            target = self.fold[every] == fold[of_row]
            yield Batch(
                users, h.items[events], indptr, (h.indptr[users], h.indptr[users]), self.factors[chosen],
                of_row[target], h.items[every[target]],
            )  # fmt: skip

    def _visible(self, rows: Int64Array) -> tuple[Int64Array, Int64Array]:
        """What the ALS factors of these rows of ``factors``, a user's part each, may know."""
        users, part = np.divmod(rows, self.parts)
        if self.histories.ordered:
            return spans(self.histories.indptr[users], self.starts[users, part])
        return self._without(users, part)

    def _without(self, users: Int64Array, fold: Int64Array) -> tuple[Int64Array, Int64Array]:
        events, indptr = spans(self.histories.indptr[users], self.histories.indptr[users + 1])
        keep = self.fold[events] != np.repeat(fold, np.diff(indptr))
        kept = np.zeros(events.size + 1, np.int64)
        np.cumsum(keep, out=kept[1:])
        return events[keep], kept[indptr]
