"""``ecocore recommend DIR --user U``"""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..errors import InvalidArgument
from ..shop import Product, Recommendation, Shop
from .arguments import positive_int
from .render import table


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("recommend", help="products for one user", description=__doc__)
    parser.add_argument("shop", metavar="DIR", help="what train saved")
    parser.add_argument("--user", required=True, help="an id of the log")
    parser.add_argument("--k", type=positive_int, default=10, metavar="N", help="how many (default: 10)")
    parser.add_argument("--repeat", action="store_true", help="also what the user has already")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    shop = Shop.load(args.shop)
    found = shop.recommend(user_id(shop, args.user), args.k, repeat=args.repeat)
    if args.json:
        print(json.dumps({"user": args.user, "recommendations": [r.to_dict() for r in found]}, ensure_ascii=False))
        return
    if found and found[0].basis == "popularity":
        print(f"user {args.user} is not known to the model: what most users have")
    print(recommendations(found))


def user_id(shop: Shop, text: str) -> int | str:
    """The id as the log has it: a whole number where the log's ids are."""
    if shop.history.users.kind == "str":
        return text
    try:
        return int(text)
    except ValueError:
        raise InvalidArgument(f"--user: the ids of this log are whole numbers; got {text!r}") from None


def label(product: Product) -> str:
    """The product's name where there is one, else its id."""
    return product.name or str(product.item)


def _price(price: float | None) -> str:
    return "" if price is None else f"{price:.2f}" if price >= 0.1 else f"{price:.2g}"


def _part(share: float, of: float | None) -> str:
    """The share in percent; nothing where others speak so much against the item that it would say nothing."""
    return f" ({share / of:.0%})" if of is not None and of >= share else ""


def recommendations(found: list[Recommendation]) -> str:
    """A table: rank, item, what the catalogue knows of it, score, and what caused it."""
    header = ["#", "item", "name", "price", "score", "because of"]
    rows: list[list[object]] = [
        [
            i, str(r.product.item), r.product.name or "", _price(r.product.price),
            r.score, ", ".join(label(p) + _part(share, r.factor_score) for p, share in r.because),
        ]
        for i, r in enumerate(found, 1)
    ]  # fmt: skip
    empty = {i for i in (2, 3, 5) if not any(row[i] for row in rows)}
    keep = [i for i in range(len(header)) if i not in empty]
    return table([header[i] for i in keep], [[row[i] for i in keep] for row in rows])
