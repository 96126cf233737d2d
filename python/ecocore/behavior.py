"""Users' behaviour by a recurrent network: from what they did to a state, interest in items, and the best items."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from .arrays import as_count, as_finite_vector, as_matrix, describe
from .behavior_folder import CONTRACT, KIND, check_folder, identity, vocabulary_of
from .errors import FormatError, InvalidArgument
from .event_shares import EventShares, as_event_counts
from .explanation import Explanation, explained
from .ids import IdMap
from .onnx.contract import SequenceContract
from .onnx.graph import GraphInfo, GraphLimits, read_graph
from .onnx.session import Device, GraphSession
from .recurrent import Engine, GraphEngine, NativeEngine, StateHead, progress_slices
from .sequences import EventRows, Vocabulary
from .storage import file_hashes, read_hashed_folder, write_folder
from .topk import TopKIndex
from .weights import widen

__all__ = ["BehaviorModel", "Encoded", "Explanation", "Recommendations"]

FloatArray = npt.NDArray[np.float32]
Array = npt.NDArray[Any]

_SCRATCH = 1 << 20  # scores at once, beside the result
_MOST_THREADS, _MOST_BYTES = (1 << 31) - 1, (1 << 63) - 1  # what native code can be told
_SLICE_EVENTS = 1 << 22  # events between two signs of progress, and in memory as temporaries


class Recommendations(NamedTuple):
    """The best items, best first: the shop's own ids (int64, or text) and scores, float32, of equal shape.

    Where a filter leaves fewer than k, the rest has id -1 (None among text) and score -inf.
    """

    ids: Array
    scores: FloatArray


@dataclass(frozen=True)
class Encoded:
    """States after sequences of events; ``encode(more, initial=this)`` goes on from them, to the bit.

    ``h`` and, for LSTM, ``c``: float32 [sequences, layers, hidden]. ``query``: float32 [sequences, n], what the model
    makes of a state (for most models: what item vectors are multiplied with). ``last_time``: latest time of each
    sequence, seconds, NaN where none is known. ``unknown``: events whose item the model does not know, which count as
    its out-of-vocabulary row. ``late``: events with a time before the latest one, which count as a gap of zero.
    ``events``: int64 [sequences], how many are behind each state, those before ``initial`` too. ``model``: the
    ``sha256`` of the model whose states these are; another refuses them. None, of states put together by hand: any
    model whose states have this shape takes them.
    """

    h: FloatArray
    c: FloatArray | None
    query: FloatArray
    last_time: npt.NDArray[np.float64]
    unknown: int
    late: int
    events: npt.NDArray[np.int64]
    model: str | None = None

    def __len__(self) -> int:
        return len(self.h)


class BehaviorModel:
    """A trained recurrent model over sequences of items, with its vocabulary and item vectors.

    Made by :meth:`load` from the folder that ``ecocore.train.behavior`` or :meth:`save` wrote, or by :meth:`from_graph`
    from a graph of your own. A model does not change; any number of threads may use it at once.

    For the same sequence the same bits come out, whether it is given alone or among others, whole or in pieces that go
    on from one another, on any number of threads. (``model.info["bitwise"]`` says so; False only for a graph of one's
    own that ONNX Runtime cannot run so, and on CUDA.)

    Of a sequence without an event nothing is known, and the network's answer to its zero state means nothing, since
    training always asks after an event. :meth:`recommend`, :meth:`probabilities` and :meth:`explain` then answer by
    each item's share of the training events. A model whose ``info["item_counts"]`` is False (an older folder, a graph
    that was given none) has no shares and answers by the zero state after all: while a user has no event, rather ask
    ``ecocore.Popularity`` then. A sequence of unknown items alone is not empty. :meth:`encode` is the network's own.
    """

    def __init__(
        self,
        engine: Engine,
        vocabulary: Vocabulary,
        index: TopKIndex | None,
        *,
        probability: str,
        sha256: str,
        info: Mapping[str, Any],
        parts: tuple[dict[str, Any], dict[str, Array]],
    ) -> None:
        counts = parts[1].get("item_counts")
        self._engine = engine
        self._vocabulary = vocabulary
        self._index = index
        self._probability = probability
        self._shares = None if counts is None else EventShares(counts[1:])
        self._parts = parts
        self.sha256 = sha256
        self.info = {
            **info,
            "engine": engine.name,
            "device": engine.device,
            "bitwise": engine.bitwise,
            "layers": engine.layers,
            "hidden": engine.hidden,
            "items": len(vocabulary.items),
            "item_counts": counts is not None,
        }

    # ---- making one ------------------------------------------------------------------------------------------------

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        device: Device = "auto",
        *,
        engine: Literal["auto", "native", "onnxruntime"] = "auto",
        limits: GraphLimits | None = None,
        table_bytes: int = 1 << 30,
        num_threads: int = 0,
        verify: bool = False,
    ) -> BehaviorModel:
        """The model of a folder.

        ``device``: "cpu", "cuda" (raises DeviceUnavailable where it cannot be had) or "auto": native code on the CPU
        where the folder holds plain weights, as one event at a time is quickest there; for other graphs CUDA where it
        runs the whole model, else the CPU for the whole (``info["device"]`` says which). ``engine``: "native" is the
        library's own code, "onnxruntime" runs the folder's graph. ``table_bytes``: native code multiplies the item
        table ahead (4 x hidden floats an item for LSTM) if it fits into so much. ``limits``: what a graph may contain.
        ``verify`` compares every file's checksum, which reads all of it.

        Raises FormatError for a damaged folder or a refused graph, InvalidArgument for a wrong argument and for a graph
        that does not fit the contract, MissingExtra where ONNX Runtime is needed and absent.
        """
        # Before the folder is read, whose fault a wrong argument would else seem to be.
        num_threads = as_count(num_threads, "num_threads", minimum=0, maximum=_MOST_THREADS)
        table_bytes = as_count(table_bytes, "table_bytes", minimum=0, maximum=_MOST_BYTES)
        if engine not in ("auto", "native", "onnxruntime"):
            raise InvalidArgument(f"engine: expected 'auto', 'native' or 'onnxruntime'; got {engine!r}")
        meta, arrays, hashes = read_hashed_folder(path, KIND, verify=verify)
        where = str(path)
        has_weights = check_folder(meta, arrays, where)
        with _named_folder(where, "item_ids and event_type_ids"):
            vocabulary = vocabulary_of(meta, arrays, where)
        index = None
        if "item_vectors" in arrays:
            bias = arrays["item_bias"][1:] if meta.get("item_bias") else None
            with _named_folder(where, "item_vectors and item_bias"):
                index = TopKIndex(widen(arrays, "item_vectors")[1:], bias=bias, num_threads=num_threads)
        if engine == "native" and (not has_weights or device == "cuda"):
            why = "runs on the CPU" if has_weights else "needs plain weights, which this folder lacks"
            raise InvalidArgument(f"engine: 'native' {why}; use engine='onnxruntime'")
        made: Engine
        if has_weights and engine != "onnxruntime" and device in ("auto", "cpu"):
            with _named_folder(where, "weights"):
                made, info = NativeEngine(meta, arrays, table_bytes, num_threads), {"cell": meta["cell"]}
            info["table_ahead"], info["table_memory"] = made.net.projected, made.net.table_memory
        else:
            with _named_folder(where, "weights"):
                head = StateHead(meta, arrays, 0, num_threads) if has_weights else None
            made, info = _graph_engine(
                arrays["graph"].tobytes(), f"{where}: graph", device, limits, meta.get("roles"), vocabulary,
                num_threads, meta["graph"]["sha256"], head,
            )  # fmt: skip
        if meta.get("compression"):
            info["compression"] = meta["compression"]
        return cls(
            made,
            vocabulary,
            index,
            probability=str(meta["probability"]),
            sha256=identity(meta, hashes),
            info=info,
            parts=(meta, arrays),
        )

    @classmethod
    def from_graph(
        cls,
        graph: str | os.PathLike[str] | bytes,
        item_ids: Any,
        *,
        event_type_ids: Any = None,
        gap_boundaries: Sequence[float] = (),
        item_vectors: Any = None,
        item_bias: Any = None,
        item_counts: Any = None,
        probability: Literal["sigmoid", "softmax"] = "sigmoid",
        roles: Mapping[str, str] | None = None,
        device: Device = "auto",
        limits: GraphLimits | None = None,
        num_threads: int = 0,
    ) -> BehaviorModel:
        """A model of a graph of your own, exported from PyTorch, Keras or elsewhere; docs/own-graph.md shows how.

        ``graph``: an ONNX file that fits the contract (:mod:`ecocore.onnx.contract`); ``roles`` names its tensors where
        they have other names. ``item_ids``: the item of each row of its embedding from row 1 on; row 0 stands for
        unknown items. ``event_type_ids``: likewise. ``gap_boundaries``: rising seconds that part the gap buckets.
        ``item_vectors`` [items, n] and ``item_bias``: what the graph's output ``state`` (or, without one, its last
        layer's state) is multiplied with; without them the graph must have an output ``probabilities``. ``probability``
        says what becomes of such scores. ``item_counts``: whole numbers [items], how often each item comes in the
        events that the graph was trained on, by which sequences without an event are answered.

        Raises FormatError for a graph that is refused, InvalidArgument for one that does not fit.
        """
        num_threads = as_count(num_threads, "num_threads", minimum=0, maximum=_MOST_THREADS)
        if not isinstance(graph, (bytes, str, os.PathLike)):
            raise InvalidArgument(f"graph: expected the path of an ONNX file, or its bytes; got {describe(graph)}")
        data, _ = read_graph(graph, limits)
        gaps = [float(b) for b in gap_boundaries]
        meta: dict[str, Any] = {"contract": CONTRACT, "probability": probability, "roles": dict(roles or {})}
        meta |= {"gap_boundaries": gaps, "graph": {"sha256": hashlib.sha256(data).hexdigest()}}
        arrays: dict[str, Array] = {"graph": np.frombuffer(data, np.uint8)}
        for name, ids in (("item_ids", item_ids), ("event_type_ids", event_type_ids)):
            if ids is None:
                meta[name] = None
                continue
            meta[name], parts = (ids if isinstance(ids, IdMap) else IdMap(ids, name=name)).to_parts()
            arrays |= {f"{name}_{part}": a for part, a in parts.items()}
        if probability not in ("sigmoid", "softmax"):
            raise InvalidArgument(f"probability: expected 'sigmoid' or 'softmax'; got {probability!r}")
        vocabulary = vocabulary_of(meta, arrays, "graph")
        where = "graph" if isinstance(graph, bytes) else str(graph)
        made, info = _graph_engine(data, where, device, limits, roles, vocabulary, num_threads, None)
        index = None
        if item_vectors is not None:
            vectors = as_matrix(item_vectors, "item_vectors")
            bias = None if item_bias is None else as_finite_vector(item_bias, "item_bias", len(vectors))
            index = TopKIndex(vectors, bias=bias, num_threads=num_threads)
            if index.factors.shape != (len(vocabulary.items), made.output_size):
                raise InvalidArgument(
                    f"item_vectors: expected shape ({len(vocabulary.items)}, {made.output_size}), a row for every item"
                    f" and a column for each number of the graph's {made.output_name!r}; got {index.factors.shape}"
                )
            meta["item_bias"] = item_bias is not None
            zero = np.zeros((1, made.output_size), np.float32)
            arrays["item_vectors"] = np.concatenate([zero, index.factors])
            if index.bias is not None:
                arrays["item_bias"] = np.concatenate([zero[0, :1], index.bias])
        elif made.output_name != "probabilities":
            raise InvalidArgument(
                f"item_vectors: expected them, because {where} has no output 'probabilities' over all items"
                f" (float32 [batch, {len(vocabulary.items)}]); got none"
            )
        if item_counts is not None:
            counts = as_event_counts(item_counts, len(vocabulary.items))
            arrays["item_counts"] = np.concatenate([np.zeros(1, np.int64), counts])
        sha256 = identity(meta, file_hashes(arrays))
        model = cls(made, vocabulary, index, probability=probability, sha256=sha256, info=info, parts=(meta, arrays))
        model._check_columns(where)
        return model

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model as a folder that :meth:`load` reads."""
        write_folder(path, KIND, *self._parts)

    def __repr__(self) -> str:
        i = self.info
        return f"BehaviorModel({i['items']} items, state {i['layers']} x {i['hidden']}, {i['engine']} on {i['device']})"

    # ---- using it --------------------------------------------------------------------------------------------------

    @property
    def items(self) -> IdMap:
        """The items that the model knows."""
        return self._vocabulary.items

    @property
    def vocabulary(self) -> Vocabulary:
        return self._vocabulary

    @property
    def engine(self) -> Engine:
        return self._engine

    def encode(
        self,
        sequences: Any,
        *,
        event_types: Any = None,
        times: Any = None,
        features: Any = None,
        initial: Encoded | None = None,
        progress: bool | Callable[[int, int], None] = False,
    ) -> Encoded:
        """The states after each sequence.

        ``sequences``: for each user the list or array of item ids, oldest first; or the pair (indptr, item ids) of one
        flat array. ``event_types`` (ids), ``times`` (seconds, datetimes or datetime64) and ``features`` (n floats an
        event) have the same form, for models that take them. An empty sequence leaves its state as it was.
        ``initial``: states to go on from, of this model. ``progress``: True prints to stderr, or a function of (events
        done, events in all).

        Memory beside the result stays the same however long the sequences are.
        """
        sequences = _kept(sequences)
        if initial is not None:
            self._check_initial(initial)
        clock = None if initial is None else initial.last_time
        if initial is not None and isinstance(sequences, Sized) and len(initial) != _count(sequences):
            raise InvalidArgument(f"initial: expected {_count(sequences)} states; got {len(initial)}")
        rows = self._vocabulary.rows(sequences, event_types, times, features, last_time=clock)
        h, c = self._zeros(len(rows)) if initial is None else (initial.h, initial.c)
        encoded = self._advance(rows, h, c, _reporter(progress))
        if initial is not None:
            encoded.events[:] += initial.events
            if not self._engine.output_of_state:
                idle = np.diff(rows.indptr) == 0  # such an output is only there after an event: the former one stands
                encoded.query[idle] = initial.query[idle]
        return encoded

    def probabilities(self, sequences: Any, items: Any = None, **inputs: Any) -> FloatArray:
        """The probability of interest, float32 [sequences, items]: in the given items, in all that the model knows by
        default (columns in the order of ``model.items``).

        What it is the probability of, the training decided: of each item by itself (sigmoid), or of the next item being
        this one among the given (softmax). ``inputs`` as for :meth:`encode`.

        Of a sequence without an event (``initial`` included) it is the item's share of the training events of known
        items, or, for softmax, of those of the given items (all equal where these have none); without
        ``info["item_counts"]`` what the network makes of its zero state.
        """
        return self._probabilities(self.encode(sequences, **inputs), items)

    def recommend(
        self,
        sequences: Any,
        k: int,
        *,
        exclude_seen: bool = False,
        allow: Any = None,
        deny: Any = None,
        **inputs: Any,
    ) -> Recommendations:
        """The k best items after each sequence. ``exclude_seen`` leaves out what is in the sequence itself; ``allow``
        and ``deny`` are item ids for all. ``inputs`` as for :meth:`encode`.

        After no event (``initial`` included) the items of the largest share of the training events come first, equal
        ones by the lower code; the score is the natural logarithm of the share. Items of no training event come last,
        their score that of half an event, so that it is finite. The order is that of the counts, even where float32
        rounds two scores to one. Without ``info["item_counts"]``: what the network makes of its zero state.
        """
        sequences = _kept(sequences)
        rows = self._vocabulary.rows(sequences) if exclude_seen else None
        encoded = self.encode(sequences, **inputs)
        exclude = None
        if rows is not None:
            exclude = _seen(rows, len(self.items))
        cold = encoded.events == 0
        if self._shares is None or not cold.any():
            return self.recommend_for(encoded.query, k, exclude=exclude, allow=allow, deny=deny)
        k, allow, deny = self._limits(k, allow, deny)
        codes, scores = np.empty((len(encoded), k), np.int64), np.empty((len(encoded), k), np.float32)
        codes[cold], scores[cold] = self._shares.best(k, allow, deny)
        warm = np.flatnonzero(~cold)
        if warm.size:
            own = None if exclude is None else _without_empty(exclude, warm)
            codes[warm], scores[warm] = self._search(encoded.query[warm], k, own, allow, deny)
        return Recommendations(_named(self.items, codes), scores)

    def explain(
        self,
        sequence: Any,
        item: Any,
        *,
        method: Literal["occlusion", "replacement", "gradients"] = "occlusion",
        window: int = 256,
        steps: int = 64,
        event_types: Any = None,
        times: Any = None,
        features: Any = None,
    ) -> Explanation:
        """Which of the last ``window`` events moved the probability of ``item``, and by how much.

        "occlusion" asks what the probability would be without the event, "replacement" what it would be had the item
        been an unknown one. One batch of ``window`` sequences (two for "replacement"); the events before the window are
        run once.

        "gradients": integrated gradients (Sundararajan, Taly and Yan, Axiomatic attribution for deep networks, ICML
        2017). With x_t the input vector of event t (item, event type and gap summed) and x'_t the same with an unknown
        item, the contribution of t is ``(x_t - x'_t) . mean over k of dp/dx_t at x' + (k + 1/2) / steps * (x - x')``,
        k from 0 to ``steps`` - 1, all events moved at once. So event types and gaps are on both sides, as in
        "replacement", and what is told is the item's part. The contributions add up to ``probability - baseline``, but
        for an error that falls with the square of ``steps``, and for int8 tables multiplied ahead, whose rounding
        gradients do not follow. Takes ``steps`` passes over the window and back in float64, on the CPU, whatever the
        model runs on. Needs a folder with plain weights.

        Gradients tell what goes beyond ``baseline``, occlusion what the one event does. They name the same causes, and
        agree on the rank of the rest, unless a model that was trained on few unknown items reads a window of them as if
        the cause were among them: ``baseline`` is then about as high as ``probability`` or higher, the cause gets
        little of what is left, and another event may come first. Ask "occlusion" there, or train with
        ``item_dropout=0.2``. (Of an item that only one other brings about, gradients named the cause in 40 to 100 % of
        sequences with 0.01, in all with 0.2; occlusion in 99 % and more with either.)

        ``Explanation.layers``, for every method: how far each layer's last state moves without the event.

        Probabilities are those of :meth:`probabilities`: without its only event a sequence is empty, and what it is
        compared with by "occlusion" is the item's share of the training events.

        Raises InvalidArgument for an unknown item, method or input, for ``window`` or ``steps`` below 1, and for
        "gradients" of a graph of one's own.
        """
        return explained(
            self, sequence, item, method=method, window=window, steps=steps, event_types=event_types, times=times,
            features=features,
        )  # fmt: skip

    # ---- from queries ------------------------------------------------------------------------------------------------

    def probabilities_of(self, query: FloatArray, items: Any = None) -> FloatArray:
        """As :meth:`probabilities`, of ``Encoded.query``: the network's own, of the zero state too."""
        codes = None if items is None else self.items.codes(items, name="items")
        if self._index is None:
            p = query[:, -len(self.items) :]
            return np.ascontiguousarray(p if codes is None else p[:, codes])
        if codes is not None and codes.size == 0:
            return np.empty((len(query), 0), np.float32)
        wanted = np.arange(len(self.items)) if codes is None else np.unique(codes)
        out = np.empty((len(query), wanted.size if codes is None else codes.size), np.float32)
        step = max(1, _SCRATCH // wanted.size)
        for begin in range(0, len(query), step):
            found = self._index.search(query[begin : begin + step], wanted.size, allow=wanted)
            # In the order of scores, and back to that of items: the canonical score of the index, same bits in any
            # batch.
            scores = np.empty(found.scores.shape, np.float32)
            np.put_along_axis(scores, np.searchsorted(wanted, found.ids), found.scores, axis=1)
            x = scores if codes is None else scores[:, np.searchsorted(wanted, codes)]
            out[begin : begin + step] = self._as_probabilities(x.astype(np.float64))
        return out

    def _as_probabilities(self, x: npt.NDArray[np.float64]) -> FloatArray:
        if self._probability == "sigmoid":
            sigmoid: FloatArray = (1.0 / (1.0 + np.exp(-np.clip(x, -700, 700)))).astype(np.float32)
            return sigmoid
        e = np.exp(x - x.max(axis=1, keepdims=True))
        softmax: FloatArray = (e / e.sum(axis=1, keepdims=True)).astype(np.float32)
        return softmax

    def recommend_for(
        self, query: FloatArray, k: int, *, exclude: Any = None, allow: Any = None, deny: Any = None
    ) -> Recommendations:
        """As :meth:`recommend`, of ``Encoded.query``: the network's own, of the zero state too. ``exclude``: a CSR
        matrix [queries, items]."""
        k, allow, deny = self._limits(k, allow, deny)
        codes, scores = self._search(query, k, exclude, allow, deny)
        return Recommendations(_named(self.items, codes), scores)

    # ---- within ------------------------------------------------------------------------------------------------------

    def _probabilities(self, encoded: Encoded, items: Any) -> FloatArray:
        cold = encoded.events == 0
        if self._shares is None or not cold.any():
            return self.probabilities_of(encoded.query, items)
        codes = None if items is None else self.items.codes(items, name="items")
        # A graph's own probabilities are what they are, whatever is asked for; so are the shares beside them.
        among = self._probability == "softmax" and self._index is not None
        shares = self._shares.probabilities(codes, among=among)
        if cold.all():
            return np.repeat(shares[None], len(encoded), axis=0)
        p = self.probabilities_of(encoded.query, items)  # of all rows: to ask for some and copy would take memory twice
        p[cold] = shares
        return p

    def _limits(self, k: Any, allow: Any, deny: Any) -> tuple[int, Array | None, Array | None]:
        """k, and the codes of the items that the model knows."""
        k = as_count(k, "k", maximum=len(self.items))
        known = {
            name: None if ids is None else self.items.codes(ids, missing=-1, name=name)
            for name, ids in (("allow", allow), ("deny", deny))
        }
        allow, deny = (None if x is None else x[x >= 0] for x in known.values())
        return k, allow, deny

    def _search(
        self, query: FloatArray, k: int, exclude: Any, allow: Array | None, deny: Array | None
    ) -> tuple[npt.NDArray[np.int64], FloatArray]:
        if self._index is None:
            return _best(query[:, -len(self.items) :], k, exclude, allow, deny)
        found = self._index.search(query, k, exclude=exclude, allow=allow, deny=deny)
        return found.ids, found.scores

    def _check_initial(self, initial: Any) -> None:
        if not isinstance(initial, Encoded):
            raise InvalidArgument(f"initial: expected an Encoded, as encode gives it; got {describe(initial)}")
        if initial.model not in (None, self.sha256):
            raise InvalidArgument(
                f"initial: expected states of this model ({self.sha256[:12]}...); got those of another"
                f" ({str(initial.model)[:12]}...); states of two models cannot mix: encode the whole sequences with"
                " this one"
            )

    def _zeros(self, rows: int) -> tuple[FloatArray, FloatArray | None]:
        shape = (rows, self._engine.layers, self._engine.hidden)
        return np.zeros(shape, np.float32), np.zeros(shape, np.float32) if self._engine.has_cell else None

    def _advance(
        self, rows: EventRows, h: FloatArray, c: FloatArray | None, report: Callable[[int, int], None] | None = None
    ) -> Encoded:
        shape = (len(rows), self._engine.layers, self._engine.hidden)
        if h.shape != shape or (c is None) == self._engine.has_cell:
            raise InvalidArgument(f"initial: expected states of shape {shape} of this model; got {h.shape}")
        total = int(rows.indptr[-1])
        slices = progress_slices(rows.indptr, _SLICE_EVENTS)
        if len(slices) == 1:
            h, c, query = self._engine.advance(rows.indptr, rows.ids, rows.features, h, c)
            if report is not None:
                report(total, total)
        else:
            new_h, new_c = np.empty_like(h), None if c is None else np.empty_like(c)
            query = np.empty((len(rows), self._engine.output_size), np.float32)
            for a, b in slices:
                part = rows.take(a, b)
                new_h[a:b], some_c, query[a:b] = self._engine.advance(
                    part.indptr, part.ids, part.features, h[a:b], None if c is None else c[a:b]
                )
                if new_c is not None:
                    new_c[a:b] = some_c
                if report is not None:
                    report(int(rows.indptr[b]), total)
            h, c = new_h, new_c
        return Encoded(h, c, query, rows.last_time, rows.unknown, rows.late, np.diff(rows.indptr), self.sha256)

    def _check_columns(self, where: str) -> None:
        n = len(self.items)
        if self._index is None and self._engine.output_size not in (n, n + 1):
            raise InvalidArgument(
                f"{where}: output 'probabilities': expected {n} columns, one for every item (or {n + 1}, with the"
                f" out-of-vocabulary row first); got {self._engine.output_size}; give as many item_ids"
            )


class _GraphEngine(GraphEngine):
    """The engine with what the model says of it."""

    @property
    def output_name(self) -> str:
        return self._contract.output or "hn"


def _graph_engine(
    data: bytes,
    where: str,
    device: Device,
    limits: GraphLimits | None,
    roles: Mapping[str, str] | None,
    vocabulary: Vocabulary,
    num_threads: int,
    sha256: str | None,
    head: StateHead | None = None,
) -> tuple[_GraphEngine, dict[str, Any]]:
    data, graph = read_graph(data, limits, where)
    if sha256 is not None and graph.sha256 != sha256:
        raise FormatError(f"{where}: expected sha256 {sha256}; got {graph.sha256}; copy or save the model again")
    contract = SequenceContract.of(graph, roles, where)
    vocabulary.feature_size = contract.feature_size
    sizes = [len(vocabulary.items) + 1]
    for role, ids in (("event_types", vocabulary.event_types), ("gaps", vocabulary.gap_boundaries)):
        if (role in contract.tensors) != (ids is not None):
            argument = "event_type_ids" if role == "event_types" else "gap_boundaries"
            raise InvalidArgument(
                f"{argument}: {where} has {'an' if role in contract.tensors else 'no'} input {role!r};"
                f" {'give' if role in contract.tensors else 'leave out'} {argument}"
            )
        if ids is not None:
            sizes.append(len(ids) + (1 if role == "event_types" else 2))
    session = GraphSession(data, device=device)
    engine = _GraphEngine(session, contract, sizes, num_threads, head)
    return engine, {"cell": contract.cell, **_described(graph)}


def _described(graph: GraphInfo) -> dict[str, Any]:
    return {"opset": graph.opset, "operators": graph.operators, "producer": graph.producer}


@contextlib.contextmanager
def _named_folder(where: str, what: str) -> Iterator[None]:
    """What is refused of a folder is the folder's fault, not an argument's."""
    try:
        yield
    except (InvalidArgument, FormatError) as e:
        raise FormatError(f"{where}: {what}: {e}; copy or train the model again") from e


def _kept(sequences: Any) -> Any:
    """The sequences, in a list where they could be read but once."""
    return list(sequences) if isinstance(sequences, Iterator) else sequences


def _count(sequences: Any) -> int:
    pair = isinstance(sequences, tuple) and len(sequences) == 2 and isinstance(sequences[0], np.ndarray)
    return len(sequences[0]) - 1 if pair else len(sequences)


class _Pattern(NamedTuple):
    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]
    shape: tuple[int, int]


