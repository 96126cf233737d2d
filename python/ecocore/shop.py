"""The whole flow behind one object: events in, recommendations with their reasons out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from . import storage
from .als import AlternatingLeastSquares
from .arrays import Csr, as_count
from .baselines import Popularity
from .catalogue import Catalogue
from .errors import FormatError, InvalidArgument
from .events import Events
from .interactions import Interactions
from .parts import join_parts, split_parts

__all__ = ["Product", "Recommendation", "Shop"]

Id = int | str


@dataclass(frozen=True)
class Product:
    """An item, with what the catalogue knows of it."""

    item: Id
    name: str | None = None
    category: str | None = None
    price: float | None = None


@dataclass(frozen=True)
class Recommendation:
    """One recommended product.

    ``score`` is the model's (float32; for a user without history the number of buyers). ``basis``: "history", or
    "popularity" for a user whom the model does not know. ``because``: the items of the user's history that contributed
    most to the score, with their contributions: those of the whole history add up to the score of the user solved anew,
    which differs from ``score`` by what the last sweep over the items moved.
    """

    product: Product
    score: float
    basis: str
    because: tuple[tuple[Product, float], ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            **asdict(self.product),
            "score": self.score,
            "basis": self.basis,
            "because": [{**asdict(product), "contribution": share} for product, share in self.because],
        }


class Shop:
    """A trained model with the history it was trained on, the ids of users and items, and a catalogue.

    Safe for reading from many threads.

    Args:
        model: trained on ``history``.
        history: users x items; what a user has here is not recommended to them again, unless asked for.
        catalogue: names, categories and prices, of these items or any others.
    """

    KIND = "shop"

    def __init__(
        self, model: AlternatingLeastSquares, history: Interactions, catalogue: Catalogue | None = None
    ) -> None:
        if model.user_factors is None or model.item_factors is None:
            raise InvalidArgument("model: expected a trained model; call fit first")
        shape = (len(model.user_factors), len(model.item_factors))
        if shape != history.shape:
            raise InvalidArgument(f"model: expected {history.shape[0]} users and {history.shape[1]} items; got {shape}")
        self.model = model
        self.history = history
        self.catalogue = None if catalogue is None else catalogue.align(history.items)

    @classmethod
    def train(
        cls,
        events: Events | Interactions,
        *,
        catalogue: Catalogue | None = None,
        show_progress: bool = True,
        callback: Callable[[int, float, float | None], None] | None = None,
        **parameters: Any,
    ) -> Shop:
        """Trains on events (one count per event) or on interactions weighed as you like.

        ``parameters`` go to :class:`AlternatingLeastSquares`; without any, those of ``ecocore demo``: the iALS
        objective, 64 factors, regularization 0.003, unobserved_weight 0.3.
        """
        history = events.interactions() if isinstance(events, Events) else events
        chosen = parameters or {"factors": 64, "regularization": 0.003, "unobserved_weight": 0.3, "objective": "ials"}
        model = AlternatingLeastSquares(**chosen)
        model.fit(history, show_progress=show_progress, callback=callback)
        return cls(model, history, catalogue)

    # ---- asking ------------------------------------------------------------------------------------------------------
    def recommend(
        self, user: Id, k: int = 10, *, repeat: bool = False, reasons: int = 3, items: Any = None, deny: Any = None
    ) -> list[Recommendation]:
        """The ``k`` best products for a user, best first; fewer where there are no more.

        ``repeat`` also recommends what the user has already. ``items``: only these ids; ``deny``: none of these.
        ``reasons``: how many items of the history each recommendation names (0 to save their time). A user whom the
        model does not know gets what most users have, marked with the basis "popularity".
        """
        as_count(k, "k")
        as_count(reasons, "reasons", minimum=0)
        limits: dict[str, Any] = {
            "N": min(k, self.history.shape[1]),
            "items": None if items is None else self.history.items.codes(items),
            "filter_items": None if deny is None else self.history.items.codes(deny),
        }
        row = self.history.users.code(user) if user in self.history.users else None
        if row is None or self.history.indptr[row] == self.history.indptr[row + 1]:
            ids, scores = self._popularity.recommend(0, filter_already_liked_items=False, **limits)
            return [Recommendation(self.product(i), s, "popularity") for i, s in _found(ids, scores)]
        own = self._row(row)
        ids, scores = self.model.recommend(row, own, filter_already_liked_items=not repeat, **limits)
        best = _found(ids, scores)
        return [
            Recommendation(self.product(i), s, "history", why)
            for (i, s), why in zip(best, self._because(row, own, [i for i, _ in best], reasons), strict=True)
        ]

    def similar(self, item: Id, k: int = 10) -> list[tuple[Product, float]]:
        """The ``k`` products most like this one, with their cosine similarity; itself left out."""
        code = self.history.items.code(item)
        ids, scores = self.model.similar_items(code, N=min(as_count(k, "k") + 1, self.history.shape[1]))
        return [(self.product(i), s) for i, s in _found(ids, scores) if i != code][:k]

    def product(self, code: int) -> Product:
        """What is known of the item with this code."""
        item = self.history.items[code]
        if self.catalogue is None:
            return Product(item)
        facts = {name: column[code] for name, column in self.catalogue.columns.items()}
        price = facts.get("price")
        return Product(
            item,
            facts.get("name"),
            facts.get("category"),
            None if price is None or np.isnan(price) else float(price),
        )

    @cached_property
    def _popularity(self) -> Popularity:
        return Popularity().fit(self.history)

    def _row(self, row: int) -> Csr:
        """One user's history as a matrix of one row."""
        part = slice(int(self.history.indptr[row]), int(self.history.indptr[row + 1]))
        indices, data = self.history.indices[part], self.history.data[part]
        return Csr(np.array([0, indices.size], np.int64), indices, data, (1, self.history.shape[1]))

    def _because(
        self, row: int, own: Csr, items: list[int], reasons: int
    ) -> Iterator[tuple[tuple[Product, float], ...]]:
        """For each item, what of the user's history speaks for it most."""
        weights = None  # the user's factorised equations: the same for every item
        for item in items:
            if reasons == 0:
                yield ()
                continue
            _, contributions, weights = self.model.explain(0, own, item, user_weights=weights, N=reasons)
            yield tuple((self.product(int(i)), float(share)) for i, share in contributions if share > 0)

    # ---- saving ------------------------------------------------------------------------------------------------------
    def save(self, path: str | os.PathLike[str]) -> None:
        """Saves all of it as one folder (see ``storage.write_folder``: atomic, memory-mappable, no pickle)."""
        children = {"model": self.model.to_parts(), "history": self.history.to_parts()}
        if self.catalogue is not None:
            children["catalogue"] = self.catalogue.to_parts()
        storage.write_folder(path, self.KIND, *join_parts(children))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, mmap: bool = True, verify: bool = False) -> Shop:
        """A saved shop. With ``mmap`` the arrays stay on disk until they are touched, shared between processes;
        ``verify`` compares every file's checksum."""
        meta, arrays = storage.read_folder(path, cls.KIND, mmap=mmap, verify=verify)
        try:
            model = AlternatingLeastSquares.from_parts(*split_parts("model", meta, arrays))
            history = Interactions.from_parts(*split_parts("history", meta, arrays))
            catalogue = Catalogue.from_parts(*split_parts("catalogue", meta, arrays)) if "catalogue" in meta else None
        except KeyError as e:
            raise FormatError(f"{os.fspath(path)}: the manifest has no {e.args[0]!r}; save the shop again") from None
        return cls(model, history, catalogue)


def _found(ids: Any, scores: Any) -> list[tuple[int, float]]:
    """Items and scores without the -1 that stands where there are no more."""
    return [(int(i), float(s)) for i, s in zip(ids, scores, strict=True) if i >= 0]
