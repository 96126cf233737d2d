"""Two models of one shop side by side on a log: what each finds of what users took next, and how far they agree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..behavior import BehaviorModel, Encoded
from ..errors import InvalidArgument
from ..sequences import EventRows
from .loss_bound import loss_bound

__all__ = ["Agreement", "agreement", "asked", "walk"]

Int64Array = npt.NDArray[np.int64]

_SAMPLE = 256  # events whose probabilities of all items are compared
_BLOCK = 1024  # queries looked up at once


@dataclass(frozen=True)
class Agreement:
    """Shares and means over the events that have a next one whose item the first model knows; all items are ranked."""

    events: int
    recall: tuple[float, float]  # @k, of each model
    mrr: tuple[float, float]  # @k
    overlap: float  # share of the first model's k best that are among the other's
    max_probability_change: float  # of any item that both know, over a sample of events
    loss_bound: float  # the share of recall@k that the second loses at most, see loss_bound.py


def walk(model: BehaviorModel, rows: EventRows, which: Int64Array) -> Iterator[tuple[Int64Array, Encoded]]:
    """The states after the first, second, ... event of the sequences ``which``: (the events' places in ``rows.ids``,
    states). Long sequences come first, and those that have ended drop out."""
    lengths = np.diff(rows.indptr)[which]
    order = np.argsort(-lengths, kind="stable")
    lengths, begin = lengths[order], rows.indptr[:-1][which][order]
    h, c = model._zeros(which.size)
    for t in range(int(lengths[0]) if which.size else 0):
        n = int(np.count_nonzero(lengths > t))
        at = begin[:n] + t
        ids = [a[at] for a in rows.ids]
        step = EventRows(np.arange(n + 1), ids, None, np.full(n, np.nan), 0, 0)
        states = model._advance(step, h[:n], None if c is None else c[:n])
        h, c = states.h, states.c
        yield at, states


def agreement(
    before: BehaviorModel, after: BehaviorModel, rows: EventRows, which: Int64Array, kept: Int64Array, k: int
) -> Agreement:
    """``rows``: events in the table rows of ``before``. ``kept``: the row that each row of ``after`` has there.

    Raises InvalidArgument where no event has a known next one.
    """
    moved = np.zeros(len(before.items) + 1, np.int32)  # items that are gone are out of vocabulary
    moved[kept] = np.arange(kept.size)
    theirs = EventRows(rows.indptr, [moved[rows.ids[0]], *rows.ids[1:]], None, rows.last_time, 0, 0)
    last = np.zeros(rows.ids[0].size + 1, bool)
    last[rows.indptr[1:][which] - 1] = True
    common = after.items.to_array()
    events, sampled = 0, 0
    mrr, shared, change = np.zeros(2), 0, 0.0
    found_by = np.zeros((2, last.size), bool)  # by the place of the item that was asked for
    for (at, a), (_, b) in zip(walk(before, rows, which), walk(after, theirs, which), strict=True):
        has_next = np.flatnonzero(~last[at])
        places = at[has_next] + 1
        wanted = rows.ids[0][places]
        has_next, places, wanted = has_next[wanted > 0], places[wanted > 0], wanted[wanted > 0]
        events += wanted.size
        for begin in range(0, wanted.size, _BLOCK):
            part = has_next[begin : begin + _BLOCK]
            target = wanted[begin : begin + _BLOCK, None]
            best = [_best(before, a.query[part], k), kept[_best(after, b.query[part], k)]]
            for i, found in enumerate(best):
                hit = found == target
                found_by[i, places[begin : begin + _BLOCK]] = hit.any(axis=1)
                mrr[i] += (hit / np.arange(1, k + 1)).sum()
            shared += int(np.count_nonzero((best[0][:, :, None] == best[1][:, None, :]).any(axis=2)))
        sample = has_next[: min(_SAMPLE // 4, _SAMPLE - sampled)]
        if sample.size:
            sampled += sample.size
            p, q = before.probabilities_of(a.query[sample], common), after.probabilities_of(b.query[sample])
            change = max(change, float(np.abs(p - q).max()))
    if events == 0:
        raise InvalidArgument(
            "calibration: expected sequences in which an event is followed by an item that the model knows; got none"
        )
    every = asked(rows, which)
    hits = found_by[:, every]
    bound = loss_bound(hits[0], hits[1], np.searchsorted(rows.indptr, every, side="right"))
    recall, mrr = hits.mean(axis=1), mrr / events
    shares = (float(recall[0]), float(recall[1])), (float(mrr[0]), float(mrr[1]))
    return Agreement(events, *shares, shared / (k * events), change, bound)


def asked(rows: EventRows, which: Int64Array) -> Int64Array:
    """The places of the events of the sequences ``which`` that are asked for: known, and not a sequence's first."""
    lengths = np.diff(rows.indptr)
    chosen = np.zeros(len(rows), bool)
    chosen[which] = True
    wanted = np.repeat(chosen, lengths) & (rows.ids[0] > 0)
    wanted[rows.indptr[:-1][lengths > 0]] = False
    return np.flatnonzero(wanted)


def _best(model: BehaviorModel, query: npt.NDArray[np.float32], k: int) -> Int64Array:
    """Table rows of the k best items."""
    assert model._index is not None  # only graphs of one's own have none
    return model._index.search(query, k).ids + 1
