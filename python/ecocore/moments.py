"""The order of events in time, where several may be of one moment.

Events of one moment, as the lines of a basket or all of one day in a log of dates, have no order. Sorted by item id
they would seem to have one, and a sequence model would learn it: after an item of the basket come only items with
higher ids, which looks like skill on held-out baskets and tells nothing of the next one. So the order within a moment
is drawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["order_in_time"]


def order_in_time(
    times: npt.NDArray[Any], subjects: npt.NDArray[Any] | None = None, *, random: np.random.Generator
) -> npt.NDArray[np.intp]:
    """Places of the events by subject and time, those of one moment in an order that is drawn.

    ``times``, ``subjects``: one value an event; no subjects: all are of one. The same events in the same order of rows
    and a generator of the same seed give the same result.
    """
    keys = [random.random(times.size), times]
    if subjects is not None:
        keys.append(subjects)
    return np.lexsort(keys)
