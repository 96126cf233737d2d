"""Every way to hand a log over gives the same events; what is broken says what, where and how to mend it."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import textwrap

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ecocore import FormatError, InvalidArgument, read_events

USERS = ["00123", "17850", "ü'; DROP TABLE events; --"]
ITEMS = ["85123A", "a,b", 'say "x"']
TIMES = ["2024-01-01 00:00:00", "2024-02-01 12:30:00", "2024-03-01 00:00:01"]
QUANTITIES = [1.0, 2.0, 3.5]


def frame():
    return pd.DataFrame({"user": USERS, "item": ITEMS, "time": pd.to_datetime(TIMES), "quantity": QUANTITIES})


def write_csv(path, packed=False, **options):
    data = frame().to_csv(index=False, **options).encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    return path


def write_json(path, packed=False, array=False):
    rows = [
        json.dumps(dict(zip(("user", "item", "time", "quantity"), row, strict=True)))
        for row in zip(USERS, ITEMS, TIMES, QUANTITIES, strict=True)
    ]
    data = ("[" + ",\n".join(rows) + "]" if array else "\n".join(rows) + "\n").encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    return path


def write_parquet(path):
    pq.write_table(pa.Table.from_pandas(frame(), preserve_index=False), path)
    return path


class OnlyStream:
    """The Arrow PyCapsule interface and nothing else."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


def relation():
    connection = duckdb.connect()
    connection.execute("CREATE TABLE t AS SELECT * FROM (VALUES (1, 'x')) t(a, b)")
    return connection


