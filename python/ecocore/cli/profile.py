"""``ecocore profile EVENTS... [--customer ID]``: what a shop reads of one customer, or of all."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..behavior import BehaviorModel
from ..profiles import Profile, Profiles
from ..times import as_duration
from .arguments import add_catalogue_options, add_event_options, open_catalogue, open_events, positive_int
from .render import step


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "profile", help="one customer or all: interests, rhythm, segments", description=__doc__
    )
    add_event_options(parser, weights=False)
    add_catalogue_options(parser)
    parser.add_argument("--customer", metavar="ID", help="an id of the log (default: the whole shop, by segments)")
    parser.add_argument("--model", metavar="DIR", help="what train-behavior saved: tells what comes next")
    parser.add_argument("--half-life", default="90d", metavar="SPAN",
                        help="interests count half after each such span (default: 90d)")  # fmt: skip
    parser.add_argument("--k", type=positive_int, default=10, metavar="N", help="length of the lists (default: 10)")
    parser.add_argument("--html", metavar="FILE", help="write a page with plots as well")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    as_duration(args.half_life, "half_life")
    model = None if args.model is None else BehaviorModel.load(args.model)
    catalogue = open_catalogue(args)
    with open_events(args, quiet=args.json) as events:
        with step("measuring the customers"):
            shop = Profiles(events, catalogue, model=model, half_life=args.half_life, time_zone=args.time_zone)
        found: Profile | Profiles = shop if args.customer is None else shop.profile(args.customer, args.k)
        if args.html:
            found.to_html(args.html)
        print(json.dumps(found.to_dict(), ensure_ascii=False) if args.json else found)
    if args.html and not args.json:
        print(f"page with plots: {args.html}")
