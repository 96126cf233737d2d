"""Times as the library holds them: int64 microseconds since 1970-01-01 UTC, and spans of time in microseconds."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import numpy as np

from .errors import InvalidArgument

__all__ = ["DAY", "SECOND", "as_duration", "as_time", "format_time"]

SECOND = 1_000_000
DAY = 86_400 * SECOND

_UNITS = {"s": SECOND, "min": 60 * SECOND, "h": 3600 * SECOND, "d": DAY, "w": 7 * DAY}
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def as_time(x: Any, name: str) -> int:
    """Microseconds since 1970 of a datetime, date, ISO 8601 text, ``np.datetime64`` or such a whole number itself.

    A time without a zone is taken as UTC.
    """
    if isinstance(x, str):
        try:
            x = dt.datetime.fromisoformat(x)
        except ValueError:
            raise InvalidArgument(
                f"{name}: expected a time such as '2024-05-31' or '2024-05-31T18:00'; got {x!r}"
            ) from None
    if isinstance(x, np.datetime64):
        if np.isnat(x):
            raise InvalidArgument(f"{name}: expected a time; got NaT")
        return int(x.astype("datetime64[us]").astype(np.int64))
    if isinstance(x, dt.date) and not isinstance(x, dt.datetime):
        x = dt.datetime(x.year, x.month, x.day)
    if isinstance(x, dt.datetime):
        return (x.replace(tzinfo=x.tzinfo or dt.UTC) - _EPOCH) // dt.timedelta(microseconds=1)
    if isinstance(x, (int, np.integer)) and not isinstance(x, bool):
        return int(x)
    raise InvalidArgument(f"{name}: expected a datetime, date, ISO text or microseconds since 1970; got {x!r}")


def as_duration(x: Any, name: str) -> int:
    """Microseconds, above 0, of a ``timedelta`` or of text such as "90s", "30min", "12h", "7d" or "4w"."""
    if isinstance(x, np.timedelta64):
        x = x.astype("timedelta64[us]").item()
    if isinstance(x, dt.timedelta):
        span = x // dt.timedelta(microseconds=1)
    else:
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h|d|w)\s*", x) if isinstance(x, str) else None
        if match is None:
            raise InvalidArgument(f"{name}: expected a span such as '12h', '30d' or '4w', or a timedelta; got {x!r}")
        span = round(float(match[1]) * _UNITS[match[2]])
    if span <= 0:
        raise InvalidArgument(f"{name}: expected a span above 0; got {x!r}")
    return span


def format_time(us: int) -> str:
    """A time for people: "2024-05-31 18:00:00" (UTC)."""
    try:
        return (_EPOCH + dt.timedelta(microseconds=int(us))).strftime("%Y-%m-%d %H:%M:%S")
    except OverflowError:
        return f"{us} us"
