"""Accuracy of the behaviour model beside what plain counting reaches, on public data, with the seconds that it took.

    OMP_WAIT_POLICY=passive python bench/behavior_accuracy.py                  # all sets
    python bench/behavior_accuracy.py diginetica --loss bce --seed 1           # one set, other options

The data come from ECOCORE_DATA (default ../shared/data). The model is trained by ``ecocore.train.behavior``, then run
as any user would: its exported graph in ONNX Runtime gives a query for each history, ``TopKIndex`` the best of all
items.

Protocols. Diginetica, split of SR-GNN: each prefix of the test sessions (the 7 days after the training sessions) has
one next item; P@20 and MRR@20 in percent, nothing filtered. Amazon (S3-Rec): the last item of each user is asked for,
given all before it, which are filtered out; HR@10 and NDCG@10. All items are ranked. Settings were chosen on held-out
parts of the training data (Diginetica: the last 5 % of the sessions; Amazon: the second-last item); for the table the
model learns from all training data for a fixed number of epochs, and the test data are looked at once.

Counting rows: *pair counts*, how often an item followed the last one (up to 10 later, weight 1 / distance); *pair
counts, 10 back*, the same summed over the last 10 items with weight 0.8 a step; *session popularity*, what the session
had most often, then most popular overall; *popularity*.
"""

from __future__ import annotations

import argparse
import gzip
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import scipy.sparse as sp

from ecocore import IdMap, TopKIndex
from ecocore.storage import read_folder
from ecocore.train import behavior

DATA = Path(os.environ.get("ECOCORE_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))

# What held-out parts of the training data chose (Toys' for both, by the item before each user's last).
AMAZON = {
    "epochs": 14,
    "dim": 256,
    "hidden": 512,
    "batch": 128,
    "dropout": 0.6,
    "negatives": 4096,
    "learning_rate": 0.002,
    "scale": 20,
}
RECIPES: dict[str, dict[str, Any]] = {
    "diginetica": {"epochs": 8, "hidden": 256, "dropout": 0.4, "scale": 12},
    "Toys_and_Games": AMAZON,
    "Sports_and_Outdoors": AMAZON,
}

Sessions = list[np.ndarray]


def read(path: str) -> Sessions:
    with gzip.open(DATA / path, "rt") as lines:
        return [np.array(line.split(), np.int64) for line in lines]


def load(name: str) -> tuple[Sessions, Sessions, np.ndarray, bool]:
    """(training sequences, test histories, test items, whether the history is filtered out)"""
    if name == "diginetica":
        with gzip.open(DATA / "diginetica-srgnn" / "test.txt.gz", "rt") as lines:
            pairs = [line.split("\t") for line in lines]
        histories = [np.array(history.split(), np.int64) for history, _ in pairs]
        return read("diginetica-srgnn/train_sessions.txt.gz"), histories, np.array([int(y) for _, y in pairs]), False
    users = [line[1:] for line in read(f"amazon-s3rec/{name}.txt.gz")]
    return [u[:-1] for u in users], [u[:-1] for u in users], np.array([u[-1] for u in users]), True


# ---- counting --------------------------------------------------------------------------------------------------------


def pair_counts(sessions: Sessions, items: int, reach: int = 10) -> sp.csr_matrix:
    rows, columns, weights = [], [], []
    for distance in range(1, reach + 1):
        long = [s for s in sessions if len(s) > distance]
        rows += [s[:-distance] for s in long]
        columns += [s[distance:] for s in long]
        weights += [np.full(len(s) - distance, 1 / distance) for s in long]
    triples = np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))
    return sp.csr_matrix(triples, shape=(items, items))


def histories_matrix(histories: Sessions, items: int, back: int | None, decay: float) -> sp.csr_matrix:
    """The last ``back`` items of each history, the k-th last with weight decay^(k - 1)."""
    kept = [h[::-1][:back] for h in histories]
    weights = np.concatenate([decay ** np.arange(len(h)) for h in kept])
    rows = np.repeat(np.arange(len(kept)), [len(h) for h in kept])
    return sp.csr_matrix((weights, (rows, np.concatenate(kept))), shape=(len(kept), items))


def rank_scores(histories: Sessions, wanted: np.ndarray, scores_of: Any, filter_seen: bool) -> np.ndarray:
    """Ranks by scores made in blocks; ties and zero scores count against the wanted item."""
    ranks = []
    for begin in range(0, len(histories), 1000):
        part, target = histories[begin : begin + 1000], wanted[begin : begin + 1000]
        scores = scores_of(part)
        own = scores[np.arange(len(part)), target]
        if filter_seen:
            for row, history in enumerate(part):
                scores[row, history] = -np.inf
            scores[np.arange(len(part)), target] = own
        ranks.append(np.where(own > 0, (scores >= own[:, None]).sum(1), scores.shape[1]))
    return np.concatenate(ranks)


# ---- the model -------------------------------------------------------------------------------------------------------


