"""Trains the NLU model that the starter pack brings, on its training sentences, calibrates it on its validation
sentences, and judges it by its test sentences.

    pip install ".[train,cpu]"
    python tools/train_starter_nlu.py              # writes python/ecocore/starter/nlu, a few minutes on two cores
    python tools/train_starter_nlu.py --judge      # only judges what is there

Train anew after a change of the sentences, intents or slots: tests/assistant/test_starter_model.py holds the model to
them.
"""

from __future__ import annotations

import argparse

from ecocore import NLU, starter
from ecocore.train import Example, nlu
from ecocore.train.nlu_intents import IntentOptions
from ecocore.train.nlu_report import evaluate_nlu
from ecocore.train.nlu_slots import SlotOptions

# Chosen by the validation sentences, smaller than the defaults, since the model is part of every installation and is to
# stay below 10 MB: with larger tables 0.5 % more intents and 2 % more slots are found.
INTENTS = IntentOptions(members=5, rank=56, min_texts=5, meaning_gain=2.0)
SLOTS = SlotOptions(dimensions=40, min_tokens=6, epochs=10)
# "sure" from 96 % on: at the default of 97 % one Chinese question in four would be asked back.
OPTIONS = {"intent_options": INTENTS, "slot_options": SLOTS, "turned_away": 0.02, "precision": 0.96}


def labelled(found: list[starter.Example]) -> list[Example]:
    return [
        Example(e.text, () if e.intent == starter.OUT_OF_SCOPE else (e.intent,), tuple(tuple(s) for s in e.slots))
        for e in found
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", action="store_true", help="train nothing")
    args = parser.parse_args()
    if not args.judge:
        train, valid = (
            labelled([*starter.examples(split=split), *starter.out_of_scope(split)]) for split in ("train", "valid")
        )
        print(nlu(train, out=starter.MODEL, validation=valid, encoder="use", **OPTIONS))
    judge(NLU.load(starter.MODEL))


def judge(model: NLU) -> None:
    outside = labelled(starter.out_of_scope("test"))
    for language in starter.LANGUAGES:
        inside = labelled(starter.examples(language, "test"))
        print(f"\n{language}: {len(inside)} test sentences, {len(outside)} out of scope in both languages")
        for name, value in evaluate_nlu(model, inside + outside, confusions=12).items():
            if name == "confusions":
                for wrong, right, count in value:
                    print(f"  {count} x {right} taken for {wrong}")
            elif value is not None:
                print(f"  {name:24} {value}")


if __name__ == "__main__":
    main()
