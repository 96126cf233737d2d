"""Customer service: answers with evidence, from templates, FAQ, orders, catalogue and recommendations."""

from __future__ import annotations

from .assistant import Assistant
from .evidence import Evidence, unbacked
from .privacy import mask
from .protocols import NLU, Backend, Case, Money, Order, OrderLine, Parse, Product, Recommender, Refund, Slot
from .recommend import ShopRecommender
from .replies import Entry, Handoff, Recorder, Reply
from .sqlite_shop import SQLiteShop, demo_recommender, demo_shop

__all__ = [
    "NLU",
    "Assistant",
    "Backend",
    "Case",
    "Entry",
    "Evidence",
    "Handoff",
    "Money",
    "Order",
    "OrderLine",
    "Parse",
    "Product",
    "Recommender",
    "Recorder",
    "Refund",
    "Reply",
    "SQLiteShop",
    "ShopRecommender",
    "Slot",
    "demo_recommender",
    "demo_shop",
    "mask",
    "unbacked",
]
