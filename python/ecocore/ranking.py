"""Ranking of candidates by a deep model: precomputed towers, and a head that is quick enough for hundreds of items."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .arrays import FloatArray, Int64Array, as_count, as_ids, as_matrix, describe
from .errors import FormatError, InvalidArgument, NotFitted
from .ids import IdMap
from .onnx.graph import read_graph
from .onnx.session import Device, GraphSession
from .onnx.towers import GRAPHS, GraphName, TowerShape
from .parts import Parts, join_parts, split_parts
from .ranking_inputs import history_weights, log_sizes, pooled, recent_events
from .storage import read_folder, write_folder

__all__ = ["Ranking", "RankingModel", "UserVectors"]

Array = npt.NDArray[Any]

KIND = "ranking"  # of the model folder, as train/ranking_export.py writes it
CONTRACT = 1
_ROWS = 32_768  # items scored at once: bounds what is copied of the item vectors
_LEAST_ROWS = 2  # that go through a graph at once: a product of a single row takes another path on some processors


class Ranking(NamedTuple):
    """Items, best first: the shop's own ids (int64, or text), and scores, float32."""

    ids: Array
    scores: FloatArray


@dataclass(frozen=True)
class UserVectors:
    """What the user tower makes of users: ``vectors`` float32 [users, n] and ``pairs`` float32 [users, m]."""

    vectors: FloatArray
    pairs: FloatArray

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, user: int) -> UserVectors:
        """One of them; raises IndexError beyond the last, which also ends a loop over all."""
        n = len(self)
        if not -n <= user < n:
            raise IndexError(f"user: expected a place from {-n} to {n - 1}; got {user}; there are {n} users")
        at = slice(user % n, user % n + 1)
        return UserVectors(self.vectors[at], self.pairs[at])


