"""The folder of a behaviour model: what tells two models apart, and what must be in it before it is used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from .errors import InvalidArgument
from .ids import IdMap
from .sequences import Vocabulary

__all__ = ["CONTRACT", "CONTRACTS", "KIND", "identity", "vocabulary_of"]

Array = npt.NDArray[Any]

KIND = "behavior"  # of the model folder, as train/export.py writes it
CONTRACT = 1
CONTRACTS = (CONTRACT, 2)  # 2: weights may be in fewer bits, see weights.py

# What decides, beside the arrays, which state and which probability come out. How a model was trained does not.
_MEANING = (
    *("cell", "layers", "projection", "scale", "item_bias", "probability", "gap_boundaries"),
    *("item_ids", "event_type_ids", "event_types", "gaps", "roles"),
)


def identity(meta: Mapping[str, Any], hashes: Mapping[str, str]) -> str:
    """The sha256 of a model: of the hashes of its arrays (:func:`ecocore.storage.file_hashes`) and of all in ``meta``
    that bears on results. The same before it is saved and after it is loaded."""
    meaning = {name: meta.get(name) or None for name in _MEANING}
    return hashlib.sha256(json.dumps([dict(hashes), meaning], sort_keys=True).encode()).hexdigest()


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
