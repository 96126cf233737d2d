"""Where rows come from: files (CSV, JSON lines, Parquet), Arrow tables and streams, DataFrames, dicts of arrays.

A source says what columns it has and puts the asked ones into a table of the database. Text formats give every column
as text, so that an id such as "00123" arrives as it was written; what a text means is decided later, in one place.
"""

from __future__ import annotations

import csv
import glob
import gzip
import io
import json
import os
import sys
import zlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, BinaryIO

import numpy as np

from .csv_lines import CsvLines, examine_csv
from .database import Database, first_line, identifier, literal
from .errors import EcocoreError, FormatError, InvalidArgument

__all__ = ["Source", "open_source"]

_SUFFIXES = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "json", ".ndjson": "json", ".json": "json",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
_FORMATS = ("csv", "json", "parquet")
_SEPARATORS = ",\t;|"
_JSON_SAMPLE = 1000  # lines looked at to know the names of fields


@dataclass
class Source(ABC):
    """What :func:`open_source` found. ``text``: every column comes as VARCHAR, as written in the file."""

    label: str
    columns: list[str]
    text: bool = False
    bad_rows: int = 0
    bad_example: dict[str, Any] | None = None
    misencoded: bool = False  # are some of the bad rows not in the encoding?
    row_order: str = "rowid"  # SQL over the staged table: where a row stands in the source
    one_line: frozenset[str] = frozenset()  # columns of the staged table where no value can hold a line break
    notes: list[str] = field(default_factory=list)  # what staging found that a reader of the report should know
    _twice: set[str] = field(default_factory=set)

    def require(self, argument: str, column: Any) -> None:
        """Raises unless the column is there, once."""
        if not isinstance(column, str):
            raise InvalidArgument(f"{argument}: expected the name of a column; got {column!r}")
        if column not in self.columns:
            known = ", ".join(self.columns)
            hint = argument if argument.startswith("drop_where") else f"{argument}="
            raise InvalidArgument(
                f"{argument}: there is no column {column!r} in {self.label}; it has: {known}; set {hint} to one of them"
            )
        if column in self._twice:
            raise InvalidArgument(f"{argument}: {self.label} has several columns {column!r}; rename all but one")

    @abstractmethod
    def stage(self, db: Database, table: str, columns: Mapping[str, str]) -> None:
        """Makes ``table`` with the columns ``{name there: name in the source}``, in the order of ``row_order``.

        The table is a view where the source can be scanned again at no cost. Afterwards ``bad_rows`` counts the rows
        that could not be read at all.
        """


def open_source(
    db: Database, source: Any, *, format: str | None = None, sep: str | None = None, encoding: str = "utf-8"
) -> Source:
    """The source behind a path, a pattern, a list of them, or a table in memory."""
    if isinstance(source, (str, os.PathLike)) or (
        isinstance(source, (list, tuple)) and source and all(isinstance(p, (str, os.PathLike)) for p in source)
    ):
        paths = _expand(source)
        if format is not None and format not in _FORMATS:
            raise InvalidArgument(f"format: expected one of {', '.join(_FORMATS)}; got {format!r}")
        kinds = {format or _guess_format(p) for p in paths}
        if len(kinds) > 1:
            raise InvalidArgument(
                f"source: expected files of one format; got {', '.join(sorted(kinds))}; read them apart"
            )
        kind = kinds.pop()
        for path in paths:
            if os.path.getsize(path) == 0:
                raise FormatError(f"{path}: the file is empty; expected {kind} with a header and rows")
        if kind == "parquet":
            return _Parquet(db, paths)
        return _Csv(paths, sep, encoding) if kind == "csv" else _Json(paths).look(db)
    return _Memory(db, source)


