"""From the log to a better model: what people taught it, replayed with the old examples, judged, promoted, undone."""

from __future__ import annotations

import json
import math
import os
import tempfile
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import as_count
from ..assistant.language import fold
from ..assistant.protocols import NLU, Parse
from ..errors import FormatError, InvalidArgument
from ..starter import OUT_OF_SCOPE, Example
from .estimate import Estimate, Interval, estimate
from .log import Record

__all__ = ["Registry", "Verdict", "judge", "lessons", "retrain"]


def lessons(
    records: Iterable[Record],
    *,
    per_user: int = 20,
    thumbs: bool = False,
    noise: float = 0.2,
    certainty: float = 0.4,
    model: NLU | None = None,
) -> list[Example]:
    """The examples that people's feedback amounts to, in log order.

    A correction, or a choice when asked back, labels a text. Where people disagree about the same text the majority
    decides, and a tie teaches nothing. Of one user at most ``per_user`` labels count, so that nobody can flood it.

    Args:
        records: of the log.
        thumbs: also learn from thumbs, which say only right or wrong. Given that a share ``noise`` of thumbs is wrong,
            the posterior over the intents the model had in mind is formed, and the text is taken with its most
            probable intent where that reaches ``certainty``: a thumb down on a confident answer speaks for the next
            intent, one on a doubtful answer for none. That the model chose the action adds nothing to what the text
            says of the intent, so that no propensity enters. Users whose thumbs mostly contradict the model count
            less, those who seem to say the opposite on purpose count the other way round.
        noise: the share of thumbs that are flipped.
        certainty: of an intent from thumbs. Many lessons of which one in ten is wrong taught more than few that are
            nearly all right: those only repeat what the model knows (bench/feedback_stream.py).
        model: judges the texts anew: its probabilities and those at the time of the reply are averaged. One that has
            learnt from the log since sees old texts better than the model that answered them.
    """
    records = list(records)
    if thumbs and model is not None:
        records = [_seen_anew(r, model) if r.thumb is not None and not r.context else r for r in records]
    honest = _honesty(records, noise) if thumbs else {}
    votes: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    voters: Counter[str] = Counter()
    first: dict[str, tuple[str, bool]] = {}
    given: Counter[str] = Counter()
    for record in records:
        if not record.text or (record.context and record.label is None):
            continue  # a "yes" or a size is no sentence of the intent that it was said in
        key = fold(record.text)
        if record.label is not None:
            given[record.user] += 1
            if given[record.user] <= per_user:
                votes[key][record.label] += 1.0
                voters[key] += 1
                first[key] = (first.get(key, (record.text, True))[0], True)
        elif thumbs and record.thumb is not None and _taken(record.action) != OUT_OF_SCOPE and record.action != "ask":
            given[record.user] += 1
            if given[record.user] <= per_user:
                first.setdefault(key, (record.text, False))
                voters[key] += 1
                for intent, p in posterior(
                    record.intents, record.action, record.thumb, noise, honest[record.user]
                ).items():
                    votes[key][intent] += p
    examples: list[Example] = []
    for key, (text, named) in first.items():
        ranked = sorted(votes[key].items(), key=lambda v: (-v[1], v[0]))
        clear = len(ranked) == 1 or ranked[0][1] > ranked[1][1]
        if clear and (named or ranked[0][1] / voters[key] >= certainty):
            examples.append(Example(text, ranked[0][0]))
    return examples


def _seen_anew(record: Record, model: NLU) -> Record:
    chances: dict[str, float] = defaultdict(float)
    for intents in (record.intents, model.parse(record.text).intents):
        for name, p in intents:
            chances[name] += p / 2
    return replace(record, intents=tuple(sorted(chances.items(), key=lambda c: (-c[1], c[0]))))