def rank_model(folder: Path, histories: Sessions, wanted: np.ndarray, filter_seen: bool, k: int) -> np.ndarray:
    """Ranks up to k (else k + 1) from the exported graph and the exact top-k of its item vectors."""
    meta, arrays = read_folder(folder, "behavior")
    ids = IdMap.from_parts(
        meta["item_ids"], {n.removeprefix("item_ids_"): a for n, a in arrays.items() if n.startswith("item_ids_")}
    )
    index = TopKIndex(arrays["item_vectors"][1:], bias=arrays["item_bias"][1:] if meta["item_bias"] else None)
    session = ort.InferenceSession(arrays["graph"].tobytes(), providers=["CPUExecutionProvider"])
    states = ["h0", "c0"] if meta["cell"] == "lstm" else ["h0"]
    lengths = np.array([len(h) for h in histories])
    rows = ids.codes(np.concatenate(histories), missing=-1) + 1
    starts = np.cumsum(lengths) - lengths
    targets = ids.codes(wanted, missing=-1)
    ranks = np.full(len(histories), k + 1)
    order = np.argsort(lengths, kind="stable")
    for begin in range(0, order.size, 512):
        part = order[begin : begin + 512]
        place = np.arange(lengths[part].max())
        at = starts[part][:, None] + np.minimum(place, lengths[part][:, None] - 1)
        padded = np.where(place < lengths[part][:, None], rows[at], 0)
        feed = {"items": padded, "lengths": lengths[part].astype(np.int32), "candidates": np.empty(0, np.int64)}
        feed |= {name: np.zeros((meta["layers"], part.size, meta["hidden"]), np.float32) for name in states}
        queries = session.run(["state"], feed)[0]
        seen = None
        if filter_seen:
            i, j = np.nonzero(padded)
            seen = sp.csr_matrix((np.ones(i.size, np.float32), (i, padded[i, j] - 1)), (part.size, len(ids)))
            seen.sum_duplicates()
        found = index.search(queries, k, exclude=seen).ids == targets[part][:, None]
        ranks[part] = np.where(found.any(1), found.argmax(1) + 1, k + 1)
    return ranks


def show(name: str, ranks: np.ndarray, filtered: bool, seconds: float) -> None:
    if filtered:
        hit = ranks <= 10
        first, second = hit.mean(), np.where(hit, 1 / np.log2(ranks + 1.0), 0).mean()
        print(f"| {name} | {first:.4f} | {second:.4f} | {seconds:.0f} |", flush=True)
    else:
        hit = ranks <= 20
        print(
            f"| {name} | {100 * hit.mean():.2f} | {100 * np.where(hit, 1 / ranks, 0).mean():.2f} | {seconds:.0f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", choices=[*RECIPES, []], help="default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--cell", choices=["lstm", "gru", "rnn"])
    parser.add_argument("--precision", choices=["float32", "bfloat16"])
    parser.add_argument("--loss", choices=["sampled_softmax", "bpr_max", "bce"])
    parser.add_argument("--validate", action="store_true", help="hold out a part of the training data and show epochs")
    parser.add_argument("--no-counts", action="store_true", help="leave out the counting rows")
    parser.add_argument("--keep", type=Path, help="folder for the trained models (default: none is kept)")
    options = parser.parse_args()
    for name in options.sets or RECIPES:
        run(name, options)


def run(name: str, options: argparse.Namespace) -> None:
    training, histories, wanted, filtered = load(name)
    items = 1 + max(int(x.max()) for x in [*training, *histories, wanted])
    print(f"\n**{name}**: {len(training)} sequences, {sum(map(len, training))} events, {len(wanted)} test items\n")
    print(f"| | {'HR@10 | NDCG@10' if filtered else 'P@20 | MRR@20'} | seconds |\n|---|---|---|---|", flush=True)
    if not options.no_counts:
        counts = np.bincount(np.concatenate(training), minlength=items).astype(np.float64)
        start = time.perf_counter()
        ranks = rank_scores(histories, wanted, lambda part: np.tile(counts, (len(part), 1)), filtered)
        show("popularity", ranks, filtered, time.perf_counter() - start)
        if not filtered:  # seen items are all that it knows
            start = time.perf_counter()
            prior = counts / (counts.max() + 1)
            ranks = rank_scores(
                histories, wanted, lambda part: histories_matrix(part, items, None, 1.0).toarray() + prior, filtered
            )
            show("session popularity", ranks, filtered, time.perf_counter() - start)
        for row, back in (("pair counts", 1), ("pair counts, 10 back", 10)):
            start = time.perf_counter()
            pairs = pair_counts(training, items)
            ranks = rank_scores(
                histories,
                wanted,
                lambda part, pairs=pairs, back=back: (histories_matrix(part, items, back, 0.8) @ pairs).toarray(),
                filtered,
            )
            show(row, ranks, filtered, time.perf_counter() - start)
    recipe = dict(RECIPES[name])
    recipe |= {key: value for key in ("epochs", "cell", "loss", "precision") if (value := getattr(options, key))}
    if recipe.get("loss") in ("bce", "bpr_max"):
        recipe |= {"scale": None}
    validation = None
    if options.validate:
        validation = "last" if filtered else 0.05
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.keep or Path(scratch)) / name
        start = time.perf_counter()
        report = behavior(
            training,
            out=folder,
            validation=validation,
            filter_seen=filtered,
            k=10 if filtered else 20,
            seed=options.seed,
            **recipe,
        )
        seconds = time.perf_counter() - start
        if options.validate:
            for epoch in report.epochs:
                print(f"<!-- {epoch} -->")
            return  # settings are chosen so; the test data are not looked at
        ranks = rank_model(folder, histories, wanted, filtered, 10 if filtered else 20)
        label = f"{recipe.get('cell', 'lstm')} {recipe.get('loss', 'sampled_softmax')} {recipe}"
        show(label, ranks, filtered, seconds)


if __name__ == "__main__":
    main()
