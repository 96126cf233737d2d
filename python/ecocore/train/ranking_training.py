"""``ecocore.train.ranking``: from interactions, ALS factors and features to an exported ranking model."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..als import AlternatingLeastSquares
from ..arrays import as_count, as_matrix, describe
from ..errors import InvalidArgument
from ..interactions import Interactions
from ..onnx.towers import TowerShape
from ..ranking import KIND
from ..storage import check_target
from .behavior_model import check_range
from .ranking_data import Examples, Histories
from .ranking_export import save
from .ranking_loop import ItemInputs, RankingPlan, fit, users_of
from .ranking_net import RankingNet
from .report import TrainingReport

__all__ = ["ranking"]

# Scores and gradients are of the order of a feature's square: from here on nothing else counts beside such a column,
# and from 1e9 on the squares of gradients, which Adam keeps, overflow.
_LARGEST_FEATURE = 1e6


def ranking(
    interactions: Interactions,
    *,
    out: str | os.PathLike[str],
    als: AlternatingLeastSquares | None = None,
    item_features: Any = None,
    user_features: Any = None,
    dim: int = 64,
    hidden: int = 128,
    query: int = 64,
    pairs: int = 16,
    parts: int = 8,
    per_user: int = 30,
    negatives: int = 512,
    dropout: float = 0.3,
    history_dropout: float = 0.3,
    item_dropout: float = 0.05,
    epochs: int = 8,
    batch: int = 1024,
    learning_rate: float = 3e-3,
    weight_decay: float = 0.01,
    validation: int = 10_000,
    k: int = 20,
    patience: int = 3,
    save_users: bool = True,
    seed: int = 0,
    progress: bool = True,
) -> TrainingReport:
    """Trains the model of ``ranking_net.py`` and writes it to the folder ``out`` (see ``ranking_export.py``).

    ``interactions``: what users have; pairs of weight 0 or less are left out. Where it has times, each item is
    predicted from those before it (items of one moment in an order that is drawn), and the last ten count apart from
    the whole; without them, from the user's others.
    ``als``: a model fitted on the same interactions; its factors become inputs, and their inner product the start.
    ``item_features``: float32 [items, n] in the order of ``interactions.items``, as ``FeatureEncoder`` makes them of
    category, price, sales, text and image vectors: of a common scale, and none beyond a million. ``user_features``:
    float32 [users, n], likewise.

    ``dim`` of id embeddings and history vectors, ``hidden`` units of each tower, ``query``: length of the towers'
    vectors beside the ALS factors, ``pairs``: units of the layer over both towers, which cost time for every pair.
    ``parts``: folds of a user where there is no order; else how often a user's ALS factors are solved anew along the
    history (users x parts x factors floats are held). ``per_user``: at most so many items of a user are predicted in an
    epoch where there is an order. ``negatives``: items drawn a batch, beside the batch's own targets.

    ``dropout`` of hidden units (half of it of inputs), ``history_dropout``: share of a history left out,
    ``item_dropout``: share of items in a step made to look as if nobody had them, so that features learn to stand
    alone. ``batch`` rows a step; ``learning_rate`` falls along half a cosine over ``epochs``.

    ``validation``: of at most so many users the latest item (any, where there is no order) is held out, and ranked
    among all items that the user does not have; the epoch with the best MRR@``k`` is exported, training ends after
    ``patience`` epochs without a better one. 0: nothing is held out. ``als`` has seen held-out items, if not in the
    user factors taken here: this chooses epochs, it is no figure to report. ``save_users``: whether the vectors of all
    users are saved. Ctrl-C ends training; the best epoch so far is exported, and before the end of the first
    nothing is written and KeyboardInterrupt raised.

    The same ``seed`` gives the same model on the same machine with the same number of threads.

    Raises InvalidArgument for data that do not fit together or leave nothing to learn, and where the training diverges
    before an epoch was judged: nothing is written then.
    """
    start = time.perf_counter()
    check_target(out, KIND)
    if not isinstance(interactions, Interactions):
        raise InvalidArgument(
            f"interactions: expected Interactions; got {describe(interactions)}; use Interactions.from_scipy(matrix)"
        )
    sizes = {"dim": dim, "hidden": hidden, "query": query, "pairs": pairs, "per_user": per_user, "epochs": epochs}
    sizes |= {"negatives": negatives, "batch": batch, "k": k, "patience": patience}
    for name, value in sizes.items():
        as_count(value, name)
    as_count(parts, "parts", minimum=2)
    as_count(seed, "seed", minimum=0)
    as_count(validation, "validation", minimum=0)
    rates = {"dropout": dropout, "history_dropout": history_dropout, "item_dropout": item_dropout}
    for name, rate in {**rates, "weight_decay": weight_decay}.items():
        check_range(rate, name, 0, 1)
    check_range(learning_rate, "learning_rate", 0, 1, open_low=True)
    n_users, n_items = interactions.shape
    item_factors = np.empty((n_items, 0), np.float32)
    if als is not None:
        if als.user_factors is None or als.item_factors is None:
            raise InvalidArgument("als: expected a fitted model; call fit first")
        own = len(als.user_factors), len(als.item_factors)
        if own != (n_users, n_items):
            raise InvalidArgument(
                f"als: expected a model of the same {n_users} users and {n_items} items; got {own[0]} users and"
                f" {own[1]} items; fit it on these interactions"
            )
        item_factors = als.item_factors
    features = _features(item_features, "item_features", n_items)
    of_users = _features(user_features, "user_features", n_users)

    random = np.random.default_rng(seed)
    whole = Histories.of(interactions)
    histories, held_out = whole, None
    if validation:
        histories, users, wanted = whole.hold_out(validation, random)
        held_out = (users, wanted)
    past = np.bincount(histories.items, minlength=n_items) > 0
    examples = Examples(histories, als, parts, per_user, random)
    if not examples.count():
        raise InvalidArgument(
            "interactions: expected a user with two items (three, if one is held out); got none: nothing to predict"
        )
    rows = np.where(past, np.cumsum(past), 0)
    inputs = ItemInputs(torch.from_numpy(rows), torch.from_numpy(item_factors.copy()), torch.from_numpy(features))
    shape = TowerShape(
        items=int(past.sum()) + 1,
        dim=dim,
        hidden=hidden,
        query=query,
        pairs=pairs,
        factors=item_factors.shape[1],
        item_features=features.shape[1],
        user_features=of_users.shape[1],
        ordered=histories.ordered,
    )
    plan = RankingPlan(
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        negatives=negatives,
        history_dropout=history_dropout,
        item_dropout=item_dropout,
        k=k,
        patience=patience,
        progress=progress,
    )
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay where they were
        torch.manual_seed(seed)
        net = RankingNet(shape, dropout, 1 / max(float(item_factors.std()), 1e-6) if als is not None else 1.0)
        history, interrupted = fit(net, inputs, of_users, als, examples, held_out, plan)

    best = max(history, key=lambda e: e.mrr or 0.0).epoch if held_out is not None and history else len(history)
    report = TrainingReport(
        path=Path(out),
        sequences=n_users,
        events=whole.items.size,
        items=n_items,
        unknown_events=0,
        held_out_events=0 if held_out is None else held_out[0].size,
        k=k,
        epochs=tuple(history),
        best_epoch=best,
        interrupted=interrupted,
        seconds=time.perf_counter() - start,
    )
    settings = {**sizes, **rates, "parts": parts, "validation": validation, "seed": seed}
    settings |= {"learning_rate": learning_rate, "weight_decay": weight_decay}
    vectors = (interactions.users, *users_of(net, inputs, whole, als, of_users)) if save_users else None
    save(out, net, interactions.items, inputs, vectors, {**settings, **report.to_dict()})
    (Path(out) / "training.svg").write_text(report.to_svg())
    return report


def _features(values: Any, name: str, rows: int) -> np.ndarray:
    if values is None:
        return np.empty((rows, 0), np.float32)
    a = as_matrix(values, name)
    if len(a) != rows:
        raise InvalidArgument(f"{name}: expected {rows} rows, one for each id of interactions; got {len(a)}")
    largest = float(np.abs(a).max(initial=0.0))
    if largest > _LARGEST_FEATURE:
        raise InvalidArgument(
            f"{name}: expected numbers from {-_LARGEST_FEATURE:g} to {_LARGEST_FEATURE:g}; got one of size {largest:g};"
            " bring the columns to a common scale, as FeatureEncoder does"
        )
    return a.copy()  # tensors share it, and arrays of a caller may be read-only
