"""ecocore: the machine-learning core of an online shop."""

from __future__ import annotations

from ._core import __version__
from .errors import DeviceUnavailable, EcocoreError, FormatError, InvalidArgument, MissingExtra, NotFitted
from .runtime import build_info, get_num_threads, set_num_threads
from .topk import TopKIndex, TopKResult

__all__ = [
    "DeviceUnavailable",
    "EcocoreError",
    "FormatError",
    "InvalidArgument",
    "MissingExtra",
    "NotFitted",
    "TopKIndex",
    "TopKResult",
    "__version__",
    "build_info",
    "get_num_threads",
    "set_num_threads",
]
