"""``ecocore.train.compress``: a smaller model folder, written only if it still finds what users took next."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..arrays import as_count, describe
from ..behavior import BehaviorModel
from ..errors import EcocoreError, InvalidArgument
from ..ids import IdMap
from ..storage import check_target, read_folder, read_manifest, write_folder
from ..weights import narrow
from .agreement import Int64Array, agreement, asked
from .export import CONTRACT, KIND, described_graph
from .loss_bound import CONFIDENCE, least_sequences
from .model import Shape
from .prune import activations, without_items, without_units

__all__ = ["CompressionRefused", "CompressionReport", "compress"]

Array = npt.NDArray[Any]
Method = Literal["float16", "int8", "prune"]

_LEAST_ITEMS = 10  # times k: recall among the k best says little where k is most of the items
_NARROW_CONTRACT = 2  # of a folder with matrices in fewer bits: a reader of contract 1 would take codes for weights


@dataclass(frozen=True)
class CompressionReport:
    """What a compression does to a model, on the calibration log; pairs are (before, after)."""

    method: str
    accepted: bool
    max_recall_loss: float
    loss_bound: float  # of recall@k, that it loses at most against ``judged_against``, with ``confidence``
    total_loss_bound: float  # of it and all compressions before, against ``original``
    confidence: float  # of each bound, one-sided (loss_bound.py)
    judged_against: str  # sha256 of the model that was given
    original: str  # sha256 of the model that the first compression was given
    k: int
    events: int  # that have a next one whose item the model knows; all items are ranked
    recall: tuple[float, float]  # @k, run by native code
    mrr: tuple[float, float]  # @k
    graph_recall: float | None  # of the compressed graph on ONNX Runtime; None where that is not installed
    overlap: float  # share of the k best that stay among the k best
    max_probability_change: float  # of any item that is kept, over a sample of the events
    items: tuple[int, int]
    hidden: tuple[int, int]
    disk: tuple[int, int]  # bytes of the folder's arrays
    memory: tuple[int, int]  # bytes of the native engine's tables and the float32 item vectors of the search

    def __str__(self) -> str:
        def ratio(pair: tuple[int, int]) -> str:
            return f"{pair[0] / 1e6:.1f} -> {pair[1] / 1e6:.1f} MB ({pair[0] / pair[1]:.1f}x)"

        whole = ""
        if self.original != self.judged_against:
            whole = f", with the compressions before {self.total_loss_bound:.4f} of the original"
        graph = "" if self.graph_recall is None else f" (graph {self.graph_recall:.4f})"
        return (
            f"{self.method} {'accepted' if self.accepted else 'refused'}: recall@{self.k} {self.recall[0]:.4f} ->"
            f" {self.recall[1]:.4f}{graph}, MRR {self.mrr[0]:.4f} -> {self.mrr[1]:.4f} on {self.events} events:"
            f" at {100 * self.confidence:.0f} % confidence recall loses at most {self.loss_bound:.4f}{whole} (may lose"
            f" {self.max_recall_loss}); {100 * self.overlap:.1f} % of the top {self.k} stay, probabilities move by"
            f" {self.max_probability_change:.2g} at most; {self.items[1]} of {self.items[0]} items, {self.hidden[1]} of"
            f" {self.hidden[0]} units; on disk {ratio(self.disk)}, in memory {ratio(self.memory)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}


class CompressionRefused(EcocoreError, RuntimeError):
    """The compressed model may lose more than was allowed; nothing was written. ``report`` has the figures."""

    def __init__(self, report: CompressionReport) -> None:
        super().__init__(
            f"{report}; nothing was written: take another method, keep more of the model, calibrate on a longer log, or"
            " raise max_recall_loss"
        )
        self.report = report


def compress(
    model: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    calibration: Any,
    method: Method = "float16",
    max_recall_loss: float = 0.005,
    k: int = 20,
    units: float | None = None,
    min_count: int = 0,
    event_types: Any = None,
    times: Any = None,
    num_threads: int = 0,
) -> CompressionReport:
    """Writes a smaller version of a trained behaviour model to the folder ``out``, if it is as good on a log.

    ``calibration``: sequences as ``BehaviorModel.encode`` takes them, with ``event_types`` and ``times`` for models
    that have them, which then are needed; best ones that the training has not seen. Both models rank all items after
    every event. The smaller one is accepted if recall@``k`` falls by at most ``max_recall_loss`` (a difference, 0.005 =
    half a percentage point), run by native code and, where ONNX Runtime is installed, as the graph: not on these events
    alone, but by the one-sided 95 % confidence bound of the loss (``loss_bound.py``), since a short log cannot show
    that little is lost; at 0.005 it takes 464 sequences even where nothing is. ``k``: at most a tenth of the items. Of
    a model that was compressed before, the bounds add up, and their sum, the loss against the original, is what counts.
    The verdict is saved with the model (``model.info["compression"]``, ``ecocore info DIR``) and says what it was
    judged against.

    ``method``:

    - "float16" and "int8" round weights, and native code keeps the item table that it looks up, which memory is spent
      on, in as few bits. Each row of a matrix has its own scale (largest magnitude / 127), biases stay float32, and
      nothing that flows through the network is rounded: states are, to the bit, the same alone and in any batch.
    - "prune" takes out hidden units, and keeps the share ``units`` (default 0.75) that matters most: mean magnitude
      times outgoing weights. The smaller model is dense, and so really faster. ``min_count``: items with fewer events
      become out of vocabulary and are recommended no more. What is measured for both comes from every other
      sequence; the verdict is from the rest. A pruned model may be compressed once more.

    Raises CompressionRefused, with the figures, where the smaller model loses more: ``out`` is then as it was.
    InvalidArgument for a model that has no plain weights or has its weights in fewer bits already, and for a
    calibration log too short to show anything.
    """
    options = _checked(method, units, min_count, max_recall_loss)
    check_target(out, KIND)
    if Path(out).resolve() == Path(model).resolve():
        raise InvalidArgument("out: expected another folder than the model's, which cannot be made again from its rest")
    meta, arrays = read_folder(model, KIND)
    weights = _weights(arrays, str(model))
    before = BehaviorModel.load(model, "cpu", engine="native", num_threads=num_threads)
    as_count(k, "k", maximum=len(before.items))
    if k * _LEAST_ITEMS > len(before.items):
        raise InvalidArgument(
            f"k: expected at most a tenth of the model's {len(before.items)} items; got {k}: among so many, any model"
            " finds the next one"
        )
    _check_inputs(before, event_types, times)
    earlier = _earlier(meta, str(model))
    lost = float(earlier.get("total_loss_bound", 0.0))
    rows = before.vocabulary.rows(calibration, event_types, times)
    judged = np.arange(len(rows))
    kept: Int64Array = np.arange(len(before.items) + 1)
    if method == "prune":
        measured, judged = judged[::2], judged[1::2]
        counts = np.bincount(_items(rows, measured), minlength=kept.size)
        kept = np.concatenate([kept[:1], 1 + np.flatnonzero(counts[1:] >= min_count)])
        if kept.size - 1 < k * _LEAST_ITEMS:
            raise InvalidArgument(
                f"min_count: expected to leave at least {k * _LEAST_ITEMS} items, ten times k; {min_count} leaves"
                f" {kept.size - 1} of those in every other sequence of calibration"
            )
    events = asked(rows, judged)
    _check_evidence(np.unique(np.searchsorted(rows.indptr, events, side="right")).size, max_recall_loss, lost)
    if method == "prune":
        units_kept = max(1, round(options * int(meta["hidden"])))
        weights = without_items(without_units(weights, meta, *activations(before, rows, measured), units_kept), kept)
    new_meta, new_arrays = _folder(meta, arrays, weights, kept, method)
    with tempfile.TemporaryDirectory() as scratch:
        write_folder(scratch, KIND, new_meta, new_arrays)
        after = BehaviorModel.load(scratch, "cpu", engine="native", num_threads=num_threads)
        native = agreement(before, after, rows, judged, kept, k)
        graph_recall, bound = None, native.loss_bound
        if find_spec("onnxruntime") is not None:
            graph = BehaviorModel.load(scratch, "cpu", engine="onnxruntime", num_threads=num_threads)
            of_graph = agreement(before, graph, rows, judged, kept, k)
            graph_recall, bound = of_graph.recall[1], max(bound, of_graph.loss_bound)
        sizes = [_disk(folder) for folder in (model, scratch)]
    report = CompressionReport(
        method=method,
        accepted=lost + bound <= max_recall_loss,
        max_recall_loss=float(max_recall_loss),
        loss_bound=bound,
        total_loss_bound=lost + bound,
        confidence=CONFIDENCE,
        judged_against=before.sha256,
        original=str(earlier.get("original", before.sha256)),
        k=k,
        events=native.events,
        recall=native.recall,
        mrr=native.mrr,
        graph_recall=graph_recall,
        overlap=native.overlap,
        max_probability_change=native.max_probability_change,
        items=(len(before.items), len(after.items)),
        hidden=(before.engine.hidden, after.engine.hidden),
        disk=(sizes[0], sizes[1]),
        memory=(_memory(before), _memory(after)),
    )
    if not report.accepted:
        raise CompressionRefused(report)
    verdict = {**report.to_dict(), "earlier": [earlier] if earlier else []}
    write_folder(out, KIND, {**new_meta, "compression": verdict}, new_arrays)
    return report


def _checked(method: Any, units: Any, min_count: Any, max_recall_loss: Any) -> float:
    """The share of units to keep."""
    if method not in ("float16", "int8", "prune"):
        raise InvalidArgument(f"method: expected 'float16', 'int8' or 'prune'; got {method!r}")
    as_count(min_count, "min_count", minimum=0)
    if method != "prune" and (units is not None or min_count):
        raise InvalidArgument(f"units, min_count: expected with method='prune' only; got them with {method!r}")
    for name, value in (("units", 0.75 if units is None else units), ("max_recall_loss", max_recall_loss)):
        number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
        if not number or not 0 < value <= 1:  # that nothing is lost, no log can show
            raise InvalidArgument(f"{name}: expected a number above 0 and at most 1; got {describe(value)}")
    return 0.75 if units is None else float(units)


def _earlier(meta: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The verdict that is saved with a model that was compressed before."""
    found = meta.get("compression")
    if found is None:
        return {}
    if not isinstance(found, dict) or not isinstance(found.get("total_loss_bound"), float):
        raise InvalidArgument(
            f"model: {where} was compressed before, without a bound of what it lost; compress the original again"
        )
    return found


