"""The graph contract of sequence models: which tensors a graph has, what they mean, and what they must look like.

=============== ======= ========================== =====================================================================
input           dtype   shape                      role
=============== ======= ========================== =====================================================================
items           int64   [batch, time]              rows of the item table, oldest event first; 0 = out of vocabulary
event_types     int64   [batch, time]              optional; 0 = unknown
gaps            int64   [batch, time]              optional; bucket of the time since the event before; 0 = none before
features        float32 [batch, time, n]           optional
lengths         int32   [batch]                    optional; always given as the width of `time`: runs are never padded
h0              float32 [layers, batch, hidden]    or [batch, hidden]
c0              float32 as h0                      LSTM only
candidates      int64   [candidates]               optional; always given empty: items are scored outside the graph
=============== ======= ========================== =====================================================================

=============== ======= ========================== =====================================================================
output          dtype   shape                      role
=============== ======= ========================== =====================================================================
hn              float32 as h0                      the state after the last event, the next call's h0
cn              float32 as c0                      LSTM only
state           float32 [batch, n]                 optional: what item vectors are multiplied with
probabilities   float32 [batch, items]             optional, without `candidates`: column j belongs to row j + 1
=============== ======= ========================== =====================================================================

`batch` is symbolic. `time` is symbolic, or 1 for a graph that is one step; `items` and the rest may be int32 as well.
Where the tensors of a graph have other names, ``roles`` says which is which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidArgument
from .graph import GraphInfo, Tensor

__all__ = ["SequenceContract"]

_IDS = ("int64", "int32")
_INPUTS = {"items": _IDS, "event_types": _IDS, "gaps": _IDS, "features": ("float32",), "lengths": ("int32",)}
_INPUTS |= {"h0": ("float32",), "c0": ("float32",), "candidates": ("int64",)}
_OUTPUTS = {"hn": ("float32",), "cn": ("float32",), "state": ("float32",), "probabilities": ("float32",)}

_STATELESS = (
    "the state of a sequence enters and leaves through the graph:"
    " give it inputs h0 (and c0) and return hn (and cn) beside the prediction; see docs/own-graph.md"
)
_DYNAMIC = (
    'export with dynamic_axes={"items": {0: "batch", 1: "time"}, "h0": {1: "batch"}, ...}'
    " (torch.onnx.export), or with Input(shape=(None,)) (Keras)"
)


@dataclass(frozen=True)
class SequenceContract:
    """How to feed a graph that fits the contract."""

    tensors: dict[str, Tensor]  # by role
    cell: str  # "lstm" where there is a c0, else "gru or rnn"
    layers: int
    hidden: int
    stacked: bool  # whether states are [layers, batch, hidden] rather than [batch, hidden]
    one_step: bool  # whether `time` is fixed to 1
    feature_size: int
    output: str | None  # "state", "probabilities" or None: what is taken of the graph beside the states
    output_size: int

    @classmethod
    def of(cls, graph: GraphInfo, roles: Mapping[str, str] | None = None, where: str = "graph") -> SequenceContract:
        """Holds a graph to the contract. ``roles`` maps roles to the graph's own names, where these differ.

        Raises InvalidArgument, which names the tensor, what was expected, what came, and how to mend the export.
        """
        return _Check(graph, dict(roles or {}), where).contract()

    @property
    def has_cell(self) -> bool:
        return "c0" in self.tensors

    def name(self, role: str) -> str:
        return self.tensors[role].name

    def feeds(self, rows: int, steps: int) -> dict[str, npt.NDArray[Any]]:
        """Inputs of zeros for a run of this shape; also the constant inputs of every run."""
        shapes: dict[str, tuple[int, ...]] = {
            "features": (rows, steps, self.feature_size),
            "lengths": (rows,),
            "h0": self.state_shape(rows),
            "c0": self.state_shape(rows),
            "candidates": (0,),
        }
        feeds = {}
        for role, tensor in self.tensors.items():
            if role in _INPUTS:
                feeds[tensor.name] = np.zeros(shapes.get(role, (rows, steps)), tensor.dtype)
        if "lengths" in self.tensors:
            feeds[self.name("lengths")][:] = steps
        return feeds

    def state_shape(self, rows: int) -> tuple[int, ...]:
        return (self.layers, rows, self.hidden) if self.stacked else (rows, self.hidden)


class _Check:
    def __init__(self, graph: GraphInfo, roles: dict[str, str], where: str) -> None:
        self.where = where
        unknown = sorted(set(roles) - set(_INPUTS) - set(_OUTPUTS))
        if unknown:
            raise InvalidArgument(f"roles: expected roles among {[*_INPUTS, *_OUTPUTS]}; got {unknown[0]!r}")
        self.inputs = {t.name: t for t in graph.inputs}
        self.outputs = {t.name: t for t in graph.outputs}
        self.tensors: dict[str, Tensor] = {}
        for side, names, allowed in (("input", self.inputs, _INPUTS), ("output", self.outputs, _OUTPUTS)):
            for role, dtypes in allowed.items():
                name = roles.get(role, role)
                if name in names:
                    self.tensors[role] = self.typed(names[name], role, side, dtypes)
                elif role in roles:
                    raise self.error(side, name, f"role {role!r} names it", f"{side}s {sorted(names)}", "correct roles")
        taken = {t.name for t in self.tensors.values()}
        for name, tensor in self.inputs.items():
            if name not in taken:
                raise self.error(
                    "input", name, "only the inputs of the contract", str(tensor),
                    f"say what it is, roles={{'<role>': {name!r}}} with a role among {[*_INPUTS]}, or drop it",
                )  # fmt: skip

    def error(self, side: str, name: str, expected: str, got: str, remedy: str) -> InvalidArgument:
        return InvalidArgument(f"{self.where}: {side} {name!r}: expected {expected}; got {got}; {remedy}")

    def typed(self, tensor: Tensor, role: str, side: str, dtypes: tuple[str, ...]) -> Tensor:
        if tensor.dtype not in dtypes:
            raise self.error(side, tensor.name, f"{' or '.join(dtypes)} for role {role!r}", str(tensor), "export it so")
        return tensor

    def need(self, role: str, side: str, why: str) -> Tensor:
        if role not in self.tensors:
            there = sorted(self.inputs if side == "input" else self.outputs)
            raise self.error(side, role, "it, by this name or through roles", f"{side}s {there}", why)
        return self.tensors[role]

    def ranked(self, role: str, side: str, ranks: tuple[int, ...], what: str) -> Tensor:
        tensor = self.tensors[role]
        if len(tensor.shape) not in ranks:
            raise self.error(side, tensor.name, what, str(tensor), "export it with this shape")
        return tensor

    def dynamic(self, role: str, side: str, axis: int, what: str) -> None:
        tensor = self.tensors[role]
        if isinstance(tensor.shape[axis], int):
            raise self.error(side, tensor.name, f"a symbolic {what} (axis {axis})", str(tensor), _DYNAMIC)

    def fixed(self, role: str, side: str, axis: int, what: str) -> int:
        tensor = self.tensors[role]
        size = tensor.shape[axis]
        if not isinstance(size, int) or size < 1:
            raise self.error(
                side, tensor.name, f"a fixed {what} (axis {axis})", str(tensor), f"export it with a fixed {what}"
            )
        return size

    def contract(self) -> SequenceContract:
        self.need("items", "input", "call the ids of the events so, or say roles={'items': '<name>'}")
        self.need("h0", "input", _STATELESS)
        self.need("hn", "output", _STATELESS)
        if ("c0" in self.tensors) != ("cn" in self.tensors):
            self.need("c0", "input", _STATELESS)
            self.need("cn", "output", _STATELESS)
        for role in ("items", "event_types", "gaps"):
            if role in self.tensors:
                self.ranked(role, "input", (2,), "[batch, time]")
                self.dynamic(role, "input", 0, "batch")
        time = self.tensors["items"].shape[1]
        if isinstance(time, int) and time != 1:
            raise self.error("input", self.tensors["items"].name, "a symbolic time (axis 1), or 1 for a graph of one step",
                             str(self.tensors["items"]), _DYNAMIC)  # fmt: skip

        state = self.ranked("h0", "input", (2, 3), "[layers, batch, hidden] or [batch, hidden]")
        stacked = len(state.shape) == 3
        layers = self.fixed("h0", "input", 0, "number of layers") if stacked else 1
        hidden = self.fixed("h0", "input", -1, "hidden size")
        for role in ("h0", "c0", "hn", "cn"):
            if role not in self.tensors:
                continue
            side = "input" if role.endswith("0") else "output"
            tensor = self.ranked(role, side, (len(state.shape),), f"a shape as h0 has, {state}")
            batch = 1 if stacked else 0
            if side == "input":
                self.dynamic(role, side, batch, "batch")
            for axis, size in ((0, layers), (2, hidden)) if stacked else ((1, hidden),):
                # An output's dimension may be left open by an exporter; the warm-up run then settles it.
                if isinstance(tensor.shape[axis], int) and tensor.shape[axis] != size:
                    raise self.error(side, tensor.name, f"{size} on axis {axis} as in h0", str(tensor), "return the state"
                                     " in the form in which it is taken")  # fmt: skip

        features = 0
        if "features" in self.tensors:
            self.ranked("features", "input", (3,), "[batch, time, features]")
            self.dynamic("features", "input", 0, "batch")
            features = self.fixed("features", "input", 2, "number of features")
        for role in ("lengths", "candidates"):
            if role in self.tensors:
                self.ranked(role, "input", (1,), "one dimension")
                self.dynamic(role, "input", 0, "batch" if role == "lengths" else "number of candidates")

        output, size = None, 0
        if "state" in self.tensors:
            output = "state"
        elif "probabilities" in self.tensors and "candidates" not in self.tensors:
            output = "probabilities"
        if output is not None:
            self.ranked(output, "output", (2,), "[batch, n]")
            size = self.fixed(output, "output", 1, "width")
        return SequenceContract(
            self.tensors, "lstm" if "c0" in self.tensors else "gru or rnn", layers, hidden, stacked, time == 1, features,
            output, size,
        )  # fmt: skip
