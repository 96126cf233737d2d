"""The ``ecocore`` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from .. import __version__
from ..errors import EcocoreError
from . import chat, demo, evaluate, feedback, info, recommend, train

__all__ = ["main"]

COMMANDS = (demo, train, recommend, evaluate, chat, feedback, info)


def parser() -> argparse.ArgumentParser:
    """The command line; every command module adds its own part."""
    root = argparse.ArgumentParser(
        prog="ecocore", description="The machine-learning core of an online shop: from event logs to recommendations."
    )
    root.add_argument("--version", action="version", version=f"ecocore {__version__}")
    commands = root.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(commands)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0, or 2 after an error that was explained on stderr."""
    args = parser().parse_args(argv)
    try:
        args.run(args)
        sys.stdout.flush()
    except EcocoreError as e:
        print(f"ecocore: {e}", file=sys.stderr)
        return 2
    except OSError as e:
        if isinstance(e, BrokenPipeError):  # the reader, e.g. `head`, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        print(f"ecocore: {e.filename or 'file'}: {e.strerror or e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ecocore: stopped", file=sys.stderr)
        return 130
    return 0