def _check_inputs(model: BehaviorModel, event_types: Any, times: Any) -> None:
    """Raises InvalidArgument where the model would be judged without what it reads, or with what it ignores."""
    for name, given, takes in (
        ("event_types", event_types, model.vocabulary.event_types is not None),
        ("times", times, model.vocabulary.gap_boundaries is not None),
    ):
        if takes and given is None:
            raise InvalidArgument(
                f"{name}: expected those of the calibration sequences, since the model reads them; got None: it would"
                " be judged on what it was not trained for"
            )
        if given is not None and not takes:
            raise InvalidArgument(f"{name}: this model takes none; leave them out")


def _check_evidence(sequences: int, max_recall_loss: float, lost: float) -> None:
    """Raises InvalidArgument where even a model that finds all that the other finds would be refused."""
    if lost >= max_recall_loss:
        raise InvalidArgument(
            f"max_recall_loss: expected more than {lost:.4g}, which the model may have lost already by being"
            f" compressed; got {max_recall_loss:g}; raise it, or compress the original"
        )
    least = least_sequences(max_recall_loss - lost)
    if 0 < sequences < least:
        raise InvalidArgument(
            f"calibration: expected at least {least} sequences to judge by in which an event has a known next item,"
            f" since fewer cannot show that recall falls by at most {max_recall_loss - lost:.4g}; got {sequences};"
            " give more, or raise max_recall_loss"
        )


