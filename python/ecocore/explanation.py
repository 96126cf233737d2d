"""Which events of a sequence moved the probability of an item."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .arrays import Int32Array, Int64Array, as_count, describe
from .errors import InvalidArgument
from .recurrent_gradients import RecurrentGradients, input_vectors
from .sequences import EventRows, _gaps, _like, as_times

if TYPE_CHECKING:
    from .behavior import BehaviorModel

__all__ = ["Explanation", "explained"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Explanation:
    """How much each event moved the probability of an item, and the states of the layers.

    ``contributions``, float32 [events]. "occlusion": the probability with event t minus the probability without it.
    "replacement": minus the probability had its item been an unknown one. "gradients": its share of ``probability``
    minus ``baseline``, to which the shares of all events add up.

    ``layers``, float32 [events, layers]: how far the last state of each layer moves if event t is left out,
    ``|h_without - h| / |h|`` (Euclidean norms), whatever the method; inf where h is zero and the other is not.

    Both are NaN for events before the window that was looked at. ``baseline``: the probability had all items of the
    window been unknown ones; None but for "gradients".
    """

    item: Any
    probability: float
    contributions: FloatArray
    method: str
    layers: FloatArray
    baseline: float | None = None


def explained(
    model: BehaviorModel,
    sequence: Any,
    item: Any,
    *,
    method: str,
    window: int,
    steps: int,
    event_types: Any,
    times: Any,
    features: Any,
) -> Explanation:
    """:meth:`BehaviorModel.explain`."""
    if method not in ("occlusion", "replacement", "gradients"):
        raise InvalidArgument(f"method: expected 'occlusion', 'replacement' or 'gradients'; got {method!r}")
    sequence = _one_sequence(sequence)
    code = model.items.code(item, "item")
    steps = as_count(steps, "steps")
    gradients = _gradients(model, code) if method == "gradients" else None
    given = [[x] if x is not None else None for x in (sequence, event_types, times, features)]
    rows = model.vocabulary.rows(*given, name="sequence")
    n = int(rows.indptr[-1])
    look = min(as_count(window, "window"), n)
    start = n - look
    before = model._advance(_part(rows, np.arange(start), np.array([0, start])), *model._zeros(1))

    def run(part: EventRows) -> tuple[FloatArray, FloatArray]:
        """The probability after each of the sequences, which all go on from the window's begin, and their states."""
        h = np.repeat(before.h, len(part), axis=0)
        c = None if before.c is None else np.repeat(before.c, len(part), axis=0)
        after = model._advance(part, h, c)
        after.events[:] += before.events[0]
        if not model._engine.output_of_state:  # such an output is only there after an event: the former one stands
            after.query[np.diff(part.indptr) == 0] = before.query[0]
        # Softmax is over all items; a sigmoid needs the one.
        single = model._probability == "sigmoid"
        return model._probabilities(after, [item] if single else None)[:, 0 if single else code], after.h

    # Row 0 is the sequence as it is, row t + 1 the one without event t of the window.
    events = np.broadcast_to(np.arange(start, n), (look + 1, look))
    dropped = np.eye(look + 1, look, -1, dtype=bool)
    flat, indptr = events[~dropped], np.concatenate([np.zeros(1, np.int64), np.cumsum((~dropped).sum(axis=1))])
    without = _part(rows, flat, indptr)
    if times is not None and model.vocabulary.gap_boundaries is not None:
        seconds = as_times(_like(rows.indptr, given[2], "times"), n)
        without.ids[-1] = _gaps_again(seconds, start, flat, indptr, model.vocabulary.gap_boundaries)
    p, h = run(without)
    baseline = None
    if method == "occlusion":
        own = p[0] - p[1:]
    elif gradients is None:
        unknown = _part(rows, events[1:].reshape(-1), np.arange(look + 1) * look)
        unknown.ids[0][dropped[1:].reshape(-1)] = 0
        own = p[0] - run(unknown)[0]
    else:
        unknown = _part(rows, np.arange(start, n), np.array([0, look]))
        x = _input_vectors(model, unknown)
        unknown.ids[0][:] = 0
        baseline = float(run(unknown)[0][0])
        state, cell = before.h[0].astype(np.float64), None if before.c is None else before.c[0].astype(np.float64)
        own = gradients.integrated(x, _input_vectors(model, unknown), state, cell, steps)
    contributions = np.full(n, np.nan, np.float32)
    contributions[start:] = own
    layers = np.full((n, h.shape[1]), np.nan, np.float32)
    layers[start:] = _moved(h)
    return Explanation(item, float(p[0]), contributions, method, layers, baseline)


def _one_sequence(x: Any) -> Any:
    """The argument ``sequence``, as a list if it is no array."""
    if isinstance(x, (str, bytes)) or not isinstance(x, Iterable):
        raise InvalidArgument(
            f"sequence: expected the list of one sequence's item ids, oldest first; got {describe(x)}; use [id] for one"
            " event"
        )
    if not isinstance(x, np.ndarray):
        x = list(x)
    nested = x.ndim != 1 if isinstance(x, np.ndarray) else any(isinstance(e, (list, tuple, np.ndarray)) for e in x)
    if nested:
        raise InvalidArgument(
            f"sequence: expected the item ids of one sequence; got {describe(x)}, a list of sequences; give"
            " one of them, without the outer brackets"
        )
    return x


def _gradients(model: BehaviorModel, code: int) -> RecurrentGradients:
    meta, arrays = model._parts
    if "cell" not in meta or model._index is None:
        raise InvalidArgument(
            "method: expected 'occlusion' or 'replacement', because gradients need a folder with plain weights, as"
            " ecocore.train.behavior writes it, and this model is a graph of one's own; got 'gradients'; use"
            ' method="occlusion"'
        )
    return RecurrentGradients(meta, arrays, model._index.factors, model._index.bias, model._probability, code)


def _input_vectors(model: BehaviorModel, rows: EventRows) -> npt.NDArray[np.float64]:
    sides = {"event_type_vectors": model.vocabulary.event_types, "gap_vectors": model.vocabulary.gap_boundaries}
    tables = ["input_vectors", *(name for name, there in sides.items() if there is not None)]
    return input_vectors(model._parts[1], rows.ids, tables)


def _moved(h: FloatArray) -> FloatArray:
    """|h[t + 1] - h[0]| / |h[0]| of each layer, of h [1 + events, layers, hidden]."""
    wide = h.astype(np.float64)
    far, length = np.linalg.norm(wide[1:] - wide[0], axis=2), np.linalg.norm(wide[0], axis=1)
    out = np.where(far > 0, np.inf, 0.0)
    np.divide(far, length, out=out, where=np.broadcast_to(length > 0, far.shape))
    moved: FloatArray = out.astype(np.float32)
    return moved


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
