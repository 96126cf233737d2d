"""The catalogue: what is known of each item (name, category, price, and any further columns), by item id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .columns import BLANKS, MISSING_IDS, check_number, id_column, number, whole_if_all
from .database import Database, as_text_array, first_line, identifier
from .errors import FormatError, InvalidArgument
from .ids import IdMap
from .parts import arrays_under, join_parts, split_parts
from .sources import open_source

__all__ = ["Catalogue", "read_catalogue"]

Column = npt.NDArray[Any]  # float64 with NaN, or objects: str, None where there is nothing


@dataclass(frozen=True, eq=False, repr=False)
class Catalogue:
    """Columns of facts about items, aligned to ``items``: row i tells of the item with code i.

    A column of text is an object array of str, None where there is nothing; a column of numbers is float64, NaN where
    there is nothing. ``report`` counts what reading left out.
    """

    items: IdMap
    columns: dict[str, Column]
    report: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, column in self.columns.items():
            if column.shape != (len(self.items),) or column.dtype not in (np.dtype(object), np.dtype(np.float64)):
                raise InvalidArgument(
                    f"columns: {name!r}: expected {len(self.items)} values, float64 or objects; got {column.dtype} of"
                    f" shape {column.shape}"
                )

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"<Catalogue: {len(self)} items; columns {', '.join(self.columns) or 'none'}>"

    def __getitem__(self, column: str) -> Column:
        if column not in self.columns:
            raise InvalidArgument(f"column: expected one of {', '.join(self.columns) or 'none'}; got {column!r}")
        return self.columns[column]

    @property
    def names(self) -> Column | None:
        return self.columns.get("name")

    @property
    def categories(self) -> Column | None:
        return self.columns.get("category")

    @property
    def prices(self) -> Column | None:
        return self.columns.get("price")

    def align(self, items: IdMap) -> Catalogue:
        """The catalogue of these items, in this order; ``report["missing_items"]`` counts those it does not know.

        What is unknown of an item is None or NaN.
        """
        codes = self.items.codes(items, missing=-1)
        known = codes >= 0
        columns: dict[str, Column] = {}
        for name, column in self.columns.items():
            out = np.full(len(items), None if column.dtype == object else np.nan, column.dtype)
            out[known] = column[codes[known]]
            columns[name] = out
        return Catalogue(items, columns, self.report | {"missing_items": int(np.count_nonzero(~known))})

    # ---- saving ------------------------------------------------------------------------------------------------------
    def to_parts(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """A JSON-ready description and plain numeric arrays, from which :meth:`from_parts` makes the same catalogue.

        A column of text is saved as its distinct values and a code per item, -1 for none.
        """
        meta, arrays = join_parts({"items": self.items.to_parts()})
        columns: list[dict[str, Any]] = []
        for i, (name, column) in enumerate(self.columns.items()):
            if column.dtype != object:
                columns.append({"name": name, "kind": "number"})
                arrays[f"column{i}.values"] = column
                continue
            distinct, codes = encode_text(column)
            described, parts = join_parts({f"column{i}.values": distinct.to_parts()})
            columns.append({"name": name, "kind": "text", "values": described[f"column{i}.values"]})
            arrays |= {f"column{i}.codes": codes, **parts}
        return {**meta, "columns": columns, "report": self.report}, arrays

    @classmethod
    def from_parts(cls, meta: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Catalogue:
        """The catalogue that :meth:`to_parts` described."""

        try:
            items = IdMap.from_parts(*split_parts("items", meta, arrays))
            columns: dict[str, Column] = {}
            for i, column in enumerate(meta["columns"]):
                if column["kind"] == "number":
                    columns[column["name"]] = np.asarray(arrays[f"column{i}.values"])
                else:
                    distinct = IdMap.from_parts(column["values"], arrays_under(f"column{i}.values", arrays))
                    columns[column["name"]] = decode_text(distinct, arrays[f"column{i}.codes"])
            return cls(items, columns, dict(meta.get("report", {})))
        except KeyError as e:
            raise FormatError(f"catalogue: {e.args[0]!r} is missing") from None
        except InvalidArgument as e:
            raise FormatError(f"catalogue: {e}") from None


def encode_text(column: Column) -> tuple[IdMap, npt.NDArray[np.int32]]:
    """The distinct texts of a column, sorted, and the code of each value, -1 for None."""
    values = column.tolist()
    for x in values:
        if x is not None and not isinstance(x, str):
            raise InvalidArgument(f"column: expected text or None; got {type(x).__name__} {x!r}")
    code = {text: i for i, text in enumerate(sorted(set(values) - {None}))}
    codes = np.fromiter((code.get(x, -1) for x in values), np.int32, len(values))
    return IdMap(list(code)), codes


def decode_text(distinct: IdMap, codes: npt.NDArray[np.int32]) -> Column:
    texts = np.empty(len(distinct) + 1, object)  # the last one is None: code -1 finds it
    if len(distinct):
        texts[:-1] = distinct.to_array()
    if codes.size and (codes.min() < -1 or codes.max() >= len(distinct)):
        raise FormatError(f"catalogue: a code is outside -1 to {len(distinct) - 1}")
    return texts[codes]


def read_catalogue(
    source: Any,
    *,
    item: str = "item",
    name: str | None = None,
    category: str | None = None,
    price: str | None = None,
    text: Sequence[str] = (),
    numbers: Sequence[str] = (),
    missing_ids: Sequence[str] = MISSING_IDS,
    format: str | None = None,
    sep: str | None = None,
    encoding: str = "utf-8",
    memory_limit: str = "1.5GB",
) -> Catalogue:
    """Reads a catalogue from any source that :func:`ecocore.read_events` takes; items come in the order of their ids.

    ``item``, ``name``, ``category`` and ``price`` name columns of the source; ``text`` and ``numbers`` name further
    ones to keep, under their own names. Blank text is None; a number that is not one, not finite or negative as a price
    is NaN. The first row of an item counts. ``report`` counts ``rows``, ``bad_rows``, ``missing_ids``, ``duplicates``
    (later rows of an item) and ``bad_<column>`` (numbers that could not be used).
    """
    roles = {"name": name, "category": category, "price": price}
    mapped = {role: column for role, column in roles.items() if column is not None}
    for column in (*text, *numbers):
        if column in mapped or column == "item":
            raise InvalidArgument(
                f"text or numbers: {column!r} names a column of the result already; rename it in the source"
            )
        mapped[column] = column
    numeric = {"price", *numbers} & mapped.keys()
    db = Database(memory_limit=memory_limit)
    try:
        found = open_source(db, source, format=format, sep=sep, encoding=encoding)
        found.require("item", item)
        for role, column in mapped.items():
            found.require(role if role in roles else "text or numbers", column)
        staged = {"item": item} | {f"column_{i}": column for i, column in enumerate(mapped.values())}
        found.stage(db, "raw", staged)
        kinds = db.describe("raw")
        ids = id_column(db, "raw", "item", "item", item, tuple(missing_ids), found.text)
        picked = []
        for i, role in enumerate(mapped):
            at = f"column_{i}"
            if role in numeric:
                check_number(kinds[at], role, mapped[role])
                picked.append(f"{number(at, kinds[at])} AS {at}, {identifier(at)} IS NOT NULL AS given_{i}")
            else:
                picked.append(f"nullif(trim({identifier(at)}::VARCHAR, {BLANKS}), '') AS {at}")
        good = f"(SELECT {ids.value} AS id, *, {found.row_order} AS place FROM raw WHERE NOT {ids.missing})"
        id_ = whole_if_all(db, good, "id") if ids.spelled else "id"
        query = f"SELECT {', '.join([f'{id_} AS id', *picked])} FROM {good} ORDER BY place"
        rows = db.run("SELECT count(*) FROM raw")[0][0]
        if rows == 0:
            raise FormatError(f"{found.label}: there are no rows; expected items below the header")
        table = db.arrays(query)
    except db.Error as e:
        raise FormatError(f"the catalogue cannot be read: {first_line(e)}") from None
    finally:
        db.close()

    report = {"rows": rows + found.bad_rows, "bad_rows": found.bad_rows, "missing_ids": rows - table["id"].size}
    ids_found, first = np.unique(np.ma.getdata(table["id"]), return_index=True)
    report["duplicates"] = table["id"].size - first.size
    columns: dict[str, Column] = {}
    for i, role in enumerate(mapped):
        raw = table[f"column_{i}"][first]
        if role in numeric:
            values = np.ma.filled(raw, np.nan).astype(np.float64)
            bad = ~np.isfinite(values) | ((values < 0) & (role == "price"))
            values[bad] = np.nan
            columns[role] = values
            report[f"bad_{role}"] = int(np.count_nonzero(bad & np.ma.filled(table[f"given_{i}"], False)[first]))
        else:
            out = np.empty(first.size, object)
            out[:] = as_text_array(raw)
            columns[role] = out
    return Catalogue(IdMap(ids_found), columns, report)


def as_columns(rows: Mapping[str, Any] | Catalogue) -> Mapping[str, Any]:
    return rows.columns if isinstance(rows, Catalogue) else rows
