"""Objects as parts for saving: a JSON-ready description and named arrays, those of an inner object under its prefix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Parts", "arrays_under", "join_parts", "split_parts"]

Arrays = dict[str, npt.NDArray[Any]]
Parts = tuple[dict[str, Any], Arrays]


def join_parts(children: Mapping[str, Parts]) -> Parts:
    """One object's parts from those of its children: ``model`` with an array ``user_factors`` becomes
    ``model.user_factors``."""
    meta = {name: child_meta for name, (child_meta, _) in children.items()}
    arrays = {f"{name}.{key}": np.asarray(a) for name, (_, parts) in children.items() for key, a in parts.items()}
    return meta, arrays


def arrays_under(name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Arrays:
    """The arrays of the child of this name, by the names that it gave them."""
    prefix = name + "."
    return {key.removeprefix(prefix): a for key, a in arrays.items() if key.startswith(prefix)}


def split_parts(name: str, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Parts:
    """The parts of one child again. Raises KeyError when there is no such child."""
    return meta[name], arrays_under(name, arrays)
