"""The one place where callers' arrays are brought into the exact form that the native core takes.

The core accepts C-contiguous arrays of exact dtype and converts nothing. Here what can be converted without loss of
meaning is converted (at most one copy), the rest raises an error that says what was expected and how to mend it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from .errors import InvalidArgument

__all__ = ["Csr", "as_count", "as_csr", "as_finite_vector", "as_ids", "as_matrix", "as_number"]

FloatArray = npt.NDArray[np.float32]
Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Csr:
    """A checked compressed-sparse-row matrix: int64 indptr, rising int32 indices, finite float32 data (or None)."""

    indptr: Int64Array
    indices: Int32Array
    data: FloatArray | None
    shape: tuple[int, int]

    @property
    def nnz(self) -> int:
        return self.indices.size

    def values(self) -> FloatArray:
        """The stored values; ones where only the pattern is held."""
        return self.data if self.data is not None else np.ones(self.nnz, np.float32)

    def row(self, i: int) -> tuple[Int32Array, FloatArray | None]:
        part = slice(int(self.indptr[i]), int(self.indptr[i + 1]))
        return self.indices[part], None if self.data is None else self.data[part]

    def take_rows(self, rows: Int64Array) -> Csr:
        """The given rows, in the given order."""
        sizes = np.diff(self.indptr)[rows]
        indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        at = np.arange(indptr[-1]) + np.repeat(self.indptr[rows] - indptr[:-1], sizes)
        return Csr(indptr, self.indices[at], None if self.data is None else self.data[at], (rows.size, self.shape[1]))

    def transpose(self, num_threads: int = 0) -> Csr:
        indptr, indices, data = _core.transpose_csr(self.indptr, self.indices, self.data, self.shape[1], num_threads)
        return Csr(indptr, indices, data, (self.shape[1], self.shape[0]))


def describe(x: object) -> str:
    """What came, for an error message: dtype and shape of an array, type and value of anything else."""
    if isinstance(x, np.ndarray):
        return f"{x.dtype} array of shape {x.shape}"
    text = " ".join(repr(x).split())
    return f"{type(x).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def as_count(x: Any, name: str, *, minimum: int = 1, maximum: int | None = None) -> int:
    """A whole number in [minimum, maximum] (no bools, no floats)."""
    limits = f"from {minimum} to {maximum}" if maximum is not None else f"of at least {minimum}"
    if isinstance(x, (bool, np.bool_)) or not isinstance(x, (int, np.integer)):
        raise InvalidArgument(f"{name}: expected a whole number {limits}; got {describe(x)}")
    n = int(x)
    if n < minimum or (maximum is not None and n > maximum):
        raise InvalidArgument(f"{name}: expected a whole number {limits}; got {n}")
    return n


def as_number(x: object, name: str, *, positive: bool = False, maximum: float = 1e38, unit: str = "") -> float:
    """A finite number of at least 0 (above 0 if ``positive``) and at most ``maximum``, by default what float32 can
    hold; NumPy's numbers too, but no bools. ``unit`` says in errors what it counts."""
    what = f"a number{unit and ' of '}{unit} {'above 0' if positive else 'of at least 0'}"
    if isinstance(x, (bool, np.bool_)) or not isinstance(x, (int, float, np.integer, np.floating)):
        raise InvalidArgument(f"{name}: expected {what}; got {describe(x)}")
    try:
        value = float(x)
    except OverflowError:  # a whole number beyond float64
        value = math.inf
    if not math.isfinite(value) or value < 0 or (positive and value == 0) or value > maximum:
        limit = f" and at most {maximum:g}" if maximum != 1e38 else ""
        raise InvalidArgument(f"{name}: expected {what.replace('a number', 'a finite number')}{limit}; got {value}")
    return value


def as_matrix(x: Any, name: str, *, columns: int | None = None) -> FloatArray:
    """A C-contiguous float32 matrix; float64 is rounded, other layouts are copied, non-finite values are refused."""
    a = np.asarray(x)
    if a.dtype.kind not in "fiu" or a.ndim != 2:
        raise InvalidArgument(
            f"{name}: expected a 2-D numeric array; got {describe(a)}; use x.reshape(1, -1) for one row"
        )
    if columns is not None and a.shape[1] != columns:
        raise InvalidArgument(f"{name}: expected {columns} columns; got shape {a.shape}")
    with np.errstate(over="ignore"):
        out = np.ascontiguousarray(a, np.float32)
    if out.size and not np.isfinite(out.sum(dtype=np.float64)):
        bad = np.argwhere(~np.isfinite(out))
        if bad.size:
            row, col = (int(v) for v in bad[0])
            raise InvalidArgument(
                f"{name}: expected finite values; got {a[row, col]} at row {row}, column {col} ({len(bad)} such);"
                " drop or replace them, e.g. with np.nan_to_num"
            )
    return out


