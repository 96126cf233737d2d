"""The two engines that advance recurrent states over events: native code, and ONNX Runtime for any graph that fits.

Both hold to one contract: ``advance`` takes states [sequences, layers, hidden] over the events of each sequence and
gives new ones; a sequence without events keeps its state bit for bit; a result depends on the sequence's own events.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from . import _core
from .arrays import Int32Array, Int64Array
from .errors import DeviceUnavailable, EcocoreError, InvalidArgument
from .onnx.contract import SequenceContract
from .onnx.session import GraphSession
from .runtime import get_num_threads
from .weights import as_stored, widen

__all__ = ["Engine", "GraphEngine", "NativeEngine"]

FloatArray = npt.NDArray[np.float32]
Features = FloatArray | None


class Engine(Protocol):
    """What a model asks of that which runs it."""

    name: str
    layers: int
    hidden: int
    has_cell: bool
    output_size: int
    output_of_state: bool  # whether the output is a function of h, so that it need not be kept
    bitwise: bool  # whether a row's bits are the same in every batch and cut of time

    @property
    def device(self) -> str: ...

    def advance(
        self,
        indptr: Int64Array,
        ids: list[Int32Array],
        features: FloatArray | None,
        h: FloatArray,
        c: FloatArray | None,
    ) -> tuple[FloatArray, FloatArray | None, FloatArray]:
        """New h, c and the output [sequences, output_size] after each sequence's last event."""
        ...

    def output(self, h: FloatArray) -> FloatArray:
        """The output of states, where it is a function of them."""
        ...


class StateHead:
    """What a model makes of its last layer's state: h itself or W h + b, scaled to a fixed length where it says so.

    ``weights`` are the arrays of a model folder (train/export.py lists them).
    """

    def __init__(self, meta: Mapping[str, Any], weights: Mapping[str, Any], table_bytes: int, num_threads: int) -> None:
        def array(name: str) -> FloatArray:
            return widen(weights, name)

        layers = [
            (array(f"layer{i}_W"), array(f"layer{i}_R"), array(f"layer{i}_B")) for i in range(int(meta["layers"]))
        ]
        project = (array("project_W"), array("project_b")) if meta["projection"] else (None, None)
        # In as few bits as the folder has them; a head alone reads no events.
        tables = [(*as_stored(weights, name), 0) for name in self._tables(meta)] or [
            (np.zeros((1, 1), np.float32), None, 0)
        ]
        self.net = _core.RecurrentNet(meta["cell"], layers, tables, project[0], project[1], table_bytes, num_threads)
        self._scale = None if meta["scale"] is None else np.float32(meta["scale"])
        self._num_threads = num_threads

    def _tables(self, meta: Mapping[str, Any]) -> list[str]:
        return []

    def output(self, h: FloatArray) -> FloatArray:
        query = self.net.query(h, self._num_threads)
        if self._scale is None:
            return query
        # Row by row in index order: the same bits in every batch.
        length = np.sqrt(np.einsum("ij,ij->i", query, query, dtype=np.float64, optimize=False))
        out: FloatArray = (self._scale * (query / np.maximum(length, 1e-12)[:, None])).astype(np.float32)
        return out


class NativeEngine(StateHead):
    """The cells of the core, on CPU."""

    name = "native"
    device = "cpu"
    output_of_state = True
    bitwise = True

    def __init__(self, meta: Mapping[str, Any], weights: Mapping[str, Any], table_bytes: int, num_threads: int) -> None:
        super().__init__(meta, weights, table_bytes, num_threads)
        self.layers, self.hidden, self.output_size = self.net.layers, self.net.hidden, self.net.query_size
        self.has_cell = meta["cell"] == "lstm"

    def _tables(self, meta: Mapping[str, Any]) -> list[str]:
        names = {"input_vectors": True, "event_type_vectors": meta["event_types"], "gap_vectors": meta["gaps"]}
        return [name for name, there in names.items() if there]

    def advance(
        self,
        indptr: Int64Array,
        ids: list[Int32Array],
        features: FloatArray | None,
        h: FloatArray,
        c: FloatArray | None,
    ) -> tuple[FloatArray, FloatArray | None, FloatArray]:
        h, c = h.copy(), None if c is None else c.copy()
        self.net.advance(indptr, ids, h, c, self._num_threads)
        return h, c, self.output(h)


