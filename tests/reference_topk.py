"""Exact top-k as its definition reads: every score, then a sort."""

from __future__ import annotations

import numpy as np


def scores(factors: np.ndarray, query: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """The canonical score of every item: summed in float64 in index order, rounded once, plus the float32 bias."""
    total = np.zeros(len(factors))
    for column, q in zip(factors.T.astype(np.float64, order="C"), query.astype(np.float64), strict=True):
        total += column * q
    with np.errstate(over="ignore", under="ignore"):
        out = total.astype(np.float32)
        return out if bias is None else out + bias


def top_k(factors, queries, k, *, bias=None, allowed=None):
    """ids (n, k) and scores (n, k); ``allowed`` is a boolean (n, n_items) matrix or None for all."""
    ids = np.full((len(queries), k), -1, np.int64)
    best = np.full((len(queries), k), -np.inf, np.float32)
    for row, query in enumerate(queries):
        s = scores(factors, query, bias)
        pool = np.arange(len(factors)) if allowed is None else np.flatnonzero(allowed[row])
        order = pool[np.lexsort((pool, -s[pool]))][:k]
        ids[row, : len(order)] = order
        best[row, : len(order)] = s[order]
    return ids, best


def assert_same(result, want):
    """Equal ids, and equal scores to the last bit (-0.0 is not 0.0)."""
    ids, best = want
    np.testing.assert_array_equal(result.ids, ids)
    np.testing.assert_array_equal(result.scores.view(np.uint32), best.view(np.uint32))
