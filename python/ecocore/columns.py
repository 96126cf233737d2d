"""What a column means: the SQL that turns ids, times and numbers, as they come, into the library's own form.

Every function looks at the staged column once and answers with expressions over it; a value that cannot be understood
becomes NULL there, and the rules of cleaning tell a missing value from a bad one.
"""

from __future__ import annotations

from dataclasses import dataclass

from .database import Database, identifier, literal
from .errors import InvalidArgument

__all__ = ["IdColumn", "TimeColumn", "id_column", "number", "number_is_bad", "time_column", "whole_if_all"]

MISSING_IDS = ("NULL", "null", "None", "NaN", "nan", "NA", "N/A")  # how writers of text put "nothing"
BLANKS = r"' ' || chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(160) || chr(12288)"

_WHOLE = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
_SAMPLE = 10_000  # values looked at to understand times written as text

# Ways of writing a time that the SQL cast does not know, tried where ISO 8601 fails.
_TIME_FORMATS = [
    f"{date}{time}"
    for date in ("%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d", "%m/%d/%y", "%d/%m/%y")
    for time in ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
] + ["%Y%m%d%H%M%S", "%a %b %d %H:%M:%S %Y", "%d/%b/%Y:%H:%M:%S %z", "%d %b %Y", "%d %b %Y %H:%M", "%b %d, %Y"]


def is_text(kind: str) -> bool:
    return kind == "VARCHAR" or kind.startswith("ENUM")


def is_fraction(kind: str) -> bool:
    return kind in ("FLOAT", "DOUBLE") or kind.startswith("DECIMAL")


def blank(column: str) -> str:
    return f"trim({column}, {BLANKS}) = ''"


@dataclass(frozen=True)
class IdColumn:
    """``value``: SQL of the id as BIGINT or VARCHAR; ``missing``: SQL that says whether there is none.

    ``spelled``: the value is a spelling, which :func:`whole_if_all` may find to be of whole numbers.
    """

    value: str
    missing: str
    spelled: bool


def id_column(
    db: Database, table: str, name: str, argument: str, source_name: str, missing: tuple[str, ...], text: bool
) -> IdColumn:
    """An id keeps the type that it has in the source: whole numbers are BIGINT, text stays as it is written.

    ``text``: the source is one where everything is text.

    Fractional columns (how a DataFrame holds whole numbers beside missing ones) must hold whole numbers.
    """
    kind, column = db.describe(table)[name], identifier(name)
    if kind in _WHOLE:
        return IdColumn(f"{column}::BIGINT", f"{column} IS NULL", False)
    if is_fraction(kind):
        absent = f"({column} IS NULL OR isnan({column}::DOUBLE))"
        broken = f"NOT {absent} AND ({column} <> trunc({column}) OR abs({column}) > 9007199254740992)"
        if bad := db.run(f"SELECT {column}::VARCHAR FROM {table} WHERE {broken} LIMIT 1"):
            raise InvalidArgument(
                f"{argument}: column {source_name!r} holds numbers that are not whole, such as {bad[0][0]};"
                " ids are text or whole numbers: is this the right column?"
            )
        return IdColumn(f"{column}::BIGINT", absent, False)
    if kind.endswith("[]") or kind.startswith(("STRUCT", "MAP", "BLOB")):
        raise InvalidArgument(
            f"{argument}: column {source_name!r} holds {kind.lower()} values; expected text or whole numbers"
        )
    value = column if kind == "VARCHAR" else f"{column}::VARCHAR"
    words = ", ".join(literal(word) for word in missing)
    named = f" OR {value} IN ({words})" if words else ""
    wide = kind in ("UBIGINT", "HUGEINT", "UHUGEINT")
    return IdColumn(value, f"({column} IS NULL OR {blank(value)}{named})", text or wide)


