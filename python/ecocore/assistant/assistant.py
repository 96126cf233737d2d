"""The assistant: a question in, an answer with its evidence out."""

from __future__ import annotations

import datetime as dt
import logging
import random
import re
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..arrays import as_count, describe
from ..errors import FormatError, InvalidArgument
from ..starter import FOLDER, read_json
from .dialogue import Frame, State, StateStore, corrected, correction, follow_up, pointed_at, yes_or_no
from .evidence import Evidence, unbacked
from .faq import FaqIndex
from .kinds import Kind
from .language import clean, detect
from .order_ids import ends_so
from .policy import Draft, Policy
from .privacy import mask
from .protocols import NLU, Backend, Parse, Recommender
from .replies import Entry, Handoff, Recorder, Reply
from .templates import Rendered, TemplateError, Templates, render_text
from .values import Value, ValueFinder

__all__ = ["Assistant"]

_LOG = logging.getLogger("ecocore.assistant")
_FAQ_ENOUGH = 0.4
"""Cosine from which an FAQ entry answers a question that no intent covers (see tests/assistant/test_faq.py)."""
_ADDRESS = 200  # characters of an address, at most
_NAMED = 5  # products of a kind in the summary for a person
_OFFERED = 3  # intents in a question back, at most
_PATIENCE = 2  # turns without an answer, or angry ones, before a person takes over
_ANGER = re.compile(
    r"\b(?:shit\w*|fuck\w*|damn|stupid|idiots?|useless|ridiculous|worst|scam\w*|wtf|bullshit|hell)\b"
    r"|垃圾|骗子|滚(?![筒动轮珠])|妈的|气死|破店|差评|傻|废物|有病"
)
_THE = re.compile(r"\b(?:the|this|that|these|those)\s+(?!other\b)(?:[\w'’-]+\s+){0,2}$")
_ANOTHER = re.compile("别的|其[他它]|另外|还有|哪[些几款个]|有没有|几[款种双个]|什么样")  # Chinese has no "the"
_LISTS = {"orders": "order_id", "items": "product", "products": "product"}  # facts that are lists, and of what
_A_PERSON = ("human",)
_LETTER = re.compile(
    r"(?:option |选)?[(（]?([a-c1-3])[)）.]?(?:吧)?|(?:the )?(first|second|third)(?: one)?|第([一二三])个?",
    re.IGNORECASE,
)


@dataclass
class _Turn:
    """What one turn gathers on its way."""

    user: str
    text: str
    parse: Parse
    values: list[Value]
    today: dt.date
    intent: str
    outcome: str
    action: str = ""
    actions: dict[str, float] = field(default_factory=dict)
    context: bool = False  # the conversation decided, not this text by itself


