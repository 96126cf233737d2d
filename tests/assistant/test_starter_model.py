"""The model that the starter pack brings: that it is of these sentences, small, good, and what README shows of it."""

from __future__ import annotations

import hashlib
import runpy
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from assistant.transcript import transcript
from ecocore import NLU, Interactions, Shop, starter
from ecocore.assistant import demo_shop

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model() -> NLU:
    return NLU.load(starter.MODEL)


def digest(split: str) -> str:
    found = hashlib.sha256()
    for e in [*starter.examples(split=split), *starter.out_of_scope(split)]:
        intents = () if e.intent == starter.OUT_OF_SCOPE else (e.intent,)
        found.update(repr((e.text, intents, tuple(tuple(s) for s in e.slots))).encode())
    return found.hexdigest()


def test_the_model_is_of_these_sentences(model):
    anew = "run tools/train_starter_nlu.py after a change"
    assert model.card["data_sha256"] == digest("train"), anew
    assert model.card["validation_sha256"] == digest("valid"), anew
    assert set(model.intents) == set(starter.read_json("intents.json"))


def test_the_model_is_by_these_options(model):
    pytest.importorskip("torch", reason="the extra 'train' is not installed (no torch)")
    tool = runpy.run_path(str(ROOT / "tools" / "train_starter_nlu.py"))["OPTIONS"]
    known = model.card["options"]
    assert known["intents"] == asdict(tool["intent_options"])
    assert known["slots"] == asdict(tool["slot_options"])
    assert known["turned_away"] == tool["turned_away"]


def test_it_is_small_enough_to_bring():
    assert sum(f.stat().st_size for f in starter.MODEL.iterdir()) < 10_000_000


@pytest.mark.parametrize("language", starter.LANGUAGES)
def test_it_understands_what_others_wrote(model, language):
    examples = starter.examples(language, "test")
    parses = model.parse_many([e.text for e in examples])
    right = sum(p.intent == e.intent for p, e in zip(parses, examples, strict=True))
    assert right / len(examples) > 0.945
    wanted = {(i, s.name, s.start, s.end) for i, e in enumerate(examples) for s in e.slots}
    found = {(i, s.name, s.start, s.end) for i, p in enumerate(parses) for s in p.slots}
    assert 2 * len(wanted & found) / (len(wanted) + len(found)) > 0.8  # F1


def test_it_turns_away_what_a_shop_cannot_answer(model):
    outside = model.parse_many([e.text for e in starter.out_of_scope("test")])
    assert np.mean([p.outcome == "out_of_scope" for p in outside]) > 0.75
    inside = model.parse_many([e.text for e in starter.examples(split="test")])
    assert np.mean([p.outcome == "out_of_scope" for p in inside]) < 0.05


def test_a_trained_shop_has_an_assistant():
    rng = np.random.default_rng(0)
    backend = demo_shop()
    products = [p.id for p in backend.products()]
    history = Interactions.from_arrays([f"user{u}" for u in rng.integers(0, 60, 400)], rng.choice(products, 400))
    shop = Shop.train(history, factors=8, iterations=3, show_progress=False)
    reply = shop.assistant(backend).reply("user3", "recommend me something under 200")
    assert reply.intent == "recommend"
    bought = {history.items[i] for i in history.rows(history.users.code("user3")).indices}
    assert reply.products
    assert not bought.intersection(reply.products)
    assert all(backend.product(p).price.amount <= 200 for p in reply.products)


def test_readme_shows_what_it_answers(model):
    assert transcript(model) in (ROOT / "README.md").read_text("utf-8")
