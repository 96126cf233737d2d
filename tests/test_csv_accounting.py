"""Every line of a CSV file is kept or counted: stray quotes, line ends of every kind, texts of several lines."""

from __future__ import annotations

import gzip
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecocore import FormatError, read_catalogue, read_events
from ecocore.csv_lines import examine_csv

HEADER = "user,item,quantity,comment"


def write(path, lines, end="\n", last=True, encoding="utf-8"):
    data = (end.join([HEADER, *lines]) + (end if last else "")).encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def rows(n):
    return [f"u{i % 100},i{i % 37},{i % 5 + 1},fine" for i in range(n)]


@pytest.mark.parametrize(("name", "at"), [("log.csv", 0), ("log.csv.gz", 10_000), ("log.csv", 19_999)])
@pytest.mark.parametrize("stray", ['u5,"abc,3,x', '"u5,abc,3,x', 'u5,"15" TV",3,x', 'u5,i7,3,"x'])
def test_a_stray_quote_costs_its_own_line(tmp_path, name, at, stray):
    lines = rows(20_000)
    lines[at] = stray
    path = write(tmp_path / name, lines)
    with read_events(path, quantity="quantity") as events:
        report = events.report
        assert (report.rows_read, report.rows_kept, report.count("bad_row")) == (20_000, 19_999, 1)
        example = report.rules[0].example
        assert (example["file"], example["line"], example["text"]) == (str(path), at + 2, stray)
    with pytest.raises(FormatError, match=rf"line {at + 2}: bad row .*quote.*strict=False"):
        read_events(path, quantity="quantity", strict=True)


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        ('u5,"abc,3,x', 'u6,def",4,x', "an id or number of several lines"),
        ('u5,i,"3,x', 'u6,i,4",x', "an id or number of several lines"),
        ('u5,i,3,"x', 'u6,i,4,x"', "would take in 20000 rows"),
        ('u5,"i,3,x', 'u6,i,4,x"', "makes 2 columns of 4"),
    ],
)
def test_two_stray_quotes_do_not_swallow_the_lines_between(tmp_path, first, second, why):
    lines = rows(100_000)
    lines[20_000], lines[40_001] = first, second
    with read_events(write(tmp_path / "log.csv", lines), quantity="quantity") as events:
        report = events.report
        assert report.rows_read == 100_000
        assert report.rows_kept == 100_000 - sum(r.count for r in report.rules) >= 99_998
        assert report.rules[0].example["line"] == 20_002
        assert why in report.rules[0].example["error"]


def test_files_are_accounted_for_one_by_one(tmp_path):
    lines = rows(1000)
    a = write(tmp_path / "a.csv", lines)
    b = write(tmp_path / "b.csv", [*lines[:500], 'u,"i', *lines[501:]])
    c = write(tmp_path / "c.csv.gz", [*lines[:10], "", "short", *lines[11:]])
    with read_events([a, b, c]) as events:
        assert (events.report.rows_read, events.report.rows_kept) == (3000, 2998)
        assert events.report.rules[0].example["file"] == str(b)


def test_a_stray_quote_in_other_encodings(tmp_path):
    lines = ["ü,1,1,x", 'é,"2,1,x', "ß,3,1,x"]
    for encoding in ("utf-8", "utf-8-sig", "latin-1", "utf-16"):
        path = write(tmp_path / "log.csv", lines, encoding=encoding)
        with read_events(path, encoding=encoding.removesuffix("-sig")) as events:
            assert events.report.rows_read == 3
            assert events.interactions().users.to_array().tolist() == ["ß", "ü"]
            assert events.report.rules[0].example["text"] == 'é,"2,1,x'


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_texts_of_several_lines_keep_their_row(tmp_path, end, last):
    lines = rows(1000)
    lines[300] = f'u1,i1,7,"dear{end}{end}""shop"", thanks{end}a, b, c"'
    lines[700] = 'u2,i2,9,"x\ny"'
    lines[999] = "u100,i100,3,end"
    path = write(tmp_path / "log.csv", lines, end, last)
    with read_events(path, quantity="quantity", category="comment", strict=True) as events:
        assert events.report.rows_read == events.report.rows_kept == 1000
        assert "2 rows hold line breaks within quotes; the longest, of 4 lines, starts at line 302" in str(
            events.report
        )
        assert "u100" in events.interactions().users


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_blank_lines_and_the_end_of_the_file(tmp_path, end, last):
    lines = ["u1,i1,1,x", "", "", "u2,i2,2,x", "", "short", "u3,i3,3,x"]
    with read_events(write(tmp_path / "log.csv", lines, end, last)) as events:
        assert (events.report.rows_read, events.report.rows_kept) == (4, 3)
        assert events.report.rules[0].example["line"] == 7


