"""The FAQ answers what is asked in other words, and keeps still about the rest."""

from __future__ import annotations

import pytest

from ecocore.assistant.assistant import _FAQ_ENOUGH
from ecocore.assistant.faq import FaqIndex
from ecocore.starter import out_of_scope, read_json

INDEX = FaqIndex(read_json("faq.json"))

ASKED = [
    ("en", "where do I find the size chart for shoes?", "size_chart"),
    ("en", "how do I write a review about a product", "review"),
    ("en", "nobody was at home when the courier came", "delivery_failed"),
    ("en", "is it safe to pay with my card here?", "safety_payment"),
    ("en", "are you hiring people right now", "jobs"),
    ("en", "do you take back old batteries and devices", "recycling"),
    ("en", "can i add something to my order after i placed it", "change_order"),
    ("en", "got a suspicious call asking for a code", "scam"),
    ("zh", "尺码表在哪里可以看", "size_chart"),
    ("zh", "在哪里写商品评价", "review"),
    ("zh", "送货的时候没人在家会怎样", "delivery_failed"),
    ("zh", "在你们这里付款安全吗", "safety_payment"),
    ("zh", "你们还招人吗", "jobs"),
    ("zh", "旧电器回收吗", "recycling"),
    ("zh", "下单后还能加东西吗", "change_order"),
    ("zh", "有人打电话找我要验证码", "scam"),
]


@pytest.mark.parametrize(("language", "text", "key"), ASKED)
def test_questions_in_other_words_find_their_entry(language, text, key):
    best = INDEX.search(text, language, 1)[0]
    assert (best.key, best.score >= _FAQ_ENOUGH) == (key, True)


def test_out_of_scope_is_left_alone():
    """At the threshold, at most one in twenty questions that no shop can answer gets an FAQ answer."""
    texts = [e.text for e in [*out_of_scope("test"), *out_of_scope("train")]]
    wrong = []
    for text in texts:
        language = "zh" if any("\u4e00" <= c <= "\u9fff" for c in text) else "en"
        found = INDEX.search(text, language, 1)
        if found and found[0].score >= _FAQ_ENOUGH:
            wrong.append((text, found[0].key, round(found[0].score, 2)))
    assert len(wrong) <= len(texts) / 20, wrong


def test_a_text_without_words_finds_nothing():
    assert INDEX.search("👍 !!!", "en") == []
    assert INDEX.search("", "zh") == []


def test_an_entry_comes_once():
    keys = [m.key for m in INDEX.search("how many points do I have and do points expire", "en", 5)]
    assert len(keys) == len(set(keys)) == 5
