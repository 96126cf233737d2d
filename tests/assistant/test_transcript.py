"""A whole conversation, understanding given: what is said in one turn is known in the next."""

from __future__ import annotations

from assistant.nlu import ScriptedNLU
from assistant.transcript import SAID, transcript

MEANT = {
    "hello": "greeting", "where is my order": "order_status",
    "the second one": "double_charge",  # as a model took it
    "卫衣有M码吗": "stock", "不是M码，是L码": "stock", "is the hoodie 有货 in black?": "stock",
    "recommend something like the trail runner under 500": "recommend",
    "how much is the second one": "price",
    "推荐300元以内的礼物": "recommend",
    "cancel order EC204839": "cancel_order", "no thanks": "deny", "我要转人工": "human",
}  # fmt: skip


def test_a_conversation_in_two_languages():
    text = transcript(ScriptedNLU(MEANT))
    answers = dict(zip(SAID, (part.split("shop> ")[1] for part in text.split("you > ")[1:]), strict=True))
    orders = [w.strip(",") for w in answers["where is my order"].split() if w.startswith("EC")]
    assert len(orders) == 2
    assert orders[1] in answers["the second one"]
    assert "云朵卫衣（M）" in answers["卫衣有M码吗"]
    assert "云朵卫衣（L）" in answers["不是M码，是L码"]
    assert "黑色" in answers["is the hoodie 有货 in black?"]
    shown = answers["recommend something like the trail runner under 500"].splitlines()[1:4]
    assert shown[1].split(",")[0].strip() in answers["how much is the second one"]
    assert "¥300.00以内推荐" in answers["推荐300元以内的礼物"]
    assert "colleague" in answers["who painted the mona lisa"]
    assert "not changed anything" in answers["no thanks"]
    assert "-- handed over --" in answers["我要转人工"]
    assert transcript(ScriptedNLU(MEANT)) == text
