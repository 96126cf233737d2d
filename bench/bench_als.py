"""ALS beside implicit and irspack: the same data and settings, one run, the objective's value beside the time.

    pytest bench/bench_als.py
    ECOCORE_BENCH_LARGE=1 pytest bench/bench_als.py          # 19 million interactions
    OPENBLAS_NUM_THREADS=1 python bench/bench_als.py         # epochs in turns, for machines whose load varies

Each round trains EPOCHS epochs of FACTORS factors on THREADS threads. ``extra_info`` holds the loss and the seconds of
an epoch; the loss of ours must be no higher than the peer's. implicit runs with one BLAS thread, as it asks to.
ECOCORE_FORCE_ISA=avx2 shows what a machine without AVX-512 gets.
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings

import numpy as np
import pytest
from als_data import LARGE, SIZE, SMALL, purchases
from threadpoolctl import threadpool_limits

from ecocore import AlternatingLeastSquares, _core
from ecocore.als_objective import make_objective
from ecocore.als_training import Sweep, SweepState
from ecocore.arrays import as_csr

FACTORS, EPOCHS, THREADS = 64, 6, 2
IMPLICIT = {"regularization": 0.01, "alpha": 1.0}
IALS = {"regularization": 0.003, "unobserved_weight": 0.1, "regularization_exponent": 1.0}
PARAMETERS = {"implicit": IMPLICIT, "ials": IALS}


def loss(data, user_factors, item_factors, objective, **parameters) -> float:
    """The same function for every system."""
    parameters = {"alpha": 1.0, "unobserved_weight": None, "regularization_exponent": None} | parameters
    sweep = Sweep(
        make_objective(objective, **parameters), as_csr(data, "data"), item_features=None, feature_strength=1.0,
        solver="auto", cg_steps=3, num_threads=THREADS,
    )  # fmt: skip
    items = np.ascontiguousarray(item_factors, np.float32)
    return sweep.loss(SweepState(np.ascontiguousarray(user_factors, np.float32), items, _core.als_gram(items)))


def fit_ecocore(data, objective, solver):
    kw = {"iterations": EPOCHS, "num_threads": THREADS, "random_state": 0, **PARAMETERS[objective]}
    return AlternatingLeastSquares(FACTORS, objective=objective, solver=solver, **kw).fit(data)


def fit_implicit(data):
    als = pytest.importorskip("implicit.cpu.als", reason="implicit is not installed")
    with threadpool_limits(1, "blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = als.AlternatingLeastSquares(FACTORS, iterations=EPOCHS, num_threads=THREADS, random_state=0, **IMPLICIT)
        model.fit(data, show_progress=False)
    return model


def fit_irspack(data):
    irspack = pytest.importorskip("irspack", reason="irspack is not installed")
    model = irspack.IALSRecommender(
        data, n_components=FACTORS, alpha0=IALS["unobserved_weight"], reg=IALS["regularization"],
        nu=IALS["regularization_exponent"], train_epochs=EPOCHS, solver_type="CG", n_threads=THREADS, random_seed=0,
    )  # fmt: skip
    model.learn()
    model.user_factors, model.item_factors = model.get_user_embedding(), model.get_item_embedding()
    return model


SYSTEMS = [
    ("implicit", "implicit", "cg", fit_implicit),
    ("implicit", "ecocore", "auto", lambda data: fit_ecocore(data, "implicit", "auto")),
    ("implicit", "ecocore", "cg", lambda data: fit_ecocore(data, "implicit", "cg")),
    ("implicit", "ecocore", "cholesky", lambda data: fit_ecocore(data, "implicit", "cholesky")),
    ("ials", "irspack", "cg", fit_irspack),
    ("ials", "ecocore", "auto", lambda data: fit_ecocore(data, "ials", "auto")),
]
peers: dict[str, float] = {}  # loss of the peer, by objective


@pytest.mark.parametrize(("objective", "system", "solver", "fit"), SYSTEMS, ids=["-".join(s[:3]) for s in SYSTEMS])
def test_fit(benchmark, objective, system, solver, fit):
    benchmark.group = f"als {objective} {SIZE[2]:,} interactions"
    data = purchases(*SIZE)
    model = benchmark.pedantic(fit, (data,), rounds=1 if SIZE == LARGE else 5, warmup_rounds=1 if SIZE == SMALL else 0)
    value = loss(
        data, model.user_factors, model.item_factors, objective, **(IMPLICIT if objective == "implicit" else IALS)
    )
    benchmark.extra_info["loss"] = value
    if benchmark.stats is not None:
        benchmark.extra_info["seconds_per_epoch"] = benchmark.stats.stats.median / EPOCHS
    if system == "ecocore" and objective in peers:
        # The same start and steps as implicit, but another random start than irspack.
        assert value <= peers[objective] * (1 + (1e-5 if objective == "implicit" else 1e-3))
    elif system != "ecocore":
        peers[objective] = value


def epochs_in_turns(rounds: int) -> None:
    """One epoch of each system, again and again; medians of the seconds between a callback and the one before."""
    als = pytest.importorskip("implicit.cpu.als")
    data = purchases(*SIZE)
    kw = {"factors": FACTORS, "iterations": 1, "num_threads": THREADS, "random_state": 0, **IMPLICIT}
    models = {"implicit cg": als.AlternatingLeastSquares(**kw)}
    models |= {f"ecocore {s}": AlternatingLeastSquares(solver=s, **kw) for s in ("auto", "cg")}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(rounds):
        for name, model in models.items():
            model.fit(data, show_progress=False, callback=lambda i, s, loss, n=name: seconds[n].append(s))
    peer = statistics.median(seconds["implicit cg"])
    print(f"{data.shape[0]:,} x {data.shape[1]:,}, {data.nnz:,} interactions, {FACTORS} factors, {THREADS} threads,"
          f" {_core.active_isa()}, {rounds} epochs")  # fmt: skip
    for name, model in models.items():
        median = statistics.median(seconds[name])
        value = loss(data, model.user_factors, model.item_factors, "implicit", **IMPLICIT)
        print(f"{name:16} {median:7.3f} s/epoch   {peer / median:5.2f}x   loss {value:.9f}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    began = time.perf_counter()
    epochs_in_turns(int(sys.argv[1]) if len(sys.argv) > 1 else EPOCHS)
    print(f"{time.perf_counter() - began:.0f} s in all")
