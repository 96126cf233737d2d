"""100 million events through read_events and Events.interactions: seconds and peak memory of each stage.

    python bench/events_100m.py [--events 100000000] [--memory-limit 1.5GB]

The log (a Parquet file of about 1.6 GB: power-law users and items, a year of seconds, four event types, one row in a
thousand twice) is made by a child process, so that its memory does not count. It and all temporary files lie in a
folder that is removed at the end; about 8 GB of disk are in use at the peak.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path


def generate(path: str, events: int, users: int, items: int, folder: str) -> None:
    import duckdb

    db = duckdb.connect(config={"memory_limit": "2GB", "temp_directory": folder, "preserve_insertion_order": False})
    once = events - events // 1000
    log = (
        f"SELECT ({users} * pow(random(), 2))::INTEGER AS user_id, ({items} * pow(random(), 3))::INTEGER AS item_id,"
        " TIMESTAMP '2024-01-01' + to_seconds((random() * 31536000)::INTEGER) AS moment,"
        f" ['view', 'search', 'cart', 'purchase'][1 + (random() * 3.999)::INTEGER % 4] AS kind FROM range({once})"
    )
    db.execute(f"COPY ({log}) TO '{path}' (FORMAT parquet)")
    again = f"SELECT * FROM '{path}' LIMIT {events // 1000}"
    db.execute(f"COPY ({again}) TO '{path}.again' (FORMAT parquet)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000_000)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--memory-limit", default="1.5GB", help="what DuckDB may hold in its buffers")
    parser.add_argument("--min-support", type=int, default=5)
    options = parser.parse_args()

    started = time.perf_counter()

    def stage(name: str) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{time.perf_counter() - started:7.1f} s  peak {peak:5.2f} GB  {name}", flush=True)

    with tempfile.TemporaryDirectory(prefix="ecocore-bench-") as folder:
        path = str(Path(folder, "log.parquet"))
        child = multiprocessing.get_context("spawn").Process(
            target=generate, args=(path, options.events, options.users, options.items, folder)
        )
        child.start()
        child.join()
        if child.exitcode:
            raise SystemExit("the log could not be generated")
        stage("log generated")

        import ecocore

        started = time.perf_counter()
        stage("start")
        mapping = {"user": "user_id", "item": "item_id", "time": "moment", "event": "kind"}
        limits = {"memory_limit": options.memory_limit, "temp_directory": folder}
        with ecocore.read_events([path, path + ".again"], **mapping, **limits) as events:
            stage("read and cleaned")
            print(events.report)
            weights = {"view": 1, "search": 1, "cart": 3, "purchase": 5}
            train, test = events.split_by_time(last="4w")
            stage(f"split: {len(train):,} and {len(test):,} events")
            support = {"min_user_items": options.min_support, "min_item_users": options.min_support}
            x = train.interactions(weights=weights, half_life="90d", log=True, **support)
            stage(f"interactions: {x}")
            held = test.interactions(users=x.users, items=x.items)
            stage(f"test interactions: {held}")
            del held, x
            whole = events.interactions()
            stage(f"interactions of all events: {whole}")


if __name__ == "__main__":
    main()
