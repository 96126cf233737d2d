"""Conversations: what is asked, what is answered, and on what evidence."""

from __future__ import annotations

import datetime as dt

import pytest

from assistant.nlu import NearestNLU
from ecocore.assistant import Assistant
from ecocore.errors import FormatError, InvalidArgument

from .conftest import TODAY


def test_an_order_is_looked_up_with_evidence(scripted):
    a = scripted({"where is EC100002": "order_status"})
    reply = a.reply("ann", "where is EC100002")
    assert "DHL" in reply.text
    assert "25 November 2026" in reply.text
    assert {e.source for e in reply.evidence} == {"orders"}
    assert ("EC100002.due", dt.date(2026, 11, 25)) in [(e.key, e.value) for e in reply.evidence]


def test_the_answer_is_in_the_language_of_the_question(scripted):
    a = scripted({"EC100002到哪了": "order_status", "where is EC100002": "order_status"})
    assert "2026年11月25日" in a.reply("ann", "EC100002到哪了").text
    assert "25 November" in a.reply("ann", "where is EC100002").text


def test_another_users_order_does_not_exist(scripted):
    a = scripted({"where is EC200001": "order_status"})
    reply = a.reply("ann", "where is EC200001")
    assert "can't find an order EC200001" in reply.text
    assert [e.source for e in reply.evidence] == ["user"]
    assert "on its way" in a.reply("bob", "where is EC200001").text


def test_a_missing_order_id_is_asked_for_and_taken(scripted):
    a = scripted({"where is my order": "order_status"})
    asked = a.reply("ann", "where is my order")
    assert "EC100001" in asked.text
    assert "EC100002" in asked.text
    assert "EC100003" not in asked.text  # has arrived
    assert "being prepared" in a.reply("ann", "the EC100001").text


def test_the_only_order_needs_no_question(scripted):
    a = scripted({"我的订单到哪了": "order_status"})
    assert "EC200001" in a.reply("bob", "我的订单到哪了").text
    assert a.reply("nobody", "我的订单到哪了").text.startswith("您的账户中还没有订单")


@pytest.mark.parametrize(("text", "fix"), [("in stock in M?", "not M, L"), ("有M码吗", "不是M，是L")])
def test_a_correction_changes_the_value(scripted, text, fix):
    a = scripted({"卫衣": "stock", text: "stock", "hoodie": "stock"})
    a.reply("ann", "hoodie")
    first = a.reply("ann", text)
    assert "M" in first.text
    assert "3" in first.text
    second = a.reply("ann", fix)
    assert (second.intent, second.outcome) == ("stock", "sure")
    assert "L" in second.text
    assert "7" in second.text
    assert "black" in a.reply("ann", "and in black?").text


def test_a_denied_value_is_asked_for_again(scripted):
    a = scripted({"exchange EC100003 for size L": "exchange"})
    assert "L" in a.reply("ann", "exchange EC100003 for size L").text
    again = a.reply("ann", "not L")
    assert "size or colour" in again.text
    assert "M" in a.reply("ann", "M").text


def test_a_request_is_confirmed_before_it_is_filed(scripted, shop):
    a = scripted({"cancel my order": "cancel_order"})
    asked = a.reply("ann", "cancel my order")
    assert "EC100001" in asked.text
    assert "yes or no" in asked.text
    assert shop._rows("SELECT count(*) FROM cases") == [(0,)]
    done = a.reply("ann", "yes")
    assert "C100001" in done.text
    assert shop._rows("SELECT user, kind, order_id FROM cases") == [("ann", "cancel_order", "EC100001")]
    assert ("cases", "C100001.id") in [(e.source, e.key) for e in done.evidence]


def test_a_request_can_be_dropped(scripted, shop):
    a = scripted({"取消订单": "cancel_order"})
    a.reply("ann", "取消订单")
    assert "没有做任何更改" in a.reply("ann", "算了").text
    assert shop._rows("SELECT count(*) FROM cases") == [(0,)]


def test_an_address_is_asked_for_filed_and_not_logged(scripted, shop):
    a = scripted({"change the address": "address_change"})
    assert "new address" in a.reply("ann", "change the address").text
    asked = a.reply("ann", "5 Park Road, Bath")
    assert "5 Park Road, Bath" in asked.text
    a.reply("ann", "yes")
    assert "Park Road" in shop._rows("SELECT details FROM cases")[0][0]


