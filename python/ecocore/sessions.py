"""The state of every user, kept in memory and advanced by one event at a time."""

from __future__ import annotations

import os
import time as clock
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from .arrays import Int32Array, as_count, as_number, describe
from .behavior import BehaviorModel, Recommendations
from .behavior_folder import vocabulary_of
from .errors import FormatError, InvalidArgument
from .recurrent import NativeEngine
from .sequences import EventRows, _gaps, as_seconds, as_times
from .storage import read_folder, write_folder

__all__ = ["SessionStore", "UserState"]

FloatArray = npt.NDArray[np.float32]
Array = npt.NDArray[Any]

KIND = "sessions"
_NAN = float("nan")
_MOST = (1 << 31) - 2  # what native code counts users, events of a history and of a batch up to
_INTERNAL = ("h", "c", "query", "last_time", "last_used", "count", "indptr", "items", "types", "times")


@dataclass(frozen=True)
class UserState:
    """A copy of what is held of a user: ``h`` and, for LSTM, ``c``, float32 [layers, hidden]; how many events there
    were; the latest time, seconds, or None."""

    h: FloatArray
    c: FloatArray | None
    events: int
    last_time: float | None


class SessionStore:
    """Recurrent states of users, advanced by one event in constant time: the history is never run again.

    States lie in native memory: 4 x hidden bytes a layer and user (twice that for LSTM: 1 KB at 128), plus 12 bytes an
    event of ``history`` (16 for a model with event types) and about 80 bytes a user besides. The memory is asked for as
    users come.

    Any number of threads may share a store. A lone caller goes straight through; callers that meet are advanced as one
    batch. Where several threads append to a store of the native engine, an event may be left for the next of them, up
    to 128 at a time: whatever asks for its user advances it first, so that nobody sees a state without it. A user's
    events are applied in the order in which the calls came, and the bits are those of ``model.encode`` of the whole
    history. A call that raises has changed nothing. In a forked child use a new store. With the ONNX Runtime engine,
    end the threads that call before the process ends: the runtime aborts it where a daemon thread is inside a run.

    Args:
        model: whose states these are. States of another model are refused (``restore``) or made anew (``replay``).
        capacity: users that are held; beyond it, whoever was silent for longest makes room.
        ttl: seconds without an event after which a user is not held any more; None = never. The next event or snapshot
            clears away what was held; until then ``len`` counts the user.
        history: the last events of each user that are kept for :meth:`replay`; 0 = none.
        max_batch: events of different calls that are advanced together at most; one call with more goes whole.
        max_delay: seconds that a batch may wait for callers that were there a moment ago; 0 = it never waits. Worth
            about the time of one run where runs are slow (CUDA), nothing where they are quick.
    """

    def __init__(
        self,
        model: BehaviorModel,
        *,
        capacity: int = 1_000_000,
        ttl: float | None = None,
        history: int = 32,
        max_batch: int = 256,
        max_delay: float = 0.0,
    ) -> None:
        if not isinstance(model, BehaviorModel):
            raise InvalidArgument(f"model: expected a BehaviorModel; got {describe(model)}")
        vocabulary, engine = model.vocabulary, model.engine
        if vocabulary.feature_size:
            raise InvalidArgument(
                "model: expected one without the input 'features', which a store does not keep for a replay;"
                " use model.encode(..., initial=...)"
            )
        ttl = 0.0 if ttl is None else as_number(ttl, "ttl", positive=True, unit="seconds")
        max_delay = as_number(max_delay, "max_delay", maximum=1.0, unit="seconds")
        capacity = as_count(capacity, "capacity", maximum=_MOST)
        self._model = model
        self._now: Callable[[], float] = clock.time
        self._item_row, self._type_row = vocabulary.item_row, vocabulary.type_row
        self._shape = (engine.layers, engine.hidden)
        self._history = as_count(history, "history", minimum=0, maximum=_MOST)
        boundaries = vocabulary.gap_boundaries
        max_batch = as_count(max_batch, "max_batch", maximum=_MOST)
        try:
            self._states = _core.SessionStates(
                engine.net if isinstance(engine, NativeEngine) else self._advance,
                state=engine.layers * engine.hidden,
                has_cell=engine.has_cell,
                query=0 if engine.output_of_state else engine.output_size,
                has_types=vocabulary.event_types is not None,
                has_gaps=boundaries is not None,
                gap_edges=[] if boundaries is None else boundaries.tolist(),
                capacity=capacity,
                ttl=ttl,
                history=self._history,
                max_batch=max_batch,
                max_delay=max_delay,
            )
        except MemoryError:
            raise MemoryError(
                f"capacity: expected as many users as memory can be had for; got {capacity:,}, each with a history of"
                f" {self._history:,} events; make capacity or history smaller"
            ) from None

    @property
    def model(self) -> BehaviorModel:
        return self._model

    def __len__(self) -> int:
        return self._states.counters()["users"]

    def __contains__(self, user: Any) -> bool:
        return self._states.read(_key(user), self._now()) is not None

    def __repr__(self) -> str:
        return f"SessionStore({len(self)} users, {self._model!r})"

    def stats(self) -> dict[str, int]:
        """Users held; events, and those with an unknown item or a late time; batches and the largest; users evicted,
        expired and forgotten."""
        return self._states.counters()

    # ---- events ------------------------------------------------------------------------------------------------------

    def append(self, user: int | str, item: Any, *, event_type: Any = None, time: Any = None) -> None:
        """Advances the user's state by one event. An unknown item counts as the out-of-vocabulary row, and so does an
        unknown ``event_type``, without a word: :meth:`stats` counts the items only. ``time`` is seconds or a datetime
        (UTC where it has no zone); one before the user's latest counts as a gap of zero and does not set the clock
        back."""
        self._states.append(
            user if type(user) is int else _key(user),
            self._item_row(item),
            0 if event_type is None else self._type_row(event_type),
            _NAN if time is None else as_seconds(time),
            self._now(),
        )

    def append_many(self, users: Any, items: Any, *, event_types: Any = None, times: Any = None) -> None:
        """Advances many events at once, equal lengths, in their order; a user may come more than once. ``times``:
        seconds, datetimes or datetime64, as of :meth:`append`. A call that raises has advanced none; readers may see
        one user's events before another's while it is at work."""
        vocabulary = self._model.vocabulary
        keys = _keys(users)
        rows = vocabulary.item_rows(items)
        types = None
        if event_types is not None:
            if vocabulary.event_types is None:
                raise InvalidArgument("event_types: this model takes none; leave them out")
            types = vocabulary.type_rows(event_types)
        for name, values in (("items", rows), ("event_types", types)):
            if values is not None and len(values) != len(keys):
                raise InvalidArgument(f"{name}: expected {len(keys)}, one for each user; got {len(values)}")
        seconds = None if times is None else as_times(times, len(keys))
        self._states.append_many(keys, rows, types, seconds, self._now())

    # ---- answers -----------------------------------------------------------------------------------------------------

    def state(self, user: int | str) -> UserState | None:
        """A copy of the user's state; None for a user who is not held."""
        found = self._states.read(_key(user), self._now())
        if found is None:
            return None
        h, c, _, count, last = found
        return UserState(
            h.reshape(self._shape), None if c is None else c.reshape(self._shape), count, None if last != last else last
        )

    def query(self, user: int | str) -> FloatArray:
        """What the model makes of the user's state, float32 [n]; of the zero state for a user who is not held."""
        return self._query(self._states.read(_key(user), self._now()))

    def _query(self, found: Any) -> FloatArray:
        engine = self._model.engine
        if engine.output_of_state:
            h = np.zeros((1, *self._shape), np.float32) if found is None else found[0].reshape(1, *self._shape)
            query: FloatArray = engine.output(h)[0]
            return query
        return np.zeros(engine.output_size, np.float32) if found is None else found[2]

    def recommend(self, user: int | str, k: int, *, allow: Any = None, deny: Any = None) -> Recommendations:
        """The k best items for the user now, ids and scores of shape (k,). For a user who is not held, those
        of the largest share of the training events, as :meth:`BehaviorModel.recommend` gives them after an empty
        sequence. A model without their counts (``model.info["item_counts"]`` is False) answers with what it makes of
        the zero state, in an order that was never learnt: while ``user in store`` is False, then rather ask
        ``ecocore.Popularity``."""
        found = self._states.read(_key(user), self._now())
        if found is None:
            ids, scores = self._model.recommend([[]], k, allow=allow, deny=deny)
        else:
            ids, scores = self._model.recommend_for(self._query(found)[None], k, allow=allow, deny=deny)
        return Recommendations(ids[0], scores[0])

    def probabilities(self, user: int | str, items: Any = None) -> FloatArray:
        """The user's interest in the given (or all) items, float32 [items]. For a user who is not held, as
        :meth:`BehaviorModel.probabilities` gives it for an empty sequence: by the shares of the training events."""
        found = self._states.read(_key(user), self._now())
        if found is None:
            p: FloatArray = self._model.probabilities([[]], items)[0]
        else:
            p = self._model.probabilities_of(self._query(found)[None], items)[0]
        return p

    # ---- keeping and forgetting --------------------------------------------------------------------------------------

    def forget(self, *users: int | str) -> int:
        """Erases all that is held of the users; how many were held."""
        return self._states.forget([_key(u) for u in users])

    def snapshot(self, path: str | os.PathLike[str]) -> None:
        """Writes all states and histories to a folder, atomically; events wait only for a copy in memory."""
        d = self._states.dump(self._now())
        users = d.pop("users")
        vocabulary = self._model.vocabulary
        meta: dict[str, Any] = {"model": self._model.sha256, "layers": self._shape[0], "hidden": self._shape[1]}
        arrays: dict[str, Array] = dict(d)
        text = [isinstance(u, str) for u in users]
        if not any(text):
            meta["users"], arrays["users"] = "int", np.array(users, np.int64)
        else:
            encoded = [str(u).encode() for u in users]
            meta["users"] = "text"
            arrays["users"] = np.frombuffer(b"".join(encoded), np.uint8)
            arrays["user_ends"] = np.fromiter(accumulate(map(len, encoded)), np.int64, len(encoded))
            arrays["user_is_text"] = np.array(text, bool)
        # The vocabulary, so that another model can replay the histories.
        for name, ids in (("item_ids", vocabulary.items), ("event_type_ids", vocabulary.event_types)):
            if ids is not None:
                meta[name], parts = ids.to_parts()
                arrays |= {f"{name}_{part}": a for part, a in parts.items()}
        write_folder(path, KIND, meta, arrays)

    def restore(self, path: str | os.PathLike[str]) -> None:
        """Replaces all that is held by a snapshot of the same model; every state is as it was, to the bit."""
        meta, arrays = read_folder(path, KIND, verify=True)
        if meta.get("model") != self._model.sha256:
            raise InvalidArgument(
                f"path: {path} holds states of another model ({str(meta.get('model'))[:12]}..., this one is"
                f" {self._model.sha256[:12]}...); states of two models cannot mix: use replay(path), which runs the"
                " kept events through this model"
            )
        self._states.replace(users=_stored_users(meta, arrays, path), **_internal(arrays, path))

    def replay(self, source: SessionStore | str | os.PathLike[str]) -> None:
        """Replaces all that is held by the users of another model's store or snapshot, their states made anew by
        running their kept events (the last ``history`` of each) through this model.

        An item that the other model did not know stays unknown. A user of whom no event was kept is not held
        afterwards: what came next would go on from a state that knows nothing of what its clock and count tell.
        """
        if isinstance(source, SessionStore):
            d: dict[str, Any] = source._states.dump(source._now())
            users, old = d.pop("users"), source._model.vocabulary
        else:
            meta, arrays = read_folder(source, KIND, verify=True)
            users, d = _stored_users(meta, arrays, source), _internal(arrays, source)
            old = vocabulary_of(meta, arrays, str(source))
        kept = np.diff(d["indptr"]) > 0
        if not kept.all():
            users = [u for u, has_events in zip(users, kept.tolist(), strict=True) if has_events]
            d |= {name: d[name][kept] for name in ("count", "last_time", "last_used")}
            d["indptr"] = np.concatenate([d["indptr"][:1], d["indptr"][1:][kept]])
        vocabulary, engine = self._model.vocabulary, self._model.engine
        items = _moved(old.items, vocabulary.items)[d["items"]]
        types = np.zeros_like(d["types"])
        if old.event_types is not None and vocabulary.event_types is not None:
            types = _moved(old.event_types, vocabulary.event_types)[d["types"]]
        indptr = d["indptr"]
        gaps, last_time, late = _gaps(indptr, d["times"], np.full(len(users), np.nan), vocabulary.gap_boundaries)
        ids = [items]
        if vocabulary.event_types is not None:
            ids.append(types)
        if vocabulary.gap_boundaries is not None:
            ids.append(gaps)
        rows = EventRows(indptr, ids, None, last_time, int(np.count_nonzero(items == 0)), late)
        made = self._model._advance(rows, *self._model._zeros(len(users)))
        empty = np.empty((len(users), 0), np.float32)
        flat = (len(users), self._shape[0] * self._shape[1])
        d |= {
            "h": made.h.reshape(flat),
            "c": empty if made.c is None else made.c.reshape(flat),
            "query": empty if engine.output_of_state else made.query,
            "last_time": np.where(np.isnan(last_time), d["last_time"], last_time),
            "items": items,
            "types": types,
        }
        self._states.replace(users=users, **d)

    def _advance(
        self, indptr: Any, ids: list[Int32Array], h: FloatArray, c: FloatArray | None
    ) -> tuple[FloatArray, FloatArray | None, FloatArray]:
        """What native code calls for an engine that is not native."""
        shape = (len(h), *self._shape)
        new_h, new_c, query = self._model.engine.advance(
            indptr, ids, None, h.reshape(shape), None if c is None else c.reshape(shape)
        )
        flat = (len(h), self._shape[0] * self._shape[1])
        return (
            np.ascontiguousarray(new_h).reshape(flat),
            None if new_c is None else np.ascontiguousarray(new_c).reshape(flat),
            np.ascontiguousarray(query),
        )