def _weights(arrays: Mapping[str, Array], where: str) -> dict[str, npt.NDArray[np.float32]]:
    if "layer0_W" not in arrays:
        raise InvalidArgument(
            f"model: {where} is a graph of your own, without plain weights; quantise it before export"
        )
    names = [n for n in arrays if not n.startswith(("graph", "item_ids_", "event_type_ids_", "item_counts"))]
    for name in names:
        if arrays[name].dtype != np.float32:
            raise InvalidArgument(
                f"model: {where} has its weights in fewer bits already ({name} is {arrays[name].dtype}); give the model"
                " that it was made of"
            )
    return {name: np.asarray(arrays[name]) for name in names}


def _items(rows: Any, which: Int64Array) -> Array:
    """Table rows of the items in the sequences ``which``."""
    chosen = np.zeros(len(rows), bool)
    chosen[which] = True
    items: Array = rows.ids[0][np.repeat(chosen, np.diff(rows.indptr))]
    return items


def _folder(
    meta: Mapping[str, Any],
    arrays: Mapping[str, Array],
    weights: Mapping[str, npt.NDArray[np.float32]],
    kept: Int64Array,
    method: str,
) -> tuple[dict[str, Any], dict[str, Array]]:
    """Meta data and arrays of the smaller model."""
    stored: dict[str, Array] = {}
    for name, values in weights.items():
        stored |= {name: values} if method == "prune" or values.ndim == 1 else narrow(name, values, method)
    shape = Shape(
        cell=meta["cell"],
        items=kept.size,
        dim=meta["dim"],
        hidden=weights["layer0_R"].shape[1],
        layers=meta["layers"],
        event_types=meta["event_types"],
        gaps=meta["gaps"],
        tied=meta["projection"],
        scale=meta["scale"],
        item_bias=meta["item_bias"],
        probability=meta["probability"],
    )
    graph, described = described_graph(shape, stored)
    items = IdMap.from_parts(
        meta["item_ids"], {n.removeprefix("item_ids_"): a for n, a in arrays.items() if n.startswith("item_ids_")}
    )
    if kept.size <= len(items):
        items = IdMap(items[kept[1:] - 1])
    ids, parts = items.to_parts()
    stored |= {f"item_ids_{name}": part for name, part in parts.items()}
    stored |= {name: a for name, a in arrays.items() if name.startswith("event_type_ids_")}
    if "item_counts" in arrays:
        counts = arrays["item_counts"][kept]
        counts[0] += arrays["item_counts"].sum() - counts.sum()  # items that are gone are out of vocabulary
        if counts[1:].any():  # else training had no event of those that are left
            stored["item_counts"] = counts
    changed = {
        "contract": CONTRACT if method == "prune" else _NARROW_CONTRACT,
        "hidden": shape.hidden,
        "query": shape.query,
        "items": shape.items,
        "item_ids": ids,
        "graph": described,
    }
    return {**meta, **changed}, {"graph": graph, **stored}


def _disk(folder: str | os.PathLike[str]) -> int:
    return sum(int(entry["bytes"]) for entry in read_manifest(folder)["arrays"].values())


def _memory(model: BehaviorModel) -> int:
    assert model._index is not None
    return int(model.info["table_memory"]) + model._index.factors.nbytes
