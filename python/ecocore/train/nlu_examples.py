"""Examples to learn from, and the files that hold them: Rasa NLU YAML, CSV, JSON, JSON lines."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import FormatError, InvalidArgument

__all__ = ["OUT_OF_SCOPE", "Example", "ExampleFile", "as_example", "read_nlu_examples"]

#: Names that mean "none of the intents".
OUT_OF_SCOPE = frozenset({"oos", "out_of_scope", "out-of-scope", "outofscope", "nlu_fallback"})


@dataclass(frozen=True)
class Example:
    """A text with its intents (none: out of scope) and its slots as (name, start, end), in characters."""

    text: str
    intents: tuple[str, ...] = ()
    slots: tuple[tuple[str, int, int], ...] = ()


@dataclass
class ExampleFile:
    """What one or several files hold."""

    examples: list[Example] = field(default_factory=list)
    lookups: dict[str, dict[str, list[str]]] = field(default_factory=dict)  #: slot to value to synonyms
    rules: dict[str, str] = field(default_factory=dict)  #: slot to regular expression


def as_example(x: Any, where: str) -> Example:
    """An :class:`Example` from one, from (text, intent), or from a mapping with ``text``, ``intent`` or ``intents`` and
    ``slots`` (or Rasa's ``entities``): (name, start, end), or mappings with ``name``/``entity``, ``start``, ``end``."""
    if isinstance(x, Example):
        example = x
    elif isinstance(x, tuple | list) and len(x) == 2 and all(isinstance(v, str) for v in x):
        example = Example(x[0], _names(x[1]))
    elif isinstance(x, Mapping) and isinstance(x.get("text"), str):
        names = x.get("intents", x.get("intent"))
        slots: list[Any] = []
        for s in x.get("slots") or x.get("entities") or ():
            if isinstance(s, Mapping):
                slots.append((s.get("name", s.get("entity")), s.get("start"), s.get("end")))
            else:
                slots.append(tuple(s))
        example = Example(x["text"], _names(names), tuple(slots))
    else:
        raise InvalidArgument(f"{where}: expected an Example, (text, intent) or a mapping with 'text'; got {x!r:.100}")
    last = 0
    for slot in sorted(example.slots, key=lambda s: s[1] if len(s) == 3 and isinstance(s[1], int) else -1):
        if len(slot) != 3 or not isinstance(slot[0], str) or not all(type(v) is int for v in slot[1:]):
            raise InvalidArgument(f"{where}: expected slots of (name, start, end); got {slot!r}")
        name, start, end = slot
        if not last <= start < end <= len(example.text):
            raise InvalidArgument(
                f"{where}: slot {name!r} from {start} to {end} overlaps another or leaves the text"
                f" ({len(example.text)} characters: {example.text!r:.80})"
            )
        last = end
    return example


def _names(x: object) -> tuple[str, ...]:
    names = (x,) if isinstance(x, str) else tuple(x) if isinstance(x, Iterable) else ()
    return tuple(str(n) for n in names if n and str(n).lower() not in OUT_OF_SCOPE)


def read_nlu_examples(paths: Iterable[str | os.PathLike[str]]) -> ExampleFile:
    """Reads files by their suffix: ``.yml``/``.yaml`` (Rasa NLU), ``.csv`` (columns text, intent), ``.json`` (a list of
    examples, or {"examples": [...], "lookups": {...}, "rules": {...}}), ``.jsonl``. Raises FormatError with the
    file and the line."""
    out = ExampleFile()
    for p in paths:
        path = Path(p)
        try:
            text = path.read_text("utf-8-sig")
        except UnicodeDecodeError as e:
            raise FormatError(f"{path}: expected UTF-8 text; {e}") from None
        suffix = path.suffix.lower()
        if suffix in (".yml", ".yaml"):
            _read_rasa(text, path, out)
        elif suffix == ".csv":
            _read_csv(text, path, out)
        elif suffix in (".json", ".jsonl"):
            _read_json(text, path, out)
        else:
            raise InvalidArgument(f"{path}: expected a .yml, .yaml, .csv, .json or .jsonl file")
    return out


def _checked(x: Any, where: str) -> Example:
    try:
        return as_example(x, where)
    except InvalidArgument as e:
        raise FormatError(str(e)) from None


def _read_csv(text: str, path: Path, out: ExampleFile) -> None:
    rows = csv.DictReader(text.splitlines())
    columns = {name.strip().lower(): name for name in rows.fieldnames or ()}
    source = columns.get("text") or columns.get("utterance") or columns.get("question")
    if source is None or "intent" not in columns:
        raise FormatError(f"{path}: expected a header with the columns text and intent; got {rows.fieldnames}")
    for row in rows:
        out.examples.append(
            _checked((row[source] or "", (row[columns["intent"]] or "").strip()), f"{path}:{rows.line_num}")
        )


def _read_json(text: str, path: Path, out: ExampleFile) -> None:
    try:
        if path.suffix.lower() == ".jsonl":
            data: Any = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            data = json.loads(text)
    except ValueError as e:
        raise FormatError(f"{path}: not JSON: {e}") from None
    if isinstance(data, Mapping):
        for name, values in (data.get("lookups") or {}).items():
            pairs = values.items() if isinstance(values, Mapping) else ((v, ()) for v in values)
            for value, synonyms in pairs:
                out.lookups.setdefault(name, {}).setdefault(value, []).extend(synonyms)
        out.rules.update(data.get("rules") or {})
        data = data.get("examples", [])
    if not isinstance(data, list):
        raise FormatError(f"{path}: expected a list of examples")
    out.examples.extend(_checked(x, f"{path}, example {i}") for i, x in enumerate(data))


# ---- Rasa NLU YAML: the part of YAML that its training files use, so that no YAML package is needed ----

_ITEM = re.compile(r"^\s*-\s+(intent|lookup|regex|synonym):\s*(.+?)\s*$")
_EXAMPLES = re.compile(r"^\s*examples:\s*[|>][-+]?\s*$")
_LINE = re.compile(r"^\s+-\s?(.*)$")
_HARMLESS = re.compile(r"^(?:version:.*|nlu:\s*|\s*#.*|\s*|---)$")
_ENTITY = re.compile(r"\[([^\[\]]{1,500})\](?:\(([^()\s]{1,200})\)|(\{[^{}]{1,1000}\}))")


def _read_rasa(text: str, path: Path, out: ExampleFile) -> None:
    kind = name = ""
    in_examples = False
    synonyms: dict[str, list[str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{path}:{number}"
        if item := _ITEM.match(line):
            kind, name, in_examples = item[1], item[2].strip("'\""), False
        elif _EXAMPLES.match(line) and kind:
            in_examples = True
        elif in_examples and (example := _LINE.match(line)):
            value = example[1].strip()
            if not value:
                continue
            if kind == "intent":
                _add_rasa_example(value, name, where, out)
            elif kind == "lookup":
                out.lookups.setdefault(name, {}).setdefault(value, [])
            elif kind == "regex":
                out.rules[name] = f"{out.rules[name]}|{value}" if name in out.rules else value
            else:
                synonyms.setdefault(name, []).append(value)
        elif not _HARMLESS.match(line):
            raise FormatError(
                f"{where}: expected '- intent: NAME', 'examples: |' or '  - TEXT', as in Rasa; got {line!r:.80}"
            )
    for values in out.lookups.values():
        for value, others in synonyms.items():
            if value in values:
                values[value].extend(others)


def _add_rasa_example(annotated: str, intent: str, where: str, out: ExampleFile) -> None:
    text, slots, last = "", [], 0
    for m in _ENTITY.finditer(annotated):
        text += annotated[last : m.start()]
        name, value = m[2], None
        if m[3]:
            try:
                told = json.loads(m[3])
            except ValueError as e:
                raise FormatError(f"{where}: not JSON: {m[3]}: {e}") from None
            name, value = told.get("entity"), told.get("value")
        elif ":" in name:  # [value](entity:what it stands for)
            name, _, value = name.partition(":")
        if not isinstance(name, str):
            raise FormatError(f"{where}: an annotation without an entity: {m[0]}")
        slots.append((name, len(text), len(text) + len(m[1])))
        if value and str(value) != m[1]:
            out.lookups.setdefault(name, {}).setdefault(str(value), []).append(m[1])
        text += m[1]
        last = m.end()
    text += annotated[last:]
    out.examples.append(_checked(Example(text, _names(intent), tuple(slots)), where))