class RankingModel:
    """A trained ranking model. Made by :meth:`load` from the folder that ``ecocore.train.ranking`` or :meth:`save`
    wrote.

    The score of a user and an item is <user vector, item vector> + <w, relu(user pairs + item pairs)> + item bias
    (:mod:`ecocore.train.ranking_net` derives it); in descending order it is the model's ranking. Item vectors lie in
    the folder, those of the users of the training too; ranking with them needs NumPy only. :meth:`encode` and
    :meth:`add_items` run the towers and need ONNX Runtime.

    A model does not change; any number of threads may use it at once. A pair has the same score, to the bit, alone or
    among others.
    """

    def __init__(self, meta: dict[str, Any], arrays: dict[str, Array], where: str, device: Device) -> None:
        if meta.get("contract") != CONTRACT:
            raise FormatError(
                f"{where}: expected contract {CONTRACT}; got {meta.get('contract')!r}; upgrade ecocore or train again"
            )
        self._where, self._device = where, device
        self._meta, self._arrays = meta, arrays
        self._shape = TowerShape.from_meta(meta.get("shape"), where)
        try:
            self._items = IdMap.from_parts(*split_parts("items", meta, arrays))
            self._users = IdMap.from_parts(*split_parts("users", meta, arrays)) if "users" in meta else None
        except KeyError as e:
            raise FormatError(f"{where}: the manifest has no {e.args[0]!r}; train and save it again") from None
        s, n = self._shape, len(self._items)
        expected: dict[str, tuple[int, ...]] = {
            "item_vector": (n, s.vector), "item_pairs": (n, s.pairs), "item_bias": (n,), "item_history": (n, s.dim),
            "pair_weights": (s.pairs,),
        }  # fmt: skip
        if s.ordered:
            expected["item_recent"] = (n, s.dim)
        if self._users is not None:
            users = len(self._users)
            expected |= {"user_vector": (users, s.vector), "user_pairs": (users, s.pairs)}
        for name, shape in expected.items():
            a = arrays.get(name)
            if a is None or a.dtype != np.float32 or a.shape != shape:
                got = "none" if a is None else describe(a)
                raise FormatError(f"{where}: {name}: expected float32 of shape {shape}; got {got}; save it again")
            if not np.isfinite(a.sum(dtype=np.float64)):
                raise FormatError(f"{where}: {name}: expected finite values; got NaN or inf; train and save it again")
        self._graphs: dict[GraphName, bytes] = {}
        for graph, key in GRAPHS.items():
            if key not in arrays:
                raise FormatError(f"{where}: the graph {key!r} is missing; train and save it again")
            data, info = read_graph(arrays[key].tobytes(), name=f"{where}: {key}")
            if info.sha256 != meta.get("sha256", {}).get(key):
                raise FormatError(f"{where}: {key}: its sha256 is not that of the manifest; copy or save it again")
            s.check(graph, info, f"{where}: {key}")
            self._graphs[graph] = data
        self._sessions: dict[GraphName, GraphSession] = {}
        if device == "cuda":  # so that what is not there is said here
            self._session("user")
        elif device not in ("auto", "cpu"):
            raise InvalidArgument(f"device: expected 'auto', 'cpu' or 'cuda'; got {device!r}")

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], device: Device = "auto", *, mmap: bool = True, verify: bool = False
    ) -> RankingModel:
        """The model of a folder; with ``mmap`` its arrays stay on disk until they are touched.

        ``device``: where the towers run: "cpu", "cuda" (raises DeviceUnavailable where it cannot be had), or "auto",
        the CPU, which is quickest for a user at a time. ``verify`` compares every file's checksum.

        Raises FormatError for a damaged folder or a refused graph, InvalidArgument for a graph with other tensors.
        """
        meta, arrays = read_folder(path, KIND, mmap=mmap, verify=verify)
        return cls(meta, arrays, str(path), device)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model as a folder that :meth:`load` reads."""
        write_folder(path, KIND, *self.to_parts())

    def to_parts(self) -> Parts:
        """The model as a description and named arrays, for an object that holds it."""
        return self._meta, self._arrays

    @classmethod
    def from_parts(cls, meta: dict[str, Any], arrays: dict[str, Array], where: str) -> RankingModel:
        """The inverse of :meth:`to_parts`; ``where`` the parts came from is named in errors."""
        return cls(meta, arrays, where, "auto")

    def __repr__(self) -> str:
        users = 0 if self._users is None else len(self._users)
        return f"RankingModel({len(self._items)} items, {users} users, vectors of {self._shape.vector})"

    # ---- what it knows ---------------------------------------------------------------------------------------------

    @property
    def items(self) -> IdMap:
        """The items that the model can score."""
        return self._items

    @property
    def users(self) -> IdMap | None:
        """The users whose vectors lie in the folder; None where they were left out."""
        return self._users

    @property
    def shape(self) -> TowerShape:
        return self._shape

    @property
    def training(self) -> Mapping[str, Any]:
        """What the training reported."""
        found: Mapping[str, Any] = self._meta.get("training", {})
        return found

    # ---- users -----------------------------------------------------------------------------------------------------

    def user(self, user: Any) -> UserVectors:
        """The vectors of a user of the training, by id, as of then."""
        if self._users is None:
            raise NotFitted("the model was saved without its users; give encode([history]) in place of the id")
        return self.user_by_code(self._users.code(user, "user"))

    def user_by_code(self, row: int) -> UserVectors:
        """As :meth:`user`, by the code in :attr:`users`."""
        return UserVectors(self._arrays["user_vector"][row : row + 1], self._arrays["user_pairs"][row : row + 1])

    def encode(self, histories: Sequence[Any], *, factors: Any = None, features: Any = None) -> UserVectors:
        """The user tower, for users who are new or have new items.

        ``histories``: for each user the ids of what they have, oldest first (in any order where the model knows none);
        of an item that comes twice the later place counts, items that the model does not know are passed over.
        ``factors``: float32 [users, factors] of ALS, for models trained with them, such as ``als.recalculate_user``
        gives. ``features``: float32 [users, n], for models trained with user features.
        """
        if isinstance(histories, (str, bytes)) or not isinstance(histories, Sequence):
            raise InvalidArgument(f"histories: expected a list of lists of item ids; got {describe(histories)}")
        n = len(histories)
        lists = [self._history(h, i) for i, h in enumerate(histories)]
        indptr = np.zeros(n + 1, np.int64)
        np.cumsum([x.size for x in lists], out=indptr[1:])
        items = np.concatenate([np.empty(0, np.int64), *lists])
        inputs: dict[str, Array] = {
            "history": pooled(self._arrays["item_history"], items, indptr, history_weights(indptr)),
            "size": log_sizes(np.diff(indptr)),
        }
        if self._shape.ordered:
            events, recent, weights = recent_events(indptr[:-1], indptr[1:])
            inputs["recent"] = pooled(self._arrays["item_recent"], items[events], recent, weights)
        inputs |= self._given("factors", factors, self._shape.factors, n)
        inputs |= self._given("features", features, self._shape.user_features, n)
        return UserVectors(*self._run("user", inputs, n))

    # ---- ranking ---------------------------------------------------------------------------------------------------

    def score(self, user: Any, items: Any) -> FloatArray:
        """The scores, float32 (n,), of items by id. ``user``: an id, or one user's :class:`UserVectors`."""
        return self.score_codes(user, self._items.codes(items, name="items"))

    def score_codes(self, user: Any, codes: npt.ArrayLike) -> FloatArray:
        """As :meth:`score`, of items by their code: what ALS that was trained on the same interactions returns."""
        u = self._one(user)
        at = as_ids(codes, "codes", len(self._items))
        if at.size <= _ROWS:
            return self._scores(u, at)
        return np.concatenate([self._scores(u, at[begin : begin + _ROWS]) for begin in range(0, at.size, _ROWS)])

    def probabilities(self, user: Any, items: Any) -> FloatArray:
        """That the user's next item is each of ``items``, given that it is one of them: the softmax of the scores."""
        codes, place = np.unique(self._items.codes(items, name="items"), return_inverse=True)  # each counts once
        scores = self.score_codes(user, codes).astype(np.float64)
        e = np.exp(scores - scores.max(initial=-np.inf))
        shares: FloatArray = (e / max(float(e.sum()), 1e-300)).astype(np.float32)
        return shares[place]

    def rank(self, user: Any, candidates: Any, k: int | None = None) -> Ranking:
        """The ``k`` best (all by default) of the candidates, item ids; equal scores in the order of the model's items.

        Raises InvalidArgument for an item that the model does not know; :meth:`add_items` takes it in.
        """
        codes = np.unique(self._items.codes(candidates, name="candidates"))
        return self._best(user, codes, codes.size if k is None else min(as_count(k, "k"), codes.size))

    def recommend(self, user: Any, k: int, *, exclude: Any = None) -> Ranking:
        """The ``k`` best of all items, but for those in ``exclude`` (ids; unknown ones are passed over); fewer where
        there are no more. Time grows with the catalogue: rank the candidates of ALS where it is large."""
        keep = np.ones(len(self._items), bool)
        if exclude is not None:
            codes = self._items.codes(exclude, missing=-1, name="exclude")
            keep[codes[codes >= 0]] = False
        return self._best(user, np.flatnonzero(keep), as_count(k, "k"))

    # ---- new items -------------------------------------------------------------------------------------------------

    def add_items(self, ids: Any, *, features: Any = None, factors: Any = None) -> RankingModel:
        """A model that also knows new items, which nobody has had yet; this one stays as it is.

        ``features``: float32 [items, n], as in training. ``factors``: of ALS, where there are any, such as
        ``als.item_factors_from_features`` gives; zero by default, which training has shown the model too.
        """
        new_ids = ids if isinstance(ids, IdMap) else IdMap(ids)
        known, n = IdMap.from_chunks([self._items.to_array(), new_ids.to_array()]), len(new_ids)
        inputs: dict[str, Array] = {"rows": np.zeros(n, np.int64)}
        if factors is None and self._shape.factors:
            factors = np.zeros((n, self._shape.factors), np.float32)
        inputs |= self._given("factors", factors, self._shape.factors, n)
        inputs |= self._given("features", features, self._shape.item_features, n)
        names = [f"item_{t.name}" for t in self._shape.outputs("item")]
        new = dict(zip(names, self._run("item", inputs, n), strict=True))
        meta, arrays = join_parts({"items": known.to_parts()})
        kept = {name: a for name, a in self._arrays.items() if not name.startswith("items.")}
        kept |= {name: np.concatenate([self._arrays[name], a]) for name, a in new.items()}
        return RankingModel({**self._meta, **meta}, {**kept, **arrays}, self._where, self._device)

    # ---- within ----------------------------------------------------------------------------------------------------

    def _history(self, history: Any, place: int) -> Int64Array:
        codes = self._items.codes(history, missing=-1, name=f"histories[{place}]")
        codes = codes[codes >= 0]
        _, last = np.unique(codes[::-1], return_index=True)
        out: Int64Array = codes[np.sort(codes.size - 1 - last)] if last.size < codes.size else codes
        return out

    def _given(self, name: str, values: Any, width: int, rows: int) -> dict[str, FloatArray]:
        if not width:
            if values is not None:
                raise InvalidArgument(f"{name}: the model was trained without; leave it out")
            return {}
        if values is None:
            raise InvalidArgument(f"{name}: expected float32 ({rows}, {width}), as the model was trained; got None")
        a = as_matrix(values, name, columns=width)
        if len(a) != rows:
            raise InvalidArgument(f"{name}: expected {rows} rows; got {len(a)}")
        return {name: a}

    def _one(self, user: Any) -> UserVectors:
        found = user if isinstance(user, UserVectors) else self.user(user)
        if found.vectors.shape != (1, self._shape.vector) or found.pairs.shape != (1, self._shape.pairs):
            raise InvalidArgument(
                f"user: expected an id or the vectors of one user of this model, shape (1, {self._shape.vector});"
                f" got shape {found.vectors.shape}; take one of them, e.g. encoded[0]"
            )
        return found

    def _scores(self, user: UserVectors, at: Int64Array) -> FloatArray:
        """The scores of items by their code."""
        a = self._arrays
        # einsum adds up each row by itself: a score does not depend on how many are asked for.
        scores: FloatArray = np.einsum("ij,j->i", a["item_vector"][at], user.vectors[0])
        units = a["item_pairs"][at]
        units += user.pairs[0]
        np.maximum(units, 0, out=units)
        scores += np.einsum("ij,j->i", units, a["pair_weights"])
        scores += a["item_bias"][at]
        return scores

    def _best(self, user: Any, codes: Int64Array, k: int) -> Ranking:
        scores = self.score_codes(user, codes)
        best = np.argsort(-scores, kind="stable")[:k]
        return Ranking(self._items[codes[best]], scores[best])

    def _session(self, graph: GraphName) -> GraphSession:
        session = self._sessions.get(graph)
        if session is None:  # two threads that ask at once may both make one; either serves
            session = GraphSession(self._graphs[graph], device="cuda" if self._device == "cuda" else "cpu")
            self._sessions[graph] = session
        return session

    def _run(self, graph: GraphName, inputs: dict[str, Array], rows: int) -> list[Array]:
        lacking = max(0, _LEAST_ROWS - rows)
        if lacking:
            inputs = {
                name: np.concatenate([a, np.zeros((lacking, *a.shape[1:]), a.dtype)]) for name, a in inputs.items()
            }
        names = [t.name for t in self._shape.outputs(graph)]
        return [a[:rows] for a in self._session(graph).run(names, inputs)]
