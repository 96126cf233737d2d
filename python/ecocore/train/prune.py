"""Hidden units and items taken out of a model's weights whole, so that what is left is a smaller dense model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..behavior import BehaviorModel
from ..sequences import EventRows
from .agreement import Int64Array, walk

__all__ = ["activations", "without_items", "without_units"]

FloatArray = npt.NDArray[np.float32]
Weights = dict[str, FloatArray]

_GATES = {"lstm": 4, "gru": 3, "rnn": 1}


def activations(model: BehaviorModel, rows: EventRows, which: Int64Array) -> tuple[FloatArray, FloatArray]:
    """Mean and mean magnitude of every unit after the events of the sequences ``which``, each [layers, hidden]."""
    total = size = np.zeros((model.engine.layers, model.engine.hidden))
    events = 0
    for _, states in walk(model, rows, which):
        total = total + states.h.sum(axis=0, dtype=np.float64)
        size = size + np.abs(states.h).sum(axis=0, dtype=np.float64)
        events += len(states)
    return (total / max(events, 1)).astype(np.float32), (size / max(events, 1)).astype(np.float32)


def without_units(
    weights: Weights, meta: Mapping[str, Any], mean: FloatArray, magnitude: FloatArray, keep: int
) -> Weights:
    """The weights with the ``keep`` units of each layer that matter most.

    A unit's weight in the whole is its mean magnitude times the lengths of its outgoing weights, those within the layer
    and those above it each relative to their mean over the units. What a unit gave on average goes into the biases of
    those that had it as input.
    """
    layers, hidden, gates = int(meta["layers"]), int(meta["hidden"]), _GATES[meta["cell"]]
    above = [f"layer{i + 1}_W" for i in range(layers - 1)] + ["project_W" if meta["projection"] else "item_vectors"]
    kept = []
    for i in range(layers):
        lengths = [np.linalg.norm(weights[name], axis=0) for name in (f"layer{i}_R", above[i])]
        importance = magnitude[i] * sum(length / max(float(length.mean()), 1e-12) for length in lengths)
        kept.append(np.sort(np.argsort(-importance, kind="stable")[:keep]))
    out = dict(weights)
    for i, units in enumerate(kept):
        gone = np.setdiff1d(np.arange(hidden), units)
        recurrent, bias = weights[f"layer{i}_R"], out[f"layer{i}_B"].copy()
        half = gates * hidden
        bias[half:] += recurrent[:, gone] @ mean[i, gone]
        if i > 0:
            lower = np.setdiff1d(np.arange(hidden), kept[i - 1])
            bias[:half] += weights[f"layer{i}_W"][:, lower] @ mean[i - 1, lower]
            out[f"layer{i}_W"] = weights[f"layer{i}_W"][:, kept[i - 1]]
        lines = (np.arange(gates)[:, None] * hidden + units).reshape(-1)
        out[f"layer{i}_W"] = out[f"layer{i}_W"][lines]
        out[f"layer{i}_R"] = recurrent[lines][:, units]
        out[f"layer{i}_B"] = np.concatenate([bias[:half][lines], bias[half:][lines]])
    top, gone = kept[-1], np.setdiff1d(np.arange(hidden), kept[-1])
    if meta["projection"]:
        out["project_b"] = weights["project_b"] + weights["project_W"][:, gone] @ mean[-1, gone]
        out["project_W"] = weights["project_W"][:, top]
    else:
        out["item_vectors"] = weights["item_vectors"][:, top]
        if "item_bias" in weights:
            out["item_bias"] = weights["item_bias"] + weights["item_vectors"][:, gone] @ mean[-1, gone]
    return {name: np.ascontiguousarray(values, np.float32) for name, values in out.items()}


def without_items(weights: Weights, kept: Int64Array) -> Weights:
    """The weights with the rows ``kept`` of the items' tables; row 0, out of vocabulary, is among them."""
    tables = ("input_vectors", "item_vectors", "item_bias")
    return {name: np.ascontiguousarray(v[kept]) if name in tables else v for name, v in weights.items()}
