"""The whole flow behind one object: events in, recommendations with their reasons and an assistant out."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import storage
from .als import AlternatingLeastSquares
from .arrays import Csr, as_count, describe
from .baselines import Popularity
from .catalogue import Catalogue
from .errors import FormatError, InvalidArgument
from .events import Events
from .ids import IdMap
from .interactions import Interactions
from .parts import join_parts, split_parts
from .ranking import RankingModel
from .reranking import TwoStage

if TYPE_CHECKING:
    from .assistant import Assistant
    from .assistant.protocols import Backend

__all__ = ["Product", "Recommendation", "Shop"]

Id = int | str

# Did best, of a few settings, on the purchases of ``ecocore demo``.
DEFAULTS: dict[str, Any] = {"objective": "ials", "factors": 64, "regularization": 0.003, "unobserved_weight": 0.3}


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

    ``score`` is what it is ordered by, float32. ``basis`` says whose it is: "history", the factor model's; "ranking",
    the ranking model's, where the shop has one that knows the user; "popularity", for a user without history, the share
    of users who have the product. ``factor_score``: the factor model's score, None for "popularity". ``because``: the
    items of the history that contributed most to that one, with their contributions. Those of the whole history add up
    to the score of the user solved anew, which differs from it by what the last sweep over the items moved.
    """

    product: Product
    score: float
    basis: str
    factor_score: float | None = None
    because: tuple[tuple[Product, float], ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            **asdict(self.product),
            "score": self.score,
            "basis": self.basis,
            "factor_score": self.factor_score,
            "because": [{**asdict(product), "contribution": share} for product, share in self.because],
        }


