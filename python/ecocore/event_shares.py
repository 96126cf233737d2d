"""How often each item came in training: what answers while a sequence has no event, and nothing else is known."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import FloatArray, Int64Array, describe
from .errors import InvalidArgument

__all__ = ["EventShares", "as_event_counts"]


def as_event_counts(x: Any, size: int) -> Int64Array:
    """The argument ``item_counts`` as int64 [size], a copy; InvalidArgument for what are no counts of events."""
    try:
        a = np.asarray(x)
    except ValueError:  # rows of unequal length, which are no array
        a = np.array(None)
    if a.ndim != 1 or a.size != size or a.dtype.kind not in "iu":
        raise InvalidArgument(
            f"item_counts: expected whole numbers, one for each of {size} items; got"
            f" {describe(x if a.dtype == object else a)}; count with np.bincount(codes, minlength=items)"
        )
    counts = np.array(a, np.int64)
    if counts.min() < 0:  # uint64 beyond int64, too
        at = int(np.argmax(counts < 0))
        raise InvalidArgument(f"item_counts: expected counts from 0 to 2^63 - 1; got {a[at]} at place {at}")
    if not counts.any():
        raise InvalidArgument("item_counts: expected events of at least one item; got only 0; leave them out")
    return counts


class EventShares:
    """The share of each item in the events of training, those of unknown items not counted.

    ``counts``: int64 [items], by item code, at least 0 and not all of them 0.
    """

    def __init__(self, counts: Int64Array) -> None:
        self._counts = counts
        self._total = float(counts.sum(dtype=np.float64))  # int64 could overflow

    @cached_property
    def _order(self) -> Int64Array:
        """All codes, by count descending, then by code."""
        return np.argsort(-self._counts, kind="stable")

    def probabilities(self, codes: npt.NDArray[Any] | None, *, among: bool) -> FloatArray:
        """The shares of the given items (None: of all), float32 [items]. ``among``: of the events of these items alone,
        so that they add up to 1; equal where there are none."""
        counts = (self._counts if codes is None else self._counts[codes]).astype(np.float64)
        total = float(counts.sum()) if among else self._total
        shares: FloatArray = (counts / total if total else np.full(counts.size, 1 / max(counts.size, 1))).astype(
            np.float32
        )
        return shares

    def best(
        self, k: int, allow: npt.NDArray[Any] | None, deny: npt.NDArray[Any] | None
    ) -> tuple[Int64Array, FloatArray]:
        """The k items of most events, equal ones by the lower code, and the logarithms of their shares, [k]; an item of
        no event counts as half of one there, so that only -1, where fewer are left, has -inf.

        The order is that of the counts, also where float32 rounds two logarithms to one."""
        if allow is not None:
            order = np.unique(allow).astype(np.int64)
            order = order[np.argsort(-self._counts[order], kind="stable")]
        else:
            order = self._order[: k + (0 if deny is None else deny.size)]  # so that k are left, whichever are denied
        if deny is not None:
            order = order[np.isin(order, deny, invert=True)]
        order = order[:k]
        codes, scores = np.full(k, -1, np.int64), np.full(k, -np.inf, np.float32)
        codes[: order.size] = order
        scores[: order.size] = np.log(np.maximum(self._counts[order], 0.5) / self._total)
        return codes, scores