def posterior(
    intents: Sequence[tuple[str, float]], action: str, thumb: bool, noise: float, honest: float = 1.0
) -> dict[str, float]:
    """P(intent | thumb) by Bayes: a thumb up has probability 1 - noise where the action was right, noise elsewhere;
    of one who always says the opposite, which the user is with probability 1 - honest, 0 and 1."""
    up_right, up_wrong = honest * (1 - noise), honest * noise + (1 - honest)
    right, wrong = (up_right, up_wrong) if thumb else (1 - up_right, 1 - up_wrong)
    joint = {name: p * (right if name == action else wrong) for name, p in intents}
    rest = max(0.0, 1.0 - sum(p for _, p in intents)) * wrong  # intents that the model did not name
    total = sum(joint.values()) + rest
    return {name: p / total for name, p in joint.items()} if total > 0 else {}


def _honesty(records: Iterable[Record], noise: float, prior: float = 0.9) -> dict[str, float]:
    """P(a user's thumbs are meant) for each user: the odds of what they said under honest thumbs, a share ``noise`` of
    them flipped, against always the opposite of the truth, with the model's own probability of having been right."""
    odds: dict[str, float] = defaultdict(lambda: math.log(prior / (1 - prior)))
    for r in records:
        if r.thumb is None:
            continue
        p = min(max(dict(r.intents).get(r.action, 0.5), 0.02), 0.98)
        up_honest, up_opposite = p * (1 - noise) + (1 - p) * noise, 1 - p
        odds[r.user] += math.log(up_honest / up_opposite if r.thumb else (1 - up_honest) / (1 - up_opposite))
    return {user: 1 / (1 + math.exp(-min(max(o, -50.0), 50.0))) for user, o in odds.items()}


def _load(path: Path) -> NLU:
    from ..nlu import NLU as Model

    return Model.load(path)


def retrain(
    records: Iterable[Record],
    base: Sequence[Example],
    train: Callable[..., Any],
    out: str | Path,
    *,
    repeat: int = 1,
    rounds: int = 1,
    held: Iterable[Example] = (),
    load: Callable[[Path], NLU] = _load,
    **options: Any,
) -> list[Example]:
    """Trains a candidate on the old examples and what was learnt since, and returns the latter.

    The old examples are replayed whole, so that nothing is forgotten for what is new. The examples are put in a fixed
    order and nothing is drawn at random here: the same log and base give the same examples and, the training being
    deterministic, the same bytes.

    Args:
        train: ``ecocore.train.nlu``: called as ``train(examples, out=out)``, with mappings of text, intent and slots.
        repeat: how often each lesson is put in.
        rounds: with ``thumbs``: so many times in all; each candidate judges the texts anew for the next.
        held: the gold set of :func:`judge`; its texts are not taught, whatever users say.
        options: of :func:`lessons`.
    """
    records = list(records)
    known = {(fold(e.text), e.intent) for e in base}
    kept_back = {fold(e.text) for e in held}
    for left in range(as_count(rounds, "rounds", minimum=1), 0, -1):
        learnt = lessons(records, **options)
        new = [e for e in learnt if (fold(e.text), e.intent) not in known and fold(e.text) not in kept_back]
        examples = [e._asdict() for e in (*base, *(e for e in new for _ in range(repeat)))]
        if left == 1:
            train(examples, out=Path(out))
        else:
            with tempfile.TemporaryDirectory() as folder:
                train(examples, out=Path(folder) / "nlu")
                options["model"] = load(Path(folder) / "nlu")
    return new


@dataclass(frozen=True)
class Verdict:
    """Whether a candidate may replace the current model, and why."""

    promote: bool
    reasons: tuple[str, ...]
    gold_current: float
    gold_candidate: float
    gold_gain: Interval
    estimate: Estimate | None


