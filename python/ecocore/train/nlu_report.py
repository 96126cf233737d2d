"""How good an NLU model is, on texts it did not learn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..nlu import NLU
from .nlu_calibration import auroc, calibration_error
from .nlu_examples import Example

__all__ = ["NluReport", "evaluate_nlu"]


@dataclass(frozen=True)
class NluReport:
    """What training did: the model's folder and its card, which also ships inside the model."""

    path: Path
    card: dict[str, Any]

    def __str__(self) -> str:
        held = self.card["held_out"]
        lines = [
            f"{self.path}: {self.card['intents']} intents, {self.card['examples']} examples, {self.card['seconds']} s"
        ]
        names = {
            "intent_accuracy": "intent accuracy in scope",
            "accepted_accuracy": "right and accepted, in scope",
            "out_of_scope_recall": "out-of-scope recall",
            "auroc": "AUROC in scope / out",
            "calibration_error": "expected calibration error",
            "slot_f1": "slot F1 (name and place)",
            "sure": "answered without asking back",
            "sure_accuracy": "right where sure",
        }
        for key, text in names.items():
            if held.get(key) is not None:
                lines.append(f"  {text:32} {held[key]:.4f}")
        for wrong, right, n in held.get("confusions", ())[:5]:
            lines.append(f"  {n} x {right} taken for {wrong}")
        return "\n".join(lines)


def evaluate_nlu(model: NLU, examples: Sequence[Example], *, confusions: int = 10) -> dict[str, Any]:
    """Scores of ``model`` on labelled examples; an entry that the examples cannot tell is None.

    ``accepted_accuracy`` counts a question in scope as right when its intent is and it is not called out of scope;
    ``slot_f1`` counts a slot as found when name, start and end agree (among the slots' names of the examples).
    """
    parses = model.parse_many([e.text for e in examples])
    inside = np.array([bool(e.intents) for e in examples])
    right = np.array([p.intent in e.intents for p, e in zip(parses, examples, strict=True)])
    accepted = np.array([p.outcome != "out_of_scope" for p in parses])
    sure = np.array([p.outcome == "sure" for p in parses])
    chance = np.array([p.in_scope for p in parses])
    confidence = np.array([p.confidence for p in parses])

    def mean(x: Any) -> float | None:
        return round(float(np.mean(x)), 5) if len(x) else None

    wrong = Counter(
        (p.intent, e.intents[0])
        for p, e in zip(parses, examples, strict=True)
        if e.intents and p.intent not in e.intents
    )
    names = {s[0] for e in examples for s in e.slots}
    found = [{(s.name, s.start, s.end) for s in p.slots if s.name in names} for p in parses]
    true = [set(e.slots) for e in examples]
    hits = sum(len(f & t) for f, t in zip(found, true, strict=True))
    total = sum(map(len, found)) + sum(map(len, true))
    return {
        "examples": len(examples),
        "intent_accuracy": mean(right[inside]),
        "accepted_accuracy": mean((right & accepted)[inside]),
        "out_of_scope_recall": mean(~accepted[~inside]),
        "auroc": round(auroc(chance[inside], chance[~inside]), 5) if inside.any() and not inside.all() else None,
        "calibration_error": round(calibration_error(confidence, right & inside), 5) if len(examples) else None,
        "sure": mean(sure[inside]),
        "sure_accuracy": mean((right & inside)[sure]),
        "slot_f1": round(2 * hits / total, 5) if names and total else None,
        "confusions": [[a, b, n] for (a, b), n in sorted(wrong.items(), key=lambda x: (-x[1], x[0]))[:confusions]],
    }
