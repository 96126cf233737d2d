"""``ecocore train-behavior EVENTS --out DIR``: learns what people do next, from the order of what they did."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .. import storage
from ..errors import InvalidArgument
from ..event_sequences import event_sequences
from .arguments import COLUMNS, add_event_options, open_events, positive_int, seed_int
from .render import step


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "train-behavior", help="learn from the order of events (extra train)",
        description="EVENTS are an event log with users, items and times (name its columns), or text with one session a"
        " line: item ids parted by blanks, oldest first. Events of one moment (a basket, or all of a day where times"
        " are dates) have no order: it is drawn.",
    )  # fmt: skip
    add_event_options(parser, weights=False)
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="folder to save into; an older model there is replaced"
    )
    model = parser.add_argument_group("model")
    model.add_argument("--cell", choices=("lstm", "gru", "rnn"), default="lstm", help="default: lstm")
    model.add_argument("--hidden", type=positive_int, default=128, metavar="N", help="default: 128")
    model.add_argument("--loss", choices=("sampled_softmax", "bpr_max", "bce"), default="sampled_softmax")
    model.add_argument(
        "--epochs", type=positive_int, metavar="N",
        help="at most (default: 10, or as many as make 150 steps of 256 sequences where the log is small)",
    )  # fmt: skip
    model.add_argument("--seed", type=seed_int, default=0, metavar="N", help="default: 0")
    model.add_argument(
        "--validation", type=_share, default=0.05, metavar="SHARE",
        help="of the sequences, the last, held out to choose the epoch by; 0: none (default: 0.05)",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    from .. import train  # needs the extra; fails here, before the work, with the command that installs it

    storage.check_target(args.out, "behavior")
    named = any(getattr(args, name) for name in COLUMNS)
    if named and not args.time:
        raise InvalidArgument("time: expected the column that orders the log; name it with --time COLUMN")
    cleaning = {"--drop": args.drop, "--keep-free": args.keep_free, "--strict": args.strict}
    if not named and (useless := [option for option, given in cleaning.items() if given]):
        raise InvalidArgument(
            f"{useless[0]}: cleans an event log, and no column is named; add --user, --item and --time, or leave it out"
        )
    data: dict[str, Any]
    if named:
        with open_events(args) as events, step("putting events in order"):
            found = event_sequences(events)
        seconds = [t / 1e6 for t in found.times]
        data = {"sequences": found.items, "times": seconds, "event_types": found.event_types}
    else:
        data = {"sequences": [line for path in args.events for line in _sessions(path)]}
    print(f"{len(data['sequences']):,} sequences, {sum(map(len, data['sequences'])):,} events")
    report = train.behavior(
        out=args.out, cell=args.cell, dim=args.hidden, hidden=args.hidden, loss=args.loss, epochs=args.epochs,
        validation=args.validation or None, seed=args.seed, **data,
    )  # fmt: skip
    print(report)
    print(f"saved to {args.out}")


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 0 and less than 1; got {text!r}")
    return share


def _sessions(path: str) -> list[list[str]]:
    if Path(path).suffix in (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson", ".json", ".gz"):
        raise InvalidArgument(
            f"events: {path} looks like an event log; name its columns with --user, --item and --time, or give text"
            " with one session a line"
        )
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except UnicodeDecodeError as e:
        raise InvalidArgument(
            f"events: {path} is not UTF-8 text ({e}); expected one session of item ids a line"
        ) from None
    return [items for line in lines if (items := line.split())]