def _seen(rows: EventRows, n_items: int) -> _Pattern:
    """The known items of each sequence, once each, as a CSR pattern."""
    sequence = np.repeat(np.arange(len(rows)), np.diff(rows.indptr))
    known = rows.ids[0] > 0
    pairs = np.unique(sequence[known] * n_items + (rows.ids[0][known].astype(np.int64) - 1))
    indptr = np.searchsorted(pairs, np.arange(len(rows) + 1) * n_items)
    return _Pattern(indptr.astype(np.int64), (pairs % n_items).astype(np.int32), (len(rows), n_items))


def _without_empty(pattern: _Pattern, rows: npt.NDArray[np.int64]) -> _Pattern:
    """The given rows of a pattern whose others have no entries."""
    indptr = np.append(pattern.indptr[rows], pattern.indptr[-1])
    return _Pattern(indptr, pattern.indices, (rows.size, pattern.shape[1]))


def _best(p: FloatArray, k: int, exclude: Any, allow: Any, deny: Any) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """The k largest of each row, ties by the lower code; -1 and -inf where fewer are left."""
    p = p.copy()
    if allow is not None:
        barred = np.ones(p.shape[1], bool)
        barred[allow] = False
        p[:, barred] = -np.inf
    if deny is not None:
        p[:, deny] = -np.inf
    if exclude is not None:
        p[np.repeat(np.arange(len(p)), np.diff(exclude.indptr)), exclude.indices] = -np.inf
    codes = np.argsort(-p, axis=1, kind="stable")[:, :k]
    scores = np.take_along_axis(p, codes, axis=1)
    return np.where(np.isneginf(scores), -1, codes), scores


def _named(items: IdMap, codes: npt.NDArray[np.int64]) -> Array:
    missing = codes < 0
    flat = items[np.where(missing, 0, codes).reshape(-1)].reshape(codes.shape)
    if missing.any():
        flat[missing] = -1 if items.kind == "int" else None
    named: Array = flat
    return named


def _reporter(progress: bool | Callable[[int, int], None]) -> Callable[[int, int], None] | None:
    if progress is False:
        return None
    if callable(progress):
        return progress
    begin = time.perf_counter()

    def show(done: int, total: int) -> None:
        rate = done / max(time.perf_counter() - begin, 1e-9)
        left = (total - done) / rate
        end = "\n" if done == total else ""
        print(f"\r{done:,} of {total:,} events, {rate:,.0f} a second, {left:,.0f} s left  ", end=end, file=sys.stderr)

    return show
