"""SessionStore at d = h = 128: latency of one caller, many callers at once, many users in one call.

    python bench/bench_session_store.py [--users 100000] [--items 100000] [--seconds 2] [--engine native]

Users and items are drawn at random, so states and table rows are mostly not in cache. The states are checked against
``model.encode`` at the end, to the bit.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from reference_recurrent import model_arrays, write_model


def percentiles(seconds: list[float]) -> str:
    us = np.array(seconds) * 1e6
    return (
        f"p50 {np.percentile(us, 50):7.1f}  p99 {np.percentile(us, 99):7.1f}  p99.9 {np.percentile(us, 99.9):7.1f} us"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--engine", choices=["native", "onnxruntime"], default="native")
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--delay", type=float, default=0.0)
    options = parser.parse_args()
    from ecocore import BehaviorModel, SessionStore

    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        meta, arrays = model_arrays("lstm", items=options.items, dim=128, hidden=128, bias=True)
        path = write_model(folder, meta, arrays, with_graph=options.engine == "onnxruntime")
        model = BehaviorModel.load(path, "cpu", engine=options.engine)
        store = SessionStore(model, capacity=2 * options.users, max_delay=options.delay)
    n = 400_000
    users = random.integers(0, options.users, n).tolist()
    items = (random.integers(0, options.items, n) * 10 + 5).tolist()
    others = (-1 - random.integers(0, options.users, n)).tolist()  # of the crowds, whose order is not known
    history: list[tuple[int, int]] = []
    at = 0

    def spell(act, seconds: float) -> list[float]:
        """Latencies of act(i) called over and over."""
        nonlocal at
        out, end = [], time.perf_counter() + seconds
        while (begin := time.perf_counter()) < end:
            act(at % n)
            out.append(time.perf_counter() - begin)
            history.append((users[at % n], items[at % n]))
            at += 1
        return out

    def crowd(threads: int, seconds: float, act) -> tuple[float, list[float]]:
        """Events a second and latencies of many callers, all with the same kind of mixture."""
        stop, start = threading.Event(), threading.Barrier(threads + 1)
        latencies: list[list[float]] = [[] for _ in range(threads)]

        def call(j: int) -> None:
            own = latencies[j]
            start.wait()
            i = j * n // threads
            while not stop.is_set():
                begin = time.perf_counter()
                act(others[i % n], items[i % n])
                own.append(time.perf_counter() - begin)
                i += 1

        workers = [threading.Thread(target=call, args=(j,)) for j in range(threads)]
        for w in workers:
            w.start()
        start.wait()
        begin = time.perf_counter()
        time.sleep(seconds)
        stop.set()
        for w in workers:
            w.join()
        elapsed = time.perf_counter() - begin
        return sum(map(len, latencies)) / elapsed, [x for own in latencies for x in own]

    print(f"engine {options.engine}, {options.items:,} items, {options.users:,} users, {options.threads} callers")
    spell(lambda i: store.append(users[i], items[i]), 0.2)
    single = spell(lambda i: store.append(users[i], items[i]), options.seconds)
    print("append, one caller            ", percentiles(single))

    def append_and_recommend(i: int) -> None:
        store.append(users[i], items[i])
        store.recommend(users[i], 10)

    both = spell(append_and_recommend, options.seconds)
    print(f"append + top-10 of {options.items:,}   ", percentiles(both))

    def append_and_read(user: int, item: int) -> None:
        store.append(user, item)
        store.query(user)

    for name, act in (("append", store.append), ("append, and read the state", append_and_read)):
        ratios, crowds, ones = [], [], []
        for _ in range(5):  # in turns: what else runs here weighs on both
            one = crowd(1, options.seconds / 5, act)[0]
            many, latency = crowd(options.threads, options.seconds / 5, act)
            ones.append(one)
            crowds.append(many)
            ratios.append(many / one)
        print(f"{options.threads} callers at once, {name}: {np.median(crowds):,.0f} events/s ({percentiles(latency)});"
              f" one caller {np.median(ones):,.0f}; ratio, median of 5 turns {np.median(ratios):.2f}")  # fmt: skip

    batch = 1024
    for name, anew in (("users and items drawn anew each time", True), ("the same ones again", False)):
        ratios, rates = [], []
        for _ in range(5):
            times = []
            for i in range(max(3, int(options.seconds * 20))):
                if anew or i == 0:
                    picks = random.choice(options.users, batch, replace=False)
                    some = random.integers(0, options.items, batch) * 10 + 5
                begin = time.perf_counter()
                store.append_many(picks, some)
                times.append(time.perf_counter() - begin)
                history.extend(zip(picks.tolist(), some.tolist(), strict=True))
            alone = spell(lambda i: store.append(users[i], items[i]), options.seconds / 5)
            rates.append(batch / np.median(times))
            ratios.append(rates[-1] * float(np.median(alone)))
        print(
            f"append_many of {batch}, {name}: {np.median(rates):,.0f} events/s, {np.median(ratios):.1f} x single calls"
        )

    checked = random.choice(options.users, 200, replace=False).tolist()
    sequences: dict[int, list[int]] = {u: [] for u in checked}
    for user, item in history:
        if user in sequences:
            sequences[user].append(item)
    encoded = model.encode(list(sequences.values()))
    for i, user in enumerate(sequences):
        state = store.state(user)
        assert state is None or np.array_equal(state.h, encoded.h[i]), "a state differs from its whole history"
    print(f"states equal to the whole histories, to the bit; {store.stats()}")


if __name__ == "__main__":
    main()
