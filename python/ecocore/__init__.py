"""ecocore: the machine-learning core of an online shop."""

from __future__ import annotations

from ._core import __version__
from .errors import DeviceUnavailable, EcocoreError, FormatError, InvalidArgument, MissingExtra, NotFitted
from .ids import IdMap
from .interactions import Interactions
from .runtime import build_info, get_num_threads, set_num_threads

__all__ = [
    "DeviceUnavailable",
    "EcocoreError",
    "FormatError",
    "IdMap",
    "Interactions",
    "InvalidArgument",
    "MissingExtra",
    "NotFitted",
    "__version__",
    "build_info",
    "get_num_threads",
    "set_num_threads",
]