SOURCES = {
    "csv": lambda d: write_csv(d / "log.csv"),
    "csv with blanks and quotes in its name": lambda d: write_csv(d / "my 'log' [1] *?.csv"),
    "csv.gz": lambda d: write_csv(d / "log.csv.gz", packed=True),
    "packed csv without the suffix": lambda d: write_csv(d / "log.csv", packed=True),
    "tsv": lambda d: write_csv(d / "log.tsv", sep="\t"),
    "semicolons": lambda d: write_csv(d / "log.csv", sep=";"),
    "csv with a mark and CRLF": lambda d: write_csv(d / "log.csv", lineterminator="\r\n", quoting=1),
    "jsonl": lambda d: write_json(d / "log.jsonl"),
    "ndjson.gz": lambda d: write_json(d / "log.ndjson.gz", packed=True),
    "json array": lambda d: write_json(d / "log.json", array=True),
    "parquet": lambda d: write_parquet(d / "log.parquet"),
    "unicode name": lambda d: write_parquet(d / "продажи.parquet"),
    "parquet without the suffix": lambda d: write_parquet(d / "log"),
    "json without the suffix": lambda d: write_json(d / "log"),
    "pathlib in a list": lambda d: [write_parquet(d / "log.parquet")],
    "str": lambda d: str(write_csv(d / "log.csv")),
    "pattern": lambda d: write_csv(d / "log-1.csv") and str(d / "log-*.csv"),
    "pandas": lambda d: frame(),
    "pyarrow": lambda d: pa.Table.from_pandas(frame(), preserve_index=False),
    "record batches": lambda d: pa.Table.from_pandas(frame(), preserve_index=False).to_reader(),
    "polars": lambda d: pl.from_pandas(frame()),
    "capsule": lambda d: OnlyStream(pl.from_pandas(frame())),
    "dict of lists": lambda d: {"user": USERS, "item": ITEMS, "time": TIMES, "quantity": QUANTITIES},
    "dict of arrays": lambda d: {
        "user": np.array(USERS),
        "item": np.array(ITEMS, object),
        "time": np.array(TIMES, "datetime64[s]"),
        "quantity": np.array(QUANTITIES, np.float32),
    },
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_gives_the_same(tmp_path, name):
    with read_events(SOURCES[name](tmp_path), time="time", quantity="quantity") as events:
        x = events.interactions(by="quantity")
        assert events.report.rows_read == events.report.rows_kept == 3
    assert sorted(x.users.to_array()) == sorted(USERS)
    got = {
        (u, x.items[i]): (q, t)
        for u, i, q, t in zip(x.users[x.row_numbers()], x.indices.tolist(), x.data, x.times, strict=True)
    }
    times = np.array(TIMES, "datetime64[us]").astype(np.int64)
    assert got == {(u, i): (q, t) for u, i, q, t in zip(USERS, ITEMS, QUANTITIES, times, strict=True)}


def test_a_duckdb_relation_is_an_arrow_stream():
    connection = relation()
    with read_events(connection.table("t"), user="a", item="b") as events:
        assert events.interactions().users.to_array().tolist() == [1]
    connection.close()


def test_files_are_read_together_whatever_the_order_of_their_columns(tmp_path):
    a, b = tmp_path / "1.csv", tmp_path / "2.csv.gz"
    a.write_text("user,item\nu,x\n")
    b.write_bytes(gzip.compress(b"item;extra;user\ny;0;u\nz;0;v\n"))
    with read_events([a, b]) as events:
        assert events.report.rows_read == 3
        assert events.interactions().to_scipy().toarray().tolist() == [[1, 1, 0], [0, 0, 1]]
    b.write_text("item,who\ny,u\n")
    with pytest.raises(InvalidArgument, match=r"2.csv.gz: there is no column 'user', which .* has; read it apart"):
        read_events([a, b])
    p, q = tmp_path / "1.parquet", tmp_path / "2.parquet"
    pq.write_table(pa.table({"user": [1], "item": ["x"]}), p)
    pq.write_table(pa.table({"item": ["y"], "user": [2], "more": [0]}), q)
    with read_events(str(tmp_path / "*.parquet")) as events:
        assert events.interactions().nnz == 2
    with pytest.raises(InvalidArgument, match="expected files of one format; got csv, parquet"):
        read_events([a, p])


# ---- types of ids ----
@pytest.mark.parametrize(
    ("texts", "ids"),
    [
        (["17850", "-3", "0"], [-3, 0, 17850]),
        (["17850.0", "12.00", "17850"], [12, 17850]),
        (["00123", "123"], ["00123", "123"]),
        (["1", "x"], ["1", "x"]),
        (["+1", "2"], ["+1", "2"]),
        (["1.5", "2"], ["1.5", "2"]),
        (["-0", "2"], ["-0", "2"]),
        (["99999999999999999999", "2"], ["2", "99999999999999999999"]),
        ([" 1", "2"], [" 1", "2"]),
        (["1e3", "2"], ["1e3", "2"]),
    ],
)
def test_ids_in_text_are_numbers_only_if_all_are_written_as_such(tmp_path, texts, ids):
    for path, data in [
        (tmp_path / "a.csv", "user,item\n" + "".join(f'"{t}",i\n' for t in texts)),
        (tmp_path / "a.jsonl", "".join(json.dumps({"user": t, "item": "i"}) + "\n" for t in texts)),
    ]:
        path.write_text(data)
        with read_events(path) as events:
            assert events.interactions().users.to_array().tolist() == ids


def test_typed_sources_keep_their_types():
    for values, ids in [
        (np.array([3, 1], np.int8), [1, 3]),
        (np.array([3.0, 1.0, np.nan]), [1, 3]),
        (np.array(["3", "1"]), ["1", "3"]),
        (np.array([2**63 + 1, 1], np.uint64), ["1", "9223372036854775809"]),
        (np.array([5, 1], np.uint64), [1, 5]),
    ]:
        with read_events({"user": values, "item": np.arange(values.size)}) as events:
            assert events.interactions().users.to_array().tolist() == ids
    with pytest.raises(InvalidArgument, match=r"user: column 'user' holds numbers that are not whole, such as 0.5"):
        read_events({"user": np.array([1.0, 0.5]), "item": np.arange(2)})
    with read_events(pd.DataFrame({"user": pd.Categorical(["b", "a"]), "item": [1, 2]})) as events:
        assert events.interactions().users.to_array().tolist() == ["a", "b"]
    with read_events(pa.table({"user": pa.array(["b", "a"]).dictionary_encode(), "item": [1, 2]})) as events:
        assert events.interactions().users.to_array().tolist() == ["a", "b"]
    with pytest.raises(InvalidArgument, match=r"user: column 'user' holds bigint\[\] values"):
        read_events(pa.table({"user": [[1], [2]], "item": [1, 2]}))


def test_json_fields_with_strange_names(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"a/b": 7, "c~d": "x", 'e"f': 1.5}) + "\n")
    with read_events(path, user="a/b", item="c~d", value='e"f') as events:
        assert events.interactions(by="value").data.tolist() == [1.5]


