"""How good recommendations are: the metrics and the two protocols that papers report.

*Full ranking*: every item competes, those of the training data are masked (:func:`evaluate`). *Leave one out with given
negatives*: one test item per user competes with a given list of others (:func:`evaluate_candidates`; He et al., "Neural
Collaborative Filtering", WWW 2017). Figures of one protocol cannot be compared with figures of the other.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from . import _core
from .arrays import Csr, Int64Array, as_count, as_csr, as_ids, as_matrix, describe
from .errors import InvalidArgument

__all__ = ["Metrics", "Recommender", "evaluate", "evaluate_candidates", "ranking_metrics"]

Float64Array = npt.NDArray[np.float64]

_RANKING = ("recall", "precision", "ndcg", "hit_rate", "mrr", "map")  # the order of the native result's rows


class Recommender(Protocol):
    """What :func:`evaluate` asks of a model: the ``recommend`` of ecocore's models and of implicit's."""

    def recommend(
        self, userid: Any, user_items: Any, N: int = ..., filter_already_liked_items: bool = ...
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]: ...


@dataclass(frozen=True, eq=False)  # equal as mappings are
class Metrics(Mapping[str, float]):
    """Metric names and their means over users; prints as a line, ``recall@20 0.2134  ndcg@20 0.1877 ...``.

    ``per_user`` holds the values behind the means (float64, one per counted user; not for coverage), ``users`` the ids
    of these users in the same order, ``n_skipped`` how many were left out because nothing was relevant to them.
    """

    k: int
    means: dict[str, float] = field(repr=False)
    per_user: dict[str, Float64Array] = field(repr=False)
    users: Int64Array = field(repr=False)
    n_skipped: int = 0

    @property
    def n_users(self) -> int:
        return self.users.size

    def __getitem__(self, name: str) -> float:
        return self.means[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.means)

    def __len__(self) -> int:
        return len(self.means)

    def __str__(self) -> str:
        means = "  ".join(f"{name}@{self.k} {value:.4f}" for name, value in self.items())
        skipped = f", {self.n_skipped:,} without relevant items left out" if self.n_skipped else ""
        return f"{means}  ({self.n_users:,} users{skipped})"


def ranking_metrics(
    ids: npt.ArrayLike,
    relevant: Any,
    k: int,
    *,
    n_items: int | None = None,
    truncated: bool = False,
    exclude: Any = None,
    num_threads: int = 0,
) -> Metrics:
    """Judges rankings against the items that were relevant.

    ``ids``: whole numbers of shape (n_users, >= k), best first, -1 for none; ``relevant``: CSR matrix of shape
    (n_users, n_items) whose stored entries are the relevant items. With R relevant items, hits h_i in {0, 1} at rank i:

    - ``recall``: hits in the first k / R; with ``truncated`` / min(k, R), so that 1 can be reached (the "Recall@R" of
      Liang et al., "Variational Autoencoders for Collaborative Filtering", WWW 2018)
    - ``precision``: hits / k
    - ``ndcg``: sum h_i / log2(i + 1), divided by the same sum for min(k, R) hits at the top
    - ``hit_rate``: 1 if there is any hit
    - ``mrr``: 1 / rank of the first hit, 0 without one
    - ``map``: sum h_i * precision@i, divided by min(k, R)
    - ``coverage``: share of the n_items that at least one counted user was recommended

    Users without relevant items are left out of every metric; where nobody is left, the means are NaN and ``n_users``
    is 0. Items in ``exclude`` (CSR, same rows) count neither as
    recommended nor as relevant, but keep their rank. Raises InvalidArgument for ids out of range or named twice.
    """
    relevant = as_csr(relevant, "relevant", pattern=True, num_threads=num_threads)
    ranked = _as_id_matrix(ids, "ids", relevant.shape[0])
    k = as_count(k, "k", maximum=ranked.shape[1])
    n_items = relevant.shape[1] if n_items is None else as_count(n_items, "n_items", minimum=relevant.shape[1])
    mask = None
    if exclude is not None:
        mask = as_csr(exclude, "exclude", shape=relevant.shape, pattern=True, num_threads=num_threads)
    table, recommended = _core.ranking_metrics(
        ranked,
        relevant.indptr,
        relevant.indices,
        None if mask is None else mask.indptr,
        None if mask is None else mask.indices,
        relevant.shape[1],
        k,
        truncated,
        num_threads,
    )
    per_user = dict(zip(_RANKING, table, strict=True))
    return _summary(k, per_user, int(recommended.sum()) / n_items if n_items else 0.0)


def evaluate(
    model: Recommender,
    train: Any,
    test: Any,
    *,
    k: int = 20,
    users: npt.ArrayLike | None = None,
    filter_seen: bool = True,
    truncated: bool = False,
    batch_size: int = 4096,
    num_threads: int = 0,
) -> Metrics:
    """Full ranking: recommends ``k`` of all items to every user and judges them by the user's items in ``test``.

    ``model``: anything with implicit's ``recommend``, ecocore's own models included. ``train`` and ``test``: CSR
    matrices (or Interactions) of the same shape (n_users, n_items). ``users``: ids to judge, all by default. With
    ``filter_seen`` the items of ``train`` are masked: they are not recommended, and those that reappear in ``test``
    are not expected; without it repeat purchases count. The metrics are those of :func:`ranking_metrics`.

    Raises InvalidArgument where nobody is left to judge: an empty test would have no mean to tell of.
    """
    seen = as_csr(train, "train", num_threads=num_threads)
    wanted = as_csr(test, "test", shape=seen.shape, pattern=True, num_threads=num_threads)
    k = as_count(k, "k")
    batch_size = as_count(batch_size, "batch_size")
    chosen = np.arange(seen.shape[0]) if users is None else as_ids(users, "users", seen.shape[0])
    judged = chosen[np.diff(wanted.indptr)[chosen] > 0]  # to others nothing is relevant: not worth a recommendation
    ranked = np.full((judged.size, k), -1, np.int64)
    count = min(k, seen.shape[1])
    for start in range(0, judged.size, batch_size):
        batch = judged[start : start + batch_size]
        ids, _ = model.recommend(
            batch, _for_model(seen.take_rows(batch)), N=count, filter_already_liked_items=filter_seen
        )
        ids = np.asarray(ids)
        if ids.ndim != 2 or ids.shape[0] != batch.size or ids.shape[1] > count or ids.dtype.kind not in "iu":
            raise InvalidArgument(
                f"model: expected recommend() to return ids of shape ({batch.size}, {count}); got {describe(ids)}"
            )
        ranked[start : start + batch.size, : ids.shape[1]] = ids
    result = ranking_metrics(
        ranked,
        wanted.take_rows(judged),
        k,
        truncated=truncated,
        exclude=seen.take_rows(judged) if filter_seen else None,
        num_threads=num_threads,
    )
    if not result.n_users:
        new = " that train does not have (filter_seen=False also counts those it has)" if filter_seen else ""
        raise InvalidArgument(
            f"test: expected at least one of the {chosen.size:,} users to have an item there{new}; got none;"
            " judge by a longer span"
        )
    return Metrics(k, result.means, result.per_user, judged[result.users], chosen.size - judged.size + result.n_skipped)


def evaluate_candidates(
    scores_or_model: Any,
    test_items: npt.ArrayLike,
    negatives: npt.ArrayLike,
    k: int = 10,
    *,
    users: npt.ArrayLike | None = None,
    ties: Literal["against", "for"] = "against",
    num_threads: int = 0,
) -> Metrics:
    """Leave one out: ranks each user's test item among given negatives; ``hit_rate``, ``ndcg`` and ``mrr`` at ``k``.

    ``test_items``: item ids of shape (n_users,); ``negatives``: of shape (n_users, n_negatives), -1 for none.
    ``scores_or_model`` is one of

    - a model with ``user_factors`` and ``item_factors``; row i belongs to user ``users[i]``, by default to user i
    - scores of shape (n_users, 1 + n_negatives), the test item's first
    - one score per item, shape (n_items,): the same for every user, e.g. ``Popularity().fit(train).item_scores``

    Of equal scores the test item ranks last (``ties="against"``), so that a constant model scores nothing;
    ``ties="for"`` ranks it first. An item that a row repeats counts once, also where a negative is the test item.
    """
    k = as_count(k, "k")
    if ties not in ("against", "for"):
        raise InvalidArgument(f"ties: expected 'against' or 'for' (the test item); got {describe(ties)}")
    test = np.atleast_1d(np.asarray(test_items))
    others = _as_id_matrix(negatives, "negatives", test.size)
    if test.ndim != 1 or test.dtype.kind not in "iu" or (test.size and int(test.min()) < 0):
        raise InvalidArgument(f"test_items: expected item ids of shape (n_users,), none negative; got {describe(test)}")
    items = np.ascontiguousarray(np.column_stack([test.astype(np.int64), others]))
    owners = np.arange(test.size) if users is None else as_ids(users, "users", np.iinfo(np.int64).max)
    if owners.size != test.size:
        raise InvalidArgument(f"users: expected one per test item ({test.size}); got {owners.size}")

    if hasattr(scores_or_model, "user_factors") and hasattr(scores_or_model, "item_factors"):
        item_factors = as_matrix(scores_or_model.item_factors, "item_factors")
        user_factors = as_matrix(scores_or_model.user_factors, "user_factors", columns=item_factors.shape[1])
        scores = _core.score_candidates(user_factors, item_factors, owners, items, num_threads)
    else:
        scores = _given_scores(scores_or_model, items)
    ranks = _core.candidate_ranks(items, scores, ties == "for", num_threads)
    found = ranks <= k
    per_user = {
        "hit_rate": found.astype(np.float64),
        "ndcg": np.where(found, 1.0 / np.log2(ranks + 1.0), 0.0),
        "mrr": np.where(found, 1.0 / ranks, 0.0),
    }
    return Metrics(k, _means(per_user), per_user, owners)


def _given_scores(x: Any, items: Int64Array) -> Float64Array:
    given = np.asarray(x)
    if given.dtype.kind not in "fiu" or given.shape not in (items.shape, (given.size,)):
        raise InvalidArgument(
            "scores_or_model: expected a model with user_factors and item_factors, scores of shape"
            f" {items.shape} (the test item's first), or one score per item; got {describe(x)}"
        )
    if given.ndim == 1:
        if items.size and int(items.max()) >= given.size:
            raise InvalidArgument(
                f"scores_or_model: expected a score for every item up to {int(items.max())}; got {given.size} scores"
            )
        given = given[items]  # a -1 takes the last item's score, and is then not counted
    scores = np.ascontiguousarray(given, np.float64)
    bad = np.isnan(scores)
    if bad.any():
        row, column = (int(v) for v in np.argwhere(bad)[0])
        raise InvalidArgument(f"scores_or_model: expected numbers; got nan at row {row}, column {column}")
    return scores


def _as_id_matrix(x: npt.ArrayLike, name: str, rows: int) -> Int64Array:
    a = np.asarray(x)
    if a.ndim != 2 or a.dtype.kind not in "iu" or a.shape[0] != rows:
        raise InvalidArgument(f"{name}: expected whole numbers of shape ({rows}, n), -1 for none; got {describe(a)}")
    return np.ascontiguousarray(a, np.int64)


def _for_model(rows: Csr) -> Any:
    """Rows in the form a model takes them: scipy's, if anyone has imported scipy (a model that wants it has, implicit
    among them), else our own. Ecocore's models take both."""
    if (sparse := sys.modules.get("scipy.sparse")) is None:
        return rows
    return sparse.csr_matrix((rows.values(), rows.indices, rows.indptr), rows.shape)


def _means(per_user: dict[str, Float64Array]) -> dict[str, float]:
    return {name: float(values.mean()) if values.size else float("nan") for name, values in per_user.items()}


def _summary(k: int, per_user: dict[str, Float64Array], coverage: float) -> Metrics:
    counted = np.flatnonzero(~np.isnan(per_user["recall"]))
    kept = {name: values[counted] for name, values in per_user.items()}
    return Metrics(k, _means(kept) | {"coverage": coverage}, kept, counted, per_user["recall"].size - counted.size)