def whole_if_all(db: Database, rows: str, column: str) -> str:
    """SQL of a text column of ids: as BIGINT if each is a whole number in its only spelling, else as it is.

    "17850.0", as DataFrames with missing values write it, is such a spelling; "00123" and "+5" are not.
    """
    spelled = f"regexp_full_match({column}, '(0|-?[1-9][0-9]{{0,17}})([.]0+)?')"
    whole = db.run(f"SELECT bool_and({spelled}) FROM {rows}")[0][0]
    return f"split_part({column}, '.', 1)::BIGINT" if whole else column


def number(name: str, kind: str) -> str:
    """SQL of a number as DOUBLE, NULL where there is none."""
    column = identifier(name)
    return f"TRY_CAST(trim({column}::VARCHAR, {BLANKS}) AS DOUBLE)" if is_text(kind) else f"{column}::DOUBLE"


def number_is_bad(name: str, kind: str, wrong: str) -> str:
    """SQL that says whether there is a number, but not one that can be used; ``wrong`` tests ``{x}``."""
    x = number(name, kind)
    column = identifier(name)
    unread = (
        f"({x} IS NULL AND {column} IS NOT NULL AND NOT {blank(f'{column}::VARCHAR')}) OR " if is_text(kind) else ""
    )
    return f"coalesce({unread}isnan({x}) OR isinf({x}) OR {wrong.format(x=x)}, false)"


def check_number(kind: str, argument: str, source_name: str) -> None:
    if not (
        is_text(kind) or is_fraction(kind) or kind in _WHOLE or kind in ("UBIGINT", "HUGEINT", "UHUGEINT", "BOOLEAN")
    ):
        raise InvalidArgument(f"{argument}: column {source_name!r} holds {kind.lower()} values; expected numbers")


@dataclass(frozen=True)
class TimeColumn:
    """``value``: SQL of int64 microseconds since 1970 UTC, NULL where it cannot be read; ``note``: how it was read."""

    value: str
    note: str


_EPOCH_UNITS = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3, "d": 86_400e6}
_UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds", "d": "days"}


def time_column(
    db: Database, table: str, name: str, source_name: str, *, zone: str, format: str | None, unit: str | None
) -> TimeColumn:
    """Understands a column of times: timestamps, dates, numbers since 1970, or text (ISO 8601 and common others).

    Times without a zone are of ``zone`` (the session's, set by the caller).
    """
    kind, column = db.describe(table)[name], identifier(name)
    where = f"time: column {source_name!r}"
    if unit is not None and unit not in _EPOCH_UNITS:
        raise InvalidArgument(f"time_unit: expected one of {', '.join(_EPOCH_UNITS)}; got {unit!r}")
    if kind == "TIMESTAMP WITH TIME ZONE":
        return TimeColumn(f"epoch_us({column})", f"{where} holds timestamps with a zone")
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        local = f"{column}::TIMESTAMP" if zone == "UTC" else f"{column}::TIMESTAMPTZ"
        return TimeColumn(
            f"epoch_us({local})", f"{where} holds {'dates' if kind == 'DATE' else 'timestamps'}, taken as {zone}"
        )
    if kind in _WHOLE or is_fraction(kind) or kind in ("UBIGINT", "HUGEINT"):
        return _epoch(db, table, f"{column}::DOUBLE", where, unit, column if kind in _WHOLE else None)
    if not is_text(kind):
        raise InvalidArgument(f"{where} holds {kind.lower()} values; expected times")
    text = f"trim({column}::VARCHAR, {BLANKS})"
    return _text(db, table, text, where, zone, format, unit)


