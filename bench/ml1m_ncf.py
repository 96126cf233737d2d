"""MovieLens 1M, leave one out with 99 given negatives (He et al. 2017): ours beside irspack, quality and time.

    python bench/ml1m_ncf.py [--factors 192] [--epochs 12] [--threads 2]

The settings are those of Rendle et al., "Revisiting the Performance of iALS" (192 factors, regularisation 0.007,
unobserved weight 0.3, 12 epochs). A negative that equals the test item counts once. The data are not part of the
project: the folder ml-1m-ncf is looked for in ECOCORE_DATA (default ../shared/data).
"""

from __future__ import annotations

import argparse
import gzip
import os
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from ecocore import AlternatingLeastSquares, evaluate_candidates


def load(folder: Path) -> tuple[sp.csr_matrix, np.ndarray, np.ndarray]:
    """Train matrix, test item of each user, and the 99 negatives of each user."""
    with gzip.open(folder / "ml-1m.train.pairs.gz", "rt") as file:
        pairs = np.loadtxt(file, np.int64)
    with gzip.open(folder / "ml-1m.test.rating.gz", "rt") as file:
        test = np.loadtxt(file, np.int64)[:, :2]
    with gzip.open(folder / "ml-1m.test.negative.gz", "rt") as file:
        negatives = np.array([line.split("\t")[1:] for line in file], np.int64)
    n_users, n_items = pairs.max(0) + 1
    n_items = max(n_items, test[:, 1].max() + 1, negatives.max() + 1)
    assert (test[:, 0] == np.arange(n_users)).all()
    train = sp.csr_matrix((np.ones(len(pairs), np.float32), pairs.T), (n_users, n_items))
    return train, test[:, 1], negatives


class Factors:
    def __init__(self, user_factors: np.ndarray, item_factors: np.ndarray) -> None:
        self.user_factors, self.item_factors = user_factors, item_factors


def ecocore_ials(train: sp.csr_matrix, args: argparse.Namespace, solver: str, seed: int) -> AlternatingLeastSquares:
    return AlternatingLeastSquares(
        args.factors,
        0.007,
        iterations=args.epochs,
        objective="ials",
        unobserved_weight=0.3,
        regularization_exponent=1.0,
        solver=solver,
        num_threads=args.threads,
        random_state=seed,
    ).fit(train)


def irspack_ials(train: sp.csr_matrix, args: argparse.Namespace, solver: str, seed: int) -> Factors:
    from irspack import IALSRecommender

    model = IALSRecommender(
        train,
        n_components=args.factors,
        alpha0=0.3,
        reg=0.007,
        nu=1.0,
        train_epochs=args.epochs,
        solver_type=solver,
        n_threads=args.threads,
        random_seed=seed,
    ).learn()
    return Factors(model.get_user_embedding(), model.get_item_embedding())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--factors", type=int, default=192)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    data = Path(os.environ.get("ECOCORE_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))
    train, test, negatives = load(data / "ml-1m-ncf")

    rows = [(ecocore_ials, "auto"), (ecocore_ials, "cg"), (ecocore_ials, "cholesky")]
    try:
        import irspack  # noqa: F401

        rows += [(irspack_ials, "CG"), (irspack_ials, "CHOLESKY")]
    except ImportError:
        print("irspack is not installed: pip install 'ecocore[bench]'")
    print(f"{'':24} {'HR@10':>7} {'NDCG@10':>8} {'seconds':>8}   (mean of {args.seeds} seed(s), least seconds)")
    for fit, solver in rows:
        found, seconds = [], []
        for seed in range(args.seeds):
            began = time.perf_counter()
            model = fit(train, args, solver, seed)
            seconds.append(time.perf_counter() - began)
            metrics = evaluate_candidates(model, test, negatives, k=10)
            found.append((metrics["hit_rate"], metrics["ndcg"]))
        hit_rate, ndcg = np.mean(found, axis=0)
        print(f"{fit.__name__ + ' ' + solver:24} {hit_rate:7.4f} {ndcg:8.4f} {min(seconds):8.2f}", flush=True)


if __name__ == "__main__":
    main()
