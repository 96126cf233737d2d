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
from .agreement import Int64Array, agreement
from .export import CONTRACT, KIND, described_graph
from .model import Shape
from .prune import activations, without_items, without_units

__all__ = ["CompressionRefused", "CompressionReport", "compress"]

Array = npt.NDArray[Any]
Method = Literal["float16", "int8", "prune"]

_NARROW_CONTRACT = 2  # of a folder with matrices in fewer bits: a reader of contract 1 would take codes for weights


@dataclass(frozen=True)
class CompressionReport:
    """What a compression does to a model, on the calibration log; pairs are (before, after)."""

    method: str
    accepted: bool
    max_recall_loss: float
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

        graph = "" if self.graph_recall is None else f" (graph {self.graph_recall:.4f})"
        return (
            f"{self.method} {'accepted' if self.accepted else 'refused'}: recall@{self.k} {self.recall[0]:.4f} ->"
            f" {self.recall[1]:.4f}{graph}, MRR {self.mrr[0]:.4f} -> {self.mrr[1]:.4f} on {self.events} events (may"
            f" lose {self.max_recall_loss}); {100 * self.overlap:.1f} % of the top {self.k} stay, probabilities move by"
            f" {self.max_probability_change:.2g} at most; {self.items[1]} of {self.items[0]} items, {self.hidden[1]} of"
            f" {self.hidden[0]} units; on disk {ratio(self.disk)}, in memory {ratio(self.memory)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}


class CompressionRefused(EcocoreError, RuntimeError):
    """The compressed model loses more than was allowed; nothing was written. ``report`` has the figures."""

    def __init__(self, report: CompressionReport) -> None:
        super().__init__(
            f"{report}; nothing was written: take another method, keep more of the model, or raise max_recall_loss"
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
    that have them; best ones that the training has not seen. Both models rank all items after every event; the smaller
    one is accepted if recall@``k`` falls by at most ``max_recall_loss`` (a difference, 0.005 = half a percentage
    point), run by native code and, where ONNX Runtime is installed, as the graph. The verdict is saved with the model
    (``model.info["compression"]``, ``ecocore info DIR``).

    ``method``:

    - "float16" and "int8" round weights, and native code keeps the item table that it looks up, which memory is spent
      on, in as few bits. Each row of a matrix has its own scale (largest magnitude / 127), biases stay float32, and
      nothing that flows through the network is rounded: states are, to the bit, the same alone and in any batch.
    - "prune" takes out hidden units, and keeps the share ``units`` (default 0.75) that matters most: mean magnitude
      times outgoing weights. The smaller model is dense, and so really faster. ``min_count``: items with fewer events
      become out of vocabulary and are recommended no more. What is measured for both comes from every other
      sequence; the verdict is from the rest. A pruned model may be compressed once more.

    Raises CompressionRefused, with the figures, where the smaller model loses more: ``out`` is then as it was.
    InvalidArgument for a model that has no plain weights or has its weights in fewer bits already.
    """
    options = _checked(method, units, min_count, max_recall_loss)
    check_target(out, KIND)
    if Path(out).resolve() == Path(model).resolve():
        raise InvalidArgument("out: expected another folder than the model's, which cannot be made again from its rest")
    meta, arrays = read_folder(model, KIND)
    weights = _weights(arrays, str(model))
    before = BehaviorModel.load(model, "cpu", engine="native", num_threads=num_threads)
    as_count(k, "k", maximum=len(before.items))
    rows = before.vocabulary.rows(calibration, event_types, times)
    judged = np.arange(len(rows))
    kept: Int64Array = np.arange(len(before.items) + 1)
    if method == "prune":
        measured, judged = judged[::2], judged[1::2]
        counts = np.bincount(_items(rows, measured), minlength=kept.size)
        kept = np.concatenate([kept[:1], 1 + np.flatnonzero(counts[1:] >= min_count)])
        if kept.size <= k:
            raise InvalidArgument(
                f"min_count: expected to leave more than k = {k} items; {min_count} leaves {kept.size - 1} of those in"
                " every other sequence of calibration"
            )
        units_kept = max(1, round(options * int(meta["hidden"])))
        weights = without_items(without_units(weights, meta, *activations(before, rows, measured), units_kept), kept)
    new_meta, new_arrays = _folder(meta, arrays, weights, kept, method)
    with tempfile.TemporaryDirectory() as scratch:
        write_folder(scratch, KIND, new_meta, new_arrays)
        after = BehaviorModel.load(scratch, "cpu", engine="native", num_threads=num_threads)
        native = agreement(before, after, rows, judged, kept, k)
        graph_recall = None
        if find_spec("onnxruntime") is not None:
            graph = BehaviorModel.load(scratch, "cpu", engine="onnxruntime", num_threads=num_threads)
            graph_recall = agreement(before, graph, rows, judged, kept, k).recall[1]
        sizes = [_disk(folder) for folder in (model, scratch)]
    worst = native.recall[1] if graph_recall is None else min(native.recall[1], graph_recall)
    report = CompressionReport(
        method=method,
        accepted=native.recall[0] - worst <= max_recall_loss,
        max_recall_loss=float(max_recall_loss),
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
    earlier = [meta["compression"]] if meta.get("compression") else []
    write_folder(out, KIND, {**new_meta, "compression": {**report.to_dict(), "earlier": earlier}}, new_arrays)
    return report


def _checked(method: Any, units: Any, min_count: Any, max_recall_loss: Any) -> float:
    """The share of units to keep."""
    if method not in ("float16", "int8", "prune"):
        raise InvalidArgument(f"method: expected 'float16', 'int8' or 'prune'; got {method!r}")
    as_count(min_count, "min_count", minimum=0)
    if method != "prune" and (units is not None or min_count):
        raise InvalidArgument(f"units, min_count: expected with method='prune' only; got them with {method!r}")
    for name, value, low, high in (("units", 0.75 if units is None else units, 0.0, 1.0),
                                   ("max_recall_loss", max_recall_loss, -1e-9, 1.0)):  # fmt: skip
        number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
        if not number or not low < value <= high:
            raise InvalidArgument(f"{name}: expected a number from 0 to 1; got {describe(value)}")
    return 0.75 if units is None else float(units)


def _weights(arrays: Mapping[str, Array], where: str) -> dict[str, npt.NDArray[np.float32]]:
    if "layer0_W" not in arrays:
        raise InvalidArgument(
            f"model: {where} is a graph of your own, without plain weights; quantise it before export"
        )
    names = [n for n in arrays if not n.startswith(("graph", "item_ids_", "event_type_ids_"))]
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
