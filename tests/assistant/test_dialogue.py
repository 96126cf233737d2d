"""What is said in one turn and meant of another."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from decimal import Decimal
from types import SimpleNamespace

import pytest

from assistant.nlu import Parse, ScriptedNLU
from ecocore import starter
from ecocore.assistant import Assistant, Money, Product, SQLiteShop
from ecocore.assistant.dialogue import StateStore, pointed_at, yes_or_no
from ecocore.errors import InvalidArgument
from ecocore.feedback import Feedback, lessons

from .conftest import TODAY


def test_a_yes_to_something_else_files_no_request(scripted, shop):
    a = scripted({"cancel my order": "cancel_order"})
    a.reply("ann", "cancel my order")
    assert "colleague" in a.reply("ann", "who painted the mona lisa").text
    assert a.reply("ann", "yes").handoff is not None  # to "shall I bring in a colleague?"
    assert shop._rows("SELECT count(*) FROM cases") == [(0,)]


def test_a_request_can_be_confirmed_again_after_a_failure(scripted, shop, monkeypatch):
    a = scripted({"cancel my order": "cancel_order"})
    a.reply("ann", "cancel my order")
    with monkeypatch.context() as broken:
        broken.setattr(shop, "open_case", lambda *_: 1 / 0)
        assert "can't look that up" in a.reply("ann", "yes").text
    assert "C100001" in a.reply("ann", "yes").text


def test_cancel_is_no_plain_no_to_a_cancellation(scripted, shop):
    a = scripted({"cancel my order": "cancel_order", "cancel": "cancel_order"})
    a.reply("ann", "cancel my order")
    assert "EC100001" in a.reply("ann", "cancel").text  # asked again, neither filed nor dropped
    assert shop._rows("SELECT count(*) FROM cases") == [(0,)]


def test_one_of_a_list_is_meant_by_its_place_or_its_product(scripted):
    a = scripted({"where is my order": "order_status", "where is my mug": "order_status"})
    shown = [w.strip(",") for w in a.reply("ann", "where is my order").text.split() if w.startswith("EC")]
    assert shown[1] in a.reply("ann", "the second one").text
    a.reply("ann", "where is my order")
    assert "EC100001" in a.reply("ann", "the hoodie").text
    assert "EC100002" in a.reply("ann", "where is my mug").text
    assert pointed_at("the last week", ("order_id", ("EC1",)), lambda _: None) is None
    assert pointed_at("第三个", ("order_id", ("EC1",)), lambda _: None) is None


@pytest.mark.parametrize(
    ("text", "meant"),
    [("the cheaper one", "B"), ("how much is the cheapest of them?", "B"), ("I take the most expensive one", "C"),
     ("便宜的那个", "B"), ("最贵的那款", "C"), ("最便宜的", "B"), ("what is the cheapest one you have", None),
     ("not the cheaper one, the other", None), ("the cheapest tent", None), ("最便宜的帐篷", None)],
)  # fmt: skip
def test_one_of_a_list_is_meant_by_its_price(text, meant):
    prices = {"A": Decimal(20), "B": Decimal(10), "C": Decimal(30)}
    value = pointed_at(text, ("product", ("A", "B", "C")), prices.get)
    assert (value and value.value) == (meant and (meant,))
    assert pointed_at(text, ("product", ("A", "B")), lambda _: Decimal(10)) is None
    assert pointed_at(text, ("product", ("A",)), lambda _: Decimal(10)) is None


def test_one_that_was_pointed_at_does_not_make_the_list_forgotten(demo):
    shop, recommender = demo
    a = Assistant(ScriptedNLU({"something for my dad": "recommend"}), shop, recommender=recommender)
    shown = a.reply("chen", "something for my dad").products
    price = {p: shop.product(p).price.amount for p in shown}
    assert a.reply("chen", "the most expensive one").products == (max(price, key=price.get),)
    assert a.reply("chen", "the cheapest").products == (min(price, key=price.get),)


def test_a_limit_alone_goes_on_with_the_recommendation(demo):
    shop, recommender = demo
    a = Assistant(
        ScriptedNLU({"something for my dad": "recommend", "under 100": "bulk_order", "100以内": "bulk_order"}),
        shop,
        recommender=recommender,
    )
    for text in ("under 100", "100以内"):
        a.reply("chen", "something for my dad")
        reply = a.reply("chen", text)
        assert reply.intent == "recommend"
        assert all(shop.product(p).price.amount <= 100 for p in reply.products)


def test_another_question_is_no_answer_to_which_product(demo):
    shop, _ = demo
    a = Assistant(ScriptedNLU({"how much is the jacket": "price", "is the tent in stock": "stock"}), shop)
    a.reply("chen", "how much is the jacket")
    assert a.reply("chen", "is the tent in stock").intent == "stock"
    a.reply("chen", "how much is the jacket")
    assert a.reply("chen", "the alpine rain jacket").intent == "price"


def test_how_many_there_are_is_said_where_only_some_are_shown():
    shop = SQLiteShop()
    for i in range(7):
        shop.add_product(
            Product(f"P{i}", {"en": f"Model{i} Lamp", "zh": f"型号{i}台灯"}, Money(Decimal(10 + i)), "home"),
            [(None, None, 1)],
        )
    a = Assistant(ScriptedNLU({"how much is the lamp": "price", "台灯多少钱": "price"}), shop)
    assert "7 products fit" in a.reply("ann", "how much is the lamp").text
    assert "7款" in a.reply("ann", "台灯多少钱").text


def test_one_of_the_recommendations_is_meant(demo):
    shop, recommender = demo
    a = Assistant(
        ScriptedNLU(
            {"like the trail runner": "recommend", "how much is the second one": "price", "第三款多少钱": "price"}
        ),
        shop,
        recommender=recommender,
    )
    products = a.reply("chen", "like the trail runner").products
    for text, place, language in (("how much is the second one", 1, "en"), ("第三款多少钱", 2, "zh")):
        assert shop.product(products[place]).name[language] in a.reply("chen", text).text


def test_a_short_answer_does_not_repeat_small_talk(scripted):
    a = scripted({"hello": "greeting"})
    a.reply("ann", "hello")
    assert a.reply("ann", "hoodie").intent != "greeting"


def test_a_limit_in_another_currency_is_asked_for(demo):
    shop, recommender = demo
    a = Assistant(ScriptedNLU({"something under $50": "recommend"}), shop, recommender=recommender)
    assert "in CNY" in a.reply("chen", "something under $50").text
    reply = a.reply("chen", "400 yuan")
    assert reply.products
    assert all(shop.product(p).price.amount <= Decimal(400) for p in reply.products)


def test_an_unknown_product_is_not_the_one_before(shop):
    class Marks(ScriptedNLU):
        def parse(self, text):
            p = super().parse(text)
            at = text.find("sofa")
            slots = (SimpleNamespace(name="product", value="sofa", start=at, end=at + 4),) if at >= 0 else ()
            return Parse(p.intent, p.confidence, p.intents, slots, p.outcome)

    a = Assistant(Marks({"how much is the hoodie": "price", "how much is the sofa": "price"}), shop)
    a.reply("ann", "how much is the hoodie")
    assert "can't find that product" in a.reply("ann", "how much is the sofa").text


def test_a_day_that_is_over_is_asked_for_again(scripted):
    a = scripted({"deliver EC100001 on 2026-11-20": "delivery_change"})
    assert "which day" in a.reply("ann", "deliver EC100001 on 2026-11-20").text
    assert "25 November 2026" in a.reply("ann", "tomorrow").text
    assert "27 November 2026" in a.reply("ann", "actually friday").text


def test_a_late_order_is_said_to_be_late(scripted):
    a = scripted({"where is EC100002": "order_status"}, today=lambda: TODAY + dt.timedelta(5))
    assert "is late" in a.reply("ann", "where is EC100002").text


def test_addresses_do_not_reach_the_log_and_context_teaches_nothing(shop, tmp_path):
    feedback = Feedback(tmp_path / "log.db")
    a = Assistant(ScriptedNLU({"change the address": "address_change"}), shop, recorder=feedback, today=lambda: TODAY)
    a.reply("ann", "change the address")
    a.reply("ann", "5 Park Road, Bath")
    last = a.reply("ann", "yes")
    a.feedback(last.id, helpful=True)
    rows = list(feedback.log.records())
    assert not any("Park Road" in str(r) for r in rows)
    assert [r.context for r in rows] == [False, True, True]
    assert lessons(rows, thumbs=True) == []
    feedback.close()


def test_what_fails_is_told_to_the_operator_without_its_message(scripted, shop, monkeypatch, caplog):
    def fail(user, order_id):
        raise RuntimeError("13800138000")

    a = scripted({"where is EC100002": "order_status"})
    monkeypatch.setattr(shop, "order", fail)
    a.reply("ann", "where is EC100002")
    assert "RuntimeError in" in caplog.text
    assert "13800138000" not in caplog.text


@pytest.mark.parametrize(
    ("text", "is_yes"),
    [("Yes, please!", True), ("好的，谢谢", True), ("no, thank you", False), ("不用了谢谢", False), ("please", None)],
)
def test_politeness_changes_no_yes(text, is_yes):
    assert yes_or_no(text) is is_yes


def test_memory_is_freed_when_conversations_end(clock):
    store = StateStore(1000, 60.0, clock, "en")
    for i in range(500):
        with store.turn(f"u{i}") as state:
            state.remember("x" * 2000, "y" * 2000)
    assert max(len(text) for _, text in state.turns) <= 300
    clock.now += 61
    with store.turn("new"):
        pass
    assert len(store) == 1


def test_bounds_are_checked(scripted):
    with pytest.raises(InvalidArgument, match="max_users"):
        scripted({}, max_users=0)
    with pytest.raises(InvalidArgument, match="expiry"):
        scripted({}, expiry=0)


class ProductNLU(ScriptedNLU):
    """Text to (intent, product phrase), as a tagger of slots finds it."""

    def parse(self, text):
        intent, phrase = self.script[text]
        at = text.index(phrase)
        slot = SimpleNamespace(name="product", value=phrase, start=at, end=at + len(phrase))
        return Parse(intent, 0.95, ((intent, 0.95),), (slot,), "sure")


def test_a_kind_of_product_is_every_product_whose_name_ends_so(demo):
    shop, recommender = demo
    script = {
        "do you have jackets": ("stock", "jackets"),
        "shoes in stock?": ("stock", "shoes"),
        "do you have a tractor": ("stock", "tractor"),
        "recommend some shoes": ("recommend", "shoes"),
        "推荐一双鞋": ("recommend", "鞋"),
        "recommend a tractor": ("recommend", "tractor"),
        "推荐500元以内的拖拉机": ("recommend", "拖拉机"),
    }
    a = Assistant(ProductNLU(script), shop, recommender=recommender)
    said = {text: a.reply(f"user{i}", text) for i, text in enumerate(script)}
    jackets = said["do you have jackets"].text
    assert "Alpine Rain Jacket" in jackets
    assert "Summit Down Jacket" in jackets
    assert "Trail Runner Shoes" in said["shoes in stock?"].text
    assert "can't find that product" in said["do you have a tractor"].text
    for text in ("recommend some shoes", "推荐一双鞋"):
        assert said[text].products
        assert set(said[text].products) <= {"P101", "P102"}
    assert said["recommend a tractor"].text.startswith("I find nothing here that fits that")
    assert said["recommend a tractor"].products
    under = said["推荐500元以内的拖拉机"]
    assert under.text.startswith("没有找到")
    assert "500" in under.text
    assert all(shop.product(p).price.amount <= 500 for p in under.products)


def test_a_template_that_the_shop_has_not_is_the_starter_packs(demo, tmp_path):
    shop, recommender = demo
    shutil.copytree(starter.FOLDER, tmp_path / "own", ignore=shutil.ignore_patterns("nlu", "*.txt", "*.py"))
    own = starter.read_json("answers.json")
    del own["recommend.other"]
    (tmp_path / "own" / "answers.json").write_text(json.dumps(own), "utf-8")
    nlu = ProductNLU({"recommend a tractor": ("recommend", "tractor")})
    a = Assistant(nlu, shop, recommender=recommender, folder=tmp_path / "own")
    assert a.reply("chen", "recommend a tractor").products
