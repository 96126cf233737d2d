"""How much recall a model may have lost at most, as far as a log can tell: few events cannot show that a loss is small.

Both models answer the same events, so what counts is where they differ. Of the m_i events of sequence i the smaller
model misses b_i that the other finds, and finds c_i that the other misses; d_i = b_i - c_i. The loss is estimated, and
its one-sided upper confidence bound formed, as in the adjusted Wald interval for paired proportions of Bonett and Price
(2012), Journal of Educational and Behavioral Statistics 37(4), 479-488: one more case of each kind of difference is put
in, so that the bound holds for small samples too, also where no difference was seen. Since events of one sequence stand
and fall together, a case is a whole sequence, of the mean size, and the variance is that between sequences, of a ratio
of sums (Cochran, Sampling Techniques, 3rd edition, 1977, chapter 6). Over the J sequences and these two:

    d = sum(d_i) / sum(m_i),   v = (J + 2) / (J + 1) * sum((d_i - m_i d)^2) / sum(m_i)^2,   bound = d + 1.645 sqrt(v)

With one event a sequence this is Bonett and Price's interval, but for the factor (J + 2) / (J + 1).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["CONFIDENCE", "least_sequences", "loss_bound"]

CONFIDENCE = 0.95
_Z = 1.6448536269514722  # normal quantile of CONFIDENCE


def loss_bound(before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_], sequence: npt.NDArray[np.int64]) -> float:
    """At most 1. ``before``, ``after``: bool [events], whether a model found the item; ``sequence``: of each event."""
    _, of = np.unique(sequence, return_inverse=True)
    sizes = np.bincount(of).astype(float)
    lost = np.bincount(of, before.astype(float) - after)
    mean = sizes.mean()
    sizes, lost = np.append(sizes, [mean, mean]), np.append(lost, [mean, -mean])
    loss = lost.sum() / sizes.sum()
    apart = lost - sizes * loss
    variance = sizes.size / (sizes.size - 1) * (apart @ apart) / sizes.sum() ** 2
    return min(1.0, float(loss + _Z * math.sqrt(variance)))


def least_sequences(loss: float) -> int:
    """So many sequences, in none of which the models differ, show that the loss is at most ``loss``."""
    # Of J + 2 = n: z sqrt(n / (n - 1) * 2 / n^2) <= loss, that is n (n - 1) >= 2 (z / loss)^2
    n = math.ceil((1 + math.sqrt(1 + 8 * (_Z / loss) ** 2)) / 2)
    return max(1, n - 2)
