"""Training of the ranking model: seeded, with sampled candidates, stopped when the held-out items say so.

A step scores each row of the batch against the batch's targets and some items drawn evenly, by a softmax whose scores
are corrected by the log of how likely each came to be a candidate (losses.py). What a row has already is no candidate.
"""

from __future__ import annotations

import copy
import math
import sys
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..als import AlternatingLeastSquares
from ..arrays import FloatArray, Int64Array
from ..ranking_inputs import history_weights, log_sizes, recent_events, spans
from .finite import Diverged, check_loss
from .ranking_data import Batch, Examples, Histories, fold_in
from .ranking_net import RankingNet
from .report import EpochReport, show

__all__ = ["ItemInputs", "RankingPlan", "fit", "users_of"]

WARM_UP_STEPS = 50
FINAL_RATE = 0.02  # of the learning rate, which falls along half a cosine
_USERS = 512  # that go through the tower at once outside of training
_SCORES = 1 << 24  # of users and items that are held at once when judging: 64 MB
_EXCLUDED = -1e9  # a score that leaves softmax nothing, and is finite, so that its gradient is 0


@dataclass(frozen=True)
class RankingPlan:
    """How to train: everything but the model and the data."""

    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    negatives: int
    history_dropout: float
    item_dropout: float
    k: int  # recall@k and MRR@k are watched
    patience: int
    progress: bool


@dataclass(frozen=True)
class ItemInputs:
    """What the item tower is given of every item."""

    rows: Tensor  # int64 [items]: of the id table, 0 for items without a past
    factors: Tensor  # float32 [items, factors]
    features: Tensor  # float32 [items, features]

    def take(self, items: Tensor) -> ItemInputs:
        return ItemInputs(self.rows[items], self.factors[items], self.features[items])

    def without_past(self, dropped: Tensor) -> ItemInputs:
        """The same with some items (a mask) made to look as if nobody had ever had them."""
        return ItemInputs(
            self.rows.masked_fill(dropped, 0), self.factors.masked_fill(dropped[:, None], 0), self.features
        )


def fit(
    net: RankingNet,
    inputs: ItemInputs,
    user_features: FloatArray,
    als: AlternatingLeastSquares | None,
    examples: Examples,
    held_out: tuple[Int64Array, Int64Array] | None,
    plan: RankingPlan,
) -> tuple[list[EpochReport], bool]:
    """Trains ``net`` in place; returns what happened in each epoch, and whether Ctrl-C ended it. Before the end of
    the first epoch KeyboardInterrupt is raised. A loss that is not finite ends it as well; InvalidArgument where no
    epoch was judged before.

    With held-out items the net is left as it was after the epoch with the best MRR@k, else as it is at the end.
    """
    decayed = [p for name, p in net.named_parameters() if name.endswith("weight")]
    others = [p for name, p in net.named_parameters() if not name.endswith("weight")]
    adam = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": plan.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=plan.learning_rate,
    )
    known = inputs.rows.numpy() > 0
    total, done = plan.epochs * -(-examples.count() // plan.batch), 0
    history, interrupted = list[EpochReport](), False
    best, best_state = -1.0, None
    seen = None if held_out is None else _users_inputs(examples.histories, held_out[0], als, user_features)
    try:
        for epoch in range(1, plan.epochs + 1):
            start, loss_sum, targets = time.perf_counter(), 0.0, 0
            net.train()
            for batch in examples.epoch(plan.batch):
                done += 1
                rate = plan.learning_rate * min(1.0, done / WARM_UP_STEPS)
                for group in adam.param_groups:
                    group["lr"] = rate * max(FINAL_RATE, (1 + math.cos(math.pi * done / total)) / 2)
                loss = _loss(net, inputs, user_features, batch, known, examples, plan)
                adam.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call,unused-ignore]
                adam.step()
                check_loss(loss.item(), epoch)
                loss_sum += batch.targets.size * loss.item()
                targets += batch.targets.size
                if plan.progress and sys.stderr.isatty():  # in a log, a line an epoch is enough
                    mean = loss_sum / targets
                    show(f"epoch {epoch}/{plan.epochs}  {100 * done / total:3.0f} %  loss {mean:.4f}")
            seconds = time.perf_counter() - start
            recall = mrr = None
            if held_out is not None and seen is not None:
                recall, mrr = _judge(net, inputs, examples.histories, *held_out, seen, plan.k)
            history.append(EpochReport(epoch, loss_sum / max(targets, 1), recall, mrr, seconds, plan.k))
            if plan.progress:
                show(str(history[-1]), end="\n")
            if mrr is not None:
                if mrr > best:
                    best, best_state = mrr, copy.deepcopy(net.state_dict())
                elif epoch - max(history, key=lambda e: e.mrr or 0.0).epoch >= plan.patience:
                    break
    except KeyboardInterrupt:
        if not history:  # nothing is learned that were worth more than the model that may be in its place
            raise
        interrupted = True
        if plan.progress:
            show("interrupted; the best model so far is kept", end="\n")
    except Diverged as e:
        if best_state is None:
            raise
        if plan.progress:
            show(f"{e}; the best model so far is kept", end="\n")
    if best_state is not None:
        net.load_state_dict(best_state)
    net.eval()
    return history, interrupted


