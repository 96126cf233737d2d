"""What a parse says: plain, immutable records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Explanation", "Outcome", "Parse", "Slot"]

Outcome = Literal["sure", "ask", "out_of_scope"]


@dataclass(frozen=True, slots=True)
class Slot:
    """A value that stands in the text: ``text[start:end]``, in characters as Python counts them."""

    name: str
    value: str  #: the text itself, or what a lookup list says it stands for
    start: int
    end: int
    source: str = "model"  #: "model", "rule" or "lookup"
    score: float = 1.0  #: by which overlapping finds were settled, 0 to 1


@dataclass(frozen=True, slots=True)
class Parse:
    """What a text asks for.

    ``confidence`` is the calibrated probability that ``intent`` is right; ``intents`` the likeliest intents with
    theirs, first the best. ``outcome`` is what to do: "sure" = act on it; "ask" = ask back which of ``choices`` was
    meant; "out_of_scope" = none of the intents (``intent`` then still names the nearest one).
    """

    text: str
    intent: str
    confidence: float
    intents: tuple[tuple[str, float], ...]
    slots: tuple[Slot, ...]
    outcome: Outcome
    in_scope: float  #: the calibrated probability that the text is about any of the intents
    choices: tuple[str, ...]  #: the small set that holds the right intent with the promised probability
    language: str  #: "zh", "en", "mixed" or "other": by the script

    def slot(self, name: str) -> Slot | None:
        """The first slot of this name."""
        return next((s for s in self.slots if s.name == name), None)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a text was understood as it was.

    ``ngrams`` are (piece of the normalised text, start, end, logit), largest effect first: exactly what each adds to
    the logit of the intent. ``rules`` names what decided beside the model; ``nearest`` the closest training examples as
    (text, intent, cosine similarity of the hidden layers).
    """

    parse: Parse
    intent: str
    logit: float
    ngrams: tuple[tuple[str, int, int, float], ...]
    unseen: float  #: share of the words and pairs of words that training never saw
    rules: tuple[str, ...]
    nearest: tuple[tuple[str, str, float], ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "intent": self.intent,
            "confidence": self.parse.confidence,
            "outcome": self.parse.outcome,
            "logit": self.logit,
            "ngrams": [list(n) for n in self.ngrams],
            "unseen": self.unseen,
            "rules": list(self.rules),
            "nearest": [list(n) for n in self.nearest],
        }
