"""``ecocore.train.behavior``: from lists of item ids to an exported model."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from ..arrays import as_count
from ..errors import InvalidArgument
from ..storage import check_target
from .data import GAP_BOUNDARIES, Sequences, Vocabulary, hold_out_last, split, windows
from .export import KIND, save
from .loop import Plan, fit, metrics, rank_by_popularity, steps_per_epoch
from .losses import LOSSES
from .model import CELLS, BehaviorNet, Shape
from .report import TrainingReport

__all__ = ["behavior"]

# At least so many of both. A cell that starts as a memory is unlearnt in about 100 steps; 300 or 600 found little more.
# From 3,600 sequences on (of two events or more) it is 10 epochs.
EPOCHS, STEPS = 10, 150
PATIENCE, PATIENCE_STEPS = 3, 50  # the same for what ends training: an epoch of one step says little

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def behavior(
    sequences: Iterable[Any],
    *,
    out: str | os.PathLike[str],
    event_types: Iterable[Any] | None = None,
    times: Iterable[Any] | None = None,
    cell: Literal["lstm", "gru", "rnn"] = "lstm",
    dim: int = 128,
    hidden: int = 128,
    layers: int = 1,
    tied: bool = True,
    loss: Literal["sampled_softmax", "bpr_max", "bce"] = "sampled_softmax",
    scale: float | None = 14.0,
    negatives: int | None = 2048,
    popularity_exponent: float = 0.5,
    memory: float | None = 0.8,
    dropout: float = 0.2,
    item_dropout: float = 0.01,
    precision: Literal["float32", "bfloat16"] = "float32",
    min_count: int = 1,
    max_length: int = 50,
    epochs: int | None = None,
    batch: int = 256,
    learning_rate: float = 3e-3,
    validation: float | Literal["last"] | Iterable[Any] | None = 0.05,
    filter_seen: bool = False,
    k: int = 20,
    patience: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> TrainingReport:
    """Trains a recurrent model to predict the next item, and writes it to the folder ``out`` (see ``export.py``).

    ``sequences``: for each subject (a session or a user) the list or array of its item ids, whole numbers or text,
    oldest first. ``event_types``: for each subject as many ids (``"view"``, ``"buy"``), embedded and added to the
    items. ``times``: for each subject as many rising times, seconds or datetime64; the gap to the event before is
    bucketed by doubling and added as well.

    ``cell``, ``dim`` (of the item vectors), ``hidden``, ``layers``: the size; a subject's state is ``layers`` times
    ``hidden`` numbers (twice that for LSTM). ``tied``: one table serves as input and output, else the output has its
    own, of ``hidden`` columns. ``scale``: scores are ``scale`` times the cosine of query and item; ``None`` takes inner
    products and, except for ``bpr_max``, a bias for each item.

    ``loss``: ``"sampled_softmax"``, ``"bpr_max"`` or ``"bce"`` (a sigmoid for each item). ``negatives``: items drawn a
    batch, with probability proportional to count ** ``popularity_exponent``, beside the batch's own; ``None``: all
    items. The classic sigmoid model is ``tied=False, loss="bce", scale=None, negatives=None, dropout=0.5``. Only
    ``bce`` without a scale gives calibrated sigmoids.

    ``memory``: with tied tables, the cell starts as a memory of the items, of which it keeps this share at each event,
    so that from the first step what was seen, and what is like it, ranks first; training goes on from there. ``None``:
    all weights start at random. It works best with ``hidden`` larger than ``dim``, which leaves units for other things.

    ``dropout``: of the cell's inputs and outputs. ``item_dropout``: share of input items replaced by the
    out-of-vocabulary row, so that it learns what an unknown item means (0.2 where gradients are to explain it).
    ``min_count``: rarer items are out of vocabulary. ``max_length``: longer sequences are cut into pieces of so many
    steps. ``precision`` of the product of queries and candidates, half of a step's time: ``"bfloat16"`` makes it about
    3 times faster on processors with AVX-512 BF16 or AMX, and slower on others; the weights stay float32.

    ``validation``: the share of sequences held out, from the end of the list (the newest, if it is in order of time);
    ``"last"``: the last event of every sequence; other sequences (without types and times); or ``None``. All items are
    ranked for every held-out event (those before it left out if ``filter_seen``), and the epoch with the best
    MRR@``k`` is exported; training ends after ``patience`` epochs without a better one. Ctrl-C also ends it, and the
    best epoch so far is exported; before the end of the first, nothing is written and KeyboardInterrupt raised. A
    UserWarning tells if that epoch's MRR@``k`` is below what ranking by popularity in the training sequences reaches
    on the same events.

    ``epochs``: ``None`` takes 10, or as many as make 150 steps of ``batch`` sequences where an epoch is short (50 for
    600 sequences): in fewer steps a cell that starts as a memory is not unlearnt where what was seen does not come
    again. ``patience``: ``None`` takes 3, or as many as make 50 steps. A number is obeyed as it is. The learning rate
    falls along half a cosine over ``epochs``, so fewer ``epochs`` is a schedule of its own.

    How often each item comes in the training sequences, held-out events left out, is saved with the model, which
    answers by it while a sequence has no event.

    The same ``seed`` gives the same model on the same machine with the same number of threads.

    Raises InvalidArgument for data that do not fit together or leave nothing to learn, and where the training diverges
    before an epoch was judged: nothing is written then.
    """
    start = time.perf_counter()
    check_target(out, KIND)
    _check_choice(cell, "cell", CELLS)
    _check_choice(loss, "loss", LOSSES)
    _check_choice(precision, "precision", PRECISIONS)
    sizes = {"dim": dim, "hidden": hidden, "layers": layers, "min_count": min_count, "max_length": max_length}
    sizes |= {"batch": batch, "k": k}
    for name, value in sizes.items():
        as_count(value, name)
    for name, given in {"epochs": epochs, "patience": patience}.items():
        if given is not None:
            as_count(given, name)
    as_count(seed, "seed", minimum=0)
    if negatives is not None:
        as_count(negatives, "negatives", minimum=0)
    check_range(dropout, "dropout", 0, 1)
    if memory is not None:
        check_range(memory, "memory", 0, 1, open_low=True)
    check_range(item_dropout, "item_dropout", 0, 1)
    check_range(popularity_exponent, "popularity_exponent", 0, 2)
    check_range(learning_rate, "learning_rate", 0, 1, open_low=True)
    if scale is not None:
        check_range(scale, "scale", 0, 1000, open_low=True)

    sequences = list(sequences)
    event_types = None if event_types is None else list(event_types)
    vocabulary = Vocabulary.of(sequences, event_types, min_count)
    events, unknown = vocabulary.encode(sequences, event_types, times)
    training, held_out = _held_out(events, validation, vocabulary)
    counts = training.item_counts(len(vocabulary.items) + 1)  # windows share events: before they are cut
    last_only = validation == "last"
    if held_out is not None:
        held_out = _newest(held_out, max_length + 1) if last_only else windows(held_out, max_length)
    training = windows(training, max_length)
    if not _known_targets(training).any():
        raise InvalidArgument(
            "sequences: expected at least one of two events or more whose items, after the first, are known; got none:"
            " nothing to predict; give more data, hold out less, or lower min_count"
        )
    held_out_events = 0 if held_out is None else len(held_out) if last_only else int((held_out.lengths - 1).sum())

    shape = Shape(
        cell=cell,
        items=len(vocabulary.items) + 1,
        dim=dim,
        hidden=hidden,
        layers=layers,
        event_types=0 if vocabulary.event_types is None else len(vocabulary.event_types) + 1,
        gaps=0 if times is None else len(GAP_BOUNDARIES) + 2,
        tied=tied,
        scale=scale,
        item_bias=scale is None and loss != "bpr_max",
        probability="softmax" if loss == "sampled_softmax" else "sigmoid",
    )
    steps = steps_per_epoch(training, batch)
    plan = Plan(
        loss=LOSSES[loss],
        epochs=max(EPOCHS, -(-STEPS // steps)) if epochs is None else epochs,
        batch=batch,
        learning_rate=learning_rate,
        negatives=negatives,
        popularity_exponent=popularity_exponent,
        item_dropout=item_dropout,
        precision=PRECISIONS[precision],
        k=k,
        last_only=last_only,
        filter_seen=filter_seen,
        patience=max(PATIENCE, -(-PATIENCE_STEPS // steps)) if patience is None else patience,
        seed=seed,
        progress=progress,
    )
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay where they were
        torch.manual_seed(seed)
        net = BehaviorNet(shape, dropout, memory)
        if shape.item_bias:
            net.bias.copy_(_log_shares(training, shape.items))
        history, interrupted = fit(net, training, held_out, plan)

    best = max(history, key=lambda e: e.mrr or 0.0).epoch if held_out is not None and history else len(history)
    report = TrainingReport(
        path=Path(out),
        sequences=len(events),
        events=events.items.size,
        items=len(vocabulary.items),
        unknown_events=unknown,
        held_out_events=held_out_events,
        k=k,
        epochs=tuple(history),
        best_epoch=best,
        interrupted=interrupted,
        seconds=time.perf_counter() - start,
    )
    settings = {"loss": loss, "negatives": negatives, "memory": memory, "dropout": dropout, "seed": seed}
    settings |= {"learning_rate": learning_rate}
    save(out, net, vocabulary, {**settings, **report.to_dict()}, counts)
    (Path(out) / "training.svg").write_text(report.to_svg())
    if held_out is not None:
        reached = history[best - 1].mrr or 0.0
        ranks = rank_by_popularity(counts, held_out, last_only=last_only, filter_seen=filter_seen)
        if reached < (popular := metrics(ranks, k)[1]):  # last, so that the model is there if warnings are errors
            warnings.warn(
                f"the model ranks the {ranks.size} held-out events worse (MRR@{k} {reached:.4f}) than popularity"
                f" alone does (MRR@{k} {popular:.4f}); train for more epochs, try memory=None, or give more data",
                stacklevel=2,
            )
    return report


def _held_out(
    events: Sequences, validation: float | str | Iterable[Any] | None, vocabulary: Vocabulary
) -> tuple[Sequences, Sequences | None]:
    if validation is None:
        return events, None
    if isinstance(validation, str):
        _check_choice(validation, "validation", ["last"])
        training, held_out = hold_out_last(events)
    elif isinstance(validation, (int, float, np.floating)):
        check_range(validation, "validation", 0, 1, open_low=True)
        training, held_out = split(events, float(validation))
    else:
        if events.event_types is not None or events.gaps is not None:
            raise InvalidArgument("validation: sequences have no event types or times here; give a share or 'last'")
        training, held_out = events, vocabulary.encode(validation)[0]
    judged = _known_targets(held_out)
    if validation == "last":
        judged = judged[held_out.indptr[1:] - 1]
    if not judged.any():
        raise InvalidArgument(
            "validation: expected a held-out sequence in which an event is followed by an item that the model knows;"
            " got none; hold out more, or nothing"
        )
    return training, held_out


def _known_targets(sequences: Sequences) -> npt.NDArray[np.bool_]:
    """For each event whether it can be asked for: a known item that is not a sequence's first."""
    known: npt.NDArray[np.bool_] = sequences.items > 0
    known[sequences.indptr[:-1][sequences.lengths > 0]] = False
    return known


def _log_shares(sequences: Sequences, rows: int) -> torch.Tensor:
    """Where the biases start: at each item's share of the events (plus one half), so that only what differs from
    popularity has to be learned."""
    counts = sequences.item_counts(rows) + 0.5
    return torch.from_numpy(np.log(counts / counts.sum()))


def _newest(sequences: Sequences, length: int) -> Sequences:
    stops = sequences.indptr[1:]
    return sequences.take(np.maximum(sequences.indptr[:-1], stops - length), stops)


def _check_choice(value: object, name: str, choices: Iterable[str]) -> None:
    names = list(choices)
    if value not in names:
        raise InvalidArgument(f"{name}: expected {' or '.join(map(repr, names))}; got {value!r}")


def check_range(value: Any, name: str, low: float, high: float, *, open_low: bool = False) -> None:
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not number or not (low < value < high or (value == low and not open_low)):
        expected = f"more than {low}" if open_low else f"at least {low}"
        raise InvalidArgument(f"{name}: expected a number of {expected} and less than {high}; got {value!r}")
