"""What ALS minimises, and the steps that lower it: the bridge between the model and the native core.

With s_ui = <x_u, y_i>, confidence c_ui = alpha |r_ui| on observed pairs and target p_ui = 1 where r_ui > 0, else 0:

- ``implicit`` (Hu, Koren, Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008):
  sum over all pairs of c_ui (p_ui - s_ui)^2 with c_ui = 1 where nothing was observed, plus
  regularization * (sum_u |x_u|^2 + sum_i |y_i|^2).
- ``ials`` (Rendle, Krichene, Zhang, Koren, "Revisiting the Performance of iALS", RecSys 2022):
  sum over observed pairs of c_ui (p_ui - s_ui)^2, plus unobserved_weight * sum over all pairs of s_ui^2, plus
  sum_u lambda_u |x_u|^2 + sum_i lambda_i |y_i|^2, where lambda of a row with n observed of N possible pairs is
  regularization * (n + unobserved_weight * N) ** regularization_exponent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict

import numpy as np
import numpy.typing as npt

from . import _core
from .arrays import Csr, FloatArray, Int64Array, as_number, describe
from .errors import InvalidArgument

Float64Array = npt.NDArray[np.float64]
Solver = Literal["auto", "cholesky", "cg"]


class _Weights(TypedDict):
    alpha: float
    weight_offset: float
    gram_weight: float


@dataclass(frozen=True)
class Objective:
    """One of the two objectives with its parameters, checked."""

    name: Literal["implicit", "ials"]
    alpha: float
    regularization: float
    unobserved_weight: float  # of all pairs ("ials") or of the unobserved ones ("implicit", always 1)
    regularization_exponent: float

    @property
    def weights(self) -> _Weights:
        """The native core's terms: an observed pair's own weight is alpha |r| + weight_offset, all pairs share
        gram_weight."""
        return {
            "alpha": self.alpha,
            "weight_offset": -1.0 if self.name == "implicit" else 0.0,
            "gram_weight": self.unobserved_weight,
        }

    def row_regularization(self, counts: Int64Array, n_fixed: int) -> FloatArray:
        """lambda of rows with ``counts`` observed pairs of ``n_fixed`` possible ones."""
        if self.name == "implicit":
            return np.full(counts.size, self.regularization, np.float32)
        mass = counts + self.unobserved_weight * n_fixed
        return (self.regularization * mass**self.regularization_exponent).astype(np.float32)

    def normalizer(self, interactions: Csr) -> float:
        """What the loss is divided by: the sum of all pairs' confidences, as implicit does."""
        observed = self.alpha * float(np.abs(interactions.values()).sum(dtype=np.float64))
        rows, cols = interactions.shape
        pairs = rows * cols - (interactions.nnz if self.name == "implicit" else 0)
        return (observed + self.unobserved_weight * pairs) or 1.0


def make_objective(
    name: str,
    alpha: float,
    regularization: float,
    unobserved_weight: float | None,
    regularization_exponent: float | None,
) -> Objective:
    """Checks the parameters and fills in what None stands for."""
    if name not in ("implicit", "ials"):
        raise InvalidArgument(f"objective: expected 'implicit' or 'ials'; got {describe(name)}")
    if name == "implicit":
        for value, parameter in (
            (unobserved_weight, "unobserved_weight"),
            (regularization_exponent, "regularization_exponent"),
        ):
            if value is not None:
                raise InvalidArgument(
                    f"{parameter}: objective 'implicit' has none; use objective='ials', or leave it out"
                )
    return Objective(
        "implicit" if name == "implicit" else "ials",
        as_number(alpha, "alpha", positive=True),
        as_number(regularization, "regularization"),
        1.0
        if name == "implicit"
        else as_number(0.1 if unobserved_weight is None else unobserved_weight, "unobserved_weight"),
        as_number(1.0 if regularization_exponent is None else regularization_exponent, "regularization_exponent"),
    )


def solve_rows(
    objective: Objective,
    rows: Csr,
    fixed: FloatArray,
    gram: Float64Array,
    regularization: FloatArray,
    *,
    start: FloatArray | None = None,
    prior: FloatArray | None = None,
    outside_gram: npt.NDArray[np.bool_] | None = None,
    solver: Solver = "cholesky",
    cg_steps: int = 3,
    num_threads: int = 0,
) -> FloatArray:
    """New factors (rows, factors) of ``rows`` (CSR, rows x fixed rows) while the other side stays ``fixed``.
    ``outside_gram``: the fixed rows that ``gram`` leaves out."""
    solved = np.empty((rows.shape[0], fixed.shape[1]), np.float32)
    if start is None:
        solved[:] = 0
    _core.als_half_sweep(
        rows.indptr,
        rows.indices,
        rows.data,
        fixed,
        gram,
        regularization,
        prior,
        solved if start is None else start,
        solved,
        **objective.weights,
        outside_gram=outside_gram,
        solver=solver,
        cg_steps=cg_steps,
        num_threads=num_threads,
    )
    return solved
