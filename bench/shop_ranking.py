"""Does the ranking model add to ALS on a shop's log? Complete Journey, judged by its last four weeks.

    python bench/shop_ranking.py [--epochs N]

The ranking model has its default settings, which were not chosen on this log. Needs the extras demo, cpu and train.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from ecocore import Popularity, Shop, evaluate, read_events
from ecocore.cli.demo import TEST_SPAN, WEIGHTS
from ecocore.datasets import complete_journey


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--k", type=int, default=20)
    args = parser.parse_args()
    data = complete_journey()
    with read_events(data.events, **data.columns) as events:
        past, future = events.split_by_time(last=TEST_SPAN)
        history = past.interactions(**WEIGHTS)
        test = future.interactions(users=history.users, items=history.items)
    shop = Shop.train(history, iterations=10, random_state=0, show_progress=False)
    begun = time.perf_counter()
    ranked = shop.with_ranking(epochs=args.epochs)
    print(f"ranking model trained in {time.perf_counter() - begun:.0f} s")
    models = {"popularity": Popularity().fit(history), "ALS": shop.model, "ALS, ranked": ranked.recommender}
    for new in (True, False):
        print("what is new to the household" if new else "all")
        for name, model in models.items():
            print(f"  {name:12} {evaluate(model, history, test, k=args.k, filter_seen=new)}")
    times = []
    users = history.users.to_array()[:500].tolist()
    for each in (shop, ranked):
        each.recommend(users[0], 10, reasons=0)
        for user in users:
            begun = time.perf_counter()
            each.recommend(user, 10, reasons=0)
            times.append(time.perf_counter() - begun)
        print(f"recommend, ms: p50 {np.percentile(times, 50) * 1e3:.3f}  p99 {np.percentile(times, 99) * 1e3:.3f}")
        times.clear()


if __name__ == "__main__":
    main()
