"""Reading event logs: columns are understood, rows are cleaned by named rules, what is left goes sorted into a
database.

DuckDB does the heavy work, out of memory where it must. Rules that look at one row are one CASE expression, so that a
row counts for the first rule that it breaks; rules that look at many rows run on the sorted log.
"""

from __future__ import annotations

import time as clock
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .cleaning import CleaningReport, RuleCount
from .columns import MISSING_IDS, blank, check_number, id_column, number, number_is_bad, time_column, whole_if_all
from .database import Database, first_line, identifier, literal
from .errors import EcocoreError, FormatError, InvalidArgument
from .events import Events, slices
from .sources import Source, open_source
from .times import DAY, as_time, format_time

__all__ = ["read_events"]

Int64Array = npt.NDArray[np.int64]

READ_MEMORY = 768 << 20  # bytes that DuckDB may hold when the log is sorted: slices need no more
BOT_FLOOR = 1000  # events on one day that no rule takes for a bot's
BOT_FACTOR = 10  # times the 99.9th percentile of events per user and day


def read_events(
    source: Any,
    *,
    user: str = "user",
    item: str = "item",
    time: str | None = None,
    event: str | None = None,
    value: str | None = None,
    quantity: str | None = None,
    price: str | None = None,
    amount: str | None = None,
    basket: str | None = None,
    category: str | None = None,
    drop_where: Mapping[str, str | Sequence[str]] | None = None,
    event_types: Sequence[str] | None = None,
    drop_duplicates: bool = True,
    keep_free: bool = False,
    min_time: Any = "1990-01-01",
    max_time: Any = None,
    max_value: float = 1e9,
    max_quantity: float = 1e6,
    max_price: float = 1e6,
    max_events_per_user_day: int | str | None = "auto",
    missing_ids: Sequence[str] = MISSING_IDS,
    time_zone: str = "UTC",
    time_format: str | None = None,
    time_unit: str | None = None,
    strict: bool = False,
    format: str | None = None,
    sep: str | None = None,
    encoding: str = "utf-8",
    memory_limit: str = "1.5GB",
    threads: int = 0,
    temp_directory: str | None = None,
) -> Events:
    """Reads and cleans an event log of any size.

    ``source``: a path, a pattern or a list of paths of CSV (``.csv``, ``.tsv``, ``.gz``), JSON lines or Parquet; an
    object with the Arrow PyCapsule interface (a pyarrow or polars table, a DuckDB relation); a pandas DataFrame; a dict
    of arrays.

    Columns, by their names in the source: ``user``, ``item``; optionally ``time``, ``event`` (its type, such as
    "view"), ``value`` (a rating or another weight, at least 0), ``quantity``, ``price`` (of one piece), ``amount``
    (paid for the line; quantity times price where absent), ``basket`` (what was bought together), ``category`` (of the
    item).

    Ids keep their type. CSV and JSON lines are read as text, and a column of ids becomes whole numbers only if every id
    of it is one in its only spelling ("17850", also "17850.0" as DataFrames write it, never "00123").

    Times: timestamps, dates, ISO 8601, some other common spellings, or numbers since 1970 whose unit is found from
    their size; those without a zone are in ``time_zone``. ``report.notes`` says how they were read. ``time_format`` (as
    in strptime) and ``time_unit`` ("s", "ms", "us", "ns", "d") decide.

    Rules, in this order, each counted in ``Events.report`` with its first case:

    - ``bad_row``: a line that is not CSV of the header's width, or not a JSON object;
    - ``drop_where <column>``: the column matches one of the patterns (``*``, ``?``, ``[a-c]``), e.g. ``{"InvoiceNo":
      "C*"}``;
    - ``missing_user``, ``missing_item``: null, empty, blank or one of ``missing_ids``;
    - ``bad_time``: missing or not a time; ``time_out_of_range``: before ``min_time`` or after ``max_time`` (default: a
      day from now);
    - ``missing_event``: no type; ``unknown_event``: not among ``event_types``, where those are given;
    - ``bad_value``: not a number, negative or above ``max_value``; ``bad_quantity``, ``bad_price``, ``bad_amount``: not
      a number, 0 or less, or above ``max_quantity``, ``max_price``, ``max_value``; with ``keep_free`` a price or amount
      of 0 is kept. An absent number is kept as unknown;
    - ``duplicate``: equal to another row in every column named here; only with ``time``, since without it a row that
      comes twice may be an event that came twice;
    - ``bot``: all events of a user who on any one day (UTC) has more than ``max_events_per_user_day``; ``"auto"`` is 10
      times the 99.9th percentile of events per user and day, and at least 1000; None switches the rule off.

    ``strict`` raises where rows would be left out as ``bad_row`` or ``unknown_event``. ``memory_limit``, ``threads``
    and ``temp_directory`` are DuckDB's; the temporary database goes away with the result.
    """
    columns = {"user": user, "item": item, "time": time, "event": event, "value": value, "quantity": quantity}
    columns |= {"price": price, "amount": amount, "basket": basket, "category": category}
    mapped = {name: column for name, column in columns.items() if column is not None}
    patterns = _patterns(drop_where)
    for name, x in (("max_value", max_value), ("max_quantity", max_quantity), ("max_price", max_price)):
        if isinstance(x, bool) or not isinstance(x, (int, float, np.number)) or not x > 0:
            raise InvalidArgument(f"{name}: expected a number above 0; got {x!r}")
    limits = {"value": max_value, "quantity": max_quantity, "price": max_price, "amount": max_value}
    earliest = as_time(min_time, "min_time")
    latest = clock.time_ns() // 1000 + DAY if max_time is None else as_time(max_time, "max_time")
    if not (
        max_events_per_user_day in ("auto", None)
        or (isinstance(max_events_per_user_day, int) and max_events_per_user_day > 0)
    ):
        raise InvalidArgument(
            f"max_events_per_user_day: expected a whole number above 0, 'auto' or None; got {max_events_per_user_day!r}"
        )

    db = Database(memory_limit=memory_limit, threads=threads, temp_directory=temp_directory)
    try:
        try:
            db.run(f"SET TimeZone = {literal(time_zone)}")
        except db.Error as e:
            raise InvalidArgument(f"time_zone: {first_line(e)}") from None
        found = open_source(db, source, format=format, sep=sep, encoding=encoding)
        for argument, column in mapped.items():
            found.require(argument, column)
        for column in patterns:
            found.require("drop_where", column)
        db.run("BEGIN")  # one commit: a step that commits waits for the disk
        staged = dict(mapped) | {f"drop_{i}": column for i, column in enumerate(patterns)}
        found.stage(db, "raw", staged)
        read = db.run("SELECT count(*) FROM raw")[0][0]
        if read + found.bad_rows == 0:
            raise FormatError(f"{found.label}: there are no rows; expected events below the header")
        if strict and found.bad_rows:
            raise FormatError(f"{_bad_row_text(found)}; mend it, or set strict=False to leave such rows out")

        plan = _Plan(db, found, mapped, patterns)
        plan.ids(tuple(missing_ids))
        plan.times(time_zone, time_format, time_unit, earliest, latest)
        plan.event_types(event_types)
        plan.numbers(limits, keep_free)
        plan.labels()

        counts = [RuleCount("bad_row", found.bad_rows, "not a row of the format", found.bad_example)]
        counts += _count_rules(db, plan.rules, staged, found.row_order)
        unknown = next((c for c in counts if c.rule == "unknown_event"), None)
        if strict and unknown is not None and unknown.count:
            shown = (unknown.example or {}).get(event or "")
            raise InvalidArgument(
                f"event: {unknown.count} rows have a type that is {unknown.meaning}, such as {shown!r}; add it to"
                " event_types, or set strict=False to leave such rows out"
            )
        good = " AND ".join(f"NOT ({test})" for _, test, _ in plan.rules)
        passed = read - sum(c.count for c in counts[1:])
        if passed:
            _load(db, plan.keep, good, plan.spelled)
            if (loaded := db.run("SELECT count(*) FROM events")[0][0]) != passed:
                raise EcocoreError(f"{passed} rows passed the rules and {loaded} were kept: please report this")
            if time is not None:
                counts.append(
                    _drop_duplicates(db, tuple(plan.keep)) if drop_duplicates else RuleCount("duplicate", 0, "")
                )
                counts.append(_drop_bots(db, max_events_per_user_day, plan.notes))
        kept = passed - sum(c.count for c in counts if c.rule in ("duplicate", "bot"))
        report = CleaningReport(
            found.label, read + found.bad_rows, kept, tuple(c for c in counts if c.count), tuple(plan.notes)
        )
        if kept == 0:
            raise InvalidArgument(f"source: no event is left after cleaning; check the columns and rules\n{report}")
        db.run("DROP VIEW raw" if found.row_order != "rowid" else "DROP TABLE raw")
        db.run("COMMIT")
        db.limit_memory(READ_MEMORY)
        return Events(db, tuple(plan.keep), report)
    except BaseException as e:
        db.close()
        if isinstance(e, db.Error):
            raise _translate(e, memory_limit) from None
        raise


