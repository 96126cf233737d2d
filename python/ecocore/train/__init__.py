"""Training (extra ``train``). Nothing at run time imports this package; each part imports what it needs on first
use."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_WHERE = {
    "Example": "nlu_examples",
    "NluReport": "nlu_report",
    "nlu": "nlu_model",
    "read_nlu_examples": "nlu_examples",
}

__all__ = ["Example", "NluReport", "nlu", "read_nlu_examples"]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        value = getattr(import_module(f".{_WHERE[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