@pytest.mark.parametrize(
    ("text", "intent", "says"),
    [
        ("cancel EC100002", "cancel_order", "already on its way"),
        ("cancel EC100003", "cancel_order", "was delivered on 17 November 2026"),
        ("return EC100004", "return_item", "30 days for returns are over"),
        ("return EC100001", "return_item", "not been sent yet"),
        ("return EC100005", "return_item", "already cancelled"),
        ("refund EC100006?", "refund_status", "¥49.00 for order EC100006 was paid on 22 November 2026"),
        ("refund EC100001?", "refund_status", "No refund has been requested"),
    ],
)
def test_what_is_not_possible_is_said(scripted, text, intent, says):
    assert says in scripted({text: intent}).reply("ann", text).text


@pytest.mark.parametrize(
    ("text", "intent", "says"),
    [
        ("how much is the hoodie", "price", "¥219.00"),
        ("马克杯多少钱", "price", "¥49.00"),
        ("tell me about the tent", "product_question", "2.1 kg"),
        ("compare the tent and the mug", "compare", "Coffee Mug (¥49.00): Holds 350 ml."),
        ("which size for the hoodie", "size_advice", "S, M, L"),
        ("hoodie in XXL?", "stock", "grey, black, S, M, L"),
        ("hoodie in grey L?", "stock", "sold out"),
        ("有帐篷吗", "stock", "还剩2件"),
        ("shipping cost?", "delivery_fee", "¥10.00"),
        ("包邮吗", "delivery_fee", "满¥99.00包邮"),
        ("price?", "price", "Which product"),
        ("compare", "compare", "Which two"),
    ],
)
def test_products_and_policy_are_answered(scripted, text, intent, says):
    reply = scripted({text: intent}).reply("ann", text)
    assert says in reply.text
    assert reply.outcome == "sure"


def test_a_product_is_carried_over(scripted):
    a = scripted({"is the hoodie available": "stock", "how much is it": "price"})
    a.reply("ann", "is the hoodie available")
    assert "Cloud Hoodie" in a.reply("ann", "how much is it").text


def test_recommendations_are_like_the_product_and_under_the_limit(demo):
    shop, recommender = demo
    from assistant.nlu import ScriptedNLU

    text = "recommend something like the trail runner under 500"
    a = Assistant(ScriptedNLU({text: "recommend", "推荐点东西": "recommend"}), shop, recommender=recommender)
    reply = a.reply("chen", text)
    assert len(reply.products) == 3
    assert "P101" not in reply.products
    assert all(shop.product(p).price.amount <= 500 for p in reply.products)
    assert all(shop.stock(p, None, None) > 0 for p in reply.products)
    assert all(shop.product(p).name["en"] in reply.text for p in reply.products)
    assert len(a.reply("chen", "推荐点东西").products) == 3


def test_without_recommender_nothing_is_recommended(scripted):
    assert (
        "nothing that fits" in scripted({"recommend me a thing": "recommend"}).reply("ann", "recommend me a thing").text
    )


def test_an_unsure_question_is_asked_back_and_the_choice_taken(scripted):
    text = "about EC100002"
    a = scripted({text: ("order_status", "cancel_order", "refund")})
    asked = a.reply("ann", text)
    assert asked.outcome == "ask"
    assert "(A) where an order is" in asked.text
    assert "DHL" in a.reply("ann", "a").text
    a.forget("ann")
    a.reply("ann", text)
    assert "already on its way" in a.reply("ann", "2").text
    a.forget("ann")
    a.reply("ann", text)
    assert a.reply("ann", "a refund").intent == "refund"


def test_out_of_scope_goes_to_the_faq_then_to_a_person(scripted):
    a = scripted({})
    assert "size chart" in a.reply("ann", "where do I find the size chart").text
    first = a.reply("ann", "what's the meaning of life")
    assert (first.outcome, first.handoff) == ("out_of_scope", None)
    second = a.reply("ann", "who painted the mona lisa")
    assert second.handoff is not None
    assert second.handoff.reason == "no_match"
    assert "mona lisa" in second.handoff.summary
    assert "meaning of life" in second.handoff.summary


def test_a_hand_off_carries_a_summary_without_personal_data(scripted):
    a = scripted({"where is EC100002": "order_status", "转人工": "human"})
    a.reply("ann", "where is EC100002")
    a.reply("ann", "my phone is 13800138000")
    handoff = a.reply("ann", "转人工").handoff
    assert handoff is not None
    assert handoff.reason == "asked"
    assert "order: EC100002" in handoff.summary
    assert "[phone]" in handoff.summary
    assert "13800138000" not in handoff.summary


