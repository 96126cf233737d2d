"""A cleaned event log on disk, its parts in time, and the interactions that it makes.

The log lies in a temporary database as codes and numbers, sorted by user, item and time (``event_reader.py`` puts it
there). Whatever is asked streams through it in slices of whole users, so that memory does not grow with the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .cleaning import CleaningReport, RuleCount
from .database import Database, as_text_array
from .errors import InvalidArgument
from .ids import IdMap
from .interactions import Interactions, choose_cut
from .times import as_duration, as_time, format_time

if TYPE_CHECKING:
    from .catalogue import Catalogue
    from .summary import BehaviourSummary

__all__ = ["Events", "check_weighing", "slices", "user_ranges"]

Int64Array = npt.NDArray[np.int64]


_SLICE = 4_000_000  # events fetched at once: about 200 MB of temporaries


def user_ranges(db: Database, where: str = "true") -> Iterator[str]:
    """SQL tests that part the events by user, about ``_SLICE`` events each; sums over users are sums over these."""
    per_user = db.arrays(f"SELECT user, count(*) AS n FROM events WHERE {where} GROUP BY user ORDER BY user")
    ends, low = np.cumsum(per_user["n"]), 0
    while low < ends.size:
        done = int(ends[low - 1]) if low else 0
        high = max(low + 1, int(np.searchsorted(ends, done + _SLICE, side="right")))
        yield f"user BETWEEN {per_user['user'][low]} AND {per_user['user'][high - 1]} AND {where}"
        low = high


def slices(db: Database, select: str, where: str = "true") -> Iterator[dict[str, npt.NDArray[Any]]]:
    """Columns of the events, slice by slice of whole users, each in the order of user, item and time."""
    for part in user_ranges(db, where):
        yield db.arrays(f"SELECT {select} FROM events WHERE {part}")


def check_weighing(weights: Mapping[str, float] | None, half_life: Any, cap: float | None) -> None:
    """Raises InvalidArgument for weights, half-life or cap that no log could be weighed with, before one is read."""
    for kind, w in (weights or {}).items():
        if isinstance(w, bool) or not isinstance(w, (int, float, np.number)) or not 0 <= w < float("inf"):
            raise InvalidArgument(f"weights: expected a finite number of at least 0 for {kind!r}; got {w!r}")
    if half_life is not None:
        as_duration(half_life, "half_life")
    if cap is not None and not cap > 0:
        raise InvalidArgument(f"cap: expected a number above 0; got {cap!r}")


class Events:
    """A cleaned event log on disk; made by :func:`ecocore.read_events`.

    ``report`` tells what cleaning left out. Close it, or use it in a ``with`` block, to remove its temporary files
    early; parts made by :meth:`split_by_time` share them. Not for use from several threads at once.
    """

    def __init__(
        self,
        db: Database,
        columns: tuple[str, ...],
        report: CleaningReport,
        bounds: tuple[int | None, int | None] = (None, None),
    ) -> None:
        self._db, self.columns, self.report, self._bounds = db, columns, report, bounds
        tests = [f"time >= {bounds[0]}"] * (bounds[0] is not None) + [f"time < {bounds[1]}"] * (bounds[1] is not None)
        self._where = " AND ".join(tests) or "true"
        self._count: int | None = None

    def __len__(self) -> int:
        if self._count is None:
            self._count = self._db.run(f"SELECT count(*) FROM events WHERE {self._where}")[0][0]
        return self._count

    def __repr__(self) -> str:
        if self._db.closed:
            return "<Events: closed>"
        span = (
            f" from {format_time(self.time_range[0])} to {format_time(self.time_range[1])}"
            if "time" in self.columns and len(self)
            else ""
        )
        return f"<Events: {len(self):,}{span}; columns {', '.join(self.columns)}>"

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Removes the temporary files, also for parts of this log."""
        self._db.close()

    @property
    def time_range(self) -> tuple[int, int]:
        """Times of the first and the last event, microseconds since 1970 UTC."""
        self._need("time")
        low, high = self._db.run(f"SELECT min(time), max(time) FROM events WHERE {self._where}")[0]
        if low is None:
            raise InvalidArgument("events: there are none in this part, so there is no first and last time")
        return low, high

    @property
    def event_types(self) -> dict[str, int]:
        """The types of events, with the number of each."""
        self._need("event")
        return dict(
            self._db.run(
                "SELECT name, count(*) FROM events JOIN event_types ON code = event"
                f" WHERE {self._where} GROUP BY name ORDER BY name"
            )
        )

    def _need(self, column: str) -> None:
        if column not in self.columns:
            raise InvalidArgument(f"events: this log was read without {column}; read it with {column}=")

    # ---- splitting ---------------------------------------------------------------------------------------------------
    def split_by_time(
        self, at: Any = None, *, last: Any = None, fraction: float | None = None
    ) -> tuple[Events, Events]:
        """(train, test): the events before the cut, and the others; no event is lost, none is in both.

        Exactly one of ``at`` (the first moment of test), ``last`` (a span such as "4w" up to the latest event) and
        ``fraction`` (of events that test gets at most; events of one moment are never parted).
        """
        first, latest = self.time_range if len(self) else (0, 0)

        def kth(rank: int) -> int:
            low, high = first, latest  # the answer is the first moment up to which there are more than ``rank`` events
            while low < high:
                middle = (low + high) // 2
                until = self._db.run(f"SELECT count(*) FROM events WHERE time <= {middle} AND {self._where}")[0][0]
                low, high = (low, middle) if until > rank else (middle + 1, high)
            return low

        cut = choose_cut(at, last, fraction, latest, kth, len(self))
        low, high = self._bounds
        middle = min(max(cut, first), latest + 1)
        return (
            Events(self._db, self.columns, self.report, (low, middle)),
            Events(self._db, self.columns, self.report, (middle, high)),
        )

    # ---- interactions ------------------------------------------------------------------------------------------------
    def interactions(
        self,
        *,
        weights: Mapping[str, float] | None = None,
        by: str | None = None,
        half_life: Any = None,
        now: Any = None,
        cap: float | None = None,
        log: bool = False,
        min_user_items: int = 1,
        min_item_users: int = 1,
        users: IdMap | None = None,
        items: IdMap | None = None,
        strict: bool = False,
    ) -> Interactions:
        """One weight for each user and item that met, as a CSR matrix.

        An event counts ``weights[its type]`` (1 without ``weights``) times its ``by`` column ("value", "quantity" or
        "amount"; 1 where that is unknown) times ``2 ** -((now - time) / half_life)``; ``now`` is the time of the latest
        event unless given. A pair gets the sum over its events in float64, at most ``cap``, then ``log(1 + sum)`` with
        ``log``, rounded to float32. Pairs of weight 0 are left out.

        ``min_user_items`` and ``min_item_users`` leave out users with fewer items and items with fewer users, over and
        over until all that stay have enough. Without ``users`` and ``items`` the rows and columns are those that stay,
        in the order of their ids. With them (the maps of a trained model, say) they are as given, and what they do not
        know is left out. ``.report`` counts all of it; event types that ``weights`` does not name are left out, or
        raise with ``strict``.
        """
        dropped: list[RuleCount] = []
        check_weighing(weights, half_life, cap)
        weight = self._weight(weights, by, half_life, now, strict, dropped)
        for name, x in (("min_user_items", min_user_items), ("min_item_users", min_item_users)):
            if isinstance(x, bool) or not isinstance(x, (int, np.integer)) or x < 1:
                raise InvalidArgument(f"{name}: expected a whole number of at least 1; got {x!r}")
        counts, cols, data, times = self._pairs(weight, cap, log)
        zero = int(np.count_nonzero(data == 0))
        rows = np.repeat(np.arange(counts.size, dtype=np.int32), counts)
        n_items = self._db.run("SELECT coalesce(max(code) + 1, 0) FROM items")[0][0]
        mask = data != 0 if zero else None
        dropped.append(RuleCount("zero_weight", zero, "the weights of the pair's events are 0", unit="pairs"))

        # Codes of this log to codes of the result, -1 for what is left out.
        row_of, col_of = self._translate("users", users), self._translate("items", items)
        for name, table, of in (("unknown_user", row_of, rows), ("unknown_item", col_of, cols)):
            if table is not None:
                known = table[of] >= 0
                mask = known if mask is None else mask & known
                lost = int(known.size - np.count_nonzero(known))
                dropped.append(RuleCount(name, lost, f"the given map does not know the {name[8:]}", unit="pairs"))
        if min_user_items > 1 or min_item_users > 1:
            mask = np.ones(cols.size, bool) if mask is None else mask
            dropped.append(_keep_supported(rows, cols, mask, counts.size, n_items, min_user_items, min_item_users))
        if mask is not None:
            for a in (rows, cols, data, times):
                if a is not None:
                    _compact(a, mask)
        if row_of is None:
            row_of, users = self._compress("users", rows, counts.size)
        if col_of is None:
            col_of, items = self._compress("items", cols, n_items)
        assert users is not None
        assert items is not None
        _relabel(rows, row_of)
        _relabel(cols, col_of)
        if not _rises(rows, cols):
            order = np.lexsort((cols, rows))
            rows, cols, data = rows[order], cols[order], data[order]
            times = times[order] if times is not None else None
        indptr = np.zeros(len(users) + 1, np.int64)
        np.cumsum(_count(rows, len(users)), out=indptr[1:])
        report = replace(self.report, rules=self.report.rules + tuple(d for d in dropped if d.count))
        return Interactions(indptr, cols, data, (len(users), len(items)), users, items, times, report.to_dict())

    def _weight(
        self,
        weights: Mapping[str, float] | None,
        by: str | None,
        half_life: Any,
        now: Any,
        strict: bool,
        dropped: list[RuleCount],
    ) -> str:
        """SQL of an event's weight; NULL for an event whose type has none."""
        factors = []
        if weights is not None:
            types = self.event_types
            unknown = [kind for kind in types if kind not in weights]
            if unknown and strict:
                raise InvalidArgument(
                    f"weights: {unknown[0]!r} has none ({types[unknown[0]]} events); name it (0 to leave it out),"
                    " or set strict=False"
                )
            count = sum(types[kind] for kind in unknown)
            dropped.append(RuleCount("no_weight", count, f"weights does not name {', '.join(unknown)}", unit="events"))
            codes = dict(self._db.run("SELECT name, code FROM event_types"))
            cases = " ".join(f"WHEN {codes[kind]} THEN {float(w)!r}" for kind, w in weights.items() if kind in codes)
            factors.append(f"CASE event {cases} END::DOUBLE" if cases else "NULL::DOUBLE")
        if by is not None:
            if by not in ("value", "quantity", "amount"):
                raise InvalidArgument(f"by: expected 'value', 'quantity', 'amount' or None; got {by!r}")
            factors.append(f"coalesce({self._amount()}, 1)" if by == "amount" else f"coalesce({by}, 1)")
            if by != "amount":
                self._need(by)
        if half_life is not None:
            span = as_duration(half_life, "half_life")
            reference = (self.time_range[1] if len(self) else 0) if now is None else as_time(now, "now")
            factors.append(f"pow(2, (time - {reference})::DOUBLE / {span})")
        elif now is not None:
            raise InvalidArgument("now: only means something with half_life")
        return " * ".join(factors) or "1::DOUBLE"

    def _amount(self) -> str:
        """SQL of what was paid for an event."""
        if "amount" in self.columns:
            return "amount"
        self._need("price")
        return "price * coalesce(quantity, 1)" if "quantity" in self.columns else "price"

    def _pairs(
        self, weight: str, cap: float | None, log: bool
    ) -> tuple[Int64Array, npt.NDArray[np.int32], npt.NDArray[np.float32], Int64Array | None]:
        """Pairs per user code; and of each pair, by user and item: item code, weight, time of its last event."""
        timed = "time" in self.columns
        n = len(self)
        counts = np.zeros(self._db.run("SELECT coalesce(max(code) + 1, 0) FROM users")[0][0], np.int64)
        # As long as the events, which there are at least as many of as pairs: what is not written takes no memory.
        cols, data = np.empty(n, np.int32), np.empty(n, np.float32)
        times = np.empty(n, np.int64) if timed else None
        done = 0
        for part in slices(self._db, f"user, item, {'time,' * timed} {weight} AS weight", self._where):
            if np.ma.isMaskedArray(part["weight"]):
                named = ~np.ma.getmaskarray(part["weight"])
                part = {name: np.ma.getdata(a)[named] for name, a in part.items()}
            user, item = part["user"], part["item"]
            if timed and not _rises(user, item, strictly=False):
                order = np.lexsort((part["time"], item, user))
                part = {name: a[order] for name, a in part.items()}
                user, item = part["user"], part["item"]
            if not user.size:
                continue
            first = np.ones(user.size, bool)
            first[1:] = (user[1:] != user[:-1]) | (item[1:] != item[:-1])
            starts = np.flatnonzero(first)
            sums = np.add.reduceat(part["weight"], starts)
            if cap is not None:
                np.minimum(sums, cap, out=sums)
            if log:
                np.log1p(sums, out=sums)
            to = slice(done, done + starts.size)
            cols[to] = item[starts]
            with np.errstate(over="ignore", under="ignore"):
                data[to] = sums
            if times is not None:
                times[to] = np.maximum.reduceat(part["time"], starts)
            counts += np.bincount(user[starts], minlength=counts.size)
            done = to.stop
        if not np.isfinite(data[:done]).all():
            raise InvalidArgument("by: some weights pass the range of float32; set cap= or log=True")
        for a in (cols, data, times):
            if a is not None:
                a.resize(done, refcheck=False)
        return counts, cols, data, times

    def id_map(self, table: str) -> IdMap:
        """All ids of ``"users"`` or ``"items"`` in the log, with the codes that the database uses."""
        count = self._db.run(f"SELECT coalesce(max(code) + 1, 0) FROM {table}")[0][0]
        step = 1_000_000

        def parts() -> Iterator[Any]:
            for low in range(0, count, step):
                chosen = (
                    f"SELECT DISTINCT code, id FROM {table} WHERE code >= {low} AND code < {low + step} ORDER BY code"
                )
                ids = self._db.arrays(chosen)["id"]
                yield as_text_array(ids) if ids.dtype == object else np.asarray(ids)

        return IdMap.from_chunks(parts())

    def _translate(self, table: str, given: IdMap | None) -> npt.NDArray[np.int32] | None:
        if given is None:
            return None
        return given.codes(self.id_map(table), missing=-1).astype(np.int32)

    def _compress(self, table: str, codes: npt.NDArray[np.int32], count: int) -> tuple[npt.NDArray[np.int32], IdMap]:
        """New codes without gaps for those that are used, and their map."""
        used = np.zeros(count, bool)
        for part in _chunks(codes.size):
            used[codes[part]] = True
        renumber = np.cumsum(used, dtype=np.int32) - np.int32(1)
        ids = self.id_map(table)
        return renumber, ids if used.all() else ids.take(np.flatnonzero(used))

    def item_statistics(
        self, items: IdMap, *, purchases: Sequence[str] | None = None
    ) -> dict[str, npt.NDArray[np.float64]]:
        """What the log tells of each of these items: arrays of float64, one value an item, for features of a model.

        ``events``: their number, 0 for an item that the log does not know; with prices ``spend``: the sum paid, and
        ``price``: the sum paid by the pieces sold for it, NaN where nothing was. Only events of the types ``purchases``
        pay (see :meth:`summary`): a product that was looked at has not been sold.
        """
        from .summary import purchase_test

        priced = "amount" in self.columns or "price" in self.columns
        paid = self._amount() if priced else "NULL"
        pieces = "coalesce(quantity, 1)" if "quantity" in self.columns else "1"
        sold_line = f"{purchase_test(self, purchases)} AND {paid} IS NOT NULL"
        found = self._db.arrays(
            f"SELECT item, count(*) AS n, coalesce(sum({paid}) FILTER ({sold_line}), 0)::DOUBLE AS spend,"
            f" coalesce(sum({pieces}) FILTER ({sold_line}), 0)::DOUBLE AS pieces"
            f" FROM events WHERE {self._where} GROUP BY item ORDER BY item"
        )
        to = items.codes(self.id_map("items"), missing=-1)[found["item"]]
        known = to >= 0
        out = {"events": np.zeros(len(items))}
        out["events"][to[known]] = found["n"][known]
        if priced:
            out |= {"spend": np.zeros(len(items)), "price": np.full(len(items), np.nan)}
            out["spend"][to[known]] = found["spend"][known]
            sold = known & (found["pieces"] > 0)
            out["price"][to[sold]] = found["spend"][sold] / found["pieces"][sold]
        return out

    def summary(
        self, catalogue: Catalogue | None = None, *, top: int = 10, purchases: Sequence[str] | None = None
    ) -> BehaviourSummary:
        """How people behave in this log: see :class:`ecocore.summary.BehaviourSummary`.

        Only events of the types ``purchases`` count as spend. By default these are the types called "purchase", "buy",
        "order" or "transaction" (case and blanks around do not matter) or, where the log has none of them, all.
        """
        from .summary import summarize

        return summarize(self, catalogue, top, purchases)


