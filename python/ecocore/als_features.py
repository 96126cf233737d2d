"""Cold start: what an item's features say about its factors, learned from the items that have interactions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .als_objective import Float64Array
from .arrays import FloatArray


@dataclass(frozen=True)
class FeatureMap:
    """The affine map from item features to item factors, f -> f B + b. ``weights`` holds B with b as its last row."""

    weights: FloatArray  # (n_features + 1, factors)

    @property
    def n_features(self) -> int:
        return len(self.weights) - 1

    def __call__(self, features: FloatArray) -> FloatArray:
        out: FloatArray = features @ self.weights[:-1] + self.weights[-1]
        return out


class FeaturePrior:
    """Ridge regression of item factors on item features, part of the ALS objective.

    The penalty lambda_i |y_i|^2 of an item becomes lambda_i |y_i - (f_i B + b)|^2, and ridge |B|^2 is added, where
    ridge = strength * mean lambda_i: as if ``strength`` average items said that features mean nothing. For given Y this
    is least in

        [B; b] = (F1^T L F1 + ridge I0)^-1 F1^T L Y,    F1 = [F 1], L = diag(lambda), I0 = I but 0 for the intercept,

    which is taken after every sweep over the items, so that the objective still falls with every step. Only items with
    interactions take part.
    """

    def __init__(self, features: FloatArray, regularization: FloatArray, warm: np.ndarray, strength: float) -> None:
        self._features = features
        self._lambda = np.where(warm, regularization, np.float32(0)).astype(np.float32)
        mean = float(self._lambda.sum(dtype=np.float64)) / max(int(warm.sum()), 1)
        self.ridge = strength * mean
        weighted = self._lambda[:, None] * features
        normal = np.empty((features.shape[1] + 1,) * 2, np.float64)
        normal[:-1, :-1] = features.T @ weighted
        normal[:-1, -1] = normal[-1, :-1] = weighted.sum(axis=0, dtype=np.float64)
        normal[-1, -1] = self._lambda.sum(dtype=np.float64)
        normal[np.arange(features.shape[1]), np.arange(features.shape[1])] += self.ridge
        self._normal: Float64Array = normal

    def fit(self, item_factors: FloatArray) -> FeatureMap:
        """The map that fits these factors best."""
        weighted = self._lambda[:, None] * item_factors
        right = np.vstack([self._features.T @ weighted, weighted.sum(axis=0, dtype=np.float64)])
        # Features that repeat each other leave the system singular when strength is 0: take the smallest solution.
        solution = np.linalg.lstsq(self._normal, right.astype(np.float64), rcond=None)[0]
        return FeatureMap(solution.astype(np.float32))

    def prior(self, feature_map: FeatureMap) -> FloatArray:
        """The prior of every item, (n_items, factors)."""
        return feature_map(self._features)

    def penalty(self, feature_map: FeatureMap) -> float:
        return self.ridge * float(np.square(feature_map.weights[:-1], dtype=np.float64).sum())
