"""What a conversation remembers: one small state per user, bounded in size and time, never shared."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from .values import Value, without

__all__ = ["Frame", "State", "StateStore", "corrected", "correction", "follow_up", "pointed_at", "yes_or_no"]

_TURNS = 12  # what a hand-off shows of the conversation
_SHOWN = 300  # characters of each of them


@dataclass
class Frame:
    """One concern of the customer: the intent, what is known of it, and what it waits for."""

    intent: str
    slots: dict[str, Any] = field(default_factory=dict)
    awaiting: str | None = None  # a slot, or "confirm"
    bound: str = ""  # how slots["amount"] limits
    currency: str = ""  # of slots["amount"], where it was named
    like: bool = False  # whether others like slots["product"] are meant


@dataclass
class State:
    """All that is remembered of one user."""

    language: str
    frame: Frame | None = None
    choices: tuple[str, ...] = ()  # the intents that were offered
    asked: list[Value] = field(default_factory=list)  # what was found in the text that they were offered for
    offered: tuple[str, tuple[str, ...]] = ("", ())  # slot and values of the list that was last shown
    recent: dict[str, Any] = field(default_factory=dict)  # order_id and product that were last spoken of
    no_match: int = 0
    anger: int = 0
    turns: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=_TURNS))
    last_reply: str = ""
    last_at: float = 0.0

    def remember(self, user: str, assistant: str) -> None:
        """Keeps what was said (masked), each text in a bounded length: the memory of all users is bounded by it."""
        self.turns += [("user", _short(user)), ("assistant", _short(assistant))]


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


class StateStore:
    """The states of all users: the least recently seen are forgotten first, and each after a time of silence.

    One user's turns are taken one after the other; different users do not wait for each other.

    Args:
        limit: states kept at most.
        expiry: seconds of silence after which a conversation starts anew.
        clock: seconds, rising.
        language: of a user who has said nothing yet.
    """

    def __init__(self, limit: int, expiry: float, clock: Callable[[], float], language: str) -> None:
        self._limit, self._expiry, self._clock, self._language = limit, expiry, clock, language
        self._states: OrderedDict[str, tuple[State, threading.Lock]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._states)

    @contextmanager
    def turn(self, user: str) -> Iterator[State]:
        """The user's state, for this thread alone until the block ends."""
        while True:
            with self._lock:
                entry = self._states.get(user)
                if entry is None:
                    entry = self._states[user] = (State(self._language), threading.Lock())
                    while len(self._states) > self._limit or self._oldest_is_over():
                        self._states.popitem(last=False)
                self._states.move_to_end(user)
            state, lock = entry
            with lock:
                # Dropped while this thread waited: another turn may already use its successor.
                with self._lock:
                    current = self._states.get(user) is entry
                if not current:
                    continue
                now = self._clock()
                if state.last_at and now - state.last_at > self._expiry:
                    state.__dict__.update(State(state.language).__dict__)
                yield state
                state.last_at = now
                return

    def _oldest_is_over(self) -> bool:
        state, lock = next(iter(self._states.values()))
        return not lock.locked() and 0 < state.last_at < self._clock() - self._expiry

    def forget(self, user: str) -> None:
        """Drops what is remembered of a user."""
        with self._lock:
            self._states.pop(user, None)


_CUE = re.compile(
    r"\b(?:i mean(?:t)?|actually|sorry|rather|instead|make (?:it|that)|change (?:it|that) to|should be|wrong|not|no)\b"
    r"|我是说|我说的是|应该是|改成|说错|搞错|错了|不对|不是|不要|而是"
)
_CONCERN = re.compile(  # such a sentence tells of a mistake of the shop, it does not correct what was said here
    r"\b(?:ordered|received|sent|got|arrived|shipped|delivered)\b|收到|发来|寄|发错|买的|下单"
)
_FILLER = re.compile(
    r"\b(?:and|or|in|what|about|how|the|a|an|size|colour|color|please|pls|then|ok|okay|with|for|do|you|have|is|it|there|"
    r"i|mean|meant|actually|sorry|rather|instead|make|that|change|to|should|be|wrong|not|no|one|order|number|my|its|it's|"
    r"under|below|less|than|more|over|above|up|at|most|least|max|maximum|within|only|just|cheaper)\b"
    r"|不超过|不到|低于|高于|超过|以内|以下|以上|左右|之内|最多|至少|预算|大概|那个?|呢|的|吗|嘛|码|号|色|有|要|换|不是|不要|而是|不对|错了|我是说|我说的是|应该是|改成|说错了?|订单|单|是|就|，|还"
)


_PLACES = {w: i for i, w in enumerate(["first", "second", "third", "fourth", "fifth"])}
_PLACES |= {w: i for i, w in enumerate("一二三四五")} | {"last": -1}
_PLACE = re.compile(
    r"\bthe (first|second|third|fourth|fifth|last)\b(?! (?:week|month|day|time|year|night|few|thing))"
    r"|\b(first|second|third|fourth|fifth|last) one\b|^(first|second|third|fourth|fifth|last)[.!]?$"
    r"|第([一二三四五])[个款件单种]|最后一?[个款件单]"
)

