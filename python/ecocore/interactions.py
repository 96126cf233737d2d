"""Who took to what, and how much: a users x items matrix in compressed sparse rows, with its id maps and splits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import as_csr
from .errors import FormatError, InvalidArgument
from .ids import IdMap
from .parts import join_parts, split_parts
from .times import as_duration, as_time

__all__ = ["Interactions"]

FloatArray = npt.NDArray[np.float32]
Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False, repr=False)
class Interactions:
    """A users x items matrix of weights in CSR form, with the ids of its rows and columns.

    ``indptr`` int64 (users + 1), ``indices`` int32 (nnz) rising within a row, ``data`` float32 (nnz), ``times`` int64
    (nnz) microseconds since 1970 UTC of each pair's last event, or None. Whatever takes a scipy CSR by its attributes
    takes this. ``report``, where there is one, tells what cleaning left out (see ``CleaningReport.to_dict``).
    """

    indptr: Int64Array
    indices: Int32Array
    data: FloatArray
    shape: tuple[int, int]
    users: IdMap
    items: IdMap
    times: Int64Array | None = None
    report: dict[str, Any] | None = None

    format = "csr"

    def __post_init__(self) -> None:
        for name, dtype in (("indptr", np.int64), ("indices", np.int32), ("data", np.float32), ("times", np.int64)):
            a = getattr(self, name)
            if name == "times" and a is None:
                continue
            size = self.shape[0] + 1 if name == "indptr" else self.indices.size
            if not isinstance(a, np.ndarray) or a.dtype != dtype or a.shape != (size,):
                got = f"{a.dtype} of shape {a.shape}" if isinstance(a, np.ndarray) else type(a).__name__
                raise InvalidArgument(
                    f"{name}: expected {np.dtype(dtype)} of shape ({size},); got {got}; use Interactions.from_scipy"
                )
        if int(self.indptr[-1]) != self.indices.size:
            raise InvalidArgument(f"indptr: expected to end at nnz = {self.indices.size}; got {int(self.indptr[-1])}")
        for name, ids, size in (("users", self.users, self.shape[0]), ("items", self.items, self.shape[1])):
            if len(ids) != size:
                raise InvalidArgument(f"{name}: expected {size} ids, as shape {self.shape} says; got {len(ids)}")

    # ---- making ------------------------------------------------------------------------------------------------------
    @classmethod
    def from_arrays(
        cls,
        users: Any,
        items: Any,
        data: Any = None,
        times: Any = None,
        *,
        user_ids: IdMap | None = None,
        item_ids: IdMap | None = None,
    ) -> Interactions:
        """From one entry per event: the ids (whole numbers or strings) of its user and item, its weight and time.

        A pair that comes more than once gets the sum of its weights (1 each where ``data`` is None) and its latest
        time. Rows and columns come in the order of sorted ids, or as in ``user_ids`` and ``item_ids``, which must know
        every id. ``times``: int64 microseconds since 1970, or datetime64.
        """
        user_ids, rows = _factorize(users, "users", user_ids)
        item_ids, cols = _factorize(items, "items", item_ids)
        n = rows.size
        if cols.size != n:
            raise InvalidArgument(f"items: expected {n} entries, one per user; got {cols.size}")
        weights = np.ones(n, np.float64) if data is None else np.asarray(data)
        if weights.dtype.kind not in "fiub" or weights.shape != (n,):
            raise InvalidArgument(f"data: expected {n} numbers; got {weights.dtype} of shape {weights.shape}")
        weights = weights.astype(np.float64)
        if not np.isfinite(weights).all():
            at = int(np.argmax(~np.isfinite(weights)))
            raise InvalidArgument(f"data: expected finite weights; got {weights[at]} at entry {at}; drop such entries")
        when = None if times is None else _as_times(times, n)
        order = np.lexsort((cols, rows)) if when is None else np.lexsort((when, cols, rows))
        rows, cols, weights = rows[order], cols[order], weights[order]
        first = np.ones(n, bool)
        first[1:] = (rows[1:] != rows[:-1]) | (cols[1:] != cols[:-1])
        starts = np.flatnonzero(first)
        sums = np.add.reduceat(weights, starts) if n else weights
        with np.errstate(over="ignore"):
            sums32 = sums.astype(np.float32)
        if not np.isfinite(sums32).all():
            raise InvalidArgument(f"data: expected sums within float32; got {float(np.abs(sums).max())}")
        indptr = np.zeros(len(user_ids) + 1, np.int64)
        np.cumsum(np.bincount(rows[starts], minlength=len(user_ids)), out=indptr[1:])
        last = None
        if when is not None:
            ends = np.append(starts[1:], n) - 1 if n else starts
            last = when[order][ends]
        shape = (len(user_ids), len(item_ids))
        return cls(indptr, cols[starts].astype(np.int32), sums32, shape, user_ids, item_ids, last)

    @classmethod
    def from_scipy(cls, matrix: Any, *, users: Any = None, items: Any = None) -> Interactions:
        """From a scipy CSR (or alike); ids are row and column numbers unless given as sequences or :class:`IdMap`."""
        csr = as_csr(matrix, "matrix")
        ids = []
        for name, given, size in (("users", users, csr.shape[0]), ("items", items, csr.shape[1])):
            ids.append(IdMap.range(size) if given is None else given if isinstance(given, IdMap) else IdMap(given))
            if len(ids[-1]) != size:
                raise InvalidArgument(f"{name}: expected {size} ids, as shape {csr.shape} says; got {len(ids[-1])}")
        return cls(csr.indptr, csr.indices, csr.values(), csr.shape, ids[0], ids[1])

    # ---- asking ------------------------------------------------------------------------------------------------------
    @property
    def nnz(self) -> int:
        """Number of stored pairs."""
        return self.indices.size

    def to_scipy(self) -> Any:
        """The same matrix as ``scipy.sparse.csr_matrix`` (data shared; needs scipy)."""
        try:
            from scipy.sparse import csr_matrix
        except ImportError:
            from .errors import MissingExtra

            raise MissingExtra("to_scipy needs scipy, which is not installed; run: pip install scipy") from None
        return csr_matrix((self.data, self.indices, self.indptr), self.shape)

    def row_numbers(self) -> Int32Array:
        """The user code of every stored pair, int32 (nnz)."""
        return np.repeat(np.arange(self.shape[0], dtype=np.int32), np.diff(self.indptr))

    def __repr__(self) -> str:
        users, items = self.shape
        timed = "" if self.times is None else ", with times"
        return f"<Interactions: {self.nnz} pairs of {users} users and {items} items{timed}>"

    # ---- splitting: every pair goes to exactly one side; both sides keep shape and maps ------------------------------
    def split_by_time(
        self, at: Any = None, *, last: Any = None, fraction: float | None = None
    ) -> tuple[Interactions, Interactions]:
        """(train, test): pairs whose last event is before the cut, and the others. Give exactly one argument.

        ``at``: the first moment of test (datetime, ISO text, microseconds). ``last``: a span such as "4w" before and
        including the latest event. ``fraction`` of pairs that test gets at most: the cut falls on a moment, and pairs
        of one moment are never parted.
        """
        times = self._need_times()
        cut = choose_cut(
            at, last, fraction, int(times.max()) if times.size else 0, lambda rank: _kth(times, rank), times.size
        )
        return self._split(times >= cut)

    def leave_last_out(self, n: int = 1) -> tuple[Interactions, Interactions]:
        """(train, test): the ``n`` latest pairs of each user who has more than ``n``, and the others.

        Among pairs of one moment the one with the larger item code counts as later. Users with ``n`` pairs or fewer
        stay in train whole.
        """
        times = self._need_times()
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
            raise InvalidArgument(f"n: expected a whole number of at least 1; got {n!r}")
        rows = self.row_numbers()
        order = np.lexsort((self.indices, times, rows))  # rows are contiguous already: this orders within each
        counts = np.diff(self.indptr)
        from_end = np.repeat(self.indptr[1:], counts) - np.arange(self.nnz)  # 1 for the latest of its row
        mask = np.zeros(self.nnz, bool)
        mask[order] = (from_end <= n) & np.repeat(counts > n, counts)
        return self._split(mask)

    def random_split(self, fraction: float, seed: int = 0) -> tuple[Interactions, Interactions]:
        """(train, test): ``round(fraction * nnz)`` pairs drawn without replacement go to test.

        The draw is NumPy's PCG64 of ``seed``.
        """
        _check_fraction(fraction)
        rng = np.random.Generator(np.random.PCG64(seed))
        mask = np.zeros(self.nnz, bool)
        mask[rng.permutation(self.nnz)[: round(fraction * self.nnz)]] = True
        return self._split(mask)

    def _need_times(self) -> Int64Array:
        if self.times is None:
            raise InvalidArgument(
                "times: this split needs times, and these interactions have none; read the log with time="
            )
        return self.times

    def _split(self, test: Mask) -> tuple[Interactions, Interactions]:
        return self._select(~test), self._select(test)

    def _select(self, mask: Mask) -> Interactions:
        kept = np.zeros(self.nnz + 1, np.int64)
        np.cumsum(mask, out=kept[1:])
        return replace(
            self,
            indptr=kept[self.indptr],
            indices=self.indices[mask],
            data=self.data[mask],
            times=None if self.times is None else self.times[mask],
        )

    # ---- saving ------------------------------------------------------------------------------------------------------
    def to_parts(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """A JSON-ready description and plain numeric arrays, from which :meth:`from_parts` makes the same object."""
        maps, arrays = join_parts({"users": self.users.to_parts(), "items": self.items.to_parts()})
        arrays |= {"indptr": self.indptr, "indices": self.indices, "data": self.data}
        if self.times is not None:
            arrays["times"] = self.times
        return {"shape": list(self.shape), "report": self.report, **maps}, arrays

    @classmethod
    def from_parts(cls, meta: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Interactions:
        """The object that :meth:`to_parts` described; memory-mapped arrays stay where they are."""
        try:
            maps = [IdMap.from_parts(*split_parts(side, meta, arrays)) for side in ("users", "items")]
            rows, cols = (int(v) for v in meta["shape"])
            return cls(
                arrays["indptr"], arrays["indices"], arrays["data"], (rows, cols), maps[0], maps[1],
                arrays.get("times"), meta.get("report"),
            )  # fmt: skip
        except KeyError as e:
            raise FormatError(f"interactions: {e.args[0]!r} is missing") from None
        except InvalidArgument as e:
            raise FormatError(f"interactions: {e}") from None


def choose_cut(at: Any, last: Any, fraction: float | None, latest: int, kth: Any, count: int) -> int:
    """The first moment of test, in microseconds, from the one of ``at``, ``last`` and ``fraction`` that is given.

    ``kth(rank)`` gives the time of that rank (0 the earliest) among ``count``.
    """
    given = [name for name, x in (("at", at), ("last", last), ("fraction", fraction)) if x is not None]
    if len(given) != 1:
        raise InvalidArgument(f"split_by_time: expected exactly one of at, last and fraction; got {given or 'none'}")
    if at is not None:
        return as_time(at, "at")
    if last is not None:
        return latest - as_duration(last, "last") + 1
    assert fraction is not None
    _check_fraction(fraction)
    tested = int(fraction * count)
    if tested == 0:
        return latest + 1
    if tested == count:
        return int(kth(0))
    # The cut is a moment: where its events would be parted, test starts with the next moment.
    cut, before = int(kth(count - tested)), int(kth(count - tested - 1))
    return cut if cut > before else cut + 1


def _kth(times: Int64Array, rank: int) -> int:
    return int(np.partition(times, rank)[rank])


def _check_fraction(fraction: Any) -> None:
    if isinstance(fraction, bool) or not isinstance(fraction, (int, float, np.number)) or not 0 <= fraction <= 1:
        raise InvalidArgument(f"fraction: expected a number from 0 to 1; got {fraction!r}")


def _as_times(times: Any, n: int) -> Int64Array:
    a = np.asarray(times) if n else np.empty(0, np.int64)
    if a.dtype.kind == "M":
        if np.isnat(a).any():
            raise InvalidArgument("times: expected no missing times (NaT); drop such entries")
        a = a.astype("datetime64[us]").astype(np.int64)
    if a.dtype.kind not in "iu" or a.shape != (n,):
        raise InvalidArgument(
            f"times: expected {n} times, datetime64 or whole microseconds since 1970; got {a.dtype} of shape {a.shape}"
        )
    return a.astype(np.int64)


def _factorize(values: Any, name: str, ids: IdMap | None) -> tuple[IdMap, Int64Array]:
    """The map (of sorted ids unless given) and the code of every value."""
    try:
        if ids is None:
            a = np.asarray(values)
            if a.dtype.kind in "OUT":
                distinct = list(dict.fromkeys(a.tolist()))
                alike = all(isinstance(x, str) for x in distinct) or all(isinstance(x, int) for x in distinct)
                ids = IdMap(sorted(distinct) if alike else distinct)  # a mixture says what is wrong
            else:
                ids = IdMap(np.unique(a) if a.size else [])
        return ids, ids.codes(values)
    except InvalidArgument as e:
        raise InvalidArgument(f"{name}: {str(e).removeprefix('ids: ')}") from None