class _Plan:
    """What is kept of a row and what drops it, as SQL over the staged table, column by column."""

    def __init__(
        self, db: Database, found: Source, mapped: Mapping[str, str], patterns: Mapping[str, list[str]]
    ) -> None:
        self.db, self.found, self.mapped = db, found, mapped
        self.kinds = db.describe("raw")
        self.keep: dict[str, str] = {}  # SQL of each column of the cleaned log
        self.spelled: dict[str, bool] = {}  # is an id column text that may be whole numbers?
        self.rules: list[tuple[str, str, str]] = []  # name, SQL that is true for a row it drops, meaning
        self.notes: list[str] = []
        for i, (column, globs) in enumerate(patterns.items()):
            text = f"{identifier(f'drop_{i}')}::VARCHAR"
            tests = " OR ".join(f"{text} GLOB {literal(g)}" for g in globs)
            self._rule(f"drop_where {column}", f"coalesce({tests}, false)", f"{column} is like {' or '.join(globs)}")

    def _rule(self, name: str, test: str, meaning: str) -> None:
        self.rules.append((name, test, meaning))

    def ids(self, missing: tuple[str, ...]) -> None:
        for name in ("user", "item"):
            ids = id_column(self.db, "raw", name, name, self.mapped[name], missing, self.found.text)
            self.keep[name], self.spelled[name] = ids.value, ids.spelled
            self._rule(f"missing_{name}", ids.missing, f"no {name} id")

    def times(self, zone: str, format: str | None, unit: str | None, earliest: int, latest: int) -> None:
        if "time" not in self.mapped:
            self.notes.append("there is no time: duplicates and bots are not looked for")
            return
        when = time_column(self.db, "raw", "time", self.mapped["time"], zone=zone, format=format, unit=unit)
        self.notes.append(when.note)
        self.keep["time"] = when.value
        self._rule("bad_time", f"{when.value} IS NULL", "no time, or not understood")
        outside = f"before {format_time(earliest)} or after {format_time(latest)}"
        self._rule("time_out_of_range", f"{when.value} NOT BETWEEN {earliest} AND {latest}", outside)

    def event_types(self, known: Sequence[str] | None) -> None:
        if "event" in self.mapped:
            self.keep["event"] = "event::VARCHAR"
            self._rule("missing_event", f"event IS NULL OR {blank('event::VARCHAR')}", "no event type")
        if known is None:
            return
        if "event" not in self.mapped:
            raise InvalidArgument("event_types: needs event=, the column that holds them")
        if isinstance(known, str) or not known:
            raise InvalidArgument(f"event_types: expected a list of names; got {known!r}")
        listed = ", ".join(literal(str(kind)) for kind in known)
        self._rule("unknown_event", f"event::VARCHAR NOT IN ({listed})", f"not one of {', '.join(map(str, known))}")

    def numbers(self, limits: Mapping[str, float], keep_free: bool) -> None:
        for name in limits:
            if name not in self.mapped:
                continue
            check_number(self.kinds[name], name, self.mapped[name])
            self.keep[name] = number(name, self.kinds[name])
            low = "<" if name == "value" or (keep_free and name != "quantity") else "<="
            wrong = f"{{x}} {low} 0 OR {{x}} > '{float(limits[name])!r}'::DOUBLE"
            meaning = f"not a number, {low} 0 or > {limits[name]:g}"
            self._rule(f"bad_{name}", number_is_bad(name, self.kinds[name], wrong), meaning)

    def labels(self) -> None:
        if "basket" in self.mapped:
            self.keep["basket"] = "basket" if self.kinds["basket"] == "BIGINT" else "basket::VARCHAR"
        if "category" in self.mapped:
            self.keep["category"] = "category::VARCHAR"


