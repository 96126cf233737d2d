"""``ecocore train EVENTS... --out DIR``"""

from __future__ import annotations

import argparse
import shlex
from typing import Any

from .. import storage
from ..catalogue import Catalogue, read_catalogue
from ..errors import InvalidArgument
from ..shop import Shop
from .arguments import add_event_options, add_model_options, checked_model, open_events, weigh
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
    parameters = checked_model(args)
    storage.check_target(args.out, Shop.KIND)
    catalogue = _catalogue(args)
    with open_events(args) as events:
        history = weigh(args, events)
    print(history)
    if catalogue is not None:
        missing = catalogue.align(history.items).report["missing_items"]
        print(f"{catalogue}; it does not know {missing:,} of the {history.shape[1]:,} items")
    shop = Shop.train(history, catalogue=catalogue, **parameters)
    shop.save(args.out)
    print(f"saved to {args.out}; next: ecocore recommend {args.out} --user {shlex.quote(str(history.users[0]))}")


def _catalogue(args: argparse.Namespace) -> Catalogue | None:
    columns = {name: getattr(args, f"catalogue_{name}") for name in CATALOGUE_COLUMNS}
    columns = {name: column for name, column in columns.items() if column}
    if not args.catalogue:
        if columns or args.catalogue_item:
            raise InvalidArgument("catalogue: options name its columns, but no file; add --catalogue FILE")
        return None
    if not columns:
        wanted = ", ".join(f"--catalogue-{name}" for name in CATALOGUE_COLUMNS)
        raise InvalidArgument(f"catalogue: none of its columns is named; add at least one of {wanted}")
    with step("reading the catalogue"):
        return read_catalogue(args.catalogue, item=args.catalogue_item or args.item or "item", **columns)
