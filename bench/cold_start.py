"""New products: MovieLens 1M with a tenth of the films hidden from training, then added by what the catalogue says.

    python bench/cold_start.py [--factors 64] [--seeds 3]

Only the hidden films are ranked, against the users who did rate them: recall@20 and ndcg@20 beside a random order, and
beside their popularity, which nobody knows before a product is sold (a mark, not a peer). The catalogue is genres and
decade. The data are not part of the project: the folder ml-1m is looked for in ECOCORE_DATA (default
../shared/data). Settings were not tuned on the hidden films.
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
from pathlib import Path

import numpy as np

from ecocore import AlternatingLeastSquares, IdMap, Interactions, TopKIndex, ranking_metrics

K = 20


def load(folder: Path) -> tuple[Interactions, np.ndarray]:
    """All ratings as interactions, and for each film a row of genres and decades (0 or 1)."""
    with gzip.open(folder / "ratings.csv.gz", "rt") as file:
        ratings = np.loadtxt(file, np.int64, delimiter=",", skiprows=1, usecols=(0, 1))
    data = Interactions.from_arrays(ratings[:, 0], ratings[:, 1])
    facts: dict[int, set[str]] = {}
    with gzip.open(folder / "movies.dat.gz", "rt", encoding="latin-1") as file:
        for line in file:
            film, title, genres = line.rstrip("\n").split("::")
            year = re.search(r"\((\d{4})\)", title)
            facts[int(film)] = set(genres.split("|")) | ({year[1][:3] + "0s"} if year else set())
    names = IdMap(sorted(set().union(*facts.values())))
    features = np.zeros((len(data.items), len(names)), np.float32)
    for code, film in enumerate(data.items.to_array().tolist()):
        features[code, names.codes(sorted(facts[film]))] = 1
    return data, features


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    data, features = load(Path(os.environ.get("ECOCORE_DATA", "../shared/data")) / "ml-1m")
    matrix = data.to_scipy()
    sums: dict[str, np.ndarray] = {}
    for seed in range(args.seeds):
        rng = np.random.default_rng(seed)
        hidden = np.sort(rng.permutation(matrix.shape[1])[: matrix.shape[1] // 10])
        known = np.setdiff1d(np.arange(matrix.shape[1]), hidden)
        model = AlternatingLeastSquares(
            args.factors,
            objective="ials",
            regularization=0.003,
            unobserved_weight=0.3,
            iterations=10,
            random_state=seed,
        )
        model.fit(matrix[:, known], show_progress=False, item_features=features[known])
        cold = model.item_factors_from_features(features[hidden])
        relevant = matrix[:, hidden]
        n_users = matrix.shape[0]
        rankings = {
            "ALS with item features": TopKIndex(cold).search(model.user_factors, K).ids,
            "random order": np.argsort(rng.random((n_users, hidden.size)), axis=1)[:, :K],
            "popularity, unknowable": np.tile(
                np.argsort(-np.bincount(relevant.indices, minlength=hidden.size))[:K], (n_users, 1)
            ),
        }
        for name, ids in rankings.items():
            result = ranking_metrics(ids.astype(np.int64), relevant, K)
            sums[name] = sums.get(name, np.zeros(2)) + np.array([result["recall"], result["ndcg"]])
    print(f"{'':24} recall@{K}  ndcg@{K}   (hidden films only, mean of {args.seeds} draws)")
    for name, total in sums.items():
        print(f"{name:24} {total[0] / args.seeds:9.4f} {total[1] / args.seeds:8.4f}")


if __name__ == "__main__":
    main()
