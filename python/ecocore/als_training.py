"""The training loop's parts: one iteration over fixed data, its record, and the progress line."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from . import _core
from .als_factors import Factors, Side
from .als_features import FeatureMap, FeaturePrior
from .als_objective import Float64Array, Objective, Solver, solve_rows
from .arrays import Csr, FloatArray, as_matrix, as_number
from .errors import InvalidArgument


@dataclass(frozen=True)
class Iteration:
    """What one iteration of ``fit`` did."""

    iteration: int  # from 0
    seconds: float  # both half sweeps, and the loss where it was asked for
    loss: float | None  # with calculate_training_loss
    metric: float | None  # with validation


@dataclass(frozen=True)
class SweepState:
    """Factors between two iterations. Items without interactions are zero here, whatever their features say: they are
    no evidence for anyone's taste."""

    users: FloatArray
    items: FloatArray
    item_gram: Float64Array
    user_gram: Float64Array | None = None
    feature_map: FeatureMap | None = None


class Sweep:
    """One iteration of ALS over fixed data."""

    def __init__(
        self,
        objective: Objective,
        users: Csr,
        *,
        item_features: npt.ArrayLike | None,
        feature_strength: float,
        solver: Solver,
        cg_steps: int,
        num_threads: int,
    ) -> None:
        self._objective = objective
        self._solver, self._cg_steps, self._threads = solver, cg_steps, num_threads
        self._exact = solver == "cholesky"
        self._users = users
        self._items = users.transpose(num_threads)
        counts = np.diff(self._items.indptr)
        self._cold = (counts == 0) if item_features is not None else None
        n_items = users.shape[1] - (0 if self._cold is None else int(self._cold.sum()))
        self._user_lambda = objective.row_regularization(np.diff(users.indptr), n_items)
        self._item_lambda = objective.row_regularization(counts, users.shape[0])
        self._prior: FeaturePrior | None = None
        if item_features is not None:
            features = as_matrix(item_features, "item_features")
            if features.shape[0] != users.shape[1] or features.shape[1] == 0:
                raise InvalidArgument(
                    f"item_features: expected a row for each of {users.shape[1]} items and at least one column;"
                    f" got shape {features.shape}"
                )
            if not self._item_lambda.any():
                raise InvalidArgument("regularization: expected more than 0 with item_features, it is their weight")
            strength = as_number(feature_strength, "feature_strength")
            self._prior = FeaturePrior(features, self._item_lambda, counts > 0, strength)

    def start(self, users: FloatArray, items: FloatArray, feature_map: FeatureMap | None) -> SweepState:
        """The state to begin with. A map of other features than this fit's is not used."""
        if self._cold is not None:
            items = np.where(self._cold[:, None], np.float32(0), items)
        if self._prior is None or feature_map is None or not self._prior.takes(feature_map):
            feature_map = None
        return SweepState(users, items, self._gram(items), feature_map=feature_map)

    def step(self, state: SweepState) -> tuple[SweepState, Factors]:
        """The next state, and the factors that the model shows for it."""
        users = self._solve(self._users, state.items, state.item_gram, self._user_lambda, state.users, None)
        user_gram = self._gram(users)
        prior = None
        if self._prior is not None and state.feature_map is not None:
            prior = self._prior.prior(state.feature_map)
        items = self._solve(self._items, users, user_gram, self._item_lambda, state.items, prior)
        item_gram = self._gram(items)
        if self._prior is None or self._cold is None:
            return SweepState(users, items, item_gram, user_gram), Factors(Side(users), Side(items))
        feature_map = self._prior.fit(items)
        shown = items
        if self._cold.any():
            shown = np.where(self._cold[:, None], self._prior.prior(feature_map), items)
        after = SweepState(users, items, item_gram, user_gram, feature_map)
        return after, Factors(Side(users), Side(shown, self._cold), feature_map)

    def _gram(self, factors: FloatArray) -> Float64Array:
        return _core.als_gram(factors, self._exact, self._threads)

    def _solve(
        self,
        rows: Csr,
        fixed: FloatArray,
        gram: Float64Array,
        regularization: FloatArray,
        start: FloatArray,
        prior: FloatArray | None,
    ) -> FloatArray:
        return solve_rows(
            self._objective,
            rows,
            fixed,
            gram,
            regularization,
            start=start,
            prior=prior,
            solver=self._solver,
            cg_steps=self._cg_steps,
            num_threads=self._threads,
        )

    def loss(self, state: SweepState) -> float:
        """The objective, divided by the sum of all confidences."""
        users = self._users
        prior = None
        total = 0.0
        if self._prior is not None and state.feature_map is not None and self._cold is not None:
            prior = np.where(self._cold[:, None], np.float32(0), self._prior.prior(state.feature_map))
            total += self._prior.penalty(state.feature_map)
        user_gram = self._gram(state.users) if state.user_gram is None else state.user_gram
        total += _core.als_data_loss(
            users.indptr,
            users.indices,
            users.data,
            state.users,
            state.items,
            user_gram,
            state.item_gram,
            **self._objective.weights,
            num_threads=self._threads,
        )
        total += _core.als_penalty(state.users, self._user_lambda, None, self._threads)
        total += _core.als_penalty(state.items, self._item_lambda, prior, self._threads)
        return total / self._objective.normalizer(users)


class Progress:
    """A line on stderr that says how far ``fit`` is, where someone watches."""

    def __init__(self, iterations: int, wanted: bool) -> None:
        self._iterations = iterations
        self._shown = wanted and iterations > 0 and sys.stderr is not None and sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def show(self, done: Iteration, metric: str) -> None:
        if not self._shown:
            return
        line = f"ALS {done.iteration + 1}/{self._iterations}  {done.seconds:.2f} s"
        if done.loss is not None:
            line += f"  loss {done.loss:.6g}"
        if done.metric is not None:
            line += f"  {metric} {done.metric:.4f}"
        sys.stderr.write(f"\r{line}\x1b[K")
        sys.stderr.flush()

    def __exit__(self, *_: object) -> None:
        if self._shown:
            sys.stderr.write("\n")
