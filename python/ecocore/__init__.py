"""ecocore: the machine-learning core of an online shop."""

from __future__ import annotations

from ._core import __version__
from .als import AlternatingLeastSquares
from .baselines import Popularity, RepeatPurchases
from .behavior import BehaviorModel
from .catalogue import Catalogue, read_catalogue
from .cleaning import CleaningReport
from .errors import DeviceUnavailable, EcocoreError, FormatError, InvalidArgument, MissingExtra, NotFitted
from .evaluation import evaluate, evaluate_candidates, ranking_metrics
from .event_reader import read_events
from .events import Events
from .features import FeatureEncoder
from .ids import IdMap
from .interactions import Interactions
from .nlu import NLU
from .runtime import build_info, get_num_threads, set_num_threads
from .sessions import SessionStore
from .shop import Product, Recommendation, Shop
from .topk import TopKIndex, TopKResult

__all__ = [  # noqa: RUF022
    "AlternatingLeastSquares",
    "BehaviorModel",
    "Catalogue",
    "CleaningReport",
    "DeviceUnavailable",
    "EcocoreError",
    "Events",
    "FeatureEncoder",
    "FormatError",
    "IdMap",
    "Interactions",
    "InvalidArgument",
    "MissingExtra",
    "NLU",
    "NotFitted",
    "Popularity",
    "Product",
    "Recommendation",
    "RepeatPurchases",
    "SessionStore",
    "Shop",
    "TopKIndex",
    "TopKResult",
    "__version__",
    "build_info",
    "evaluate",
    "evaluate_candidates",
    "get_num_threads",
    "ranking_metrics",
    "read_catalogue",
    "read_events",
    "set_num_threads",
]