def test_two_angry_turns_bring_a_person(scripted):
    a = scripted({})
    a.reply("ann", "this is ridiculous, where is my size chart")
    assert a.reply("ann", "你们就是垃圾").handoff.reason in ("complaint", "no_match")


@pytest.mark.parametrize(
    "text",
    ["{order.id}", "{policy.phone:code}", "{{7*7}}", "${jndi:ldap://x}", "'; DROP TABLE orders; --",
     "EC100001' OR '1'='1",
     "%s%n%x", "<script>alert(1)</script>", "\x00\x1b[31m", "👍👍", "\u202eabc", "مرحبا كيف حالك", "\ud800",
     "a" * 100_000, "", "   ", "\n\n", "¡™£¢∞§", "0" * 5000, "（" * 3000],
)  # fmt: skip
def test_any_text_gets_an_answer_and_harms_nothing(shop, nearest, text):
    a = Assistant(nearest, shop, today=lambda: TODAY)
    reply = a.reply("ann", text)
    assert reply.text
    for secret in ("400-820-0000", "EC200001", "49\n"):
        assert secret not in reply.text
    assert len(shop.orders("ann", 10)) == 6


def test_bytes_are_read_as_utf8(shop, nearest):
    a = Assistant(nearest, shop)
    assert a.reply("ann", "你好".encode()).language == "zh"
    assert a.reply("ann", b"\xff\xfe\x00hello").text


@pytest.mark.parametrize("user", ["", None, 5, "x" * 201])
def test_a_user_must_be_named(scripted, user):
    with pytest.raises(InvalidArgument, match="user: expected"):
        scripted({}).reply(user, "hi")


def test_a_conversation_ends_after_silence(scripted, clock):
    a = scripted({"hoodie in M?": "stock"})
    a.reply("ann", "hoodie in M?")
    clock.now += 1801
    reply = a.reply("ann", "not M, L")
    assert reply.intent != "stock"


def test_memory_is_bounded(scripted):
    a = scripted({"hi": "greeting"}, max_users=10)
    for i in range(100):
        a.reply(f"user{i}", "hi")
    assert len(a._states) == 10
    a.forget("user99")
    assert len(a._states) == 9


def test_a_failing_backend_is_admitted(scripted, shop):
    a = scripted({"where is EC100002": "order_status", "how much is the hoodie": "price"})
    shop.close()
    for text in ("where is EC100002", "how much is the hoodie"):
        reply = a.reply("ann", text)
        assert "can't look that up at the moment" in reply.text
        assert reply.evidence == ()


def test_exploration_is_drawn_with_the_logged_probabilities(scripted):
    class Seen:
        def __init__(self):
            self.entries = []

        def choose(self, context, count):
            return 0, (1.0,) + (0.0,) * (count - 1)

        def record(self, entry):
            self.entries.append(entry)
            return True

    seen = Seen()
    text = "about EC100002"
    a = scripted({text: ("order_status", "cancel_order")}, exploration=0.4, recorder=seen, seed=3)
    for _ in range(400):
        a.forget("ann")
        a.reply("ann", text)
    share = sum(e.action == "ask" for e in seen.entries) / 400
    assert abs(share - 0.6) < 0.1
    assert all(abs(sum(e.actions.values()) - 1) < 1e-9 and e.actions[e.action] > 0 for e in seen.entries)
    assert {e.action for e in seen.entries} == {"ask", "order_status", "cancel_order"}


def test_changed_files_are_checked(shop, nearest, tmp_path):
    import shutil

    from ecocore.starter import FOLDER

    for file in FOLDER.glob("*.json"):
        shutil.copy(file, tmp_path)
    (tmp_path / "answers.json").write_text('{"say.greeting": {"en": ["we ship in 2 days"], "zh": ["好"]}}', "utf-8")
    with pytest.raises(FormatError, match=r"say\.greeting.*states 2 by itself"):
        Assistant(nearest, shop, folder=tmp_path)
    (tmp_path / "answers.json").write_text("{", "utf-8")
    with pytest.raises(FormatError, match=r"answers\.json: expected JSON"):
        Assistant(nearest, shop, folder=tmp_path)


def test_the_nearest_sentence_stand_in_holds_a_conversation(demo, nearest: NearestNLU):
    shop, recommender = demo
    a = Assistant(nearest, shop, recommender=recommender, today=lambda: TODAY)
    assert a.reply("chen", "hello").intent == "greeting"
    assert a.reply("chen", "我要转人工客服").handoff is not None
