"""The factors of one moment, with what is computed from them when it is first asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from . import _core
from .als_features import FeatureMap
from .als_objective import Float64Array
from .arrays import FloatArray
from .topk import TopKIndex


class Side:
    """The factors of the users or of the items, read-only.

    Gram matrix and indexes are kept here and nowhere else: whoever holds a Side gets what belongs to its factors,
    whatever another thread has put in its place meanwhile. Two threads that ask at once may both compute; either result
    is right.

    Args:
        factors: float32 (n, factors), used in place and made read-only.
        cold: which rows come from features alone, bool (n,), or None for none. No evidence for anyone's taste, they
            are left out of the Gram matrix.
    """

    def __init__(self, factors: FloatArray, cold: npt.NDArray[np.bool_] | None = None) -> None:
        factors.flags.writeable = False
        self.factors = factors
        self.cold = cold
        self._gram: Float64Array | None = None
        self._index: TopKIndex | None = None
        self._cosine_index: TopKIndex | None = None

    def __len__(self) -> int:
        return len(self.factors)

    def __reduce__(self) -> tuple[type[Side], tuple[FloatArray, npt.NDArray[np.bool_] | None]]:
        return Side, (self.factors, self.cold)  # indexes are native objects; they are built again

    @property
    def n_warm(self) -> int:
        return len(self) - (0 if self.cold is None else int(self.cold.sum()))

    def with_cold(self, new: FloatArray) -> Side:
        """These rows and new ones that come from features alone."""
        cold = np.zeros(len(self), np.bool_) if self.cold is None else self.cold
        out = Side(np.concatenate([self.factors, new]), np.concatenate([cold, np.ones(len(new), np.bool_)]))
        out._gram = self._gram  # the new rows do not count in it
        return out

    def gram(self, num_threads: int) -> Float64Array:
        """Y^T Y of the rows that are not cold."""
        if self._gram is None:
            warm = self.factors if self.cold is None else np.where(self.cold[:, None], np.float32(0), self.factors)
            self._gram = _core.als_gram(warm, num_threads=num_threads)
        return self._gram

    def index(self, num_threads: int) -> TopKIndex:
        """Finds the rows of highest inner product."""
        if self._index is None:
            self._index = TopKIndex(self.factors, num_threads=num_threads)
        return self._index

    def cosine_index(self, num_threads: int) -> TopKIndex:
        """Finds the rows of highest cosine, for queries of length 1."""
        if self._cosine_index is None:
            self._cosine_index = TopKIndex(unit(self.factors), num_threads=num_threads)
        return self._cosine_index


@dataclass(frozen=True)
class Factors:
    """All that a model has learned. Never changed, only replaced as a whole."""

    users: Side | None = None
    items: Side | None = None
    feature_map: FeatureMap | None = None


def unit(factors: FloatArray) -> FloatArray:
    """Rows scaled to length 1; zero rows stay zero."""
    norms = np.sqrt(np.einsum("...k,...k->...", factors, factors, dtype=np.float64))[..., None]
    out: FloatArray = (factors / np.where(norms == 0, 1, norms)).astype(np.float32)
    return out
