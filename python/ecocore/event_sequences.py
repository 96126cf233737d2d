"""Event logs as sequences: what each user did, in the order of time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .errors import InvalidArgument
from .events import Events, slices
from .ids import IdMap
from .moments import order_in_time

__all__ = ["EventSequences", "event_sequences"]


class EventSequences(NamedTuple):
    """One entry per user, in the order of ``users``: item ids, times (int64 microseconds since 1970 UTC, never falling)
    and, where the log has them, event types."""

    users: IdMap
    items: list[Any]
    times: list[npt.NDArray[np.int64]]
    event_types: list[Any] | None


def event_sequences(events: Events, *, random_state: int = 0) -> EventSequences:
    """The log's events by user and time; events of one moment, as those of a basket, in an order that is drawn (see
    moments.py). The same log and ``random_state`` give the same order.

    All of it is held in memory: 16 bytes an event, and the ids. Raises InvalidArgument for a log without times.
    """
    if "time" not in events.columns:
        raise InvalidArgument("events: this log was read without time, so it has no order; read it with time=")
    typed = "event" in events.columns
    users, items = events.id_map("users"), events.id_map("items")
    names = dict(events._db.run("SELECT code, name FROM event_types")) if typed else {}
    kinds = np.array(["", *(names[code] for code in range(len(names)))], object)  # "" where the type is missing
    ids = items.to_array()
    random = np.random.default_rng(random_state)
    out = EventSequences(users, [], [], [] if typed else None)
    seen = []
    for part in slices(events._db, f"user, time, item{', event' * typed}", events._where):
        # First an order that only the events decide, so that the draw does not depend on how they were read.
        kind = (np.ma.filled(part["event"], -1),) if typed else ()
        order = np.lexsort((*kind, part["item"], part["time"], part["user"]))
        order = order[order_in_time(part["time"][order], part["user"][order], random=random)]
        user = part["user"][order]
        bounds = np.flatnonzero(np.diff(user)) + 1
        seen.append(user[np.concatenate([[0], bounds])])
        out.items.extend(np.split(ids[part["item"][order]], bounds))
        out.times.extend(np.split(part["time"][order].astype(np.int64), bounds))
        if out.event_types is not None:
            codes = np.ma.filled(part["event"], -1)[order] + 1
            out.event_types.extend(np.split(kinds[codes], bounds))
    return out._replace(users=users.take(np.concatenate(seen) if seen else np.empty(0, np.int64)))
