"""Sequences of events as a sequence model reads them: flat arrays of table rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import Int32Array, Int64Array, describe
from .errors import InvalidArgument
from .ids import IdMap

__all__ = ["EventRows", "Vocabulary"]

Float64Array = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.float32]

_SPREAD = 16


@dataclass(frozen=True)
class EventRows:
    """Events of many sequences, one after another: those of sequence i are [indptr[i], indptr[i + 1])."""

    indptr: Int64Array
    ids: list[Int32Array]  # one array per input of the model: items, then event types and gaps where it has them
    features: FloatArray | None  # [events, n]
    last_time: Float64Array  # of each sequence, NaN where none is known
    unknown: int  # events whose item is out of vocabulary
    late: int  # events with a time before that of an earlier event

    def __len__(self) -> int:
        return self.indptr.size - 1

    def take(self, start: int, stop: int) -> EventRows:
        """The sequences [start, stop), their arrays as views."""
        a, b = int(self.indptr[start]), int(self.indptr[stop])
        return EventRows(
            self.indptr[start : stop + 1] - a,
            [ids[a:b] for ids in self.ids],
            None if self.features is None else self.features[a:b],
            self.last_time[start:stop],
            self.unknown,
            self.late,
        )


class Vocabulary:
    """Which table row an item or event type has: its place in the map plus one. Row 0 stands for all others.

    Times are seconds. The gap to the latest time before falls into bucket 1 + (how many ``gap_boundaries`` are at most
    as large); bucket 0 is for events without a time or without a time before them. A time before the latest one counts
    as a gap of zero, does not set the clock back, and is counted as late.
    """

    def __init__(
        self,
        items: IdMap,
        event_types: IdMap | None = None,
        gap_boundaries: Sequence[float] | None = None,
        feature_size: int = 0,
    ) -> None:
        self.items = items
        self.event_types = event_types
        self.gap_boundaries = None if gap_boundaries is None else np.asarray(gap_boundaries, np.float64)
        self.feature_size = feature_size
        self._dense = _DenseRows.of(items)
        self._item_rows: dict[Any, int] | None = None
        self._type_rows: dict[Any, int] | None = None

    def rows(
        self,
        sequences: Any,
        event_types: Any = None,
        times: Any = None,
        features: Any = None,
        *,
        last_time: Float64Array | None = None,
        name: str = "sequences",
    ) -> EventRows:
        """Lists (or arrays) of item ids, one for each sequence, in rows of the tables. Also taken: the pair (indptr,
        item ids) of one flat array. ``event_types``, ``times`` and ``features`` have the same form. ``name``: what the
        caller's argument is called in errors."""
        indptr, flat = _flat(sequences, name)
        items = self.item_rows(flat, name)
        ids = [items]
        if self.event_types is not None:
            if event_types is None:
                ids.append(np.zeros(items.size, np.int32))
            else:
                ids.append(self.type_rows(_like(indptr, event_types, "event_types")))
        elif event_types is not None:
            raise InvalidArgument("event_types: this model takes none; leave them out")
        clock = np.full(indptr.size - 1, np.nan) if last_time is None else last_time
        late = 0
        if times is None:
            gaps = np.zeros(items.size, np.int32)
        else:
            seconds = as_times(_like(indptr, times, "times"), items.size)
            gaps, clock, late = _gaps(indptr, seconds, clock, self.gap_boundaries)
        if self.gap_boundaries is not None:
            ids.append(gaps)
        return EventRows(indptr, ids, self._features(indptr, features), clock, int(np.count_nonzero(items == 0)), late)

    def item_rows(self, ids: Any, name: str = "items") -> Int32Array:
        """Rows of items; 0 for unknown ones. ``name``: what the caller's argument is called in errors."""
        if self._dense is not None and type(ids) is np.ndarray and ids.dtype == np.int64 and ids.ndim == 1:
            return self._dense.rows(ids)
        return (self.items.codes(ids, missing=-1, name=name) + 1).astype(np.int32)

    def type_rows(self, ids: Any) -> Int32Array:
        """Rows of event types; 0 for unknown ones."""
        assert self.event_types is not None
        return (self.event_types.codes(ids, missing=-1, name="event_types") + 1).astype(np.int32)

    def item_row(self, item: Any) -> int:
        """The row of one item by a hash of all of them, made on first use."""
        if self._item_rows is None:
            self._item_rows = _hash(self.items)
        return self._one(self._item_rows, self.items, item, "item")

    def type_row(self, event_type: Any) -> int:
        """The row of one event type; 0 for None."""
        if event_type is None:
            return 0
        if self.event_types is None:
            raise InvalidArgument("event_type: this model takes none; leave it out")
        if self._type_rows is None:
            self._type_rows = _hash(self.event_types)
        return self._one(self._type_rows, self.event_types, event_type, "event_type")

    @staticmethod
    def _one(rows: Mapping[Any, int], ids: IdMap, x: Any, name: str) -> int:
        try:
            row = rows.get(x)
        except TypeError:
            row = None
        # 3.0 and True hash as 3 and 1 do, and are no ids.
        if row is not None and isinstance(x, (int, np.integer, str)) and not isinstance(x, bool):
            return row
        if isinstance(x, str) and ids.kind == "int":  # numbers as text, as rows() takes them
            return int(ids.codes([x], missing=-1)[0]) + 1
        kinds = (int, np.integer) if ids.kind == "int" else str
        if not isinstance(x, kinds) or isinstance(x, (bool, np.bool_)):
            expected = "a whole number" if ids.kind == "int" else "text"
            raise InvalidArgument(f"{name}: expected {expected}, as the model's ids are; got {describe(x)}")
        return 0

    def _features(self, indptr: Int64Array, features: Any) -> FloatArray | None:
        if self.feature_size == 0:
            if features is not None:
                raise InvalidArgument("features: this model takes none; leave them out")
            return None
        if features is None:
            raise InvalidArgument(f"features: this model needs {self.feature_size} numbers for every event; got none")
        if isinstance(features, np.ndarray) and features.ndim == 2:
            flat = features
        else:
            parts = [np.asarray(f, np.float32).reshape(-1, self.feature_size) for f in features if len(f)]
            flat = np.concatenate(parts) if parts else np.empty((0, self.feature_size), np.float32)
        out = np.ascontiguousarray(flat, np.float32)
        if out.shape != (int(indptr[-1]), self.feature_size):
            raise InvalidArgument(
                f"features: expected {self.feature_size} numbers for each of {indptr[-1]} events; got shape {out.shape}"
            )
        if not np.isfinite(out).all():
            at = int(np.flatnonzero(~np.isfinite(out).all(axis=1))[0])
            raise InvalidArgument(f"features: expected finite values; got {out[at]} at event {at}; replace or drop it")
        return out


