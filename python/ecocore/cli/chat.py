"""``ecocore chat``: a conversation in Chinese and English with a demo shop, its orders and its recommendations"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ..assistant import Assistant, Reply, SQLiteShop, demo_recommender, demo_shop
from ..assistant.sqlite_shop import DEMO_USERS
from ..errors import EcocoreError
from ..feedback import Feedback
from ..starter import FOLDER

_HELP = """+ or -         rate the last answer
/fix INTENT    name the intent that was really meant
/why           what the last answer rests on
/quit          end (or end of input)"""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("chat", help="talk to the assistant of a demo shop", description=__doc__)
    parser.add_argument(
        "--model", metavar="DIR", default=str(FOLDER),
        help="a folder with an NLU model in nlu/, as train-nlu makes it, and changed starter files (default: the"
        " starter pack and its model)",
    )  # fmt: skip
    parser.add_argument("--shop", metavar="FILE", help="an SQLite shop (default: the demo, in memory)")
    parser.add_argument("--user", default="chen", help=f"who is speaking; the demo knows {', '.join(DEMO_USERS)}")
    parser.add_argument("--language", choices=("en", "zh"), default="en", help="until the first words (default: en)")
    parser.add_argument("--log", metavar="FILE", help="where to log replies and ratings, for ecocore feedback")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    shop = SQLiteShop(args.shop) if args.shop else demo_shop()
    recorder = Feedback(args.log) if args.log else None
    recommender = None if args.shop else demo_recommender(shop)
    assistant = Assistant.load(
        Path(args.model), shop, recommender=recommender, recorder=recorder, language=args.language
    )
    try:
        converse(assistant, args.user)
    finally:
        if recorder is not None:
            recorder.close()
        shop.close()


def converse(assistant: Assistant, user: str) -> None:
    """Reads lines from stdin until it ends, and answers each on stdout."""
    live = sys.stdin.isatty()
    if live:
        print(f"{_HELP}\n")
    last: Reply | None = None
    while True:
        try:
            line = input("you > " if live else "")
        except EOFError:
            return
        if not live:
            print(f"you > {line}")
        command = line.strip()
        if command == "/quit":
            return
        if command in ("+", "-", "/why") or command.startswith("/fix "):
            print(_about(assistant, last, command))
            continue
        last = assistant.reply(user, line)
        print("shop> " + last.text.replace("\n", "\n      "))
        if last.handoff is not None:
            print("      -- handed over --\n      " + last.handoff.summary.replace("\n", "\n      "))


def _about(assistant: Assistant, last: Reply | None, command: str) -> str:
    """What a command about the last answer says."""
    if last is None:
        return "(there is no answer yet)"
    if command == "/why":
        lines = [f"({last.intent}, {last.outcome}, confidence {last.confidence:.2f})"]
        return "\n".join(lines + [f"  {e.source}: {e.key} = {_value(e.value)}" for e in last.evidence])
    try:
        if command == "+" or command == "-":
            assistant.feedback(last.id, helpful=command == "+")
        else:
            assistant.feedback(last.id, correction=command.removeprefix("/fix ").strip())
    except EcocoreError as error:
        return f"({error})"
    return "(noted, thank you)"


def _value(value: object) -> str:
    text = str(value)
    return text if len(text) <= 100 else text[:97] + "..."
