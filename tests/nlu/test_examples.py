"""Files of examples: what they say is what is read, and a mistake is named with its place."""

from __future__ import annotations

import json

import pytest

for _package in ("torch", "onnx"):
    pytest.importorskip(_package, reason="training needs the extra 'train'")

from ecocore import FormatError, InvalidArgument
from ecocore.train.nlu_examples import Example, as_example, read_nlu_examples

RASA = """\
version: "3.1"

nlu:
- intent: track_order
  examples: |
    - where is order [12345678](order_id)
    - 我的[红色]{"entity": "colour", "value": "red"}裙子到哪了
- intent: out_of_scope
  examples: |
    - what is the meaning of life
- synonym: blue
  examples: |
    - navy
- lookup: colour
  examples: |
    - blue
- regex: order_id
  examples: |
    - [0-9]{8}
"""


def write(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return path


def test_rasa(tmp_path):
    file = read_nlu_examples([write(tmp_path, "nlu.yml", RASA)])
    assert file.examples == [
        Example("where is order 12345678", ("track_order",), (("order_id", 15, 23),)),
        Example("我的红色裙子到哪了", ("track_order",), (("colour", 2, 4),)),
        Example("what is the meaning of life"),
    ]
    assert file.lookups == {"colour": {"red": ["红色"], "blue": ["navy"]}}
    assert file.rules == {"order_id": "[0-9]{8}"}


def test_csv_json_and_json_lines(tmp_path):
    csv = write(tmp_path, "a.csv", 'text,intent\n"hello, you",greet\nqwerty,oos\n')
    one = {"text": "buy red", "intents": ["buy", "ask"], "slots": [{"name": "colour", "start": 4, "end": 7}]}
    own = write(tmp_path, "b.json", json.dumps({"examples": [one], "lookups": {"colour": ["red"]}}))
    lines = write(tmp_path, "c.jsonl", json.dumps({"text": "hi", "intent": "greet"}) + "\n\n")
    file = read_nlu_examples([csv, own, lines])
    assert file.examples == [
        Example("hello, you", ("greet",)),
        Example("qwerty"),
        Example("buy red", ("buy", "ask"), (("colour", 4, 7),)),
        Example("hi", ("greet",)),
    ]
    assert file.lookups == {"colour": {"red": []}}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yml", "nlu:\n- intent: x\n  examples: |\n    - a\nrules:\n", "a.yml:5"),
        ("a.yml", 'nlu:\n- intent: x\n  examples: |\n    - [a]{"entity": }\n', "a.yml:4"),
        ("a.csv", "question\nx\n", "header"),
        ("a.json", "{", "not JSON"),
        ("a.json", '[{"text": "abc", "intent": "x", "slots": [["n", 2, 9]]}]', "leaves the text"),
        ("a.json", "3", "list of examples"),
    ],
)
def test_mistakes_are_named(tmp_path, name, text, message):
    with pytest.raises(FormatError, match=message):
        read_nlu_examples([write(tmp_path, name, text)])


def test_unknown_files_and_other_encodings(tmp_path):
    with pytest.raises(InvalidArgument, match=r"\.csv"):
        read_nlu_examples([write(tmp_path, "a.txt", "")])
    (tmp_path / "b.csv").write_bytes(b"text,intent\n\xff,x\n")
    with pytest.raises(FormatError, match="UTF-8"):
        read_nlu_examples([tmp_path / "b.csv"])


@pytest.mark.parametrize(
    "x", [3, {"intent": "x"}, ("a", "b", "c"), {"text": "abc", "slots": [("n", 0, 2), ("m", 1, 3)]}]
)
def test_examples_that_make_no_sense(x):
    with pytest.raises(InvalidArgument, match="here"):
        as_example(x, "here")