def judge(
    candidate: NLU,
    current: NLU,
    gold: Sequence[Example],
    records: Sequence[Record],
    *,
    after: int = 0,
    per_user: int = 20,
    tolerance: float = 0.005,
    least_rated: int = 50,
    seed: int = 0,
) -> Verdict:
    """Whether a candidate is better, by two independent witnesses that must both say so.

    The gold set, labelled by people and never trained on: the candidate is right at least as often (a question back
    that offers the right intent counts half), and the lower bound of the paired bootstrap interval of its gain is not
    below ``-tolerance``. The log: the doubly robust estimate of what the candidate would have earned is above that of
    the current model, again with a lower bound not below ``-tolerance``; users are resampled whole. With fewer than
    ``least_rated`` rated replies, or an effective sample below a tenth of them, the log says nothing and the candidate
    stays out.

    Args:
        after: replies up to this ``Record.seq`` do not count. Give the last one that the candidate learnt from: a row
            that it was taught would vouch for itself.
        per_user: ratings of one user that count, so that nobody decides alone.
    """
    if not gold:
        raise InvalidArgument("gold: expected labelled examples that no model was trained on; got none")
    right = np.array([[_credit(m.parse(e.text), e.intent) for e in gold] for m in (current, candidate)], np.float64)
    difference = right[1] - right[0]
    random = np.random.default_rng(seed)
    means = np.array([difference[random.integers(0, len(gold), len(gold))].mean() for _ in range(1000)])
    low, high = np.percentile(means, [2.5, 97.5])
    gain = Interval(float(difference.mean()), float(low), float(high))
    reasons: list[str] = []
    if gain.value < 0 or gain.low < -tolerance:
        reasons.append(f"gold set: gain {gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}] is not safely above zero")
    rated = _rated(records, after, per_user)
    estimated = _estimate(candidate, current, rated, seed) if len(rated) >= least_rated else None
    if estimated is None:
        reasons.append(f"log: {len(rated)} rated replies, {least_rated} are needed")
    elif estimated.effective < 0.1 * estimated.rows:
        reasons.append(f"log: effective sample {estimated.effective:.0f} of {estimated.rows} rows is too small")
    elif estimated.gain.value <= 0 or estimated.gain.low < -tolerance:
        g = estimated.gain
        reasons.append(f"log: estimated gain {g.value:+.4f} [{g.low:+.4f}, {g.high:+.4f}] is not safely above zero")
    return Verdict(not reasons, tuple(reasons), float(right[0].mean()), float(right[1].mean()), gain, estimated)


def _credit(parse: Parse, intent: str) -> float:
    if parse.outcome == "ask":
        return 0.5 if intent in parse.choices else 0.0
    return float((OUT_OF_SCOPE if parse.outcome == "out_of_scope" else parse.intent) == intent)


def _rated(records: Iterable[Record], after: int, per_user: int) -> list[Record]:
    """The rated replies to texts that the model decided on by itself, of each user the first ``per_user``."""
    given: Counter[str] = Counter()
    rated = []
    for r in records:
        if r.reward is None or r.context or r.seq <= after or r.actions.get(r.action, 0) <= 0:
            continue
        given[r.user] += 1
        if given[r.user] <= per_user:
            rated.append(r)
    return rated


def _taken(action: str) -> str:
    """A logged action as a model's decision: that the FAQ answered is the assistant's doing, not the model's."""
    return OUT_OF_SCOPE if action.startswith("faq:") else action


def _action(nlu: NLU, text: str) -> str:
    parse = nlu.parse(text)
    return {"sure": parse.intent, "ask": "ask"}.get(parse.outcome, OUT_OF_SCOPE)


