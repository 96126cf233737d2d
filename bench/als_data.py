"""Generated purchases with the long tails of a shop: few users buy much, few items sell much."""

from __future__ import annotations

import functools
import os

import numpy as np
import scipy.sparse as sp

SMALL, LARGE = (20_000, 5_000, 1_000_000), (138_000, 27_000, 19_000_000)  # users, items, interactions
SIZE = LARGE if os.environ.get("ECOCORE_BENCH_LARGE") == "1" else SMALL


@functools.cache
def purchases(users: int, items: int, interactions: int, seed: int = 0) -> sp.csr_matrix:
    """Weights from 1 to 5; the popularity of rank r falls as (r + 20)^-0.6 for users and ^-0.9 for items."""
    rng = np.random.default_rng(seed)
    user_p = (rng.permutation(users) + 20.0) ** -0.6
    item_p = (rng.permutation(items) + 20.0) ** -0.9
    drawn = int(interactions * 1.25)  # some pairs are drawn twice
    u = rng.choice(users, drawn, p=user_p / user_p.sum()).astype(np.int64)
    i = rng.choice(items, drawn, p=item_p / item_p.sum())
    pairs = rng.permutation(np.unique(u * items + i))[:interactions]
    pairs.sort()
    u, i = np.divmod(pairs, items)
    values = rng.integers(1, 6, pairs.size).astype(np.float32)
    return sp.csr_matrix((values, (u, i)), (users, items))
