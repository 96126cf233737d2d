"""A small stand-in for the NLU: the nearest training sentence decides. For tests of what comes after understanding."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from ecocore.assistant.faq import FaqIndex
from ecocore.assistant.language import detect
from ecocore.starter import examples


@dataclass(frozen=True)
class Parse:
    intent: str
    confidence: float
    intents: tuple[tuple[str, float], ...]
    slots: tuple = ()
    outcome: str = "sure"

    @property
    def choices(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.intents[:3])


class NearestNLU:
    fingerprint = "nearest"

    def __init__(self, sure: float = 0.5, ask: float = 0.3) -> None:
        entries: dict = defaultdict(lambda: {"en": {"questions": []}, "zh": {"questions": []}})
        for language in ("en", "zh"):
            for e in examples(language):
                entries[e.intent][language]["questions"].append(e.text)
        self._index, self._sure, self._ask = FaqIndex(entries), sure, ask

    def parse(self, text: str) -> Parse:
        found = self._index.search(text, detect(text, "en"), 3)
        total = sum(m.score for m in found) or 1.0
        intents = tuple((m.key, m.score / total) for m in found) or (("out_of_scope", 1.0),)
        best = found[0].score if found else 0.0
        outcome = "sure" if best >= self._sure else "ask" if best >= self._ask else "out_of_scope"
        return Parse(intents[0][0], min(best, 1.0), intents, (), outcome)


class ScriptedNLU:
    """Says what it was told to say about each text; anything else is out of scope."""

    fingerprint = "scripted"

    def __init__(self, script: dict[str, str | tuple[str, ...]]) -> None:
        self.script = script

    def parse(self, text: str) -> Parse:
        said = self.script.get(text)
        if said is None:
            return Parse("out_of_scope", 0.1, (("out_of_scope", 0.9),), (), "out_of_scope")
        if isinstance(said, tuple):
            return Parse(said[0], 0.4, tuple((s, 1 / len(said)) for s in said), (), "ask")
        return Parse(said, 0.95, ((said, 0.95),), (), "sure")
