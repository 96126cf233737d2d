"""The starter pack keeps what its readers count on."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict

import pytest

from ecocore import starter
from ecocore._core import PreparedText
from ecocore.assistant.templates import Templates
from ecocore.errors import FormatError
from ecocore.starter.sentences import expand, read_sections


def bare(text: str) -> str:
    """The text as the model sees it (one script, one case), without punctuation: such texts are the same sentence."""
    normalized = PreparedText(text).normalized
    kept = "".join(c for c in normalized if not unicodedata.category(c).startswith("P"))
    return " ".join(kept.split()) or normalized


def test_every_intent_has_enough_sentences_in_both_languages():
    intents = starter.read_json("intents.json")
    assert len(intents) >= 40
    for language in ("en", "zh"):
        train = Counter(e.intent for e in starter.examples(language))
        assert set(train) == set(intents)
        assert min(train.values()) >= 25
        for split, least in (("valid", 2), ("test", 8)):
            apart = Counter(e.intent for e in starter.examples(language, split))
            assert set(apart) == set(intents)
            assert min(apart.values()) >= least


def test_no_sentence_is_in_two_splits():
    seen: dict[str, str] = {}
    for split in ("train", "valid", "test"):
        texts = {bare(e.text) for e in [*starter.examples(split=split), *starter.out_of_scope(split)]}
        assert [(t, seen[t]) for t in sorted(texts) if t in seen] == []
        seen |= dict.fromkeys(texts, split)


def test_nothing_out_of_scope_has_an_intent():
    for split in ("train", "valid", "test"):
        inside = {bare(e.text) for e in starter.examples(split=split)}
        assert not inside & {bare(e.text) for e in starter.out_of_scope(split)}


def test_no_sentence_has_two_intents():
    intents = defaultdict(set)
    for e in (e for split in ("train", "valid", "test") for e in starter.examples(split=split)):
        intents[bare(e.text)].add(e.intent)
    assert [t for t, i in intents.items() if len(i) > 1] == []


def test_slots_mark_their_values():
    values = {v for language in ("en", "zh") for vs in starter.slot_values(language).values() for v in vs}
    marked = [e.text[s.start : s.end] for e in starter.examples() for s in e.slots]
    assert len(marked) > 1000
    assert all(m and m == m.strip() for m in marked)
    assert sum(m in values for m in marked) > 0.8 * len(marked)  # the rest is written out in the sentences
    assert {s.name for e in starter.examples() for s in e.slots} == set(starter.read_json("slots.json"))
    for e in [*starter.examples(split="valid"), *starter.examples(split="test")]:
        assert all(0 <= s.start < s.end <= len(e.text) for s in e.slots)


def test_expansion_is_the_same_every_time():
    assert starter.examples() == starter.examples()


def test_faq_is_large_and_bilingual():
    faq = starter.read_json("faq.json")
    assert len(faq) >= 40
    for entry in faq.values():
        for language in ("en", "zh"):
            assert entry[language]["answer"]
            assert entry[language]["questions"]


def test_templates_load_and_state_nothing_by_themselves():
    templates = Templates(starter.read_json("answers.json"))
    assert "order.shipped" in templates


@pytest.mark.parametrize(
    ("text", "message"),
    [("where is it\n", "before the first sentence"), ("[a]\nx\n[a]\n", "comes twice")],
)
def test_a_broken_file_is_named_with_its_line(text, message):
    with pytest.raises(FormatError, match=rf"my\.txt, line \d.*{message}|my\.txt, line \d.*\[a\]"):
        read_sections(text, "my.txt")


def test_alternatives_and_slots_expand():
    values = {"size": ["S", "M", "L"]}
    got = [e.text for e in expand(["(get|have) {size}"], "stock", values, "f")]
    assert got == ["get S", "get M", "get L", "have S", "have M", "have L"]
    (e,) = expand(["in [XL](size)?"], "stock", values, "f")
    assert (e.text, e.slots) == ("in XL?", (starter.SlotSpan("size", 3, 5),))
    with pytest.raises(FormatError, match="no slot 'colour'"):
        list(expand(["{colour}"], "stock", values, "f"))


@pytest.mark.parametrize("sentence", ["(it|the {size})", "([XL](size)|it)"])
def test_a_slot_inside_of_alternatives_is_refused(sentence):
    with pytest.raises(FormatError, match="write a line for each"):
        list(expand([sentence], "stock", {"size": ["S"]}, "f"))