def _loss(
    net: RankingNet,
    inputs: ItemInputs,
    user_features: FloatArray,
    batch: Batch,
    known: np.ndarray,
    examples: Examples,
    plan: RankingPlan,
) -> Tensor:
    random, n_items = examples.random, known.size
    items, indptr, recent, recent_indptr, recent_weights = batch.items, batch.indptr, *_recent(examples, batch)
    weights = history_weights(indptr)
    shown = items
    if plan.history_dropout:
        shown, indptr, weights = _drop(items, indptr, weights, plan.history_dropout, random)
        recent, recent_indptr, recent_weights = _drop(
            recent, recent_indptr, recent_weights, plan.history_dropout, random
        )
    pool = np.flatnonzero(known)
    drawn = pool[random.integers(0, pool.size, plan.negatives)]
    candidates = np.unique(np.concatenate([batch.targets, drawn]))

    used = np.zeros(n_items, bool)
    for part in (shown, recent, candidates):
        used[part] = True
    rows = np.flatnonzero(used)
    place = np.zeros(n_items, np.int64)
    place[rows] = np.arange(rows.size)
    part_inputs = inputs.take(torch.from_numpy(rows))
    if plan.item_dropout:
        dropped = torch.from_numpy(random.random(rows.size) < plan.item_dropout)
        part_inputs = part_inputs.without_past(dropped)
    x = net.item_inputs(part_inputs.rows, part_inputs.factors, part_inputs.features)
    whole, latest = net.history_vectors(x)
    users = net.user_tower(
        _pool(whole, place[shown], indptr, weights),
        None if latest is None else _pool(latest, place[recent], recent_indptr, recent_weights),
        torch.from_numpy(batch.factors),
        torch.from_numpy(user_features[batch.users]),
        torch.from_numpy(log_sizes(np.diff(batch.indptr))),
    )
    at = torch.from_numpy(place[candidates])
    scores = net.head(users, net.item_tower(part_inputs.rows[at], part_inputs.factors[at], x[at]))
    scores = scores - _log_inclusion(candidates, pool.size, batch.targets.size, examples, plan.negatives)

    column = np.full(n_items, -1)
    column[candidates] = np.arange(candidates.size)
    owner = np.repeat(np.arange(batch.users.size), np.diff(batch.indptr))
    has = column[items]
    owned = torch.zeros(scores.shape, dtype=torch.bool)
    owned[torch.from_numpy(owner[has >= 0]), torch.from_numpy(has[has >= 0])] = True
    chances = scores.masked_fill(owned, _EXCLUDED).log_softmax(1)
    return -chances[torch.from_numpy(batch.target_rows), torch.from_numpy(column[batch.targets])].mean()


def _recent(examples: Examples, batch: Batch) -> tuple[Int64Array, Int64Array, FloatArray]:
    events, indptr, weights = recent_events(*batch.recent)
    return examples.histories.items[events], indptr, weights


def _drop(
    items: Int64Array, indptr: Int64Array, weights: FloatArray, share: float, random: np.random.Generator
) -> tuple[Int64Array, Int64Array, FloatArray]:
    """A random part of the events, their weights raised by what is lost."""
    keep = random.random(items.size) >= share
    kept = np.zeros(items.size + 1, np.int64)
    np.cumsum(keep, out=kept[1:])
    return items[keep], kept[indptr], weights[keep] / np.float32(1 - share)


def _log_inclusion(candidates: Int64Array, known: int, targets: int, examples: Examples, negatives: int) -> Tensor:
    """The log of the probability that an item is among the draws or the batch's targets."""
    absent = targets * np.log1p(-np.minimum(examples.shares[candidates], 1 - 1e-9))
    absent = absent + negatives * np.log1p(-min(1 / known, 1 - 1e-9))
    return torch.from_numpy(np.log(np.maximum(-np.expm1(absent), 1e-9)).astype(np.float32))


