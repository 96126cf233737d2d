"""Recommendations for the assistant from factor models (ALS), over the exact top-k index."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from ..arrays import as_matrix
from ..errors import InvalidArgument
from ..topk import TopKIndex

__all__ = ["FactorRecommender"]


class FactorRecommender:
    """A :class:`~ecocore.assistant.protocols.Recommender` over user and item factors, e.g. of
    ``ecocore.AlternatingLeastSquares``.

    Args:
        user_factors, item_factors: (n_users, d) and (n_items, d).
        user_ids, product_ids: what the rows are called, users as the assistant is told them.
        popularity: (n_items,) how often each item was bought, for users who are not known; None = by the length of the
            item's vector.
        seen: product ids that a user is not to be recommended again.
    """

    def __init__(
        self,
        user_factors: npt.ArrayLike,
        item_factors: npt.ArrayLike,
        user_ids: Sequence[str],
        product_ids: Sequence[str],
        *,
        popularity: npt.ArrayLike | None = None,
        seen: dict[str, Collection[str]] | None = None,
    ) -> None:
        items = as_matrix(item_factors, "item_factors")
        self._users = as_matrix(user_factors, "user_factors", columns=items.shape[1])
        for ids, rows, name in ((user_ids, self._users, "user_ids"), (product_ids, items, "product_ids")):
            if len(ids) != len(rows) or len(set(ids)) != len(ids):
                raise InvalidArgument(f"{name}: expected {len(rows)} different ids, one per row; got {len(ids)}")
        self._row = {u: i for i, u in enumerate(user_ids)}
        self._products = list(product_ids)
        self._item = {p: i for i, p in enumerate(product_ids)}
        self._seen = seen or {}
        norms = np.linalg.norm(items, axis=1, keepdims=True)
        self._directions = (items / np.where(norms > 0, norms, 1)).astype(np.float32)
        self._by_user = TopKIndex(items, num_threads=1)
        self._by_item = TopKIndex(self._directions, num_threads=1)
        counts = norms[:, 0] if popularity is None else np.asarray(popularity, np.float32)
        self._popular = TopKIndex(counts.astype(np.float32)[:, None], num_threads=1)

    def recommend(self, user: str, k: int, *, allow: Collection[str] | None = None) -> list[tuple[str, float]]:
        """The best k products for a user whom the factors know, else the most bought."""
        row = self._row.get(user)
        index, query = (self._by_user, self._users[row]) if row is not None else (self._popular, np.ones(1, np.float32))
        return self._search(index, query, k, allow, self._seen.get(user, ()))

    def similar(self, product_id: str, k: int, *, allow: Collection[str] | None = None) -> list[tuple[str, float]]:
        """The k products whose factors point most in the same direction; none for a product without factors."""
        item = self._item.get(product_id)
        return [] if item is None else self._search(self._by_item, self._directions[item], k, allow, (product_id,))

    def _search(
        self,
        index: TopKIndex,
        query: npt.NDArray[np.float32],
        k: int,
        allow: Collection[str] | None,
        deny: Collection[str],
    ) -> list[tuple[str, float]]:
        allowed = None if allow is None else [self._item[p] for p in allow if p in self._item]
        if allowed is not None and not allowed:
            return []
        denied = [self._item[p] for p in deny if p in self._item]
        result = index.search(query, min(k, index.n_items), allow=allowed, deny=denied or None)
        return [
            (self._products[i], score)
            for i, score in zip(result.ids.tolist(), result.scores.tolist(), strict=True)
            if i >= 0
        ]