class Assistant:
    """Customer service in Chinese and English. Safe to share by threads; users never see each other's state.

    Args:
        nlu: understands a text, see :class:`~ecocore.assistant.protocols.NLU`.
        backend: the shop's orders and catalogue.
        recommender: where recommendations come from; None: there are none.
        recorder: where replies are logged and rated; None: nowhere, and the first variant of an answer is used.
        folder: ``intents.json``, ``answers.json``, ``faq.json``, ``policy.json`` and ``slots.json``; default: the
            starter pack.
        language: of users who have not said a word yet, ``"en"`` or ``"zh"``.
        currency: of the shop's prices.
        order_id: a regular expression for order ids, in capitals, without blanks.
        exploration: when the NLU is unsure, the share of turns that are answered by one of the candidates, drawn by
            their probabilities, instead of asking back. What is learnt from them can be weighed without bias later.
        max_users, expiry: conversations remembered at most, and seconds of silence that end one.
        clock: seconds since the epoch. today: the current day. seed: of the exploration.

    Raises:
        FormatError: a file of the folder is not as it should be.
    """

    def __init__(
        self,
        nlu: NLU,
        backend: Backend,
        *,
        recommender: Recommender | None = None,
        recorder: Recorder | None = None,
        folder: str | Path = FOLDER,
        language: str = "en",
        currency: str = "CNY",
        order_id: str = r"[A-Z]{2}\d{6}",
        exploration: float = 0.0,
        max_users: int = 100_000,
        expiry: float = 1800.0,
        clock: Callable[[], float] = time.time,
        today: Callable[[], dt.date] = dt.date.today,
        seed: int | None = None,
    ) -> None:
        if language not in ("en", "zh"):
            raise InvalidArgument(f"language: expected 'en' or 'zh'; got {describe(language)}")
        max_users = as_count(max_users, "max_users", minimum=1)
        if not expiry > 0:
            raise InvalidArgument(f"expiry: expected seconds above 0; got {describe(expiry)}")
        if not 0.0 <= exploration <= 1.0:
            raise InvalidArgument(f"exploration: expected a share from 0 to 1; got {describe(exploration)}")
        folder = Path(folder)
        slots = read_json("slots.json", folder)
        self._faq_entries = read_json("faq.json", folder)
        self._faq = FaqIndex(self._faq_entries)
        # A template that the shop's own file lacks, since a later version needs it, is the starter pack's.
        self._templates = Templates(read_json("answers.json") | read_json("answers.json", folder))
        self._policy = Policy(
            read_json("intents.json", folder), read_json("policy.json", folder), slots, backend, recommender, currency
        )
        for name, intent in self._policy.intents.items():
            if intent["action"] == "faq" and intent.get("faq") not in self._faq_entries:
                raise FormatError(f"{folder / 'intents.json'}: {name}: faq.json has no entry {intent.get('faq')!r}")
        self._slots, self._order_id = slots, order_id
        self._finder = ValueFinder(slots, self._policy.catalogue.spoken, order_id, self._policy.catalogue.kinds)
        self.nlu = nlu
        self._recorder = recorder
        self._exploration = exploration
        self._clock, self._today = clock, today
        self._states = StateStore(max_users, expiry, clock, language)
        self._random = random.Random(seed)
        self._random_lock = threading.Lock()

    @classmethod
    def load(cls, path: str | Path, backend: Backend, **options: Any) -> Assistant:
        """An assistant over a folder with an NLU model in ``nlu`` and, beside it, any of the files of the starter pack
        that the shop has changed; the rest comes from the starter pack. ``options``: as for the constructor.

        Raises:
            FormatError: there is no such folder, or a file in it is not as it should be.
        """
        from .. import NLU as Model

        path = Path(path)
        if not (path / "nlu").is_dir():
            raise FormatError(f"{path}: expected a folder with an NLU model in 'nlu'; train one with ecocore train-nlu")
        return cls(Model.load(path / "nlu"), backend, folder=path, **options)

    def refresh(self) -> None:
        """Reads the catalogue anew, after products were added or renamed."""
        self._policy.refresh()
        catalogue = self._policy.catalogue
        self._finder = ValueFinder(self._slots, catalogue.spoken, self._order_id, catalogue.kinds)

    def forget(self, user: str) -> None:
        """Drops the conversation with a user from memory."""
        self._states.forget(_user(user))

    def feedback(self, reply_id: str, *, helpful: bool | None = None, correction: str | None = None) -> None:
        """Rates a reply: was it helpful, and which intent was really meant. Returns when that is safe on disk.

        Raises:
            InvalidArgument: no such reply was logged, nothing is said about it, or there is no such intent.
            EcocoreError: the log cannot take it (disk full); nothing was stored, try again.
        """
        if self._recorder is None:
            raise InvalidArgument(
                "feedback: this assistant logs nothing; give it recorder=ecocore.feedback.Feedback(...)"
            )
        if correction is not None and correction not in self._policy.intents and correction != "out_of_scope":
            raise InvalidArgument(
                f"correction: expected an intent of intents.json or 'out_of_scope'; got {describe(correction)}"
            )
        self._recorder.feedback(reply_id, helpful=helpful, correction=correction)

    # ---- a turn ----
    def reply(self, user: str, text: str | bytes) -> Reply:
        """The answer to what a user says.

        Whatever comes in, an answer comes out: text that is empty, very long, broken or hostile is text. A backend that
        fails makes the answer say so.

        Raises:
            InvalidArgument: ``user`` is not a text of 1 to 200 characters, or ``text`` is no text.
        """
        user = _user(user)
        text = clean(text)
        with self._states.turn(user) as state:
            state.language = detect(text, state.language)
            parse = self.nlu.parse(text)
            today = self._today()
            awaiting, known = (state.frame.awaiting, state.frame.slots) if state.frame else (None, {})
            values = self._finder.find(
                text,
                today,
                parse.slots,
                any_kind=self._policy.about_goods(parse.intent) or awaiting == "product",
                any_number=awaiting == "order_id" or (awaiting == "confirm" and "order_id" in known),
            )
            if any(v.bound == "number" for v in values) and not follow_up(text, values):
                values = []  # some number in a longer sentence
            if (meant := pointed_at(text, state.offered, self._policy.price_of)) and all(
                v.slot != meant.slot or v.value == () or _among(meant, v) for v in values
            ):
                bound = next((v.bound for v in values if v.slot == meant.slot), "")  # "like the second jacket"
                values = [*(v for v in values if v.slot != meant.slot), replace(meant, bound=bound)]
            values = [_recalled(v, text, state, self._policy.about_one(parse.intent)) for v in values]
            turn = _Turn(user, text, parse, values, today, parse.intent, parse.outcome)
            try:
                draft = self._decide(turn, state)
            except Exception as error:
                # The shop's own system failed. The customer gets an answer, the frame stays for another try. The
                # message of the error may hold personal data; its kind and place do not.
                _LOG.warning("no look-up for intent %r: %s%s", turn.intent, type(error).__name__, _place(error))
                turn.action, turn.actions, turn.context = "trouble", {"trouble": 1.0}, True
                draft = Draft("say.trouble")
            return self._answer(turn, state, draft)

    def _decide(self, turn: _Turn, state: State) -> Draft:
        if not turn.text:
            turn.outcome, turn.context = "ask", True
            return Draft("say.empty")
        angry = bool(_ANGER.search(turn.text.lower()))
        state.anger = state.anger + 1 if angry else 0
        draft = self._continue(turn, state)
        if draft is None:
            draft = self._begin(turn, state)
        if state.anger >= _PATIENCE and draft.handoff is None:
            state.anger, turn.context = 0, True
            draft = self._policy.hand_off("complaint")
        if draft.handoff is not None:
            state.no_match = 0
        return draft

    def _continue(self, turn: _Turn, state: State) -> Draft | None:
        """The turn as a part of what is going on: a choice, a yes, a missing value, a correction. None: it is not."""
        if state.choices:
            choices, asked = state.choices, state.asked
            state.choices, state.asked = (), []
            chosen = _choice(turn.text, choices, self._policy)
            if chosen is None and len(choices) == 1 and yes_or_no(turn.text):
                chosen = choices[0]
            if chosen is not None:
                if self._recorder is not None and state.last_reply and choices != _A_PERSON:
                    self._recorder.chosen(state.last_reply, chosen)
                turn.intent, turn.outcome, turn.context = chosen, "sure", True
                return self._act(turn, state, self._frame(chosen, asked, state, turn))
        frame = state.frame
        if frame is None or frame.intent not in self._policy.intents:
            return None
        if frame.awaiting == "confirm":
            answer = yes_or_no(turn.text)
            own = frame.slots.get("order_id", "")  # "yes, order 204815" where that is the one
            others = [v for v in turn.values if v.slot != "order_id" or not ends_so(own, v.value)]
            if answer is None and turn.outcome == "sure" and turn.intent in ("affirm", "deny") and not others:
                answer = turn.intent == "affirm"
            if answer is False and turn.intent == frame.intent and turn.outcome == "sure":
                answer = None  # "cancel", when asked whether to cancel an order, is no plain no
            if answer is not None:
                turn.intent, turn.outcome, turn.context = frame.intent, "sure", True
                draft = self._policy.confirmed(turn.user, frame) if answer else Draft("request.dropped")
                state.frame = None
                return draft
        changed = correction(turn.text, turn.values, frame)
        if changed is None and frame.awaiting and frame.awaiting != "confirm":
            changed = self._filled(turn, frame)
        if changed is None and follow_up(turn.text, turn.values):
            takes = self._policy.takes(frame.intent) - self._elsewhere(turn, frame)
            changed = {v.slot: v.value for v in turn.values if v.slot in takes} or None
            if (
                changed is not None
                and frame.awaiting is None
                and set(changed) == {"order_id"}
                and "order_id" not in frame.slots
            ):
                changed = None
        if changed is None:
            return None
        if "product" in changed and "order_id" not in changed:
            frame.slots.pop("order_id", None)  # another product is in another order
        for slot, value in changed.items():
            if value is None:
                frame.slots.pop(slot, None)
            else:
                frame.slots[slot] = value
        _limit(frame, turn.values)
        turn.intent, turn.outcome, turn.context = frame.intent, "sure", True
        frame.slots["today"] = turn.today
        return self._act(turn, state, frame)

    def _elsewhere(self, turn: _Turn, frame: Frame) -> frozenset[str]:
        """The slots that are none of an order's: where the product is asked about for itself, "卫衣有M码吗"."""
        about_order = "order_id" in self._policy.takes(frame.intent)
        if about_order and turn.outcome == "sure" and turn.intent in self._policy.intents:
            takes = self._policy.takes(turn.intent)
            if "product" in takes and "order_id" not in takes:
                return frozenset({"product", "size", "colour"})
        return frozenset()

    def _filled(self, turn: _Turn, frame: Frame) -> dict[str, Any] | None:
        """The value that was asked for, if this is it and not the start of something else."""
        assert frame.awaiting is not None
        wanted = frame.awaiting.split("|")
        asked: tuple[str, ...] = frame.slots.get("product") or ()
        if frame.awaiting == "product" and len(asked) == 1 and yes_or_no(turn.text):
            return {"product": tuple(asked)}  # of a kind, and there was but one to ask about
        found = {v.slot: v.value for v in turn.values if not v.negated}
        elsewhere = turn.outcome == "sure" and turn.intent not in (frame.intent, "affirm", "deny")
        if frame.awaiting == "products":
            ids = _pair(turn.values)
            return {"products": ids} if len(ids) >= 2 else None
        if "order_id" in wanted and not self._elsewhere(turn, frame):
            wanted.append("product")  # an order can be named by what is in it
        hits = {slot: found[slot] for slot in wanted if found.get(slot)}
        if elsewhere and "product" in hits:
            # "recommend me some shoes" does not say which of the shoes, "is the tent in stock" asks something else.
            asks = "product" in self._policy.takes(turn.intent) and not follow_up(turn.text, turn.values)
            if asks or not _certain(hits["product"]):
                return None
        if hits and not (elsewhere and self._policy.intents.get(turn.intent, {}).get("action") == "request"):
            return hits
        if "address" in wanted and found.get("order_id") and follow_up(turn.text, turn.values):
            return {"order_id": found["order_id"]}  # another order is meant; its address is asked for again
        if "address" in wanted and not elsewhere and len(turn.text) >= 4 and yes_or_no(turn.text) is None:
            return {"address": turn.text[:_ADDRESS]}
        return None

    def _begin(self, turn: _Turn, state: State) -> Draft:
        """The turn as something new."""
        # A plain yes or no is nobody's concern; it is not offered.
        candidates = [
            (name, p)
            for name, p in turn.parse.intents
            if p > 0
            and name in turn.parse.choices
            and self._policy.intents.get(name, {"action": "deny"})["action"] not in ("affirm", "deny")
        ][:_OFFERED]
        if turn.outcome == "sure" and turn.intent in self._policy.intents:
            turn.action, turn.actions = turn.intent, {turn.intent: 1.0}
        elif turn.outcome == "ask" and candidates:
            self._explore(turn, candidates)
            if turn.action == "ask":
                state.frame = None
                state.choices = tuple(name for name, _ in candidates)
                state.asked = turn.values
                return self._policy.choices(state.choices)
            turn.intent = turn.action
        else:
            return self._unknown(turn, state)
        state.no_match = 0
        return self._act(turn, state, self._frame(turn.intent, turn.values, state, turn))

    def _explore(self, turn: _Turn, candidates: Sequence[tuple[str, float]]) -> None:
        total = sum(p for _, p in candidates)
        turn.actions = {"ask": 1.0 - self._exploration}
        if self._exploration:
            turn.actions |= {name: self._exploration * p / total for name, p in candidates}
        with self._random_lock:
            turn.action = self._random.choices(list(turn.actions), list(turn.actions.values()))[0]

    def _unknown(self, turn: _Turn, state: State) -> Draft:
        """No intent covers it: the FAQ may; else say so, and after some of that bring in a person."""
        best = next(iter(self._faq.search(turn.text, state.language, 1)), None)
        turn.outcome, turn.intent = "out_of_scope", "out_of_scope"
        if best is not None and best.score >= _FAQ_ENOUGH:
            state.no_match = 0
            turn.outcome = "sure"
            turn.action, turn.actions = f"faq:{best.key}", {f"faq:{best.key}": 1.0}
            return Draft("", {"policy": self._policy.values}, faq=best.key)
        turn.action, turn.actions = "out_of_scope", {"out_of_scope": 1.0}
        if state.frame is not None and state.frame.awaiting == "confirm":
            state.frame = None  # a later "yes" would be to what is said now, not to a request that was passed over
        state.no_match += 1
        if state.no_match >= _PATIENCE:
            return self._policy.hand_off("no_match")
        if "human" in self._policy.intents:
            state.choices, state.asked = _A_PERSON, []  # "or shall I bring in a colleague?" "yes"
        return Draft("say.no_match")

    def _frame(self, intent: str, values: Sequence[Value], state: State, turn: _Turn) -> Frame:
        """A new concern, with what was said and, where it fits, the order or product that was last spoken of."""
        said = [v for v in values if not v.negated]
        frame = Frame(intent, {v.slot: v.value for v in said})
        action = self._policy.intents[intent]["action"]
        for slot in ("order_id", "size"):
            several = [v for v in said if v.slot == slot]
            if len({v.value for v in several}) > 1 and not corrected(turn.text, several):
                if slot == "order_id":
                    frame.slots["orders"] = tuple(dict.fromkeys(v.value for v in several))
                elif action == "request":
                    del frame.slots[slot]  # which of them is wanted is asked
        if action == "compare":
            frame.slots["products"] = _pair(values)
        if action in ("request", "order_status", "refund_status") and not frame.slots.keys() & {"order_id", "product"}:
            frame.slots |= {k: v for k, v in state.recent.items() if k == "order_id"}
        if self._policy.about_one(intent) and "product" not in frame.slots:
            frame.slots |= {k: v for k, v in state.recent.items() if k == "product"}
        _limit(frame, values)
        frame.slots["today"] = turn.today
        return frame

    def _act(self, turn: _Turn, state: State, frame: Frame) -> Draft:
        turn.action = turn.action or frame.intent
        turn.actions = turn.actions or {turn.action: 1.0}
        draft = self._policy.act(turn.user, frame, state)
        frame.awaiting = draft.awaiting
        if _certain(frame.slots.get("product")):
            state.recent["product"] = frame.slots["product"]
        state.frame = frame
        state.no_match = 0
        return draft

    # ---- words ----
    def _answer(self, turn: _Turn, state: State, draft: Draft) -> Reply:
        language = state.language
        template, variant, variants, rendered = self._words(draft, language)
        handoff = None
        spans = [(v.start, v.end, "address") for v in turn.values if v.slot == "address"]
        secret = state.frame.slots.get("address") if state.frame is not None else None
        if secret and (at := turn.text.find(secret)) >= 0:
            # One that was cut to its bound goes on in the text.
            end = at + len(secret) if len(secret) < _ADDRESS else len(turn.text)
            spans.append((at, end, "address"))
        masked = mask(turn.text, spans)
        if draft.handoff is not None:
            handoff = Handoff(draft.handoff, self._summary(draft.handoff, state, masked))
        for name, slot in _LISTS.items():
            if name in draft.facts and draft.template == template:
                keys = tuple(item.key for item in draft.facts[name].value)
                if len(keys) > 1 or state.offered[0] != slot or not set(keys) < set(state.offered[1]):
                    state.offered = slot, keys  # one of a list does not make the rest of it forgotten
        shown = draft.facts["items"].value if template.startswith("recommend.") and "items" in draft.facts else ()
        reply = Reply(
            secrets.token_hex(12), rendered.text, language, turn.intent, turn.parse.confidence, turn.outcome,
            tuple(rendered.evidence), handoff, tuple(item.key for item in shown),
        )  # fmt: skip
        answer = mask(rendered.text.replace(secret, "[address]") if secret else rendered.text)
        if self._recorder is not None:
            entry = Entry(
                id=reply.id, at=self._clock(), user=turn.user, model=str(getattr(self.nlu, "fingerprint", "")),
                text=masked, language=language, intent=turn.parse.intent, confidence=turn.parse.confidence,
                outcome=turn.outcome, intents=tuple((name, float(p)) for name, p in turn.parse.intents),
                action=turn.action or "none", actions=turn.actions or {"none": 1.0}, template=template,
                variant=variant, variants=variants, answer=answer,
                evidence=tuple((e.source, e.key, _evident(e)) for e in reply.evidence), handoff=draft.handoff,
                follows=state.last_reply, context=turn.context,
            )  # fmt: skip
            reply = replace(reply, logged=self._recorder.record(entry))
        state.remember(masked, answer)
        state.last_reply = reply.id if reply.logged else ""
        return reply

    def _words(self, draft: Draft, language: str) -> tuple[str, int, tuple[float, ...], Rendered]:
        """The draft in words, checked; the safe answer where they do not hold."""
        template, variant = draft.template, 0
        variants: tuple[float, ...] = (1.0,)
        try:
            if draft.faq is not None:
                entry = self._faq_entries[draft.faq][language]["answer"]
                rendered = render_text(entry, language, draft.facts, f"faq.json: {draft.faq}")
                rendered.evidence.append(Evidence("faq", draft.faq, entry))
                template = f"faq:{draft.faq}"
            else:
                count = self._templates.variants(template, language)
                if count > 1 and self._recorder is not None:
                    variant, variants = self._recorder.choose(f"{template}/{language}", count)
                rendered = self._templates.render(template, language, draft.facts, variant)
            if not unbacked(rendered.text, rendered.evidence, self._policy.catalogue.official):
                return template, variant, variants, rendered
        except TemplateError:
            pass  # a fact is missing, e.g. an order without a carrier: say nothing rather than half of it
        return "say.safe", 0, (1.0,), self._templates.render("say.safe", language, {})

    def _summary(self, reason: str, state: State, text: str) -> str:
        lines = [f"reason: {reason}", f"language: {state.language}"]
        if state.frame is not None:
            known = {k: v for k, v in state.frame.slots.items() if k not in ("address", "phone", "today") and v}
            lines.append(f"concern: {state.frame.intent}" + "".join(f", {k}={_plain(v)}" for k, v in known.items()))
        if order := state.recent.get("order_id"):
            lines.append(f"order: {order}")
        lines += [f"{who}: {said}" for who, said in state.turns]
        return "\n".join([*lines, f"user: {text}"])