@dataclass(frozen=True)
class _DenseRows:
    """The row of every whole number from ``low`` on, for ids that lie close together: at most ``_SPREAD`` times as far
    apart as they are many. Looking up is then one read, a tenth of the time of a search."""

    low: int
    table: Int32Array  # an unknown id at both ends, for all that lie beyond

    @classmethod
    def of(cls, ids: IdMap) -> _DenseRows | None:
        if ids.kind != "int" or len(ids) == 0:
            return None
        values = ids.to_array()
        low, high = int(values.min()) - 1, int(values.max()) + 1
        if high - low > _SPREAD * len(ids) or max(-low, high) >= 1 << 62:
            return None
        table = np.zeros(high - low + 1, np.int32)
        table[values - low] = np.arange(1, len(ids) + 1)
        return cls(low, table)

    def rows(self, ids: Int64Array) -> Int32Array:
        rows: Int32Array = self.table[np.clip(ids, self.low, self.low + self.table.size - 1) - self.low]
        return rows


def as_seconds(time: Any, name: str = "time") -> float:
    """Finite seconds of a number, a datetime (UTC where it has no zone) or ``np.datetime64``."""
    seconds = np.nan
    if isinstance(time, dt.datetime):
        if time == time:  # unlike pandas' NaT
            seconds = (time if time.tzinfo else time.replace(tzinfo=dt.UTC)).timestamp()
    elif isinstance(time, np.datetime64):
        if not np.isnat(time):
            seconds = float(_seconds_since_1970(np.array([time]))[0])
    elif isinstance(time, (int, float, np.integer, np.floating)) and not isinstance(time, bool):
        try:
            seconds = float(time)
        except OverflowError:  # a whole number beyond float64
            seconds = np.inf
    if seconds - seconds == 0.0:
        return seconds
    raise InvalidArgument(
        f"{name}: expected finite seconds or a datetime; got {describe(time)}; leave it out if not known"
    )


def as_times(times: Any, size: int) -> Float64Array:
    """Finite seconds, float64 [size]; datetimes and datetime64 are taken as seconds since 1970."""
    try:
        a = np.asarray(times)
    except ValueError:  # rows of unequal length, which are no array
        raise InvalidArgument(f"times: expected seconds or datetimes; got {describe(times)}") from None
    if a.dtype.kind in "MO":
        a = _seconds_since_1970(a)
    if a.size and (a.dtype.kind not in "iuf" or a.ndim != 1):
        raise InvalidArgument(f"times: expected seconds or datetimes; got {describe(a)}")
    out = np.ascontiguousarray(a, np.float64)
    if out.size != size:
        raise InvalidArgument(f"times: expected {size}, one for each event; got {out.size}")
    if not np.isfinite(out).all():
        at = int(np.flatnonzero(~np.isfinite(out))[0])
        raise InvalidArgument(
            f"times: expected finite seconds; got {out[at]} at event {at}; drop that event or its time"
        )
    return out


