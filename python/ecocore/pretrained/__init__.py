"""A small trained model that comes with the package, for ``ecocore demo``: which product category comes next.

``household/`` is a model folder of :func:`ecocore.train.behavior`: a GRU over the product categories that the
households of The Complete Journey bought, trained by ``tools/train_demo_behavior.py`` on all but the last four weeks
(see README.md beside it). It runs on NumPy and the native code alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..behavior import BehaviorModel
from ..behavior_folder import KIND
from ..catalogue import Catalogue
from ..errors import InvalidArgument
from ..event_sequences import EventSequences
from ..events import Events, slices
from ..moments import order_in_time
from ..storage import read_folder

__all__ = ["FOLDER", "basket_sequences", "household_model"]

FOLDER = Path(__file__).parent / "household"


def household_model() -> BehaviorModel:
    """The model, after every file's checksum was compared with the manifest."""
    read_folder(FOLDER, KIND, verify=True)
    return BehaviorModel.load(FOLDER)


def basket_sequences(events: Events, catalogue: Catalogue, *, random_state: int = 0) -> EventSequences:
    """Baskets as the model reads them: the categories of each, once each, basket after basket.

    What lies in one basket has no order: it is drawn at random. The last event of a basket has the type "last", the
    others "basket", so that the state after it is about the next basket. Events of one moment are one basket.
    """
    ids = events.id_map("items")
    column = catalogue.align(ids).categories
    if column is None:
        raise InvalidArgument("catalogue: expected one with categories; read it with category=")
    names = np.array(sorted({x for x in column if x is not None}), object)
    code = np.full(len(ids), -1, np.int64)
    known = np.flatnonzero(column != None)  # noqa: E711 - elementwise
    code[known] = np.searchsorted(names.astype(str), column[known].astype(str))
    random = np.random.default_rng(random_state)
    out = EventSequences(events.id_map("users"), [], [], [])
    seen = []
    kinds = np.array(["basket", "last"], object)
    for part in slices(events._db, "user, time, item", events._where):
        rows = np.stack([part["user"].astype(np.int64), part["time"], code[part["item"]]])
        user, time, category = np.unique(rows[:, rows[2] >= 0], axis=1)
        if not user.size:
            continue
        order = order_in_time(time, user, random=random)
        user, time, category = user[order], time[order], category[order]
        last = np.ones(user.size, bool)
        last[:-1] = (np.diff(user) != 0) | (np.diff(time) != 0)
        bounds = np.flatnonzero(np.diff(user)) + 1
        seen.append(user[np.concatenate([[0], bounds])])
        out.items.extend(np.split(names[category], bounds))
        out.times.extend(np.split(time, bounds))
        assert out.event_types is not None
        out.event_types.extend(np.split(kinds[last.astype(np.int64)], bounds))
    return out._replace(users=out.users.take(np.concatenate(seen) if seen else np.empty(0, np.int64)))
