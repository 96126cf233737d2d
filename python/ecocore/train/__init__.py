"""Training of the neural models (extra ``train``: PyTorch and onnx). Nothing at run time imports this package.

What it writes are model folders with an ONNX graph, which ``ecocore`` serves without PyTorch.

On a machine that other work keeps busy, set ``OMP_WAIT_POLICY=passive`` before Python starts: PyTorch's threads
otherwise spin while they wait for each other, which cost a factor of four where two threads shared two busy cores.
"""

from __future__ import annotations

from importlib.util import find_spec

from ..errors import missing_extra

for _module, _package in (("torch", "PyTorch"), ("onnx", "onnx")):
    if find_spec(_module) is None:
        raise missing_extra(_package, "train", "training")

from .behavior_model import behavior  # noqa: E402
from .report import EpochReport, TrainingReport  # noqa: E402

__all__ = ["EpochReport", "TrainingReport", "behavior"]