class Shop:
    """A trained model with the history it was trained on, the ids of users and items, and a catalogue.

    Safe for reading from many threads.

    Args:
        model: trained on ``history``.
        history: users x items; what a user has here is not recommended to them again, unless asked for.
        catalogue: names, categories and prices, of these items or any others.
        ranking: puts the best 500 of ``model`` in order; trained on ``history`` by ``ecocore.train.ranking``.
    """

    KIND = "shop"

    def __init__(
        self,
        model: AlternatingLeastSquares,
        history: Interactions,
        catalogue: Catalogue | None = None,
        ranking: RankingModel | None = None,
    ) -> None:
        if not isinstance(history, Interactions):
            raise InvalidArgument(
                f"history: expected Interactions, which know the ids of users and items; got {describe(history)};"
                " use Interactions.from_scipy(matrix, users=ids, items=ids)"
            )
        if model.user_factors is None or model.item_factors is None:
            raise InvalidArgument("model: expected a trained model; call fit first")
        shape = (len(model.user_factors), len(model.item_factors))
        if shape != history.shape:
            raise InvalidArgument(f"model: expected {history.shape[0]} users and {history.shape[1]} items; got {shape}")
        self.model = model
        self.history = history
        self.catalogue = None if catalogue is None else catalogue.align(history.items)
        self.ranking = ranking
        self._stages = None if ranking is None else TwoStage(model, ranking, history.users, history.items)

    @property
    def recommender(self) -> AlternatingLeastSquares | TwoStage:
        """What :func:`ecocore.evaluate` judges: the factor model, with the ranking model behind it if there is one."""
        return self._stages or self.model

    @classmethod
    def train(
        cls,
        events: Events | Interactions,
        *,
        catalogue: Catalogue | None = None,
        ranking: bool | Mapping[str, Any] | None = None,
        show_progress: bool = True,
        callback: Callable[[int, float, float | None], None] | None = None,
        **parameters: Any,
    ) -> Shop:
        """Trains on events (one count per event) or on interactions weighed as you like.

        ``parameters`` go to :class:`AlternatingLeastSquares`. What they leave open is as in ``ecocore demo``: the iALS
        objective, 64 factors, regularization 0.003, unobserved_weight 0.3; with objective="implicit" as in that class.
        ``ranking``: also trains a ranking model on the same (minutes; extra ``train``); a dict has arguments of
        ``ecocore.train.ranking``.
        """
        history = events.interactions() if isinstance(events, Events) else events
        if not isinstance(history, Interactions):
            raise InvalidArgument(
                f"events: expected Events or Interactions; got {describe(events)}; use read_events, or"
                " Interactions.from_scipy"
            )
        ials = parameters.get("objective", "ials") == "ials"
        model = AlternatingLeastSquares(**(DEFAULTS if ials else {}) | parameters)
        model.fit(history, show_progress=show_progress, callback=callback)
        shop = cls(model, history, catalogue)
        if ranking is None or ranking is False:
            return shop
        return shop.with_ranking(**{"progress": show_progress} | ({} if ranking is True else dict(ranking)))

    def with_ranking(self, **options: Any) -> Shop:
        """A shop with a ranking model trained on this one's history and factors; this one stays as it is. Needs the
        extra ``train``. ``options``: of ``ecocore.train.ranking``, but for ``als`` and ``out``."""
        from .train import ranking

        with tempfile.TemporaryDirectory() as folder:
            ranking(self.history, als=self.model, out=folder, **options)
            trained = RankingModel.load(folder, mmap=False)
        return Shop(self.model, self.history, self.catalogue, trained)

    def __repr__(self) -> str:
        users, items = self.history.shape
        ranked = "" if self.ranking is None else f"; {self.ranking!r}"
        named = "" if self.catalogue is None else f", catalogue of {', '.join(self.catalogue.columns)}"
        return f"<Shop: {users} users, {items} items, {self.history.nnz} pairs{named}; {self.model!r}{ranked}>"

    # ---- asking ------------------------------------------------------------------------------------------------------
    def recommend(
        self, user: Id, k: int = 10, *, repeat: bool = False, reasons: int = 3, items: Any = None, deny: Any = None
    ) -> list[Recommendation]:
        """The ``k`` best products for a user, best first; fewer where there are no more.

        ``repeat`` also recommends what the user has already. ``items``: only these ids; ``deny``: none of these.
        In both, ids that the shop does not know are passed over: lists of what is in stock are newer than the model.
        ``reasons``: how many items of the history each recommendation names (0 to save their time). A user whom the
        model does not know gets what most users have, marked with the basis "popularity".
        """
        as_count(k, "k")
        as_count(reasons, "reasons", minimum=0)
        ids_of = self.history.items
        limits: dict[str, Any] = {"N": min(k, self.history.shape[1])}
        if items is not None:
            allowed = ids_of.codes(items, missing=-1, name="items")
            limits["items"] = allowed[allowed >= 0]
            if not limits["items"].size:
                return []
        if deny is not None:
            denied = ids_of.codes(deny, missing=-1, name="deny")
            limits["filter_items"] = denied[denied >= 0]
        row = self.history.users.code(user, "user") if user in self.history.users else None
        if row is None or self.history.indptr[row] == self.history.indptr[row + 1]:
            popular = self._popularity.recommend(0, filter_already_liked_items=False, **limits)
            return [Recommendation(product, s, "popularity") for product, s in self._named(*popular)]
        own = self.history.rows(row)
        ids, scores = self.recommender.recommend(row, own, filter_already_liked_items=not repeat, **limits)
        why = self._because(own, [int(i) for i in ids if i >= 0], reasons)
        basis, of_factors = "history", scores
        if self._stages is not None and self._stages.knows(row):
            basis, of_factors = "ranking", self._factor_scores(row, ids)
        return [
            Recommendation(product, score, basis, float(f), because)
            for (product, score), f, because in zip(self._named(ids, scores), of_factors, why, strict=False)
        ]

    def similar(self, item: Id, k: int = 10) -> list[tuple[Product, float]]:
        """The ``k`` products most like this one, with their cosine similarity; itself left out."""
        return self._named(*self.similar_codes(item, k))

    def similar_codes(self, item: Id, k: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """As :meth:`similar`, without the products: codes int32 and cosines float32, at most ``k`` of each."""
        code = self.history.items.code(item, "item")
        ids, scores = self.model.similar_items(code, N=min(as_count(k, "k") + 1, self.history.shape[1]))
        others = (ids >= 0) & (ids != code)
        return ids[others][:k], scores[others][:k]

    def with_items(
        self, ids: Any, features: Any, catalogue: Catalogue | None = None, ranking: RankingModel | None = None
    ) -> Shop:
        """A shop that also has new products, which nobody has bought yet; this one stays as it is.

        ``ids``: unknown to the shop so far; ``features``: float32 (n, n_features), as the model was fitted with
        ``item_features``. ``catalogue``: what is known of all products or of the new ones only. ``ranking``: where the
        shop has a ranking model, one that knows them too: ``shop.ranking.add_items(ids, ...)``. A service goes over to
        the new shop by replacing one reference.
        """
        if self.ranking is not None and ranking is None:
            raise InvalidArgument(
                "ranking: this shop's ranking model does not know the new products; give ranking="
                "shop.ranking.add_items(ids, ...)"
            )
        items = IdMap.from_chunks([self.history.items.to_array(), np.asarray(ids)])
        model = AlternatingLeastSquares.from_parts(*self.model.to_parts())
        added = model.add_items(features)
        new = len(items) - self.history.shape[1]
        if new != added.size:
            raise InvalidArgument(f"features: expected one row for each of the {new} ids; got {added.size}")
        history = replace(self.history, items=items, shape=(self.history.shape[0], len(items)))
        known = self.catalogue.align(items) if self.catalogue is not None else None
        if catalogue is not None:
            known = catalogue.align(items) if known is None else known.updated(catalogue)
        return Shop(model, history, known, ranking)

    def assistant(self, backend: Backend, folder: str | os.PathLike[str] | None = None, **options: Any) -> Assistant:
        """Customer service that recommends from this shop: ``.reply(user, text)``, ``.feedback(reply_id, ...)``.

        ``backend``: the shop's orders, stock and catalogue (:class:`ecocore.assistant.Backend`); its product ids are
        this shop's item ids as text. ``folder`` and ``options``: as of :meth:`ecocore.Assistant.load`; without a folder
        the starter pack with its model answers.
        """
        from .assistant import Assistant, ShopRecommender
        from .starter import FOLDER

        options = {"recommender": ShopRecommender(self)} | options
        return Assistant.load(FOLDER if folder is None else Path(folder), backend, **options)

    def product(self, code: int) -> Product:
        """What is known of the item with this code."""
        return self.products([code])[0]

    def products(self, codes: Sequence[int] | npt.NDArray[np.integer[Any]]) -> list[Product]:
        """What is known of the items with these codes."""
        codes = np.asarray(codes, np.int64)
        ids: list[Id] = self.history.items[codes].tolist()
        columns = self.catalogue.columns if self.catalogue is not None else {}
        nothing = [None] * len(ids)
        names, categories, prices = (
            columns[column][codes].tolist() if column in columns else nothing
            for column in ("name", "category", "price")
        )
        return [
            Product(item, name, category, None if price is None or price != price else price)  # NaN: unknown
            for item, name, category, price in zip(ids, names, categories, prices, strict=True)
        ]

    @cached_property
    def _popularity(self) -> Popularity:
        return Popularity().fit(self.history)

    def _named(self, ids: npt.NDArray[Any], scores: npt.NDArray[Any]) -> list[tuple[Product, float]]:
        """Products and scores, without the -1 that stands where there are no more."""
        found = ids >= 0
        return list(zip(self.products(ids[found]), scores[found].tolist(), strict=True))

    def _factor_scores(self, row: int, items: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """The factor model's scores of items for a user, by code."""
        users, found = self.model.user_factors, items[items >= 0]
        assert users is not None
        assert self.model.item_factors is not None
        scores: npt.NDArray[np.float32] = self.model.item_factors[found] @ users[row]
        return scores

    def _because(self, own: Csr, items: list[int], reasons: int) -> list[tuple[tuple[Product, float], ...]]:
        """For each item, what of the user's history speaks for it most."""
        if reasons == 0 or not items:
            return [()] * len(items)
        ids, shares = self.model.contributions(own, items)
        best = np.argsort(-shares, axis=1, kind="stable")[:, :reasons]
        named = np.unique(ids[best])
        products = dict(zip(named.tolist(), self.products(named), strict=True))
        return [
            tuple((products[int(ids[at])], float(row[at])) for at in top if row[at] > 0)
            for top, row in zip(best, shares, strict=True)
        ]

    # ---- saving ------------------------------------------------------------------------------------------------------
    def save(self, path: str | os.PathLike[str]) -> None:
        """Saves all of it as one folder (see ``storage.write_folder``: atomic, memory-mappable, no pickle)."""
        children = {"model": self.model.to_parts(), "history": self.history.to_parts()}
        if self.catalogue is not None:
            children["catalogue"] = self.catalogue.to_parts()
        if self.ranking is not None:
            children["ranking"] = self.ranking.to_parts()
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
            ranking = split_parts("ranking", meta, arrays) if "ranking" in meta else None
        except KeyError as e:
            raise FormatError(f"{os.fspath(path)}: the manifest has no {e.args[0]!r}; save the shop again") from None
        deep = None if ranking is None else RankingModel.from_parts(*ranking, f"{os.fspath(path)}: ranking")
        return cls(model, history, catalogue, deep)
