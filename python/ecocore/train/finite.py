"""A net whose numbers are no longer finite is of no use: it is not trained on, and not written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidArgument

__all__ = ["Diverged", "check_finite", "check_loss"]


class Diverged(InvalidArgument):
    """The training left the finite numbers, from which no step leads back."""

    def __init__(self, what: str) -> None:
        super().__init__(f"learning_rate: training diverged ({what}); lower it, and give inputs of a common scale")


def check_loss(loss: float, epoch: int) -> None:
    if not math.isfinite(loss):
        raise Diverged(f"the loss in epoch {epoch} is {loss}")


def check_finite(arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Raises Diverged for weights or vectors with NaN or infinity, before they are written."""
    for name, values in arrays.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise Diverged(f"{name} has numbers that are not finite; nothing was written")
