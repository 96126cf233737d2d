"""ecocore: the machine-learning core of an online shop."""

from __future__ import annotations

from ._core import __version__
from .baselines import Popularity, RepeatPurchases
from .behavior import BehaviorModel
from .errors import DeviceUnavailable, EcocoreError, FormatError, InvalidArgument, MissingExtra, NotFitted
from .evaluation import evaluate, evaluate_candidates, ranking_metrics
from .ids import IdMap
from .interactions import Interactions
from .runtime import build_info, get_num_threads, set_num_threads
from .sessions import SessionStore
from .topk import TopKIndex, TopKResult

__all__ = [
    "BehaviorModel",
    "DeviceUnavailable",
    "EcocoreError",
    "FormatError",
    "IdMap",
    "Interactions",
    "InvalidArgument",
    "MissingExtra",
    "NotFitted",
    "Popularity",
    "RepeatPurchases",
    "SessionStore",
    "TopKIndex",
    "TopKResult",
    "__version__",
    "build_info",
    "evaluate",
    "evaluate_candidates",
    "get_num_threads",
    "ranking_metrics",
    "set_num_threads",
]
