"""Which events of a sequence moved the probability of an item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .arrays import Int32Array, Int64Array, as_count
from .errors import InvalidArgument
from .sequences import EventRows, _gaps, _like, as_times

if TYPE_CHECKING:
    from .behavior import BehaviorModel

__all__ = ["Explanation", "explained"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Explanation:
    """How much each event moved the probability of an item.

    ``contributions[t]``, float32: the probability with event t minus the probability without it; NaN for events before
    the window that was looked at.
    """

    item: Any
    probability: float
    contributions: FloatArray
    method: str


def explained(
    model: BehaviorModel,
    sequence: Any,
    item: Any,
    *,
    method: str,
    window: int,
    event_types: Any,
    times: Any,
    features: Any,
) -> Explanation:
    """:meth:`BehaviorModel.explain`."""
    if method not in ("occlusion", "replacement"):
        raise InvalidArgument(f"method: expected 'occlusion' or 'replacement'; got {method!r}")
    model.items.code(item)
    given = [[x] if x is not None else None for x in (sequence, event_types, times, features)]
    rows = model.vocabulary.rows(*given)
    n = int(rows.indptr[-1])
    look = min(as_count(window, "window"), n)
    start = n - look
    # Row 0 is the sequence as it is, row t + 1 the one without event t of the window, or with an unknown item there.
    before = model._advance(_part(rows, np.arange(start), np.array([0, start])), *model._zeros(1))
    events = np.broadcast_to(np.arange(start, n), (look + 1, look))
    dropped = np.eye(look + 1, look, -1, dtype=bool)
    keep = ~dropped if method == "occlusion" else np.ones_like(dropped)
    flat, indptr = events[keep], np.concatenate([np.zeros(1, np.int64), np.cumsum(keep.sum(axis=1))])
    part = _part(rows, flat, indptr)
    if method == "replacement":
        part.ids[0][dropped.reshape(-1)] = 0
    elif times is not None and model.vocabulary.gap_boundaries is not None:
        seconds = as_times(_like(rows.indptr, given[2], "times"), n)
        part.ids[-1] = _gaps_again(seconds, start, flat, indptr, model.vocabulary.gap_boundaries)
    h = np.repeat(before.h, look + 1, axis=0)
    c = None if before.c is None else np.repeat(before.c, look + 1, axis=0)
    query = model._advance(part, h, c).query
    # Softmax is over all items; a sigmoid needs the one.
    single = model._probability == "sigmoid"
    p = model.probabilities_of(query, [item] if single else None)[:, 0 if single else model.items.code(item)]
    contributions = np.full(n, np.nan, np.float32)
    contributions[start:] = p[0] - p[1:]
    return Explanation(item, float(p[0]), contributions, method)


def _part(rows: EventRows, events: Int64Array, indptr: Int64Array) -> EventRows:
    features = None if rows.features is None else rows.features[events]
    return EventRows(indptr, [a[events] for a in rows.ids], features, np.full(indptr.size - 1, np.nan), 0, 0)


def _gaps_again(
    seconds: npt.NDArray[np.float64],
    start: int,
    events: Int64Array,
    indptr: Int64Array,
    boundaries: npt.NDArray[np.float64],
) -> Int32Array:
    """Gap buckets as they are where an event is left out: the next one's gap reaches back beyond it."""
    latest = np.full(indptr.size - 1, seconds[:start].max() if start else np.nan)
    return _gaps(indptr, seconds[events], latest, boundaries)[0]
