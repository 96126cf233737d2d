"""Options that several commands share: where the events are, which column is what, how they are weighed."""

from __future__ import annotations

import argparse
from typing import Any

from ..als import AlternatingLeastSquares
from ..catalogue import Catalogue, read_catalogue
from ..errors import InvalidArgument
from ..event_reader import read_events
from ..events import Events, check_weighing
from ..interactions import Interactions
from .render import step

# Columns of the log that may be named, with what each holds.
COLUMNS = {
    "user": "who (default: user)",
    "item": "what (default: item)",
    "time": "when: timestamps, dates, or numbers since 1970",
    "event": "what kind: view, cart, purchase, ...",
    "value": "a rating or another weight, at least 0",
    "quantity": "how many",
    "price": "of one piece",
    "amount": "paid for the line",
    "basket": "what was bought together",
    "category": "of the item",
}
CATALOGUE_COLUMNS = ("name", "category", "price")


def positive_int(text: str) -> int:
    """argparse type: a whole number of at least 1."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1; got {text!r}")
    return int(text)


def seed_int(text: str) -> int:
    """argparse type: a whole number of at least 0."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0; got {text!r}")
    return int(text)


def add_event_options(parser: argparse.ArgumentParser, *, weights: bool = True) -> None:
    """Adds the log's paths, its columns, cleaning rules and, unless the command has no use for them, weights."""
    parser.add_argument(
        "events", nargs="+", metavar="EVENTS", help="CSV, JSON lines or Parquet; several files are one log"
    )
    columns = parser.add_argument_group("columns of the log")
    for name, meaning in COLUMNS.items():
        columns.add_argument(f"--{name}", metavar="COLUMN", help=meaning)
    cleaning = parser.add_argument_group("cleaning: every rule is counted and reported")
    cleaning.add_argument(
        "--drop", action="append", default=[], metavar="COLUMN=PATTERN",
        help="leave out rows whose column matches, e.g. InvoiceNo='C*'; may be repeated",
    )  # fmt: skip
    cleaning.add_argument("--keep-free", action="store_true", help="keep lines with a price of 0")
    cleaning.add_argument("--time-zone", default="UTC", metavar="ZONE", help="of times without one (default: UTC)")
    cleaning.add_argument("--strict", action="store_true", help="raise for bad rows and unknown event types")
    if not weights:
        parser.set_defaults(weight=[])
        return
    cleaning.add_argument(
        "--min-user-items", type=positive_int, default=1, metavar="N", help="users with fewer items are left out"
    )
    cleaning.add_argument(
        "--min-item-users", type=positive_int, default=1, metavar="N", help="items with fewer users are left out"
    )
    counts = parser.add_argument_group("what an event counts")
    counts.add_argument(
        "--weight", action="append", default=[], metavar="EVENT=NUMBER",
        help="by its type, e.g. --weight view=1 --weight purchase=5",
    )  # fmt: skip
    counts.add_argument("--by", choices=("value", "quantity", "amount"), help="times this column")
    counts.add_argument("--half-life", metavar="SPAN", help="halved after each such span, e.g. 60d, 8w")
    counts.add_argument("--log", action="store_true", help="log(1 + sum) of a pair's events instead of the sum")
    counts.add_argument("--cap", type=float, metavar="NUMBER", help="at most this for a pair")


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Adds the hyper-parameters of the matrix factorization."""
    model = parser.add_argument_group("model")
    model.add_argument("--objective", choices=("ials", "implicit"), default="ials", help="default: ials")
    model.add_argument("--factors", type=positive_int, default=64, metavar="N", help="default: 64")
    model.add_argument("--iterations", type=positive_int, default=15, metavar="N", help="default: 15")
    model.add_argument("--regularization", type=float, metavar="X", help="default: 0.003 (ials), 0.01 (implicit)")
    model.add_argument("--unobserved-weight", type=float, metavar="X", help="ials: weight of every pair (default: 0.3)")
    model.add_argument(
        "--alpha", type=float, default=1.0, metavar="X", help="confidence per unit of weight (default: 1)"
    )
    model.add_argument(
        "--ranking", action="store_true",
        help="also a deep model that puts the best 500 in order (minutes; needs the extra train)",
    )  # fmt: skip
    model.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    model.add_argument("--threads", type=int, default=0, metavar="N", help="default: all CPUs")


def checked_model(args: argparse.Namespace) -> dict[str, Any]:
    """The model's parameters for Shop.train, which completes them; refused now rather than after the log was read, as
    are the options of weights."""
    if args.objective != "ials" and args.unobserved_weight is not None:
        raise InvalidArgument("--unobserved-weight: only means something with --objective ials")
    if args.ranking:
        from ..train import ranking  # noqa: F401 - what it needs is missed now
    given = {
        "factors": args.factors, "iterations": args.iterations, "objective": args.objective, "alpha": args.alpha,
        "random_state": args.seed, "num_threads": args.threads, "regularization": args.regularization,
        "unobserved_weight": args.unobserved_weight,
    }  # fmt: skip
    parameters = {name: value for name, value in given.items() if value is not None}
    AlternatingLeastSquares(**parameters)
    check_weighing(_weights(args), args.half_life, args.cap)
    paid = args.amount or args.price
    for option, column, named in (
        ("--weight", "--event", args.event or not args.weight),
        ("--by", f"--{args.by}", args.by is None or (paid if args.by == "amount" else getattr(args, args.by))),
        ("--half-life", "--time", args.time or not args.half_life),
    ):
        if not named:
            raise InvalidArgument(f"{option}: needs a column of the log; name it with {column} COLUMN")
    return parameters


def add_catalogue_options(parser: argparse.ArgumentParser) -> None:
    """Adds the catalogue's file and its columns."""
    catalogue = parser.add_argument_group("catalogue")
    catalogue.add_argument("--catalogue", metavar="FILE", help="what is known of the items: CSV, JSON lines or Parquet")
    catalogue.add_argument("--catalogue-item", metavar="COLUMN", help="its item column (default: that of the log)")
    for name in CATALOGUE_COLUMNS:
        catalogue.add_argument(f"--catalogue-{name}", metavar="COLUMN")


