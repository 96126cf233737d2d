"""Bulk encoding at d = h = 128: events a second, the share of the machine's matrix-product rate, memory.

    python bench/bench_behavior_bulk.py [--users 4000] [--events 250] [--items 50000] [--threads 0]

The rate counts 8 h (d + h) operations an event, what an LSTM costs by its formula, against the best of NumPy's (and,
where it is installed, PyTorch's) float32 product of two 1024 x 1024 matrices on the same threads, measured between the
runs. The native engine looks the input's half up in a table, so it can pass 100 %. Every run is checked against single
rows, to the bit.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from reference_recurrent import model_arrays, write_model

OPERATIONS = 8 * 128 * (128 + 128)


def product_rate(torch) -> float:
    """GFLOP/s of the better of NumPy and PyTorch."""
    n = 1024
    a = np.random.default_rng(0).random((n, n), np.float32)
    candidates = [lambda: a @ a]
    if torch is not None:
        t = torch.from_numpy(a)
        candidates.append(lambda: t @ t)
    best = float("inf")
    for f in candidates:
        for _ in range(5):
            begin = time.perf_counter()
            f()
            best = min(best, time.perf_counter() - begin)
    return 2 * n**3 / best / 1e9


def resident() -> float:
    """MB now (Linux), else the most so far."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=4000)
    parser.add_argument("--events", type=int, default=250, help="mean of a user's events; lengths vary twofold")
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    from ecocore import BehaviorModel, get_num_threads

    try:
        import torch

        torch.set_num_threads(options.threads or get_num_threads())
    except ImportError:
        torch = None
    random = np.random.default_rng(0)
    lengths = random.integers(options.events // 2, options.events * 3 // 2 + 1, options.users)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    # Popularity falls as 1 / rank, as in shops.
    popular = 1 / np.arange(1, options.items + 1)
    items = random.choice(options.items, int(indptr[-1]), p=popular / popular.sum()) * 10 + 5
    with tempfile.TemporaryDirectory() as folder:
        try:
            import onnx  # noqa: F401
            import onnxruntime  # noqa: F401

            engines = ["native", "onnxruntime"]
        except ImportError:
            engines = ["native"]
        meta, arrays = model_arrays("lstm", items=options.items, dim=128, hidden=128)
        path = write_model(folder, meta, arrays, with_graph=len(engines) > 1)
        threads = options.threads or get_num_threads()
        print(f"{options.users} users, {indptr[-1]:,} events, {options.items:,} items, {threads} thread(s)")
        for engine in engines:
            model = BehaviorModel.load(path, "cpu", engine=engine, num_threads=options.threads)
            times, rates, memory = [], [], []
            for _ in range(options.repeats):
                rates.append(product_rate(torch))
                begin = time.perf_counter()
                out = model.encode((indptr, items))
                times.append(time.perf_counter() - begin)
                memory.append(resident())
            rates.append(product_rate(torch))
            for user in random.integers(0, options.users, 5):
                alone = model.encode([items[indptr[user] : indptr[user + 1]]])
                assert np.array_equal(alone.h[0], out.h[user]), "alone differs from batched"
            best = min(times)
            rate = indptr[-1] * OPERATIONS / best / 1e9
            # Rates of one pass and of the products just before and after it: what else runs here weighs on both.
            shares = [indptr[-1] * OPERATIONS / t / 1e9 / max(rates[i : i + 2]) for i, t in enumerate(times)]
            print(
                f"{engine:12s} {indptr[-1] / best:12,.0f} events/s  {rate:6.0f} GFLOP/s by the formula ="
                f" {100 * rate / max(rates):4.0f} % of sgemm ({max(rates):.0f}); median of the passes"
                f" {100 * float(np.median(shares)):.0f} %"
            )
            print(
                f"{'':12s} 1,000,000 users x 1,000 events: {1e9 / (indptr[-1] / best) / 60:.1f} min;"
                f" memory after each pass: {', '.join(f'{m:.0f}' for m in memory)} MB; bits checked"
            )


if __name__ == "__main__":
    main()
