"""``ecocore feedback report LOG``: what customers' ratings say, and the examples they amount to"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import InvalidArgument
from ..feedback import FeedbackLog, Registry, lessons, report


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("feedback", help="what the assistant's ratings say", description=__doc__)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    shown = actions.add_parser("report", help="rates, weak intents, corrections, answer variants, what to label")
    shown.add_argument("log", metavar="LOG", help="what chat --log or Feedback wrote")
    shown.add_argument("--json", action="store_true", help="for programs")
    shown.set_defaults(run=_report)
    learnt = actions.add_parser("export", help="corrections as training sentences, in the starter pack's format")
    learnt.add_argument("log", metavar="LOG", help="what chat --log or Feedback wrote")
    learnt.add_argument(
        "--per-user", type=int, default=20, metavar="N", help="labels of one user at most (default: 20)"
    )
    learnt.set_defaults(run=_export)
    back = actions.add_parser("rollback", help="return to the model before the current one")
    back.add_argument("registry", metavar="DIR", help="a folder of models, see ecocore.feedback.Registry")
    back.set_defaults(run=_rollback)


def _open(path: str) -> FeedbackLog:
    if not Path(path).is_file():
        raise InvalidArgument(f"LOG: expected a feedback log; {path} is not a file")
    return FeedbackLog(path)


def _report(args: argparse.Namespace) -> None:
    log = _open(args.log)
    found = report(log.records())
    log.close()
    print(json.dumps(asdict(found), ensure_ascii=False) if args.json else found)


def _export(args: argparse.Namespace) -> None:
    log = _open(args.log)
    by_intent: dict[str, list[str]] = {}
    for example in lessons(log.records(), per_user=args.per_user):
        by_intent.setdefault(example.intent, []).append(example.text)
    log.close()
    for intent, texts in by_intent.items():
        print(f"[{intent}]")
        for text in texts:
            # What the format would read as an alternative or a slot is written plainly.
            print(text.translate(_PLAIN))
        print()


def _rollback(args: argparse.Namespace) -> None:
    if not Path(args.registry).is_dir():
        raise InvalidArgument(f"DIR: expected a folder of models; {args.registry} is not one")
    print(f"in use again: {Registry(args.registry).rollback()}")


_PLAIN = str.maketrans("[](){}|#", "        ")
