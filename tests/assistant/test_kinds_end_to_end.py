"""Kinds of products from the sentence to the answer, with the model that the starter pack brings."""

from __future__ import annotations

import pytest

from ecocore import NLU, starter
from ecocore.assistant import Assistant, Reply

ASK, ASK_ZH = "Which of these do you mean?", "请问是哪一款？"


@pytest.fixture(scope="module")
def model() -> NLU:
    return NLU.load(starter.MODEL)


@pytest.fixture
def talk(model, demo):
    shop, recommender = demo

    def say(*texts: str) -> Reply:
        assistant = Assistant(model, shop, recommender=recommender)
        return [assistant.reply("ann", text) for text in texts][-1]

    return say


@pytest.mark.parametrize(
    ("text", "starts", "names"),
    [
        ("do you have jackets", ASK, {"Alpine Rain Jacket", "Summit Down Jacket"}),
        ("do you have the backpack in black", ASK, {"Day Hiker Backpack", "City Backpack"}),
        ("any backpacks in stock?", ASK, {"Day Hiker Backpack", "City Backpack"}),
        ("running shoes in stock?", ASK, {"Trail Runner Shoes", "Road Runner Shoes"}),
        ("how much are the shoes", ASK, {"Trail Runner Shoes", "Road Runner Shoes"}),
        ("are there any jackets in red", ASK, {"Alpine Rain Jacket", "Summit Down Jacket"}),
        ("golf bag in stock?", ASK, {"Mummy Sleeping Bag"}),
        ("smart watches in stock?", "Yes, ", {"Pulse Smart Watch"}),
        ("双肩包有黑色的吗", ASK_ZH, {"日行双肩包", "城市双肩包"}),
        ("耳机多少钱", ASK_ZH, {"微风蓝牙耳机", "录音室头戴耳机"}),
        ("杯子有货吗", ASK_ZH, {"粗陶马克杯", "不锈钢保温杯"}),
        ("裙子有吗", ASK_ZH, {"草甸连衣裙"}),
        ("有没有红色的鞋", ASK_ZH, {"越野跑鞋", "公路跑鞋"}),
    ],
)
def test_a_kind_is_asked_about(talk, text, starts, names):
    answer = talk(text).text
    assert answer.startswith(starts)
    assert all(name in answer for name in names)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("recommend me shoes", {"P101", "P102"}),
        ("I would like some shoes", {"P101", "P102"}),
        ("show me watches", {"P111"}),
        ("looking for a jacket under 500", {"P100"}),
        ("show me some backpacks under 200", {"P113"}),
        ("推荐一双鞋", {"P101", "P102"}),
        ("推荐几款鞋子", {"P101", "P102"}),
        ("推荐300元以内的包", {"P113"}),
        ("推荐一款手表", {"P111"}),
    ],
)
def test_what_was_named_is_recommended(talk, text, ids):
    reply = talk(text)
    assert reply.intent == "recommend"
    assert set(reply.products) == ids


@pytest.mark.parametrize(
    ("text", "anchor"),
    [("anything like the hoodie?", "P109"), ("有没有和卫衣差不多的款", "P109"), ("什么东西能和帐篷搭配", "P116")],
)
def test_others_are_recommended_where_likeness_is_asked_for(talk, text, anchor):
    reply = talk(text)
    assert reply.products
    assert anchor not in reply.products


def test_what_nothing_fits_is_said(talk, demo):
    reply = talk("recommend headphones under 100")
    assert reply.text.startswith("I find nothing here that fits that")
    assert all(demo[0].product(p).price.amount <= 100 for p in reply.products)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        (("跑鞋有42码吗", "第一款跑鞋"), "有货，越野跑鞋（42）"),
        (("is the jacket in stock", "the second jacket"), "Yes, Summit Down Jacket"),
        (("is the Alpine Rain Jacket in stock", "is the jacket waterproof"), "Alpine Rain Jacket: "),
        (("越野跑鞋有货吗", "跑鞋有42码吗"), "有货，越野跑鞋（42）"),
        (("越野跑鞋有货吗", "有没有跑鞋"), ASK_ZH),
        (("裙子有吗", "是的"), "有货，草甸连衣裙"),
        (("跑鞋有42码吗", "推荐一双跑鞋"), "为您推荐"),
    ],
)
def test_a_conversation_says_which_is_meant(talk, said, name):
    assert talk(*said).text.startswith(name)


@pytest.mark.parametrize("text", ["帮我包装一下", "in case it does not fit can I return it", "the box was broken"])
def test_words_of_service_are_no_products(talk, text):
    assert ASK not in talk(text).text
    assert ASK_ZH not in talk(text).text
