"""The model that the starter pack brings: that it is of these sentences, small, good, and what README shows of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from assistant.transcript import transcript
from ecocore import NLU, starter

pytest.importorskip("onnxruntime", reason="the tagger of slots runs on ONNX Runtime (extra cpu or gpu)")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model() -> NLU:
    return NLU.load(starter.MODEL)


def test_the_model_is_of_these_sentences(model):
    digest = hashlib.sha256()
    for e in [*starter.examples(), *starter.out_of_scope()]:
        intents = () if e.intent == starter.OUT_OF_SCOPE else (e.intent,)
        digest.update(repr((e.text, intents, tuple(tuple(s) for s in e.slots))).encode())
    assert model.card["data_sha256"] == digest.hexdigest(), "run tools/train_starter_nlu.py after a change"
    assert set(model.intents) == set(starter.read_json("intents.json"))


def test_it_is_small_enough_to_bring():
    assert sum(f.stat().st_size for f in starter.MODEL.iterdir()) < 10_000_000


@pytest.mark.parametrize("language", starter.LANGUAGES)
def test_it_understands_what_others_wrote(model, language):
    examples = starter.examples(language, "test")
    parses = model.parse_many([e.text for e in examples])
    right = sum(p.intent == e.intent for p, e in zip(parses, examples, strict=True))
    assert right / len(examples) > 0.92


def test_readme_shows_what_it_answers(model):
    assert transcript(model) in (ROOT / "README.md").read_text("utf-8")
