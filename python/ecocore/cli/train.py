"""``ecocore train EVENTS... --out DIR``"""

from __future__ import annotations

import argparse
from typing import Any

from ..catalogue import read_catalogue
from ..shop import Shop
from .arguments import add_event_options, add_model_options, model_parameters, open_events, weigh
from .render import step

CATALOGUE_COLUMNS = ("name", "category", "price")


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("train", help="learn from an event log", description=__doc__)
    add_event_options(parser)
    add_model_options(parser)
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="folder to save into; an older shop there is replaced"
    )
    catalogue = parser.add_argument_group("catalogue")
    catalogue.add_argument("--catalogue", metavar="FILE", help="what is known of the items: CSV, JSON lines or Parquet")
    catalogue.add_argument("--catalogue-item", metavar="COLUMN", help="its item column (default: that of the log)")
    for name in CATALOGUE_COLUMNS:
        catalogue.add_argument(f"--catalogue-{name}", metavar="COLUMN")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    parameters = model_parameters(args)
    catalogue = None
    if args.catalogue:
        columns = {name: getattr(args, f"catalogue_{name}") for name in CATALOGUE_COLUMNS}
        catalogue = read_catalogue(
            args.catalogue,
            item=args.catalogue_item or args.item or "item",
            **{name: column for name, column in columns.items() if column},
        )
    with open_events(args) as events, step("weighing"):
        history = weigh(args, events)
    print(history)
    shop = Shop.train(history, catalogue=catalogue, **parameters)
    shop.save(args.out)
    print(f"saved to {args.out}; next: ecocore recommend {args.out} --user {history.users[0]}")