@pytest.mark.parametrize(
    ("data", "kept", "bad_line"),
    [
        (b"user,item\n1,2\r\n3,4\n5,6\r\n7,8\r9,10\n", 3, 5),
        (b"user,item\r\n1,2\n3,4\r\n\n5,6", 3, None),
        (b"user,item\n1,2\n3,4\r5,6\n7,8\n", 2, 3),
        (b"user,item\r\n1,2\r\n3\r,4\r\n7,8\r\n", 2, 3),
        (b"user,item\n1,2\r\r\n3,4\r\n", 2, None),
    ],
)
def test_mixed_line_ends(tmp_path, data, kept, bad_line):
    """Lines may end in either way; a carriage return elsewhere makes a bad row."""
    path = tmp_path / "log.csv"
    path.write_bytes(data)
    with read_events(path) as events:
        report = events.report
        assert (report.rows_kept, report.rows_read) == (kept, kept + (bad_line is not None))
        if bad_line is not None:
            assert report.rules[0].example["line"] == bad_line
            assert "a carriage return where none can be" in report.rules[0].example["error"]


def test_lines_that_end_in_carriage_returns_alone(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"user,item\r1,2\r3,4\r")
    with pytest.raises(FormatError, match=r"log\.csv: the header holds a carriage return; end lines with"):
        read_events(path)


def test_a_catalogue_counts_a_stray_quote(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text('item,name\n1,"A ""good"" one\nof two lines"\n2,"bad\n' + "".join(f"{i},n\n" for i in range(3, 50)))
    items = read_catalogue(path, name="name")
    assert (items.report["rows"], items.report["bad_rows"]) == (49, 1)
    assert items.columns["name"][0] == 'A "good" one\nof two lines'


def test_a_header_of_broken_quotes(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text('user,"item\n1,2\n3,"4"\n')
    with pytest.raises(
        FormatError, match=r"log\.csv: the header is not CSV: .*; close its quotes within the first line"
    ):
        read_events(path)


def test_bytes_that_could_be_any_row_are_all_accounted_for(tmp_path):
    path = tmp_path / "log.csv"
    part = st.sampled_from(
        [
            "1,2,3",
            "4,5",
            '1,"2",3',
            '1,2,"x\ny"',
            '"a""b",,',
            '1,2,"x',
            '"q',
            '2,x"',
            "\r",
            "",
            " ",
            '"',
            '""',
            ",",
            "é",
        ]
    )
    line = st.lists(part, max_size=4).map("".join)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(line, st.sampled_from(["\n", "\n", "\r\n"])), min_size=1, max_size=6))
    def check(lines):
        data = "user,item,q\n0,0,0\n" + "".join(text + end for text, end in lines)
        path.write_bytes(data.encode())
        with path.open("rb") as f:
            rows = examine_csv(f, b",", 3, [0, 1]).rows
        with read_events(path) as events:
            assert events.report.rows_read == rows

    check()


# ---- what makes a row, by itself ----
@pytest.mark.parametrize(
    ("text", "rows", "bad"),
    [
        ("", 0, []),
        ("1,2,3", 1, []),
        ("1,2,3\n\n4,5,6\n", 2, []),
        ('1,"2\n",3\n4,5,6\n', 2, []),
        ('"1\n",2,3\n4,5,6\n', 3, [2, 3]),
        ('1,"2,3\n4,5,6\n', 2, [2]),
        ('1,"2"x,3\n4,5,6\n', 2, [2]),
        ('1,"2\n3"x,3\n4,5,6\n', 3, [2]),
        ('1, "2" ,3\n1,a"b,3\n1,"""",3\n', 3, []),
        ('1,"a\nb","c\nd"\n', 1, []),
        ('1,"a\nb","c\nd\n', 3, [2, 3]),
        ("1,2\r3,4\n5,6,7\n", 2, [2]),
        ('1,"2\r3",4\n', 1, []),
    ],
)
def test_rows_and_bad_lines(text, rows, bad):
    found = examine_csv(io.BytesIO(b"h,h,h\n" + text.encode()), b",", 3, [0])
    assert (found.rows, sorted(found.bad)) == (rows, bad)


def test_a_quote_is_looked_for_within_a_bounded_row():
    lines = [b"a,b,c\n", b'1,"x,2\n', *[b"1,2,3\n"] * 500_000, b'1,x",3\n']
    found = examine_csv(lines, b",", 3, [0])
    assert found.rows == 500_002
    assert found.bad == {2: "a quote that is not closed within 2000000 bytes"}
