"""Customer questions to intents and slots: ``NLU.load(path).parse(text)``.

A text is prepared once, natively (normalised with exact offsets, cut into tokens); the intent model reads its hashed
n-grams, rules and lookup lists find values, and a small recurrent graph on ONNX Runtime tags the rest, told what
rules and lists found. Everything is scored together; probabilities are calibrated on texts that training held out.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from . import _core
from .arrays import as_count
from .errors import FormatError, InvalidArgument
from .nlu_rules import MAX_CHARACTERS, Rule, compile_rules
from .nlu_types import Explanation, Outcome, Parse, Slot
from .storage import read_folder, read_manifest

__all__ = ["NLU", "Explanation", "Parse", "Slot"]

KIND = "nlu"
Float = npt.NDArray[np.float32]

_SHOWN = 5  # intents in a Parse
_RULE_SCORE, _LOOKUP_SCORE = 0.9, 0.95
_NEAREST = 3


@dataclass(frozen=True)
class Decision:
    """From logits to calibrated probabilities and to what to do; fitted by ``ecocore.train.nlu``."""

    temperature: float  #: softmax(logits / temperature) are the intents' shares of what is in scope
    scope: tuple[float, ...]  #: weights of scope_signals(), then the bias: the logit of being in scope
    scope_threshold: float  #: below this probability of being in scope: out of scope
    sure_threshold: float  #: from this confidence on: sure
    coverage: float  #: the choices of "ask" hold the right intent with this probability ...
    choice_share: float  #: ... when intents are taken until their shares sum up to this
    several: bool  #: intents are independent: a text may have several

    def scope_logit(self, signals: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        # Term by term, not by BLAS, whose sums depend on how many texts there are.
        return sum((signals[:, i] * w for i, w in enumerate(self.scope[:-1])), np.full(len(signals), self.scope[-1]))


def scope_signals(logits: Float, unseen: Float) -> npt.NDArray[np.float64]:
    """What tells questions in scope from others, [texts, 4]: the largest logit, its lead over the second, and the
    shares of words and of pieces of words that training never saw."""
    if logits.shape[1] == 1:
        top = np.concatenate([logits, np.zeros_like(logits)], axis=1)
    else:
        top = np.partition(logits, -2, axis=1)[:, [-1, -2]]
    return np.stack([top[:, 0], top[:, 0] - top[:, 1], unseen[:, 0], unseen[:, 1]], axis=1).astype(np.float64)


class _Tagger:
    """The slot graph with its vocabulary and transitions."""

    def __init__(self, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self.tags: list[str] = list(meta["tags"])
        self.vocabulary = _core.TokenVocabulary(np.ascontiguousarray(arrays["token_keys"]))
        self.transitions = np.ascontiguousarray(arrays["transitions"])
        self.start = np.ascontiguousarray(arrays["start"])
        self.end = np.zeros(len(self.tags), np.float32)
        self._graph = arrays["tagger"].tobytes()
        self._session: Any = None
        self._lock = threading.Lock()

    @property
    def session(self) -> Any:
        if self._session is None:  # ONNX Runtime is imported by the first text that needs it
            from .onnx.session import GraphSession

            with self._lock:
                if self._session is None:
                    self._session = GraphSession(self._graph, device="cpu", num_threads=1)
        return self._session

    def emissions(self, rows: npt.NDArray[np.int32]) -> Float:
        """Log-probabilities of the tags, [texts, tokens, tags], of texts of the same number of tokens."""
        return cast(Float, self.session.run(None, {"rows": rows})[0])

    def spans(self, emissions: Float, tokens: Sequence[tuple[int, int]]) -> list[tuple[str, int, int, float]]:
        """(name, start, end, probability) of one text's slots."""
        path = _core.viterbi(emissions, self.transitions, self.start, self.end)
        out: list[tuple[str, int, int, float]] = []
        tags = [self.tags[t] for t in path]
        i = 0
        while i < len(tags):
            if tags[i] == "O":
                i += 1
                continue
            name, j = tags[i][2:], i + 1
            while j < len(tags) and tags[j] == "I-" + name:
                j += 1
            chance = math.exp(min(float(emissions[k, path[k]]) for k in range(i, j)))
            out.append((name, tokens[i][0], tokens[j - 1][1], chance))
            i = j
        return out


