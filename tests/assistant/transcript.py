"""A conversation with the demo shop, written out as README shows it: ``python tests/assistant/transcript.py MODEL``.

``MODEL`` is a folder with an NLU model in ``nlu``. The day and the shop are fixed, so that the same model gives the
same text; a test that holds README to it calls :func:`transcript`.
"""

from __future__ import annotations

import datetime as dt
import sys

from ecocore.assistant import NLU, Assistant, demo_recommender, demo_shop

DAY = dt.date(2026, 11, 24)
SAID = (
    "hello",
    "where is my order",
    "the second one",
    "卫衣有M码吗",
    "不是M码，是L码",
    "is the hoodie 有货 in black?",
    "recommend something like the trail runner under 500",
    "how much is the second one",
    "推荐300元以内的礼物",
    "who painted the mona lisa",
    "cancel order EC204839",
    "no thanks",
    "我要转人工",
)
"""Both languages and a mixture, a correction, an order, a recommendation under a price, a question that no shop can
answer, a request that is dropped, and a hand-off."""


def transcript(nlu: NLU, said: tuple[str, ...] = SAID, user: str = "chen") -> str:
    """What is said and answered, as ``ecocore chat`` prints it."""
    shop = demo_shop(today=DAY)
    assistant = Assistant(nlu, shop, recommender=demo_recommender(shop), today=lambda: DAY)
    lines = []
    for text in said:
        reply = assistant.reply(user, text)
        lines += [f"you > {text}", "shop> " + reply.text.replace("\n", "\n      ")]
        if reply.handoff is not None:
            lines.append("      -- handed over --")
    shop.close()
    return "\n".join(lines)


if __name__ == "__main__":
    from pathlib import Path

    from ecocore import NLU as Model

    print(transcript(Model.load(Path(sys.argv[1]) / "nlu")))
