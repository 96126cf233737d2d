"""Sequences of events as flat arrays, the vocabulary of their items, and the batches that training takes of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidArgument
from ..ids import IdMap
from ..sequences import as_times

__all__ = ["GAP_BOUNDARIES", "Batch", "Sequences", "Vocabulary", "batches", "hold_out_last", "split", "windows"]

Int64Array = npt.NDArray[np.int64]

# Seconds between an event and the one before it fall into buckets: 0 where there is none before it (or the time is not
# known), b + 1 for a gap of at least 2^b - 1 and less than 2^(b+1) - 1 seconds. The last bucket starts at 8 years.
GAP_BOUNDARIES: tuple[int, ...] = tuple(2**b - 1 for b in range(1, 29))


@dataclass(frozen=True)
class Sequences:
    """Events of many subjects, one after another: those of subject i are [indptr[i], indptr[i + 1])."""

    indptr: Int64Array  # [subjects + 1]
    items: Int64Array  # [events], rows of the vocabulary; 0 = out of vocabulary
    event_types: Int64Array | None = None  # [events], 0 = unknown
    gaps: Int64Array | None = None  # [events], buckets of GAP_BOUNDARIES

    def __len__(self) -> int:
        return self.indptr.size - 1

    @property
    def lengths(self) -> Int64Array:
        return np.diff(self.indptr)

    def item_counts(self, rows: int) -> Int64Array:
        """How often each row of the vocabulary comes, [rows]."""
        return np.bincount(self.items, minlength=rows)

    def take(self, starts: Int64Array, stops: Int64Array) -> Sequences:
        """New sequences from the ranges [starts[i], stops[i]) of the events."""
        lengths = stops - starts
        indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        events = np.arange(indptr[-1]) + np.repeat(starts - indptr[:-1], lengths)
        return Sequences(
            indptr,
            self.items[events],
            None if self.event_types is None else self.event_types[events],
            None if self.gaps is None else self.gaps[events],
        )


class Vocabulary:
    """Which row of the tables an item or event type has: its place in ``items`` plus one. Row 0 is for all others."""

    def __init__(self, items: IdMap, event_types: IdMap | None = None) -> None:
        self.items = items
        self.event_types = event_types

    @classmethod
    def of(cls, sequences: Iterable[Any], event_types: Iterable[Any] | None, min_count: int) -> Vocabulary:
        """All ids that come at least ``min_count`` times, in rising order; all event types."""
        ids, counts = np.unique(_flat(sequences, "sequences")[1], return_counts=True)
        kept = ids[counts >= min_count]
        if kept.size < 2:
            raise InvalidArgument(
                f"sequences: expected at least 2 different items that come {min_count} times or more; got {kept.size};"
                " lower min_count or give more data"
            )
        types = None if event_types is None else IdMap(np.unique(_flat(event_types, "event_types")[1]).tolist())
        return cls(IdMap(kept.tolist()), types)

    def encode(
        self, sequences: Iterable[Any], event_types: Iterable[Any] | None = None, times: Iterable[Any] | None = None
    ) -> tuple[Sequences, int]:
        """The sequences in rows of this vocabulary, and how many events had an unknown item.

        Empty sequences stay (as empty). Raises InvalidArgument where event types or times do not go with the items, or
        times fall within a sequence.
        """
        indptr, items = _flat(sequences, "sequences")
        rows = self.items.codes(items, missing=-1) + 1
        types = gaps = None
        if self.event_types is not None:
            if event_types is None:
                raise InvalidArgument("event_types: expected as many as sequences; got None; this model was given them")
            own, values = _flat(event_types, "event_types")
            _check_same(own, indptr, "event_types")
            types = self.event_types.codes(values, missing=-1) + 1
        if times is not None:
            own, values = _flat(times, "times")
            _check_same(own, indptr, "times")
            gaps = _gap_buckets(indptr, values)
        return Sequences(indptr, rows, types, gaps), int(np.count_nonzero(rows == 0))


def _flat(sequences: Iterable[Any], name: str) -> tuple[Int64Array, npt.NDArray[Any]]:
    """(indptr, values) of a list of lists or arrays; values are int64 or object (text), those of times any numbers or
    datetime64."""
    if isinstance(sequences, (str, bytes)) or not isinstance(sequences, Iterable):
        raise InvalidArgument(f"{name}: expected a list of lists; got {type(sequences).__name__}")
    parts = list(sequences)
    for i, part in enumerate(parts):
        if isinstance(part, (str, bytes)) or not isinstance(part, (Sequence, np.ndarray)) or np.ndim(part) == 0:
            raise InvalidArgument(f"{name}[{i}]: expected a list or 1-D array; got {type(part).__name__} {part!r:.40}")
    indptr = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=indptr[1:])
    timed = name == "times"
    numbers = "iufM" if timed else "iuf"
    full = [part for part in parts if len(part)]
    values: npt.NDArray[Any]
    if not full:
        values = np.empty(0, np.int64)
    elif all(isinstance(part, np.ndarray) and part.ndim == 1 and part.dtype.kind in numbers for part in full):
        values = np.concatenate([part if timed else _whole(part, name) for part in full])
    else:
        flat = list(chain.from_iterable(full))
        if all(issubclass(kind, str) for kind in {type(value) for value in flat}):
            values = np.empty(len(flat), object)
            values[:] = [str(value) for value in flat]  # np.str_, of arrays of text, too
        else:
            try:
                values = np.asarray(flat)
            except ValueError:  # lists of several depths
                values = np.empty(len(flat), object)
    if timed:
        if values.ndim != 1 or values.dtype.kind not in numbers:
            raise InvalidArgument(f"times: expected seconds or datetime64 throughout; got {values.dtype}")
        return indptr, values
    if values.ndim != 1 or values.dtype.kind not in "iufO" or (values.dtype == object and not _all_text(values)):
        raise InvalidArgument(
            f"{name}: expected whole numbers or text throughout; got {values.dtype} (mixed kinds?); use str(id) for all"
        )
    return indptr, values if values.dtype == object else _whole(values, name)


def _whole(values: npt.NDArray[Any], name: str) -> npt.NDArray[np.int64]:
    if values.dtype.kind == "f":
        raise InvalidArgument(f"{name}: expected whole numbers or text; got {values.dtype}; use .astype(np.int64)")
    if values.dtype == np.uint64 and values.size and values.max() > np.iinfo(np.int64).max:
        raise InvalidArgument(f"{name}: expected whole numbers below 2^63; got {values.max()}; use str(id) for all")
    return values.astype(np.int64)


def _all_text(values: npt.NDArray[Any]) -> bool:
    return all(type(value) is str for value in values)


def _check_same(indptr: Int64Array, expected: Int64Array, name: str) -> None:
    if indptr.size != expected.size:
        raise InvalidArgument(f"{name}: expected {expected.size - 1} lists, one a sequence; got {indptr.size - 1}")
    different = np.flatnonzero(np.diff(indptr) != np.diff(expected))
    if different.size:
        i = int(different[0])
        raise InvalidArgument(
            f"{name}[{i}]: expected one value an event, {expected[i + 1] - expected[i]} in all;"
            f" got {indptr[i + 1] - indptr[i]}"
        )


def _gap_buckets(indptr: Int64Array, times: npt.NDArray[Any]) -> Int64Array:
    """The bucket of each event's gap in seconds to the one before it."""
    times = as_times(times, int(indptr[-1]))
    gaps = np.diff(times, prepend=0.0)
    first = indptr[:-1][np.diff(indptr) > 0]
    gaps[first] = 0.0
    if (gaps < 0).any():
        at = int(np.argmax(gaps < 0))
        i = int(np.searchsorted(indptr, at, side="right")) - 1
        raise InvalidArgument(
            f"times[{i}]: expected rising times; event {at - indptr[i]} is {-gaps[at]:g} s before the one before it;"
            " sort the events of each sequence by time"
        )
    buckets = np.searchsorted(np.asarray(GAP_BOUNDARIES), gaps, side="right").astype(np.int64) + 1
    buckets[first] = 0
    return buckets