def _epoch(db: Database, table: str, x: str, where: str, unit: str | None, exact: str | None) -> TimeColumn:
    """Numbers since 1970, in the unit that puts their median between 1990 and 2100, or dates as YYYYMMDD."""
    if unit is None:
        median, low, high = db.run(
            f"SELECT median(abs(x)), min(x), max(x) FROM (SELECT {x} AS x FROM {table} LIMIT {_SAMPLE})"
            " WHERE NOT isnan(x) AND NOT isinf(x)"
        )[0]
        if median is None:
            return TimeColumn("NULL::BIGINT", f"{where} holds no times")
        if low >= 19_000_101 and high <= 21_001_231:
            text = f"({x})::BIGINT::VARCHAR"
            value = f"epoch_us(try_strptime({text}, '%Y%m%d')::TIMESTAMPTZ)"
            return TimeColumn(value, f"{where} holds dates written YYYYMMDD")
        for unit in ("s", "ms", "us", "ns"):
            if 631_152_000e6 <= median * _EPOCH_UNITS[unit] < 4_102_444_800e6:
                break
        else:
            raise InvalidArgument(
                f"{where} holds numbers around {median:g}, which are no seconds, milli-, micro- or nanoseconds since"
                " 1970 between the years 1990 and 2100; set time_unit= to 's', 'ms', 'us', 'ns' or 'd'"
            )
    note = f"{where} holds {_UNIT_NAMES[unit]} since 1970"
    if exact is not None:  # whole numbers keep every digit
        scale = _EPOCH_UNITS[unit]
        value = f"{exact}::HUGEINT * {int(scale)}" if scale >= 1 else f"{exact}::HUGEINT // 1000"
        return TimeColumn(f"TRY_CAST({value} AS BIGINT)", note)
    return TimeColumn(f"TRY_CAST(round({x} * {_EPOCH_UNITS[unit]!r}) AS BIGINT)", note)


def _text(
    db: Database, table: str, text: str, where: str, zone: str, format: str | None, unit: str | None
) -> TimeColumn:
    if format is not None:
        value = f"epoch_us(try_strptime({text}, {literal(format)})::TIMESTAMPTZ)"
        return TimeColumn(value, f"{where} is read as {format!r}, in {zone} where it names no zone")
    # From all over the table: the first days of a log cannot tell day from month.
    every = max(1, db.run(f"SELECT count(*) FROM {table}")[0][0] // _SAMPLE)
    sample = (
        f"(SELECT t FROM (SELECT {text} AS t FROM {table}) WHERE t <> '' AND hash(t) % {every} = 0 LIMIT {_SAMPLE})"
    )
    total, numbers, iso = db.run(
        f"SELECT count(*), count(*) FILTER (regexp_full_match(t, '-?[0-9]+([.][0-9]+)?')),"
        f" count(TRY_CAST(t AS TIMESTAMPTZ)) FROM {sample}"
    )[0]
    if total == 0:
        return TimeColumn("NULL::BIGINT", f"{where} holds no times")
    if unit is not None or numbers > total / 2:
        whole = db.run(
            f"SELECT bool_and(regexp_full_match(t, '-?[0-9]+')) FROM {sample} WHERE TRY_CAST(t AS DOUBLE) IS NOT NULL"
        )
        exact = f"TRY_CAST({text} AS BIGINT)" if whole[0][0] else None
        return _epoch(db, table, f"TRY_CAST({text} AS DOUBLE)", where, unit, exact)
    if iso > total / 2:
        return TimeColumn(
            f"epoch_us(TRY_CAST({text} AS TIMESTAMPTZ))",
            f"{where} holds ISO 8601 times, in {zone} where they name no zone",
        )
    # %Y takes "10" for the year 10: only years since 1970 count.
    counts = ", ".join(f"count(*) FILTER (try_strptime(t, {literal(f)}) >= '1970-01-01')" for f in _TIME_FORMATS)
    found = db.run(f"SELECT {counts} FROM {sample}")[0]
    best = max(found)
    if best <= total / 2:
        example = db.run(f"SELECT t FROM {sample} LIMIT 1")[0][0]
        raise InvalidArgument(
            f"{where} holds times that are not understood, such as {example!r}; set time_format= (as in strptime, e.g."
            " '%d.%m.%Y %H:%M')"
        )
    winners = [f for f, n in zip(_TIME_FORMATS, found, strict=True) if n == best]
    if len(winners) > 1:
        example = db.run(f"SELECT t FROM {sample} LIMIT 1")[0][0]
        raise InvalidArgument(
            f"{where} can be read in {len(winners)} ways ({', '.join(map(repr, winners))}), such as {example!r};"
            " set time_format= to the right one"
        )
    return _text(db, table, text, where, zone, winners[0], None)
