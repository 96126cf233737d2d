"""Feedback: what the assistant logs to, and what learns which wording helps."""

from __future__ import annotations

from pathlib import Path

from ..assistant.replies import Entry
from ..errors import InvalidArgument
from .bandit import Bandit
from .log import FeedbackLog, LogUnavailable, Thumb
from .rephrase import is_rephrasing

__all__ = ["Feedback"]

_FAILED = ("asked", "complaint", "no_match")
"""Hand-offs that say the answer before was no help; others are the shop's rule, whatever was said before."""


class Feedback:
    """A log and a bandit over answer variants, as a :class:`~ecocore.assistant.Recorder` for the assistant.

    What the log holds is all there is: a new ``Feedback`` on the same file knows what the old one had learnt.

    Args:
        log: the log, or the path of one.
        seed, floor, votes_per_user: of the :class:`~ecocore.feedback.Bandit`.
        window: seconds within which the same question in other words counts as a rephrasing.
    """

    def __init__(
        self,
        log: FeedbackLog | str | Path,
        *,
        seed: int = 0,
        floor: float = 0.05,
        votes_per_user: int = 5,
        window: float = 60.0,
    ) -> None:
        self.log = log if isinstance(log, FeedbackLog) else FeedbackLog(log)
        self.bandit = Bandit(seed, floor=floor, votes_per_user=votes_per_user)
        self._window = window
        for thumb in self.log.thumbs():
            self._count(thumb)

    def close(self) -> None:
        """Closes the log."""
        self.log.close()

    def choose(self, context: str, count: int) -> tuple[int, tuple[float, ...]]:
        """A variant of an answer, and the probability that each had."""
        return self.bandit.choose(context, count)

    def record(self, entry: Entry) -> bool:
        """Logs a reply and what it says about the one before; False where the log cannot take it now."""
        inferred: list[tuple[str, str, str]] = []
        try:
            if entry.follows and (before := self.log.text_of(entry.follows)) is not None:
                text, at, helpful = before
                if entry.handoff in _FAILED:
                    inferred.append((entry.follows, "handoff", str(entry.handoff)))
                elif not helpful and entry.at - at <= self._window and is_rephrasing(text, entry.text):
                    inferred.append((entry.follows, "rephrased", entry.id))
            self.log.add_reply(entry, tuple(inferred))
        except LogUnavailable:
            return False
        return True

    def _count(self, thumb: Thumb) -> None:
        if thumb.variants > 1:
            self.bandit.update(thumb.context, thumb.variant, thumb.variants, thumb.helpful, thumb.user, thumb.reply)

    def feedback(self, reply_id: str, *, helpful: bool | None = None, correction: str | None = None) -> None:
        """Stores a rating; returns when it is safe on disk.

        Raises:
            InvalidArgument: nothing is said, or no such reply was logged.
            LogUnavailable: the log cannot take it; nothing was stored.
        """
        ratings: list[tuple[str, str]] = []
        if helpful is not None:
            ratings.append(("helpful", "1" if helpful else "0"))
        if correction is not None:
            ratings.append(("correction", correction))
        if not ratings:
            raise InvalidArgument("feedback: expected helpful=True or False, or correction='intent'; got neither")
        self.log.add_ratings(reply_id, ratings)
        if helpful is not None:
            for thumb in self.log.thumbs(reply_id):
                self._count(thumb)

    def chosen(self, reply_id: str, intent: str) -> None:
        """The customer picked this intent when asked back: a label for what was said before. Kept if the log can."""
        try:
            self.log.add_rating(reply_id, "chosen", intent)
        except (LogUnavailable, InvalidArgument):
            return