def _estimate(candidate: NLU, current: NLU, rated: Sequence[Record], seed: int) -> Estimate:
    """The candidate's value on the rated rows, and its gain over the current model without exploration. Expected
    rewards are means by action, shrunk to the overall mean and fitted on the other half of the users, so that a row
    never predicts itself."""
    rewards = np.array([r.reward for r in rated], np.float64)
    actions = [_taken(r.action) for r in rated]
    half = [zlib.crc32(r.user.encode()) % 2 for r in rated]
    fitted = [_means([(a, x) for a, x, h in zip(actions, rewards, half, strict=True) if h != part]) for part in (0, 1)]

    def policy(nlu: NLU) -> tuple[list[float], list[float]]:
        wanted = [_action(nlu, r.text) for r in rated]
        agree = [float(a == b) for a, b in zip(actions, wanted, strict=True)]
        return agree, [fitted[h](a) for h, a in zip(half, wanted, strict=True)]

    agree, expected = policy(candidate)
    return estimate(
        rewards,
        [min(1.0, sum(p for a, p in r.actions.items() if _taken(a) == _taken(r.action))) for r in rated],
        agree,
        [fitted[h](a) for h, a in zip(half, actions, strict=True)],
        expected,
        baseline=policy(current),
        groups=[r.user for r in rated],
        seed=seed,
    )


def _means(rows: Sequence[tuple[str, float]]) -> Callable[[str], float]:
    overall = sum(x for _, x in rows) / max(1, len(rows))
    totals: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for action, x in rows:
        totals[action][0] += x
        totals[action][1] += 1
    prior = 5.0
    fitted = {a: (s + prior * overall) / (n + prior) for a, (s, n) in totals.items()}
    return lambda action: fitted.get(action, overall)


class Registry:
    """Which model is in use: a folder of models and one file that names the current one, changed atomically.

    A crash leaves the old or the new name, never half of one. ``history.jsonl`` tells what was promoted and why.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def current(self) -> Path | None:
        """The folder of the model in use; None before the first.

        Raises:
            FormatError: the model that is named is not there.
        """
        try:
            name = (self.folder / "current").read_text("utf-8").strip()
        except FileNotFoundError:
            return None
        path = self.folder / name
        if not name or "/" in name or not path.is_dir():
            raise FormatError(f"{self.folder / 'current'}: names {name!r}, which is no model here; roll back")
        return path

    def promote(self, name: str, verdict: Verdict | None = None) -> None:
        """Makes a model of the folder the current one. ``verdict``: why; None for the first model.

        Raises:
            InvalidArgument: there is no such model, or the verdict says no.
        """
        if "/" in name or not (self.folder / name).is_dir():
            raise InvalidArgument(f"name: expected a model in {self.folder}; got {name!r}")
        if verdict is not None and not verdict.promote:
            raise InvalidArgument(f"{name}: may not be promoted: {'; '.join(verdict.reasons)}")
        before = self.current()
        self._set(name, before.name if before else None, "promote", asdict(verdict) if verdict else None)

    def rollback(self) -> str:
        """Returns to the model before the current one, and says which.

        Raises:
            InvalidArgument: there is none to return to.
        """
        now = self.current()
        steps = [s for s in self.history() if now is not None and s["model"] == now.name and s["event"] == "promote"]
        before = steps[-1]["before"] if steps else None
        if now is None or before is None or not (self.folder / before).is_dir():
            raise InvalidArgument(f"{self.folder}: there is no earlier model to return to")
        self._set(before, now.name, "rollback", None)
        return str(before)

    def history(self) -> list[dict[str, Any]]:
        """What was promoted and rolled back, oldest first. A line that a crash cut short is left out."""
        try:
            lines = (self.folder / "history.jsonl").read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []
        steps = []
        for line in lines:
            try:
                steps.append(json.loads(line))
            except ValueError:
                continue
        return steps

    def _set(self, name: str, before: str | None, event: str, why: Any) -> None:
        # History first: if the switch is then lost in a crash, the line tells of a model that was not switched to,
        # which the next promotion or rollback corrects; the other way round a switch could not be undone.
        step = {"event": event, "model": name, "before": before, "at": time.time(), "verdict": why}
        with (self.folder / "history.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(step, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary = self.folder / ".current"
        with temporary.open("w", encoding="utf-8") as file:
            file.write(name + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.folder / "current")
