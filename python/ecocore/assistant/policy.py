"""What the assistant does about each intent: look-ups that end in a template and the facts for it.

A handler returns a :class:`Draft` and says nothing itself; words are the business of ``answers.json``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ..errors import FormatError
from .dialogue import Frame, State
from .kinds import Kind, KindIndex
from .names import NameIndex
from .order_ids import ending_so
from .protocols import Backend, Localised, Money, Order, Product, Recommender
from .templates import Fact, written_date

__all__ = ["Catalogue", "Draft", "Policy"]

_SHOWN = 3  # recommendations in an answer
_ORDERS = 5  # orders in an answer
_SEARCHED = 20  # latest orders among which the one that is meant is looked for
_FETCHED = 60  # candidates that filters choose from before the recommender is asked with a list


@dataclass
class Draft:
    """An answer before it has words: a template (or an FAQ entry), its facts, and what the dialogue waits for next."""

    template: str
    facts: dict[str, Fact] = field(default_factory=dict)
    awaiting: str | None = None
    handoff: str | None = None
    faq: str | None = None


_TAKES: Mapping[str, frozenset[str]] = {
    "order_status": frozenset({"order_id", "product"}), "refund_status": frozenset({"order_id", "product"}),
    "request": frozenset({"order_id", "product", "date", "address", "size", "colour"}),
    "size_advice": frozenset({"product", "size"}), "stock": frozenset({"product", "size", "colour"}),
    "product_info": frozenset({"product"}), "price": frozenset({"product", "size", "colour"}),
    "compare": frozenset({"product"}), "recommend": frozenset({"product", "amount", "colour"}),
}  # fmt: skip
"""The slots that an action can use: what a short sentence may bring to it."""
_OF_ONE = frozenset({"stock", "price", "product_info", "size_advice"})
_ABOUT_GOODS = frozenset({"stock", "price", "product_info", "recommend", "request", "order_status", "refund_status"})


class Catalogue:
    """The products as the assistant knows them: by id and by name. Read once; replaced as a whole by ``refresh``."""

    def __init__(self, products: Iterable[Product]) -> None:
        self.by_id = {p.id: p for p in products}
        official = [(name, p.id) for p in self.by_id.values() for name in p.name.values()]
        self.official = NameIndex(official)
        self.spoken = NameIndex(official + [(name, p.id) for p in self.by_id.values() for name in p.also])
        self.kinds = KindIndex(self.spoken, self.official)


class Policy:
    """Handlers by intent.

    Args:
        intents: ``intents.json``.
        values: ``policy.json``.
        slots: ``slots.json``, for the words of colours.
    """

    def __init__(
        self,
        intents: Mapping[str, Any],
        values: Mapping[str, Any],
        slots: Mapping[str, Any],
        backend: Backend,
        recommender: Recommender | None,
        currency: str,
    ) -> None:
        self.intents = intents
        self._backend, self._recommender, self._currency = backend, recommender, currency
        self._colours: Mapping[str, Any] = slots["colour"]["values"]
        self.values = Fact("policy", "policy", {k: _policy_value(k, v, currency) for k, v in values.items()})
        self._days = {k: v for k, v in values.items() if isinstance(v, int)}
        self._actions: dict[str, Callable[[str, Frame, State], Draft]] = {
            "order_status": self._order_status, "order_list": self._order_list, "request": self._request,
            "refund_status": self._refund_status, "size_advice": self._size_advice, "stock": self._stock,
            "product_info": self._product_info, "price": self._price, "compare": self._compare,
            "recommend": self._recommend, "faq": self._faq, "say": self._say, "handoff": self._handoff,
            "affirm": self._say, "deny": self._say,
        }  # fmt: skip
        for name, intent in intents.items():
            if intent.get("action") not in self._actions:
                raise FormatError(
                    f"intents.json: {name}: expected an action of {', '.join(self._actions)};"
                    f" got {intent.get('action')!r}"
                )
        self.catalogue = Catalogue(backend.products())

    def refresh(self) -> None:
        """Reads the catalogue anew; turns under way finish with the old one."""
        self.catalogue = Catalogue(self._backend.products())

    def act(self, user: str, frame: Frame, state: State) -> Draft:
        """The answer to a frame. May raise whatever the backend raises."""
        return self._actions[self.intents[frame.intent]["action"]](user, frame, state)

    def takes(self, intent: str) -> frozenset[str]:
        """The slots that an intent can use."""
        return _TAKES.get(self.intents[intent]["action"], frozenset())

    def about_goods(self, intent: str) -> bool:
        """Whether an intent is about products, for sale or bought: a word for a kind of product means that kind."""
        return intent in self.intents and self.intents[intent]["action"] in _ABOUT_GOODS

    def about_one(self, intent: str) -> bool:
        """Whether an intent is about one product, which may be the one that was last spoken of."""
        return intent in self.intents and self.intents[intent]["action"] in _OF_ONE

    def price_of(self, product: str) -> Decimal | None:
        """The price of a product of the catalogue, as it was when the catalogue was read."""
        found = self.catalogue.by_id.get(product)
        return found.price.amount if found is not None else None

    def name(self, intent: str) -> Localised:
        """The intent in the customer's words."""
        return {language: self.intents[intent][language] for language in ("en", "zh")}

    def choices(self, intents: Sequence[str]) -> Draft:
        """Asks which of a few intents is meant."""
        items = [
            Fact("intents", intent, {"letter": "ABC"[i], "name": self.name(intent)}) for i, intent in enumerate(intents)
        ]
        return Draft("ask.intent", {"choices": Fact("intents", "choices", items)})

    # ---- small talk, FAQ, hand-off ----
    def _say(self, user: str, frame: Frame, state: State) -> Draft:
        return Draft(f"say.{frame.intent}", {"policy": self.values})

    def _faq(self, user: str, frame: Frame, state: State) -> Draft:
        return Draft("", {"policy": self.values}, faq=self.intents[frame.intent]["faq"])

    def _handoff(self, user: str, frame: Frame, state: State) -> Draft:
        return self.hand_off(self.intents[frame.intent]["reason"])

    def hand_off(self, reason: str) -> Draft:
        """Brings in a person."""
        return Draft(f"say.handoff.{reason}", {}, handoff=reason)

    # ---- orders ----
    def _order_of(self, user: str, frame: Frame, state: State, fits: Callable[[Order], bool]) -> Order | Draft:
        """The order that is meant: the one named, or the only one that fits; else a question for it."""
        if several := frame.slots.pop("orders", ()):
            named_orders = [self._order_called(user, asked) for asked in several]
            if found := [order for order in named_orders if order is not None][:_ORDERS]:
                return Draft("ask.which_order", {"orders": self._order_lines(found)}, "order_id")
        if asked := frame.slots.get("order_id"):
            order = self._order_called(user, asked)
            if order is not None:
                return order
            del frame.slots["order_id"]
            # An order that was only carried over and is gone by now was not asked for.
            if asked != state.recent.pop("order_id", None):
                return Draft("order.not_found", {"asked": Fact("user", "order_id", asked)}, "order_id")
        orders = list(self._backend.orders(user, _SEARCHED))
        if not orders:
            return Draft("order.none")
        named: tuple[str, ...] | None = frame.slots.get("product")  # "where is my tent", "the hair dryer"
        having = [o for o in orders if named is not None and any(line.product.id in named for line in o.lines)]
        if named and not having and not isinstance(named, Kind):
            del frame.slots["product"]
            return Draft("order.no_product", {"orders": self._order_lines(orders[:_ORDERS])}, "order_id")
        paid = [o for o in orders if o.total.amount == frame.slots.get("amount")]  # "the order for ¥249"
        orders = having or paid or orders
        fitting = [order for order in orders if fits(order)]
        # What was named and is in none of the orders may be a part of something: no order is taken for granted.
        if (len(fitting) == 1 or len(orders) == 1) and (named is None or having):
            return (fitting or orders)[0]
        shown = (fitting or orders)[:_ORDERS]
        return Draft("ask.which_order", {"orders": self._order_lines(shown)}, "order_id")

    def _order_called(self, user: str, asked: str) -> Order | None:
        return self._backend.order(user, asked) or ending_so(asked, self._backend.orders(user, _SEARCHED))

    def _order_status(self, user: str, frame: Frame, state: State) -> Draft:
        order = self._order_of(user, frame, state, lambda o: o.status in ("placed", "packed", "shipped"))
        if isinstance(order, Draft):
            return order
        state.recent["order_id"] = order.id
        late = order.status in ("placed", "packed", "shipped") and order.due < state_day(frame)
        return Draft("order.late" if late else f"order.{order.status}", self._order_facts(order))

    def _order_list(self, user: str, frame: Frame, state: State) -> Draft:
        orders = list(self._backend.orders(user, _ORDERS))
        return Draft("order.list", {"orders": self._order_lines(orders)}) if orders else Draft("order.none")

    def _refund_status(self, user: str, frame: Frame, state: State) -> Draft:
        order = self._order_of(user, frame, state, lambda o: o.refund is not None)
        if isinstance(order, Draft):
            return order
        state.recent["order_id"] = order.id
        facts = self._order_facts(order)
        if order.refund is None:
            return Draft("refund.none", facts)
        facts["refund"] = Fact("orders", f"{order.id}.refund", order.refund)
        return Draft(f"refund.{order.refund.status}", facts)

    def _request(self, user: str, frame: Frame, state: State) -> Draft:
        """Something to be filed for an order: is it possible, is all there that it needs, is it confirmed?"""
        intent = self.intents[frame.intent]
        days = self._days.get(intent.get("within", ""))

        def over(order: Order) -> bool:
            day = order.delivered
            return days is not None and day is not None and (state_day(frame) - day).days > days

        order = self._order_of(user, frame, state, lambda o: o.status in intent["when"] and not over(o))
        if isinstance(order, Draft):
            return order
        frame.slots["order_id"] = state.recent["order_id"] = order.id
        facts = self._order_facts(order)
        if order.status not in intent["when"]:
            return Draft(f"request.refused.{order.status}", facts)
        if over(order):
            return Draft("request.over", facts)
        if (day := frame.slots.get("date")) is not None and day < state_day(frame):
            del frame.slots["date"]  # a day that is over is no day to deliver on
        for needed in intent.get("slots", ()):
            if not any(frame.slots.get(name) for name in needed.split("|")):
                return Draft(f"ask.{needed.replace('|', '_or_')}", facts, needed)
        facts["kind"] = Fact("intents", frame.intent, self.name(frame.intent))
        if detail := self._detail(frame):
            facts["detail"] = detail
            return Draft("request.confirm_detail", facts, "confirm")
        return Draft("request.confirm", facts, "confirm")

    def confirmed(self, user: str, frame: Frame) -> Draft:
        """Files the request that was said yes to."""
        order = self._backend.order(user, frame.slots["order_id"])
        if order is None:
            return Draft("order.not_found", {"asked": Fact("user", "order_id", frame.slots["order_id"])})
        details = {k: str(v) for k, v in frame.slots.items() if k in ("date", "address", "size", "colour")}
        case = self._backend.open_case(user, frame.intent, order.id, details)
        facts = self._order_facts(order)
        facts["kind"] = Fact("intents", frame.intent, self.name(frame.intent))
        facts["case"] = Fact("cases", case.id, case)
        return Draft("request.opened", facts)

    def _detail(self, frame: Frame) -> Fact | None:
        texts: dict[str, list[str]] = {"en": [], "zh": []}
        for needed in self.intents[frame.intent].get("slots", ()):
            for slot in needed.split("|"):
                value = frame.slots.get(slot)
                for language, parts in texts.items():
                    if isinstance(value, dt.date):
                        parts.append(written_date(value, language))
                    elif slot == "colour" and value:
                        parts.append(self._colour(value, language))
                    elif value:
                        parts.append(str(value))
        return (
            Fact("user", "detail", {k: (", " if k == "en" else "，").join(v) for k, v in texts.items()})
            if texts["en"]
            else None
        )

    def _order_facts(self, order: Order) -> dict[str, Fact]:
        view = {
            "id": order.id, "placed": order.placed, "due": order.due, "total": order.total,
            "carrier": order.carrier or None, "tracking": order.tracking or None, "delivered": order.delivered,
            "items": _items(order),
        }  # fmt: skip
        return {"order": Fact("orders", order.id, view), "policy": self.values}

    def _order_lines(self, orders: Sequence[Order]) -> Fact:
        return Fact("orders", "latest", [self._order_facts(order)["order"] for order in orders])

    # ---- products ----
    def _product_of(self, frame: Frame) -> Product | None:
        """The product that is meant, read anew: its price may have changed since the catalogue was read."""
        ids: tuple[str, ...] = frame.slots.get("product") or ()
        return self._backend.product(ids[0]) if len(ids) == 1 and not isinstance(ids, Kind) else None

    def _ask_product(self, frame: Frame) -> Draft:
        ids: tuple[str, ...] | None = frame.slots.get("product")
        if ids == ():
            del frame.slots["product"]
            return Draft("product.not_found", {}, "product")
        named = [p for p in (self._backend.product(i) for i in (ids or ())[:_ORDERS]) if p is not None]
        if named and ids is not None and (len(ids) > 1 or isinstance(ids, Kind)):
            facts = {
                "products": Fact("catalogue", "names", [self._view(p) for p in named]),
                "count": Fact("catalogue", "count", len(ids)),
            }
            return Draft("ask.which_product" if len(ids) <= _ORDERS else "ask.which_of_many", facts, "product")
        return Draft("ask.product", {}, "product")

    def _price(self, user: str, frame: Frame, state: State) -> Draft:
        product = self._product_of(frame)
        if product is None:
            return self._ask_product(frame)
        return Draft("product.price", {"product": self._view(product)})

    def _product_info(self, user: str, frame: Frame, state: State) -> Draft:
        product = self._product_of(frame)
        if product is None:
            return self._ask_product(frame)
        return Draft("product.about" if product.about else "product.price", {"product": self._view(product)})

    def _size_advice(self, user: str, frame: Frame, state: State) -> Draft:
        product = self._product_of(frame)
        if product is None:
            return Draft("", {"policy": self.values}, awaiting="product", faq="size_chart")
        if not product.about:
            return Draft("product.price", {"product": self._view(product)})
        return Draft("size.list" if product.sizes else "size.one", {"product": self._view(product)})

    def _stock(self, user: str, frame: Frame, state: State) -> Draft:
        product = self._product_of(frame)
        if product is None:
            return self._ask_product(frame)
        size, colour = frame.slots.get("size"), frame.slots.get("colour")
        facts = {"product": self._view(product), "variant": self._variant(product, size, colour)}
        if (size and product.sizes and size not in product.sizes) or (
            colour and product.colours and colour not in product.colours
        ):
            return Draft("stock.no_variant", facts)
        pieces = self._backend.stock(product.id, size if product.sizes else None, colour if product.colours else None)
        facts["stock"] = Fact("stock", product.id, pieces)
        return Draft("stock.yes" if pieces > 0 else "stock.no", facts)

    def _compare(self, user: str, frame: Frame, state: State) -> Draft:
        ids = frame.slots.get("products") or ()
        pair = [p for p in (self._backend.product(i) for i in ids[:2]) if p is not None and p.about]
        if len(pair) < 2:
            return Draft("ask.two_products", {}, "products")
        return Draft("product.compare", {"first": self._view(pair[0]), "second": self._view(pair[1])})

    def _view(self, product: Product) -> Fact:
        view = {
            "id": product.id, "name": product.name, "price": product.price, "about": product.about or None,
            "sizes": product.sizes,
            "options": {
                language: [*(self._colour(c, language) for c in product.colours), *product.sizes]
                for language in ("en", "zh")
            },
        }  # fmt: skip
        return Fact("catalogue", product.id, view)

    def _variant(self, product: Product, size: str | None, colour: str | None) -> Fact:
        texts = {}
        for language in ("en", "zh"):
            extra = [x for x in (colour and self._colour(colour, language), size) if x]
            name = product.name.get(language) or next(iter(product.name.values()))
            brackets = " ({})" if language == "en" else "（{}）"
            texts[language] = name + (
                brackets.format((", " if language == "en" else "，").join(extra)) if extra else ""
            )
        return Fact("catalogue", product.id, texts)

    def _colour(self, colour: str, language: str) -> str:
        return str(self._colours[colour][language][0]) if colour in self._colours else colour

    # ---- recommendations ----
    def _recommend(self, user: str, frame: Frame, state: State) -> Draft:
        named: tuple[str, ...] | None = frame.slots.get("product")
        anchor = self._product_of(frame) if frame.like else None
        wanted = named if anchor is None and named else None  # "a jacket", "the trail runner": that, and nothing else
        amount, colour = frame.slots.get("amount"), frame.slots.get("colour")
        if amount is not None and frame.currency not in ("", self._currency):
            # A limit in another currency is no limit here, and this is no exchange office.
            del frame.slots["amount"]
            return Draft("ask.amount", {"currency": Fact("shop", "currency", self._currency)}, "amount")
        least = frame.bound == "min"

        def fits(product: Product) -> bool:
            if amount is not None and (product.price.amount < amount if least else product.price.amount > amount):
                return False
            return not colour or colour in product.colours

        found = self._candidates(user, anchor, fits, colour, wanted)
        lacking = named == () or (wanted is not None and not found)  # not passed over in silence
        if not found and wanted is not None:
            found = self._candidates(user, None, fits, colour, None)
        if not found:
            return Draft("recommend.none")
        facts = {"items": Fact("recommendations", user_key(anchor), [self._view(p) for p in found])}
        if anchor is not None:
            facts["product"] = self._view(anchor)
        limited = amount is not None and not least
        if amount is not None and limited:
            facts["limit"] = Fact("user", "amount", Money(amount, self._currency))
        if anchor is not None:
            kind = "like_under" if limited else "like"
        elif lacking:
            kind = "other_under" if limited else "other"
        else:
            kind = "under" if limited else "list"
        return Draft(f"recommend.{kind}", facts)

    def _candidates(
        self,
        user: str,
        anchor: Product | None,
        fits: Callable[[Product], bool],
        colour: str | None,
        wanted: tuple[str, ...] | None,
    ) -> list[Product]:
        """Recommended products that fit and are in stock, of the wanted ones where some are. The catalogue in memory
        rules most out; what is left is read anew from the backend, so that the price in the answer is today's."""
        if self._recommender is None:
            return []
        recommender, known = self._recommender, self.catalogue.by_id

        def allowed() -> list[str]:
            return [i for i in (known if wanted is None else wanted) if i in known and fits(known[i])]

        def ranked(allow: list[str] | None) -> Iterable[str]:
            pairs = (
                recommender.similar(anchor.id, _FETCHED, allow=allow)
                if anchor is not None
                else recommender.recommend(user, _FETCHED, allow=allow)
            )
            return (product_id for product_id, _ in pairs)

        def available(ids: Iterable[str]) -> list[Product]:
            found: list[Product] = []
            for product_id in ids:
                product = self._backend.product(product_id) if product_id in known and fits(known[product_id]) else None
                if product is None or not fits(product):
                    continue
                if self._backend.stock(product.id, None, colour if product.colours else None) > 0:
                    found.append(product)
                    if len(found) == _SHOWN:
                        break
            return found

        if wanted is not None:
            # What was asked for is shown even if it is nothing to recommend to this user, who may have it already.
            allow = allowed()
            return available(dict.fromkeys([*ranked(allow), *allow])) if allow else []
        found = available(ranked(None))
        if len(found) < _SHOWN and len(known) > _FETCHED:
            return available(ranked(allowed())) or found
        return found


def user_key(anchor: Product | None) -> str:
    """The key of recommendations: for the user, or like a product."""
    return f"like {anchor.id}" if anchor is not None else "for you"


def state_day(frame: Frame) -> dt.date:
    """The day of the turn, as the assistant put it into the frame."""
    day = frame.slots["today"]
    assert isinstance(day, dt.date)
    return day


def _items(order: Order) -> dict[str, str]:
    """The lines of an order in words, by language."""
    texts = {}
    for language, join in (("en", ", "), ("zh", "、")):
        parts = []
        for line in order.lines:
            name = line.product.name.get(language) or next(iter(line.product.name.values()))
            parts.append(f"{line.quantity} × {name}" if line.quantity > 1 else name)
        texts[language] = join.join(parts)
    return texts


def _policy_value(name: str, value: Any, currency: str) -> Any:
    if isinstance(value, Mapping) and set(value) == {"money"}:
        return Money(Decimal(value["money"]), currency)
    if isinstance(value, (int, str)) or (isinstance(value, Mapping) and {"en", "zh"} <= set(value)):
        return value
    raise FormatError(
        f'policy.json: {name}: expected a whole number, a text, {{"money": "9.90"}} or a text by language'
    )
