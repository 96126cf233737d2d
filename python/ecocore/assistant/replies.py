"""What a turn leaves behind: the reply, the hand-off in it, and the entry that is logged of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from .evidence import Evidence

__all__ = ["Entry", "Handoff", "Recorder", "Reply"]


@dataclass(frozen=True)
class Handoff:
    """For the person who takes over: why, and what happened so far. Personal data is masked."""

    reason: str
    summary: str


@dataclass(frozen=True)
class Reply:
    """An answer.

    ``evidence`` backs every fact in ``text``. ``outcome``: ``"sure"``, ``"ask"`` (a question back) or
    ``"out_of_scope"``. ``logged`` is False when the log could not take it (disk full): it cannot be rated then.
    ``products``: ids of what was recommended.
    """

    id: str
    text: str
    language: str
    intent: str
    confidence: float
    outcome: str
    evidence: tuple[Evidence, ...]
    handoff: Handoff | None = None
    products: tuple[str, ...] = ()
    logged: bool = True


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is logged of a reply; texts are masked. ``actions`` and ``variants`` hold the alternatives with the
    probability that each had of being taken. ``context``: the conversation decided (a yes, a missing value, a choice,
    a correction), not this text by itself, so that the text teaches nothing about intents."""

    id: str
    at: float
    user: str
    model: str
    text: str
    language: str
    intent: str
    confidence: float
    outcome: str
    intents: tuple[tuple[str, float], ...]
    action: str
    actions: Mapping[str, float]
    template: str
    variant: int
    variants: tuple[float, ...]
    answer: str
    evidence: tuple[tuple[str, str, str], ...]
    handoff: str | None
    follows: str
    context: bool = False


class Recorder(Protocol):
    """Where replies are logged and rated; :class:`ecocore.feedback.Feedback` is one."""

    def choose(self, context: str, count: int) -> tuple[int, tuple[float, ...]]:
        """Which of some variants to use, and the probability that each had."""

    def record(self, entry: Entry) -> bool:
        """Logs a reply; False where the log cannot take it now."""

    def feedback(self, reply_id: str, *, helpful: bool | None = None, correction: str | None = None) -> None:
        """Stores a rating; returns when it is safe on disk."""

    def chosen(self, reply_id: str, intent: str) -> None:
        """The customer picked this intent when asked back."""
