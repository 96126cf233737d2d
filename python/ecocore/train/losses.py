"""The objectives. All see the same: scores of a set of candidate items at many positions, among them each one's target.

scores     [positions, candidates]
targets    [positions], the column of each position's target
inclusion  [positions, candidates], or [candidates] where it is the same at all positions: the probability with which
           each item came into the set (all ones: every item is there)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["LOSSES", "Loss", "bce", "bpr_max", "sampled_softmax"]

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

BPR_MAX_REGULARISATION = 1.0  # the paper's lambda; its tuned values lie between 0.5 and 2


def sampled_softmax(scores: Tensor, targets: Tensor, inclusion: Tensor) -> Tensor:
    """Cross-entropy of the next item, with the scores corrected by log inclusion, so that popular items, which are
    drawn more often, are not pushed down more (Bengio and Senecal 2008; Yi et al., RecSys 2019)."""
    return F.cross_entropy(scores - inclusion.log(), targets)


def bpr_max(scores: Tensor, targets: Tensor, inclusion: Tensor) -> Tensor:
    """BPR-max (Hidasi and Karatzoglou, CIKM 2018, eq. 9-10): the target against negatives weighted by their softmax,
    so that the gradient stays with the negatives that compete. ``inclusion`` takes no part: harder, popular negatives
    are what the objective wants."""
    others = scores.scatter(1, targets[:, None], -torch.inf)
    weights = others.softmax(1)
    target = scores.gather(1, targets[:, None])
    better = (weights * (target - scores).sigmoid()).sum(1)
    size = (weights * scores.square()).sum(1)
    return (BPR_MAX_REGULARISATION * size - (better + 1e-24).log()).mean()


def bce(scores: Tensor, targets: Tensor, inclusion: Tensor) -> Tensor:
    """Binary cross-entropy of a sigmoid for each item: one for the next item, zero for all others. A sampled item
    counts 1 / inclusion times, which makes the expectation that of the sum over all items (Horvitz and Thompson 1952),
    so the probabilities stay calibrated."""
    zero = (F.softplus(scores) / inclusion).sum(1)
    target = scores.gather(1, targets[:, None]).squeeze(1)
    chance = inclusion.expand_as(scores).gather(1, targets[:, None]).squeeze(1)
    return (zero - F.softplus(target) / chance + F.softplus(-target)).mean()


LOSSES: dict[str, Loss] = {"sampled_softmax": sampled_softmax, "bpr_max": bpr_max, "bce": bce}
