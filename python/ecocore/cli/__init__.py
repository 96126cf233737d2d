"""The ``ecocore`` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from .. import __version__
from ..errors import EcocoreError

__all__ = ["main"]

# Each is a module of this package, named alike, with add_parser() and a run() that it sets.
COMMANDS = (
    "demo",
    "train",
    "recommend",
    "evaluate",
    "profile",
    "train-behavior",
    "train-nlu",
    "chat",
    "feedback",
    "info",
)


def parser(commands: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """The command line. Every command module adds its own part, and only those of ``commands`` are loaded."""
    root = argparse.ArgumentParser(
        prog="ecocore", description="The machine-learning core of an online shop: from event logs to recommendations."
    )
    root.add_argument("--version", action="version", version=f"ecocore {__version__}")
    parts = root.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in commands:
        import_module(f".{name.replace('-', '_')}", __name__).add_parser(parts)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0, 2 after an error that was explained on stderr, or 130 after Ctrl-C."""
    words = sys.argv[1:] if argv is None else argv
    # One command does not pay for loading what the others need; help and mistakes need all.
    args = parser(words[:1] if words[:1] and words[0] in COMMANDS else COMMANDS).parse_args(words)
    try:
        args.run(args)
        if sys.stdout is not None:  # None where the caller closed it
            sys.stdout.flush()
    except EcocoreError as e:
        print(f"ecocore: {_with_option(str(e), args)}", file=sys.stderr)
        return 2
    except OSError as e:
        if isinstance(e, BrokenPipeError):  # the reader, e.g. `head`, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        print(f"ecocore: {e.filename or 'output'}: {e.strerror or e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ecocore: stopped", file=sys.stderr)
        return 130
    return 0


# Arguments of the library that the command line calls otherwise.
_OPTIONS = {"num_threads": "--threads", "random_state": "--seed", "path": "--out", "weights": "--weight"}


def _with_option(message: str, args: argparse.Namespace) -> str:
    """An error of the library names its argument first: here that is an option."""
    name, colon, rest = message.partition(":")
    option = _OPTIONS.get(name) or (f"--{name.replace('_', '-')}" if name in vars(args) and name != "events" else name)
    return f"{option}{colon}{rest}"
