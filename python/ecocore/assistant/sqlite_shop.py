"""A shop in one SQLite file: an example of a :class:`~ecocore.assistant.protocols.Backend`, and the demo behind
``ecocore chat``."""

from __future__ import annotations

import datetime as dt
import json
import random
import threading
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ..als import AlternatingLeastSquares
from ..interactions import Interactions
from ..shop import Shop
from ..starter import FOLDER, read_json
from .protocols import Case, Money, Order, OrderLine, Product, Refund
from .recommend import ShopRecommender

__all__ = ["DEMO_USERS", "SQLiteShop", "demo_recommender", "demo_shop"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS products (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, price TEXT NOT NULL, category TEXT NOT NULL, about TEXT NOT NULL,
    sizes TEXT NOT NULL, colours TEXT NOT NULL, also TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS stock (
    product TEXT NOT NULL REFERENCES products, size TEXT, colour TEXT, pieces INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS stock_product ON stock (product);
CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY, user TEXT NOT NULL, status TEXT NOT NULL, placed TEXT NOT NULL, due TEXT NOT NULL,
    total TEXT NOT NULL, carrier TEXT NOT NULL, tracking TEXT NOT NULL, delivered TEXT,
    refund_status TEXT, refund_amount TEXT, refund_on TEXT);
CREATE INDEX IF NOT EXISTS orders_user ON orders (user, placed);
CREATE TABLE IF NOT EXISTS lines (
    order_id TEXT NOT NULL REFERENCES orders, product TEXT NOT NULL, quantity INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS lines_order ON lines (order_id);
CREATE TABLE IF NOT EXISTS cases (
    id INTEGER PRIMARY KEY, user TEXT NOT NULL, kind TEXT NOT NULL, order_id TEXT NOT NULL, details TEXT NOT NULL,
    UNIQUE (user, kind, order_id, details));
"""


class SQLiteShop:
    """Orders, catalogue, stock and cases in one file. Every query is bound, never put together from text.

    Args:
        path: the file; ``":memory:"`` for one that lives as long as the object.
        currency: of all its prices.
    """

    def __init__(self, path: str | Path = ":memory:", currency: str = "CNY") -> None:
        import sqlite3  # on first use: a shop with a backend of its own does not need it

        self._currency = currency
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._lock = threading.Lock()  # one connection, one statement at a time; each takes microseconds
        with self._lock:
            self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    # ---- Backend ----
    def order(self, user: str, order_id: str) -> Order | None:
        rows = self._rows("SELECT * FROM orders WHERE id = ? AND user = ?", order_id, user)
        return self._order(rows[0]) if rows else None

    def orders(self, user: str, limit: int) -> Sequence[Order]:
        rows = self._rows("SELECT * FROM orders WHERE user = ? ORDER BY placed DESC, id DESC LIMIT ?", user, limit)
        return [self._order(row) for row in rows]

    def product(self, product_id: str) -> Product | None:
        rows = self._rows("SELECT * FROM products WHERE id = ?", product_id)
        return self._product(rows[0]) if rows else None

    def products(self) -> Iterable[Product]:
        return [self._product(row) for row in self._rows("SELECT * FROM products ORDER BY id")]

    def stock(self, product_id: str, size: str | None, colour: str | None) -> int:
        rows = self._rows(
            "SELECT coalesce(sum(pieces), 0) FROM stock"
            " WHERE product = ?1 AND (?2 IS NULL OR size = ?2) AND (?3 IS NULL OR colour = ?3)",
            product_id,
            size,
            colour,
        )
        return int(rows[0][0])

    def open_case(self, user: str, kind: str, order_id: str, details: Mapping[str, str]) -> Case:
        values = (user, kind, order_id, json.dumps(dict(sorted(details.items())), ensure_ascii=False))
        self._rows("INSERT OR IGNORE INTO cases (user, kind, order_id, details) VALUES (?, ?, ?, ?)", *values)
        rows = self._rows("SELECT id FROM cases WHERE user = ? AND kind = ? AND order_id = ? AND details = ?", *values)
        return Case(f"C{100000 + rows[0][0]}")

    # ---- filling ----
    def add_product(self, product: Product, stock: Iterable[tuple[str | None, str | None, int]]) -> None:
        """Adds or replaces a product and its stock: (size, colour, pieces)."""
        j = json.dumps
        self._rows(
            "INSERT OR REPLACE INTO products VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            product.id, j(dict(product.name)), str(product.price.amount), product.category, j(dict(product.about)),
            j(product.sizes), j(product.colours), j(product.also),
        )  # fmt: skip
        with self._lock:
            self._db.execute("DELETE FROM stock WHERE product = ?", (product.id,))
            self._db.executemany("INSERT INTO stock VALUES (?, ?, ?, ?)", [(product.id, *row) for row in stock])

    def add_order(self, user: str, order: Order) -> None:
        """Adds or replaces an order of a user."""
        refund = order.refund
        with self._lock, self._db:
            self._db.execute("BEGIN")
            self._db.execute(
                "INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    order.id, user, order.status, order.placed.isoformat(), order.due.isoformat(),
                    str(order.total.amount), order.carrier, order.tracking,
                    order.delivered.isoformat() if order.delivered else None,
                    refund.status if refund else None, str(refund.amount.amount) if refund else None,
                    refund.on.isoformat() if refund else None,
                ),
            )  # fmt: skip
            self._db.execute("DELETE FROM lines WHERE order_id = ?", (order.id,))
            self._db.executemany(
                "INSERT INTO lines VALUES (?, ?, ?)",
                [(order.id, line.product.id, line.quantity) for line in order.lines],
            )

    def _money(self, amount: str) -> Money:
        return Money(Decimal(amount), self._currency)

    def _product(self, row: tuple[Any, ...]) -> Product:
        return _product(row, self._currency)

    def _order(self, row: tuple[Any, ...]) -> Order:
        id_, _, status, placed, due, total, carrier, tracking, delivered, r_status, r_amount, r_on = row
        day = dt.date.fromisoformat
        lines = self._rows(
            "SELECT p.*, l.quantity FROM lines l JOIN products p ON p.id = l.product"
            " WHERE l.order_id = ? ORDER BY l.rowid",
            id_,
        )
        return Order(
            id_, status, day(placed), day(due), self._money(total),
            tuple(OrderLine(self._product(line[:-1]), line[-1]) for line in lines), carrier, tracking,
            day(delivered) if delivered else None,
            Refund(r_status, self._money(r_amount), day(r_on)) if r_status else None,
        )  # fmt: skip


# ---- the demo --------------------------------------------------------------------------------------------------------
DEMO_USERS = ("ana", "bo", "chen", "dana", "eli", "fang", "gita", "hugo")
"""Customers of the demo shop; ``chen`` is whom ``ecocore chat`` speaks for."""


@lru_cache(maxsize=4096)  # by all that the row says: reading JSON takes longer than fetching the row
def _product(row: tuple[Any, ...], currency: str) -> Product:
    id_, name, price, category, about, sizes, colours, also = row
    return Product(
        id_, _fixed(name), Money(Decimal(price), currency), category, _fixed(about),
        tuple(json.loads(sizes)), tuple(json.loads(colours)), tuple(json.loads(also)),
    )  # fmt: skip


def _fixed(text: str) -> Mapping[str, str]:
    return MappingProxyType(json.loads(text))  # all who ask share it


def demo_shop(path: str | Path = ":memory:", *, today: dt.date | None = None, seed: int = 7) -> SQLiteShop:
    """The catalogue of ``demo_shop.json`` with stock and orders drawn by the seed, dated back from ``today``."""
    source = read_json("demo_shop.json", FOLDER)
    shop = SQLiteShop(path, source["currency"])
    random_ = random.Random(seed)
    today = today or dt.date.today()
    products: list[Product] = []
    for p in source["products"]:
        product = Product(
            p["id"], {"en": p["en"], "zh": p["zh"]}, shop._money(p["price"]), p["category"], p["about"],
            tuple(p["sizes"]), tuple(p["colours"]), tuple(p["also"]),
        )  # fmt: skip
        products.append(product)
        variants = [(s, c) for s in product.sizes or (None,) for c in product.colours or (None,)]
        shop.add_product(product, [(s, c, random_.choice((0, 2, 3, 5, 8, 12))) for s, c in variants])
    number = 204800
    for user in DEMO_USERS:
        for age in (2, 6, 14, 75)[: 2 + random_.randrange(3)]:
            number += 1 + random_.randrange(9)
            shop.add_order(user, _demo_order(f"EC{number}", today, age, products, random_))
    return shop


def _demo_order(order_id: str, today: dt.date, age: int, products: list[Product], random_: random.Random) -> Order:
    placed = today - dt.timedelta(age)
    lines = tuple(
        OrderLine(p, random_.choice((1, 1, 1, 2))) for p in random_.sample(products, random_.choice((1, 1, 2, 3)))
    )
    total = Money(
        sum((line.product.price.amount * line.quantity for line in lines), Decimal(0)), lines[0].product.price.currency
    )
    due = placed + dt.timedelta(4)
    if age <= 3:
        status = random_.choice(("placed", "packed", "shipped"))
    elif age <= 6:
        status, due = "shipped", today + dt.timedelta(1)
    else:
        status = random_.choice(("delivered", "delivered", "delivered", "returned"))
    sent = status in ("shipped", "delivered", "returned")
    delivered = due if status in ("delivered", "returned") else None
    refund = None
    if status == "returned":
        refund = Refund(random_.choice(("requested", "paid")), total, due + dt.timedelta(5))
    carrier = random_.choice(("SF Express", "ZTO", "DHL")) if sent else ""
    tracking = f"SF{random_.randrange(10**11, 10**12)}" if sent else ""
    return Order(order_id, status, placed, due, total, lines, carrier, tracking, delivered, refund)


def demo_recommender(shop: SQLiteShop, *, seed: int = 7) -> ShopRecommender:
    """Recommendations for the demo: ALS over purchases drawn by the seed, where each customer likes two kinds of
    products best."""
    random_ = np.random.default_rng(seed)
    products = list(shop.products())
    categories = sorted({p.category for p in products})
    users = [*DEMO_USERS, *(f"guest{i}" for i in range(400))]
    bought: list[tuple[str, str]] = []
    for user in users:
        liked = [categories[i] for i in random_.choice(len(categories), 2, replace=False)]
        weights = np.array([12.0 if p.category in liked else 1.0 for p in products])
        chosen = random_.choice(len(products), 8, replace=False, p=weights / weights.sum())
        bought += [(user, products[i].id) for i in chosen]
    history = Interactions.from_arrays([u for u, _ in bought], [p for _, p in bought])
    model = AlternatingLeastSquares(factors=8, iterations=10, random_state=seed, num_threads=1)
    return ShopRecommender(Shop(model.fit(history, show_progress=False), history))