def _patterns(drop_where: Mapping[str, str | Sequence[str]] | None) -> dict[str, list[str]]:
    out = {}
    for column, given in (drop_where or {}).items():
        globs: list[Any] = list(given) if isinstance(given, (list, tuple, set)) else [given]
        if not globs or not all(isinstance(g, str) for g in globs):
            raise InvalidArgument(f"drop_where: expected a pattern or a list of them for {column!r}; got {given!r}")
        out[column] = globs
    return out


def _bad_row_text(found: Source) -> str:
    e = found.bad_example or {}
    return f"{e.get('file')}, line {e.get('line')}: bad row {e.get('text')!r} ({e.get('error')}; {found.bad_rows} such)"


def _translate(error: Exception, memory_limit: str) -> Exception:
    text = first_line(error)
    if "Out of Memory" in text or "No space left" in text:
        return MemoryError(f"{text}; memory_limit is {memory_limit}: raise it, or give temp_directory more room")
    return FormatError(f"the log cannot be read: {text}")


def _count_rules(
    db: Database, rules: list[tuple[str, str, str]], staged: Mapping[str, str], row_order: str
) -> list[RuleCount]:
    """How many rows each rule is the first to drop, with the first row in the order of the source."""
    cases = " ".join(f"WHEN {test} THEN {i}" for i, (_, test, _) in enumerate(rules))
    shown = ", ".join(f"{literal(f'c{i}')}: {identifier(name)}::VARCHAR" for i, name in enumerate(staged))
    rows = db.run(
        f"SELECT rule, count(*), arg_min({{{shown}}}, place) FROM"
        f" (SELECT *, CASE {cases} END AS rule, {row_order} AS place FROM raw) WHERE rule IS NOT NULL GROUP BY rule"
    )
    found = {rule: (count, dict(zip(staged.values(), example.values(), strict=True))) for rule, count, example in rows}
    return [
        RuleCount(name, found[i][0], meaning, found[i][1]) if i in found else RuleCount(name, 0, meaning)
        for i, (name, _, meaning) in enumerate(rules)
    ]


