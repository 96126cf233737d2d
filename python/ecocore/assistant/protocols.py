"""What a shop plugs into the assistant, and what it hands over: orders, products, recommendations, understanding."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

__all__ = [
    "NLU",
    "Backend",
    "Case",
    "Localised",
    "Money",
    "Order",
    "OrderLine",
    "Parse",
    "Product",
    "Recommender",
    "Refund",
    "Slot",
]

Localised = Mapping[str, str]
"""A text by language code, ``{"en": ..., "zh": ...}``."""


# ---- understanding ------------------------------------------------------------------------------------------------
class Slot(Protocol):
    """A value in the text: characters ``start`` to ``end`` (exclusive)."""

    @property
    def name(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


class Parse(Protocol):
    """What was understood. ``outcome`` is ``"sure"``, ``"ask"`` or ``"out_of_scope"``; ``intents`` are (name,
    probability), best first; ``choices`` are those to ask about."""

    @property
    def intent(self) -> str: ...
    @property
    def confidence(self) -> float: ...
    @property
    def intents(self) -> Sequence[tuple[str, float]]: ...
    @property
    def choices(self) -> Sequence[str]: ...
    @property
    def slots(self) -> Sequence[Slot]: ...
    @property
    def outcome(self) -> str: ...


class NLU(Protocol):
    """Anything that parses a text; :class:`ecocore.NLU` does. Called by many threads at once."""

    def parse(self, text: str, /) -> Parse: ...


# ---- the shop -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Money:
    """An amount in the shop's currency (ISO 4217 code)."""

    amount: Decimal
    currency: str = "CNY"


@dataclass(frozen=True)
class Product:
    """A product of the catalogue. ``also``: other names customers use. ``sizes`` and ``colours`` are canonical values
    of ``slots.json``; empty where there is only one."""

    id: str
    name: Localised
    price: Money
    category: str = ""
    about: Localised = field(default_factory=dict)
    sizes: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class OrderLine:
    """A line of an order."""

    product: Product
    quantity: int


@dataclass(frozen=True)
class Refund:
    """A refund of an order: ``status`` is ``"requested"`` or ``"paid"``, ``on`` the day of that."""

    status: str
    amount: Money
    on: dt.date


@dataclass(frozen=True)
class Order:
    """An order. ``status``: placed, packed, shipped, delivered, cancelled or returned. ``due``: the promised day."""

    id: str
    status: str
    placed: dt.date
    due: dt.date
    total: Money
    lines: tuple[OrderLine, ...]
    carrier: str = ""
    tracking: str = ""
    delivered: dt.date | None = None
    refund: Refund | None = None


@dataclass(frozen=True)
class Case:
    """A request that the shop has filed, under a number of its own."""

    id: str


class Backend(Protocol):
    """The shop's orders and catalogue. Called by many threads at once; an exception makes the assistant say that it
    cannot look it up now. A method is only ever asked for the orders of the user who is speaking."""

    def order(self, user: str, order_id: str) -> Order | None:
        """The user's own order of that id; None when there is none, or when it is someone else's."""

    def orders(self, user: str, limit: int) -> Sequence[Order]:
        """The user's latest orders, newest first."""

    def product(self, product_id: str) -> Product | None:
        """A product by its id."""

    def products(self) -> Iterable[Product]:
        """The whole catalogue, read once at start and at ``Assistant.refresh``."""

    def stock(self, product_id: str, size: str | None, colour: str | None) -> int:
        """Pieces in stock, over all sizes and colours that are None."""

    def open_case(self, user: str, kind: str, order_id: str, details: Mapping[str, str]) -> Case:
        """Files a request (a return, a new address, ...) that the user has confirmed. Asked again with the same
        arguments it may return the same case."""


class Recommender(Protocol):
    """Where recommendations come from: :class:`ecocore.assistant.ShopRecommender` over a trained ``ecocore.Shop``, or
    the shop's own. Called by many threads at once."""

    def recommend(self, user: str, k: int, *, allow: Collection[str] | None = None) -> Sequence[tuple[str, float]]:
        """Up to k (product id, score) for a user, best first, of the allowed products only. Unknown users get what is
        popular."""

    def similar(self, product_id: str, k: int, *, allow: Collection[str] | None = None) -> Sequence[tuple[str, float]]:
        """Up to k (product id, score) that are like a product, best first, without itself."""
