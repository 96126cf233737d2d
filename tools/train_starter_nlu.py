"""Trains the NLU model that the starter pack brings, on its training sentences, and judges it by its test sentences.

    pip install ".[train,cpu]"
    python tools/train_starter_nlu.py              # writes python/ecocore/starter/nlu, a few minutes on two cores
    python tools/train_starter_nlu.py --judge      # only judges what is there

Train anew after a change of the sentences, intents or slots: tests/assistant/test_starter.py holds the model to them.
"""

from __future__ import annotations

import argparse

from ecocore import NLU, starter
from ecocore.train import Example, nlu
from ecocore.train.nlu_intents import IntentOptions
from ecocore.train.nlu_report import evaluate_nlu
from ecocore.train.nlu_slots import SlotOptions

# Smaller than the defaults, since the model is part of every installation: a line of the pack stands for several
# sentences, so that an n-gram of two of them may still be of one line only.
INTENTS = IntentOptions(rank=64, min_texts=3)
SLOTS = SlotOptions(dimensions=48, min_tokens=4)


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
        known = labelled([*starter.examples(), *starter.out_of_scope()])
        print(nlu(known, out=starter.MODEL, encoder="use", intent_options=INTENTS, slot_options=SLOTS))
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
