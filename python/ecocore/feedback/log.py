"""The feedback log: an append-only SQLite file that survives a crash at any moment.

Write-ahead logging throughout. A reply is written without waiting for the disk (it survives the death of the process,
and a power cut may take the last few); a rating is synced before the call returns, and everything written before it
with it: what was confirmed is never lost.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from ..arrays import describe
from ..assistant.replies import Entry
from ..errors import EcocoreError, FormatError, InvalidArgument

__all__ = ["FeedbackLog", "LogUnavailable", "Record", "Thumb"]

_FORMAT = "2"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS replies (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at REAL NOT NULL, user TEXT NOT NULL, model TEXT NOT NULL,
    text TEXT NOT NULL, language TEXT NOT NULL, intent TEXT NOT NULL, confidence REAL NOT NULL, outcome TEXT NOT NULL,
    intents TEXT NOT NULL, action TEXT NOT NULL, actions TEXT NOT NULL, template TEXT NOT NULL,
    variant INTEGER NOT NULL, variants TEXT NOT NULL, answer TEXT NOT NULL, evidence TEXT NOT NULL, handoff TEXT,
    follows TEXT NOT NULL, context INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS ratings (
    seq INTEGER PRIMARY KEY, reply TEXT NOT NULL REFERENCES replies (id), at REAL NOT NULL, kind TEXT NOT NULL,
    value TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS ratings_reply ON ratings (reply);
"""
_NAMES = tuple(f.name for f in fields(Entry))
_COLUMNS = ", ".join(_NAMES)
_JSON = {"intents", "actions", "variants", "evidence"}  # columns that hold more than one value
KINDS = ("helpful", "correction", "chosen", "rephrased", "handoff")


class LogUnavailable(EcocoreError, OSError):
    """The log could not take it (disk full, file gone, locked for long); nothing was stored."""


@dataclass(frozen=True, kw_only=True)
class Record(Entry):
    """A logged reply with what is known of it. ``user`` is a pseudonym. ``reward``: 1 helpful, 0 not, None unknown;
    a thumb counts before what was inferred from a rephrasing or a hand-off. ``label``: the intent a person named."""

    seq: int
    reward: float | None = None
    thumb: bool | None = None
    label: str | None = None
    signals: tuple[str, ...] = ()


class Thumb(NamedTuple):
    """A rating of a reply: which variant of how many it was, in which answer (``context``), and who said what."""

    reply: str
    context: str
    variant: int
    variants: int
    user: str
    helpful: bool