# ---- files -----------------------------------------------------------------------------------------------------------
def _expand(source: Any) -> list[str]:
    """Existing files, in order: a name that exists is meant as it is, another one is taken as a pattern."""
    out: list[str] = []
    for given in source if isinstance(source, (list, tuple)) else [source]:
        path = os.fspath(given)
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        path = os.path.expanduser(path)
        if os.path.isdir(path):
            raise InvalidArgument(f"source: {path} is a folder; name its files, e.g. {os.path.join(path, '*.parquet')}")
        found = (
            [path] if os.path.exists(path) else sorted(p for p in glob.glob(path, recursive=True) if os.path.isfile(p))
        )
        if any(not os.path.isfile(p) for p in found):
            raise InvalidArgument(
                f"source: {path} is a pipe or a device, and a log is read more than once; save it to a file first"
                " (such as: command > log.csv) and give the path of that"
            )
        if not found:
            what = "no file matches the pattern" if glob.has_magic(path) else "there is no file"
            raise InvalidArgument(f"source: {what} {path} (working folder {os.getcwd()}); check the path")
        out += found
    return out


def _label(paths: list[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"


def _guess_format(path: str) -> str:
    name = path.lower()
    for packed in (".gz", ".zst"):
        name = name.removesuffix(packed)
    by_name = _SUFFIXES.get(os.path.splitext(name)[1])
    if by_name:
        return by_name
    with open(path, "rb") as f:
        if f.read(4) == b"PAR1":
            return "parquet"
    start = b"".join(islice(_lines(path), 1)).lstrip()
    return "json" if start[:1] in (b"{", b"[") else "csv"


def _packing(path: str) -> str:
    """DuckDB's name of a file's compression, from its first bytes."""
    with open(path, "rb") as f:
        magic = f.read(6)
    if magic[:2] == b"\x1f\x8b":
        return "gzip"
    if magic[:4] == b"\x28\xb5\x2f\xfd":
        return "zstd"
    for start, name in ((b"BZh", "bzip2"), (b"\xfd7zXZ\x00", "xz"), (b"PK\x03\x04", "zip")):
        if magic.startswith(start):
            raise FormatError(f"{path}: {name} files are not read; unpack it, or pack it with gzip")
    return "none"


def _open(path: str) -> BinaryIO:
    return gzip.open(path) if _packing(path) == "gzip" else open(path, "rb")  # type: ignore[return-value]


def _lines(path: str) -> Iterator[bytes]:
    """The lines of a text file, unpacked; a file that is cut short raises FormatError."""
    if _packing(path) == "zstd":
        return
    try:
        with _open(path) as f:
            yield from f
    except (EOFError, OSError, zlib.error) as e:
        raise _damaged(path, e) from None


def _first_line(path: str, encoding: str) -> str:
    """The first line of a text file without its end; cut in the text, since a line end may be more than one byte."""
    try:
        with _open(path) as f:
            if encoding == "utf-16" and f.read(2) == b"\xfe\xff":
                raise FormatError(f"{path}: big-endian UTF-16 is not read; write the file as utf-8")
            f.seek(0)
            # Little-endian by name: "utf-16" would refuse a file without a mark.
            text = io.TextIOWrapper(f, "utf-16-le" if encoding == "utf-16" else encoding, "replace", newline="\n")
            return text.readline().removeprefix("\ufeff").rstrip("\r\n")
    except (EOFError, OSError, zlib.error) as e:
        raise _damaged(path, e) from None


def _damaged(path: str, error: Exception) -> FormatError:
    return FormatError(
        f"{path}: cannot be read: {first_line(error)}; it may be cut short or damaged: fetch or write it again"
    )


def _pattern(path: str) -> str:
    """A path as DuckDB takes it, with the characters of patterns made literal."""
    for magic in "[*?":
        path = path.replace(magic, "\0" if magic == "[" else f"[{magic}]")
    return path.replace("\0", "[[]")


def _list(paths: list[str]) -> str:
    return "[" + ", ".join(literal(_pattern(os.path.abspath(p))) for p in paths) + "]"


def _create(db: Database, label: str, kind: str, table: str, query: str) -> None:
    try:
        db.run(f"CREATE OR REPLACE {kind} {table} AS {query}")
    except db.Error as e:
        _check_memory(label, e)
        raise _damaged(label, e) from None


def _check_memory(label: str, error: Exception) -> None:
    if "Out of Memory" in str(error):
        raise EcocoreError(f"{label}: {first_line(error)}; raise memory_limit") from None


class _Csv(Source):
    """CSV with a header line. A row of another width, of broken quotes, or not in the encoding, is bad: counted."""

    def __init__(self, paths: list[str], sep: str | None, encoding: str) -> None:
        if sep is not None and (not isinstance(sep, str) or len(sep) != 1):
            raise InvalidArgument(f"sep: expected one character; got {sep!r}")
        known = {"utf-8": "utf-8", "utf8": "utf-8", "latin-1": "latin-1", "latin1": "latin-1", "utf-16": "utf-16"}
        if encoding.lower() not in known:
            raise InvalidArgument(f"encoding: expected utf-8, latin-1 or utf-16; got {encoding!r}")
        self.encoding = known[encoding.lower()]
        # Files of one header and packing are read together; the columns of others may come in another order.
        self.groups: dict[tuple[tuple[str, ...], str, str], list[str]] = {}
        for path in paths:
            header, found = self._header(path, sep)
            self.groups.setdefault((tuple(header), found, _packing(path)), []).append(path)
        first = next(iter(self.groups))[0]
        super().__init__(_label(paths), list(first), text=True)
        for names, _, _ in self.groups:
            self._twice |= {name for name in names if names.count(name) > 1}

    def _header(self, path: str, sep: str | None) -> tuple[list[str], str]:
        if _packing(path) == "zstd":
            raise FormatError(f"{path}: zstd-packed CSV is not read; unpack it, or pack it with gzip")
        line = _first_line(path, self.encoding)
        if not line.strip():
            raise FormatError(f"{path}: the first line is empty; expected a header with the names of the columns")
        if "\0" in line and self.encoding != "utf-16":
            raise FormatError(f"{path}: this is not text in {self.encoding}; set encoding= or format=")
        if "\r" in line:
            raise FormatError(
                f"{path}: the header holds a carriage return; end lines with \\n or \\r\\n, all the same way"
            )
        found = sep or max(_SEPARATORS, key=line.count)
        try:
            return next(csv.reader(io.StringIO(line), delimiter=found, strict=True)), found
        except csv.Error as e:
            raise FormatError(f"{path}: the header is not CSV: {e}; close its quotes within the first line") from None

    def stage(self, db: Database, table: str, columns: Mapping[str, str]) -> None:
        parts = [_CsvPart(*key, self.encoding, paths, paths) for key, paths in self.groups.items()]
        for part in parts:
            lost = [name for name in columns.values() if name not in part.header]
            if lost:
                raise InvalidArgument(
                    f"{part.paths[0]}: there is no column {lost[0]!r}, which {self.label} has; read it apart"
                )
        # Nothing is dropped in silence: what was read and what was rejected must be all the lines of the files. Where
        # it is not (rows of several lines, blank lines, stray quotes) the lines are looked at one by one.
        try:
            done = self._read(db, table, columns, parts)
        except db.Error as e:
            _check_memory(self.label, e)
            db.recover()
            done = None
        if done is None or any(r.doubtful or r.rows != p.count_lines() for r, p in zip(done, parts, strict=True)):
            done = self._account(db, table, columns, parts, done)
        self.bad_rows = sum(r.bad for r in done)
        self.bad_example = next((r.example for r in done if r.example is not None), None)

    def _account(
        self, db: Database, table: str, columns: Mapping[str, str], parts: list[_CsvPart], done: list[_CsvRead] | None
    ) -> list[_CsvRead]:
        """Reads file by file if need be, from copies where a bad line is blanked, so that each costs one row."""
        files = [part.of_file(path) for part in parts for path in part.paths]
        seen = []
        for file in files:
            one_line = {file.header.index(columns[name]) for name in self.one_line if name in columns}
            sep = file.sep.encode("latin-1" if file.encoding == "latin-1" else "utf-8")
            seen.append(examine_csv(file.lines(), sep, len(file.header), one_line))
            if seen[-1].broken:
                self.notes.append(
                    f"{file.paths[0]}: {seen[-1].broken:,} rows hold line breaks within quotes; the longest, of"
                    f" {seen[-1].longest} lines, starts at line {seen[-1].longest_at}"
                )
        if done is not None and not any(s.bad for s in seen) and sum(r.rows for r in done) == sum(s.rows for s in seen):
            return done
        copies = []
        try:
            for i, (file, lines) in enumerate(zip(files, seen, strict=True)):
                if lines.bad or done is None:
                    copies.append(os.path.join(db.folder, f"copy-{i}.csv"))
                    files[i] = file.without(lines.bad, copies[-1])
            try:
                done = self._read(db, table, columns, files)
            except db.Error as e:
                _check_memory(self.label, e)
                raise _damaged(self.label, e) from None
        finally:
            for copy in copies:
                os.remove(copy)
        for file, lines, read in zip(files, seen, done, strict=True):
            if read.rows + len(lines.bad) != lines.rows:
                raise FormatError(
                    f"{file.paths[0]}: it has {lines.rows} rows, of which {len(lines.bad)} are bad, and"
                    f" {read.rows} could be read; look for quotes that are not closed, or write it as Parquet"
                )
            read.add_bad(file.paths[0], lines, self.encoding)
        return done

    def _read(self, db: Database, table: str, columns: Mapping[str, str], parts: list[_CsvPart]) -> list[_CsvRead]:
        out = []
        for i, part in enumerate(parts):
            # Columns are known by place: SQL takes "User" and "user" for the same name.
            types = ", ".join(f"'c{at}': 'VARCHAR'" for at in range(len(part.header)))
            picked = ", ".join(f"c{part.header.index(old)} AS {identifier(new)}" for new, old in columns.items())
            into = f"INSERT INTO {table}" if i else f"CREATE OR REPLACE TABLE {table} AS"
            rows = db.run(
                f"{into} SELECT {picked} FROM read_csv({_list(part.read_from)}, auto_detect=false, header=true,"
                f" delim={literal(part.sep)}, quote='\"', escape='\"', columns={{{types}}},"
                f" compression={literal(part.packing)}, encoding={literal(part.encoding)},"
                f" hive_partitioning=false, store_rejects=true, rejects_table='rejects', rejects_scan='reject_files',"
                f" rejects_limit=0)"
            )[0][0]
            doubtful = "bool_or(error_type::VARCHAR IN ('UNQUOTED VALUE', 'LINE SIZE OVER MAXIMUM'))"
            foreign = "bool_or(error_type::VARCHAR = 'INVALID ENCODING')"
            found = db.run(f"SELECT count(DISTINCT (file_id, line)), {doubtful}, {foreign} FROM rejects")
            bad, unsure, misencoded = found[0]
            self.misencoded |= bool(misencoded)
            example = None
            if bad:
                at, text, why, file = db.run(
                    "SELECT line, csv_line, error_message, file_path FROM rejects JOIN reject_files"
                    " USING (scan_id, file_id) ORDER BY file_id, line LIMIT 1"
                )[0]
                file = part.paths[0] if part.read_from != part.paths else file
                example = _bad_row(file, at, text or "", first_line(Exception(why)))
            db.run("DROP TABLE rejects")
            db.run("DROP TABLE reject_files")
            out.append(_CsvRead(rows + bad, bad, bool(unsure), example))
        return out


def _bad_row(file: str, line: int, text: str, why: str) -> dict[str, Any]:
    return {"file": file, "line": line, "text": text.strip()[:200], "error": why}


@dataclass
class _CsvRead:
    """What reading gave: ``rows`` with the ``bad`` ones, of which the first is the example."""

    rows: int
    bad: int
    doubtful: bool  # were quotes misread, so that a bad row may have taken others with it?
    example: dict[str, Any] | None

    def add_bad(self, path: str, lines: CsvLines, encoding: str) -> None:
        self.rows += len(lines.bad)
        self.bad += len(lines.bad)
        first = next(iter(lines.bad), None)
        if first is not None and (self.example is None or self.example["line"] > first):
            text = lines.first_bad.decode("latin-1" if encoding == "latin-1" else "utf-8", "replace")
            self.example = _bad_row(path, first, text, lines.bad[first])


@dataclass(frozen=True)
class _CsvPart:
    """CSV files that are read in one go; ``read_from``: themselves, or mended copies."""

    header: tuple[str, ...]
    sep: str
    packing: str
    encoding: str
    paths: list[str]
    read_from: list[str]

    def of_file(self, path: str) -> _CsvPart:
        return replace(self, paths=[path], read_from=[path])

    def lines(self) -> Iterator[bytes]:
        """The lines of the first file, in UTF-8 where they are in UTF-16."""
        if self.encoding != "utf-16":
            yield from _lines(self.paths[0])
            return
        try:
            with io.TextIOWrapper(_open(self.paths[0]), "utf-16-le", "replace", newline="\n") as f:
                for line in f:
                    yield line.encode("utf-8", "replace")
        except (EOFError, OSError, zlib.error, UnicodeError) as e:
            raise _damaged(self.paths[0], e) from None

    def count_lines(self) -> int:
        """Lines below the headers, without looking at what they hold."""
        return sum(self.of_file(path)._count() for path in self.paths)

    def _count(self) -> int:
        if self.encoding == "utf-16":
            return sum(1 for _ in self.lines()) - 1
        count, last = -1, b"\n"
        try:
            with _open(self.paths[0]) as f:
                while block := f.read(1 << 20):
                    count += block.count(b"\n")
                    last = block[-1:]
        except (EOFError, OSError, zlib.error) as e:
            raise _damaged(self.paths[0], e) from None
        return count + (last != b"\n")

    def without(self, bad: Collection[int], copy: str) -> _CsvPart:
        """A part that reads the file from ``copy``, where bad lines are blank and each line ends the same way."""
        with open(copy, "wb") as f:
            for at, line in enumerate(self.lines(), 1):
                f.write(b"\n" if at in bad else line.rstrip(b"\r\n") + b"\n")
        encoding = "utf-8" if self.encoding == "utf-16" else self.encoding
        return replace(self, packing="none", encoding=encoding, read_from=[copy])


class _Json(Source):
    """JSON lines (an object a line; another line is bad) or a file that is one array of objects."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths
        shapes = {path: self._shape(path) for path in paths}
        if len(set(shapes.values())) > 1:
            raise InvalidArgument("source: some files are JSON lines and some are arrays; read them apart")
        self.shape = shapes[paths[0]]
        super().__init__(_label(paths), [], text=True)

    @staticmethod
    def _shape(path: str) -> str:
        for line in _lines(path):
            if line.strip():
                return "array" if line.lstrip().startswith(b"[") else "newline_delimited"
        return "newline_delimited"

    def _scan(self) -> str:
        lenient = ", ignore_errors=true" if self.shape == "newline_delimited" else ""
        shape = f"format='{self.shape}', records='false', columns={{'json': 'JSON'}}"
        return f"read_json({_list(self.paths)}, {shape}{lenient}, hive_partitioning=false)"

    def look(self, db: Database) -> _Json:
        sample = f"(SELECT json FROM {self._scan()} LIMIT {_JSON_SAMPLE})"
        try:
            rows = db.run(f"SELECT json_keys(json) FROM {sample} WHERE json_type(json) = 'OBJECT'")
        except db.Error as e:
            raise _damaged(self.label, e) from None
        self.columns = list(dict.fromkeys(name for (names,) in rows for name in names))
        if not self.columns:
            raise FormatError(f"{self.label}: none of the first lines is a JSON object; expected one object a line")
        return self

    def stage(self, db: Database, table: str, columns: Mapping[str, str]) -> None:
        pointers = [literal("/" + name.replace("~", "~0").replace("/", "~1")) for name in columns.values()]
        picked = ", ".join(f"v[{at + 1}] AS {identifier(new)}" for at, new in enumerate(columns))
        good = "json_type(json) = 'OBJECT'"
        values = f"CASE WHEN {good} THEN json_extract_string(json, [{', '.join(pointers)}]) END AS v"
        query = (
            f"SELECT {picked}, NOT coalesce(ok, false) AS bad FROM (SELECT {values}, {good} AS ok FROM {self._scan()})"
        )
        _create(db, self.label, "TABLE", table, query)
        self.bad_rows = db.run(f"SELECT count(*) FROM {table} WHERE bad")[0][0]
        if self.bad_rows:
            db.run(f"DELETE FROM {table} WHERE bad")
            self.bad_example = self._first_bad()
        db.run(f"ALTER TABLE {table} DROP COLUMN bad")

    def _first_bad(self) -> dict[str, Any] | None:
        for path in self.paths:
            for at, line in enumerate(_lines(path), 1):
                why = "not an object"
                try:
                    if not line.strip() or isinstance(json.loads(line), dict):
                        continue
                except ValueError as e:
                    why = str(e)
                return {"file": path, "line": at, "text": line.decode("utf-8", "replace").strip()[:200], "error": why}
        return None


class _Parquet(Source):
    """Parquet files, read where they lie."""

    def __init__(self, db: Database, paths: list[str]) -> None:
        self.paths = paths
        seen: set[str] = set()
        alike: set[str] = set()
        for path in paths:
            try:
                columns = _parquet_columns(db, path)
            except db.Error as e:
                raise _damaged(path, e) from None
            seen |= {name.casefold() for name in columns}
            alike |= _alike(columns)
            if path == paths[0]:
                super().__init__(_label(paths), columns)
            else:
                self.columns = [name for name in self.columns if name in columns]
        self._twice = {name for name in self.columns if self.columns.count(name) > 1}
        self.alike = alike if len(paths) > 1 else set()  # files are united by names, a single one is read by place
        self.placed = not seen & {"filename", "file_row_number"}  # the reader's own columns, unless the file has such

    def stage(self, db: Database, table: str, columns: Mapping[str, str]) -> None:
        picked = ", ".join(f"{identifier(old)} AS {identifier(new)}" for new, old in columns.items())
        for name in columns.values():
            if name.casefold() in self.alike:
                raise InvalidArgument(
                    f"source: {self.label} have several columns {name!r} but for upper and lower case, which cannot be"
                    " told apart over several files; read the files one at a time, or rename all but one"
                )
        many = "true" if len(self.paths) > 1 else "false"
        scan, names = f"read_parquet({_list(self.paths)}, union_by_name={many}, hive_partitioning=false", ""
        if len(self.paths) == 1:
            picked, names = _by_place(self.columns, columns)
        if self.placed:
            place = "{'file': filename, 'row': file_row_number} AS row_order"
            query = f"SELECT {picked}, {place} FROM {scan}, filename=true, file_row_number=true){names}"
            _create(db, self.label, "VIEW", table, query)
            self.row_order = "row_order"
        else:
            _create(db, self.label, "TABLE", table, f"SELECT {picked} FROM {scan}){names}")


def _parquet_columns(db: Database, path: str) -> list[str]:
    """The names of a file's columns as they are written; the reader would rename those that differ only in case."""
    schema = db.run(f"SELECT name, coalesce(num_children, 0) FROM parquet_schema({_list([path])})")
    out, inside = [], 0  # the schema lists a column's parts after it, at any depth
    for name, children in schema[1:]:
        if inside == 0:
            out.append(name)
            inside = 1
        inside += children - 1
    return out


def _alike(columns: list[str]) -> set[str]:
    """Names, folded, of columns that differ only in case: SQL takes them for one."""
    folded = [name.casefold() for name in columns]
    return {name for name in folded if folded.count(name) > 1}


def _by_place(known: list[str], columns: Mapping[str, str]) -> tuple[str, str]:
    """SQL that picks columns by their places, and the alias of the table that makes it so."""
    picked = ", ".join(f"c{known.index(old)} AS {identifier(new)}" for new, old in columns.items())
    return picked, f" AS t({', '.join(f'c{at}' for at in range(len(known)))})"


# ---- tables in memory ------------------------------------------------------------------------------------------------
class _Stream:
    """Only the Arrow PyCapsule interface of an object, so that DuckDB needs none of the library behind it."""

    def __init__(self, table: Any) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.table.__arrow_c_stream__(requested_schema)


class _Memory(Source):
    """A DataFrame, an Arrow table or stream, or a dict of 1-D arrays; copied into the database once."""

    def __init__(self, db: Database, table: Any) -> None:
        pandas = sys.modules.get("pandas")
        if isinstance(table, Mapping):
            table, label = _as_arrays(table), "the dict of arrays"
            names = list(table)
        elif pandas is not None and isinstance(table, pandas.DataFrame):
            table, label = table.set_axis([str(name) for name in table.columns], axis=1), "the DataFrame"
            names = list(table.columns)
        elif hasattr(table, "__arrow_c_stream__"):
            named = getattr(getattr(table, "schema", None), "names", None)  # pyarrow; others have them in columns
            named = named if isinstance(named, list) else getattr(table, "columns", None)
            names = named if isinstance(named, list) else []
            table, label = _Stream(table), f"the {type(table).__name__}"
        else:
            raise InvalidArgument(
                "source: expected a path or list of paths, an Arrow table (__arrow_c_stream__), a DataFrame or a dict"
                f" of arrays; got {type(table).__name__}"
            )
        self.table = table
        try:
            db.register("source", table)
            columns = list(db.describe("source"))
        except db.Error as e:
            raise InvalidArgument(f"source: DuckDB cannot read {label}: {first_line(e)}") from None
        finally:
            db.unregister("source")
        if len(names) == len(columns) and all(isinstance(name, str) for name in names):
            columns = names  # as they are written: DuckDB renames those that differ only in case
        super().__init__(label, columns)
        self._twice = {name for name in columns if columns.count(name) > 1}

    def stage(self, db: Database, table: str, columns: Mapping[str, str]) -> None:
        picked, names = _by_place(self.columns, columns)
        db.register("source", self.table)
        try:
            db.run(f"CREATE OR REPLACE TABLE {table} AS SELECT {picked} FROM source{names}")
        except db.Error as e:
            raise InvalidArgument(f"source: DuckDB cannot read {self.label}: {first_line(e)}") from None
        finally:
            db.unregister("source")
            self.table = None


def _as_arrays(table: Mapping[Any, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, values in table.items():
        a = np.asarray(values)
        if a.ndim != 1:
            raise InvalidArgument(f"source: column {name!r}: expected a 1-D array; got shape {a.shape}")
        if a.dtype.kind == "M":
            a = a.astype("datetime64[us]")
        elif a.dtype.kind in "UT":
            a = a.astype(object)
        elif a.dtype.kind == "f" and a.dtype != np.float32:
            a = a.astype(np.float64)
        out[str(name)] = np.ascontiguousarray(a)
    if not out:
        raise InvalidArgument("source: the dict has no columns")
    sizes = {name: a.size for name, a in out.items()}
    if len(set(sizes.values())) > 1:
        raise InvalidArgument(f"source: expected columns of one length; got {sizes}")
    return out
