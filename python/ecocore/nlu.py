"""Customer questions to intents and slots: ``NLU.load(path).parse(text)``.

A text is prepared once, natively (normalised with exact offsets, cut into tokens); the intent model reads its hashed
n-grams, rules and lookup lists find values, and a small recurrent network tags the rest, told what rules and lists
found. Everything is scored together; probabilities are calibrated on texts that training held out.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from .arrays import as_count
from .errors import FormatError, InvalidArgument
from .nlu_rules import MAX_CHARACTERS, Rule, compile_rules
from .nlu_slots import NET_ARRAYS, Find, Tagger, settle
from .nlu_types import Explanation, Outcome, Parse, Slot
from .storage import read_folder, read_manifest

__all__ = ["NLU", "Explanation", "Parse", "Slot"]

KIND = "nlu"
#: The arrays of the intent model, see cpp/include/ecocore/intent.hpp.
INTENT_ARRAYS = ("keys", "idf", "codes", "scales", "projection", "bias", "output", "output_bias")
Float = npt.NDArray[np.float32]

#: A rule yields to a tag that is likelier than not: the tagger learned what rules find and which names that has. A
#: lookup list does not: it may be newer than the tagger.
_RULE_SCORE, _LOOKUP_SCORE = 0.5, 0.95
_NEAREST = 3
_OUTCOMES: tuple[Outcome, ...] = ("sure", "ask", "out_of_scope")  # as the core numbers them

#: (outcome, probability of being in scope, confidence, the likeliest intents with their probabilities, choices)
_Verdict = tuple[int, float, float, tuple[tuple[int, float], ...], int]


@dataclass(frozen=True)
class Decision:
    """From logits to calibrated probabilities and to what to do; fitted by ``ecocore.train.nlu``."""

    temperature: float  #: softmax(logits / temperature) are the intents' shares of what is in scope
    scope: tuple[float, ...]  #: weights of _core.scope_signals(), then the bias: the logit of being in scope
    scope_threshold: float  #: below this probability of being in scope: out of scope
    sure_threshold: float  #: from this confidence on: sure
    coverage: float  #: the choices of "ask" hold the right intent with this probability ...
    choice_share: float  #: ... when intents are taken until their shares sum up to this (at most three are offered)
    several: bool  #: intents are independent: a text may have several

    def native(self) -> _core.IntentDecision:
        return _core.IntentDecision(
            self.temperature,
            self.scope,
            self.scope_threshold,
            self.sure_threshold,
            self.choice_share,
            self.several,
        )


class NLU:
    """A loaded model. Objects are immutable but for :meth:`set_lookup`; threads may share one."""

    fingerprint: str = ""  #: of what was loaded: equal for equal models

    def __init__(self, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        try:
            self._intents: list[str] = [str(name) for name in meta["intents"]]
            self._card: dict[str, Any] = dict(meta["card"])
            decision = dict(meta["decision"])
            decision["scope"] = tuple(float(w) for w in decision["scope"])
            self.decision = Decision(**decision)
            self._decision = self.decision.native()
            self._rules: tuple[Rule, ...] = compile_rules(meta["rules"])
            self._gain = float(meta["meaning_gain"])
            self._arrays = {name: arrays[name] for name in INTENT_ARRAYS}
            keys, idf, *rest = self._arrays.values()
            self._model = _core.IntentModel(keys, idf, self._gain, *rest)
            self._tagger = Tagger(meta["tagger"], arrays) if meta.get("tagger") else None
            self._net_arrays = {name: arrays[name] for name in NET_ARRAYS} if self._tagger is not None else {}
            self._example_texts: list[str] = list(meta["examples"]["texts"])
            self._example_intents: list[str] = list(meta["examples"]["intents"])
            lookups = {str(name): dict(values) for name, values in meta["lookups"].items()}
        except (KeyError, TypeError, InvalidArgument) as e:
            raise FormatError(f"this is not a whole NLU model ({type(e).__name__}: {e}); train it again") from e
        if self._model.intents != len(self._intents):
            raise FormatError("the NLU model's parts do not fit together; train it again")
        self._writing = threading.Lock()
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
        names = set(self._tagger.slots) if self._tagger else set()
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
        matcher = _core.PhraseMatcher(phrases) if phrases else None
        with self._writing:  # or of two lists set at once, one would be lost
            lookups = dict(self._lookups)
            if matcher is None:
                lookups.pop(name, None)
            else:
                lookups[name] = (matcher, stands_for)
            self._lookups = lookups  # one assignment: readers, who take no lock, never see half a list

    # ---- parsing ----

    def parse(self, text: str | bytes) -> Parse:
        """What ``text`` asks for. Time is linear in its length; any text has an answer, bytes are read as UTF-8."""
        text = _as_text(text)
        prepared = _core.PreparedText(text)
        found = self._find(prepared)
        tagged = self._tagger.tag(prepared, found) if self._tagger is not None else ()
        return self._parsed(text, self._model.judge(self._decision, prepared), settle(text, found, tagged))

    def parse_many(self, texts: Sequence[str | bytes], *, num_threads: int = 0) -> list[Parse]:
        """:meth:`parse` of every text; the same answers, in less time."""
        num_threads = as_count(num_threads, "num_threads", minimum=0)
        if isinstance(texts, str | bytes):
            raise InvalidArgument("texts: expected a list of texts; got one text; use parse(text)")
        plain = [_as_text(t) for t in texts]
        if not plain:
            return []
        verdicts = self._model.judge_many(self._decision, plain, num_threads)
        slots: list[tuple[Slot, ...]] = [()] * len(plain)
        if self._tagger is not None or self._rules or self._lookups:
            prepared = [_core.PreparedText(t) for t in plain]
            found = [self._find(p) for p in prepared]
            tagged = (
                self._tagger.tag_many(prepared, found, num_threads) if self._tagger is not None else [[]] * len(plain)
            )
            slots = [settle(t, f, s) for t, f, s in zip(plain, found, tagged, strict=True)]
        return [self._parsed(t, v, s) for t, v, s in zip(plain, verdicts, slots, strict=True)]

    def _find(self, prepared: _core.PreparedText) -> list[Find]:
        """What rules and lookup lists find, by position."""
        found: list[Find] = []
        if self._rules:
            normal = prepared.normalized[:MAX_CHARACTERS]
            for rule in self._rules:
                if rule.needs is not None and not rule.needs.search(normal):
                    continue
                for match in rule.pattern.finditer(normal):
                    if match.end() > match.start():
                        start, end = prepared.source_span(match.start(), match.end())
                        found.append(Find(start, end, rule.name, "", "rule", _RULE_SCORE))
        for name, (matcher, stands_for) in self._lookups.items():
            for start, end, phrase in matcher.find(prepared):
                found.append(Find(start, end, name, stands_for[phrase], "lookup", _LOOKUP_SCORE))
        if len(found) > 1:
            found.sort(key=lambda f: (f.start, -f.end))
        return found

    def _parsed(self, text: str, verdict: _Verdict, slots: tuple[Slot, ...]) -> Parse:
        outcome, in_scope, confidence, shown, choices = verdict
        names = self._intents
        best = tuple([(names[k], p) for k, p in shown])
        offered = tuple([name for name, _ in best[:choices]])
        return Parse(text, best[0][0], confidence, best, slots, _OUTCOMES[outcome], in_scope, offered, _language(text))

    # ---- elsewhere ----

    def ngrams(self, text: str | bytes) -> dict[str, npt.NDArray[Any]]:
        """The pieces of the normalised text that the intent model reads, as string arrays by group: the inputs of the
        graph that :meth:`export_onnx` writes."""
        groups: tuple[list[str], ...] = ([], [], [])
        for piece, group, _ in _core.ngrams(_core.PreparedText(_as_text(text)), self._gain > 0):
            groups[group].append(piece)
        names = ("words", "characters", "meanings") if self._gain > 0 else ("words", "characters")
        return {name: np.array(pieces, object) for name, pieces in zip(names, groups, strict=False)}

    def export_onnx(self, path: str | os.PathLike[str]) -> None:
        """Writes the intent model, from the strings of :meth:`ngrams` to probabilities and outcome, as one ONNX file
        that any ONNX Runtime runs to the same intents; :mod:`ecocore.train.nlu_export` names its outputs. Slots are
        another: :meth:`export_slots_onnx`. Needs the extra ``train``."""
        from .train.nlu_export import intent_graph, write_graph

        write_graph(intent_graph(self._arrays, self._gain, self.decision, self._intents), path)

    def export_slots_onnx(self, path: str | os.PathLike[str]) -> None:
        """Writes the tagger of slots as one ONNX file: ``vectors`` float32 [texts, tokens, width], each the sum of the
        rows ``token_codes * token_scales`` that stand for a token's features, to ``emissions`` float32 [texts, tokens,
        tags], log-probabilities of "O" and of "B" and "I" of each slot. The names of the tags are in the graph's
        metadata, as a JSON list under "tags". Raises InvalidArgument for a model without a tagger. Needs the extra
        ``train``."""
        if self._tagger is None:
            raise InvalidArgument("this model has no tagger of slots; train it with examples that have slots")
        from .train.nlu_export import slot_graph, write_graph

        write_graph(slot_graph(self._net_arrays, self._tagger.slots), path)

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
        d = self.decision
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


_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
_LATIN = re.compile("[A-Za-z]{2}")


def _language(text: str) -> str:
    """By the script: "zh" with Chinese characters and no Latin word of two letters or more, "en" the other way round,
    "mixed" with both."""
    han, latin = _HAN.search(text) is not None, _LATIN.search(text) is not None
    return "mixed" if han and latin else "zh" if han else "en" if latin else "other"
