"""The training loop: seeded, sampled, sparse in the item tables, and stopped when the held-out events say so.

One step takes the items of a batch and some drawn by popularity. Only these rows of the tables are touched; all of them
are candidates for every position of the batch, so negatives cost one matrix product.
"""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from .data import Batch, Sequences, batches
from .finite import Diverged, check_loss
from .losses import Loss
from .model import BehaviorNet
from .report import EpochReport, show

__all__ = ["Plan", "fit", "metrics", "rank", "rank_by_popularity", "steps_per_epoch"]

Int64Array = npt.NDArray[np.int64]
#: float32 [positions, rows] of a batch's positions, from their subjects and places, int64 [positions] each.
Scores = Callable[[Int64Array, Int64Array], Tensor]

WARM_UP_STEPS = 100
FINAL_RATE = 0.02  # of the learning rate, which falls along half a cosine
GRADIENT_NORM = 5.0  # clipped to this, of the cell's and other dense weights


@dataclass(frozen=True)
class Plan:
    """How to train: everything but the model and the data."""

    loss: Loss
    epochs: int
    batch: int
    learning_rate: float
    negatives: int | None  # drawn a batch; None: all items are candidates
    popularity_exponent: float
    item_dropout: float
    precision: torch.dtype  # of the factors of the product of queries and candidates
    k: int  # recall@k and MRR@k are watched
    last_only: bool  # of a held-out sequence only the last event is predicted
    filter_seen: bool
    patience: int
    seed: int
    progress: bool


class _Rows:
    """A table of vectors of which a step moves only some rows, by Adam. The moments of the others wait, as in PyTorch's
    SparseAdam (without its sparse tensors, whose sorting costs more than the step)."""

    def __init__(self, table: Tensor) -> None:
        self.table = table
        self.mean, self.square = torch.zeros_like(table), torch.zeros_like(table)

    def take(self, rows: Tensor) -> Tensor:
        return self.table[rows].requires_grad_()

    def step(self, rows: Tensor, taken: Tensor, rate: float, steps: int) -> None:
        g = taken.grad
        if g is None:
            return
        mean = self.mean[rows].lerp_(g, 0.1)
        square = self.square[rows].lerp_(g * g, 0.001)
        self.mean[rows], self.square[rows] = mean, square
        size = (square / (1 - 0.999**steps)).sqrt_().add_(1e-8)
        self.table[rows] = taken.detach() - (rate / (1 - 0.9**steps)) * mean / size


class _Sampler:
    """Draws items with probability proportional to count^exponent, and knows how likely each is to be in a set."""

    def __init__(self, counts: Int64Array, exponent: float, draws: int | None) -> None:
        self.draws = draws
        self.rows = counts.size
        self.share = counts / max(counts.sum(), 1)  # of the events of a batch
        weights = counts.astype(np.float64) ** exponent * (counts > 0)
        self.probability = weights / weights.sum()
        self.cumulative = np.cumsum(self.probability)

    def rows_of(self, batch: Batch, random: np.random.Generator) -> Int64Array:
        """The sorted rows of a step: row 0, the batch's items, and the drawn ones."""
        if self.draws is None:
            return np.arange(self.rows)
        drawn = np.searchsorted(self.cumulative, random.random(self.draws) * self.cumulative[-1], side="right")
        parts = [np.zeros(1, np.int64), batch.items.ravel(), batch.targets.ravel(), np.minimum(drawn, self.rows - 1)]
        return np.unique(np.concatenate(parts))

    def inclusion(self, rows: Int64Array, events: int) -> Tensor:
        """float32 [rows]: the probability that an item is among the draws or the batch's events, input or target: all
        are candidates."""
        if self.draws is None:
            return torch.ones(rows.size)
        absent = self.draws * np.log1p(-self.probability[rows]) + events * np.log1p(-self.share[rows])
        return torch.from_numpy(np.maximum(-np.expm1(absent), 1e-9).astype(np.float32))


