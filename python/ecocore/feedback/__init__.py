"""Feedback: a crash-safe log, a bandit over answers, retraining from corrections, and a gate before promotion."""

from __future__ import annotations

from .bandit import Bandit, best_probabilities
from .estimate import Estimate, Interval, estimate
from .feedback import Feedback
from .learn import Registry, Verdict, judge, lessons, retrain
from .log import FeedbackLog, LogUnavailable, Record
from .rephrase import is_rephrasing
from .report import Report, report

__all__ = [
    "Bandit",
    "Estimate",
    "Feedback",
    "FeedbackLog",
    "Interval",
    "LogUnavailable",
    "Record",
    "Registry",
    "Report",
    "Verdict",
    "best_probabilities",
    "estimate",
    "is_rephrasing",
    "judge",
    "lessons",
    "report",
    "retrain",
]