# ---- parts of the data -----------------------------------------------------------------------------------------------


def windows(sequences: Sequences, length: int) -> Sequences:
    """Sequences of 2 to ``length`` + 1 events: longer ones are cut into pieces that share one event, so that every
    event but a subject's first is a target once."""
    targets = np.maximum(sequences.lengths - 1, 0)
    pieces = -(-targets // length)
    owner = np.repeat(np.arange(len(sequences)), pieces)
    place = np.arange(owner.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    starts = sequences.indptr[owner] + place * length
    stops = np.minimum(starts + length + 1, sequences.indptr[owner + 1])
    return sequences.take(starts, stops)


def split(sequences: Sequences, fraction: float) -> tuple[Sequences, Sequences]:
    """The first 1 - ``fraction`` of the sequences, and the last: the newest, if the list is in the order of time."""
    at = len(sequences) - max(round(len(sequences) * fraction), 1)
    starts, stops = sequences.indptr[:-1], sequences.indptr[1:]
    return sequences.take(starts[:at], stops[:at]), sequences.take(starts[at:], stops[at:])


def hold_out_last(sequences: Sequences) -> tuple[Sequences, Sequences]:
    """The sequences without their last events, and whole: of these only the last event is to be predicted."""
    long = np.flatnonzero(sequences.lengths >= 2)
    starts, stops = sequences.indptr[long], sequences.indptr[long + 1]
    return sequences.take(starts, stops - 1), sequences.take(starts, stops)


@dataclass(frozen=True)
class Batch:
    """Padded on the right; ``valid`` marks the positions whose next item is a target."""

    items: Int64Array  # [batch, time]
    targets: Int64Array  # [batch, time]
    valid: npt.NDArray[np.bool_]  # [batch, time]
    lengths: Int64Array  # [batch], places that are filled
    event_types: Int64Array | None  # [batch, time]
    gaps: Int64Array | None  # [batch, time]


def batches(sequences: Sequences, size: int, random: np.random.Generator | None) -> Iterator[Batch]:
    """All sequences once, those of like length together. With ``random`` in random order: shuffled first, then sorted
    by length within pools of 64 batches, so that little is padded and batches still differ from epoch to epoch."""
    lengths = sequences.lengths
    order = np.flatnonzero(lengths >= 2)
    if random is not None:
        order = random.permutation(order)
        pool = 64 * size
        order = np.concatenate(
            [np.empty(0, np.int64)]
            + [
                part[np.argsort(lengths[part], kind="stable")]
                for part in np.split(order, np.arange(pool, order.size, pool))
            ]
        )
    else:
        order = order[np.argsort(lengths[order], kind="stable")]
    groups = np.split(order, np.arange(size, order.size, size)) if order.size else []
    turns = random.permutation(len(groups)) if random is not None else np.arange(len(groups))
    for turn in turns.tolist():
        yield pad(sequences, groups[turn])


def pad(sequences: Sequences, subjects: Int64Array) -> Batch:
    """The batch of these subjects, each of at least two events."""
    starts, lengths = sequences.indptr[subjects], sequences.lengths[subjects]
    time = np.arange(int(lengths.max()) - 1)
    valid = time < (lengths - 1)[:, None]
    events = starts[:, None] + np.minimum(time, (lengths - 2)[:, None])
    targets = np.where(valid, sequences.items[events + 1], 0)
    return Batch(
        np.where(valid, sequences.items[events], 0),
        targets,
        valid & (targets > 0),  # an unknown item cannot be predicted
        lengths - 1,
        None if sequences.event_types is None else np.where(valid, sequences.event_types[events], 0),
        None if sequences.gaps is None else np.where(valid, sequences.gaps[events], 0),
    )