def steps_per_epoch(training: Sequences, batch: int) -> int:
    """A batch each, of the sequences in which something is to be predicted."""
    return -(-int((training.lengths >= 2).sum()) // batch)


def fit(
    net: BehaviorNet, training: Sequences, held_out: Sequences | None, plan: Plan
) -> tuple[list[EpochReport], bool]:
    """Trains ``net`` in place; returns what happened in each epoch, and whether Ctrl-C ended it. Before the end of
    the first epoch KeyboardInterrupt is raised. A loss that is not finite ends it as well; InvalidArgument where no
    epoch was judged before.

    With held-out sequences the net is left as it was after the epoch with the best MRR@k, else as it is at the end.
    """
    random = np.random.default_rng(plan.seed)
    dense = list(net.parameters())
    adam = torch.optim.Adam(dense, lr=plan.learning_rate)
    tables = [_Rows(net.items)] + ([] if net.shape.tied else [_Rows(net.outputs)])
    tables += [_Rows(net.bias)] if net.shape.item_bias else []
    sampler = _Sampler(_counts(training, net.shape.items), plan.popularity_exponent, plan.negatives)
    total = plan.epochs * steps_per_epoch(training, plan.batch)
    done, history, interrupted = 0, list[EpochReport](), False
    best, best_state = -1.0, None
    try:
        for epoch in range(1, plan.epochs + 1):
            start, loss_sum, positions = time.perf_counter(), 0.0, 0
            net.train()
            for batch in batches(training, plan.batch, random):
                done += 1
                rate = plan.learning_rate * min(1.0, done / WARM_UP_STEPS)
                rate *= max(FINAL_RATE, (1 + math.cos(math.pi * done / total)) / 2)
                count = int(batch.valid.sum())
                if count:
                    loss = _step(net, adam, tables, sampler, batch, plan, random, rate, done)
                    check_loss(loss, epoch)
                    loss_sum += count * loss
                    positions += count
                if plan.progress and sys.stderr.isatty():  # in a log, a line an epoch is enough
                    mean = loss_sum / max(positions, 1)
                    show(f"epoch {epoch}/{plan.epochs}  {100 * done / total:3.0f} %  loss {mean:.4f}")
            seconds = time.perf_counter() - start
            recall = mrr = None
            if held_out is not None:
                ranks = rank(net, held_out, last_only=plan.last_only, filter_seen=plan.filter_seen)
                recall, mrr = metrics(ranks, plan.k)
            history.append(EpochReport(epoch, loss_sum / max(positions, 1), recall, mrr, seconds, plan.k))
            if plan.progress:
                show(str(history[-1]), end="\n")
            if mrr is not None:
                if mrr > best:
                    best, best_state = mrr, _snapshot(net)
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
        _restore(net, best_state)
    net.eval()
    return history, interrupted


def _step(
    net: BehaviorNet,
    adam: torch.optim.Adam,
    tables: list[_Rows],
    sampler: _Sampler,
    batch: Batch,
    plan: Plan,
    random: np.random.Generator,
    rate: float,
    steps: int,
) -> float:
    rows = sampler.rows_of(batch, random)
    items = np.searchsorted(rows, batch.items)
    if plan.item_dropout:
        items = np.where(random.random(items.shape) < plan.item_dropout, 0, items)  # so that row 0 learns to be unknown
    valid = torch.from_numpy(batch.valid)
    targets = torch.from_numpy(np.searchsorted(rows, batch.targets) - 1)[valid]  # row 0 is no candidate
    at = torch.from_numpy(rows)
    taken = [table.take(at) for table in tables]
    outputs = taken[0] if net.shape.tied else taken[1]
    x = nn.functional.embedding(torch.from_numpy(items), net.input_vectors(taken[0]))
    queries = net(x, *_side_inputs(batch))[valid]
    candidates = net.output_vectors(outputs)[1:]
    scores = (queries.to(plan.precision) @ candidates.to(plan.precision).T).float()
    if net.shape.item_bias:
        scores = scores + taken[-1][1:]
    inclusion = sampler.inclusion(rows[1:], int(batch.lengths.sum()) + len(batch.lengths))
    if plan.negatives is not None:
        inclusion = _own_included(inclusion, batch, rows, targets)
    loss = plan.loss(scores, targets, inclusion)
    adam.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call,unused-ignore]
    nn.utils.clip_grad_norm_(net.parameters(), GRADIENT_NORM)
    for group in adam.param_groups:
        group["lr"] = rate
    adam.step()
    for table, part in zip(tables, taken, strict=True):
        table.step(at, part, rate, steps)
    return loss.item()


