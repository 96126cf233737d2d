"""The part of ``ecocore demo`` on interests: what a household's baskets, read in order, tell of its next one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import Csr
from ..behavior import BehaviorModel
from ..catalogue import Catalogue
from ..evaluation import ranking_metrics
from ..event_sequences import EventSequences
from ..events import Events
from ..pretrained import basket_sequences
from ..profiles.measures import affinity
from ..times import DAY, SECOND
from .render import table

__all__ = ["Interests"]

FloatArray = npt.NDArray[np.float64]

K = 10
HABIT_DAYS = 84  # half-life of what a household bought; of 4, 8, 12 and 26 weeks and none it did best on earlier weeks
TOGETHER = 0.5  # weight of the model beside the habit; likewise, of 0.3, 0.5 and 0.7


class Interests:
    """Every household's interest in every category at the end of ``past``: float64 (households, categories), each row
    a distribution. ``habit``: what it bought, by decayed counts. ``model``: the network's. ``together``: half of each.
    ``popularity``: what all households bought, (categories,)."""

    def __init__(self, past: Events, catalogue: Catalogue, model: BehaviorModel) -> None:
        self.categories = model.items
        self.catalogue = catalogue
        found = basket_sequences(past, catalogue)
        self.households = found.users
        row, column, time = self._flat(found)
        size = (len(self.households), len(self.categories))
        weight = np.exp2((time - past.time_range[1]) / (HABIT_DAYS * DAY))
        self.popularity = np.bincount(column, minlength=size[1]) / max(column.size, 1)
        counts = np.bincount(row * size[1] + column, weight, size[0] * size[1]).reshape(size) + 1e-6 * self.popularity
        self.habit = counts / counts.sum(axis=1, keepdims=True)
        self.model = model.probabilities(
            found.items, times=[t / SECOND for t in found.times], event_types=found.event_types
        ).astype(np.float64)
        self.together = TOGETHER * self.model + (1 - TOGETHER) * self.habit

    def judge(self, future: Events) -> str:
        """Recall of the next basket, the first of each household in ``future``, by the ten categories ranked first."""
        found = basket_sequences(future, self.catalogue)
        row, column, time = self._flat(found)
        of = self.households.codes(found.users, missing=-1)[row]
        first = np.array([times[0] for times in found.times])[row]
        wanted = (of >= 0) & (time == first)
        relevant = _csr(of[wanted], column[wanted], self.habit.shape)
        recall = {}
        for name, scores in (
            ("popularity", np.broadcast_to(self.popularity, self.habit.shape)), ("habit", self.habit),
            ("model", self.model), ("together", self.together),
        ):  # fmt: skip
            best = np.argsort(-scores, axis=1, kind="stable")[:, :K]
            recall[name] = ranking_metrics(best, relevant, K).per_user["recall"]
        mean = {name: float(values.mean()) for name, values in recall.items()}
        gain = recall["together"] - recall["habit"]
        verdict = "beats" if mean["model"] > mean["habit"] else "does not beat"
        return (
            f"the next basket of {gain.size:,} households, recall@{K} of its categories: popularity"
            f" {mean['popularity']:.3f}, the household's own habit {mean['habit']:.3f},\nthe network"
            f" {mean['model']:.3f}, both together {mean['together']:.3f}. The network alone {verdict} the habit; both"
            f" together differ from it by {gain.mean():+.3f}\n(standard error {gain.std() / gain.size**0.5:.3f})."
        )

    def of(self, household: Any, n: int = 8) -> str:
        """The household's interests that set it apart from all others, as a table."""
        row = self.households.code(household)
        now, habit = self.together[row], self.habit[row]
        apart = affinity(now, self.popularity)
        best = [c for c in np.argsort(-apart, kind="stable")[:n] if apart[c] > 0]
        return table(
            ["category", "interest", "of it: habit", "network", "average", "times average"],
            [
                [
                    self.categories[int(c)],
                    *(f"{x[c]:7.1%}" for x in (now, habit, self.model[row], self.popularity)),
                    f"{now[c] / self.popularity[c]:10.1f}",
                ]
                for c in best
            ],
        )

    def _flat(self, found: EventSequences) -> tuple[npt.NDArray[np.int64], ...]:
        """Row, category and time of each event whose category the model knows."""
        if not found.items:
            return (np.empty(0, np.int64),) * 3
        row = np.repeat(np.arange(len(found.items)), [len(x) for x in found.items])
        column = self.categories.codes(np.concatenate(found.items), missing=-1)
        known = column >= 0
        return row[known], column[known], np.concatenate(found.times)[known]


def _csr(rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], shape: tuple[int, int]) -> Csr:
    order = np.lexsort((columns, rows))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=shape[0]))]).astype(np.int64)
    return Csr(indptr, columns[order].astype(np.int32), None, shape)