def open_catalogue(args: argparse.Namespace) -> Catalogue | None:
    """The catalogue that the options describe, or None without one."""
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


def open_events(args: argparse.Namespace, *, quiet: bool = False) -> Events:
    """Reads and cleans the log that the options describe, and prints what was dropped and why, unless ``quiet``."""
    columns = {name: getattr(args, name) for name in COLUMNS if getattr(args, name) is not None}
    weights = _weights(args)
    with step("reading the log"):
        events = read_events(
            args.events, **columns, drop_where=_patterns(args.drop), keep_free=args.keep_free, time_zone=args.time_zone,
            event_types=list(weights) if weights and args.strict else None, strict=args.strict,
        )  # fmt: skip
    if not quiet:
        print(events.report)
    return events


def weigh(args: argparse.Namespace, events: Events, **maps: Any) -> Interactions:
    """The interactions of ``events`` under the options' weights, and what they leave out, printed; ``maps`` as of
    Events.interactions."""
    support = {} if maps else {"min_user_items": args.min_user_items, "min_item_users": args.min_item_users}
    with step("weighing"):
        found = events.interactions(
            weights=_weights(args) or None, by=args.by, half_life=args.half_life, log=args.log, cap=args.cap,
            strict=args.strict, **support, **maps,
        )  # fmt: skip
    dropped = (found.report or {"rules": []})["rules"][len(events.report.rules) :]
    for rule in dropped:
        print(f"  {rule['rule']}: {rule['count']:,} {rule['unit']} left out, {rule['meaning']}")
    if not maps and found.nnz == 0:
        kinds = f"; types of events: {', '.join(events.event_types)}" if "event" in events.columns else ""
        raise InvalidArgument(
            "events: none is left under --weight, --min-user-items, --min-item-users or --last (see the counts above);"
            f" ask for less{kinds}"
        )
    return found


def _pair(text: str, option: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found or not name or not value:
        raise InvalidArgument(f"{option}: expected NAME=VALUE; got {text!r}")
    return name, value


def _patterns(drops: list[str]) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for text in drops:
        column, pattern = _pair(text, "--drop")
        out.setdefault(column, []).append(pattern)
    return out


def _weights(args: argparse.Namespace) -> dict[str, float]:
    out = {}
    for text in args.weight:
        kind, value = _pair(text, "--weight")
        try:
            out[kind] = float(value)
        except ValueError:
            raise InvalidArgument(f"--weight: expected a number for {kind!r}; got {value!r}") from None
    return out
