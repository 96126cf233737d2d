"""The weights of a model folder, as float32 or in fewer bits.

The matrix ``name`` lies in a folder as float32, as float16, or as int8 codes with a float32 array ``name_scale`` of one
number for each row: weight = scale * code, the row's largest magnitude being code 127 (symmetric, so zero stays zero).
Rows are scaled each by itself and only weights are rounded, never what flows through them: nothing about one user
depends on who shares the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import FormatError

__all__ = ["as_stored", "narrow", "widen"]

FloatArray = npt.NDArray[np.float32]
Array = npt.NDArray[Any]

_LARGEST_HALF = np.float32(65504)
_LARGEST_CODE = np.float32(127)


def narrow(name: str, values: FloatArray, method: str) -> dict[str, Array]:
    """The arrays in which a folder holds a float32 matrix: ``method`` is "float16" or "int8". Rounds to nearest, ties
    to even; float16 stops at its largest number."""
    if method == "float16":
        return {name: np.clip(values, -_LARGEST_HALF, _LARGEST_HALF).astype(np.float16)}
    scale = (np.abs(values).max(axis=1) / _LARGEST_CODE).astype(np.float32)
    codes = np.rint(values / np.where(scale > 0, scale, 1)[:, None])
    return {name: np.clip(codes, -127, 127).astype(np.int8), f"{name}_scale": scale}


def as_stored(weights: Mapping[str, Array], name: str) -> tuple[Array, FloatArray | None]:
    """The array as it lies in the folder, in C order, and its scales, where it has them.

    Raises FormatError where it is absent or not as the module's text says.
    """
    if name not in weights or weights[name].dtype not in (np.float32, np.float16, np.int8):
        raise FormatError(f"model: expected the float32 array {name!r}; got none; export the model again")
    values = np.ascontiguousarray(weights[name])
    if values.dtype != np.int8:
        return values, None
    scale = weights.get(f"{name}_scale")
    if scale is None or scale.dtype != np.float32 or scale.shape != values.shape[:1]:
        raise FormatError(
            f"model: expected float32 '{name}_scale' with a number for each row of {name!r}; got"
            f" {'none' if scale is None else (scale.dtype, scale.shape)}; compress the model again"
        )
    return values, np.ascontiguousarray(scale)


def widen(weights: Mapping[str, Array], name: str) -> FloatArray:
    """The array as float32: itself where it is that already, else new and read-only. Raises as :func:`as_stored`."""
    values, scale = as_stored(weights, name)
    if values.dtype == np.float32:
        return values
    out: FloatArray = values.astype(np.float32)
    if scale is not None:
        out *= scale[:, None]
    out.flags.writeable = False
    return out
