"""The deep ranking model on MovieLens 1M, leave one out with 99 given negatives (He et al. 2017), beside ALS.

    OMP_WAIT_POLICY=passive python bench/ranking_ml1m_ncf.py [--epochs 6] [--seed 0]

Rows: ALS (settings of ml1m_ncf.py); the ranking model by itself; with ALS factors; with these and features (genres and
five-year periods of films; sex, age group and occupation of users). The order of what a user rated is known to the
ranking model and not to ALS, nor to the published models that are held to this protocol; --no-order takes it away.

Settings were chosen on the training data alone (the latest training item of each user, against 99 drawn items); the
test items are looked at once a run. Then the time of ranking 500 candidates of ALS, one caller: for a user whose
vectors are known, and with the user tower run for the request.

The folders ml-1m-ncf and ml-1m are looked for in ECOCORE_DATA (default ../shared/data). The former has no times: films
are matched by the set of users who rated them (3,661 of 3,706 are alone in theirs), users by their ids less one, and
the place in a user's history is taken from the latter.
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from ml1m_ncf import load

from ecocore import AlternatingLeastSquares, IdMap, Interactions, RankingModel, evaluate_candidates
from ecocore.train import ranking


def matched(folder: Path, train: sp.csr_matrix, test: np.ndarray) -> tuple[np.ndarray, dict[tuple[int, int], int]]:
    """The MovieLens id of each film, and the place in the user's history of each pair (user, film)."""
    with gzip.open(folder / "ratings.csv.gz", "rt") as file:
        rows = [line.rstrip("\n").split(",") for line in file][1:]
    theirs, ours, places = defaultdict(list), defaultdict(list), {}
    for user, film, _, _, place in rows:
        theirs[int(film)].append(int(user) - 1)
        places[int(user) - 1, int(film)] = int(place or -1)  # films with few ratings have none: they come first
    pairs = train.tocoo()
    for user, film in zip([*pairs.row, *range(test.size)], [*pairs.col, *test], strict=True):
        ours[int(film)].append(int(user))
    by_users = defaultdict(list)
    for film, users in sorted(theirs.items()):
        by_users[tuple(sorted(users))].append(film)
    names = np.full(train.shape[1], -1)
    for film, users in sorted(ours.items()):
        names[film] = by_users[tuple(sorted(users))].pop(0)
    return names, places


def film_features(folder: Path, names: np.ndarray) -> np.ndarray:
    facts: dict[int, set[str]] = {}
    with gzip.open(folder / "movies.dat.gz", "rt", encoding="latin-1") as file:
        for line in file:
            film, title, genres = line.rstrip("\n").split("::")
            year = re.search(r"\((\d{4})\)", title)
            facts[int(film)] = set(genres.split("|")) | ({f"{int(year[1]) // 5 * 5}"} if year else set())
    return one_hot([facts[int(film)] for film in names])


def user_features(folder: Path) -> np.ndarray:
    with gzip.open(folder / "users.dat.gz", "rt") as file:
        return one_hot([{f"{i}:{x}" for i, x in enumerate(line.split("::")[1:4])} for line in file])


def one_hot(sets: list[set[str]]) -> np.ndarray:
    names = IdMap(sorted(set().union(*sets)))
    out = np.zeros((len(sets), len(names)), np.float32)
    for row, words in enumerate(sets):
        out[row, names.codes(sorted(words))] = 1
    return out


def show(name: str, metrics: object, seconds: float) -> None:
    print(f"{name:36} {metrics['hit_rate']:7.4f} {metrics['ndcg']:8.4f} {seconds:8.1f}", flush=True)


def latency(
    model: RankingModel, als: AlternatingLeastSquares, data: Interactions, features: np.ndarray | None, n: int
) -> None:
    """p50 and p99 of ``n`` requests, each of another user, 500 candidates of ALS each; the thread's CPU time beside the
    time on the clock, since other work on the machine only stretches the latter."""
    users = np.random.default_rng(0).permutation(data.shape[0])[:n]
    candidates = [als.recommend(u, data.rows([u]), N=500)[0].astype(np.int64) for u in users]
    times = data.times
    histories = []
    for u in users:
        part = slice(data.indptr[u], data.indptr[u + 1])
        order = np.arange(part.stop - part.start) if times is None else np.argsort(times[part], kind="stable")
        histories.append(data.indices[part][order].astype(np.int64))
    spent: dict[str, list[tuple[float, float]]] = {"known user": [], "with the user tower": []}
    for u, codes, history in zip(users.tolist(), candidates, histories, strict=True):
        inputs = {"factors": als.user_factors[u : u + 1]} if model.shape.factors else {}
        inputs |= {"features": features[u : u + 1]} if model.shape.user_features and features is not None else {}
        for name, times_of in spent.items():
            began = time.perf_counter(), time.thread_time()
            user = u if name == "known user" else model.encode([history], **inputs)
            codes[np.argsort(-model.score_codes(user, codes), kind="stable")[:10]]
            times_of.append((time.perf_counter() - began[0], time.thread_time() - began[1]))
    for name, times_of in spent.items():
        wall, cpu = np.percentile(np.array(times_of[20:]) * 1000, [50, 99], axis=0).T
        print(
            f"  500 candidates, {name}: p50 {wall[0]:.3f} ms, p99 {wall[1]:.3f} ms;"
            f" CPU time p50 {cpu[0]:.3f} ms, p99 {cpu[1]:.3f} ms",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-order", action="store_true")
    parser.add_argument("--rows", default="alone,als,features")
    args = parser.parse_args()
    folder = Path(os.environ.get("ECOCORE_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))
    train, test, negatives = load(folder / "ml-1m-ncf")
    names, places = matched(folder / "ml-1m", train, test)
    train.sort_indices()
    pairs = train.tocoo()
    times = np.array([places[int(u), int(names[i])] for u, i in zip(pairs.row, pairs.col, strict=True)], np.int64)
    users, items = (IdMap.range(n) for n in train.shape)
    data = Interactions.from_arrays(
        pairs.row, pairs.col, times=None if args.no_order else times, user_ids=users, item_ids=items
    )
    films, people = film_features(folder / "ml-1m", names), user_features(folder / "ml-1m")

    print(f"{'':36} {'HR@10':>7} {'NDCG@10':>8} {'seconds':>8}")
    began = time.perf_counter()
    als = AlternatingLeastSquares(
        192,
        0.007,
        iterations=12,
        objective="ials",
        unobserved_weight=0.3,
        solver="cholesky",
        num_threads=args.threads,
        random_state=args.seed,
    ).fit(data, show_progress=False)
    seconds = time.perf_counter() - began
    show("ALS", evaluate_candidates(als, test, negatives, k=10), seconds)
    variants: dict[str, tuple[str, dict[str, object]]] = {
        "alone": ("ranking", {}),
        "als": ("ranking, ALS factors", {"als": als}),
        "features": (
            "ranking, ALS factors and features",
            {"als": als, "item_features": films, "user_features": people},
        ),
    }
    for variant in args.rows.split(","):
        name, inputs = variants[variant]
        with tempfile.TemporaryDirectory() as out:
            report = ranking(data, out=out, epochs=args.epochs, seed=args.seed, **inputs)
            model = RankingModel.load(out)
            candidates = np.column_stack([test, negatives])
            scores = np.stack([model.score_codes(u, row) for u, row in enumerate(candidates)])
            show(name, evaluate_candidates(scores, test, negatives, k=10), report.seconds)
            latency(model, als, data, people, 2000)


if __name__ == "__main__":
    main()
