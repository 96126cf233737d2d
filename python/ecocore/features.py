"""Item features: catalogue columns and vectors as one float32 matrix, the same for the same facts, today and next year.

What is learnt from the catalogue (vocabularies, means) is learnt once by ``fit`` and saved with the model, so that a
new product is encoded exactly as the products that the model was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .catalogue import Catalogue, as_columns
from .errors import FormatError, InvalidArgument, NotFitted
from .ids import IdMap
from .parts import arrays_under, join_parts

__all__ = ["FeatureEncoder"]

FloatArray = npt.NDArray[np.float32]


class FeatureEncoder:
    """Turns columns of facts about items into a float32 matrix, one row an item.

    ``categorical``: columns of text (or whole numbers), one-hot over the values that ``fit`` saw at least ``min_count``
    times; any other value is a row of zeros, counted by :meth:`unknown`.
    ``numeric`` and ``log``: columns of numbers, as they are or as log(1 + x) (x at least 0), minus their mean and
    divided by their standard deviation over what ``fit`` saw; a missing one (NaN, None) is 0 there and 1 in a column of
    its own. ``vectors``: 2-D columns such as text or image embeddings; every row is scaled to Euclidean length 1, zeros
    stay.

    The columns of the result come in this order; :attr:`names` names them. Each of the blocks is multiplied by its
    entry in ``scale`` (1 by default), which decides how much it counts beside the others.
    """

    def __init__(
        self,
        *,
        categorical: Sequence[str] = (),
        numeric: Sequence[str] = (),
        log: Sequence[str] = (),
        vectors: Sequence[str] = (),
        min_count: int = 5,
        scale: Mapping[str, float] | None = None,
    ) -> None:
        self.categorical, self.numeric, self.log, self.vectors = (
            tuple(names) for names in (categorical, numeric, log, vectors)
        )
        columns = [*self.categorical, *self.numeric, *self.log, *self.vectors]
        if not columns:
            raise InvalidArgument("FeatureEncoder: expected at least one column; got none")
        if twice := {name for name in columns if columns.count(name) > 1}:
            raise InvalidArgument(f"FeatureEncoder: expected each column once; got {sorted(twice)} twice")
        if isinstance(min_count, bool) or not isinstance(min_count, int) or min_count < 1:
            raise InvalidArgument(f"min_count: expected a whole number of at least 1; got {min_count!r}")
        self.min_count = min_count
        self.scale = {str(name): float(x) for name, x in (scale or {}).items()}
        if strange := [name for name, x in self.scale.items() if name not in columns or not np.isfinite(x)]:
            raise InvalidArgument(f"scale: expected finite numbers for columns of the encoder; got {strange[0]!r}")
        self._vocabularies: dict[str, IdMap] = {}
        self._moments: dict[str, tuple[float, float]] = {}  # mean, standard deviation
        self._widths: dict[str, int] = {}
        self._fitted = False

    # ---- learning ----------------------------------------------------------------------------------------------------
    def fit(self, rows: Mapping[str, Any] | Catalogue) -> FeatureEncoder:
        """Learns vocabularies, means and widths from columns of equal length (a dict of arrays or a catalogue)."""
        columns, _ = self._columns(rows)
        for name in self.categorical:
            values, counts = np.unique(np.array(_texts(columns[name]), object), return_counts=True)
            self._vocabularies[name] = IdMap(
                [v for v, n in zip(values, counts, strict=True) if v != "" and n >= self.min_count]
            )
        for name in (*self.numeric, *self.log):
            x = self._numbers(name, columns[name])
            known = x[~np.isnan(x)]
            mean, deviation = (float(known.mean()), float(known.std())) if known.size else (0.0, 0.0)
            # Equal values may leave a deviation of rounding errors; such a column says nothing.
            self._moments[name] = (mean, deviation if deviation > 1e-12 * max(abs(mean), 1.0) else 1.0)
        for name in self.vectors:
            self._widths[name] = _matrix(name, columns[name]).shape[1]
        self._fitted = True
        return self

    # ---- encoding ----------------------------------------------------------------------------------------------------
    @property
    def names(self) -> list[str]:
        """What each column of the result is: "department=GROCERY", "price", "price missing", "image[0]"."""
        self._need_fit()
        out = []
        for name in self.categorical:
            words = self._vocabularies[name]
            out += [f"{name}={word}" for word in (words.to_array() if len(words) else ())]
        for name in (*self.numeric, *self.log):
            out += [name, f"{name} missing"]
        for name in self.vectors:
            out += [f"{name}[{i}]" for i in range(self._widths[name])]
        return out

    @property
    def width(self) -> int:
        """Columns of the result."""
        self._need_fit()
        return (
            sum(len(words) for words in self._vocabularies.values())
            + 2 * len(self._moments)
            + sum(self._widths.values())
        )

    def encode(self, rows: Mapping[str, Any] | Catalogue) -> FloatArray:
        """The features, float32 (items, width), of columns of equal length; the same bits for the same facts."""
        self._need_fit()
        columns, n = self._columns(rows)
        out = np.zeros((n, self.width), np.float32)
        at = 0
        for name in self.categorical:
            words = self._vocabularies[name]
            codes = self._codes(name, columns[name])
            hit = np.flatnonzero(codes >= 0)
            out[hit, at + codes[hit]] = self.scale.get(name, 1.0)
            at += len(words)
        for name in (*self.numeric, *self.log):
            x = self._numbers(name, columns[name])
            mean, deviation = self._moments[name]
            absent = np.isnan(x)
            with np.errstate(over="ignore"):
                out[:, at] = np.where(absent, 0.0, (x - mean) / deviation) * self.scale.get(name, 1.0)
            out[:, at + 1] = absent * self.scale.get(name, 1.0)
            if not np.isfinite(out[:, at]).all():
                raise InvalidArgument(
                    f"{name}: a value is too far from those that fit saw for float32; put it into log="
                )
            at += 2
        for name in self.vectors:
            v = _matrix(name, columns[name])
            if v.shape[1] != self._widths[name]:
                raise InvalidArgument(
                    f"{name}: expected vectors of {self._widths[name]} values, as in fit; got {v.shape[1]}"
                )
            largest = np.abs(v).max(axis=1, keepdims=True, initial=0)
            v = v / np.where(largest > 0, largest, 1)  # no square passes the range
            length = np.sqrt((v * v).sum(axis=1, keepdims=True))
            out[:, at : at + v.shape[1]] = v / np.where(length > 0, length, 1) * self.scale.get(name, 1.0)
            at += v.shape[1]
        return out

    def unknown(self, rows: Mapping[str, Any] | Catalogue) -> dict[str, int]:
        """Items of which each column says nothing: values outside the vocabulary, missing numbers, zero vectors."""
        self._need_fit()
        columns, _ = self._columns(rows)
        out = {name: int((self._codes(name, columns[name]) < 0).sum()) for name in self.categorical}
        out |= {name: int(np.isnan(self._numbers(name, columns[name])).sum()) for name in (*self.numeric, *self.log)}
        return out | {name: int((~_matrix(name, columns[name]).any(axis=1)).sum()) for name in self.vectors}

    def _need_fit(self) -> None:
        if not self._fitted:
            raise NotFitted("FeatureEncoder: it has learnt nothing yet; call fit(rows) first")

    def _codes(self, name: str, column: Any) -> npt.NDArray[np.int64]:
        words = self._vocabularies[name]
        distinct, where = np.unique(np.array(_texts(column), object), return_inverse=True)
        if not len(words):
            return np.full(where.size, -1, np.int64)
        return words.codes(distinct.tolist(), missing=-1)[where]

    def _numbers(self, name: str, column: Any) -> npt.NDArray[np.float64]:
        try:
            x = np.asarray(column).astype(np.float64)
        except (TypeError, ValueError):
            raise InvalidArgument(
                f"{name}: expected numbers; got text, such as {column[0]!r}; put it into categorical="
            ) from None
        if np.isinf(x).any():
            raise InvalidArgument(f"{name}: expected finite numbers, NaN where there is none; got inf")
        if name not in self.log:
            return x
        if (x < 0).any():
            raise InvalidArgument(f"{name}: expected numbers of at least 0 for log(1 + x); got {np.nanmin(x):g}")
        return np.log1p(x)

    def _columns(self, rows: Mapping[str, Any] | Catalogue) -> tuple[Mapping[str, Any], int]:
        columns = as_columns(rows)
        sizes = {}
        for name in (*self.categorical, *self.numeric, *self.log, *self.vectors):
            if name not in columns:
                raise InvalidArgument(
                    f"rows: there is no column {name!r}; it has {', '.join(map(str, columns)) or 'none'}"
                )
            sizes[name] = len(columns[name])
        if len(set(sizes.values())) > 1:
            raise InvalidArgument(f"rows: expected columns of one length; got {sizes}")
        return columns, next(iter(sizes.values()))

    # ---- saving ------------------------------------------------------------------------------------------------------
    def to_parts(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """A JSON-ready description and plain numeric arrays, from which :meth:`from_parts` makes the same encoder."""
        self._need_fit()
        meta: dict[str, Any] = {
            "categorical": list(self.categorical), "numeric": list(self.numeric), "log": list(self.log),
            "vectors": list(self.vectors), "min_count": self.min_count, "scale": self.scale, "widths": self._widths,
        }  # fmt: skip
        arrays: dict[str, npt.NDArray[Any]] = {
            "moments": np.array(list(self._moments.values()), np.float64).reshape(-1, 2)
        }
        meta["vocabularies"] = []
        for i, words in enumerate(self._vocabularies.values()):
            described, parts = join_parts({f"vocabulary{i}": words.to_parts()})
            meta["vocabularies"] += described.values()
            arrays |= parts
        return meta, arrays

    @classmethod
    def from_parts(cls, meta: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> FeatureEncoder:
        """The encoder that :meth:`to_parts` described."""
        try:
            roles = {role: meta[role] for role in ("categorical", "numeric", "log", "vectors", "min_count", "scale")}
            out = cls(**roles)
            for i, (name, described) in enumerate(zip(out.categorical, meta["vocabularies"], strict=True)):
                out._vocabularies[name] = IdMap.from_parts(described, arrays_under(f"vocabulary{i}", arrays))
            moments = arrays["moments"]
            numbers = [*out.numeric, *out.log]
            if moments.shape != (len(numbers), 2) or not np.isfinite(moments).all():
                raise FormatError(
                    f"feature encoder: expected moments of shape ({len(numbers)}, 2); got {moments.shape}"
                )
            out._moments = {name: (float(m), float(d)) for name, (m, d) in zip(numbers, moments, strict=True)}
            out._widths = {name: int(meta["widths"][name]) for name in out.vectors}
        except KeyError as e:
            raise FormatError(f"feature encoder: {e.args[0]!r} is missing") from None
        except (InvalidArgument, TypeError, ValueError) as e:
            raise e if isinstance(e, FormatError) else FormatError(f"feature encoder: {e}") from None
        out._fitted = True
        return out


def _texts(column: Any) -> list[str]:
    """A column of text or whole numbers as text; "" where there is nothing."""
    a = np.asarray(column)
    if a.dtype.kind == "f" and not (np.isnan(a) | (a == np.floor(a))).all():
        raise InvalidArgument(
            "categorical: expected text or whole numbers; got fractions; put the column into numeric="
        )
    if a.dtype.kind == "f":
        return ["" if x != x else str(int(x)) for x in a.tolist()]
    return ["" if x is None or x != x else str(x) for x in a.tolist()]


def _matrix(name: str, column: Any) -> npt.NDArray[np.float64]:
    v = np.asarray(column)
    if v.ndim != 2 or v.dtype.kind not in "fiu":
        raise InvalidArgument(
            f"{name}: expected a 2-D numeric array, a vector an item; got {v.dtype} of shape {v.shape}"
        )
    v = v.astype(np.float64)
    if not np.isfinite(v).all():
        raise InvalidArgument(f"{name}: expected finite vectors; use zeros where an item has none")
    return v
