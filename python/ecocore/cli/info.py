"""``ecocore info [DIR]``: what this installation can do, and what a saved model is."""

from __future__ import annotations

import argparse
from typing import Any

from .. import storage
from ..runtime import build_info


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "info", help="version, instruction set, threads; or a saved model", description=__doc__
    )
    parser.add_argument("model", nargs="?", metavar="DIR", help="a saved model to look at; its checksums are compared")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    if args.model is None:
        for name, value in build_info().items():
            print(f"{name}: {', '.join(value) if isinstance(value, list) else value}")
        return
    manifest = storage.read_manifest(args.model)
    _, arrays = storage.read_folder(args.model, manifest["kind"], verify=True)
    print(f"{args.model}: {manifest['kind']}, written by ecocore {manifest['ecocore']}, checksums right")
    for name, array in arrays.items():
        print(f"  {name}: {array.dtype} {array.shape}")
    if verdict := manifest["meta"].get("compression"):
        print("compressed:")
        for name, value in verdict.items():
            print(f"  {name}: {value}")