def _key(user: Any) -> int | str:
    if isinstance(user, (str, int)) and not isinstance(user, bool):
        return user
    if isinstance(user, np.integer):
        return int(user)
    raise InvalidArgument(f"user: expected a whole number or text; got {describe(user)}")


def _keys(users: Any) -> Any:
    if isinstance(users, np.ndarray) and users.ndim == 1 and users.dtype.kind in "iu" and users.dtype != np.uint64:
        return np.ascontiguousarray(users, np.int64)
    if isinstance(users, (str, bytes)) or not isinstance(users, Iterable):
        raise InvalidArgument(f"users: expected a list of users; got {describe(users)}; use [user] for one")
    return users.tolist() if isinstance(users, np.ndarray) else list(users)


def _moved(old: Any, new: Any) -> Int32Array:
    """The row in ``new`` of each row of ``old``; unknown stays unknown."""
    codes = new.codes(old, missing=-1) if old.kind == new.kind else np.full(len(old), -1)
    return np.concatenate([np.zeros(1), codes + 1]).astype(np.int32)


def _internal(arrays: dict[str, Array], path: Any) -> dict[str, Array]:
    wanted = {"h": "f4", "c": "f4", "query": "f4", "last_time": "f8", "last_used": "f8", "times": "f8"}
    wanted |= {"count": "i8", "indptr": "i8", "items": "i4", "types": "i4"}
    for name, dtype in wanted.items():
        if name not in arrays or arrays[name].dtype != np.dtype(dtype):
            raise FormatError(f"{path}: expected the array {name!r} of {np.dtype(dtype)}; it is no snapshot of a store")
    return {name: np.ascontiguousarray(arrays[name]) for name in _INTERNAL}


def _stored_users(meta: dict[str, Any], arrays: dict[str, Array], path: Any) -> Any:
    if meta.get("users") == "int":
        return np.ascontiguousarray(arrays["users"], np.int64)
    ends = arrays["user_ends"].tolist()
    blob = arrays["users"].tobytes()
    texts = [blob[a:b].decode() for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    is_text = arrays["user_is_text"].tolist()
    return [t if keep else int(t) for t, keep in zip(texts, is_text, strict=True)]