# What follows goes through arrays of pairs in chunks and in place: each may be a gigabyte.
def _chunks(n: int) -> Iterator[slice]:
    for low in range(0, n, _SLICE):
        yield slice(low, min(low + _SLICE, n))


def _count(codes: npt.NDArray[np.int32], size: int, mask: npt.NDArray[np.bool_] | None = None) -> Int64Array:
    """How often each code comes, among those of the mask."""
    out = np.zeros(size, np.int64)
    for part in _chunks(codes.size):
        out += np.bincount(codes[part] if mask is None else codes[part][mask[part]], minlength=size)
    return out


def _relabel(codes: npt.NDArray[np.int32], to: npt.NDArray[np.int32]) -> None:
    for part in _chunks(codes.size):
        codes[part] = to[codes[part]]


def _compact(a: npt.NDArray[Any], mask: npt.NDArray[np.bool_]) -> None:
    """Shrinks the array to what the mask keeps."""
    done = 0
    for part in _chunks(a.size):
        kept = a[part][mask[part]]
        a[done : done + kept.size] = kept
        done += kept.size
    a.resize(done, refcheck=False)


def _rises(rows: npt.NDArray[Any], cols: npt.NDArray[Any], strictly: bool = True) -> bool:
    """Are pairs in the order of rows and columns (and, strictly, all different)?"""
    for part in _chunks(rows.size - 1):
        r, c = rows[part.start : part.stop + 1], cols[part.start : part.stop + 1]
        later = c[1:] > c[:-1] if strictly else c[1:] >= c[:-1]
        if not ((r[1:] > r[:-1]) | ((r[1:] == r[:-1]) & later)).all():
            return False
    return True


def _keep_supported(
    rows: npt.NDArray[np.int32],
    cols: npt.NDArray[np.int32],
    mask: npt.NDArray[np.bool_],
    users: int,
    items: int,
    need: int,
    need_item: int,
) -> RuleCount:
    """Takes pairs out of ``mask`` until every user has ``need`` items and every item ``need_item`` users."""

    before = int(np.count_nonzero(mask))
    at_first = _count(rows, users, mask) > 0, _count(cols, items, mask) > 0
    rounds, left = 0, before + 1
    while left != (now := int(np.count_nonzero(mask))):
        left, rounds = now, rounds + 1
        for codes, size, least in ((rows, users, need), (cols, items, need_item)):
            enough = _count(codes, size, mask) >= least
            for part in _chunks(codes.size):
                mask[part] &= enough[codes[part]]
    lost = [
        int(np.count_nonzero(seen & (_count(codes, seen.size, mask) == 0)))
        for seen, codes in zip(at_first, (rows, cols), strict=True)
    ]
    meaning = (
        f"fewer than {need} items a user or {need_item} users an item:"
        f" {lost[0]} users and {lost[1]} items, in {rounds} rounds"
    )
    return RuleCount("min_support", before - left, meaning, unit="pairs")
