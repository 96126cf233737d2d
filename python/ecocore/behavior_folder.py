"""The folder of a behaviour model: what tells two models apart, and what must be in it before it is used."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import FormatError, InvalidArgument
from .ids import IdMap
from .sequences import Vocabulary

__all__ = ["CONTRACT", "CONTRACTS", "KIND", "check_folder", "identity", "vocabulary_of"]

Array = npt.NDArray[Any]

KIND = "behavior"  # of the model folder, as train/export.py writes it
CONTRACT = 1
CONTRACTS = (CONTRACT, 2)  # 2: weights may be in fewer bits, see weights.py

# What answers while there is no event, and bears on nothing that becomes of events: with other counts, or none, the
# model is the same network, and a snapshot of its states goes on. Checksums guard this file as any.
_BESIDE = "item_counts"

# What decides, beside the arrays, which state and which probability come out. How a model was trained does not.
_MEANING = (
    *("cell", "layers", "projection", "scale", "item_bias", "probability", "gap_boundaries"),
    *("item_ids", "event_type_ids", "event_types", "gaps", "roles"),
)


def identity(meta: Mapping[str, Any], hashes: Mapping[str, str]) -> str:
    """The sha256 of a model: of the hashes of its arrays (:func:`ecocore.storage.file_hashes`) and of all in ``meta``
    that bears on what it makes of events; so not of ``item_counts``. The same before it is saved and after it is
    loaded."""
    meaning = {name: meta.get(name) or None for name in _MEANING}
    weights = {name: sha256 for name, sha256 in hashes.items() if name != _BESIDE}
    return hashlib.sha256(json.dumps([weights, meaning], sort_keys=True).encode()).hexdigest()


def check_folder(meta: Mapping[str, Any], arrays: Mapping[str, Array], where: str) -> bool:
    """Whether the folder has plain weights, not only a graph. Raises FormatError, which names what is missing or does
    not fit, for a folder from which no whole model can be made."""
    _Check(meta, arrays, where).all()
    return "cell" in meta


_GATES = {"rnn": 1, "gru": 3, "lstm": 4}


class _Check:
    def __init__(self, meta: Mapping[str, Any], arrays: Mapping[str, Array], where: str) -> None:
        self.meta, self.arrays, self.where = meta, arrays, where

    def error(self, what: str, expected: str, got: object) -> FormatError:
        return FormatError(f"{self.where}: {what}: expected {expected}; got {got}; copy or train the model again")

    def field(self, name: str, expected: str, fits: Any) -> Any:
        value = self.meta.get(name)
        if name not in self.meta or not fits(value):
            got = repr(value) if name in self.meta else "nothing"
            raise self.error(f"manifest.json: meta[{name!r}]", expected, got)
        return value

    def count(self, name: str, least: int = 0) -> int:
        value: int = self.field(name, f"a whole number from {least}", lambda x: type(x) is int and x >= least)
        return value

    def shape(self, name: str, *sizes: int | None) -> tuple[int, ...]:
        """The shape of an array, which has to be there; None fits any size."""
        wanted = "(" + ", ".join("n" if s is None else str(s) for s in sizes) + ")"
        if name not in self.arrays:
            raise self.error(name, f"an array of shape {wanted}", "none")
        found = self.arrays[name].shape
        if len(found) != len(sizes) or any(s is not None and s != n for s, n in zip(sizes, found, strict=True)):
            raise self.error(name, f"shape {wanted}", found)
        return found

    def all(self) -> None:
        meta = self.meta
        contracts = f"{CONTRACTS[-1]} at most (or upgrade ecocore)"
        self.field("contract", f"contract {contracts}", lambda x: type(x) is int and x in CONTRACTS)
        self.field("probability", "'sigmoid' or 'softmax'", lambda x: x in ("sigmoid", "softmax"))
        self.field("item_ids", "the kind and count of the items", _is_ids)
        self.field(
            "event_type_ids", "the kind and count of the event types, or null", lambda x: x is None or _is_ids(x)
        )
        self.field("gap_boundaries", "a list of finite rising seconds", _is_rising)
        self.field(
            "graph", "what the graph is, with its sha256", lambda x: type(x) is dict and type(x.get("sha256")) is str
        )
        self.shape("graph", None)
        items = int(meta["item_ids"]["count"]) + 1
        if "item_vectors" in self.arrays:
            self.shape("item_vectors", items, None)
            if self.field("item_bias", "true or false", lambda x: type(x) is bool):
                self.shape("item_bias", items)
        if "item_counts" in self.arrays:
            self.counts(items)
        if "cell" in meta or "layer0_W" in self.arrays:
            self.weights(items)

    def counts(self, items: int) -> None:
        self.shape("item_counts", items)
        counts = self.arrays["item_counts"]
        if counts.dtype != np.int64:
            raise self.error("item_counts", "int64", counts.dtype)
        if counts.min() < 0:
            at = int(np.argmax(counts < 0))
            raise self.error("item_counts", "counts of at least 0", f"{counts[at]} in row {at}")
        if not counts[1:].any():
            raise self.error("item_counts", "events of at least one item", "only 0")

    def weights(self, items: int) -> None:
        """What native code and the head of the state are made of."""
        gates = _GATES[self.field("cell", "'rnn', 'gru' or 'lstm'", lambda x: type(x) is str and x in _GATES)]
        layers = self.count("layers", 1)
        projection = self.field("projection", "true or false", lambda x: type(x) is bool)
        self.field("scale", "a finite number above 0, or null", lambda x: x is None or (_is_number(x) and x > 0))
        width = self.shape("input_vectors", items, None)[1]
        ids, boundaries = self.meta["event_type_ids"], self.meta["gap_boundaries"]
        for name, rows, table in (
            ("event_types", ids["count"] + 1 if ids else 0, "event_type_vectors"),
            ("gaps", len(boundaries) + 2 if boundaries else 0, "gap_vectors"),
        ):
            if self.count(name) != rows:
                what = "event_type_ids" if name == "event_types" else "gap_boundaries"
                raise self.error(f"manifest.json: meta[{name!r}]", f"{rows}, as {what} say", self.meta[name])
            if rows:
                self.shape(table, rows, width)
        hidden = self.shape("layer0_R", None, None)[1]
        for i in range(layers):
            self.shape(f"layer{i}_W", gates * hidden, hidden if i else width)
            self.shape(f"layer{i}_R", gates * hidden, hidden)
            self.shape(f"layer{i}_B", 2 * gates * hidden)
        query = hidden
        if projection:
            query = self.shape("project_W", None, hidden)[0]
            self.shape("project_b", query)
        self.shape("item_vectors", items, query)


def _is_number(x: object) -> bool:
    return type(x) in (int, float) and math.isfinite(x)  # type: ignore[arg-type]


def _is_ids(x: object) -> bool:
    return type(x) is dict and x.get("kind") in ("int", "str") and type(x.get("count")) is int and x["count"] > 0


def _is_rising(x: object) -> bool:
    return type(x) is list and all(map(_is_number, x)) and x == sorted(x)


def vocabulary_of(meta: Mapping[str, Any], arrays: Mapping[str, Array], where: str) -> Vocabulary:
    def ids(name: str) -> IdMap | None:
        if meta.get(name) is None:
            return None
        prefix = f"{name}_"
        return IdMap.from_parts(
            meta[name], {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
        )

    items = ids("item_ids")
    if items is None or len(items) == 0:
        raise InvalidArgument(f"item_ids: expected the ids of the items of {where}; got none")
    boundaries = list(meta.get("gap_boundaries") or [])
    if boundaries != sorted(boundaries):
        raise InvalidArgument(f"gap_boundaries: expected rising seconds; got {boundaries}")
    return Vocabulary(items, ids("event_type_ids"), boundaries or None)
