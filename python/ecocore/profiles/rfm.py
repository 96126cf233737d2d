"""Recency, frequency, monetary value: scores from 1 to 5, and the segments that shops read from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["NO_PURCHASE", "SEGMENTS", "quintiles", "segments"]

NO_PURCHASE = "No purchase"  # only looked, so far

# There is no one standard. This is the widespread grid of ten names over recency and frequency: it gives every pair of
# scores exactly one name. Rows are recency 1..5, columns frequency 1..5.
_GRID = (
    ("Hibernating", "Hibernating", "At risk", "At risk", "Can't lose them"),
    ("Hibernating", "Hibernating", "At risk", "At risk", "Can't lose them"),
    ("About to sleep", "About to sleep", "Need attention", "Loyal customers", "Loyal customers"),
    ("Promising", "Potential loyalists", "Potential loyalists", "Loyal customers", "Loyal customers"),
    ("New customers", "Potential loyalists", "Potential loyalists", "Champions", "Champions"),
)
SEGMENTS = (
    "Champions", "Loyal customers", "Potential loyalists", "New customers", "Promising", "Need attention",
    "About to sleep", "At risk", "Can't lose them", "Hibernating", NO_PURCHASE,
)  # fmt: skip
_CODES = np.array([[SEGMENTS.index(name) for name in row] for row in _GRID], np.int8)


def quintiles(values: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    """The fifth that each value falls into, 1 (the lowest) to 5, by percentile rank: the share of values below it plus
    half of those equal to it. Equal values get equal scores, so the fifths are even only where values differ."""
    _, at, counts = np.unique(values, return_inverse=True, return_counts=True)
    below = np.cumsum(counts) - counts
    # (below + equal / 2) / n * 5 in whole numbers, so that no rounding moves a value across an edge
    score = 1 + 5 * (2 * below + counts) // (2 * max(values.size, 1))
    fifths: npt.NDArray[np.int8] = score.astype(np.int8)[at]
    return fifths


def segments(recency: npt.NDArray[np.int8], frequency: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Places in ``SEGMENTS`` from two scores of 1 to 5."""
    codes: npt.NDArray[np.int8] = _CODES[recency - 1, frequency - 1]
    return codes