def _own_included(inclusion: Tensor, batch: Batch, rows: Int64Array, targets: Tensor) -> Tensor:
    """[positions, candidates] from ``inclusion`` [candidates]: a sequence's own items are candidates of its positions
    for certain, not by chance. Otherwise each item seen before or soon to come would be pushed down as if it stood for
    all the times when it is not drawn, and the model would learn to shun what the sequence is about.

    A target that was not seen before keeps its chance. Which candidate j is the target, given that the others but those
    seen were drawn: P(j | candidates) is in proportion to P(j next) / P(j drawn), with 1 below for what was seen.

    An approximation where something comes later: given the rest of the sequence, a target that comes once more would
    be there for certain too. Then the gradient at the true scores is not zero on average, but below what it is where
    all keep their chance.
    """
    subjects, places = np.nonzero(batch.valid)
    last = batch.targets[np.arange(len(batch.lengths)), batch.lengths - 1]
    own = np.concatenate([batch.items, last[:, None]], 1)[subjects]  # [positions, time + 1]
    columns = np.searchsorted(rows, own) - 1
    columns = np.where(own > 0, columns, targets.numpy()[:, None])  # padding and unknown ones are no candidates
    seen = np.arange(batch.items.shape[1]) <= places[:, None]
    again = ((columns[:, :-1] == targets.numpy()[:, None]) & seen & (own[:, :-1] > 0)).any(1)
    chance = torch.where(torch.from_numpy(again), 1.0, inclusion[targets])
    result = inclusion.expand(len(targets), -1).clone()
    result.scatter_(1, torch.from_numpy(columns), 1.0)
    return result.scatter_(1, targets[:, None], chance[:, None])


def _side_inputs(batch: Batch) -> tuple[Tensor | None, Tensor | None]:
    types, gaps = batch.event_types, batch.gaps
    return (
        None if types is None else torch.from_numpy(types),
        None if gaps is None else torch.from_numpy(gaps),
    )


def _counts(sequences: Sequences, rows: int) -> Int64Array:
    counts = sequences.item_counts(rows)
    counts[0] = 0
    return counts


@torch.no_grad()
def rank(net: BehaviorNet, sequences: Sequences, *, last_only: bool = False, filter_seen: bool = False) -> Int64Array:
    """The rank (from 1) that the net gives each next item among all items; ties count against it."""
    net.eval()
    inputs, outputs = net.input_vectors(net.items), net.output_vectors(net.outputs).T

    def score(batch: Batch) -> Scores:
        x = nn.functional.embedding(torch.from_numpy(batch.items), inputs)
        queries = net(x, *_side_inputs(batch))
        return lambda subjects, places: queries[subjects, places] @ outputs + net.bias

    return _ranks(score, sequences, last_only, filter_seen)


def rank_by_popularity(
    counts: Int64Array, sequences: Sequences, *, last_only: bool = False, filter_seen: bool = False
) -> Int64Array:
    """The same where all items are ranked by ``counts`` [rows], of equal ones the first in the table before the
    others, as a model answers a sequence without an event."""
    places_of_rows = np.empty(counts.size, np.float32)
    places_of_rows[np.argsort(-counts, kind="stable")] = np.arange(counts.size)
    scores = -torch.from_numpy(places_of_rows)
    return _ranks(
        lambda batch: lambda subjects, places: scores.repeat(len(subjects), 1), sequences, last_only, filter_seen
    )


def _ranks(score: Callable[[Batch], Scores], sequences: Sequences, last_only: bool, filter_seen: bool) -> Int64Array:
    ranks = [np.empty(0, np.int64)]
    for batch in batches(sequences, 256, None):
        valid = batch.valid
        if last_only:
            last = np.zeros_like(valid)
            last[np.arange(len(valid)), batch.lengths - 1] = True
            valid = valid & last
        scores_at = score(batch)
        subjects, places = np.nonzero(valid)
        for begin in range(0, subjects.size, 512):
            s, p = subjects[begin : begin + 512], places[begin : begin + 512]
            scores = scores_at(s, p)
            target = torch.from_numpy(batch.targets[s, p])
            own = scores.gather(1, target[:, None])
            scores[:, 0] = -torch.inf
            if filter_seen:
                seen = np.where(np.arange(batch.items.shape[1]) <= p[:, None], batch.items[s], 0)
                scores.scatter_(1, torch.from_numpy(seen), -torch.inf)
                scores.scatter_(1, target[:, None], own)  # what is asked for stays, seen or not
            ranks.append((~(scores < own)).sum(1).numpy())  # NaN is last: a net that diverged has found nothing
    return np.concatenate(ranks)


def metrics(ranks: Int64Array, k: int) -> tuple[float, float]:
    """Recall@k and MRR@k."""
    hit = ranks <= k
    return float(hit.mean()), float(np.where(hit, 1 / ranks, 0.0).mean())


def _snapshot(net: BehaviorNet) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor]:
    return copy.deepcopy(net.state_dict()), net.items.clone(), net.outputs.clone(), net.bias.clone()


def _restore(net: BehaviorNet, state: tuple[dict[str, Tensor], Tensor, Tensor, Tensor]) -> None:
    weights, items, outputs, bias = state
    net.load_state_dict(weights)
    for table, values in ((net.items, items), (net.outputs, outputs), (net.bias, bias)):
        table.copy_(values)