def _evident(e: Evidence) -> str:
    """The value of an evidence for the log; what the user said stands masked in the text already."""
    return "[user]" if e.source == "user" else mask(str(e.value))


def _user(user: object) -> str:
    if not isinstance(user, str) or not 1 <= len(user) <= 200:
        raise InvalidArgument(f"user: expected a text of 1 to 200 characters that names the user; got {describe(user)}")
    return user


def _place(error: BaseException) -> str:
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return f" in {last.tb_frame.f_code.co_qualname}, line {last.tb_lineno}" if last is not None else ""


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        more = len(value) - _NAMED
        return "+".join(value[:_NAMED]) + (f" and {more} more" if more > 0 else "")
    return mask(str(value))


def _among(meant: Value, said: Value) -> bool:
    """Whether the entry that "the second jacket" points at is one of the jackets."""
    return said.slot == "product" and set(meant.value) <= set(said.value)


def _recalled(value: Value, text: str, state: State, about_one: bool) -> Value:
    """Of the products that a value may mean, the one that was last spoken of: "is the jacket waterproof"."""
    recent: tuple[str, ...] = state.recent.get("product", ())
    if value.slot != "product" or not recent or not set(recent) < set(value.value):
        return value
    definite = _THE.search(text[: value.start].lower()) if text[value.start].isascii() else not _ANOTHER.search(text)
    return replace(value, value=recent) if definite and (about_one or value.bound == "like") else value


def _certain(product: tuple[str, ...] | None) -> bool:
    return product is not None and len(product) == 1 and not isinstance(product, Kind)


def _pair(values: Sequence[Value]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(v.value[0] for v in values if v.slot == "product" and _certain(v.value)))


def _limit(frame: Frame, values: Sequence[Value]) -> None:
    for v in values:
        if v.slot == "amount":
            frame.bound, frame.currency = v.bound, v.currency
        elif v.slot == "product":
            frame.like |= v.bound == "like"


def _choice(text: str, choices: Sequence[str], policy: Policy) -> str | None:
    """The intent that an answer to "is it about A or B" picks: by letter, by number, or by its name."""
    plain = text.strip(" .。!！").casefold()
    if m := _LETTER.fullmatch(plain):
        if m[1]:
            place = "abc".find(m[1]) if m[1].isalpha() else int(m[1]) - 1
        else:
            place = ("first", "second", "third").index(m[2]) if m[2] else "一二三".find(m[3])
        return choices[place] if 0 <= place < len(choices) else None
    for intent in choices:
        if plain in (name.casefold() for name in policy.name(intent).values()) or plain == intent:
            return intent
    return None
