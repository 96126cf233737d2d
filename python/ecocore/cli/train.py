"""``ecocore train EVENTS... --out DIR``"""

from __future__ import annotations

import argparse
import shlex
from typing import Any

from .. import storage
from ..shop import Shop
from .arguments import (
    add_catalogue_options,
    add_event_options,
    add_model_options,
    checked_model,
    open_catalogue,
    open_events,
    weigh,
)


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("train", help="learn from an event log", description=__doc__)
    add_event_options(parser)
    add_model_options(parser)
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="folder to save into; an older shop there is replaced"
    )
    add_catalogue_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    parameters = checked_model(args)
    storage.check_target(args.out, Shop.KIND)
    catalogue = open_catalogue(args)
    with open_events(args) as events:
        history = weigh(args, events)
    print(history)
    if catalogue is not None:
        missing = catalogue.align(history.items).report["missing_items"]
        print(f"{catalogue}; it does not know {missing:,} of the {history.shape[1]:,} items")
    shop = Shop.train(history, catalogue=catalogue, ranking=args.ranking, **parameters)
    shop.save(args.out)
    print(f"saved to {args.out}; next: ecocore recommend {args.out} --user {shlex.quote(str(history.users[0]))}")
