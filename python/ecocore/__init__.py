"""ecocore: the machine-learning core of an online shop.

Names are loaded when they are first used: a service that only searches does not pay for what reads event logs.
"""

from __future__ import annotations

import importlib
import typing

from ._core import __version__

if typing.TYPE_CHECKING:
    from . import onnx as onnx
    from .als import AlternatingLeastSquares
    from .assistant import Assistant
    from .baselines import Popularity, RepeatPurchases
    from .behavior import BehaviorModel
    from .catalogue import Catalogue, read_catalogue
    from .cleaning import CleaningReport
    from .errors import DeviceUnavailable, EcocoreError, FormatError, InvalidArgument, MissingExtra, NotFitted
    from .evaluation import Metrics, evaluate, evaluate_candidates, ranking_metrics
    from .event_reader import read_events
    from .events import Events
    from .features import FeatureEncoder
    from .ids import IdMap
    from .interactions import Interactions
    from .nlu import NLU
    from .profiles import Profile, Profiles
    from .ranking import RankingModel
    from .runtime import build_info, get_num_threads, set_num_threads
    from .sessions import SessionStore
    from .shop import Product, Recommendation, Shop
    from .topk import TopKIndex, TopKResult

_HOMES = {
    "als": ("AlternatingLeastSquares",),
    "assistant": ("Assistant",),
    "baselines": ("Popularity", "RepeatPurchases"),
    "behavior": ("BehaviorModel",),
    "catalogue": ("Catalogue", "read_catalogue"),
    "cleaning": ("CleaningReport",),
    "errors": ("DeviceUnavailable", "EcocoreError", "FormatError", "InvalidArgument", "MissingExtra", "NotFitted"),
    "evaluation": ("Metrics", "evaluate", "evaluate_candidates", "ranking_metrics"),
    "event_reader": ("read_events",),
    "events": ("Events",),
    "features": ("FeatureEncoder",),
    "ids": ("IdMap",),
    "interactions": ("Interactions",),
    "nlu": ("NLU",),
    "profiles": ("Profile", "Profiles"),
    "ranking": ("RankingModel",),
    "runtime": ("build_info", "get_num_threads", "set_num_threads"),
    "sessions": ("SessionStore",),
    "shop": ("Product", "Recommendation", "Shop"),
    "topk": ("TopKIndex", "TopKResult"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022 - in plain order
    "AlternatingLeastSquares",
    "Assistant",
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
    "Metrics",
    "MissingExtra",
    "NLU",
    "NotFitted",
    "Popularity",
    "Product",
    "Profile",
    "Profiles",
    "RankingModel",
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


def __getattr__(name: str) -> typing.Any:
    if name == "onnx":  # a package of its own, whose import sets the attribute
        return importlib.import_module(".onnx", __name__)
    module = _HOME_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{module}", __name__), name)
    globals()[name] = value  # next time it is found without coming here
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
