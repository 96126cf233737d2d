"""The graph contract of the ranking model: two towers and a head, which of their tensors must look how.

Dimensions in quotes are symbolic. Inputs and outputs that a model has no use for (no factors, no features, no order of
events) are absent.

================ =============== ======= =======================================================================
graph            input           dtype   shape and meaning
================ =============== ======= =======================================================================
user             history         float32 ["users", dim]: sum over the items of a user of ``history`` / sqrt(n)
                 recent          float32 ["users", dim]: sum over the 10 latest of ``recent`` * 0.8^age
                 size            float32 ["users", 1]: log(1 + n) / 5 for a history of n items
                 factors         float32 ["users", factors]: of ALS
                 features        float32 ["users", user_features]
item             rows            int64   ["items"]: of the id table; 0 for an item without a past
                 factors         float32 ["items", factors]: of ALS; zero for an item without a past
                 features        float32 ["items", item_features]
head             user_vector     float32 ["users", factors + query], and so on: the outputs of both towers
================ =============== ======= =======================================================================

================ =============== ======= =======================================================================
graph            output          dtype   shape and meaning
================ =============== ======= =======================================================================
user             vector          float32 ["users", factors + query]
                 pairs           float32 ["users", pairs]
item             vector          float32 ["items", factors + query]
                 pairs           float32 ["items", pairs]
                 bias            float32 ["items"]
                 history, recent float32 ["items", dim]: what the item adds to the history of who has it
head             scores          float32 ["users", "items"] = <user vector, item vector> + item bias
                                         + <w, relu(user pairs + item pairs)>
================ =============== ======= =======================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ..errors import FormatError, InvalidArgument
from .graph import GraphInfo, Tensor

__all__ = ["GRAPHS", "GraphName", "TowerShape"]

GraphName = Literal["user", "item", "head"]
GRAPHS: dict[GraphName, str] = {"user": "user_tower", "item": "item_tower", "head": "head"}  # and their array's name


@dataclass(frozen=True)
class TowerShape:
    """All sizes of a model; 0: it has no such input."""

    items: int  # rows of the id table, row 0 (no past) included
    dim: int  # of id embeddings and history vectors
    hidden: int  # units of each tower
    query: int  # length of the vectors beside the ALS factors
    pairs: int  # units of the relu over both towers
    factors: int = 0
    item_features: int = 0
    user_features: int = 0
    ordered: bool = False

    @classmethod
    def from_meta(cls, meta: Any, where: str) -> TowerShape:
        """The shape that :meth:`to_meta` wrote; raises FormatError for anything else."""
        names = cls.__dataclass_fields__
        if not isinstance(meta, Mapping) or set(meta) != set(names):
            raise FormatError(f"{where}: expected sizes {', '.join(names)}; got {meta!r:.200}; train and save it again")
        for name, value in meta.items():
            least = 1 if name in ("items", "dim", "hidden", "query", "pairs") else 0
            right = isinstance(value, bool) if name == "ordered" else type(value) is int and value >= least
            if not right:
                raise FormatError(f"{where}: size {name!r}: expected at least {least}; got {value!r}; save it again")
        return cls(**meta)

    def to_meta(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def item_inputs(self) -> int:
        return self.dim + self.factors + self.item_features

    @property
    def user_inputs(self) -> int:
        return self.dim * (1 + self.ordered) + self.factors + self.user_features + 1

    @property
    def vector(self) -> int:
        """Length of what a user's vector and an item's are multiplied with: the ALS factors and the query."""
        return self.factors + self.query

    def inputs(self, graph: GraphName) -> list[Tensor]:
        if graph == "head":
            return [
                _floats("user_vector", "users", self.vector),
                _floats("user_pairs", "users", self.pairs),
                _floats("item_vector", "items", self.vector),
                _floats("item_pairs", "items", self.pairs),
                Tensor("item_bias", "float32", ("items",)),
            ]
        axis = f"{graph}s"
        factors = [_floats("factors", axis, self.factors)] if self.factors else []
        width = self.user_features if graph == "user" else self.item_features
        features = [_floats("features", axis, width)] if width else []
        if graph == "item":
            return [Tensor("rows", "int64", (axis,)), *factors, *features]
        recent = [_floats("recent", axis, self.dim)] if self.ordered else []
        return [_floats("history", axis, self.dim), *recent, *factors, *features, _floats("size", axis, 1)]

    def outputs(self, graph: GraphName) -> list[Tensor]:
        if graph == "head":
            return [Tensor("scores", "float32", ("users", "items"))]
        axis = f"{graph}s"
        both = [_floats("vector", axis, self.vector), _floats("pairs", axis, self.pairs)]
        if graph == "user":
            return both
        recent = [_floats("recent", axis, self.dim)] if self.ordered else []
        return [*both, Tensor("bias", "float32", (axis,)), _floats("history", axis, self.dim), *recent]

    def check(self, graph: GraphName, found: GraphInfo, where: str) -> None:
        """Raises InvalidArgument where a graph has not exactly these tensors."""
        for side, wanted, got in (
            ("input", self.inputs(graph), found.inputs),
            ("output", self.outputs(graph), found.outputs),
        ):
            there = {t.name: t for t in got}
            for tensor in wanted:
                if there.get(tensor.name) != tensor:
                    what = there.get(tensor.name, "none")
                    raise InvalidArgument(
                        f"{where}: {side} {tensor.name!r}: expected {tensor}; got {what}; train and export it again"
                    )
            if strange := sorted(set(there) - {t.name for t in wanted}):
                raise InvalidArgument(
                    f"{where}: {side} {strange[0]!r}: expected only {[t.name for t in wanted]}; got"
                    f" {there[strange[0]]}; train and export it again"
                )


def _floats(name: str, axis: str, width: int) -> Tensor:
    return Tensor(name, "float32", (axis, width))
