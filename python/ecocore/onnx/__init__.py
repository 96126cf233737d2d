"""Neural graphs, run by ONNX Runtime: checked before they load, held to a contract, on the device that was asked for."""

from __future__ import annotations

from .contract import SequenceContract
from .graph import GraphInfo, GraphLimits, Tensor, read_graph
from .session import GraphSession

__all__ = ["GraphInfo", "GraphLimits", "GraphSession", "SequenceContract", "Tensor", "read_graph"]
