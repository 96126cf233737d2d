"""Recommendations for the assistant from a trained :class:`ecocore.Shop`."""

from __future__ import annotations

from collections.abc import Collection

from ..shop import Shop

__all__ = ["ShopRecommender"]


class ShopRecommender:
    """A :class:`~ecocore.assistant.protocols.Recommender` over a trained shop: products that the user has not bought,
    by their history; what most users have for a user whom the shop does not know.

    The assistant knows users and products by text. Where the shop's ids are whole numbers, the text is read as one.
    """

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    def recommend(self, user: str, k: int, *, allow: Collection[str] | None = None) -> list[tuple[str, float]]:
        """The best k products for a user."""
        items = None if allow is None else self._known(allow)
        if items is not None and not items:
            return []
        found = self._shop.recommend(self._id(user, self._shop.history.users.kind), k, reasons=0, items=items)
        return [(str(r.product.item), r.score) for r in found]

    def similar(self, product_id: str, k: int, *, allow: Collection[str] | None = None) -> list[tuple[str, float]]:
        """The k products whose factors point most in the same direction; none for a product the shop does not know."""
        items = self._shop.history.items
        product = self._id(product_id, items.kind)
        if product not in items:
            return []
        # All are ranked where only some are allowed: the ones allowed may stand anywhere.
        codes, scores = self._shop.similar_codes(product, k if allow is None else len(items))
        allowed = None if allow is None else frozenset(allow)
        ranked = zip(map(str, items[codes].tolist()), scores.tolist(), strict=True)
        return [(p, score) for p, score in ranked if allowed is None or p in allowed][:k]

    def _known(self, products: Collection[str]) -> list[int | str]:
        items = self._shop.history.items
        ids = [self._id(p, items.kind) for p in products]
        return [p for p in ids if p in items]

    @staticmethod
    def _id(text: str, kind: str) -> int | str:
        return int(text) if kind == "int" and text.isascii() and text.lstrip("-").isdigit() else text