def _pool(vectors: Tensor, places: Int64Array, indptr: Int64Array, weights: FloatArray) -> Tensor:
    """[rows, dim]: the weighted sums of vectors; what ranking_inputs.pooled does, with a gradient."""
    return torch.nn.functional.embedding_bag(
        torch.from_numpy(places),
        vectors,
        torch.from_numpy(indptr),
        mode="sum",
        per_sample_weights=torch.from_numpy(weights),
        include_last_offset=True,
    )


# ---- without dropout: judging, and the vectors that are exported -----------------------------------------------------


@dataclass(frozen=True)
class _Users:
    """Inputs of some users with all that they have."""

    users: Int64Array
    factors: FloatArray
    features: FloatArray


def _users_inputs(
    histories: Histories, users: Int64Array, als: AlternatingLeastSquares | None, features: FloatArray
) -> _Users:
    factors = np.empty((users.size, 0), np.float32)
    if als is not None:
        begins, ends = histories.indptr[users], histories.indptr[users + 1]
        factors = fold_in(als, histories, users.size, lambda rows: spans(begins[rows], ends[rows]))
    return _Users(users, factors, features[users])


def _encode(
    net: RankingNet, vectors: tuple[Tensor, Tensor | None], histories: Histories, some: _Users, part: slice
) -> tuple[Tensor, Tensor]:
    """Vectors and pair units of the users of a part, from the history vectors of all items."""
    begins, ends = histories.indptr[some.users[part]], histories.indptr[some.users[part] + 1]
    whole, latest = vectors
    events, indptr = spans(begins, ends)
    history = _pool(whole, histories.items[events], indptr, history_weights(indptr))
    recent = None
    if latest is not None:
        events, indptr, weights = recent_events(begins, ends)
        recent = _pool(latest, histories.items[events], indptr, weights)
    return net.user_tower(
        history,
        recent,
        torch.from_numpy(some.factors[part]),
        torch.from_numpy(some.features[part]),
        torch.from_numpy(log_sizes(ends - begins)),
    )


@torch.no_grad()
def users_of(
    net: RankingNet,
    inputs: ItemInputs,
    histories: Histories,
    als: AlternatingLeastSquares | None,
    user_features: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Vectors and pair units of every user, float32."""
    net.eval()
    n = histories.sizes.size
    history = net.history_vectors(net.item_inputs(inputs.rows, inputs.factors, inputs.features))
    vectors = np.empty((n, net.shape.vector), np.float32)
    pairs = np.empty((n, net.shape.pairs), np.float32)
    for begin in range(0, n, _USERS):
        users = np.arange(begin, min(begin + _USERS, n))
        part = _encode(net, history, histories, _users_inputs(histories, users, als, user_features), slice(None))
        vectors[users], pairs[users] = part[0].numpy(), part[1].numpy()
    return vectors, pairs


@torch.no_grad()
def _judge(
    net: RankingNet,
    inputs: ItemInputs,
    histories: Histories,
    users: Int64Array,
    wanted: Int64Array,
    seen: _Users,
    k: int,
) -> tuple[float, float]:
    """recall@k and MRR@k of each user's held-out item among all items that the user does not have; ties count against
    it."""
    net.eval()
    x = net.item_inputs(inputs.rows, inputs.factors, inputs.features)
    items, history = net.item_tower(inputs.rows, inputs.factors, x), net.history_vectors(x)
    ranks = np.empty(users.size, np.int64)
    step = max(1, min(_USERS, _SCORES // len(inputs.rows)))
    for begin in range(0, users.size, step):
        part = slice(begin, begin + step)
        scores = net.head(_encode(net, history, histories, seen, part), items)
        target = torch.from_numpy(wanted[part])
        own = scores.gather(1, target[:, None])
        events, indptr = spans(histories.indptr[users[part]], histories.indptr[users[part] + 1])
        owner = np.repeat(np.arange(indptr.size - 1), np.diff(indptr))
        scores[torch.from_numpy(owner), torch.from_numpy(histories.items[events])] = -torch.inf
        ranks[part] = (~(scores < own)).sum(1).numpy()  # NaN is last: a net that diverged has found nothing
    hit = ranks <= k
    return float(hit.mean()), float(np.where(hit, 1 / ranks, 0.0).mean())