def _seconds_since_1970(a: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Of an array of datetime64, or of one dimension of datetimes and the like."""
    if a.dtype.kind == "M":
        if np.isnat(a).any():
            raise InvalidArgument("times: expected times; got NaT; leave times out where they are not known")
        return a.astype("datetime64[us]").astype(np.int64) / 1e6
    if a.ndim != 1:
        return a
    return np.array([as_seconds(x, f"times: event {at}") for at, x in enumerate(a.tolist())], np.float64)


def _hash(ids: IdMap) -> dict[Any, int]:
    return dict(zip(ids.to_array().tolist(), range(1, len(ids) + 1), strict=True))


def _flat(sequences: Any, name: str) -> tuple[Int64Array, Any]:
    """(indptr, ids of all sequences, one after another)."""
    if isinstance(sequences, tuple) and len(sequences) == 2 and isinstance(sequences[0], np.ndarray):
        indptr, flat = np.ascontiguousarray(sequences[0], np.int64), sequences[1]
        if (
            indptr.ndim != 1
            or indptr.size < 1
            or indptr[0] != 0
            or indptr[-1] != len(flat)
            or (np.diff(indptr) < 0).any()
        ):
            raise InvalidArgument(
                f"{name}: expected indptr to rise from 0 to the number of events ({len(flat)}); got {indptr[:5]}..."
            )
        return indptr, flat
    if isinstance(sequences, (str, bytes)) or not isinstance(sequences, Iterable):
        raise InvalidArgument(f"{name}: expected a list of lists of ids; got {describe(sequences)}")
    parts = list(sequences)
    try:
        if any(isinstance(p, (str, bytes)) for p in parts):
            raise TypeError
        lengths = np.fromiter(map(len, parts), np.int64, len(parts))
    except TypeError:
        raise InvalidArgument(
            f"{name}: expected a list of lists of ids; got {describe(sequences)}; use [[...]] for one sequence"
        ) from None
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    if parts and all(isinstance(p, np.ndarray) for p in parts):
        full = [p for p in parts if p.size]
        return indptr, np.concatenate(full) if full else []
    return indptr, list(chain.from_iterable(parts))


def _like(indptr: Int64Array, x: Any, name: str) -> Any:
    """The flat values of ``x``, which must have the lengths of the sequences."""
    if isinstance(x, np.ndarray) and x.ndim == 1 and x.dtype != object:
        if x.size != indptr[-1]:
            raise InvalidArgument(f"{name}: expected {indptr[-1]}, one for each event; got {x.size}")
        return x
    own, flat = _flat(x, name)
    if not np.array_equal(own, indptr):
        at = int(np.argmax(own[: indptr.size] != indptr[: own.size])) - 1 if own.size == indptr.size else -1
        which = f"; sequence {at} differs" if at >= 0 else f"; got {own.size - 1} sequences of {indptr.size - 1}"
        raise InvalidArgument(f"{name}: expected as many values as the sequences have events{which}")
    return flat


def _gaps(
    indptr: Int64Array, times: Float64Array, before: Float64Array, boundaries: Float64Array | None
) -> tuple[Int32Array, Float64Array, int]:
    """Bucket of each event, the latest time of each sequence, and how many events were late; NaN = not known."""
    lengths = np.diff(indptr)
    sequence = np.repeat(np.arange(lengths.size), lengths)
    start = np.where(np.isnan(before), -np.inf, before)
    known = np.where(np.isnan(times), -np.inf, times)
    # The latest time up to each event, within its sequence: a running maximum in steps of 1, 2, 4, ...
    latest = np.maximum(known, start[sequence])
    if ((latest[1:] < latest[:-1]) & (sequence[1:] == sequence[:-1])).any():
        step = 1
        while step < int(lengths.max()):
            same = sequence[step:] == sequence[:-step]
            latest[step:] = np.where(same, np.maximum(latest[step:], latest[:-step]), latest[step:])
            step *= 2
    previous = np.empty_like(latest)
    previous[1:] = latest[:-1]
    full = lengths > 0
    previous[indptr[:-1][full]] = start[full]
    both = np.isfinite(previous) & np.isfinite(known)
    gap = np.maximum(known[both] - previous[both], 0.0)
    buckets = np.zeros(times.size, np.int32)
    if boundaries is not None:
        buckets[both] = 1 + np.searchsorted(boundaries, gap, side="right")
    after = before.copy()
    after[full] = latest[indptr[1:][full] - 1]
    return buckets, np.where(np.isfinite(after), after, np.nan), int(np.count_nonzero(times < previous))
