"""Trains the model that ``ecocore demo`` brings: the next product category of a household, from its baskets in order.

    pip install ".[demo,train]"
    python tools/train_demo_behavior.py --validate    # trains up to 8 weeks before the end, judges by the next 4
    python tools/train_demo_behavior.py               # trains up to the last 4 weeks, which the demo judges by

The settings were chosen with ``--validate``: recall@10 of each household's first basket in the four weeks after (own
habit 0.369, popularity 0.282), of the network alone and half and half with the habit:

| cell | loss | copies, epochs | learning rate, batch | alone | together |
|---|---|---|---|---|---|
| GRU 96 | all items, inner product | 1, 5 | 0.003, 32 | 0.297 | 0.379 |
| LSTM 96 | all items, cosine * 14 | 1, 8 | 0.005, 16 | 0.326 | 0.380 |
| GRU 96 | all items, inner product | 2, 8 | 0.005, 16 | 0.330 | 0.383 |

The last was taken. A copy is the log with the order within baskets drawn anew.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from ecocore import BehaviorModel, read_catalogue, read_events, train
from ecocore.cli.demo import TEST_SPAN
from ecocore.cli.demo_interests import Interests
from ecocore.datasets import complete_journey
from ecocore.events import Events
from ecocore.pretrained import FOLDER, basket_sequences
from ecocore.times import SECOND

COPIES = 2
SETTINGS = {
    "cell": "gru", "dim": 48, "hidden": 96, "negatives": None, "scale": None, "dropout": 0.1, "max_length": 256,
    "batch": 16, "learning_rate": 0.005, "epochs": 8, "validation": None, "seed": 0,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--validate", action="store_true", help="judge the settings, write nothing into the package")
    args = parser.parse_args()
    data = complete_journey()
    catalogue = read_catalogue(data.catalogue, **data.catalogue_columns)
    with read_events(data.events, **data.columns) as events:
        past, future = events.split_by_time(last=TEST_SPAN)
        if args.validate:
            past, future = past.split_by_time(last=TEST_SPAN)
        with tempfile.TemporaryDirectory() as scratch:
            out = Path(scratch) / "model" if args.validate else FOLDER
            fit(past, catalogue, out)
            (out / "training.svg").unlink()  # nothing was held out: the curve of the loss alone is not worth shipping
            print(Interests(past, catalogue, BehaviorModel.load(out)).judge(future))


def fit(past: Events, catalogue: object, out: Path) -> None:
    drawn = [basket_sequences(past, catalogue, random_state=seed) for seed in range(COPIES)]
    report = train.behavior(
        [x for found in drawn for x in found.items],
        times=[t / SECOND for found in drawn for t in found.times],
        event_types=[x for found in drawn for x in found.event_types],
        out=out,
        **SETTINGS,
    )
    print(report)


if __name__ == "__main__":
    main()
