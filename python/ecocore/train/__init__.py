"""Training of the neural models (extra ``train``: PyTorch and onnx). Nothing at run time imports this package.

What it writes are model folders with an ONNX graph, which ``ecocore`` serves without PyTorch.

On a machine that other work keeps busy, set ``OMP_WAIT_POLICY=passive`` before Python starts: PyTorch's threads
otherwise spin while they wait for each other, which cost a factor of four where two threads shared two busy cores.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ..errors import missing_extra

for _module, _package in (("torch", "PyTorch"), ("onnx", "onnx")):
    if find_spec(_module) is None:
        raise missing_extra(_package, "train", "training")

_HOME_OF = {
    "CompressionRefused": "compression",
    "CompressionReport": "compression",
    "EpochReport": "report",
    "Example": "nlu_examples",
    "NluReport": "nlu_report",
    "TrainingReport": "report",
    "behavior": "behavior_model",
    "compress": "compression",
    "nlu": "nlu_model",
    "ranking": "ranking_training",
    "read_nlu_examples": "nlu_examples",
}

__all__ = [
    "CompressionRefused",
    "CompressionReport",
    "EpochReport",
    "Example",
    "NluReport",
    "TrainingReport",
    "behavior",
    "compress",
    "nlu",
    "ranking",
    "read_nlu_examples",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    globals()[name] = value
    return value
