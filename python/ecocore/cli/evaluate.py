"""``ecocore evaluate EVENTS...``: trains on the past of the log, judges by its last weeks."""

from __future__ import annotations

import argparse
from typing import Any

from ..baselines import Popularity, RepeatPurchases
from ..evaluation import Recommender, evaluate
from ..interactions import Interactions
from ..shop import Shop
from ..times import as_duration
from .arguments import add_event_options, add_model_options, checked_model, open_events, positive_int, weigh
from .render import heading, step, table

METRICS = ("recall", "ndcg", "hit_rate", "mrr", "coverage")


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("evaluate", help="how good are the recommendations?", description=__doc__)
    add_event_options(parser)
    add_model_options(parser)
    parser.add_argument("--last", default="4w", metavar="SPAN", help="what to judge by (default: 4w, the last 4 weeks)")
    parser.add_argument("--k", type=positive_int, default=20, metavar="N", help="length of the lists (default: 20)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    parameters = checked_model(args)
    as_duration(args.last, "last")
    with open_events(args) as events:
        if "time" in events.columns:
            past, future = events.split_by_time(last=args.last)
            history = weigh(args, past)
            test = future.interactions(users=history.users, items=history.items)
            print(f"judged by the last {args.last}: {len(future):,} events")
        else:
            history, test = weigh(args, events).random_split(0.2, seed=args.seed)
            print("no --time: judged by a random fifth of all pairs; with times the last weeks would say more")
    print(f"train: {history}\ntest:  {test}")
    shop = Shop.train(history, ranking=args.ranking, **parameters)
    print_comparison(shop, test, args.k)


def print_comparison(shop: Shop, test: Interactions, k: int) -> None:
    """The model beside what everybody buys and what the user bought before, on what is new to the user and on all."""
    history = shop.history
    models: dict[str, Recommender] = {
        "popularity": Popularity().fit(history),
        "repeat purchases": RepeatPurchases().fit(history),
        "ALS": shop.model,
    }
    if shop.ranking is not None:
        models["ALS, ranked"] = shop.recommender
    for new, title in ((True, "what is new to the user"), (False, "all, repeat purchases included")):
        rows: list[list[object]] = []
        users = 0
        for name, model in models.items():
            if new and name == "repeat purchases":
                continue  # nothing that is new to a user repeats
            with step(f"judging {name}"):
                result = evaluate(model, history, test, k=k, filter_seen=new)
            rows.append([name, *(float(result[metric]) for metric in METRICS)])
            users = result.n_users
        heading(f"The next purchases: {title} ({users:,} users)")
        print(table(["", *(f"{metric}@{k}" for metric in METRICS)], rows))
