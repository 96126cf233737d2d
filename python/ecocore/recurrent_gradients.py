"""Gradients of an item's probability by what a recurrent model reads, in NumPy: no PyTorch at run time.

The cells are ONNX's own (gates i, o, f, c for LSTM; z, r, h for GRU with linear_before_reset = 1), the head is what
train/export.py says of a folder; a pass over time and back is backpropagation through time. All in float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import Int32Array
from .weights import as_stored, widen

__all__ = ["RecurrentGradients", "input_vectors"]

Float64Array = npt.NDArray[np.float64]

_GATES = {"rnn": 1, "gru": 3, "lstm": 4}
_TAPE_BYTES = 1 << 26  # of what one pass keeps for the way back
_BLOCK = 1 << 20  # numbers of item vectors in float64 at once


class RecurrentGradients:
    """The way from input vectors to the probability of one item, and back.

    ``meta`` and ``weights``: of a model folder with plain weights. ``vectors`` float32 [items, query], ``bias`` float32
    [items] or None: what a query is multiplied with, without the out-of-vocabulary row. ``probability``: "sigmoid" or
    "softmax" (over all items). ``code``: the item's row of ``vectors``.
    """

    def __init__(
        self,
        meta: Mapping[str, Any],
        weights: Mapping[str, Any],
        vectors: npt.NDArray[np.float32],
        bias: npt.NDArray[np.float32] | None,
        probability: str,
        code: int,
    ) -> None:
        def array(name: str) -> Float64Array:
            return widen(weights, name).astype(np.float64)

        self._cell = str(meta["cell"])
        self._layers = [[array(f"layer{i}_{part}") for part in "WRB"] for i in range(int(meta["layers"]))]
        self._project = (array("project_W"), array("project_b")) if meta["projection"] else None
        self._scale = None if meta["scale"] is None else float(meta["scale"])
        self._vectors, self._bias, self._softmax, self._code = vectors, bias, probability == "softmax", code
        if not self._softmax:
            self._vectors, self._bias = vectors[[code]], None if bias is None else bias[[code]]
            self._code = 0

    def integrated(
        self, x: Float64Array, baseline: Float64Array, h: Float64Array, c: Float64Array | None, steps: int
    ) -> Float64Array:
        """Integrated gradients of each event, float64 [events]: the sum over the numbers of its input vector of
        (x - baseline) times the mean gradient at ``steps`` midpoints of the straight line from all the baseline's
        vectors to all of x's, which is walked for all events at once.

        ``x``, ``baseline``: [events, dim]. ``h``, ``c``: the states [layers, hidden] from which the events go on; c
        None but for LSTM.
        """
        total = np.zeros(len(x))
        if not len(x):
            return total
        along = (np.arange(steps) + 0.5) / steps
        at_once = max(1, _TAPE_BYTES // self._bytes(*x.shape))
        for begin in range(0, steps, at_once):
            part = along[begin : begin + at_once]
            path = baseline[:, None] + part[:, None] * (x - baseline)[:, None]
            _, gradient = self.gradient(path, h, c)
            total += np.einsum("tbd,td->t", gradient, x - baseline)
        return total / steps

    def gradient(
        self, x: Float64Array, h: Float64Array, c: Float64Array | None = None
    ) -> tuple[Float64Array, Float64Array]:
        """The item's probability after the events, [batch], and its gradient by ``x``, [events, batch, dim].

        ``x``: input vectors [events, batch, dim], at least one event; states as for :meth:`integrated`, the same for
        the whole batch.
        """
        tapes, batch = [], x.shape[1]
        for i, (w, r, b) in enumerate(self._layers):
            half = b.size // 2
            state = np.broadcast_to(h[i], (batch, h.shape[1]))
            memory = None if c is None else np.broadcast_to(c[i], (batch, h.shape[1]))
            x, tape = _FORWARD[self._cell](x @ w.T + b[:half], r, b[half:], state, memory)
            tapes.append(tape)
        p, top = self._head(x[-1])
        down = np.zeros_like(x)
        down[-1] = top
        for (w, r, _), tape in zip(self._layers[::-1], tapes[::-1], strict=True):
            down = _BACKWARD[self._cell](tape, r, down) @ w
        return p, down

    def _bytes(self, events: int, dim: int) -> int:
        """What one path of a batch takes."""
        hidden = self._layers[0][1].shape[1]
        tape = events * (len(self._layers) * (2 * _GATES[self._cell] + 4) * hidden + 3 * dim)
        return int(8 * (tape + 3 * len(self._vectors)))

    def _head(self, h: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Probability [batch] of the last layer's states [batch, hidden], and its gradient by them."""
        query = h if self._project is None else h @ self._project[0].T + self._project[1]
        raw, length = query, np.ones((len(h), 1))
        if self._scale is not None:
            length = np.maximum(np.sqrt((raw * raw).sum(axis=1, keepdims=True)), 1e-12)
            query = self._scale * raw / length
        p, down = self._scores(query)
        if self._scale is not None:
            unit = raw / length
            down = self._scale * (down - unit * (unit * down).sum(axis=1, keepdims=True)) / length
        return p, down if self._project is None else down @ self._project[0]

    def _scores(self, query: Float64Array) -> tuple[Float64Array, Float64Array]:
        step = max(1, _BLOCK // self._vectors.shape[1])
        blocks = [slice(a, a + step) for a in range(0, len(self._vectors), step)]
        scores = np.concatenate([query @ self._vectors[at].T.astype(np.float64) for at in blocks], axis=1)
        if self._bias is not None:
            scores += self._bias
        own = self._vectors[self._code].astype(np.float64)
        if not self._softmax:
            p = _sigmoid(scores[:, 0])
            return p, (p * (1 - p))[:, None] * own
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
        mean = np.zeros_like(query)
        for at in blocks:
            mean += scores[:, at] @ self._vectors[at].astype(np.float64)
        p = scores[:, self._code]
        return p, p[:, None] * (own - mean)


def input_vectors(weights: Mapping[str, Any], ids: list[Int32Array], names: list[str]) -> Float64Array:
    """What the first layer reads of each event, float64 [events, dim]: the sum of its rows of the tables ``names``."""
    tables = []
    for name, rows in zip(names, ids, strict=True):
        values, scale = as_stored(weights, name)
        own = values[rows].astype(np.float64)
        tables.append(own if scale is None else own * scale[rows][:, None])
    total: Float64Array = np.sum(tables, axis=0)
    return total


def _sigmoid(x: Float64Array) -> Float64Array:
    out: Float64Array = 0.5 * (1 + np.tanh(0.5 * x))  # does not overflow
    return out


# ---- cells: forward gives the states [events, batch, hidden] and a tape; backward turns the gradient by those states
# into the one by W x + b, [events, batch, gates * hidden] -----------------------------------------------------------


def _rnn_forward(wx: Float64Array, r: Float64Array, b: Float64Array, h: Float64Array, _: Any) -> Any:
    out = np.empty((*wx.shape[:2], h.shape[1]))
    for t in range(len(wx)):
        h = out[t] = np.tanh(wx[t] + h @ r.T + b)
    return out, out


def _rnn_backward(tape: Any, r: Float64Array, out: Float64Array) -> Float64Array:
    down, dh = np.empty_like(out), np.zeros_like(out[0])
    for t in reversed(range(len(tape))):
        down[t] = (dh + out[t]) * (1 - tape[t] ** 2)
        dh = down[t] @ r
    return down


def _gru_forward(wx: Float64Array, r: Float64Array, b: Float64Array, h: Float64Array, _: Any) -> Any:
    n = h.shape[1]
    out, tape = np.empty((*wx.shape[:2], n)), []
    for t in range(len(wx)):
        rh = h @ r.T + b
        gates = _sigmoid(wx[t, :, : 2 * n] + rh[:, : 2 * n])
        z, reset, before = gates[:, :n], gates[:, n:], h
        new = np.tanh(wx[t, :, 2 * n :] + reset * rh[:, 2 * n :])
        h = out[t] = (1 - z) * new + z * before
        tape.append((z, reset, new, rh[:, 2 * n :], before))
    return out, tape


def _gru_backward(tape: Any, r: Float64Array, out: Float64Array) -> Float64Array:
    n = out.shape[2]
    down, dh = np.empty((*out.shape[:2], 3 * n)), np.zeros_like(out[0])
    for t in reversed(range(len(tape))):
        z, reset, new, rh, before = tape[t]
        dh = dh + out[t]
        d_new = dh * (1 - z) * (1 - new**2)
        down[t, :, :n] = dh * (before - new) * z * (1 - z)
        down[t, :, n : 2 * n] = d_new * rh * reset * (1 - reset)
        down[t, :, 2 * n :] = d_new
        dh = dh * z + down[t, :, : 2 * n] @ r[: 2 * n] + (d_new * reset) @ r[2 * n :]
    return down


def _lstm_forward(wx: Float64Array, r: Float64Array, b: Float64Array, h: Float64Array, c: Any) -> Any:
    n = h.shape[1]
    out, tape = np.empty((*wx.shape[:2], n)), []
    for t in range(len(wx)):
        a = wx[t] + h @ r.T + b
        gates, g, before = _sigmoid(a[:, : 3 * n]), np.tanh(a[:, 3 * n :]), c
        i, o, f = gates[:, :n], gates[:, n : 2 * n], gates[:, 2 * n :]
        c = f * before + i * g
        bent = np.tanh(c)
        h = out[t] = o * bent
        tape.append((i, o, f, g, before, bent))
    return out, tape


def _lstm_backward(tape: Any, r: Float64Array, out: Float64Array) -> Float64Array:
    n = out.shape[2]
    down, dh, dc = np.empty((*out.shape[:2], 4 * n)), np.zeros_like(out[0]), np.zeros_like(out[0])
    for t in reversed(range(len(tape))):
        i, o, f, g, before, bent = tape[t]
        dh = dh + out[t]
        dc = dc + dh * o * (1 - bent**2)
        down[t, :, :n] = dc * g * i * (1 - i)
        down[t, :, n : 2 * n] = dh * bent * o * (1 - o)
        down[t, :, 2 * n : 3 * n] = dc * before * f * (1 - f)
        down[t, :, 3 * n :] = dc * i * (1 - g**2)
        dc = dc * f
        dh = down[t] @ r
    return down


_FORWARD = {"rnn": _rnn_forward, "gru": _gru_forward, "lstm": _lstm_forward}
_BACKWARD = {"rnn": _rnn_backward, "gru": _gru_backward, "lstm": _lstm_backward}