def _load(db: Database, keep: Mapping[str, str], good: str, spelled: Mapping[str, bool]) -> None:
    """The tables of the cleaned log.

    ``users`` and ``items`` (code, id) in the order of ids, ``event_types`` and ``categories`` (code, name), and
    ``events`` (user, item: int32 codes, time: microseconds, ...) sorted by all its columns.
    """
    for name, table in (("user", "users"), ("item", "items")):
        db.run(f"CREATE TABLE found AS SELECT DISTINCT {keep[name]} AS raw_id FROM raw WHERE {good}")
        id_ = whole_if_all(db, "found", "raw_id") if spelled[name] else "raw_id"
        code = f"(dense_rank() OVER (ORDER BY {id_}) - 1)::INTEGER AS code"  # "17850" and "17850.0" are one id
        db.run(f"CREATE TABLE {table} AS SELECT raw_id, {id_} AS id, {code} FROM found")
        db.run("DROP TABLE found")
    picked, joins = ["users.code AS user", "items.code AS item"], []
    for name, sql in keep.items():
        if name in ("event", "category"):
            table = {"event": "event_types", "category": "categories"}[name]
            db.run(
                f"CREATE TABLE {table} AS SELECT (row_number() OVER (ORDER BY name) - 1)::INTEGER AS code, name"
                f" FROM (SELECT DISTINCT {sql} AS name FROM raw WHERE {good}) WHERE name IS NOT NULL"
            )
            picked.append(f"{table}.code AS {name}")
            joins.append(f"LEFT JOIN {table} ON {table}.name = rows.{name}")
        elif name not in ("user", "item"):
            picked.append(f"rows.{name}")
    rows = ", ".join(f"{sql} AS {name}" for name, sql in keep.items())
    db.run(
        f"CREATE TABLE events AS SELECT {', '.join(picked)} FROM (SELECT {rows} FROM raw WHERE {good}) rows"
        f" JOIN users ON users.raw_id = rows.user JOIN items ON items.raw_id = rows.item {' '.join(joins)} ORDER BY ALL"
    )


