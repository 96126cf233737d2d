"""Phrase lists against searching for every phrase at every place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecocore import _core

small = st.text(st.sampled_from("ab1 红衣"), max_size=12)


def kind(c):
    return "a" if c.isascii() and c.isalpha() else "1" if c.isdigit() else c


def brute_force(phrases, text):
    normal = [_core.PreparedText(p).normalized for p in phrases]
    at = []
    for i in range(len(text)):
        for j in range(len(text), i, -1):
            clean = (i == 0 or kind(text[i - 1]) != kind(text[i]) or kind(text[i]) not in "a1") and (
                j == len(text) or kind(text[j - 1]) != kind(text[j]) or kind(text[j]) not in "a1"
            )
            if clean and text[i:j] in normal:
                at.append((i, j, normal.index(text[i:j])))
    out = []
    for m in at:  # leftmost, then longest
        if not out or m[0] >= out[-1][1]:
            out.append(m)
    return out


@given(st.lists(small, max_size=6), small)
def test_finds_what_brute_force_finds(phrases, text):
    text = _core.PreparedText(text).normalized
    assert _core.PhraseMatcher(phrases).find(_core.PreparedText(text)) == brute_force(phrases, text)


def test_phrases_and_text_are_normalised_alike_and_offsets_are_the_texts():
    matcher = _core.PhraseMatcher(["iPhone 15", "連衣裙"])
    text = "想买 ＩＰＨＯＮＥ　15 和连衣裙"
    assert [(text[a:b], i) for a, b, i in matcher.find(_core.PreparedText(text))] == [
        ("ＩＰＨＯＮＥ　15", 0),
        ("连衣裙", 1),
    ]


@pytest.mark.parametrize("text", ["reddish", "xred", "red1red"])
def test_no_match_inside_a_word(text):
    found = _core.PhraseMatcher(["red"]).find(_core.PreparedText(text))
    assert [text[a:b] for a, b, _ in found] == (["red", "red"] if "1" in text else [])


def test_a_hundred_thousand_phrases():
    matcher = _core.PhraseMatcher([f"product {i}" for i in range(100_000)])
    assert len(matcher) == 100_000
    assert matcher.find(_core.PreparedText("is product 77777 in stock")) == [(3, 16, 77777)]