def test_columns_that_differ_in_case_or_come_twice(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("User,user,item,x,x\n1,2,i,8,9\n")
    with read_events(path, user="User") as events:
        assert events.interactions().users.to_array().tolist() == [1]
    with read_events(path) as events:
        assert events.interactions().users.to_array().tolist() == [2]
    with pytest.raises(InvalidArgument, match=r"value: .*a.csv has several columns 'x'; rename all but one"):
        read_events(path, value="x")


def test_columns_may_have_any_name(tmp_path):
    """Also those that the database itself gives to columns of its own."""
    names = ["filename", "file_row_number", "rowid", "row_order", "select", "time", 'a"b', "item", "users", "raw"]
    table = pa.table({name: [i, i] for i, name in enumerate(names, 1)})
    pq.write_table(table, tmp_path / "a.parquet")
    for source in (table, tmp_path / "a.parquet"):
        for name in names:
            with read_events(source, user=name, item="item", value=name) as events:
                assert events.interactions(by="value").users.to_array().tolist() == [1 + names.index(name)]


# ---- times ----
MOMENT = 1_291_192_000_000_000  # 2010-12-01 08:26:40 UTC


@pytest.mark.parametrize(
    ("values", "options", "note"),
    [
        (np.array([MOMENT // 10**6]), {}, "seconds"),
        (np.array([MOMENT // 10**6], np.int32), {}, "seconds"),
        (np.array([MOMENT / 10**6]), {}, "seconds"),
        (np.array([MOMENT // 1000]), {}, "milliseconds"),
        (np.array([MOMENT]), {}, "microseconds"),
        (np.array([MOMENT * 1000 + 999]), {}, "nanoseconds"),
        ([str(MOMENT // 1000)], {}, "milliseconds"),
        (["2010-12-01 08:26:40"], {}, "ISO 8601"),
        (["2010-12-01T08:26:40Z"], {}, "ISO 8601"),
        (["2010-12-01T10:26:40+02:00"], {}, "ISO 8601"),
        ([" 2010-12-01T08:26:40.000 "], {}, "ISO 8601"),
        (["2010-12-01T09:26:40"], {"time_zone": "Europe/Paris"}, "in Europe/Paris"),
        (["2010-12-01T08:26:40Z"], {"time_zone": "Europe/Paris"}, "ISO 8601"),
        (np.array(["2010-12-01T09:26:40"], "datetime64[s]"), {"time_zone": "Europe/Paris"}, "taken as Europe/Paris"),
        (np.array(["2010-12-01T08:26:40"], "datetime64[ns]"), {}, "taken as UTC"),
        (["01.12.2010 08:26:40"], {}, "'%d.%m.%Y %H:%M:%S'"),
        (["01/12/2010 08:26:40"], {"time_format": "%d/%m/%Y %H:%M:%S"}, "'%d/%m/%Y %H:%M:%S'"),
        (["12/1/2010 8:26:40 AM"], {"time_format": "%m/%d/%Y %I:%M:%S %p"}, "strptime|read as"),
        (["01/Dec/2010:10:26:40 +0200"], {}, "%z"),
        (pd.Series(pd.to_datetime(["2010-12-01T10:26:40+02:00"])), {}, "with a zone"),
    ],
)  # fmt: skip
def test_times_in_every_common_form(values, options, note):
    source = pd.DataFrame({"user": ["u"], "item": ["i"], "t": values})
    with read_events(source, time="t", **options) as events:
        assert events.time_range == (MOMENT, MOMENT)
        import re

        assert re.search(note, events.report.notes[0])


@pytest.mark.parametrize(
    "values", [np.array(["2010-12-01"], "datetime64[D]"), ["2010-12-01"], [20101201], ["20101201"], [14944.0]]
)
def test_dates(values):
    options = {"time_unit": "d"} if values == [14944.0] else {}
    with read_events({"user": ["u"], "item": ["i"], "t": values}, time="t", **options) as events:
        assert events.time_range[0] == 14_944 * 86_400 * 10**6


def test_day_and_month_are_told_apart_by_the_whole_log_or_not_at_all():
    days = [f"{d:02}/03/2011 10:00" for d in range(1, 29)]
    with read_events({"user": ["u"] * 28, "item": ["i"] * 28, "t": days}, time="t") as events:
        assert "'%d/%m/%Y %H:%M'" in events.report.notes[0]
        assert len(events) == 28
    with pytest.raises(
        InvalidArgument, match=r"can be read in 2 ways \('%m/%d/%Y %H:%M', '%d/%m/%Y %H:%M'\).*time_format="
    ):
        read_events({"user": ["u"] * 9, "item": ["i"] * 9, "t": days[:9]}, time="t")
    with pytest.raises(InvalidArgument, match="not understood, such as 'noonish'; set time_format="):
        read_events({"user": ["u"], "item": ["i"], "t": ["noonish"]}, time="t")
    with pytest.raises(InvalidArgument, match=r"holds numbers around 52, which are no seconds.*set time_unit="):
        read_events({"user": ["u"], "item": ["i"], "t": [52]}, time="t")
    with pytest.raises(InvalidArgument, match=r"time: column 't' holds boolean values"):
        read_events({"user": ["u"], "item": ["i"], "t": [True]}, time="t")


# ---- what is broken ----
def test_a_missing_column_names_file_columns_and_argument(tmp_path):
    path = tmp_path / "shop.csv"
    path.write_text("CustomerID,StockCode\n1,2\n")
    with pytest.raises(
        InvalidArgument,
        match=r"user: there is no column 'user' in .*shop\.csv; it has: CustomerID, StockCode; set user= to one",
    ):
        read_events(path)
    with pytest.raises(InvalidArgument, match=r"time: there is no column 'when' in the DataFrame; it has: user, item"):
        read_events(frame(), time="when")
    jsonl = tmp_path / "shop.jsonl"
    jsonl.write_text('{"customer": 1}\n{"item": 2}\n')
    with pytest.raises(InvalidArgument, match=r"there is no column 'user' in .*; it has: customer, item"):
        read_events(jsonl)


def test_bad_rows_of_a_csv_are_counted_with_the_first_line(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"user,item,q\n1,a,1\n2,b\n3,c,1,1\n4,\xff\xfe,1\n5,e,1\n")
    with read_events(path) as events:
        rule = events.report.rules[0]
        assert (rule.rule, rule.count, events.report.rows_read, events.report.rows_kept) == ("bad_row", 3, 5, 2)
        assert rule.example["file"].endswith("log.csv")
        assert (rule.example["line"], rule.example["text"]) == (3, "2,b")
    with pytest.raises(FormatError, match=r"log\.csv, line 3: bad row '2,b' .*3 such.*strict=False"):
        read_events(path, strict=True)
    with read_events(path, encoding="latin-1") as events:
        assert events.report.count("bad_row") == 2


def test_bad_lines_of_json_are_counted_with_the_first_line(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"user": 1, "item": 2}\n\n{"user": 1, "item"\n[1]\nnull\n{"user": 3, "item": 4}\n')
    with read_events(path) as events:
        rule = events.report.rules[0]
        assert (rule.rule, rule.count, events.report.rows_kept) == ("bad_row", 3, 2)
        assert (rule.example["line"], rule.example["text"]) == (3, '{"user": 1, "item"')
    with pytest.raises(FormatError, match=r"log\.jsonl, line 3: bad row"):
        read_events(path, strict=True)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".jsonl", ".parquet", ".json", ".txt"])
def test_empty_files(tmp_path, suffix):
    path = tmp_path / f"log{suffix}"
    path.write_bytes(b"")
    with pytest.raises(FormatError, match="the file is empty"):
        read_events(path)


def test_files_without_rows(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item\n")
    with pytest.raises(FormatError, match=r"log\.csv: there are no rows; expected events below the header"):
        read_events(path)
    path.write_text("\n1,2\n")
    with pytest.raises(FormatError, match="the first line is empty; expected a header"):
        read_events(path)
    path = tmp_path / "log.jsonl"
    path.write_text("plain words\n")
    with pytest.raises(FormatError, match="none of the first lines is a JSON object"):
        read_events(path)
    with pytest.raises(FormatError, match="there are no rows"):
        read_events(frame().iloc[:0])


@pytest.mark.parametrize("kind", ["csv.gz", "jsonl.gz", "parquet", "json"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_a_file_cut_short_says_so(tmp_path, kind, share):
    rng = np.random.default_rng(0)
    big = pd.DataFrame({"user": rng.integers(0, 10**9, 30_000), "item": rng.integers(0, 10**9, 30_000)})
    path = tmp_path / f"log.{kind}"
    if kind == "csv.gz":
        path.write_bytes(gzip.compress(big.to_csv(index=False).encode()))
    elif kind == "parquet":
        big.to_parquet(path)
    else:
        data = big.to_json(orient="records", lines=kind != "json").encode()
        path.write_bytes(gzip.compress(data) if kind.endswith("gz") else data)
    with read_events(path) as events:
        assert len(events) == 30_000
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(FormatError, match=r"log\..*(cut short or damaged|the file is empty)"):
        read_events(path)


def test_other_things_that_are_no_log(tmp_path):
    with pytest.raises(InvalidArgument, match=r"there is no file .*nope\.csv \(working folder"):
        read_events(tmp_path / "nope.csv")
    with pytest.raises(InvalidArgument, match=r"no file matches the pattern"):
        read_events(str(tmp_path / "*.csv"))
    with pytest.raises(InvalidArgument, match=r"is a folder; name its files"):
        read_events(tmp_path)
    with pytest.raises(InvalidArgument, match=r"source: expected a path .* got int"):
        read_events(3)
    with pytest.raises(InvalidArgument, match="expected columns of one length"):
        read_events({"user": [1], "item": [1, 2]})
    with pytest.raises(InvalidArgument, match="format: expected one of csv, json, parquet"):
        read_events(write_csv(tmp_path / "a.csv"), format="xml")
    with pytest.raises(InvalidArgument, match="sep: expected one character"):
        read_events(tmp_path / "a.csv", sep="||")
    (tmp_path / "a.csv.bz2").write_bytes(b"BZh91AY&SY")
    with pytest.raises(FormatError, match="bzip2 files are not read; unpack it"):
        read_events(tmp_path / "a.csv.bz2")
    (tmp_path / "b.csv").write_bytes(b"\x00\x01\x02binary\x00\n")
    with pytest.raises(FormatError, match="this is not text in utf-8"):
        read_events(tmp_path / "b.csv")


# ---- what is loaded when ----
def test_import_and_use_load_no_more_than_needed(tmp_path):
    write_parquet(tmp_path / "log.parquet")
    code = f"""
        import sys, ecocore
        heavy = ("duckdb", "pandas", "pyarrow", "scipy", "polars")
        assert not [m for m in heavy if m in sys.modules], "import"
        with ecocore.read_events({str(tmp_path / "log.parquet")!r}, time="time") as events:
            print(events.report, events.summary(), events.interactions())
        ecocore.read_events({{"user": [1], "item": [2]}})  # never closed: goes with the process
        assert not [m for m in heavy[1:] if m in sys.modules], "use"
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    missing = (
        "import sys; sys.modules['duckdb'] = None; import ecocore; ecocore.read_events({'user': [1], 'item': [1]})"
    )
    done = subprocess.run([sys.executable, "-c", missing], capture_output=True, text=True)
    assert "pip install 'ecocore[data]'" in done.stderr