class FeedbackLog:
    """One log file. Safe to share by threads; other processes may read it, or log their own replies, meanwhile.

    Args:
        path: the file; made if it is not there.
        clock: seconds since the epoch, for ratings.

    Raises:
        FormatError: the file is something else, or of a newer format.
        LogUnavailable: it cannot be opened or made.
    """

    def __init__(self, path: str | Path, *, clock: Callable[[], float] = time.time) -> None:
        self.path = Path(path)
        self._clock = clock
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(self.path, timeout=5.0, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.execute("PRAGMA secure_delete = ON")  # forget() overwrites what it deletes
            self._db.executescript(_SCHEMA)
            self._db.execute("INSERT OR IGNORE INTO meta VALUES ('format', ?)", (_FORMAT,))
            self._db.execute("INSERT OR IGNORE INTO meta VALUES ('salt', ?)", (secrets.token_hex(32),))
            meta = dict(self._db.execute("SELECT key, value FROM meta"))
        except sqlite3.OperationalError as error:
            raise LogUnavailable(f"{self.path}: the feedback log cannot be opened: {error}") from error
        except sqlite3.DatabaseError as error:
            raise FormatError(f"{self.path}: expected a feedback log (SQLite); {error}") from error
        if meta["format"] != _FORMAT:
            raise FormatError(f"{self.path}: format {meta['format']}, this version reads {_FORMAT}; start a new log")
        self._salt = bytes.fromhex(meta["salt"])

    def close(self) -> None:
        """Closes the file; what was written stays."""
        with self._lock:
            self._db.close()

    def pseudonym(self, user: str) -> str:
        """What a user is called in this log: a keyed hash, so that the log holds no names and two logs do not match."""
        return hashlib.blake2b(user.encode("utf-8", "replace"), key=self._salt, digest_size=10).hexdigest()

    # ---- writing ----
    def add_reply(self, entry: Entry, inferred: tuple[tuple[str, str, str], ...] = ()) -> None:
        """Appends a reply, and with it what it tells of earlier ones: (reply id, kind, value).

        Raises:
            LogUnavailable: it could not be stored.
        """
        kept = replace(entry, user=self.pseudonym(entry.user))
        values = tuple(_json(getattr(kept, n)) if n in _JSON else getattr(kept, n) for n in _NAMES)
        statements: list[tuple[str, tuple[Any, ...]]] = [
            (f"INSERT INTO replies ({_COLUMNS}) VALUES ({', '.join('?' * len(values))})", values)
        ]
        statements += [(_RATE, (reply, entry.at, kind, value)) for reply, kind, value in inferred]
        self._write(statements, "NORMAL")

    def add_rating(self, reply_id: str, kind: str, value: str) -> None:
        """Appends a rating; returns when it is safe on disk.

        Raises:
            InvalidArgument: no reply of that id was logged.
            LogUnavailable: it could not be stored; nothing of it was.
        """
        self.add_ratings(reply_id, [(kind, value)])

    def add_ratings(self, reply_id: str, ratings: list[tuple[str, str]]) -> None:
        """Appends some ratings of one reply: all or none."""
        at = self._clock()
        try:
            self._write([(_RATE, (reply_id, at, kind, value)) for kind, value in ratings], "FULL")
        except sqlite3.IntegrityError as error:
            raise InvalidArgument(
                f"reply_id: expected the id of a logged reply (Reply.id); got {describe(reply_id)}"
            ) from error

    def _write(self, statements: list[tuple[str, tuple[Any, ...]]], synchronous: str) -> None:
        with self._lock:
            try:
                self._db.execute(f"PRAGMA synchronous = {synchronous}")
                self._db.execute("BEGIN IMMEDIATE")
                for sql, values in statements:
                    self._db.execute(sql, values)
                self._db.execute("COMMIT")
            except sqlite3.IntegrityError:
                self._undo()
                raise
            except sqlite3.Error as error:
                self._undo()
                raise LogUnavailable(f"{self.path}: the feedback log cannot be written: {error}") from error

    def _undo(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def forget(self, user: str) -> int:
        """Deletes what is logged of a user, and says how many replies that were."""
        name = self.pseudonym(user)
        with self._lock:
            count = self._db.execute("SELECT count(*) FROM replies WHERE user = ?", (name,)).fetchone()[0]
        self._write(
            [
                ("DELETE FROM ratings WHERE reply IN (SELECT id FROM replies WHERE user = ?)", (name,)),
                ("DELETE FROM replies WHERE user = ?", (name,)),
            ],
            "FULL",
        )
        with self._lock:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the write-ahead file held the rows as well
        return int(count)

    # ---- reading ----
    def _read(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._db.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise LogUnavailable(f"{self.path}: the feedback log cannot be read: {error}") from error

    def text_of(self, reply_id: str) -> tuple[str, float, bool] | None:
        """(text, time, rated helpful) of a reply, or None.

        Raises:
            LogUnavailable: the log cannot be read.
        """
        rows = self._read(
            "SELECT text, at, (SELECT value FROM ratings"
            " WHERE reply = id AND kind = 'helpful' ORDER BY seq DESC LIMIT 1) FROM replies WHERE id = ?",
            reply_id,
        )
        return (rows[0][0], rows[0][1], rows[0][2] == "1") if rows else None

    def thumbs(self, reply_id: str | None = None) -> Iterator[Thumb]:
        """The thumbs as they stand, of one reply or of all, in the order in which the replies were first rated."""
        where = "" if reply_id is None else " AND reply = ?"
        rows = self._read(
            "SELECT id, template, language, variant, variants, user,"
            " (SELECT value FROM ratings WHERE seq = last) FROM"
            f" (SELECT reply, min(seq) AS first, max(seq) AS last FROM ratings WHERE kind = 'helpful'{where}"
            "  GROUP BY reply) JOIN replies ON id = reply ORDER BY first",
            *([] if reply_id is None else [reply_id]),
        )
        for id_, template, language, variant, variants, user, value in rows:
            yield Thumb(id_, f"{template}/{language}", variant, len(json.loads(variants)), user, value == "1")

    def __len__(self) -> int:
        return int(self._read("SELECT count(*) FROM replies")[0][0])

    def records(self) -> Iterator[Record]:
        """All replies in the order they were logged, each with its ratings as they stand now. Read in parts, so that
        neither memory nor those who write meanwhile depend on the length of the log."""
        last = 0
        while rows := self._read(
            f"SELECT seq, {_COLUMNS}, (SELECT json_group_array(json_array(kind, value)) FROM"
            " (SELECT kind, value FROM ratings WHERE reply = replies.id ORDER BY seq)) FROM replies"
            " WHERE seq > ? ORDER BY seq LIMIT ?",
            last,
            _PART,
        ):
            yield from map(_record, rows)
            last = rows[-1][0]


_PART = 1000  # rows read at once
_RATE = "INSERT INTO ratings (reply, at, kind, value) VALUES (?, ?, ?, ?)"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _record(row: tuple[Any, ...]) -> Record:
    seq, *columns, ratings = row
    entry = {n: json.loads(v) if n in _JSON else v for n, v in zip(_NAMES, columns, strict=True)}
    for name in ("intents", "evidence"):
        entry[name] = tuple(map(tuple, entry[name]))
    entry |= {"variants": tuple(entry["variants"]), "context": bool(entry["context"])}
    thumb: bool | None = None
    label: str | None = None
    signals: list[str] = []
    for kind, value in json.loads(ratings):  # in the order they were given: the last word counts
        if kind == "helpful":
            thumb = value == "1"
        elif kind in ("correction", "chosen"):
            label = value
        else:
            signals.append(kind)
    reward: float | None = None
    if thumb is not None:
        reward = float(thumb)
    elif label is not None and entry["outcome"] != "ask":
        reward = float(label == entry["action"])
    elif signals:
        reward = 0.0
    return Record(seq=seq, reward=reward, thumb=thumb, label=label, signals=tuple(signals), **entry)