class NLU:
    """A loaded model. Objects are immutable but for :meth:`set_lookup`; threads may share one."""

    fingerprint: str = ""  #: of what was loaded: equal for equal models

    def __init__(self, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        try:
            self._intents: list[str] = [str(name) for name in meta["intents"]]
            self._card: dict[str, Any] = dict(meta["card"])
            decision = dict(meta["decision"])
            decision["scope"] = tuple(float(w) for w in decision["scope"])
            self._decision = Decision(**decision)
            self._rules: tuple[Rule, ...] = compile_rules(meta["rules"])
            self._model = _core.IntentModel(
                arrays["keys"],
                arrays["idf"],
                float(meta["meaning_gain"]),
                arrays["codes"],
                arrays["scales"],
                arrays["bias"],
                arrays["output"],
                arrays["output_bias"],
            )
            self._tagger = _Tagger(meta["tagger"], arrays) if meta.get("tagger") else None
            self._example_texts: list[str] = list(meta["examples"]["texts"])
            self._example_intents: list[str] = list(meta["examples"]["intents"])
            lookups = {str(name): dict(values) for name, values in meta["lookups"].items()}
        except (KeyError, TypeError) as e:
            raise FormatError(f"this is not a whole NLU model ({type(e).__name__}: {e}); train it again") from e
        if self._model.intents != len(self._intents) or len(self._decision.scope) != 5:
            raise FormatError("the NLU model's parts do not fit together; train it again")
        self._lookups: dict[str, tuple[_core.PhraseMatcher, list[str]]] = {}
        for name, values in lookups.items():
            self.set_lookup(name, values)
        self._examples: Float | None = None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> NLU:
        """Opens the model folder that ``ecocore.train.nlu`` or ``ecocore train-nlu`` wrote."""
        manifest = read_manifest(path)
        model = cls(*read_folder(path, KIND))
        told = json.dumps(
            [manifest["meta"], {n: a.get("sha256") for n, a in manifest["arrays"].items()}], sort_keys=True
        )
        model.fingerprint = hashlib.sha256(told.encode()).hexdigest()
        return model

    # ---- what it knows ----

    @property
    def intents(self) -> tuple[str, ...]:
        return tuple(self._intents)

    @property
    def slots(self) -> tuple[str, ...]:
        """Names that slots can have."""
        names = {tag[2:] for tag in self._tagger.tags if tag != "O"} if self._tagger else set()
        return tuple(sorted(names | {r.name for r in self._rules} | set(self._lookups)))

    @property
    def card(self) -> dict[str, Any]:
        """The model card: data, accuracy, out-of-scope recall, calibration error, and how they were measured."""
        return dict(self._card)

    def set_lookup(self, name: str, values: Iterable[str] | Mapping[str, Iterable[str]]) -> None:
        """Replaces the lookup list of the slot ``name``: phrases, or a phrase with its synonyms. Parses that run
        meanwhile use the old list or the new one, whole. An empty list removes it."""
        if isinstance(values, str):
            raise InvalidArgument(f"values: expected a list of phrases; got the text {values!r}; use [values]")
        phrases: list[str] = []
        stands_for: list[str] = []
        pairs = values.items() if isinstance(values, Mapping) else ((v, ()) for v in values)
        for value, synonyms in pairs:
            for phrase in (value, *synonyms):
                if not isinstance(phrase, str):
                    raise InvalidArgument(f"values: expected text; got {phrase!r}")
                phrases.append(phrase)
                stands_for.append(value)
        lookups = dict(self._lookups)
        if phrases:
            lookups[name] = (_core.PhraseMatcher(phrases), stands_for)
        else:
            lookups.pop(name, None)
        self._lookups = lookups  # one assignment: nobody sees half a list

    # ---- parsing ----

    def parse(self, text: str | bytes) -> Parse:
        """What ``text`` asks for. Time is linear in its length; any text has an answer, bytes are read as UTF-8."""
        text = _as_text(text)
        prepared = _core.PreparedText(text)
        logits, unseen = self._model.score(prepared)
        found = self._find(prepared)
        spans: list[tuple[str, int, int, float]] = []
        if self._tagger is not None:
            tokens = prepared.tokens
            if tokens:
                rows = self._tagger.vocabulary.rows(prepared, _as_features(found))
                emissions = self._tagger.emissions(rows[None])[0]
                spans = self._tagger.spans(emissions, tokens)
        return self._decide(text, logits[None], unseen[None], [_settle(text, found, spans)])[0]

    def parse_many(self, texts: Sequence[str | bytes], *, num_threads: int = 0) -> list[Parse]:
        """:meth:`parse` of every text; the same answers, in less time."""
        num_threads = as_count(num_threads, "num_threads", minimum=0)
        if isinstance(texts, str | bytes):
            raise InvalidArgument("texts: expected a list of texts; got one text; use parse(text)")
        plain = [_as_text(t) for t in texts]
        if not plain:
            return []
        logits, unseen = self._model.score_many(plain, num_threads)
        slots: list[tuple[Slot, ...]] = []
        if self._tagger is not None or self._rules or self._lookups:
            prepared = [_core.PreparedText(t) for t in plain]
            found = [self._find(p) for p in prepared]
            spans = self._tag_many(prepared, found)
            slots = [_settle(t, f, s) for t, f, s in zip(plain, found, spans, strict=True)]
        else:
            slots = [()] * len(plain)
        return self._decide_many(plain, logits, unseen, slots)

    def _tag_many(
        self, prepared: Sequence[_core.PreparedText], found: Sequence[list[Slot]]
    ) -> list[list[tuple[str, int, int, float]]]:
        spans: list[list[tuple[str, int, int, float]]] = [[] for _ in prepared]
        if self._tagger is None:
            return spans
        groups: dict[int, list[int]] = {}
        tokens = [p.tokens for p in prepared]
        for i, t in enumerate(tokens):
            groups.setdefault(len(t), []).append(i)
        for length, members in groups.items():
            step = max(1, 4096 // max(length, 1))
            for part in range(0, len(members) if length else 0, step):
                some = members[part : part + step]
                rows = np.stack([self._tagger.vocabulary.rows(prepared[i], _as_features(found[i])) for i in some])
                for i, e in zip(some, self._tagger.emissions(rows), strict=True):
                    spans[i] = self._tagger.spans(np.ascontiguousarray(e), tokens[i])
        return spans

    def _find(self, prepared: _core.PreparedText) -> list[Slot]:
        """What rules and lookup lists find, by position."""
        found: list[Slot] = []
        if self._rules:
            normal = prepared.normalized[:MAX_CHARACTERS]
            digits = any(c in normal for c in "0123456789")
            for rule in self._rules:
                if rule.needs_digit and not digits:
                    continue
                for match in rule.pattern.finditer(normal):
                    if match.end() > match.start():
                        start, end = prepared.source_span(match.start(), match.end())
                        found.append(Slot(rule.name, "", start, end, "rule", _RULE_SCORE))
        for name, (matcher, stands_for) in self._lookups.items():
            for start, end, phrase in matcher.find(prepared):
                found.append(Slot(name, stands_for[phrase], start, end, "lookup", _LOOKUP_SCORE))
        found.sort(key=lambda s: (s.start, -s.end))
        return found

    # ---- deciding ----

    def _decide(self, text: str, logits: Float, unseen: Float, slots: list[tuple[Slot, ...]]) -> list[Parse]:
        return self._decide_many([text], logits, unseen, slots)

    def _decide_many(
        self, texts: Sequence[str], logits: Float, unseen: Float, slots: Sequence[tuple[Slot, ...]]
    ) -> list[Parse]:
        d = self._decision
        scaled = logits.astype(np.float64) / d.temperature
        scope = _logistic(d.scope_logit(scope_signals(logits, unseen)))
        if d.several:
            chances = _logistic(scaled)
        else:
            chances = np.exp(scaled - scaled.max(axis=1, keepdims=True))
            chances /= chances.sum(axis=1, keepdims=True)
        order, top = _largest(chances, min(_SHOWN, len(self._intents)))
        names = self._intents
        out = []
        # Plain lists: a NumPy scalar costs as much as the rest of this loop.
        for text, own, picked, shares, inside in zip(
            texts, slots, order.tolist(), top.tolist(), scope.tolist(), strict=True
        ):
            if not text or text.isspace():
                inside, shares = 0.0, [0.0] * len(shares)
            factor = 1.0 if d.several else inside
            best = tuple([(names[k], p * factor) for k, p in zip(picked, shares, strict=True)])
            confidence = shares[0] * inside
            outcome: Outcome
            choices: tuple[str, ...]
            if inside < d.scope_threshold or inside == 0:
                outcome, choices = "out_of_scope", ()
            elif confidence >= d.sure_threshold:
                outcome, choices = "sure", (names[picked[0]],)
            else:
                outcome, choices = "ask", self._choices(picked, shares)
            out.append(Parse(text, best[0][0], confidence, best, own, outcome, inside, choices, _language(text)))
        return out

    def _choices(self, picked: list[int], shares: list[float]) -> tuple[str, ...]:
        """Two or three intents, until they hold the right one with the promised probability."""
        two = sum(shares[:2])
        return tuple([self._intents[k] for k in picked[: 2 if two >= self._decision.choice_share else 3]])

    # ---- explaining ----

    def explain(self, text: str | bytes, intent: str | None = None) -> Explanation:
        """Why ``text`` was understood as it was, or how near ``intent`` came."""
        text = _as_text(text)
        parse = self.parse(text)
        intent = parse.intent if intent is None else intent
        if intent not in self._intents:
            raise InvalidArgument(f"intent: expected one of this model's intents; got {intent!r}; see NLU.intents")
        number = self._intents.index(intent)
        prepared = _core.PreparedText(text)
        logits, unseen = self._model.score(prepared)
        rules = [f"{s.source} {s.name}: {text[s.start : s.end]!r}" for s in parse.slots if s.source != "model"]
        d = self._decision
        rules.append(f"in scope {parse.in_scope:.3f} (threshold {d.scope_threshold:.3f})")
        rules.append(f"confidence {parse.confidence:.3f} (sure from {d.sure_threshold:.3f})")
        return Explanation(
            parse,
            intent,
            float(logits[number]),
            tuple(self._model.explain(prepared, number)),
            float(unseen[0]),
            tuple(rules),
            self._nearest(self._model.encode(prepared)),
        )

    def _nearest(self, hidden: Float) -> tuple[tuple[str, str, float], ...]:
        if not self._example_texts or not hidden.any():
            return ()
        if self._examples is None:
            rows = np.stack([self._model.encode(_core.PreparedText(t)) for t in self._example_texts])
            self._examples = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        cosines = self._examples @ (hidden / np.linalg.norm(hidden))
        order = np.argsort(-cosines, kind="stable")[:_NEAREST]
        return tuple((self._example_texts[i], self._example_intents[i], float(cosines[i])) for i in order)


def _as_text(text: str | bytes) -> str:
    if isinstance(text, str):
        return text
    if isinstance(text, bytes | bytearray):
        return _core.decode_utf8(bytes(text))
    raise InvalidArgument(f"text: expected str or UTF-8 bytes; got {type(text).__name__}")


def _logistic(z: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.clip(z, -500, 500)))


def _as_features(found: Sequence[Slot]) -> list[tuple[int, int, int]]:
    """Rule and lookup finds as the tagger reads them: names stand as their hash."""
    return [(s.start, s.end, _core.murmur3_32(s.name.encode(), 0)) for s in found]


def _settle(text: str, found: Sequence[Slot], spans: Sequence[tuple[str, int, int, float]]) -> tuple[Slot, ...]:
    """One list without overlaps: the best score wins, then the longer, then the earlier. A find that the model confirms
    in name and place is kept once, with the better score and what the list says it stands for."""
    slots = [Slot(n, "", a, b, "model", p) for n, a, b, p in spans] + list(found)
    slots.sort(key=lambda s: (-s.score, s.start - s.end, s.start, s.source != "lookup"))
    kept: list[Slot] = []
    for s in slots:
        if all(s.end <= k.start or s.start >= k.end for k in kept):
            kept.append(s)
    values = {(s.name, s.start, s.end): s.value for s in found if s.value}
    kept.sort(key=lambda s: s.start)
    return tuple(
        Slot(s.name, values.get((s.name, s.start, s.end)) or text[s.start : s.end], s.start, s.end, s.source, s.score)
        for s in kept
    )


def _largest(x: npt.NDArray[np.float64], k: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Columns and values of the k largest of every row, largest first."""
    part = np.argpartition(x, x.shape[1] - k, axis=1)[:, x.shape[1] - k :]
    values = np.take_along_axis(x, part, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(part, order, axis=1), np.take_along_axis(values, order, axis=1)


_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
_LATIN = re.compile("[A-Za-z]{2}")


def _language(text: str) -> str:
    """By the script: "zh" with Chinese characters and no Latin word of two letters or more, "en" the other way round,
    "mixed" with both."""
    han, latin = _HAN.search(text) is not None, _LATIN.search(text) is not None
    return "mixed" if han and latin else "zh" if han else "en" if latin else "other"


def transition_limits(tags: Sequence[str]) -> tuple[Float, Float]:
    """(transitions, start) that forbid by -infinity what BIO forbids: I-x after anything but B-x or I-x."""
    allowed = np.zeros((len(tags), len(tags)), np.float32)
    for b, after in enumerate(tags):
        if after.startswith("I-"):
            for a, before in enumerate(tags):
                if before not in ("B-" + after[2:], after):
                    allowed[a, b] = -np.inf
    start = np.array([-np.inf if t.startswith("I-") else 0.0 for t in tags], np.float32)
    return allowed, start