def as_finite_vector(x: Any, name: str, size: int) -> FloatArray:
    """A contiguous float32 vector of the given size with finite values."""
    a = np.asarray(x)
    if a.ndim != 1 or a.size != size:
        raise InvalidArgument(f"{name}: expected a 1-D array of {size} values; got {describe(a)}")
    return as_matrix(a.reshape(1, -1), name).reshape(-1)


def as_ids(x: Any, name: str, count: int) -> Int64Array:
    """A 1-D int64 array of ids in [0, count)."""
    a = np.atleast_1d(np.asarray(x))
    if a.size == 0:
        return np.empty(0, np.int64)
    if a.ndim != 1 or a.dtype.kind not in "iu":
        raise InvalidArgument(f"{name}: expected whole numbers from 0 to {count - 1}; got {describe(a)}")
    out = np.ascontiguousarray(a, np.int64)
    low, high = int(out.min()), int(out.max())
    if low < 0 or high >= count:
        bad = low if low < 0 else high
        raise InvalidArgument(f"{name}: expected ids from 0 to {count - 1}; got {bad}")
    return out


def as_csr(
    x: Any,
    name: str,
    *,
    shape: tuple[int | None, int | None] = (None, None),
    pattern: bool = False,
    num_threads: int = 0,
) -> Csr:
    """A checked :class:`Csr` from a scipy CSR matrix or array, an ``Interactions``, or anything with ``indptr``,
    ``indices``, ``data`` and ``shape``. Other scipy formats (COO, CSC, ...) are converted by their ``tocsr``, which
    copies, and which adds up what a COO matrix names twice; in CSR that is refused.

    Arrays that already have the exact dtypes are used in place, read-only and memory-mapped ones included. Rows are
    sorted if they are not. ``pattern`` leaves the values out. ``shape`` names the rows and columns that must match.
    """
    if isinstance(x, Csr):
        csr = Csr(x.indptr, x.indices, None if pattern else x.data, x.shape)
    else:
        if getattr(x, "format", "csr") != "csr" and hasattr(x, "tocsr"):
            x = x.tocsr()
        if not all(hasattr(x, part) for part in ("indptr", "indices", "shape")):
            raise InvalidArgument(
                f"{name}: expected a CSR matrix (scipy.sparse.csr_matrix, csr_array or Interactions);"
                f" got {describe(x)}; use scipy.sparse.csr_matrix(x)"
            )
        if len(x.shape) != 2:
            raise InvalidArgument(f"{name}: expected a 2-D matrix; got shape {tuple(x.shape)}")
        rows, cols = (int(v) for v in x.shape)
        pointers = np.asarray(x.indptr)
        if pointers.dtype.kind not in "iu":
            raise InvalidArgument(f"{name}: indptr must be whole numbers; got {pointers.dtype}")
        indptr = np.ascontiguousarray(pointers, np.int64)
        if indptr.size != rows + 1:
            raise InvalidArgument(f"{name}: indptr must have rows + 1 = {rows + 1} entries; got {indptr.size}")
        raw = np.asarray(x.indices)
        if raw.dtype.kind not in "iu":
            raise InvalidArgument(f"{name}: indices must be whole numbers; got {raw.dtype}")
        if raw.dtype != np.int32 and raw.size and (int(raw.min()) < 0 or int(raw.max()) >= cols):
            bad = int(raw.min()) if int(raw.min()) < 0 else int(raw.max())
            raise InvalidArgument(f"{name}: expected column indices from 0 to {cols - 1}; got {bad}")
        indices = np.ascontiguousarray(raw, np.int32)
        data = None
        if not pattern and getattr(x, "data", None) is not None:
            values = np.asarray(x.data)
            if values.dtype.kind not in "fiub":
                raise InvalidArgument(f"{name}: expected numeric values; got {values.dtype}")
            with np.errstate(over="ignore"):  # what overflows float32 is found below, as inf
                data = np.ascontiguousarray(values, np.float32)
        csr = Csr(indptr, indices, data, (rows, cols))
        if not _core.check_csr(indptr, indices, data, cols, name, num_threads):
            indptr, indices, data = _core.sort_csr_rows(indptr, indices, data, cols, num_threads)
            _core.check_csr(indptr, indices, data, cols, name, num_threads)
            csr = Csr(indptr, indices, data, (rows, cols))
    for want, got, what in zip(shape, csr.shape, ("rows", "columns"), strict=True):
        if want is not None and want != got:
            raise InvalidArgument(f"{name}: expected {want} {what}; got shape {csr.shape}")
    return csr
