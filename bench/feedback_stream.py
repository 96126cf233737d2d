"""Does feedback help? CLINC150 as a stream of customers who only say right or wrong, and are themselves wrong at times.

    python bench/feedback_stream.py [--events N] [--seed S] [--learner centroid|nlu] [--curves NAME ...]

Starts with 5 examples an intent. Each event is one training sentence that the model has not seen; the model answers
with an intent, and the customer's thumb says whether that was right, 20 % of the thumbs flipped. Every ``--every``
events the model is retrained on its first examples and what ``ecocore.feedback.lessons`` takes from the log. Printed:
accuracy on the test set over the stream,

    none      without learning
    thumbs    from thumbs, 20 % flipped
    asked     the same, but where the model is less than 60 % sure it asks back which of its three best was meant, as
              the assistant does; 20 % of the answers are any of the three
    poisoned  thumbs, and one customer in five always says the opposite
    labels    from full labels, the ceiling

then a stream in which 15 intents appear only halfway (drift): accuracy on the new and on the old ones, where a customer
whose question was not understood names its intent in one case of four; and estimates of each next model's value from
the log of the one before, beside its true value.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import scipy.sparse as sp

from ecocore.feedback import Record, estimate, lessons
from ecocore.starter import Example

START, NOISE = 5, 0.2
ROUNDS = 2  # trainings on the same log, the second one's lessons judged by the first
SHARPNESS = 25.0  # of the centroid head: its mean confidence is then near its accuracy
Probabilities = Callable[[list[str]], tuple[list[str], np.ndarray]]


def features(texts: list[str], buckets: int = 1 << 14) -> sp.csr_matrix:
    """Hashed words, pairs of words and 3 to 4 letters of words, each text of length 1."""
    import zlib

    rows, columns = [], []
    for i, text in enumerate(texts):
        words = text.lower().split()
        grams = words + [f"{a} {b}" for a, b in itertools.pairwise(words)]
        grams += [f"#{w[j : j + n]}" for w in (f" {w} " for w in words) for n in (3, 4) for j in range(len(w) - n + 1)]
        rows += [i] * len(grams)
        columns += [zlib.crc32(g.encode()) % buckets for g in grams]
    x = sp.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), (len(texts), buckets))
    x.sum_duplicates()
    x.data = 1 + np.log(x.data)
    norms = np.sqrt(np.asarray(x.multiply(x).sum(1)).ravel())
    return sp.diags_array((1 / np.maximum(norms, 1e-9)).astype(np.float32)) @ x


def centroid_learner(examples: list[Example]) -> Probabilities:
    """Softmax over the cosines with each intent's mean TF-IDF vector: a plain head that trains in no time, so that what
    is measured is the feedback."""
    names = sorted({e.intent for e in examples})
    code = {n: i for i, n in enumerate(names)}
    x = features([e.text for e in examples])
    counts = np.bincount(x.indices, minlength=x.shape[1])
    idf = sp.diags_array(np.log((1 + x.shape[0]) / (1 + counts)).astype(np.float32))
    y = np.array([code[e.intent] for e in examples])
    of_intent = sp.csr_matrix((np.ones(len(y), np.float32), (y, np.arange(len(y)))), (len(names), len(y)))
    means = (of_intent @ (x @ idf)).toarray()
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)

    def probabilities(texts: list[str]) -> tuple[list[str], np.ndarray]:
        z = features(texts) @ idf
        norms = np.sqrt(np.asarray(z.multiply(z).sum(1)).ravel())
        cosine = (z @ means.T) / np.maximum(norms, 1e-9)[:, None]
        p = np.exp(SHARPNESS * cosine)
        return names, p / p.sum(1, keepdims=True)

    return probabilities


def nlu_learner(examples: list[Example]) -> Probabilities:
    """``ecocore.train.nlu``, intents only and small, so that many retrainings take minutes: one member of 64 units, no
    encoder, and fewer epochs the more examples there are."""
    import ecocore
    from ecocore import train
    from ecocore.train.nlu_intents import IntentOptions

    n = len(examples)
    options = IntentOptions(members=1, hidden=64, epochs=15 if n < 3000 else 8 if n < 8000 else 5)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "nlu")
        train.nlu([(e.text, e.intent) for e in examples], out=path, encoder=None, intent_options=options)
        model = ecocore.NLU.load(path)
    names = sorted({e.intent for e in examples})
    code = {n: i for i, n in enumerate(names)}

    def probabilities(texts: list[str]) -> tuple[list[str], np.ndarray]:
        p = np.full((len(texts), len(names)), 1e-6)
        for i, parse in enumerate(model.parse_many(texts)):
            for name, value in parse.intents:  # they sum to less than one: it may be none of them, a new intent
                p[i, code[name]] += value
        return names, p

    return probabilities


class Judge:
    """What a model says of the texts of a log, as ``lessons`` asks for it."""

    def __init__(self, model: Probabilities, texts: list[str]) -> None:
        names, p = model(texts)
        top = np.argsort(-p, axis=1)[:, :5]
        self.intents = {
            t: tuple((names[j], float(p[i, j])) for j in row) for i, (t, row) in enumerate(zip(texts, top, strict=True))
        }

    def parse(self, text: str) -> SimpleNamespace:
        return SimpleNamespace(intents=self.intents[text])


def policy(p: np.ndarray) -> np.ndarray:
    """The best intent, but in one turn of ten one drawn by its probability: the log then holds propensities that are
    not all one, which what comes next is estimated from. More of that taught less: a thumb on an unlikely intent is
    nearly always down."""
    q = 0.1 * p / p.sum(1, keepdims=True)
    q[np.arange(len(q)), p.argmax(1)] += 0.9
    return q


def accuracy(model: Probabilities, test: list[Example]) -> float:
    names, p = model([e.text for e in test])
    return float(np.mean([names[i] == e.intent for i, e in zip(p.argmax(1), test, strict=True)]))


def record(
    seq: int, text: str, user: str, intents: list[tuple[str, float]], action: str, p: float, thumb: bool | None,
    label: str | None,
) -> Record:  # fmt: skip
    """A row of the log, as ``FeedbackLog.records`` gives it."""
    return Record(
        seq=seq, id=str(seq), at=float(seq), user=user, model="", text=text, language="en", intent=intents[0][0],
        confidence=intents[0][1], outcome="ask" if action == "ask" else "sure", intents=tuple(intents), action=action,
        actions={action: p}, template="", variant=0, variants=(1.0,), answer="", evidence=(), handoff=None, follows="",
        reward=None if thumb is None else float(thumb), thumb=thumb, label=label,
    )  # fmt: skip


def stream(
    learner: Callable[[list[Example]], Probabilities],
    start: list[Example],
    events: list[Example],
    test: list[Example],
    *,
    every: int,
    seed: int,
    mode: str,
    adversaries: float = 0.0,
    told: float = 0.0,
    asking: float = 0.0,
    probe: Callable[[Probabilities], object] | None = None,
) -> tuple[list[tuple[int, object]], list[tuple[float, float, float, float, float]]]:
    """(events seen, accuracy) along the stream, and for each retraining (logged value, DR, its bounds, true value)."""
    random_ = random.Random(seed)
    probe = probe or (lambda m: accuracy(m, test))
    model = learner(start)
    curve: list[tuple[int, object]] = [(0, probe(model))]
    rows: list[Record] = []
    learnt: list[Example] = []
    estimates = []
    for begin in range(0, len(events), every):
        batch = events[begin : begin + every]
        names, p = model([e.text for e in batch])
        chances = policy(p)
        for i, e in enumerate(batch):
            q = chances[i]
            k = random_.choices(range(len(names)), q)[0]
            user = f"u{random_.randrange(1000)}"
            right = names[k] == e.intent
            thumb = right != (random_.random() < NOISE)
            if int(user[1:]) < 1000 * adversaries:
                thumb = not right
            top = np.argsort(-p[i])[:5]
            intents = [(names[j], float(p[i, j])) for j in top]
            if k not in top:
                intents.append((names[k], float(p[i, k])))
            label = e.intent if not right and random_.random() < told else None
            if p[i].max() < asking:
                # Asked back which of three it is: the customer names it, or turns away if it is none of them; 20 % name
                # any of the three.
                offered = [names[j] for j in top[:3]]
                label = e.intent if e.intent in offered else None
                if random_.random() < NOISE:
                    label = random_.choice(offered)
                rows.append(record(begin + i, e.text, user, intents, "ask", 1.0, None, label))
                continue
            rows.append(record(begin + i, e.text, user, intents, names[k], float(q[k]), thumb, label))
        if mode == "none":
            curve.append((begin + len(batch), curve[0][1]))
            continue
        if mode == "labels":
            before, model = model, learner([*start, *(learnt := [*learnt, *batch])])
        else:
            before = model
            for _ in range(ROUNDS):  # as ecocore.feedback.retrain does it
                judge = Judge(model, [r.text for r in rows])
                learnt = lessons(rows, per_user=10**9, thumbs=True, noise=NOISE, model=judge)
                model = learner([*start, *learnt])
        curve.append((begin + len(batch), probe(model)))
        if mode == "thumbs" and not told and begin + every < len(events):
            estimates.append(judge_next(before, model, events[begin + every : begin + 2 * every], random_))
    return curve, estimates


def judge_next(before: Probabilities, after: Probabilities, batch: list[Example], random_: random.Random):
    """The new model's value on a batch that the old one logs, estimated, and its true value."""
    names, p = before([e.text for e in batch])
    code = {n: i for i, n in enumerate(names)}
    new_names, new = after([e.text for e in batch])
    q = policy(p)
    taken = [random_.choices(range(len(names)), row)[0] for row in q]
    wanted = [code.get(new_names[j], -1) for j in new.argmax(1)]
    reward = np.array([float(names[k] == e.intent) for k, e in zip(taken, batch, strict=True)])
    rows = np.arange(len(batch))
    expected = np.where(np.array(wanted) >= 0, p[rows, np.maximum(wanted, 0)], 0.0)
    got = estimate(reward, q[rows, taken], np.array(taken) == np.array(wanted), p[rows, taken], expected, resamples=300)
    true = np.mean([new_names[j] == e.intent for j, e in zip(new.argmax(1), batch, strict=True)])
    return got.logged.value, got.dr.value, got.dr.low, got.dr.high, float(true)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default=os.environ.get("ECOCORE_DATA", "../shared/data"))
    parser.add_argument("--learner", choices=("centroid", "nlu"), default="centroid")
    parser.add_argument(
        "--curves", nargs="+", default=["none", "thumbs", "asked", "poisoned", "labels"], metavar="NAME"
    )
    parser.add_argument("--events", type=int, default=14_000)
    parser.add_argument("--every", type=int, default=3_500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with gzip.open(Path(args.data) / "clinc150" / "data_full.json.gz", "rt", encoding="utf-8") as file:
        data = json.load(file)
    learner = {"centroid": centroid_learner, "nlu": nlu_learner}[args.learner]
    random_ = random.Random(args.seed)
    by_intent: dict[str, list[Example]] = defaultdict(list)
    for text, intent in data["train"]:
        by_intent[intent].append(Example(text, intent))
    test = [Example(t, i) for t, i in data["test"]]
    for group in by_intent.values():
        random_.shuffle(group)
    start = [e for group in by_intent.values() for e in group[:START]]
    events = [e for group in by_intent.values() for e in group[START:]]
    random_.shuffle(events)
    events = events[: args.events]
    options = {"every": args.every, "seed": args.seed}
    print(f"{len(start)} examples to start with, {len(events)} events, {len(test)} test sentences, {args.learner}")
    curves = {}
    for name, mode, bad, asking in (
        ("none", "none", 0.0, 0.0),
        ("thumbs", "thumbs", 0.0, 0.0),
        ("asked", "thumbs", 0.0, 0.6),
        ("poisoned", "thumbs", 0.2, 0.0),
        ("labels", "labels", 0.0, 0.0),
    ):
        if name not in args.curves:
            continue
        begun = time.perf_counter()
        curves[name], estimates = stream(
            learner, start, events, test, mode=mode, adversaries=bad, asking=asking, **options
        )
        print(f"  {name}: {time.perf_counter() - begun:.0f} s", flush=True)
        if name == "thumbs":
            kept = estimates
    print("\nevents    " + "".join(f"{n:>10}" for n in curves))
    for i, (seen, _) in enumerate(next(iter(curves.values()))):
        print(f"{seen:<10}" + "".join(f"{c[i][1]:>10.3f}" for c in curves.values()))
    areas = {n: np.mean([a for _, a in c]) for n, c in curves.items()}
    print("area      " + "".join(f"{a:>10.3f}" for a in areas.values()))

    if "thumbs" not in curves:
        return
    print("\nestimated from the log before: logged, DR [95 %], true")
    for row in kept:
        covered = "inside" if row[2] <= row[4] <= row[3] else "outside"
        print(f"  {row[0]:.3f}   {row[1]:.3f} [{row[2]:.3f}, {row[3]:.3f}]   {row[4]:.3f}   {covered}")

    new = set(random.Random(args.seed + 1).sample(sorted(by_intent), 15))
    old_start = [e for e in start if e.intent not in new]
    first = [e for e in events if e.intent not in new]
    half = len(first) // 2
    late = [e for e in events if e.intent in new] + first[half:]
    random_.shuffle(late)
    old_test, new_test = ([e for e in test if (e.intent in new) == flag] for flag in (False, True))

    def both(model: Probabilities) -> tuple[float, float]:
        return accuracy(model, old_test), accuracy(model, new_test)

    curve, _ = stream(learner, old_start, [*first[:half], *late], test, mode="thumbs", told=0.25, probe=both, **options)
    print(f"\n15 new intents appear after {half} events:   old      new")
    for seen, (old, fresh) in curve:
        print(f"{seen:<38}{old:.3f}    {fresh:.3f}")


if __name__ == "__main__":
    main()
