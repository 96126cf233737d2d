"""The starter pack: service intents, sentences, answers and a small demo shop in Chinese and English, as plain files.

Copy the folder, edit the files, and give it to training and to ``Assistant``:

| file | what |
|---|---|
| ``intents.json`` | each intent: its name in both languages, what the assistant does, and when |
| ``train.en.txt``, ``train.zh.txt`` | sentences to learn from, see :mod:`ecocore.starter.sentences` |
| ``valid.en.txt``, ``valid.zh.txt`` | sentences written apart, to calibrate with |
| ``test.en.txt``, ``test.zh.txt`` | sentences written apart, to measure with |
| ``out_of_scope.txt`` | what a shop cannot answer: ``[train]``, ``[valid]`` and ``[test]`` |
| ``slots.json`` | values of each slot, in both languages; colours and sizes with their synonyms |
| ``answers.json`` | answer templates, several variants each, see :mod:`ecocore.assistant.templates` |
| ``faq.json`` | questions and answers |
| ``policy.json`` | the shop's figures (days, fees, hours), named once and used by answers and FAQ |
| ``demo_shop.json`` | the catalogue behind ``ecocore chat`` |
| ``nlu/`` | the model trained on these sentences, for :class:`ecocore.NLU` |
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from ..errors import FormatError, InvalidArgument
from .sentences import Example, SlotSpan, expand, read_sections

__all__ = [
    "FOLDER",
    "LANGUAGES",
    "MODEL",
    "OUT_OF_SCOPE",
    "Example",
    "SlotSpan",
    "examples",
    "out_of_scope",
    "read_json",
    "slot_values",
]

FOLDER = Path(__file__).parent
MODEL = FOLDER / "nlu"  # trained on the pack's sentences by tools/train_starter_nlu.py
OUT_OF_SCOPE = "out_of_scope"
LANGUAGES = ("en", "zh")


def read_json(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """A JSON file of the pack: one object.

    Raises:
        FormatError: the file is absent, not UTF-8 JSON, or not an object; names the file and the place.
    """
    path = folder / name
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror}); copy it from {FOLDER}") from error
    except ValueError as error:
        raise FormatError(f"{path}: expected JSON in UTF-8; {error}") from error
    if not isinstance(content, dict):
        raise FormatError(f"{path}: expected one JSON object; got {type(content).__name__}")
    return content


def slot_values(language: str, folder: Path = FOLDER) -> dict[str, list[str]]:
    """The surface values of each slot in one language."""
    slots = read_json("slots.json", folder)
    return {
        name: [text for value in slot["values"].values() for text in value[language]]
        if "values" in slot
        else slot[language]
        for name, slot in slots.items()
    }


def examples(
    language: str | None = None, split: Literal["train", "valid", "test"] = "train", folder: Path = FOLDER
) -> list[Example]:
    """The labelled sentences of one language or of all, slots filled; without repeats, in file order."""
    if language is not None and language not in LANGUAGES:
        raise InvalidArgument(f"language: expected one of {', '.join(LANGUAGES)}, or None for all; got {language!r}")
    if split not in ("train", "valid", "test"):
        raise InvalidArgument(f"split: expected 'train', 'valid' or 'test'; got {split!r}")
    found: dict[tuple[str, str], Example] = {}
    for code in (language,) if language else LANGUAGES:
        name = f"{split}.{code}.txt"
        values = slot_values(code, folder)
        for intent, sentences in read_sections((folder / name).read_text("utf-8"), name).items():
            for example in expand(sentences, intent, values, name):
                found.setdefault((example.text, intent), example)
    return list(found.values())


def out_of_scope(split: Literal["train", "valid", "test"] = "train", folder: Path = FOLDER) -> list[Example]:
    """Sentences that no intent covers, in both languages, labelled ``out_of_scope``."""
    sections = read_sections((folder / "out_of_scope.txt").read_text("utf-8"), "out_of_scope.txt")
    return [Example(text, OUT_OF_SCOPE) for text in sections[split]]