def _drop_duplicates(db: Database, columns: tuple[str, ...]) -> RuleCount:
    """Leaves one of each group of equal rows, which lie one after another: the log is sorted by all columns."""
    # A window without order or partition streams; that the rows are neighbours is tested all the same.
    same = " AND ".join(f"{name} IS NOT DISTINCT FROM lag({name}) OVER ()" for name in columns)
    marked = f"(SELECT *, rowid = lag(rowid) OVER () + 1 AND {same} AS again, rowid AS place FROM events)"
    count, first = db.run(f"SELECT count(*), min(place) FROM {marked} WHERE again")[0]
    meaning = "equal to another row in every column that is read"
    if not count:
        return RuleCount("duplicate", 0, meaning)
    user, item, at = db.run(
        "SELECT users.id::VARCHAR, items.id::VARCHAR, time FROM events JOIN users ON users.code = user"
        f" JOIN items ON items.code = item WHERE events.rowid = {first} LIMIT 1"
    )[0]
    db.run(f"CREATE TABLE once AS SELECT {', '.join(columns)} FROM {marked} WHERE again IS NOT true")
    db.run("DROP TABLE events")
    db.run("ALTER TABLE once RENAME TO events")
    return RuleCount("duplicate", count, meaning, {"user": user, "item": item, "time": format_time(at)})


def _drop_bots(db: Database, limit: int | str | None, notes: list[str]) -> RuleCount:
    """Drops the events of users who on some day have more than is believable: see :func:`read_events`."""
    if limit is None:
        notes.append("bots are not looked for")
        return RuleCount("bot", 0, "")
    most = BOT_FLOOR if limit == "auto" else int(limit)
    if db.run("SELECT max(n) FROM (SELECT count(*) AS n FROM events GROUP BY user)")[0][0] <= most:
        return RuleCount("bot", 0, "")
    histogram = np.zeros(1, np.int64)  # how many user-days have this many events
    busiest: list[tuple[Int64Array, Int64Array]] = []  # users with a day above ``most``, and the events of that day
    for part in slices(db, "user, time"):
        key = part["user"].astype(np.int64) << 32 | part["time"] // DAY + 2**31
        days, n = np.unique(key, return_counts=True)
        found = np.bincount(n, minlength=histogram.size)
        found[: histogram.size] += histogram
        histogram = found
        busiest.append(((days >> 32)[n > most], n[n > most]))
    if limit == "auto":
        days_up_to = np.cumsum(histogram)
        most = max(most, BOT_FACTOR * int(np.searchsorted(days_up_to, 0.999 * days_up_to[-1])))
    users = np.concatenate([u for u, _ in busiest])
    n = np.concatenate([n for _, n in busiest])
    users, n = users[n > most], n[n > most]
    bots = np.unique(users)
    meaning = f"events of {bots.size} users with more than {most} events on a day"
    if not bots.size:
        return RuleCount("bot", 0, meaning)
    db.register("bots", {"user": bots.astype(np.int32)})
    count = db.run("DELETE FROM events WHERE user IN (SELECT user FROM bots)")[0][0]
    db.unregister("bots")
    worst = db.run(f"SELECT id::VARCHAR FROM users WHERE code = {users[np.argmax(n)]} LIMIT 1")[0][0]
    return RuleCount("bot", count, meaning, {"user": worst, "events on one day": int(n.max())})