_BY_PRICE = re.compile(
    r"\bthe (?:(?P<least>cheape(?:st|r)|least expensive)|(?:most expensive|priciest|dearest|more expensive))"
    r"(?: ones?\b(?! you| in| that)| of (?:them|these|those|the \w+)\b|(?= *[,.;!?]*$))"
    r"|(?:(?P<least2>最?便宜)|最?贵)的?那?一?[个款件双](?!多少)|最(?:(?P<least3>便宜)|贵)的(?=[，。！？,.!?]*$)"
)

_DENIED = re.compile(r"(?:\bnot|\bno|\bnever|不是|不要|别要|不)\s*$")


def pointed_at(text: str, offered: tuple[str, tuple[str, ...]], price: Callable[[str], Decimal | None]) -> Value | None:
    """The entry of the list last shown that "the second one", "第二个" or "the cheapest" means; None if nothing points
    at one. ``price``: of a product."""
    slot, shown = offered
    if not shown:
        return None
    lower = text.lower()
    if m := _PLACE.search(lower):
        place = _PLACES[next((g for g in m.groups() if g), "last")]
        if place >= len(shown):
            return None
        meant = shown[place]
    elif slot == "product" and (m := _BY_PRICE.search(lower)) and not _DENIED.search(lower[: m.start()]):
        prices = {p: found for p in shown if (found := price(p)) is not None}
        if len(prices) < 2:
            return None
        meant = (min if m["least"] or m["least2"] or m["least3"] else max)(prices, key=prices.__getitem__)
        if list(prices.values()).count(prices[meant]) > 1:
            return None  # two of them cost the same
    else:
        return None
    return Value(slot, (meant,) if slot == "product" else meant, m.start(), m.end())


def correction(text: str, values: Sequence[Value], frame: Frame) -> dict[str, Any] | None:
    """The slots that a sentence such as "not M, L" or "不是M，是L" sets anew; a value of None was only taken back.

    None if the sentence corrects nothing of the frame.
    """
    lower = text.lower()
    changed: dict[str, Any] = {}
    for slot in dict.fromkeys(v.slot for v in values):
        if slot not in frame.slots and slot != frame.awaiting:
            continue
        meant = [v.value for v in values if v.slot == slot and not v.negated]
        denied = [v.value for v in values if v.slot == slot and v.negated]
        if meant and (denied or _CUE.search(lower)):
            changed[slot] = meant[-1]
        elif denied and not meant and frame.slots.get(slot) in denied:
            changed[slot] = None
    if not changed or _CONCERN.search(lower):
        return None
    # "I do not want a refund for EC1, where is it" corrects nothing: what is left must be small talk around the values.
    return changed if _rest(text, values) <= 12 else None


def corrected(text: str, values: Sequence[Value]) -> bool:
    """Whether the last of some values takes the place of those before it: "EC1, I mean EC2"."""
    return len(values) > 1 and bool(_CUE.search(text[values[-2].end : values[-1].start].lower()))


def follow_up(text: str, values: Sequence[Value]) -> bool:
    """Whether a sentence only brings other values for the same concern: "and in blue?", "L呢"."""
    return bool(values) and not any(v.negated for v in values) and _rest(text, values) <= 2


def _rest(text: str, values: Sequence[Value]) -> int:
    return len(re.sub(r"[\W_]+", "", _FILLER.sub("", without(text, values).lower())))


_YES_WORDS = """yes|y|yeah|yep|yup|sure|ok|okay|correct|right|exactly|go ahead|do it|do|yes do|of course|
yes that's right|that's right|sounds good|是|是的|对|对的|好|好的|可以|行|嗯|嗯嗯|确定|确认|没错|没问题|要|好吧|好啊|
ok的|可以的|行的"""
_NO_WORDS = """no|n|nope|nah|not|stop|cancel|never|don't|not that|never mind|leave it|
不|不是|不用|不要|不了|不对|算了|别|不行|不用了|不要了|先不用|取消|否"""
_YES = frozenset(_YES_WORDS.replace("\n", "").split("|"))
_NO = frozenset(_NO_WORDS.replace("\n", "").split("|"))


_POLITE = re.compile(r"\b(?:please|thanks|thank you)\b|谢谢|麻烦了?|请")


def yes_or_no(text: str) -> bool | None:
    """True for a plain yes, False for a plain no, None for anything else."""
    for said in (text.lower(), _POLITE.sub(" ", text.lower())):
        plain = re.sub(r"[\s,.!?。，！？~]+", " ", said).strip()
        if plain in _YES or plain in _NO:
            return plain in _YES
    return None
