"""What the user tower of the ranking model sees of a history: sums of item vectors, in training and serving alike."""

from __future__ import annotations

import numpy as np

from .arrays import FloatArray, Int64Array

__all__ = ["RECENT", "RECENT_DECAY", "history_weights", "log_sizes", "pooled", "recent_events", "spans"]

RECENT = 10  # latest items that count as recent
RECENT_DECAY = 0.8  # each counts so much of the one after it


def spans(begins: Int64Array, ends: Int64Array) -> tuple[Int64Array, Int64Array]:
    """The events of the ranges [begins[i], ends[i]), one range after another, and the indptr of the ranges."""
    indptr = np.zeros(begins.size + 1, np.int64)
    np.cumsum(ends - begins, out=indptr[1:])
    return np.arange(indptr[-1]) + np.repeat(begins - indptr[:-1], ends - begins), indptr


def recent_events(begins: Int64Array, ends: Int64Array) -> tuple[Int64Array, Int64Array, FloatArray]:
    """Events, indptr and weights of what is recent in each range of events, the last one being the latest."""
    events, indptr = spans(np.maximum(begins, ends - RECENT), ends)
    age = np.repeat(ends, np.diff(indptr)) - 1 - events
    return events, indptr, (RECENT_DECAY**age).astype(np.float32)


def history_weights(indptr: Int64Array) -> FloatArray:
    """The weight of every event: 1 / sqrt(n) in a history of n."""
    sizes = np.diff(indptr)
    return np.repeat(1 / np.sqrt(np.maximum(sizes, 1)), sizes).astype(np.float32)


def log_sizes(sizes: Int64Array) -> FloatArray:
    """float32 [users, 1]: log(1 + n) / 5, about 1 for a history of 150 items."""
    return (np.log1p(sizes) / 5).astype(np.float32)[:, None]


def pooled(vectors: FloatArray, items: Int64Array, indptr: Int64Array, weights: FloatArray) -> FloatArray:
    """float32 [users, dim]: the weighted sum of the vectors of each user's items; zero where there are none.

    Each sum is one chain in the order of the events, so that a user alone gets the bits of a user among others.
    """
    out = np.zeros((indptr.size - 1, vectors.shape[1]), np.float32)
    some = np.flatnonzero(np.diff(indptr))
    if some.size:
        out[some] = np.add.reduceat(vectors[items] * weights[:, None], indptr[some], axis=0)
    return out