class GraphEngine:
    """Any graph that fits the contract, run by ONNX Runtime.

    Sequences are sorted by length and cut into blocks of rows; a block advances in rectangles, each as long as its
    shortest row has left, and finished rows drop out. So nothing is ever padded, no row is ever sent without an event
    (the runtime would clear its state), and memory does not grow with the length.

    Whether the runtime gives a row the same bits in every shape is tried out when the engine is made (ONNX Runtime does
    for its LSTM, GRU and RNN on x86). Where it does not, every run gets one and the same shape, one step of
    ``_FIXED_ROWS`` rows, filled up with copies of the last row; where even that does not help, ``bitwise`` is False.
    """

    name = "onnxruntime"
    _FIXED_ROWS = 16

    def __init__(
        self,
        session: GraphSession,
        contract: SequenceContract,
        sizes: list[int],
        num_threads: int,
        head: StateHead | None = None,
    ) -> None:
        self._session, self._contract, self._head = session, contract, head
        self.layers, self.hidden, self.has_cell = contract.layers, contract.hidden, contract.has_cell
        self.output_size = contract.output_size or contract.hidden
        self.output_of_state = contract.output is None or head is not None
        self._roles = [r for r in ("items", "event_types", "gaps") if r in contract.tensors]
        self._states = ["hn", "cn"] if contract.has_cell else ["hn"]
        self._fixed = False
        try:
            session.warm_up(contract.feeds(2, 1))
            self.device = session.device  # known for certain after the first run
            # Large enough for the matrix products to run at their full rate, small enough to stay in cache.
            self._rows, self._steps = (64, 8) if self.device == "cpu" else (8192, 64)
            if contract.one_step:
                self._steps = 1
            self._num_threads = (num_threads or get_num_threads()) if self.device == "cpu" else 1
            self._check_outputs()
            self.bitwise = self._try_out(sizes)
            if not self.bitwise:
                self._fixed = True
                self.bitwise = self._try_out(sizes)
        except Exception as e:
            if isinstance(e, DeviceUnavailable) or (isinstance(e, EcocoreError) and "ONNXRuntimeError" not in str(e)):
                raise
            self._explain_rows(str(e), sizes)
            raise InvalidArgument(
                f"graph: it fails when it is tried out ({str(e).strip().splitlines()[-1][:400]}); where an exporter has"
                " frozen the time axis by unrolling a loop, export one step, items [batch, 1]"
            ) from e

    def advance(
        self,
        indptr: Int64Array,
        ids: list[Int32Array],
        features: FloatArray | None,
        h: FloatArray,
        c: FloatArray | None,
    ) -> tuple[FloatArray, FloatArray | None, FloatArray]:
        h, c = h.copy(), None if c is None else c.copy()
        lengths = np.diff(indptr)
        out = np.zeros((lengths.size, self.output_size), np.float32)
        order = np.argsort(-lengths, kind="stable")
        order = order[: int(np.count_nonzero(lengths))]
        rows = self._FIXED_ROWS if self._fixed else self._rows
        if order.size and not self._fixed:  # of short sequences more at once, as many events a run as else
            rows *= max(1, self._steps // int(lengths[order[0]]))
        blocks = [order[i : i + rows] for i in range(0, order.size, rows)]

        def run(block: Int64Array) -> None:
            self._advance_block(block, indptr, ids, features, h, c, out)

        if self._num_threads > 1 and len(blocks) > 1:
            with ThreadPoolExecutor(self._num_threads) as pool:
                for future in [pool.submit(run, block) for block in blocks]:
                    future.result()
        else:
            for block in blocks:
                run(block)
        return h, c, self.output(h) if self.output_of_state else out

    def output(self, h: FloatArray) -> FloatArray:
        return np.ascontiguousarray(h[:, -1]) if self._head is None else self._head.output(h)

    def _advance_block(
        self,
        block: Int64Array,
        indptr: Int64Array,
        ids: list[Int32Array],
        features: FloatArray | None,
        h: FloatArray,
        c: FloatArray | None,
        out: FloatArray,
    ) -> None:
        """Rows of ``block``, of falling length, to their ends."""
        begin, left = indptr[block].copy(), np.diff(indptr)[block]
        states = [h[block]] if c is None else [h[block], c[block]]
        active = block.size
        while active:
            steps = min(int(left[active - 1]), 1 if self._fixed else self._steps)
            left[:active] -= steps
            finishing = int(left[active - 1]) == 0
            at = begin[:active, None] + np.arange(steps)
            begin[:active] += steps
            results = self._run([a[at] for a in ids], None if features is None else features[at], states, finishing)
            states = results[: len(states)]
            still = int(np.count_nonzero(left[:active]))
            if finishing:
                done = block[still:active]
                h[done] = states[0][still:]
                if c is not None:
                    c[done] = states[1][still:]
                if not self.output_of_state:
                    out[done] = results[-1][still:]
                states, active = [s[:still] for s in states], still

    def _run(self, ids: list[Any], features: Any, states: list[FloatArray], with_output: bool) -> list[FloatArray]:
        """New states, rows first, and the output where it is asked for; every state of the result is finite."""
        contract = self._contract
        rows, steps = ids[0].shape
        if self._fixed:
            fill = np.minimum(np.arange(self._FIXED_ROWS), rows - 1)
            ids, states = [a[fill] for a in ids], [s[fill] for s in states]
            features = None if features is None else features[fill]
        feeds = contract.feeds(len(ids[0]), steps)
        for name, values in zip(map(contract.name, self._roles), ids, strict=True):
            feeds[name] = np.ascontiguousarray(values, feeds[name].dtype)
        if features is not None:
            feeds[contract.name("features")] = np.ascontiguousarray(features)
        for slot, state in zip(("h0", "c0"), states, strict=False):
            feeds[contract.name(slot)] = np.ascontiguousarray(state.swapaxes(0, 1) if contract.stacked else state[:, 0])
        names = [contract.name(r) for r in self._states]
        if with_output and not self.output_of_state:
            names.append(contract.name(str(contract.output)))
        results = self._session.run(names, feeds)
        for i in range(len(states)):
            results[i] = results[i].swapaxes(0, 1) if contract.stacked else results[i][:, None]
        for name, result in zip(names, results, strict=True):
            if not np.isfinite(result).all():
                raise InvalidArgument(f"graph: output {name!r} has NaN or inf; its weights overflow or are broken")
        return [r[:rows] for r in results]

    def _explain_rows(self, text: str, sizes: list[int]) -> None:
        """Raises what is wrong where a table of the graph has fewer rows than there are ids."""
        bounds = re.search(r"out of data bounds, idx=.* range \[-\d+,(\d+)\]", text)
        if bounds is None:
            return
        rows = int(bounds[1]) + 1
        arguments = {"items": ("item_ids", 1), "event_types": ("event_type_ids", 1), "gaps": ("gap_boundaries", 2)}
        wrong = [(*arguments[role], size) for role, size in zip(self._roles, sizes, strict=True) if size > rows]
        wrong.sort(key=lambda w: w[2])  # of several that would explain it, first the one that is nearest
        if wrong:
            what = " or ".join(f"{name} {rows - more} (got {size - more})" for name, more, size in wrong)
            raise InvalidArgument(
                f"{wrong[0][0]}: the ids and a table of the graph differ: the table has {rows} rows, row 0 for unknown"
                f" ids, so that it is expected to have of {what}; give the ids that it was trained with, in its order"
            )

    def _check_outputs(self) -> None:
        """The shapes that come out, which exporters leave open or even state wrongly."""
        contract = self._contract
        names = [contract.name(r) for r in [*self._states, *([contract.output] if contract.output else [])]]
        wanted = [contract.state_shape(2)] * len(self._states) + [(2, contract.output_size)]
        for name, result, shape in zip(names, self._session.run(names, contract.feeds(2, 1)), wanted, strict=False):
            if result.shape != shape or result.dtype != np.float32:
                raise InvalidArgument(
                    f"graph: output {name!r}: expected float32 {shape} for two sequences; got {result.dtype}"
                    f" {result.shape}; return the state in the form in which it is taken"
                )

    def _try_out(self, sizes: list[int]) -> bool:
        """Whether random sequences give the same bits alone, together, and cut in two."""
        random = np.random.default_rng(0)
        lengths = np.array([5, 1, 9, 3, 9, 2, 16, 17, 4, 4, 11, 1, 1, 1, 1, 7, 8, 30])
        indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        events = int(indptr[-1])
        ids = [random.integers(0, size, events).astype(np.int32) for size in sizes]
        for rows, size in zip(ids, sizes, strict=True):
            rows[0] = size - 1  # so that a table that is one row short is found out
        size = self._contract.feature_size
        features = random.standard_normal((events, size)).astype(np.float32) if size else None
        shape = (lengths.size, self.layers, self.hidden)
        h = random.uniform(-0.5, 0.5, shape).astype(np.float32)
        c = random.uniform(-1, 1, shape).astype(np.float32) if self.has_cell else None

        def part(rows: list[int], cut: Callable[[int], tuple[int, int]], h: Any, c: Any) -> Any:
            spans = [(indptr[r] + cut(lengths[r])[0], indptr[r] + cut(lengths[r])[1]) for r in rows]
            at = np.concatenate([np.arange(a, b) for a, b in spans])
            own = np.concatenate([[0], np.cumsum([b - a for a, b in spans])]).astype(np.int64)
            return self.advance(own, [a[at] for a in ids], None if features is None else features[at], h, c)

        everything = list(range(lengths.size))
        whole = part(everything, lambda n: (0, n), h, c)
        first = part(everything, lambda n: (0, n // 2), h, c)
        second = part(everything, lambda n: (n // 2, n), first[0], first[1])
        alone = [part([r], lambda n: (0, n), h[[r]], None if c is None else c[[r]]) for r in everything]
        for i, result in enumerate(whole):
            if result is None:
                continue
            if not np.array_equal(result, second[i]) or not np.array_equal(
                result, np.concatenate([a[i] for a in alone])
            ):
                return False
        return True


def progress_slices(indptr: Int64Array, events: int) -> list[tuple[int, int]]:
    """Ranges of sequences with about so many events each."""
    total = int(indptr[-1])
    cuts = np.searchsorted(indptr, np.arange(events, max(total, events), events), side="left")
    return list(itertools.pairwise(sorted({0, *cuts.tolist(), indptr.size - 1}))) or [(0, 0)]
