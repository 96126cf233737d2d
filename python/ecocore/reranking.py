"""Two stages: ALS finds candidates among all items, the ranking model puts them in order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .als import AlternatingLeastSquares
from .arrays import FloatArray, Int32Array, as_count, describe
from .errors import InvalidArgument
from .ids import IdMap
from .ranking import RankingModel

__all__ = ["TwoStage"]


class TwoStage:
    """A factor model whose best items a ranking model puts in order; recommends as the factor model does, by codes.

    Filters are the first stage's, inside its exact search: what they leave out is no candidate. A user whom the ranking
    model does not know keeps the order of the first stage.

    Args:
        model: trained on ``users`` x ``items``.
        ranking: of the same items, in any order; with the vectors of its users (``ecocore.train.ranking`` saves them).
        candidates: how many items the first stage hands on, where not more are asked for.
    """

    def __init__(
        self, model: AlternatingLeastSquares, ranking: RankingModel, users: IdMap, items: IdMap, candidates: int = 500
    ) -> None:
        if not isinstance(ranking, RankingModel):
            raise InvalidArgument(
                f"ranking: expected a RankingModel; got {describe(ranking)}; use RankingModel.load(folder)"
            )
        self.candidates = as_count(candidates, "candidates")
        if ranking.users is None:
            raise InvalidArgument(
                "ranking: expected a model with the vectors of its users; got one without; train it with"
                " save_users=True"
            )
        self.model, self.ranking = model, ranking
        self._items = _places(ranking.items, items, "items")
        if (self._items < 0).any():
            lacking = int((self._items < 0).sum())
            raise InvalidArgument(
                f"ranking: expected a model that knows all {len(items)} items; it lacks {lacking}, such as"
                f" {items[int(np.argmin(self._items))]!r}; use ranking.add_items, or train it on the same history"
            )
        self._users = _places(ranking.users, users, "users")

    def recommend(
        self,
        userid: Any,
        user_items: Any,
        N: int = 10,
        filter_already_liked_items: bool = True,
        filter_items: npt.ArrayLike | None = None,
        items: npt.ArrayLike | None = None,
    ) -> tuple[Int32Array, FloatArray]:
        """The ``N`` best items of one user or of several, arguments and shapes as of
        :meth:`AlternatingLeastSquares.recommend`. Scores are the ranking model's; the first stage's for a user whom
        it does not know."""
        count = as_count(N, "N")
        wide = min(max(count, self.candidates), len(self._items))
        found, scores = self.model.recommend(
            userid, user_items, wide, filter_already_liked_items, filter_items, items=items
        )
        rows = np.atleast_1d(np.asarray(userid))
        many, first = np.atleast_2d(found), np.atleast_2d(scores)
        ids = np.full((len(rows), count), -1, many.dtype)
        best = np.full((len(rows), count), -np.inf, np.float32)
        for i, row in enumerate(rows):  # a call of NumPy on all candidates each: a fraction of a millisecond
            some = many[i][many[i] >= 0]
            own = self.score(int(row), some)
            own = first[i][: some.size] if own is None else own
            order = np.argsort(-own, kind="stable")[:count]
            ids[i, : order.size], best[i, : order.size] = some[order], own[order]
        return (ids[0], best[0]) if np.ndim(userid) == 0 else (ids, best)

    def knows(self, user: int) -> bool:
        """Whether the ranking model has vectors of the user with this code."""
        return bool(self._users[user] >= 0)

    def score(self, user: int, items: npt.NDArray[np.integer[Any]]) -> FloatArray | None:
        """The ranking model's scores of items by code; None for a user whom it does not know."""
        if not self.knows(user):
            return None
        vectors = self.ranking.user_by_code(int(self._users[user]))
        return self.ranking.score_codes(vectors, self._items[items])


def _places(known: IdMap, wanted: IdMap, name: str) -> npt.NDArray[np.int64]:
    """For each wanted id its code among the known ones, or -1."""
    if known.kind != wanted.kind:
        raise InvalidArgument(
            f"ranking: expected {name} with ids of the kind {wanted.kind!r}; got {known.kind!r}; train it on the same"
            " history"
        )
    return known.codes(wanted.to_array(), missing=-1, name=name)
